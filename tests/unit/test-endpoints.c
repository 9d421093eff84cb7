/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu tests: groups, numbers of endpoints, lists of domains
 */
#include <string.h>

#include "fixture.h"

static void assert_id(const Fixture *fixture, unsigned index, uint64_t id)
{
    g_assert_cmphex(pviommu_endpoint_id(fixture->endpoint[index]), ==, id);
}

static void test_number_by_renumber(void)
{
    g_autoptr(Fixture) fixture = fixture_new(NULL);
    PviommuGroup *group = fixture_add_group(fixture, false);
    PviommuEndpoint *endpoint = pviommu_endpoint_new(group, fixture);

    g_assert_true(pviommu_endpoint_opaque(endpoint) == fixture);
    g_assert_cmphex(pviommu_endpoint_id(endpoint), ==, PVIOMMU_NO_ID);
    g_assert_true(pviommu_endpoint_group(endpoint) == group);
    pviommu_endpoint_free(endpoint);
    fixture_add(fixture, group, 8);
    assert_id(fixture, 0, 8);
}

static void test_renumber_keeps_attachment(void)
{
    g_autoptr(Fixture) fixture = fixture_new_pair(NULL);

    ASSERT_OK(fixture, attach(fixture, 1, 8, 0));
    fixture->id[0] = 9;
    fixture->id[1] = 8;
    fixture_renumber(fixture);
    assert_id(fixture, 0, 9);
    assert_id(fixture, 1, 8);
    ASSERT_REFUSED(fixture, detach(fixture, 1, 8), INVAL, NOT_ATTACHED);
    ASSERT_OK(fixture, detach(fixture, 1, 9));
}

static void test_same_number(void)
{
    g_autoptr(Fixture) fixture = fixture_new_pair(NULL);

    fixture->id[1] = 8;
    fixture_renumber(fixture);
    assert_id(fixture, 0, 8);
    assert_id(fixture, 1, PVIOMMU_NO_ID);
    ASSERT_OK(fixture, attach(fixture, 1, 8, 0));
    g_assert_nonnull(pviommu_endpoint_domain(fixture->endpoint[0]));
    fixture->id[0] = 7;
    fixture_renumber(fixture);
    assert_id(fixture, 0, 7);
    assert_id(fixture, 1, 8);
}

static void test_number_of_one_that_went(void)
{
    g_autoptr(Fixture) fixture = fixture_new_pair(NULL);

    fixture->id[1] = 8;
    fixture_renumber(fixture);
    pviommu_endpoint_free(fixture->endpoint[0]);
    fixture->endpoint[0] = fixture->endpoint[1];
    fixture->endpoints = 1;
    ASSERT_REFUSED(fixture, attach(fixture, 1, 8, 0), NOENT, NO_ENDPOINT);
    fixture_renumber(fixture);
    assert_id(fixture, 0, 8);
    ASSERT_OK(fixture, attach(fixture, 1, 8, 0));
}

static void test_no_number(void)
{
    g_autoptr(Fixture) fixture = fixture_new_pair(NULL);

    ASSERT_OK(fixture, attach(fixture, 1, 8, 0));
    fixture->id[0] = PVIOMMU_NO_ID;
    fixture->id[1] = UINT64_C(1) << 32;
    fixture_renumber(fixture);
    assert_id(fixture, 0, PVIOMMU_NO_ID);
    assert_id(fixture, 1, PVIOMMU_NO_ID);
    ASSERT_REFUSED(fixture, detach(fixture, 1, 8), NOENT, NO_ENDPOINT);
    ASSERT_REFUSED(fixture, attach(fixture, 1, 0, 0), NOENT, NO_ENDPOINT);
}

static void test_group(void)
{
    int opaque;
    g_autoptr(Fixture) fixture = fixture_new(NULL);
    PviommuGroup *group = pviommu_group_new(fixture->iommu, &opaque);
    PviommuRegions *regions = pviommu_regions_new();

    g_assert_true(pviommu_group_opaque(group) == &opaque);
    g_assert_null(pviommu_group_regions(group));
    g_assert_null(pviommu_group_domain(group));
    g_assert_false(pviommu_group_fenced(group));
    pviommu_group_set_regions(group, regions);
    g_assert_true(pviommu_group_regions(group) == regions);
    pviommu_group_set_regions(group, regions);
    g_assert_true(pviommu_group_regions(group) == regions);
    pviommu_group_set_regions(group, NULL);
    g_assert_null(pviommu_group_regions(group));
    pviommu_group_free(group);
}

static void test_groups_of_domain(void)
{
    g_autoptr(Fixture) fixture = fixture_new_pair(NULL);
    PviommuGroup *siblings = fixture_add_group(fixture, false);
    PviommuGroup *group = NULL;
    PviommuDomain *domain;
    unsigned seen[3] = { 0 };

    fixture_add(fixture, siblings, 10);
    fixture_add(fixture, siblings, 11);
    fixture_add(fixture, fixture_add_group(fixture, true), 12);
    for (uint32_t id = 12; id >= 8; id--) {
        ASSERT_OK(fixture, attach(fixture, 1, id, 0));
    }
    domain = fixture_domain(fixture, 1);
    while ((group = pviommu_domain_next_group(domain, group))) {
        for (unsigned i = 0; i < 3; i++) {
            seen[i] += group == fixture->group[i];
        }
        g_assert_true(group != fixture->group[3]);
    }
    for (unsigned i = 0; i < 3; i++) {
        g_assert_cmpuint(seen[i], ==, 1);
        ASSERT_OK(fixture, detach(fixture, 1, 8 + i));
    }
    ASSERT_OK(fixture, detach(fixture, 1, 11));
    g_assert_null(pviommu_domain_next_group(domain, NULL));
}

static void append_id(PviommuDomain *domain, void *opaque)
{
    g_array_append_vals(opaque, &(uint32_t) { pviommu_domain_id(domain) },
                        1);
}

static void test_domains_in_order(void)
{
    static const uint32_t ids[] = { 5, UINT32_MAX, 0, 0x80000000, 6, 1 };
    static const uint32_t sorted[] = { 0, 1, 5, 6, 0x80000000, UINT32_MAX };
    g_autoptr(Fixture) fixture = fixture_new(NULL);
    g_autoptr(GArray) seen = g_array_new(false, false, sizeof(uint32_t));

    for (unsigned i = 0; i < G_N_ELEMENTS(ids); i++) {
        fixture_add(fixture, fixture_add_group(fixture, false), i);
        ASSERT_OK(fixture, attach(fixture, ids[i], i, i % 2));
    }
    pviommu_iommu_foreach_domain(fixture->iommu, append_id, seen);
    g_assert_cmpmem(seen->data, seen->len * sizeof(uint32_t), sorted,
                    sizeof(sorted));
}

static void test_config(void)
{
    g_autoptr(Fixture) fixture = fixture_new_pair(NULL);
    PviommuConfig config = *pviommu_iommu_config(fixture->iommu);

    config.page_size_mask = 0x10000;
    config.input_last = 0xfffff;
    pviommu_iommu_set_config(fixture->iommu, &config);
    ASSERT_OK(fixture, attach(fixture, 1, 8, 0));
    ASSERT_REFUSED(fixture, map(fixture, 1, 0x1000, 0xffff, 0, 3), RANGE,
                   UNALIGNED);
    ASSERT_REFUSED(fixture, map(fixture, 1, 0xf0000, 0x10ffff, 0, 3), RANGE,
                   INPUT_RANGE);
    ASSERT_OK(fixture, map(fixture, 1, 0xf0000, 0xfffff, 0, 3));
}

static void test_free_nothing(void)
{
    pviommu_iommu_free(NULL);
    pviommu_group_free(NULL);
    pviommu_endpoint_free(NULL);
    pviommu_mappings_free(NULL);
}

static bool is_word(const char *name)
{
    return *name && strspn(name, "abcdefghijklmnopqrstuvwxyz-") ==
                    strlen(name);
}

static void test_mistake_names(void)
{
    for (unsigned i = 0; i < PVIOMMU_MISTAKE__MAX; i++) {
        g_assert_true(is_word(pviommu_mistake_name(i)));
        for (unsigned j = 0; j < i; j++) {
            g_assert_cmpstr(pviommu_mistake_name(i), !=,
                            pviommu_mistake_name(j));
        }
    }
    g_assert_cmpstr(pviommu_mistake_name(PVIOMMU_MISTAKE_SHORT_HEAD), ==,
                    "short-head");
}

static void test_other_names(void)
{
    static const char *const statuses[] = {
        "OK", "IOERR", "UNSUPP", "DEVERR", "INVAL", "RANGE", "NOENT",
        "FAULT", "NOMEM",
    };
    static const char *const types[] = {
        "unknown", "ATTACH", "DETACH", "MAP", "UNMAP", "PROBE",
        "ATTACH_TABLE", "INVALIDATE",
    };

    for (unsigned i = 0; i < 256; i++) {
        g_assert_cmpstr(pviommu_status_name((uint8_t)i), ==,
                        i < G_N_ELEMENTS(statuses) ? statuses[i] : "?");
        g_assert_cmpstr(pviommu_request_type_name((uint8_t)i), ==,
                        i < G_N_ELEMENTS(types) ? types[i] : "unknown");
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/pviommu/endpoint/number-by-renumber",
                    test_number_by_renumber);
    g_test_add_func("/pviommu/endpoint/renumber-keeps-attachment",
                    test_renumber_keeps_attachment);
    g_test_add_func("/pviommu/endpoint/same-number", test_same_number);
    g_test_add_func("/pviommu/endpoint/number-of-one-that-went",
                    test_number_of_one_that_went);
    g_test_add_func("/pviommu/endpoint/no-number", test_no_number);
    g_test_add_func("/pviommu/group/properties", test_group);
    g_test_add_func("/pviommu/domain/groups", test_groups_of_domain);
    g_test_add_func("/pviommu/domain/in-order-of-id", test_domains_in_order);
    g_test_add_func("/pviommu/iommu/config", test_config);
    g_test_add_func("/pviommu/iommu/free-nothing", test_free_nothing);
    g_test_add_func("/pviommu/names/mistakes", test_mistake_names);
    g_test_add_func("/pviommu/names/statuses-and-types", test_other_names);
    return g_test_run();
}
