/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu: what devices reach: address spaces, and what the host holds of them
 *
 * A space is the address space of a group of core.  What core changes is
 * carried to the host here, and taken back when the host refuses.  Each
 * function here is called with the big lock held, and without the device's
 * lock; the host may call back into a space's replay.
 */
#ifndef PVIOMMU_DEVICE_SPACES_H
#define PVIOMMU_DEVICE_SPACES_H

#include "common/common.h"

/* Register the type of the IOMMU memory regions, once */
void pviommu_space_init_type(void);

/**
 * pviommu_space_new - make an address space, with a group of core
 * @s: the device, which owns it
 * @bus: with @devfn, whose requests arrive there; only compared
 * @devfn: see @bus
 * @host_group: number of the host's IOMMU group that shares it, or -1
 * @tables: its devices will be moved between host page tables
 *
 * Return: the space, in the state of a device that is attached nowhere.
 */
PviommuSpace *pviommu_space_new(PviommuDevice *s, PCIBus *bus, int devfn,
                                int host_group, bool tables);

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
 * pviommu_space_memory_begins - guest memory is about to change
 * @space: the space; what its hosts refuse from here on must not end QEMU
 *
 * Called within a memory transaction, as is pviommu_space_memory_ends().
 */
void pviommu_space_memory_begins(PviommuSpace *space);

/**
 * pviommu_space_memory_ends - guest memory has changed
 * @space: the space; if a host refused, it is fenced and its hosts emptied
 */
void pviommu_space_memory_ends(PviommuSpace *space);

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
 * pviommu_space_held - whether somebody has to do with a parked space
 * @space: the space
 *
 * VFIO has, until its device is finalized, which is after it left.
 *
 * Return: false if the space may serve other devices.
 */
bool pviommu_space_held(const PviommuSpace *space);

/**
 * pviommu_space_served - whether the host must follow its domain
 * @space: the space
 *
 * Return: true if somebody mirrors it.
 */
bool pviommu_space_served(const PviommuSpace *space);

/**
 * pviommu_space_host_path - name the way to the host
 * @space: the space
 *
 * Return: a constant, see property host-path; or "none".
 */
const char *pviommu_space_host_path(PviommuSpace *space);

/**
 * pviommu_space_host_devices - name the passed-through devices
 * @space: the space
 *
 * Return: VFIO's names with commas, or NULL; owned by the caller.
 */
char *pviommu_space_host_devices(PviommuSpace *space);

/**
 * pviommu_space_regions_changed - tell core what is reserved
 * @space: the space; the regions of its host and, stronger, those of the
 *         machine are what is reserved in its group
 */
void pviommu_space_regions_changed(PviommuSpace *space);

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
 * pviommu_tables_chosen - whether a function shall be on host page tables
 * @s: the device
 * @pdev: a function that asks for its address space
 *
 * Asks the host once for each iommufd object, and tells the operator when
 * the user's wish cannot be met.
 *
 * Return: the choice, the same each time.
 */
bool pviommu_tables_chosen(PviommuDevice *s, PCIDevice *pdev);

/**
 * pviommu_tables_explain - say why host-path=iommufd does not go
 * @pdev: a function that was not chosen
 * @errp: the reason, and what to do
 */
void pviommu_tables_explain(PCIDevice *pdev, Error **errp);

/**
 * pviommu_tables_as - give devices on host page tables an address space
 * @s: the device
 *
 * Return: the one of all of them; it holds the MSI region and no memory.
 */
AddressSpace *pviommu_tables_as(PviommuDevice *s);

/**
 * pviommu_tables_stop - the opposite of pviommu_tables_as()
 * @s: the device, which goes
 */
void pviommu_tables_stop(PviommuDevice *s);

/**
 * pviommu_tables_expect - make way for a further device of a host group
 * @space: the space of the group
 * @pdev: the device, about to be attached by VFIO
 *
 * The host attaches it only to what its group is on, and VFIO only to QEMU's
 * table: the group waits there until the device is realized.
 */
void pviommu_tables_expect(PviommuSpace *space, PCIDevice *pdev);

/**
 * pviommu_tables_add - take a device that VFIO has attached to QEMU's table
 * @space: its space
 * @pdev: the function; only compared
 * @device: the device, until pviommu_tables_remove()
 * @errp: why it cannot be served
 *
 * Return: whether it is now where the guest wants it; else it is not taken.
 */
bool pviommu_tables_add(PviommuSpace *space, PCIDevice *pdev,
                        VFIODevice *device, Error **errp);

/**
 * pviommu_tables_find - take a device that VFIO told nobody of: an mdev
 * @space: its space
 * @pdev: the function, realized
 */
void pviommu_tables_find(PviommuSpace *space, PCIDevice *pdev);

/**
 * pviommu_tables_remove - let a device go before VFIO detaches it
 * @space: its space
 * @pdev: the function, which may be unknown
 */
void pviommu_tables_remove(PviommuSpace *space, PCIDevice *pdev);

/**
 * pviommu_tables_switch - pviommu_space_switch() on host page tables
 * @space: the space
 * @want: the state that core wants
 *
 * Return: as pviommu_space_switch().
 */
int pviommu_tables_switch(PviommuSpace *space, PviommuState want);

/**
 * pviommu_table_space - find who is on a host page table
 * @s: the device
 * @table: the table
 *
 * Return: the first space whose devices are, or NULL.
 */
PviommuSpace *pviommu_table_space(PviommuDevice *s,
                                  const PviommuTable *table);

/**
 * pviommu_table_lose - nothing is known of what a host page table holds
 * @s: the device
 * @table: the table; its devices are blocked, and it is freed
 */
void pviommu_table_lose(PviommuDevice *s, PviommuTable *table);

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
 * pviommu_host_info_check - read the properties that hosts must agree with
 * @s: the device; offers what they say until hosts are known
 * @errp: what is wrong with them
 *
 * Return: whether they make sense.
 */
bool pviommu_host_info_check(PviommuDevice *s, Error **errp);

/**
 * pviommu_host_info_add - learn what the host of a device can do
 * @s: the device
 * @space: the space of the passed-through device
 * @hiod: what VFIO tells of it
 * @errp: why it does not fit, with both values
 *
 * Return: whether it fits.
 */
bool pviommu_host_info_add(PviommuDevice *s, PviommuSpace *space,
                           HostIOMMUDevice *hiod, Error **errp);

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
