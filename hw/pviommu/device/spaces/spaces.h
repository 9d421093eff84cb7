/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu: what devices reach: address spaces, and what the host holds of them
 *
 * A space is the address space of a group of core.  What core changes is
 * carried to the host here, and taken back when the host refuses.  Each
 * function here is called with the big lock and the device held, and without
 * the device's lock, unless it says otherwise; the host may call back into a
 * space's replay.
 */
#ifndef PVIOMMU_DEVICE_SPACES_H
#define PVIOMMU_DEVICE_SPACES_H

#include "common/common.h"

/**
 * struct PviommuSpaceOps - a kind of space
 * @shares_pins: guest memory is pinned once for all spaces of the kind that
 *               are in bypass, not once for each
 * @create: allocate one, with pviommu_space_init(); for pviommu_space_new()
 * @release: free what it has beyond the base
 * @address_space: what QEMU is to be given for its devices
 * @show: bring the host to a state; see pviommu_space_switch()
 * @served: the address space, as the host layer sees it, that changes of its
 *          domain must be carried to; NULL for none
 * @formats: which tables of the guest's can serve its devices
 * @held: whether somebody has to do with it when parked; VFIO has, until its
 *        device is finalized, which is after it left
 * @path: name the way to the host: a constant, see property host-path; "none"
 * @devices: VFIO's names of its devices, with commas, or NULL; owned by the
 *           caller
 * @add: take a device that VFIO has attached; false refuses it, with the
 *       reason, and then it is not taken
 * @expect: make way for a device that is about to be attached
 * @realized: a device is there, though VFIO may not have told of it
 * @remove: let a device go before VFIO detaches it; it may be unknown
 * @forget: RAM leaves guest memory: end what somebody keeps of it in bypass.
 *          Devices reach it by the address space given, NULL for the own
 * @takes_memory: whether memory may be populated in place now
 * @memory_begins: guest memory is about to change: what a host refuses must
 *                 not end QEMU
 * @memory_ends: it has changed, and no region may change before all listeners
 *               know: where a host refused, the space is fenced and emptied
 */
struct PviommuSpaceOps {
    bool shares_pins;
    PviommuSpace *(*create)(PviommuDevice *s);
    void (*release)(PviommuSpace *space);
    AddressSpace *(*address_space)(PviommuSpace *space);
    int (*show)(PviommuSpace *space, PviommuState want);
    PviommuHost *(*served)(PviommuSpace *space);
    PviommuFormats (*formats)(PviommuSpace *space);
    bool (*held)(PviommuSpace *space);
    const char *(*path)(PviommuSpace *space);
    char *(*devices)(PviommuSpace *space);
    bool (*add)(PviommuSpace *space, PCIDevice *pdev, HostIOMMUDevice *hiod,
                Error **errp);
    void (*expect)(PviommuSpace *space, PCIDevice *pdev);
    void (*realized)(PviommuSpace *space, PCIDevice *pdev);
    void (*remove)(PviommuSpace *space, PCIDevice *pdev);
    void (*forget)(PviommuSpace *space, AddressSpace *seen,
                   const MemoryRegionSection *section);
    bool (*takes_memory)(PviommuSpace *space);
    void (*memory_begins)(PviommuSpace *space);
    void (*memory_ends)(PviommuSpace *space);
};

/* Mirrored by QEMU's listeners and notifiers: vhost, VFIO's containers */
extern const PviommuSpaceOps pviommu_mirror_ops;

/* Its devices are moved between host page tables of our own */
extern const PviommuSpaceOps pviommu_table_space_ops;

/* Register the type of a mirror's IOMMU memory region, once */
void pviommu_mirror_init_type(void);

/**
 * pviommu_space_new - make an address space, with a group of core
 * @s: the device, which owns it
 * @kind: which kind
 *
 * Return: the space, of no bus yet, in the state of a device that is attached
 * nowhere.
 */
PviommuSpace *pviommu_space_new(PviommuDevice *s, const PviommuSpaceOps *kind);

/**
 * pviommu_space_init - make the base of a space, for its kind
 * @space: all zeros
 * @s: the device
 * @ops: the kind
 */
void pviommu_space_init(PviommuSpace *space, PviommuDevice *s,
                        const PviommuSpaceOps *ops);

/**
 * pviommu_space_free - free an address space
 * @space: the space, with no endpoint; the device goes too
 */
void pviommu_space_free(PviommuSpace *space);

/**
 * pviommu_space_switch - bring the host in line with core
 * @space: the space, whose group may have another state than the host
 *
 * Nothing of the old state is left before anything of the new one is there.
 *
 * Return: 0, or a negative errno when the host refused, which the operator
 * was told: then the space shows nothing, or on host page tables what it did
 * before.
 */
int pviommu_space_switch(PviommuSpace *space);

/**
 * pviommu_space_force - the same for a change that nobody can refuse
 * @space: the space
 *
 * What fails leaves the space fenced, that is, blocked whatever core says.
 */
void pviommu_space_force(PviommuSpace *space);

/**
 * pviommu_space_force_later - have it forced from a bottom half
 * @space: the space
 *
 * For those who may not change regions: a listener that starts a memory
 * transaction in one that goes on has the others told twice.  A switch that
 * comes first will do.
 */
void pviommu_space_force_later(PviommuSpace *space);

/**
 * pviommu_spaces_force_overdue - the bottom half
 * @opaque: the device
 */
void pviommu_spaces_force_overdue(void *opaque);

/**
 * pviommu_space_fence - block a space that was served, whatever core says
 * @space: the space; guest and operator are told, as no request need be the
 *         cause, and the caller empties the host
 */
void pviommu_space_fence(PviommuSpace *space);

/**
 * pviommu_space_lose - nothing is known of what the host holds
 * @space: the space; fenced, and its host emptied
 */
void pviommu_space_lose(PviommuSpace *space);

/**
 * pviommu_space_retry - the opposite of pviommu_space_lose()
 * @space: the space, which gets a fresh start
 */
void pviommu_space_retry(PviommuSpace *space);

/**
 * pviommu_space_park - show nothing, as the last device has left
 * @space: the space; pviommu_space_retry() ends it
 */
void pviommu_space_park(PviommuSpace *space);

/**
 * pviommu_space_regions_changed - tell core what is reserved
 * @space: the space; the regions of its host and, stronger, those of the
 *         machine are what is reserved in its group
 */
void pviommu_space_regions_changed(PviommuSpace *space);

/**
 * pviommu_spaces_set_formats - tell core who may have tables of the guest's
 * @s: the device
 *
 * Who watches a space may change at any time, so before each request that
 * this matters to.
 */
void pviommu_spaces_set_formats(PviommuDevice *s);

/**
 * pviommu_space_name - name a space before a person
 * @space: the space
 *
 * Return: its first endpoint and its devices; owned by the caller.
 */
char *pviommu_space_name(PviommuSpace *space);

/**
 * pviommu_space_refused - count a refusal of the host, and tell the operator
 * @space: whose; told once for each @err
 * @what: what was refused, for the message
 * @err: a positive errno
 */
void pviommu_space_refused(PviommuSpace *space, const char *what, int err);

/* Identity, of whatever memory there is */
extern const PviommuMapping pviommu_all_memory;

/**
 * pviommu_choice_is_tables - whether a function shall be on host page tables
 * @s: the device
 * @pdev: a function that asks for its address space
 *
 * Asks the host once for each iommufd object, and tells the operator when
 * the user's wish cannot be met.
 *
 * Return: the choice, the same each time.
 */
bool pviommu_choice_is_tables(PviommuDevice *s, PCIDevice *pdev);

/**
 * pviommu_choice_explain - say why host-path=iommufd does not go
 * @pdev: a function that was not chosen
 * @errp: the reason, and what to do
 */
void pviommu_choice_explain(PCIDevice *pdev, Error **errp);

/**
 * pviommu_tables_stop - free what all table spaces are given as address space
 * @s: the device, which goes
 */
void pviommu_tables_stop(PviommuDevice *s);

/**
 * pviommu_space_is_on - whether the devices of a space are on a table
 * @space: of either kind
 * @table: a host page table of our own
 *
 * Return: true if they are.
 */
bool pviommu_space_is_on(PviommuSpace *space, const PviommuTable *table);

/**
 * pviommu_table_user - find who is on a host page table
 * @s: the device
 * @table: the table
 *
 * Return: the first space whose devices are, or NULL.
 */
PviommuSpace *pviommu_table_user(PviommuDevice *s, const PviommuTable *table);

/**
 * pviommu_tables_spare - free tables of bypass that are of no use
 * @s: the device; those that are to be kept stay
 */
void pviommu_tables_spare(PviommuDevice *s);

/**
 * pviommu_table_lose - nothing is known of what a host page table holds
 * @s: the device
 * @table: the table; its devices, and those on tables that nest in it, are
 *         blocked, and all of them are freed
 */
void pviommu_table_lose(PviommuDevice *s, PviommuTable *table);

/**
 * struct PviommuTarget - a place that holds the mappings of a domain
 * @shadows: of a domain with a table of the guest's, only the places that hold
 *           its shadow
 * @except: an address space to be left out, or NULL
 * @host: the place
 * @space: whose address space it is; NULL when it is a host page table
 *
 * The first two are the caller's.  The rest is private to
 * pviommu_target_next(), all zeros to start.
 */
typedef struct PviommuTarget {
    bool shadows;
    const PviommuSpace *except;
    PviommuHost *host;
    PviommuSpace *space;
    unsigned table;
    PviommuGroup *group;
} PviommuTarget;

/**
 * pviommu_target_next - walk the places
 * @domain: the domain
 * @target: the walk; all zeros to start
 *
 * A group that is fenced has no part in it.
 *
 * Return: whether there is one more.
 */
bool pviommu_target_next(PviommuDomain *domain, PviommuTarget *target);

/**
 * struct PviommuCarry - how far a MAP or UNMAP has come
 * @target: the place that has been, or is to be, asked last
 * @asks: it is to be asked
 * @refused: for UNMAP, what it refused
 * @ret: its negative errno, or 0
 */
typedef struct PviommuCarry {
    PviommuTarget target;
    bool asks;
    PviommuMapping refused;
    int ret;
} PviommuCarry;

/**
 * pviommu_targets_carry - map or unmap at all places, up to a refusal
 * @s: the device
 * @change: of kind MAP or UNMAP
 * @carry: how far it has come; all zeros but for the start of the walk to begin
 *
 * The big lock need not be held.
 *
 * Return: false if it is needed from here on: then nothing else may be done
 * with the device until this is called again with it.  Else @carry->ret is the
 * refusal of a place that cannot be spared, or 0.
 */
bool pviommu_targets_carry(PviommuDevice *s, const PviommuChange *change,
                           PviommuCarry *carry);

/**
 * pviommu_targets_settle_map - take a MAP back that was refused
 * @s: the device
 * @change: of kind MAP
 * @walk: where @carry started
 * @carry: from pviommu_targets_carry(), which returned true
 *
 * A refusal is told to the operator, and to the guest as a fault.  Without one
 * the big lock need not be held.
 *
 * Return: 0 if there was none, or the negative errno of the host;
 * PVIOMMU_HOST_LOST when an endpoint had to be blocked.
 */
int pviommu_targets_settle_map(PviommuDevice *s, const PviommuChange *change,
                               PviommuTarget walk, PviommuCarry *carry);

/**
 * pviommu_targets_try_invalidate - what can be done of it without the big lock
 * @domain: a domain with a table of the guest's, and no shadow
 * @range: @range.first to @range.last
 *
 * Return: false if a place refuses, or cannot be asked: all are to be asked
 * again, with the big lock.
 */
bool pviommu_targets_try_invalidate(PviommuDomain *domain,
                                    const PviommuMapping *range);

/**
 * pviommu_targets_map - map at all places, or at none
 * @s: the device
 * @domain: the domain
 * @walk: which places
 * @m: the mapping
 *
 * A refusal is told to the operator, and to the guest as a fault.
 *
 * Return: 0, or the negative errno of the host; PVIOMMU_HOST_LOST when an
 * endpoint had to be blocked.
 */
int pviommu_targets_map(PviommuDevice *s, PviommuDomain *domain,
                        PviommuTarget walk, const PviommuMapping *m);

/**
 * pviommu_targets_invalidate - end what anybody keeps of a guest's table
 * @s: the device
 * @domain: a domain with such a table
 * @range: @range.first to @range.last
 *
 * Who keeps something asked for it, and asks again.  The endpoints at a place
 * that refuses are blocked.
 *
 * Return: 0, or PVIOMMU_HOST_LOST if an endpoint had to be blocked.
 */
int pviommu_targets_invalidate(PviommuDevice *s, PviommuDomain *domain,
                               const PviommuMapping *range);

/**
 * pviommu_target_space - find an endpoint that uses a place
 * @s: the device
 * @target: the place
 *
 * Return: its address space, or that of the first device on the host page
 * table; NULL when there is none on it.
 */
PviommuSpace *pviommu_target_space(PviommuDevice *s,
                                   const PviommuTarget *target);

/**
 * pviommu_target_lose - nothing is known of what a place holds
 * @s: the device
 * @target: the place; a walk may go on with it
 *
 * The endpoints that use it are blocked; a host page table is freed.
 */
void pviommu_target_lose(PviommuDevice *s, PviommuTarget *target);

/**
 * pviommu_target_spare - do without a place that refuses
 * @s: the device
 * @target: the place; a walk may go on with it
 *
 * Return: true if it was a host page table that no endpoint uses: it is gone.
 */
bool pviommu_target_spare(PviommuDevice *s, PviommuTarget *target);

/**
 * pviommu_target_refused - a place refuses what cannot be done without
 * @s: the device
 * @target: the place; a walk may go on with it
 * @what: what was refused, for the message
 * @err: a positive errno
 *
 * Return: false if it could be spared; else its endpoints are blocked.
 */
bool pviommu_target_refused(PviommuDevice *s, PviommuTarget *target,
                            const char *what, int err);

/**
 * pviommu_shadow_formats - tables that can serve who must be told of mappings
 * @s: the device
 *
 * Return: all, with new entries to be announced; none where the host's pages
 * are larger than those of tables.
 */
PviommuFormats pviommu_shadow_formats(const PviommuDevice *s);

/**
 * pviommu_space_is_shadowed - whether somebody has to be told of a table
 * @space: the space
 *
 * Return: true if a table of the guest's decides, and who mirrors the space
 * cannot ask.
 */
bool pviommu_space_is_shadowed(PviommuSpace *space);

/**
 * pviommu_shadow_build - give a domain a shadow
 * @s: the device
 * @domain: any; nothing is done if it has one, or has no table of the guest's
 *
 * Whoever holds it is filled by the caller.
 *
 * Return: 0, or a negative errno: then it has none.
 */
int pviommu_shadow_build(PviommuDevice *s, PviommuDomain *domain);

/**
 * pviommu_shadow_plan - have a shadow follow its table
 * @s: the device
 * @domain: a domain with a table of the guest's
 * @range: @range.first to @range.last
 *
 * Return: the plan, enacted, to be carried to the hosts and freed; NULL as
 * pviommu_plan_new().
 */
PviommuPlan *pviommu_shadow_plan(PviommuDevice *s, PviommuDomain *domain,
                                 const PviommuMapping *range);

/**
 * pviommu_shadow_verdict - say whether a plan is all that there was to do
 * @plan: the plan, enacted
 *
 * Return: 0, or a negative errno.
 */
int pviommu_shadow_verdict(const PviommuPlan *plan);

/**
 * pviommu_shadow_drop - take the shadow from a domain
 * @s: the device
 * @domain: a domain with a table of the guest's; no host holds it any more
 */
void pviommu_shadow_drop(PviommuDevice *s, PviommuDomain *domain);

/**
 * pviommu_shadow_follow - have a shadow, and all who hold it, follow its table
 * @s: the device
 * @domain: a domain; nothing is done if it has no shadow
 * @range: @range.first to @range.last
 * @except: a space that does not hold it yet, or NULL
 *
 * Whatever it returns, nothing is left on a host in the range that the table
 * did not hold when it was read.  Of what is new, the first that a host refuses
 * and all behind it stays out, but for what that host held before.
 *
 * Return: 0, or the negative errno of the host; PVIOMMU_HOST_LOST when an
 * endpoint had to be blocked.
 */
int pviommu_shadow_follow(PviommuDevice *s, PviommuDomain *domain,
                          const PviommuMapping *range,
                          const PviommuSpace *except);

/**
 * pviommu_shadow_settle - give a shadow up if nobody needs it any more
 * @s: the device
 * @domain: any
 */
void pviommu_shadow_settle(PviommuDevice *s, PviommuDomain *domain);

/**
 * pviommu_change_carry - carry a change to the host, or take it back
 * @s: the device
 * @change: the change; committed or undone when it is done
 * @carry: how far it has come; all zeros to start
 * @ret: as pviommu_change_apply() returns it, when it is done
 *
 * The big lock need not be held.
 *
 * Return: false if it is needed from here on: then nothing else may be done
 * with the device until this is called again with it.
 */
bool pviommu_change_carry(PviommuDevice *s, PviommuChange *change,
                          PviommuCarry *carry, int *ret);

/**
 * pviommu_change_apply - carry a change to the host, or take it back
 * @s: the device
 * @change: the change; committed or undone afterwards
 *
 * Return: 0, or the negative errno of the host; PVIOMMU_HOST_LOST when an
 * endpoint had to be blocked.
 */
int pviommu_change_apply(PviommuDevice *s, PviommuChange *change);

/**
 * pviommu_change_force - carry a change to the host that it cannot refuse
 * @s: the device
 * @change: of kind SWITCH or NONE; committed afterwards
 *
 * What the host refuses leaves the group blocked.
 */
void pviommu_change_force(PviommuDevice *s, PviommuChange *change);

/**
 * pviommu_change_finish - commit a change that is no concern of the host
 * @s: the device
 * @change: the change
 */
void pviommu_change_finish(PviommuDevice *s, PviommuChange *change);

/**
 * pviommu_follow_memory_start - follow guest memory under mappings
 * @s: the device
 */
void pviommu_follow_memory_start(PviommuDevice *s);

/**
 * pviommu_follow_memory_stop - the opposite of pviommu_follow_memory_start()
 * @s: the device
 */
void pviommu_follow_memory_stop(PviommuDevice *s);

/**
 * typedef PviommuTableFunc - called for a host page table of our own
 * @table: the table
 * @domain: whose mappings it holds; NULL for one that holds guest memory
 * @opaque: as given
 */
typedef void PviommuTableFunc(const PviommuTable *table,
                              PviommuDomain *domain, void *opaque);

/**
 * pviommu_tables_foreach - visit all host page tables of our own
 * @s: the device
 * @func: called for each, whether a device is on it or not
 * @opaque: handed on to @func
 */
void pviommu_tables_foreach(PviommuDevice *s, PviommuTableFunc *func,
                            void *opaque);

/**
 * struct PviommuHostMemory - what the kernel says that it keeps for QEMU
 * @pinned: bytes pinned, as iommufd does
 * @locked: bytes locked, as which type1 counts what it pins
 * @limit: of locked memory; UINT64_MAX for none
 */
typedef struct PviommuHostMemory {
    uint64_t pinned;
    uint64_t locked;
    uint64_t limit;
} PviommuHostMemory;

/**
 * pviommu_host_memory_read - ask the kernel how much memory it keeps in place
 * @memory: where to put it
 *
 * Of the whole process: whatever else pins or locks memory is in it.
 *
 * Return: false where it does not say.
 */
bool pviommu_host_memory_read(PviommuHostMemory *memory);

/**
 * pviommu_host_info_check - read the properties that hosts must agree with
 * @s: the device; offers what they say until hosts are known
 * @errp: what is wrong with them
 *
 * Return: whether they make sense.
 */
bool pviommu_host_info_check(PviommuDevice *s, Error **errp);

/**
 * pviommu_host_info_add_page_sizes - learn the pages of a device's host
 * @s: the device
 * @hiod: what VFIO tells of a passed-through device
 * @errp: why it does not fit, with both values
 *
 * Return: whether it fits.
 */
bool pviommu_host_info_add_page_sizes(PviommuDevice *s, HostIOMMUDevice *hiod,
                                      Error **errp);

/**
 * pviommu_host_info_add_ranges - reserve what a host does not translate
 * @s: the device
 * @space: the space
 * @name: of the passed-through device, for @errp
 * @ranges: list of Range in order; NULL if the host does not tell
 * @errp: why they do not fit
 *
 * Return: whether they fit.
 */
bool pviommu_host_info_add_ranges(PviommuDevice *s, PviommuSpace *space,
                                  const char *name, GList *ranges,
                                  Error **errp);

/**
 * pviommu_host_info_add_msi - tell where a host's devices write interrupts
 * @space: the space, whose reserved regions of the host are known
 *
 * A table of the guest's that the host walks has to lead there.
 */
void pviommu_host_info_add_msi(PviommuSpace *space);

/**
 * pviommu_host_info_freeze - settle what the guest reads from now on
 * @s: the device; the machine is ready
 */
void pviommu_host_info_freeze(PviommuDevice *s);

/**
 * pviommu_host_info_check_memlock - warn if too little memory can be locked
 * @s: the device; one more passed-through device is there
 */
void pviommu_host_info_check_memlock(PviommuDevice *s);

#endif /* PVIOMMU_DEVICE_SPACES_H */
