/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu: how the mappings of a domain reach the host
 *
 * They go to address spaces and to host page tables.  Whoever mirrors an
 * address space has registered an IOMMU notifier on its IOMMU memory region.
 * A notifier that belongs to a VFIO container is bypassed: the container is
 * called itself, because only it returns the host's verdict, and takes sizes
 * that are no power of two.  Every other notifier (vhost, vDPA, any listener)
 * gets events.  A host page table (pviommu/iommufd.h) is its own receiver.
 *
 * Locking: the big lock, held by the caller of every function here but
 * pviommu_host_idle(), pviommu_find_ram() and pviommu_read_entry(); and but
 * those that map, unmap and invalidate, where @host is a page table, whose
 * calls the caller then keeps apart from all others.  None of them takes the
 * device's lock.
 */
#ifndef PVIOMMU_HOST_H
#define PVIOMMU_HOST_H

#include "pviommu/mappings.h"
#include "pviommu/wire.h"

#include "system/memory.h"
#include "pviommu/compat.h"

struct PviommuTable;

/**
 * struct PviommuHost - an address space as the host sees it, or a host page
 *                      table
 * @table: the table; the other members are then unused
 * @as: the address space
 * @mr: the IOMMU memory region in it
 * @switching: the device enables or disables @mr; it fills the receivers
 *             itself afterwards, so that replays deliver nothing
 * @events_only: send events to VFIO's notifiers, too
 * @guarded: the containers between pviommu_host_guard() and _unguard()
 */
typedef struct PviommuHost {
    struct PviommuTable *table;
    AddressSpace *as;
    IOMMUMemoryRegion *mr;
    bool switching;
    bool events_only;
    GSList *guarded;
} PviommuHost;

/* A refusal that could not be undone: what the host holds is not known */
#define PVIOMMU_HOST_LOST (-ENOTRECOVERABLE)

/**
 * pviommu_host_map - map on every receiver, or on none
 * @host: where
 * @mapping: what to map; parts that are no RAM are left out
 * @section: the only part of guest memory to map, or NULL for all
 *
 * Return: 0, or the negative errno of the first refusal, undone;
 * PVIOMMU_HOST_LOST when the undo failed too, and then @host must be
 * cleared.
 */
int pviommu_host_map(PviommuHost *host, const PviommuMapping *mapping,
                     const MemoryRegionSection *section);

/**
 * pviommu_host_unmap - unmap on every receiver, or on none
 * @host: where
 * @mapping: what pviommu_host_map() was given, or what
 *           pviommu_pieces_clip() made of it
 *
 * Return: as pviommu_host_map().
 */
int pviommu_host_unmap(PviommuHost *host, const PviommuMapping *mapping);

/**
 * pviommu_host_unmap_hidden - unmap at once all that is being removed
 * @host: where
 * @set: its hidden mappings; nothing else is mapped between the first and the
 *       last of them
 *
 * Return: true when they are gone.  False when there are not several, when
 * @host has several receivers, or when one call for all was refused, and then
 * some may be gone: the caller unmaps them one by one, and those that are gone
 * are unmapped without an error.
 */
bool pviommu_host_unmap_hidden(PviommuHost *host, const PviommuMappings *set);

/**
 * pviommu_host_clear - remove everything from every receiver
 * @host: where
 *
 * Return: 0, or the first negative errno; all receivers were tried.
 */
int pviommu_host_clear(PviommuHost *host);

/**
 * pviommu_host_fill - map a whole set on every receiver
 * @host: where; cleared
 * @set: the mappings
 *
 * Return: 0, or the negative errno of the first refusal; what was mapped
 * stays until pviommu_host_clear().
 */
int pviommu_host_fill(PviommuHost *host, const PviommuMappings *set);

/**
 * pviommu_host_replay - map a whole set on one receiver that asked
 * @host: the address space
 * @notifier: who asks
 * @set: the mappings
 *
 * A refusal goes to the container that is being set up, which then refuses
 * its device.  Does nothing while @host->switching.
 */
void pviommu_host_replay(PviommuHost *host, IOMMUNotifier *notifier,
                         const PviommuMappings *set);

/**
 * pviommu_host_refuse - refuse a device to a container that is being set up
 * @host: the address space
 * @notifier: who asked for a replay
 * @err: why, taken over
 *
 * Return: false when it is no such container, or is refused already.
 */
bool pviommu_host_refuse(const PviommuHost *host,
                         const IOMMUNotifier *notifier, Error *err);

/**
 * pviommu_host_guard - before a change of RAM, which must not end QEMU
 * @host: the address space; not guarded yet
 *
 * VFIO's listener (vfio_listener_region_add() in hw/vfio/common.c) ends QEMU
 * when a running container refuses RAM, but stores the error in one that is
 * not yet initialized.
 */
void pviommu_host_guard(PviommuHost *host);

/**
 * pviommu_host_unguard - after the change
 * @host: the address space
 *
 * Return: 0, or the negative errno of the first container that refused; it
 * holds part of the change, and the caller sees to it.
 */
int pviommu_host_unguard(PviommuHost *host);

/**
 * pviommu_host_empty - remove everything from every container
 * @host: the address space; what VFIO's listener mirrors of it goes, too
 *
 * Changes no memory region, so that a listener may call it.  What the
 * listener removes later is gone by then, which type1 and iommufd take for
 * success.
 *
 * Return: 0, or the first negative errno; all containers were tried.
 */
int pviommu_host_empty(PviommuHost *host);

/**
 * pviommu_host_idle - whether nobody mirrors the IOMMU memory region
 * @host: the address space
 *
 * May be called in any thread: QEMU registers a notifier before its owner asks
 * for a translation.
 *
 * Return: true when mapping and unmapping has no receiver.
 */
bool pviommu_host_idle(const PviommuHost *host);

/**
 * pviommu_host_wants_maps - whether somebody has to be told of each mapping
 * @host: the address space
 *
 * VFIO and vDPA have; vhost asks for what it lacks.
 *
 * Return: true if so: then it has to be told what a table of the guest's maps.
 */
bool pviommu_host_wants_maps(const PviommuHost *host);

/**
 * pviommu_host_invalidate - end what receivers keep of a table of the guest's
 * @host: where
 * @range: @range.first to @range.last
 *
 * Return: 0, or the first negative errno; all receivers were tried.
 */
int pviommu_host_invalidate(PviommuHost *host, const PviommuMapping *range);

/**
 * struct PviommuRam - guest memory, all in one block of RAM
 * @mr: the block
 * @offset: in it
 * @at: where QEMU sees it
 */
typedef struct PviommuRam {
    MemoryRegion *mr;
    hwaddr offset;
    void *at;
} PviommuRam;

/**
 * pviommu_find_ram - find guest memory that can be used without the big lock
 * @as: an address space
 * @address: in it
 * @size: how many bytes are wanted, 1 or more
 * @write: it must be writable
 * @ram: where to put it; it does not outlast the RCU critical section that the
 *       caller is in
 *
 * Any thread, any lock.
 *
 * Return: false where there is no RAM, or not all in one block: registers,
 * BARs of passed-through devices, nothing; with @write also ROM.
 */
bool pviommu_find_ram(AddressSpace *as, uint64_t address, hwaddr size,
                      bool write, PviommuRam *ram);

/**
 * pviommu_read_entry - read an entry of a page table out of guest memory
 * @address: guest-physical, a multiple of 8
 * @entry: where to put it; little endian in memory
 * @opaque: not looked at
 *
 * Any thread, any lock.  Loads once, all 8 bytes.
 *
 * Return: false where there is no RAM that the guest can write: registers and
 * ROM, BARs of passed-through devices, nothing.
 */
bool pviommu_read_entry(uint64_t address, uint64_t *entry, void *opaque);

/**
 * struct PviommuEntryCache - where entries were read last
 * @page: guest-physical address of a page of table
 * @at: where QEMU sees it; NULL for no page
 */
typedef struct PviommuEntryCache {
    uint64_t page;
    const uint64_t *at;
} PviommuEntryCache;

/**
 * pviommu_read_entry_cached - as pviommu_read_entry(), many times
 * @address: guest-physical, a multiple of 8
 * @entry: where to put it
 * @opaque: a PviommuEntryCache, all zeros at first
 *
 * The big lock is held from the first time to the last, so that memory stays
 * where it is.
 *
 * Return: as pviommu_read_entry().
 */
bool pviommu_read_entry_cached(uint64_t address, uint64_t *entry,
                               void *opaque);

/**
 * pviommu_host_path - name the way mappings take
 * @host: the address space
 *
 * Return: "container" when a VFIO container mirrors the address space and is
 * called for its verdict, "notifier" when someone mirrors it who is only told,
 * "none" when nobody does.
 */
const char *pviommu_host_path(PviommuHost *host);

/**
 * pviommu_host_device_name - name the passed-through devices
 * @host: the address space
 *
 * Return: their VFIO names with commas, or NULL; owned by the caller.
 */
char *pviommu_host_device_name(PviommuHost *host);

/**
 * struct PviommuPiece - a part of a mapping that is one block of RAM
 * @iova: where the device sees it
 * @phys: where the guest sees it
 * @size: bytes; a multiple of the host's page size
 * @vaddr: where QEMU sees it
 * @mr: the RAM, or the BAR of a passed-through device, that it is part of
 * @flags: PVIOMMU_MAP_F_READ, _WRITE or both: what the mapping allows, but
 *         no writing to ROM
 */
typedef struct PviommuPiece {
    uint64_t iova;
    uint64_t phys;
    uint64_t size;
    void *vaddr;
    MemoryRegion *mr;
    uint32_t flags;
} PviommuPiece;

/**
 * typedef PviommuPieceFunc - called for each piece
 * @piece: the piece
 * @opaque: as given
 *
 * Return: 0 to go on, else a value to stop with.
 */
typedef int PviommuPieceFunc(const PviommuPiece *piece, void *opaque);

/**
 * pviommu_pieces_foreach - walk the RAM under a mapping
 * @mapping: the mapping
 * @section: part of guest memory to look at, which may not be in place or
 *           populated yet; NULL for all of guest memory as it is
 * @func: called for each piece, in order of IOVA
 * @opaque: handed on to @func
 *
 * Pieces are maximal, but none crosses the middle of the 64-bit space (VFIO
 * clears the two halves separately, and type1 refuses to unmap part of what
 * one call mapped).  Of memory that a RamDiscardManager rules only what is
 * populated is shown, in pieces that can be discarded one by one.  What
 * allows nothing (ROM under a mapping to be written) is left out.
 *
 * Return: 0, or what @func stopped with.
 */
int pviommu_pieces_foreach(const PviommuMapping *mapping,
                           const MemoryRegionSection *section,
                           PviommuPieceFunc *func, void *opaque);

/**
 * pviommu_pieces_clip - cut a mapping to a section of guest memory
 * @mapping: the mapping
 * @section: the section
 * @clipped: where to put the part, cut to whole pages of the host
 *
 * Return: whether there is such a part.
 */
bool pviommu_pieces_clip(const PviommuMapping *mapping,
                         const MemoryRegionSection *section,
                         PviommuMapping *clipped);

/**
 * struct PviommuReceiverOps - a kind of receiver
 * @name: for pviommu_host_path()
 * @map: map one piece; 0 or negative errno
 * @unmap: unmap all pieces of a mapping, or of all hidden mappings of a set,
 *         if there is one, which the mapping then spans; 0 or negative errno
 * @clear: unmap everything; 0 or negative errno
 * @invalidate: forget what it found by itself in a table of the guest's; 0 or
 *              negative errno.  NULL for one that never looks
 */
typedef struct PviommuReceiverOps {
    const char *name;
    int (*map)(void *receiver, const PviommuPiece *piece);
    int (*unmap)(void *receiver, const PviommuMapping *mapping,
                 const PviommuMappings *set);
    int (*clear)(void *receiver);
    int (*invalidate)(void *receiver, const PviommuMapping *range);
} PviommuReceiverOps;

/* Receivers: an IOMMUNotifier *, a PviommuVfioContainer *, a PviommuTable * */
extern const PviommuReceiverOps pviommu_notifier_ops;
extern const PviommuReceiverOps pviommu_container_ops;
extern const PviommuReceiverOps pviommu_table_ops;

/**
 * typedef PviommuContainerFunc - called for a container
 * @container: the container
 * @opaque: as given
 *
 * Return: false to stop.
 */
typedef bool PviommuContainerFunc(PviommuVfioContainer *container,
                                  void *opaque);

/**
 * pviommu_container_foreach - visit the VFIO containers of an address space
 * @as: the address space
 * @func: called for each
 * @opaque: handed on to @func
 */
void pviommu_container_foreach(AddressSpace *as, PviommuContainerFunc *func,
                               void *opaque);

/**
 * pviommu_container_find - find the container that owns a notifier
 * @as: the address space that the container mirrors
 * @notifier: the notifier
 *
 * Return: the container, or NULL.
 */
PviommuVfioContainer *pviommu_container_find(AddressSpace *as,
                                             const IOMMUNotifier *notifier);

/**
 * pviommu_vhost_forget - have vhost forget memory that leaves in bypass
 * @host: the address space; nobody mirrors its IOMMU memory region
 * @as: where a device of that address space does its DMA
 * @gone: the memory
 */
void pviommu_vhost_forget(PviommuHost *host, AddressSpace *as,
                          const MemoryRegionSection *gone);

/**
 * struct PviommuMemoryOps - what is called when guest memory changes
 * @begin: before a memory transaction reaches any listener, of whatever
 *         address space
 * @end: after it has reached them all; as @begin, once however deep they nest
 * @change: RAM, @section, appears (@present) or goes away, while the topology
 *          still shows the state before; in a transaction, or alone when
 *          memory is populated or discarded in place.  0, or a negative errno
 *          that refuses to populate memory
 *
 * None may start a memory transaction: it would run within the one that goes
 * on, of which the other listeners would then be told twice.
 */
typedef struct PviommuMemoryOps {
    void (*begin)(void *opaque);
    void (*end)(void *opaque);
    int (*change)(const MemoryRegionSection *section, bool present,
                  void *opaque);
} PviommuMemoryOps;

/**
 * struct PviommuMemory - watches guest memory
 * @listener: on the address space of the system
 * @discards: PviommuDiscard, one for each section that can be discarded
 * @ops: told of every change
 * @opaque: for @ops
 * @depth: of nested memory transactions
 */
typedef struct PviommuMemory {
    MemoryListener listener;
    QLIST_HEAD(, PviommuDiscard) discards;
    const PviommuMemoryOps *ops;
    void *opaque;
    unsigned depth;
} PviommuMemory;

/**
 * pviommu_memory_is_discardable - whether memory is populated in place
 * @memory: as started
 * @mapping: @mapping.phys and its size say where
 *
 * What is there then changes outside of memory transactions.
 *
 * Return: true if a RamDiscardManager rules some of it.
 */
bool pviommu_memory_is_discardable(const PviommuMemory *memory,
                                   const PviommuMapping *mapping);

/**
 * pviommu_memory_watch - start to watch guest memory
 * @memory: all zeros
 * @ops: called at once for what is there, then for every change
 * @opaque: handed on to @ops
 */
void pviommu_memory_watch(PviommuMemory *memory, const PviommuMemoryOps *ops,
                          void *opaque);

/**
 * pviommu_memory_unwatch - stop to watch guest memory
 * @memory: as started
 */
void pviommu_memory_unwatch(PviommuMemory *memory);

#endif /* PVIOMMU_HOST_H */
