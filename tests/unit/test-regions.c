/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu tests: lists of reserved regions
 */
#include <string.h>
#include <glib.h>

#include "pviommu/regions.h"
#include "random.h"

#define RESERVED PVIOMMU_REGION_RESERVED
#define MSI PVIOMMU_REGION_MSI

G_DEFINE_AUTOPTR_CLEANUP_FUNC(PviommuRegions, pviommu_regions_free)

static void add(PviommuRegions *list, uint64_t first, uint64_t last,
                PviommuRegionType type)
{
    PviommuRegion region = { first, last, type };

    pviommu_regions_add(list, &region);
}

static void assert_region(const PviommuRegions *list, size_t index,
                          uint64_t first, uint64_t last,
                          PviommuRegionType type)
{
    const PviommuRegion *region = pviommu_regions_get(list, index);

    g_assert_cmphex(region->first, ==, first);
    g_assert_cmphex(region->last, ==, last);
    g_assert_cmpint(region->type, ==, type);
}

static void test_empty(void)
{
    g_autoptr(PviommuRegions) list = pviommu_regions_new();
    uint8_t properties[24];

    g_assert_cmpuint(pviommu_regions_count(list), ==, 0);
    g_assert_null(pviommu_regions_find(list, 0, UINT64_MAX));
    g_assert_cmpuint(pviommu_regions_count(NULL), ==, 0);
    g_assert_null(pviommu_regions_find(NULL, 0, UINT64_MAX));
    memset(properties, 0xff, sizeof(properties));
    g_assert_true(pviommu_regions_encode(NULL, properties, 24));
    g_assert_cmpuint(properties[0], ==, 0);
    g_assert_true(pviommu_regions_encode(list, NULL, 0));
    g_assert_true(pviommu_regions_fit(list, 1));
    pviommu_regions_free(NULL);
}

static void test_add_sorts(void)
{
    g_autoptr(PviommuRegions) list = pviommu_regions_new();

    add(list, 20, 29, RESERVED);
    add(list, 40, 49, MSI);
    add(list, 0, 9, RESERVED);
    add(list, UINT64_MAX, UINT64_MAX, RESERVED);
    g_assert_cmpuint(pviommu_regions_count(list), ==, 4);
    assert_region(list, 0, 0, 9, RESERVED);
    assert_region(list, 1, 20, 29, RESERVED);
    assert_region(list, 2, 40, 49, MSI);
    assert_region(list, 3, UINT64_MAX, UINT64_MAX, RESERVED);
}

static void test_add_splits(void)
{
    g_autoptr(PviommuRegions) list = pviommu_regions_new();

    add(list, 0, UINT64_MAX, RESERVED);
    add(list, 10, 19, MSI);
    g_assert_cmpuint(pviommu_regions_count(list), ==, 3);
    assert_region(list, 0, 0, 9, RESERVED);
    assert_region(list, 1, 10, 19, MSI);
    assert_region(list, 2, 20, UINT64_MAX, RESERVED);
}

static void test_add_cuts(void)
{
    g_autoptr(PviommuRegions) list = pviommu_regions_new();

    add(list, 10, 19, RESERVED);
    add(list, 30, 39, RESERVED);
    add(list, 15, 34, MSI);
    g_assert_cmpuint(pviommu_regions_count(list), ==, 3);
    assert_region(list, 0, 10, 14, RESERVED);
    assert_region(list, 1, 15, 34, MSI);
    assert_region(list, 2, 35, 39, RESERVED);
}

static void test_add_covers(void)
{
    g_autoptr(PviommuRegions) list = pviommu_regions_new();

    add(list, 10, 19, RESERVED);
    add(list, 30, 39, MSI);
    add(list, 10, 19, MSI);
    add(list, 10, 39, MSI);
    g_assert_cmpuint(pviommu_regions_count(list), ==, 1);
    add(list, 0, UINT64_MAX, MSI);
    g_assert_cmpuint(pviommu_regions_count(list), ==, 1);
    assert_region(list, 0, 0, UINT64_MAX, MSI);
}

/* An endpoint has one MSI region, whatever is reserved in it or around it */
static void test_add_spares_msi(void)
{
    g_autoptr(PviommuRegions) list = pviommu_regions_new();

    add(list, 10, 19, MSI);
    add(list, 14, 15, RESERVED);
    add(list, 10, 19, RESERVED);
    g_assert_cmpuint(pviommu_regions_count(list), ==, 1);
    add(list, 5, 14, RESERVED);
    add(list, 19, 24, RESERVED);
    g_assert_cmpuint(pviommu_regions_count(list), ==, 3);
    assert_region(list, 0, 5, 9, RESERVED);
    assert_region(list, 1, 10, 19, MSI);
    assert_region(list, 2, 20, 24, RESERVED);
    add(list, 0, UINT64_MAX, RESERVED);
    g_assert_cmpuint(pviommu_regions_count(list), ==, 3);
    assert_region(list, 0, 0, 9, RESERVED);
    assert_region(list, 1, 10, 19, MSI);
    assert_region(list, 2, 20, UINT64_MAX, RESERVED);
}

static void test_add_touches(void)
{
    g_autoptr(PviommuRegions) list = pviommu_regions_new();

    add(list, 10, 19, RESERVED);
    add(list, 20, 29, RESERVED);
    add(list, 5, 9, RESERVED);
    g_assert_cmpuint(pviommu_regions_count(list), ==, 3);
    assert_region(list, 0, 5, 9, RESERVED);
    assert_region(list, 1, 10, 19, RESERVED);
    assert_region(list, 2, 20, 29, RESERVED);
}

static void test_find(void)
{
    g_autoptr(PviommuRegions) list = pviommu_regions_new();

    add(list, 10, 19, RESERVED);
    add(list, 30, UINT64_MAX, MSI);
    g_assert_null(pviommu_regions_find(list, 0, 9));
    g_assert_null(pviommu_regions_find(list, 20, 29));
    g_assert_true(pviommu_regions_find(list, 0, 10) ==
                  pviommu_regions_get(list, 0));
    g_assert_true(pviommu_regions_find(list, 19, 19) ==
                  pviommu_regions_get(list, 0));
    g_assert_true(pviommu_regions_find(list, 0, UINT64_MAX) ==
                  pviommu_regions_get(list, 0));
    g_assert_true(pviommu_regions_find(list, 20, 30) ==
                  pviommu_regions_get(list, 1));
    g_assert_true(pviommu_regions_find(list, UINT64_MAX, UINT64_MAX) ==
                  pviommu_regions_get(list, 1));
}

static void test_copy(void)
{
    g_autoptr(PviommuRegions) list = pviommu_regions_new();
    g_autoptr(PviommuRegions) empty = pviommu_regions_copy(list);
    g_autoptr(PviommuRegions) copy = NULL;

    add(list, 10, 19, MSI);
    copy = pviommu_regions_copy(list);
    add(list, 0, UINT64_MAX, RESERVED);
    g_assert_cmpuint(pviommu_regions_count(empty), ==, 0);
    g_assert_cmpuint(pviommu_regions_count(copy), ==, 1);
    assert_region(copy, 0, 10, 19, MSI);
}

static void test_fit_narrowest(void)
{
    g_autoptr(PviommuRegions) list = pviommu_regions_new();

    add(list, 0, 0, RESERVED);
    add(list, 100, 109, RESERVED);
    add(list, 120, 129, RESERVED);
    add(list, 135, 139, RESERVED);
    add(list, UINT64_MAX, UINT64_MAX, RESERVED);
    g_assert_true(pviommu_regions_fit(list, 5));
    g_assert_cmpuint(pviommu_regions_count(list), ==, 5);
    g_assert_true(pviommu_regions_fit(list, 4));
    assert_region(list, 2, 120, 139, RESERVED);
    g_assert_true(pviommu_regions_fit(list, 3));
    assert_region(list, 1, 100, 139, RESERVED);
    g_assert_true(pviommu_regions_fit(list, 1));
    assert_region(list, 0, 0, UINT64_MAX, RESERVED);
}

static void test_fit_widest_gap(void)
{
    g_autoptr(PviommuRegions) list = pviommu_regions_new();

    add(list, 0, 0, RESERVED);
    add(list, UINT64_MAX, UINT64_MAX, RESERVED);
    g_assert_true(pviommu_regions_fit(list, 1));
    assert_region(list, 0, 0, UINT64_MAX, RESERVED);
}

static void test_fit_spares_msi(void)
{
    g_autoptr(PviommuRegions) list = pviommu_regions_new();

    add(list, 0, 9, RESERVED);
    add(list, 10, 19, MSI);
    add(list, 20, 29, RESERVED);
    add(list, 1000, 1009, RESERVED);
    g_assert_true(pviommu_regions_fit(list, 3));
    assert_region(list, 0, 0, 9, RESERVED);
    assert_region(list, 1, 10, 19, MSI);
    assert_region(list, 2, 20, 1009, RESERVED);
    g_assert_false(pviommu_regions_fit(list, 2));
    g_assert_cmpuint(pviommu_regions_count(list), ==, 3);
}

static void test_encode_too_small(void)
{
    g_autoptr(PviommuRegions) list = pviommu_regions_new();
    uint8_t properties[48];

    add(list, 0, 9, RESERVED);
    add(list, 10, 19, MSI);
    memset(properties, 0xff, sizeof(properties));
    g_assert_false(pviommu_regions_encode(list, properties, 47));
    for (unsigned i = 0; i < 47; i++) {
        g_assert_cmpuint(properties[i], ==, 0);
    }
    g_assert_cmpuint(properties[47], ==, 0xff);
    g_assert_true(pviommu_regions_encode(list, properties, 48));
    g_assert_cmpuint(properties[4], ==, MSI);
    g_assert_cmpuint(properties[24 + 4], ==, RESERVED);
}

/* Against a byte for each of 64 IOVAs */
static void test_random(void)
{
    Random random;

    random_init(&random);
    for (uint64_t round = random_rounds(20000); round > 0; round--) {
        g_autoptr(PviommuRegions) list = pviommu_regions_new();
        uint8_t model[64];
        uint64_t base = round % 2 ? 0 : -UINT64_C(64);

        memset(model, 0xff, sizeof(model));
        for (unsigned n = 0; n < 8; n++) {
            uint64_t first = random_below(&random, 64);
            uint64_t last = first + random_below(&random, 64 - first);
            PviommuRegionType type = (PviommuRegionType)
                                     random_below(&random, 2);

            add(list, base + first, base + last, type);
            for (uint64_t i = first; i <= last; i++) {
                model[i] = model[i] == MSI ? MSI : type;
            }
        }
        for (uint64_t i = 0; i < 64; i++) {
            const PviommuRegion *region =
                pviommu_regions_find(list, base + i, base + i);

            g_assert_cmpint(region ? (int)region->type : 0xff, ==, model[i]);
        }
        for (size_t i = 1; i < pviommu_regions_count(list); i++) {
            g_assert_cmphex(pviommu_regions_get(list, i - 1)->last, <,
                            pviommu_regions_get(list, i)->first);
        }
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/pviommu/regions/empty", test_empty);
    g_test_add_func("/pviommu/regions/add-sorts", test_add_sorts);
    g_test_add_func("/pviommu/regions/add-splits", test_add_splits);
    g_test_add_func("/pviommu/regions/add-cuts", test_add_cuts);
    g_test_add_func("/pviommu/regions/add-covers", test_add_covers);
    g_test_add_func("/pviommu/regions/add-spares-msi", test_add_spares_msi);
    g_test_add_func("/pviommu/regions/add-touches", test_add_touches);
    g_test_add_func("/pviommu/regions/find", test_find);
    g_test_add_func("/pviommu/regions/copy", test_copy);
    g_test_add_func("/pviommu/regions/fit-narrowest-gap",
                    test_fit_narrowest);
    g_test_add_func("/pviommu/regions/fit-widest-gap", test_fit_widest_gap);
    g_test_add_func("/pviommu/regions/fit-spares-msi", test_fit_spares_msi);
    g_test_add_func("/pviommu/regions/encode-too-small",
                    test_encode_too_small);
    g_test_add_func("/pviommu/regions/random", test_random);
    return g_test_run();
}
