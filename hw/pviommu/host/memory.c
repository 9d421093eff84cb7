/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu: guest memory that comes and goes
 *
 * Hotplug, BARs, ROM shadowing and the like change the memory map; memory
 * that a RamDiscardManager rules (virtio-mem) is populated and discarded in
 * place.  Both are told to one function.  QEMU calls begin() and commit() of
 * every listener for every transaction (memory_region_transaction_commit() in
 * system/memory.c), also when its own address space does not change.
 */
#include "qemu/osdep.h"

#include "system/address-spaces.h"
#include "pviommu/host.h"

/**
 * struct PviommuDiscard - a section that can be populated and discarded
 * @memory: who wants to know
 * @rdl: the listener of the section's RamDiscardManager
 * @next: in @memory->discards
 */
typedef struct PviommuDiscard {
    PviommuMemory *memory;
    RamDiscardListener rdl;
    QLIST_ENTRY(PviommuDiscard) next;
} PviommuDiscard;

static void discard(RamDiscardListener *rdl, PviommuDiscardSection *section)
{
    PviommuMemory *memory = container_of(rdl, PviommuDiscard, rdl)->memory;

    memory->ops->change(section, false, memory->opaque);
}

static int populate(RamDiscardListener *rdl, PviommuDiscardSection *section)
{
    PviommuMemory *memory = container_of(rdl, PviommuDiscard, rdl)->memory;
    int ret = memory->ops->change(section, true, memory->opaque);

    if (ret) {
        memory->ops->change(section, false, memory->opaque);
    }
    return ret;
}

static void region_add(MemoryListener *listener, MemoryRegionSection *section)
{
    PviommuMemory *memory = container_of(listener, PviommuMemory, listener);
    PviommuDiscard *d;

    if (!memory_region_has_ram_discard_manager(section->mr)) {
        memory->ops->change(section, true, memory->opaque);
        return;
    }
    d = g_new0(PviommuDiscard, 1);
    d->memory = memory;
    pviommu_compat_discard_init(&d->rdl, populate, discard);
    QLIST_INSERT_HEAD(&memory->discards, d, next);
    /* This populates what is there by now */
    ram_discard_manager_register_listener(
        memory_region_get_ram_discard_manager(section->mr), &d->rdl, section);
}

static void region_del(MemoryListener *listener, MemoryRegionSection *section)
{
    PviommuMemory *memory = container_of(listener, PviommuMemory, listener);
    PviommuDiscard *d;

    if (!memory_region_has_ram_discard_manager(section->mr)) {
        memory->ops->change(section, false, memory->opaque);
        return;
    }
    QLIST_FOREACH(d, &memory->discards, next) {
        if (d->rdl.section->mr == section->mr &&
            d->rdl.section->offset_within_address_space ==
            section->offset_within_address_space) {
            break;
        }
    }
    if (d) {
        /* This discards what is populated */
        ram_discard_manager_unregister_listener(
            memory_region_get_ram_discard_manager(section->mr), &d->rdl);
        QLIST_REMOVE(d, next);
        g_free(d);
    }
}

static void begin(MemoryListener *listener)
{
    PviommuMemory *memory = container_of(listener, PviommuMemory, listener);

    if (!memory->depth++) {
        memory->ops->begin(memory->opaque);
    }
}

static void commit(MemoryListener *listener)
{
    PviommuMemory *memory = container_of(listener, PviommuMemory, listener);

    if (!--memory->depth) {
        memory->ops->end(memory->opaque);
    }
}

bool pviommu_memory_is_discardable(const PviommuMemory *memory,
                                   const PviommuMapping *mapping)
{
    PviommuDiscard *d;

    QLIST_FOREACH(d, &memory->discards, next) {
        const MemoryRegionSection *section = d->rdl.section;
        uint64_t first = section->offset_within_address_space;

        if (ranges_overlap(mapping->phys, mapping->last - mapping->first + 1,
                           first, int128_get64(section->size))) {
            return true;
        }
    }
    return false;
}

void pviommu_memory_watch(PviommuMemory *memory, const PviommuMemoryOps *ops,
                          void *opaque)
{
    memory->ops = ops;
    memory->opaque = opaque;
    QLIST_INIT(&memory->discards);
    memory->listener = (MemoryListener) {
        .name = "pviommu-memory",
        .begin = begin,
        .commit = commit,
        .region_add = region_add,
        .region_del = region_del,
        .priority = MEMORY_LISTENER_PRIORITY_DEV_BACKEND,
    };
    memory_listener_register(&memory->listener, &address_space_memory);
}

void pviommu_memory_unwatch(PviommuMemory *memory)
{
    memory_listener_unregister(&memory->listener);
}
