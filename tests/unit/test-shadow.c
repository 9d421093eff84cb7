/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu tests: what hosts hold of a page table that the guest owns
 */
#include <string.h>

#include "alloc.h"
#include "fixture.h"
#include "naive-table.h"
#include "pviommu/shadow.h"
#include "random.h"

enum {
    READ = PVIOMMU_MAP_F_READ,
    RW = PVIOMMU_MAP_F_READ | PVIOMMU_MAP_F_WRITE,
    PAGES = 512,            /* that the last level maps, from IOVA 0 on */
    BOTH = 1 << PVIOMMU_FORMAT_X86_64 | 1 << PVIOMMU_FORMAT_ARM_LPAE,
};

#define ROOT UINT64_C(0x40000)
#define PAGE UINT64_C(4096)

static const PviommuGuestTable x86_64 = {
    .format = PVIOMMU_FORMAT_X86_64, .input_bits = 48, .root = ROOT,
};

/**
 * struct Scene - a domain with a table, and a host that holds its shadow
 * @fixture: the IOMMU; endpoint 8 is in domain 1
 * @memory: the memory
 * @host: what the host was told, a mapping for each call
 * @old: the same before the last plan
 * @page: the entries of the last level
 * @word: the tables, @page the last of them
 */
typedef struct Scene {
    Fixture *fixture;
    Memory memory;
    GArray *host;
    GArray *old;
    uint64_t *page;
    uint64_t word[4 * 512];
} Scene;

static Scene *scene_new(const PviommuConfig *config)
{
    Scene *s = g_new0(Scene, 1);

    s->fixture = fixture_new_pair(config);
    s->memory = (Memory) { ROOT, 4 * 512, s->word, 0 };
    s->host = g_array_new(FALSE, FALSE, sizeof(PviommuMapping));
    s->old = g_array_new(FALSE, FALSE, sizeof(PviommuMapping));
    s->page = s->word + 3 * 512;
    for (unsigned i = 0; i < 3; i++) {
        s->word[i * 512] = (ROOT + (i + 1) * PAGE) | 0x67;
        if (i < 2) {
            pviommu_iommu_set_features(s->fixture->iommu,
                                       FIXTURE_WITH_TABLES);
            pviommu_group_set_formats(s->fixture->group[i],
                                      (PviommuFormats) { BOTH, BOTH });
        }
    }
    ASSERT_OK(s->fixture, attach_table(s->fixture, 1, 8, &x86_64));
    return s;
}

static void scene_free(Scene *s)
{
    fixture_free(s->fixture);
    g_array_free(s->host, TRUE);
    g_array_free(s->old, TRUE);
    g_free(s);
}

static PviommuDomain *domain_of(Scene *s)
{
    return fixture_domain(s->fixture, 1);
}

static bool same(const PviommuMapping *a, const PviommuMapping *b)
{
    return a->first == b->first && a->last == b->last && a->phys == b->phys &&
           a->flags == b->flags;
}

static int index_of(const GArray *list, const PviommuMapping *m)
{
    for (unsigned i = 0; i < list->len; i++) {
        if (same(&g_array_index(list, PviommuMapping, i), m)) {
            return (int)i;
        }
    }
    return -1;
}

/* The host unmaps what it was told in one call, and nothing else */
static void host_unmap(Scene *s, const PviommuMapping *m)
{
    int at = index_of(s->host, m);

    g_assert_cmpint(at, >=, 0);
    g_array_remove_index(s->host, (guint)at);
}

static void host_map(Scene *s, const PviommuMapping *m)
{
    for (unsigned i = 0; i < s->host->len; i++) {
        const PviommuMapping *other = &g_array_index(s->host, PviommuMapping,
                                                     i);

        g_assert_true(m->last < other->first || m->first > other->last);
    }
    g_array_append_val(s->host, *m);
}

/* The host holds the shadow, each mapping as one */
static void assert_in_step(Scene *s)
{
    PviommuMappingIter iter = { 0 };
    const PviommuMappings *set = pviommu_domain_mappings(domain_of(s));
    PviommuMapping m;

    while (pviommu_mappings_next(set, &iter, UINT64_MAX, &m)) {
        g_assert_cmpint(index_of(s->host, &m), >=, 0);
    }
    g_assert_cmpuint(pviommu_mappings_count(set), ==, s->host->len);
    g_assert_cmpuint(pviommu_iommu_mapping_count(s->fixture->iommu), ==,
                     s->host->len);
}

typedef void EachFunc(Scene *s, const PviommuMapping *m);

static void each(Scene *s, const PviommuMappings *set, EachFunc *func)
{
    PviommuMappingIter iter = { 0 };
    PviommuMapping m;

    while (pviommu_mappings_next(set, &iter, UINT64_MAX, &m)) {
        func(s, &m);
    }
}

static PviommuPlan *plan(Scene *s, uint64_t first, uint64_t last)
{
    g_array_set_size(s->old, 0);
    g_array_append_vals(s->old, s->host->data, s->host->len);
    return pviommu_plan_new(domain_of(s), first, last, memory_read,
                            &s->memory);
}

/* INVALIDATE, with a host that refuses nothing */
static void follow(Scene *s, uint64_t first, uint64_t last)
{
    PviommuPlan *p = plan(s, first, last);

    pviommu_plan_enact(p);
    each(s, p->gone, host_unmap);
    each(s, p->come, host_map);
    assert_in_step(s);
    pviommu_plan_free(p);
}

static void assert_host(Scene *s, unsigned index, uint64_t page,
                        unsigned pages, uint64_t phys, uint32_t flags)
{
    PviommuMapping m = { page * PAGE, (page + pages) * PAGE - 1, phys, flags };
    int at = index_of(s->host, &m);

    g_assert_cmpint(at, ==, index);
}

static void set(Scene *s, unsigned first, unsigned count, uint64_t phys)
{
    for (unsigned i = 0; i < count; i++) {
        s->page[first + i] = phys ? (phys + i * PAGE) | 0x67 : 0;
    }
}

static void test_follows(void)
{
    Scene *s = scene_new(NULL);

    g_assert_false(pviommu_domain_shadowed(domain_of(s)));
    set(s, 4, 8, 0x100000);
    follow(s, 0, UINT64_MAX);
    g_assert_true(pviommu_domain_shadowed(domain_of(s)));
    g_assert_cmpuint(s->host->len, ==, 1);
    assert_host(s, 0, 4, 8, 0x100000, RW);

    /* what comes behind it is one more, and the first one stays */
    set(s, 12, 4, 0x108000);
    set(s, 20, 1, 0x200000);
    follow(s, 12 * PAGE, 16 * PAGE - 1);
    g_assert_cmpuint(s->host->len, ==, 2);
    assert_host(s, 1, 12, 4, 0x108000, RW);
    /* page 20 was not announced */
    follow(s, 4 * PAGE, 20 * PAGE - 1);
    g_assert_cmpuint(s->host->len, ==, 2);
    follow(s, 20 * PAGE, 21 * PAGE - 1);
    assert_host(s, 2, 20, 1, 0x200000, RW);

    /* one page of eight leaves: the rest goes and comes */
    set(s, 6, 1, 0);
    follow(s, 6 * PAGE, 7 * PAGE - 1);
    g_assert_cmpuint(s->host->len, ==, 4);
    assert_host(s, 2, 4, 2, 0x100000, RW);
    assert_host(s, 3, 7, 5, 0x103000, RW);
    assert_host(s, 0, 12, 4, 0x108000, RW);

    /* other rights, other memory */
    s->page[12] &= ~UINT64_C(2);
    set(s, 14, 2, 0x300000);
    follow(s, 0, UINT64_MAX);
    g_assert_cmpuint(s->host->len, ==, 6);
    assert_host(s, 3, 12, 1, 0x108000, READ);
    assert_host(s, 4, 13, 1, 0x109000, RW);
    assert_host(s, 5, 14, 2, 0x300000, RW);

    /* what it mapped once is not kept for want of a word */
    set(s, 0, PAGES, 0);
    follow(s, 4 * PAGE, 5 * PAGE - 1);
    g_assert_cmpuint(s->host->len, ==, 5);
    assert_host(s, 0, 20, 1, 0x200000, RW);
    follow(s, 0, UINT64_MAX);
    g_assert_cmpuint(s->host->len, ==, 0);
    scene_free(s);
}

/* Reserved regions of whoever is in the domain, and the input range */
static void test_regions(void)
{
    PviommuConfig config = fixture_config;
    Scene *s;

    config.input_first = 2 * PAGE;
    config.input_last = 400 * PAGE - 1;
    s = scene_new(&config);
    set(s, 0, PAGES, 0x100000);
    fixture_reserve(s->fixture->group[0], 8 * PAGE, 9 * PAGE - 1,
                    PVIOMMU_REGION_MSI);
    fixture_reserve(s->fixture->group[0], 100 * PAGE, 110 * PAGE - 1,
                    PVIOMMU_REGION_RESERVED);
    fixture_reserve(s->fixture->group[1], 4 * PAGE, 5 * PAGE - 1,
                    PVIOMMU_REGION_RESERVED);
    fixture_reserve(s->fixture->group[1], 9 * PAGE, 101 * PAGE - 1,
                    PVIOMMU_REGION_RESERVED);
    fixture_reserve(s->fixture->group[1], 390 * PAGE, 500 * PAGE - 1,
                    PVIOMMU_REGION_RESERVED);
    follow(s, 0, UINT64_MAX);
    g_assert_cmpuint(s->host->len, ==, 3);
    assert_host(s, 0, 2, 6, 0x102000, RW);
    assert_host(s, 1, 9, 91, 0x109000, RW);
    assert_host(s, 2, 110, 290, 0x16e000, RW);
    /* one that comes later is no reason to refuse it */
    ASSERT_OK(s->fixture, attach_table(s->fixture, 1, 9, &x86_64));
    follow(s, 0, UINT64_MAX);
    g_assert_cmpuint(s->host->len, ==, 3);
    assert_host(s, 0, 2, 2, 0x102000, RW);
    assert_host(s, 1, 5, 3, 0x105000, RW);
    assert_host(s, 2, 110, 280, 0x16e000, RW);
    scene_free(s);
}

static void test_quota(void)
{
    PviommuConfig config = fixture_config;
    PviommuPlan *p;
    Scene *s;

    config.max_mappings = 8;
    s = scene_new(&config);
    for (unsigned i = 0; i < 8; i++) {
        set(s, i, 1, 0x100000 + 16 * i * PAGE);
    }
    follow(s, 0, UINT64_MAX);
    g_assert_cmpuint(s->host->len, ==, 8);
    /* another eight in their place */
    for (unsigned i = 0; i < 8; i++) {
        set(s, i, 1, 0x200000 + 16 * i * PAGE);
    }
    follow(s, 0, UINT64_MAX);
    g_assert_cmpuint(s->host->len, ==, 8);
    set(s, 9, 1, 0x300000);
    set(s, 2, 1, 0);
    p = plan(s, 3 * PAGE, UINT64_MAX);
    g_assert_true(p->over_quota);
    g_assert_cmpuint(pviommu_mappings_count(p->come), ==, 0);
    g_assert_cmpuint(pviommu_mappings_count(p->gone), ==, 0);
    pviommu_plan_free(p);
    follow(s, 0, UINT64_MAX);
    assert_host(s, 7, 9, 1, 0x300000, RW);
    /* the domain ends, and with it what it counted */
    ASSERT_OK(s->fixture, detach(s->fixture, 1, 8));
    g_assert_cmpuint(pviommu_iommu_mapping_count(s->fixture->iommu), ==, 0);
    scene_free(s);
}

/* Each entry of each level leads to it again: there is an end */
static void test_points_to_itself(void)
{
    Scene *s = scene_new(NULL);
    PviommuPlan *p;

    set(s, 0, 4, 0x100000);
    follow(s, 0, UINT64_MAX);
    for (unsigned i = 0; i < 512; i++) {
        s->word[i] = ROOT | 0x67;
    }
    p = plan(s, 0, UINT64_MAX);
    g_assert_true(p->over_sweep);
    g_assert_true(p->over_quota);
    g_assert_cmpuint(p->entries, ==, PVIOMMU_SWEEP_MAX);
    g_assert_cmpuint(pviommu_mappings_count(p->gone), ==, 1);
    g_assert_cmpuint(pviommu_mappings_count(p->come), ==,
                     fixture_config.max_mappings);
    pviommu_plan_enact(p);
    pviommu_plan_free(p);
    /* another domain's mappings count, too */
    ASSERT_OK(s->fixture, attach(s->fixture, 2, 9, 0));
    ASSERT_REFUSED(s->fixture, map(s->fixture, 2, 0, PAGE - 1, 0, READ),
                   NOMEM, MAX_MAPPINGS);
    pviommu_domain_unshadow(domain_of(s));
    g_assert_false(pviommu_domain_shadowed(domain_of(s)));
    ASSERT_OK(s->fixture, map(s->fixture, 2, 0, PAGE - 1, 0, READ));
    scene_free(s);
}

/* A driver that asks again announces from then on: all is looked at anew */
static void test_attach_again(void)
{
    Scene *s = scene_new(NULL);
    Fixture *f = s->fixture;

    ASSERT_OK(f, attach_table(f, 1, 8, &x86_64));
    g_assert_cmpint(f->change.kind, ==, PVIOMMU_CHANGE_INVALIDATE);
    g_assert_cmphex(f->change.mapping.first, ==, 0);
    g_assert_cmphex(f->change.mapping.last, ==, UINT64_MAX);
    ASSERT_OK(f, attach_table(f, 1, 9, &x86_64));
    g_assert_cmpint(f->change.kind, ==, PVIOMMU_CHANGE_SWITCH);
    pviommu_group_set_formats(f->group[0], (PviommuFormats) {
        BOTH, 1 << PVIOMMU_FORMAT_ARM_LPAE,
    });
    ASSERT_OK(f, attach_table(f, 1, 8, &x86_64));
    g_assert_cmpint(f->change.kind, ==, PVIOMMU_CHANGE_NONE);
    pviommu_group_set_fenced(f->group[1], true);
    ASSERT_OK(f, attach_table(f, 1, 9, &x86_64));
    g_assert_cmpint(f->change.kind, ==, PVIOMMU_CHANGE_SWITCH);
    scene_free(s);
}

/* What a page maps, by a list of mappings; false for nothing */
static bool page_in(const GArray *list, unsigned page, uint64_t *phys,
                    uint32_t *flags)
{
    uint64_t iova = page * PAGE;

    for (unsigned i = 0; i < list->len; i++) {
        const PviommuMapping *m = &g_array_index(list, PviommuMapping, i);

        if (m->first <= iova && m->last >= iova) {
            *phys = m->phys + (iova - m->first);
            *flags = m->flags;
            return true;
        }
    }
    return false;
}

static bool page_in_table(const Scene *s, unsigned page, uint64_t *phys,
                          uint32_t *flags)
{
    uint64_t size;

    return naive_walk(&s->memory, &x86_64, page * PAGE, &size, phys, flags);
}

/* A page is on the host as it is in the table, or not at all */
static bool assert_page(Scene *s, unsigned page, bool may_lack)
{
    uint64_t phys = 0, in_table = 0;
    uint32_t flags = 0, in_flags = 0;
    bool there = page_in(s->host, page, &phys, &flags);
    bool wanted = page_in_table(s, page, &in_table, &in_flags);

    if (!may_lack) {
        g_assert_cmpint(there, ==, wanted);
    }
    if (there) {
        g_assert_true(wanted);
        g_assert_cmphex(phys, ==, in_table);
        g_assert_cmphex(flags, ==, in_flags);
    }
    return there;
}

/* Whether the old mapping has a page that the table has otherwise */
static bool is_wrong(Scene *s, const PviommuMapping *m)
{
    for (uint64_t page = m->first / PAGE; page <= m->last / PAGE; page++) {
        uint64_t phys;
        uint32_t flags;

        if (!page_in_table(s, (unsigned)page, &phys, &flags) ||
            flags != m->flags ||
            phys != m->phys + (page * PAGE - m->first)) {
            return true;
        }
    }
    return false;
}

static void assert_wrong(Scene *s, const PviommuMapping *m)
{
    g_assert_true(is_wrong(s, m));
}

/* Nothing goes without need, and all in the range is right afterwards */
static void check_follow(Scene *s, unsigned first, unsigned last,
                         Random *random)
{
    PviommuPlan *p = plan(s, first * PAGE, (last + 1) * PAGE - 1);
    PviommuMappingIter iter = { 0 };
    PviommuMapping m = { 0 }, before = { .first = 1 };
    bool refused = false;
    uint64_t limit = UINT64_MAX;
    unsigned at = random_below(random, 12);

    each(s, p->gone, assert_wrong);
    while (pviommu_mappings_next(p->come, &iter, UINT64_MAX, &m)) {
        g_assert_false(before.last + 1 == m.first &&
                       before.flags == m.flags &&
                       before.phys + (m.first - before.first) == m.phys);
        before = m;
    }
    pviommu_plan_enact(p);
    each(s, p->gone, host_unmap);
    iter = (PviommuMappingIter) { 0 };
    while (!refused &&
           pviommu_mappings_next(p->come, &iter, UINT64_MAX, &m)) {
        refused = at-- == 0;
        if (refused) {
            limit = m.first;
            pviommu_plan_retract(p, m.first);
        } else {
            host_map(s, &m);
        }
    }
    each(s, p->back, host_map);
    assert_in_step(s);
    for (unsigned page = 0; page < PAGES; page++) {
        uint64_t was = 0, is = 0, right = 0;
        uint32_t flags;
        bool had = page_in(s->old, page, &was, &flags);
        bool has = page_in(s->host, page, &is, &flags);

        if (page >= first && page <= last) {
            assert_page(s, page, page * PAGE >= limit);
            if (had && page_in_table(s, page, &right, &flags) &&
                right == was && was) {
                g_assert_true(has || page * PAGE >= limit);
            }
        } else if (has && is != was) {
            assert_page(s, page, true);     /* of a mapping that was cut */
        }
    }
    pviommu_plan_free(p);
}

static void change_table(Scene *s, Random *random)
{
    unsigned first = random_below(random, PAGES);
    unsigned count = 1 + random_below(random, 40);

    count = MIN(count, PAGES - first);
    switch (random_below(random, 4)) {
    case 0:
        set(s, first, count, 0);
        break;
    case 1:
        s->page[first] ^= 2;
        break;
    default:
        set(s, first, count, 0x100000 + random_below(random, 3) * 0x400000 +
            first * PAGE);
        break;
    }
}

static void test_random(void)
{
    uint64_t rounds = random_rounds(200);
    Random random;

    random_init(&random);
    for (uint64_t round = 0; round < rounds; round++) {
        Scene *s = scene_new(NULL);

        for (unsigned i = 0; i < 60; i++) {
            unsigned first = random_below(&random, PAGES);
            unsigned last = first + random_below(&random, PAGES - first);

            change_table(s, &random);
            if (random_below(&random, 2)) {
                check_follow(s, first, last, &random);
            }
        }
        follow(s, 0, UINT64_MAX);
        for (unsigned page = 0; page < PAGES; page++) {
            assert_page(s, page, false);
        }
        scene_free(s);
    }
}

/* The n-th allocation fails: what is planned is carried out and no more */
static void test_no_memory(void)
{
    unsigned lacking = 0, given_up = 0;
    bool pending = false;

    for (unsigned n = 1; !pending; n++) {
        Scene *s = scene_new(NULL);
        PviommuPlan *p;

        for (unsigned i = 0; i < 200; i++) {
            set(s, i, 1, 0x100000 + 2 * i * PAGE);
        }
        follow(s, 0, UINT64_MAX);
        for (unsigned i = 0; i < 300; i++) {
            set(s, i, 1, 0x800000 + 2 * i * PAGE);
        }
        pviommu_alloc_fail_at(n);
        p = plan(s, 0, UINT64_MAX);
        if (p) {
            pviommu_plan_enact(p);
            pending = pviommu_alloc_fail_pending();
            g_assert_false(p->no_memory && pending);
            lacking += p->no_memory;
            pviommu_alloc_fail_at(0);
            each(s, p->gone, host_unmap);
            each(s, p->come, host_map);
            assert_in_step(s);
            for (unsigned page = 0; page < 300; page++) {
                assert_page(s, page, p->no_memory);
            }
            pviommu_plan_free(p);
        } else {
            given_up++;
            assert_in_step(s);
        }
        pviommu_alloc_fail_at(0);
        scene_free(s);
    }
    g_assert_cmpuint(lacking, >, 4);
    g_assert_cmpuint(given_up, >, 4);
}

/* Two mappings side by side of every ten pages lose a page each at the ends */
static PviommuPlan *plan_of_cuts(Scene *s)
{
    const unsigned tens = PAGES / 10;

    for (unsigned i = 0; i < tens; i++) {
        set(s, 10 * i, 4, 0x100000 + 11 * i * PAGE);
        follow(s, 10 * i * PAGE, (10 * i + 4) * PAGE - 1);
        set(s, 10 * i + 4, 4, 0x104000 + 11 * i * PAGE);
        follow(s, (10 * i + 4) * PAGE, (10 * i + 8) * PAGE - 1);
    }
    g_assert_cmpuint(s->host->len, ==, 2 * tens);
    for (unsigned i = 0; i < tens; i++) {
        set(s, 10 * i, 1, 0);
        set(s, 10 * i + 7, 1, 0);
    }
    return plan(s, 0, UINT64_MAX);
}

/* The same while a host's refusal is undone: it holds what core says */
static void test_no_memory_to_undo(void)
{
    unsigned lacking = 0;
    bool pending = false;

    for (unsigned n = 1; !pending; n++) {
        Scene *s = scene_new(NULL);
        PviommuPlan *p = plan_of_cuts(s);

        pviommu_plan_enact(p);
        each(s, p->gone, host_unmap);
        pviommu_alloc_fail_at(n);
        pviommu_plan_retract(p, 0);
        pending = pviommu_alloc_fail_pending();
        pviommu_alloc_fail_at(0);
        g_assert_false(p->no_memory && pending);
        g_assert_cmpuint(pviommu_mappings_count(p->come), ==, 0);
        each(s, p->back, host_map);
        assert_in_step(s);
        for (unsigned page = 0; page < PAGES; page++) {
            assert_page(s, page, p->no_memory);
        }
        lacking += p->no_memory;
        pviommu_plan_free(p);
        scene_free(s);
    }
    g_assert_cmpuint(lacking, >, 4);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/pviommu/shadow/follows", test_follows);
    g_test_add_func("/pviommu/shadow/regions", test_regions);
    g_test_add_func("/pviommu/shadow/quota", test_quota);
    g_test_add_func("/pviommu/shadow/points-to-itself",
                    test_points_to_itself);
    g_test_add_func("/pviommu/shadow/attach-again", test_attach_again);
    g_test_add_func("/pviommu/shadow/random", test_random);
    g_test_add_func("/pviommu/shadow/no-memory", test_no_memory);
    g_test_add_func("/pviommu/shadow/no-memory-to-undo",
                    test_no_memory_to_undo);
    return g_test_run();
}
