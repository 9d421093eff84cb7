/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu: domains
 */
#include "alloc.h"
#include "state.h"

PviommuDomain *pviommu_domain_new(PviommuIommu *iommu, uint32_t id,
                                  bool bypass,
                                  const PviommuGuestTable *table)
{
    PviommuDomain *domain = pviommu_alloc_try0(sizeof(*domain));

    if (!domain) {
        return NULL;
    }
    domain->iommu = iommu;
    domain->id = id;
    domain->bypass = bypass;
    if (table) {
        domain->table = *table;
    }
    g_hash_table_insert(iommu->domains, GUINT_TO_POINTER(id), domain);
    return domain;
}

void pviommu_domain_free(PviommuDomain *domain)
{
    g_assert(domain->attached == 0 && !domain->groups);
    g_hash_table_remove(domain->iommu->domains,
                        GUINT_TO_POINTER(domain->id));
    pviommu_mappings_clear(&domain->mappings);
    g_free(domain);
}

uint32_t pviommu_domain_id(const PviommuDomain *domain)
{
    return domain->id;
}

bool pviommu_domain_bypass(const PviommuDomain *domain)
{
    return domain->bypass;
}

const PviommuGuestTable *pviommu_domain_table(const PviommuDomain *domain)
{
    return domain->table.format ? &domain->table : NULL;
}

void pviommu_domain_set_opaque(PviommuDomain *domain, void *opaque)
{
    assert_open(domain->iommu);
    domain->opaque = opaque;
}

void *pviommu_domain_opaque(const PviommuDomain *domain)
{
    return domain->opaque;
}

const PviommuMappings *pviommu_domain_mappings(const PviommuDomain *domain)
{
    return &domain->mappings;
}

PviommuGroup *pviommu_domain_next_group(const PviommuDomain *domain,
                                        const PviommuGroup *group)
{
    PviommuGroup *next = group ? group->next : domain->groups;

    while (next && !next->opaque) {
        next = next->next;
    }
    return next;
}

bool pviommu_domain_fits(const PviommuDomain *domain,
                         const PviommuRegions *regions)
{
    size_t count = pviommu_regions_count(regions);

    for (size_t i = 0; i < count; i++) {
        const PviommuRegion *region = pviommu_regions_get(regions, i);
        PviommuMapping mapping;

        if (pviommu_mappings_find(&domain->mappings, region->first,
                                  region->last, &mapping)) {
            return false;
        }
    }
    return true;
}

bool pviommu_domain_reserves(const PviommuDomain *domain, uint64_t first,
                             uint64_t last)
{
    for (PviommuGroup *group = domain->groups; group; group = group->next) {
        if (pviommu_regions_find(group->regions, first, last)) {
            return true;
        }
    }
    return false;
}
