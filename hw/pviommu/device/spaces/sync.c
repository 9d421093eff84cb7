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

static int refused(PviommuDevice *s, PviommuTarget *target, const char *what,
                   int ret)
{
    if (pviommu_target_spare(s, target)) {
        return 0;
    }
    pviommu_space_refused(pviommu_target_space(s, target), what, -ret);
    pviommu_target_lose(s, target);
    return PVIOMMU_HOST_LOST;
}

static int remove_all(PviommuDevice *s, PviommuDomain *domain,
                      PviommuTarget t, const PviommuMappings *set)
{
    int first_error = 0;

    while (pviommu_target_next(domain, &t)) {
        PviommuMappingIter iter = { 0 };
        PviommuMapping m;
        int ret = 0;

        while (!ret && pviommu_mappings_next(set, &iter, UINT64_MAX, &m)) {
            ret = pviommu_host_unmap(t.host, &m);
        }
        if (ret) {
            ret = refused(s, &t, "to remove a mapping", ret);
            first_error = first_error ?: ret;
        }
    }
    return first_error;
}

/* Map again what the hosts held before */
static int put_back(PviommuDevice *s, PviommuDomain *domain, PviommuTarget t,
                    const PviommuMappings *set)
{
    int first_error = 0;

    while (pviommu_target_next(domain, &t)) {
        PviommuMappingIter iter = { 0 };
        PviommuMapping m;
        int ret = 0;

        while (!ret && pviommu_mappings_next(set, &iter, UINT64_MAX, &m)) {
            ret = pviommu_host_map(t.host, &m, NULL);
        }
        if (ret) {
            ret = refused(s, &t, "a mapping that it had", ret);
            first_error = first_error ?: ret;
        }
    }
    return first_error;
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
        ret = put_back(s, plan->domain, walk, plan->back) ?: ret;
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
    gone = remove_all(s, domain, walk, plan->gone);
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
