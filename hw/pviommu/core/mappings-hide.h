/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu: removing mappings in a way that can be undone without memory
 *
 * Mappings inside a hidden range are neither found, walked nor counted, but
 * are still there: they are put back or dropped later.  One range at a time
 * may be hidden, and nothing is inserted or removed meanwhile.
 */
#ifndef PVIOMMU_CORE_MAPPINGS_HIDE_H
#define PVIOMMU_CORE_MAPPINGS_HIDE_H

#include "pviommu/mappings.h"

/**
 * pviommu_mappings_hide - hide every mapping in a range
 * @set: the set, with nothing hidden
 * @first: first IOVA
 * @last: last IOVA, inclusive; no mapping is only partly in the range
 *
 * Return: how many were hidden; nothing is when it is 0.
 */
size_t pviommu_mappings_hide(PviommuMappings *set, uint64_t first,
                             uint64_t last);

/**
 * pviommu_mappings_unhide - put hidden mappings back
 * @set: the set
 *
 * Return: how many.
 */
size_t pviommu_mappings_unhide(PviommuMappings *set);

/**
 * pviommu_mappings_drop_hidden - remove hidden mappings for good
 * @set: the set
 */
void pviommu_mappings_drop_hidden(PviommuMappings *set);

#endif /* PVIOMMU_CORE_MAPPINGS_HIDE_H */
