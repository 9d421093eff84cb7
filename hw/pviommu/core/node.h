/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu: nodes of the tree that holds a domain's mappings
 *
 * A B+-tree: entries are in the leaves, which are linked in order of IOVA;
 * an inner node knows the lowest IOVA below each child, exactly.  That an
 * inner key is exact and not only a bound means that the mapping below an
 * address, if it is in the tree, is in the leaf that the address leads to.
 * Only the keys that lead to the first leaf may be too high: what is below
 * all keys of a node is in its first child anyway.
 *
 * Fields of an entry lie in arrays of their own, so that a search reads keys
 * only and an entry takes 25 bytes.
 */
#ifndef PVIOMMU_CORE_NODE_H
#define PVIOMMU_CORE_NODE_H

#include <stdbool.h>
#include <stdint.h>

#include "pviommu/mappings.h"

/*
 * Every node but the root holds NODE_MIN to NODE_MAX entries; leaves at the
 * edges may hold fewer, as a split there leaves the old leaf full.  Two nodes
 * are joined when both fit in 2 * NODE_MIN entries: the room left then keeps
 * a MAP and UNMAP in turn from splitting and joining each time.  At NODE_MIN
 * a mapping takes 60 bytes, nodes above and the allocator's share included.
 */
enum {
    NODE_MAX = 64,
    NODE_MIN = 28,
    NODE_ROOT_MIN = 4,
    NODE_DEPTH_MAX = 16,
};

/**
 * struct Node - a node of either kind
 * @next: leaf: the leaf after it, NULL for the last
 * @count: entries
 * @start: where in the arrays the first entry is: room before it makes adding
 *         and removing at the front as cheap as at the back
 * @capacity: entries that there is room for; NODE_MAX but in the root
 * @leaf: whether it is a leaf
 * @array: leaf: first IOVAs; inner: lowest first IOVA below each child
 *
 * After the keys come, each as long as @capacity: in a leaf the last IOVAs,
 * the physical addresses and the flags (a byte each); in an inner node the
 * children.
 */
typedef struct Node {
    struct Node *next;
    uint16_t count;
    uint16_t start;
    uint16_t capacity;
    bool leaf;
    uint64_t array[];
} Node;

static inline uint64_t *node_key(const Node *node)
{
    return (uint64_t *)node->array + node->start;
}

static inline uint64_t *node_last(const Node *node)
{
    return node_key(node) + node->capacity;
}

static inline uint64_t *node_phys(const Node *node)
{
    return node_key(node) + 2u * node->capacity;
}

static inline uint8_t *node_flags(const Node *node)
{
    return (uint8_t *)(node->array + 3u * node->capacity) + node->start;
}

static inline Node **node_child(const Node *node)
{
    return (Node **)(node->array + node->capacity) + node->start;
}

/**
 * node_rank - how many keys of a node are not above an IOVA
 * @node: the node
 * @iova: the address
 *
 * No branch depends on a key: they would be mispredicted half of the time.
 *
 * Return: 0 to count.
 */
static inline unsigned node_rank(const Node *node, uint64_t iova)
{
    const uint64_t *key = node_key(node);
    const uint64_t *base = key;
    unsigned n = node->count;

    while (n > 1) {
        unsigned half = n / 2;
        const uint64_t *next = base + half;

        base = next[-1] <= iova ? next : base;
        n -= half;
    }
    return (unsigned)(base - key) + (n == 1 && *base <= iova);
}

/**
 * node_rank_edge - the same, fast where a guest adds or removes at one end
 * @node: the node, not empty
 * @iova: the address
 *
 * These branches are taken again and again or hardly ever.
 *
 * Return: 0 to count.
 */
static inline unsigned node_rank_edge(const Node *node, uint64_t iova)
{
    const uint64_t *key = node_key(node);

    if (key[node->count - 1] <= iova) {
        return node->count;
    }
    if (iova < key[0]) {
        return 0;
    }
    return node_rank(node, iova);
}

/**
 * node_new - make a node
 * @leaf: which kind
 * @capacity: NODE_ROOT_MIN to NODE_MAX
 *
 * Return: an empty node, or NULL when there is no memory.
 */
Node *node_new(bool leaf, unsigned capacity);

/**
 * node_free_all - free a node and all below it
 * @node: the node; NULL is allowed
 */
void node_free_all(Node *node);

/**
 * node_open - make room for an entry
 * @node: a node that is not full
 * @index: where the room shall be, undefined until filled
 */
void node_open(Node *node, unsigned index);

/**
 * node_close - remove entries
 * @node: the node
 * @index: the first one
 * @count: how many
 */
void node_close(Node *node, unsigned index, unsigned count);

/**
 * node_copy - copy all entries to another node
 * @to: an empty node of the same kind with room for them
 * @from: the node; stays as it is
 */
void node_copy(Node *to, const Node *from);

/**
 * node_split - move entries to a new node on the right
 * @node: the node
 * @right: an empty node of its kind and capacity
 * @index: first entry to move, 0 to count
 */
void node_split(Node *node, Node *right, unsigned index);

/**
 * node_joins - whether two neighbours should become one node
 * @left: one
 * @right: the other
 *
 * Return: true if so.
 */
static inline bool node_joins(const Node *left, const Node *right)
{
    return left->count + right->count <= 2 * NODE_MIN ||
           left->count == 0 || right->count == 0;
}

/**
 * node_join - move all entries of a node to its neighbour, and free it
 * @left: the one that stays
 * @right: the one after it
 */
void node_join(Node *left, Node *right);

/**
 * node_share - share the entries of two neighbours out evenly
 * @left: one
 * @right: the one after it
 */
void node_share(Node *left, Node *right);

/**
 * node_get - read an entry of a leaf
 * @leaf: the leaf
 * @index: 0 to count - 1
 * @mapping: where to put it
 */
static inline void node_get(const Node *leaf, unsigned index,
                            PviommuMapping *mapping)
{
    mapping->first = node_key(leaf)[index];
    mapping->last = node_last(leaf)[index];
    mapping->phys = node_phys(leaf)[index];
    mapping->flags = node_flags(leaf)[index];
}

/**
 * node_set - write an entry of a leaf
 * @leaf: the leaf
 * @index: 0 to count - 1
 * @mapping: what to write
 */
static inline void node_set(Node *leaf, unsigned index,
                            const PviommuMapping *mapping)
{
    node_key(leaf)[index] = mapping->first;
    node_last(leaf)[index] = mapping->last;
    node_phys(leaf)[index] = mapping->phys;
    node_flags(leaf)[index] = (uint8_t)mapping->flags;
}

#endif /* PVIOMMU_CORE_NODE_H */
