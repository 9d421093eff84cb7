/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu: memory that leaves while a vhost device is in bypass
 *
 * vhost asks QEMU for each address that it does not know, in bypass too, and
 * keeps the answer: where QEMU has the memory.  It registers an IOMMU notifier
 * for what ends, but only while its address space shows an IOMMU region
 * (vhost_iommu_region_add() in hw/virtio/vhost.c), and in bypass that shows
 * none.  So its listener is told of one for the time of the message.
 */
#include "qemu/osdep.h"

#include "pviommu/host.h"

/* Name of struct vhost_dev's iommu_listener */
#define VHOST_LISTENER "vhost-iommu"

void pviommu_vhost_forget(PviommuHost *host, AddressSpace *as,
                          const MemoryRegionSection *gone)
{
    const uint64_t first = gone->offset_within_address_space;
    const PviommuMapping mapping = {
        .first = first,
        .last = first + int128_get64(int128_sub(gone->size, int128_one())),
        .phys = first,
    };
    MemoryRegionSection shown = {
        .mr = MEMORY_REGION(host->mr),
        .size = int128_2_64(),
    };
    MemoryListener *listener;
    IOMMUNotifier *n;

    QTAILQ_FOREACH(listener, &as->listeners, link_as) {
        if (g_strcmp0(listener->name, VHOST_LISTENER)) {
            continue;
        }
        listener->region_add(listener, &shown);
        IOMMU_NOTIFIER_FOREACH(n, host->mr) {
            pviommu_notifier_ops.unmap(n, &mapping, NULL);
        }
        listener->region_del(listener, &shown);
    }
}
