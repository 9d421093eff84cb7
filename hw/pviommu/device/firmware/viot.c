/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu: the ACPI table VIOT, by which a PC's guest finds the IOMMUs
 *
 * QEMU writes one for its own device only (build_viot() in hw/acpi/viot.c),
 * so this one is added as a user's table.  It holds bus numbers, which behind
 * root ports are the firmware's to give.  So it is written anew whenever the
 * board builds its tables: the last time is when the firmware, which has
 * numbered buses then, reads them (acpi_build_update() in
 * hw/i386/acpi-build.c).
 */
#include "qemu/osdep.h"

#include "hw/acpi/acpi.h"
#include "hw/core/boards.h"
#include "hw/pci/pci_device.h"
#include "qapi/error.h"
#include "qemu/bswap.h"
#include "qemu/config-file.h"
#include "qemu/error-report.h"
#include "qemu/memfd.h"
#include "qemu/option.h"
#include "firmware/firmware.h"
#include "topology/topology.h"

#define OEM_ID "PVIOMM"

enum {
    HEADER_SIZE = 36,
    NODES_OFFSET = 48,
    NODE_PCI_RANGE = 1,
    NODE_PCI_RANGE_SIZE = 24,
    NODE_MMIO = 2,
    NODE_MMIO_SIZE = 24,
    NODE_VIRTIO_PCI = 3,
    NODE_VIRTIO_PCI_SIZE = 16,
    NODE_VIRTIO_MMIO = 4,
    NODE_VIRTIO_MMIO_SIZE = 16,
};

static uint8_t *grow(GByteArray *table, unsigned size)
{
    unsigned at = table->len;

    g_byte_array_set_size(table, at + size);
    memset(table->data + at, 0, size);
    return table->data + at;
}

static uint8_t *add_node(GByteArray *table, unsigned type, unsigned size)
{
    uint8_t *node = grow(table, size);

    node[0] = type;
    stw_le_p(node + 2, size);
    stw_le_p(table->data + HEADER_SIZE,
             lduw_le_p(table->data + HEADER_SIZE) + 1);
    return node;
}

/* Requests of the range go to the IOMMU's node at offset @iommu */
static void add_range(GByteArray *table, const PviommuIdRange *range,
                      unsigned iommu)
{
    uint8_t *node = add_node(table, NODE_PCI_RANGE, NODE_PCI_RANGE_SIZE);

    stl_le_p(node + 4, range->first);
    stw_le_p(node + 12, range->first);
    stw_le_p(node + 14, range->last);
    stw_le_p(node + 16, iommu);
}

/* The same for a virtio-mmio device */
static void add_slot(GByteArray *table, const PviommuBusEndpoint *e,
                     unsigned iommu)
{
    uint8_t *node = add_node(table, NODE_MMIO, NODE_MMIO_SIZE);

    stl_le_p(node + 4, e->id);
    stq_le_p(node + 8, pviommu_slot_address(pviommu_slot_of(e->dev)));
    stw_le_p(node + 16, iommu);
}

/* An IOMMU, and what is behind it */
static void add_iommu(GByteArray *table, const PviommuDevice *s)
{
    g_autoptr(GArray) ranges = pviommu_ranges_new(s);
    unsigned at = table->len;
    uint8_t *node;

    if (s->slot) {
        node = add_node(table, NODE_VIRTIO_MMIO, NODE_VIRTIO_MMIO_SIZE);
        stq_le_p(node + 8, pviommu_slot_address(s->slot));
    } else {
        node = add_node(table, NODE_VIRTIO_PCI, NODE_VIRTIO_PCI_SIZE);
        stw_le_p(node + 6, pci_get_bdf(s->function));
    }
    for (unsigned i = 0; i < ranges->len; i++) {
        add_range(table, &g_array_index(ranges, PviommuIdRange, i), at);
    }
    for (unsigned i = 0; i < s->endpoints->len; i++) {
        const PviommuBusEndpoint *e = g_ptr_array_index(s->endpoints, i);

        if (!e->pdev) {
            add_slot(table, e, at);
        }
    }
}

GByteArray *pviommu_viot_build(void)
{
    GByteArray *table = g_byte_array_new();
    PviommuDevice *s = NULL;
    uint8_t *header, sum = 0;

    header = grow(table, NODES_OFFSET);
    memcpy(header, "VIOT", 4);
    memcpy(header + 10, OEM_ID, 6);
    memcpy(header + 16, "PVIOMMU ", 8);
    stl_le_p(header + 24, 1);
    memcpy(header + 28, "PVIO", 4);
    stl_le_p(header + 32, 1);
    stw_le_p(header + HEADER_SIZE + 2, NODES_OFFSET);
    while ((s = pviommu_next(s))) {
        add_iommu(table, s);
    }

    stl_le_p(table->data + 4, table->len);
    for (unsigned i = 0; i < table->len; i++) {
        sum += table->data[i];
    }
    table->data[9] = -sum;
    return table;
}

void pviommu_viot_refresh(void)
{
    static bool told_no_room;

    for (uint8_t *old = acpi_table_first(); old; old = acpi_table_next(old)) {
        GByteArray *table;

        if (memcmp(old, "VIOT", 4) || memcmp(old + 10, OEM_ID, 6)) {
            continue;
        }
        table = pviommu_viot_build();
        if (table->len <= acpi_table_len(old)) {
            memset(old, 0, acpi_table_len(old));
            memcpy(old, table->data, table->len);
        } else if (!told_no_room) {
            /* The guest has this built at each reset: once is enough */
            told_no_room = true;
            warn_report("pviommu: the ACPI table VIOT has no room for all "
                        "that was plugged: the guest is told of the devices "
                        "behind the IOMMU as they were before. Start QEMU "
                        "with those devices to have it told of all");
        }
        g_byte_array_free(table, TRUE);
    }
}

static bool machine_shows_tables(void)
{
    g_autofree char *acpi = NULL;

    /* microvm is an x86 machine too, but shows no tables of users */
    if (!object_dynamic_cast(OBJECT(current_machine), "generic-pc-machine")) {
        return false;
    }
    acpi = object_property_get_str(OBJECT(current_machine), "acpi", NULL);
    return !acpi || strcmp(acpi, "off");
}

bool pviommu_viot_publish(PviommuDevice *s)
{
    g_autofree char *path = NULL;
    GByteArray *table;
    QemuOpts *opts;
    Error *err = NULL;
    int fd;

    if (!machine_shows_tables()) {
        return false;
    }
    /* Notifiers run last in, first out: the first IOMMU is ready last */
    if (s != pviommu_next(NULL)) {
        return true;
    }
    fd = qemu_memfd_create("pviommu-viot", 0, false, 0, 0, &err);
    if (fd < 0) {
        error_report_err(err);
        exit(1);
    }
    table = pviommu_viot_build();
    grow(table, pviommu_ranges_to_come() * NODE_PCI_RANGE_SIZE);
    stl_le_p(table->data + 4, table->len);
    path = g_strdup_printf("/proc/self/fd/%d", fd);
    if (qemu_write_full(fd, table->data, table->len) != table->len) {
        error_report("pviommu: cannot write the ACPI table VIOT: %s",
                     strerror(errno));
        exit(1);
    }
    opts = qemu_opts_create(qemu_find_opts("acpi"), NULL, 0, &error_abort);
    qemu_opt_set(opts, "file", path, &error_abort);
    acpi_table_add(opts, &error_fatal);
    qemu_opts_del(opts);
    g_byte_array_free(table, TRUE);
    close(fd);
    return true;
}
