/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu: what becomes of an access
 */
#include "pviommu/table.h"
#include "regions-rank.h"
#include "state.h"

#define ACCESS_MASK (PVIOMMU_MAP_F_READ | PVIOMMU_MAP_F_WRITE)

static bool fault(PviommuTranslation *translation, uint64_t iova,
                  uint8_t reason)
{
    *translation = (PviommuTranslation) {
        .first = iova, .last = iova, .reason = reason,
    };
    return false;
}

static bool identity(PviommuTranslation *translation, uint64_t first,
                     uint64_t last)
{
    *translation = (PviommuTranslation) {
        .first = first, .last = last, .phys = first, .flags = ACCESS_MASK,
    };
    return true;
}

/* Fill in what a mapping makes of the part of it in [first, last] */
static bool mapped(PviommuTranslation *translation, const Node *leaf,
                   unsigned index, uint64_t first, uint64_t last)
{
    uint64_t start = node_key(leaf)[index];

    first = MAX(first, start);
    *translation = (PviommuTranslation) {
        .first = first,
        .last = MIN(last, node_last(leaf)[index]),
        .phys = node_phys(leaf)[index] + (first - start),
        .flags = node_flags(leaf)[index] & ACCESS_MASK,
    };
    return true;
}

bool pviommu_translate(const PviommuGroup *group, uint64_t iova,
                       uint32_t access, PviommuTranslation *translation)
{
    uint64_t first, last;
    const PviommuRegion *region = regions_around(group->regions, iova, &first,
                                                 &last);
    PviommuState state = group_state(group);
    const Node *leaf;
    unsigned index;

    if (state == PVIOMMU_BYPASS ||
        (region && region->type == PVIOMMU_REGION_MSI)) {
        return identity(translation, first, last);
    }
    if (state == PVIOMMU_BLOCKED) {
        return fault(translation, iova, group->fenced
                     ? PVIOMMU_FAULT_R_UNKNOWN : PVIOMMU_FAULT_R_DOMAIN);
    }
    leaf = region ? NULL
                  : set_lookup(&group->domain->mappings, iova, &index);
    if (!leaf || (access & ACCESS_MASK & ~node_flags(leaf)[index])) {
        return fault(translation, iova, PVIOMMU_FAULT_R_MAPPING);
    }
    return mapped(translation, leaf, index, first, last);
}

bool pviommu_translate_by_table(const PviommuGroup *group, uint64_t iova,
                                PviommuTableView *view)
{
    const PviommuConfig *config = &group->iommu->config;

    if (!group->domain || !group->domain->table.format ||
        group_state(group) != PVIOMMU_TRANSLATED ||
        iova < config->input_first || iova > config->input_last ||
        regions_around(group->regions, iova, &view->first, &view->last)) {
        return false;
    }
    view->table = group->domain->table;
    view->first = MAX(view->first, config->input_first);
    view->last = MIN(view->last, config->input_last);
    return true;
}

bool pviommu_view_walk(const PviommuTableView *view, uint64_t iova,
                       uint32_t access, PviommuReadEntry *read, void *opaque,
                       PviommuTranslation *translation)
{
    uint64_t first;

    if (!pviommu_table_walk(&view->table, iova, access, read, opaque,
                            translation)) {
        return false;
    }
    first = MAX(translation->first, view->first);
    translation->phys += first - translation->first;
    translation->first = first;
    translation->last = MIN(translation->last, view->last);
    return true;
}
