/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu: the endpoints of an address space, and the number they bear now
 */
#include "qemu/osdep.h"

#include "hw/pci/pci_bus.h"
#include "hw/pci/pci_device.h"
#include "qemu/main-loop.h"
#include "common/common.h"

bool pviommu_endpoint_is_there(const PviommuBusEndpoint *e)
{
    BusState *bus = qdev_get_parent_bus(e->dev);

    return bus &&
           (!e->pdev || PCI_BUS(bus)->devices[e->pdev->devfn] == e->pdev);
}

PviommuBusEndpoint *pviommu_endpoint_first(const PviommuSpace *space,
                                           const DeviceState *except)
{
    const GPtrArray *list = space->device->endpoints;

    g_assert(bql_locked());
    for (unsigned i = 0; i < list->len; i++) {
        PviommuBusEndpoint *e = g_ptr_array_index(list, i);

        if (e->space == space && e->dev != except &&
            pviommu_endpoint_is_there(e)) {
            return e;
        }
    }
    return NULL;
}

uint32_t pviommu_space_endpoint_id(const PviommuSpace *space)
{
    const PviommuBusEndpoint *e = pviommu_endpoint_first(space, NULL);

    if (!e) {
        return 0;
    }
    return e->pdev ? pci_requester_id(e->pdev) : e->id;
}
