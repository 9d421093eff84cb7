/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu: the set of mappings of one domain, from inside
 *
 * In a header for translation, which looks a mapping up every time.
 */
#ifndef PVIOMMU_CORE_SET_H
#define PVIOMMU_CORE_SET_H

#include "tree.h"

/**
 * struct PviommuMappings - the set
 * @root: the tree; NULL when empty
 * @count: mappings that are not hidden
 * @bytes: bytes of IOVA that those cover
 * @hidden_first: first IOVA of the hidden range
 * @hidden_last: last IOVA of the hidden range
 * @hidden_count: mappings that are hidden; 0 when there is no hidden range
 * @hidden_bytes: bytes of IOVA that those cover
 */
struct PviommuMappings {
    Node *root;
    size_t count;
    uint64_t bytes;
    uint64_t hidden_first;
    uint64_t hidden_last;
    size_t hidden_count;
    uint64_t hidden_bytes;
};

/* Whether the mapping that starts at @first is hidden */
static inline bool set_hides(const PviommuMappings *set, uint64_t first)
{
    return set->hidden_count > 0 && first >= set->hidden_first &&
           first <= set->hidden_last;
}

/**
 * set_lookup - find the mapping that holds an IOVA
 * @set: the set
 * @iova: the address
 * @index: where to put its index in the leaf
 *
 * Return: the leaf that holds it, or NULL.
 */
static inline const Node *set_lookup(const PviommuMappings *set,
                                     uint64_t iova, unsigned *index)
{
    const Node *leaf;
    unsigned rank;

    if (!set->root) {
        return NULL;
    }
    leaf = tree_leaf(set->root, iova);
    rank = node_rank(leaf, iova);
    if (rank == 0 || node_last(leaf)[rank - 1] < iova ||
        set_hides(set, node_key(leaf)[rank - 1])) {
        return NULL;
    }
    *index = rank - 1;
    return leaf;
}

#endif /* PVIOMMU_CORE_SET_H */
