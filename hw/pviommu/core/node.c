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
        node->start = 0;
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

/* Copy entries; positions count from the start of the arrays */
static void move(Node *to, unsigned to_at, const Node *from, unsigned from_at,
                 unsigned count)
{
    size_t size = count * sizeof(uint64_t);
    uint64_t *to_array = to->array + to_at;
    const uint64_t *from_array = from->array + from_at;

    memmove(to_array, from_array, size);
    to_array += to->capacity;
    from_array += from->capacity;
    if (to->leaf) {
        memmove(to_array, from_array, size);
        memmove(to_array + to->capacity, from_array + from->capacity, size);
        memmove((uint8_t *)(to->array + 3u * to->capacity) + to_at,
                (uint8_t *)(from->array + 3u * from->capacity) + from_at,
                count);
    } else {
        memmove(to_array, from_array, count * sizeof(Node *));
    }
}

/* Shift all entries to another place in the arrays */
static void shift(Node *node, unsigned start)
{
    move(node, start, node, node->start, node->count);
    node->start = (uint16_t)start;
}

void node_open(Node *node, unsigned index)
{
    unsigned start = node->start;
    bool back = start + node->count < node->capacity;

    if (start > 0 && (!back || index < node->count / 2u)) {
        if (index > 0) {
            move(node, start - 1, node, start, index);
        }
        node->start--;
    } else if (index < node->count) {
        move(node, start + index + 1, node, start + index,
             node->count - index);
    }
    node->count++;
}

void node_close(Node *node, unsigned index, unsigned count)
{
    unsigned start = node->start;
    unsigned rest = node->count - index - count;

    if (index < rest) {
        if (index > 0) {
            move(node, start + count, node, start, index);
        }
        node->start += count;
    } else if (rest > 0) {
        move(node, start + index, node, start + index + count, rest);
    }
    node->count -= count;
}

void node_copy(Node *to, const Node *from)
{
    to->start = (to->capacity - from->count) / 2u;
    to->count = from->count;
    move(to, to->start, from, from->start, from->count);
}

void node_split(Node *node, Node *right, unsigned index)
{
    unsigned count = node->count - index;

    right->count = (uint16_t)count;
    right->start = (uint16_t)(right->capacity - count) / 2u;
    move(right, right->start, node, node->start + index, count);
    node->count = (uint16_t)index;
    if (index == 0) {
        /* more is to come at the front */
        node->start = node->capacity;
    }
    if (node->leaf) {
        right->next = node->next;
        node->next = right;
    }
}

/* Move entries from the front of the right node to the back of the left */
static void move_left(Node *left, Node *right, unsigned count)
{
    if (left->start + left->count + count > left->capacity) {
        shift(left, 0);
    }
    move(left, left->start + left->count, right, right->start, count);
    left->count += count;
    node_close(right, 0, count);
}

/* Move entries from the back of the left node to the front of the right */
static void move_right(Node *left, Node *right, unsigned count)
{
    if (right->start < count) {
        shift(right, right->capacity - right->count);
    }
    left->count -= count;
    right->start -= count;
    right->count += count;
    move(right, right->start, left, left->start + left->count, count);
}

void node_join(Node *left, Node *right)
{
    move_left(left, right, right->count);
    if (left->leaf) {
        left->next = right->next;
    }
    g_free(right);
}

void node_share(Node *left, Node *right)
{
    unsigned half = (left->count + right->count) / 2u;

    if (left->count < half) {
        move_left(left, right, half - left->count);
    } else {
        move_right(left, right, left->count - half);
    }
}
