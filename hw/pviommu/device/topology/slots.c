/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu: virtio-mmio devices behind the IOMMU
 *
 * Like virtio-pci, a virtio-mmio device with iommu_platform=on asks its bus
 * for an address space when it is plugged; QEMU's bus has no answer of its
 * own, so that ours can be put there.  A slot cannot be unplugged, nor can
 * what is in it.
 *
 * An endpoint's id is made of the slot's address, which the guest knows, and
 * has a bit set that no id of a PCI function has.
 */
#include "qemu/osdep.h"

#include "system/address-spaces.h"
#include "hw/core/sysbus.h"
#include "hw/virtio/virtio-bus.h"
#include "hw/virtio/virtio-mmio.h"
#include "qapi/error.h"
#include "qemu/error-report.h"
#include "standard-headers/linux/virtio_config.h"
#include "spaces/spaces.h"
#include "topology/topology.h"

#define ID_BIT 0x80000000u
#define SLOT_SIZE 0x200

/* The IOMMU that takes such devices, if there is one */
static PviommuDevice *owner;

hwaddr pviommu_slot_address(const VirtIOMMIOProxy *slot)
{
    return slot->parent_obj.mmio[0].addr;
}

uint32_t pviommu_slot_id(const VirtIOMMIOProxy *slot)
{
    return ID_BIT | pviommu_slot_address(slot) / SLOT_SIZE;
}

VirtIOMMIOProxy *pviommu_slot_of(DeviceState *dev)
{
    BusState *bus = qdev_get_parent_bus(dev);

    return bus && object_dynamic_cast(OBJECT(bus), TYPE_VIRTIO_MMIO_BUS)
           ? VIRTIO_MMIO(bus->parent) : NULL;
}

static AddressSpace *get_dma_as(DeviceState *transport)
{
    VirtIOMMIOProxy *slot = VIRTIO_MMIO(transport);
    VirtIODevice *vdev = virtio_bus_get_device(&slot->bus);
    PviommuSpace *space;

    /* no IOMMU is translated, be it by another one */
    if (object_dynamic_cast(OBJECT(vdev), TYPE_PVIOMMU_DEVICE)) {
        return &address_space_memory;
    }
    PVIOMMU_HOLD_GUARD(owner);
    space = pviommu_space_new(owner, &pviommu_mirror_ops);
    return space->ops->address_space(space);
}

/* vhost asks, whose back end else uses guest-physical addresses */
static bool iommu_enabled(DeviceState *transport)
{
    VirtIOMMIOProxy *slot = VIRTIO_MMIO(transport);

    return virtio_bus_get_device(&slot->bus)->dma_as != &address_space_memory;
}

static void set_hooks(bool on)
{
    VirtioBusClass *bus =
        VIRTIO_BUS_CLASS(object_class_by_name(TYPE_VIRTIO_MMIO_BUS));

    bus->get_dma_as = on ? get_dma_as : NULL;
    bus->iommu_enabled = on ? iommu_enabled : NULL;
}

/* What is in a slot, if @child is one; an IOMMU is not meant */
static VirtIODevice *device_in(const BusChild *child)
{
    VirtIOMMIOProxy *slot = (VirtIOMMIOProxy *)
        object_dynamic_cast(OBJECT(child->child), TYPE_VIRTIO_MMIO);
    VirtIODevice *vdev = slot ? virtio_bus_get_device(&slot->bus) : NULL;

    return vdev && !object_dynamic_cast(OBJECT(vdev), TYPE_PVIOMMU_DEVICE)
           ? vdev : NULL;
}

GPtrArray *pviommu_past_slots(PviommuDevice *s)
{
    GPtrArray *found = g_ptr_array_new();
    BusChild *child;

    if (s != owner) {
        return found;
    }
    QTAILQ_FOREACH(child, &sysbus_get_default()->children, sibling) {
        VirtIODevice *vdev = device_in(child);

        if (vdev && vdev->dma_as == &address_space_memory) {
            g_ptr_array_add(found, vdev);
        }
    }
    return found;
}

/* A device that was plugged before would stay outside, unnoticed */
static bool check_order(Error **errp)
{
    BusChild *child;

    QTAILQ_FOREACH(child, &sysbus_get_default()->children, sibling) {
        VirtIODevice *vdev = device_in(child);

        if (vdev && virtio_host_has_feature(vdev, VIRTIO_F_IOMMU_PLATFORM)) {
            error_setg(errp, "%s %s was created before the IOMMU and would "
                       "escape it", object_get_typename(OBJECT(vdev)),
                       DEVICE(vdev)->id ?: "without id");
            error_append_hint(errp, "Put the IOMMU before every virtio-mmio "
                              "device with iommu_platform=on on the command "
                              "line.\n");
            return false;
        }
    }
    return true;
}

static bool has_endpoints(const PviommuDevice *s)
{
    for (unsigned i = 0; i < s->endpoints->len; i++) {
        const PviommuBusEndpoint *e = g_ptr_array_index(s->endpoints, i);

        if (!e->pdev) {
            return true;
        }
    }
    return false;
}

bool pviommu_slots_take(PviommuDevice *s, Error **errp)
{
    ObjectClass *bus = object_class_by_name(TYPE_VIRTIO_MMIO_BUS);

    if (!bus || (owner && !s->slot) || s->scope != PVIOMMU_SCOPE_ALL) {
        return true;
    }
    if (owner && (owner->slot || has_endpoints(owner))) {
        error_setg(errp, "virtio-mmio devices have an IOMMU already");
        error_append_hint(errp, "Use pviommu-device once, before all "
                          "endpoints.\n");
        return false;
    }
    if (!owner && !check_order(errp)) {
        return false;
    }
    owner = s;
    set_hooks(true);
    return true;
}

static int refuse_vfio(Object *obj, void *opaque)
{
    if (object_dynamic_cast(obj, "vfio-platform")) {
        const char *id = DEVICE(obj)->id;

        error_report("pviommu: vfio-platform device %s escapes the IOMMU: "
                     "QEMU gives it all of guest memory, past every IOMMU. "
                     "Leave one of the two out", id ?: "without id");
        exit(1);
    }
    return 0;
}

void pviommu_slots_check(void)
{
    object_child_foreach_recursive(object_get_root(), refuse_vfio, NULL);
}

void pviommu_slots_leave(PviommuDevice *s)
{
    if (owner == s) {
        owner = NULL;
        set_hooks(false);
    }
}
