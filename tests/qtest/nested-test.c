/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Page tables that the guest owns, walked by an SMMU of the host
 *
 * R-TABLE-30 to 34 of docs/specs/pviommu.md.
 */
#include "qemu/osdep.h"

#include <glib/gstdio.h>

#include "nested-scene.h"

static Scene start(const char *properties, unsigned count, const char *extra)
{
    g_autofree char *with = g_strdup_printf("guest-tables=on%s%s",
                                            *properties ? "," : "",
                                            properties);
    g_autofree char *all = g_strdup_printf(NESTS "%s", extra);

    return scene_new(with, count, all);
}

/* The property TABLE_FORMAT behind the regions, or the end */
static const uint8_t *probe_formats(Viommu *v, uint32_t endpoint,
                                    uint8_t *properties)
{
    const uint8_t *p = properties;

    assert_status(viommu_probe(v, endpoint, properties), OK);
    while (lduw_le_p(p) == VIRTIO_IOMMU_PROBE_T_RESV_MEM) {
        p += 24;
    }
    return p;
}

static void test_offered(void)
{
    Scene s = start("", 1, "");
    uint8_t properties[VIOMMU_PROBE_SIZE];
    const uint8_t *p = probe_formats(s.v, s.w[0]->endpoint, properties);
    GuestTable t = guest_table_new(s.v, X86_64, 48, TABLES_AT);

    g_assert_cmpuint(lduw_le_p(p), ==, PROBE_T_TABLE_FORMAT);
    g_assert_cmpuint(lduw_le_p(p + 4), ==, ARM_LPAE);
    g_assert_cmpuint(lduw_le_p(p + 6), ==, 0);      /* no NEW_ENTRIES */
    g_assert_cmphex(ldq_le_p(p + 8), ==, 0x1ff8000000000);
    g_assert_cmphex(ldq_le_p(p + 16), ==, 0x40201000);
    g_assert_cmpuint(lduw_le_p(p + 24), ==, 0);
    assert_status(guest_table_attach(&t, 1, s.w[0]->endpoint), UNSUPP);
    g_assert_cmpuint(nested_objects(s.w[0]), ==, 0);
    assert_in_bypass(s.w[0]);
    scene_end(&s);
}

/* Where the host has its doorbells is a region of type MSI */
static void test_msi(void)
{
    const uint64_t doorbells = 0x8000000;

    if (RAM < doorbells + MiB) {
        g_test_skip("guest memory is there");
        return;
    }
    for (unsigned i = 0; i < 2; i++) {
        Scene s = start(i ? "" : "guest-tables=off", 1,
                        "-global pviommu-observer.msi=0x8000000");
        uint8_t properties[VIOMMU_PROBE_SIZE];
        bool found = false;

        assert_status(viommu_probe(s.v, s.w[0]->endpoint, properties), OK);
        for (const uint8_t *p = properties; lduw_le_p(p) ==
             VIRTIO_IOMMU_PROBE_T_RESV_MEM; p += 24) {
            if (ldq_le_p(p + 8) == doorbells) {
                /* the machine's own may be amid it */
                g_assert_cmphex(ldq_le_p(p + 16), <=, doorbells + MiB - 1);
                g_assert_cmpuint(p[4], ==, i
                                 ? VIRTIO_IOMMU_RESV_MEM_T_MSI
                                 : VIRTIO_IOMMU_RESV_MEM_T_RESERVED);
                found = true;
            }
        }
        g_assert_true(found);
        scene_end(&s);
    }
}

/* A host that does not walk such tables, and what is said then */
typedef struct Other {
    const char *name;
    const char *option;
    const char *why;
} Other;

static const Other others[] = {
    { "another-kind", "nests=off", "not of a kind that can" },
    { "no-aarch64", "idr0=0x7", "does not walk tables of this kind" },
    { "big-endian", "idr0=0x60000b", "does not walk tables of this kind" },
    { "stall-forced", "idr0=0x200000b",
      "does not walk tables of this kind" },
    { "no-4k", "idr5=0x25", "does not walk tables of this kind" },
    { "no-parent", "fail=parent-alloc:1:95", "has no second stage" },
    { "no-viommu", "fail=viommu-alloc:1:95", "has no second stage" },
    { "no-memory", "fail=viommu-alloc:1:12", "Cannot allocate memory" },
};

static void test_other_host(const void *opaque)
{
    const Other *other = opaque;
    g_autofree char *messages = g_strdup_printf("%s/nested-%d.log",
                                                g_get_tmp_dir(), getpid());
    g_autofree char *extra = g_strdup_printf(
        "-global pviommu-observer.%s 2>%s ", other->option, messages);
    g_autofree char *text = NULL;
    Scene s = start("", 1, extra);
    Watch *w = s.w[0];
    uint8_t properties[VIOMMU_PROBE_SIZE];
    const uint8_t *p = probe_formats(s.v, w->endpoint, properties);
    GuestTable t = nested_table(s.v, 0, 48);
    const char *line;

    /* the guest is to announce what it maps, see guest-tables-shadow-test.c */
    g_assert_cmpuint(lduw_le_p(p), ==, PROBE_T_TABLE_FORMAT);
    g_assert_cmpuint(lduw_le_p(p + 6), ==, 1);
    assert_status(nested_attach(&t, 1, w), OK);
    g_assert_cmpuint(nested_objects(w), ==, 0);
    g_assert_cmpuint(viommu_count(s.v, "mappings"), >, 0);
    assert_status(viommu_attach(s.v, 2, w->endpoint), OK);
    model_map_pages(&s.m, s.v, 2, HIGH, 4);
    assert_holds(w, &s.m);
    g_assert_cmpuint(nested_objects(w), ==, 0);
    g_assert_cmpuint(watch_host(w, "leaked"), ==, 0);

    g_assert_true(g_file_get_contents(messages, &text, NULL, NULL));
    line = strstr(text, "is to announce what its tables map");
    g_assert_nonnull(line);
    g_assert_nonnull(strstr(line, other->why));
    g_assert_null(strstr(line + 1, "is to announce what its tables map"));
    scene_end(&s);
    g_unlink(messages);
}

static void test_attach(void)
{
    Scene s = start("", 1, "");
    Watch *w = s.w[0];
    GuestTable t = nested_table(s.v, 0, 48);
    unsigned hwpts = watch_host(w, "hwpt"), maps = watch_calls(w, "map");
    uint64_t ioases = watch_host(w, "ioas");

    assert_status(nested_attach(&t, 1, w), OK);
    assert_nested(w, &t);
    g_assert_cmpuint(watch_host(w, "viommu"), ==, 1);
    g_assert_cmpuint(watch_host(w, "vdevice"), ==, 1);
    g_assert_cmpuint(watch_host(w, "veventq"), ==, 1);
    g_assert_cmpuint(watch_host(w, "hwpt"), ==, hwpts + 1);
    g_assert_cmpuint(watch_host(w, "ioas"), ==, ioases);

    /* A store is all that it takes to map */
    guest_table_map(&t, IOVA + PAGE, TARGET + PAGE, 1, READ);
    maps = watch_calls(w, "");
    g_assert_true(watch_dma(w, OBSERVER_READ, IOVA + PAGE, 16));
    g_assert_false(watch_dma(w, OBSERVER_FILL, IOVA + PAGE, 16));
    g_assert_false(watch_dma(w, OBSERVER_READ, IOVA + 2 * PAGE, 16));
    g_assert_false(watch_dma(w, OBSERVER_READ, PLAIN, 1));
    g_assert_cmpuint(watch_calls(w, ""), ==, maps);
    assert_status(viommu_map(s.v, 1, HIGH, HIGH + PAGE - 1, PLAIN, READ),
                  INVAL);
    assert_nested(w, &t);

    assert_status(viommu_detach(s.v, 1, w->endpoint), OK);
    assert_in_bypass(w);
    g_assert_cmpuint(watch_host(w, "hwpt"), ==, hwpts);
    g_assert_cmpuint(watch_host(w, "ioas"), ==, ioases);
    assert_no_mistakes(w);
    scene_end(&s);
}

/* What the SMMU reads of a table, for each width; nobody else may write it */
static void test_descriptor(void)
{
    Scene s = start("", 2, "");
    Watch *w = s.w[0];
    GuestTable own = nested_table(s.v, 15, 48);
    Descriptor d;

    assert_status(nested_attach(&own, 100, s.w[1]), OK);
    for (unsigned bits = 39; bits <= 48; bits++) {
        GuestTable t = nested_table(s.v, bits - 39, bits);

        assert_status(nested_attach(&t, bits, w), OK);
        assert_nested(w, &t);
        d = nested_descriptor(w);
        g_assert_cmphex(d.at & -0x10000ULL, ==, 0xffffffff0000);
        g_assert_cmphex(d.at & 63, ==, 0);
        g_assert_cmpuint(d.asid, !=, nested_descriptor(s.w[1]).asid);
        g_assert_false(watch_dma(w, OBSERVER_READ, 1ULL << bits, 1));
    }
    /* There, from a table that leads to it */
    d = nested_descriptor(w);
    guest_table_map(&own, HIGH, d.at & -PAGE, 1, READ | WRITE);
    g_assert_true(watch_dma(s.w[1], OBSERVER_READ, HIGH, 64));
    g_assert_false(watch_dma(s.w[1], OBSERVER_FILL, HIGH, 64));
    g_assert_cmphex(nested_descriptor(w).root, ==, d.root);
    assert_no_mistakes(w);
    scene_end(&s);
}

/* Which commands there are for as many pages */
static void check_invalidate(Scene *s, uint64_t pages)
{
    Watch *w = s->w[0];
    unsigned asid = nested_descriptor(w).asid;
    unsigned calls = watch_calls(w, "");

    watch_clear(w);
    assert_status(viommu_invalidate(s->v, 1, IOVA,
                                    IOVA + pages * PAGE - 1), OK);
    g_assert_cmpuint(watch_calls(w, ""), ==, calls + 1);
    if (pages > 64) {
        g_assert_cmpuint(nested_commands(w, TLBI_NH_ASID(asid), 0), ==, 1);
        g_assert_cmpuint(nested_all_commands(w), ==, 1);
        return;
    }
    for (uint64_t i = 0; i < pages; i++) {
        g_assert_cmpuint(nested_commands(w, TLBI_NH_VA(asid),
                                         IOVA + i * PAGE), ==, 1);
    }
    g_assert_cmpuint(nested_all_commands(w), ==, pages);
}

static void test_invalidate(void)
{
    Scene s = start("", 1, "");
    Watch *w = s.w[0];
    GuestTable first = nested_table(s.v, 0, 48), t = nested_table(s.v, 1, 48);

    assert_status(nested_attach(&first, 2, w), OK);
    assert_status(nested_attach(&t, 1, w), OK);
    check_invalidate(&s, 1);
    check_invalidate(&s, 2);
    check_invalidate(&s, 64);
    check_invalidate(&s, 65);
    check_invalidate(&s, 1 << 20);
    watch_clear(w);
    assert_status(viommu_invalidate(s.v, 1, 0, UINT64_MAX), OK);
    g_assert_cmpuint(nested_commands(w, TLBI_NH_ASID(
        nested_descriptor(w).asid), 0), ==, 1);
    g_assert_cmpuint(nested_all_commands(w), ==, 1);

    /* Half a page, nothing, and a domain with no endpoint behind an SMMU */
    watch_clear(w);
    assert_status(viommu_invalidate(s.v, 1, IOVA + 5, IOVA + 6), RANGE);
    assert_status(viommu_invalidate(s.v, 1, IOVA + PAGE, IOVA), INVAL);
    g_assert_cmpuint(nested_all_commands(w), ==, 0);
    assert_status(viommu_detach(s.v, 1, w->endpoint), OK);
    watch_clear(w);
    assert_status(viommu_invalidate(s.v, 1, 0, UINT64_MAX), NOENT);
    assert_quiet(w);
    assert_no_mistakes(w);
    scene_end(&s);
}

static void test_two_devices(void)
{
    Scene s = start("", 2, "");
    Watch *a = s.w[0], *b = s.w[1];
    GuestTable t = nested_table(s.v, 0, 48), u = nested_table(s.v, 1, 39);
    unsigned hwpts = watch_host(a, "hwpt"), calls;

    assert_status(nested_attach(&t, 1, a), OK);
    assert_status(nested_attach(&t, 1, b), OK);
    assert_nested(a, &t);
    assert_nested(b, &t);
    g_assert_cmpuint(watch_host(a, "hwpt"), ==, hwpts + 1);
    g_assert_cmpuint(watch_host(a, "viommu"), ==, 1);
    g_assert_cmpuint(watch_host(a, "vdevice"), ==, 2);
    calls = watch_calls(a, "invalidate");
    assert_status(viommu_invalidate(s.v, 1, IOVA, IOVA + PAGE - 1), OK);
    g_assert_cmpuint(watch_calls(a, "invalidate"), ==, calls + 1);

    assert_status(nested_attach(&u, 2, b), OK);
    assert_nested(a, &t);
    assert_nested(b, &u);
    g_assert_cmpuint(nested_descriptor(a).asid, !=,
                     nested_descriptor(b).asid);
    g_assert_cmpuint(watch_host(a, "hwpt"), ==, hwpts + 2);
    watch_clear(a);
    assert_status(viommu_invalidate(s.v, 2, IOVA, IOVA + PAGE - 1), OK);
    g_assert_cmpuint(nested_commands(a, TLBI_NH_VA(
        nested_descriptor(b).asid), IOVA), ==, 1);
    g_assert_cmpuint(nested_all_commands(a), ==, 1);

    /* One leaves: the other's table is as it was */
    assert_status(viommu_detach(s.v, 1, a->endpoint), OK);
    assert_in_bypass(a);
    assert_nested(b, &u);
    g_assert_cmpuint(watch_host(a, "hwpt"), ==, hwpts + 1);
    assert_no_mistakes(a);
    scene_end(&s);
}

/* A table has an HWPT for each SMMU, and an invalidation is for all */
static void test_two_smmus(void)
{
    Scene s = start("", 1, ON_ANOTHER_SMMU);
    Watch *a = s.w[0], *b = watch_open(s.v, 1);
    GuestTable t = nested_table(s.v, 0, 48), u = nested_table(s.v, 1, 48);
    unsigned hwpts = watch_host(a, "hwpt");
    uint64_t ioases = watch_host(a, "ioas");

    for (unsigned round = 0; round < 2; round++) {
        assert_status(nested_attach(&t, 1, a), OK);
        assert_status(nested_attach(&t, 1, b), OK);
        assert_nested(a, &t);
        assert_nested(b, &t);
        g_assert_cmphex(nested_descriptor(a).at, !=,
                        nested_descriptor(b).at);
        g_assert_cmpuint(watch_host(a, "viommu"), ==, 2);
        g_assert_cmpuint(watch_host(a, "vdevice"), ==, 2);
        g_assert_cmpuint(watch_host(a, "veventq"), ==, 2);
        g_assert_cmpuint(watch_host(a, "hwpt"), ==, hwpts + 2);
        g_assert_cmpuint(watch_host(a, "ioas"), ==, ioases);
        watch_clear(a);
        watch_clear(b);
        assert_status(viommu_invalidate(s.v, 1, IOVA, IOVA + PAGE - 1), OK);
        g_assert_cmpuint(nested_all_commands(a), ==, 1);
        g_assert_cmpuint(nested_all_commands(b), ==, 1);
        assert_status(nested_attach(&u, 2, b), OK);
        assert_nested(a, &t);
        assert_nested(b, &u);
        assert_status(viommu_detach(s.v, 1, a->endpoint), OK);
        assert_status(viommu_detach(s.v, 2, b->endpoint), OK);
        assert_in_bypass(a);
        assert_in_bypass(b);
        g_assert_cmpuint(watch_host(a, "hwpt"), ==, hwpts);
    }
    watch_close(b);
    scene_end(&s);
}

static void test_switches(void)
{
    Scene s = start("", 1, "");
    Watch *w = s.w[0];
    GuestTable t = nested_table(s.v, 0, 48), u = nested_table(s.v, 1, 44);

    for (unsigned round = 0; round < 2; round++) {
        /* table, MAP, table, bypass, table, table, blocked, table, MAP */
        assert_status(nested_attach(&t, 1, w), OK);
        assert_nested(w, &t);
        assert_status(viommu_attach(s.v, 3, w->endpoint), OK);
        model_map_pages(&s.m, s.v, 3, HIGH, 4);
        assert_holds(w, &s.m);
        g_assert_false(watch_dma(w, OBSERVER_READ, IOVA, 1));
        assert_status(nested_attach(&u, 2, w), OK);
        assert_nested(w, &u);
        g_assert_false(watch_dma(w, OBSERVER_READ, HIGH, 1));
        model_free(&s.m);
        s.m = model_new();
        assert_status(viommu_attach_flags(s.v, 4, w->endpoint,
                                          VIRTIO_IOMMU_ATTACH_F_BYPASS), OK);
        assert_in_bypass(w);
        assert_status(nested_attach(&t, 1, w), OK);
        assert_status(nested_attach(&u, 2, w), OK);
        assert_nested(w, &u);
        viommu_set_bypass(s.v, 0);
        assert_status(viommu_detach(s.v, 2, w->endpoint), OK);
        assert_cut(w);
        assert_status(nested_attach(&t, 1, w), OK);
        assert_nested(w, &t);
        assert_status(viommu_detach(s.v, 1, w->endpoint), OK);
        assert_cut(w);
        viommu_set_bypass(s.v, 1);
        assert_in_bypass(w);
    }
    assert_no_mistakes(w);
    scene_end(&s);
}

/* A table that the host does not free keeps its ASID, of 256 */
static void test_slots(void)
{
    Scene s = start("", 1, "");
    Watch *w = s.w[0];
    GuestTable t = nested_table(s.v, 0, 48);
    unsigned hwpts = watch_host(w, "hwpt");

    for (unsigned i = 0; i < 600; i++) {
        assert_status(nested_attach(&t, i, w), OK);
        g_assert_cmpuint(watch_host(w, "hwpt"), ==, hwpts + 1);
        g_assert_cmpuint(nested_descriptor(w).asid, <, 2);
    }
    for (unsigned i = 600; i < 600 + 255; i++) {
        watch_fail(w, OBSERVER_FAIL + 4 * OBSERVER_CALL_DESTROY, 1, 1, EBUSY);
        assert_status(nested_attach(&t, i, w), OK);
    }
    assert_nested(w, &t);
    assert_status(nested_attach(&t, 1000, w), NOMEM);
    assert_nested(w, &t);
    assert_status(viommu_attach(s.v, 1001, w->endpoint), OK);
    assert_status(nested_attach(&t, 1000, w), OK);
    assert_nested(w, &t);
    scene_end(&s);
}

/* One domain may have emulated endpoints, too, which keep it alive */
static void test_with_emulated(void)
{
    Scene s = start("", 1, "-device pviommu-observer,id=o1,addr=5.0");
    Watch *w = s.w[0];
    Watch emulated = { .v = s.v, .id = "o1", .endpoint = 5 << 3 };
    GuestTable t = nested_table(s.v, 0, 48);

    watch_find(&emulated);
    assert_status(nested_attach(&t, 1, &emulated), OK);
    assert_reaches(&emulated, IOVA, TARGET, true);
    assert_status(nested_attach(&t, 1, w), OK);
    assert_nested(w, &t);
    assert_status(guest_table_attach(&t, 1, w->endpoint), INVAL);
    assert_status(viommu_detach(s.v, 1, w->endpoint), OK);
    assert_in_bypass(w);
    assert_status(viommu_invalidate(s.v, 1, 0, UINT64_MAX), OK);
    assert_reaches(&emulated, IOVA, TARGET, true);
    assert_status(nested_attach(&t, 1, w), OK);
    assert_nested(w, &t);
    assert_no_mistakes(w);
    g_free(emulated.pdev);
    scene_end(&s);
}

static void reset_device(Scene *s)
{
    viommu_negotiate(s->v, ALL_FEATURES);
}

static void reset_machine(Scene *s)
{
    qtest_system_reset(s->v->qts);
    viommu_map_registers(s->v);
    watch_find(s->w[0]);
    watch_find(s->w[1]);
    viommu_negotiate(s->v, ALL_FEATURES);
}

static void test_resets(void)
{
    static void (*const resets[])(Scene *s) = { reset_device, reset_machine };
    static const char *const keep[] = { "keep-bypass=on", "keep-bypass=off" };

    for (unsigned i = 0; i < 4; i++) {
        Scene s = start(keep[i / 2], 2, "");
        GuestTable t = nested_table(s.v, 0, 48), u = nested_table(s.v, 1, 48);
        unsigned hwpts = watch_host(s.w[0], "hwpt");

        assert_status(nested_attach(&t, 1, s.w[0]), OK);
        assert_status(nested_attach(&u, 2, s.w[1]), OK);
        resets[i % 2](&s);
        assert_in_bypass(s.w[0]);
        assert_in_bypass(s.w[1]);
        g_assert_cmpuint(watch_host(s.w[0], "hwpt"), ==, hwpts);
        t = nested_table(s.v, 0, 48);
        assert_status(nested_attach(&t, 1, s.w[1]), OK);
        assert_nested(s.w[1], &t);
        assert_no_mistakes(s.w[0]);
        scene_end(&s);      /* while nested */
    }
}

/* The parent is freed when nothing nests there any more, and not before */
static void test_parent(void)
{
    Scene s = start("keep-bypass=off", 2, "");
    Watch *a = s.w[0], *b = s.w[1];
    GuestTable t = nested_table(s.v, 0, 48), u = nested_table(s.v, 1, 48);
    uint64_t pinned = watch_host(a, "pinned");

    viommu_set_bypass(s.v, 0);
    g_assert_cmpuint(watch_host(a, "pinned"), ==, 0);
    assert_status(nested_attach(&t, 1, a), OK);
    assert_status(nested_attach(&u, 2, b), OK);
    g_assert_cmpuint(watch_host(a, "pinned"), >=, pinned);
    assert_status(viommu_detach(s.v, 1, a->endpoint), OK);
    assert_cut(a);
    assert_nested(b, &u);
    assert_status(viommu_attach(s.v, 3, b->endpoint), OK);
    g_assert_cmpuint(watch_host(a, "pinned"), ==, 0);
    g_assert_cmpuint(nested_objects(a), ==, 0);
    assert_status(nested_attach(&t, 1, a), OK);
    assert_nested(a, &t);

    /* Bypass comes and goes meanwhile */
    assert_status(viommu_attach_flags(s.v, 4, b->endpoint,
                                      VIRTIO_IOMMU_ATTACH_F_BYPASS), OK);
    assert_status(viommu_detach(s.v, 4, b->endpoint), OK);
    assert_nested(a, &t);
    viommu_set_bypass(s.v, 1);
    assert_in_bypass(b);
    assert_status(viommu_detach(s.v, 1, a->endpoint), OK);
    assert_in_bypass(a);
    g_assert_cmpuint(watch_host(a, "ioas"), ==, 2);
    assert_no_mistakes(a);
    scene_end(&s);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("nested/offered", test_offered);
    ADD("nested/msi", test_msi);
    for (unsigned i = 0; i < ARRAY_SIZE(others); i++) {
        g_autofree char *path = g_strdup_printf("/pviommu/nested/other/%s",
                                                others[i].name);

        qtest_add_data_func(path, &others[i], test_other_host);
    }
    ADD("nested/attach", test_attach);
    ADD("nested/descriptor", test_descriptor);
    ADD("nested/invalidate", test_invalidate);
    ADD("nested/two-devices", test_two_devices);
    ADD("nested/two-smmus", test_two_smmus);
    ADD("nested/switches", test_switches);
    ADD("nested/slots", test_slots);
    ADD("nested/with-emulated", test_with_emulated);
    ADD("nested/resets", test_resets);
    ADD("nested/parent", test_parent);
    return g_test_run();
}
