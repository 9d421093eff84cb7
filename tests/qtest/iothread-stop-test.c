/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The request queue in an IOThread comes and goes at moments that the guest
 * chooses
 */
#include "qemu/osdep.h"

#include "edu.h"
#include "iommufd-scene.h"
#include "iothread.h"
#include "standard-headers/linux/pci_regs.h"
#include "standard-headers/linux/virtio_pci.h"

static void set_master(Viommu *v, bool on)
{
    qpci_config_writew(v->dev->pdev, PCI_COMMAND, PCI_COMMAND_MEMORY |
                       (on ? PCI_COMMAND_MASTER : 0));
}

/* A function that may not reach memory does nothing with its queue */
static void no_bus_master(void)
{
    Viommu *v = viommu_start(IN_IO, POLLS EDU_A);
    uint32_t length;

    for (unsigned i = 0; i < 20; i++) {
        viommu_negotiate(v, ALL_FEATURES);
        set_master(v, false);
        viommu_set_status(v, 0xf);
        iothread_post_map(v, 1, 0, PHYS);
        viommu_kick_always(v, &v->requests);
        viommu_settle(v);
        g_assert_false(viommu_used(v, &v->requests, &length));
        set_master(v, true);
        viommu_kick_always(v, &v->requests);
        g_assert_cmpuint(viommu_wait(v, &v->requests), ==, 4);
        viommu_assert_alive(v);
    }
    viommu_stop(v);
}

/*
 * A queue that is not there when the device starts, and is a moment later: the
 * main loop, which was to look at it, leaves it to the thread
 */
static void queue_comes_late(void)
{
    const uint8_t registers[12] = { 0xf, 0, 0, 0, 0, 1, 0xff, 0xff, 1 };
    Viommu *v = viommu_boot(IN_IO, POLLS EDU_A);
    QVirtioPCIDevice *d = v->dev;

    for (unsigned i = 1; i <= 20; i++) {
        g_assert_true(viommu_begin(v, ALL_FEATURES));
        viommu_queues(v);
        v->vdev->bus->queue_select(v->vdev, 0);
        qpci_io_writew(d->pdev, d->bar, d->common_cfg_offset +
                       offsetof(struct virtio_pci_modern_common_cfg,
                                queue_reset), 1);
        for (unsigned j = 0; j < 100; j++) {
            iothread_post_unmap(v, 1, 0);
        }
        qpci_memwrite(d->pdev, d->bar, d->common_cfg_offset +
                      offsetof(struct virtio_pci_common_cfg, device_status),
                      registers, sizeof(registers));
        viommu_wait_all(v, &v->requests, 4);
        viommu_settle(v);
        g_assert_cmpuint(viommu_count_of(v, "requests", "UNMAP"), ==,
                         i * 100);
    }
    viommu_stop(v);
}

#define ECAM 0xb0000000
#define OWN_COMMAND (ECAM + (VIOMMU_OWN_BDF << 12) + PCI_COMMAND)

/* Configuration space at an address, too, as firmware has it */
static Viommu *start_with_ecam(const char *properties, const char *more)
{
    g_autofree char *args = g_strdup_printf(POLLS EDU_A "%s", more);
    Viommu *v = viommu_start(properties, args);

    qtest_outl(v->qts, 0xcf8, 0x80000060);      /* PCIEXBAR */
    qtest_outl(v->qts, 0xcfc, ECAM | 1);
    g_assert_cmphex(qtest_readw(v->qts, OWN_COMMAND) & PCI_COMMAND_MASTER,
                    ==, PCI_COMMAND_MASTER);
    return v;
}

/* Whoever gives the last buffer of a queue has it written there */
static void aim_at_command(Viommu *v, ViommuQueue *queue)
{
    qtest_writeq(v->qts, queue->desc + (queue->next - 1) % 256 * 16,
                 OWN_COMMAND);
}

static void assert_no_master(Viommu *v)
{
    viommu_settle(v);
    g_assert_cmphex(qtest_readw(v->qts, OWN_COMMAND) & PCI_COMMAND_MASTER,
                    ==, 0);
    set_master(v, true);
    viommu_negotiate(v, ALL_FEATURES);
    viommu_assert_alive(v);
}

/* An answer that forbids the function that gives it to reach memory */
static void answer_ends_bus_master(void)
{
    Viommu *v = start_with_ecam(IN_IO, "");
    const gint64 end = g_get_monotonic_time() + VIOMMU_TIMEOUT_US;

    for (unsigned i = 0; i < 5; i++) {
        assert_status(viommu_attach(v, 1, EP_A), OK);
        /* The thread sees it when all is in its place */
        iothread_prepare_unmap(v, OWN_COMMAND);
        viommu_post_heads(v, &v->requests, 1, 2);
        viommu_kick(v, &v->requests);
        while (qtest_readw(v->qts, OWN_COMMAND) & PCI_COMMAND_MASTER) {
            g_assert_cmpint(g_get_monotonic_time(), <, end);
        }
        /* It goes on behind that request, of whose buffer QEMU says no more */
        set_master(v, true);
        viommu_set_status(v, 0xf);
        viommu_settle(v);
        g_assert_cmpuint(viommu_count_of(v, "requests", "UNMAP"), ==,
                         3 * i + 2);
        assert_status(viommu_unmap(v, 1, 0, PAGE - 1), OK);
        g_assert_cmpuint(viommu_count_of(v, "requests", "UNMAP"), ==,
                         3 * i + 3);
        viommu_negotiate(v, ALL_FEATURES);
    }
    viommu_stop(v);
}

/* The same by the report of a fault, while the thread has requests */
static void report_ends_bus_master(void)
{
    Viommu *v = start_with_ecam(IN_IO ",boot-bypass=off", "");
    Edu *edu = edu_open(v, EP_A);

    for (unsigned i = 0; i < 5; i++) {
        viommu_event_post(v, 24, 1);
        aim_at_command(v, &v->events);
        for (unsigned j = 0; j < 100; j++) {
            iothread_post_map(v, 1, 0, PHYS);
        }
        viommu_kick(v, &v->requests);
        edu_load(edu, 0x1000 * i, 4);
        assert_no_master(v);
    }
    edu_close(edu);
    viommu_stop(v);
}

#define VGA_TEXT 0xb8000

static void vga_write(Viommu *v, uint16_t port, uint8_t index, uint8_t value)
{
    qtest_outb(v->qts, port, index);
    qtest_outb(v->qts, port + 1, value);
}

/* Its memory at VGA_TEXT, beside what is registers, or nowhere */
static void vga_show(Viommu *v, bool chained)
{
    vga_write(v, 0x3ce, 6, 0xc);        /* graphics: memory map */
    vga_write(v, 0x3c4, 2, 0xf);        /* sequencer: all planes */
    vga_write(v, 0x3c4, 4, chained ? 0x8 : 0);
}

/*
 * A change of memory cuts a ring in two: QEMU tells the guest by an interrupt,
 * within the change, and the guest has had that stop the queue
 */
static void interrupt_ends_bus_master(void)
{
    Viommu *v = start_with_ecam(IN_IO, "-device VGA,addr=5.0 ");
    QPCIDevice *pdev = v->dev->pdev;
    QPCIBar table;
    uint64_t at;

    for (unsigned i = 0; i < 5; i++) {
        ViommuQueue queue;

        qpci_msix_enable(pdev);
        table = pdev->msix_table_bar;
        at = pdev->msix_table_off;
        g_assert_true(viommu_begin(v, ALL_FEATURES));
        viommu_queues(v);
        queue = v->events;
        queue.used = VGA_TEXT - 1024;
        v->vdev->bus->queue_select(v->vdev, 1);
        board_enable_queue(v, &queue);
        qpci_io_writel(pdev, table, at + PCI_MSIX_ENTRY_LOWER_ADDR,
                       OWN_COMMAND);
        qpci_io_writel(pdev, table, at + PCI_MSIX_ENTRY_UPPER_ADDR, 0);
        qpci_io_writel(pdev, table, at + PCI_MSIX_ENTRY_DATA, 0);
        qpci_io_writel(pdev, table, at + PCI_MSIX_ENTRY_VECTOR_CTRL, 0);
        qpci_io_writew(pdev, v->dev->bar, v->dev->common_cfg_offset +
                       offsetof(struct virtio_pci_common_cfg, msix_config), 0);
        viommu_set_status(v, 0xf);
        for (unsigned j = 0; j < 100; j++) {
            iothread_post_unmap(v, 1, 0);
        }
        viommu_kick_always(v, &v->requests);
        vga_show(v, true);
        viommu_settle(v);
        g_assert_cmphex(qtest_readw(v->qts, OWN_COMMAND) &
                        PCI_COMMAND_MASTER, ==, 0);
        vga_show(v, false);
        set_master(v, true);
        qpci_msix_disable(pdev);
        viommu_negotiate(v, ALL_FEATURES);
        viommu_assert_alive(v);
    }
    viommu_stop(v);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("/pviommu/iothread/no-bus-master", no_bus_master);
    qtest_add_func("/pviommu/iothread/queue-comes-late", queue_comes_late);
    qtest_add_func("/pviommu/iothread/answer-ends-bus-master",
                   answer_ends_bus_master);
    qtest_add_func("/pviommu/iothread/report-ends-bus-master",
                   report_ends_bus_master);
    qtest_add_func("/pviommu/iothread/interrupt-ends-bus-master",
                   interrupt_ends_bus_master);
    return g_test_run();
}
