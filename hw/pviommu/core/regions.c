/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu: reserved regions of IOVA, as PROBE tells them
 */
#include <string.h>
#include <glib.h>

#include "le.h"
#include "pviommu/wire.h"
#include "regions-rank.h"

PviommuRegions *pviommu_regions_new(void)
{
    return g_new0(PviommuRegions, 1);
}

void pviommu_regions_free(PviommuRegions *list)
{
    if (list) {
        g_free(list->region);
        g_free(list);
    }
}

PviommuRegions *pviommu_regions_copy(const PviommuRegions *list)
{
    PviommuRegions *copy = pviommu_regions_new();

    copy->count = list->count;
    copy->region = g_new(PviommuRegion, list->count);
    for (size_t i = 0; i < list->count; i++) {
        copy->region[i] = list->region[i];
    }
    return copy;
}

/* What @region overlaps is cut, split or dropped */
static void put(PviommuRegions *list, const PviommuRegion *region)
{
    const PviommuRegion *old = list->region;
    PviommuRegion *out = g_new(PviommuRegion, list->count + 2);
    size_t n = 0, i;

    g_assert(region->first <= region->last);
    /* what lies before it, or begins before it */
    for (i = 0; i < list->count && old[i].first < region->first; i++) {
        out[n] = old[i];
        out[n].last = MIN(old[i].last, region->first - 1);
        n++;
    }
    out[n++] = *region;
    /* what lies behind it, or ends behind it; it may have begun before */
    for (i = i > 0 ? i - 1 : 0; i < list->count; i++) {
        if (old[i].last > region->last) {
            out[n] = old[i];
            out[n].first = MAX(old[i].first, region->last + 1);
            n++;
        }
    }
    g_free(list->region);
    list->region = out;
    list->count = n;
}

void pviommu_regions_add(PviommuRegions *list, const PviommuRegion *region)
{
    PviommuRegions *old = pviommu_regions_copy(list);

    put(list, region);
    for (size_t i = 0; i < old->count; i++) {
        if (region->type == PVIOMMU_REGION_RESERVED &&
            old->region[i].type == PVIOMMU_REGION_MSI) {
            put(list, &old->region[i]);
        }
    }
    pviommu_regions_free(old);
}

/* The RESERVED neighbours with the narrowest gap; count when there are none */
static size_t narrowest_gap(const PviommuRegions *list)
{
    size_t best = list->count;
    uint64_t best_gap = 0;

    for (size_t i = 0; i + 1 < list->count; i++) {
        const PviommuRegion *region = &list->region[i];
        uint64_t gap = region[1].first - region[0].last;

        if (region[0].type == PVIOMMU_REGION_RESERVED &&
            region[1].type == PVIOMMU_REGION_RESERVED &&
            (best == list->count || gap < best_gap)) {
            best = i;
            best_gap = gap;
        }
    }
    return best;
}

bool pviommu_regions_fit(PviommuRegions *list, size_t count)
{
    while (list->count > count) {
        size_t i = narrowest_gap(list);

        if (i == list->count) {
            return false;
        }
        list->region[i].last = list->region[i + 1].last;
        list->count--;
        memmove(&list->region[i + 1], &list->region[i + 2],
                (list->count - i - 1) * sizeof(PviommuRegion));
    }
    return true;
}

size_t pviommu_regions_count(const PviommuRegions *list)
{
    return list ? list->count : 0;
}

const PviommuRegion *pviommu_regions_get(const PviommuRegions *list,
                                         size_t index)
{
    g_assert(index < list->count);
    return &list->region[index];
}

const PviommuRegion *pviommu_regions_find(const PviommuRegions *list,
                                          uint64_t first, uint64_t last)
{
    size_t index;

    if (pviommu_regions_count(list) == 0) {
        return NULL;
    }
    index = regions_rank(list, first);
    if (index > 0 && list->region[index - 1].last >= first) {
        return &list->region[index - 1];
    }
    if (index < list->count && list->region[index].first <= last) {
        return &list->region[index];
    }
    return NULL;
}

static uint8_t *encode_type(const PviommuRegions *list,
                            PviommuRegionType type, uint8_t *property)
{
    for (size_t i = 0; i < list->count; i++) {
        const PviommuRegion *region = &list->region[i];

        if (region->type == type) {
            le_put(property, 2, PVIOMMU_PROBE_T_RESV_MEM);
            le_put(property + 2, 2,
                   PVIOMMU_RESV_MEM_SIZE - PVIOMMU_PROP_HEADER_SIZE);
            property[4] = (uint8_t)type;
            le_put(property + 8, 8, region->first);
            le_put(property + 16, 8, region->last);
            property += PVIOMMU_RESV_MEM_SIZE;
        }
    }
    return property;
}

bool pviommu_regions_encode(const PviommuRegions *list, void *properties,
                            size_t size)
{
    size_t count = pviommu_regions_count(list);
    uint8_t *property = properties;

    if (size > 0) {
        memset(properties, 0, size);
    }
    if (count > size / PVIOMMU_RESV_MEM_SIZE) {
        return false;
    }
    if (count > 0) {
        property = encode_type(list, PVIOMMU_REGION_MSI, property);
        encode_type(list, PVIOMMU_REGION_RESERVED, property);
    }
    return true;
}
