/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu tests: ATTACH
 */
#include "fixture.h"

#define BYPASS PVIOMMU_ATTACH_F_BYPASS

static PviommuDomain *domain_of(const Fixture *fixture, unsigned index)
{
    return pviommu_endpoint_domain(fixture->endpoint[index]);
}

static uint32_t domain_id_of(const Fixture *fixture, unsigned index)
{
    PviommuDomain *domain = domain_of(fixture, index);

    g_assert_nonnull(domain);
    return pviommu_domain_id(domain);
}

static void assert_switch(const Fixture *fixture, PviommuGroup *group,
                          bool from, bool to)
{
    g_assert_cmpint(fixture->change.kind, ==, PVIOMMU_CHANGE_SWITCH);
    g_assert_true(fixture->change.group == group);
    g_assert_cmpint(fixture->change.from != NULL, ==, from);
    g_assert_cmpint(fixture->change.to != NULL, ==, to);
}

static void test_creates(void)
{
    g_autoptr(Fixture) fixture = fixture_new_pair(NULL);

    ASSERT_OK(fixture, attach(fixture, 1, 8, 0));
    assert_switch(fixture, fixture->group[0], false, true);
    g_assert_true(fixture->change.to == domain_of(fixture, 0));
    g_assert_cmpuint(domain_id_of(fixture, 0), ==, 1);
    g_assert_false(pviommu_domain_bypass(domain_of(fixture, 0)));
    g_assert_cmpint(pviommu_group_state(fixture->group[0]), ==,
                    PVIOMMU_TRANSLATED);
    g_assert_null(domain_of(fixture, 1));
    g_assert_cmpuint(pviommu_iommu_domain_count(fixture->iommu), ==, 1);
}

static void test_creates_bypass(void)
{
    g_autoptr(Fixture) fixture = fixture_new_pair(NULL);

    pviommu_iommu_set_bypass(fixture->iommu, false);
    ASSERT_OK(fixture, attach(fixture, 1, 8, BYPASS));
    assert_switch(fixture, fixture->group[0], false, true);
    g_assert_true(pviommu_domain_bypass(domain_of(fixture, 0)));
    g_assert_cmpint(pviommu_group_state(fixture->group[0]), ==,
                    PVIOMMU_BYPASS);
    ASSERT_OK(fixture, attach(fixture, 1, 9, BYPASS));
    g_assert_cmpint(pviommu_group_state(fixture->group[1]), ==,
                    PVIOMMU_BYPASS);
}

static void test_reserved(void)
{
    for (unsigned i = 16; i < 20; i++) {
        g_autoptr(Fixture) fixture = fixture_new_pair(NULL);
        uint8_t bytes[PVIOMMU_REQUEST_MAX];
        size_t size = build_attach(bytes, 2, 8, 0);

        ASSERT_OK(fixture, attach(fixture, 1, 8, 0));
        bytes[i] = 0x80;
        ASSERT_REFUSED(fixture, submit(fixture, bytes, size, 4), INVAL,
                       RESERVED);
        ASSERT_OK(fixture, map(fixture, 1, 0, 0xfff, 0, 3));
    }
}

static void test_flags(void)
{
    g_autoptr(Fixture) fixture = fixture_new_pair(NULL);

    for (unsigned bit = 1; bit < 32; bit++) {
        ASSERT_REFUSED(fixture, attach(fixture, 1, 8, 1u << bit), INVAL,
                       FLAGS);
        ASSERT_REFUSED(fixture, attach(fixture, 1, 8, 1u << bit | BYPASS),
                       INVAL, FLAGS);
    }
}

static void test_bypass_not_negotiated(void)
{
    g_autoptr(Fixture) fixture = fixture_new_pair(NULL);

    pviommu_iommu_set_features(fixture->iommu, FIXTURE_ALL_FEATURES &
                               ~(1u << PVIOMMU_F_BYPASS_CONFIG));
    ASSERT_REFUSED(fixture, attach(fixture, 1, 8, BYPASS), INVAL,
                   NOT_NEGOTIATED);
    ASSERT_OK(fixture, attach(fixture, 1, 8, 0));
}

static void test_no_endpoint(void)
{
    g_autoptr(Fixture) fixture = fixture_new_pair(NULL);

    ASSERT_REFUSED(fixture, attach(fixture, 1, 7, 0), NOENT, NO_ENDPOINT);
    ASSERT_REFUSED(fixture, attach(fixture, 1, 0x10008, 0), NOENT,
                   NO_ENDPOINT);
    ASSERT_REFUSED(fixture, attach(fixture, 1, UINT32_MAX, 0), NOENT,
                   NO_ENDPOINT);
    fixture->id[0] = PVIOMMU_NO_ID;
    fixture_renumber(fixture);
    ASSERT_REFUSED(fixture, attach(fixture, 1, 8, 0), NOENT, NO_ENDPOINT);
    ASSERT_REFUSED(fixture, attach(fixture, 1, UINT32_MAX, 0), NOENT,
                   NO_ENDPOINT);
}

static void test_last_endpoint_id(void)
{
    g_autoptr(Fixture) fixture = fixture_new_pair(NULL);

    fixture->id[0] = UINT32_MAX;
    fixture->id[1] = 0;
    fixture_renumber(fixture);
    ASSERT_OK(fixture, attach(fixture, 1, UINT32_MAX, 0));
    ASSERT_OK(fixture, attach(fixture, 2, 0, 0));
    g_assert_cmpuint(domain_id_of(fixture, 0), ==, 1);
    g_assert_cmpuint(domain_id_of(fixture, 1), ==, 2);
}

static void test_domain_range(void)
{
    PviommuConfig config = fixture_config;
    g_autoptr(Fixture) fixture = NULL;

    config.domain_first = 5;
    config.domain_last = 7;
    fixture = fixture_new_pair(&config);
    ASSERT_REFUSED(fixture, attach(fixture, 4, 8, 0), RANGE, DOMAIN_RANGE);
    ASSERT_REFUSED(fixture, attach(fixture, 8, 8, 0), RANGE, DOMAIN_RANGE);
    ASSERT_REFUSED(fixture, attach(fixture, 0, 8, 0), RANGE, DOMAIN_RANGE);
    ASSERT_REFUSED(fixture, attach(fixture, UINT32_MAX, 8, 0), RANGE,
                   DOMAIN_RANGE);
    ASSERT_OK(fixture, attach(fixture, 5, 8, 0));
    ASSERT_OK(fixture, attach(fixture, 7, 9, 0));
}

static void test_domain_id_ends(void)
{
    g_autoptr(Fixture) fixture = fixture_new_pair(NULL);

    ASSERT_OK(fixture, attach(fixture, 0, 8, 0));
    ASSERT_OK(fixture, attach(fixture, UINT32_MAX, 9, 0));
    g_assert_cmpuint(domain_id_of(fixture, 0), ==, 0);
    g_assert_cmpuint(domain_id_of(fixture, 1), ==, UINT32_MAX);
}

static void test_kind(void)
{
    g_autoptr(Fixture) fixture = fixture_new_pair(NULL);

    ASSERT_OK(fixture, attach(fixture, 1, 8, 0));
    ASSERT_OK(fixture, map(fixture, 1, 0, 0xfff, 0, 3));
    ASSERT_OK(fixture, attach(fixture, 2, 9, BYPASS));
    ASSERT_REFUSED(fixture, attach(fixture, 2, 8, 0), INVAL, DOMAIN_KIND);
    g_assert_true(is_mapped(fixture, 1, 0, 0xfff));
    ASSERT_REFUSED(fixture, attach(fixture, 1, 9, BYPASS), INVAL,
                   DOMAIN_KIND);
    ASSERT_OK(fixture, attach(fixture, 2, 8, BYPASS));
}

static void test_kind_of_only_endpoint(void)
{
    g_autoptr(Fixture) fixture = fixture_new_pair(NULL);

    ASSERT_OK(fixture, attach(fixture, 1, 8, 0));
    ASSERT_REFUSED(fixture, attach(fixture, 1, 8, BYPASS), INVAL,
                   DOMAIN_KIND);
    ASSERT_OK(fixture, attach(fixture, 2, 9, BYPASS));
    ASSERT_REFUSED(fixture, attach(fixture, 2, 9, 0), INVAL, DOMAIN_KIND);
}

static void test_move(void)
{
    g_autoptr(Fixture) fixture = fixture_new_pair(NULL);

    ASSERT_OK(fixture, attach(fixture, 1, 8, 0));
    ASSERT_OK(fixture, map(fixture, 1, 0, 0xfff, 0, 3));
    ASSERT_OK(fixture, attach(fixture, 2, 8, 0));
    assert_switch(fixture, fixture->group[0], true, true);
    g_assert_cmpuint(pviommu_iommu_mapping_count(fixture->iommu), ==, 0);
    ASSERT_REFUSED(fixture, map(fixture, 1, 0x1000, 0x1fff, 0, 3), NOENT,
                   NO_DOMAIN);
    ASSERT_OK(fixture, attach(fixture, 1, 8, 0));
    g_assert_false(is_mapped(fixture, 1, 0, 0xfff));
    ASSERT_OK(fixture, map(fixture, 1, 0, 0xfff, 0, 3));
}

static void test_one_of_two_moves(void)
{
    g_autoptr(Fixture) fixture = fixture_new_pair(NULL);
    PviommuTranslation translation;

    ASSERT_OK(fixture, attach(fixture, 1, 8, 0));
    ASSERT_OK(fixture, attach(fixture, 1, 9, 0));
    ASSERT_OK(fixture, map(fixture, 1, 0, 0xfff, 0x7000, 3));
    ASSERT_OK(fixture, attach(fixture, 2, 8, 0));
    g_assert_true(pviommu_translate(fixture->group[1], 4,
                                    PVIOMMU_MAP_F_READ, &translation));
    g_assert_cmphex(translation.phys, ==, 0x7000);
    g_assert_false(pviommu_translate(fixture->group[0], 4,
                                     PVIOMMU_MAP_F_READ, &translation));
    g_assert_cmpint(translation.reason, ==, PVIOMMU_FAULT_R_MAPPING);
}

static void test_same_again(void)
{
    g_autoptr(Fixture) fixture = fixture_new_pair(NULL);

    ASSERT_OK(fixture, attach(fixture, 1, 8, 0));
    ASSERT_OK(fixture, map(fixture, 1, 0, 0xfff, 0, 3));
    ASSERT_OK(fixture, attach(fixture, 1, 8, 0));
    g_assert_cmpint(fixture->change.kind, ==, PVIOMMU_CHANGE_NONE);
    g_assert_true(is_mapped(fixture, 1, 0, 0xfff));
    ASSERT_OK(fixture, attach(fixture, 2, 9, BYPASS));
    ASSERT_OK(fixture, attach(fixture, 2, 9, BYPASS));
    g_assert_cmpint(fixture->change.kind, ==, PVIOMMU_CHANGE_NONE);
}

static void test_second_endpoint(void)
{
    g_autoptr(Fixture) fixture = fixture_new_pair(NULL);
    PviommuTranslation translation;

    ASSERT_OK(fixture, attach(fixture, 1, 8, 0));
    ASSERT_OK(fixture, map(fixture, 1, 0, 0xfff, 0x7000, 3));
    ASSERT_OK(fixture, attach(fixture, 1, 9, 0));
    assert_switch(fixture, fixture->group[1], false, true);
    g_assert_cmpuint(pviommu_iommu_domain_count(fixture->iommu), ==, 1);
    g_assert_true(pviommu_translate(fixture->group[1], 0,
                                    PVIOMMU_MAP_F_WRITE, &translation));
}

static void test_reserved_region(void)
{
    g_autoptr(Fixture) fixture = fixture_new_pair(NULL);

    fixture_reserve(fixture->group[1], 0x5000, 0x6fff,
                    PVIOMMU_REGION_RESERVED);
    fixture_reserve(fixture->group[1], 0x9000, 0x9fff, PVIOMMU_REGION_MSI);
    ASSERT_OK(fixture, attach(fixture, 1, 8, 0));
    ASSERT_OK(fixture, map(fixture, 1, 0x4000, 0x5fff, 0, 3));
    ASSERT_REFUSED(fixture, attach(fixture, 1, 9, 0), UNSUPP,
                   RESERVED_REGION);
    ASSERT_OK(fixture, unmap(fixture, 1, 0x4000, 0x5fff));
    ASSERT_OK(fixture, map(fixture, 1, 0x8000, 0xafff, 0, 3));
    ASSERT_REFUSED(fixture, attach(fixture, 1, 9, 0), UNSUPP,
                   RESERVED_REGION);
    ASSERT_OK(fixture, unmap(fixture, 1, 0x8000, 0xafff));
    /* around the regions is fine */
    ASSERT_OK(fixture, map(fixture, 1, 0x4000, 0x4fff, 0, 3));
    ASSERT_OK(fixture, map(fixture, 1, 0x7000, 0x8fff, 0, 3));
    ASSERT_OK(fixture, map(fixture, 1, 0xa000, 0xafff, 0, 3));
    ASSERT_OK(fixture, attach(fixture, 1, 9, 0));
}

static void test_differing_regions(void)
{
    g_autoptr(Fixture) fixture = fixture_new_pair(NULL);

    fixture_reserve(fixture->group[0], 0, 0xfff, PVIOMMU_REGION_RESERVED);
    fixture_reserve(fixture->group[1], 0x2000, UINT64_MAX,
                    PVIOMMU_REGION_RESERVED);
    ASSERT_OK(fixture, attach(fixture, 1, 8, 0));
    ASSERT_OK(fixture, attach(fixture, 1, 9, 0));
}

static void test_max_domains(void)
{
    PviommuConfig config = fixture_config;
    g_autoptr(Fixture) fixture = NULL;

    config.max_domains = 1;
    fixture = fixture_new_pair(&config);
    ASSERT_OK(fixture, attach(fixture, 1, 8, 0));
    ASSERT_REFUSED(fixture, attach(fixture, 2, 9, 0), NOMEM, MAX_DOMAINS);
    ASSERT_REFUSED(fixture, attach(fixture, 2, 9, BYPASS), NOMEM,
                   MAX_DOMAINS);
    /* its old domain ends with the move */
    ASSERT_OK(fixture, attach(fixture, 2, 8, 0));
    ASSERT_OK(fixture, attach(fixture, 2, 9, 0));
    ASSERT_REFUSED(fixture, attach(fixture, 3, 9, 0), NOMEM, MAX_DOMAINS);
    ASSERT_OK(fixture, detach(fixture, 2, 9));
    ASSERT_OK(fixture, detach(fixture, 2, 8));
    ASSERT_OK(fixture, attach(fixture, 3, 9, BYPASS));
}

static void test_no_domains(void)
{
    PviommuConfig config = fixture_config;
    g_autoptr(Fixture) fixture = NULL;

    config.max_domains = 0;
    fixture = fixture_new_pair(&config);
    ASSERT_REFUSED(fixture, attach(fixture, 1, 8, 0), NOMEM, MAX_DOMAINS);
}

/* Endpoints 8 and 9 in one group */
static Fixture *new_siblings(bool name_only)
{
    Fixture *fixture = fixture_new(NULL);
    PviommuGroup *group = fixture_add_group(fixture, name_only);

    fixture_add(fixture, group, 8);
    fixture_add(fixture, group, 9);
    return fixture;
}

static void test_sibling_elsewhere(void)
{
    g_autoptr(Fixture) fixture = new_siblings(false);

    ASSERT_OK(fixture, attach(fixture, 1, 8, 0));
    ASSERT_REFUSED(fixture, attach(fixture, 2, 9, 0), UNSUPP, GROUP);
    ASSERT_REFUSED(fixture, attach(fixture, 2, 9, BYPASS), UNSUPP, GROUP);
    ASSERT_OK(fixture, attach(fixture, 1, 9, 0));
    g_assert_cmpint(fixture->change.kind, ==, PVIOMMU_CHANGE_NONE);
    ASSERT_REFUSED(fixture, attach(fixture, 2, 9, 0), UNSUPP, GROUP);
    ASSERT_REFUSED(fixture, attach(fixture, 2, 8, 0), UNSUPP, GROUP);
    ASSERT_OK(fixture, detach(fixture, 1, 8));
    g_assert_cmpint(fixture->change.kind, ==, PVIOMMU_CHANGE_NONE);
    ASSERT_OK(fixture, attach(fixture, 2, 9, 0));
    assert_switch(fixture, fixture->group[0], true, true);
}

static void test_sibling_and_existing_domain(void)
{
    g_autoptr(Fixture) fixture = new_siblings(false);

    fixture_add(fixture, fixture_add_group(fixture, false), 10);
    ASSERT_OK(fixture, attach(fixture, 1, 8, 0));
    ASSERT_OK(fixture, attach(fixture, 2, 10, 0));
    ASSERT_REFUSED(fixture, attach(fixture, 2, 9, 0), UNSUPP, GROUP);
    ASSERT_OK(fixture, attach(fixture, 2, 8, 0));
    assert_switch(fixture, fixture->group[0], true, true);
}

static void test_name_only(void)
{
    g_autoptr(Fixture) fixture = new_siblings(true);

    ASSERT_OK(fixture, attach(fixture, 1, 8, 0));
    g_assert_cmpint(fixture->change.kind, ==, PVIOMMU_CHANGE_NONE);
    g_assert_cmpuint(domain_id_of(fixture, 0), ==, 1);
    ASSERT_OK(fixture, map(fixture, 1, 0, 0xfff, 0, 3));
    ASSERT_OK(fixture, attach(fixture, 2, 8, BYPASS));
    g_assert_cmpint(fixture->change.kind, ==, PVIOMMU_CHANGE_NONE);
    g_assert_null(fixture_domain(fixture, 1));
    ASSERT_OK(fixture, detach(fixture, 2, 8));
    g_assert_cmpint(fixture->change.kind, ==, PVIOMMU_CHANGE_NONE);
    g_assert_cmpuint(pviommu_iommu_domain_count(fixture->iommu), ==, 0);
}

static void test_fenced_again(void)
{
    g_autoptr(Fixture) fixture = new_siblings(false);
    PviommuGroup *group = fixture->group[0];

    ASSERT_OK(fixture, attach(fixture, 1, 8, 0));
    pviommu_group_set_fenced(group, true);
    g_assert_cmpint(pviommu_group_state(group), ==, PVIOMMU_BLOCKED);
    ASSERT_OK(fixture, attach(fixture, 1, 8, 0));
    assert_switch(fixture, group, true, true);
    g_assert_true(fixture->change.from == fixture->change.to);
    g_assert_false(pviommu_group_fenced(group));
    g_assert_cmpint(pviommu_group_state(group), ==, PVIOMMU_TRANSLATED);
    /* so does the sibling's */
    pviommu_group_set_fenced(group, true);
    ASSERT_OK(fixture, attach(fixture, 1, 9, 0));
    assert_switch(fixture, group, true, true);
    g_assert_true(fixture->change.from == fixture->change.to);
    g_assert_false(pviommu_group_fenced(group));
}

static void test_fenced_moves(void)
{
    g_autoptr(Fixture) fixture = fixture_new_pair(NULL);
    PviommuGroup *group = fixture->group[0];

    ASSERT_OK(fixture, attach(fixture, 1, 8, 0));
    pviommu_group_set_fenced(group, true);
    ASSERT_OK(fixture, attach(fixture, 2, 8, 0));
    assert_switch(fixture, group, true, true);
    g_assert_false(pviommu_group_fenced(group));
    pviommu_group_set_fenced(group, true);
    ASSERT_OK(fixture, detach(fixture, 2, 8));
    assert_switch(fixture, group, true, false);
    g_assert_false(pviommu_group_fenced(group));
}

static void test_id_again(void)
{
    g_autoptr(Fixture) fixture = fixture_new_pair(NULL);

    for (unsigned i = 0; i < 4; i++) {
        ASSERT_OK(fixture, attach(fixture, 1, 8, i % 2 ? BYPASS : 0));
        if (i % 2 == 0) {
            ASSERT_OK(fixture, map(fixture, 1, 0, 0xfff, 0, 3));
        }
        ASSERT_OK(fixture, detach(fixture, 1, 8));
    }
}

/* Of two rules that are broken the one that comes first decides */
static void test_precedence(void)
{
    PviommuConfig config = fixture_config;
    g_autoptr(Fixture) fixture = NULL;
    uint8_t bytes[PVIOMMU_REQUEST_MAX];
    size_t size = build_attach(bytes, 4, 7, 2);

    config.domain_first = 1;
    config.domain_last = 3;
    config.max_domains = 2;
    fixture = fixture_new_pair(&config);
    bytes[19] = 1;
    ASSERT_REFUSED(fixture, submit(fixture, bytes, size, 4), INVAL,
                   RESERVED);
    ASSERT_REFUSED(fixture, attach(fixture, 4, 7, 2), INVAL, FLAGS);
    ASSERT_REFUSED(fixture, attach(fixture, 4, 7, 0), NOENT, NO_ENDPOINT);
    ASSERT_OK(fixture, attach(fixture, 1, 8, 0));
    ASSERT_OK(fixture, attach(fixture, 2, 9, 0));
    fixture_add(fixture, fixture->group[0], 10);
    fixture_reserve(fixture->group[0], 0, 0xfff, PVIOMMU_REGION_RESERVED);
    ASSERT_OK(fixture, map(fixture, 2, 0, 0xfff, 0, 3));
    ASSERT_REFUSED(fixture, attach(fixture, 2, 10, BYPASS), INVAL,
                   DOMAIN_KIND);
    ASSERT_REFUSED(fixture, attach(fixture, 4, 10, 0), RANGE, DOMAIN_RANGE);
    ASSERT_REFUSED(fixture, attach(fixture, 2, 10, 0), UNSUPP, GROUP);
    ASSERT_REFUSED(fixture, attach(fixture, 3, 10, 0), UNSUPP, GROUP);
    fixture_add(fixture, fixture_add_group(fixture, false), 11);
    ASSERT_REFUSED(fixture, attach(fixture, 3, 11, 0), NOMEM, MAX_DOMAINS);
}

static void add_group_tests(void)
{
    g_test_add_func("/pviommu/attach/sibling-elsewhere",
                    test_sibling_elsewhere);
    g_test_add_func("/pviommu/attach/sibling-and-existing-domain",
                    test_sibling_and_existing_domain);
    g_test_add_func("/pviommu/attach/name-only-group", test_name_only);
    g_test_add_func("/pviommu/attach/fenced-again", test_fenced_again);
    g_test_add_func("/pviommu/attach/fenced-moves", test_fenced_moves);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/pviommu/attach/creates-domain", test_creates);
    g_test_add_func("/pviommu/attach/creates-bypass-domain",
                    test_creates_bypass);
    g_test_add_func("/pviommu/attach/reserved-nonzero", test_reserved);
    g_test_add_func("/pviommu/attach/unknown-flag", test_flags);
    g_test_add_func("/pviommu/attach/bypass-not-negotiated",
                    test_bypass_not_negotiated);
    g_test_add_func("/pviommu/attach/absent-endpoint", test_no_endpoint);
    g_test_add_func("/pviommu/attach/last-endpoint-id",
                    test_last_endpoint_id);
    g_test_add_func("/pviommu/attach/domain-range", test_domain_range);
    g_test_add_func("/pviommu/attach/domain-id-ends", test_domain_id_ends);
    g_test_add_func("/pviommu/attach/kind-disagrees", test_kind);
    g_test_add_func("/pviommu/attach/kind-of-only-endpoint",
                    test_kind_of_only_endpoint);
    g_test_add_func("/pviommu/attach/move-ends-old-domain", test_move);
    g_test_add_func("/pviommu/attach/one-of-two-moves",
                    test_one_of_two_moves);
    g_test_add_func("/pviommu/attach/same-domain-again", test_same_again);
    g_test_add_func("/pviommu/attach/second-endpoint", test_second_endpoint);
    g_test_add_func("/pviommu/attach/mapping-in-reserved-region",
                    test_reserved_region);
    g_test_add_func("/pviommu/attach/differing-regions",
                    test_differing_regions);
    g_test_add_func("/pviommu/attach/max-domains", test_max_domains);
    g_test_add_func("/pviommu/attach/no-domains", test_no_domains);
    g_test_add_func("/pviommu/attach/id-again-of-either-kind",
                    test_id_again);
    g_test_add_func("/pviommu/attach/precedence", test_precedence);
    add_group_tests();
    return g_test_run();
}
