/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu tests: UNMAP
 */
#include "fixture.h"

enum {
    RW = PVIOMMU_MAP_F_READ | PVIOMMU_MAP_F_WRITE,
};

/* Endpoint 8 in domain 1 */
static Fixture *new_attached(uint64_t granule)
{
    PviommuConfig config = fixture_config;
    Fixture *fixture;

    config.page_size_mask = granule;
    fixture = fixture_new_pair(&config);
    ASSERT_OK(fixture, attach(fixture, 1, 8, 0));
    return fixture;
}

static uint64_t count(const Fixture *fixture)
{
    return pviommu_iommu_mapping_count(fixture->iommu);
}

static void test_unmaps(void)
{
    g_autoptr(Fixture) fixture = new_attached(0x1000);
    PviommuTranslation translation;

    ASSERT_OK(fixture, map(fixture, 1, 0x3000, 0x4fff, 0, RW));
    ASSERT_OK(fixture, unmap(fixture, 1, 0x3000, 0x4fff));
    g_assert_cmpint(fixture->change.kind, ==, PVIOMMU_CHANGE_UNMAP);
    g_assert_true(fixture->change.domain == fixture_domain(fixture, 1));
    g_assert_cmphex(fixture->change.mapping.first, ==, 0x3000);
    g_assert_cmphex(fixture->change.mapping.last, ==, 0x4fff);
    g_assert_false(pviommu_translate(fixture->group[0], 0x3000, 0,
                                     &translation));
    ASSERT_OK(fixture, map(fixture, 1, 0x4000, 0x5fff, 0, RW));
}

static void test_reserved(void)
{
    g_autoptr(Fixture) fixture = new_attached(0x1000);

    ASSERT_OK(fixture, map(fixture, 1, 0, 0xfff, 0, RW));
    for (unsigned i = 24; i < 28; i++) {
        uint8_t bytes[PVIOMMU_REQUEST_MAX];
        size_t size = build_unmap(bytes, 1, 0, 0xfff);

        bytes[i] = 1;
        ASSERT_REFUSED(fixture, submit(fixture, bytes, size, 4), INVAL,
                       RESERVED);
        g_assert_true(is_mapped(fixture, 1, 0, 0xfff));
    }
    ASSERT_OK(fixture, unmap(fixture, 1, 0, 0xfff));
}

static void test_no_domain(void)
{
    g_autoptr(Fixture) fixture = new_attached(0x1000);

    ASSERT_REFUSED(fixture, unmap(fixture, 2, 0, 0xfff), NOENT, NO_DOMAIN);
    ASSERT_OK(fixture, unmap(fixture, 1, 0, 0xfff));
}

static void test_bypass_domain(void)
{
    g_autoptr(Fixture) fixture = fixture_new_pair(NULL);

    ASSERT_OK(fixture, attach(fixture, 1, 8, PVIOMMU_ATTACH_F_BYPASS));
    ASSERT_REFUSED(fixture, unmap(fixture, 1, 0, 0xfff), INVAL,
                   BYPASS_DOMAIN);
}

static void test_inverted(void)
{
    g_autoptr(Fixture) fixture = new_attached(0x1000);

    ASSERT_OK(fixture, map(fixture, 1, 0, 0xffff, 0, RW));
    ASSERT_REFUSED(fixture, unmap(fixture, 1, 0x2000, 0x1fff), INVAL,
                   INVERTED);
    ASSERT_REFUSED(fixture, unmap(fixture, 1, UINT64_MAX, 0), INVAL,
                   INVERTED);
    ASSERT_OK(fixture, unmap(fixture, 1, 0, 0xffff));
}

/* The seven examples of the section "UNMAP request" */
static void test_example_empty(void)
{
    g_autoptr(Fixture) fixture = new_attached(1);

    ASSERT_OK(fixture, unmap(fixture, 1, 0, 4));
    g_assert_cmpint(fixture->change.kind, ==, PVIOMMU_CHANGE_NONE);
}

static void test_example_exact(void)
{
    g_autoptr(Fixture) fixture = new_attached(1);

    ASSERT_OK(fixture, map(fixture, 1, 0, 9, 0, RW));
    ASSERT_OK(fixture, unmap(fixture, 1, 0, 9));
    g_assert_cmpuint(count(fixture), ==, 0);
}

static void test_example_two(void)
{
    g_autoptr(Fixture) fixture = new_attached(1);

    ASSERT_OK(fixture, map(fixture, 1, 0, 4, 0, RW));
    ASSERT_OK(fixture, map(fixture, 1, 5, 9, 0, RW));
    ASSERT_OK(fixture, unmap(fixture, 1, 0, 9));
    g_assert_cmpuint(count(fixture), ==, 0);
}

static void test_example_split(void)
{
    g_autoptr(Fixture) fixture = new_attached(1);

    ASSERT_OK(fixture, map(fixture, 1, 0, 9, 0, RW));
    ASSERT_REFUSED(fixture, unmap(fixture, 1, 0, 4), RANGE, SPLIT);
    g_assert_true(is_mapped(fixture, 1, 0, 9));
}

static void test_example_first(void)
{
    g_autoptr(Fixture) fixture = new_attached(1);

    ASSERT_OK(fixture, map(fixture, 1, 0, 4, 0, RW));
    ASSERT_OK(fixture, map(fixture, 1, 5, 9, 0, RW));
    ASSERT_OK(fixture, unmap(fixture, 1, 0, 4));
    g_assert_false(is_mapped(fixture, 1, 0, 4));
    g_assert_true(is_mapped(fixture, 1, 5, 9));
}

static void test_example_spill(void)
{
    g_autoptr(Fixture) fixture = new_attached(1);

    ASSERT_OK(fixture, map(fixture, 1, 0, 4, 0, RW));
    ASSERT_OK(fixture, unmap(fixture, 1, 0, 9));
    g_assert_cmpuint(count(fixture), ==, 0);
}

static void test_example_hole(void)
{
    g_autoptr(Fixture) fixture = new_attached(1);

    ASSERT_OK(fixture, map(fixture, 1, 0, 4, 0, RW));
    ASSERT_OK(fixture, map(fixture, 1, 10, 14, 0, RW));
    ASSERT_OK(fixture, unmap(fixture, 1, 0, 14));
    g_assert_cmpuint(count(fixture), ==, 0);
}

static void test_splits(void)
{
    static const uint64_t ranges[][2] = {
        { 0x2000, 0x4fff }, { 0x2000, 0x3000 }, { 0x5fff, 0x9000 },
        { 0x4000, 0x6fff }, { 0x3001, 0x5fff }, { 0x3000, 0x5ffe },
        { 0x4000, 0x4fff }, { 0x4000, 0x4000 }, { 0x3000, 0x3000 },
        { 0x5fff, 0x5fff }, { 0x4000, UINT64_MAX }, { 0, 0x4000 },
    };
    g_autoptr(Fixture) fixture = new_attached(0x1000);

    ASSERT_OK(fixture, map(fixture, 1, 0x3000, 0x5fff, 0, RW));
    for (unsigned i = 0; i < G_N_ELEMENTS(ranges); i++) {
        ASSERT_REFUSED(fixture, unmap(fixture, 1, ranges[i][0],
                                      ranges[i][1]),
                       RANGE, SPLIT);
        g_assert_true(is_mapped(fixture, 1, 0x3000, 0x5fff));
    }
    /* beside it is nothing to split */
    ASSERT_OK(fixture, unmap(fixture, 1, 0, 0x2fff));
    ASSERT_OK(fixture, unmap(fixture, 1, 0x6000, UINT64_MAX));
    g_assert_true(is_mapped(fixture, 1, 0x3000, 0x5fff));
}

/* A UNMAP that cuts the third of three, in every order of mapping them */
static void test_orders(void)
{
    static const uint64_t ranges[3][2] = {
        { 0, 0xfff }, { 0x1000, 0x1fff }, { 0x2000, 0x4fff },
    };

    for (unsigned order = 0; order < 27; order++) {
        unsigned index[3] = { order % 3, order / 3 % 3, order / 9 };
        g_autoptr(Fixture) fixture = NULL;

        if (index[0] == index[1] || index[1] == index[2] ||
            index[0] == index[2]) {
            continue;
        }
        fixture = new_attached(0x1000);
        for (unsigned i = 0; i < 3; i++) {
            ASSERT_OK(fixture, map(fixture, 1, ranges[index[i]][0],
                                   ranges[index[i]][1], 0, RW));
        }
        ASSERT_REFUSED(fixture, unmap(fixture, 1, 0, 0x2fff), RANGE, SPLIT);
        ASSERT_REFUSED(fixture, unmap(fixture, 1, 0x800, 0x4fff), RANGE,
                       SPLIT);
        for (unsigned i = 0; i < 3; i++) {
            g_assert_true(is_mapped(fixture, 1, ranges[i][0], ranges[i][1]));
        }
        ASSERT_OK(fixture, unmap(fixture, 1, 0, 0x4fff));
    }
}

static void test_holes(void)
{
    g_autoptr(Fixture) fixture = new_attached(0x1000);

    ASSERT_OK(fixture, map(fixture, 1, 0x3000, 0x5fff, 0, RW));
    /* aligned or not, one byte or many */
    ASSERT_OK(fixture, unmap(fixture, 1, 0, 0));
    ASSERT_OK(fixture, unmap(fixture, 1, 0x2fff, 0x2fff));
    ASSERT_OK(fixture, unmap(fixture, 1, 0x6000, 0x6000));
    ASSERT_OK(fixture, unmap(fixture, 1, 0x123, 0x2345));
    ASSERT_OK(fixture, unmap(fixture, 1, UINT64_MAX, UINT64_MAX));
    g_assert_cmpint(fixture->change.kind, ==, PVIOMMU_CHANGE_NONE);
    ASSERT_OK(fixture, unmap(fixture, 1, 0x2345, 0x6789));
    g_assert_cmpuint(count(fixture), ==, 0);
}

static void test_outside_input_range(void)
{
    PviommuConfig config = fixture_config;
    g_autoptr(Fixture) fixture = NULL;

    config.input_first = 0x1000;
    config.input_last = 0xffff;
    fixture = fixture_new_pair(&config);
    ASSERT_OK(fixture, attach(fixture, 1, 8, 0));
    ASSERT_OK(fixture, map(fixture, 1, 0x1000, 0x1fff, 0, RW));
    ASSERT_OK(fixture, map(fixture, 1, 0xf000, 0xffff, 0, RW));
    g_assert_cmpint(unmap(fixture, 1, 0x10000, 0x10fff), ==, PVIOMMU_S_OK);
    assert_mistake(fixture, PVIOMMU_MISTAKE_INPUT_RANGE);
    g_assert_cmpint(unmap(fixture, 1, 0, 0x1fff), ==, PVIOMMU_S_OK);
    assert_mistake(fixture, PVIOMMU_MISTAKE_INPUT_RANGE);
    g_assert_cmpuint(count(fixture), ==, 1);
    g_assert_cmpint(unmap(fixture, 1, 0, UINT64_MAX), ==, PVIOMMU_S_OK);
    assert_mistake(fixture, PVIOMMU_MISTAKE_INPUT_RANGE);
    g_assert_cmpuint(count(fixture), ==, 0);
}

static void test_everything(void)
{
    g_autoptr(Fixture) fixture = new_attached(0x1000);

    for (uint64_t i = 0; i < 500; i++) {
        ASSERT_OK(fixture, map(fixture, 1, i << 50, (i << 50) + 0xfff, 0,
                               RW));
    }
    ASSERT_OK(fixture, map(fixture, 1, -UINT64_C(0x1000), UINT64_MAX, 0,
                           RW));
    ASSERT_OK(fixture, attach(fixture, 2, 9, 0));
    ASSERT_OK(fixture, map(fixture, 2, 0, 0xfff, 0, RW));
    ASSERT_OK(fixture, unmap(fixture, 1, 0, UINT64_MAX));
    g_assert_cmpuint(count(fixture), ==, 1);
    g_assert_true(is_mapped(fixture, 2, 0, 0xfff));
}

static void test_removed_list(void)
{
    g_autoptr(Fixture) fixture = new_attached(0x1000);
    PviommuMappingIter iter = { 0 };
    PviommuMapping mapping = { 0 };
    PviommuTranslation translation;

    for (uint64_t i = 1; i <= 5; i++) {
        ASSERT_OK(fixture, map(fixture, 1, i << 12, i << 12 | 0xfff,
                               i << 20, RW));
    }
    fixture->hold = true;
    ASSERT_OK(fixture, unmap(fixture, 1, 0x2000, 0x4fff));
    for (uint64_t i = 2; i <= 4; i++) {
        g_assert_true(pviommu_change_next_removed(&fixture->change, &iter,
                                                  &mapping));
        g_assert_cmphex(mapping.first, ==, i << 12);
        g_assert_cmphex(mapping.last, ==, i << 12 | 0xfff);
        g_assert_cmphex(mapping.phys, ==, i << 20);
        g_assert_cmphex(mapping.flags, ==, RW);
        g_assert_false(pviommu_translate(fixture->group[0], i << 12, 0,
                                         &translation));
    }
    g_assert_false(pviommu_change_next_removed(&fixture->change, &iter,
                                               &mapping));
    g_assert_false(pviommu_change_next_removed(&fixture->change, &iter,
                                               &mapping));
    g_assert_cmpuint(count(fixture), ==, 2);
    finish(fixture, true);
    g_assert_cmpuint(count(fixture), ==, 2);
}

static void test_precedence(void)
{
    g_autoptr(Fixture) fixture = new_attached(0x1000);
    uint8_t bytes[PVIOMMU_REQUEST_MAX];
    size_t size = build_unmap(bytes, 3, 5, 3);

    ASSERT_OK(fixture, attach(fixture, 2, 9, PVIOMMU_ATTACH_F_BYPASS));
    bytes[24] = 1;
    ASSERT_REFUSED(fixture, submit(fixture, bytes, size, 4), INVAL,
                   RESERVED);
    ASSERT_REFUSED(fixture, unmap(fixture, 3, 5, 3), INVAL, INVERTED);
    ASSERT_REFUSED(fixture, unmap(fixture, 2, 5, 3), INVAL, INVERTED);
    ASSERT_REFUSED(fixture, unmap(fixture, 3, 3, 5), NOENT, NO_DOMAIN);
}

static void add_example_tests(void)
{
    g_test_add_func("/pviommu/unmap/example-empty", test_example_empty);
    g_test_add_func("/pviommu/unmap/example-exact", test_example_exact);
    g_test_add_func("/pviommu/unmap/example-two", test_example_two);
    g_test_add_func("/pviommu/unmap/example-split", test_example_split);
    g_test_add_func("/pviommu/unmap/example-first-of-two",
                    test_example_first);
    g_test_add_func("/pviommu/unmap/example-spill-over", test_example_spill);
    g_test_add_func("/pviommu/unmap/example-hole", test_example_hole);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/pviommu/unmap/unmaps", test_unmaps);
    g_test_add_func("/pviommu/unmap/reserved-nonzero", test_reserved);
    g_test_add_func("/pviommu/unmap/absent-domain", test_no_domain);
    g_test_add_func("/pviommu/unmap/bypass-domain", test_bypass_domain);
    g_test_add_func("/pviommu/unmap/inverted", test_inverted);
    add_example_tests();
    g_test_add_func("/pviommu/unmap/splits", test_splits);
    g_test_add_func("/pviommu/unmap/split-in-every-order", test_orders);
    g_test_add_func("/pviommu/unmap/holes", test_holes);
    g_test_add_func("/pviommu/unmap/outside-input-range",
                    test_outside_input_range);
    g_test_add_func("/pviommu/unmap/everything", test_everything);
    g_test_add_func("/pviommu/unmap/removed-list", test_removed_list);
    g_test_add_func("/pviommu/unmap/precedence", test_precedence);
    return g_test_run();
}
