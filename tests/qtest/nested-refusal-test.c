/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A host that refuses what nested tables need, each call in turn: the guest,
 * the core and the host agree afterwards
 */
#include "qemu/osdep.h"

#include "nested-scene.h"
#include "process.h"

#define CALL(name) (OBSERVER_FAIL + 4 * OBSERVER_CALL_##name)
#define PAGING 3
#define EMULATED (6 << 3)
#define PLUGGED 0x101

static Scene start(const char *properties, unsigned count, const char *extra)
{
    g_autofree char *with = g_strdup_printf("guest-tables=on,%s", properties);
    g_autofree char *all = g_strdup_printf(NESTS "%s", extra);

    return scene_new(with, count, all);
}

/* Each call that ATTACH_TABLE makes: its status, and where the endpoint is */
static const struct {
    unsigned call;
    unsigned nth;
    bool fails;
} calls[] = {
    { CALL(IOAS_ALLOC), 1, true },
    { CALL(PARENT), 1, true },
    { CALL(MAP), 1, true },
    { CALL(MAP), 2, true },
    { CALL(VIOMMU), 1, true },
    { CALL(RANGES), 1, true },
    { CALL(VEVENTQ), 1, false },
    { CALL(VDEVICE), 1, true },
    { CALL(NESTED), 1, true },
    { CALL(ATTACH), 1, true },
};

static void test_attach_refused(void)
{
    static const struct {
        int error;
        const char *status;
    } errors[] = {
        { ENOMEM, "NOMEM" }, { ENOSPC, "NOMEM" }, { EFAULT, "FAULT" },
        { EIO, "DEVERR" }, { EBUSY, "DEVERR" }, { EINVAL, "FAULT" },
    };

    for (unsigned i = 0; i < ARRAY_SIZE(calls); i++) {
        Scene s = start("keep-bypass=off", 1, "");
        Watch *w = s.w[0];
        GuestTable t = nested_table(s.v, 0, 48);

        viommu_set_bypass(s.v, 0);
        for (unsigned j = 0; j < ARRAY_SIZE(errors); j++) {
            /* EINVAL: a parent that does not suit the device */
            bool asks_again = calls[i].call == CALL(VIOMMU) &&
                              errors[j].error == EINVAL;
            bool fails = calls[i].fails && !asks_again;
            uint8_t status;

            g_test_message("call %u error %d", i, errors[j].error);
            watch_fail(w, calls[i].call, calls[i].nth, 1, errors[j].error);
            status = nested_attach(&t, 1, w);
            watch_set(w, calls[i].call, 0);
            if (fails) {
                g_assert_cmpstr(viommu_status_name(status), ==,
                                errors[j].status);
                assert_cut(w);
                g_assert_cmpuint(watch_host(w, "pinned"), ==, 0);
                g_assert_cmpuint(watch_host(w, "ioas"), ==, 1);
                g_assert_cmpuint(nested_objects(w), ==, 0);
                assert_status(nested_attach(&t, 1, w), OK);
            }
            assert_nested(w, &t);
            assert_status(viommu_detach(s.v, 1, w->endpoint), OK);
            assert_cut(w);
            g_assert_cmpuint(nested_objects(w), ==, 0);
            g_assert_cmpuint(watch_host(w, "ioas"), ==, 1);
        }
        g_assert_cmpuint(watch_host(w, "leaked"), ==, 0);
        scene_end(&s);
    }
}

/* A table that is not made leaves none of the host's objects behind */
static void test_nothing_stays(void)
{
    static const unsigned refused[] = {
        CALL(VIOMMU), CALL(RANGES), CALL(VDEVICE), CALL(NESTED), CALL(ATTACH),
    };
    Scene s = start("keep-bypass=on", 1, "");
    Watch *w = s.w[0];
    GuestTable t = nested_table(s.v, 0, 48);
    unsigned hwpts = watch_host(w, "hwpt"), objects = 0;
    uint64_t pinned = 0;

    for (unsigned i = 0; i < 4 * ARRAY_SIZE(refused); i++) {
        watch_fail(w, refused[i / 4], 1, 100, EINVAL);
        assert_status(nested_attach(&t, 1, w), FAULT);
        watch_set(w, refused[i / 4], 0);
        assert_in_bypass(w);
        g_assert_cmpuint(watch_host(w, "hwpt"), ==, hwpts);
        /* The guest's view of the SMMU may stay, once */
        if (i % 4 == 0) {
            objects = nested_objects(w);
            pinned = watch_host(w, "pinned");
        }
        g_assert_cmpuint(nested_objects(w), ==, objects);
        g_assert_cmpuint(watch_host(w, "pinned"), ==, pinned);
    }
    assert_status(nested_attach(&t, 1, w), OK);
    assert_nested(w, &t);
    scene_end(&s);
}

/* Nobody knows what is kept of the table: all on it are blocked */
static void test_invalidate(void)
{
    Scene s = start("boot-bypass=off", 3, "");
    GuestTable t = nested_table(s.v, 0, 48), u = nested_table(s.v, 1, 48);
    unsigned hwpts;

    assert_status(nested_attach(&u, 2, s.w[2]), OK);
    hwpts = watch_host(s.w[0], "hwpt");
    for (unsigned times = 1; times < 4; times++) {
        assert_status(nested_attach(&t, 1, s.w[0]), OK);
        assert_status(nested_attach(&t, 1, s.w[1]), OK);
        watch_fail(s.w[0], CALL(INVALIDATE), 1, times, EIO);
        assert_status(viommu_invalidate(s.v, 1, IOVA, IOVA + PAGE - 1),
                      DEVERR);
        watch_set(s.w[0], CALL(INVALIDATE), 0);
        assert_cut(s.w[0]);
        assert_cut(s.w[1]);
        assert_nested(s.w[2], &u);
        g_assert_cmpuint(watch_host(s.w[0], "hwpt"), ==, hwpts);
    }
    assert_status(nested_attach(&t, 1, s.w[0]), OK);
    assert_nested(s.w[0], &t);
    assert_status(viommu_invalidate(s.v, 1, IOVA, IOVA + PAGE - 1), OK);
    scene_end(&s);
}

/* A device that the host does not let go is translated by nothing */
static void test_stuck(void)
{
    Scene s = start("boot-bypass=off", 2, "");
    Watch *a = s.w[0], *b = s.w[1];
    GuestTable t = nested_table(s.v, 0, 48), u = nested_table(s.v, 1, 48);
    unsigned asid;

    assert_status(nested_attach(&u, 2, b), OK);
    for (unsigned round = 0; round < 3; round++) {
        assert_status(nested_attach(&t, 1, a), OK);
        asid = nested_descriptor(a).asid;
        watch_clear(a);
        watch_fail(a, CALL(DETACH), 1, 1000, EIO);
        watch_set(a, CALL(ATTACH), 1);
        assert_status(viommu_detach(s.v, 1, a->endpoint), OK);
        assert_state(s.v, a->endpoint, "blocked");
        g_assert_false(nested_descriptor(a).valid);
        g_assert_cmpuint(nested_commands(a, CFGI_CD_ALL(1), 0), ==, 1);
        g_assert_cmpuint(nested_commands(a, TLBI_NH_ASID(asid), 0), ==, 1);
        assert_cut(a);
        assert_nested(b, &u);
        watch_set(a, CALL(ATTACH), 0);
        watch_set(a, CALL(DETACH), 0);
        assert_status(nested_attach(&t, 1, a), OK);
        assert_nested(a, &t);
        assert_status(viommu_detach(s.v, 1, a->endpoint), OK);
        assert_cut(a);
    }
    scene_end(&s);
}

/* Where one that is stuck was, no other is let in */
static void test_stuck_slot(void)
{
    Scene s = start("boot-bypass=off", 2, "");
    Watch *a = s.w[0], *b = s.w[1];
    GuestTable t = nested_table(s.v, 0, 48), u = nested_table(s.v, 1, 48);
    uint64_t at;

    assert_status(nested_attach(&t, 1, a), OK);
    at = nested_descriptor(a).at;
    watch_fail(a, CALL(DETACH), 1, 1000, EIO);
    watch_set(a, CALL(ATTACH), 1);
    assert_status(viommu_detach(s.v, 1, a->endpoint), OK);
    watch_set(a, CALL(ATTACH), 0);
    assert_status(nested_attach(&u, 2, b), OK);
    assert_nested(b, &u);
    g_assert_cmphex(nested_descriptor(b).at, !=, at);
    assert_cut(a);
    scene_end(&s);
}

/* Bypass is refused to one while the other's table nests in its table */
static void test_parent_kept(void)
{
    static const char *const keep[] = { "keep-bypass=on", "keep-bypass=off" };

    for (unsigned i = 0; i < 2; i++) {
        Scene s = start(keep[i], 2, "");
        Watch *a = s.w[0], *b = s.w[1];
        GuestTable t = nested_table(s.v, 0, 48);

        viommu_set_bypass(s.v, 0);
        assert_status(nested_attach(&t, 1, a), OK);
        for (unsigned j = 0; j < 2; j++) {
            watch_fail(a, CALL(ATTACH), 1, 1, ENOMEM);
            assert_status(viommu_attach_flags(s.v, 9, b->endpoint,
                                              VIRTIO_IOMMU_ATTACH_F_BYPASS),
                          NOMEM);
            assert_cut(b);
            assert_nested(a, &t);
        }
        assert_status(viommu_invalidate(s.v, 1, 0, UINT64_MAX), OK);
        assert_status(viommu_detach(s.v, 1, a->endpoint), OK);
        assert_cut(a);
        assert_status(nested_attach(&t, 1, b), OK);
        assert_nested(b, &t);
        g_assert_cmpuint(watch_host(a, "leaked"), ==, 0);
        scene_end(&s);
    }
}

/* Nor does it stay for a domain that has others, which it is not for */
static void test_parent_spared(void)
{
    Scene s = start("keep-bypass=off", 1,
                    "-device pviommu-observer,id=o2,addr=6.0");
    Watch *w = s.w[0];
    Watch emulated = { .v = s.v, .id = "o2", .endpoint = EMULATED };
    GuestTable t = nested_table(s.v, 0, 48);

    viommu_set_bypass(s.v, 0);
    assert_status(nested_attach(&t, 1, &emulated), OK);
    watch_fail(w, CALL(NESTED), 1, 1, ENOMEM);
    assert_status(nested_attach(&t, 1, w), NOMEM);
    assert_cut(w);
    g_assert_cmpuint(watch_host(w, "pinned"), ==, 0);
    assert_status(nested_attach(&t, 1, w), OK);
    assert_nested(w, &t);
    scene_end(&s);
}

/* Memory that leaves is not taken from the parent: all are blocked */
static void test_parent_lost(void)
{
    static const char *const keep[] = { "keep-bypass=on", "keep-bypass=off" };

    for (unsigned i = 0; i < 2; i++) {
        Scene s = start(keep[i], 3, "");
        QPCIDevice *mch = qpci_device_find(s.v->bus, 0);
        GuestTable t = nested_table(s.v, 0, 48);
        GuestTable u = nested_table(s.v, 1, 48);
        unsigned ioases = watch_host(s.w[0], "ioas");

        assert_status(nested_attach(&t, 1, s.w[0]), OK);
        assert_status(nested_attach(&u, 2, s.w[1]), OK);
        watch_fail(s.w[0], CALL(UNMAP), 1, 1, EIO);
        qpci_config_writeb(mch, 0x91, 0x33);    /* a ROM becomes RAM */
        viommu_settle(s.v);
        for (unsigned j = 0; j < 3; j++) {
            assert_cut(s.w[j]);
        }
        g_assert_cmpuint(watch_host(s.w[0], "ioas"), ==, ioases - 1);
        g_assert_cmpuint(nested_objects(s.w[0]), ==, 0);
        assert_status(nested_attach(&t, 1, s.w[0]), OK);
        assert_status(nested_attach(&t, 1, s.w[1]), OK);
        assert_nested(s.w[0], &t);
        assert_nested(s.w[1], &t);
        g_assert_cmpuint(watch_host(s.w[0], "leaked"), ==, 0);
        g_free(mch);
        scene_end(&s);
    }
}

/* --- each call --- */

typedef struct Where {
    uint32_t domain;
    const GuestTable *table;
} Where;

static Where where[2];

/* An endpoint is where the guest was told, or blocked, and so on the host */
static void assert_agrees(Scene *s, unsigned i)
{
    g_autofree char *state = viommu_endpoint_state(s->v, s->w[i]->endpoint);

    if (g_str_equal(state, "bypass")) {
        assert_in_bypass(s->w[i]);
    } else if (g_str_equal(state, "blocked")) {
        assert_cut(s->w[i]);
    } else if (where[i].table) {
        assert_nested(s->w[i], where[i].table);
    } else {
        assert_holds(s->w[i], &s->m);
    }
}

static void assert_both_agree(Scene *s)
{
    assert_agrees(s, 0);
    assert_agrees(s, 1);
}

static void judge(Scene *s, unsigned i, uint8_t status, const char *before,
                  const char *wanted, Where to)
{
    g_autofree char *after = viommu_endpoint_state(s->v, s->w[i]->endpoint);

    if (status == VIRTIO_IOMMU_S_OK) {
        where[i] = to;
        g_assert_cmpstr(after, ==, wanted);
    } else if (!g_str_equal(after, "blocked")) {
        g_assert_cmpstr(after, ==, before);
    }
    assert_both_agree(s);
}

static void try_table(Scene *s, unsigned i, uint32_t domain,
                      const GuestTable *t)
{
    g_autofree char *before = viommu_endpoint_state(s->v, s->w[i]->endpoint);

    judge(s, i, nested_attach(t, domain, s->w[i]), before, "translated",
          (Where) { domain, t });
}

static void try_attach(Scene *s, unsigned i, uint32_t domain, uint32_t flags)
{
    g_autofree char *before = viommu_endpoint_state(s->v, s->w[i]->endpoint);

    judge(s, i, viommu_attach_flags(s->v, domain, s->w[i]->endpoint, flags),
          before, flags ? "bypass" : "translated",
          (Where) { .domain = domain });
}

static void forget(Scene *s)
{
    viommu_negotiate(s->v, ALL_FEATURES);
    model_free(&s->m);
    s->m = model_new();
    assert_both_agree(s);
}

static void try_invalidate(Scene *s, uint32_t domain)
{
    uint8_t status = viommu_invalidate(s->v, domain, IOVA, IOVA + PAGE - 1);

    if (status == VIRTIO_IOMMU_S_DEVERR) {
        for (unsigned i = 0; i < 2; i++) {
            if (where[i].domain == domain) {
                assert_cut(s->w[i]);
            }
        }
    }
    assert_both_agree(s);
}

static void play(Scene *s, const GuestTable *t, const GuestTable *u)
{
    try_table(s, 0, 1, t);
    try_table(s, 1, 1, t);
    try_invalidate(s, 1);
    try_table(s, 1, 2, u);
    try_invalidate(s, 2);
    try_attach(s, 0, PAGING, 0);
    if (viommu_map(s->v, PAGING, HIGH, HIGH + PAGE - 1, PHYS, READ) ==
        VIRTIO_IOMMU_S_OK) {
        model_add(&s->m, HIGH, PAGE, PHYS, READ);
    }
    assert_both_agree(s);
    try_table(s, 0, 2, u);
    try_attach(s, 1, 9, VIRTIO_IOMMU_ATTACH_F_BYPASS);
    viommu_detach(s->v, where[0].domain, s->w[0]->endpoint);
    assert_both_agree(s);
    viommu_set_bypass(s->v, 0);
    assert_both_agree(s);
    try_table(s, 0, 1, t);
    forget(s);
}

static char *objects(Scene *s)
{
    static const char *const kinds[] = {
        "context", "function", "ioas", "hwpt", "viommu", "vdevice",
        "veventq", "pinned",
    };
    GString *text = g_string_new(NULL);

    for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++) {
        g_string_append_printf(text, "%s %" PRIu64 " ", kinds[i],
                               watch_host(s->w[0], kinds[i]));
    }
    return g_string_free(text, FALSE);
}

/* A device comes, is put on a table beside another, and goes */
static void play_plug(Scene *s, const GuestTable *t, const GuestTable *u)
{
    Watch hot = { .v = s->v, .id = "hot", .endpoint = PLUGGED };

    try_table(s, 0, 1, t);
    if (!watch_plug(s->v, "iommufd")) {
        assert_state(s->v, PLUGGED, "none");
    } else {
        for (unsigned i = 0; i < 2; i++) {
            uint8_t status = nested_attach(i ? u : t, 1 + i, &hot);
            g_autofree char *state = viommu_endpoint_state(s->v, PLUGGED);
            g_autofree char *held = watch_get(&hot, "mappings");
            Descriptor d = nested_descriptor(&hot);

            /* One of which the host told nothing is shadowed */
            g_assert_cmpint(d.valid || g_str_has_prefix(held, "40403000 "),
                            ==, g_str_equal(state, "translated"));
            if (status == VIRTIO_IOMMU_S_OK && d.valid) {
                g_assert_cmphex(d.root, ==, (i ? u : t)->root);
            }
        }
        watch_unplug(s->v);
    }
    try_invalidate(s, 1);
    forget(s);
}

typedef struct Sweep {
    int error;
    const char *extra;
    bool another;
    void (*play)(Scene *s, const GuestTable *t, const GuestTable *u);
} Sweep;

/* From n = 1 on the n-th call is refused, until there is no n-th any more */
static void test_sweep(const void *opaque)
{
    const Sweep *sweep = opaque;
    Scene s = start("keep-bypass=off", sweep->another ? 1 : 2, sweep->extra);
    GuestTable t = nested_table(s.v, 0, 48), u = nested_table(s.v, 1, 39);
    char *before = objects(&s);
    unsigned n = 0, refused;

    if (sweep->another) {
        s.w[1] = watch_open(s.v, 1);
    }
    if (sweep->play == play_plug) {
        viommu_set_bridge(s.v, WATCH_PORT_BDF, 0, PLUGGED >> 8, PLUGGED >> 8);
    }
    do {
        unsigned all = watch_failed(s.w[0], "", sweep->error);
        unsigned destroys = watch_failed(s.w[0], "destroy", sweep->error);
        g_autofree char *after = NULL;

        where[0] = where[1] = (Where) { 0 };
        watch_fail(s.w[0], OBSERVER_FAIL_ANY, ++n, 1, sweep->error);
        sweep->play(&s, &t, &u);
        refused = watch_failed(s.w[0], "", sweep->error) - all;
        watch_set(s.w[0], OBSERVER_FAIL_ANY, 0);

        forget(&s);
        viommu_set_bypass(s.v, 0);
        viommu_set_bypass(s.v, 1);
        assert_in_bypass(s.w[0]);
        assert_in_bypass(s.w[1]);
        after = objects(&s);
        if (watch_failed(s.w[0], "destroy", sweep->error) == destroys) {
            g_assert_cmpstr(after, ==, before);
        } else {
            g_free(before);
            before = g_steal_pointer(&after);
        }
    } while (refused && n < 400);
    g_free(before);
    g_test_message("%u calls", n - 1);
    g_assert_cmpuint(n, >, 20);
    if (sweep->another) {
        watch_close(s.w[1]);
    }
    scene_end(&s);
}

static const Sweep sweeps[] = {
    { EIO, "", false, play },
    { EIO, WATCH_PORT, false, play_plug },
    { ENOMEM, ON_ANOTHER_SMMU, true, play },
    { EBUSY, "", false, play },
};

int main(int argc, char **argv)
{
    bool sanitized = process_is_sanitized();

    g_test_init(&argc, &argv, NULL);
    ADD("nested/attach-refused", test_attach_refused);
    ADD("nested/nothing-stays", test_nothing_stays);
    ADD("nested/invalidate-refused", test_invalidate);
    ADD("nested/stuck", test_stuck);
    ADD("nested/stuck-slot", test_stuck_slot);
    ADD("nested/parent-kept", test_parent_kept);
    ADD("nested/parent-spared", test_parent_spared);
    ADD("nested/parent-lost", test_parent_lost);
    for (unsigned i = 0; i < (sanitized ? 2 : ARRAY_SIZE(sweeps)); i++) {
        g_autofree char *path = g_strdup_printf(
            "/pviommu/nested/each-call-refused/%u", i);

        qtest_add_data_func(path, &sweeps[i], test_sweep);
    }
    return g_test_run();
}
