/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu: PCI functions, by address and by kind
 */
#include "qemu/osdep.h"

#include "hw/pci/pci_bus.h"
#include "hw/pci/pci_device.h"
#include "topology/topology.h"

bool pviommu_is_vfio(const PCIDevice *pdev)
{
    return pdev && object_dynamic_cast(OBJECT(pdev), PVIOMMU_TYPE_VFIO_PCI);
}

PCIDevice *pviommu_device_at(PCIBus *bus, int devfn)
{
    BusChild *child;

    if (bus->devices[devfn]) {
        return bus->devices[devfn];
    }
    QTAILQ_FOREACH(child, &BUS(bus)->children, sibling) {
        PCIDevice *pdev = PCI_DEVICE(child->child);

        if (pdev->devfn == devfn && !DEVICE(pdev)->realized) {
            return pdev;
        }
    }
    return NULL;
}
