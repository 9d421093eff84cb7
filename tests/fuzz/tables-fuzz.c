/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * libFuzzer: page tables of the guest against a walk that is written plainly
 *
 * The input says which kind of table it is, fills a few pages with entries,
 * and asks for addresses.  An entry is one that is right with bits turned over,
 * or any number.
 */
#include <string.h>
#include <glib.h>

#include "input.h"
#include "naive-table.h"

enum {
    PAGES = 6,
    WORDS = PAGES * 512,
    STEPS_MAX = 200,
};

#define TABLES UINT64_C(0x7ffffffff000)     /* across a power of two */

/**
 * struct Tables - what the input made
 * @memory: pages of tables
 * @table: what the guest said of them
 */
typedef struct Tables {
    Memory memory;
    PviommuGuestTable table;
} Tables;

static void choose(Tables *tables, Input *input)
{
    unsigned how = input_byte(input);
    bool x86_64 = how & 1;

    tables->table = (PviommuGuestTable) {
        .format = x86_64 ? PVIOMMU_FORMAT_X86_64 : PVIOMMU_FORMAT_ARM_LPAE,
        .input_bits = x86_64 ? (how & 2 ? 57 : 48) : 39 + (how >> 1) % 10,
        .root = TABLES + (how >> 5) % PAGES * 4096,
        .attributes = how,
    };
}

static uint64_t take_entry(const Tables *tables, Input *input)
{
    bool x86_64 = tables->table.format == PVIOMMU_FORMAT_X86_64;
    unsigned how = input_byte(input);
    uint64_t entry;

    if (how & 0x80) {
        return input_long(input);
    }
    entry = (TABLES + how % (PAGES + 1) * 4096) | (x86_64 ? 0x67 : 0x443);
    if (how & 0x40) {                       /* a big page */
        entry &= ~UINT64_C(0x3ffff000);
        entry ^= x86_64 ? 0x80 : 0x02;
    }
    if (how & 0x20) {
        entry ^= UINT64_C(1) << input_below(input, 64);
    }
    return entry;
}

/* All entries of a page, or a few of them */
static void fill(Tables *tables, Input *input)
{
    unsigned at = input_word(input) % WORDS;
    unsigned count = input_byte(input);
    uint64_t entry = take_entry(tables, input);

    count = count >= 128 ? 512 : count;
    for (unsigned i = at; i < MIN(at + count, WORDS); i++) {
        tables->memory.word[i] = entry;
    }
}

static void look(Tables *tables, uint64_t iova)
{
    static const uint32_t accesses[] = {
        0, PVIOMMU_MAP_F_READ, PVIOMMU_MAP_F_WRITE,
        PVIOMMU_MAP_F_READ | PVIOMMU_MAP_F_WRITE,
    };
    uint64_t size = 0, phys = 0;
    uint32_t flags = 0;
    bool there = naive_walk(&tables->memory, &tables->table, iova, &size,
                            &phys, &flags);

    for (unsigned i = 0; i < G_N_ELEMENTS(accesses); i++) {
        PviommuTranslation t;
        bool allowed;

        tables->memory.reads = 0;
        allowed = pviommu_table_walk(&tables->table, iova, accesses[i],
                                     memory_read, &tables->memory, &t);
        g_assert_cmpint(allowed, ==, there && !(accesses[i] & ~flags));
        g_assert_cmpuint(tables->memory.reads, <=, 5);
        g_assert_cmphex(t.first, <=, iova);
        g_assert_cmphex(t.last, >=, iova);
        if (allowed) {
            g_assert_cmphex(t.last - t.first, ==, size - 1);
            g_assert_cmphex(t.phys + (iova - t.first), ==, phys);
            g_assert_cmphex(t.flags, ==, flags);
        } else {
            g_assert_cmphex(t.first, ==, t.last);
            g_assert_cmphex(t.flags, ==, 0);
            g_assert_cmpuint(t.reason, ==, PVIOMMU_FAULT_R_MAPPING);
        }
    }
}

/* What a sweep of a few pages finds, against each page by itself */
typedef struct Swept {
    Tables *tables;
    uint64_t next;          /* the first page that is not judged yet */
    PviommuMapping before;
} Swept;

static void check_page(Swept *s, const PviommuMapping *run)
{
    uint64_t size = 0, phys = 0;
    uint32_t flags = 0;
    bool there = naive_walk(&s->tables->memory, &s->tables->table, s->next,
                            &size, &phys, &flags);

    g_assert_cmpint(there, ==, run != NULL);
    if (run) {
        g_assert_cmphex(phys, ==, run->phys + (s->next - run->first));
        g_assert_cmphex(flags, ==, run->flags);
    }
    s->next += 4096;
}

static void found(const PviommuMapping *run, void *opaque)
{
    Swept *s = opaque;

    g_assert_cmphex(run->first, <=, run->last);
    g_assert_cmphex(run->first, >=, s->next);
    g_assert_false(s->before.last && s->before.last + 1 == run->first &&
                   s->before.flags == run->flags &&
                   s->before.phys + (run->first - s->before.first) ==
                   run->phys);
    while (s->next < run->first) {
        check_page(s, NULL);
    }
    while (s->next - 1 != run->last) {
        check_page(s, run);
    }
    s->before = *run;
}

static void sweep(Tables *tables, uint64_t iova, unsigned pages)
{
    uint64_t first = iova & -UINT64_C(4096);
    uint64_t end = first + pages * UINT64_C(4096);
    Swept swept = { .tables = tables, .next = first };
    PviommuSweep how = {
        .read = memory_read, .read_opaque = &tables->memory,
        .found = found, .found_opaque = &swept,
        .left = pages * 3,
    };

    if (end < first) {
        return;         /* it would be around the end of the space */
    }
    if (pviommu_table_sweep(&tables->table, first, end - 1, &how)) {
        while (swept.next != end) {
            check_page(&swept, NULL);
        }
    } else {
        g_assert_cmpuint(how.left, ==, 0);
    }
}

/* All of it, as far as it goes: each run begins and ends as it says */
static void found_any(const PviommuMapping *run, void *opaque)
{
    Swept s = { .tables = opaque, .next = run->first };

    check_page(&s, run);
    s.next = run->last & -UINT64_C(4096);
    check_page(&s, run);
}

static void sweep_all(Tables *tables)
{
    PviommuSweep how = {
        .read = memory_read, .read_opaque = &tables->memory,
        .found = found_any, .found_opaque = tables,
        .left = 2000,
    };

    pviommu_table_sweep(&tables->table, 0, UINT64_MAX, &how);
}

/* An address whose indices are those of a few entries, or any */
static void ask(Tables *tables, Input *input)
{
    unsigned how = input_byte(input);
    uint64_t iova = 0;

    if (how & 1) {
        iova = input_long(input);
    } else {
        for (unsigned level = 0; level < 5; level++) {
            iova = iova << 9 | (input_byte(input) * 2 + (how >> 7));
        }
        iova = iova << 12 | input_byte(input);
    }
    if (how & 2) {
        iova &= (UINT64_C(1) << tables->table.input_bits) - 1;
    }
    look(tables, iova);
    look(tables, -iova);
    sweep(tables, iova, 1 + how);
    if (how & 4) {
        sweep_all(tables);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Input input = { data, size };
    Tables tables = {
        .memory = { .first = TABLES, .count = WORDS },
    };

    tables.memory.word = g_new0(uint64_t, WORDS);
    choose(&tables, &input);
    for (unsigned i = 0; i < STEPS_MAX && input.left > 0; i++) {
        if (input_byte(&input) & 1) {
            fill(&tables, &input);
        } else {
            ask(&tables, &input);
        }
    }
    g_free(tables.memory.word);
    return 0;
}
