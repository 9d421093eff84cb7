/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu tests: all that a page table of the guest's maps in a range
 */
#include <glib.h>

#include "naive-table.h"
#include "random.h"

enum {
    READ = PVIOMMU_MAP_F_READ,
    RW = PVIOMMU_MAP_F_READ | PVIOMMU_MAP_F_WRITE,
    PAGES = 8,              /* of tables, from TABLES on */
};

#define TABLES UINT64_C(0x100000)
#define PAGE UINT64_C(4096)
#define BIG (UINT64_C(1) << 21)
#define HUGE_PAGE (UINT64_C(1) << 30)

/* What entries have, by format: tables, pages, big pages, and what may read */
static const struct Entry {
    uint64_t table;
    uint64_t page;
    uint64_t big;
    uint64_t read_page;
} entry[] = {
    [PVIOMMU_FORMAT_X86_64] = { 0x27, 0x67, 0xe7, 0x65 },
    [PVIOMMU_FORMAT_ARM_LPAE] = { 0x3, 0x443, 0x441, 0x4c3 },
};

static const PviommuGuestTable tables_of[] = {
    { .format = PVIOMMU_FORMAT_X86_64, .input_bits = 48, .root = TABLES },
    { .format = PVIOMMU_FORMAT_X86_64, .input_bits = 57, .root = TABLES },
    { .format = PVIOMMU_FORMAT_ARM_LPAE, .input_bits = 39, .root = TABLES },
    { .format = PVIOMMU_FORMAT_ARM_LPAE, .input_bits = 40, .root = TABLES },
    { .format = PVIOMMU_FORMAT_ARM_LPAE, .input_bits = 48, .root = TABLES },
};

/**
 * struct Scene - a table, and what a sweep found
 * @memory: the memory
 * @table: what the guest would say of it
 * @levels: how many there are
 * @runs: PviommuMapping
 * @left: entries that may be read
 * @stopped: where the last one ended that was not whole
 * @word: the pages; page n points to page n + 1 with its first entry
 */
typedef struct Scene {
    Memory memory;
    PviommuGuestTable table;
    unsigned levels;
    GArray *runs;
    uint64_t left;
    uint64_t stopped;
    uint64_t word[PAGES * 512];
} Scene;

static uint64_t page_of(unsigned index)
{
    return TABLES + (uint64_t)index * PAGE;
}

static Scene *scene_new(const PviommuGuestTable *table)
{
    Scene *s = g_new0(Scene, 1);

    s->memory = (Memory) { TABLES, PAGES * 512, s->word, 0 };
    s->table = *table;
    s->levels = (table->input_bits - 4) / 9;
    s->runs = g_array_new(FALSE, FALSE, sizeof(PviommuMapping));
    for (unsigned i = 0; i + 1 < s->levels; i++) {
        s->word[i * 512] = page_of(i + 1) | entry[table->format].table;
    }
    return s;
}

static void scene_free(Scene *s)
{
    g_array_free(s->runs, TRUE);
    g_free(s);
}

/* The entries of a level on the way to IOVA 0; the last one is 1 */
static uint64_t *level_of(Scene *s, unsigned level)
{
    return &s->word[(s->levels - level) * 512];
}

static void found(const PviommuMapping *run, void *opaque)
{
    Scene *s = opaque;

    g_array_append_val(s->runs, *run);
}

static bool sweep(Scene *s, uint64_t first, uint64_t last)
{
    PviommuSweep how = {
        .read = memory_read, .read_opaque = &s->memory,
        .found = found, .found_opaque = s,
        .left = s->left ? s->left : PVIOMMU_SWEEP_MAX,
    };
    uint64_t before = how.left;
    bool whole;

    g_array_set_size(s->runs, 0);
    s->memory.reads = 0;
    whole = pviommu_table_sweep(&s->table, first, last, &how);
    g_assert_cmpuint(before - how.left, ==, s->memory.reads);
    s->stopped = how.stopped;
    return whole;
}

static void assert_run(Scene *s, unsigned index, uint64_t first,
                       uint64_t last, uint64_t phys, uint32_t flags)
{
    const PviommuMapping *run = &g_array_index(s->runs, PviommuMapping,
                                               index);

    g_assert_cmpuint(s->runs->len, >, index);
    g_assert_cmphex(run->first, ==, first);
    g_assert_cmphex(run->last, ==, last);
    g_assert_cmphex(run->phys, ==, phys);
    g_assert_cmphex(run->flags, ==, flags);
}

static void check_runs(Scene *s)
{
    const struct Entry *e = &entry[s->table.format];
    uint64_t *page = level_of(s, 1), *big = level_of(s, 2);

    /* three pages in a row; the third continues in IOVA alone */
    page[3] = 0x10000 | e->page;
    page[4] = 0x11000 | e->page;
    page[5] = 0x15000 | e->page;
    page[6] = 0x16000 | e->read_page;
    g_assert_true(sweep(s, 0, UINT64_MAX));
    g_assert_cmpuint(s->runs->len, ==, 3);
    assert_run(s, 0, 3 * PAGE, 5 * PAGE - 1, 0x10000, RW);
    assert_run(s, 1, 5 * PAGE, 6 * PAGE - 1, 0x15000, RW);
    assert_run(s, 2, 6 * PAGE, 7 * PAGE - 1, 0x16000, READ);

    /* ends cut, in the middle of a page too */
    g_assert_true(sweep(s, 4 * PAGE, 5 * PAGE + 9));
    g_assert_cmpuint(s->runs->len, ==, 2);
    assert_run(s, 0, 4 * PAGE, 5 * PAGE - 1, 0x11000, RW);
    assert_run(s, 1, 5 * PAGE, 5 * PAGE + 9, 0x15000, RW);
    g_assert_true(sweep(s, 0, 3 * PAGE - 1));
    g_assert_cmpuint(s->runs->len, ==, 0);
    g_assert_true(sweep(s, 7 * PAGE, UINT64_MAX));
    g_assert_cmpuint(s->runs->len, ==, 0);

    /* across tables and sizes: a page, then a big page behind it */
    page[511] = (3 * BIG - PAGE) | e->page;
    big[1] = (3 * BIG) | e->big;
    big[2] = (4 * BIG) | e->big;
    g_assert_true(sweep(s, 511 * PAGE, UINT64_MAX));
    g_assert_cmpuint(s->runs->len, ==, 1);
    assert_run(s, 0, BIG - PAGE, 3 * BIG - 1, 3 * BIG - PAGE, RW);
    g_assert_true(sweep(s, BIG + PAGE, BIG + 2 * PAGE - 1));
    assert_run(s, 0, BIG + PAGE, BIG + 2 * PAGE - 1, 3 * BIG + PAGE, RW);
    g_assert_cmpuint(s->memory.reads, ==, s->levels - 1);
}

static void check_absent(Scene *s)
{
    unsigned top = (s->table.input_bits - 12) % 9;

    /* one entry of each level says what is absent behind it */
    g_assert_true(sweep(s, 0, UINT64_MAX));
    g_assert_cmpuint(s->runs->len, ==, 0);
    g_assert_cmpuint(s->memory.reads, ==,
                     (top ? 1u << top : 512) + (s->levels - 1) * 512);
    s->table.root = 0;      /* there is no memory */
    g_assert_true(sweep(s, 0, UINT64_MAX));
    g_assert_cmpuint(s->memory.reads, ==, top ? 1u << top : 512);
    g_assert_true(sweep(s, HUGE_PAGE, HUGE_PAGE + PAGE - 1));
    g_assert_cmpuint(s->memory.reads, ==, 1);
}

/* The IOVAs between the halves of X86_64 are not looked at */
static void check_halves(Scene *s)
{
    uint64_t half = UINT64_C(1) << (s->table.input_bits - 1);

    if (s->table.format != PVIOMMU_FORMAT_X86_64) {
        g_assert_true(sweep(s, half * 2, UINT64_MAX));
        g_assert_cmpuint(s->memory.reads, ==, 0);
        return;
    }
    /* both ends of the input, as IOVAs */
    s->word[511] = s->word[0];
    level_of(s, 1)[7] = 0x10000 | entry[s->table.format].page;
    g_assert_true(sweep(s, 7 * PAGE, UINT64_MAX));
    g_assert_cmpuint(s->runs->len, ==, 2);
    assert_run(s, 0, 7 * PAGE, 8 * PAGE - 1, 0x10000, RW);
    half = UINT64_C(1) << (s->table.input_bits - 9);
    assert_run(s, 1, -half + 7 * PAGE, -half + 8 * PAGE - 1, 0x10000, RW);
    half = UINT64_C(1) << (s->table.input_bits - 1);
    g_assert_true(sweep(s, half, -half - 1));
    g_assert_cmpuint(s->memory.reads, ==, 0);
    g_assert_true(sweep(s, half - 1, -half));
    g_assert_cmpuint(s->memory.reads, ==, 2);
}

/* As large as the space, and each entry leads to it again */
static void check_itself(Scene *s)
{
    for (unsigned i = 0; i < 512; i++) {
        s->word[i] = TABLES | entry[s->table.format].table |
                     entry[s->table.format].page;
    }
    s->left = 100000;
    g_assert_false(sweep(s, 0, UINT64_MAX));
    g_assert_cmpuint(s->memory.reads, ==, s->left);
    /* all pages are the same one: each is a run */
    g_assert_cmpuint(s->runs->len, >, s->left - s->left / 511 - 10);
    assert_run(s, 0, 0, PAGE - 1, TABLES, RW);
    assert_run(s, 99, 99 * PAGE, 100 * PAGE - 1, TABLES, RW);
    /* just enough is enough */
    s->left = s->levels - 1 + 8;
    g_assert_true(sweep(s, 0, 8 * PAGE - 1));
    s->left--;
    g_assert_false(sweep(s, 0, 8 * PAGE - 1));
    g_assert_cmpuint(s->runs->len, ==, 7);
    /* and one can go on from there */
    g_assert_cmphex(s->stopped, ==, 7 * PAGE);
    g_assert_true(sweep(s, s->stopped, 8 * PAGE - 1));
    g_assert_cmpuint(s->runs->len, ==, 1);
}

/* An entry that is mostly right, so that sweeps go far */
static uint64_t random_entry(const Scene *s, Random *random)
{
    const struct Entry *e = &entry[s->table.format];
    uint64_t word = page_of(random_below(random, PAGES + 1)) | e->page;

    switch (random_below(random, 8)) {
    case 0:
        return random_next(random);
    case 1:
        return word ^ UINT64_C(1) << random_below(random, 64);
    case 2:
        return (word & ~(HUGE_PAGE - PAGE)) | e->big;
    default:
        return word;
    }
}

/* Whether @run is the next of the runs that the pages from @*at on make */
static void check_random(Scene *s, uint64_t first, unsigned pages)
{
    PviommuMapping run = { .first = 1 };
    unsigned count = 0;

    g_assert_true(sweep(s, first, first + (pages * PAGE - 1)));
    for (unsigned i = 0; i <= pages; i++) {
        uint64_t iova = first + i * PAGE, size, phys = 0;
        uint32_t flags = 0;
        bool there = i < pages &&
                     naive_walk(&s->memory, &s->table, iova, &size, &phys,
                                &flags);

        if (there && run.last && run.flags == flags &&
            run.phys + (iova - run.first) == phys) {
            run.last = iova + (PAGE - 1);
            continue;
        }
        if (run.last) {
            assert_run(s, count++, run.first, run.last, run.phys, run.flags);
        }
        run = (PviommuMapping) { 0 };
        if (there) {
            run = (PviommuMapping) { iova, iova + (PAGE - 1), phys, flags };
        }
    }
    g_assert_cmpuint(s->runs->len, ==, count);
}

static void test_random(void)
{
    uint64_t rounds = random_rounds(300);
    uint64_t runs = 0;
    Random random;

    random_init(&random);
    for (uint64_t round = 0; round < rounds; round++) {
        Scene *s = scene_new(&tables_of[random_below(&random,
                             G_N_ELEMENTS(tables_of))]);
        uint64_t input = (UINT64_C(1) << s->table.input_bits) - 1;
        bool in_order = random_below(&random, 2);

        for (unsigned i = 0; i < G_N_ELEMENTS(s->word); i++) {
            s->word[i] = in_order && i && random_below(&random, 8)
                         ? s->word[i - 1] + PAGE : random_entry(s, &random);
        }
        for (unsigned i = 0; i < 20; i++) {
            uint64_t first = random_next(&random) & input & -PAGE;

            if (random_below(&random, 4) == 0) {
                first = -(first & (input >> 1)) - 700 * PAGE;
            }
            check_random(s, first, 1 + random_below(&random, 700));
            runs += s->runs->len;
        }
        scene_free(s);
    }
    g_test_message("%" G_GUINT64_FORMAT " runs were found", runs);
    g_assert_cmpuint(runs, >, rounds);
}

static void for_tables(gconstpointer check)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(tables_of); i++) {
        Scene *s = scene_new(&tables_of[i]);

        ((void (*)(Scene *))check)(s);
        scene_free(s);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_data_func("/pviommu/sweep/runs", check_runs, for_tables);
    g_test_add_data_func("/pviommu/sweep/absent", check_absent, for_tables);
    g_test_add_data_func("/pviommu/sweep/halves", check_halves, for_tables);
    g_test_add_data_func("/pviommu/sweep/points-to-itself", check_itself,
                         for_tables);
    g_test_add_func("/pviommu/sweep/random", test_random);
    return g_test_run();
}
