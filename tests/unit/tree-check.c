/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu tests: whether the tree in a set is as node.h says
 */
#include <glib.h>

#include "set.h"
#include "tree-check.h"

/**
 * struct Check - a look at every node, from the first to the last
 * @last: last IOVA of the entry before
 * @any: there was one
 * @leaf: the leaf before
 * @entries: entries so far
 */
typedef struct Check {
    uint64_t last;
    bool any;
    const Node *leaf;
    size_t entries;
} Check;

static void check_leaf(Check *check, const Node *leaf)
{
    if (check->leaf) {
        g_assert_true(check->leaf->next == leaf);
    }
    for (unsigned i = 0; i < leaf->count; i++) {
        g_assert_cmphex(node_key(leaf)[i], <=, node_last(leaf)[i]);
        if (check->any) {
            g_assert_cmphex(node_key(leaf)[i], >, check->last);
        }
        check->last = node_last(leaf)[i];
        check->any = true;
    }
    check->leaf = leaf;
    check->entries += leaf->count;
}

/* The lowest key below a node */
static uint64_t lowest(const Node *node)
{
    while (!node->leaf) {
        node = node_child(node)[0];
    }
    return node_key(node)[0];
}

/**
 * check_node - look at a node and all below it
 * @first: it is on the way to the first leaf
 * @last: it is on the way to the last leaf
 * @root: it is the root
 *
 * Return: the levels below it.
 */
static unsigned check_node(Check *check, const Node *node, bool first,
                           bool last, bool root)
{
    unsigned depth = 0;

    g_assert_cmpuint(node->count, >, 0);
    g_assert_cmpuint(node->start + node->count, <=, node->capacity);
    if (!root) {
        g_assert_cmpuint(node->capacity, ==, NODE_MAX);
        g_assert_true(node->count >= NODE_MIN ||
                      (node->leaf && (first || last)));
    }
    if (node->leaf) {
        check_leaf(check, node);
        return 0;
    }
    g_assert_cmpuint(node->count, >, 1);
    for (unsigned i = 0; i < node->count; i++) {
        const Node *child = node_child(node)[i];
        unsigned below;

        if (i > 0) {
            g_assert_cmphex(node_key(node)[i], >, node_key(node)[i - 1]);
        }
        if (!first || i > 0) {
            g_assert_cmphex(node_key(node)[i], ==, lowest(child));
        }
        below = check_node(check, child, first && i == 0,
                           last && i + 1u == node->count, false);
        g_assert_true(i == 0 || below == depth);
        depth = below;
    }
    return depth + 1;
}

void tree_check(const PviommuMappings *set)
{
    Check check = { .any = false };

    g_assert_cmpuint(set->hidden_count, ==, 0);
    if (set->root) {
        check_node(&check, set->root, true, true, true);
        g_assert_null(check.leaf->next);
    }
    g_assert_cmpuint(check.entries, ==, set->count);
}
