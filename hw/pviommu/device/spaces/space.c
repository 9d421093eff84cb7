/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu: the address space of a group, of whichever kind
 */
#include "qemu/osdep.h"

#include "qemu/error-report.h"
#include "qemu/main-loop.h"
#include "spaces/spaces.h"

PviommuSpace *pviommu_space_new(PviommuDevice *s, const PviommuSpaceOps *kind)
{
    PviommuSpace *space = kind->create(s);

    g_ptr_array_add(s->spaces, space);
    pviommu_space_regions_changed(space);
    return space;
}

void pviommu_space_init(PviommuSpace *space, PviommuDevice *s,
                        const PviommuSpaceOps *ops)
{
    space->ops = ops;
    space->device = s;
    space->host_group = -1;
    pviommu_write_lock(s);
    space->group = pviommu_group_new(s->iommu, space);
    pviommu_write_unlock(s);
}

QEMU_BUILD_BUG_ON(offsetof(PviommuSpace, rcu));

void pviommu_space_free(PviommuSpace *space)
{
    space->ops->release(space);
    pviommu_write_lock(space->device);
    pviommu_group_free(space->group);
    pviommu_write_unlock(space->device);
    pviommu_regions_free(space->regions);
    g_free_rcu(space, rcu);
}

/* Formats of tables, each a property of PROBE as large as a region */
enum { FORMATS = PVIOMMU_FORMAT__MAX - 1 };

QEMU_BUILD_BUG_ON(PVIOMMU_TABLE_FORMAT_SIZE != PVIOMMU_RESV_MEM_SIZE);

void pviommu_space_regions_changed(PviommuSpace *space)
{
    PviommuDevice *s = space->device;
    unsigned room = PVIOMMU_PROPERTIES_SIZE / PVIOMMU_RESV_MEM_SIZE;
    PviommuRegions *regions = space->regions
                              ? pviommu_regions_copy(space->regions)
                              : pviommu_regions_new();

    for (unsigned i = 0; i < s->nr_regions; i++) {
        pviommu_regions_add(regions, &s->regions[i]);
    }
    pviommu_regions_fit(regions, s->guest_tables ? room - FORMATS : room);

    pviommu_write_lock(s);
    for (unsigned i = 0; i < s->endpoints->len; i++) {
        PviommuBusEndpoint *e = g_ptr_array_index(s->endpoints, i);

        if (e->space == space && e->name) {
            pviommu_group_set_regions(e->name,
                                      pviommu_regions_copy(regions));
        }
    }
    pviommu_group_set_regions(space->group, regions);
    pviommu_write_unlock(s);
}

void pviommu_spaces_set_formats(PviommuDevice *s)
{
    pviommu_write_lock(s);
    for (unsigned i = 0; i < s->endpoints->len; i++) {
        PviommuBusEndpoint *e = g_ptr_array_index(s->endpoints, i);
        PviommuFormats formats = { 0 };

        if (s->guest_tables) {
            formats = e->space->ops->formats(e->space);
        }
        pviommu_group_set_formats(e->space->group, formats);
        if (e->name) {
            pviommu_group_set_formats(e->name, formats);
        }
    }
    pviommu_write_unlock(s);
}

int pviommu_space_switch(PviommuSpace *space)
{
    g_assert(bql_locked());
    space->overdue = false;
    return space->ops->show(space, pviommu_group_state(space->group));
}

static void set_fenced(PviommuSpace *space, bool fenced)
{
    pviommu_write_lock(space->device);
    pviommu_group_set_fenced(space->group, fenced);
    pviommu_write_unlock(space->device);
}

static void say_blocked(PviommuSpace *space)
{
    g_autofree char *name = NULL;

    if (space->blocked_told) {
        return;
    }
    space->blocked_told = true;
    name = pviommu_space_name(space);
    error_report("pviommu: %s is blocked, as the host could not serve it; the "
                 "guest may attach it again", name);
}

void pviommu_space_force(PviommuSpace *space)
{
    if (!pviommu_space_switch(space)) {
        return;
    }
    set_fenced(space, true);
    if (pviommu_space_switch(space)) {
        pviommu_space_force_later(space);       /* not even empty */
    }
    say_blocked(space);
}

void pviommu_space_force_later(PviommuSpace *space)
{
    space->overdue = true;
    qemu_bh_schedule(space->device->overdue);
}

void pviommu_spaces_force_overdue(void *opaque)
{
    PviommuDevice *s = opaque;
    PVIOMMU_HOLD_GUARD(s);

    for (unsigned i = 0; i < s->spaces->len; i++) {
        PviommuSpace *space = g_ptr_array_index(s->spaces, i);

        if (space->overdue && space->parked) {
            space->ops->show(space, PVIOMMU_BLOCKED);
        } else if (space->overdue) {
            pviommu_space_force(space);
        }
        space->overdue = false;     /* not for ever: the next change tries */
    }
}

void pviommu_space_fence(PviommuSpace *space)
{
    set_fenced(space, true);
    say_blocked(space);
    pviommu_fault_add(space, 0, PVIOMMU_FAULT_F_READ | PVIOMMU_FAULT_F_WRITE,
                      PVIOMMU_FAULT_R_UNKNOWN);
}

/*
 * Called by listeners, too: a space that mappings are carried to shows the
 * IOMMU region already, so that no region changes.
 */
void pviommu_space_lose(PviommuSpace *space)
{
    pviommu_space_fence(space);
    pviommu_space_force(space);
}

void pviommu_space_retry(PviommuSpace *space)
{
    set_fenced(space, false);
    pviommu_space_force(space);
}

void pviommu_space_park(PviommuSpace *space)
{
    if (space->ops->show(space, PVIOMMU_BLOCKED)) {
        pviommu_space_force_later(space);
    }
    pviommu_regions_free(g_steal_pointer(&space->regions));
    pviommu_space_regions_changed(space);
    space->parked = true;
    space->passthrough = false;
    space->errnos_told = 0;
    space->blocked_told = false;
    space->table_told = false;
}
