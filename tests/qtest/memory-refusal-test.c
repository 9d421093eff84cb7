/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Guest memory that changes while hosts refuse
 *
 * The guest shadows a ROM (registers PAM0 to PAM6 of the host bridge), so
 * that memory goes and other memory comes at the same place.  What a host
 * refuses then blocks the endpoints concerned, and no others.
 */
#include "qemu/osdep.h"

#include "standard-headers/linux/pci_regs.h"
#include "iommufd-scene.h"

#define MANY 1000
#define PAM 0x90
#define SHADOW 0x33             /* RAM in both halves of a register */
#define PLAIN 0x00

/* The ROMs in their whole, and where the tests map them */
#define ROM 0xc0000ULL
#define ROM_SIZE 0x40000ULL

static void shadow(Viommu *v, uint8_t value)
{
    QPCIDevice *mch = qpci_device_find(v->bus, 0);

    qpci_config_writeb(mch, PAM + 1, value);
    g_free(mch);
    viommu_settle(v);
}

static void attach_bypass(Viommu *v, Watch *w)
{
    assert_status(viommu_attach_flags(v, 9, w->endpoint,
                                      VIRTIO_IOMMU_ATTACH_F_BYPASS), OK);
    assert_state(v, w->endpoint, "bypass");
}

static void assert_lost(Viommu *v, Watch *w)
{
    assert_state(v, w->endpoint, "blocked");
    assert_holds_nothing(w);
    g_assert_false(watch_dma(w, OBSERVER_FILL, PHYS, 1));
}

/* No request of the guest's tells it, so a fault does */
static void assert_told(Viommu *v, Watch *w)
{
    viommu_assert_fault(v, VIRTIO_IOMMU_FAULT_R_UNKNOWN,
                        VIRTIO_IOMMU_FAULT_F_READ |
                        VIRTIO_IOMMU_FAULT_F_WRITE, w->endpoint, 0);
}

/* The table of bypass is lost, kept or not: all that are on it are blocked */
static void test_bypass_table(void)
{
    static const char *const keep[] = { "keep-bypass=off", "keep-bypass=on" };

    for (unsigned i = 0; i < 2; i++) {
        Scene s = scene_new(keep[i], 2, "");
        uint64_t tables = watch_host(s.w[0], "ioas");

        viommu_event_post(s.v, sizeof(struct virtio_iommu_fault), 4);
        watch_fail(s.w[0], OBSERVER_FAIL_UNMAP, 1, 1, EIO);
        shadow(s.v, SHADOW);
        assert_lost(s.v, s.w[0]);
        assert_lost(s.v, s.w[1]);
        assert_told(s.v, s.w[0]);
        assert_told(s.v, s.w[1]);
        g_assert_cmpuint(watch_host(s.w[0], "ioas"), ==, tables - 1);
        g_assert_cmpuint(viommu_count(s.v, "host-refusals"), ==, 1);
        shadow(s.v, PLAIN);
        attach_bypass(s.v, s.w[0]);
        attach_bypass(s.v, s.w[1]);
        assert_holds_ram(s.w[0]);
        assert_holds_ram(s.w[1]);
        g_assert_cmpuint(watch_host(s.w[0], "ioas"), ==, tables);
        scene_end(&s);
    }
}

static void map_rom(Viommu *v, Watch *w, uint32_t domain)
{
    assert_status(viommu_attach(v, domain, w->endpoint), OK);
    assert_status(viommu_map(v, domain, HIGH, HIGH + ROM_SIZE - 1, ROM, READ),
                  OK);
}

/*
 * A host lets go of nothing, @times times.  The hosts of the others hear of
 * the change once: what is told twice is refused as there already.
 */
static void test_unmaps(void)
{
    g_autofree char *arg = watch_arg("container", 3);
    Viommu *v = viommu_start(NULL, arg);
    Watch *w = watch_open(v, 0), *other = watch_open(v, 1);
    Watch *paging = watch_open(v, 2);

    map_rom(v, paging, 0);      /* the walk over domains begins there */
    watch_clear(paging);
    for (unsigned times = 1; times <= 7; times++) {
        g_autofree char *held = NULL, *again = NULL, *events = NULL;

        map_rom(v, w, 1);
        viommu_event_post(v, sizeof(struct virtio_iommu_fault), 1);
        watch_fail(w, OBSERVER_FAIL_UNMAP, 1, times, EIO);
        shadow(v, SHADOW);
        watch_set(w, OBSERVER_FAIL_UNMAP, 0);
        assert_lost(v, w);
        assert_told(v, w);
        assert_state(v, other->endpoint, "bypass");
        held = watch_get(other, "mappings");
        g_assert_cmpstr(held, !=, other->ram);
        shadow(v, PLAIN);
        assert_holds_ram(other);
        assert_holds_nothing(w);
        assert_state(v, paging->endpoint, "translated");
        events = watch_get(paging, "events");
        g_assert_null(strstr(events, "= -"));

        assert_status(viommu_attach(v, 1, w->endpoint), OK);
        again = watch_get(w, "mappings");
        g_assert_nonnull(strstr(again, "100000000 "));
        assert_status(viommu_detach(v, 1, w->endpoint), OK);
        assert_holds_ram(w);
    }
    viommu_assert_alive(v);
    watch_close(w);
    watch_close(other);
    watch_close(paging);
    viommu_stop(v);
}

/* Stock VFIO would end QEMU, as it does without an IOMMU */
static void test_bypass_container(void)
{
    static const int errors[] = { ENOMEM, ENOSPC, EIO };
    g_autofree char *arg = watch_arg("container", 3);
    Viommu *v = viommu_start(NULL, arg);
    Watch *w = watch_open(v, 0), *other = watch_open(v, 1);
    Watch *paging = watch_open(v, 2);
    Model m = model_new();

    assert_status(viommu_attach(v, 1, paging->endpoint), OK);
    model_map_pages(&m, v, 1, HIGH, 4);
    /* RAM where the ROM was, and what is left of the ROM: two maps */
    for (unsigned n = 0; n < 6; n++) {
        uint64_t refusals = viommu_count(v, "host-refusals");
        g_autofree char *held = NULL, *guard = NULL;
        bool all = n & 2;       /* from there on, or that one alone */

        viommu_event_post(v, sizeof(struct virtio_iommu_fault), 1);
        watch_fail(w, OBSERVER_FAIL_MAP, 1 + n % 2, all ? MANY : 1,
                   errors[n / 2]);
        shadow(v, SHADOW);
        watch_set(w, OBSERVER_FAIL_MAP, 0);
        assert_lost(v, w);
        assert_told(v, w);
        g_assert_cmpuint(viommu_count(v, "host-refusals"), ==, refusals + 1);
        guard = watch_get(w, "guard");
        g_assert_cmpstr(guard, ==, "down");
        assert_state(v, other->endpoint, "bypass");
        held = watch_get(other, "mappings");
        g_assert_cmpstr(held, !=, other->ram);
        assert_holds(paging, &m);
        shadow(v, PLAIN);
        assert_holds_ram(other);
        assert_holds_nothing(w);

        if ((n ^ n >> 1) & 1) {
            assert_status(viommu_attach(v, 1, w->endpoint), OK);
            assert_holds(w, &m);
            assert_status(viommu_detach(v, 1, w->endpoint), OK);
        } else {
            attach_bypass(v, w);
            assert_holds_ram(w);
            assert_status(viommu_detach(v, 9, w->endpoint), OK);
        }
        assert_state(v, w->endpoint, "bypass");
        assert_holds_ram(w);
    }
    viommu_assert_alive(v);
    model_free(&m);
    watch_close(w);
    watch_close(other);
    watch_close(paging);
    viommu_stop(v);
}

/* Put BAR 2, whose memory is RAM, somewhere else */
static void put_bar(QPCIDevice *pdev, uint32_t address)
{
    qpci_config_writel(pdev, PCI_BASE_ADDRESS_2, address);
    qpci_config_writew(pdev, PCI_COMMAND, PCI_COMMAND_MEMORY);
}

/*
 * One access of the guest, two changes: a BAR leaves another one, which is
 * refused, and comes elsewhere.  VFIO's listener goes on to map what comes.
 */
static void test_stays_empty(void)
{
    g_autofree char *arg = watch_arg("container", 1);
    g_autofree char *all = g_strdup_printf(
        "%s -object memory-backend-ram,id=m0,size=1M,share=on "
        "-object memory-backend-ram,id=m1,size=1M,share=on "
        "-device ivshmem-plain,memdev=m0,addr=8.0 "
        "-device ivshmem-plain,memdev=m1,addr=9.0", arg);
    Viommu *v = viommu_start(NULL, all);
    Watch *w = watch_open(v, 0);
    QPCIDevice *below = qpci_device_find(v->bus, 8 << 3);
    QPCIDevice *above = qpci_device_find(v->bus, 9 << 3);
    g_autofree char *events = NULL;
    g_auto(GStrv) line = NULL;
    unsigned last = 0;

    put_bar(below, 0xd0000000);
    put_bar(above, 0xd0000000);
    watch_clear(w);
    watch_fail(w, OBSERVER_FAIL_MAP, 1, 1, ENOMEM);
    put_bar(above, 0xd8000000);
    viommu_settle(v);
    assert_lost(v, w);

    events = watch_get(w, "events");
    line = g_strsplit(events, "\n", 0);
    for (unsigned i = 0; line[i]; i++) {
        last = g_str_has_prefix(line[i], "map ") ? i : last;
    }
    g_assert_nonnull(strstr(events, "map d0000000 d00fffff m0+0 rw = -"));
    g_assert_cmpstr(line[last], ==, "map d8000000 d80fffff m1+0 rw = 0");
    g_assert_cmpstr(line[last + 1], ==, "unmap 0 7fffffffffffffff = 0");

    attach_bypass(v, w);
    g_free(below);
    g_free(above);
    watch_close(w);
    viommu_stop(v);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("memory-refusal/bypass-table", test_bypass_table);
    ADD("memory-refusal/unmaps", test_unmaps);
    ADD("memory-refusal/bypass-container", test_bypass_container);
    ADD("memory-refusal/stays-empty", test_stays_empty);
    return g_test_run();
}
