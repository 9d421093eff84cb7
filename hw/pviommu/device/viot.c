/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu: the ACPI table VIOT, by which an x86 guest finds the IOMMU
 *
 * QEMU writes one for its own device only (build_viot() in hw/acpi/viot.c),
 * so this one is added as a user's table.  Bus numbers behind root ports are
 * the firmware's to give, so each root bus is covered up to the next one.
 */
#include "qemu/osdep.h"

#include "hw/acpi/acpi.h"
#include "hw/boards.h"
#include "hw/pci/pci_bus.h"
#include "hw/pci/pci_device.h"
#include "qapi/error.h"
#include "qemu/bswap.h"
#include "qemu/config-file.h"
#include "qemu/error-report.h"
#include "qemu/memfd.h"
#include "qemu/option.h"
#include "internal.h"

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

typedef struct Root {
    unsigned number;
    bool bypass;
} Root;

static uint8_t *grow(GByteArray *table, unsigned size)
{
    unsigned at = table->len;

    g_byte_array_set_size(table, at + size);
    memset(table->data + at, 0, size);
    return table->data + at;
}

/* A node for requests with @first to @last, whose number is the same */
static void add_range(GByteArray *table, int first, int last)
{
    uint8_t *node;

    if (first > last) {
        return;
    }
    node = grow(table, NODE_PCI_RANGE_SIZE);
    node[0] = NODE_PCI_RANGE;
    stw_le_p(node + 2, NODE_PCI_RANGE_SIZE);
    stl_le_p(node + 4, first);
    stw_le_p(node + 12, first);
    stw_le_p(node + 14, last);
    stw_le_p(node + 16, NODES_OFFSET);
    stw_le_p(table->data + HEADER_SIZE,
             lduw_le_p(table->data + HEADER_SIZE) + 1);
}

/* The IOMMU itself */
static void add_iommu(GByteArray *table, const PviommuDevice *s)
{
    uint8_t *node;

    if (s->slot) {
        node = grow(table, NODE_VIRTIO_MMIO_SIZE);
        node[0] = NODE_VIRTIO_MMIO;
        stw_le_p(node + 2, NODE_VIRTIO_MMIO_SIZE);
        stq_le_p(node + 8, pviommu_slot_address(s->slot));
    } else {
        node = grow(table, NODE_VIRTIO_PCI_SIZE);
        node[0] = NODE_VIRTIO_PCI;
        stw_le_p(node + 2, NODE_VIRTIO_PCI_SIZE);
        stw_le_p(node + 6, pci_get_bdf(s->own));
    }
}

/* A node for each virtio-mmio device behind it */
static void add_slots(GByteArray *table, const PviommuDevice *s)
{
    for (unsigned i = 0; i < s->endpoints->len; i++) {
        const PviommuPciEndpoint *e = g_ptr_array_index(s->endpoints, i);
        uint8_t *node;

        if (e->pdev) {
            continue;
        }
        node = grow(table, NODE_MMIO_SIZE);
        node[0] = NODE_MMIO;
        stw_le_p(node + 2, NODE_MMIO_SIZE);
        stl_le_p(node + 4, e->id);
        stq_le_p(node + 8, pviommu_slot_address(pviommu_slot_of(e->dev)));
        stw_le_p(node + 16, NODES_OFFSET);
        stw_le_p(table->data + HEADER_SIZE,
                 lduw_le_p(table->data + HEADER_SIZE) + 1);
    }
}

static int compare_roots(gconstpointer a, gconstpointer b)
{
    const Root *left = a, *right = b;

    return (left->number > right->number) - (left->number < right->number);
}

static void add_roots(GByteArray *table, const PviommuDevice *s)
{
    g_autoptr(GArray) roots = g_array_new(FALSE, FALSE, sizeof(Root));
    int own = s->own ? pci_get_bdf(s->own) : -1;
    PCIBus *bus;
    Root root;

    root.number = pci_bus_num(s->primary_bus);
    root.bypass = pci_bus_bypass_iommu(s->primary_bus);
    g_array_append_val(roots, root);
    QLIST_FOREACH(bus, &s->primary_bus->child, sibling) {
        if (pci_bus_is_root(bus)) {
            root.number = pci_bus_num(bus);
            root.bypass = pci_bus_bypass_iommu(bus);
            g_array_append_val(roots, root);
        }
    }
    g_array_sort(roots, compare_roots);
    for (unsigned i = 0; i < roots->len; i++) {
        const Root *r = &g_array_index(roots, Root, i);
        int first = r->number << 8;
        int last = i + 1 < roots->len ? (r[1].number << 8) - 1 : 0xffff;

        if (r->bypass) {
            continue;
        }
        if (first <= own && own <= last) {
            add_range(table, first, own - 1);
            add_range(table, own + 1, last);
        } else {
            add_range(table, first, last);
        }
    }
}

GByteArray *pviommu_viot_build(const PviommuDevice *s)
{
    GByteArray *table = g_byte_array_new();
    uint8_t *header, sum = 0;

    header = grow(table, NODES_OFFSET);
    memcpy(header, "VIOT", 4);
    memcpy(header + 10, "PVIOMM", 6);
    memcpy(header + 16, "PVIOMMU ", 8);
    stl_le_p(header + 24, 1);
    memcpy(header + 28, "PVIO", 4);
    stl_le_p(header + 32, 1);
    stw_le_p(header + HEADER_SIZE, 1);
    stw_le_p(header + HEADER_SIZE + 2, NODES_OFFSET);
    add_iommu(table, s);
    if (s->primary_bus) {
        add_roots(table, s);
    }
    add_slots(table, s);

    stl_le_p(table->data + 4, table->len);
    for (unsigned i = 0; i < table->len; i++) {
        sum += table->data[i];
    }
    table->data[9] = -sum;
    return table;
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

/* Before the board builds its tables; false if it shows none of users */
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
    fd = qemu_memfd_create("pviommu-viot", 0, false, 0, 0, &err);
    if (fd < 0) {
        error_report_err(err);
        exit(1);
    }
    table = pviommu_viot_build(s);
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
