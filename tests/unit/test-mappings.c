/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu tests: sets of mappings: edges, orders, memory
 */
#include <glib.h>

#include "alloc.h"
#include "mappings-hide.h"
#include "pviommu/mappings.h"
#include "tree-check.h"

G_DEFINE_AUTOPTR_CLEANUP_FUNC(PviommuMappings, pviommu_mappings_free)

static bool insert(PviommuMappings *set, uint64_t first, uint64_t last)
{
    PviommuMapping mapping = { first, last, ~first, first & 7 };

    return pviommu_mappings_insert(set, &mapping);
}

static void assert_found(const PviommuMappings *set, uint64_t iova,
                         uint64_t first, uint64_t last)
{
    PviommuMapping mapping;

    g_assert_true(pviommu_mappings_lookup(set, iova, &mapping));
    g_assert_cmphex(mapping.first, ==, first);
    g_assert_cmphex(mapping.last, ==, last);
    g_assert_cmphex(mapping.phys, ==, ~first);
    g_assert_cmphex(mapping.flags, ==, first & 7);
}

static void assert_absent(const PviommuMappings *set, uint64_t iova)
{
    PviommuMapping mapping = { .first = 42 };

    g_assert_false(pviommu_mappings_lookup(set, iova, &mapping));
    g_assert_cmphex(mapping.first, ==, 42);
}

static void test_empty(void)
{
    g_autoptr(PviommuMappings) set = pviommu_mappings_new();
    PviommuMappingIter iter = { 0 };
    PviommuMapping mapping = { .first = 42 };

    assert_absent(set, 0);
    assert_absent(set, UINT64_MAX);
    g_assert_false(pviommu_mappings_find(set, 0, UINT64_MAX, &mapping));
    g_assert_false(pviommu_mappings_next(set, &iter, UINT64_MAX, &mapping));
    g_assert_true(iter.done);
    g_assert_cmphex(mapping.first, ==, 42);
    g_assert_false(pviommu_mappings_remove(set, 0));
    g_assert_cmpuint(pviommu_mappings_hide(set, 0, UINT64_MAX), ==, 0);
    g_assert_cmpuint(pviommu_mappings_unhide(set), ==, 0);
    pviommu_mappings_drop_hidden(set);
    pviommu_mappings_clear(set);
    g_assert_cmpuint(pviommu_mappings_count(set), ==, 0);
    g_assert_cmphex(pviommu_mappings_bytes(set), ==, 0);
}

static void test_whole_space(void)
{
    g_autoptr(PviommuMappings) set = pviommu_mappings_new();
    PviommuMappingIter iter = { 0 };
    PviommuMapping mapping;

    g_assert_true(insert(set, 0, UINT64_MAX));
    assert_found(set, 0, 0, UINT64_MAX);
    assert_found(set, UINT64_MAX, 0, UINT64_MAX);
    g_assert_cmpuint(pviommu_mappings_count(set), ==, 1);
    g_assert_cmphex(pviommu_mappings_bytes(set), ==, 0);
    g_assert_true(pviommu_mappings_next(set, &iter, UINT64_MAX, &mapping));
    g_assert_true(iter.done);
    g_assert_false(pviommu_mappings_next(set, &iter, UINT64_MAX, &mapping));
    g_assert_true(pviommu_mappings_remove(set, 0));
    assert_absent(set, 0);
}

static void test_ends_of_space(void)
{
    g_autoptr(PviommuMappings) set = pviommu_mappings_new();
    PviommuMapping mapping;

    g_assert_true(insert(set, UINT64_MAX, UINT64_MAX));
    g_assert_true(insert(set, 0, 0));
    g_assert_true(insert(set, 1, UINT64_MAX - 1));
    assert_found(set, 0, 0, 0);
    assert_found(set, 1, 1, UINT64_MAX - 1);
    assert_found(set, UINT64_MAX - 1, 1, UINT64_MAX - 1);
    assert_found(set, UINT64_MAX, UINT64_MAX, UINT64_MAX);
    g_assert_cmphex(pviommu_mappings_bytes(set), ==, 0);
    g_assert_true(pviommu_mappings_remove(set, 1));
    g_assert_false(pviommu_mappings_find(set, 1, UINT64_MAX - 1, &mapping));
    g_assert_true(pviommu_mappings_find(set, 1, UINT64_MAX, &mapping));
    g_assert_cmphex(mapping.first, ==, UINT64_MAX);
}

static void test_walk_of_range(void)
{
    g_autoptr(PviommuMappings) set = pviommu_mappings_new();
    PviommuMappingIter iter = { .next = 15 };
    PviommuMapping mapping;

    for (uint64_t i = 0; i < 5; i++) {
        g_assert_true(insert(set, i * 10, i * 10 + 9));
    }
    for (uint64_t i = 1; i <= 3; i++) {
        g_assert_true(pviommu_mappings_next(set, &iter, 30, &mapping));
        g_assert_cmphex(mapping.first, ==, i * 10);
        /* what was walked may go */
        g_assert_true(pviommu_mappings_remove(set, i * 10));
    }
    g_assert_false(pviommu_mappings_next(set, &iter, 30, &mapping));
    g_assert_true(iter.done);
}

static void test_remove_inside(void)
{
    g_autoptr(PviommuMappings) set = pviommu_mappings_new();

    g_assert_true(insert(set, 10, 19));
    g_assert_false(pviommu_mappings_remove(set, 9));
    g_assert_false(pviommu_mappings_remove(set, 11));
    g_assert_false(pviommu_mappings_remove(set, 19));
    g_assert_true(pviommu_mappings_remove(set, 10));
    g_assert_false(pviommu_mappings_remove(set, 10));
}

static void test_clear(void)
{
    g_autoptr(PviommuMappings) set = pviommu_mappings_new();

    for (uint64_t i = 0; i < 10000; i++) {
        g_assert_true(insert(set, i, i));
    }
    pviommu_mappings_clear(set);
    g_assert_cmpuint(pviommu_mappings_count(set), ==, 0);
    assert_absent(set, 0);
    g_assert_true(insert(set, 5, 5));
    assert_found(set, 5, 5, 5);
}

/* The n-th of a sequence of 0 to count - 1 in an order of its own */
static uint64_t in_order(unsigned order, uint64_t n, uint64_t count)
{
    switch (order) {
    case 0:
        return n;
    case 1:
        return count - 1 - n;
    case 2: /* both ends in turn */
        return n % 2 ? count - 1 - n / 2 : n / 2;
    default: /* all over; count has no factor 7919 */
        return n * 7919 % count;
    }
}

enum {
    ORDERS = 4,
    MANY = 20000,
};

static void test_orders(void)
{
    for (unsigned order = 0; order < ORDERS * ORDERS; order++) {
        g_autoptr(PviommuMappings) set = pviommu_mappings_new();

        for (uint64_t n = 0; n < MANY; n++) {
            uint64_t i = in_order(order % ORDERS, n, MANY);

            g_assert_true(insert(set, i * 4, i * 4 + 2));
            if (n % 97 == 0) {
                tree_check(set);
            }
        }
        for (uint64_t i = 0; i < MANY; i++) {
            assert_found(set, i * 4 + 1, i * 4, i * 4 + 2);
            assert_absent(set, i * 4 + 3);
        }
        for (uint64_t n = 0; n < MANY; n++) {
            uint64_t i = in_order(order / ORDERS, n, MANY);

            g_assert_true(pviommu_mappings_remove(set, i * 4));
            assert_absent(set, i * 4);
            if (n % 97 == 0) {
                tree_check(set);
            }
        }
        g_assert_cmpuint(pviommu_mappings_count(set), ==, 0);
    }
}

/* Ranges of all lengths go, and one mapping takes the place of each */
static void test_replace_ranges(void)
{
    for (unsigned order = 0; order < ORDERS; order++) {
        g_autoptr(PviommuMappings) set = pviommu_mappings_new();
        uint64_t first = 0;

        for (uint64_t n = 0; n < MANY; n++) {
            uint64_t i = in_order(order, n, MANY);

            g_assert_true(insert(set, i, i));
        }
        for (uint64_t length = 1; first + length <= MANY; length++) {
            uint64_t last = first + length - 1;

            g_assert_cmpuint(pviommu_mappings_hide(set, first, last), ==,
                             length);
            pviommu_mappings_drop_hidden(set);
            tree_check(set);
            g_assert_true(insert(set, first, last));
            for (uint64_t i = first; i <= last; i++) {
                assert_found(set, i, first, last);
            }
            if (last + 1 < MANY) {
                assert_found(set, last + 1, last + 1, last + 1);
            }
            first = last + 1;
        }
        tree_check(set);
    }
}

/* Every allocation that an insertion makes fails once: nothing happens */
static void test_no_memory(void)
{
    for (unsigned order = 0; order < ORDERS; order++) {
        g_autoptr(PviommuMappings) set = pviommu_mappings_new();
        unsigned failures = 0;

        for (uint64_t n = 0; n < MANY; n++) {
            uint64_t i = in_order(order, n, MANY);

            for (unsigned fail = 1;; fail++) {
                bool done;

                pviommu_alloc_fail_at(fail);
                done = insert(set, i * 4, i * 4 + 2);
                if (pviommu_alloc_fail_pending()) {
                    g_assert_true(done);
                    break;
                }
                g_assert_false(done);
                failures++;
                assert_absent(set, i * 4);
                g_assert_cmpuint(pviommu_mappings_count(set), ==, n);
                g_assert_cmphex(pviommu_mappings_bytes(set), ==, n * 3);
            }
            pviommu_alloc_fail_at(0);
        }
        g_assert_cmpuint(failures, >, MANY / 64);
        for (uint64_t i = 0; i < MANY; i++) {
            assert_found(set, i * 4 + 1, i * 4, i * 4 + 2);
        }
    }
}

/* Removing needs no memory, not even to give some back */
static void test_remove_without_memory(void)
{
    g_autoptr(PviommuMappings) set = pviommu_mappings_new();

    for (uint64_t i = 0; i < MANY; i++) {
        g_assert_true(insert(set, i, i));
    }
    for (uint64_t i = 0; i < MANY; i++) {
        pviommu_alloc_fail_at(1);
        g_assert_true(pviommu_mappings_remove(set, i));
    }
    pviommu_alloc_fail_at(0);
    g_assert_cmpuint(pviommu_mappings_count(set), ==, 0);
    g_assert_true(insert(set, 0, 9));
    assert_found(set, 5, 0, 9);
}

static void test_no_memory_for_set(void)
{
    pviommu_alloc_fail_at(1);
    g_assert_null(pviommu_mappings_new());
    pviommu_alloc_fail_at(0);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/pviommu/mappings/empty", test_empty);
    g_test_add_func("/pviommu/mappings/whole-space", test_whole_space);
    g_test_add_func("/pviommu/mappings/ends-of-space", test_ends_of_space);
    g_test_add_func("/pviommu/mappings/walk-of-range", test_walk_of_range);
    g_test_add_func("/pviommu/mappings/remove-inside", test_remove_inside);
    g_test_add_func("/pviommu/mappings/clear", test_clear);
    g_test_add_func("/pviommu/mappings/orders", test_orders);
    g_test_add_func("/pviommu/mappings/replace-ranges",
                    test_replace_ranges);
    g_test_add_func("/pviommu/mappings/no-memory", test_no_memory);
    g_test_add_func("/pviommu/mappings/remove-without-memory",
                    test_remove_without_memory);
    g_test_add_func("/pviommu/mappings/no-memory-for-set",
                    test_no_memory_for_set);
    return g_test_run();
}
