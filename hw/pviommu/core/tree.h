/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu: the tree that holds a domain's mappings
 *
 * Knows nothing of counts and hidden ranges; those are the set's.  A tree is
 * its root, NULL when empty.
 */
#ifndef PVIOMMU_CORE_TREE_H
#define PVIOMMU_CORE_TREE_H

#include "node.h"

/**
 * tree_leaf - the leaf that an IOVA leads to
 * @root: the tree, not empty
 * @iova: the address
 *
 * Return: the leaf that holds the last entry which starts at or below @iova,
 * if there is one; the first leaf otherwise.
 */
static inline const Node *tree_leaf(const Node *root, uint64_t iova)
{
    while (!root->leaf) {
        unsigned rank = node_rank(root, iova);

        root = node_child(root)[rank > 0 ? rank - 1 : 0];
    }
    return root;
}

/**
 * tree_seek - find the lowest entry that ends at or above an IOVA
 * @root: the tree, NULL for an empty one
 * @iova: the address
 * @index: where to put the entry's index
 *
 * Return: the entry's leaf, or NULL when there is none.
 */
const Node *tree_seek(const Node *root, uint64_t iova, unsigned *index);

/**
 * tree_insert - add an entry that overlaps none
 * @root: the tree
 * @mapping: the entry, copied
 *
 * Return: false when there is no memory; then the entries are as before.
 */
bool tree_insert(Node **root, const PviommuMapping *mapping);

/**
 * tree_remove - remove the entry that starts at an IOVA
 * @root: the tree
 * @first: the address
 * @last: where to put the entry's last IOVA
 *
 * Return: whether there was one.
 */
bool tree_remove(Node **root, uint64_t first, uint64_t *last);

/**
 * tree_remove_some - remove some of the entries that start in a range
 * @root: the tree, with at least one such entry
 * @first: first IOVA
 * @last: last IOVA, inclusive
 *
 * Return: how many were removed, at least one: the lowest of them, as many as
 * are in one leaf.
 */
unsigned tree_remove_some(Node **root, uint64_t first, uint64_t last);

#endif /* PVIOMMU_CORE_TREE_H */
