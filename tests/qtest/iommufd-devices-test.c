/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Kinds of devices and hosts that meet where there are host page tables
 */
#include "qemu/osdep.h"

#include "standard-headers/linux/pci_regs.h"
#include "standard-headers/linux/pci_regs.h"
#include "iommufd-scene.h"

#define PEER 0xd0000000ULL

/* Passed through by iommufd, by a container, and emulated: one domain */
static void test_mixed(void)
{
    Scene s = scene_new(NULL, 1, "-device pviommu-observer,watch=container,"
                        "id=o1,addr=5.0 -device pviommu-observer,id=o2,"
                        "addr=6.0");
    Watch *container = watch_open(s.v, 1), *plain = watch_open(s.v, 2);
    Model m = model_new();

    assert_status(viommu_attach(s.v, 1, container->endpoint), OK);
    model_map_pages(&m, s.v, 1, HIGH, 8);
    assert_status(viommu_attach(s.v, 1, s.w[0]->endpoint), OK);
    assert_status(viommu_attach(s.v, 1, plain->endpoint), OK);
    model_map(&m, s.v, 1, HIGH + MiB, MiB, PHYS, READ | WRITE);
    model_unmap(&m, s.v, 1, HIGH, 2 * PAGE);
    assert_holds(s.w[0], &m);
    assert_holds(container, &m);
    assert_reaches(plain, HIGH + MiB, PHYS, true);
    assert_reaches(s.w[0], HIGH + MiB, PHYS, true);

    for (unsigned i = 0; i < 2; i++) {
        Watch *refuses = i ? container : s.w[0];

        watch_fail(refuses, OBSERVER_FAIL_MAP, 1, 1, ENOSPC);
        assert_status(viommu_map(s.v, 1, HIGH, HIGH + PAGE - 1, PHYS, READ),
                      NOMEM);
        watch_stick(refuses, HIGH + 3 * PAGE, EINVAL);
        assert_status(viommu_unmap(s.v, 1, HIGH, HIGH + MiB - 1), FAULT);
        watch_stick(refuses, 0, 0);
        assert_holds(s.w[0], &m);
        assert_holds(container, &m);
        g_assert_false(watch_dma(plain, OBSERVER_READ, HIGH, 1));
    }
    assert_status(viommu_detach(s.v, 1, s.w[0]->endpoint), OK);
    assert_holds_ram(s.w[0]);
    assert_holds(container, &m);
    model_free(&m);
    watch_close(container);
    watch_close(plain);
    scene_end(&s);
}

/* By QEMU's own code for iommufd, as asked for or as a kernel is too old */
static void test_container(void)
{
    static const char *const how[][2] = {
        { "host-path=container", "" },
        { NULL, ",fail=hwpt-alloc:1:25" },
    };

    for (unsigned i = 0; i < 2; i++) {
        g_autofree char *extra = g_strdup_printf(
            "-device pviommu-observer,watch=iommufd,iommufd=host,id=o0,"
            "addr=4.0%s", how[i][1]);
        Scene s = scene_new(how[i][0], 0, extra);
        Watch *w = watch_open(s.v, 0);
        Model m = model_new();

        assert_path(s.v, w->endpoint, "container");
        assert_holds_ram(w);
        assert_status(viommu_attach(s.v, 1, w->endpoint), OK);
        model_map_pages(&m, s.v, 1, HIGH, 4);
        assert_holds(w, &m);
        assert_status(viommu_detach(s.v, 1, w->endpoint), OK);
        assert_holds_ram(w);
        model_free(&m);
        watch_close(w);
        scene_end(&s);
    }
}

/*
 * There QEMU warns of each call for a BAR, which the kernel never maps: the
 * guest must not make it call
 */
static void test_container_bar(void)
{
    const uint64_t bar = 0xd0000000;
    Scene s = scene_new("host-path=container,boot-bypass=off", 1,
                        "-device pviommu-observer,peer=on,addr=8.0");
    QPCIDevice *peer = qpci_device_find(s.v->bus, 8 << 3);
    unsigned calls;

    attach_all(&s, 1);
    qpci_config_writel(peer, PCI_BASE_ADDRESS_2, bar);
    qpci_config_writew(peer, PCI_COMMAND, PCI_COMMAND_MEMORY);
    calls = watch_calls(s.w[0], "map");
    for (unsigned i = 0; i < 4; i++) {
        assert_status(viommu_map(s.v, 1, HIGH, HIGH + PAGE - 1, bar,
                                 READ | WRITE), OK);
        assert_status(viommu_unmap(s.v, 1, HIGH, HIGH + PAGE - 1), OK);
        assert_status(viommu_map(s.v, 1, HIGH, HIGH + PAGE - 1, bar,
                                 READ | WRITE | MMIO), DEVERR);
    }
    /* BARs that move under a mapping are no reason to call either */
    assert_status(viommu_map(s.v, 1, HIGH, HIGH + 4 * MiB - 1, bar,
                             READ | WRITE), OK);
    qpci_config_writel(peer, PCI_BASE_ADDRESS_2, bar + MiB);
    g_assert_cmpuint(watch_calls(s.w[0], "map"), ==, calls);
    g_assert_cmpuint(watch_failed(s.w[0], "map", EFAULT), ==, 0);
    assert_holds_nothing(s.w[0]);
    g_free(peer);
    scene_end(&s);
}

/* Two iommufd objects: a table for each, in bypass and in a domain */
static void test_two_objects(void)
{
    Scene s = scene_new(NULL, 1, "-object iommufd,id=second "
                        "-device pviommu-observer,watch=iommufd,"
                        "iommufd=second,id=o1,addr=5.0");
    Watch *other = watch_open(s.v, 1);
    Model m = model_new();
    unsigned maps;

    g_assert_cmpuint(watch_host(other, "context"), ==, 2);
    g_assert_cmpuint(watch_host(other, "pinned"), >=, 512 * MiB);
    assert_status(viommu_attach(s.v, 1, s.w[0]->endpoint), OK);
    model_map_pages(&m, s.v, 1, HIGH, 8);
    assert_status(viommu_attach(s.v, 1, other->endpoint), OK);
    maps = watch_calls(other, "map");
    model_map(&m, s.v, 1, HIGH + MiB, PAGE, PHYS, READ | WRITE);
    g_assert_cmpuint(watch_calls(other, "map"), ==, maps + 2);
    assert_holds(s.w[0], &m);
    assert_holds(other, &m);
    assert_status(viommu_detach(s.v, 1, s.w[0]->endpoint), OK);
    assert_holds_ram(s.w[0]);
    assert_holds(other, &m);

    /* Whichever is refused, neither has it */
    assert_status(viommu_attach(s.v, 1, s.w[0]->endpoint), OK);
    for (unsigned n = 1; n <= 2; n++) {
        watch_fail(other, OBSERVER_FAIL_MAP, n, 1, ENOMEM);
        assert_status(viommu_map(s.v, 1, HIGH + 2 * MiB, HIGH + 3 * MiB - 1,
                                 PHYS, READ), NOMEM);
        assert_holds(s.w[0], &m);
        assert_holds(other, &m);
    }
    model_free(&m);
    watch_close(other);
    scene_end(&s);
}

/* Behind another IOMMU of the host: an HWPT more, on the same IOAS */
static void test_another_host_iommu(void)
{
    Scene s = scene_new(NULL, 1, "-device pviommu-observer,watch=iommufd,"
                        "iommufd=host,iommu=1,id=o1,addr=5.0");
    Watch *other = watch_open(s.v, 1);
    uint64_t pinned = watch_host(other, "pinned"), ioas, hwpt;
    Model m = model_new();
    unsigned maps;

    g_assert_cmpuint(pinned, <, 512 * MiB);
    assert_status(viommu_attach(s.v, 1, s.w[0]->endpoint), OK);
    model_map_pages(&m, s.v, 1, HIGH, 8);
    ioas = watch_host(other, "ioas");
    hwpt = watch_host(other, "hwpt");

    /* The shared one does not fit; what is made instead goes if refused */
    watch_fail(other, OBSERVER_FAIL_ATTACH, 2, 1, ENOMEM);
    assert_status(viommu_attach(s.v, 1, other->endpoint), NOMEM);
    g_assert_cmpuint(watch_host(other, "hwpt"), ==, hwpt);
    assert_holds_ram(other);
    assert_status(viommu_attach(s.v, 1, other->endpoint), OK);
    g_assert_cmpuint(watch_host(other, "ioas"), ==, ioas);
    g_assert_cmpuint(watch_host(other, "hwpt"), ==, hwpt + 1);
    maps = watch_calls(other, "map");
    model_map(&m, s.v, 1, HIGH + MiB, PAGE, PHYS, READ | WRITE);
    g_assert_cmpuint(watch_calls(other, "map"), ==, maps + 1);
    g_assert_cmpuint(watch_host(other, "pinned"), ==, pinned + 9 * PAGE);
    assert_holds(s.w[0], &m);
    assert_holds(other, &m);
    assert_status(viommu_detach(s.v, 1, s.w[0]->endpoint), OK);
    assert_status(viommu_detach(s.v, 1, other->endpoint), OK);
    g_assert_cmpuint(watch_host(other, "hwpt"), ==, hwpt - 1);
    model_free(&m);
    watch_close(other);
    scene_end(&s);
}

/* A host with fewer address bits than the guest could name */
static void test_narrow_host(void)
{
    Scene s = scene_new(NULL, 1, "-device pviommu-observer,watch=iommufd,"
                        "iommufd=host,iommu=1,bits=39,id=o1,addr=5.0");
    Watch *narrow = watch_open(s.v, 1);
    const uint64_t end = 1ULL << 39;
    Model m = model_new();

    g_assert_cmphex(viommu_config(s.v).input_range.end, ==, end - 1);
    assert_status(viommu_attach(s.v, 1, narrow->endpoint), OK);
    model_map(&m, s.v, 1, end - PAGE, PAGE, PHYS, READ | WRITE);
    assert_holds(narrow, &m);
    assert_status(viommu_map(s.v, 1, end, end + PAGE - 1, PHYS, READ),
                  RANGE);
    model_free(&m);
    watch_close(narrow);
    scene_end(&s);
}

/* What one device may not have, its domain may not map */
static void test_narrow_in_a_wide_domain(void)
{
    Scene s = scene_new("aw-bits=64", 1, "-device pviommu-observer,"
                        "watch=iommufd,iommufd=host,iommu=1,bits=39,id=o1,"
                        "addr=5.0");
    Watch *narrow = watch_open(s.v, 1);
    const uint64_t high = 1ULL << 40;
    Model m = model_new();

    assert_status(viommu_attach(s.v, 1, s.w[0]->endpoint), OK);
    model_map(&m, s.v, 1, high, PAGE, PHYS, READ | WRITE);
    assert_status(viommu_attach(s.v, 1, narrow->endpoint), UNSUPP);
    assert_holds_ram(narrow);
    assert_state(s.v, narrow->endpoint, "bypass");
    model_unmap(&m, s.v, 1, high, PAGE);
    assert_status(viommu_attach(s.v, 1, narrow->endpoint), OK);
    assert_status(viommu_map(s.v, 1, high, high + PAGE - 1, PHYS, READ),
                  INVAL);
    assert_holds(s.w[0], &m);
    assert_holds(narrow, &m);
    model_free(&m);
    watch_close(narrow);
    scene_end(&s);
}

/* A mediated device has no HWPT, and VFIO tells the IOMMU nothing of it */
static void test_mdev(void)
{
    Scene s = scene_new(NULL, 1, "-device pviommu-observer,watch=iommufd,"
                        "iommufd=host,mdev=on,id=o1,addr=5.0");
    Watch *mdev = watch_open(s.v, 1);
    Model m = model_new();

    assert_state(s.v, mdev->endpoint, "bypass");
    assert_reaches(mdev, PHYS, PHYS, true);
    assert_status(viommu_attach(s.v, 1, mdev->endpoint), OK);
    model_map_pages(&m, s.v, 1, HIGH, 8);
    assert_holds(mdev, &m);
    assert_status(viommu_attach(s.v, 1, s.w[0]->endpoint), OK);
    assert_holds(s.w[0], &m);
    assert_status(viommu_detach(s.v, 1, mdev->endpoint), OK);
    assert_holds_ram(mdev);
    viommu_set_bypass(s.v, 0);
    assert_holds_nothing(mdev);
    assert_reaches(mdev, PHYS, PHYS, false);
    model_free(&m);
    watch_close(mdev);
    scene_end(&s);
}

/* A BAR of a passed-through device, which the host cannot pin */
static void test_peer(void)
{
    Scene s = scene_new("keep-bypass=off", 2,
                        "-device pviommu-observer,peer=on,id=o2,addr=6.0");
    QPCIDevice *pdev = qpci_device_find(s.v->bus, 6 << 3);
    Model m = model_new();

    qpci_config_writel(pdev, PCI_BASE_ADDRESS_2, PEER);
    qpci_config_writew(pdev, PCI_COMMAND, PCI_COMMAND_MEMORY);
    assert_holds_ram(s.w[0]);

    /* The tables are made after the mapping, and before it */
    assert_status(viommu_attach(s.v, 1, 6 << 3), OK);
    assert_status(viommu_map(s.v, 1, HIGH, HIGH + PAGE - 1, PEER,
                             READ | WRITE), OK);
    attach_all(&s, 1);
    model_map(&m, s.v, 1, HIGH + MiB, PAGE, PHYS, READ | WRITE);
    assert_holds(s.w[0], &m);
    assert_status(viommu_map(s.v, 1, HIGH + PAGE, HIGH + 2 * PAGE - 1, PEER,
                             READ | WRITE), OK);
    assert_status(viommu_map(s.v, 1, HIGH + 2 * PAGE, HIGH + 3 * PAGE - 1,
                             PEER, READ | WRITE | MMIO), DEVERR);
    assert_holds(s.w[0], &m);
    assert_status(viommu_unmap(s.v, 1, HIGH, HIGH + 3 * PAGE - 1), OK);
    assert_holds(s.w[0], &m);
    detach_all(&s, 1);
    assert_holds_ram(s.w[0]);
    assert_holds_ram(s.w[1]);
    qpci_config_writew(pdev, PCI_COMMAND, 0);
    assert_holds_ram(s.w[0]);
    assert_state(s.v, s.w[0]->endpoint, "bypass");
    model_free(&m);
    g_free(pdev);
    scene_end(&s);
}

/* A mediated device makes the table, which pins nothing until o0 comes */
static void test_peer_after_mdev(void)
{
    Scene s = scene_new("boot-bypass=off", 1,
                        "-device pviommu-observer,watch=iommufd,"
                        "iommufd=host,mdev=on,id=o1,addr=5.0 "
                        "-device pviommu-observer,peer=on,id=o2,addr=6.0");
    QPCIDevice *pdev = qpci_device_find(s.v->bus, 6 << 3);
    Model m = model_new();

    qpci_config_writel(pdev, PCI_BASE_ADDRESS_2, PEER);
    qpci_config_writew(pdev, PCI_COMMAND, PCI_COMMAND_MEMORY);
    assert_status(viommu_attach(s.v, 1, 5 << 3), OK);
    model_map(&m, s.v, 1, HIGH, PAGE, PHYS, READ | WRITE);
    assert_status(viommu_map(s.v, 1, HIGH + PAGE, HIGH + 2 * PAGE - 1, PEER,
                             READ | WRITE), OK);
    assert_status(viommu_attach(s.v, 1, s.w[0]->endpoint), OK);
    assert_holds(s.w[0], &m);
    model_free(&m);
    g_free(pdev);
    scene_end(&s);
}

/* Whether an interrupt waits for the processor */
static bool has_vector(Viommu *v, unsigned vector)
{
    g_autofree char *text = qtest_hmp(v->qts, "info lapic");
    g_autofree char *word = g_strdup_printf(" %u ", vector);
    const char *irr = strstr(text, "IRR");

    return irr && strstr(irr, word);
}

/* Interrupts arrive whatever the device reaches */
static void test_msi(void)
{
    Scene s = scene_new(NULL, 1, "");
    Watch *w = s.w[0];
    uint8_t cap = qpci_find_capability(w->pdev, PCI_CAP_ID_MSI, 0);

    g_assert_cmpuint(cap, !=, 0);
    qpci_config_writel(w->pdev, cap + PCI_MSI_ADDRESS_LO, 0xfee00000);
    qpci_config_writel(w->pdev, cap + PCI_MSI_ADDRESS_HI, 0);
    qpci_config_writew(w->pdev, cap + PCI_MSI_FLAGS, PCI_MSI_FLAGS_ENABLE);
    for (unsigned vector = 0x41; vector < 0x46; vector++) {
        g_assert_false(has_vector(s.v, vector));
        qpci_config_writew(w->pdev, cap + PCI_MSI_DATA_64, vector);
        watch_set(w, OBSERVER_COMMAND, OBSERVER_MSI);
        g_assert_true(has_vector(s.v, vector));
        switch (vector) {
        case 0x41:
            assert_status(viommu_attach(s.v, 1, w->endpoint), OK);
            break;
        case 0x42:
            assert_status(viommu_attach_flags(s.v, 2, w->endpoint,
                                              VIRTIO_IOMMU_ATTACH_F_BYPASS),
                          OK);
            break;
        case 0x43:
            assert_status(viommu_detach(s.v, 2, w->endpoint), OK);
            viommu_set_bypass(s.v, 0);
            assert_state(s.v, w->endpoint, "blocked");
            break;
        default:
            viommu_negotiate(s.v, ALL_FEATURES);
            break;
        }
    }
    scene_end(&s);
}

/* After the last device nothing is left, in whichever state it went */
static void test_unplug_leaves_nothing(void)
{
    g_autofree char *library = watch_library();
    g_autofree char *arg = g_strdup_printf(
        WATCH_PORT "%s -object iommufd,id=host "
        "-device pviommu-observer,id=o0,addr=4.0", library);
    Viommu *v = viommu_start(NULL, arg);
    Watch *w = watch_open(v, 0);
    QPCIDevice *port = qpci_device_find(v->bus, WATCH_PORT_BDF);

    qpci_config_writeb(port, PCI_SECONDARY_BUS, 1);
    qpci_config_writeb(port, PCI_SUBORDINATE_BUS, 1);
    for (unsigned i = 0; i < 5; i++) {
        viommu_set_bypass(v, i != 1);
        g_assert_true(watch_plug(v, "iommufd"));
        g_assert_cmpuint(watch_host(w, "context"), ==, 1);
        if (i >= 2) {
            assert_status(viommu_attach_flags(v, 1, 0x101, i == 2
                                              ? VIRTIO_IOMMU_ATTACH_F_BYPASS
                                              : 0), OK);
        }
        if (i >= 3) {
            assert_status(viommu_map(v, 1, HIGH, HIGH + PAGE - 1, PHYS,
                                     READ), OK);
        }
        if (i == 4) {
            /* The domain lives on, its table does not */
            assert_status(viommu_attach(v, 1, w->endpoint), OK);
        }
        watch_unplug(v);
        g_assert_cmpuint(watch_host(w, "context"), ==, 0);
        g_assert_cmpuint(watch_host(w, "function"), ==, 0);
        g_assert_cmpuint(watch_host(w, "pinned"), ==, 0);
        assert_no_mistakes(w);
    }
    assert_status(viommu_unmap(v, 1, HIGH, HIGH + PAGE - 1), OK);
    g_assert_true(watch_plug(v, "iommufd"));
    assert_status(viommu_attach(v, 1, 0x101), OK);
    watch_unplug(v);
    assert_no_mistakes(w);

    /* The slot is taken by a device of another kind, and back */
    for (unsigned i = 0; i < 4; i++) {
        const char *how = i % 2 ? "iommufd" : "container";
        Watch hot = { .v = v, .id = "hot" };
        g_autofree char *held = NULL;

        g_assert_true(watch_plug(v, how));
        assert_path(v, 0x101, how);
        held = watch_get(&hot, "mappings");
        g_assert_nonnull(strstr(held, "pc.ram"));
        assert_status(viommu_attach(v, 2, 0x101), OK);
        assert_holds_nothing(&hot);
        watch_unplug(v);
        assert_no_mistakes(w);
    }
    g_free(port);
    watch_close(w);
    viommu_stop(v);
}

/* Have the n-th such call refused */
static void order(Viommu *v, const char *call, int error, unsigned n)
{
    g_autofree char *fail = g_strdup_printf("%s:1:%d:%u", call, error, n);

    qtest_qmp_assert_success(v->qts, "{ 'execute': 'qom-set', 'arguments': {"
                             " 'path': 'o0', 'property': 'fail',"
                             " 'value': %s } }", fail);
}

/* Whichever way it goes for the first device, it goes that way throughout */
static void test_first_plug_refused(void)
{
    g_autofree char *library = watch_library();
    g_autofree char *arg = g_strdup_printf(
        WATCH_PORT "%s -object iommufd,id=host "
        "-device pviommu-observer,id=o0,addr=4.0 "
        "-device pviommu-observer,watch=container,id=o1,addr=5.0", library);
    Viommu *v = viommu_start(NULL, arg);
    Watch *plain = watch_open(v, 0), *container = watch_open(v, 1);
    QPCIDevice *port = qpci_device_find(v->bus, WATCH_PORT_BDF);
    unsigned refused, n = 0;

    qpci_config_writeb(port, PCI_SECONDARY_BUS, 1);
    qpci_config_writeb(port, PCI_SUBORDINATE_BUS, 1);
    do {
        unsigned before = watch_failed(plain, "", EIO);

        order(v, "any", EIO, ++n);
        if (watch_plug(v, "iommufd")) {
            Watch hot = { .v = v, .id = "hot", .ram = container->ram };
            g_autofree char *path = endpoint_path(v, 0x101);
            Model m = model_new();

            refused = watch_failed(plain, "", EIO) - before;
            viommu_set_bypass(v, 0);
            assert_holds_nothing(&hot);
            viommu_set_bypass(v, 1);
            assert_holds_ram(&hot);
            assert_status(viommu_attach(v, 1, 0x101), OK);
            model_map_pages(&m, v, 1, HIGH, 4);
            assert_holds(&hot, &m);

            /* Back in bypass, were it not refused: nothing, by either way */
            order(v, g_str_equal(path, "iommufd") ? "attach" : "map", ENOMEM,
                  1);
            assert_status(viommu_detach(v, 1, 0x101), OK);
            assert_state(v, 0x101, "blocked");
            assert_holds_nothing(&hot);
            model_free(&m);
            watch_unplug(v);
        } else {
            refused = watch_failed(plain, "", EIO) - before;
            g_assert_cmpuint(refused, >, 0);
        }
        g_assert_cmpuint(watch_host(plain, "context"), ==, 0);
        g_assert_cmpuint(watch_host(plain, "function"), ==, 0);
    } while (refused);
    g_assert_cmpuint(n, >, 10);
    g_free(port);
    watch_close(plain);
    watch_close(container);
    viommu_stop(v);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("iommufd/mixed", test_mixed);
    ADD("iommufd/container", test_container);
    ADD("iommufd/container-bar", test_container_bar);
    ADD("iommufd/two-objects", test_two_objects);
    ADD("iommufd/another-host-iommu", test_another_host_iommu);
    ADD("iommufd/narrow-host", test_narrow_host);
    ADD("iommufd/narrow-in-a-wide-domain", test_narrow_in_a_wide_domain);
    ADD("iommufd/mdev", test_mdev);
    ADD("iommufd/peer", test_peer);
    ADD("iommufd/peer-after-mdev", test_peer_after_mdev);
    ADD("iommufd/msi", test_msi);
    ADD("iommufd/unplug-leaves-nothing", test_unplug_leaves_nothing);
    ADD("iommufd/first-plug-refused", test_first_plug_refused);
    return g_test_run();
}
