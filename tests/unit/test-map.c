/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu tests: MAP
 */
#include "fixture.h"

enum {
    RW = PVIOMMU_MAP_F_READ | PVIOMMU_MAP_F_WRITE,
};

/* Endpoint 8 in domain 1 */
static Fixture *new_attached(const PviommuConfig *config)
{
    Fixture *fixture = fixture_new_pair(config);

    ASSERT_OK(fixture, attach(fixture, 1, 8, 0));
    return fixture;
}

static Fixture *new_with_granule(uint64_t granule)
{
    PviommuConfig config = fixture_config;

    /* bits above the lowest are hints only */
    config.page_size_mask = granule | granule << 3;
    return new_attached(&config);
}

static void test_maps(void)
{
    g_autoptr(Fixture) fixture = new_attached(NULL);

    ASSERT_OK(fixture, map(fixture, 1, 0x3000, 0x4fff, 0x9000, RW));
    g_assert_cmpint(fixture->change.kind, ==, PVIOMMU_CHANGE_MAP);
    g_assert_true(fixture->change.domain == fixture_domain(fixture, 1));
    g_assert_cmphex(fixture->change.mapping.first, ==, 0x3000);
    g_assert_cmphex(fixture->change.mapping.last, ==, 0x4fff);
    g_assert_cmphex(fixture->change.mapping.phys, ==, 0x9000);
    g_assert_cmphex(fixture->change.mapping.flags, ==, RW);
    g_assert_true(is_mapped(fixture, 1, 0x3000, 0x4fff));
    g_assert_cmpuint(pviommu_iommu_mapping_count(fixture->iommu), ==, 1);
}

static void test_flags(void)
{
    g_autoptr(Fixture) fixture = new_attached(NULL);

    for (unsigned bit = 3; bit < 32; bit++) {
        ASSERT_REFUSED(fixture, map(fixture, 1, 0, 0xfff, 0, 1u << bit | RW),
                       INVAL, FLAGS);
    }
    for (uint32_t flags = 0; flags < 8; flags++) {
        ASSERT_OK(fixture, map(fixture, 1, flags << 12, flags << 12 | 0xfff,
                               0, flags));
        g_assert_cmphex(fixture->change.mapping.flags, ==, flags);
    }
}

static void test_mmio_not_negotiated(void)
{
    g_autoptr(Fixture) fixture = new_attached(NULL);

    pviommu_iommu_set_features(fixture->iommu, FIXTURE_ALL_FEATURES &
                               ~(1u << PVIOMMU_F_MMIO));
    ASSERT_REFUSED(fixture, map(fixture, 1, 0, 0xfff, 0,
                                PVIOMMU_MAP_F_MMIO | RW),
                   INVAL, NOT_NEGOTIATED);
    ASSERT_OK(fixture, map(fixture, 1, 0, 0xfff, 0, RW));
}

static void test_no_domain(void)
{
    g_autoptr(Fixture) fixture = fixture_new_pair(NULL);

    ASSERT_REFUSED(fixture, map(fixture, 1, 0, 0xfff, 0, RW), NOENT,
                   NO_DOMAIN);
    ASSERT_OK(fixture, attach(fixture, 1, 8, 0));
    ASSERT_REFUSED(fixture, map(fixture, 0, 0, 0xfff, 0, RW), NOENT,
                   NO_DOMAIN);
    ASSERT_OK(fixture, map(fixture, 1, 0, 0xfff, 0, RW));
}

static void test_bypass_domain(void)
{
    g_autoptr(Fixture) fixture = fixture_new_pair(NULL);

    ASSERT_OK(fixture, attach(fixture, 1, 8, PVIOMMU_ATTACH_F_BYPASS));
    ASSERT_REFUSED(fixture, map(fixture, 1, 0, 0xfff, 0, RW), INVAL,
                   BYPASS_DOMAIN);
}

static void test_unaligned(void)
{
    static const uint64_t granules[] = {
        0x2, 0x1000, 0x10000, 0x200000, UINT64_C(1) << 63,
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(granules); i++) {
        uint64_t granule = granules[i];
        uint64_t half = granule / 2;
        g_autoptr(Fixture) fixture = new_with_granule(granule);

        ASSERT_REFUSED(fixture, map(fixture, 1, half, granule - 1, 0, RW),
                       RANGE, UNALIGNED);
        ASSERT_REFUSED(fixture, map(fixture, 1, 1, granule - 1, 0, RW),
                       RANGE, UNALIGNED);
        ASSERT_REFUSED(fixture, map(fixture, 1, 0, granule - 1, half, RW),
                       RANGE, UNALIGNED);
        ASSERT_REFUSED(fixture, map(fixture, 1, 0, granule - 2, 0, RW),
                       RANGE, UNALIGNED);
        ASSERT_REFUSED(fixture, map(fixture, 1, 0, granule, 0, RW),
                       RANGE, UNALIGNED);
        ASSERT_REFUSED(fixture, map(fixture, 1, 0, UINT64_MAX - 1, 0, RW),
                       RANGE, UNALIGNED);
        ASSERT_OK(fixture, map(fixture, 1, 0, granule - 1, granule, RW));
        ASSERT_OK(fixture, map(fixture, 1, -granule, UINT64_MAX, 0, RW));
    }
}

static void test_inverted(void)
{
    g_autoptr(Fixture) fixture = new_attached(NULL);

    ASSERT_REFUSED(fixture, map(fixture, 1, 0x3000, 0x2fff, 0, RW), INVAL,
                   INVERTED);
    ASSERT_REFUSED(fixture, map(fixture, 1, 0x2000, 0xfff, 0, RW), INVAL,
                   INVERTED);
    ASSERT_REFUSED(fixture, map(fixture, 1, UINT64_MAX, 0, 0, RW), INVAL,
                   INVERTED);
    ASSERT_OK(fixture, map(fixture, 1, 0, 0xffff, 0, RW));
}

static void test_one_byte(void)
{
    g_autoptr(Fixture) bytes = new_with_granule(1);
    g_autoptr(Fixture) pages = new_attached(NULL);

    ASSERT_OK(bytes, map(bytes, 1, 0, 0, 5, RW));
    ASSERT_OK(bytes, map(bytes, 1, 1, 1, 4, RW));
    ASSERT_OK(bytes, map(bytes, 1, UINT64_MAX, UINT64_MAX, UINT64_MAX, RW));
    ASSERT_OK(bytes, unmap(bytes, 1, 1, 1));
    g_assert_true(is_mapped(bytes, 1, 0, 0));
    g_assert_true(is_mapped(bytes, 1, UINT64_MAX, UINT64_MAX));
    ASSERT_REFUSED(pages, map(pages, 1, 0, 0, 0, RW), RANGE, UNALIGNED);
    ASSERT_REFUSED(pages, map(pages, 1, UINT64_MAX, UINT64_MAX, 0, RW),
                   RANGE, UNALIGNED);
}

static void test_overlap(void)
{
    static const uint64_t ranges[][2] = {
        { 0x4000, 0x5fff }, { 0x6000, 0x8fff }, { 0x6000, 0x6fff },
        { 0x4000, 0x8fff }, { 0x5000, 0x7fff }, { 0, UINT64_MAX },
        { 0x5000, 0x5fff }, { 0x7000, 0x7fff },
    };
    g_autoptr(Fixture) fixture = new_attached(NULL);

    ASSERT_OK(fixture, map(fixture, 1, 0x5000, 0x7fff, 0x1000, RW));
    for (unsigned i = 0; i < G_N_ELEMENTS(ranges); i++) {
        ASSERT_REFUSED(fixture, map(fixture, 1, ranges[i][0], ranges[i][1],
                                    0, RW),
                       INVAL, OVERLAP);
    }
    g_assert_true(is_mapped(fixture, 1, 0x5000, 0x7fff));
}

static void test_touching(void)
{
    g_autoptr(Fixture) fixture = new_attached(NULL);

    ASSERT_OK(fixture, map(fixture, 1, 0x5000, 0x7fff, 0x5000, RW));
    ASSERT_OK(fixture, map(fixture, 1, 0x4000, 0x4fff, 0x4000, RW));
    ASSERT_OK(fixture, map(fixture, 1, 0x8000, 0x8fff, 0x8000, RW));
    g_assert_true(is_mapped(fixture, 1, 0x4000, 0x4fff));
    g_assert_true(is_mapped(fixture, 1, 0x5000, 0x7fff));
    g_assert_true(is_mapped(fixture, 1, 0x8000, 0x8fff));
    g_assert_cmpuint(pviommu_iommu_mapping_count(fixture->iommu), ==, 3);
}

static void test_input_range(void)
{
    PviommuConfig config = fixture_config;
    g_autoptr(Fixture) fixture = NULL;

    config.input_first = 0x10000;
    config.input_last = 0xfffff;
    fixture = new_attached(&config);
    ASSERT_REFUSED(fixture, map(fixture, 1, 0xf000, 0xffff, 0, RW), RANGE,
                   INPUT_RANGE);
    ASSERT_REFUSED(fixture, map(fixture, 1, 0xf000, 0x10fff, 0, RW), RANGE,
                   INPUT_RANGE);
    ASSERT_REFUSED(fixture, map(fixture, 1, 0xff000, 0x100fff, 0, RW), RANGE,
                   INPUT_RANGE);
    ASSERT_REFUSED(fixture, map(fixture, 1, 0x100000, 0x100fff, 0, RW),
                   RANGE, INPUT_RANGE);
    ASSERT_REFUSED(fixture, map(fixture, 1, 0, UINT64_MAX, 0, RW), RANGE,
                   INPUT_RANGE);
    ASSERT_OK(fixture, map(fixture, 1, 0x10000, 0x10fff, 0, RW));
    ASSERT_OK(fixture, map(fixture, 1, 0xff000, 0xfffff, 0, RW));
}

static void test_reserved_region(void)
{
    g_autoptr(Fixture) fixture = new_attached(NULL);

    fixture_reserve(fixture->group[0], 0xfee00000, 0xfeefffff,
                    PVIOMMU_REGION_MSI);
    ASSERT_REFUSED(fixture, map(fixture, 1, 0xfee00000, 0xfee00fff, 0, RW),
                   INVAL, RESERVED_REGION);
    ASSERT_REFUSED(fixture, map(fixture, 1, 0xfeeff000, 0xfeefffff, 0, RW),
                   INVAL, RESERVED_REGION);
    ASSERT_REFUSED(fixture, map(fixture, 1, 0xfed00000, 0xfeffffff, 0, RW),
                   INVAL, RESERVED_REGION);
    ASSERT_REFUSED(fixture, map(fixture, 1, 0, UINT64_MAX, 0, RW), INVAL,
                   RESERVED_REGION);
    ASSERT_OK(fixture, map(fixture, 1, 0, 0xfedfffff, 0, RW));
    ASSERT_OK(fixture, map(fixture, 1, 0xfef00000, UINT64_MAX, 0, RW));
}

static void test_regions_of_all(void)
{
    g_autoptr(Fixture) fixture = new_attached(NULL);

    fixture_add(fixture, fixture_add_group(fixture, true), 10);
    fixture_reserve(fixture->group[1], 0x1000, 0x1fff,
                    PVIOMMU_REGION_RESERVED);
    fixture_reserve(fixture->group[2], 0x2000, 0x2fff,
                    PVIOMMU_REGION_RESERVED);
    ASSERT_OK(fixture, map(fixture, 1, 0x1000, 0x2fff, 0, RW));
    ASSERT_OK(fixture, unmap(fixture, 1, 0x1000, 0x2fff));
    ASSERT_OK(fixture, attach(fixture, 1, 9, 0));
    ASSERT_OK(fixture, attach(fixture, 1, 10, 0));
    ASSERT_REFUSED(fixture, map(fixture, 1, 0x1000, 0x1fff, 0, RW), INVAL,
                   RESERVED_REGION);
    ASSERT_REFUSED(fixture, map(fixture, 1, 0x2000, 0x2fff, 0, RW), INVAL,
                   RESERVED_REGION);
    ASSERT_OK(fixture, detach(fixture, 1, 10));
    ASSERT_OK(fixture, map(fixture, 1, 0x2000, 0x2fff, 0, RW));
}

static void test_phys_wrap(void)
{
    g_autoptr(Fixture) fixture = new_attached(NULL);

    ASSERT_REFUSED(fixture, map(fixture, 1, 0, 0x1fff, -UINT64_C(0x1000),
                                RW),
                   FAULT, PHYS_WRAP);
    ASSERT_REFUSED(fixture, map(fixture, 1, 0, UINT64_MAX, 0x1000, RW),
                   FAULT, PHYS_WRAP);
    ASSERT_OK(fixture, map(fixture, 1, 0, 0xfff, -UINT64_C(0x1000), RW));
}

static void test_last_page(void)
{
    g_autoptr(Fixture) fixture = new_attached(NULL);
    PviommuTranslation translation;

    ASSERT_OK(fixture, map(fixture, 1, UINT64_MAX - 0xfff, UINT64_MAX,
                           0x5000, RW));
    g_assert_true(pviommu_translate(fixture->group[0], UINT64_MAX,
                                    PVIOMMU_MAP_F_READ, &translation));
    g_assert_cmphex(translation.phys + (UINT64_MAX - translation.first), ==,
                    0x5fff);
    ASSERT_OK(fixture, unmap(fixture, 1, UINT64_MAX - 0xfff, UINT64_MAX));
    g_assert_cmpuint(pviommu_iommu_mapping_count(fixture->iommu), ==, 0);
}

static void test_whole_space(void)
{
    static const uint64_t granules[] = { 1, 0x1000, UINT64_C(1) << 63 };

    for (unsigned i = 0; i < G_N_ELEMENTS(granules); i++) {
        g_autoptr(Fixture) fixture = new_with_granule(granules[i]);
        PviommuTranslation translation;

        ASSERT_OK(fixture, map(fixture, 1, 0, UINT64_MAX, 0, RW));
        ASSERT_REFUSED(fixture, map(fixture, 1, 0, granules[i] - 1, 0, RW),
                       INVAL, OVERLAP);
        ASSERT_REFUSED(fixture, map(fixture, 1, -granules[i], UINT64_MAX, 0,
                                    RW),
                       INVAL, OVERLAP);
        g_assert_true(pviommu_translate(fixture->group[0], UINT64_MAX, RW,
                                        &translation));
        g_assert_cmphex(translation.first, ==, 0);
        g_assert_cmphex(translation.last, ==, UINT64_MAX);
        ASSERT_REFUSED(fixture, unmap(fixture, 1, 0, UINT64_C(1) << 63),
                       RANGE, SPLIT);
        ASSERT_OK(fixture, unmap(fixture, 1, 0, UINT64_MAX));
        g_assert_false(is_mapped(fixture, 1, 0, UINT64_MAX));
    }
}

static void test_max_mappings(void)
{
    PviommuConfig config = fixture_config;
    g_autoptr(Fixture) fixture = NULL;

    config.max_mappings = 3;
    fixture = new_attached(&config);
    ASSERT_OK(fixture, attach(fixture, 2, 9, 0));
    ASSERT_OK(fixture, map(fixture, 1, 0, 0xfff, 0, RW));
    ASSERT_OK(fixture, map(fixture, 2, 0, 0xfff, 0, RW));
    ASSERT_OK(fixture, map(fixture, 1, 0x1000, 0x1fff, 0, RW));
    ASSERT_REFUSED(fixture, map(fixture, 1, 0x2000, 0x2fff, 0, RW), NOMEM,
                   MAX_MAPPINGS);
    ASSERT_REFUSED(fixture, map(fixture, 2, 0x2000, 0x2fff, 0, RW), NOMEM,
                   MAX_MAPPINGS);
    ASSERT_OK(fixture, unmap(fixture, 1, 0, 0xfff));
    ASSERT_OK(fixture, map(fixture, 2, 0x2000, 0x2fff, 0, RW));
    /* a domain that ends gives its mappings back */
    ASSERT_OK(fixture, detach(fixture, 2, 9));
    ASSERT_OK(fixture, map(fixture, 1, 0x2000, 0x2fff, 0, RW));
    ASSERT_OK(fixture, map(fixture, 1, 0x3000, 0x3fff, 0, RW));
    ASSERT_REFUSED(fixture, map(fixture, 1, 0x4000, 0x4fff, 0, RW), NOMEM,
                   MAX_MAPPINGS);
}

/* Each request breaks one rule less than the one before */
static void test_precedence(void)
{
    PviommuConfig config = fixture_config;
    g_autoptr(Fixture) fixture = NULL;

    config.input_first = 0x10000;
    config.max_mappings = 1;
    fixture = new_attached(&config);
    fixture_reserve(fixture->group[0], 0x20000, 0x20fff,
                    PVIOMMU_REGION_RESERVED);
    ASSERT_OK(fixture, attach(fixture, 2, 9, PVIOMMU_ATTACH_F_BYPASS));
    ASSERT_OK(fixture, map(fixture, 1, 0x21000, 0x21fff, 0, RW));
    ASSERT_REFUSED(fixture, map(fixture, 3, 5, 3, 1, 8), INVAL, FLAGS);
    ASSERT_REFUSED(fixture, map(fixture, 3, 5, 3, 1, RW), INVAL, INVERTED);
    ASSERT_REFUSED(fixture, map(fixture, 3, 3, 5, 1, RW), NOENT, NO_DOMAIN);
    ASSERT_REFUSED(fixture, map(fixture, 2, 3, 5, 1, RW), INVAL,
                   BYPASS_DOMAIN);
    ASSERT_REFUSED(fixture, map(fixture, 1, 3, UINT64_MAX, 1, RW), RANGE,
                   UNALIGNED);
    ASSERT_REFUSED(fixture, map(fixture, 1, 0, UINT64_MAX, 0x1000, RW),
                   RANGE, INPUT_RANGE);
    ASSERT_REFUSED(fixture, map(fixture, 1, 0x20000, 0x21fff,
                                -UINT64_C(0x1000), RW),
                   FAULT, PHYS_WRAP);
    ASSERT_REFUSED(fixture, map(fixture, 1, 0x20000, 0x21fff, 0, RW),
                   INVAL, RESERVED_REGION);
    ASSERT_REFUSED(fixture, map(fixture, 1, 0x21000, 0x21fff, 0, RW),
                   INVAL, OVERLAP);
    ASSERT_REFUSED(fixture, map(fixture, 1, 0x22000, 0x22fff, 0, RW),
                   NOMEM, MAX_MAPPINGS);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/pviommu/map/maps", test_maps);
    g_test_add_func("/pviommu/map/flags", test_flags);
    g_test_add_func("/pviommu/map/mmio-not-negotiated",
                    test_mmio_not_negotiated);
    g_test_add_func("/pviommu/map/absent-domain", test_no_domain);
    g_test_add_func("/pviommu/map/bypass-domain", test_bypass_domain);
    g_test_add_func("/pviommu/map/unaligned", test_unaligned);
    g_test_add_func("/pviommu/map/inverted", test_inverted);
    g_test_add_func("/pviommu/map/one-byte", test_one_byte);
    g_test_add_func("/pviommu/map/overlap", test_overlap);
    g_test_add_func("/pviommu/map/touching-neighbours", test_touching);
    g_test_add_func("/pviommu/map/input-range", test_input_range);
    g_test_add_func("/pviommu/map/reserved-region", test_reserved_region);
    g_test_add_func("/pviommu/map/regions-of-all-endpoints",
                    test_regions_of_all);
    g_test_add_func("/pviommu/map/phys-wraps", test_phys_wrap);
    g_test_add_func("/pviommu/map/last-page", test_last_page);
    g_test_add_func("/pviommu/map/whole-space", test_whole_space);
    g_test_add_func("/pviommu/map/max-mappings", test_max_mappings);
    g_test_add_func("/pviommu/map/precedence", test_precedence);
    return g_test_run();
}
