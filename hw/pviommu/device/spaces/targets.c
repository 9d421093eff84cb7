/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu: all places that hold the mappings of a domain
 *
 * First its host page tables, whether an endpoint is on them now or not; then
 * the address spaces of those of its endpoints that somebody mirrors.
 */
#include "qemu/osdep.h"

#include "spaces/spaces.h"

bool pviommu_target_next(PviommuDomain *domain, PviommuTarget *target)
{
    GPtrArray *tables = pviommu_domain_opaque(domain);

    if (!target->group && tables && target->table < tables->len) {
        PviommuTable *table = g_ptr_array_index(tables, target->table++);

        target->host = &table->host;
        return true;
    }
    while ((target->group = pviommu_domain_next_group(domain,
                                                      target->group))) {
        target->space = pviommu_group_opaque(target->group);
        target->host = target->space->ops->served(target->space);
        if (target->host) {
            return true;
        }
    }
    return false;
}

int pviommu_targets_invalidate(PviommuDevice *s, PviommuDomain *domain,
                               const PviommuMapping *range)
{
    PviommuTarget target = { 0 };
    int first_error = 0;

    while (pviommu_target_next(domain, &target)) {
        int ret = pviommu_host_invalidate(target.host, range);

        if (ret && !pviommu_target_spare(s, &target)) {
            pviommu_space_refused(pviommu_target_space(s, &target),
                                  "to invalidate a table", -ret);
            pviommu_target_lose(s, &target);
            first_error = first_error ?: PVIOMMU_HOST_LOST;
        }
    }
    return first_error;
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
