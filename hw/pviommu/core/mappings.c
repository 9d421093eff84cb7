/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu: the set of mappings of one domain
 */
#include <glib.h>

#include "alloc.h"
#include "mappings-hide.h"
#include "set.h"

PviommuMappings *pviommu_mappings_new(void)
{
    return pviommu_alloc_try0(sizeof(PviommuMappings));
}

void pviommu_mappings_free(PviommuMappings *set)
{
    if (set) {
        node_free_all(set->root);
        g_free(set);
    }
}

void pviommu_mappings_clear(PviommuMappings *set)
{
    g_assert(set->hidden_count == 0);
    node_free_all(set->root);
    set->root = NULL;
    set->count = 0;
    set->bytes = 0;
}

size_t pviommu_mappings_count(const PviommuMappings *set)
{
    return set->count;
}

uint64_t pviommu_mappings_bytes(const PviommuMappings *set)
{
    return set->bytes;
}

bool pviommu_mappings_lookup(const PviommuMappings *set, uint64_t iova,
                             PviommuMapping *mapping)
{
    unsigned index;
    const Node *leaf = set_lookup(set, iova, &index);

    if (!leaf) {
        return false;
    }
    node_get(leaf, index, mapping);
    return true;
}

bool pviommu_mappings_find(const PviommuMappings *set, uint64_t first,
                           uint64_t last, PviommuMapping *mapping)
{
    unsigned index;
    const Node *leaf = tree_seek(set->root, first, &index);

    if (leaf && set_hides(set, node_key(leaf)[index])) {
        if (set->hidden_last >= last) {
            return false;
        }
        leaf = tree_seek(set->root, set->hidden_last + 1, &index);
    }
    if (!leaf || node_key(leaf)[index] > last) {
        return false;
    }
    node_get(leaf, index, mapping);
    return true;
}

/* Move a walk behind a mapping */
static void iter_pass(PviommuMappingIter *iter, const PviommuMapping *mapping)
{
    if (mapping->last == UINT64_MAX) {
        iter->done = true;
    } else {
        iter->next = mapping->last + 1;
    }
}

bool pviommu_mappings_next(const PviommuMappings *set,
                           PviommuMappingIter *iter, uint64_t last,
                           PviommuMapping *mapping)
{
    if (iter->done || iter->next > last ||
        !pviommu_mappings_find(set, iter->next, last, mapping)) {
        iter->done = true;
        return false;
    }
    iter_pass(iter, mapping);
    return true;
}

bool pviommu_mappings_insert(PviommuMappings *set,
                             const PviommuMapping *mapping)
{
    g_assert(set->hidden_count == 0);
    if (!tree_insert(&set->root, mapping)) {
        return false;
    }
    set->count++;
    set->bytes += mapping->last - mapping->first + 1;
    return true;
}

bool pviommu_mappings_remove(PviommuMappings *set, uint64_t first)
{
    uint64_t last;

    g_assert(set->hidden_count == 0);
    if (!tree_remove(&set->root, first, &last)) {
        return false;
    }
    set->count--;
    set->bytes -= last - first + 1;
    return true;
}

size_t pviommu_mappings_hide(PviommuMappings *set, uint64_t first,
                             uint64_t last)
{
    unsigned index;
    const Node *leaf = tree_seek(set->root, first, &index);

    g_assert(set->hidden_count == 0);
    set->hidden_first = first;
    set->hidden_last = last;
    set->hidden_bytes = 0;
    while (leaf && node_key(leaf)[index] <= last) {
        set->hidden_count++;
        set->hidden_bytes += node_last(leaf)[index] - node_key(leaf)[index] + 1;
        if (++index == leaf->count) {
            leaf = leaf->next;
            index = 0;
        }
    }
    set->count -= set->hidden_count;
    set->bytes -= set->hidden_bytes;
    return set->hidden_count;
}

size_t pviommu_mappings_unhide(PviommuMappings *set)
{
    size_t count = set->hidden_count;

    set->count += count;
    set->bytes += set->hidden_bytes;
    set->hidden_count = 0;
    return count;
}

void pviommu_mappings_drop_hidden(PviommuMappings *set)
{
    size_t left = set->hidden_count;

    set->hidden_count = 0;
    if (left > 0 && set->count == 0) {
        pviommu_mappings_clear(set);
        return;
    }
    while (left > 0) {
        left -= tree_remove_some(&set->root, set->hidden_first,
                                 set->hidden_last);
    }
}

bool pviommu_mappings_next_hidden(const PviommuMappings *set,
                                  PviommuMappingIter *iter,
                                  PviommuMapping *mapping)
{
    uint64_t from = MAX(iter->next, set->hidden_first);
    const Node *leaf = NULL;
    unsigned index;

    if (!iter->done && set->hidden_count > 0 && from <= set->hidden_last) {
        leaf = tree_seek(set->root, from, &index);
    }
    if (!leaf || node_key(leaf)[index] > set->hidden_last) {
        iter->done = true;
        return false;
    }
    node_get(leaf, index, mapping);
    iter_pass(iter, mapping);
    return true;
}
