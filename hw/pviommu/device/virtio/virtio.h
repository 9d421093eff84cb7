/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu: the virtio device and its two queues, as guest and user see them
 *
 * The top room: it calls all others, and none calls it.  Each function here
 * is called with the big lock held, and holds the device itself; none takes
 * ownership of what it is given.
 */
#ifndef PVIOMMU_DEVICE_VIRTIO_H
#define PVIOMMU_DEVICE_VIRTIO_H

#include "common/common.h"

/* Types of properties: a width of addresses, a number, "FIRST:LAST:TYPE" */
extern const PropertyInfo pviommu_prop_aw_bits;
extern const PropertyInfo pviommu_prop_count;
extern const PropertyInfo pviommu_prop_region;

/**
 * pviommu_requests_handle - the guest kicked the request queue
 * @vdev: a PviommuDevice
 * @vq: its request queue
 *
 * Answers what is in the queue, but not more requests than it is long: then
 * PviommuDevice.more goes on.
 */
void pviommu_requests_handle(VirtIODevice *vdev, VirtQueue *vq);

/**
 * pviommu_requests_more - go on with the request queue
 * @opaque: a PviommuDevice
 */
void pviommu_requests_more(void *opaque);

/**
 * pviommu_events_init - make ready for faults
 * @s: the device; from now on pviommu_fault_add() may be called
 */
void pviommu_events_init(PviommuDevice *s);

/**
 * pviommu_events_cleanup - the opposite of pviommu_events_init()
 * @s: the device; no thread translates any more
 */
void pviommu_events_cleanup(PviommuDevice *s);

/**
 * pviommu_driver_start - look after what the guest's driver does
 * @s: the device, which is being realized
 */
void pviommu_driver_start(PviommuDevice *s);

/**
 * pviommu_driver_stop - the opposite of pviommu_driver_start()
 * @s: the device
 */
void pviommu_driver_stop(PviommuDevice *s);

/**
 * pviommu_driver_status - the guest's driver comes, gives up, or goes
 * @vdev: a PviommuDevice, whose status is still the old one
 * @status: the new one
 *
 * Tells the operator, each thing once, of a driver that makes no use of the
 * IOMMU.
 */
void pviommu_driver_status(VirtIODevice *vdev, uint8_t status);

/**
 * pviommu_mmio_plug - settle how the device hangs on the machine
 * @s: the device, which is being realized
 * @errp: why it cannot be where it is, and what to do
 *
 * A device in a virtio-mmio slot finds its root bus by itself; one that
 * another IOMMU has stays with that.
 *
 * Return: false if it is neither in a slot of version 2 nor on PCI.
 */
bool pviommu_mmio_plug(PviommuDevice *s, Error **errp);

/**
 * pviommu_introspect_class_init - add state and counters as properties
 * @oc: the class of PviommuDevice
 */
void pviommu_introspect_class_init(ObjectClass *oc);

/* Register the type of the device as a PCI function, once */
void pviommu_pci_init_type(void);

#endif /* PVIOMMU_DEVICE_VIRTIO_H */
