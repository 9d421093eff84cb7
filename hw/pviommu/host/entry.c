/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu: entries of page tables that the guest keeps in its memory
 *
 * Registers answer loads by doing something, and take the big lock for it;
 * so only RAM that the guest can write is read, and where it lies is found
 * anew each time, as memory comes and goes.
 */
#include "qemu/osdep.h"

#include "system/address-spaces.h"
#include "qemu/atomic.h"
#include "qemu/rcu.h"
#include "pviommu/host.h"

bool pviommu_read_entry(uint64_t address, uint64_t *entry, void *opaque)
{
    hwaddr offset, size = sizeof(*entry);
    MemoryRegion *mr;
    const uint64_t *at;

    RCU_READ_LOCK_GUARD();
    mr = address_space_translate(&address_space_memory, address, &offset,
                                 &size, false, MEMTXATTRS_UNSPECIFIED);
    if (size < sizeof(*entry) || !memory_region_is_ram(mr) || mr->readonly ||
        memory_region_is_ram_device(mr)) {
        return false;
    }
    at = (const uint64_t *)((char *)memory_region_get_ram_ptr(mr) + offset);
    if (!QEMU_PTR_IS_ALIGNED(at, sizeof(*at))) {
        return false;           /* a block that no board has */
    }
    *entry = le64_to_cpu(qatomic_read(at));
    return true;
}
