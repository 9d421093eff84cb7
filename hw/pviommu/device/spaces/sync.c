/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu: a table of the guest's, carried to hosts that cannot walk it
 *
 * First all goes that is no longer so, everywhere; then comes what is new, and
 * the host has its say.  Where a host does not let go, its endpoints are
 * blocked: what a request says is gone must be.
 */
#include "qemu/osdep.h"

#include "spaces/spaces.h"

/* Have every place unmap a set, or map it again as it did before */
static int carry(PviommuDevice *s, PviommuDomain *domain, PviommuTarget t,
                 const PviommuMappings *set, bool again)
{
    int lost = 0;

    while (pviommu_target_next(domain, &t)) {
        PviommuMappingIter iter = { 0 };
        PviommuMapping m;
        int ret = 0;

        while (!ret && pviommu_mappings_next(set, &iter, UINT64_MAX, &m)) {
            ret = again ? pviommu_host_map(t.host, &m, NULL)
                        : pviommu_host_unmap(t.host, &m);
        }
        if (ret && pviommu_target_refused(s, &t, again
                                          ? "a mapping that it had"
                                          : "to remove a mapping", -ret)) {
            lost = PVIOMMU_HOST_LOST;
        }
    }
    return lost;
}

static int add_all(PviommuDevice *s, PviommuPlan *plan, PviommuTarget walk)
{
    PviommuMappingIter iter = { 0 };
    PviommuMapping m;
    int ret = 0;

    while (!ret && pviommu_mappings_next(plan->come, &iter, UINT64_MAX, &m)) {
        ret = pviommu_targets_map(s, plan->domain, walk, &m);
    }
    if (ret) {
        pviommu_write_lock(s);
        pviommu_plan_retract(plan, m.first);
        pviommu_write_unlock(s);
        ret = carry(s, plan->domain, walk, plan->back, true) ?: ret;
    }
    return ret;
}

static void lose_all(PviommuDevice *s, PviommuDomain *domain,
                     PviommuTarget t)
{
    while (pviommu_target_next(domain, &t)) {
        pviommu_target_lose(s, &t);
    }
}

int pviommu_shadow_follow(PviommuDevice *s, PviommuDomain *domain,
                          const PviommuMapping *range,
                          const PviommuSpace *except)
{
    PviommuTarget walk = { .shadows = true, .except = except };
    PviommuPlan *plan;
    int gone, come;

    if (!pviommu_domain_shadowed(domain)) {
        return 0;
    }
    plan = pviommu_shadow_plan(s, domain, range);
    if (!plan) {
        lose_all(s, domain, walk);
        pviommu_shadow_drop(s, domain);
        return PVIOMMU_HOST_LOST;
    }
    gone = carry(s, domain, walk, plan->gone, false);
    come = add_all(s, plan, walk) ?: pviommu_shadow_verdict(plan);
    pviommu_plan_free(plan);
    return gone ?: come;
}

void pviommu_shadow_settle(PviommuDevice *s, PviommuDomain *domain)
{
    PviommuTarget target = { .shadows = true };
    PviommuGroup *group = NULL;

    if (!pviommu_domain_shadowed(domain)) {
        return;
    }
    while ((group = pviommu_domain_next_group(domain, group))) {
        if (pviommu_space_is_shadowed(pviommu_group_opaque(group))) {
            return;
        }
    }
    while (pviommu_target_next(domain, &target)) {
        pviommu_target_spare(s, &target);
    }
    pviommu_shadow_drop(s, domain);
}
