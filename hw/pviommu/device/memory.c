/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu: mappings of the guest over memory that changes
 *
 * A mapping names guest-physical addresses; what is there may come later or
 * go earlier.  Emulated endpoints see it at their next access; the hosts of
 * passed-through ones are brought in line here.  In bypass VFIO's listener
 * does the same.
 */
#include "qemu/osdep.h"

#include "internal.h"

typedef struct Follow {
    const MemoryRegionSection *section;
    bool present;
    int ret;
} Follow;

static int follow_mapping(const Follow *follow, PviommuSpace *space,
                          const PviommuMapping *mapping)
{
    PviommuMapping part;
    int ret;

    if (!pviommu_pieces_clip(mapping, follow->section, &part)) {
        return 0;
    }
    if (!follow->present) {
        ret = pviommu_host_unmap(&space->host, &part);
        if (ret) {
            pviommu_space_refused(space, "to remove memory that left", -ret);
            pviommu_space_lose(space);
        }
        return 0;       /* it is gone, whatever the host says */
    }
    ret = pviommu_host_map(&space->host, mapping, follow->section);
    if (ret) {
        pviommu_space_refused(space, "memory that came under a mapping",
                              -ret);
        if (ret == PVIOMMU_HOST_LOST) {
            pviommu_space_lose(space);
        }
    }
    return ret;
}

static void follow_domain(PviommuDomain *domain, void *opaque)
{
    Follow *follow = opaque;
    PviommuGroup *group = NULL;

    if (pviommu_domain_bypass(domain)) {
        return;
    }
    while ((group = pviommu_domain_next_group(domain, group))) {
        PviommuSpace *space = pviommu_group_opaque(group);
        PviommuMappingIter iter = { 0 };
        PviommuMapping mapping;

        while (pviommu_space_served(space) &&
               pviommu_mappings_next(pviommu_domain_mappings(domain), &iter,
                                     UINT64_MAX, &mapping)) {
            int ret = follow_mapping(follow, space, &mapping);

            follow->ret = follow->ret ?: ret;
        }
    }
}

static int memory_changed(const MemoryRegionSection *section, bool present,
                          void *opaque)
{
    PviommuDevice *s = opaque;
    Follow follow = { .section = section, .present = present };

    if (memory_region_is_ram(section->mr)) {
        pviommu_iommu_foreach_domain(s->iommu, follow_domain, &follow);
    }
    return follow.ret;
}

void pviommu_follow_memory_start(PviommuDevice *s)
{
    pviommu_memory_watch(&s->memory, memory_changed, s);
}

void pviommu_follow_memory_stop(PviommuDevice *s)
{
    pviommu_memory_unwatch(&s->memory);
}
