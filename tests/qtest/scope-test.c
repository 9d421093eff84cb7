/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Property scope: functions that the IOMMU is not for are plain ones
 *
 * Section "Scope" of docs/specs/pviommu.md.
 */
#include "qemu/osdep.h"

#include "edu.h"
#include "watch.h"

#define TARGET 0x2000000
#define PORTS "-device pcie-root-port,id=r3,addr=3.0,chassis=1 " \
              "-device pcie-root-port,id=r6,addr=6.0,chassis=2 "

/* Numbers of the buses behind PORTS */
static void number_ports(Viommu *v)
{
    viommu_set_bridge(v, 0x18, 0, 1, 1);
    viommu_set_bridge(v, 0x30, 0, 2, 2);
    viommu_set_window(v, 0x18, 0xfff00000, 0);
    viommu_set_window(v, 0x30, 0xfff00000, 0);
}

/* It is in no domain and nothing else, and reaches all of guest memory */
static void assert_plain(Viommu *v, int bdf, int bridge)
{
    uint8_t properties[VIOMMU_PROBE_SIZE];
    Edu *edu = edu_open(v, bdf);

    if (bridge) {
        viommu_set_window(v, bridge, edu->bar.addr, edu->bar.addr + 0xfffff);
    }
    edu_fill(edu);
    assert_state(v, bdf, "none");
    assert_status(viommu_attach(v, 1, bdf), NOENT);
    assert_status(viommu_detach(v, 1, bdf), NOENT);
    assert_status(viommu_probe(v, bdf, properties), NOENT);
    g_assert_true(edu_reaches(edu, TARGET, TARGET));
    edu_close(edu);
    if (bridge) {
        viommu_set_window(v, bridge, 0xfff00000, 0);
    }
}

static void assert_in(Viommu *v, int bdf)
{
    uint8_t properties[VIOMMU_PROBE_SIZE];

    assert_state(v, bdf, "blocked");
    assert_status(viommu_probe(v, bdf, properties), OK);
    assert_status(viommu_attach(v, 1, bdf), OK);
    assert_state(v, bdf, "translated");
    assert_status(viommu_detach(v, 1, bdf), OK);
}

static void all(void)
{
    Viommu *v = viommu_start("scope=all,boot-bypass=off", EDU_A EDU_B);

    assert_in(v, EP_A);
    assert_in(v, EP_B);
    assert_in(v, 0);
    viommu_stop(v);
}

static void list(void)
{
    Viommu *v = viommu_start("scope=4.0:1f.2,boot-bypass=off", EDU_A EDU_B);
    Edu *a = edu_open(v, EP_A);

    assert_in(v, EP_A);
    assert_in(v, 0xfa);
    assert_state(v, 0, "none");
    assert_state(v, 0xf8, "none");
    assert_plain(v, EP_B, 0);
    edu_store(a, TARGET, 4);
    g_assert_cmpuint(viommu_count(v, "faults-dropped"), ==, 1);
    edu_close(a);
    viommu_stop(v);
}

/* A place is a bridge with all behind it, or one function behind a bridge */
static void behind_ports(void)
{
    static const char *const places[] = {
        "scope=3.0,boot-bypass=off", "scope=3.0/0.0,boot-bypass=off",
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(places); i++) {
        Viommu *v = viommu_start(places[i], PORTS
                                 "-device " EDU ",bus=r3,addr=0.0 "
                                 "-device " EDU ",bus=r6,addr=0.0 ");

        number_ports(v);
        assert_in(v, 0x100);
        assert_state(v, 0x18, i ? "none" : "blocked");
        assert_state(v, 0x30, "none");
        assert_plain(v, 0x200, 0x30);
        viommu_stop(v);
    }
}

static void hotplug(void)
{
    Viommu *v = viommu_start("scope=3.0,boot-bypass=off", PORTS "-global "
                             "ICH9-LPC.acpi-pci-hotplug-with-bridge-support="
                             "off ");

    number_ports(v);
    for (unsigned i = 0; i < 4; i++) {
        int hot = i % 2 ? 0x201 : 0x101;

        qtest_qmp_device_add(v->qts, "edu", "hot", "{'bus': %s, 'addr': "
                             "'0.1'}", i % 2 ? "r6" : "r3");
        if (i % 2) {
            assert_state(v, hot, "none");
            assert_status(viommu_attach(v, 1, hot), NOENT);
        } else {
            assert_in(v, hot);
        }
        qtest_qmp_device_del_send(v->qts, "hot");
        qtest_qmp_eventwait(v->qts, "DEVICE_DELETED");
    }
    viommu_stop(v);
}

/* By way of an expander that has no IOMMU of its own */
static void behind_an_expander(void)
{
    Viommu *v = viommu_start("scope=8.0/0.0/0.0,boot-bypass=off",
                             "-device pxb-pcie,id=x,bus_nr=0x40,addr=8.0 "
                             "-device pcie-root-port,id=rp,bus=x,addr=0.0,"
                             "chassis=1 -device " EDU ",bus=rp,addr=0.0,"
                             "multifunction=on -device " EDU ",bus=rp,"
                             "addr=0.1 ");

    viommu_set_bridge(v, 0x4000, 0x40, 0x41, 0x41);
    assert_in(v, 0x4100);
    assert_state(v, 0x4000, "none");
    assert_state(v, 0x40, "none");
    assert_plain(v, 0x4101, 0x4000);
    viommu_stop(v);
}

/* What holds for a bridge to a conventional bus holds for all behind it */
static void behind_pci_bridges(void)
{
    Viommu *v = viommu_start("scope=3.0:7.0,boot-bypass=off",
                             "-device pcie-pci-bridge,id=b3,addr=3.0 "
                             "-device " EDU ",bus=b3,addr=1.0 "
                             "-device pcie-pci-bridge,id=b6,addr=6.0 "
                             "-device " EDU ",bus=b6,addr=1.0 "
                             "-device i82801b11-bridge,id=b7,addr=7.0 "
                             "-device " EDU ",bus=b7,addr=1.0 ");

    number_ports(v);
    viommu_set_bridge(v, 0x38, 0, 3, 3);
    viommu_set_window(v, 0x38, 0xfff00000, 0);
    assert_in(v, 0x18);
    assert_in(v, 0x100);
    assert_status(viommu_attach(v, 1, 0x108), OK);
    assert_in(v, 0x38);
    assert_status(viommu_attach(v, 1, 0x308), OK);
    assert_state(v, 0x200, "none");
    assert_plain(v, 0x208, 0x30);
    viommu_stop(v);
}

/* No emulated device, whenever and wherever it is plugged */
static void passthrough(void)
{
    Viommu *v = viommu_start("scope=passthrough,boot-bypass=off",
                             EDU_A PORTS "-device pcie-pci-bridge,id=br,"
                             "addr=7.0 -device " EDU ",bus=br,addr=1.0 "
                             "-global ICH9-LPC.acpi-pci-hotplug-with-bridge-"
                             "support=off ");

    number_ports(v);
    viommu_set_bridge(v, 0x38, 0, 3, 3);
    viommu_set_window(v, 0x38, 0xfff00000, 0);
    assert_plain(v, EP_A, 0);
    assert_plain(v, 0x308, 0x38);
    assert_state(v, 0, "none");
    assert_state(v, 0x18, "none");
    assert_state(v, 0x38, "none");
    qtest_qmp_device_add(v->qts, "edu", "hot", "{'bus': 'r3', 'addr': "
                         "'0.1'}");
    assert_state(v, 0x101, "none");
    assert_status(viommu_attach(v, 1, 0x101), NOENT);
    viommu_stop(v);
}

/* A receiver out of scope mirrors guest memory, whatever the guest does */
static void observed(const void *how)
{
    g_autofree char *arg = watch_arg(how, 2);
    Viommu *v = viommu_start("scope=4.0", arg);
    Watch *in = watch_open(v, 0), *out = watch_open(v, 1);

    assert_holds_ram(in);
    assert_holds_ram(out);
    watch_clear(out);
    viommu_set_bypass(v, 0);
    assert_holds_nothing(in);
    assert_status(viommu_attach(v, 1, in->endpoint), OK);
    assert_status(viommu_attach(v, 1, out->endpoint), NOENT);
    viommu_set_status(v, 0);
    qtest_system_reset(v->qts);
    watch_find(in);
    assert_holds_ram(in);
    assert_holds_ram(out);
    watch_close(in);
    watch_close(out);
    viommu_stop(v);
}

/* Places begin at the root bus that the IOMMU serves */
static void of_an_expander(void)
{
    Viommu *v = viommu_start("scope=4.0", EDU_A EDU_B "-device pxb-pcie,id=x,"
                             "bus_nr=0x40,addr=8.0 -device pcie-root-port,"
                             "id=rp,bus=x,addr=4.0,chassis=1 "
                             "-device pcie-root-port,id=rq,bus=x,addr=5.0,"
                             "chassis=2 -device pviommu-pci,id=second,"
                             "bus=pcie.0,addr=11.0,primary-bus=x,scope=5.0 ");
    Viommu *second = viommu_beside(v, "second", 0x88);

    assert_state(v, EP_A, "bypass");
    assert_state(v, EP_B, "none");
    assert_state(second, 0x4020, "none");
    assert_state(second, 0x4028, "bypass");
    viommu_forget(second);
    viommu_stop(v);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("scope/all", all);
    ADD("scope/list", list);
    ADD("scope/behind-ports", behind_ports);
    ADD("scope/hotplug", hotplug);
    ADD("scope/behind-an-expander", behind_an_expander);
    ADD("scope/behind-pci-bridges", behind_pci_bridges);
    ADD("scope/passthrough", passthrough);
    qtest_add_data_func("pviommu/scope/listener", "listener", observed);
    watch_add("scope", "observed", observed);
    ADD("scope/of-an-expander", of_an_expander);
    return g_test_run();
}
