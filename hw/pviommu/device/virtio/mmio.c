/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu: the device in a virtio-mmio slot
 *
 * The slot is QEMU's: the device is plugged into it as it is.
 */
#include "qemu/osdep.h"

#include "hw/pci/pci_bus.h"
#include "hw/pci/pci_host.h"
#include "hw/core/sysbus.h"
#include "hw/virtio/virtio-mmio.h"
#include "qapi/error.h"
#include "topology/topology.h"
#include "virtio/virtio.h"

/* The machine's own root bus, not that of an expander; NULL without PCI */
static PCIBus *find_root(void)
{
    BusChild *child;

    QTAILQ_FOREACH(child, &sysbus_get_default()->children, sibling) {
        PCIHostState *host = (PCIHostState *)
            object_dynamic_cast(OBJECT(child->child), TYPE_PCI_HOST_BRIDGE);

        if (host && host->bus && !host->bus->parent_dev) {
            return host->bus;
        }
    }
    return NULL;
}

bool pviommu_mmio_plug(PviommuDevice *s, Error **errp)
{
    PCIBus *root;

    s->slot = pviommu_slot_of(DEVICE(s));
    if (!s->slot) {
        if (!s->function) {
            error_setg(errp, "pviommu-device needs a transport");
            error_append_hint(errp, "Use -device pviommu-pci, or a machine "
                              "with virtio-mmio slots.\n");
        }
        return s->function;
    }
    if (s->slot->legacy) {
        error_setg(errp, "pviommu-device needs virtio-mmio slots of version "
                   "2");
        error_append_hint(errp, "Add -global virtio-mmio.force-legacy=off to "
                          "the command line.\n");
        return false;
    }
    /*
     * Without an IOThread handle the queue where the kick arrives, as the PCI
     * form does: there QEMU keeps an answer from being written to the device's
     * own registers
     */
    if (!s->iothread_name) {
        s->slot->flags &= ~VIRTIO_IOMMIO_FLAG_USE_IOEVENTFD;
    }
    root = find_root();
    if (root && !root->iommu_ops) {
        s->primary_bus = root;
    }
    return true;
}
