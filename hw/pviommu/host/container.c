/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu: mappings in a VFIO container, with the host's verdict
 *
 * What VFIO's own notifier does (vfio_iommu_map_notify() in
 * hw/vfio/common.c), but errors come back and sizes need be no power of two.
 */
#include "qemu/osdep.h"

#include "qemu/main-loop.h"
#include "pviommu/host.h"

void pviommu_container_foreach(AddressSpace *as, PviommuContainerFunc *func,
                               void *opaque)
{
    /* Made if it is not there yet, freed again if it has no container */
    VFIOAddressSpace *space = pviommu_compat_space_get(as);
    PviommuVfioContainer *container;

    g_assert(bql_locked());
    QLIST_FOREACH(container, &space->containers, next) {
        if (!func(container, opaque)) {
            break;
        }
    }
    pviommu_compat_space_put(space);
}

typedef struct Search {
    const IOMMUNotifier *notifier;
    PviommuVfioContainer *found;
} Search;

static bool search(PviommuVfioContainer *container, void *opaque)
{
    Search *s = opaque;
    VFIOGuestIOMMU *giommu;

    QLIST_FOREACH(giommu, &container->giommu_list, giommu_next) {
        if (&giommu->n == s->notifier) {
            s->found = container;
            return false;
        }
    }
    return true;
}

PviommuVfioContainer *pviommu_container_find(AddressSpace *as,
                                             const IOMMUNotifier *notifier)
{
    Search s = { .notifier = notifier };

    pviommu_container_foreach(as, search, &s);
    return s.found;
}

static int container_map(void *receiver, const PviommuPiece *piece)
{
    /*
     * iommufd_backend_map_dma() in backends/iommufd.c warns each time that
     * the kernel answers EFAULT, as it does for every BAR
     */
    if (memory_region_is_ram_device(piece->mr) &&
        object_dynamic_cast(receiver, TYPE_VFIO_IOMMU_IOMMUFD)) {
        return -EFAULT;
    }
    return pviommu_compat_dma_map(receiver, piece->iova, piece->size,
                                  piece->vaddr,
                                  !(piece->flags & PVIOMMU_MAP_F_WRITE),
                                  piece->mr);
}

static int unmap(PviommuVfioContainer *container, uint64_t first,
                 uint64_t last)
{
    return pviommu_compat_dma_unmap(container, first, last - first + 1);
}

/* The interface cannot name a range of 2^64 bytes, nor map across HALF */
#define HALF (1ULL << 63)

static int container_unmap(void *receiver, const PviommuMapping *mapping,
                           const PviommuMappings *set)
{
    int ret = 0;

    if (mapping->first >= HALF || mapping->last < HALF) {
        return unmap(receiver, mapping->first, mapping->last);
    }
    ret = unmap(receiver, mapping->first, HALF - 1);
    return ret ?: unmap(receiver, HALF, mapping->last);
}

static int container_clear(void *receiver)
{
    int low = unmap(receiver, 0, HALF - 1);
    int high = unmap(receiver, HALF, UINT64_MAX);

    return low ?: high;
}

const PviommuReceiverOps pviommu_container_ops = {
    .name = "container",
    .map = container_map,
    .unmap = container_unmap,
    .clear = container_clear,
};
