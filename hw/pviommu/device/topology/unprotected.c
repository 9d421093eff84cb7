/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu: devices that QEMU lets past every IOMMU
 *
 * They reach all of guest memory whatever the guest does, so they must not
 * look as if they were translated.
 */
#include "qemu/osdep.h"

#include "system/address-spaces.h"
#include "hw/pci/pci_bus.h"
#include "hw/pci/pci_device.h"
#include "hw/virtio/virtio-bus.h"
#include "qemu/error-report.h"
#include "topology/topology.h"

/* Models that use guest memory themselves */
static const struct {
    const char *type;
    const char *reason;
} models[] = {
    /* usb_ehci_pci_write_config() in hw/usb/hcd-ehci-pci.c */
    { "pci-ehci-usb", "QEMU's EHCI uses guest memory itself while its bus "
      "mastering is off; qemu-xhci does not" },
    /* pvscsi_write_sense() and others in hw/scsi/vmw_pvscsi.c */
    { "pvscsi", "QEMU's pvscsi uses guest memory itself; virtio-scsi-pci with "
      "iommu_platform=on does not" },
    /* proxy_memory_listener_configure() in hw/remote/proxy-memory-listener.c */
    { "x-pci-proxy-dev", "its process has all of guest memory" },
};

/* What is in a slot, or what a function holds; NULL if it is not virtio */
static VirtIODevice *virtio_in(DeviceState *dev)
{
    BusState *bus = QLIST_FIRST(&dev->child_bus);

    if (object_dynamic_cast(OBJECT(dev), TYPE_VIRTIO_DEVICE)) {
        return VIRTIO_DEVICE(dev);
    }
    return bus && object_dynamic_cast(OBJECT(bus), TYPE_VIRTIO_BUS)
           ? virtio_bus_get_device(VIRTIO_BUS(bus)) : NULL;
}

bool pviommu_is_past_bus(PviommuDevice *s, PCIDevice *pdev)
{
    PCIBus *bus = pci_get_bus(pdev);

    return !object_dynamic_cast(OBJECT(pdev), TYPE_PVIOMMU_PCI) &&
           pviommu_root_serving(bus) == s &&
           pviommu_scope_holds(s, bus, pdev->devfn) &&
           pci_bus_bypass_iommu(bus);
}

const char *pviommu_unprotected(PviommuDevice *s, DeviceState *dev)
{
    PCIDevice *pdev =
        (PCIDevice *)object_dynamic_cast(OBJECT(dev), TYPE_PCI_DEVICE);
    VirtIODevice *vdev = virtio_in(dev);

    if (pdev && pviommu_is_past_bus(s, pdev)) {
        return "its root bus has bypass_iommu=on";
    }
    /* virtio_bus_device_plugged() in hw/virtio/virtio-bus.c */
    if (vdev && vdev->dma_as == &address_space_memory) {
        return "iommu_platform=on is not given";
    }
    for (unsigned i = 0; i < ARRAY_SIZE(models); i++) {
        if (object_dynamic_cast(OBJECT(dev), models[i].type)) {
            return models[i].reason;
        }
    }
    return NULL;
}

typedef struct Past {
    PviommuDevice *device;
    GPtrArray *found;
} Past;

static void add_past(PCIBus *bus, PCIDevice *pdev, void *opaque)
{
    Past *past = opaque;

    if (pviommu_is_past_bus(past->device, pdev)) {
        g_ptr_array_add(past->found, pdev);
    }
}

static void add_past_of(PCIBus *bus, void *opaque)
{
    pci_for_each_device_under_bus(bus, add_past, opaque);
}

GPtrArray *pviommu_past_bus(PviommuDevice *s)
{
    Past past = { .device = s, .found = g_ptr_array_new() };

    if (s->primary_bus) {
        pci_for_each_bus(s->primary_bus, add_past_of, &past);
    }
    return past.found;
}

void pviommu_unprotected_warn(PviommuDevice *s, DeviceState *dev)
{
    const char *reason = pviommu_unprotected(s, dev);

    if (reason) {
        warn_report("pviommu: %s %s is not protected by the IOMMU and reaches "
                    "all of guest memory: %s", object_get_typename(OBJECT(dev)),
                    dev->id ?: "without id", reason);
    }
}

void pviommu_unprotected_warn_all(PviommuDevice *s)
{
    g_autoptr(GPtrArray) past = pviommu_past_bus(s);
    g_autoptr(GPtrArray) past_slots = pviommu_past_slots(s);

    for (unsigned i = 0; i < s->endpoints->len; i++) {
        const PviommuBusEndpoint *e = g_ptr_array_index(s->endpoints, i);

        if (!e->requester) {
            pviommu_unprotected_warn(s, e->dev);
        }
    }
    for (unsigned i = 0; i < past->len; i++) {
        pviommu_unprotected_warn(s, g_ptr_array_index(past, i));
    }
    for (unsigned i = 0; i < past_slots->len; i++) {
        pviommu_unprotected_warn(s, g_ptr_array_index(past_slots, i));
    }
}
