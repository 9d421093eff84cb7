/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu: the RAM under a mapping, block by block
 */
#include "qemu/osdep.h"

#include "exec/address-spaces.h"
#include "pviommu/host.h"

#define HALF (1ULL << 63)

typedef struct Walk {
    const PviommuMapping *mapping;
    PviommuPieceFunc *func;
    void *opaque;
} Walk;

/* Show @size bytes of RAM at guest-physical @phys, cut to whole host pages */
static int show(const Walk *walk, MemoryRegionSection *section,
                uint64_t phys, uint64_t size)
{
    const uint64_t page = qemu_real_host_page_size();
    uint64_t skip = phys - section->offset_within_address_space;
    uint8_t *vaddr = memory_region_get_ram_ptr(section->mr);
    PviommuPiece piece = {
        .iova = phys - walk->mapping->phys + walk->mapping->first,
        .readonly = section->readonly || section->mr->readonly ||
                    !(walk->mapping->flags & PVIOMMU_MAP_F_WRITE),
        .is_device = memory_region_is_ram_device(section->mr),
    };
    uint64_t head = -piece.iova & (page - 1);

    vaddr += section->offset_within_region + skip;
    if (size <= head) {
        return 0;
    }
    piece.iova += head;
    vaddr += head;
    size = QEMU_ALIGN_DOWN(size - head, page);
    if ((uintptr_t)vaddr & (page - 1)) {
        return 0;
    }

    while (size) {
        int ret;

        piece.vaddr = vaddr;
        piece.size = size;
        if (piece.iova < HALF && size > HALF - piece.iova) {
            piece.size = HALF - piece.iova;
        }
        ret = walk->func(&piece, walk->opaque);
        if (ret) {
            return ret;
        }
        piece.iova += piece.size;
        vaddr += piece.size;
        size -= piece.size;
    }
    return 0;
}

static int show_populated(MemoryRegionSection *section, void *opaque)
{
    return show(opaque, section, section->offset_within_address_space,
                int128_get64(section->size));
}

static int show_section(const Walk *walk, MemoryRegionSection *section)
{
    MemoryRegion *mr = section->mr;

    if (!memory_region_is_ram(mr) || memory_region_is_protected(mr)) {
        return 0;
    }
    if (memory_region_has_ram_discard_manager(mr)) {
        return ram_discard_manager_replay_populated(
            memory_region_get_ram_discard_manager(mr), section,
            show_populated, (void *)walk);
    }
    return show(walk, section, section->offset_within_address_space,
                int128_get64(section->size));
}

int pviommu_pieces_foreach(const PviommuMapping *mapping,
                           PviommuPieceFunc *func, void *opaque)
{
    Walk walk = { .mapping = mapping, .func = func, .opaque = opaque };
    uint64_t phys = mapping->phys;
    uint64_t last = mapping->phys + (mapping->last - mapping->first);
    int ret = 0;

    for (;;) {
        /* Int128 is out of reach here: ask for at most half the space */
        uint64_t size = MIN(last - phys, HALF - 1) + 1;
        MemoryRegionSection section =
            memory_region_find(get_system_memory(), phys, size);
        uint64_t end;

        if (section.mr) {
            ret = show_section(&walk, &section);
            end = section.offset_within_address_space +
                  (int128_get64(section.size) - 1);
            memory_region_unref(section.mr);
        } else {
            end = phys + (size - 1);
        }
        if (ret || end >= last) {
            return ret;
        }
        phys = end + 1;
    }
}
