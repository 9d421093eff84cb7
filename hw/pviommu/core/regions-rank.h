/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu: position of an IOVA among reserved regions, for core alone
 */
#ifndef PVIOMMU_CORE_REGIONS_RANK_H
#define PVIOMMU_CORE_REGIONS_RANK_H

#include "pviommu/regions.h"

/**
 * pviommu_regions_rank - how many regions start at or below an IOVA
 * @list: the list; not NULL
 * @iova: the address
 *
 * Return: 0 to the number of regions.
 */
size_t pviommu_regions_rank(const PviommuRegions *list, uint64_t iova);

#endif /* PVIOMMU_CORE_REGIONS_RANK_H */
