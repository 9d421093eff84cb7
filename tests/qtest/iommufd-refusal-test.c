/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A host with iommufd that refuses, each call in turn: the guest, the core
 * and the host agree afterwards
 */
#include "qemu/osdep.h"

#include "standard-headers/linux/pci_regs.h"
#include "iommufd-scene.h"
#include "process.h"

#define COUNT 4
#define EMULATED (6 << 3)
#define PLUGGED 0x101

/* o0 and o1 are passed through; o1 keeps domain 1 alive if asked to */
static Scene start(const char *properties, bool joined)
{
    Scene s = scene_new(properties, 2, WATCH_PORT
                        "-device pviommu-observer,id=o2,addr=6.0");

    if (joined) {
        assert_status(viommu_attach(s.v, 1, s.w[1]->endpoint), OK);
        model_map_pages(&s.m, s.v, 1, HIGH, COUNT);
    }
    return s;
}

/* Every errno has its status (R-HOST-1), and the old table still stands */
static void test_attach_errors(void)
{
    static const struct {
        int error;
        const char *status;
    } table[] = {
        { ENOMEM, "NOMEM" }, { ENOSPC, "NOMEM" }, { EFAULT, "FAULT" },
        { EIO, "DEVERR" }, { EBUSY, "DEVERR" }, { EADDRINUSE, "DEVERR" },
    };
    Scene s = start(NULL, true);
    const uint32_t endpoint = s.w[0]->endpoint;

    for (unsigned i = 0; i < ARRAY_SIZE(table); i++) {
        uint64_t refusals = viommu_count(s.v, "host-refusals");
        uint64_t hwpts = watch_host(s.w[0], "hwpt");
        uint8_t status;

        watch_fail(s.w[0], OBSERVER_FAIL_ATTACH, 1, 1, table[i].error);
        status = viommu_attach(s.v, 1, endpoint);
        g_assert_cmpstr(viommu_status_name(status), ==, table[i].status);
        g_assert_cmpuint(viommu_count(s.v, "host-refusals"), ==,
                         refusals + 1);
        g_assert_cmpuint(watch_host(s.w[0], "hwpt"), ==, hwpts);
        assert_holds_ram(s.w[0]);
        assert_state(s.v, endpoint, "bypass");
        assert_status(viommu_detach(s.v, 1, endpoint), INVAL);
        assert_status(viommu_attach(s.v, 1, endpoint), OK);
        assert_holds(s.w[0], &s.m);

        /* And the way back, which must not stay in the domain */
        watch_fail(s.w[0], OBSERVER_FAIL_ATTACH, 1, 1, table[i].error);
        assert_status(viommu_detach(s.v, 1, endpoint), OK);
        assert_holds_nothing(s.w[0]);
        assert_state(s.v, endpoint, "blocked");
        assert_status(viommu_attach(s.v, 1, endpoint), OK);
        assert_status(viommu_detach(s.v, 1, endpoint), OK);
        assert_holds_ram(s.w[0]);
        assert_state(s.v, endpoint, "bypass");
    }
    assert_holds(s.w[1], &s.m);
    scene_end(&s);
}

/* A table that was made for who does not get there goes at once */
static void test_made_for_nothing(void)
{
    Scene s = start(NULL, false);
    const uint32_t endpoint = s.w[0]->endpoint;
    uint64_t tables = watch_host(s.w[0], "ioas");
    uint64_t pinned = watch_host(s.w[0], "pinned");

    assert_status(viommu_attach(s.v, 1, EMULATED), OK);
    model_map_pages(&s.m, s.v, 1, HIGH, COUNT);
    for (unsigned i = 0; i < 3; i++) {
        watch_fail(s.w[0], OBSERVER_FAIL_ATTACH, 1, 1, EIO);
        assert_status(viommu_attach(s.v, 1, endpoint), DEVERR);
        assert_holds_ram(s.w[0]);
        g_assert_cmpuint(watch_host(s.w[0], "ioas"), ==, tables);
        g_assert_cmpuint(watch_host(s.w[0], "pinned"), ==, pinned);
        assert_status(viommu_attach(s.v, 1, endpoint), OK);
        assert_holds(s.w[0], &s.m);
        assert_status(viommu_detach(s.v, 1, endpoint), OK);
        assert_status(viommu_detach(s.v, 1, EMULATED), OK);
        assert_status(viommu_attach(s.v, 1, EMULATED), OK);
        model_free(&s.m);
        s.m = model_new();
        model_map_pages(&s.m, s.v, 1, HIGH, COUNT);
    }
    scene_end(&s);
}

/* Not even QEMU's own table: detached, it reaches nothing either */
static void test_detached(void)
{
    Scene s = start(NULL, true);
    const uint32_t endpoint = s.w[0]->endpoint;

    assert_status(viommu_attach(s.v, 1, endpoint), OK);
    watch_fail(s.w[0], OBSERVER_FAIL_ATTACH, 1, 1000, ENOMEM);
    assert_status(viommu_detach(s.v, 1, endpoint), OK);
    assert_holds_nothing(s.w[0]);
    g_assert_false(watch_dma(s.w[0], OBSERVER_FILL, HIGH, 1));
    assert_state(s.v, endpoint, "blocked");
    /* Nor may it go back to where it ought to be, which is bypass */
    assert_status(viommu_attach(s.v, 1, endpoint), DEVERR);
    assert_holds_nothing(s.w[0]);
    watch_set(s.w[0], OBSERVER_FAIL_ATTACH, 0);
    assert_status(viommu_attach(s.v, 1, endpoint), OK);
    assert_holds(s.w[0], &s.m);
    assert_state(s.v, endpoint, "translated");
    scene_end(&s);
}

/* Nor even detached: then the table may hold nothing, whoever else is on it */
static void test_not_detached(void)
{
    const unsigned detach = OBSERVER_FAIL + 4 * OBSERVER_CALL_DETACH;
    static const char *const keep[] = { "keep-bypass=off", "keep-bypass=on" };

    for (unsigned i = 0; i < 2; i++) {
        Scene s = start(keep[i], true);

        for (unsigned round = 0; round < 2; round++) {
            /* From the domain, then from bypass */
            if (!round) {
                assert_status(viommu_attach(s.v, 1, s.w[0]->endpoint), OK);
            }
            watch_fail(s.w[0], detach, 1, 1, EIO);
            watch_fail(s.w[0], OBSERVER_FAIL_ATTACH, 1, 1000, ENOMEM);
            if (!round) {
                assert_status(viommu_detach(s.v, 1, s.w[0]->endpoint), OK);
                assert_state(s.v, s.w[1]->endpoint, "blocked");
                assert_holds_nothing(s.w[1]);
            } else {
                viommu_set_bypass(s.v, 0);
            }
            assert_state(s.v, s.w[0]->endpoint, "blocked");
            assert_holds_nothing(s.w[0]);
            g_assert_false(watch_dma(s.w[0], OBSERVER_READ, PHYS, 1));
            watch_set(s.w[0], OBSERVER_FAIL_ATTACH, 0);
            viommu_set_bypass(s.v, 0);
            viommu_set_bypass(s.v, 1);
            assert_state(s.v, s.w[0]->endpoint, "bypass");
            assert_holds_ram(s.w[0]);
            assert_status(viommu_attach(s.v, 1, s.w[1]->endpoint), OK);
            assert_holds(s.w[1], &s.m);
        }
        scene_end(&s);
    }
}

/* Nothing is known of what a table holds: all that are on it are blocked */
static void test_table_lost(void)
{
    Scene s = start(NULL, true);
    uint64_t tables = watch_host(s.w[0], "ioas");

    assert_status(viommu_attach(s.v, 1, s.w[0]->endpoint), OK);
    watch_fail(s.w[0], OBSERVER_FAIL_MAP, 2, 1, ENOMEM);
    watch_fail(s.w[0], OBSERVER_FAIL_UNMAP, 1, 1, EIO);
    /* RAM, then ROM; the first piece does not go when the second is refused */
    assert_status(viommu_map(s.v, 1, 2 * HIGH, 2 * HIGH + MiB - 1, 0,
                             READ | WRITE), DEVERR);
    for (unsigned i = 0; i < 2; i++) {
        assert_state(s.v, s.w[i]->endpoint, "blocked");
        assert_holds_nothing(s.w[i]);
        g_assert_false(watch_dma(s.w[i], OBSERVER_READ, HIGH, 1));
    }
    g_assert_cmpuint(watch_host(s.w[0], "ioas"), ==, tables - 1);

    /* The domain is as it was; who attaches anew has all of it */
    for (unsigned i = 0; i < 2; i++) {
        assert_status(viommu_attach(s.v, 1, s.w[i]->endpoint), OK);
        assert_holds(s.w[i], &s.m);
    }
    g_assert_cmpuint(watch_host(s.w[0], "ioas"), ==, tables);
    scene_end(&s);
}

/* Nor do the devices leave what is lost: it goes once, and holds nothing */
static void test_lost_and_not_detached(void)
{
    Scene s = start(NULL, true);

    assert_status(viommu_attach(s.v, 1, s.w[0]->endpoint), OK);
    for (unsigned round = 0; round < 2; round++) {
        watch_fail(s.w[0], OBSERVER_FAIL_UNMAP, 1, 1, ENOENT);
        watch_fail(s.w[0], OBSERVER_FAIL + 4 * OBSERVER_CALL_DETACH, 1, 1000,
                   EIO);
        watch_set(s.w[0], OBSERVER_FAIL_ATTACH, 1);
        assert_status(viommu_unmap(s.v, 1, HIGH, HIGH + PAGE - 1), DEVERR);
        watch_set(s.w[0], OBSERVER_FAIL_ATTACH, 0);
        watch_set(s.w[0], OBSERVER_FAIL + 4 * OBSERVER_CALL_DETACH, 0);
        for (unsigned i = 0; i < 2; i++) {
            assert_state(s.v, s.w[i]->endpoint, "blocked");
            assert_holds_nothing(s.w[i]);
            g_assert_false(watch_dma(s.w[i], OBSERVER_READ, HIGH, 1));
        }
        for (unsigned i = 0; i < 2; i++) {
            assert_status(viommu_attach(s.v, 1, s.w[i]->endpoint), OK);
            assert_holds(s.w[i], &s.m);
        }
    }
    scene_end(&s);
}

/* A host that finds nothing where something was mapped: who knows what else */
static void test_unmap_finds_nothing(void)
{
    Scene s = start(NULL, true);

    watch_fail(s.w[0], OBSERVER_FAIL_UNMAP, 1, 1, ENOENT);
    assert_status(viommu_unmap(s.v, 1, HIGH, HIGH + PAGE - 1), DEVERR);
    assert_state(s.v, s.w[1]->endpoint, "blocked");
    assert_holds_nothing(s.w[1]);
    assert_status(viommu_attach(s.v, 1, s.w[1]->endpoint), OK);
    assert_holds(s.w[1], &s.m);

    /* Where there is no memory, that is as it should be */
    assert_status(viommu_map(s.v, 1, 4 * HIGH, 4 * HIGH + PAGE - 1,
                             64 * HIGH, READ), OK);
    assert_status(viommu_unmap(s.v, 1, 4 * HIGH, 4 * HIGH + PAGE - 1), OK);
    assert_holds(s.w[1], &s.m);
    scene_end(&s);
}

/* What the host does not free holds nothing at least */
static void test_not_freed(void)
{
    const unsigned destroy = OBSERVER_FAIL + 4 * OBSERVER_CALL_DESTROY;
    Scene s = start("boot-bypass=off", true);

    g_assert_cmpuint(watch_host(s.w[0], "pinned"), ==, COUNT * PAGE);
    watch_fail(s.w[0], destroy, 1, 100, EBUSY);
    assert_status(viommu_detach(s.v, 1, s.w[1]->endpoint), OK);
    watch_set(s.w[0], destroy, 0);
    g_assert_cmpuint(watch_host(s.w[0], "pinned"), ==, 0);
    assert_holds_nothing(s.w[1]);
    model_free(&s.m);
    s.m = model_new();
    scene_end(&s);
}

/* What may be locked: NOMEM, and room again after an UNMAP */
static void test_memlock(void)
{
    Scene s = start("boot-bypass=off", true);
    const uint32_t endpoint = s.w[0]->endpoint;

    qtest_qmp_assert_success(s.v->qts, "{ 'execute': 'qom-set', 'arguments':"
                             " { 'path': 'o0', 'property': 'memlock',"
                             " 'value': 1048576 } }");
    assert_status(viommu_attach(s.v, 1, endpoint), OK);
    assert_status(viommu_map(s.v, 1, 2 * HIGH, 2 * HIGH + MiB - 1, PHYS,
                             READ), NOMEM);
    assert_holds(s.w[0], &s.m);
    model_unmap(&s.m, s.v, 1, HIGH, COUNT * PAGE);
    model_map(&s.m, s.v, 1, 2 * HIGH, MiB, PHYS, READ);
    assert_holds(s.w[0], &s.m);
    assert_status(viommu_map(s.v, 1, HIGH, HIGH + PAGE - 1, PHYS, READ),
                  NOMEM);

    /* All of guest memory is far too much */
    assert_status(viommu_attach_flags(s.v, 2, endpoint,
                                      VIRTIO_IOMMU_ATTACH_F_BYPASS), NOMEM);
    assert_holds(s.w[0], &s.m);
    assert_state(s.v, endpoint, "translated");
    assert_status(viommu_detach(s.v, 1, endpoint), OK);
    viommu_set_bypass(s.v, 1);
    assert_holds_nothing(s.w[0]);
    assert_state(s.v, endpoint, "blocked");
    g_assert_cmpuint(watch_host(s.w[0], "pinned"), ==, MiB);
    scene_end(&s);
}

/* The host has the endpoint where core says; translated means domain 1 */
static void assert_agrees(Scene *s, Watch *w)
{
    g_autofree char *state = viommu_endpoint_state(s->v, w->endpoint);

    if (g_str_equal(state, "bypass")) {
        assert_holds_ram(w);
    } else if (g_str_equal(state, "translated")) {
        assert_holds(w, &s->m);
    } else {
        g_assert_cmpstr(state, ==, "blocked");
        assert_holds_nothing(w);
    }
}

static void assert_both_agree(Scene *s)
{
    assert_agrees(s, s->w[0]);
    assert_agrees(s, s->w[1]);
}

/* A request that failed changed nothing, but that both may be blocked */
static void try_map(Scene *s, uint64_t first, uint64_t size)
{
    if (viommu_map(s->v, 1, first, first + (size - 1), PHYS, READ | WRITE) ==
        VIRTIO_IOMMU_S_OK) {
        model_add(&s->m, first, size, PHYS, READ | WRITE);
    }
    assert_both_agree(s);
}

static void try_unmap(Scene *s, uint64_t first, uint64_t size)
{
    if (viommu_unmap(s->v, 1, first, first + (size - 1)) ==
        VIRTIO_IOMMU_S_OK) {
        model_remove(&s->m, first, size);
    }
    assert_both_agree(s);
}

static void try_attach(Scene *s, unsigned i, uint32_t domain, uint32_t flags)
{
    const uint32_t endpoint = s->w[i]->endpoint;
    g_autofree char *before = viommu_endpoint_state(s->v, endpoint);
    uint8_t status = viommu_attach_flags(s->v, domain, endpoint, flags);
    g_autofree char *after = viommu_endpoint_state(s->v, endpoint);

    if (status == VIRTIO_IOMMU_S_OK) {
        g_assert_cmpstr(after, ==, flags ? "bypass" : "translated");
    } else if (status == VIRTIO_IOMMU_S_DEVERR) {
        g_assert_true(g_str_equal(after, before) ||
                      g_str_equal(after, "blocked"));
    } else {
        g_assert_cmpstr(after, ==, before);
    }
    assert_both_agree(s);
}

/* A reset of the device: no domain is left */
static void forget(Scene *s)
{
    viommu_negotiate(s->v, ALL_FEATURES);
    model_free(&s->m);
    s->m = model_new();
    assert_both_agree(s);
}

/* All that a driver asks for; an emulated endpoint keeps domain 1 alive */
static void play(Scene *s)
{
    assert_status(viommu_attach(s->v, 1, EMULATED), OK);
    try_map(s, HIGH, PAGE);
    try_attach(s, 1, 1, 0);
    try_map(s, HIGH + MiB, 2 * MiB);
    try_attach(s, 0, 1, 0);
    try_map(s, 2 * HIGH, MiB);
    try_unmap(s, HIGH, 16 * MiB);
    try_attach(s, 0, 2, VIRTIO_IOMMU_ATTACH_F_BYPASS);
    try_attach(s, 0, 1, 0);
    viommu_detach(s->v, 1, s->w[0]->endpoint);
    assert_both_agree(s);
    viommu_set_bypass(s->v, 0);
    assert_both_agree(s);
    viommu_set_bypass(s->v, 1);
    assert_both_agree(s);
    try_unmap(s, 0, 0);         /* all of the space */
    forget(s);
}

static char *objects(Scene *s)
{
    static const char *const kinds[] = {
        "context", "function", "ioas", "hwpt", "pinned",
    };
    GString *text = g_string_new(NULL);

    for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++) {
        g_string_append_printf(text, "%s %" PRIu64 " ", kinds[i],
                               watch_host(s->w[0], kinds[i]));
    }
    return g_string_free(text, FALSE);
}

typedef struct Sweep {
    const char *properties;
    int error;
    void (*play)(Scene *s);
} Sweep;

/* From n = 1 on the n-th call is refused, until there is no n-th any more */
static void test_sweep(const void *opaque)
{
    const Sweep *sweep = opaque;
    Scene s = start(sweep->properties, false);
    char *before = objects(&s);
    unsigned n = 0, refused;

    do {
        unsigned all = watch_failed(s.w[0], "", sweep->error);
        unsigned destroys = watch_failed(s.w[0], "destroy", sweep->error);
        g_autofree char *after = NULL;

        watch_fail(s.w[0], OBSERVER_FAIL_ANY, ++n, 1, sweep->error);
        sweep->play(&s);
        watch_set(s.w[0], OBSERVER_FAIL_ANY, 0);
        refused = watch_failed(s.w[0], "", sweep->error) - all;

        /* All is as before, but for what the host would not free */
        forget(&s);
        viommu_set_bypass(s.v, 0);
        viommu_set_bypass(s.v, 1);
        assert_state(s.v, s.w[0]->endpoint, "bypass");
        assert_state(s.v, s.w[1]->endpoint, "bypass");
        assert_both_agree(&s);
        after = objects(&s);
        if (watch_failed(s.w[0], "destroy", sweep->error) == destroys) {
            g_assert_cmpstr(after, ==, before);
        } else {
            g_free(before);
            before = g_steal_pointer(&after);
        }
    } while (refused);
    g_free(before);
    g_test_message("%u calls", n - 1);
    g_assert_cmpuint(n, >, 10);
    scene_end(&s);
}

/* A device that comes, joins a domain and goes */
static void play_plug(Scene *s)
{
    QPCIDevice *port = qpci_device_find(s->v->bus, WATCH_PORT_BDF);

    qpci_config_writeb(port, PCI_SECONDARY_BUS, PLUGGED >> 8);
    qpci_config_writeb(port, PCI_SUBORDINATE_BUS, PLUGGED >> 8);
    g_free(port);
    assert_status(viommu_attach(s->v, 1, EMULATED), OK);
    try_map(s, HIGH, PAGE);
    if (watch_plug(s->v, "iommufd")) {
        Watch hot = { .v = s->v, .id = "hot", .endpoint = PLUGGED,
                      .ram = s->w[0]->ram };

        viommu_attach(s->v, 1, PLUGGED);
        assert_agrees(s, &hot);
        watch_unplug(s->v);
    } else {
        assert_state(s->v, PLUGGED, "none");
    }
    assert_both_agree(s);
}

/* With the sanitizers, the first ones have to do */
static const Sweep sweeps[] = {
    { "keep-bypass=off", EIO, play },
    { NULL, EIO, play_plug },
    { "keep-bypass=off", ENOMEM, play },
    { "keep-bypass=off", EINVAL, play },
    { NULL, ENOMEM, play },
};

int main(int argc, char **argv)
{
    bool sanitized = process_is_sanitized();

    g_test_init(&argc, &argv, NULL);
    ADD("iommufd/attach-errors", test_attach_errors);
    ADD("iommufd/made-for-nothing", test_made_for_nothing);
    ADD("iommufd/detached", test_detached);
    ADD("iommufd/not-detached", test_not_detached);
    ADD("iommufd/table-lost", test_table_lost);
    ADD("iommufd/lost-and-not-detached", test_lost_and_not_detached);
    ADD("iommufd/unmap-finds-nothing", test_unmap_finds_nothing);
    ADD("iommufd/not-freed", test_not_freed);
    ADD("iommufd/memlock", test_memlock);
    for (unsigned i = 0; i < (sanitized ? 2 : ARRAY_SIZE(sweeps)); i++) {
        g_autofree char *path = g_strdup_printf(
            "/pviommu/iommufd/each-call-refused/%u", i);

        qtest_add_data_func(path, &sweeps[i], test_sweep);
    }
    return g_test_run();
}
