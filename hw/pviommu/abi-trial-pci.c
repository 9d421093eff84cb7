/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Trials of PCI's structures, with a root bus that no machine has
 */
#include "qemu/osdep.h"
#include "hw/pci/pci_bus.h"
#include "hw/pci/pci_device.h"
#include "hw/pci/pci_host.h"

#include <malloc.h>

#include "pviommu/compat.h"

#include "abi-trial.h"

typedef struct Fakes {
    PCIHostState *host;
    PCIBus *bus;
    PCIDevice *dev;
} Fakes;

static Fakes fakes;

/* A real bus, whose list is set up, above a device that is none */
static bool set_up(void)
{
    if (!object_class_by_name(TYPE_PCI_BUS)) {
        return false;
    }
    fakes.host = pviommu_trial_fake(TYPE_PCI_HOST_BRIDGE,
                                    sizeof(*fakes.host));
    fakes.dev = pviommu_trial_fake(TYPE_PCI_DEVICE, sizeof(*fakes.dev));
    fakes.bus = (PCIBus *)object_new(TYPE_PCI_BUS);
    fakes.bus->flags = PCI_BUS_IS_ROOT;
    fakes.bus->qbus.parent = (DeviceState *)fakes.host;
    fakes.host->bus = fakes.bus;
    fakes.dev->devfn = PCI_DEVFN(5, 3);
    return true;
}

/* Stays: QEMU offers no way to take it off that runs no code of the device */
static bool try_child(void)
{
    BusState *bus;
    BusChild *kid;
    DeviceState *dev;

    if (!set_up()) {
        return true;
    }
    bus = &fakes.bus->qbus;
    dev = &fakes.dev->qdev;
    if (!QTAILQ_EMPTY(&bus->children) ||
        !qdev_set_parent_bus(dev, bus, NULL) || dev->parent_bus != bus) {
        return false;
    }
    kid = QTAILQ_FIRST(&bus->children);
    return kid && malloc_usable_size(kid) >= sizeof(*kid) &&
           kid->child == dev && !QTAILQ_NEXT(kid, sibling) &&
           kid->sibling.tqe_circ.tql_prev == &bus->children.tqh_circ;
}

static struct {
    PCIBus *bus;
    void *opaque;
    int devfn;
    HostIOMMUDevice *hiod;
    unsigned asked;
    unsigned set;
    unsigned unset;
} called;

static AddressSpace *get_address_space(PCIBus *bus, void *opaque, int devfn)
{
    called.asked++;
    called.bus = bus;
    called.opaque = opaque;
    called.devfn = devfn;
    return (AddressSpace *)&called;
}

static bool set_iommu_device(PCIBus *bus, void *opaque, int devfn,
                             HostIOMMUDevice *hiod, Error **errp)
{
    called.set++;
    called.hiod = hiod;
    return true;
}

static void unset_iommu_device(PCIBus *bus, void *opaque, int devfn)
{
    called.unset++;
}

static bool try_ops(void)
{
    PCIIOMMUOps ops;
    void (**functions)(void) = (void *)&ops;
    g_autofree HostIOMMUDevice *hiod =
        pviommu_trial_fake(TYPE_HOST_IOMMU_DEVICE, sizeof(*hiod));
    PCIBus *bus = fakes.bus;
    PCIDevice *dev = fakes.dev;

    if (!bus) {
        return true;
    }
    /* QEMU asserts that the one for address spaces is there */
    for (size_t i = 0; i < sizeof(ops) / sizeof(*functions); i++) {
        functions[i] = abort;
    }
    ops.get_address_space = get_address_space;
    ops.set_iommu_device = set_iommu_device;
    ops.unset_iommu_device = unset_iommu_device;
    pci_setup_iommu(bus, &ops, &called);
    if (bus->iommu_ops != &ops || bus->iommu_opaque != &called ||
        pci_device_iommu_address_space(dev) != (AddressSpace *)&called ||
        called.asked != 1 || called.bus != bus || called.opaque != &called ||
        called.devfn != dev->devfn) {
        return false;
    }
    if (hiod && (!pci_device_set_iommu_device(dev, hiod, NULL) ||
                 called.set != 1 || called.hiod != hiod)) {
        return false;
    }
    pci_device_unset_iommu_device(dev);
    bus->iommu_ops = NULL;
    return called.asked == 1 && called.unset == 1 && called.set == !!hiod;
}

static bool try_bus(void)
{
    g_autofree PCIBus *below = pviommu_trial_fake(TYPE_PCI_BUS,
                                                  sizeof(*below));
    uint8_t config[PCI_CONFIG_HEADER_SIZE] = { [PCI_SECONDARY_BUS] = 7 };
    PCIBus *bus = fakes.bus;
    PCIDevice *dev = fakes.dev;
    bool ok;

    if (!bus) {
        return true;
    }
    bus->devices[dev->devfn] = dev;
    below->devices[PCI_DEVFN(31, 7)] = dev;
    dev->config = config;
    below->parent_dev = dev;
    below->qbus.parent = &dev->qdev;
    QLIST_INSERT_HEAD(&bus->child, below, sibling);
    ok = pci_find_device(bus, 0, dev->devfn) == dev &&
         pci_find_device(bus, 7, PCI_DEVFN(31, 7)) == dev;
    QLIST_REMOVE(below, sibling);
    bus->devices[dev->devfn] = NULL;

    dev->requester_id_cache.type = PCI_REQ_ID_BDF;
    dev->requester_id_cache.dev = dev;
    ok = ok && pci_requester_id(dev) == dev->devfn;

    dev->config = NULL;
    return ok;
}

const PviommuTrial pviommu_trials_pci[] = {
    { "BusChild, BusState, DeviceState", try_child },
    { "PCIIOMMUOps, PCIBus, PCIHostState", try_ops },
    { "PCIBus, PCIReqIDCache", try_bus },
    { }
};
