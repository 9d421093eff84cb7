/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu: the RAM under a mapping, block by block
 */
#include "qemu/osdep.h"

#include "system/address-spaces.h"
#include "pviommu/host.h"

#define HALF (1ULL << 63)

typedef struct Walk {
    const PviommuMapping *mapping;
    PviommuPieceFunc *func;
    void *opaque;
} Walk;

/* Show @size bytes at guest-physical @phys, cut to whole host pages */
static int show(const Walk *walk, const MemoryRegionSection *section,
                uint64_t phys, uint64_t size)
{
    const uint64_t page = qemu_real_host_page_size();
    uint64_t skip = phys - section->offset_within_address_space;
    uint8_t *vaddr = memory_region_get_ram_ptr(section->mr);
    PviommuPiece piece = {
        .iova = phys - walk->mapping->phys + walk->mapping->first,
        .phys = phys,
        .mr = section->mr,
        .flags = walk->mapping->flags &
                 (PVIOMMU_MAP_F_READ | PVIOMMU_MAP_F_WRITE),
    };
    uint64_t head = -piece.iova & (page - 1);

    if (section->readonly || section->mr->readonly) {
        piece.flags &= ~PVIOMMU_MAP_F_WRITE;
    }
    vaddr += section->offset_within_region + skip;
    if (size <= head || !piece.flags) {
        return 0;
    }
    piece.iova += head;
    piece.phys += head;
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
        piece.phys += piece.size;
        vaddr += piece.size;
        size -= piece.size;
    }
    return 0;
}

typedef struct Populated {
    const Walk *walk;
    const MemoryRegionSection *section;
    uint64_t grain;
} Populated;

/*
 * What is populated of the section, in pieces no larger than what may be
 * discarded later. Since 11.1 QEMU tells no place in the address space here.
 */
static int show_populated(PviommuDiscardSection *populated, void *opaque)
{
    const Populated *p = opaque;
    const MemoryRegionSection *section = p->section;
    uint64_t base = section->offset_within_region;
    uint64_t offset = MAX(base, populated->offset_within_region);
    uint64_t end = MIN(base + int128_get64(section->size),
                       populated->offset_within_region +
                       int128_get64(populated->size));

    while (offset < end) {
        uint64_t size = MIN(end - offset, p->grain - offset % p->grain);
        int ret = show(p->walk, section, section->offset_within_address_space +
                       (offset - base), size);

        if (ret) {
            return ret;
        }
        offset += size;
    }
    return 0;
}

/* @populated: all of it, whatever its RamDiscardManager says so far */
static int show_discardable(const Walk *walk,
                            const MemoryRegionSection *section, bool populated)
{
    RamDiscardManager *rdm =
        memory_region_get_ram_discard_manager(section->mr);
    Populated p = {
        .walk = walk,
        .section = section,
        .grain = ram_discard_manager_get_min_granularity(rdm, section->mr),
    };
    MemoryRegionSection blocks = *section;
    uint64_t skip = section->offset_within_region % p.grain;

    /* Since 11.1 QEMU looks at blocks of this size from where it is asked */
    blocks.offset_within_region -= skip;
    blocks.offset_within_address_space -= skip;
    blocks.size = int128_add(blocks.size, int128_make64(skip));
    return populated ? show_populated(&blocks, &p)
                     : ram_discard_manager_replay_populated(rdm, &blocks,
                                                            show_populated,
                                                            &p);
}

static bool is_mappable(const MemoryRegionSection *section)
{
    return memory_region_is_ram(section->mr) &&
           !memory_region_is_protected(section->mr) &&
           !pviommu_compat_unmappable(section->mr);
}

static int show_section(const Walk *walk, const MemoryRegionSection *section,
                        bool populated)
{
    if (!is_mappable(section)) {
        return 0;
    }
    if (memory_region_has_ram_discard_manager(section->mr)) {
        return show_discardable(walk, section, populated);
    }
    return show(walk, section, section->offset_within_address_space,
                int128_get64(section->size));
}

/* The part of @section under @mapping; false when there is none */
static bool intersect(const PviommuMapping *mapping,
                      const MemoryRegionSection *section,
                      MemoryRegionSection *part)
{
    uint64_t first = section->offset_within_address_space;
    uint64_t last = first + int128_get64(int128_sub(section->size,
                                                    int128_one()));
    uint64_t from = MAX(first, mapping->phys);
    uint64_t to = MIN(last, mapping->phys + (mapping->last - mapping->first));

    if (from > to) {
        return false;
    }
    *part = *section;
    part->offset_within_region += from - first;
    part->offset_within_address_space = from;
    part->size = int128_add(int128_make64(to - from), int128_one());
    return true;
}

bool pviommu_pieces_clip(const PviommuMapping *mapping,
                         const MemoryRegionSection *section,
                         PviommuMapping *clipped)
{
    const uint64_t page = qemu_real_host_page_size();
    MemoryRegionSection part;
    uint64_t first, end, size;

    if (!is_mappable(section) || !intersect(mapping, section, &part)) {
        return false;
    }
    first = mapping->first + (part.offset_within_address_space -
                              mapping->phys);
    size = int128_get64(part.size);
    end = first + size;         /* 0 when it ends with the space */
    first = ROUND_UP(first, page);
    end = QEMU_ALIGN_DOWN(end, page);
    if (size < page || first == end) {
        return false;
    }
    *clipped = *mapping;
    clipped->phys += first - mapping->first;
    clipped->first = first;
    clipped->last = end - 1;
    return clipped->first <= clipped->last;
}

int pviommu_pieces_foreach(const PviommuMapping *mapping,
                           const MemoryRegionSection *section,
                           PviommuPieceFunc *func, void *opaque)
{
    Walk walk = { .mapping = mapping, .func = func, .opaque = opaque };
    uint64_t phys = mapping->phys;
    uint64_t last = mapping->phys + (mapping->last - mapping->first);
    int ret = 0;

    if (section) {
        MemoryRegionSection part;

        return intersect(mapping, section, &part)
               ? show_section(&walk, &part, true) : 0;
    }
    for (;;) {
        /* A size is 64 bits wide: ask for half of the space at most */
        uint64_t size = MIN(last - phys, HALF - 1) + 1;
        MemoryRegionSection found =
            memory_region_find(get_system_memory(), phys, size);
        uint64_t end;

        if (found.mr) {
            ret = show_section(&walk, &found, false);
            end = found.offset_within_address_space +
                  (int128_get64(found.size) - 1);
            memory_region_unref(found.mr);
        } else {
            end = phys + (size - 1);
        }
        if (ret || end >= last) {
            return ret;
        }
        phys = end + 1;
    }
}
