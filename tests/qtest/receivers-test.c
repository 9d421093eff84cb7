/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Who watches an endpoint, and where the endpoint is
 *
 * vhost keeps translations of its own, so it must hear of each that ends;
 * and observers in other places than the root bus hold what they should.
 */
#include "qemu/osdep.h"

#include "standard-headers/linux/pci_regs.h"
#include "watch.h"

#define PAGE ((uint64_t)4096)

/* Everything was unmapped since the last watch_clear() */
static void assert_flushed(Watch *w)
{
    g_autofree char *events = watch_get(w, "events");

    g_assert_nonnull(strstr(events, "unmap 0 7fffffffffffffff\n"));
    g_assert_nonnull(strstr(events, "unmap 8000000000000000 "
                            "ffffffffffffffff\n"));
    g_assert_null(strstr(events, "\nmap "));
    watch_clear(w);
}

static void test_vhost(const void *how)
{
    g_autofree char *arg = watch_arg(how, 1);
    Viommu *v = viommu_start(NULL, arg);
    Watch *w = watch_open(v, 0);
    Model m = model_new();
    g_autofree char *events = NULL;

    /* From bypass: identities that vhost keeps must go */
    watch_clear(w);
    assert_status(viommu_attach(v, 1, w->endpoint), OK);
    assert_flushed(w);

    model_map(&m, v, 1, HIGH + PAGE, 3 * PAGE, 0x1000000, READ | WRITE);
    assert_quiet(w);
    model_unmap(&m, v, 1, HIGH + PAGE, 3 * PAGE);
    events = watch_get(w, "events");
    g_assert_cmpstr(events, ==, "unmap 100001000 100001fff\n"
                    "unmap 100002000 100003fff\n");
    watch_clear(w);

    /* To another domain, to none, and by a reset */
    assert_status(viommu_attach(v, 2, w->endpoint), OK);
    assert_flushed(w);
    assert_status(viommu_detach(v, 2, w->endpoint), OK);
    assert_flushed(w);
    assert_status(viommu_attach(v, 1, w->endpoint), OK);
    watch_clear(w);
    viommu_negotiate(v, ALL_FEATURES);
    assert_flushed(w);
    viommu_set_bypass(v, 0);
    assert_flushed(w);

    model_free(&m);
    watch_close(w);
    viommu_stop(v);
}

/* Many that go with one UNMAP are one call, or few */
static void test_unmap_many(const void *how)
{
    g_autofree char *arg = watch_arg(how, 1);
    Viommu *v = viommu_start(NULL, arg);
    Watch *w = watch_open(v, 0);
    g_autofree char *events = NULL;
    Model m = model_new();

    assert_status(viommu_attach(v, 1, w->endpoint), OK);
    model_map_pages(&m, v, 1, HIGH, 64);
    watch_clear(w);
    model_unmap(&m, v, 1, HIGH, 64 * PAGE);
    events = watch_get(w, "events");
    g_assert_cmpstr(events, ==, g_str_equal(how, "container")
                    ? "unmap 100000000 10003ffff = 0\n"
                    : "unmap 100000000 10003ffff\n");
    model_free(&m);
    watch_close(w);
    viommu_stop(v);
}

/*
 * What vhost is told of an address must hold it: QEMU cuts the block at the
 * end of the memory that holds its first byte
 */
static void test_vhost_blocks(const void *how)
{
    static const uint64_t asked[] = {
        0, 0x9f000, 0x100000, 0x101000, 0x1000000, 0x3fff000,
        0x7ffe000,
    };
    g_autofree char *arg = watch_arg(how, 1);
    Viommu *v = viommu_start(NULL, arg);
    Watch *w = watch_open(v, 0);
    g_autofree char *held = NULL;

    assert_status(viommu_attach(v, 1, w->endpoint), OK);
    /* All of guest memory with holes in it; again where IOVAs differ */
    assert_status(viommu_map(v, 1, 0, 0x7ffffff, 0, READ | WRITE), OK);
    assert_status(viommu_map(v, 1, HIGH + 0x100000, HIGH + 0x7ffffff, 0x80000,
                             READ | WRITE), OK);
    for (unsigned i = 0; i < G_N_ELEMENTS(asked); i++) {
        g_assert_true(watch_miss(w, asked[i], true));
        if (asked[i] >= 0x100000) {
            g_assert_true(watch_miss(w, HIGH + asked[i], false));
        }
    }
    /* Blocks are no smaller than they must be */
    held = watch_get(w, "mappings");
    g_assert_nonnull(strstr(held, "4000000 7ffffff pc.ram+4000000 rw\n"));
    g_assert_nonnull(strstr(held, "1000000 1ffffff pc.ram+1000000 rw\n"));
    /* Registers are no memory */
    assert_status(viommu_map(v, 1, 2 * HIGH, 2 * HIGH + PAGE - 1, 0xfee00000,
                             READ | WRITE), OK);
    g_assert_false(watch_miss(w, 2 * HIGH, true));
    watch_close(w);
    viommu_stop(v);
}

/* QEMU asks for what is needed, and then gives vhost both */
static void test_vhost_permissions(const void *how)
{
    g_autofree char *arg = watch_arg(how, 1);
    Viommu *v = viommu_start(NULL, arg);
    Watch *w = watch_open(v, 0);
    g_autofree char *held = NULL;

    assert_status(viommu_attach(v, 1, w->endpoint), OK);
    assert_status(viommu_map(v, 1, HIGH, HIGH + PAGE - 1, 0x1000000, READ),
                  OK);
    assert_status(viommu_map(v, 1, HIGH + PAGE, HIGH + 2 * PAGE - 1,
                             0x1001000, WRITE), OK);
    assert_status(viommu_map(v, 1, HIGH + 2 * PAGE, HIGH + 3 * PAGE - 1,
                             0x1002000, 0), OK);
    g_assert_false(watch_miss(w, HIGH, true));
    g_assert_false(watch_miss(w, HIGH + PAGE, false));
    g_assert_false(watch_miss(w, HIGH + 2 * PAGE, false));
    assert_holds_nothing(w);
    g_assert_true(watch_miss(w, HIGH, false));
    g_assert_true(watch_miss(w, HIGH + PAGE, true));
    held = watch_get(w, "mappings");
    g_assert_cmpstr(held, ==, "100000000 100000fff pc.ram+1000000 rw\n"
                    "100001000 100001fff pc.ram+1001000 rw\n");
    watch_close(w);
    viommu_stop(v);
}

static void number_bridge(Viommu *v, int bdf, int secondary, int last)
{
    QPCIDevice *bridge = qpci_device_find(v->bus, bdf);

    g_assert_nonnull(bridge);
    qpci_config_writeb(bridge, PCI_PRIMARY_BUS, bdf >> 8);
    qpci_config_writeb(bridge, PCI_SECONDARY_BUS, secondary);
    qpci_config_writeb(bridge, PCI_SUBORDINATE_BUS, last);
    g_free(bridge);
}

static char *observers(const char *devices)
{
    g_autofree char *library = watch_library();

    return g_strdup_printf("%s -object iommufd,id=host %s", library, devices);
}

/* An observer of which no register is used */
static Watch named(Viommu *v, const char *id, uint32_t endpoint)
{
    Watch w = { .v = v, .id = id, .endpoint = endpoint };

    w.ram = watch_get(&w, "mappings");
    return w;
}

#define OBSERVER "-device pviommu-observer,watch=%s,"

static void test_behind_ports(const void *how)
{
    g_autofree char *devices = g_strdup_printf(
        "-device pcie-root-port,id=rp,addr=3.0,chassis=1 "
        OBSERVER "id=x,bus=rp "
        "-device pxb-pcie,id=pxb,bus_nr=64,bus=pcie.0,addr=5.0 "
        "-device pcie-root-port,id=far,bus=pxb,addr=0.0,chassis=2 "
        OBSERVER "id=y,bus=far ", watch_how(how), watch_how(how));
    g_autofree char *arg = observers(devices);
    Viommu *v = viommu_start(NULL, arg);
    Model in_x = model_new(), in_y = model_new();
    Watch x, y;

    number_bridge(v, 3 << 3, 1, 1);
    number_bridge(v, 64 << 8, 65, 65);
    x = named(v, "x", 0x100);
    y = named(v, "y", 65 << 8);
    assert_status(viommu_attach(v, 1, x.endpoint), OK);
    assert_status(viommu_attach(v, 2, y.endpoint), OK);
    model_map_pages(&in_x, v, 1, HIGH, 4);
    model_map(&in_y, v, 2, HIGH, PAGE, 0x1800000, READ);
    assert_holds(&x, &in_x);
    assert_holds(&y, &in_y);
    assert_status(viommu_detach(v, 1, x.endpoint), OK);
    assert_holds_ram(&x);
    assert_holds(&y, &in_y);
    g_free(x.ram);
    g_free(y.ram);
    model_free(&in_x);
    model_free(&in_y);
    viommu_stop(v);
}

/* Both functions behind the bridge make their requests as 02:00.0 */
static void test_behind_bridge(const void *how)
{
    g_autofree char *devices = g_strdup_printf(
        "-device pcie-root-port,id=rp,addr=3.0,chassis=1 "
        "-device pcie-pci-bridge,id=br,bus=rp "
        OBSERVER "id=x,bus=br,addr=1.0 " OBSERVER "id=y,bus=br,addr=2.0 ",
        watch_how(how), watch_how(how));
    g_autofree char *arg = observers(devices);
    Viommu *v = viommu_start(NULL, arg);
    Model m = model_new();
    Watch x, y;

    number_bridge(v, 3 << 3, 1, 2);
    number_bridge(v, 1 << 8, 2, 2);
    x = named(v, "x", 0x208);
    y = named(v, "y", 0x210);
    /* As Linux does: each function's own number, and the alias */
    assert_status(viommu_attach(v, 1, 0x208), OK);
    assert_holds_ram(&x);
    assert_status(viommu_attach(v, 1, 0x200), OK);
    assert_status(viommu_attach(v, 1, 0x210), OK);
    model_map_pages(&m, v, 1, HIGH, 4);
    assert_holds(&x, &m);
    assert_holds(&y, &m);
    assert_status(viommu_attach_flags(v, 2, 0x208,
                                      VIRTIO_IOMMU_ATTACH_F_BYPASS), OK);
    assert_status(viommu_attach_flags(v, 2, 0x200,
                                      VIRTIO_IOMMU_ATTACH_F_BYPASS), OK);
    assert_status(viommu_attach_flags(v, 2, 0x210,
                                      VIRTIO_IOMMU_ATTACH_F_BYPASS), OK);
    assert_holds_ram(&x);
    assert_holds_ram(&y);
    g_free(x.ram);
    g_free(y.ram);
    model_free(&m);
    viommu_stop(v);
}

/* 32 functions, four devices of eight, each in a domain of its own */
static void test_many(const void *how)
{
    g_autoptr(GString) devices = g_string_new(NULL);
    g_autofree char *arg = NULL;
    Viommu *v;

    for (int i = 31; i >= 0; i--) {
        g_string_append_printf(devices, OBSERVER "id=m%d,addr=%x.%d%s ",
                               watch_how(how), i, 8 + i / 8, i % 8,
                               i % 8 ? "" : ",multifunction=on");
    }
    arg = observers(devices->str);
    v = viommu_start(NULL, arg);
    for (unsigned i = 0; i < 32; i++) {
        uint32_t endpoint = (8 + i / 8) << 3 | i % 8;

        assert_status(viommu_attach(v, i, endpoint), OK);
        assert_status(viommu_map(v, i, HIGH + i * PAGE,
                                 HIGH + (i + 1) * PAGE - 1,
                                 0x1000000 + i * PAGE, READ), OK);
    }
    for (unsigned i = 0; i < 32; i++) {
        g_autofree char *id = g_strdup_printf("m%u", i);
        g_autofree char *expected = g_strdup_printf(
            "%" PRIx64 " %" PRIx64 " pc.ram+%" PRIx64 " r\n",
            HIGH + i * PAGE, HIGH + (i + 1) * PAGE - 1,
            (uint64_t)0x1000000 + i * PAGE);
        Watch w = { .v = v, .id = id };
        g_autofree char *held = watch_get(&w, "mappings");

        g_assert_cmpstr(held, ==, expected);
    }
    viommu_stop(v);
}

/* MAP_F_MMIO over a BAR that the host can map, and over a doorbell */
static void test_mmio(const void *how)
{
    g_autofree char *base = watch_arg(how, 1);
    g_autofree char *arg = g_strconcat(base, " ", WATCH_BAR, NULL);
    Viommu *v = viommu_start(NULL, arg);
    Watch *w = watch_open(v, 0);
    QPCIDevice *pdev = watch_bar_open(v, 0xd0000000);
    g_autofree char *held = NULL;

    assert_status(viommu_attach(v, 1, w->endpoint), OK);
    assert_status(viommu_map(v, 1, HIGH, HIGH + 0xfffff, 0xd0000000,
                             READ | WRITE | MMIO), OK);
    held = watch_get(w, "mappings");
    g_assert_cmpstr(held, ==, "100000000 1000fffff bar+0 rw\n");
    g_assert_cmpuint(viommu_count(v, "mmio-left-out"), ==, 0);
    assert_status(viommu_unmap(v, 1, HIGH, HIGH + 0xfffff), OK);
    /* The local APIC is no memory */
    assert_status(viommu_map(v, 1, HIGH, HIGH + 0xfff, 0xfee00000,
                             WRITE | MMIO), OK);
    assert_holds_nothing(w);
    g_assert_cmpuint(viommu_count(v, "mmio-left-out"), ==, 1);
    g_free(pdev);
    watch_close(w);
    viommu_stop(v);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_data_func("/pviommu/receivers/vhost", "vhost", test_vhost);
    qtest_add_data_func("/pviommu/receivers/vhost-ats", "vhost-ats",
                        test_vhost);
    qtest_add_data_func("/pviommu/receivers/unmap-many/container",
                        "container", test_unmap_many);
    qtest_add_data_func("/pviommu/receivers/unmap-many/listener", "listener",
                        test_unmap_many);
    qtest_add_data_func("/pviommu/receivers/unmap-many/vhost", "vhost",
                        test_unmap_many);
    qtest_add_data_func("/pviommu/receivers/vhost-blocks", "vhost",
                        test_vhost_blocks);
    qtest_add_data_func("/pviommu/receivers/vhost-permissions", "vhost",
                        test_vhost_permissions);
    watch_add("receivers", "behind-ports", test_behind_ports);
    watch_add("receivers", "behind-bridge", test_behind_bridge);
    watch_add("receivers", "many", test_many);
    watch_add("receivers", "mmio", test_mmio);
    return g_test_run();
}
