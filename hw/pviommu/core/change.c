/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu: changes of state that can be undone
 */
#include "mappings-hide.h"
#include "state.h"

static void domain_add_group(PviommuDomain *domain, PviommuGroup *group)
{
    group->prev = NULL;
    group->next = domain->groups;
    if (group->next) {
        group->next->prev = group;
    }
    domain->groups = group;
}

static void domain_remove_group(PviommuDomain *domain, PviommuGroup *group)
{
    if (group->next) {
        group->next->prev = group->prev;
    }
    if (group->prev) {
        group->prev->next = group->next;
    } else {
        domain->groups = group->next;
    }
    group->next = NULL;
    group->prev = NULL;
}

/* Detach from what it is attached to; a domain that this ends stays */
static void leave(PviommuEndpoint *endpoint)
{
    PviommuDomain *domain = endpoint->domain;
    PviommuGroup *group = endpoint->group;
    PviommuIommu *iommu = group->iommu;

    endpoint->domain = NULL;
    iommu->attached--;
    if (--group->attached == 0) {
        domain_remove_group(domain, group);
        group->domain = NULL;
    }
    if (--domain->attached == 0) {
        iommu->domain_count--;
        iommu->mapping_count -= pviommu_mappings_count(&domain->mappings);
    }
}

/* Attach an endpoint that is not attached */
static void enter(PviommuEndpoint *endpoint, PviommuDomain *domain)
{
    PviommuGroup *group = endpoint->group;
    PviommuIommu *iommu = group->iommu;

    g_assert(!group->domain || group->domain == domain);
    endpoint->domain = domain;
    iommu->attached++;
    if (group->attached++ == 0) {
        domain_add_group(domain, group);
        group->domain = domain;
    }
    if (domain->attached++ == 0) {
        iommu->domain_count++;
        iommu->mapping_count += pviommu_mappings_count(&domain->mappings);
    }
}

static void begin(PviommuChange *change, PviommuIommu *iommu)
{
    assert_open(iommu);
    g_assert(!iommu->changing);
    iommu->changing = true;
    *change = (PviommuChange) { 0 };
}

void pviommu_change_attach(PviommuChange *change, PviommuEndpoint *endpoint,
                           PviommuDomain *domain)
{
    PviommuGroup *group = endpoint->group;
    PviommuDomain *from = group->domain;

    begin(change, group->iommu);
    change->endpoint = endpoint;
    change->left = endpoint->domain;
    change->entered = domain;
    change->was_fenced = group->fenced;
    if (change->left != domain) {
        if (change->left) {
            leave(endpoint);
        }
        if (domain) {
            enter(endpoint, domain);
        }
    }
    /* a group that the host could not serve gets another try */
    if (from != group->domain || (domain && group->fenced)) {
        group->fenced = false;
        if (group->opaque) {
            change->kind = PVIOMMU_CHANGE_SWITCH;
            change->group = group;
            change->from = from;
            change->to = group->domain;
        }
    }
}

bool pviommu_change_map(PviommuChange *change, PviommuDomain *domain,
                        const PviommuMapping *mapping)
{
    assert_open(domain->iommu);
    if (!pviommu_mappings_insert(&domain->mappings, mapping)) {
        return false;
    }
    begin(change, domain->iommu);
    domain->iommu->mapping_count++;
    change->kind = PVIOMMU_CHANGE_MAP;
    change->domain = domain;
    change->mapping = *mapping;
    return true;
}

void pviommu_change_unmap(PviommuChange *change, PviommuDomain *domain,
                          uint64_t first, uint64_t last)
{
    size_t count;

    assert_open(domain->iommu);
    count = pviommu_mappings_hide(&domain->mappings, first, last);
    if (count == 0) {
        *change = (PviommuChange) { 0 };
        return;
    }
    begin(change, domain->iommu);
    domain->iommu->mapping_count -= count;
    change->kind = PVIOMMU_CHANGE_UNMAP;
    change->domain = domain;
    change->mapping.first = first;
    change->mapping.last = last;
}

void pviommu_change_invalidate(PviommuChange *change, PviommuDomain *domain,
                               uint64_t first, uint64_t last)
{
    begin(change, domain->iommu);
    change->kind = PVIOMMU_CHANGE_INVALIDATE;
    change->domain = domain;
    change->mapping.first = first;
    change->mapping.last = last;
}

bool pviommu_change_next_removed(const PviommuChange *change,
                                 PviommuMappingIter *iter,
                                 PviommuMapping *mapping)
{
    return change->kind == PVIOMMU_CHANGE_UNMAP &&
           pviommu_mappings_next_hidden(&change->domain->mappings, iter,
                                        mapping);
}

/* Whether anything hangs on the change; one without effect needs no end */
static bool end(PviommuIommu *iommu, const PviommuChange *change)
{
    if (!change->endpoint && !change->domain) {
        return false;
    }
    assert_open(iommu);
    g_assert(iommu->changing);
    iommu->changing = false;
    return true;
}

/* Returns the opaque pointer of a domain that nobody is attached to */
static void *free_if_left(PviommuDomain *domain)
{
    void *opaque = NULL;

    if (domain && domain->attached == 0) {
        opaque = domain->opaque;
        pviommu_domain_free(domain);
    }
    return opaque;
}

void *pviommu_change_commit(PviommuIommu *iommu, PviommuChange *change)
{
    void *opaque = NULL;

    if (end(iommu, change)) {
        if (change->endpoint) {
            opaque = free_if_left(change->left);
        } else if (change->kind == PVIOMMU_CHANGE_UNMAP) {
            pviommu_mappings_drop_hidden(&change->domain->mappings);
        }
    }
    *change = (PviommuChange) { 0 };
    return opaque;
}

static void *undo_attach(PviommuChange *change)
{
    PviommuEndpoint *endpoint = change->endpoint;
    void *opaque = NULL;

    if (change->left != change->entered) {
        if (change->entered) {
            leave(endpoint);
        }
        if (change->left) {
            enter(endpoint, change->left);
        }
        opaque = free_if_left(change->entered);
    }
    /* the host may have fenced it meanwhile: that stands */
    endpoint->group->fenced |= change->was_fenced;
    return opaque;
}

void *pviommu_change_undo(PviommuIommu *iommu, PviommuChange *change)
{
    void *opaque = NULL;

    if (end(iommu, change)) {
        if (change->endpoint) {
            opaque = undo_attach(change);
        } else if (change->kind == PVIOMMU_CHANGE_MAP) {
            pviommu_mappings_remove(&change->domain->mappings,
                                    change->mapping.first);
            iommu->mapping_count--;
        } else if (change->kind == PVIOMMU_CHANGE_UNMAP) {
            iommu->mapping_count +=
                pviommu_mappings_unhide(&change->domain->mappings);
        }
    }
    *change = (PviommuChange) { 0 };
    return opaque;
}
