/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The machines that the tests run on, and what differs between them
 */
#include "qemu/osdep.h"

#include "hw/virtio/virtio.h"
#include "libqos/generic-pcihost.h"
#include "libqos/pci-pc.h"
#include "standard-headers/linux/virtio_mmio.h"
#include "standard-headers/linux/virtio_pci.h"
#include "viommu.h"

/* The board "virt" of Arm; its virtio-mmio slots are filled last one first */
#define VIRT_MACHINE "virt -cpu cortex-a57 " \
                     "-global virtio-mmio.force-legacy=off"
#define VIRT \
    .ram = 0x40000000, \
    .ram_block = "mach-virt.ram", \
    .holes = { "110000000 ", " 11fffffff ", " mach-virt.ram+0 rw\n" }, \
    .msi_first = 0x08020000, \
    .msi_last = 0x08020fff, \
    .ecam = 0x4010000000

static const Board boards[] = {
    {
        .name = "q35",
        .machine = "q35",
        .prefix = "/pviommu",
        .ram_block = "pc.ram",
        .holes = { "100000000 1000bffff pc.ram+0 rw\n",
                   " 1000fffff pc.bios+20000 r\n",
                   "\n100100000 10fffffff pc.ram+100000 rw\n" },
        .msi_first = 0xfee00000,
        .msi_last = 0xfeefffff,
    }, {
        .name = "virt",
        .machine = VIRT_MACHINE,
        .prefix = "/pviommu",
        VIRT,
    }, {
        .name = "virt-mmio",
        .machine = VIRT_MACHINE,
        .prefix = "/pviommu/mmio",
        VIRT,
        .slot = 0x0a003e00,
    }, {
        .name = "microvm",
        .machine = "microvm,pcie=on -global virtio-mmio.force-legacy=off",
        .prefix = "/pviommu/mmio",
        .ram_block = "microvm.ram",
        .holes = { "100000000 1000dffff microvm.ram+0 rw\n",
                   "\n1000e0000 1000fffff pc.bios+0 rw\n",
                   "\n100100000 10fffffff microvm.ram+100000 rw\n" },
        .msi_first = 0xfee00000,
        .msi_last = 0xfeefffff,
        .ecam = 0xe0000000,
        .bars = 0xc0000000,
        .slot = 0xfeb02e00,
    },
};

const Board *board(void)
{
    const char *name = g_getenv("PVIOMMU_BOARD");

    for (unsigned i = 0; name && i < ARRAY_SIZE(boards); i++) {
        if (!strcmp(name, boards[i].name)) {
            return &boards[i];
        }
    }
    g_assert_null(name);
    return &boards[0];
}

void board_add_test(const char *name, void (*func)(void))
{
    g_autofree char *path = g_strdup_printf("%s/%s", board()->prefix, name);

    qtest_add_func(path, func);
}

void board_add_pci_test(const char *name, void (*func)(void))
{
    if (!board()->slot) {
        board_add_test(name, func);
    }
}

char *board_device_arg(const char *properties)
{
    const char *driver = board()->slot ? "pviommu-device" : "pviommu-pci";

    if (properties && properties[0] == '"') {
        return g_strdup_printf("-device '{\"driver\": \"%s\", %s"
                               "\"id\": \"iommu\", %s}'", driver,
                               board()->slot ? "" : "\"addr\": \"10.0\", ",
                               properties);
    }
    return g_strdup_printf("-device %s,id=iommu%s%s%s", driver,
                           board()->slot ? "" : ",addr=10.0",
                           properties ? "," : "", properties ?: "");
}

void board_assert_queue_max(unsigned size)
{
    if (size != VIRTQUEUE_MAX_SIZE) {
        g_assert_cmpuint(size, ==, VIOMMU_QUEUE_SIZE);
    }
}

QPCIBus *board_pci_new(Viommu *v)
{
    QGenericPCIBus *generic;

    if (!board()->ecam) {
        return qpci_new_pc(v->qts, &v->alloc);
    }
    generic = g_new0(QGenericPCIBus, 1);
    qpci_init_generic(generic, v->qts, &v->alloc, true);
    generic->ecam_alloc_ptr = board()->ecam;
    if (board()->bars) {
        generic->bus.mmio_alloc_ptr = board()->bars;
        generic->bus.mmio_limit = board()->bars + 0x10000000;
    }
    return &generic->bus;
}

void board_pci_free(QPCIBus *bus)
{
    if (!board()->ecam) {
        qpci_free_pc(bus);
    } else {
        g_free(container_of(bus, QGenericPCIBus, bus));
    }
}

void board_find_device(Viommu *v)
{
    QPCIAddress address = { .devfn = v->bdf };

    if (board()->slot) {
        v->mmio = g_new0(QVirtioMMIODevice, 1);
        qvirtio_mmio_init_device(v->mmio, v->qts, board()->slot, 0x200);
        v->vdev = &v->mmio->vdev;
        g_assert_cmpuint(v->mmio->version, ==, 2);
        return;
    }
    v->dev = virtio_pci_new(v->bus, &address);
    g_assert_nonnull(v->dev);
    v->vdev = &v->dev->vdev;
    qvirtio_pci_device_enable(v->dev);
}

void board_forget_device(Viommu *v)
{
    if (v->dev) {
        g_free(v->dev->pdev);
    }
    g_clear_pointer(&v->dev, g_free);
    g_clear_pointer(&v->mmio, g_free);
    v->vdev = NULL;
}

#define COMMON(field) offsetof(struct virtio_pci_common_cfg, field)

static void common_write(Viommu *v, size_t offset, unsigned size,
                         uint64_t value)
{
    QVirtioPCIDevice *d = v->dev;

    offset += d->common_cfg_offset;
    if (size == 2) {
        qpci_io_writew(d->pdev, d->bar, offset, value);
    } else {
        qpci_io_writel(d->pdev, d->bar, offset, value);
    }
}

static void mmio_write(Viommu *v, unsigned reg, uint32_t value)
{
    qtest_writel(v->qts, v->mmio->addr + reg, value);
}

static void set_address(Viommu *v, size_t pci, unsigned mmio,
                        uint64_t address)
{
    if (v->mmio) {
        mmio_write(v, mmio, address);
        mmio_write(v, mmio + 4, address >> 32);
    } else {
        common_write(v, pci, 4, address);
        common_write(v, pci + 4, 4, address >> 32);
    }
}

void board_enable_queue(Viommu *v, const ViommuQueue *queue)
{
    if (v->mmio) {
        mmio_write(v, VIRTIO_MMIO_QUEUE_NUM, queue->size);
    } else {
        common_write(v, COMMON(queue_size), 2, queue->size);
    }
    set_address(v, COMMON(queue_desc_lo), VIRTIO_MMIO_QUEUE_DESC_LOW,
                queue->desc);
    set_address(v, COMMON(queue_avail_lo), VIRTIO_MMIO_QUEUE_AVAIL_LOW,
                queue->avail);
    set_address(v, COMMON(queue_used_lo), VIRTIO_MMIO_QUEUE_USED_LOW,
                queue->used);
    if (v->mmio) {
        mmio_write(v, VIRTIO_MMIO_QUEUE_READY, 1);
    } else {
        common_write(v, COMMON(queue_enable), 2, 1);
    }
}

void board_notify_queue(Viommu *v, const ViommuQueue *queue)
{
    QVirtioPCIDevice *d = v->dev;

    if (v->mmio) {
        mmio_write(v, VIRTIO_MMIO_QUEUE_NOTIFY, queue->index);
    } else {
        qpci_io_writew(d->pdev, d->bar, d->notify_cfg_offset +
                       queue->index * d->notify_off_multiplier,
                       queue->index);
    }
}

uint64_t board_register(const Viommu *v, BoardRegister reg)
{
    static const unsigned mmio[] = {
        [BOARD_FEATURES_SELECT] = VIRTIO_MMIO_DEVICE_FEATURES_SEL,
        [BOARD_STATUS] = VIRTIO_MMIO_STATUS,
        [BOARD_NOTIFY] = VIRTIO_MMIO_QUEUE_NOTIFY,
        [BOARD_CONFIG] = VIRTIO_MMIO_CONFIG,
    };
    const QVirtioPCIDevice *d = v->dev;

    if (v->mmio) {
        return v->mmio->addr + mmio[reg];
    }
    switch (reg) {
    case BOARD_FEATURES_SELECT:
        return d->bar.addr + d->common_cfg_offset;
    case BOARD_STATUS:
        return d->bar.addr + d->common_cfg_offset + COMMON(device_status);
    case BOARD_NOTIFY:
        return d->bar.addr + d->notify_cfg_offset;
    case BOARD_CONFIG:
        return d->bar.addr + d->device_cfg_offset;
    }
    g_assert_not_reached();
}
