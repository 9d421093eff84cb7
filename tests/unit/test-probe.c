/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu tests: PROBE
 */
#include <string.h>

#include "fixture.h"

/* Property of one region, 24 bytes, as the specification has it */
static const uint8_t msi_property[24] = {
    1, 0, 20, 0, 1, 0, 0, 0,
    0x00, 0x00, 0xe0, 0xfe, 0, 0, 0, 0,
    0xff, 0xff, 0xef, 0xfe, 0, 0, 0, 0,
};

static const uint8_t reserved_property[24] = {
    1, 0, 20, 0, 0, 0, 0, 0,
    0xef, 0xcd, 0xab, 0x89, 0x67, 0x45, 0x23, 0x00,
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x00,
};

static bool is_zero(const uint8_t *bytes, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++) {
        if (bytes[i]) {
            return false;
        }
    }
    return true;
}

static void test_no_regions(void)
{
    g_autoptr(Fixture) fixture = fixture_new_pair(NULL);

    ASSERT_OK(fixture, probe(fixture, 8));
    g_assert_true(is_zero(fixture->properties, 0, FIXTURE_PROBE_SIZE));
    g_assert_cmpint(fixture->change.kind, ==, PVIOMMU_CHANGE_NONE);
    pviommu_group_set_regions(fixture->group[0], pviommu_regions_new());
    ASSERT_OK(fixture, probe(fixture, 8));
    g_assert_true(is_zero(fixture->properties, 0, FIXTURE_PROBE_SIZE));
}

static void test_regions(void)
{
    g_autoptr(Fixture) fixture = fixture_new_pair(NULL);

    fixture_reserve(fixture->group[0], 0xfee00000, 0xfeefffff,
                    PVIOMMU_REGION_MSI);
    fixture_reserve(fixture->group[0], UINT64_C(0x0023456789abcdef),
                    UINT64_C(0x00ffffffffffffff), PVIOMMU_REGION_RESERVED);
    ASSERT_OK(fixture, probe(fixture, 8));
    g_assert_cmpmem(fixture->properties, 24, msi_property, 24);
    g_assert_cmpmem(fixture->properties + 24, 24, reserved_property, 24);
    g_assert_true(is_zero(fixture->properties, 48, FIXTURE_PROBE_SIZE));
    ASSERT_OK(fixture, probe(fixture, 9));
    g_assert_true(is_zero(fixture->properties, 0, FIXTURE_PROBE_SIZE));
}

static void test_msi_first(void)
{
    g_autoptr(Fixture) fixture = fixture_new_pair(NULL);

    fixture_reserve(fixture->group[0], 0, 0xfff, PVIOMMU_REGION_RESERVED);
    fixture_reserve(fixture->group[0], 0xfee00000, 0xfeefffff,
                    PVIOMMU_REGION_MSI);
    ASSERT_OK(fixture, probe(fixture, 8));
    g_assert_cmpmem(fixture->properties, 24, msi_property, 24);
    g_assert_cmpuint(fixture->properties[24], ==, PVIOMMU_PROBE_T_RESV_MEM);
    g_assert_cmpuint(fixture->properties[28], ==, PVIOMMU_REGION_RESERVED);
}

static void test_reserved(void)
{
    g_autoptr(Fixture) fixture = fixture_new_pair(NULL);
    uint8_t bytes[PVIOMMU_REQUEST_MAX];
    size_t size = build_probe(bytes, 8);

    memset(bytes + 8, 0xff, 64);
    ASSERT_OK(fixture, submit(fixture, bytes, size, FIXTURE_PROBE_SIZE + 4));
}

static void test_no_endpoint(void)
{
    g_autoptr(Fixture) fixture = fixture_new_pair(NULL);

    ASSERT_REFUSED(fixture, probe(fixture, 7), NOENT, NO_ENDPOINT);
    g_assert_true(is_zero(fixture->properties, 0, FIXTURE_PROBE_SIZE));
}

static void test_attached(void)
{
    g_autoptr(Fixture) fixture = fixture_new_pair(NULL);

    fixture_reserve(fixture->group[0], 0xfee00000, 0xfeefffff,
                    PVIOMMU_REGION_MSI);
    ASSERT_OK(fixture, attach(fixture, 1, 8, 0));
    ASSERT_OK(fixture, probe(fixture, 8));
    g_assert_cmpmem(fixture->properties, 24, msi_property, 24);
}

static void test_short_properties(void)
{
    static const size_t writable[] = { 4, 5, 64, 100, 514, 515 };
    g_autoptr(Fixture) fixture = fixture_new_pair(NULL);
    uint8_t bytes[PVIOMMU_REQUEST_MAX];
    size_t size = build_probe(bytes, 8);

    fixture_reserve(fixture->group[0], 0xfee00000, 0xfeefffff,
                    PVIOMMU_REGION_MSI);
    for (unsigned i = 0; i < G_N_ELEMENTS(writable); i++) {
        memset(fixture->properties, 0xa5, FIXTURE_PROBE_SIZE);
        ASSERT_REFUSED(fixture, submit(fixture, bytes, size, writable[i]),
                       INVAL, SHORT_PROPERTIES);
        g_assert_true(is_zero(fixture->properties, 0, FIXTURE_PROBE_SIZE));
    }
    ASSERT_OK(fixture, submit(fixture, bytes, size, 516));
}

static void test_long_properties(void)
{
    g_autoptr(Fixture) fixture = fixture_new_pair(NULL);
    uint8_t bytes[PVIOMMU_REQUEST_MAX];
    size_t size = build_probe(bytes, 8);

    fixture_reserve(fixture->group[0], 0xfee00000, 0xfeefffff,
                    PVIOMMU_REGION_MSI);
    g_assert_cmpint(submit(fixture, bytes, size, 517), ==, PVIOMMU_S_OK);
    assert_mistake(fixture, PVIOMMU_MISTAKE_LONG_TAIL);
    g_assert_cmpmem(fixture->properties, 24, msi_property, 24);
}

static void test_short_body(void)
{
    g_autoptr(Fixture) fixture = fixture_new_pair(NULL);
    uint8_t bytes[PVIOMMU_REQUEST_MAX];

    build_probe(bytes, 8);
    memset(fixture->properties, 0xa5, FIXTURE_PROBE_SIZE);
    ASSERT_REFUSED(fixture, submit(fixture, bytes, 71,
                                   FIXTURE_PROBE_SIZE + 4),
                   INVAL, SHORT_BODY);
    g_assert_true(is_zero(fixture->properties, 0, FIXTURE_PROBE_SIZE));
}

static void test_too_many(void)
{
    g_autoptr(Fixture) fixture = fixture_new_pair(NULL);

    for (uint64_t i = 0; i < FIXTURE_PROBE_SIZE / 24; i++) {
        fixture_reserve(fixture->group[0], i << 16, i << 16 | 0xfff,
                        PVIOMMU_REGION_RESERVED);
    }
    ASSERT_OK(fixture, probe(fixture, 8));
    g_assert_true(is_zero(fixture->properties, 504, FIXTURE_PROBE_SIZE));
    g_assert_false(is_zero(fixture->properties, 480, 504));
    fixture_reserve(fixture->group[0], 0xff0000, 0xff0fff,
                    PVIOMMU_REGION_RESERVED);
    /* the host's side is to prevent this: not the guest's mistake */
    g_assert_cmpint(probe(fixture, 8), ==, PVIOMMU_S_DEVERR);
    g_assert_cmphex(fixture->answer.mistakes, ==, 0);
    g_assert_true(is_zero(fixture->properties, 0, FIXTURE_PROBE_SIZE));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/pviommu/probe/no-regions", test_no_regions);
    g_test_add_func("/pviommu/probe/regions", test_regions);
    g_test_add_func("/pviommu/probe/msi-first", test_msi_first);
    g_test_add_func("/pviommu/probe/reserved-ignored", test_reserved);
    g_test_add_func("/pviommu/probe/absent-endpoint", test_no_endpoint);
    g_test_add_func("/pviommu/probe/attached-endpoint", test_attached);
    g_test_add_func("/pviommu/probe/short-properties",
                    test_short_properties);
    g_test_add_func("/pviommu/probe/long-properties", test_long_properties);
    g_test_add_func("/pviommu/probe/short-body", test_short_body);
    g_test_add_func("/pviommu/probe/too-many-regions", test_too_many);
    return g_test_run();
}
