/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu: nodes of the tree that holds a domain's mappings
 */
#include <string.h>
#include <glib.h>

#include "alloc.h"
#include "node.h"

Node *node_new(bool leaf, unsigned capacity)
{
    size_t entry = leaf ? 3 * sizeof(uint64_t) + sizeof(uint8_t)
                        : sizeof(uint64_t) + sizeof(Node *);
    Node *node = pviommu_alloc_try(sizeof(Node) + capacity * entry);

    if (node) {
        node->next = NULL;
        node->count = 0;
        node->capacity = (uint16_t)capacity;
        node->leaf = leaf;
    }
    return node;
}

void node_free_all(Node *node)
{
    if (node && !node->leaf) {
        for (unsigned i = 0; i < node->count; i++) {
            node_free_all(node_child(node)[i]);
        }
    }
    g_free(node);
}

void node_move(Node *to, unsigned to_index, const Node *from,
               unsigned from_index, unsigned count)
{
    size_t size = count * sizeof(uint64_t);

    memmove(to->key + to_index, from->key + from_index, size);
    if (to->leaf) {
        memmove(node_last(to) + to_index, node_last(from) + from_index, size);
        memmove(node_phys(to) + to_index, node_phys(from) + from_index, size);
        memmove(node_flags(to) + to_index, node_flags(from) + from_index,
                count);
    } else {
        memmove(node_child(to) + to_index, node_child(from) + from_index,
                count * sizeof(Node *));
    }
}

void node_open(Node *node, unsigned index)
{
    if (index < node->count) {
        node_move(node, index + 1, node, index, node->count - index);
    }
    node->count++;
}

void node_close(Node *node, unsigned index, unsigned count)
{
    unsigned rest = node->count - index - count;

    if (rest > 0) {
        node_move(node, index, node, index + count, rest);
    }
    node->count -= count;
}

void node_split(Node *node, Node *right, unsigned index)
{
    right->count = node->count - index;
    node_move(right, 0, node, index, right->count);
    node->count = (uint16_t)index;
    right->next = node->next;
    if (node->leaf) {
        node->next = right;
    }
}

bool node_balance(Node *left, Node *right)
{
    unsigned total = left->count + right->count;
    unsigned half = total / 2;

    if (total <= 2 * NODE_MIN) {
        node_move(left, left->count, right, 0, right->count);
        left->count = (uint16_t)total;
        left->next = right->next;
        g_free(right);
        return true;
    }
    if (left->count < half) {
        unsigned count = half - left->count;

        node_move(left, left->count, right, 0, count);
        left->count = (uint16_t)half;
        node_close(right, 0, count);
    } else {
        unsigned count = left->count - half;

        node_move(right, count, right, 0, right->count);
        node_move(right, 0, left, half, count);
        left->count = (uint16_t)half;
        right->count += count;
    }
    return false;
}
