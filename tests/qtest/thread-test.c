/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An endpoint that works in a thread of its own
 *
 * A disk in an IOThread translates there, without the big lock, while the
 * main thread runs requests.
 */
#include "qemu/osdep.h"

#include "libqos/virtio.h"
#include "standard-headers/linux/virtio_blk.h"
#include "guest-table.h"
#include "watch.h"

#define DISK (4 << 3)
#define PAGE ((uint64_t)4096)
#define RAM_LAST (256 * 1024 * 1024 - 1)
/* A page that the disk's domain leaves out */
#define HOLE ((uint64_t)0x2000000)
#define DATA ((uint64_t)0x3000000)
/* Where the disk sees that page as well */
#define ELSEWHERE ((uint64_t)1 << 33)

typedef struct Disk {
    Viommu *v;
    QVirtioPCIDevice *dev;
    QVirtQueue *vq;
} Disk;

static void map_all_but_hole(Viommu *v)
{
    assert_status(viommu_map(v, 1, 0, HOLE - 1, 0, READ | WRITE), OK);
    assert_status(viommu_map(v, 1, HOLE + PAGE, RAM_LAST, HOLE + PAGE,
                             READ | WRITE), OK);
}

static void disk_start(Disk *d)
{
    QPCIAddress address = { .devfn = DISK };
    uint64_t features;

    d->dev = virtio_pci_new(d->v->bus, &address);
    g_assert_nonnull(d->dev);
    qvirtio_pci_device_enable(d->dev);
    qvirtio_start_device(&d->dev->vdev);
    features = qvirtio_get_features(&d->dev->vdev);
    features &= FEATURE(VIRTIO_F_VERSION_1) |
                FEATURE(VIRTIO_F_ACCESS_PLATFORM);
    qvirtio_set_features(&d->dev->vdev, features);
    d->vq = qvirtqueue_setup(&d->dev->vdev, &d->v->alloc, 0);
    qvirtio_set_driver_ok(&d->dev->vdev);
}

#define DISK_ARGS \
    "-object iothread,id=io -drive if=none,id=d,driver=null-co," \
    "read-zeroes=on,size=1M -device virtio-blk-pci,drive=d,iothread=io," \
    "iommu_platform=on,disable-legacy=on,addr=4.0"

/* With an IOThread of the disk's alone, or of both */
#define SHARED "iothread=io"

static Disk disk_new(const char *properties)
{
    Disk d = { .v = viommu_start(properties, DISK_ARGS) };

    assert_status(viommu_attach(d.v, 1, DISK), OK);
    map_all_but_hole(d.v);
    assert_status(viommu_map(d.v, 1, ELSEWHERE, ELSEWHERE + PAGE - 1, DATA,
                             READ | WRITE), OK);
    disk_start(&d);
    return d;
}

static void disk_free(Disk *d)
{
    qvirtqueue_cleanup(d->dev->vdev.bus, d->vq, &d->v->alloc);
    qvirtio_pci_device_disable(d->dev);
    g_free(d->dev->pdev);
    g_free(d->dev);
    viommu_stop(d->v);
}

/* Have a sector read to @data; returns the head of the request */
static uint32_t read_sector(Disk *d, uint64_t data)
{
    QTestState *qts = d->v->qts;
    struct virtio_blk_outhdr head = { .type = VIRTIO_BLK_T_IN };
    uint64_t at = guest_alloc(&d->v->alloc, PAGE);
    uint32_t first;

    qtest_memwrite(qts, at, &head, sizeof(head));
    qtest_writeb(qts, at + sizeof(head), 0xff);
    first = qvirtqueue_add(qts, d->vq, at, sizeof(head), false, true);
    qvirtqueue_add(qts, d->vq, data, 512, true, true);
    qvirtqueue_add(qts, d->vq, at + sizeof(head), 1, true, false);
    qvirtqueue_kick(qts, &d->dev->vdev, d->vq, first);
    return first;
}

static void wait_sector(Disk *d, uint32_t first)
{
    qvirtio_wait_used_elem(d->v->qts, &d->dev->vdev, d->vq, first, NULL,
                           30 * G_TIME_SPAN_SECOND);
}

/* Reads go on while mappings beside them come and go */
static void translates(const void *properties)
{
    Disk d = disk_new(properties);

    for (unsigned i = 0; i < 20; i++) {
        uint64_t iova = ((uint64_t)1 << 32) + i * PAGE;
        uint32_t first;

        qtest_writeq(d.v->qts, DATA, UINT64_MAX);
        first = read_sector(&d, ELSEWHERE);
        assert_status(viommu_map(d.v, 1, iova, iova + PAGE - 1, DATA, READ),
                      OK);
        assert_status(viommu_unmap(d.v, 1, iova, iova + PAGE - 1), OK);
        wait_sector(&d, first);
        g_assert_cmphex(qtest_readq(d.v->qts, DATA), ==, 0);
    }
    g_assert_cmpuint(viommu_count(d.v, "faults-reported"), ==, 0);
    g_assert_cmpuint(viommu_count(d.v, "faults-dropped"), ==, 0);
    disk_free(&d);
}

/* What faults there is reported by the main thread */
static void faults(const void *properties)
{
    Disk d = disk_new(properties);
    uint32_t first;

    viommu_event_post(d.v, sizeof(struct virtio_iommu_fault), 4);
    qtest_writeq(d.v->qts, HOLE, UINT64_MAX);
    first = read_sector(&d, HOLE);
    viommu_assert_fault(d.v, VIRTIO_IOMMU_FAULT_R_MAPPING,
                        VIRTIO_IOMMU_FAULT_F_WRITE, DISK, HOLE);
    g_assert_cmphex(qtest_readq(d.v->qts, HOLE), ==, UINT64_MAX);
    viommu_assert_alive(d.v);
    /*
     * Where there is no memory, the other thread writes with the big lock
     * (address_space_unmap()), and QEMU must not wait for it with that held,
     * as it does at its end (virtio_blk_stop_ioeventfd()).
     */
    wait_sector(&d, first);
    disk_free(&d);
}

/* All of guest memory, and the data where it is elsewhere */
static GuestTable new_table(Viommu *v, uint64_t at)
{
    GuestTable t = guest_table_new(v, X86_64, 48, at);

    guest_table_map(&t, 0, 0, 3, READ | WRITE);
    guest_table_map(&t, ELSEWHERE, DATA, 1, READ | WRITE);
    return t;
}

/* Reads go on while one table takes another's place and entries change */
static void tables(const void *properties)
{
    Disk d = { .v = viommu_start(properties, DISK_ARGS) };
    GuestTable table[2] = {
        new_table(d.v, 0x4000000), new_table(d.v, 0x4100000),
    };

    assert_status(guest_table_attach(&table[0], 10, DISK), OK);
    disk_start(&d);
    for (unsigned i = 0; i < 40; i++) {
        uint32_t first;

        qtest_writeq(d.v->qts, DATA, UINT64_MAX);
        first = read_sector(&d, ELSEWHERE);
        assert_status(guest_table_attach(&table[!(i % 2)], 11 + i, DISK), OK);
        guest_table_map(&table[i % 2], ELSEWHERE + PAGE, i % 4 ? DATA : HOLE,
                        1, READ);
        assert_status(viommu_invalidate(d.v, 11 + i, ELSEWHERE + PAGE,
                                        ELSEWHERE + 2 * PAGE - 1), OK);
        wait_sector(&d, first);
        g_assert_cmphex(qtest_readq(d.v->qts, DATA), ==, 0);
    }
    g_assert_cmpuint(viommu_faults(d.v), ==, 0);
    /* by its own thread, too, an absent entry is a fault */
    qtest_writeq(d.v->qts, guest_table_entry(&table[0], ELSEWHERE, 1), 0);
    qtest_writeq(d.v->qts, guest_table_entry(&table[1], ELSEWHERE, 1), 0);
    viommu_event_post(d.v, sizeof(struct virtio_iommu_fault), 4);
    wait_sector(&d, read_sector(&d, ELSEWHERE));
    viommu_assert_fault(d.v, VIRTIO_IOMMU_FAULT_R_MAPPING,
                        VIRTIO_IOMMU_FAULT_F_WRITE, DISK, ELSEWHERE);
    disk_free(&d);
}

typedef uint8_t End(Viommu *v, GuestTable *t);

static uint8_t end_by_invalidate(Viommu *v, GuestTable *t)
{
    qtest_writeq(v->qts, guest_table_entry(t, ELSEWHERE, 2), 0);
    return viommu_invalidate(v, 1, ELSEWHERE, ELSEWHERE + 0x1fffff);
}

static uint8_t end_by_detach(Viommu *v, GuestTable *t)
{
    return viommu_detach(v, 1, DISK);
}

static uint8_t end_by_attach(Viommu *v, GuestTable *t)
{
    GuestTable other = new_table(v, 0x4100000);

    return guest_table_attach(&other, 2, DISK);
}

static uint8_t end_by_reset(Viommu *v, GuestTable *t)
{
    viommu_set_status(v, 0);
    return VIRTIO_IOMMU_S_OK;
}

/*
 * When a table has ended its memory is the driver's again: a walk that was on
 * its way through it does not read what the driver puts there
 */
static void ends_walks(const void *end)
{
    g_autofree char *library = watch_library();
    g_autofree char *arg = g_strdup_printf("%s %s -device pviommu-observer,"
                                           "id=o1,addr=5.0", DISK_ARGS,
                                           library);
    Disk d = { .v = viommu_start(TABLES_ON, arg) };
    Watch *w = watch_open(d.v, 1);
    GuestTable t = new_table(d.v, 0x4000000);
    uint64_t entry = guest_table_entry(&t, ELSEWHERE, 1);
    uint32_t first;

    assert_status(guest_table_attach(&t, 1, DISK), OK);
    disk_start(&d);
    qtest_writeq(d.v->qts, HOLE, UINT64_MAX);
    qpci_io_writeq(w->pdev, w->bar, OBSERVER_ADDRESS, entry);
    watch_set(w, OBSERVER_COMMAND, OBSERVER_HOLD);
    first = read_sector(&d, ELSEWHERE);
    while (!qpci_io_readl(w->pdev, w->bar, OBSERVER_HELD)) {
        g_thread_yield();
    }
    assert_status(((End *)end)(d.v, &t), OK);
    qtest_writeq(d.v->qts, entry, HOLE | 0x67);
    watch_set(w, OBSERVER_COMMAND, OBSERVER_LET_GO);
    wait_sector(&d, first);
    g_assert_cmphex(qtest_readq(d.v->qts, HOLE), ==, UINT64_MAX);
    watch_close(w);
    disk_free(&d);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_data_func("/pviommu/thread/translates", NULL, translates);
    qtest_add_data_func("/pviommu/thread/faults", NULL, faults);
    qtest_add_data_func("/pviommu/thread/tables", TABLES_ON, tables);
    qtest_add_data_func("/pviommu/thread/shared/translates", SHARED,
                        translates);
    qtest_add_data_func("/pviommu/thread/shared/faults", SHARED, faults);
    qtest_add_data_func("/pviommu/thread/shared/tables",
                        TABLES_ON "," SHARED, tables);
    qtest_add_data_func("/pviommu/thread/ends-walks/invalidate",
                        end_by_invalidate, ends_walks);
    qtest_add_data_func("/pviommu/thread/ends-walks/detach", end_by_detach,
                        ends_walks);
    qtest_add_data_func("/pviommu/thread/ends-walks/attach", end_by_attach,
                        ends_walks);
    qtest_add_data_func("/pviommu/thread/ends-walks/reset", end_by_reset,
                        ends_walks);
    return g_test_run();
}
