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

/**
 * regions_around - find the region, or the gap, that holds an IOVA
 * @regions: the regions; NULL for none
 * @iova: the address
 * @first: where to put the first IOVA of the region or gap
 * @last: where to put the last
 *
 * Return: the region, or NULL for a gap.
 */
static inline const PviommuRegion *
regions_around(const PviommuRegions *regions, uint64_t iova, uint64_t *first,
               uint64_t *last)
{
    size_t index;

    *first = 0;
    *last = UINT64_MAX;
    if (!regions) {
        return NULL;
    }
    index = regions_rank(regions, iova);
    if (index < regions->count) {
        *last = regions->region[index].first - 1;
    }
    if (index > 0) {
        const PviommuRegion *region = &regions->region[index - 1];

        if (region->last >= iova) {
            *first = region->first;
            *last = region->last;
            return region;
        }
        *first = region->last + 1;
    }
    return NULL;
}

#endif /* PVIOMMU_CORE_REGIONS_RANK_H */
