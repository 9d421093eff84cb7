/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Page tables that the guest owns, and hosts that are told what they map
 *
 * R-TABLE-2, 3, 18 and 24 to 29 of docs/specs/pviommu.md.
 */
#include "qemu/osdep.h"

#include "edu.h"
#include "guest-table.h"
#include "standard-headers/linux/pci_regs.h"
#include "watch.h"

#define PAGE ((uint64_t)4096)
#define AT(page) (HIGH + (page) * PAGE)
#define PHYS(page) (0x1000000 + (page) * PAGE)
#define RW (READ | WRITE)
#define NEW_ENTRIES 1

/**
 * struct Scene - a passed-through device in domain 1, which has a table
 * @v: the emulator
 * @w: the device
 * @t: the table
 * @m: what its host is to hold
 */
typedef struct Scene {
    Viommu *v;
    Watch *w;
    GuestTable t;
    Model m;
} Scene;

static Scene scene_new(const char *properties, const void *how,
                       const char *extra)
{
    g_autofree char *base = watch_arg(how, 1);
    g_autofree char *arg = g_strdup_printf("%s %s", base, extra);
    g_autofree char *all = g_strdup_printf("%s,%s", TABLES_ON, properties);
    Scene s = { .v = viommu_start(*properties ? all : TABLES_ON, arg) };

    s.w = watch_open(s.v, 0);
    s.t = guest_table_new(s.v, X86_64, 48, TABLES_AT);
    s.m = model_new();
    return s;
}

static void scene_end(Scene *s)
{
    if (watch_calls(s->w, "map")) {
        g_assert_cmpuint(watch_host(s->w, "leaked"), ==, 0);
    }
    viommu_assert_alive(s->v);
    model_free(&s->m);
    watch_close(s->w);
    viommu_stop(s->v);
}

/* Store entries of @count pages, which lead to @phys and behind it */
static void store(Scene *s, unsigned page, unsigned count, uint64_t phys,
                  uint32_t flags)
{
    for (unsigned i = 0; i < count; i++) {
        guest_table_map(&s->t, AT(page + i), phys + i * PAGE, 1, flags);
    }
}

static void erase(Scene *s, unsigned page, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        qtest_writeq(s->v->qts, guest_table_entry(&s->t, AT(page + i), 1), 0);
    }
}

static uint8_t announce(Scene *s, unsigned page, unsigned count)
{
    return viommu_invalidate(s->v, 1, AT(page), AT(page + count) - 1);
}

static uint8_t announce_all(Scene *s)
{
    return viommu_invalidate(s->v, 1, 0, UINT64_MAX);
}

static uint8_t attach(Scene *s)
{
    return guest_table_attach(&s->t, 1, s->w->endpoint);
}

static void expect(Scene *s, unsigned page, unsigned count, uint64_t phys,
                   uint32_t flags)
{
    model_add(&s->m, AT(page), count * PAGE, phys, flags);
}

static void unexpect(Scene *s, unsigned page, unsigned count)
{
    model_remove(&s->m, AT(page), count * PAGE);
}

static void assert_events(Watch *w, const char *events)
{
    g_autofree char *seen = watch_get(w, "events");

    g_assert_cmpstr(seen, ==, events);
    watch_clear(w);
}

/* The flags of the formats that an endpoint has; -1 for none */
static int flags_of(Viommu *v, uint32_t endpoint)
{
    uint8_t properties[VIOMMU_PROBE_SIZE];
    const uint8_t *p = properties;
    int flags = -1;

    assert_status(viommu_probe(v, endpoint, properties), OK);
    while (lduw_le_p(p) == VIRTIO_IOMMU_PROBE_T_RESV_MEM) {
        p += 24;
    }
    for (unsigned format = X86_64; lduw_le_p(p); p += 24, format++) {
        g_assert_cmpuint(lduw_le_p(p), ==, PROBE_T_TABLE_FORMAT);
        g_assert_cmpuint(lduw_le_p(p + 4), ==, format);
        flags = lduw_le_p(p + 6);
    }
    return flags;
}

/* Who is passed through asks for new entries; who is emulated does not */
static void test_offered(const void *how)
{
    Scene s = scene_new("", how, "-device " EDU ",id=e,addr=9.0");

    g_assert_cmpint(flags_of(s.v, s.w->endpoint), ==, NEW_ENTRIES);
    g_assert_cmpint(flags_of(s.v, 9 << 3), ==, 0);
    assert_status(viommu_attach(s.v, 1, s.w->endpoint), OK);
    g_assert_cmpint(flags_of(s.v, s.w->endpoint), ==, NEW_ENTRIES);
    scene_end(&s);
}

static void test_granule(const void *how)
{
    Scene s = scene_new("granule=64k", how, "-device " EDU ",id=e,addr=9.0");

    g_assert_cmpint(flags_of(s.v, s.w->endpoint), ==, -1);
    g_assert_cmpint(flags_of(s.v, 9 << 3), ==, 0);
    assert_status(attach(&s), UNSUPP);
    assert_holds_ram(s.w);
    scene_end(&s);
}

/* What is announced is on the host, in few calls, and what leaves is not */
static void test_follows(const void *how)
{
    Scene s = scene_new("", how, "");

    store(&s, 0, 4, PHYS(0), RW);
    assert_status(attach(&s), OK);
    assert_state(s.v, s.w->endpoint, "translated");
    expect(&s, 0, 4, PHYS(0), RW);
    assert_holds(s.w, &s.m);
    g_assert_cmpuint(viommu_count(s.v, "mappings"), ==, 1);

    /* not without a word; then in one call for what is contiguous */
    watch_clear(s.w);
    store(&s, 4, 4, PHYS(4), RW);
    store(&s, 8, 4, PHYS(32), READ);
    assert_quiet(s.w);
    assert_holds(s.w, &s.m);
    assert_status(announce(&s, 4, 8), OK);
    assert_events(s.w, "map 100004000 100007fff pc.ram+1004000 rw = 0\n"
                  "map 100008000 10000bfff pc.ram+1020000 r = 0\n");
    expect(&s, 4, 4, PHYS(4), RW);
    expect(&s, 8, 4, PHYS(32), READ);
    assert_holds(s.w, &s.m);

    /* what is as it was is left alone */
    assert_status(announce_all(&s), OK);
    assert_status(announce(&s, 0, 12), OK);
    assert_status(announce(&s, 100, 12), OK);
    assert_quiet(s.w);

    /* a part of what was mapped as one goes with all of it, and comes back */
    erase(&s, 5, 1);
    store(&s, 10, 1, PHYS(48), RW);
    assert_status(announce(&s, 5, 6), OK);
    assert_events(s.w, "unmap 100004000 100007fff = 0\n"
                  "unmap 100008000 10000bfff = 0\n"
                  "map 100004000 100004fff pc.ram+1004000 rw = 0\n"
                  "map 100006000 100007fff pc.ram+1006000 rw = 0\n"
                  "map 100008000 100009fff pc.ram+1020000 r = 0\n"
                  "map 10000a000 10000afff pc.ram+1030000 rw = 0\n"
                  "map 10000b000 10000bfff pc.ram+1023000 r = 0\n");

    erase(&s, 0, 12);
    assert_status(announce_all(&s), OK);
    assert_holds_nothing(s.w);
    g_assert_cmpuint(viommu_count(s.v, "mappings"), ==, 0);
    g_assert_cmpuint(viommu_count(s.v, "host-refusals"), ==, 0);
    scene_end(&s);
}

/* A table that changes without a word: what was announced last stays */
static void test_stale(const void *how)
{
    Scene s = scene_new("", how, "");

    store(&s, 0, 4, PHYS(0), RW);
    store(&s, 8, 2, PHYS(8), RW);
    assert_status(attach(&s), OK);
    expect(&s, 0, 4, PHYS(0), RW);
    expect(&s, 8, 2, PHYS(8), RW);
    erase(&s, 0, 4);
    store(&s, 8, 2, PHYS(64), READ);
    store(&s, 20, 4, PHYS(20), RW);
    assert_holds(s.w, &s.m);
    /* nor by an announcement of something else */
    assert_status(announce(&s, 30, 4), OK);
    assert_holds(s.w, &s.m);
    assert_status(announce(&s, 22, 1), OK);
    expect(&s, 22, 1, PHYS(22), RW);
    assert_holds(s.w, &s.m);
    assert_status(announce(&s, 0, 4), OK);
    unexpect(&s, 0, 4);
    assert_holds(s.w, &s.m);
    /* ATTACH_TABLE of who is there announces all */
    assert_status(attach(&s), OK);
    model_free(&s.m);
    s.m = model_new();
    expect(&s, 8, 2, PHYS(64), READ);
    expect(&s, 20, 2, PHYS(20), RW);
    expect(&s, 22, 1, PHYS(22), RW);
    expect(&s, 23, 1, PHYS(23), RW);
    assert_holds(s.w, &s.m);
    scene_end(&s);
}

/* Big pages, tables that the driver frees, other formats */
static void test_big_pages(const void *how)
{
    Scene s = scene_new("", how, "");
    GuestTable arm = guest_table_new(s.v, ARM_LPAE, 39, TABLES_AT + 0x20000);

    guest_table_map(&s.t, HIGH, 0x1000000, 2, RW);
    guest_table_map(&s.t, HIGH + 0x200000, 0x1200000, 1, RW);
    assert_status(attach(&s), OK);
    model_add(&s.m, HIGH, 0x201000, 0x1000000, RW);
    assert_holds(s.w, &s.m);
    /* the table below the second entry is no more */
    qtest_writeq(s.v->qts, guest_table_entry(&s.t, HIGH + 0x200000, 2), 0);
    assert_status(viommu_invalidate(s.v, 1, HIGH + 0x200000,
                                    HIGH + 0x3fffff), OK);
    model_remove(&s.m, HIGH, 0x201000);
    model_add(&s.m, HIGH, 0x200000, 0x1000000, RW);
    assert_holds(s.w, &s.m);

    guest_table_map(&arm, HIGH, 0x1400000, 2, READ);
    assert_status(guest_table_attach(&arm, 2, s.w->endpoint), OK);
    model_free(&s.m);
    s.m = model_new();
    model_add(&s.m, HIGH, 0x200000, 0x1400000, READ);
    assert_holds(s.w, &s.m);
    scene_end(&s);
}

/* What the table has no say in, and what is no memory */
static void test_left_out(const void *how)
{
    Scene s = scene_new("", how, "");
    g_autofree char *held = NULL;

    guest_table_map(&s.t, 0xfee00000, 0x1000000, 1, RW);
    guest_table_map(&s.t, 0xfedff000, 0x1001000, 1, RW);
    guest_table_map(&s.t, 0xfef00000, 0x1002000, 1, RW);
    guest_table_map(&s.t, HIGH, 0xd0000000, 1, RW);             /* nothing */
    guest_table_map(&s.t, HIGH + PAGE, 0xfed00000, 1, RW);      /* registers */
    guest_table_map(&s.t, HIGH + 2 * PAGE, 0xfffffffff000, 1, RW);
    guest_table_map(&s.t, HIGH + 3 * PAGE, 0x1003000, 1, RW);
    assert_status(attach(&s), OK);
    held = watch_get(s.w, "mappings");
    g_assert_cmpstr(held, ==,
                    "fedff000 fedfffff pc.ram+1001000 rw\n"
                    "fef00000 fef00fff pc.ram+1002000 rw\n"
                    "100003000 100003fff pc.ram+1003000 rw\n");
    scene_end(&s);
}

/* Table, paging, bypass, blocked, and other tables, in and out */
static void test_switches(const void *how)
{
    Scene s = scene_new("", how, "");
    GuestTable other = guest_table_new(s.v, X86_64, 57, TABLES_AT + 0x20000);
    Model in_other = model_new(), paged = model_new();

    store(&s, 0, 4, PHYS(0), RW);
    expect(&s, 0, 4, PHYS(0), RW);
    guest_table_map(&other, HIGH, 0x2000000, 1, READ);
    model_add(&in_other, HIGH, PAGE, 0x2000000, READ);
    for (unsigned i = 0; i < 2; i++) {
        assert_status(attach(&s), OK);
        assert_holds(s.w, &s.m);
        assert_status(guest_table_attach(&other, 2, s.w->endpoint), OK);
        assert_holds(s.w, &in_other);
        assert_status(viommu_attach(s.v, 3, s.w->endpoint), OK);
        assert_holds_nothing(s.w);
        model_map_pages(&paged, s.v, 3, HIGH, 4);
        assert_holds(s.w, &paged);
        assert_status(attach(&s), OK);
        assert_holds(s.w, &s.m);
        assert_status(viommu_detach(s.v, 1, s.w->endpoint), OK);
        assert_holds_ram(s.w);
        g_assert_cmpuint(viommu_count(s.v, "mappings"), ==, 0);
        viommu_set_bypass(s.v, 0);
        assert_holds_nothing(s.w);
        assert_status(attach(&s), OK);
        assert_holds(s.w, &s.m);
        viommu_negotiate(s.v, ALL_FEATURES | FEATURE(F_GUEST_TABLES));
        viommu_set_bypass(s.v, 1);
        assert_holds_ram(s.w);
        model_free(&paged);
        paged = model_new();
    }
    model_free(&paged);
    model_free(&in_other);
    scene_end(&s);
}

/* The n-th of five new runs is refused: what was there stays */
static void test_map_refused(const void *how)
{
    static const struct {
        int error;
        const char *status;
    } table[] = {
        { ENOMEM, "NOMEM" }, { ENOSPC, "NOMEM" }, { EINVAL, "FAULT" },
        { EFAULT, "FAULT" }, { EIO, "DEVERR" },
    };
    Scene s = scene_new("", how, "");

    store(&s, 0, 1, PHYS(0), RW);
    store(&s, 100, 4, PHYS(100), RW);
    assert_status(attach(&s), OK);
    for (unsigned n = 1; n <= 5; n++) {
        uint64_t refusals = viommu_count(s.v, "host-refusals");
        uint8_t status;

        model_free(&s.m);
        s.m = model_new();
        expect(&s, 0, 1, PHYS(0), RW);
        for (unsigned i = 1; i <= 4; i++) {
            store(&s, 2 * i, 1, PHYS(64 - 2 * i), RW);
            if (i < n) {
                expect(&s, 2 * i, 1, PHYS(64 - 2 * i), RW);
            }
        }
        /* of the four pages one is no longer so: three are put back */
        erase(&s, 101, 1);
        store(&s, 104, 2, PHYS(104), RW);
        expect(&s, 100, 1, PHYS(100), RW);
        expect(&s, 102, 2, PHYS(102), RW);
        watch_fail(s.w, OBSERVER_FAIL_MAP, n, 1, table[n - 1].error);
        status = announce_all(&s);
        g_assert_cmpstr(viommu_status_name(status), ==, table[n - 1].status);
        assert_holds(s.w, &s.m);
        assert_state(s.v, s.w->endpoint, "translated");
        g_assert_cmpuint(viommu_count(s.v, "host-refusals"), ==,
                         refusals + 1);
        /* and the next try goes well */
        assert_status(announce_all(&s), OK);
        store(&s, 101, 1, PHYS(101), RW);
        erase(&s, 2, 1);
        erase(&s, 4, 1);
        erase(&s, 6, 1);
        erase(&s, 8, 1);
        erase(&s, 104, 2);
        assert_status(announce_all(&s), OK);
        erase(&s, 100, 4);
        assert_status(announce_all(&s), OK);
        store(&s, 100, 4, PHYS(100), RW);
        assert_status(announce_all(&s), OK);
    }
    scene_end(&s);
}

/* What was there does not come back either: blocked, until it is attached */
static void test_put_back_refused(const void *how)
{
    Scene s = scene_new("", how, "");

    store(&s, 0, 4, PHYS(0), RW);
    assert_status(attach(&s), OK);
    erase(&s, 1, 1);
    watch_fail(s.w, OBSERVER_FAIL_MAP, 1, 2, ENOMEM);
    assert_status(announce(&s, 1, 1), DEVERR);
    assert_holds_nothing(s.w);
    assert_state(s.v, s.w->endpoint, "blocked");
    assert_shows(s.v, s.w->endpoint, "fenced", "true");
    assert_status(announce_all(&s), OK);
    assert_holds_nothing(s.w);
    assert_status(attach(&s), OK);
    expect(&s, 0, 1, PHYS(0), RW);
    expect(&s, 2, 2, PHYS(2), RW);
    assert_state(s.v, s.w->endpoint, "translated");
    assert_holds(s.w, &s.m);
    scene_end(&s);
}

/* A host that does not let go: blocked, as the memory is the guest's again */
static void test_unmap_refused(const void *how)
{
    Scene s = scene_new("", how, "");

    for (unsigned n = 1; n <= 2; n++) {
        store(&s, 0, 1, PHYS(0), RW);
        store(&s, 2, 1, PHYS(2), RW);
        store(&s, 4, 1, PHYS(4), RW);
        assert_status(attach(&s), OK);
        erase(&s, 0, 3);
        watch_fail(s.w, OBSERVER_FAIL_UNMAP, n, 1, EBUSY);
        assert_status(announce(&s, 0, 3), DEVERR);
        assert_holds_nothing(s.w);
        assert_state(s.v, s.w->endpoint, "blocked");
        assert_status(attach(&s), OK);
        model_free(&s.m);
        s.m = model_new();
        expect(&s, 4, 1, PHYS(4), RW);
        assert_holds(s.w, &s.m);
        erase(&s, 4, 1);
        assert_status(announce_all(&s), OK);
    }
    scene_end(&s);
}

/* The n-th map of an ATTACH_TABLE is refused: all is as it was */
static void test_attach_refused(const void *how)
{
    Scene s = scene_new("", how, "");
    GuestTable other = guest_table_new(s.v, X86_64, 48, TABLES_AT + 0x20000);

    store(&s, 0, 4, PHYS(0), RW);
    expect(&s, 0, 4, PHYS(0), RW);
    for (unsigned i = 0; i < 4; i++) {
        guest_table_map(&other, AT(2 * i), PHYS(i), 1, RW);
    }
    for (unsigned n = 1; n <= 4; n++) {
        watch_fail(s.w, OBSERVER_FAIL_MAP, n, 1, ENOMEM);
        assert_status(guest_table_attach(&other, 2, s.w->endpoint), NOMEM);
        assert_holds_ram(s.w);
        assert_state(s.v, s.w->endpoint, "bypass");
        assert_status(attach(&s), OK);
        watch_fail(s.w, OBSERVER_FAIL_MAP, n, 1, ENOMEM);
        assert_status(guest_table_attach(&other, 2, s.w->endpoint), NOMEM);
        assert_holds(s.w, &s.m);
        assert_status(viommu_invalidate(s.v, 2, 0, UINT64_MAX), NOENT);
        assert_status(announce_all(&s), OK);
        assert_holds(s.w, &s.m);
        assert_status(viommu_detach(s.v, 1, s.w->endpoint), OK);
    }
    g_assert_cmpuint(viommu_count(s.v, "mappings"), ==, 0);
    scene_end(&s);
}

/* Two hosts in one domain: of each run both have it, or none */
static void test_two_hosts(const void *how)
{
    Scene s = scene_new("", how, "-device pviommu-observer,watch=container,"
                        "id=o1,addr=5.0");
    Watch *o = watch_open(s.v, 1);

    store(&s, 0, 2, PHYS(0), RW);
    assert_status(attach(&s), OK);
    store(&s, 2, 2, PHYS(2), RW);
    assert_status(guest_table_attach(&s.t, 1, o->endpoint), OK);
    expect(&s, 0, 2, PHYS(0), RW);
    expect(&s, 2, 2, PHYS(2), RW);
    assert_holds(s.w, &s.m);
    assert_holds(o, &s.m);
    for (unsigned i = 0; i < 2; i++) {
        Watch *refuses = i ? o : s.w;

        store(&s, 8, 1, PHYS(8), RW);
        store(&s, 10, 1, PHYS(10), RW);
        watch_fail(refuses, OBSERVER_FAIL_MAP, 2, 1, ENOMEM);
        assert_status(announce(&s, 8, 3), NOMEM);
        expect(&s, 8, 1, PHYS(8), RW);
        assert_holds(s.w, &s.m);
        assert_holds(o, &s.m);
        erase(&s, 8, 3);
        assert_status(announce(&s, 8, 3), OK);
        unexpect(&s, 8, 1);
    }
    /* one of them is lost, and the other goes on */
    erase(&s, 0, 1);
    watch_fail(o, OBSERVER_FAIL_UNMAP, 1, 1, EBUSY);
    assert_status(announce(&s, 0, 1), DEVERR);
    unexpect(&s, 0, 2);
    expect(&s, 1, 1, PHYS(1), RW);
    assert_holds(s.w, &s.m);
    assert_holds_nothing(o);
    assert_status(viommu_detach(s.v, 1, s.w->endpoint), OK);
    assert_status(guest_table_attach(&s.t, 1, o->endpoint), OK);
    assert_holds(o, &s.m);
    watch_close(o);
    scene_end(&s);
}

/* In one domain with one that QEMU emulates, which needs no word */
static void test_both_kinds(const void *how)
{
    Scene s = scene_new("", how, "-device " EDU ",id=e,addr=9.0");
    Edu *edu = edu_open_filled(s.v, 9 << 3);

    store(&s, 0, 1, PHYS(0), RW);
    assert_status(guest_table_attach(&s.t, 1, 9 << 3), OK);
    assert_status(announce_all(&s), OK);
    g_assert_cmpuint(viommu_count(s.v, "mappings"), ==, 0);
    assert_status(attach(&s), OK);
    expect(&s, 0, 1, PHYS(0), RW);
    assert_holds(s.w, &s.m);
    store(&s, 1, 1, PHYS(32), RW);
    g_assert_true(edu_reaches(edu, AT(1), PHYS(32)));
    assert_holds(s.w, &s.m);
    assert_status(announce(&s, 1, 1), OK);
    expect(&s, 1, 1, PHYS(32), RW);
    assert_holds(s.w, &s.m);

    /* it leaves, and with it what was kept for it */
    g_assert_cmpuint(viommu_count(s.v, "mappings"), ==, 2);
    assert_status(viommu_detach(s.v, 1, s.w->endpoint), OK);
    assert_holds_ram(s.w);
    g_assert_cmpuint(viommu_count(s.v, "mappings"), ==, 0);
    g_assert_true(edu_reaches(edu, AT(1), PHYS(32)));
    assert_status(attach(&s), OK);
    assert_holds(s.w, &s.m);
    edu_close(edu);
    scene_end(&s);
}

/* A table without end, and one with more than the quota */
static void test_hostile(const void *how)
{
    Scene s = scene_new("max-mappings=64", how, "");

    store(&s, 0, 4, PHYS(0), RW);
    assert_status(attach(&s), OK);
    for (unsigned i = 0; i < 512; i++) {
        qtest_writeq(s.v->qts, s.t.root + i * 8, s.t.root | 0x67);
    }
    assert_status(announce_all(&s), NOMEM);
    g_assert_cmpuint(viommu_count(s.v, "mappings"), ==, 64);
    g_assert_cmpuint(viommu_count_of(s.v, "mistakes", "large-table"), ==, 1);
    g_assert_cmpuint(viommu_count_of(s.v, "mistakes", "max-mappings"), ==, 1);
    assert_state(s.v, s.w->endpoint, "translated");
    /* nothing of it is attached to */
    assert_status(viommu_detach(s.v, 1, s.w->endpoint), OK);
    assert_status(attach(&s), NOMEM);
    assert_holds_ram(s.w);
    g_assert_cmpuint(viommu_count(s.v, "mappings"), ==, 0);
    /* tables where there is no memory, in ROM, or all ones */
    for (unsigned i = 0; i < 512; i++) {
        qtest_writeq(s.v->qts, s.t.root + i * 8, UINT64_MAX);
    }
    assert_status(attach(&s), OK);
    assert_holds_nothing(s.w);
    for (unsigned i = 0; i < 512; i++) {
        qtest_writeq(s.v->qts, s.t.root + i * 8, 0xfffff000 | 0x67);
    }
    assert_status(announce_all(&s), OK);
    assert_status(viommu_attach_table(s.v, 2, s.w->endpoint, X86_64, 48,
                                      0xfffffffff000), OK);
    assert_status(viommu_invalidate(s.v, 2, 0, UINT64_MAX), OK);
    assert_holds_nothing(s.w);
    /* none of which was the host's fault */
    g_assert_cmpuint(viommu_count(s.v, "host-refusals"), ==, 0);
    scene_end(&s);
}

/* Memory comes and goes under what the table mapped */
static void test_memory(const void *how)
{
    Scene s = scene_new("", how, WATCH_BAR);
    QPCIDevice *pdev = watch_bar_open(s.v, 0xd0000000);
    const char *both = "100000000 100000fff pc.ram+1000000 rw\n"
                       "100001000 100001fff bar+1000 rw\n";
    const char *one = "100000000 100000fff pc.ram+1000000 rw\n";

    store(&s, 0, 1, PHYS(0), RW);
    store(&s, 1, 1, 0xd0001000, RW);
    assert_status(attach(&s), OK);
    for (unsigned i = 0; i < 3; i++) {
        g_autofree char *held = watch_get(s.w, "mappings");
        g_autofree char *left = NULL;

        g_assert_cmpstr(held, ==, both);
        qpci_config_writew(pdev, PCI_COMMAND, 0);
        left = watch_get(s.w, "mappings");
        g_assert_cmpstr(left, ==, one);
        if (i == 1) {
            assert_status(announce_all(&s), OK);
        }
        qpci_config_writew(pdev, PCI_COMMAND, PCI_COMMAND_MEMORY);
    }
    /* it goes while the guest has taken it out, without a word */
    erase(&s, 1, 1);
    qpci_config_writew(pdev, PCI_COMMAND, 0);
    qpci_config_writew(pdev, PCI_COMMAND, PCI_COMMAND_MEMORY);
    assert_status(announce_all(&s), OK);
    expect(&s, 0, 1, PHYS(0), RW);
    assert_holds(s.w, &s.m);
    g_free(pdev);
    scene_end(&s);
}

static void test_unplug(const void *how)
{
    g_autofree char *library = watch_library();
    g_autofree char *arg = g_strdup_printf(
        WATCH_PORT "%s -object iommufd,id=host -device pviommu-observer,"
        "watch=container,id=o0,addr=4.0", library);
    Viommu *v = viommu_start(TABLES_ON, arg);
    Scene s = { .v = v, .w = watch_open(v, 0), .m = model_new() };

    s.t = guest_table_new(v, X86_64, 48, TABLES_AT);
    store(&s, 0, 4, PHYS(0), RW);
    expect(&s, 0, 4, PHYS(0), RW);
    viommu_set_bridge(v, WATCH_PORT_BDF, 0, 1, 1);
    for (unsigned i = 0; i < 3; i++) {
        g_assert_true(watch_plug(v, how));
        if (i > 0) {
            assert_status(attach(&s), OK);
        }
        g_assert_cmpint(flags_of(v, 0x101), ==, NEW_ENTRIES);
        assert_status(guest_table_attach(&s.t, 1, 0x101), OK);
        assert_state(v, 0x101, "translated");
        g_assert_cmpuint(viommu_count(v, "mappings"), ==, 1);
        watch_unplug(v);
        assert_state(v, 0x101, "none");
        if (i > 0) {
            assert_status(announce_all(&s), OK);
        } else {
            assert_status(announce_all(&s), NOENT);
        }
        g_assert_cmpuint(viommu_count(v, "mappings"), ==, i > 0);
        if (i == 1) {
            assert_holds(s.w, &s.m);
            assert_status(viommu_detach(v, 1, s.w->endpoint), OK);
        }
    }
    assert_holds(s.w, &s.m);
    scene_end(&s);
}

/* One that is plugged where a table translates holds what that maps now */
static void test_join(const void *told)
{
    Viommu *v = watch_start_aliased(TABLES_ON);
    Scene s = { .v = v, .m = model_new() };
    Watch late = { .v = v, .id = "late" };
    QDict *answer;

    s.t = guest_table_new(v, X86_64, 48, TABLES_AT);
    assert_status(guest_table_attach(&s.t, 1, 0x208), OK);
    assert_status(guest_table_attach(&s.t, 1, 0x200), OK);
    store(&s, 0, 4, PHYS(0), RW);
    expect(&s, 0, 4, PHYS(0), RW);
    answer = watch_join_alias(v, told != NULL);
    g_assert_true(qdict_haskey(answer, "return"));
    qobject_unref(answer);
    assert_holds(&late, &s.m);
    /* the guest learns that it has to announce, and says that it does */
    store(&s, 4, 1, PHYS(32), RW);
    assert_holds(&late, &s.m);
    for (unsigned id = 0x200; id <= 0x218; id += 8) {
        if (id != 0x210) {
            g_assert_cmpint(flags_of(v, id), ==, NEW_ENTRIES);
        }
    }
    assert_status(guest_table_attach(&s.t, 1, 0x218), OK);
    assert_holds(&late, &s.m);
    assert_status(guest_table_attach(&s.t, 1, 0x200), OK);
    expect(&s, 4, 1, PHYS(32), RW);
    assert_holds(&late, &s.m);
    store(&s, 6, 1, PHYS(6), RW);
    assert_status(announce(&s, 6, 1), OK);
    expect(&s, 6, 1, PHYS(6), RW);
    assert_holds(&late, &s.m);
    model_free(&s.m);
    viommu_stop(v);
}

/* A table without end is joined by nobody */
static void test_join_refused(void)
{
    Viommu *v = watch_start_aliased(TABLES_ON);

    for (unsigned i = 0; i < 512; i++) {
        qtest_writeq(v->qts, TABLES_AT + i * 8, TABLES_AT | 0x67);
    }
    assert_status(viommu_attach_table(v, 1, 0x200, X86_64, 48, TABLES_AT),
                  OK);
    for (unsigned told = 0; told < 2; told++) {
        QDict *answer = watch_join_alias(v, told);

        g_assert_true(qdict_haskey(answer, "error"));
        g_assert_nonnull(strstr(
            qdict_get_str(qdict_get_qdict(answer, "error"), "desc"),
            "too large"));
        qobject_unref(answer);
        assert_state(v, 0x200, "translated");
    }
    g_assert_cmpuint(viommu_count(v, "mappings"), ==, 0);
    viommu_stop(v);
}

static unsigned count_said(const char *messages, const char *words)
{
    g_autofree char *text = NULL;
    unsigned count = 0;

    g_assert_true(g_file_get_contents(messages, &text, NULL, NULL));
    for (char *at = text; (at = strstr(at, words)); at++) {
        count++;
    }
    return count;
}

/* In bypass nobody knows that a device waits for mappings, as vDPA does */
static void test_not_asked(void)
{
    g_autofree char *base = watch_arg("listener", 1);
    g_autofree char *messages = g_strdup_printf("%s/pviommu-messages-%d",
                                                g_get_tmp_dir(), getpid());
    g_autofree char *arg = g_strdup_printf("%s 2>%s ", base, messages);
    Viommu *v = viommu_start(TABLES_ON, arg);
    Watch *w = watch_open(v, 0);
    GuestTable t = guest_table_new(v, X86_64, 48, TABLES_AT);
    Model m = model_new();

    guest_table_map(&t, HIGH, 0x1000000, 1, RW);
    model_add(&m, HIGH, PAGE, 0x1000000, RW);
    g_assert_cmpint(flags_of(v, w->endpoint), ==, 0);
    for (unsigned i = 0; i < 2; i++) {
        assert_status(guest_table_attach(&t, 1, w->endpoint), OK);
        assert_holds(w, &m);
        g_assert_cmpuint(count_said(messages, "was not asked to announce"),
                         ==, 1);
        /* now it is known */
        g_assert_cmpint(flags_of(v, w->endpoint), ==, NEW_ENTRIES);
        guest_table_map(&t, HIGH, 0x1001000, 1, RW);
        assert_status(viommu_invalidate(v, 1, 0, UINT64_MAX), OK);
        model_free(&m);
        m = model_new();
        model_add(&m, HIGH, PAGE, 0x1001000, RW);
        assert_holds(w, &m);
        assert_status(viommu_detach(v, 1, w->endpoint), OK);
        assert_holds_ram(w);
    }
    model_free(&m);
    watch_close(w);
    viommu_stop(v);
    unlink(messages);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    watch_add("guest-tables-shadow", "offered", test_offered);
    watch_add("guest-tables-shadow", "granule", test_granule);
    watch_add("guest-tables-shadow", "follows", test_follows);
    watch_add("guest-tables-shadow", "stale", test_stale);
    watch_add("guest-tables-shadow", "big-pages", test_big_pages);
    watch_add("guest-tables-shadow", "left-out", test_left_out);
    watch_add("guest-tables-shadow", "switches", test_switches);
    watch_add("guest-tables-shadow", "map-refused", test_map_refused);
    watch_add("guest-tables-shadow", "put-back-refused",
              test_put_back_refused);
    watch_add("guest-tables-shadow", "unmap-refused", test_unmap_refused);
    watch_add("guest-tables-shadow", "attach-refused", test_attach_refused);
    watch_add("guest-tables-shadow", "two-hosts", test_two_hosts);
    watch_add("guest-tables-shadow", "both-kinds", test_both_kinds);
    watch_add("guest-tables-shadow", "hostile", test_hostile);
    watch_add("guest-tables-shadow", "memory", test_memory);
    watch_add("guest-tables-shadow", "unplug", test_unplug);
    qtest_add_data_func("/pviommu/guest-tables-shadow/join", "told",
                        test_join);
    qtest_add_data_func("/pviommu/guest-tables-shadow/join-mediated", NULL,
                        test_join);
    qtest_add_func("/pviommu/guest-tables-shadow/join-refused",
                   test_join_refused);
    qtest_add_func("/pviommu/guest-tables-shadow/not-asked", test_not_asked);
    return g_test_run();
}
