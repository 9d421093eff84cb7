/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Endpoints that are plugged and unplugged, in every state
 *
 * The observer sits behind a root port, see watch_plug().
 */
#include "qemu/osdep.h"

#include "standard-headers/linux/pci_regs.h"
#include "watch.h"

#define PAGE 4096ULL

typedef struct Scene {
    const char *how;
    Viommu *v;
    Watch *stays;               /* o0, never unplugged */
    Watch plugged;              /* only its name is used */
    Model m;
} Scene;

static void set_bus_number(Scene *s, uint8_t number)
{
    QPCIDevice *port = qpci_device_find(s->v->bus, WATCH_PORT_BDF);

    qpci_config_writeb(port, PCI_SECONDARY_BUS, number);
    qpci_config_writeb(port, PCI_SUBORDINATE_BUS, number);
    s->plugged.endpoint = number << 8 | 1;
    g_free(port);
}

static void plug(Scene *s, const char *driver)
{
    qtest_qmp_assert_success(s->v->qts, "{ 'execute': 'device_add',"
                             " 'arguments': { 'driver': %s, 'id': 'hot',"
                             " 'bus': 'rp', 'addr': '0.1' } }", driver);
}

static void plug_observer(Scene *s)
{
    g_assert_true(watch_plug(s->v, s->how));
}

static void unplug(Scene *s)
{
    watch_unplug(s->v);
}

static Scene *scene_new(const char *how)
{
    Scene *s = g_new0(Scene, 1);
    g_autofree char *arg = watch_arg(how, 1);
    g_autofree char *all = g_strdup_printf(WATCH_PORT "%s", arg);

    s->how = how;
    s->v = viommu_start(NULL, all);
    s->stays = watch_open(s->v, 0);
    s->plugged.v = s->v;
    s->plugged.id = "hot";
    s->plugged.ram = s->stays->ram;
    s->m = model_new();
    set_bus_number(s, 1);
    assert_status(viommu_attach(s->v, 9, 0x101), NOENT);
    plug_observer(s);
    assert_holds_ram(&s->plugged);
    assert_state(s->v, 0x101, "bypass");
    return s;
}

/* It is gone; a new one in the slot finds nothing of it */
static void scene_replug(Scene *s)
{
    uint8_t properties[VIOMMU_PROBE_SIZE];
    Model empty = model_new();

    unplug(s);
    assert_state(s->v, 0x101, "none");
    assert_status(viommu_attach(s->v, 9, 0x101), NOENT);
    assert_status(viommu_detach(s->v, 1, 0x101), NOENT);
    assert_status(viommu_probe(s->v, 0x101, properties), NOENT);
    plug_observer(s);
    assert_state(s->v, 0x101, viommu_config(s->v).bypass ? "bypass"
                                                         : "blocked");
    if (viommu_config(s->v).bypass) {
        assert_holds_ram(&s->plugged);
    } else {
        assert_holds_nothing(&s->plugged);
    }
    assert_status(viommu_detach(s->v, 1, 0x101), INVAL);
    assert_status(viommu_attach(s->v, 5, 0x101), OK);
    assert_holds(&s->plugged, &empty);
    assert_status(viommu_detach(s->v, 5, 0x101), OK);
    model_free(&empty);
}

static void scene_free(Scene *s)
{
    unplug(s);
    viommu_assert_alive(s->v);
    model_free(&s->m);
    watch_close(s->stays);
    viommu_stop(s->v);
    g_free(s);
}

static void test_bypass(const void *how)
{
    Scene *s = scene_new(how);

    scene_replug(s);
    assert_holds_ram(s->stays);
    scene_free(s);
}

static void test_blocked(const void *how)
{
    Scene *s = scene_new(how);

    viommu_set_bypass(s->v, 0);
    assert_holds_nothing(&s->plugged);
    scene_replug(s);
    scene_free(s);
}

static void test_bypass_domain(const void *how)
{
    Scene *s = scene_new(how);

    assert_status(viommu_attach_flags(s->v, 1, 0x101,
                                      VIRTIO_IOMMU_ATTACH_F_BYPASS), OK);
    viommu_set_bypass(s->v, 0);
    assert_holds_ram(&s->plugged);
    scene_replug(s);
    /* The domain went with it: the number is free for the other kind */
    assert_status(viommu_attach(s->v, 1, s->stays->endpoint), OK);
    assert_holds_nothing(s->stays);
    scene_free(s);
}

static void test_translated_alone(const void *how)
{
    Scene *s = scene_new(how);

    assert_status(viommu_attach(s->v, 1, 0x101), OK);
    model_map_pages(&s->m, s->v, 1, HIGH, 8);
    assert_holds(&s->plugged, &s->m);
    scene_replug(s);
    assert_status(viommu_map(s->v, 1, 0, PAGE - 1, 0, READ), NOENT);
    g_assert_cmpuint(viommu_count(s->v, "mappings"), ==, 0);
    scene_free(s);
}

/* Its domain lives on with another endpoint, which notices nothing */
static void test_translated_shared(const void *how)
{
    Scene *s = scene_new(how);

    assert_status(viommu_attach(s->v, 1, 0x101), OK);
    assert_status(viommu_attach(s->v, 1, s->stays->endpoint), OK);
    model_map_pages(&s->m, s->v, 1, HIGH, 8);
    watch_clear(s->stays);
    scene_replug(s);
    assert_quiet(s->stays);
    assert_holds(s->stays, &s->m);
    assert_status(viommu_attach(s->v, 1, 0x101), OK);
    assert_holds(&s->plugged, &s->m);
    scene_free(s);
}

/* The slot is taken by a device of another kind, and back */
static void test_another_kind(const void *how)
{
    Scene *s = scene_new(how);

    assert_status(viommu_attach(s->v, 1, 0x101), OK);
    model_map_pages(&s->m, s->v, 1, HIGH, 8);
    unplug(s);
    plug(s, "e1000e");
    assert_state(s->v, 0x101, "bypass");
    assert_status(viommu_attach(s->v, 1, 0x101), OK);
    g_assert_cmpuint(viommu_count(s->v, "mappings"), ==, 0);
    scene_replug(s);
    scene_free(s);
}

/* The guest gives the bus another number: the endpoint answers to that */
static void test_renumbered(const void *how)
{
    Scene *s = scene_new(how);

    assert_status(viommu_attach(s->v, 1, 0x101), OK);
    model_map_pages(&s->m, s->v, 1, HIGH, 4);
    set_bus_number(s, 7);
    assert_status(viommu_detach(s->v, 1, 0x101), NOENT);
    assert_state(s->v, 0x701, "translated");
    assert_holds(&s->plugged, &s->m);
    assert_status(viommu_detach(s->v, 1, 0x701), OK);
    assert_holds_ram(&s->plugged);
    qtest_qmp_assert_success(s->v->qts, "{ 'execute': 'system_reset' }");
    qtest_qmp_eventwait(s->v->qts, "RESET");
    viommu_map_registers(s->v);
    viommu_negotiate(s->v, ALL_FEATURES);
    set_bus_number(s, 3);
    assert_status(viommu_attach(s->v, 1, 0x701), NOENT);
    assert_status(viommu_attach(s->v, 1, 0x301), OK);
    assert_holds_nothing(&s->plugged);
    scene_free(s);
}

/* Again and again, each time attached */
static void test_ten_times(const void *how)
{
    Scene *s = scene_new(how);

    for (unsigned i = 0; i < 10; i++) {
        assert_status(viommu_attach(s->v, 1, 0x101), OK);
        unplug(s);
        plug_observer(s);
        assert_holds_ram(&s->plugged);
    }
    scene_free(s);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    watch_add("hotplug", "bypass", test_bypass);
    watch_add("hotplug", "blocked", test_blocked);
    watch_add("hotplug", "bypass-domain", test_bypass_domain);
    watch_add("hotplug", "translated-alone", test_translated_alone);
    watch_add("hotplug", "translated-shared", test_translated_shared);
    watch_add("hotplug", "another-kind", test_another_kind);
    watch_add("hotplug", "renumbered", test_renumbered);
    watch_add("hotplug", "ten-times", test_ten_times);
    return g_test_run();
}
