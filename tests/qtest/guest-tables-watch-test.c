/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Page tables that the guest owns, and who keeps what they say: vhost, which
 * is told what ends
 */
#include "qemu/osdep.h"

#include "libqos/virtio.h"
#include "edu.h"
#include "guest-table.h"
#include "process.h"
#include "standard-headers/linux/pci_regs.h"
#include "vhost-user.h"
#include "watch.h"

#define PAGE ((uint64_t)4096)
#define IOVA 0x8080604000ULL

static void assert_events(Watch *w, const char *events)
{
    g_autofree char *seen = watch_get(w, "events");

    g_assert_cmpstr(seen, ==, events);
    watch_clear(w);
}

static void assert_held(Watch *w, const char *mappings)
{
    g_autofree char *held = watch_get(w, "mappings");

    g_assert_cmpstr(held, ==, mappings);
}

/* vhost asks for what it lacks, and is told of what ends */
static void test_vhost(const void *how)
{
    g_autofree char *arg = watch_arg(how, 1);
    Viommu *v = viommu_start(TABLES_ON, arg);
    Watch *w = watch_open(v, 0);
    GuestTable t = guest_table_new(v, X86_64, 48, TABLES_AT);

    guest_table_map(&t, IOVA, 0x1000000, 1, READ | WRITE);
    guest_table_map(&t, IOVA + 2 * PAGE, 0x1001000, 1, READ);
    assert_status(guest_table_attach(&t, 1, w->endpoint), OK);
    watch_clear(w);
    g_assert_true(watch_miss(w, IOVA, true));
    assert_held(w, "8080604000 8080604fff pc.ram+1000000 rw\n");
    g_assert_false(watch_miss(w, IOVA + 2 * PAGE, true));
    /* an entry that was absent was not kept: a store is enough */
    g_assert_false(watch_miss(w, IOVA + PAGE, false));
    guest_table_map(&t, IOVA + PAGE, 0x1005000, 1, READ | WRITE);
    g_assert_true(watch_miss(w, IOVA + PAGE, false));

    guest_table_map(&t, IOVA, 0x1008000, 1, READ | WRITE);
    watch_clear(w);
    assert_status(viommu_invalidate(v, 1, IOVA, IOVA + PAGE - 1), OK);
    assert_events(w, "unmap 8080604000 8080604fff\n");
    assert_held(w, "8080605000 8080605fff pc.ram+1005000 rw\n");
    g_assert_true(watch_miss(w, IOVA, true));
    assert_held(w, "8080604000 8080604fff pc.ram+1008000 rw\n"
                "8080605000 8080605fff pc.ram+1005000 rw\n");
    watch_clear(w);
    assert_status(viommu_invalidate(v, 1, 0, UINT64_MAX), OK);
    assert_events(w, "unmap 0 7fffffffffffffff\n"
                  "unmap 8000000000000000 ffffffffffffffff\n");
    assert_holds_nothing(w);

    /* to another table, and out of it */
    g_assert_true(watch_miss(w, IOVA, true));
    assert_status(viommu_attach_table(v, 2, w->endpoint, ARM_LPAE, 48,
                                      TABLES_AT + 0x20000), OK);
    assert_holds_nothing(w);
    assert_status(guest_table_attach(&t, 3, w->endpoint), OK);
    g_assert_true(watch_miss(w, IOVA, true));
    assert_status(viommu_detach(v, 3, w->endpoint), OK);
    assert_holds_nothing(w);
    watch_close(w);
    viommu_stop(v);
}

/* A block is no more than the entry, nor than the RAM under it */
static void test_vhost_blocks(const void *how)
{
    g_autofree char *arg = watch_arg(how, 1);
    Viommu *v = viommu_start(TABLES_ON, arg);
    Watch *w = watch_open(v, 0);
    GuestTable t = guest_table_new(v, X86_64, 48, TABLES_AT);
    g_autofree char *held = NULL;

    guest_table_map(&t, IOVA & -0x200000, 0, 2, READ | WRITE);
    guest_table_map(&t, (IOVA & -0x200000) + 0x200000, 0x1000000, 2,
                    READ | WRITE);
    guest_table_map(&t, 0x10000000000, 0, 3, READ | WRITE);
    assert_status(guest_table_attach(&t, 1, w->endpoint), OK);
    g_assert_true(watch_miss(w, IOVA & -0x200000, true));
    g_assert_true(watch_miss(w, (IOVA & -0x200000) + 0x300000, true));
    g_assert_true(watch_miss(w, 0x10000000000 + 0x8000000, true));
    held = watch_get(w, "mappings");
    g_assert_cmpstr(held, ==,
                    "8080600000 808067ffff pc.ram+0 rw\n"
                    "8080800000 80809fffff pc.ram+1000000 rw\n"
                    "10008000000 1000fffffff pc.ram+8000000 rw\n");
    watch_close(w);
    viommu_stop(v);
}

/* Start the device at 00:04.0; its queue, whose rings are below 1 GiB */
static QVirtQueue *start_device(Viommu *v, QVirtioPCIDevice **dev)
{
    QPCIAddress address = { .devfn = EP_A };
    QVirtioDevice *d;
    QVirtQueue *vq;

    *dev = virtio_pci_new(v->bus, &address);
    g_assert_nonnull(*dev);
    d = &(*dev)->vdev;
    qvirtio_pci_device_enable(*dev);
    qvirtio_start_device(d);
    qvirtio_set_features(d, qvirtio_get_features(d) &
                         (FEATURE(VIRTIO_F_VERSION_1) |
                          FEATURE(VIRTIO_F_ACCESS_PLATFORM)));
    vq = qvirtqueue_setup(d, &v->alloc, 0);
    qvirtio_set_driver_ok(d);
    return vq;
}

/* Another process is given what the table says of its rings, until it ends */
static void test_vhost_user(const void *by_attach)
{
    VhostUser *u = vhost_user_new();
    g_autofree char *arg = vhost_user_arg(u);
    g_autofree char *args = g_strdup_printf(
        "%s-device vhost-user-rng-pci,chardev=vhost,iommu_platform=on,"
        "addr=4.0", arg);
    Viommu *v = viommu_start(TABLES_ON, args);
    GuestTable t = guest_table_new(v, X86_64, 48, TABLES_AT);
    GuestTable other = guest_table_new(v, ARM_LPAE, 48, TABLES_AT + 0x10000);
    QVirtioPCIDevice *dev;
    QVirtQueue *vq;

    guest_table_map(&t, 0, 0, 3, READ | WRITE);
    assert_status(guest_table_attach(&t, 1, EP_A), OK);
    vq = start_device(v, &dev);
    g_assert_true(vhost_user_reaches(u, vq->used));
    if (by_attach) {
        assert_status(guest_table_attach(&other, 2, EP_A), OK);
    } else {
        qtest_writeq(v->qts, guest_table_entry(&t, 0, 3), 0);
        assert_status(viommu_invalidate(v, 1, 0, 0x3fffffff), OK);
    }
    g_assert_false(vhost_user_reaches(u, vq->used));
    viommu_assert_alive(v);
    qvirtqueue_cleanup(dev->vdev.bus, vq, &v->alloc);
    qvirtio_pci_device_disable(dev);
    g_free(dev->pdev);
    g_free(dev);
    viommu_stop(v);
    vhost_user_free(u);
}

/* Memory that leaves is kept by nobody */
static void test_memory_leaves(const void *how)
{
    g_autofree char *base = watch_arg(how, 1);
    g_autofree char *arg = g_strconcat(base, " ", WATCH_BAR, NULL);
    Viommu *v = viommu_start(TABLES_ON, arg);
    Watch *w = watch_open(v, 0);
    QPCIDevice *pdev = watch_bar_open(v, 0xd0000000);
    GuestTable t = guest_table_new(v, X86_64, 48, TABLES_AT);

    guest_table_map(&t, IOVA, 0xd0000000, 1, READ | WRITE);
    assert_status(guest_table_attach(&t, 1, w->endpoint), OK);
    g_assert_true(watch_miss(w, IOVA, true));
    assert_held(w, "8080604000 8080604fff bar+0 rw\n");
    qpci_config_writew(pdev, PCI_COMMAND, 0);
    assert_holds_nothing(w);
    g_assert_false(watch_miss(w, IOVA, true));
    /* and a table in it ends with it */
    assert_status(viommu_attach_table(v, 2, w->endpoint, X86_64, 48,
                                      0xd0000000), OK);
    qpci_config_writew(pdev, PCI_COMMAND, PCI_COMMAND_MEMORY);
    qtest_writeq(v->qts, 0xd0000000, 0xd0000000 | 0x67);
    g_assert_true(watch_miss(w, 0, true));
    qpci_config_writew(pdev, PCI_COMMAND, 0);
    assert_holds_nothing(w);
    g_assert_false(watch_miss(w, 0, true));
    g_free(pdev);
    watch_close(w);
    viommu_stop(v);
}

/* What is attached is a name alone, which says nothing of the host */
static void test_join_name(void)
{
    Viommu *v = watch_start_aliased(TABLES_ON);
    GuestTable t = guest_table_new(v, X86_64, 48, TABLES_AT);
    QDict *answer;

    assert_status(guest_table_attach(&t, 1, 0x208), OK);
    answer = watch_join_alias(v, true);
    g_assert_true(qdict_haskey(answer, "return"));
    qobject_unref(answer);
    assert_status(viommu_invalidate(v, 1, 0, UINT64_MAX), OK);
    /* it may have mappings, or a table as the others */
    assert_status(viommu_attach(v, 2, 0x200), OK);
    assert_status(viommu_attach(v, 2, 0x208), OK);
    assert_status(viommu_attach(v, 2, 0x218), OK);
    viommu_stop(v);
}

static void test_unplug(void)
{
    g_autofree char *base = watch_arg("vhost", 1);
    g_autofree char *arg = g_strdup_printf(WATCH_PORT "%s", base);
    Viommu *v = viommu_start(TABLES_ON, arg);
    GuestTable t = guest_table_new(v, X86_64, 48, TABLES_AT);

    viommu_set_bridge(v, WATCH_PORT_BDF, 0, 1, 1);
    for (unsigned i = 0; i < 3; i++) {
        g_assert_true(watch_plug(v, "vhost"));
        assert_status(guest_table_attach(&t, 1, 0x101), OK);
        assert_state(v, 0x101, "translated");
        if (i == 1) {
            assert_status(guest_table_attach(&t, 1, 0x20), OK);
        }
        watch_unplug(v);
        assert_state(v, 0x101, "none");
        if (i == 0) {
            assert_status(viommu_invalidate(v, 1, 0, 0xfff), NOENT);
        } else {
            assert_status(viommu_invalidate(v, 1, 0, 0xfff), OK);
        }
        assert_status(guest_table_attach(&t, 1, 0x101), NOENT);
    }
    viommu_stop(v);
}

/* What would be a table in RAM is none in ROM */
static void test_rom(void)
{
    g_autofree char *name = g_strdup_printf("%s/pviommu-rom-%d",
                                            g_get_tmp_dir(), getpid());
    g_autofree char *arg = g_strdup_printf("-bios %s " EDU_A, name);
    g_autofree uint64_t *words = g_new(uint64_t, 0x2000);
    const uint64_t rom = 0xffff0000;
    GError *err = NULL;
    Viommu *v;
    Edu *edu;

    for (unsigned i = 0; i < 0x2000; i++) {
        words[i] = cpu_to_le64(rom | 0x67);     /* points to itself */
    }
    g_file_set_contents(name, (char *)words, 0x10000, &err);
    g_assert_no_error(err);
    v = viommu_start(TABLES_ON, arg);
    unlink(name);
    edu = edu_open_filled(v, EP_A);
    g_assert_cmphex(qtest_readq(v->qts, rom), ==, rom | 0x67);
    assert_status(viommu_attach_table(v, 1, EP_A, X86_64, 48, rom), OK);
    edu_load(edu, IOVA, 8);
    g_assert_cmpuint(viommu_faults(v), ==, 1);
    qtest_memwrite(v->qts, TABLES_AT, words, 4096);
    assert_status(viommu_attach_table(v, 2, EP_A, X86_64, 48, TABLES_AT), OK);
    edu_load(edu, IOVA, 8);
    g_assert_cmpuint(viommu_faults(v), ==, 2);  /* it leads to the ROM */
    for (unsigned i = 0; i < 512; i++) {
        qtest_writeq(v->qts, TABLES_AT + i * 8, TABLES_AT | 0x67);
    }
    edu_load(edu, IOVA, 8);
    g_assert_cmpuint(viommu_faults(v), ==, 2);
    edu_close(edu);
    viommu_stop(v);
}

/* Nor is one in memory of a passed-through device */
static void test_peer(void)
{
    g_autofree char *library = watch_library();
    g_autofree char *arg = g_strdup_printf(
        "%s -device pviommu-observer,peer=on,id=o1,addr=5.0 " EDU_A, library);
    Viommu *v = viommu_start(TABLES_ON, arg);
    QPCIDevice *pdev = qpci_device_find(v->bus, 5 << 3);
    Edu *edu = edu_open_filled(v, EP_A);
    const uint64_t bar = 0xd0000000;

    qpci_config_writel(pdev, PCI_BASE_ADDRESS_2, bar);
    qpci_config_writew(pdev, PCI_COMMAND, PCI_COMMAND_MEMORY);
    for (unsigned i = 0; i < 512; i++) {
        qtest_writeq(v->qts, bar + i * 8, bar | 0x67);  /* to itself */
    }
    g_assert_cmphex(qtest_readq(v->qts, bar), ==, bar | 0x67);
    assert_status(viommu_attach_table(v, 1, EP_A, X86_64, 48, bar), OK);
    edu_load(edu, IOVA, 8);
    g_assert_cmpuint(viommu_faults(v), ==, 1);
    g_free(pdev);
    edu_close(edu);
    viommu_stop(v);
}

/* 2^20 of them, with all of the space to be cut for each receiver */
static void test_many(void)
{
    g_autofree char *arg = watch_arg("vhost", 1);
    Viommu *v = viommu_start(TABLES_ON, arg);
    ReqInvalidate req = {
        .type = T_INVALIDATE, .domain = cpu_to_le32(1),
        .first = cpu_to_le64(PAGE), .last = cpu_to_le64(UINT64_MAX - PAGE),
    };
    GuestTable t = guest_table_new(v, X86_64, 48, TABLES_AT);
    Watch *w = watch_open(v, 0);
    unsigned kicks = process_is_sanitized() ? 64 : 4096;
    size_t before = 0;

    assert_status(guest_table_attach(&t, 1, w->endpoint), OK);
    for (unsigned i = 0; i < VIOMMU_QUEUE_SIZE; i++) {
        viommu_post(v, &v->requests, &(ViommuBuffers) {
            .out = &req, .out_size = sizeof(req), .in_size = 4,
            .indirect = true,
        });
    }
    for (unsigned i = 0; i < kicks; i++) {
        if (i > 0) {
            viommu_post_heads(v, &v->requests, VIOMMU_QUEUE_SIZE, 1);
        }
        viommu_kick_always(v, &v->requests);
        viommu_wait_all(v, &v->requests, 4);
        if (i % 64 == 0) {
            watch_clear(w);     /* the observer notes each event */
        }
        if (i == 64) {
            before = process_resident(v);
        }
    }
    watch_clear(w);
    g_assert_cmpuint(viommu_count_of(v, "requests", "INVALIDATE"), ==,
                     kicks * VIOMMU_QUEUE_SIZE);
    if (!process_is_sanitized()) {
        g_assert_cmpuint(process_resident(v), <, before +
                         16 * 1024 * 1024 / qemu_real_host_page_size());
    }
    viommu_assert_alive(v);
    watch_close(w);
    viommu_stop(v);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_data_func("/pviommu/guest-tables/vhost", "vhost", test_vhost);
    qtest_add_data_func("/pviommu/guest-tables/vhost-ats", "vhost-ats",
                        test_vhost);
    qtest_add_data_func("/pviommu/guest-tables/vhost-blocks", "vhost",
                        test_vhost_blocks);
    qtest_add_data_func("/pviommu/guest-tables/vhost-user/invalidate", NULL,
                        test_vhost_user);
    qtest_add_data_func("/pviommu/guest-tables/vhost-user/attach", "attach",
                        test_vhost_user);
    qtest_add_data_func("/pviommu/guest-tables/memory-leaves", "vhost",
                        test_memory_leaves);
    qtest_add_func("/pviommu/guest-tables/join-name", test_join_name);
    qtest_add_func("/pviommu/guest-tables/unplug", test_unplug);
    qtest_add_func("/pviommu/guest-tables/rom", test_rom);
    qtest_add_func("/pviommu/guest-tables/peer", test_peer);
    qtest_add_func("/pviommu/guest-tables/many-invalidates", test_many);
    return g_test_run();
}
