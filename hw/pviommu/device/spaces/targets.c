/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu: all places that hold the mappings of a domain
 *
 * First its host page tables, whether an endpoint is on them now or not; then
 * the address spaces of those of its endpoints that somebody mirrors.
 */
#include "qemu/osdep.h"

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

int pviommu_targets_map(PviommuDevice *s, PviommuDomain *domain,
                        PviommuTarget walk, const PviommuMapping *m)
{
    PviommuTarget bad, t = walk;
    PviommuSpace *space;
    int ret = 0;

    while (!ret && pviommu_target_next(domain, &t)) {
        ret = pviommu_host_map(t.host, m, NULL);
        if (ret && pviommu_target_spare(s, &t)) {
            ret = 0;
        }
    }
    if (!ret) {
        return 0;
    }

    bad = t;
    space = pviommu_target_space(s, &bad);
    pviommu_space_refused(space, "a mapping", -ret);
    /* The guest may not look at the status (Linux does not): say it here */
    pviommu_fault_add(space, m->first,
                      m->flags & (PVIOMMU_MAP_F_READ | PVIOMMU_MAP_F_WRITE),
                      PVIOMMU_FAULT_R_MAPPING);
    t = walk;
    while (pviommu_target_next(domain, &t) && t.host != bad.host) {
        if (pviommu_host_unmap(t.host, m)) {
            pviommu_target_lose(s, &t);
        }
    }
    if (ret == PVIOMMU_HOST_LOST) {
        pviommu_target_lose(s, &bad);
    }
    return ret;
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
