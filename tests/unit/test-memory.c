/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu tests: each allocation of a request failed in turn
 */
#include "alloc.h"
#include "fixture.h"

/**
 * sweep - fail the n-th allocation of a request, until it needs fewer than n
 * @readable: the request
 * @size: its size
 *
 * submit() checks that a failed request changed nothing.
 *
 * Return: how many allocations the request needs.
 */
static unsigned sweep(Fixture *fixture, const void *readable, size_t size)
{
    for (unsigned fail = 1;; fail++) {
        uint8_t status;

        pviommu_alloc_fail_at(fail);
        status = submit(fixture, readable, size, 4);
        if (pviommu_alloc_fail_pending()) {
            pviommu_alloc_fail_at(0);
            g_assert_cmpint(status, ==, PVIOMMU_S_OK);
            return fail - 1;
        }
        g_assert_cmpint(status, ==, PVIOMMU_S_NOMEM);
        g_assert_true(fixture->answer.written);
        g_assert_cmphex(fixture->answer.mistakes, ==, 0);
    }
}

static unsigned sweep_attach(Fixture *fixture, uint32_t domain,
                             uint32_t endpoint, uint32_t flags)
{
    uint8_t bytes[PVIOMMU_REQUEST_MAX];

    return sweep(fixture, bytes,
                 build_attach(bytes, domain, endpoint, flags));
}

static void test_attach(void)
{
    g_autoptr(Fixture) fixture = fixture_new_pair(NULL);

    g_assert_cmpuint(sweep_attach(fixture, 1, 8, 0), >, 0);
    ASSERT_OK(fixture, map(fixture, 1, 0, 0xfff, 0, 3));
    /* a move that fails leaves it where it was */
    g_assert_cmpuint(sweep_attach(fixture, 2, 8, 1), >, 0);
    g_assert_cmpuint(sweep_attach(fixture, 2, 9, 1), ==, 0);
}

static void test_map(void)
{
    g_autoptr(Fixture) fixture = fixture_new_pair(NULL);
    unsigned allocations = 0;

    ASSERT_OK(fixture, attach(fixture, 1, 8, 0));
    for (uint64_t i = 0; i < 600; i++) {
        uint8_t bytes[PVIOMMU_REQUEST_MAX];
        uint64_t page = i * 7 % 600;
        size_t size = build_map(bytes, 1, page << 12, page << 12 | 0xfff, 0,
                                3);

        allocations += sweep(fixture, bytes, size);
    }
    g_assert_cmpuint(allocations, >, 10);
    g_assert_cmpuint(pviommu_iommu_mapping_count(fixture->iommu), ==, 600);
}

/* Everything but ATTACH and MAP works without memory */
static void test_others(void)
{
    g_autoptr(Fixture) fixture = fixture_new_pair(NULL);

    ASSERT_OK(fixture, attach(fixture, 1, 8, 0));
    ASSERT_OK(fixture, attach(fixture, 1, 9, 0));
    for (uint64_t i = 0; i < 600; i++) {
        ASSERT_OK(fixture, map(fixture, 1, i << 12, i << 12 | 0xfff, 0, 3));
    }
    for (uint64_t i = 0; i < 600; i += 3) {
        pviommu_alloc_fail_at(1);
        fixture->hold = true;
        ASSERT_OK(fixture, unmap(fixture, 1, i << 12,
                                 ((i + 2) << 12) - 1));
        finish(fixture, false);
        fixture->hold = false;
        ASSERT_OK(fixture, unmap(fixture, 1, i << 12,
                                 ((i + 3) << 12) - 1));
    }
    g_assert_cmpuint(pviommu_iommu_mapping_count(fixture->iommu), ==, 0);
    pviommu_alloc_fail_at(1);
    ASSERT_OK(fixture, probe(fixture, 8));
    ASSERT_OK(fixture, detach(fixture, 1, 8));
    ASSERT_OK(fixture, attach(fixture, 1, 8, 0));
    ASSERT_OK(fixture, attach(fixture, 1, 9, 0));
    pviommu_alloc_fail_at(0);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/pviommu/memory/attach", test_attach);
    g_test_add_func("/pviommu/memory/map", test_map);
    g_test_add_func("/pviommu/memory/others-need-none", test_others);
    return g_test_run();
}
