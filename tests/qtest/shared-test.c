/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Two hosts behind one address space: what one refuses, the other undoes
 *
 * Devices behind a PCIe-to-PCI bridge share the bridge's number and so its
 * address space.  Which of the two hosts is asked first is not for a test to
 * know, so each refuses in turn.
 */
#include "qemu/osdep.h"

#include "standard-headers/linux/pci_regs.h"
#include "watch.h"

#define PAGE 4096ULL
#define ALIAS 0x200
#define COUNT 4
#define ACPI_PCI_EJECT 0xcc8
#define ACPI_PCI_BUS 0xcd0
#define NEXT (HIGH + 64 * PAGE)

typedef struct Scene {
    Viommu *v;
    Watch *watch[2];
    Model m;
} Scene;

static void set_bridge(Viommu *v, int bdf, int primary, int secondary)
{
    QPCIDevice *bridge = qpci_device_find(v->bus, bdf);

    g_assert_nonnull(bridge);
    qpci_config_writeb(bridge, PCI_PRIMARY_BUS, primary);
    qpci_config_writeb(bridge, PCI_SECONDARY_BUS, secondary);
    qpci_config_writeb(bridge, PCI_SUBORDINATE_BUS, 2);
    qpci_config_writew(bridge, PCI_MEMORY_BASE, 0xe000);
    qpci_config_writew(bridge, PCI_MEMORY_LIMIT, 0xfbf0);
    qpci_config_writew(bridge, PCI_COMMAND, PCI_COMMAND_MEMORY |
                       PCI_COMMAND_MASTER);
    g_free(bridge);
}

static Watch *watch_behind(Viommu *v, const char *id, uint32_t endpoint)
{
    Watch *w = g_new0(Watch, 1);

    w->v = v;
    w->id = id;
    w->endpoint = endpoint;
    watch_find(w);
    w->ram = watch_get(w, "mappings");
    return w;
}

static void assert_both_hold(Scene *s, const Model *m)
{
    assert_holds(s->watch[0], m);
    assert_holds(s->watch[1], m);
}

static Scene *scene_new(void)
{
    Scene *s = g_new0(Scene, 1);
    g_autofree char *arg = g_strdup_printf(
        "-plugin %s -device pcie-root-port,id=rp,addr=3.0,chassis=1 "
        "-device pcie-pci-bridge,id=br,bus=rp "
        "-device pviommu-observer,watch=container,id=x,bus=br,addr=1.0 "
        "-device pviommu-observer,watch=container,id=y,bus=br,addr=2.0",
        g_getenv("PVIOMMU_OBSERVER"));

    s->v = viommu_start(NULL, arg);
    set_bridge(s->v, 3 << 3, 0, 1);
    set_bridge(s->v, 1 << 8, 1, 2);
    s->watch[0] = watch_behind(s->v, "x", 0x208);
    s->watch[1] = watch_behind(s->v, "y", 0x210);
    s->m = model_new();
    assert_status(viommu_attach(s->v, 1, ALIAS), OK);
    model_map_pages(&s->m, s->v, 1, HIGH, COUNT);
    assert_both_hold(s, &s->m);
    return s;
}

static void scene_free(Scene *s)
{
    viommu_assert_alive(s->v);
    model_free(&s->m);
    watch_close(s->watch[0]);
    watch_close(s->watch[1]);
    viommu_stop(s->v);
    g_free(s);
}

/* Blocked, with nothing left; the next ATTACH brings all of it back */
static void assert_lost(Scene *s)
{
    assert_state(s->v, ALIAS, "blocked");
    assert_holds_nothing(s->watch[0]);
    assert_holds_nothing(s->watch[1]);
    assert_status(viommu_attach(s->v, 1, ALIAS), OK);
    assert_state(s->v, ALIAS, "translated");
    assert_both_hold(s, &s->m);
}

static uint8_t map_next(Scene *s)
{
    return viommu_map(s->v, 1, NEXT, NEXT + PAGE - 1, 0x1000000, READ);
}

static void test_map_refused(void)
{
    Scene *s = scene_new();

    for (unsigned i = 0; i < 2; i++) {
        watch_fail(s->watch[i], OBSERVER_FAIL_MAP, 1, 1, ENOMEM);
        assert_status(map_next(s), NOMEM);
        assert_both_hold(s, &s->m);
        assert_state(s->v, ALIAS, "translated");
        model_map(&s->m, s->v, 1, NEXT, PAGE, 0x1000000, READ);
        assert_both_hold(s, &s->m);
        model_unmap(&s->m, s->v, 1, NEXT, PAGE);
        assert_both_hold(s, &s->m);
    }
    scene_free(s);
}

/* The one that mapped first does not let go of it again */
static void test_map_undo_refused(void)
{
    Scene *s = scene_new();
    unsigned lost = 0;

    for (unsigned i = 0; i < 2; i++) {
        uint8_t status;

        watch_fail(s->watch[i], OBSERVER_FAIL_MAP, 1, 1, ENOMEM);
        watch_fail(s->watch[!i], OBSERVER_FAIL_UNMAP, 1, 1, EIO);
        status = map_next(s);
        watch_set(s->watch[!i], OBSERVER_FAIL_UNMAP, 0);
        if (status == VIRTIO_IOMMU_S_DEVERR) {
            assert_lost(s);
            lost++;
        } else {
            assert_status(status, NOMEM);
            assert_both_hold(s, &s->m);
        }
    }
    g_assert_cmpuint(lost, ==, 1);
    scene_free(s);
}

/* What the first one let go of is put back, every n-th of the mappings */
static void test_unmap_refused(void)
{
    Scene *s = scene_new();

    for (unsigned i = 0; i < 2 * COUNT; i++) {
        watch_fail(s->watch[i % 2], OBSERVER_FAIL_UNMAP, 1 + i / 2, 1, EIO);
        assert_status(viommu_unmap(s->v, 1, 0, UINT64_MAX), DEVERR);
        assert_both_hold(s, &s->m);
        assert_state(s->v, ALIAS, "translated");
    }
    model_unmap(&s->m, s->v, 1, HIGH, COUNT * PAGE);
    assert_both_hold(s, &s->m);
    scene_free(s);
}

static void test_unmap_undo_refused(void)
{
    Scene *s = scene_new();
    unsigned lost = 0;

    for (unsigned i = 0; i < 2; i++) {
        g_autofree char *state = NULL;

        watch_fail(s->watch[i], OBSERVER_FAIL_UNMAP, 1, 1, EIO);
        watch_fail(s->watch[!i], OBSERVER_FAIL_MAP, 1, 1, ENOMEM);
        assert_status(viommu_unmap(s->v, 1, 0, UINT64_MAX), DEVERR);
        watch_set(s->watch[!i], OBSERVER_FAIL_MAP, 0);
        state = viommu_endpoint_state(s->v, ALIAS);
        if (g_str_equal(state, "blocked")) {
            assert_lost(s);
            lost++;
        } else {
            assert_both_hold(s, &s->m);
        }
    }
    g_assert_cmpuint(lost, ==, 1);
    scene_free(s);
}

/* What VFIO's listener is refused from now on is its own affair again */
static void assert_guards_down(Scene *s)
{
    for (unsigned i = 0; i < 2; i++) {
        g_autofree char *guard = watch_get(s->watch[i], "guard");

        g_assert_cmpstr(guard, ==, "down");
    }
}

static void test_bypass_refused(void)
{
    Scene *s = scene_new();

    for (unsigned i = 1; i < 4; i++) {
        for (unsigned j = 0; j < 2; j++) {
            if (i & 1 << j) {
                watch_fail(s->watch[j], OBSERVER_FAIL_MAP, 1, 1, ENOMEM);
            }
        }
        assert_status(viommu_attach_flags(s->v, 2, ALIAS,
                                          VIRTIO_IOMMU_ATTACH_F_BYPASS),
                      NOMEM);
        assert_both_hold(s, &s->m);
        assert_guards_down(s);
    }
    assert_status(viommu_attach_flags(s->v, 2, ALIAS,
                                      VIRTIO_IOMMU_ATTACH_F_BYPASS), OK);
    assert_holds_ram(s->watch[0]);
    assert_holds_ram(s->watch[1]);
    assert_guards_down(s);
    scene_free(s);
}

/* Either refuses the n-th mapping of the new domain: both stay in the old */
static void test_attach_refused(void)
{
    Scene *s = scene_new();
    Model next = model_new();

    /* A number that is only a name keeps the domain alive */
    assert_status(viommu_attach(s->v, 2, 0x208), OK);
    model_map_pages(&next, s->v, 2, NEXT, COUNT);
    for (unsigned i = 0; i < 2 * COUNT; i++) {
        watch_fail(s->watch[i % 2], OBSERVER_FAIL_MAP, 1 + i / 2, 1, ENOMEM);
        assert_status(viommu_attach(s->v, 2, ALIAS), NOMEM);
        assert_both_hold(s, &s->m);
    }
    assert_status(viommu_attach(s->v, 2, ALIAS), OK);
    assert_both_hold(s, &next);
    model_free(&next);
    scene_free(s);
}

/* The host does not let go of the old domain: nobody moves */
static void test_switch_refused(void)
{
    Scene *s = scene_new();

    for (unsigned i = 0; i < 2; i++) {
        watch_fail(s->watch[i], OBSERVER_FAIL_UNMAP, 1, 1, EIO);
        assert_status(viommu_attach(s->v, 2, ALIAS), DEVERR);
        assert_both_hold(s, &s->m);
        assert_state(s->v, ALIAS, "translated");
        assert_status(viommu_map(s->v, 2, HIGH, HIGH + PAGE - 1, 0, READ),
                      NOENT);
    }
    scene_free(s);
}

static QDict *join(Scene *s, const char *watch, unsigned quota)
{
    return qtest_qmp(s->v->qts, "{ 'execute': 'device_add', 'arguments': {"
                     " 'driver': 'pviommu-observer', 'id': 'late',"
                     " 'bus': 'br', 'addr': '3.0', 'watch': %s,"
                     " 'quota': %u } }", watch, quota);
}

/* The one in whose name all ask leaves: the other stays what it was */
static void test_leave(void)
{
    Scene *s = scene_new();

    qtest_qmp_assert_success(s->v->qts, "{ 'execute': 'device_del',"
                             " 'arguments': { 'id': 'x' } }");
    for (unsigned bus = 0; bus < 4; bus++) {
        qtest_outl(s->v->qts, ACPI_PCI_BUS, bus);
        qtest_outl(s->v->qts, ACPI_PCI_EJECT, 1 << 1);
    }
    qtest_qmp_eventwait(s->v->qts, "DEVICE_DELETED");
    assert_state(s->v, ALIAS, "translated");
    assert_holds(s->watch[1], &s->m);
    model_unmap(&s->m, s->v, 1, HIGH, COUNT * PAGE);
    assert_holds_nothing(s->watch[1]);
    assert_status(viommu_detach(s->v, 1, ALIAS), OK);
    assert_holds_ram(s->watch[1]);
    scene_free(s);
}

/* A device plugged into a domain that has mappings gets them, or stays out */
static void test_join(void)
{
    Scene *s = scene_new();
    Watch late = { .v = s->v, .id = "late" };
    QDict *answer = join(s, "container", COUNT - 1);

    qmp_expect_error_and_unref(answer, "GenericError");
    assert_both_hold(s, &s->m);
    answer = join(s, "container", COUNT);
    g_assert_true(qdict_haskey(answer, "return"));
    qobject_unref(answer);
    assert_holds(&late, &s->m);
    assert_both_hold(s, &s->m);
    scene_free(s);
}

/* Blocked, a domain gives nothing to a device that joins it */
static void test_join_blocked(void)
{
    Scene *s = scene_new();
    Watch late = { .v = s->v, .id = "late" };
    QDict *answer;

    for (unsigned i = 0; i < 2; i++) {
        watch_fail(s->watch[i], OBSERVER_FAIL_MAP, 1, 1, ENOMEM);
        watch_fail(s->watch[!i], OBSERVER_FAIL_UNMAP, 1, 1, EIO);
        if (map_next(s) == VIRTIO_IOMMU_S_DEVERR) {
            break;
        }
        watch_set(s->watch[!i], OBSERVER_FAIL_UNMAP, 0);
    }
    assert_state(s->v, ALIAS, "blocked");
    answer = join(s, "container", 0);
    g_assert_true(qdict_haskey(answer, "return"));
    qobject_unref(answer);
    assert_holds_nothing(&late);
    assert_lost(s);
    assert_holds(&late, &s->m);
    scene_free(s);
}

static void test_join_listener(void)
{
    Scene *s = scene_new();
    Watch late = { .v = s->v, .id = "late" };
    QDict *answer = join(s, "listener", 0);

    g_assert_true(qdict_haskey(answer, "return"));
    qobject_unref(answer);
    assert_holds(&late, &s->m);
    model_map(&s->m, s->v, 1, NEXT, PAGE, 0x1000000, READ | WRITE);
    assert_holds(&late, &s->m);
    assert_both_hold(s, &s->m);
    scene_free(s);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("shared/map-refused", test_map_refused);
    ADD("shared/map-undo-refused", test_map_undo_refused);
    ADD("shared/unmap-refused", test_unmap_refused);
    ADD("shared/unmap-undo-refused", test_unmap_undo_refused);
    ADD("shared/bypass-refused", test_bypass_refused);
    ADD("shared/attach-refused", test_attach_refused);
    ADD("shared/switch-refused", test_switch_refused);
    ADD("shared/leave", test_leave);
    ADD("shared/join", test_join);
    ADD("shared/join-blocked", test_join_blocked);
    ADD("shared/join-listener", test_join_listener);
    return g_test_run();
}
