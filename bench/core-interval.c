/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu bench: QEMU's interval tree as a set of mappings
 */
#include "qemu/osdep.h"

#include "qemu/interval-tree.h"
#include "core-subjects.h"

typedef struct Node {
    IntervalTreeNode interval;
    uint64_t phys;
    uint32_t flags;
} Node;

static Node *node_at(IntervalTreeRoot *root, uint64_t first, uint64_t last)
{
    IntervalTreeNode *found = interval_tree_iter_first(root, first, last);

    return found ? container_of(found, Node, interval) : NULL;
}

static void node_free(IntervalTreeRoot *root, Node *node)
{
    interval_tree_remove(&node->interval, root);
    g_free(node);
}

static void *interval_new(void)
{
    return g_new0(IntervalTreeRoot, 1);
}

static void interval_free(void *set)
{
    Node *node;

    while ((node = node_at(set, 0, UINT64_MAX))) {
        node_free(set, node);
    }
    g_free(set);
}

static void interval_map(void *set, uint64_t page)
{
    Node *node;

    if (node_at(set, page << 12, page << 12 | 0xfff)) {
        g_assert_not_reached();
    }
    node = g_new0(Node, 1);
    node->interval.start = page << 12;
    node->interval.last = page << 12 | 0xfff;
    node->phys = subject_phys(page);
    node->flags = 3;
    interval_tree_insert(&node->interval, set);
}

static void interval_unmap(void *set, uint64_t page)
{
    Node *node = node_at(set, page << 12, page << 12 | 0xfff);

    if (node && node->interval.start >= page << 12 &&
        node->interval.last <= (page << 12 | 0xfff)) {
        node_free(set, node);
    }
}

static uint64_t interval_translate(void *set, uint64_t iova)
{
    const Node *node = node_at(set, iova, iova);

    return node ? node->phys + (iova - node->interval.start) : 0;
}

const Subject subject_interval = {
    .new = interval_new,
    .free = interval_free,
    .map = interval_map,
    .unmap = interval_unmap,
    .translate = interval_translate,
};
