/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu: which devices are behind which IOMMU
 *
 * Root buses, scope, PCI functions, virtio-mmio slots, and the endpoints that
 * come of them.  Each function here is called with the big lock held.
 */
#ifndef PVIOMMU_DEVICE_TOPOLOGY_H
#define PVIOMMU_DEVICE_TOPOLOGY_H

#include "common/common.h"

/**
 * pviommu_is_vfio - whether a function is passed through
 * @pdev: the function, or NULL
 *
 * Return: true for vfio-pci.
 */
bool pviommu_is_vfio(const PCIDevice *pdev);

/**
 * pviommu_device_at - find the function at an address
 * @bus: its bus
 * @devfn: slot and function
 *
 * Return: the function, also while it is still being realized, or NULL.
 */
PCIDevice *pviommu_device_at(PCIBus *bus, int devfn);

/**
 * pviommu_root_serving - find the IOMMU that QEMU asks about a bus
 * @bus: any PCI bus
 *
 * Return: one of ours, or NULL if it is another's or nobody's.
 */
PviommuDevice *pviommu_root_serving(PCIBus *bus);

/**
 * pviommu_root_take - become the IOMMU of a root bus
 * @s: the device, with the bus that its transport chose, if any
 * @ops: what QEMU shall call about the functions behind the bus
 * @errp: why not, and what to do
 *
 * Property primary-bus goes before the transport's choice.  The device is one
 * of pviommu_next() from here to pviommu_root_leave().
 *
 * Return: false if there is no such bus, or if it has an IOMMU; then nothing
 * has changed.
 */
bool pviommu_root_take(PviommuDevice *s, const PCIIOMMUOps *ops,
                       Error **errp);

/**
 * pviommu_root_leave - the opposite of pviommu_root_take()
 * @s: the device
 */
void pviommu_root_leave(PviommuDevice *s);

/**
 * pviommu_root_check - end QEMU if a later device took the root bus
 * @s: the device; all devices of the command line exist
 */
void pviommu_root_check(PviommuDevice *s);

/**
 * pviommu_scope_parse - read property scope
 * @s: the device
 * @errp: what is wrong with it
 *
 * Return: whether it could be read; then pviommu_scope_free() is due.
 */
bool pviommu_scope_parse(PviommuDevice *s, Error **errp);

/**
 * pviommu_scope_free - forget what the scope is
 * @s: the device
 */
void pviommu_scope_free(PviommuDevice *s);

/**
 * pviommu_scope_check - end QEMU if a place in the scope is nobody's
 * @s: the device; all devices of the command line exist
 */
void pviommu_scope_check(const PviommuDevice *s);

/**
 * pviommu_scope_holds - whether the IOMMU is for a function
 * @s: the device
 * @bus: where requests arrive, behind the IOMMU's root bus
 * @devfn: with which slot and function
 *
 * Return: true if they are the IOMMU's.
 */
bool pviommu_scope_holds(const PviommuDevice *s, PCIBus *bus, int devfn);

/**
 * pviommu_scope_may_hold - the same of a function that may yet be plugged
 * @s: the device
 * @bus: as for pviommu_scope_holds()
 * @devfn: as for pviommu_scope_holds()
 *
 * Return: true if what is there, or what may come there, is the IOMMU's.
 */
bool pviommu_scope_may_hold(const PviommuDevice *s, PCIBus *bus, int devfn);

/**
 * pviommu_scope_goes_behind - whether other buses than the root are in scope
 * @s: the device
 *
 * Return: true if functions behind a bridge or an expander may be.
 */
bool pviommu_scope_goes_behind(const PviommuDevice *s);

/**
 * pviommu_slot_address - where the guest sees a virtio-mmio slot
 * @slot: the slot
 *
 * Return: the guest-physical address of its registers.
 */
hwaddr pviommu_slot_address(const VirtIOMMIOProxy *slot);

/**
 * pviommu_slot_id - the endpoint id of what is in a slot
 * @slot: the slot
 *
 * Return: a number that no PCI function has.
 */
uint32_t pviommu_slot_id(const VirtIOMMIOProxy *slot);

/**
 * pviommu_slot_of - find the slot that holds a device
 * @dev: any device
 *
 * Return: the slot, or NULL if none does.
 */
VirtIOMMIOProxy *pviommu_slot_of(DeviceState *dev);

/**
 * pviommu_slots_take - become the IOMMU of virtio-mmio devices
 * @s: the device
 * @errp: why not, and what to do
 *
 * The first IOMMU whose scope is all does, or the one in a slot if it comes
 * before the devices.
 *
 * Return: false if there is one already, or if a device came before.
 */
bool pviommu_slots_take(PviommuDevice *s, Error **errp);

/**
 * pviommu_slots_check - end QEMU if a VFIO platform device escapes
 *
 * All devices of the command line exist.  QEMU asks nobody for the address
 * space of such a device.
 */
void pviommu_slots_check(void);

/**
 * pviommu_slots_leave - the opposite of pviommu_slots_take()
 * @s: the device, whether it took them or not
 */
void pviommu_slots_leave(PviommuDevice *s);

/**
 * pviommu_is_past_bus - whether a function is let past by its root bus
 * @s: the device
 * @pdev: the function
 *
 * Return: true if it would be an endpoint but for bypass_iommu.
 */
bool pviommu_is_past_bus(PviommuDevice *s, PCIDevice *pdev);

/**
 * pviommu_past_bus - list the functions that their root bus lets past
 * @s: the device
 *
 * Return: PCIDevice *, to be freed by g_ptr_array_unref().
 */
GPtrArray *pviommu_past_bus(PviommuDevice *s);

/**
 * pviommu_past_slots - list the virtio-mmio devices that are let past
 * @s: the device
 *
 * Return: VirtIODevice * of those that would be endpoints but for want of
 * iommu_platform=on, to be freed by g_ptr_array_unref().
 */
GPtrArray *pviommu_past_slots(PviommuDevice *s);

/**
 * pviommu_unprotected - whether QEMU lets a device past every IOMMU
 * @s: the device
 * @dev: an endpoint's, or one of pviommu_past_bus() or pviommu_past_slots()
 *
 * Return: why it reaches all of guest memory, or NULL if it does not.
 */
const char *pviommu_unprotected(PviommuDevice *s, DeviceState *dev);

/**
 * pviommu_unprotected_warn - tell the operator if a device is unprotected
 * @s: the device
 * @dev: as for pviommu_unprotected()
 */
void pviommu_unprotected_warn(PviommuDevice *s, DeviceState *dev);

/**
 * pviommu_unprotected_warn_all - the same of all that there are
 * @s: the device; all devices of the command line exist
 */
void pviommu_unprotected_warn_all(PviommuDevice *s);

/* What QEMU asks about the functions behind an IOMMU: a PviommuDevice */
extern const PCIIOMMUOps pviommu_pci_iommu_ops;

/**
 * pviommu_endpoints_start - take devices as endpoints from now on
 * @s: the device
 */
void pviommu_endpoints_start(PviommuDevice *s);

/**
 * pviommu_endpoints_stop - drop all endpoints, and take no more
 * @s: the device
 */
void pviommu_endpoints_stop(PviommuDevice *s);

/**
 * pviommu_endpoints_settle - let go of what is another IOMMU's
 * @s: the device; all devices of the command line exist
 *
 * A function may have been created before the IOMMU of its root bus was, and
 * been ours until then.
 */
void pviommu_endpoints_settle(PviommuDevice *s);

/**
 * pviommu_endpoints_renumber - ask for the id of each endpoint anew
 * @s: the device
 *
 * To be called before a request or a user names an endpoint: PCI bus numbers
 * are the guest's.
 */
void pviommu_endpoints_renumber(PviommuDevice *s);

/**
 * pviommu_endpoints_check_order - see whether a vfio-pci device escapes
 * @s: the device, which is being realized
 * @errp: which one, and what to do
 *
 * Such a device asks for its address space once, when it is realized.
 *
 * Return: false if one that would be behind the IOMMU came before it.
 */
bool pviommu_endpoints_check_order(PviommuDevice *s, Error **errp);

#endif /* PVIOMMU_DEVICE_TOPOLOGY_H */
