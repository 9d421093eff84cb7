/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu: mappings as events for an IOMMU notifier
 *
 * An event covers a naturally aligned power of two: what IOMMUTLBEntry's
 * addr_mask says, and all that receivers may expect.  A notifier cannot
 * refuse, so nothing here fails.
 */
#include "qemu/osdep.h"

#include "system/address-spaces.h"
#include "system/dma.h"
#include "pviommu/host.h"

/* Send one event, cut to the notifier's own range */
static void notify(IOMMUNotifier *n, IOMMUNotifierFlag type, uint64_t first,
                   uint64_t last, uint64_t phys, IOMMUAccessFlags perm)
{
    uint64_t from = MAX(first, n->start);
    uint64_t to = MIN(last, n->end);

    if (n->start > last || n->end < first) {
        return;
    }
    for (;;) {
        uint64_t mask = dma_aligned_pow2_mask(from, to, 63);
        IOMMUTLBEvent event = {
            .type = type,
            .entry = {
                .target_as = &address_space_memory,
                .iova = from,
                .translated_addr = perm ? phys + (from - first) : 0,
                .addr_mask = mask,
                .perm = perm,
            },
        };

        memory_region_notify_iommu_one(n, &event);
        if (to - from <= mask) {
            return;
        }
        from += mask + 1;
    }
}

static void send_unmap(IOMMUNotifier *n, uint64_t first, uint64_t last)
{
    /* vhost registers for one kind or the other; send what it asked for */
    if (n->notifier_flags & IOMMU_NOTIFIER_DEVIOTLB_UNMAP) {
        notify(n, IOMMU_NOTIFIER_DEVIOTLB_UNMAP, first, last, 0, IOMMU_NONE);
    }
    if (n->notifier_flags & IOMMU_NOTIFIER_UNMAP) {
        notify(n, IOMMU_NOTIFIER_UNMAP, first, last, 0, IOMMU_NONE);
    }
}

static int notifier_map(void *receiver, const PviommuPiece *piece)
{
    notify(receiver, IOMMU_NOTIFIER_MAP, piece->iova,
           piece->iova + (piece->size - 1), piece->phys,
           IOMMU_ACCESS_FLAG(piece->flags & PVIOMMU_MAP_F_READ,
                             piece->flags & PVIOMMU_MAP_F_WRITE));
    return 0;
}

static int notifier_unmap(void *receiver, const PviommuMapping *mapping,
                          const PviommuMappings *set)
{
    send_unmap(receiver, mapping->first, mapping->last);
    return 0;
}

/* Who waits to be told of mappings was told of none */
static int notifier_invalidate(void *receiver, const PviommuMapping *range)
{
    IOMMUNotifier *n = receiver;

    if (!(n->notifier_flags & IOMMU_NOTIFIER_MAP)) {
        send_unmap(n, range->first, range->last);
    }
    return 0;
}

static int notifier_clear(void *receiver)
{
    send_unmap(receiver, 0, UINT64_MAX);
    return 0;
}

const PviommuReceiverOps pviommu_notifier_ops = {
    .name = "notifier",
    .map = notifier_map,
    .unmap = notifier_unmap,
    .invalidate = notifier_invalidate,
    .clear = notifier_clear,
};
