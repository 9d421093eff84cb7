/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu tests: page tables that the guest owns
 */
#include <string.h>
#include <glib.h>

#include "naive-table.h"
#include "random.h"

enum {
    READ = PVIOMMU_MAP_F_READ,
    WRITE = PVIOMMU_MAP_F_WRITE,
    RW = READ | WRITE,
    PAGES = 8,              /* of tables, from TABLES on */
};

#define TABLES UINT64_C(0x100000)
#define PAGE UINT64_C(0x12345679000)
#define BIT(n) (UINT64_C(1) << (n))

/* An entry that points to a table, and one that maps a page, by format */
#define X86_TABLE UINT64_C(0x27)        /* present, write, user, accessed */
#define X86_LEAF UINT64_C(0x67)
#define ARM_TABLE UINT64_C(0x3)
#define ARM_LEAF UINT64_C(0x443)        /* user, accessed, page */
#define ARM_BLOCK UINT64_C(0x441)

/**
 * struct Tables - pages of tables, each of which the one before points to
 * @memory: the memory
 * @table: what the guest would say of it
 * @levels: how many are used
 * @word: the pages
 */
typedef struct Tables {
    Memory memory;
    PviommuGuestTable table;
    unsigned levels;
    uint64_t word[PAGES * 512];
} Tables;

typedef struct Shape {
    PviommuFormat format;
    unsigned bits;
    unsigned levels;
    uint64_t iova;          /* within its input, indices 1 to 5 */
} Shape;

static const Shape shapes[] = {
    { PVIOMMU_FORMAT_X86_64, 48, 4, UINT64_C(0x8080604005) },
    { PVIOMMU_FORMAT_X86_64, 57, 5, UINT64_C(0x1010080604005) },
    { PVIOMMU_FORMAT_ARM_LPAE, 39, 3, UINT64_C(0x40403005) },
    { PVIOMMU_FORMAT_ARM_LPAE, 40, 4, UINT64_C(0x8080604005) },
    { PVIOMMU_FORMAT_ARM_LPAE, 44, 4, UINT64_C(0x8080604005) },
    { PVIOMMU_FORMAT_ARM_LPAE, 48, 4, UINT64_C(0x8080604005) },
};

static bool is_x86(const Tables *tables)
{
    return tables->table.format == PVIOMMU_FORMAT_X86_64;
}

static uint64_t page_of(unsigned index)
{
    return TABLES + (uint64_t)index * 4096;
}

/* Where the entry of a level is; the last one is 1 */
static uint64_t *entry_of(Tables *tables, unsigned level, uint64_t iova)
{
    unsigned index = iova >> (12 + 9 * (level - 1)) & 511;

    return &tables->word[(tables->levels - level) * 512 + index];
}

static uint64_t leaf_of(const Tables *tables, unsigned level)
{
    return is_x86(tables) ? X86_LEAF | (level > 1 ? BIT(7) : 0)
                          : level > 1 ? ARM_BLOCK : ARM_LEAF;
}

/* Tables down to one page, or a big one at a higher level */
static Tables *new_tables(const Shape *shape, unsigned last)
{
    Tables *tables = g_new0(Tables, 1);

    tables->memory = (Memory) { TABLES, PAGES * 512, tables->word, 0 };
    tables->table = (PviommuGuestTable) {
        .format = shape->format,
        .input_bits = shape->bits,
        .root = page_of(0),
    };
    tables->levels = shape->levels;
    for (unsigned level = shape->levels; level > last; level--) {
        *entry_of(tables, level, shape->iova) =
            page_of(shape->levels - level + 1) |
            (is_x86(tables) ? X86_TABLE : ARM_TABLE);
    }
    *entry_of(tables, last, shape->iova) =
        (PAGE & ~(BIT(12 + 9 * (last - 1)) - 1)) | leaf_of(tables, last);
    return tables;
}

static bool walk(Tables *tables, uint64_t iova, uint32_t access,
                 PviommuTranslation *t)
{
    bool allowed;

    tables->memory.reads = 0;
    memset(t, 0xa5, sizeof(*t));
    allowed = pviommu_table_walk(&tables->table, iova, access, memory_read,
                                 &tables->memory, t);
    g_assert_cmpuint(tables->memory.reads, <=, tables->levels);
    return allowed;
}

static void assert_fault(Tables *tables, uint64_t iova, uint32_t access)
{
    PviommuTranslation t;

    g_assert_false(walk(tables, iova, access, &t));
    g_assert_cmphex(t.first, ==, iova);
    g_assert_cmphex(t.last, ==, iova);
    g_assert_cmphex(t.phys, ==, 0);
    g_assert_cmphex(t.flags, ==, 0);
    g_assert_cmpuint(t.reason, ==, PVIOMMU_FAULT_R_MAPPING);
}

static void assert_block(Tables *tables, uint64_t iova, uint64_t size,
                         uint64_t phys, uint32_t flags)
{
    static const uint32_t accesses[] = { 0, READ, WRITE, RW };

    for (unsigned i = 0; i < G_N_ELEMENTS(accesses); i++) {
        PviommuTranslation t;

        if (accesses[i] & ~flags) {
            assert_fault(tables, iova, accesses[i]);
            continue;
        }
        g_assert_true(walk(tables, iova, accesses[i], &t));
        g_assert_cmphex(t.first, ==, iova / size * size);
        g_assert_cmphex(t.last, ==, iova / size * size + (size - 1));
        g_assert_cmphex(t.phys, ==, phys);
        g_assert_cmphex(t.flags, ==, flags);
        g_assert_cmphex(t.reason, ==, 0);
    }
}

static void check_walk(const Shape *shape)
{
    g_autofree Tables *tables = new_tables(shape, 1);

    assert_block(tables, shape->iova, 4096, PAGE, RW);
    assert_block(tables, shape->iova | 0xfff, 4096, PAGE, RW);
    assert_block(tables, shape->iova & ~UINT64_C(0xfff), 4096, PAGE, RW);
    g_assert_cmpuint(tables->memory.reads, ==, shape->levels);
    assert_fault(tables, shape->iova + 0x1000, READ);
    assert_fault(tables, shape->iova - 0x1000, READ);
    assert_fault(tables, 0, READ);
    assert_fault(tables, UINT64_MAX, READ);
}

static void check_big_pages(const Shape *shape)
{
    for (unsigned level = 2; level <= shape->levels; level++) {
        g_autofree Tables *tables = new_tables(shape, level);
        uint64_t size = BIT(12 + 9 * (level - 1));

        if (level > 3) {                /* 512 GiB is no page */
            assert_fault(tables, shape->iova, READ);
            continue;
        }
        assert_block(tables, shape->iova, size, PAGE & -size, RW);
        assert_block(tables, shape->iova | (size - 1), size, PAGE & -size,
                     RW);
        assert_block(tables, shape->iova & -size, size, PAGE & -size, RW);
        assert_fault(tables, (shape->iova & -size) - 1, READ);
        assert_fault(tables, (shape->iova | (size - 1)) + 1, READ);
    }
}

/* What a bit of an entry does when it is turned over */
typedef enum Effect {
    NOTHING,
    FAULTS,
    READ_ONLY,
    MOVES,                  /* a bit of the address */
} Effect;

static Effect x86_64_effect(unsigned n, unsigned level, bool leaf)
{
    if (n == 0 || n == 2) {
        return FAULTS;
    } else if (n == 1) {
        return READ_ONLY;
    } else if (n == 7) {
        /* a table becomes a page whose address is not that of one */
        return level == 1 ? NOTHING : leaf ? MOVES : FAULTS;
    } else if (n < 12 || n > 51) {
        return NOTHING;
    } else if (leaf && n < 12 + 9 * (level - 1)) {
        return n == 12 ? NOTHING : FAULTS;
    }
    return MOVES;
}

static Effect arm_lpae_effect(unsigned n, unsigned level, bool leaf)
{
    if (n == 0) {
        return FAULTS;
    } else if (n == 1) {
        return level == 1 || !leaf ? FAULTS : MOVES;
    } else if (leaf && (n == 6 || n == 10)) {
        return FAULTS;
    } else if (n == (leaf ? 7 : 62)) {
        return READ_ONLY;
    } else if (n == 48 || n == 49 || (!leaf && (n == 50 || n == 61))) {
        return FAULTS;
    } else if (n < 12 || n > 47) {
        return NOTHING;
    }
    return leaf && n < 12 + 9 * (level - 1) ? FAULTS : MOVES;
}

static void check_bit(Tables *tables, uint64_t iova, unsigned last,
                      unsigned level, unsigned n)
{
    uint64_t size = BIT(12 + 9 * (last - 1));
    bool leaf = level == last;
    Effect effect = is_x86(tables) ? x86_64_effect(n, level, leaf)
                                   : arm_lpae_effect(n, level, leaf);
    uint64_t *entry = entry_of(tables, level, iova);

    *entry ^= BIT(n);
    switch (effect) {
    case NOTHING:
        assert_block(tables, iova, size, PAGE & -size, RW);
        break;
    case READ_ONLY:
        assert_block(tables, iova, size, PAGE & -size, READ);
        break;
    case FAULTS:
        assert_fault(tables, iova, 0);
        assert_fault(tables, iova, READ);
        break;
    case MOVES:
        if (leaf && n >= 12) {
            assert_block(tables, iova, size, (PAGE & -size) ^ BIT(n), RW);
        } else {
            assert_fault(tables, iova, READ);   /* no table is there */
        }
        break;
    }
    *entry ^= BIT(n);
}

/* Each bit of each entry on the way, to a page of each size */
static void check_every_bit(const Shape *shape)
{
    for (unsigned last = 1; last <= 3; last++) {
        g_autofree Tables *tables = new_tables(shape, last);

        for (unsigned level = shape->levels; level >= last; level--) {
            for (unsigned n = 0; n < 64; n++) {
                check_bit(tables, shape->iova, last, level, n);
            }
        }
    }
}

/* A table without write access above a page with it */
static void test_permissions(void)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(shapes); i++) {
        g_autofree Tables *tables = new_tables(&shapes[i], 1);
        uint64_t *leaf = entry_of(tables, 1, shapes[i].iova);

        assert_block(tables, shapes[i].iova, 4096, PAGE, RW);
        *leaf ^= is_x86(tables) ? BIT(1) : BIT(7);
        assert_block(tables, shapes[i].iova, 4096, PAGE, READ);
        assert_fault(tables, shapes[i].iova, WRITE);
        assert_fault(tables, shapes[i].iova, RW);
    }
}

/* The ends of what each width can address, and what is beyond them */
static void test_input_ends(void)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(shapes); i++) {
        g_autofree Tables *tables = new_tables(&shapes[i], 3);
        unsigned bits = shapes[i].bits;
        uint64_t size = BIT(30), top = BIT(bits);

        for (unsigned n = 0; n < 512; n++) {
            /* every way leads to the same place */
            tables->word[n] = shapes[i].levels == 3
                ? leaf_of(tables, 3)
                : page_of(1) | (is_x86(tables) ? X86_TABLE : ARM_TABLE);
            tables->word[512 + n] = shapes[i].levels == 5
                ? page_of(2) | X86_TABLE : leaf_of(tables, 3);
            tables->word[1024 + n] = leaf_of(tables, 3);
        }
        assert_block(tables, 0, size, 0, RW);
        assert_block(tables, top / 2 - 1, size, 0, RW);
        assert_fault(tables, top, READ);
        if (is_x86(tables)) {
            assert_fault(tables, top / 2, READ);
            assert_fault(tables, top - 1, READ);
            assert_fault(tables, -(top / 2) - 1, READ);
            assert_block(tables, -(top / 2), size, 0, RW);
            assert_block(tables, UINT64_MAX, size, 0, RW);
        } else {
            assert_block(tables, top - 1, size, 0, RW);
            assert_fault(tables, UINT64_MAX, READ);
        }
        for (unsigned n = bits; n < 64; n++) {
            assert_fault(tables, BIT(n), READ);
        }
    }
}

/* A table that points to itself ends as a page, or nowhere, in time */
static void test_points_to_itself(void)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(shapes); i++) {
        g_autofree Tables *tables = new_tables(&shapes[i], 1);

        for (unsigned n = 0; n < 512; n++) {
            tables->word[n] = page_of(0) |
                              (is_x86(tables) ? X86_LEAF : ARM_LEAF);
        }
        assert_block(tables, shapes[i].iova, 4096, TABLES, RW);
        g_assert_cmpuint(tables->memory.reads, ==, shapes[i].levels);
        memset(tables->word, 0xff, sizeof(tables->word));
        assert_fault(tables, shapes[i].iova, READ);
    }
}

/* Where there is no memory, at each level, the top of the space included */
static void test_no_memory(void)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(shapes); i++) {
        unsigned levels = shapes[i].levels;

        for (unsigned level = levels; level > 1; level--) {
            g_autofree Tables *tables = new_tables(&shapes[i], 1);
            uint64_t *entry = entry_of(tables, level, shapes[i].iova);
            uint64_t end = is_x86(tables) ? UINT64_C(0xffffffffff000)
                                          : UINT64_C(0xfffffffff000);

            *entry |= end;
            assert_fault(tables, shapes[i].iova, READ);
            g_assert_cmpuint(tables->memory.reads, ==, levels - level + 2);
        }
        {
            g_autofree Tables *tables = new_tables(&shapes[i], 1);

            tables->table.root = page_of(PAGES);
            assert_fault(tables, shapes[i].iova, READ);
            g_assert_cmpuint(tables->memory.reads, ==, 1);
        }
    }
}

/* A guest that changes an entry as soon as it was read */
static bool read_and_change(uint64_t address, uint64_t *entry, void *opaque)
{
    Memory *memory = opaque;
    bool there = memory_read(address, entry, memory);

    if (there) {
        memory->word[(address - memory->first) / 8] = ~*entry;
    }
    return there;
}

static void test_changes_meanwhile(void)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(shapes); i++) {
        g_autofree Tables *tables = new_tables(&shapes[i], 1);
        PviommuTranslation t;

        g_assert_true(pviommu_table_walk(&tables->table, shapes[i].iova, RW,
                                         read_and_change, &tables->memory,
                                         &t));
        g_assert_cmphex(t.phys, ==, PAGE);
        g_assert_cmphex(t.flags, ==, RW);
        g_assert_cmpuint(tables->memory.reads, ==, shapes[i].levels);
    }
}

static void test_formats(void)
{
    const PviommuFormatInfo *x86_64 =
        pviommu_format_info(PVIOMMU_FORMAT_X86_64);
    const PviommuFormatInfo *arm =
        pviommu_format_info(PVIOMMU_FORMAT_ARM_LPAE);

    g_assert_cmphex(x86_64->input_sizes, ==, BIT(48) | BIT(57));
    g_assert_cmphex(arm->input_sizes, ==, UINT64_C(0x1ff8000000000));
    g_assert_cmphex(x86_64->page_sizes, ==, 0x40201000);
    g_assert_cmphex(arm->page_sizes, ==, 0x40201000);
    g_assert_cmpuint(x86_64->output_bits, ==, 52);
    g_assert_cmpuint(arm->output_bits, ==, 48);
    g_assert_false(x86_64->attributes);
    g_assert_true(arm->attributes);
    g_assert_null(pviommu_format_info(0));
    g_assert_null(pviommu_format_info(PVIOMMU_FORMAT__MAX));
    g_assert_null(pviommu_format_info(UINT16_MAX));
}

/* An entry that is mostly right, so that walks go far */
static uint64_t random_entry(const Tables *tables, Random *random)
{
    uint64_t entry = random_next(random);

    if (random_below(random, 16) == 0) {
        return entry;
    }
    entry = page_of(random_below(random, PAGES + 1)) |
            (is_x86(tables) ? X86_LEAF : ARM_LEAF);
    while (random_below(random, 2)) {
        entry ^= BIT(random_below(random, 64));
    }
    if (random_below(random, 4) == 0) {     /* fit for a big page */
        entry &= ~UINT64_C(0x3fffe000);
        entry ^= is_x86(tables) ? BIT(7) : BIT(1);
    }
    return entry;
}

/* Mostly an address that the table translates, or its negative */
static uint64_t random_iova(unsigned bits, Random *random)
{
    uint64_t iova = random_next(random);

    switch (random_below(random, 8)) {
    case 0:
        return iova;
    case 1:
        return -(iova & (BIT(bits) - 1));
    default:
        return iova & (BIT(bits) - 1);
    }
}

static void check_random(Tables *tables, uint64_t iova)
{
    uint64_t size = 0, phys = 0;
    uint32_t flags = 0;
    bool there = naive_walk(&tables->memory, &tables->table, iova, &size,
                            &phys, &flags);

    if (there) {
        assert_block(tables, iova, size, phys / size * size, flags);
    } else {
        assert_fault(tables, iova, 0);
        assert_fault(tables, iova, READ);
    }
}

static void test_random(void)
{
    uint64_t rounds = random_rounds(300);
    uint64_t found = 0;
    Random random;

    random_init(&random);
    for (uint64_t round = 0; round < rounds; round++) {
        const Shape *shape =
            &shapes[random_below(&random, G_N_ELEMENTS(shapes))];
        g_autofree Tables *tables = new_tables(shape, 1);
        PviommuTranslation t;

        for (unsigned i = 0; i < G_N_ELEMENTS(tables->word); i++) {
            tables->word[i] = random_entry(tables, &random);
        }
        for (unsigned i = 0; i < 500; i++) {
            uint64_t iova = random_iova(shape->bits, &random);

            check_random(tables, iova);
            found += walk(tables, iova, 0, &t);
        }
    }
    g_test_message("%" G_GUINT64_FORMAT " addresses were mapped", found);
    g_assert_cmpuint(found, >, rounds);
}

/* Do for all shapes of a format, or of both */
static void for_shapes(unsigned format, void (*check)(const Shape *shape))
{
    for (unsigned i = 0; i < G_N_ELEMENTS(shapes); i++) {
        if (!format || shapes[i].format == format) {
            check(&shapes[i]);
        }
    }
}

static void test_walk(void)
{
    for_shapes(0, check_walk);
}

static void test_big_pages(void)
{
    for_shapes(0, check_big_pages);
}

static void test_every_bit_x86_64(void)
{
    for_shapes(PVIOMMU_FORMAT_X86_64, check_every_bit);
}

static void test_every_bit_arm_lpae(void)
{
    for_shapes(PVIOMMU_FORMAT_ARM_LPAE, check_every_bit);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/pviommu/table/walk", test_walk);
    g_test_add_func("/pviommu/table/big-pages", test_big_pages);
    g_test_add_func("/pviommu/table/every-bit-x86-64",
                    test_every_bit_x86_64);
    g_test_add_func("/pviommu/table/every-bit-arm-lpae",
                    test_every_bit_arm_lpae);
    g_test_add_func("/pviommu/table/permissions", test_permissions);
    g_test_add_func("/pviommu/table/input-ends", test_input_ends);
    g_test_add_func("/pviommu/table/points-to-itself",
                    test_points_to_itself);
    g_test_add_func("/pviommu/table/no-memory", test_no_memory);
    g_test_add_func("/pviommu/table/changes-meanwhile",
                    test_changes_meanwhile);
    g_test_add_func("/pviommu/table/formats", test_formats);
    g_test_add_func("/pviommu/table/random", test_random);
    return g_test_run();
}
