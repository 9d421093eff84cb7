/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu tests: translation
 */
#include "fixture.h"

enum {
    READ = PVIOMMU_MAP_F_READ,
    WRITE = PVIOMMU_MAP_F_WRITE,
    RW = READ | WRITE,
};

static Fixture *new_attached(void)
{
    PviommuConfig config = fixture_config;
    Fixture *fixture;

    config.page_size_mask = 1;
    config.bypass = false;
    fixture = fixture_new_pair(&config);
    ASSERT_OK(fixture, attach(fixture, 1, 8, 0));
    return fixture;
}

static void assert_fault(const Fixture *fixture, uint64_t iova,
                         uint32_t access, uint8_t reason)
{
    PviommuTranslation translation;

    g_assert_false(pviommu_translate(fixture->group[0], iova, access,
                                     &translation));
    g_assert_cmpuint(translation.reason, ==, reason);
    g_assert_cmphex(translation.first, ==, iova);
    g_assert_cmphex(translation.last, ==, iova);
    g_assert_cmphex(translation.flags, ==, 0);
}

static void assert_block(const Fixture *fixture, uint64_t iova,
                         uint32_t access, uint64_t first, uint64_t last,
                         uint64_t phys, uint32_t flags)
{
    PviommuTranslation translation;

    g_assert_true(pviommu_translate(fixture->group[0], iova, access,
                                    &translation));
    g_assert_cmphex(translation.first, ==, first);
    g_assert_cmphex(translation.last, ==, last);
    g_assert_cmphex(translation.phys, ==, phys);
    g_assert_cmphex(translation.flags, ==, flags);
}

static void test_whole_mapping(void)
{
    g_autoptr(Fixture) fixture = new_attached();

    ASSERT_OK(fixture, map(fixture, 1, 0x1003, 0x77777, 0x5001, RW));
    assert_block(fixture, 0x1003, RW, 0x1003, 0x77777, 0x5001, RW);
    assert_block(fixture, 0x4321, RW, 0x1003, 0x77777, 0x5001, RW);
    assert_block(fixture, 0x77777, RW, 0x1003, 0x77777, 0x5001, RW);
    assert_fault(fixture, 0x1002, READ, PVIOMMU_FAULT_R_MAPPING);
    assert_fault(fixture, 0x77778, READ, PVIOMMU_FAULT_R_MAPPING);
    assert_fault(fixture, 0, READ, PVIOMMU_FAULT_R_MAPPING);
    assert_fault(fixture, UINT64_MAX, READ, PVIOMMU_FAULT_R_MAPPING);
}

static void test_neighbours(void)
{
    g_autoptr(Fixture) fixture = new_attached();

    ASSERT_OK(fixture, map(fixture, 1, 0x1000, 0x1fff, 0xa000, RW));
    ASSERT_OK(fixture, map(fixture, 1, 0x2000, 0x2fff, 0xb0000, RW));
    assert_block(fixture, 0x1fff, READ, 0x1000, 0x1fff, 0xa000, RW);
    assert_block(fixture, 0x2000, READ, 0x2000, 0x2fff, 0xb0000, RW);
    assert_fault(fixture, 0xfff, READ, PVIOMMU_FAULT_R_MAPPING);
    assert_fault(fixture, 0x3000, READ, PVIOMMU_FAULT_R_MAPPING);
}

static void test_ends_of_space(void)
{
    g_autoptr(Fixture) fixture = new_attached();

    ASSERT_OK(fixture, map(fixture, 1, 0, 0, 5, RW));
    ASSERT_OK(fixture, map(fixture, 1, UINT64_MAX, UINT64_MAX, 9, RW));
    assert_block(fixture, 0, READ, 0, 0, 5, RW);
    assert_block(fixture, UINT64_MAX, READ, UINT64_MAX, UINT64_MAX, 9, RW);
    assert_fault(fixture, 1, READ, PVIOMMU_FAULT_R_MAPPING);
    assert_fault(fixture, UINT64_MAX - 1, READ, PVIOMMU_FAULT_R_MAPPING);
}

static void test_permissions(void)
{
    g_autoptr(Fixture) fixture = new_attached();

    for (uint32_t flags = 0; flags < 8; flags++) {
        uint64_t iova = flags * 0x10;
        uint32_t allowed = flags & RW;

        ASSERT_OK(fixture, map(fixture, 1, iova, iova + 0xf, 0, flags));
        for (uint32_t access = 0; access < 4; access++) {
            if (access & ~allowed) {
                assert_fault(fixture, iova, access, PVIOMMU_FAULT_R_MAPPING);
            } else {
                assert_block(fixture, iova, access, iova, iova + 0xf, 0,
                             allowed);
            }
        }
    }
    assert_fault(fixture, 0x1000, 0, PVIOMMU_FAULT_R_MAPPING);
}

static void test_states(void)
{
    g_autoptr(Fixture) fixture = new_attached();

    ASSERT_OK(fixture, detach(fixture, 1, 8));
    assert_fault(fixture, 0x1234, READ, PVIOMMU_FAULT_R_DOMAIN);
    assert_fault(fixture, 0x1234, 0, PVIOMMU_FAULT_R_DOMAIN);
    pviommu_iommu_set_bypass(fixture->iommu, true);
    assert_block(fixture, 0x1234, RW, 0, UINT64_MAX, 0, RW);
    ASSERT_OK(fixture, attach(fixture, 1, 8, 0));
    assert_fault(fixture, 0x1234, READ, PVIOMMU_FAULT_R_MAPPING);
    ASSERT_OK(fixture, detach(fixture, 1, 8));
    ASSERT_OK(fixture, attach(fixture, 1, 8, PVIOMMU_ATTACH_F_BYPASS));
    assert_block(fixture, UINT64_MAX, RW, 0, UINT64_MAX, 0, RW);
    pviommu_iommu_set_bypass(fixture->iommu, false);
    assert_block(fixture, 0, RW, 0, UINT64_MAX, 0, RW);
    ASSERT_OK(fixture, detach(fixture, 1, 8));
    assert_fault(fixture, 0, WRITE, PVIOMMU_FAULT_R_DOMAIN);
}

/* bypass 1 -> 0 -> 1 reaches those that are not attached, and no other */
static void test_bypass_toggles(void)
{
    static const PviommuState others[] = {
        PVIOMMU_BYPASS, PVIOMMU_TRANSLATED,
    };
    g_autoptr(Fixture) fixture = fixture_new_pair(NULL);

    fixture_add(fixture, fixture_add_group(fixture, false), 10);
    ASSERT_OK(fixture, attach(fixture, 1, 9, PVIOMMU_ATTACH_F_BYPASS));
    ASSERT_OK(fixture, attach(fixture, 2, 10, 0));
    for (int bypass = 1; bypass >= -1; bypass--) {
        pviommu_iommu_set_bypass(fixture->iommu, bypass != 0);
        g_assert_cmpint(pviommu_group_state(fixture->group[0]), ==,
                        bypass ? PVIOMMU_BYPASS : PVIOMMU_BLOCKED);
        for (unsigned i = 0; i < 2; i++) {
            g_assert_cmpint(pviommu_group_state(fixture->group[1 + i]), ==,
                            others[i]);
        }
        g_assert_cmpint(pviommu_iommu_config(fixture->iommu)->bypass, ==,
                        bypass != 0);
    }
}

static void test_fenced(void)
{
    g_autoptr(Fixture) fixture = new_attached();

    ASSERT_OK(fixture, map(fixture, 1, 0, 0xfff, 0, RW));
    fixture_reserve(fixture->group[0], 0x5000, 0x5fff, PVIOMMU_REGION_MSI);
    pviommu_group_set_fenced(fixture->group[0], true);
    assert_fault(fixture, 0, READ, PVIOMMU_FAULT_R_UNKNOWN);
    assert_block(fixture, 0x5000, WRITE, 0x5000, 0x5fff, 0x5000, RW);
    ASSERT_OK(fixture, detach(fixture, 1, 8));
    assert_fault(fixture, 0, READ, PVIOMMU_FAULT_R_DOMAIN);
    pviommu_iommu_set_bypass(fixture->iommu, true);
    pviommu_group_set_fenced(fixture->group[0], true);
    assert_fault(fixture, 0, READ, PVIOMMU_FAULT_R_UNKNOWN);
    pviommu_group_set_fenced(fixture->group[0], false);
    assert_block(fixture, 0, READ, 0, 0x4fff, 0, RW);
}

static void test_msi_in_every_state(void)
{
    g_autoptr(Fixture) fixture = new_attached();

    fixture_reserve(fixture->group[0], 0xfee00000, 0xfeefffff,
                    PVIOMMU_REGION_MSI);
    for (unsigned i = 0; i < 4; i++) {
        if (i == 1) {
            ASSERT_OK(fixture, detach(fixture, 1, 8));
        } else if (i == 2) {
            pviommu_iommu_set_bypass(fixture->iommu, true);
        } else if (i == 3) {
            ASSERT_OK(fixture, attach(fixture, 1, 8,
                                      PVIOMMU_ATTACH_F_BYPASS));
        }
        assert_block(fixture, 0xfee00000, WRITE, 0xfee00000, 0xfeefffff,
                     0xfee00000, RW);
        assert_block(fixture, 0xfeefffff, WRITE, 0xfee00000, 0xfeefffff,
                     0xfee00000, RW);
    }
}

static void test_reserved_region(void)
{
    g_autoptr(Fixture) fixture = new_attached();

    fixture_reserve(fixture->group[0], 0x5000, 0x5fff,
                    PVIOMMU_REGION_RESERVED);
    assert_fault(fixture, 0x5000, READ, PVIOMMU_FAULT_R_MAPPING);
    assert_fault(fixture, 0x5000, 0, PVIOMMU_FAULT_R_MAPPING);
    ASSERT_OK(fixture, detach(fixture, 1, 8));
    assert_fault(fixture, 0x5000, READ, PVIOMMU_FAULT_R_DOMAIN);
    pviommu_iommu_set_bypass(fixture->iommu, true);
    assert_block(fixture, 0x5000, READ, 0x5000, 0x5fff, 0x5000, RW);
    assert_block(fixture, 0x4fff, READ, 0, 0x4fff, 0, RW);
    assert_block(fixture, 0x6000, READ, 0x6000, UINT64_MAX, 0x6000, RW);
}

/* Regions that came after the mapping: the block ends where they begin */
static void test_region_over_mapping(void)
{
    g_autoptr(Fixture) fixture = new_attached();

    ASSERT_OK(fixture, map(fixture, 1, 0x1000, 0x8fff, 0x50000, RW));
    fixture_reserve(fixture->group[0], 0x3000, 0x3fff,
                    PVIOMMU_REGION_RESERVED);
    fixture_reserve(fixture->group[0], 0x5000, 0x5fff, PVIOMMU_REGION_MSI);
    assert_block(fixture, 0x2fff, READ, 0x1000, 0x2fff, 0x50000, RW);
    assert_fault(fixture, 0x3000, READ, PVIOMMU_FAULT_R_MAPPING);
    assert_fault(fixture, 0x3fff, READ, PVIOMMU_FAULT_R_MAPPING);
    assert_block(fixture, 0x4000, READ, 0x4000, 0x4fff, 0x53000, RW);
    assert_block(fixture, 0x5800, READ, 0x5000, 0x5fff, 0x5000, RW);
    assert_block(fixture, 0x8fff, READ, 0x6000, 0x8fff, 0x55000, RW);
}

static void test_regions_at_ends(void)
{
    g_autoptr(Fixture) fixture = new_attached();

    fixture_reserve(fixture->group[0], 0, 0xfff, PVIOMMU_REGION_RESERVED);
    fixture_reserve(fixture->group[0], -UINT64_C(0x1000), UINT64_MAX,
                    PVIOMMU_REGION_MSI);
    ASSERT_OK(fixture, map(fixture, 1, 0x1000, UINT64_MAX - 0x1000, 0, RW));
    assert_fault(fixture, 0, READ, PVIOMMU_FAULT_R_MAPPING);
    assert_block(fixture, 0x1000, READ, 0x1000, UINT64_MAX - 0x1000, 0, RW);
    assert_block(fixture, UINT64_MAX, WRITE, -UINT64_C(0x1000), UINT64_MAX,
                 -UINT64_C(0x1000), RW);
}

static void test_fault_report(void)
{
    static const uint8_t report[PVIOMMU_FAULT_SIZE] = {
        2, 0, 0, 0, 0x02, 0x01, 0, 0, 0x28, 0, 1, 0, 0, 0, 0, 0,
        0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11,
    };
    uint8_t bytes[PVIOMMU_FAULT_SIZE];

    pviommu_fault_encode(bytes, PVIOMMU_FAULT_R_MAPPING,
                         PVIOMMU_FAULT_F_WRITE, 0x10028,
                         UINT64_C(0x1122334455667788));
    g_assert_cmpmem(bytes, sizeof(bytes), report, sizeof(report));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/pviommu/translate/whole-mapping", test_whole_mapping);
    g_test_add_func("/pviommu/translate/touching-neighbours",
                    test_neighbours);
    g_test_add_func("/pviommu/translate/ends-of-space", test_ends_of_space);
    g_test_add_func("/pviommu/translate/permissions", test_permissions);
    g_test_add_func("/pviommu/translate/states", test_states);
    g_test_add_func("/pviommu/translate/bypass-toggles",
                    test_bypass_toggles);
    g_test_add_func("/pviommu/translate/fenced", test_fenced);
    g_test_add_func("/pviommu/translate/msi-in-every-state",
                    test_msi_in_every_state);
    g_test_add_func("/pviommu/translate/reserved-region",
                    test_reserved_region);
    g_test_add_func("/pviommu/translate/region-over-mapping",
                    test_region_over_mapping);
    g_test_add_func("/pviommu/translate/regions-at-ends",
                    test_regions_at_ends);
    g_test_add_func("/pviommu/fault/report", test_fault_report);
    return g_test_run();
}
