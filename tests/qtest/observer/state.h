/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An observer, as its files see it
 */
#ifndef TESTS_QTEST_OBSERVER_STATE_H
#define TESTS_QTEST_OBSERVER_STATE_H

#include "system/memory.h"
#include "hw/pci/pci_device.h"
#include "iommufd.h"
#include "observer.h"
#include "record.h"
#include "versions.h"

#define TYPE_OBSERVER "pviommu-observer"
#define TYPE_OBSERVER_CONTAINER "pviommu-observer-container"

typedef struct Observer Observer;

/**
 * struct Watched - an IOMMU region that the listener found
 * @observer: whose listener
 * @mr: the region
 * @notifier: what is registered with it
 */
typedef struct Watched {
    Observer *observer;
    IOMMUMemoryRegion *mr;
    IOMMUNotifier notifier;
    QLIST_ENTRY(Watched) next;
} Watched;

typedef struct ObserverContainer {
    PviommuVfioContainer parent_obj;
    Observer *observer;
} ObserverContainer;

/**
 * struct Observer - the device
 * @bar: its registers
 * @peer: memory of a device
 * @peer_pages: what @peer leads to
 * @has_peer: property peer
 * @watch: property watch
 * @events: see observer.h
 * @held: what the host holds, unless that is the model of the kernel's
 * @refusals: what a container is to refuse
 * @error: register ERRNO
 * @fail_times: register FAIL_TIMES
 * @stuck: register STUCK, for a container
 * @quota: register QUOTA
 *
 * @listener: watch=listener, vhost, vhost-ats
 * @flags: what its notifiers ask for
 * @watched: the regions that it found
 * @sections: how many of RAM or an IOMMU there are
 * @in_gap: there were none after the last change
 *
 * @space: watch=container
 * @container: the container
 *
 * @vbasedev: watch=container, iommufd: what vfio-pci has
 * @announce: property announce
 * @told_iommu: the IOMMU knows of it
 *
 * @function: watch=iommufd: what the host has
 * @attached: QEMU's VFIO has it
 *
 * @address: register ADDRESS
 * @length: register LENGTH
 * @result: register RESULT
 * @value: register VALUE
 * @buffer: register BUFFER
 */
struct Observer {
    PCIDevice parent_obj;
    MemoryRegion bar;
    MemoryRegion peer;
    void *peer_pages;
    bool has_peer;
    char *watch;
    GString *events;
    GSequence *held;
    Refusal refusals[OBSERVER_CALL__MAX];
    uint32_t error;
    uint32_t fail_times;
    Stuck stuck;
    uint32_t quota;

    MemoryListener listener;
    IOMMUNotifierFlag flags;
    QLIST_HEAD(, Watched) watched;
    unsigned sections;
    bool in_gap;

    VFIOAddressSpace *space;
    ObserverContainer *container;

    VFIODevice vbasedev;
    bool announce;
    bool told_iommu;

    HostFunction function;
    bool attached;

    uint64_t address;
    uint64_t length;
    uint32_t result;
    uint32_t value;
    uint8_t buffer[OBSERVER_BUFFER_SIZE];
};

DECLARE_INSTANCE_CHECKER(Observer, OBSERVER, TYPE_OBSERVER)
DECLARE_INSTANCE_CHECKER(ObserverContainer, OBSERVER_CONTAINER,
                         TYPE_OBSERVER_CONTAINER)

/* listener.c */
void observer_listen(Observer *o, AddressSpace *as);
void observer_listen_stop(Observer *o);
bool observer_miss(Observer *o, hwaddr iova, bool write);

/* container.c */
extern const TypeInfo observer_container_type;
void observer_container_start(Observer *o, AddressSpace *as, Error **errp);
void observer_container_stop(Observer *o);

/* hold.c */
void observer_hold(hwaddr address);
bool observer_is_holding(void);
void observer_let_go(void);

/* passthrough.c */
bool observer_attach(Observer *o, AddressSpace *as, Error **errp);
void observer_detach(Observer *o);

#endif /* TESTS_QTEST_OBSERVER_STATE_H */
