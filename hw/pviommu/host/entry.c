/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu: entries of page tables that the guest keeps in its memory
 *
 * Registers answer loads by doing something, and take the big lock for it;
 * so only RAM that the guest can write is read, and where it lies is found
 * anew each time, as memory comes and goes.  The same goes for rings.
 */
#include "qemu/osdep.h"

#include "system/address-spaces.h"
#include "qemu/atomic.h"
#include "qemu/main-loop.h"
#include "qemu/rcu.h"
#include "pviommu/host.h"
#include "pviommu/table.h"

bool pviommu_find_ram(AddressSpace *as, uint64_t address, hwaddr size,
                      bool write, PviommuRam *ram)
{
    hwaddr found = size;
    MemoryRegion *mr;

    mr = address_space_translate(as, address, &ram->offset, &found, write,
                                 MEMTXATTRS_UNSPECIFIED);
    if (found < size || !memory_region_is_ram(mr) ||
        memory_region_is_ram_device(mr) || (write && mr->readonly)) {
        return false;
    }
    ram->mr = mr;
    ram->at = (char *)memory_region_get_ram_ptr(mr) + ram->offset;
    return true;
}

/* Where QEMU sees @size bytes of a table, all in one block; NULL for nowhere */
static const uint64_t *find(uint64_t address, hwaddr size)
{
    PviommuRam ram;

    /* one that is not aligned is a block that no board has */
    return pviommu_find_ram(&address_space_memory, address, size, true,
                            &ram) &&
           QEMU_PTR_IS_ALIGNED(ram.at, sizeof(uint64_t)) ? ram.at : NULL;
}

bool pviommu_read_entry(uint64_t address, uint64_t *entry, void *opaque)
{
    const uint64_t *at;

    RCU_READ_LOCK_GUARD();
    at = find(address, sizeof(*entry));
    if (!at) {
        return false;
    }
    *entry = le64_to_cpu(qatomic_read(at));
    return true;
}

bool pviommu_read_entry_cached(uint64_t address, uint64_t *entry,
                               void *opaque)
{
    PviommuEntryCache *cache = opaque;
    uint64_t offset = address % PVIOMMU_TABLE_SIZE;

    g_assert(bql_locked());
    if (!cache->at || cache->page != address - offset) {
        RCU_READ_LOCK_GUARD();
        cache->page = address - offset;
        cache->at = find(cache->page, PVIOMMU_TABLE_SIZE);
        if (!cache->at) {
            return pviommu_read_entry(address, entry, NULL);
        }
    }
    *entry = le64_to_cpu(qatomic_read(cache->at + offset / sizeof(*entry)));
    return true;
}
