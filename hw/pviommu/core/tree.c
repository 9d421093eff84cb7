/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu: the tree that holds a domain's mappings
 */
#include <glib.h>

#include "tree.h"

/**
 * struct Path - the way from the root to an entry
 * @depth: levels above the leaf
 * @node: the nodes, the leaf being node[depth]
 * @index: the child taken in each; in the leaf, the entry
 */
typedef struct Path {
    unsigned depth;
    Node *node[NODE_DEPTH_MAX];
    unsigned index[NODE_DEPTH_MAX];
} Path;

const Node *tree_seek(const Node *root, uint64_t iova, unsigned *index)
{
    const Node *leaf = root;
    unsigned rank;

    if (!root) {
        return NULL;
    }
    while (!leaf->leaf) {
        rank = node_rank_edge(leaf, iova);
        leaf = node_child(leaf)[rank > 0 ? rank - 1 : 0];
    }
    rank = node_rank_edge(leaf, iova);
    if (rank > 0 && node_last(leaf)[rank - 1] >= iova) {
        rank--;
    } else if (rank == leaf->count) {
        leaf = leaf->next;
        rank = 0;
    }
    *index = rank;
    return leaf;
}

/* Walk down; the index in the leaf is the rank of @iova there */
static void path_find(Path *path, Node *node, uint64_t iova)
{
    unsigned depth = 0;

    while (!node->leaf) {
        unsigned rank = node_rank_edge(node, iova);

        path->node[depth] = node;
        path->index[depth] = rank > 0 ? rank - 1 : 0;
        node = node_child(node)[path->index[depth]];
        depth++;
        g_assert(depth < NODE_DEPTH_MAX);
    }
    path->depth = depth;
    path->node[depth] = node;
    path->index[depth] = node->count > 0 ? node_rank_edge(node, iova) : 0;
}

/* The lowest key of the node at @depth may have changed: tell those above */
static void path_update_keys(Path *path, unsigned depth)
{
    while (depth > 0) {
        uint64_t key = node_key(path->node[depth])[0];

        depth--;
        node_key(path->node[depth])[path->index[depth]] = key;
        if (path->index[depth] > 0) {
            break;
        }
    }
}

/* Give the root another capacity; false when there is no memory */
static bool root_resize(Node **root, unsigned capacity)
{
    Node *old = *root;
    Node *node = node_new(old->leaf, capacity);

    if (!node) {
        return false;
    }
    node_copy(node, old);
    *root = node;
    g_free(old);
    return true;
}

/*
 * Make a root for the first entry, and more room in one that is full and
 * small: only nodes of full size are split.  An inner root grows before it
 * is known whether it gets another child.
 */
static bool root_grow(Node **root)
{
    Node *node = *root;

    if (!node) {
        *root = node_new(true, NODE_ROOT_MIN);
        return *root != NULL;
    }
    if (node->count == node->capacity && node->capacity < NODE_MAX) {
        return root_resize(root, node->capacity * 2u);
    }
    return true;
}

/*
 * Take levels off a root with one child, and give memory back when the root
 * has much more room than it needs.  That needs memory itself, for a moment;
 * without, the root stays as large as it is.
 */
static void root_shrink(Node **root)
{
    Node *node = *root;

    while (!node->leaf && node->count == 1) {
        *root = node_child(node)[0];
        g_free(node);
        node = *root;
    }
    if (node->count == 0) {
        g_free(node);
        *root = NULL;
    } else if (node->capacity > NODE_ROOT_MIN &&
               node->count <= node->capacity * 3u / 8) {
        root_resize(root, node->capacity / 2u);
    }
}

/**
 * reserve - allocate the nodes that an insertion into a full leaf needs
 * @path: the way to the leaf
 * @spare: where to put them; a new root, if needed, comes last
 *
 * A node on the way that is full is split, which adds an entry to the one
 * above; splitting the root adds a new root.
 *
 * Return: false when there is no memory; then nothing is allocated.
 */
static bool reserve(const Path *path, Node *spare[NODE_DEPTH_MAX + 1])
{
    unsigned depth = path->depth;
    unsigned n = 0;

    for (;;) {
        spare[n] = node_new(depth == path->depth, NODE_MAX);
        if (!spare[n]) {
            break;
        }
        n++;
        if (depth == 0) {
            spare[n] = node_new(false, NODE_ROOT_MIN);
            if (!spare[n]) {
                break;
            }
            return true;
        }
        depth--;
        if (path->node[depth]->count < path->node[depth]->capacity) {
            return true;
        }
    }
    while (n > 0) {
        g_free(spare[--n]);
    }
    return false;
}

/* Put an entry into the full leaf of @path, which is split */
static void split_leaf(Path *path, const PviommuMapping *mapping,
                       Node *right)
{
    Node *leaf = path->node[path->depth];
    unsigned index = path->index[path->depth];
    unsigned at = NODE_MAX / 2;

    /*
     * Guests map upwards or downwards more often than at random.  The leaf
     * at that edge is then left full.
     */
    if (index == 0) {
        at = 0;
    } else if (index == NODE_MAX && !leaf->next) {
        at = NODE_MAX;
    }
    node_split(leaf, right, at);
    if (index > at || at == NODE_MAX) {
        leaf = right;
        index -= at;
    }
    node_open(leaf, index);
    node_set(leaf, index, mapping);
}

/* Make @child the child number @index of an inner node that is not full */
static void add_child(Node *node, unsigned index, Node *child)
{
    node_open(node, index);
    node_key(node)[index] = node_key(child)[0];
    node_child(node)[index] = child;
}

/* Put an entry where @path says, in a full leaf */
static bool insert_split(Node **root, Path *path,
                         const PviommuMapping *mapping)
{
    Node *spare[NODE_DEPTH_MAX + 1];
    Node **next = spare;
    Node *right;
    unsigned depth = path->depth;

    if (!reserve(path, spare)) {
        return false;
    }
    right = *next++;
    split_leaf(path, mapping, right);
    /* those that lead to the first leaf may be above that of @right */
    path_update_keys(path, depth);
    while (depth > 0) {
        Node *node = path->node[--depth];
        unsigned index = path->index[depth] + 1;

        if (node->count < node->capacity) {
            add_child(node, index, right);
            return true;
        }
        node_split(node, *next, NODE_MAX / 2);
        if (index > NODE_MAX / 2) {
            add_child(*next, index - NODE_MAX / 2, right);
        } else {
            add_child(node, index, right);
        }
        right = *next++;
    }
    add_child(*next, 0, *root);
    add_child(*next, 1, right);
    *root = *next;
    return true;
}

bool tree_insert(Node **root, const PviommuMapping *mapping)
{
    Path path;
    Node *leaf;
    unsigned index;

    if (!root_grow(root)) {
        return false;
    }
    path_find(&path, *root, mapping->first);
    leaf = path.node[path.depth];
    index = path.index[path.depth];
    if (leaf->count == leaf->capacity) {
        return insert_split(root, &path, mapping);
    }
    node_open(leaf, index);
    node_set(leaf, index, mapping);
    return true;
}

/*
 * Whether the leaf of @path is the first or the last of a tree in which two
 * leaves with too few entries weigh little
 */
static bool at_edge(const Path *path)
{
    if (path->depth == 1 && path->node[0]->count < NODE_MIN) {
        return false;
    }
    if (!path->node[path->depth]->next) {
        return true;
    }
    for (unsigned depth = 0; depth < path->depth; depth++) {
        if (path->index[depth] > 0) {
            return false;
        }
    }
    return true;
}

/*
 * Bring a node with too few entries, and a neighbour, to where both have
 * enough or one is gone.  Path and the keys above are brought up to date.
 */
static void balance(Path *path, unsigned depth)
{
    Node *parent = path->node[depth - 1];
    unsigned index = path->index[depth - 1];
    Node *left, *right;

    if (index + 1 == parent->count) {
        index--;
    }
    left = node_child(parent)[index];
    right = node_child(parent)[index + 1];
    /* a leaf that is emptied from the edge may as well be left to it */
    if (!node_joins(left, right) && depth == path->depth && at_edge(path)) {
        return;
    }
    path->index[depth - 1] = index;
    path->node[depth] = left;
    if (node_joins(left, right)) {
        node_join(left, right);
        node_close(parent, index + 1, 1);
    } else {
        node_share(left, right);
        node_key(parent)[index + 1] = node_key(right)[0];
    }
    path_update_keys(path, depth);
}

/* Remove @count entries from the leaf of @path, from its index on */
static void remove_entries(Node **root, Path *path, unsigned count)
{
    unsigned depth = path->depth;
    Node *node = path->node[depth];

    node_close(node, path->index[depth], count);
    if (path->index[depth] == 0 && node->count > 0) {
        path_update_keys(path, depth);
    }
    while (depth > 0 && path->node[depth]->count < NODE_MIN) {
        balance(path, depth);
        depth--;
    }
    root_shrink(root);
}

bool tree_remove(Node **root, uint64_t first, uint64_t *last)
{
    Path path;
    Node *leaf;
    unsigned rank;

    if (!*root) {
        return false;
    }
    path_find(&path, *root, first);
    leaf = path.node[path.depth];
    rank = path.index[path.depth];
    if (rank == 0 || node_key(leaf)[rank - 1] != first) {
        return false;
    }
    path.index[path.depth] = rank - 1;
    *last = node_last(leaf)[rank - 1];
    remove_entries(root, &path, 1);
    return true;
}

unsigned tree_remove_some(Node **root, uint64_t first, uint64_t last)
{
    Path path;
    Node *leaf;
    unsigned index, count;

    path_find(&path, *root, first);
    leaf = path.node[path.depth];
    index = path.index[path.depth];
    if (index > 0 && node_key(leaf)[index - 1] == first) {
        index--;
    } else if (index == leaf->count) {
        path_find(&path, *root, node_key(leaf->next)[0]);
        leaf = path.node[path.depth];
        index = 0;
    }
    count = node_rank(leaf, last) - index;
    g_assert(count > 0);
    path.index[path.depth] = index;
    remove_entries(root, &path, count);
    return count;
}
