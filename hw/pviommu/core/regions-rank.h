/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu: where an IOVA is among reserved regions, for core alone
 *
 * In a header for translation, which does this every time.
 */
#ifndef PVIOMMU_CORE_REGIONS_RANK_H
#define PVIOMMU_CORE_REGIONS_RANK_H

#include "pviommu/regions.h"

/**
 * struct PviommuRegions - a list of regions
 * @count: how many
 * @region: in order of IOVA, disjoint
 */
struct PviommuRegions {
    size_t count;
    PviommuRegion *region;
};

/**
 * regions_rank - how many regions start at or below an IOVA
 * @list: the list
 * @iova: the address
 *
 * Return: 0 to the number of regions.
 */
static inline size_t regions_rank(const PviommuRegions *list, uint64_t iova)
{
    size_t low = 0;
    size_t high = list->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (list->region[middle].first <= iova) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

#endif /* PVIOMMU_CORE_REGIONS_RANK_H */
