/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu: a change of core's state, carried to the host
 *
 * Core has changed already.  Here the host follows, without the device's
 * lock; a refusal takes back what was done on the host and then in core.
 */
#include "qemu/osdep.h"

#include "qemu/main-loop.h"
#include "spaces/spaces.h"

static PviommuSpace *space_of(const PviommuGroup *group)
{
    return pviommu_group_opaque(group);
}

/* What hung on a domain that is no more */
static void drop(PviommuDevice *s, GPtrArray *tables)
{
    if (tables) {
        g_ptr_array_unref(tables);
        pviommu_tables_spare(s);
    }
}

void pviommu_change_finish(PviommuDevice *s, PviommuChange *change)
{
    GPtrArray *tables;

    if (change->kind == PVIOMMU_CHANGE_SWITCH && change->from &&
        change->from != change->to) {
        pviommu_shadow_settle(s, change->from);
    }
    pviommu_write_lock(s);
    tables = pviommu_change_commit(s->iommu, change);
    pviommu_write_unlock(s);
    drop(s, tables);
}

static void undo(PviommuDevice *s, PviommuChange *change)
{
    GPtrArray *tables;

    pviommu_write_lock(s);
    tables = pviommu_change_undo(s->iommu, change);
    pviommu_write_unlock(s);
    drop(s, tables);
}

static int stop(const PviommuPiece *piece, void *opaque)
{
    return 1;
}

static int settle_map(PviommuDevice *s, const PviommuChange *change,
                      PviommuCarry *carry)
{
    const PviommuMapping *m = &change->mapping;
    PviommuTarget t = { 0 };
    int ret = pviommu_targets_settle_map(s, change, t, carry);

    if (!ret && (m->flags & PVIOMMU_MAP_F_MMIO) &&
        pviommu_target_next(change->domain, &t) &&
        !pviommu_pieces_foreach(m, NULL, stop, NULL)) {
        s->counters.mmio_left_out++;
    }
    return ret;
}

static int apply_invalidate(PviommuDevice *s, PviommuChange *change)
{
    int shadow, walked;

    pviommu_shadow_settle(s, change->domain);
    shadow = pviommu_shadow_follow(s, change->domain, &change->mapping, NULL);
    walked = pviommu_targets_invalidate(s, change->domain, &change->mapping);
    return shadow ?: walked;
}

static int apply_switch(PviommuDevice *s, PviommuChange *change)
{
    PviommuSpace *space = space_of(change->group);
    int ret = 0;

    if (pviommu_domain_shadowed(change->to) &&
        pviommu_space_is_shadowed(space)) {
        /* What the others in the domain hold is that of their last request */
        ret = pviommu_shadow_follow(s, change->to, &pviommu_all_memory,
                                    space);
    } else if (pviommu_space_is_shadowed(space)) {
        ret = pviommu_shadow_build(s, change->to);
    }
    return ret ?: pviommu_space_switch(space);
}

/* Map again what was removed from @target, up to the mapping at @end */
static void restore(PviommuDevice *s, const PviommuChange *change,
                    PviommuTarget *target, const PviommuMapping *end)
{
    PviommuMappingIter iter = { 0 };
    PviommuMapping m;

    while (pviommu_change_next_removed(change, &iter, &m)) {
        if (end && m.first == end->first) {
            return;
        }
        if (pviommu_host_map(target->host, &m, NULL)) {
            pviommu_target_lose(s, target);
            return;
        }
    }
}

static int settle_unmap(PviommuDevice *s, const PviommuChange *change,
                        PviommuCarry *carry)
{
    PviommuTarget bad = carry->target, t = { 0 };

    if (!carry->ret) {
        return 0;
    }
    pviommu_space_refused(pviommu_target_space(s, &bad),
                          "to remove a mapping", -carry->ret);
    while (pviommu_target_next(change->domain, &t) && t.host != bad.host) {
        restore(s, change, &t, NULL);
    }
    if (carry->ret == PVIOMMU_HOST_LOST) {
        pviommu_target_lose(s, &bad);
    } else {
        restore(s, change, &bad, &carry->refused);
    }
    return carry->ret;
}

/* False when the big lock is needed */
static bool invalidate(PviommuDevice *s, PviommuChange *change, int *ret)
{
    if (bql_locked()) {
        *ret = apply_invalidate(s, change);
        return true;
    }
    *ret = 0;
    return !pviommu_domain_shadowed(change->domain) &&
           pviommu_targets_try_invalidate(change->domain, &change->mapping);
}

bool pviommu_change_carry(PviommuDevice *s, PviommuChange *change,
                          PviommuCarry *carry, int *ret)
{
    PviommuGroup *group = change->group;
    PviommuChangeKind kind = change->kind;

    switch (kind) {
    case PVIOMMU_CHANGE_SWITCH:
        if (!bql_locked()) {
            return false;
        }
        if (!change->to) {
            pviommu_change_force(s, change);
            *ret = 0;
            return true;
        }
        *ret = apply_switch(s, change);
        break;
    case PVIOMMU_CHANGE_MAP:
    case PVIOMMU_CHANGE_UNMAP:
        if (!pviommu_targets_carry(s, change, carry)) {
            return false;
        }
        *ret = kind == PVIOMMU_CHANGE_MAP ? settle_map(s, change, carry)
                                          : settle_unmap(s, change, carry);
        break;
    case PVIOMMU_CHANGE_INVALIDATE:
        if (!invalidate(s, change, ret)) {
            return false;
        }
        break;
    case PVIOMMU_CHANGE_NONE:
        *ret = 0;
        break;
    }
    if (!*ret) {
        pviommu_change_finish(s, change);
        return true;
    }
    undo(s, change);
    if (kind == PVIOMMU_CHANGE_SWITCH) {
        pviommu_space_force(space_of(group));
        if (pviommu_group_fenced(group)) {
            *ret = PVIOMMU_HOST_LOST;
        }
    }
    return true;
}

int pviommu_change_apply(PviommuDevice *s, PviommuChange *change)
{
    PviommuCarry carry = { 0 };
    int ret;

    pviommu_change_carry(s, change, &carry, &ret);
    return ret;
}

void pviommu_change_force(PviommuDevice *s, PviommuChange *change)
{
    PviommuGroup *group =
        change->kind == PVIOMMU_CHANGE_SWITCH ? change->group : NULL;

    if (group) {
        pviommu_space_force(space_of(group));
    }
    pviommu_change_finish(s, change);
}
