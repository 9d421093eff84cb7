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

#include "spaces/spaces.h"

/* Types of properties: a width of addresses, a number, "FIRST:LAST:TYPE" */
extern const PropertyInfo pviommu_prop_aw_bits;
extern const PropertyInfo pviommu_prop_count;
extern const PropertyInfo pviommu_prop_region;

/**
 * struct PviommuWork - a request that is being run
 * @readable: how many bytes the guest gave
 * @writable: and how many for the answer
 * @copy: a copy of the former, PVIOMMU_REQUEST_MAX bytes
 * @request: what was read
 * @answer: what to tell the guest
 * @change: what it changes
 * @carry: how far that has come
 * @asks_host: it is the host's concern
 * @host: what became of it there: 0, or a negative errno
 */
typedef struct PviommuWork {
    size_t readable;
    size_t writable;
    const uint8_t *copy;
    PviommuRequest request;
    PviommuAnswer answer;
    PviommuChange change;
    PviommuCarry carry;
    bool asks_host;
    int host;
} PviommuWork;

/**
 * pviommu_work_is_for_any_thread - whether to begin without the big lock
 * @work: read
 *
 * Any thread.
 *
 * Return: false if the big lock is needed.
 */
bool pviommu_work_is_for_any_thread(const PviommuWork *work);

/**
 * pviommu_work_begin - have core run a request
 * @s: the device, held; the big lock need not be
 * @work: read, and all zeros but for that
 * @properties: room for those of PROBE; NULL if it is none
 */
void pviommu_work_begin(PviommuDevice *s, PviommuWork *work,
                        void *properties);

/**
 * pviommu_work_carry - carry what it changes to the host
 * @s: the device, held; the big lock need not be
 * @work: begun
 *
 * Return: as pviommu_change_carry().
 */
bool pviommu_work_carry(PviommuDevice *s, PviommuWork *work);

/**
 * pviommu_work_end - count and log a request
 * @s: the device, held; the big lock need not be
 * @work: carried
 */
void pviommu_work_end(PviommuDevice *s, const PviommuWork *work);

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
 * pviommu_requests_handle_one - answer no more than one request
 * @s: the device
 */
void pviommu_requests_handle_one(PviommuDevice *s);

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
 * pviommu_polled_check - find the IOThread that shall serve the request queue
 * @s: the device, which is being realized
 * @errp: why there is none, and what to do
 *
 * Return: false if there is none of the name that iothread= has.
 */
bool pviommu_polled_check(PviommuDevice *s, Error **errp);

/**
 * pviommu_polled_start - make ready for a driver whose requests it serves
 * @s: the device; nothing is done without an IOThread
 */
void pviommu_polled_start(PviommuDevice *s);

/**
 * pviommu_polled_stop - the opposite of pviommu_polled_start()
 * @s: the device, which has no driver any more
 */
void pviommu_polled_stop(PviommuDevice *s);

/**
 * pviommu_polled_class_init - have the IOThread start and stop with the driver
 * @vdc: the class of PviommuDevice
 */
void pviommu_polled_class_init(VirtioDeviceClass *vdc);

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

/**
 * pviommu_introspect_device - what the user knows an IOMMU by
 * @s: the device
 *
 * Return: the PCI function, or the device itself in a virtio-mmio slot.
 */
DeviceState *pviommu_introspect_device(PviommuDevice *s);

/**
 * pviommu_introspect_kind - name the kind of a domain
 * @domain: the domain
 *
 * Return: a constant: "paging", "bypass" or "table".
 */
const char *pviommu_introspect_kind(const PviommuDomain *domain);

/**
 * pviommu_introspect - tell all that is known of an IOMMU
 * @s: the device, realized
 *
 * Return: an entry of what query-pviommu returns, owned by the caller.
 */
QDict *pviommu_introspect(PviommuDevice *s);

/**
 * pviommu_qmp_register - add our commands to QEMU's, once
 */
void pviommu_qmp_register(void);

/* Register the type of the device as a PCI function, once */
void pviommu_pci_init_type(void);

#endif /* PVIOMMU_DEVICE_VIRTIO_H */
