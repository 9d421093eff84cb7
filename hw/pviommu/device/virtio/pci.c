/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu: the device as a PCI function, modern virtio only
 */
#include "qemu/osdep.h"

#include "hw/acpi/acpi_aml_interface.h"
#include "hw/pci/pci_bus.h"
#include "hw/core/qdev-properties.h"
#include "hw/virtio/virtio-pci.h"
#include "qapi/error.h"
#include "firmware/firmware.h"
#include "virtio/virtio.h"

typedef struct PviommuPci {
    VirtIOPCIProxy parent_obj;
    PviommuDevice device;
} PviommuPci;

DECLARE_INSTANCE_CHECKER(PviommuPci, PVIOMMU_PCI, TYPE_PVIOMMU_PCI)

/* One vector each for the configuration and the two queues */
#define VECTORS 3

/* MSI-X has no more; QEMU does without MSI-X then, or its allocator ends it */
#define VECTORS_MAX (PCI_MSIX_FLAGS_QSIZE + 1)

static const Property properties[] = {
    DEFINE_PROP_UINT32("class", VirtIOPCIProxy, class_code, 0),
    DEFINE_PROP_UINT32("vectors", VirtIOPCIProxy, nvectors, VECTORS),
};

static void pci_realize(VirtIOPCIProxy *proxy, Error **errp)
{
    PviommuPci *pci = PVIOMMU_PCI(proxy);
    PCIBus *bus = pci_get_bus(&proxy->pci_dev);

    if (proxy->nvectors > VECTORS_MAX) {
        error_setg(errp, "vectors is 0 to %u, not %" PRIu32, VECTORS_MAX,
                   proxy->nvectors);
        return;
    }
    if (!pci_bus_is_root(bus)) {
        error_setg(errp, "pviommu-pci must be on a root bus, not on %s",
                   BUS(bus)->name);
        error_append_hint(errp, "Use bus=pcie.0 or leave bus= out.\n");
        return;
    }
    if (pci->device.iothread_name) {
        proxy->flags |= VIRTIO_PCI_FLAG_USE_IOEVENTFD;
    }
    pci->device.primary_bus = bus;
    pci->device.function = &proxy->pci_dev;
    virtio_pci_force_virtio_1(proxy);
    qdev_realize(DEVICE(&pci->device), BUS(&proxy->bus), errp);
}

/* The board asks for AML whenever it builds its tables, VIOT among them */
static void build_aml(AcpiDevAmlIf *adev, Aml *scope)
{
    pviommu_viot_refresh();
}

static void pci_class_init(ObjectClass *oc, PviommuClassData *data)
{
    DeviceClass *dc = DEVICE_CLASS(oc);
    PCIDeviceClass *pc = PCI_DEVICE_CLASS(oc);

    ACPI_DEV_AML_IF_CLASS(oc)->build_dev_aml = build_aml;
    VIRTIO_PCI_CLASS(oc)->realize = pci_realize;
    set_bit(DEVICE_CATEGORY_MISC, dc->categories);
    device_class_set_props(dc, properties);
    dc->desc = "pviommu virtio IOMMU, PCI";
    dc->hotpluggable = false;
    pc->revision = VIRTIO_PCI_ABI_VERSION;
    pc->class_id = PCI_CLASS_OTHERS;
}

static void pci_instance_init(Object *obj)
{
    PviommuPci *pci = PVIOMMU_PCI(obj);

    virtio_instance_init_common(obj, &pci->device, sizeof(pci->device),
                                TYPE_PVIOMMU_DEVICE);
}

void pviommu_pci_init_type(void)
{
    static InterfaceInfo interfaces[] = {
        { TYPE_ACPI_DEV_AML_IF },
        { }
    };
    static const VirtioPCIDeviceTypeInfo info = {
        .generic_name = TYPE_PVIOMMU_PCI,
        .interfaces = interfaces,
        .instance_size = sizeof(PviommuPci),
        .instance_init = pci_instance_init,
        .class_init = pci_class_init,
    };

    virtio_pci_types_register(&info);
}
