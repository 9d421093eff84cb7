/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu: how the guest is told of the IOMMU and of what is behind it
 *
 * By the ACPI table VIOT, or by the board's device tree.
 */
#include "qemu/osdep.h"

#include "system/address-spaces.h"
#include "hw/core/boards.h"
#include "hw/pci/pci_bus.h"
#include "hw/pci/pci_device.h"
#include "hw/pci/pci_host.h"
#include "hw/core/sysbus.h"
#include "qemu/error-report.h"
#include "system/system.h"
#include "system/device_tree.h"
#include "firmware/firmware.h"
#include "topology/topology.h"

#include <libfdt.h>

/* Whether the guest finds the bridge's configuration space at @address */
static bool is_config_of(PCIHostState *host, uint64_t address)
{
    SysBusDevice *sbd = SYS_BUS_DEVICE(host);
    MemoryRegionSection section;
    bool is;

    if (!sbd->num_mmio) {
        return false;
    }
    section = memory_region_find(get_system_memory(), address, 1);
    is = section.mr && section.mr == sysbus_mmio_get_region(sbd, 0);
    memory_region_unref(section.mr);
    return is;
}

/* The path of the node of a root bus, or NULL; owned by the caller */
static char *find_bridge(const void *fdt, PCIBus *bus)
{
    PCIHostState *host = bus ? PCI_HOST_BRIDGE(BUS(bus)->parent) : NULL;
    char path[256];
    uint64_t address;
    int node = -1;

    while (host && (node = pviommu_fdt_next_bridge(fdt, node, &address)) >= 0) {
        if (is_config_of(host, address)) {
            return fdt_get_path(fdt, node, path, sizeof(path))
                   ? NULL : g_strdup(path);
        }
    }
    return NULL;
}

static GArray *find_slots(PviommuDevice *s)
{
    GArray *slots = g_array_new(FALSE, FALSE, sizeof(PviommuFdtSlot));

    for (unsigned i = 0; i < s->endpoints->len; i++) {
        const PviommuBusEndpoint *e = g_ptr_array_index(s->endpoints, i);

        if (!e->pdev) {
            PviommuFdtSlot slot = {
                .address = pviommu_slot_address(pviommu_slot_of(e->dev)),
                .id = e->id,
            };

            g_array_append_val(slots, slot);
        }
    }
    return slots;
}

static void warn(const char *why)
{
    warn_report("pviommu: the guest will not be told which devices are "
                "behind the IOMMU: %s", why);
}

static void publish_fdt(PviommuDevice *s, void *fdt)
{
    g_autofree char *bridge = find_bridge(fdt, s->primary_bus);
    g_autofree char *why = NULL;
    g_autoptr(GArray) slots = find_slots(s);
    g_autoptr(GArray) ranges = pviommu_ranges_new(s);
    PviommuFdtIommu iommu = {
        .phandle = qemu_fdt_alloc_phandle(fdt),
        .is_pci = s->function,
        .requester = s->function ? pci_get_bdf(s->function) : 0,
        .address = s->slot ? pviommu_slot_address(s->slot) : 0,
        .bridge = bridge,
        .ranges = ranges,
        .slots = slots,
    };

    if ((s->primary_bus && !bridge) || !pviommu_fdt_knows(fdt, &iommu)) {
        warn("the board's device tree has no nodes for devices that are "
             "there, or none yet");
        return;
    }
    why = pviommu_fdt_add(fdt, &iommu);
    if (why) {
        error_report("pviommu: the machine's device tree cannot tell the "
                     "guest of the IOMMU: %s", why);
        exit(1);
    }
}

/* VIOT waits for the board to have built its tables */
static bool waiting;

static void board_done(Notifier *notifier, void *data)
{
    g_autoptr(GByteArray) table = waiting ? pviommu_viot_build() : NULL;

    if (table && !pviommu_microvm_add_table(table)) {
        warn("the board has no ACPI tables");
    }
}

/*
 * Notifiers are called last one first, so one that is there before the board
 * is called when the board is done
 */
void pviommu_publish_init(void)
{
    static Notifier last = { .notify = board_done };

    qemu_add_machine_init_done_notifier(&last);
}

void pviommu_publish(PviommuDevice *s)
{
    if (pviommu_viot_publish(s)) {
        return;
    }
    if (object_dynamic_cast(OBJECT(current_machine), "microvm-machine")) {
        waiting = true;
        return;
    }
    if (pviommu_armvirt_publish(s)) {
        warn("the firmware's ACPI tables know only that of the main root bus, "
             "and none in a virtio-mmio slot; use pviommu-pci, or -machine "
             "acpi=off");
    }
    if (current_machine->fdt && !current_machine->dtb) {
        publish_fdt(s, current_machine->fdt);
        return;
    }
    warn(current_machine->dtb
         ? "a device tree given by -dtb is not changed"
         : "that needs a PC with ACPI, or a board with a device tree");
}
