/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which functions are endpoints, and what their numbers are
 *
 * Section "Topology" of docs/specs/pviommu.md.
 */
#include "qemu/osdep.h"

#include "edu.h"

#define TARGET (RAM + 0x2000000)

static void assert_translated_alone(Viommu *v, int bdf)
{
    Edu *edu = edu_open_filled(v, bdf);

    assert_status(viommu_attach(v, 7, bdf), OK);
    assert_state(v, bdf, "translated");
    assert_status(viommu_map(v, 7, 0, 0xfff, TARGET, WRITE), OK);
    g_assert_true(edu_reaches(edu, 0, TARGET));
    g_assert_false(edu_reaches(edu, TARGET, TARGET));
    assert_status(viommu_detach(v, 7, bdf), OK);
    g_assert_true(edu_reaches(edu, TARGET, TARGET));
    edu_close(edu);
}

static void functions_of_one_device(void)
{
    Viommu *v = viommu_start(NULL,
                             "-device " EDU ",addr=4.1,id=b "
                             "-device " EDU ",addr=4.0,id=a,multifunction=on ");
    Edu *a = edu_open_filled(v, 0x20);
    Edu *b = edu_open_filled(v, 0x21);

    assert_status(viommu_attach(v, 1, 0x20), OK);
    assert_status(viommu_attach(v, 2, 0x21), OK);
    assert_status(viommu_map(v, 1, 0, 0xfff, TARGET, WRITE), OK);
    assert_status(viommu_map(v, 2, 0, 0xfff, TARGET + 0x1000, WRITE), OK);
    g_assert_true(edu_reaches(a, 0, TARGET));
    g_assert_true(edu_reaches(b, 0, TARGET + 0x1000));
    edu_close(a);
    edu_close(b);
    viommu_stop(v);
}

static void behind_a_root_port(void)
{
    Viommu *v = viommu_start(NULL, "-device pcie-root-port,id=rp,addr=3.0,"
                             "chassis=1 -device " EDU ",bus=rp,id=a ");

    /* Bus numbers as they are after reset: behind the bridge is bus 0 */
    viommu_set_bridge(v, 0x18, 0, 1, 1);
    assert_state(v, 0x100, "bypass");
    assert_state(v, 0x18, "bypass");
    assert_translated_alone(v, 0x100);
    assert_status(viommu_attach(v, 1, 0x108), NOENT);
    viommu_stop(v);
}

/* The guest gives buses other numbers: endpoints follow, attachments stay */
static void buses_renumbered(void)
{
    Viommu *v = viommu_start(NULL, "-device pcie-root-port,id=rp,addr=3.0,"
                             "chassis=1 -device " EDU ",bus=rp,id=a ");
    Edu *edu;

    viommu_set_bridge(v, 0x18, 0, 1, 1);
    edu = edu_open_filled(v, 0x100);
    assert_status(viommu_attach(v, 1, 0x100), OK);
    assert_status(viommu_map(v, 1, 0, 0xfff, TARGET, WRITE), OK);
    viommu_set_bridge(v, 0x18, 0, 5, 5);
    edu_close(edu);
    edu = edu_open(v, 0x500);
    g_assert_true(edu_reaches(edu, 0, TARGET));
    assert_status(viommu_detach(v, 1, 0x100), NOENT);
    assert_state(v, 0x100, "none");
    assert_state(v, 0x500, "translated");
    viommu_event_post(v, 24, 2);
    edu_load(edu, 0x4000, 4);
    viommu_assert_fault(v, VIRTIO_IOMMU_FAULT_R_MAPPING,
                        VIRTIO_IOMMU_FAULT_F_READ, 0x500, 0x4000);
    assert_status(viommu_detach(v, 1, 0x500), OK);
    edu_close(edu);
    viommu_stop(v);
}

/* Two buses with one number: the first function made has it */
static void numbers_collide(void)
{
    Viommu *v = viommu_start(NULL, "-device pcie-root-port,id=r1,addr=3.0,"
                             "chassis=1 -device pcie-root-port,id=r2,"
                             "addr=6.0,chassis=2 -device " EDU ",bus=r1,id=a "
                             "-device " EDU ",bus=r2,id=b ");

    /* Before the firmware has numbered buses all are 0 */
    viommu_assert_alive(v);
    viommu_set_bridge(v, 0x18, 0, 1, 1);
    viommu_set_bridge(v, 0x30, 0, 1, 1);
    assert_status(viommu_attach(v, 1, 0x100), OK);
    assert_state(v, 0x100, "translated");
    viommu_set_bridge(v, 0x30, 0, 2, 2);
    assert_state(v, 0x100, "translated");
    assert_state(v, 0x200, "bypass");
    assert_status(viommu_attach(v, 1, 0x200), OK);
    assert_status(viommu_detach(v, 1, 0x100), OK);
    assert_status(viommu_detach(v, 1, 0x200), OK);
    viommu_stop(v);
}

/*
 * Behind a PCI bridge all requests bear the bridge's number on its secondary
 * bus; the guest attaches that and the function's own.
 */
static void behind_a_pci_bridge(void)
{
    Viommu *v = viommu_start(NULL, "-device pcie-pci-bridge,id=br,addr=3.0 "
                             "-device " EDU ",bus=br,addr=1.0,id=a "
                             "-device " EDU ",bus=br,addr=2.0,id=b ");
    Edu *a, *b;
    const int alias = 0x100, own_a = 0x108, own_b = 0x110;

    viommu_set_bridge(v, 0x18, 0, 1, 1);
    a = edu_open_filled(v, own_a);
    b = edu_open_filled(v, own_b);
    assert_state(v, alias, "bypass");
    assert_state(v, own_a, "bypass");
    assert_state(v, own_b, "bypass");

    /* As Linux does: every number of the group */
    assert_status(viommu_attach(v, 1, own_a), OK);
    assert_status(viommu_attach(v, 1, alias), OK);
    assert_status(viommu_map(v, 1, 0, 0xfff, TARGET, WRITE), OK);
    g_assert_true(edu_reaches(a, 0, TARGET));
    g_assert_true(edu_reaches(b, 0, TARGET));
    assert_status(viommu_attach(v, 1, own_b), OK);
    viommu_event_post(v, 24, 2);
    edu_load(b, 0x9000, 4);
    viommu_assert_fault(v, VIRTIO_IOMMU_FAULT_R_MAPPING,
                        VIRTIO_IOMMU_FAULT_F_READ, alias, 0x9000);

    assert_status(viommu_detach(v, 1, alias), OK);
    g_assert_true(edu_reaches(a, TARGET, TARGET));
    assert_status(viommu_detach(v, 1, own_a), OK);
    assert_status(viommu_detach(v, 1, own_b), OK);
    assert_status(viommu_map(v, 1, 0, 0xfff, TARGET, WRITE), NOENT);
    edu_close(a);
    edu_close(b);
    viommu_stop(v);
}

/* A bridge of the old kind makes requests in its own name on the root bus */
static void behind_a_legacy_bridge(void)
{
    Viommu *v = viommu_start(NULL, "-device i82801b11-bridge,id=br,addr=3.0 "
                             "-device " EDU ",bus=br,addr=1.0,id=a ");
    const int bridge = 0x18, own = 0x108;
    Edu *edu;

    viommu_set_bridge(v, bridge, 0, 1, 1);
    edu = edu_open_filled(v, own);
    assert_status(viommu_attach(v, 1, own), OK);
    g_assert_true(edu_reaches(edu, TARGET, TARGET));
    assert_status(viommu_attach(v, 1, bridge), OK);
    assert_status(viommu_map(v, 1, 0, 0xfff, TARGET, WRITE), OK);
    g_assert_true(edu_reaches(edu, 0, TARGET));
    viommu_event_post(v, 24, 1);
    edu_load(edu, 0x9000, 4);
    viommu_assert_fault(v, VIRTIO_IOMMU_FAULT_R_MAPPING,
                        VIRTIO_IOMMU_FAULT_F_READ, bridge, 0x9000);
    assert_status(viommu_detach(v, 1, bridge), OK);
    assert_status(viommu_detach(v, 1, own), OK);
    edu_close(edu);
    viommu_stop(v);
}

static void bridge_behind_a_root_port(void)
{
    Viommu *v = viommu_start(NULL, "-device pcie-root-port,id=rp,addr=3.0,"
                             "chassis=1 -device pcie-pci-bridge,id=br,bus=rp "
                             "-device " EDU ",bus=br,addr=1.0,id=a ");
    Edu *edu;

    viommu_set_bridge(v, 0x18, 0, 1, 2);
    viommu_set_bridge(v, 0x100, 1, 2, 2);
    edu = edu_open_filled(v, 0x208);
    assert_state(v, 0x100, "bypass");       /* the bridge */
    assert_state(v, 0x200, "bypass");       /* the name it gives */
    assert_status(viommu_attach(v, 1, 0x200), OK);
    assert_status(viommu_attach(v, 1, 0x208), OK);
    assert_status(viommu_map(v, 1, 0, 0xfff, TARGET, WRITE), OK);
    g_assert_true(edu_reaches(edu, 0, TARGET));
    assert_status(viommu_attach(v, 2, 0x100), OK);
    g_assert_true(edu_reaches(edu, 0, TARGET));
    edu_close(edu);
    viommu_stop(v);
}

/* The place on the command line matters to vfio-pci alone */
static void created_before_the_iommu(void)
{
    Viommu *v = g_new0(Viommu, 1);
    Edu *edu;

    v->qts = qtest_init("-machine q35 -m 256M -nodefaults "
                        "-device " EDU ",addr=4.0 "
                        "-device pcie-root-port,id=rp,addr=3.0,chassis=1 "
                        "-device " EDU ",bus=rp "
                        "-device pviommu-pci,id=iommu,addr=10.0,"
                        "boot-bypass=off");
    viommu_adopt(v);
    viommu_negotiate(v, ALL_FEATURES);
    viommu_set_bridge(v, 0x18, 0, 1, 1);
    assert_state(v, 0, "blocked");
    assert_state(v, EP_A, "blocked");
    assert_state(v, 0x100, "blocked");
    assert_status(viommu_attach(v, 1, EP_A), OK);
    assert_status(viommu_attach(v, 1, 0x100), OK);
    assert_status(viommu_map(v, 1, EDU_SCRATCH, EDU_SCRATCH + 0xfff,
                             EDU_SCRATCH, READ), OK);
    assert_status(viommu_map(v, 1, 0, 0xfff, TARGET, WRITE), OK);
    for (unsigned i = 0; i < 2; i++) {
        edu = edu_open_filled(v, i ? 0x100 : EP_A);
        g_assert_true(edu_reaches(edu, 0, TARGET));
        g_assert_false(edu_reaches(edu, TARGET, TARGET));
        edu_close(edu);
    }
    viommu_stop(v);
}

static void behind_an_expander(void)
{
    Viommu *v = viommu_start(NULL, "-device pxb-pcie,id=pxb,bus_nr=0x40,"
                             "addr=8.0 -device pcie-root-port,id=rp,bus=pxb,"
                             "addr=0.0,chassis=9 -device " EDU ",bus=rp,id=a ");

    viommu_set_bridge(v, 0x4000, 0x40, 0x41, 0x41);
    assert_state(v, 0x4000, "bypass");
    assert_state(v, 0x4100, "bypass");
    assert_translated_alone(v, 0x4100);
    viommu_stop(v);
}

/* What is behind a root that bypasses is shown, and is no endpoint */
static void root_that_bypasses(void)
{
    Viommu *v = viommu_start("boot-bypass=off",
                             "-device pxb-pcie,id=pxb,bus_nr=0x40,addr=8.0,"
                             "bypass_iommu=on -device pcie-root-port,id=rp,"
                             "bus=pxb,addr=0.0,chassis=9 "
                             "-device " EDU ",bus=rp,id=a ");
    Edu *edu;

    viommu_set_bridge(v, 0x4000, 0x40, 0x41, 0x41);
    assert_state(v, 0x4100, "unprotected");
    assert_status(viommu_attach(v, 1, 0x4100), NOENT);
    edu = edu_open_filled(v, 0x4100);
    g_assert_true(edu_reaches(edu, TARGET, TARGET));
    edu_close(edu);
    viommu_stop(v);
}

static void thirty_functions(void)
{
    g_autoptr(GString) args = g_string_new(NULL);
    Viommu *v;

    for (unsigned slot = 1; slot < 31; slot++) {
        if (slot << 3 != VIOMMU_OWN_BDF) {
            g_string_append_printf(args, "-device " EDU ",addr=%x.0 ", slot);
        }
    }
    v = viommu_start("boot-bypass=off", args->str);
    for (unsigned slot = 1; slot < 31; slot++) {
        uint64_t page = (uint64_t)slot << 12;

        if (slot << 3 == VIOMMU_OWN_BDF) {
            continue;
        }
        assert_status(viommu_attach(v, slot, slot << 3), OK);
        assert_status(viommu_map(v, slot, 0, 0xfff, TARGET + page, WRITE),
                      OK);
        assert_status(viommu_map(v, slot, 0x1000, 0x1fff, EDU_SCRATCH, READ),
                      OK);
    }
    qtest_memset(v->qts, EDU_SCRATCH, 0x5a, 4096);
    for (unsigned slot = 1; slot < 31; slot++) {
        Edu *edu;

        if (slot << 3 == VIOMMU_OWN_BDF) {
            continue;
        }
        edu = edu_open(v, slot << 3);
        edu_load(edu, 0x1000, 1);
        g_assert_true(edu_reaches(edu, 4, TARGET + (slot << 12) + 4));
        edu_close(edu);
    }
    viommu_stop(v);
}

static void unplug_and_replug(void)
{
    Viommu *v = viommu_start(NULL, "-device pcie-root-port,id=rp,addr=3.0,"
                             "chassis=1 -device " EDU ",bus=rp,id=a " EDU_B);

    for (unsigned i = 0; i < 3; i++) {
        Edu *edu;

        viommu_set_bridge(v, 0x18, 0, 1, 1);
        edu = edu_open_filled(v, 0x100);
        assert_status(viommu_attach(v, 1, 0x100), OK);
        assert_status(viommu_attach(v, 1, EP_B), OK);
        assert_status(viommu_map(v, 1, 0, 0xfff, TARGET, WRITE), OK);
        g_assert_true(edu_reaches(edu, 0, TARGET));
        edu_close(edu);
        viommu_unplug(v, "a");
        viommu_map_registers(v);
        viommu_negotiate(v, ALL_FEATURES);
        viommu_set_bridge(v, 0x18, 0, 1, 1);
        assert_status(viommu_attach(v, 1, 0x100), NOENT);
        assert_state(v, 0x100, "none");
        qtest_qmp_device_add(v->qts, "edu", "a", "{'bus': 'rp', 'dma_mask': "
                             "18446744073709551615}");
        assert_state(v, 0x100, "bypass");
    }
    viommu_stop(v);
}

/* The name that two functions share is there as long as one of them */
static void unplug_behind_a_pci_bridge(void)
{
    Viommu *v = viommu_start(NULL, "-device pcie-pci-bridge,id=br,addr=3.0 "
                             "-device " EDU ",bus=br,addr=1.0,id=a "
                             "-device " EDU ",bus=br,addr=2.0,id=b ");
    const int bridge = 0x18, alias = 0x100, own_a = 0x108, own_b = 0x110;
    Edu *b;

    viommu_set_bridge(v, bridge, 0, 1, 1);
    assert_status(viommu_attach(v, 1, alias), OK);
    assert_status(viommu_attach(v, 1, own_a), OK);
    viommu_unplug(v, "a");
    viommu_map_registers(v);
    viommu_negotiate(v, ALL_FEATURES);
    viommu_set_bridge(v, bridge, 0, 1, 1);
    assert_status(viommu_attach(v, 1, own_a), NOENT);
    b = edu_open_filled(v, own_b);
    assert_status(viommu_attach(v, 1, alias), OK);
    assert_status(viommu_attach(v, 1, own_b), OK);
    assert_status(viommu_map(v, 1, 0, 0xfff, TARGET, WRITE), OK);
    g_assert_true(edu_reaches(b, 0, TARGET));
    edu_close(b);
    viommu_unplug(v, "b");
    viommu_map_registers(v);
    viommu_negotiate(v, ALL_FEATURES);
    viommu_set_bridge(v, bridge, 0, 1, 1);
    assert_status(viommu_attach(v, 1, alias), NOENT);
    assert_status(viommu_attach(v, 1, own_b), NOENT);
    assert_status(viommu_attach(v, 1, bridge), OK);
    viommu_stop(v);
}

static void hotplug_of_the_iommu(void)
{
    Viommu *v = viommu_start(NULL, NULL);
    QDict *answer = qtest_qmp(v->qts, "{'execute': 'device_add', 'arguments':"
                              " {'driver': 'pviommu-pci', 'id': 'second'}}");

    g_assert_true(qdict_haskey(answer, "error"));
    qobject_unref(answer);
    answer = qtest_qmp(v->qts, "{'execute': 'device_del', 'arguments':"
                       " {'id': 'iommu'}}");
    g_assert_true(qdict_haskey(answer, "error"));
    qobject_unref(answer);
    viommu_assert_alive(v);
    viommu_stop(v);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("topology/functions-of-one-device", functions_of_one_device);
    ADD("topology/behind-a-root-port", behind_a_root_port);
    ADD("topology/buses-renumbered", buses_renumbered);
    ADD("topology/numbers-collide", numbers_collide);
    ADD("topology/behind-a-pci-bridge", behind_a_pci_bridge);
    ADD("topology/behind-a-legacy-bridge", behind_a_legacy_bridge);
    ADD("topology/bridge-behind-a-root-port", bridge_behind_a_root_port);
    ADD("topology/created-before-the-iommu", created_before_the_iommu);
    ADD("topology/behind-an-expander", behind_an_expander);
    ADD("topology/root-that-bypasses", root_that_bypasses);
    ADD("topology/thirty-functions", thirty_functions);
    ADD("topology/unplug-and-replug", unplug_and_replug);
    ADD("topology/unplug-behind-a-pci-bridge", unplug_behind_a_pci_bridge);
    ADD("topology/hotplug-of-the-iommu", hotplug_of_the_iommu);
    return g_test_run();
}
