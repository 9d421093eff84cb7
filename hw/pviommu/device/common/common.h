/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu: what the files of the QEMU side share
 *
 * Lock order: the big lock, then PviommuDevice.lock, then events.lock.
 * State of the core changes under both of the first two, so that a holder of
 * either may read it.  The host is called with the big lock alone.
 */
#ifndef PVIOMMU_DEVICE_COMMON_H
#define PVIOMMU_DEVICE_COMMON_H

#include "exec/memory.h"
#include "hw/pci/pci.h"
#include "hw/qdev-core.h"
#include "hw/qdev-properties.h"
#include "hw/virtio/virtio.h"
#include "hw/virtio/virtio-mmio.h"
#include "qemu/rcu.h"
#include "qemu/thread.h"
#include "qom/object.h"

#include "pviommu/device.h"
#include "pviommu/fdt.h"
#include "pviommu/host.h"
#include "pviommu/iommu.h"
#include "pviommu/iommufd.h"
#include "pviommu/request.h"

OBJECT_DECLARE_SIMPLE_TYPE(PviommuDevice, PVIOMMU_DEVICE)

#define TYPE_PVIOMMU_MEMORY_REGION "pviommu-memory-region"

/* Bytes of properties in a PROBE: room for 21 reserved regions */
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
 * @host_refusals: mappings and switches that the host refused
 * @mmio_left_out: MAPs of MMIO without anything that a host could map
 * @faults_reported: events that reached the guest
 * @faults_dropped: events for which there was no room
 */
typedef struct PviommuCounters {
    uint64_t requests[PVIOMMU_T_PROBE + 1];
    uint64_t statuses[PVIOMMU_T_PROBE + 1][PVIOMMU_S__MAX];
    uint64_t mistakes[PVIOMMU_MISTAKE__ALL];
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

/**
 * struct PviommuPassed - a device that is moved between host page tables
 * @pdev: its PCI function; only compared
 * @device: what moves
 */
typedef struct PviommuPassed {
    PCIDevice *pdev;
    VFIODevice *device;
} PviommuPassed;

/**
 * struct PviommuSpace - the address space of one group
 * @device: the IOMMU
 * @group: its group in core
 * @bus: with @devfn, whose requests arrive here; only compared, never read;
 *       NULL when the bus is no more
 * @devfn: see @bus
 * @host_group: number of the host's IOMMU group whose functions share the
 *              space, or -1
 * @passed: PviommuPassed, when the devices of the space are moved between
 *          host page tables; NULL when the address space is mirrored
 * @iommufd: what those tables are made of, while there are devices
 * @table: the one that the devices are on; NULL for QEMU's
 * @root: holds @bypass and @iommu, of which one at most is enabled; these
 *        and the next three, and @shows, are unused with @passed
 * @bypass: alias of system memory
 * @iommu: where core translates
 * @as: the address space
 * @host: the same, as the host layer sees it
 * @shows: which of the two is enabled, and what the host was given
 * @parked: its last device has left; it shows nothing until the next comes
 * @passthrough: a VFIO device asked for the space
 * @told: errnos of the host that the operator was told of, a bit each
 * @told_blocked: the operator was told that the space is blocked
 * @regions: reserved regions of the host, before those of the machine
 * @rcu: frees it
 */
typedef struct PviommuSpace {
    struct rcu_head rcu;
    PviommuDevice *device;
    PviommuGroup *group;
    PCIBus *bus;
    int devfn;
    int host_group;
    GArray *passed;
    PviommuIommufd *iommufd;
    PviommuTable *table;
    MemoryRegion root;
    MemoryRegion bypass;
    IOMMUMemoryRegion iommu;
    AddressSpace as;
    PviommuHost host;
    PviommuState shows;
    bool parked;
    bool passthrough;
    uint64_t told;
    bool told_blocked;
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
 * struct PviommuEvents - faults between translate() and the guest
 * @lock: protects @pending, @count and @dropped; taken in any thread
 * @pending: oldest first
 * @count: how many
 * @dropped: faults lost for want of room here
 * @bh: delivers them under the big lock
 */
typedef struct PviommuEvents {
    QemuMutex lock;
    PviommuFault pending[PVIOMMU_FAULTS_PENDING];
    unsigned count;
    uint64_t dropped;
    QEMUBH *bh;
} PviommuEvents;

/* Which functions the IOMMU is for */
typedef enum PviommuScope {
    PVIOMMU_SCOPE_ALL,
    PVIOMMU_SCOPE_PASSTHROUGH,
    PVIOMMU_SCOPE_LIST,
} PviommuScope;

/**
 * struct PviommuDevice - the virtio device
 * @parent_obj: the base
 * @requestq: queue 0
 * @eventq: queue 1
 * @iommu: the core; see the lock order above
 * @lock: readers translate, the writer changes @iommu
 * @more: goes on with requests after a full batch
 * @spaces: PviommuSpace *, owned, for the life of the device; those that are
 *          parked serve again
 * @endpoints: PviommuBusEndpoint *, owned
 * @iommufds: iommufd objects in use
 * @probed: iommufd objects, referenced, and whether tables can be made of them
 * @table_root: holds no more than @table_msi
 * @table_msi: alias of the MSI region
 * @table_as: what devices on host page tables are given as address space
 * @said_path: the operator was told that host-path=auto found no iommufd
 * @listener: tells of devices that come and go
 * @tidy: looks for those that left without a word
 * @memory: tells of guest memory that comes and goes
 * @ready: freezes what the guest will read
 * @frozen: the machine runs; granule and ranges are fixed
 * @system_reset: a reset of the machine is under way
 * @granule_size: the granule, a power of two
 * @host_bits: what aw-bits=auto is narrowed to
 * @counters: for qom-get
 * @said: mistakes that were logged, a bit each
 * @log: requests-log
 * @blocker: why the VM cannot migrate
 * @next: the IOMMU that was made next, see pviommu_next()
 * @primary_bus: root bus whose devices are behind the IOMMU, or NULL
 * @own: the PCI function that holds the device, or NULL
 * @slot: the virtio-mmio slot that holds it, or NULL
 * @primary_bus_name: property primary-bus
 * @scope_name: property scope
 * @scope: what it says
 * @places: for PVIOMMU_SCOPE_LIST, the ways to functions: GByteArray *
 * @boot_bypass: property boot-bypass
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
    VirtQueue *eventq;
    PviommuIommu *iommu;
    GRWLock lock;
    QEMUBH *more;
    GPtrArray *spaces;
    GPtrArray *endpoints;
    PviommuIommufdList iommufds;
    GHashTable *probed;
    MemoryRegion table_root;
    MemoryRegion table_msi;
    AddressSpace table_as;
    bool said_path;
    DeviceListener listener;
    QEMUBH *tidy;
    PviommuMemory memory;
    Notifier ready;
    bool frozen;
    bool system_reset;
    uint64_t granule_size;
    uint8_t host_bits;
    PviommuEvents events;
    PviommuCounters counters;
    uint64_t said;
    FILE *log;
    Error *blocker;

    QTAILQ_ENTRY(PviommuDevice) next;
    PCIBus *primary_bus;
    PCIDevice *own;
    VirtIOMMIOProxy *slot;
    char *primary_bus_name;
    char *scope_name;
    PviommuScope scope;
    GPtrArray *places;
    bool boot_bypass;
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

/* virtio.c: config, reset */
const char *pviommu_device_mistake_name(unsigned mistake);
void pviommu_device_mistake(PviommuDevice *s, unsigned mistake,
                            const char *detail);

/* properties.c: types of properties */
extern const PropertyInfo pviommu_prop_aw_bits;
extern const PropertyInfo pviommu_prop_count;
extern const PropertyInfo pviommu_prop_region;

/* msi.c: where the machine takes interrupts */
bool pviommu_msi_region(PviommuRegion *region);

/* requests.c: the request queue */
void pviommu_requests_handle(VirtIODevice *vdev, VirtQueue *vq);
void pviommu_requests_more(void *opaque);

/**
 * struct PviommuTarget - a place that holds the mappings of a domain
 * @host: the place
 * @space: whose address space it is; NULL when it is a host page table
 *
 * The rest is private to pviommu_target_next(), all zeros to start.
 */
typedef struct PviommuTarget {
    PviommuHost *host;
    PviommuSpace *space;
    unsigned table;
    PviommuGroup *group;
} PviommuTarget;

/* targets.c: all places that hold the mappings of a domain */
bool pviommu_target_next(PviommuDomain *domain, PviommuTarget *target);
PviommuSpace *pviommu_target_space(PviommuDevice *s,
                                   const PviommuTarget *target);
void pviommu_target_lose(PviommuDevice *s, PviommuTarget *target);
bool pviommu_target_spare(PviommuDevice *s, PviommuTarget *target);

/* change.c: from core to host, and back when the host refuses */
int pviommu_change_apply(PviommuDevice *s, PviommuChange *change);
void pviommu_change_force(PviommuDevice *s, PviommuChange *change);
void pviommu_change_finish(PviommuDevice *s, PviommuChange *change);

/* memory.c: guest memory that changes under mappings */
void pviommu_follow_memory_start(PviommuDevice *s);
void pviommu_follow_memory_stop(PviommuDevice *s);

/* space.c: address spaces */
PviommuSpace *pviommu_space_new(PviommuDevice *s, PCIBus *bus, int devfn,
                                int host_group, bool tables);
void pviommu_space_free(PviommuSpace *space);
void pviommu_space_init_type(void);
int pviommu_space_switch(PviommuSpace *space);
void pviommu_space_force(PviommuSpace *space);
bool pviommu_space_served(const PviommuSpace *space);
const char *pviommu_space_host_path(PviommuSpace *space);
char *pviommu_space_host_devices(PviommuSpace *space);
void pviommu_space_lose(PviommuSpace *space);
void pviommu_space_retry(PviommuSpace *space);
void pviommu_space_park(PviommuSpace *space);
bool pviommu_space_held(const PviommuSpace *space);
void pviommu_space_regions_changed(PviommuSpace *space);
void pviommu_space_refused(PviommuSpace *space, const char *what, int err);

/* tables.c: devices that are moved between host page tables */
extern const PviommuMapping pviommu_all_memory;
bool pviommu_tables_chosen(PviommuDevice *s, PCIDevice *pdev);
AddressSpace *pviommu_tables_as(PviommuDevice *s);
void pviommu_tables_stop(PviommuDevice *s);
void pviommu_tables_explain(PCIDevice *pdev, Error **errp);
void pviommu_tables_expect(PviommuSpace *space, PCIDevice *pdev);
bool pviommu_tables_add(PviommuSpace *space, PCIDevice *pdev,
                        VFIODevice *device, Error **errp);
void pviommu_tables_find(PviommuSpace *space, PCIDevice *pdev);
void pviommu_tables_remove(PviommuSpace *space, PCIDevice *pdev);
int pviommu_tables_switch(PviommuSpace *space, PviommuState want);
PviommuSpace *pviommu_table_space(PviommuDevice *s,
                                  const PviommuTable *table);
void pviommu_table_lose(PviommuDevice *s, PviommuTable *table);

/* roots.c: PCI root buses, and which IOMMU serves which */
PviommuDevice *pviommu_next(const PviommuDevice *s);
PviommuDevice *pviommu_root_serving(PCIBus *bus);
bool pviommu_root_take(PviommuDevice *s, Error **errp);
void pviommu_root_leave(PviommuDevice *s);
void pviommu_root_check(PviommuDevice *s);

/* scope.c: which functions the IOMMU is for */
bool pviommu_scope_parse(PviommuDevice *s, Error **errp);
void pviommu_scope_free(PviommuDevice *s);
void pviommu_scope_check(const PviommuDevice *s);
bool pviommu_scope_holds(const PviommuDevice *s, PCIBus *bus, int devfn);
bool pviommu_scope_may_hold(const PviommuDevice *s, PCIBus *bus, int devfn);
bool pviommu_scope_goes_behind(const PviommuDevice *s);

/* ranges.c: which requester ids may be behind the IOMMU */
GArray *pviommu_ranges_new(const PviommuDevice *s);
unsigned pviommu_ranges_to_come(void);

/* endpoints.c: devices behind the IOMMU */
bool pviommu_is_vfio(const PCIDevice *pdev);
PCIDevice *pviommu_device_at(PCIBus *bus, int devfn);
extern const PCIIOMMUOps pviommu_pci_iommu_ops;
void pviommu_endpoints_start(PviommuDevice *s);
void pviommu_endpoints_stop(PviommuDevice *s);
void pviommu_endpoints_settle(PviommuDevice *s);
void pviommu_endpoints_renumber(PviommuDevice *s);
uint32_t pviommu_space_endpoint_id(const PviommuSpace *space);
char *pviommu_space_name(PviommuSpace *space);
bool pviommu_endpoints_check_order(PviommuDevice *s, Error **errp);

/* hostinfo.c: what hosts can do, agreed before the guest looks */
bool pviommu_host_info_check(PviommuDevice *s, Error **errp);
bool pviommu_host_info_add(PviommuDevice *s, PviommuSpace *space,
                           HostIOMMUDevice *hiod, Error **errp);
bool pviommu_host_info_add_ranges(PviommuDevice *s, PviommuSpace *space,
                                  const char *name, GList *ranges,
                                  Error **errp);
void pviommu_host_info_freeze(PviommuDevice *s);
void pviommu_host_info_check_memlock(PviommuDevice *s);

/* events.c: faults */
void pviommu_events_init(PviommuDevice *s);
void pviommu_events_cleanup(PviommuDevice *s);
void pviommu_events_add(PviommuSpace *space, uint64_t address,
                        uint32_t access, uint8_t reason);
void pviommu_events_drop_all(PviommuDevice *s);

/* mmio.c: the platform form */
bool pviommu_mmio_plug(PviommuDevice *s, Error **errp);

/* platform.c: virtio-mmio devices behind the IOMMU */
hwaddr pviommu_slot_address(const VirtIOMMIOProxy *slot);
uint32_t pviommu_slot_id(const VirtIOMMIOProxy *slot);
VirtIOMMIOProxy *pviommu_slot_of(DeviceState *dev);
bool pviommu_platform_take(PviommuDevice *s, Error **errp);
void pviommu_platform_check(void);
void pviommu_platform_leave(PviommuDevice *s);

/* publish.c: how the guest finds it */
void pviommu_publish_init(void);
void pviommu_publish(PviommuDevice *s);

/* armvirt.c: the ACPI tables of Arm's virt board */
bool pviommu_armvirt_publish(PviommuDevice *s);

/* microvm.c: a table among those of the board microvm */
bool pviommu_microvm_add_table(const GByteArray *table);

/* viot.c: ACPI table */
GByteArray *pviommu_viot_build(void);
bool pviommu_viot_publish(PviommuDevice *s);
void pviommu_viot_refresh(void);

/* introspect.c: qom-get */
void pviommu_introspect_class_init(ObjectClass *oc);

/* types */
void pviommu_pci_init_type(void);

#endif /* PVIOMMU_DEVICE_COMMON_H */
