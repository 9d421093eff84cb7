/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu: what all rooms of the QEMU side use
 *
 * The device's state, and what must be known of it everywhere: the list of
 * IOMMUs, endpoints and their numbers, guest mistakes, faults under way.
 *
 * Lock order: the big lock, then PviommuDevice.held, then PviommuDevice.lock,
 * then PviommuFaults.lock.  Each function of device/ is called with the big
 * lock, the device held, and without the others, unless it says otherwise; so
 * is the host.  What QEMU calls holds the device itself.
 */
#ifndef PVIOMMU_DEVICE_COMMON_H
#define PVIOMMU_DEVICE_COMMON_H

#include "system/memory.h"
#include "hw/pci/pci.h"
#include "hw/core/qdev.h"
#include "hw/core/qdev-properties.h"
#include "hw/virtio/virtio.h"
#include "hw/virtio/virtio-mmio.h"
#include "qemu/rcu.h"
#include "qemu/thread.h"
#include "qom/object.h"
#include "system/iothread.h"

#include "pviommu/device.h"
#include "pviommu/host.h"
#include "pviommu/iommu.h"
#include "pviommu/iommufd.h"
#include "pviommu/request.h"
#include "pviommu/shadow.h"

OBJECT_DECLARE_SIMPLE_TYPE(PviommuDevice, PVIOMMU_DEVICE)

/* Bytes of properties in a PROBE: room for 21 regions and formats of tables */
#define PVIOMMU_PROPERTIES_SIZE 512

/* Guest mistakes outside of requests, counted beside enum PviommuMistake */
typedef enum PviommuDeviceMistake {
    PVIOMMU_MISTAKE_CONFIG_WRITE = PVIOMMU_MISTAKE__MAX,
    PVIOMMU_MISTAKE_EVENT_BUFFER,
    PVIOMMU_MISTAKE_HUGE_BUFFER,
    PVIOMMU_MISTAKE__ALL,
} PviommuDeviceMistake;

/**
 * struct PviommuCounters - what happened since the machine started
 * @requests: by type; 0 counts the unknown ones
 * @statuses: by type and status
 * @mistakes: by PviommuMistake, then PviommuDeviceMistake
 * @kicks: notifications of new requests by the guest, atomically
 * @host_refusals: mappings and switches that the host refused
 * @mmio_left_out: MAPs of MMIO without anything that a host could map
 * @faults_reported: events that reached the guest
 * @faults_dropped: events for which there was no room
 */
typedef struct PviommuCounters {
    uint64_t requests[PVIOMMU_T__MAX];
    uint64_t statuses[PVIOMMU_T__MAX][PVIOMMU_S__MAX];
    uint64_t mistakes[PVIOMMU_MISTAKE__ALL];
    uint64_t kicks;
    uint64_t host_refusals;
    uint64_t mmio_left_out;
    uint64_t faults_reported;
    uint64_t faults_dropped;
} PviommuCounters;

/* Property host-path */
typedef enum PviommuHostPath {
    PVIOMMU_HOST_PATH_AUTO,
    PVIOMMU_HOST_PATH_NOTIFIER,
    PVIOMMU_HOST_PATH_CONTAINER,
    PVIOMMU_HOST_PATH_IOMMUFD,
} PviommuHostPath;

/* A kind of space, see spaces/spaces.h */
typedef struct PviommuSpaceOps PviommuSpaceOps;

/**
 * struct PviommuSpace - the address space of one group, of either kind
 * @rcu: frees it
 * @ops: its kind
 * @device: the IOMMU
 * @group: its group in core
 * @bus: with @devfn, whose requests arrive here; only compared, never read;
 *       NULL when the bus is no more, and for a virtio-mmio device
 * @devfn: see @bus
 * @host_group: number of the host's IOMMU group whose functions share the
 *              space, or -1
 * @overdue: to be forced, see pviommu_space_force_later()
 * @parked: its last device has left; it shows nothing until the next comes
 * @passthrough: a VFIO device asked for the space
 * @errnos_told: errnos of the host that the operator was told of, a bit each
 * @blocked_told: the operator was told that the space is blocked
 * @table_told: and that the guest does not announce what its table maps
 * @regions: reserved regions of the host, before those of the machine
 */
typedef struct PviommuSpace {
    struct rcu_head rcu;
    const PviommuSpaceOps *ops;
    PviommuDevice *device;
    PviommuGroup *group;
    PCIBus *bus;
    int devfn;
    int host_group;
    bool overdue;
    bool parked;
    bool passthrough;
    uint64_t errnos_told;
    bool blocked_told;
    bool table_told;
    PviommuRegions *regions;
} PviommuSpace;

/**
 * struct PviommuBusEndpoint - a number that the guest may attach
 * @dev: the device that it comes from, referenced
 * @pdev: the same as a PCI function; NULL for a virtio-mmio device
 * @id: the number of the latter
 * @space: where the device's requests arrive
 * @name: the group of a number that is no more than a name for a function
 *        whose requests bear another; NULL else
 * @requester: the number is that other, shared by the functions of @space
 * @endpoint: the endpoint in core
 */
typedef struct PviommuBusEndpoint {
    DeviceState *dev;
    PCIDevice *pdev;
    uint32_t id;
    PviommuSpace *space;
    PviommuGroup *name;
    bool requester;
    PviommuEndpoint *endpoint;
} PviommuBusEndpoint;

/**
 * struct PviommuFault - a fault on its way to the guest
 * @space: whose access
 * @address: IOVA
 * @access: PVIOMMU_FAULT_F_READ or _WRITE
 * @reason: PVIOMMU_FAULT_R_*
 */
typedef struct PviommuFault {
    PviommuSpace *space;
    uint64_t address;
    uint32_t access;
    uint8_t reason;
} PviommuFault;

#define PVIOMMU_FAULTS_PENDING 64

/**
 * struct PviommuFaults - faults between translate() and the guest
 * @lock: protects @pending, @count and @dropped; taken in any thread
 * @pending: oldest first
 * @count: how many
 * @dropped: faults lost for want of room here
 * @bh: delivers them under the big lock; set before the first fault
 */
typedef struct PviommuFaults {
    QemuMutex lock;
    PviommuFault pending[PVIOMMU_FAULTS_PENDING];
    unsigned count;
    uint64_t dropped;
    QEMUBH *bh;
} PviommuFaults;

/**
 * struct PviommuHeld - a lock that its holder may take again
 * @mutex: the lock
 * @waiting: how many wait for it with the big lock, atomically; who has not
 *           the big lock lets them pass
 * @holder: who holds it, atomically; NULL for nobody
 * @depth: how many times
 */
typedef struct PviommuHeld {
    QemuRecMutex mutex;
    unsigned waiting;
    GThread *holder;
    unsigned depth;
} PviommuHeld;

/* The request queue in an IOThread, see virtio/polled.c */
typedef struct PviommuPolled PviommuPolled;

/* Which functions the IOMMU is for */
typedef enum PviommuScope {
    PVIOMMU_SCOPE_ALL,
    PVIOMMU_SCOPE_PASSTHROUGH,
    PVIOMMU_SCOPE_LIST,
} PviommuScope;

/**
 * struct PviommuDevice - the virtio device
 * @parent_obj: the base
 *
 * @held: what a request looks at and changes, while it is run; see
 *        pviommu_hold()
 *
 * Under @held, and @lock for who writes, so that a holder of either may read:
 * @iommu: the core
 *
 * Under @lock alone: nothing.  Readers translate, the writer changes @iommu.
 * @lock: taken inside @held by the writer, in any thread by readers
 *
 * Atomically, more by readers of @lock alone:
 * @walks: walks of guests' tables that go on without the lock
 *
 * Under a lock of its own:
 * @faults: faults on their way to the guest
 *
 * Under @held:
 * @counters: for qom-get
 * @mistakes_logged: mistakes that were logged, a bit each
 * @log: requests-log
 * @unfinished: ends the request that a thread had to leave for want of the big
 *              lock; whoever holds the device with it calls this first
 *
 * Under the big lock and @held for who writes, so that a holder of either may
 * read:
 * @spaces: PviommuSpace *, owned, for the life of the device; those that are
 *          parked serve again
 * @endpoints: PviommuBusEndpoint *, owned
 * @iommufds: iommufd objects in use
 * @memory: tells of guest memory that comes and goes
 *
 * Under the big lock alone:
 * @requestq: queue 0
 * @polled: what serves it in @iothread; NULL without
 * @eventq: queue 1
 * @more: goes on with requests after a full batch
 * @swept: entries of guests' tables that the batch had to be read for
 * @overdue: forces those spaces that are overdue
 * @probed: iommufd objects, referenced, and whether tables can be made of them
 * @table_root: holds no more than @table_msi
 * @table_msi: alias of the MSI region
 * @table_as: what devices on host page tables are given as address space
 * @listener: tells of devices that come and go
 * @tidy: looks for those that left without a word
 * @ready: freezes what the guest will read
 * @frozen: the machine runs; granule and ranges are fixed
 * @system_reset: a reset of the machine is under way
 * @granule_size: the granule, a power of two
 * @host_bits: what aw-bits=auto is narrowed to
 * @driver_told: what the operator was told of the guest's driver, see driver.c
 * @attaches_before: ATTACH and ATTACH_TABLE requests until the driver was
 *                   ready last
 * @shutdown: the machine ends
 * @blocker: why the VM cannot migrate
 * @next: the IOMMU that was made next, see pviommu_next()
 *
 * Written while the device is realized, then only read:
 * @primary_bus: root bus whose devices are behind the IOMMU, or NULL
 * @function: the PCI function that holds the device, or NULL
 * @slot: the virtio-mmio slot that holds it, or NULL
 * @primary_bus_name: property primary-bus
 * @scope_name: property scope
 * @scope: what it says
 * @places: for PVIOMMU_SCOPE_LIST, the ways to functions: GByteArray *
 * @iothread_name: property iothread
 * @iothread: the object that it names, or NULL
 * @boot_bypass: property boot-bypass
 * @guest_tables: property guest-tables
 * @granule: property granule
 * @aw_bits: property aw-bits; 0 for auto
 * @host_path_name: property host-path
 * @host_path: the same, parsed
 * @keep_bypass: property keep-bypass
 * @max_domains: property max-domains
 * @max_mappings: property max-mappings
 * @log_path: property requests-log
 * @nr_regions: length of @regions
 * @regions: property reserved-regions
 */
struct PviommuDevice {
    VirtIODevice parent_obj;

    VirtQueue *requestq;
    PviommuPolled *polled;
    VirtQueue *eventq;
    PviommuHeld held;
    PviommuIommu *iommu;
    GRWLock lock;
    unsigned walks;
    QEMUBH *more;
    uint64_t swept;
    GPtrArray *spaces;
    QEMUBH *overdue;
    GPtrArray *endpoints;
    PviommuIommufdList iommufds;
    GHashTable *probed;
    MemoryRegion table_root;
    MemoryRegion table_msi;
    AddressSpace table_as;
    DeviceListener listener;
    QEMUBH *tidy;
    PviommuMemory memory;
    Notifier ready;
    bool frozen;
    bool system_reset;
    uint64_t granule_size;
    uint8_t host_bits;
    PviommuFaults faults;
    PviommuCounters counters;
    uint64_t mistakes_logged;
    unsigned driver_told;
    uint64_t attaches_before;
    Notifier shutdown;
    FILE *log;
    void (*unfinished)(PviommuDevice *s);
    Error *blocker;

    QTAILQ_ENTRY(PviommuDevice) next;
    PCIBus *primary_bus;
    PCIDevice *function;
    VirtIOMMIOProxy *slot;
    char *primary_bus_name;
    char *scope_name;
    PviommuScope scope;
    GPtrArray *places;
    char *iothread_name;
    IOThread *iothread;
    bool boot_bypass;
    bool guest_tables;
    char *granule;
    uint8_t aw_bits;
    char *host_path_name;
    PviommuHostPath host_path;
    bool keep_bypass;
    uint32_t max_domains;
    uint64_t max_mappings;
    char *log_path;
    uint32_t nr_regions;
    PviommuRegion *regions;
};

/**
 * pviommu_hold - have the state of the device to oneself
 * @s: the device
 *
 * Requests may be run in a thread of their own, which has not the big lock but
 * this.  So whatever else looks at what a request changes, or changes what one
 * looks at, does it between this and pviommu_release(): all that QEMU, the
 * guest and the user call.  It may be nested.
 *
 * Where a request needs the big lock as well, the thread leaves the rest of it
 * to who holds the device next, and that is done before this returns.
 *
 * Taken inside the big lock, if that is taken at all; who holds it and has not
 * the big lock waits for nobody who may.
 *
 * Return: @s.
 */
PviommuDevice *pviommu_hold(PviommuDevice *s);

/**
 * pviommu_hold_while - the same for a thread that has not the big lock
 * @s: the device, not held
 * @wanted: no longer, once this is false; read atomically
 *
 * Who sets @wanted to false may hold the device, and need not let go.
 *
 * Return: true if it is held.
 */
bool pviommu_hold_while(PviommuDevice *s, const bool *wanted);

/**
 * pviommu_release - the opposite of pviommu_hold()
 * @s: the device
 */
void pviommu_release(PviommuDevice *s);

/**
 * pviommu_is_held - whether the calling thread has it
 * @s: the device
 *
 * Return: true between pviommu_hold() and pviommu_release().
 */
bool pviommu_is_held(PviommuDevice *s);

typedef PviommuDevice PviommuHoldGuard;

G_DEFINE_AUTOPTR_CLEANUP_FUNC(PviommuHoldGuard, pviommu_release)

/* Hold the device until the end of the block */
#define PVIOMMU_HOLD_GUARD(s) \
    g_autoptr(PviommuHoldGuard) pviommu_guard_ G_GNUC_UNUSED = pviommu_hold(s)

/**
 * pviommu_write_lock - exclude translating threads, to change core
 * @s: the device, held
 *
 * Walks of guests' tables end before it returns: what the guest is told next
 * may be that the memory of a table is its own again.
 *
 * Not while the host is called: it takes long, and calls back into replay.
 */
void pviommu_write_lock(PviommuDevice *s);

/**
 * pviommu_write_unlock - the opposite of pviommu_write_lock()
 * @s: the device
 */
void pviommu_write_unlock(PviommuDevice *s);

/**
 * pviommu_walk_begin - keep writers out without the lock, for a walk
 * @s: the device, its lock held to read
 *
 * Until pviommu_walk_end(), before which the caller waits for nothing that
 * another thread may have while it takes the lock to write, the big lock first
 * of all.
 */
void pviommu_walk_begin(PviommuDevice *s);

/**
 * pviommu_walk_end - the opposite of pviommu_walk_begin()
 * @s: the device
 */
void pviommu_walk_end(PviommuDevice *s);

/**
 * pviommu_next - walk the IOMMUs of the machine
 * @s: where the walk is; NULL to start
 *
 * Return: the IOMMU that was made after @s, or NULL at the end.
 */
PviommuDevice *pviommu_next(const PviommuDevice *s);

/**
 * pviommu_instance_add - enter an IOMMU in the walk, as the last one
 * @s: the IOMMU
 */
void pviommu_instance_add(PviommuDevice *s);

/**
 * pviommu_instance_remove - the opposite of pviommu_instance_add()
 * @s: the IOMMU
 */
void pviommu_instance_remove(PviommuDevice *s);

/**
 * pviommu_endpoint_is_there - whether the device of an endpoint is plugged
 * @e: the endpoint
 *
 * Return: false once it has left its bus, though QEMU may not have said so.
 */
bool pviommu_endpoint_is_there(const PviommuBusEndpoint *e);

/**
 * pviommu_endpoint_first - find an endpoint whose requests arrive in a space
 * @space: the space
 * @except: a device whose endpoints do not count, or NULL
 *
 * Return: the first, or NULL if there is none.
 */
PviommuBusEndpoint *pviommu_endpoint_first(const PviommuSpace *space,
                                           const DeviceState *except);

/**
 * pviommu_space_endpoint_id - tell the number that requests of a space bear
 * @space: the space
 *
 * Return: the number as the guest gave it last; 0 if there is no endpoint.
 */
uint32_t pviommu_space_endpoint_id(const PviommuSpace *space);

/**
 * pviommu_device_mistake - count what the guest did wrong
 * @s: the device
 * @mistake: PviommuMistake or PviommuDeviceMistake
 * @detail: for the log, which has the first of each kind
 */
void pviommu_device_mistake(PviommuDevice *s, unsigned mistake,
                            const char *detail);

/**
 * pviommu_device_mistake_name - name a mistake for the log and the user
 * @mistake: below PVIOMMU_MISTAKE__ALL
 *
 * Return: a constant.
 */
const char *pviommu_device_mistake_name(unsigned mistake);

/**
 * pviommu_fault_add - report a fault
 * @space: whose access; lives as long as the device
 * @address: IOVA
 * @access: PVIOMMU_FAULT_F_READ or _WRITE
 * @reason: PVIOMMU_FAULT_R_*
 *
 * Any thread, any lock.  One report stands for all of the same space, page,
 * access and reason that wait beside it.  What finds no room is counted.
 */
void pviommu_fault_add(PviommuSpace *space, uint64_t address,
                       uint32_t access, uint8_t reason);

/**
 * pviommu_faults_take - take the faults that wait
 * @s: the device
 * @taken: room for PVIOMMU_FAULTS_PENDING, oldest first
 *
 * Return: how many there were.
 */
unsigned pviommu_faults_take(PviommuDevice *s, PviommuFault *taken);

/**
 * pviommu_faults_drop_all - forget the faults that wait, as at a reset
 * @s: the device
 */
void pviommu_faults_drop_all(PviommuDevice *s);

#endif /* PVIOMMU_DEVICE_COMMON_H */
