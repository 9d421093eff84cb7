/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Mappings that a host cannot take as they are: parts of pages, both halves
 * of the address space, memory of devices
 */
#include "qemu/osdep.h"

#include "standard-headers/linux/pci_regs.h"
#include "dimm.h"
#include "watch.h"

#define PAGE 4096ULL
#define PHYS 0x1000000ULL
#define HALF (1ULL << 63)
#define DIMM_END (DIMM_PHYS + DIMM_SIZE)
#define PEER 0xd0000000ULL

typedef struct Scene {
    Viommu *v;
    Watch *w;
} Scene;

/*
 * o0 in domain 1.  Single bytes can be mapped, as far as the host does not
 * say that it cannot.
 */
static Scene scene_new(const char *how, const char *extra)
{
    Scene s;
    g_autofree char *arg = watch_arg(how, 1);
    g_autofree char *all = g_strdup_printf("%s %s", arg, extra);

    s.v = viommu_start(watch_is_iommufd(how) ? "aw-bits=64"
                                             : "granule=1,aw-bits=64", all);
    s.w = watch_open(s.v, 0);
    assert_status(viommu_attach(s.v, 1, s.w->endpoint), OK);
    return s;
}

static void scene_end(Scene *s)
{
    assert_status(viommu_unmap(s->v, 1, 0, UINT64_MAX), OK);
    assert_holds_nothing(s->w);
    viommu_assert_alive(s->v);
    watch_close(s->w);
    viommu_stop(s->v);
}

static void map_ok(Scene *s, uint64_t first, uint64_t size, uint64_t phys,
                   uint32_t flags)
{
    assert_status(viommu_map(s->v, 1, first, first + (size - 1), phys, flags),
                  OK);
}

static void assert_text(Scene *s, const char *expected)
{
    g_autofree char *held = watch_get(s->w, "mappings");

    g_assert_cmpstr(held, ==, expected);
}

/* The host has whole pages; the device itself reaches every byte mapped */
static void test_parts_of_pages(void)
{
    Scene s = scene_new("container", "");

    map_ok(&s, HIGH + 0x800, 0x2800, PHYS + 0x800, READ | WRITE);
    assert_text(&s, "100001000 100002fff pc.ram+1001000 rw\n");
    g_assert_true(watch_dma(s.w, OBSERVER_READ, HIGH + 0x800, 0x2800));
    g_assert_false(watch_dma(s.w, OBSERVER_READ, HIGH + 0x7ff, 1));
    map_ok(&s, HIGH + 0x10010, 16, PHYS + 0x10010, READ | WRITE);
    assert_text(&s, "100001000 100002fff pc.ram+1001000 rw\n");
    g_assert_true(watch_dma(s.w, OBSERVER_READ, HIGH + 0x10010, 16));
    g_assert_false(watch_dma(s.w, OBSERVER_READ, HIGH + 0x10020, 1));
    scene_end(&s);
}

/* An IOVA and an address that differ within the page: none for the host */
static void test_out_of_step(void)
{
    Scene s = scene_new("container", "");

    map_ok(&s, HIGH, 2 * PAGE, PHYS + 0x10, READ | WRITE);
    assert_holds_nothing(s.w);
    qtest_writeb(s.v->qts, PHYS + 0x10, 0x5a);
    g_assert_true(watch_dma(s.w, OBSERVER_READ, HIGH, 1));
    g_assert_cmphex(qpci_io_readb(s.w->pdev, s.w->bar, OBSERVER_BUFFER), ==,
                    0x5a);
    scene_end(&s);
}

static void test_across_the_middle(const void *how)
{
    Scene s = scene_new(how, "");

    map_ok(&s, HALF - 2 * PAGE, 3 * PAGE, PHYS, READ | WRITE);
    assert_text(&s, "7fffffffffffe000 7fffffffffffffff pc.ram+1000000 rw\n"
                "8000000000000000 8000000000000fff pc.ram+1002000 rw\n");
    g_assert_true(watch_dma(s.w, OBSERVER_READ, HALF - PAGE, 2 * PAGE));
    assert_status(viommu_unmap(s.v, 1, HALF - 2 * PAGE, HALF + PAGE - 1), OK);
    assert_holds_nothing(s.w);
    map_ok(&s, -2 * PAGE, 2 * PAGE, PHYS, READ | WRITE);
    assert_text(&s, "ffffffffffffe000 ffffffffffffffff pc.ram+1000000 rw\n");
    scene_end(&s);
}

/* An event of a notifier is an aligned power of two */
static void test_powers_of_two(void)
{
    Scene s = scene_new("listener", "");

    map_ok(&s, HIGH + PAGE, 4 * PAGE, PHYS + PAGE, READ);
    assert_text(&s, "100001000 100001fff pc.ram+1001000 r\n"
                "100002000 100003fff pc.ram+1002000 r\n"
                "100004000 100004fff pc.ram+1004000 r\n");
    assert_status(viommu_unmap(s.v, 1, HIGH, HIGH + 8 * PAGE), OK);
    assert_holds_nothing(s.w);
    scene_end(&s);
}

/* A switch takes away what is in either half */
static void test_switch_both_halves(const void *how)
{
    Scene s = scene_new(how, "");

    map_ok(&s, HIGH, PAGE, PHYS, READ | WRITE);
    map_ok(&s, -PAGE, PAGE, PHYS, READ | WRITE);
    assert_text(&s, "100000000 100000fff pc.ram+1000000 rw\n"
                "fffffffffffff000 ffffffffffffffff pc.ram+1000000 rw\n");
    assert_status(viommu_attach(s.v, 2, s.w->endpoint), OK);
    assert_holds_nothing(s.w);
    assert_status(viommu_attach(s.v, 1, s.w->endpoint), OK);
    assert_holds_nothing(s.w);
    scene_end(&s);
}

/* The same of memory that comes under the mappings and goes again */
static void test_parts_that_come(void)
{
    Scene s = scene_new("container", "-m 256M,slots=2,maxmem=1G");

    map_ok(&s, HIGH + 0x800, 0x100, DIMM_PHYS + 0x800, READ);
    map_ok(&s, HIGH + 0x10800, PAGE, DIMM_PHYS + 0x800, READ);
    map_ok(&s, HIGH + 0x20000, 2 * PAGE, DIMM_PHYS + 0x10, READ);
    map_ok(&s, HIGH + 0x30000, 3 * PAGE, DIMM_END - PAGE, READ);
    map_ok(&s, -2 * PAGE, 2 * PAGE, DIMM_PHYS + 8 * PAGE, READ);
    map_ok(&s, HIGH + 0x40000, PAGE, DIMM_END, READ);
    assert_holds_nothing(s.w);
    dimm_plug(s.v->qts, "m");
    assert_text(&s, "100030000 100030fff m+7fff000 r\n"
                "ffffffffffffe000 ffffffffffffffff m+8000 r\n");
    dimm_unplug(s.v->qts);
    assert_holds_nothing(s.w);
    scene_end(&s);
}

/* RAM, then ROM; the first piece does not go when the second is refused */
static void test_undo_refused(const void *how)
{
    Scene s = scene_new(how, "");

    watch_fail(s.w, OBSERVER_FAIL_MAP, 2, 1, ENOMEM);
    watch_fail(s.w, OBSERVER_FAIL_UNMAP, 1, 1, ENOMEM);
    assert_status(viommu_map(s.v, 1, HIGH, HIGH + 0xfffff, 0, READ | WRITE),
                  DEVERR);
    assert_holds_nothing(s.w);
    assert_state(s.v, s.w->endpoint, "blocked");
    assert_status(viommu_attach(s.v, 1, s.w->endpoint), OK);
    assert_holds_nothing(s.w);
    map_ok(&s, HIGH, PAGE, PHYS, READ);
    assert_text(&s, "100000000 100000fff pc.ram+1000000 r\n");
    scene_end(&s);
}

/* Whichever of its pieces is refused, the host holds none of the MAP */
static void test_nth_refused(const void *how)
{
    Scene s = scene_new(how, "");
    uint8_t status = VIRTIO_IOMMU_S_NOMEM;
    unsigned n = 0;

    while (status != VIRTIO_IOMMU_S_OK) {
        watch_fail(s.w, OBSERVER_FAIL_MAP, ++n, 1, ENOMEM);
        status = viommu_map(s.v, 1, HIGH, HIGH + 0xfffff, 0, READ | WRITE);
        watch_set(s.w, OBSERVER_FAIL_MAP, 0);
        if (status != VIRTIO_IOMMU_S_OK) {
            assert_status(status, NOMEM);
            assert_holds_nothing(s.w);
        }
    }
    g_assert_cmpuint(n, >, 3);
    scene_end(&s);
}

/* Another device's memory: where RAM was asked for, a courtesy */
static void test_peer(void)
{
    Scene s = scene_new("container", "-device pviommu-observer,peer=on,"
                        "addr=8.0");
    QPCIDevice *pdev = qpci_device_find(s.v->bus, 8 << 3);

    qpci_config_writel(pdev, PCI_BASE_ADDRESS_2, PEER);
    qpci_config_writew(pdev, PCI_COMMAND, PCI_COMMAND_MEMORY);
    map_ok(&s, HIGH, PAGE, PEER, READ | WRITE | MMIO);
    assert_text(&s, "100000000 100000fff peer+0 rw\n");
    watch_fail(s.w, OBSERVER_FAIL_MAP, 1, 1, EINVAL);
    assert_status(viommu_map(s.v, 1, HIGH + PAGE, HIGH + 2 * PAGE - 1, PEER,
                             READ | WRITE | MMIO), DEVERR);
    watch_fail(s.w, OBSERVER_FAIL_MAP, 1, 1, EINVAL);
    map_ok(&s, HIGH + PAGE, PAGE, PEER, READ | WRITE);
    assert_text(&s, "100000000 100000fff peer+0 rw\n");
    scene_end(&s);
    g_free(pdev);
}

/* What no access may use is not mapped, read-only memory only to be read */
static void test_permissions(const void *how)
{
    Scene s = scene_new(how, "");

    map_ok(&s, HIGH, PAGE, 0xfffff000, READ | WRITE);
    assert_text(&s, "100000000 100000fff pc.bios+3f000 r\n");
    map_ok(&s, HIGH + PAGE, PAGE, 0xfffff000, WRITE);
    map_ok(&s, HIGH + 2 * PAGE, PAGE, PHYS, 0);
    assert_text(&s, "100000000 100000fff pc.bios+3f000 r\n");
    scene_end(&s);
}

/* Who keeps what a read found must not write by it later */
static void test_permissions_kept(void)
{
    Scene s = scene_new("none", "");
    static const uint32_t flags[] = { READ, READ | WRITE };

    for (unsigned i = 0; i < 2; i++) {
        map_ok(&s, HIGH + i * PAGE, PAGE, PHYS, flags[i]);
        qpci_io_writeq(s.w->pdev, s.w->bar, OBSERVER_ADDRESS,
                       HIGH + i * PAGE);
        watch_set(s.w, OBSERVER_COMMAND, OBSERVER_LOOKUP);
        g_assert_cmphex(qpci_io_readl(s.w->pdev, s.w->bar, OBSERVER_RESULT),
                        ==, flags[i]);
    }
    scene_end(&s);
}

static void assert_path(Viommu *v, uint32_t endpoint, const char *wanted)
{
    QDict *answer = viommu_get(v, "endpoints");
    bool found = false;
    QListEntry *entry;

    QLIST_FOREACH_ENTRY(qdict_get_qlist(answer, "return"), entry) {
        QDict *dict = qobject_to(QDict, qlist_entry_obj(entry));

        if (qdict_get_int(dict, "id") == endpoint) {
            g_assert_cmpstr(qdict_get_str(dict, "host-path"), ==, wanted);
            found = true;
        }
    }
    g_assert_true(found);
    qobject_unref(answer);
}

static void test_host_path(const void *how)
{
    Scene s = scene_new(how, "");

    assert_path(s.v, s.w->endpoint,
                g_str_equal(how, "listener") ? "notifier" : how);
    scene_end(&s);
}

/* No verdict comes back from a container that is told by events */
static void test_path_events(void)
{
    g_autofree char *arg = watch_arg("container", 1);
    Viommu *v = viommu_start("host-path=notifier", arg);
    Watch *w = watch_open(v, 0);

    assert_path(v, w->endpoint, "notifier");
    assert_status(viommu_attach(v, 1, w->endpoint), OK);
    assert_path(v, w->endpoint, "notifier");
    watch_close(w);
    viommu_stop(v);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("pieces/parts-of-pages", test_parts_of_pages);
    ADD("pieces/out-of-step", test_out_of_step);
    watch_add("pieces", "across-the-middle", test_across_the_middle);
    qtest_add_data_func("pviommu/pieces/across-the-middle-notifier",
                        "listener", test_across_the_middle);
    watch_add("pieces", "switch-both-halves", test_switch_both_halves);
    qtest_add_data_func("pviommu/pieces/switch-both-halves-notifier",
                        "listener", test_switch_both_halves);
    ADD("pieces/powers-of-two", test_powers_of_two);
    ADD("pieces/parts-that-come", test_parts_that_come);
    watch_add("pieces", "undo-refused", test_undo_refused);
    watch_add("pieces", "nth-refused", test_nth_refused);
    ADD("pieces/peer", test_peer);
    watch_add("pieces", "permissions", test_permissions);
    qtest_add_data_func("pviommu/pieces/permissions-notifier", "listener",
                        test_permissions);
    ADD("pieces/permissions-kept", test_permissions_kept);
    qtest_add_data_func("pviommu/pieces/path-container", "container",
                        test_host_path);
    qtest_add_data_func("pviommu/pieces/path-iommufd", "iommufd",
                        test_host_path);
    qtest_add_data_func("pviommu/pieces/path-notifier", "listener",
                        test_host_path);
    qtest_add_data_func("pviommu/pieces/path-none", "none", test_host_path);
    ADD("pieces/path-events", test_path_events);
    return g_test_run();
}
