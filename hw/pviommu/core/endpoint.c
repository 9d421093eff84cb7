/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu: groups and the endpoints in them
 */
#include "state.h"

PviommuGroup *pviommu_group_new(PviommuIommu *iommu, void *opaque)
{
    PviommuGroup *group = g_new0(PviommuGroup, 1);

    assert_open(iommu);
    group->iommu = iommu;
    group->opaque = opaque;
    iommu->groups++;
    return group;
}

void pviommu_group_free(PviommuGroup *group)
{
    if (!group) {
        return;
    }
    assert_open(group->iommu);
    g_assert(group->members == 0);
    group->iommu->groups--;
    pviommu_regions_free(group->regions);
    g_free(group);
}

void *pviommu_group_opaque(const PviommuGroup *group)
{
    return group->opaque;
}

void pviommu_group_set_regions(PviommuGroup *group, PviommuRegions *regions)
{
    assert_open(group->iommu);
    if (regions != group->regions) {
        pviommu_regions_free(group->regions);
        group->regions = regions;
    }
}

const PviommuRegions *pviommu_group_regions(const PviommuGroup *group)
{
    return group->regions;
}

void pviommu_group_set_formats(PviommuGroup *group, PviommuFormats formats)
{
    assert_open(group->iommu);
    group->formats = formats;
}

PviommuFormats pviommu_group_formats(const PviommuGroup *group)
{
    return group->formats;
}

void pviommu_group_set_fenced(PviommuGroup *group, bool fenced)
{
    assert_open(group->iommu);
    group->fenced = fenced;
}

bool pviommu_group_fenced(const PviommuGroup *group)
{
    return group->fenced;
}

PviommuDomain *pviommu_group_domain(const PviommuGroup *group)
{
    return group->domain;
}

PviommuState pviommu_group_state(const PviommuGroup *group)
{
    return group_state(group);
}

PviommuEndpoint *pviommu_endpoint_new(PviommuGroup *group, void *opaque)
{
    PviommuEndpoint *endpoint = g_new0(PviommuEndpoint, 1);

    assert_open(group->iommu);
    endpoint->group = group;
    endpoint->opaque = opaque;
    endpoint->id = PVIOMMU_NO_ID;
    endpoint->asked = PVIOMMU_NO_ID;
    group->members++;
    g_ptr_array_add(group->iommu->endpoints, endpoint);
    return endpoint;
}

void *pviommu_endpoint_opaque(const PviommuEndpoint *endpoint)
{
    return endpoint->opaque;
}

void pviommu_endpoint_free(PviommuEndpoint *endpoint)
{
    PviommuIommu *iommu;

    if (!endpoint) {
        return;
    }
    g_assert(!endpoint->domain);
    iommu = endpoint->group->iommu;
    assert_open(iommu);
    if (endpoint->id != PVIOMMU_NO_ID) {
        g_hash_table_remove(iommu->by_id,
                            GUINT_TO_POINTER((guint)endpoint->id));
        /* another may have asked for the same number */
        iommu->numbers_stale = true;
    }
    g_ptr_array_remove(iommu->endpoints, endpoint);
    endpoint->group->members--;
    g_free(endpoint);
}

void pviommu_endpoint_detach(PviommuEndpoint *endpoint,
                             PviommuChange *change)
{
    *change = (PviommuChange) { 0 };
    if (endpoint->domain) {
        pviommu_change_attach(change, endpoint, NULL);
    }
}

uint64_t pviommu_endpoint_id(const PviommuEndpoint *endpoint)
{
    return endpoint->id;
}

PviommuGroup *pviommu_endpoint_group(const PviommuEndpoint *endpoint)
{
    return endpoint->group;
}

PviommuDomain *pviommu_endpoint_domain(const PviommuEndpoint *endpoint)
{
    return endpoint->domain;
}
