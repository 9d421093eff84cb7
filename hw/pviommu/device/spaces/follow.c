/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu: mappings of the guest over memory that changes
 *
 * A mapping names guest-physical addresses; what is there may come later or
 * go earlier.  Emulated endpoints see it at their next access; the hosts of
 * passed-through ones are brought in line here, and so are host page tables
 * with all of guest memory.  For an address space in bypass VFIO's listener
 * does the same, guarded, and what it was refused is seen to here; but what
 * vhost keeps there has nobody else to end it.
 */
#include "qemu/osdep.h"

#include "hw/pci/pci_device.h"
#include "spaces/spaces.h"

typedef struct Follow {
    PviommuDevice *device;
    const MemoryRegionSection *section;
    bool present;
    int ret;
} Follow;

/* Returns whether @target still holds anything */
static bool follow_mapping(Follow *follow, PviommuTarget *target,
                           const PviommuMapping *mapping)
{
    PviommuDevice *s = follow->device;
    PviommuMapping part;
    int ret;

    if (!pviommu_pieces_clip(mapping, follow->section, &part)) {
        return true;
    }
    ret = follow->present
          ? pviommu_host_map(target->host, mapping, follow->section)
          : pviommu_host_unmap(target->host, &part);
    if (!ret) {
        return true;
    }
    if (pviommu_target_spare(s, target)) {
        return false;
    }
    pviommu_space_refused(pviommu_target_space(s, target), follow->present
                          ? "memory that came under a mapping"
                          : "to remove memory that left", -ret);
    if (follow->present) {
        follow->ret = follow->ret ?: ret;   /* what left is gone anyway */
    }
    if (!follow->present || ret == PVIOMMU_HOST_LOST) {
        pviommu_target_lose(s, target);
        return false;
    }
    return true;
}

static void follow_domain(PviommuDomain *domain, void *opaque)
{
    const Follow *follow = opaque;
    PviommuTarget target = {
        .shadows = pviommu_domain_table(domain) != NULL,
    };

    if (pviommu_domain_bypass(domain)) {
        return;
    }
    if (pviommu_domain_table(domain) && !follow->present) {
        /*
         * Who walks the guest's table keeps what nobody knows of: which IOVAs
         * lead to memory that left, the table said, and may have changed since
         */
        pviommu_targets_invalidate(follow->device, domain,
                                   &pviommu_all_memory);
    }
    while (pviommu_target_next(domain, &target)) {
        PviommuMappingIter iter = { 0 };
        PviommuMapping mapping;

        while (pviommu_mappings_next(pviommu_domain_mappings(domain), &iter,
                                     UINT64_MAX, &mapping)) {
            if (!follow_mapping(opaque, &target, &mapping)) {
                break;
            }
        }
    }
}

static void forget_in_bypass(PviommuDevice *s,
                             const MemoryRegionSection *section)
{
    for (unsigned i = 0; i < s->endpoints->len; i++) {
        PviommuBusEndpoint *e = g_ptr_array_index(s->endpoints, i);

        e->space->ops->forget(e->space,
                              e->pdev ? pci_get_address_space(e->pdev) : NULL,
                              section);
    }
}

static bool all_take_memory(PviommuDevice *s)
{
    for (unsigned i = 0; i < s->spaces->len; i++) {
        PviommuSpace *space = g_ptr_array_index(s->spaces, i);

        if (!space->ops->takes_memory(space)) {
            return false;
        }
    }
    return true;
}

static int memory_changed(const MemoryRegionSection *section, bool present,
                          void *opaque)
{
    PviommuDevice *s = opaque;
    PviommuIommufd *iommufd;
    Follow follow = { .device = s, .section = section, .present = present };
    PVIOMMU_HOLD_GUARD(s);

    if (present && !s->memory.depth && !all_take_memory(s)) {
        return -EBUSY;
    }
    if (memory_region_is_ram(section->mr)) {
        if (!present) {
            forget_in_bypass(s, section);
        }
        pviommu_iommu_foreach_domain(s->iommu, follow_domain, &follow);
        QLIST_FOREACH(iommufd, &s->iommufds, next) {
            if (iommufd->bypass) {
                PviommuTarget target = { .host = &iommufd->bypass->host };

                follow_mapping(&follow, &target, &pviommu_all_memory);
            }
        }
    }
    return follow.ret;
}

/*
 * From here on to the end no request looks at guest memory: what is there
 * changes behind our back, as QEMU publishes its new map between the two
 */
static void memory_begins(void *opaque)
{
    PviommuDevice *s = pviommu_hold(opaque);

    for (unsigned i = 0; i < s->spaces->len; i++) {
        PviommuSpace *space = g_ptr_array_index(s->spaces, i);

        space->ops->memory_begins(space);
    }
}

static void memory_ends(void *opaque)
{
    PviommuDevice *s = opaque;

    for (unsigned i = 0; i < s->spaces->len; i++) {
        PviommuSpace *space = g_ptr_array_index(s->spaces, i);

        space->ops->memory_ends(space);
    }
    pviommu_release(s);
}

static const PviommuMemoryOps memory_ops = {
    .begin = memory_begins,
    .end = memory_ends,
    .change = memory_changed,
};

void pviommu_follow_memory_start(PviommuDevice *s)
{
    pviommu_memory_watch(&s->memory, &memory_ops, s);
}

void pviommu_follow_memory_stop(PviommuDevice *s)
{
    pviommu_memory_unwatch(&s->memory);
}
