/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu tests: domains with a table that the guest owns
 */
#include <string.h>

#include "fixture.h"
#include "naive-table.h"

enum {
    READ = PVIOMMU_MAP_F_READ,
    WRITE = PVIOMMU_MAP_F_WRITE,
    RW = READ | WRITE,
    BOTH = 1 << PVIOMMU_FORMAT_X86_64 | 1 << PVIOMMU_FORMAT_ARM_LPAE,
};

#define ROOT UINT64_C(0x40000)
#define PAGE UINT64_C(0x12345000)

static const PviommuGuestTable x86_64 = {
    .format = PVIOMMU_FORMAT_X86_64, .input_bits = 48, .root = ROOT,
};

static const PviommuGuestTable arm_lpae = {
    .format = PVIOMMU_FORMAT_ARM_LPAE, .input_bits = 39, .root = ROOT,
    .attributes = UINT64_C(0xff44bb0400),
};

static void set_formats(Fixture *fixture, unsigned group, uint32_t offered,
                        uint32_t announced)
{
    pviommu_group_set_formats(fixture->group[group], (PviommuFormats) {
        .offered = offered, .announced = announced,
    });
}

/* As the pair, which may have tables of all formats */
static Fixture *new_pair(const PviommuConfig *config)
{
    Fixture *fixture = fixture_new_pair(config);

    pviommu_iommu_set_features(fixture->iommu, FIXTURE_WITH_TABLES);
    set_formats(fixture, 0, BOTH, 0);
    set_formats(fixture, 1, BOTH, 0);
    return fixture;
}

static const PviommuGuestTable *table_of(const Fixture *fixture, uint32_t id)
{
    PviommuDomain *domain = fixture_domain(fixture, id);

    return domain ? pviommu_domain_table(domain) : NULL;
}

static void test_attaches(void)
{
    g_autoptr(Fixture) fixture = new_pair(NULL);
    const PviommuGuestTable *table;

    ASSERT_OK(fixture, attach_table(fixture, 1, 8, &arm_lpae));
    g_assert_cmpint(fixture->change.kind, ==, PVIOMMU_CHANGE_SWITCH);
    g_assert_true(fixture->change.to == fixture_domain(fixture, 1));
    table = table_of(fixture, 1);
    g_assert_cmpuint(table->format, ==, PVIOMMU_FORMAT_ARM_LPAE);
    g_assert_cmpuint(table->input_bits, ==, 39);
    g_assert_cmphex(table->root, ==, ROOT);
    g_assert_cmphex(table->attributes, ==, arm_lpae.attributes);
    g_assert_cmpint(pviommu_group_state(fixture->group[0]), ==,
                    PVIOMMU_TRANSLATED);
    /* the same again, and by another endpoint */
    ASSERT_OK(fixture, attach_table(fixture, 1, 8, &arm_lpae));
    g_assert_cmpint(fixture->change.kind, ==, PVIOMMU_CHANGE_NONE);
    ASSERT_OK(fixture, attach_table(fixture, 1, 9, &arm_lpae));
    ASSERT_OK(fixture, attach_table(fixture, 2, 8, &x86_64));
    g_assert_nonnull(table_of(fixture, 2));
    ASSERT_OK(fixture, attach_table(fixture, 2, 9, &x86_64));
    g_assert_null(fixture_domain(fixture, 1));
}

static void test_not_negotiated(void)
{
    g_autoptr(Fixture) fixture = new_pair(NULL);

    pviommu_iommu_set_features(fixture->iommu, FIXTURE_ALL_FEATURES);
    ASSERT_UNWRITTEN(fixture, attach_table(fixture, 1, 8, &x86_64),
                     UNKNOWN_TYPE);
    ASSERT_OK(fixture, attach(fixture, 1, 8, 0));
    ASSERT_UNWRITTEN(fixture, invalidate(fixture, 1, 0, 0xfff),
                     UNKNOWN_TYPE);
    ASSERT_OK(fixture, probe(fixture, 8));
    for (unsigned i = 0; i < FIXTURE_PROBE_SIZE; i++) {
        g_assert_cmphex(fixture->properties[i], ==, 0);
    }
}

static void test_reserved(void)
{
    g_autoptr(Fixture) fixture = new_pair(NULL);
    PviommuGuestTable table = x86_64;
    uint8_t bytes[PVIOMMU_REQUEST_MAX];
    size_t size;

    for (unsigned i = 12; i < 16; i++) {
        size = build_attach_table(bytes, 1, 8, &x86_64);
        bytes[i] = 0x40;
        ASSERT_REFUSED(fixture, submit(fixture, bytes, size, 4), INVAL,
                       FLAGS);
    }
    table.attributes = 1;       /* x86_64 has none */
    ASSERT_REFUSED(fixture, attach_table(fixture, 1, 8, &table), INVAL,
                   RESERVED);
    ASSERT_OK(fixture, attach_table(fixture, 1, 8, &x86_64));
    for (unsigned i = 24; i < 28; i++) {
        size = build_invalidate(bytes, 1, 0, 0xfff);
        bytes[i] = 1;
        ASSERT_REFUSED(fixture, submit(fixture, bytes, size, 4), INVAL,
                       RESERVED);
    }
}

static void test_short(void)
{
    g_autoptr(Fixture) fixture = new_pair(NULL);
    uint8_t bytes[PVIOMMU_REQUEST_MAX];
    size_t size = build_attach_table(bytes, 1, 8, &x86_64);

    g_assert_cmpuint(size, ==, 36);
    for (size_t i = PVIOMMU_HEAD_SIZE; i < size; i++) {
        ASSERT_REFUSED(fixture, submit(fixture, bytes, i, 4), INVAL,
                       SHORT_BODY);
    }
    ASSERT_OK(fixture, submit(fixture, bytes, size, 4));
    size = build_invalidate(bytes, 1, 0, UINT64_MAX);
    g_assert_cmpuint(size, ==, 28);
    for (size_t i = PVIOMMU_HEAD_SIZE; i < size; i++) {
        ASSERT_REFUSED(fixture, submit(fixture, bytes, i, 4), INVAL,
                       SHORT_BODY);
    }
    ASSERT_OK(fixture, submit(fixture, bytes, size, 4));
}

static void test_formats(void)
{
    g_autoptr(Fixture) fixture = new_pair(NULL);
    PviommuGuestTable table = x86_64;

    for (unsigned format = 0; format <= UINT16_MAX; format++) {
        table.format = (uint16_t)format;
        if (format < 1 || format > 2) {
            ASSERT_REFUSED(fixture, attach_table(fixture, 1, 8, &table),
                           UNSUPP, FORMAT);
        }
    }
    for (unsigned bits = 0; bits <= UINT16_MAX; bits++) {
        table.format = PVIOMMU_FORMAT_X86_64;
        table.input_bits = (uint16_t)bits;
        if (bits != 48 && bits != 57) {
            ASSERT_REFUSED(fixture, attach_table(fixture, 1, 8, &table),
                           UNSUPP, FORMAT);
        }
        table.format = PVIOMMU_FORMAT_ARM_LPAE;
        if (bits < 39 || bits > 48) {
            ASSERT_REFUSED(fixture, attach_table(fixture, 1, 8, &table),
                           UNSUPP, FORMAT);
        }
    }
    set_formats(fixture, 0, 1 << PVIOMMU_FORMAT_ARM_LPAE, 0);
    ASSERT_REFUSED(fixture, attach_table(fixture, 1, 8, &x86_64), UNSUPP,
                   FORMAT);
    ASSERT_OK(fixture, attach_table(fixture, 1, 8, &arm_lpae));
    set_formats(fixture, 1, 0, 0);
    ASSERT_REFUSED(fixture, attach_table(fixture, 1, 9, &arm_lpae), UNSUPP,
                   FORMAT);
    /* which is no reason to refuse mappings */
    ASSERT_OK(fixture, attach(fixture, 2, 9, 0));
}

static void test_root(void)
{
    g_autoptr(Fixture) fixture = new_pair(NULL);
    PviommuGuestTable table = x86_64;

    for (unsigned bit = 0; bit < 64; bit++) {
        table.root = UINT64_C(1) << bit;
        if (bit < 12) {
            ASSERT_REFUSED(fixture, attach_table(fixture, bit, 8, &table),
                           RANGE, UNALIGNED);
        } else if (bit > 51) {
            ASSERT_REFUSED(fixture, attach_table(fixture, bit, 8, &table),
                           RANGE, INPUT_RANGE);
        } else {
            ASSERT_OK(fixture, attach_table(fixture, bit, 8, &table));
        }
    }
    table = arm_lpae;
    table.root = UINT64_C(1) << 48;
    ASSERT_REFUSED(fixture, attach_table(fixture, 1, 8, &table), RANGE,
                   INPUT_RANGE);
    table.root = (UINT64_C(1) << 48) - 4096;
    ASSERT_OK(fixture, attach_table(fixture, 1, 8, &table));
    table.root = 0;
    ASSERT_OK(fixture, attach_table(fixture, 2, 8, &table));
}

/* A domain is of one kind, and has one table, for life */
static void test_kinds(void)
{
    g_autoptr(Fixture) fixture = new_pair(NULL);
    PviommuGuestTable table = arm_lpae;

    ASSERT_OK(fixture, attach_table(fixture, 1, 8, &arm_lpae));
    ASSERT_REFUSED(fixture, attach(fixture, 1, 9, 0), INVAL, DOMAIN_KIND);
    ASSERT_REFUSED(fixture, attach(fixture, 1, 8, PVIOMMU_ATTACH_F_BYPASS),
                   INVAL, DOMAIN_KIND);
    table.root += 4096;
    ASSERT_REFUSED(fixture, attach_table(fixture, 1, 8, &table), INVAL,
                   DOMAIN_KIND);
    table = arm_lpae;
    table.attributes++;
    ASSERT_REFUSED(fixture, attach_table(fixture, 1, 9, &table), INVAL,
                   DOMAIN_KIND);
    table = arm_lpae;
    table.input_bits++;
    ASSERT_REFUSED(fixture, attach_table(fixture, 1, 9, &table), INVAL,
                   DOMAIN_KIND);
    ASSERT_REFUSED(fixture, attach_table(fixture, 1, 9, &x86_64), INVAL,
                   DOMAIN_KIND);
    ASSERT_OK(fixture, attach(fixture, 2, 9, 0));
    ASSERT_REFUSED(fixture, attach_table(fixture, 2, 8, &x86_64), INVAL,
                   DOMAIN_KIND);
    ASSERT_OK(fixture, attach(fixture, 3, 9, PVIOMMU_ATTACH_F_BYPASS));
    ASSERT_REFUSED(fixture, attach_table(fixture, 3, 8, &x86_64), INVAL,
                   DOMAIN_KIND);
    /* the id again, for another kind */
    ASSERT_OK(fixture, attach(fixture, 3, 8, PVIOMMU_ATTACH_F_BYPASS));
    ASSERT_OK(fixture, attach(fixture, 1, 9, 0));
    g_assert_null(table_of(fixture, 1));
}

/* Of several mistakes the first in the order of R-REQ-13 decides */
static void test_precedence(void)
{
    PviommuConfig config = fixture_config;
    g_autoptr(Fixture) fixture = NULL;
    PviommuGuestTable table = {
        .format = 3, .input_bits = 39, .root = UINT64_MAX, .attributes = 1,
    };

    config.domain_last = 7;
    config.max_domains = 1;
    fixture = new_pair(&config);
    ASSERT_OK(fixture, attach(fixture, 1, 9, 0));
    ASSERT_REFUSED(fixture, attach_table(fixture, 1, 7, &table), NOENT,
                   NO_ENDPOINT);
    ASSERT_REFUSED(fixture, attach_table(fixture, 1, 8, &table), UNSUPP,
                   FORMAT);
    table.format = PVIOMMU_FORMAT_ARM_LPAE;
    ASSERT_REFUSED(fixture, attach_table(fixture, 1, 8, &table), INVAL,
                   DOMAIN_KIND);
    ASSERT_REFUSED(fixture, attach_table(fixture, 8, 8, &table), RANGE,
                   UNALIGNED);
    table.root = -UINT64_C(4096);
    ASSERT_REFUSED(fixture, attach_table(fixture, 1, 8, &table), INVAL,
                   DOMAIN_KIND);
    ASSERT_REFUSED(fixture, attach_table(fixture, 8, 8, &table), RANGE,
                   INPUT_RANGE);
    table.root = 0;
    ASSERT_REFUSED(fixture, attach_table(fixture, 8, 8, &table), RANGE,
                   DOMAIN_RANGE);
    ASSERT_REFUSED(fixture, attach_table(fixture, 2, 8, &table), NOMEM,
                   MAX_DOMAINS);
    ASSERT_REFUSED(fixture, invalidate(fixture, 2, 0x1001, 0x1000), INVAL,
                   INVERTED);
    ASSERT_REFUSED(fixture, invalidate(fixture, 2, 1, 1), NOENT, NO_DOMAIN);
    ASSERT_REFUSED(fixture, invalidate(fixture, 1, 1, 1), INVAL,
                   DOMAIN_KIND);
}

static void test_map_refused(void)
{
    g_autoptr(Fixture) fixture = new_pair(NULL);

    ASSERT_OK(fixture, attach_table(fixture, 1, 8, &x86_64));
    ASSERT_REFUSED(fixture, map(fixture, 1, 0, 0xfff, 0, RW), INVAL,
                   DOMAIN_KIND);
    ASSERT_REFUSED(fixture, unmap(fixture, 1, 0, 0xfff), INVAL, DOMAIN_KIND);
}

static void test_others(void)
{
    PviommuConfig config = fixture_config;
    g_autoptr(Fixture) fixture = NULL;

    config.domain_last = 7;
    config.max_domains = 1;
    fixture = new_pair(&config);
    ASSERT_REFUSED(fixture, attach_table(fixture, 1, 7, &x86_64), NOENT,
                   NO_ENDPOINT);
    ASSERT_REFUSED(fixture, attach_table(fixture, 8, 8, &x86_64), RANGE,
                   DOMAIN_RANGE);
    ASSERT_OK(fixture, attach_table(fixture, 1, 8, &x86_64));
    ASSERT_REFUSED(fixture, attach_table(fixture, 2, 9, &x86_64), NOMEM,
                   MAX_DOMAINS);
    ASSERT_OK(fixture, attach_table(fixture, 2, 8, &x86_64));
    ASSERT_OK(fixture, detach(fixture, 2, 8));
    g_assert_cmpint(pviommu_group_state(fixture->group[0]), ==,
                    PVIOMMU_BYPASS);
}

static void test_undo(void)
{
    g_autoptr(Fixture) fixture = new_pair(NULL);
    uint64_t before;

    ASSERT_OK(fixture, attach(fixture, 1, 8, 0));
    ASSERT_OK(fixture, map(fixture, 1, 0, 0xfff, 0, RW));
    before = fixture_digest(fixture);
    fixture->hold = true;
    ASSERT_OK(fixture, attach_table(fixture, 2, 8, &x86_64));
    g_assert_nonnull(table_of(fixture, 2));
    finish(fixture, false);
    g_assert_cmphex(fixture_digest(fixture), ==, before);
    /* and the other way */
    ASSERT_OK(fixture, attach_table(fixture, 2, 8, &x86_64));
    finish(fixture, true);
    before = fixture_digest(fixture);
    ASSERT_OK(fixture, attach(fixture, 3, 8, 0));
    finish(fixture, false);
    g_assert_cmphex(fixture_digest(fixture), ==, before);
    ASSERT_OK(fixture, invalidate(fixture, 2, 0, 0xfff));
    finish(fixture, false);
    g_assert_cmphex(fixture_digest(fixture), ==, before);
    ASSERT_OK(fixture, invalidate(fixture, 2, 0, 0xfff));
    finish(fixture, true);
    g_assert_cmphex(fixture_digest(fixture), ==, before);
}

static void test_invalidate(void)
{
    g_autoptr(Fixture) fixture = new_pair(NULL);

    ASSERT_OK(fixture, attach_table(fixture, 1, 8, &x86_64));
    ASSERT_OK(fixture, invalidate(fixture, 1, 0x3000, 0x4fff));
    g_assert_cmpint(fixture->change.kind, ==, PVIOMMU_CHANGE_INVALIDATE);
    g_assert_true(fixture->change.domain == fixture_domain(fixture, 1));
    g_assert_cmphex(fixture->change.mapping.first, ==, 0x3000);
    g_assert_cmphex(fixture->change.mapping.last, ==, 0x4fff);
    ASSERT_OK(fixture, invalidate(fixture, 1, 0, UINT64_MAX));
    g_assert_cmphex(fixture->change.mapping.last, ==, UINT64_MAX);
    ASSERT_OK(fixture, invalidate(fixture, 1, UINT64_MAX - 0xfff,
                                  UINT64_MAX));
}

static void test_invalidate_refused(void)
{
    g_autoptr(Fixture) fixture = new_pair(NULL);

    ASSERT_OK(fixture, attach_table(fixture, 1, 8, &x86_64));
    ASSERT_REFUSED(fixture, invalidate(fixture, 2, 0, 0xfff), NOENT,
                   NO_DOMAIN);
    ASSERT_REFUSED(fixture, invalidate(fixture, 1, 0x1000, 0xfff), INVAL,
                   INVERTED);
    ASSERT_REFUSED(fixture, invalidate(fixture, 1, 0x2000, 0), INVAL,
                   INVERTED);
    ASSERT_REFUSED(fixture, invalidate(fixture, 1, 0x800, 0xfff), RANGE,
                   UNALIGNED);
    ASSERT_REFUSED(fixture, invalidate(fixture, 1, 0, 0x7ff), RANGE,
                   UNALIGNED);
    ASSERT_REFUSED(fixture, invalidate(fixture, 1, 0, 0), RANGE, UNALIGNED);
    ASSERT_OK(fixture, attach(fixture, 2, 9, 0));
    ASSERT_REFUSED(fixture, invalidate(fixture, 2, 0, 0xfff), INVAL,
                   DOMAIN_KIND);
    ASSERT_OK(fixture, attach(fixture, 3, 9, PVIOMMU_ATTACH_F_BYPASS));
    ASSERT_REFUSED(fixture, invalidate(fixture, 3, 0, 0xfff), INVAL,
                   DOMAIN_KIND);
}

/* Property of a format, 24 bytes, as docs/specs/pviommu.md has it */
static const uint8_t format_properties[2][24] = {
    {
        8, 0, 20, 0, 1, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0x01, 0x02,
        0, 0x10, 0x20, 0x40, 0, 0, 0, 0,
    }, {
        8, 0, 20, 0, 2, 0, 0, 0,
        0, 0, 0, 0, 0x80, 0xff, 0x01, 0,
        0, 0x10, 0x20, 0x40, 0, 0, 0, 0,
    },
};

static void test_probe(void)
{
    g_autoptr(Fixture) fixture = new_pair(NULL);

    fixture_reserve(fixture->group[0], 0xfee00000, 0xfeefffff,
                    PVIOMMU_REGION_MSI);
    ASSERT_OK(fixture, probe(fixture, 8));
    g_assert_cmphex(fixture->properties[0], ==, PVIOMMU_PROBE_T_RESV_MEM);
    g_assert_cmpmem(fixture->properties + 24, 48, format_properties, 48);
    g_assert_cmphex(fixture->properties[72], ==, 0);
    set_formats(fixture, 1, 1 << PVIOMMU_FORMAT_ARM_LPAE, 0);
    ASSERT_OK(fixture, probe(fixture, 9));
    g_assert_cmpmem(fixture->properties, 24, format_properties[1], 24);
    g_assert_cmphex(fixture->properties[24], ==, 0);
    set_formats(fixture, 1, 0, 0);
    ASSERT_OK(fixture, probe(fixture, 9));
    g_assert_cmphex(fixture->properties[0], ==, 0);
}

/* Who is to be told of new entries says so, for each format */
static void test_probe_new_entries(void)
{
    g_autoptr(Fixture) fixture = new_pair(NULL);
    const uint8_t *p = fixture->properties;

    for (uint32_t announced = 0; announced <= BOTH; announced += 2) {
        set_formats(fixture, 0, BOTH, announced);
        ASSERT_OK(fixture, probe(fixture, 8));
        g_assert_cmphex(p[6], ==, announced >> 1 & 1);
        g_assert_cmphex(p[24 + 6], ==, announced >> 2 & 1);
        g_assert_cmphex(p[7] | p[24 + 7], ==, 0);
        g_assert_cmpmem(p + 8, 16, format_properties[0] + 8, 16);
    }
    /* which says nothing of what is not offered */
    set_formats(fixture, 0, 1 << PVIOMMU_FORMAT_ARM_LPAE,
                1 << PVIOMMU_FORMAT_X86_64);
    ASSERT_OK(fixture, probe(fixture, 8));
    g_assert_cmpmem(p, 24, format_properties[1], 24);
    g_assert_cmphex(p[24], ==, 0);
}

/* 21 regions are 504 bytes of 512 */
static void test_probe_room(void)
{
    g_autoptr(Fixture) fixture = new_pair(NULL);

    for (unsigned i = 0; i < 20; i++) {
        fixture_reserve(fixture->group[0], i * 0x2000, i * 0x2000 + 0xfff,
                        PVIOMMU_REGION_RESERVED);
        if (i < 19) {
            ASSERT_OK(fixture, probe(fixture, 8));
        }
    }
    g_assert_cmpstr(pviommu_status_name(probe(fixture, 8)), ==, "DEVERR");
    for (unsigned i = 0; i < FIXTURE_PROBE_SIZE; i++) {
        g_assert_cmphex(fixture->properties[i], ==, 0);
    }
    set_formats(fixture, 0, 1 << PVIOMMU_FORMAT_X86_64, 0);
    ASSERT_OK(fixture, probe(fixture, 8));
    g_assert_cmpmem(fixture->properties + 480, 24, format_properties[0], 24);
}

/* Tables of one 1 GiB page at IOVA 0, read and write */
static void one_page(uint64_t *word)
{
    word[0] = ROOT + 4096 + 0x67;
    word[512] = 0xe7;
}

static bool walk(Memory *memory, const PviommuTableView *view, uint64_t iova,
                 PviommuTranslation *t)
{
    return pviommu_view_walk(view, iova, RW, memory_read, memory, t);
}

/* Reserved regions and the input range bound what a table decides */
static void test_view(void)
{
    PviommuConfig config = fixture_config;
    g_autofree uint64_t *word = g_new0(uint64_t, 1024);
    Memory memory = { ROOT, 1024, word, 0 };
    g_autoptr(Fixture) fixture = NULL;
    PviommuTableView view;
    PviommuTranslation t;

    config.input_first = 0x10000;
    config.input_last = 0x3fffefff;
    config.bypass = false;
    fixture = new_pair(&config);
    fixture_reserve(fixture->group[0], 0x100000, 0x1fffff,
                    PVIOMMU_REGION_MSI);
    fixture_reserve(fixture->group[0], 0x300000, 0x3fffff,
                    PVIOMMU_REGION_RESERVED);
    one_page(word);
    ASSERT_OK(fixture, attach_table(fixture, 1, 8, &x86_64));

    g_assert_true(pviommu_translate_by_table(fixture->group[0], 0x210000,
                                             &view));
    g_assert_true(walk(&memory, &view, 0x210000, &t));
    g_assert_cmphex(t.first, ==, 0x200000);
    g_assert_cmphex(t.last, ==, 0x2fffff);
    g_assert_cmphex(t.phys, ==, 0x200000);
    g_assert_true(pviommu_translate_by_table(fixture->group[0], 0x10000,
                                             &view));
    g_assert_true(walk(&memory, &view, 0x10000, &t));
    g_assert_cmphex(t.first, ==, 0x10000);
    g_assert_cmphex(t.last, ==, 0xfffff);
    g_assert_true(pviommu_translate_by_table(fixture->group[0], 0x3fffefff,
                                             &view));
    g_assert_true(walk(&memory, &view, 0x3fffefff, &t));
    g_assert_cmphex(t.last, ==, 0x3fffefff);
    word[512] = 0;
    g_assert_false(walk(&memory, &view, 0x3fffefff, &t));
    g_assert_cmpuint(t.reason, ==, PVIOMMU_FAULT_R_MAPPING);

    /* where the table has no say */
    g_assert_false(pviommu_translate_by_table(fixture->group[0], 0xffff,
                                              &view));
    g_assert_false(pviommu_translate_by_table(fixture->group[0], 0x3ffff000,
                                              &view));
    g_assert_false(pviommu_translate_by_table(fixture->group[0], 0x100000,
                                              &view));
    g_assert_false(pviommu_translate_by_table(fixture->group[0], 0x3fffff,
                                              &view));
    g_assert_true(pviommu_translate(fixture->group[0], 0x100000, WRITE, &t));
    g_assert_false(pviommu_translate(fixture->group[0], 0x300000, READ, &t));
    g_assert_cmpuint(t.reason, ==, PVIOMMU_FAULT_R_MAPPING);
    g_assert_false(pviommu_translate(fixture->group[0], 0xffff, READ, &t));
    g_assert_cmpuint(t.reason, ==, PVIOMMU_FAULT_R_MAPPING);
    g_assert_false(pviommu_translate(fixture->group[0], 0x10000, READ, &t));
}

static void test_view_states(void)
{
    g_autoptr(Fixture) fixture = new_pair(NULL);
    PviommuGroup *group = fixture->group[0];
    PviommuTableView view;
    PviommuTranslation t;

    g_assert_false(pviommu_translate_by_table(group, 0, &view));
    ASSERT_OK(fixture, attach(fixture, 1, 8, 0));
    g_assert_false(pviommu_translate_by_table(group, 0, &view));
    ASSERT_OK(fixture, attach_table(fixture, 2, 8, &x86_64));
    g_assert_true(pviommu_translate_by_table(group, 0, &view));
    g_assert_cmphex(view.table.root, ==, ROOT);
    g_assert_cmphex(view.first, ==, 0);
    g_assert_cmphex(view.last, ==, UINT64_MAX);
    pviommu_group_set_fenced(group, true);
    g_assert_false(pviommu_translate_by_table(group, 0, &view));
    g_assert_false(pviommu_translate(group, 0, READ, &t));
    g_assert_cmpuint(t.reason, ==, PVIOMMU_FAULT_R_UNKNOWN);
    pviommu_group_set_fenced(group, false);
    ASSERT_OK(fixture, attach(fixture, 3, 8, PVIOMMU_ATTACH_F_BYPASS));
    g_assert_false(pviommu_translate_by_table(group, 0, &view));
    g_assert_true(pviommu_translate(group, 0, READ, &t));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/pviommu/guest-tables/attaches", test_attaches);
    g_test_add_func("/pviommu/guest-tables/not-negotiated",
                    test_not_negotiated);
    g_test_add_func("/pviommu/guest-tables/reserved", test_reserved);
    g_test_add_func("/pviommu/guest-tables/short", test_short);
    g_test_add_func("/pviommu/guest-tables/formats", test_formats);
    g_test_add_func("/pviommu/guest-tables/root", test_root);
    g_test_add_func("/pviommu/guest-tables/kinds", test_kinds);
    g_test_add_func("/pviommu/guest-tables/precedence", test_precedence);
    g_test_add_func("/pviommu/guest-tables/map-refused", test_map_refused);
    g_test_add_func("/pviommu/guest-tables/others", test_others);
    g_test_add_func("/pviommu/guest-tables/undo", test_undo);
    g_test_add_func("/pviommu/guest-tables/invalidate", test_invalidate);
    g_test_add_func("/pviommu/guest-tables/invalidate-refused",
                    test_invalidate_refused);
    g_test_add_func("/pviommu/guest-tables/probe", test_probe);
    g_test_add_func("/pviommu/guest-tables/probe-new-entries",
                    test_probe_new_entries);
    g_test_add_func("/pviommu/guest-tables/probe-room", test_probe_room);
    g_test_add_func("/pviommu/guest-tables/view", test_view);
    g_test_add_func("/pviommu/guest-tables/view-states", test_view_states);
    return g_test_run();
}
