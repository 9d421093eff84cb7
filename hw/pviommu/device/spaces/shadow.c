/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu: what the guest's table says to those who cannot walk it
 *
 * Core's state follows the table here; who holds it is brought in step by
 * sync.c, or filled with it when it comes.
 */
#include "qemu/osdep.h"

#include "qemu/main-loop.h"
#include "spaces/spaces.h"

PviommuFormats pviommu_shadow_formats(const PviommuDevice *s)
{
    uint32_t formats = s->granule_size > PVIOMMU_TABLE_SIZE
                       ? 0 : PVIOMMU_FORMATS_ALL;

    return (PviommuFormats) { .offered = formats, .announced = formats };
}

bool pviommu_space_is_shadowed(PviommuSpace *space)
{
    const PviommuDomain *domain = pviommu_group_domain(space->group);
    const PviommuGuestTable *table = domain ? pviommu_domain_table(domain)
                                            : NULL;

    return table &&
           space->ops->formats(space).announced >> table->format & 1;
}

static void note(PviommuDevice *s, const PviommuPlan *plan,
                 const PviommuMapping *range)
{
    g_autofree char *detail = g_strdup_printf(
        "table of domain %u first 0x%" PRIx64 " last 0x%" PRIx64,
        pviommu_domain_id(plan->domain), range->first, range->last);

    s->swept += plan->entries;
    if (plan->over_sweep) {
        pviommu_device_mistake(s, PVIOMMU_MISTAKE_LARGE_TABLE, detail);
    }
    if (plan->over_quota) {
        pviommu_device_mistake(s, PVIOMMU_MISTAKE_MAX_MAPPINGS, detail);
    }
}

PviommuPlan *pviommu_shadow_plan(PviommuDevice *s, PviommuDomain *domain,
                                 const PviommuMapping *range)
{
    PviommuEntryCache cache = { 0 };
    PviommuPlan *plan = pviommu_plan_new(domain, range->first, range->last,
                                         pviommu_read_entry_cached, &cache);

    if (!plan) {
        return NULL;
    }
    pviommu_write_lock(s);
    pviommu_plan_enact(plan);
    pviommu_write_unlock(s);
    note(s, plan, range);
    return plan;
}

int pviommu_shadow_verdict(const PviommuPlan *plan)
{
    return plan->over_sweep || plan->over_quota || plan->no_memory
           ? -ENOMEM : 0;
}

int pviommu_shadow_build(PviommuDevice *s, PviommuDomain *domain)
{
    const PviommuMapping all = { .last = UINT64_MAX };
    PviommuPlan *plan;
    int ret = -ENOMEM;

    if (!pviommu_domain_table(domain) || pviommu_domain_shadowed(domain)) {
        return 0;
    }
    plan = pviommu_shadow_plan(s, domain, &all);
    if (plan) {
        ret = pviommu_shadow_verdict(plan);
        pviommu_plan_free(plan);
    }
    if (ret) {
        pviommu_shadow_drop(s, domain);
    }
    return ret;
}

void pviommu_shadow_drop(PviommuDevice *s, PviommuDomain *domain)
{
    pviommu_write_lock(s);
    pviommu_domain_unshadow(domain);
    pviommu_write_unlock(s);
}
