/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Devices that come and go: plugs that are refused at the last moment, and
 * what is left of a device that went
 *
 * A bridge with a standard hotplug controller has no slot 0, and says so
 * when the device there has been realized already (shpc_device_plug_cb() in
 * hw/pci/shpc.c): QEMU then tells its listeners nothing.
 */
#include "qemu/osdep.h"

#include "edu.h"
#include "watch.h"

#define TARGET (RAM + 0x2000000)

/* A board that powers a port's slots only when its guest asks for it */
#define POWERS_LATE (board()->ecam != 0)
#define PORT "-device pcie-root-port,id=rp,addr=3.0,chassis=1 "
#define PORT_BDF 0x18
#define BRIDGE 0x100
#define ALIAS 0x200             /* the number of slot 0 as well */
#define SLOT(n) (0x200 | (n) << 3)

/* The guest numbers the buses: 1 behind the port, 2 behind the bridge */
static void set_numbers(Viommu *v)
{
    viommu_set_bridge(v, PORT_BDF, 0, 1, 2);
    viommu_set_bridge(v, BRIDGE, 1, 2, 2);
}

static void plug_bridge(Viommu *v)
{
    if (!POWERS_LATE) {
        qtest_qmp_device_add(v->qts, "pcie-pci-bridge", "br",
                             "{'bus': 'rp'}");
    }
    set_numbers(v);
}

static Viommu *start(const char *properties)
{
    return viommu_start(properties, POWERS_LATE
                        ? PORT "-device pcie-pci-bridge,id=br,bus=rp " EDU_A
                        : PORT EDU_A);
}

static void plug_edu(Viommu *v, const char *slot)
{
    qtest_qmp_device_add(v->qts, "edu", "edu", "{'bus': 'br', 'addr': %s,"
                         " 'dma_mask': 18446744073709551615}", slot);
}

/* Without an address: slot 0 */
static void plug_refused(Viommu *v, const char *driver)
{
    QDict *answer = qtest_qmp(v->qts, "{'execute': 'device_add',"
                              " 'arguments': {'driver': %s, 'id': 'hot',"
                              " 'bus': 'br'}}", driver);

    g_assert_true(qdict_haskey(answer, "error"));
    qobject_unref(answer);
}

static void assert_no_endpoints(Viommu *v)
{
    uint8_t properties[VIOMMU_PROBE_SIZE];

    assert_state(v, ALIAS, "none");
    assert_status(viommu_attach(v, 1, ALIAS), NOENT);
    assert_status(viommu_detach(v, 1, ALIAS), NOENT);
    assert_status(viommu_probe(v, ALIAS, properties), NOENT);
}

/* Whoever asks first is told that there is no such endpoint */
static void refused_then_attach(void)
{
    Viommu *v = start(NULL);

    plug_bridge(v);
    plug_refused(v, "edu");
    assert_status(viommu_attach(v, 1, ALIAS), NOENT);
    assert_no_endpoints(v);
    viommu_assert_alive(v);
    viommu_stop(v);
}

static void refused_then_probe(void)
{
    Viommu *v = start(NULL);
    uint8_t properties[VIOMMU_PROBE_SIZE];

    plug_bridge(v);
    plug_refused(v, "edu");
    assert_status(viommu_probe(v, ALIAS, properties), NOENT);
    assert_no_endpoints(v);
    viommu_stop(v);
}

static void refused_then_look(void)
{
    Viommu *v = start(NULL);

    plug_bridge(v);
    plug_refused(v, "edu");
    assert_no_endpoints(v);
    viommu_stop(v);
}

/* Nothing asks until the machine is reset */
static void refused_then_reset(void)
{
    Viommu *v = start("boot-bypass=off");

    plug_bridge(v);
    plug_refused(v, "edu");
    qtest_system_reset(v->qts);
    viommu_map_registers(v);
    viommu_negotiate(v, ALL_FEATURES);
    set_numbers(v);
    assert_no_endpoints(v);
    viommu_stop(v);
}

/* The bridge goes too, and its bus with it */
static void refused_then_unplug(void)
{
    Viommu *v = start(NULL);

    plug_bridge(v);
    plug_refused(v, "edu");
    viommu_unplug(v, "br");
    viommu_map_registers(v);
    viommu_negotiate(v, ALL_FEATURES);
    assert_state(v, BRIDGE, "none");
    plug_bridge(v);
    assert_no_endpoints(v);
    viommu_stop(v);
}

/* The name that it shared stays with the other, and so do its mappings */
static void refused_beside_another(void)
{
    Viommu *v = start(NULL);
    Edu *edu;

    plug_bridge(v);
    plug_edu(v, "1");
    set_numbers(v);
    edu = edu_open_filled(v, SLOT(1));
    assert_status(viommu_attach(v, 1, ALIAS), OK);
    assert_status(viommu_map(v, 1, 0, 0xfff, TARGET, WRITE), OK);
    plug_refused(v, "edu");
    assert_state(v, ALIAS, "translated");
    g_assert_true(edu_reaches(edu, 0, TARGET));
    assert_status(viommu_detach(v, 1, ALIAS), OK);
    g_assert_true(edu_reaches(edu, TARGET, TARGET));
    edu_close(edu);
    viommu_stop(v);
}

/* A function that takes the name over after the one refused has it back */
static void refused_before_another(void)
{
    Viommu *v = start(NULL);
    Edu *edu;

    plug_bridge(v);
    plug_refused(v, "edu");
    plug_edu(v, "1");
    set_numbers(v);
    edu = edu_open_filled(v, SLOT(1));
    assert_status(viommu_attach(v, 1, ALIAS), OK);
    assert_status(viommu_attach(v, 1, SLOT(1)), OK);
    assert_status(viommu_map(v, 1, 0, 0xfff, TARGET, WRITE), OK);
    g_assert_true(edu_reaches(edu, 0, TARGET));
    edu_close(edu);
    viommu_stop(v);
}

/* What it had of the host's is free when the next command comes */
static void refused_lets_go(void)
{
    Viommu *v = viommu_start(NULL, PORT EDU_A "-blockdev driver=null-co,"
                             "node-name=disk,read-zeroes=on ");

    plug_bridge(v);
    for (unsigned i = 0; i < 3; i++) {
        QDict *answer = qtest_qmp(v->qts, "{'execute': 'device_add',"
                                  " 'arguments': {'driver': 'virtio-blk-pci',"
                                  " 'id': 'hot', 'bus': 'br',"
                                  " 'drive': 'disk'}}");

        g_assert_true(qdict_haskey(answer, "error"));
        qobject_unref(answer);
    }
    qtest_qmp_device_add(v->qts, "virtio-blk-pci", "hot", "{'bus': 'br',"
                         " 'addr': '1', 'drive': 'disk'}");
    set_numbers(v);
    assert_state(v, ALIAS, "bypass");
    viommu_stop(v);
}

/* Nor is anything left in a container of what was mapped for it */
static void refused_observer(void)
{
    g_autofree char *library = watch_library();
    g_autofree char *args = g_strdup_printf(PORT EDU_A "%s ", library);
    Viommu *v = viommu_start(NULL, args);

    plug_bridge(v);
    for (unsigned i = 0; i < 3; i++) {
        QDict *answer = qtest_qmp(v->qts, "{'execute': 'device_add',"
                                  " 'arguments': {'driver':"
                                  " 'pviommu-observer', 'watch': 'container',"
                                  " 'id': 'hot', 'bus': 'br'}}");

        g_assert_true(qdict_haskey(answer, "error"));
        qobject_unref(answer);
        assert_no_endpoints(v);
    }
    qtest_qmp_device_add(v->qts, "pviommu-observer", "hot", "{'bus': 'br',"
                         " 'addr': '1', 'watch': 'container'}");
    set_numbers(v);
    assert_state(v, ALIAS, "bypass");
    assert_status(viommu_attach(v, 1, ALIAS), OK);
    assert_status(viommu_map(v, 1, HIGH, HIGH + 0xfff, TARGET, WRITE), OK);
    viommu_stop(v);
}

/* Address spaces that the IOMMU made and the emulator knows */
static unsigned count_spaces(Viommu *v)
{
    g_autofree char *text = qtest_hmp(v->qts, "info mtree");
    unsigned count = 0;

    for (const char *at = text; (at = strstr(at, "address-space: pviommu-"));
         at++) {
        count++;
    }
    return count;
}

static void cycle(Viommu *v, const char *driver)
{
    qtest_qmp_device_add(v->qts, "pcie-pci-bridge", "br", "{'bus': 'rp'}");
    qtest_qmp_device_add(v->qts, driver, "dev", "{'bus': 'br', 'addr': '1'}");
    plug_refused(v, driver);
    qtest_qmp_device_del(v->qts, "br");
}

/* A bridge has a new bus each time; its address spaces are the old ones */
static void spaces_stay_few(void)
{
    g_autofree char *library = watch_library();
    g_autofree char *args = g_strdup_printf(WATCH_PORT EDU_A "%s ", library);
    Viommu *v = viommu_start(NULL, args);
    unsigned count;

    cycle(v, "edu");
    count = count_spaces(v);
    for (unsigned i = 0; i < 100; i++) {
        cycle(v, i % 3 ? "edu" : "pviommu-observer");
        g_assert_cmpuint(count_spaces(v), ==, count);
    }
    viommu_assert_alive(v);
    viommu_stop(v);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD_PCI("churn/refused-then-attach", refused_then_attach);
    ADD_PCI("churn/refused-then-probe", refused_then_probe);
    ADD_PCI("churn/refused-then-look", refused_then_look);
    ADD_PCI("churn/refused-then-reset", refused_then_reset);
    if (POWERS_LATE) {
        return g_test_run();    /* what follows needs a bridge that is new */
    }
    ADD("churn/refused-then-unplug", refused_then_unplug);
    ADD("churn/refused-beside-another", refused_beside_another);
    ADD("churn/refused-before-another", refused_before_another);
    ADD("churn/refused-lets-go", refused_lets_go);
    ADD("churn/refused-observer", refused_observer);
    ADD("churn/spaces-stay-few", spaces_stay_few);
    return g_test_run();
}
