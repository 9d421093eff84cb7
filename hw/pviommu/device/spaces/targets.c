/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu: all places that hold the mappings of a domain
 *
 * First its host page tables, whether an endpoint is on them now or not; then
 * the address spaces of those of its endpoints that somebody mirrors.
 */
#include "qemu/osdep.h"

#include "qemu/main-loop.h"
#include "pviommu/nest.h"
#include "spaces/spaces.h"

bool pviommu_target_next(PviommuDomain *domain, PviommuTarget *target)
{
    GPtrArray *tables = pviommu_domain_opaque(domain);

    while (!target->group && tables && target->table < tables->len) {
        PviommuTable *table = g_ptr_array_index(tables, target->table++);

        if (!target->shadows || !pviommu_nested_parent(table)) {
            target->host = &table->host;
            return true;
        }
    }
    while ((target->group = pviommu_domain_next_group(domain,
                                                      target->group))) {
        target->space = pviommu_group_opaque(target->group);
        if (target->space == target->except ||
            (target->shadows && !pviommu_space_is_shadowed(target->space))) {
            continue;
        }
        target->host = target->space->ops->served(target->space);
        if (target->host) {
            return true;
        }
    }
    return false;
}

/*
 * Without the big lock, only host page tables can be asked.  Where a mapping
 * leads to memory that is populated and discarded in place, what is there may
 * change in this moment, under the big lock.
 */
static bool is_out_of_reach(PviommuDevice *s, const PviommuChange *change,
                            const PviommuHost *host)
{
    PviommuMappingIter iter = { 0 };
    PviommuMapping m = change->mapping;

    if (bql_locked()) {
        return false;
    }
    if (!host->table) {
        return true;
    }
    if (change->kind == PVIOMMU_CHANGE_MAP) {
        return pviommu_memory_is_discardable(&s->memory, &m);
    }
    while (!QLIST_EMPTY(&s->memory.discards) &&
           pviommu_change_next_removed(change, &iter, &m)) {
        if (pviommu_memory_is_discardable(&s->memory, &m)) {
            return true;
        }
    }
    return false;
}

/* Carry a change to one place; UNMAP stops at the mapping that is refused */
static int carry_to(const PviommuChange *change, PviommuCarry *carry)
{
    PviommuHost *host = carry->target.host;
    PviommuMappingIter iter = { 0 };
    int ret = 0;

    if (change->kind == PVIOMMU_CHANGE_MAP) {
        return pviommu_host_map(host, &change->mapping, NULL);
    }
    if (pviommu_host_unmap_hidden(host,
                                  pviommu_domain_mappings(change->domain))) {
        return 0;
    }
    while (!ret && pviommu_change_next_removed(change, &iter,
                                               &carry->refused)) {
        ret = pviommu_host_unmap(host, &carry->refused);
    }
    return ret;
}

bool pviommu_targets_carry(PviommuDevice *s, const PviommuChange *change,
                           PviommuCarry *carry)
{
    for (;;) {
        if (!carry->asks && !carry->ret) {
            if (!pviommu_target_next(change->domain, &carry->target)) {
                return true;
            }
            carry->asks = true;
        }
        if (carry->asks) {
            if (is_out_of_reach(s, change, carry->target.host)) {
                return false;
            }
            carry->ret = carry_to(change, carry);
            carry->asks = false;
        }
        if (carry->ret) {
            if (!bql_locked()) {
                return false;
            }
            if (!pviommu_target_spare(s, &carry->target)) {
                return true;
            }
            carry->ret = 0;
        }
    }
}

int pviommu_targets_settle_map(PviommuDevice *s, const PviommuChange *change,
                               PviommuTarget walk, PviommuCarry *carry)
{
    const PviommuMapping *m = &change->mapping;
    PviommuTarget bad = carry->target;
    PviommuSpace *space;

    if (!carry->ret) {
        return 0;
    }
    space = pviommu_target_space(s, &bad);
    pviommu_space_refused(space, "a mapping", -carry->ret);
    /* The guest may not look at the status (Linux does not): say it here */
    pviommu_fault_add(space, m->first,
                      m->flags & (PVIOMMU_MAP_F_READ | PVIOMMU_MAP_F_WRITE),
                      PVIOMMU_FAULT_R_MAPPING);
    while (pviommu_target_next(change->domain, &walk) &&
           walk.host != bad.host) {
        if (pviommu_host_unmap(walk.host, m)) {
            pviommu_target_lose(s, &walk);
        }
    }
    if (carry->ret == PVIOMMU_HOST_LOST) {
        pviommu_target_lose(s, &bad);
    }
    return carry->ret;
}

int pviommu_targets_map(PviommuDevice *s, PviommuDomain *domain,
                        PviommuTarget walk, const PviommuMapping *m)
{
    const PviommuChange change = {
        .kind = PVIOMMU_CHANGE_MAP,
        .domain = domain,
        .mapping = *m,
    };
    PviommuCarry carry = { .target = walk };

    pviommu_targets_carry(s, &change, &carry);
    return pviommu_targets_settle_map(s, &change, walk, &carry);
}

bool pviommu_targets_try_invalidate(PviommuDomain *domain,
                                    const PviommuMapping *range)
{
    PviommuTarget target = { 0 };

    while (pviommu_target_next(domain, &target)) {
        if (!target.host->table ||
            pviommu_host_invalidate(target.host, range)) {
            return false;
        }
    }
    return true;
}

int pviommu_targets_invalidate(PviommuDevice *s, PviommuDomain *domain,
                               const PviommuMapping *range)
{
    PviommuTarget target = { 0 };
    int lost = 0;

    while (pviommu_target_next(domain, &target)) {
        int ret = pviommu_host_invalidate(target.host, range);

        if (ret && pviommu_target_refused(s, &target, "to invalidate a table",
                                          -ret)) {
            lost = PVIOMMU_HOST_LOST;
        }
    }
    return lost;
}

PviommuSpace *pviommu_target_space(PviommuDevice *s,
                                   const PviommuTarget *target)
{
    return target->space ?: pviommu_table_user(s, target->host->table);
}

void pviommu_target_lose(PviommuDevice *s, PviommuTarget *target)
{
    if (target->space) {
        pviommu_space_lose(target->space);
    } else {
        pviommu_table_lose(s, target->host->table);
        target->table--;
    }
}

bool pviommu_target_spare(PviommuDevice *s, PviommuTarget *target)
{
    if (pviommu_target_space(s, target)) {
        return false;
    }
    pviommu_target_lose(s, target);
    return true;
}

bool pviommu_target_refused(PviommuDevice *s, PviommuTarget *target,
                            const char *what, int err)
{
    if (pviommu_target_spare(s, target)) {
        return false;
    }
    pviommu_space_refused(pviommu_target_space(s, target), what, err);
    pviommu_target_lose(s, target);
    return true;
}
