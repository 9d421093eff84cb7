/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu tests: DETACH, and endpoints that are detached otherwise
 */
#include <string.h>

#include "fixture.h"

static void test_last_ends_domain(void)
{
    g_autoptr(Fixture) fixture = fixture_new_pair(NULL);

    ASSERT_OK(fixture, attach(fixture, 1, 8, 0));
    ASSERT_OK(fixture, map(fixture, 1, 0, 0xfff, 0, 3));
    ASSERT_OK(fixture, detach(fixture, 1, 8));
    g_assert_cmpint(fixture->change.kind, ==, PVIOMMU_CHANGE_SWITCH);
    g_assert_true(fixture->change.group == fixture->group[0]);
    g_assert_nonnull(fixture->change.from);
    g_assert_null(fixture->change.to);
    g_assert_cmpuint(pviommu_iommu_domain_count(fixture->iommu), ==, 0);
    g_assert_cmpuint(pviommu_iommu_mapping_count(fixture->iommu), ==, 0);
    ASSERT_REFUSED(fixture, map(fixture, 1, 0, 0xfff, 0, 3), NOENT,
                   NO_DOMAIN);
    /* kind and mappings are forgotten */
    ASSERT_OK(fixture, attach(fixture, 1, 8, PVIOMMU_ATTACH_F_BYPASS));
    ASSERT_OK(fixture, detach(fixture, 1, 8));
    ASSERT_OK(fixture, attach(fixture, 1, 8, 0));
    g_assert_false(is_mapped(fixture, 1, 0, 0xfff));
}

static void test_one_of_two(void)
{
    g_autoptr(Fixture) fixture = fixture_new_pair(NULL);
    PviommuTranslation translation;

    pviommu_iommu_set_bypass(fixture->iommu, false);
    ASSERT_OK(fixture, attach(fixture, 1, 8, 0));
    ASSERT_OK(fixture, attach(fixture, 1, 9, 0));
    ASSERT_OK(fixture, map(fixture, 1, 0, 0xfff, 0, 3));
    ASSERT_OK(fixture, detach(fixture, 1, 8));
    g_assert_true(is_mapped(fixture, 1, 0, 0xfff));
    g_assert_false(pviommu_translate(fixture->group[0], 0,
                                     PVIOMMU_MAP_F_READ, &translation));
    g_assert_cmpint(translation.reason, ==, PVIOMMU_FAULT_R_DOMAIN);
    g_assert_true(pviommu_translate(fixture->group[1], 0,
                                    PVIOMMU_MAP_F_READ, &translation));
}

static void test_state_after(void)
{
    for (int bypass = 0; bypass < 2; bypass++) {
        for (uint32_t flags = 0; flags < 2; flags++) {
            g_autoptr(Fixture) fixture = fixture_new_pair(NULL);

            pviommu_iommu_set_bypass(fixture->iommu, bypass);
            ASSERT_OK(fixture, attach(fixture, 1, 8, flags));
            ASSERT_OK(fixture, detach(fixture, 1, 8));
            g_assert_cmpint(pviommu_group_state(fixture->group[0]), ==,
                            bypass ? PVIOMMU_BYPASS : PVIOMMU_BLOCKED);
        }
    }
}

static void test_reserved(void)
{
    g_autoptr(Fixture) fixture = fixture_new_pair(NULL);
    uint8_t bytes[PVIOMMU_REQUEST_MAX];
    size_t size = build_detach(bytes, 1, 8);

    ASSERT_OK(fixture, attach(fixture, 1, 8, 0));
    memset(bytes + 12, 0xff, 8);
    ASSERT_OK(fixture, submit(fixture, bytes, size, 4));
}

static void test_no_endpoint(void)
{
    g_autoptr(Fixture) fixture = fixture_new_pair(NULL);

    ASSERT_OK(fixture, attach(fixture, 1, 8, 0));
    ASSERT_REFUSED(fixture, detach(fixture, 1, 7), NOENT, NO_ENDPOINT);
    ASSERT_REFUSED(fixture, detach(fixture, 1, 0x10008), NOENT, NO_ENDPOINT);
    ASSERT_REFUSED(fixture, detach(fixture, 2, 7), NOENT, NO_ENDPOINT);
}

static void test_no_domain(void)
{
    g_autoptr(Fixture) fixture = fixture_new_pair(NULL);

    ASSERT_REFUSED(fixture, detach(fixture, 1, 8), INVAL, NO_DOMAIN);
    ASSERT_OK(fixture, attach(fixture, 1, 8, 0));
    ASSERT_REFUSED(fixture, detach(fixture, 2, 8), INVAL, NO_DOMAIN);
    ASSERT_REFUSED(fixture, detach(fixture, UINT32_MAX, 8), INVAL,
                   NO_DOMAIN);
}

static void test_not_attached(void)
{
    g_autoptr(Fixture) fixture = fixture_new_pair(NULL);

    ASSERT_OK(fixture, attach(fixture, 1, 8, 0));
    ASSERT_REFUSED(fixture, detach(fixture, 1, 9), INVAL, NOT_ATTACHED);
    ASSERT_OK(fixture, attach(fixture, 2, 9, 0));
    ASSERT_REFUSED(fixture, detach(fixture, 1, 9), INVAL, NOT_ATTACHED);
    ASSERT_REFUSED(fixture, detach(fixture, 2, 8), INVAL, NOT_ATTACHED);
    ASSERT_OK(fixture, detach(fixture, 2, 9));
    ASSERT_REFUSED(fixture, detach(fixture, 2, 9), INVAL, NO_DOMAIN);
}

static void test_siblings(void)
{
    g_autoptr(Fixture) fixture = fixture_new(NULL);
    PviommuGroup *group = fixture_add_group(fixture, false);

    fixture_add(fixture, group, 8);
    fixture_add(fixture, group, 9);
    ASSERT_OK(fixture, attach(fixture, 1, 8, 0));
    ASSERT_OK(fixture, attach(fixture, 1, 9, 0));
    ASSERT_OK(fixture, detach(fixture, 1, 8));
    g_assert_cmpint(fixture->change.kind, ==, PVIOMMU_CHANGE_NONE);
    g_assert_cmpint(pviommu_group_state(group), ==, PVIOMMU_TRANSLATED);
    g_assert_null(pviommu_endpoint_domain(fixture->endpoint[0]));
    ASSERT_REFUSED(fixture, detach(fixture, 1, 8), INVAL, NOT_ATTACHED);
    ASSERT_OK(fixture, detach(fixture, 1, 9));
    g_assert_cmpint(fixture->change.kind, ==, PVIOMMU_CHANGE_SWITCH);
    g_assert_null(pviommu_group_domain(group));
}

static void test_sibling_of_fenced(void)
{
    g_autoptr(Fixture) fixture = fixture_new(NULL);
    PviommuGroup *group = fixture_add_group(fixture, false);

    fixture_add(fixture, group, 8);
    fixture_add(fixture, group, 9);
    ASSERT_OK(fixture, attach(fixture, 1, 8, 0));
    ASSERT_OK(fixture, attach(fixture, 1, 9, 0));
    pviommu_group_set_fenced(group, true);
    ASSERT_OK(fixture, detach(fixture, 1, 8));
    g_assert_cmpint(fixture->change.kind, ==, PVIOMMU_CHANGE_NONE);
    g_assert_true(pviommu_group_fenced(group));
}

static void test_endpoint_detach(void)
{
    g_autoptr(Fixture) fixture = fixture_new_pair(NULL);
    PviommuChange change;

    pviommu_endpoint_detach(fixture->endpoint[0], &change);
    g_assert_cmpint(change.kind, ==, PVIOMMU_CHANGE_NONE);
    pviommu_change_commit(fixture->iommu, &change);
    ASSERT_OK(fixture, attach(fixture, 1, 8, 0));
    ASSERT_OK(fixture, attach(fixture, 1, 9, 0));
    pviommu_endpoint_detach(fixture->endpoint[0], &change);
    g_assert_cmpint(change.kind, ==, PVIOMMU_CHANGE_SWITCH);
    g_assert_true(change.group == fixture->group[0]);
    g_assert_null(change.to);
    pviommu_change_commit(fixture->iommu, &change);
    g_assert_null(pviommu_endpoint_domain(fixture->endpoint[0]));
    g_assert_nonnull(pviommu_endpoint_domain(fixture->endpoint[1]));
}

static void test_detach_next(void)
{
    g_autoptr(Fixture) fixture = fixture_new_pair(NULL);
    PviommuGroup *group = fixture_add_group(fixture, false);
    PviommuChange change;
    unsigned n = 0;

    fixture_add(fixture, group, 10);
    fixture_add(fixture, group, 11);
    fixture_add(fixture, fixture_add_group(fixture, true), 12);
    g_assert_false(pviommu_iommu_detach_next(fixture->iommu, &change));
    ASSERT_OK(fixture, attach(fixture, 1, 8, 0));
    ASSERT_OK(fixture, attach(fixture, 2, 9, 1));
    ASSERT_OK(fixture, attach(fixture, 1, 11, 0));
    ASSERT_OK(fixture, attach(fixture, 1, 12, 0));
    ASSERT_OK(fixture, map(fixture, 1, 0, 0xfff, 0, 3));
    while (pviommu_iommu_detach_next(fixture->iommu, &change)) {
        pviommu_change_commit(fixture->iommu, &change);
        n++;
    }
    g_assert_cmpuint(n, ==, 4);
    g_assert_cmpuint(pviommu_iommu_domain_count(fixture->iommu), ==, 0);
    g_assert_cmpuint(pviommu_iommu_mapping_count(fixture->iommu), ==, 0);
    ASSERT_REFUSED(fixture, map(fixture, 1, 0, 0xfff, 0, 3), NOENT,
                   NO_DOMAIN);
    ASSERT_OK(fixture, attach(fixture, 1, 10, 1));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/pviommu/detach/last-ends-domain",
                    test_last_ends_domain);
    g_test_add_func("/pviommu/detach/one-of-two", test_one_of_two);
    g_test_add_func("/pviommu/detach/state-after", test_state_after);
    g_test_add_func("/pviommu/detach/reserved-ignored", test_reserved);
    g_test_add_func("/pviommu/detach/absent-endpoint", test_no_endpoint);
    g_test_add_func("/pviommu/detach/absent-domain", test_no_domain);
    g_test_add_func("/pviommu/detach/not-attached", test_not_attached);
    g_test_add_func("/pviommu/detach/siblings", test_siblings);
    g_test_add_func("/pviommu/detach/sibling-of-fenced",
                    test_sibling_of_fenced);
    g_test_add_func("/pviommu/detach/endpoint-goes-away",
                    test_endpoint_detach);
    g_test_add_func("/pviommu/detach/all-by-reset", test_detach_next);
    return g_test_run();
}
