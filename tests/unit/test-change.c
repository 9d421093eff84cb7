/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu tests: changes under way, committed and undone
 */
#include <unistd.h>

#include "fixture.h"

enum {
    RW = PVIOMMU_MAP_F_READ | PVIOMMU_MAP_F_WRITE,
};

/* Endpoint 8 in domain 1 with a mapping; changes are left to the test */
static Fixture *new_attached(void)
{
    Fixture *fixture = fixture_new_pair(NULL);

    ASSERT_OK(fixture, attach(fixture, 1, 8, 0));
    ASSERT_OK(fixture, map(fixture, 1, 0x1000, 0x1fff, 0x5000, RW));
    fixture->hold = true;
    return fixture;
}

static void undo_is_as_before(Fixture *fixture, uint64_t before)
{
    g_assert_cmphex(fixture_digest(fixture), !=, before);
    finish(fixture, false);
    g_assert_cmphex(fixture_digest(fixture), ==, before);
}

static void test_undo_create(void)
{
    g_autoptr(Fixture) fixture = new_attached();
    uint64_t before = fixture_digest(fixture);

    ASSERT_OK(fixture, attach(fixture, 2, 9, 0));
    undo_is_as_before(fixture, before);
    g_assert_null(fixture_domain(fixture, 2));
    ASSERT_OK(fixture, attach(fixture, 2, 9, PVIOMMU_ATTACH_F_BYPASS));
    finish(fixture, true);
}

static void test_undo_join(void)
{
    g_autoptr(Fixture) fixture = new_attached();
    uint64_t before = fixture_digest(fixture);

    ASSERT_OK(fixture, attach(fixture, 1, 9, 0));
    undo_is_as_before(fixture, before);
    g_assert_true(is_mapped(fixture, 1, 0x1000, 0x1fff));
}

static void test_undo_move(void)
{
    g_autoptr(Fixture) fixture = new_attached();
    uint64_t before = fixture_digest(fixture);
    PviommuDomain *from = fixture_domain(fixture, 1);
    PviommuMapping mapping;

    ASSERT_OK(fixture, attach(fixture, 2, 8, 0));
    /* the old domain is not found, but still holds its mappings */
    g_assert_true(fixture->change.from == from);
    g_assert_null(fixture_domain(fixture, 1));
    g_assert_cmpuint(pviommu_iommu_domain_count(fixture->iommu), ==, 1);
    g_assert_cmpuint(pviommu_iommu_mapping_count(fixture->iommu), ==, 0);
    g_assert_true(pviommu_mappings_lookup(pviommu_domain_mappings(from),
                                          0x1234, &mapping));
    g_assert_null(pviommu_domain_next_group(from, NULL));
    g_assert_true(pviommu_domain_next_group(fixture->change.to, NULL) ==
                  fixture->group[0]);
    undo_is_as_before(fixture, before);
    g_assert_true(fixture_domain(fixture, 1) == from);
    g_assert_true(is_mapped(fixture, 1, 0x1000, 0x1fff));
}

static void test_undo_move_to_existing(void)
{
    g_autoptr(Fixture) fixture = new_attached();
    uint64_t before;

    ASSERT_OK(fixture, attach(fixture, 2, 9, 0));
    finish(fixture, true);
    before = fixture_digest(fixture);
    ASSERT_OK(fixture, attach(fixture, 2, 8, 0));
    undo_is_as_before(fixture, before);
}

static void test_undo_detach(void)
{
    g_autoptr(Fixture) fixture = new_attached();
    uint64_t before = fixture_digest(fixture);

    ASSERT_OK(fixture, detach(fixture, 1, 8));
    g_assert_null(fixture_domain(fixture, 1));
    undo_is_as_before(fixture, before);
    g_assert_true(is_mapped(fixture, 1, 0x1000, 0x1fff));
}

static void test_undo_map(void)
{
    g_autoptr(Fixture) fixture = new_attached();
    uint64_t before = fixture_digest(fixture);

    ASSERT_OK(fixture, map(fixture, 1, 0, 0xfff, 0, RW));
    g_assert_true(is_mapped(fixture, 1, 0, 0xfff));
    undo_is_as_before(fixture, before);
    ASSERT_OK(fixture, map(fixture, 1, 0, 0xfff, 0, RW));
    finish(fixture, true);
}

static void test_undo_unmap(void)
{
    g_autoptr(Fixture) fixture = new_attached();
    PviommuTranslation translation;
    uint64_t before = fixture_digest(fixture);

    ASSERT_OK(fixture, unmap(fixture, 1, 0, 0xffff));
    g_assert_false(is_mapped(fixture, 1, 0x1000, 0x1fff));
    g_assert_false(pviommu_translate(fixture->group[0], 0x1000, 0,
                                     &translation));
    undo_is_as_before(fixture, before);
    g_assert_true(pviommu_translate(fixture->group[0], 0x1000, RW,
                                    &translation));
    g_assert_cmphex(translation.phys, ==, 0x5000);
    ASSERT_OK(fixture, unmap(fixture, 1, 0, 0xffff));
    finish(fixture, true);
    ASSERT_OK(fixture, map(fixture, 1, 0x1000, 0x2fff, 0, RW));
    finish(fixture, true);
}

/* An UNMAP under way hides a range in the middle of what can be found */
static void test_hidden(void)
{
    g_autoptr(Fixture) fixture = new_attached();
    const PviommuMappings *set;
    PviommuMappingIter iter = { 0 };
    PviommuMapping mapping;

    for (uint64_t i = 2; i <= 5; i++) {
        ASSERT_OK(fixture, map(fixture, 1, i << 12, i << 12 | 0xfff, 0, RW));
        finish(fixture, true);
    }
    set = pviommu_domain_mappings(fixture_domain(fixture, 1));
    ASSERT_OK(fixture, unmap(fixture, 1, 0x2000, 0x4fff));
    g_assert_false(pviommu_mappings_find(set, 0x2000, 0x4fff, &mapping));
    g_assert_false(pviommu_mappings_find(set, 0x3000, 0x3000, &mapping));
    g_assert_true(pviommu_mappings_find(set, 0x2000, 0x5000, &mapping));
    g_assert_cmphex(mapping.first, ==, 0x5000);
    g_assert_true(pviommu_mappings_find(set, 0x1fff, 0x4fff, &mapping));
    g_assert_cmphex(mapping.first, ==, 0x1000);
    g_assert_true(pviommu_mappings_next(set, &iter, UINT64_MAX, &mapping));
    g_assert_cmphex(mapping.first, ==, 0x1000);
    g_assert_true(pviommu_mappings_next(set, &iter, UINT64_MAX, &mapping));
    g_assert_cmphex(mapping.first, ==, 0x5000);
    g_assert_false(pviommu_mappings_next(set, &iter, UINT64_MAX, &mapping));
    g_assert_cmpuint(pviommu_mappings_count(set), ==, 2);
    g_assert_cmphex(pviommu_mappings_bytes(set), ==, 0x2000);
    finish(fixture, false);
    g_assert_cmpuint(pviommu_mappings_count(set), ==, 5);
    g_assert_cmphex(pviommu_mappings_bytes(set), ==, 0x5000);
}

static void test_hidden_to_last_byte(void)
{
    g_autoptr(Fixture) fixture = new_attached();
    const PviommuMappings *set;
    PviommuMapping mapping;

    ASSERT_OK(fixture, map(fixture, 1, -UINT64_C(0x1000), UINT64_MAX, 0,
                           RW));
    finish(fixture, true);
    set = pviommu_domain_mappings(fixture_domain(fixture, 1));
    ASSERT_OK(fixture, unmap(fixture, 1, 0x2000, UINT64_MAX));
    g_assert_false(pviommu_mappings_find(set, 0x2000, UINT64_MAX, &mapping));
    g_assert_false(pviommu_mappings_lookup(set, UINT64_MAX, &mapping));
    finish(fixture, false);
    g_assert_true(pviommu_mappings_lookup(set, UINT64_MAX, &mapping));
}

/* A change that is nothing to the host has to be ended all the same */
static void test_none(void)
{
    g_autoptr(Fixture) fixture = fixture_new(NULL);
    PviommuGroup *group = fixture_add_group(fixture, false);
    uint64_t before;

    fixture_add(fixture, group, 8);
    fixture_add(fixture, group, 9);
    ASSERT_OK(fixture, attach(fixture, 1, 8, 0));
    before = fixture_digest(fixture);
    fixture->hold = true;
    ASSERT_OK(fixture, attach(fixture, 1, 9, 0));
    g_assert_cmpint(fixture->change.kind, ==, PVIOMMU_CHANGE_NONE);
    undo_is_as_before(fixture, before);
    ASSERT_OK(fixture, attach(fixture, 1, 8, 0));
    g_assert_cmpint(fixture->change.kind, ==, PVIOMMU_CHANGE_NONE);
    finish(fixture, false);
    g_assert_cmphex(fixture_digest(fixture), ==, before);
}

static void test_fence_comes_back(void)
{
    g_autoptr(Fixture) fixture = new_attached();
    PviommuGroup *group = fixture->group[0];

    pviommu_group_set_fenced(group, true);
    ASSERT_OK(fixture, attach(fixture, 2, 8, 0));
    g_assert_false(pviommu_group_fenced(group));
    finish(fixture, false);
    g_assert_true(pviommu_group_fenced(group));
    ASSERT_OK(fixture, attach(fixture, 1, 8, 0));
    finish(fixture, false);
    g_assert_true(pviommu_group_fenced(group));
    ASSERT_OK(fixture, attach(fixture, 1, 8, 0));
    finish(fixture, true);
    g_assert_false(pviommu_group_fenced(group));
}

/* The host fences while a change is under way: that stands */
static void test_fenced_meanwhile(void)
{
    g_autoptr(Fixture) fixture = new_attached();
    PviommuGroup *group = fixture->group[0];

    ASSERT_OK(fixture, attach(fixture, 2, 8, 0));
    pviommu_group_set_fenced(group, true);
    finish(fixture, false);
    g_assert_true(pviommu_group_fenced(group));
    ASSERT_OK(fixture, detach(fixture, 1, 8));
    pviommu_group_set_fenced(group, true);
    finish(fixture, true);
    g_assert_true(pviommu_group_fenced(group));
    g_assert_cmpint(pviommu_group_state(group), ==, PVIOMMU_BLOCKED);
}

static void test_ended_twice(void)
{
    g_autoptr(Fixture) fixture = new_attached();

    ASSERT_OK(fixture, map(fixture, 1, 0, 0xfff, 0, RW));
    finish(fixture, true);
    finish(fixture, false);
    finish(fixture, true);
    g_assert_true(is_mapped(fixture, 1, 0, 0xfff));
}

/* What a domain carries for the caller comes back when it is freed */
static void test_opaque(void)
{
    g_autoptr(Fixture) fixture = new_attached();
    int one, two;

    pviommu_domain_set_opaque(fixture_domain(fixture, 1), &one);
    ASSERT_OK(fixture, attach(fixture, 2, 8, 0));
    g_assert_null(pviommu_domain_opaque(fixture_domain(fixture, 2)));
    pviommu_domain_set_opaque(fixture_domain(fixture, 2), &two);
    finish(fixture, false);
    g_assert_true(fixture->freed == &two);
    g_assert_true(pviommu_domain_opaque(fixture_domain(fixture, 1)) == &one);

    ASSERT_OK(fixture, attach(fixture, 1, 9, 0));
    finish(fixture, true);
    g_assert_null(fixture->freed);
    ASSERT_OK(fixture, detach(fixture, 1, 8));
    finish(fixture, true);
    g_assert_null(fixture->freed);
    ASSERT_OK(fixture, detach(fixture, 1, 9));
    finish(fixture, true);
    g_assert_true(fixture->freed == &one);
}

/* What changes state, one by one; each must abort outside begin and end */
static void change_config(Fixture *fixture)
{
    pviommu_iommu_set_config(fixture->iommu, &fixture_config);
}

static void change_bypass(Fixture *fixture)
{
    pviommu_iommu_set_bypass(fixture->iommu, true);
}

static void change_features(Fixture *fixture)
{
    pviommu_iommu_set_features(fixture->iommu, 0);
}

static void change_numbers(Fixture *fixture)
{
    fixture_renumber(fixture);
}

static void change_groups(Fixture *fixture)
{
    pviommu_group_new(fixture->iommu, NULL);
}

static void change_no_groups(Fixture *fixture)
{
    pviommu_group_free(fixture->group[1]);
}

static void change_regions(Fixture *fixture)
{
    pviommu_group_set_regions(fixture->group[0], NULL);
}

static void change_fence(Fixture *fixture)
{
    pviommu_group_set_fenced(fixture->group[0], false);
}

static void change_endpoints(Fixture *fixture)
{
    pviommu_endpoint_new(fixture->group[0], NULL);
}

static void change_no_endpoints(Fixture *fixture)
{
    pviommu_endpoint_free(fixture->endpoint[1]);
}

static void change_detach(Fixture *fixture)
{
    pviommu_endpoint_detach(fixture->endpoint[0], &fixture->change);
}

static void change_opaque(Fixture *fixture)
{
    pviommu_domain_set_opaque(pviommu_endpoint_domain(fixture->endpoint[0]),
                              NULL);
}

static void change_request(Fixture *fixture)
{
    detach(fixture, 1, 8);
}

static void change_commit(Fixture *fixture)
{
    finish(fixture, true);
}

static void change_undo(Fixture *fixture)
{
    finish(fixture, false);
}

static const struct {
    const char *path;
    void (*func)(Fixture *fixture);
    bool under_way;
} changes[] = {
    { "config", change_config, false },
    { "bypass", change_bypass, false },
    { "features", change_features, false },
    { "numbers", change_numbers, false },
    { "groups", change_groups, false },
    { "no-groups", change_no_groups, false },
    { "regions", change_regions, false },
    { "fence", change_fence, false },
    { "endpoints", change_endpoints, false },
    { "no-endpoints", change_no_endpoints, false },
    { "detach", change_detach, false },
    { "opaque", change_opaque, false },
    { "request", change_request, false },
    { "commit", change_commit, true },
    { "undo", change_undo, true },
};

static void test_open(gconstpointer opaque)
{
    unsigned i = GPOINTER_TO_UINT(opaque);

    if (g_test_subprocess()) {
        Fixture *fixture = fixture_new_pair(NULL);

        if (changes[i].func == change_config) {
            fixture->iommu = pviommu_iommu_new(&fixture_config);
        } else {
            ASSERT_OK(fixture, attach(fixture, 1, 8, 0));
        }
        if (changes[i].func == change_no_groups) {
            pviommu_endpoint_free(fixture->endpoint[1]);
        }
        fixture->hold = true;
        if (changes[i].under_way) {
            ASSERT_OK(fixture, map(fixture, 1, 0, 0xfff, 0, RW));
        }
        pviommu_iommu_share(fixture->iommu);
        pviommu_iommu_begin(fixture->iommu);
        if (g_getenv("PVIOMMU_TEST_CLOSED")) {
            pviommu_iommu_end(fixture->iommu);
        }
        changes[i].func(fixture);
        _exit(0);       /* what was made is not worth freeing */
    }
    g_unsetenv("PVIOMMU_TEST_CLOSED");
    g_test_trap_subprocess(NULL, 0, 0);
    g_test_trap_assert_passed();
    g_setenv("PVIOMMU_TEST_CLOSED", "1", TRUE);
    g_test_trap_subprocess(NULL, 0, 0);
    g_unsetenv("PVIOMMU_TEST_CLOSED");
    g_test_trap_assert_failed();
    g_test_trap_assert_stderr("*assert_open*");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/pviommu/change/undo-create", test_undo_create);
    g_test_add_func("/pviommu/change/undo-join", test_undo_join);
    g_test_add_func("/pviommu/change/undo-move", test_undo_move);
    g_test_add_func("/pviommu/change/undo-move-to-existing",
                    test_undo_move_to_existing);
    g_test_add_func("/pviommu/change/undo-detach", test_undo_detach);
    g_test_add_func("/pviommu/change/undo-map", test_undo_map);
    g_test_add_func("/pviommu/change/undo-unmap", test_undo_unmap);
    g_test_add_func("/pviommu/change/unmapped-is-hidden", test_hidden);
    g_test_add_func("/pviommu/change/hidden-to-the-last-byte",
                    test_hidden_to_last_byte);
    g_test_add_func("/pviommu/change/none", test_none);
    g_test_add_func("/pviommu/change/fence-comes-back",
                    test_fence_comes_back);
    g_test_add_func("/pviommu/change/fenced-meanwhile",
                    test_fenced_meanwhile);
    g_test_add_func("/pviommu/change/ended-twice", test_ended_twice);
    g_test_add_func("/pviommu/change/opaque", test_opaque);
    for (unsigned i = 0; i < G_N_ELEMENTS(changes); i++) {
        g_autofree char *path = g_strdup_printf("/pviommu/change/locked/%s",
                                                changes[i].path);

        g_test_add_data_func(path, GUINT_TO_POINTER(i), test_open);
    }
    return g_test_run();
}
