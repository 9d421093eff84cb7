/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu: PCI root buses, and which IOMMU serves which
 *
 * QEMU looks for an IOMMU from a function's bus upwards, and past the root
 * bus of an expander (pxb-pcie) to the bus that the expander is on.  So an
 * IOMMU of the main root bus serves the expanders too that have none of
 * their own.
 */
#include "qemu/osdep.h"

#include "hw/core/boards.h"
#include "hw/pci/pci_bus.h"
#include "hw/pci/pci_host.h"
#include "qapi/error.h"
#include "qemu/error-report.h"
#include "topology/topology.h"

/* Where QEMU ends up in pci_device_get_iommu_bus_devfn() (hw/pci/pci.c) */
static PCIBus *iommu_bus(PCIBus *bus)
{
    while (!bus->iommu_ops && bus->parent_dev) {
        bus = pci_get_bus(bus->parent_dev);
    }
    return bus;
}

/* The IOMMU of ours that took this very bus, or NULL */
static PviommuDevice *owner_of(const PCIBus *bus)
{
    PviommuDevice *s = pviommu_next(NULL);

    while (s && s != bus->iommu_opaque) {
        s = pviommu_next(s);
    }
    return s;
}

PviommuDevice *pviommu_root_serving(PCIBus *bus)
{
    return owner_of(iommu_bus(bus));
}

/* A root bus above which or on which there is an IOMMU of another kind */
static bool is_taken_by_others(PCIBus *bus)
{
    for (;;) {
        if (bus->iommu_ops && !owner_of(bus)) {
            return true;
        }
        if (!bus->parent_dev) {
            return false;
        }
        bus = pci_get_bus(bus->parent_dev);
    }
}

static int add_root_name(Object *obj, void *opaque)
{
    GString *names = opaque;

    if (object_dynamic_cast(obj, TYPE_PCI_HOST_BRIDGE) &&
        PCI_HOST_BRIDGE(obj)->bus) {
        g_string_append_printf(names, " %s",
                               BUS(PCI_HOST_BRIDGE(obj)->bus)->name);
    }
    return 0;
}

static PCIBus *find_root(const char *name, Error **errp)
{
    g_autoptr(GString) names = g_string_new(NULL);
    bool ambiguous = false;
    /* An empty path would be that of any bus */
    Object *obj = *name ? object_resolve_path_type(name, TYPE_PCI_BUS,
                                                   &ambiguous) : NULL;

    if (ambiguous) {
        error_setg(errp, "primary-bus: more than one PCI bus is called '%s'",
                   name);
        error_append_hint(errp, "Give the bus's QOM path.\n");
        return NULL;
    }
    if (obj && pci_bus_is_root(PCI_BUS(obj))) {
        return PCI_BUS(obj);
    }
    if (obj) {
        error_setg(errp, "primary-bus: '%s' is not a root bus", name);
    } else {
        error_setg(errp, "primary-bus: there is no PCI bus '%s'", name);
    }
    object_child_foreach_recursive(OBJECT(current_machine), add_root_name,
                                   names);
    error_append_hint(errp, "Root buses so far:%s. An expander such as "
                      "pxb-pcie comes before the IOMMU on the command "
                      "line.\n", names->str);
    return NULL;
}

bool pviommu_root_take(PviommuDevice *s, const PCIIOMMUOps *ops,
                       Error **errp)
{
    PCIBus *bus = s->primary_bus;

    if (s->primary_bus_name) {
        bus = find_root(s->primary_bus_name, errp);
        if (!bus) {
            return false;
        }
    }
    if (!bus) {
        pviommu_instance_add(s);
        return true;
    }
    if (is_taken_by_others(bus) || bus->iommu_ops) {
        error_setg(errp, "bus %s has an IOMMU already", BUS(bus)->name);
        error_append_hint(errp, "Put one of pviommu-pci, virtio-iommu-pci and "
                          "the machine's own IOMMU there, once. A second "
                          "pviommu-pci serves another root bus, such as that "
                          "of a pxb-pcie: name it with primary-bus=.\n");
        return false;
    }
    s->primary_bus = bus;
    pci_setup_iommu(bus, ops, s);
    pviommu_instance_add(s);
    return true;
}

void pviommu_root_leave(PviommuDevice *s)
{
    pviommu_instance_remove(s);
    if (s->primary_bus) {
        s->primary_bus->iommu_ops = NULL;
        s->primary_bus->iommu_opaque = NULL;
    }
}

void pviommu_root_check(PviommuDevice *s)
{
    if (s->primary_bus && (pviommu_root_serving(s->primary_bus) != s ||
                           is_taken_by_others(s->primary_bus))) {
        error_report("pviommu: a device created later put another IOMMU on "
                     "bus %s; use only one of them",
                     BUS(s->primary_bus)->name);
        exit(1);
    }
}
