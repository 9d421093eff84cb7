/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu: the objects of the IOMMU, for core alone
 *
 * An endpoint is in one group for life, and attached to one domain or none.
 * All attached endpoints of a group are attached to the same domain.  A
 * domain exists while it has endpoints; one that lost its last by a change
 * under way is kept for undoing it, but no look-up finds it.
 */
#ifndef PVIOMMU_CORE_STATE_H
#define PVIOMMU_CORE_STATE_H

#include <glib.h>

#include "pviommu/iommu.h"
#include "set.h"

/**
 * struct PviommuIommu - the IOMMU
 * @config: what it offers
 * @features: what the driver accepted
 * @domains: by id; those that died by the change under way included
 * @domain_count: domains with endpoints
 * @mapping_count: mappings of domains with endpoints
 * @endpoints: in the order of their making
 * @by_id: endpoints by id
 * @numbers_stale: an endpoint with a number went since they were given
 * @attached: endpoints that are attached
 * @groups: how many groups there are
 * @changing: a change is neither committed nor undone
 * @shared: other threads translate, see pviommu_iommu_share()
 * @open: they are excluded, see pviommu_iommu_begin()
 */
struct PviommuIommu {
    PviommuConfig config;
    uint64_t features;
    GHashTable *domains;
    size_t domain_count;
    uint64_t mapping_count;
    GPtrArray *endpoints;
    GHashTable *by_id;
    bool numbers_stale;
    size_t attached;
    size_t groups;
    bool changing;
    bool shared;
    bool open;
};

/**
 * struct PviommuDomain - a domain
 * @iommu: immutable
 * @mappings: its mappings, or its shadow; empty in a bypass domain
 * @groups: first of the groups with an endpoint in it
 * @opaque: the caller's
 * @attached: endpoints attached to it
 * @id: immutable
 * @bypass: immutable
 * @table: immutable, the guest's table; of format 0 if it has none
 * @shadowed: @mappings are what hosts hold of @table
 */
struct PviommuDomain {
    PviommuIommu *iommu;
    PviommuMappings mappings;
    PviommuGroup *groups;
    void *opaque;
    size_t attached;
    uint32_t id;
    bool bypass;
    PviommuGuestTable table;
    bool shadowed;
};

/**
 * struct PviommuGroup - a group
 * @iommu: immutable
 * @opaque: immutable, the caller's
 * @regions: reserved regions, NULL for none
 * @formats: of the guest's tables that it may have
 * @domain: what its attached endpoints are attached to; NULL for none
 * @next: next group of @domain
 * @prev: previous group of @domain
 * @members: endpoints in it
 * @attached: those that are attached
 * @fenced: blocked for the host's sake
 */
struct PviommuGroup {
    PviommuIommu *iommu;
    void *opaque;
    PviommuRegions *regions;
    PviommuFormats formats;
    PviommuDomain *domain;
    PviommuGroup *next;
    PviommuGroup *prev;
    size_t members;
    size_t attached;
    bool fenced;
};

/**
 * struct PviommuEndpoint - an endpoint
 * @group: immutable
 * @opaque: immutable, the caller's
 * @domain: what it is attached to; NULL for nothing
 * @id: its number, or PVIOMMU_NO_ID
 * @asked: the number that it would have if no other had it
 */
struct PviommuEndpoint {
    PviommuGroup *group;
    void *opaque;
    PviommuDomain *domain;
    uint64_t id;
    uint64_t asked;
};

/* To be said by whatever changes what other threads may read */
static inline void assert_open(const PviommuIommu *iommu)
{
    g_assert(iommu->open || !iommu->shared);
}

/* As pviommu_group_state(); here for translation, which asks every time */
static inline PviommuState group_state(const PviommuGroup *group)
{
    if (group->fenced) {
        return PVIOMMU_BLOCKED;
    }
    if (!group->domain) {
        return group->iommu->config.bypass ? PVIOMMU_BYPASS
                                           : PVIOMMU_BLOCKED;
    }
    return group->domain->bypass ? PVIOMMU_BYPASS : PVIOMMU_TRANSLATED;
}

/**
 * pviommu_domain_new - make a domain without endpoints
 * @iommu: the IOMMU, with no domain of that number
 * @id: its number
 * @bypass: whether it is a bypass domain
 * @table: the guest's table, copied; NULL for none
 *
 * Return: the domain, or NULL when there is no memory.
 */
PviommuDomain *pviommu_domain_new(PviommuIommu *iommu, uint32_t id,
                                  bool bypass,
                                  const PviommuGuestTable *table);

/**
 * pviommu_domain_free - free a domain and its mappings
 * @domain: the domain, without endpoints
 */
void pviommu_domain_free(PviommuDomain *domain);

/**
 * pviommu_domain_fits - whether none of its mappings is in reserved regions
 * @domain: the domain
 * @regions: the regions; NULL for none
 *
 * Return: true if so.
 */
bool pviommu_domain_fits(const PviommuDomain *domain,
                         const PviommuRegions *regions);

/**
 * pviommu_domain_reserves - whether a range is partly reserved for a domain
 * @domain: the domain
 * @first: first IOVA
 * @last: last IOVA, inclusive
 *
 * Return: true when a region of any of its groups touches the range.
 */
bool pviommu_domain_reserves(const PviommuDomain *domain, uint64_t first,
                             uint64_t last);

/**
 * pviommu_change_attach - attach an endpoint, detaching it first
 * @change: where to describe it; no change is under way
 * @endpoint: the endpoint
 * @domain: the domain, NULL to only detach; its group may be attached to no
 *          other by way of other endpoints
 */
void pviommu_change_attach(PviommuChange *change, PviommuEndpoint *endpoint,
                           PviommuDomain *domain);

/**
 * pviommu_change_map - add a mapping
 * @change: where to describe it; no change is under way
 * @domain: a domain that is not a bypass domain
 * @mapping: the mapping; overlaps none
 *
 * Return: false when there is no memory; then nothing has changed.
 */
bool pviommu_change_map(PviommuChange *change, PviommuDomain *domain,
                        const PviommuMapping *mapping);

/**
 * pviommu_change_unmap - remove all mappings in a range
 * @change: where to describe it; no change is under way
 * @domain: a domain that is not a bypass domain
 * @first: first IOVA
 * @last: last IOVA, inclusive; no mapping is only partly in the range
 */
void pviommu_change_unmap(PviommuChange *change, PviommuDomain *domain,
                          uint64_t first, uint64_t last);

/**
 * pviommu_change_invalidate - have the host forget what a table held
 * @change: where to describe it; no change is under way
 * @domain: a domain with a table of the guest's
 * @first: first IOVA
 * @last: last IOVA, inclusive
 *
 * Nothing of core's changes, so there is nothing to undo.
 */
void pviommu_change_invalidate(PviommuChange *change, PviommuDomain *domain,
                               uint64_t first, uint64_t last);

#endif /* PVIOMMU_CORE_STATE_H */
