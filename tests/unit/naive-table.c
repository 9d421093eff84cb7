/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu tests: page tables walked once more, as simply as can be
 */
#include <glib.h>

#include "naive-table.h"

/* The way to a page: the last entry is that of level 1, or of a big page */
typedef struct Way {
    unsigned count;
    unsigned level[5];
    uint64_t entry[5];
} Way;

static const uint64_t page_bytes[] = {
    0, 4096, 2 * 1024 * 1024, 1024 * 1024 * 1024,
};

bool memory_read(uint64_t address, uint64_t *entry, void *opaque)
{
    Memory *memory = opaque;

    memory->reads++;
    if (address < memory->first ||
        (address - memory->first) / 8 >= memory->count) {
        return false;
    }
    *entry = memory->word[(address - memory->first) / 8];
    return true;
}

static bool bit(uint64_t entry, unsigned number)
{
    return entry / ((uint64_t)1 << number) % 2;
}

static bool any_bit(uint64_t entry, unsigned from, unsigned to)
{
    for (unsigned i = from; i <= to; i++) {
        if (bit(entry, i)) {
            return true;
        }
    }
    return false;
}

/* The number in some bits of an entry, moved nowhere */
static uint64_t keep(uint64_t entry, unsigned from, unsigned to)
{
    uint64_t kept = 0;

    for (unsigned i = from; i <= to; i++) {
        kept += bit(entry, i) ? (uint64_t)1 << i : 0;
    }
    return kept;
}

static unsigned levels_of(const PviommuGuestTable *table)
{
    if (table->format == PVIOMMU_FORMAT_X86_64) {
        return table->input_bits == 57 ? 5 : 4;
    }
    return table->input_bits == 39 ? 3 : 4;
}

static bool is_leaf(const PviommuGuestTable *table, unsigned level,
                    uint64_t entry)
{
    if (level == 1) {
        return true;
    }
    return table->format == PVIOMMU_FORMAT_X86_64 ? bit(entry, 7)
                                                  : !bit(entry, 1);
}

/* Collect entries as long as they are present; false if memory ends */
static bool go(const Memory *memory, const PviommuGuestTable *table,
               uint64_t iova, Way *way)
{
    uint64_t at = table->root;

    way->count = 0;
    for (unsigned level = levels_of(table); level > 0; level--) {
        uint64_t span = 4096;
        uint64_t entry, index;

        for (unsigned i = 1; i < level; i++) {
            span *= 512;
        }
        index = iova / span % 512;
        at += index * 8;
        if (at < memory->first ||
            at > memory->first + ((uint64_t)memory->count - 1) * 8) {
            return false;
        }
        entry = memory->word[(at - memory->first) / 8];
        way->level[way->count] = level;
        way->entry[way->count++] = entry;
        if (!bit(entry, 0)) {
            return false;
        }
        if (is_leaf(table, level, entry)) {
            return true;
        }
        at = keep(entry, 12, table->format == PVIOMMU_FORMAT_X86_64 ? 51
                                                                    : 47);
    }
    g_assert_not_reached();
}

static bool x86_64_allows(const Way *way, uint32_t *flags)
{
    unsigned level = way->level[way->count - 1];
    uint64_t leaf = way->entry[way->count - 1];

    *flags = PVIOMMU_MAP_F_READ | PVIOMMU_MAP_F_WRITE;
    for (unsigned i = 0; i < way->count; i++) {
        if (!bit(way->entry[i], 2)) {
            return false;
        }
        if (!bit(way->entry[i], 1)) {
            *flags = PVIOMMU_MAP_F_READ;
        }
    }
    return level <= 3 && !(level == 2 && any_bit(leaf, 13, 20)) &&
           !(level == 3 && any_bit(leaf, 13, 29));
}

static bool arm_lpae_allows(const Way *way, uint32_t *flags)
{
    unsigned level = way->level[way->count - 1];
    uint64_t leaf = way->entry[way->count - 1];

    *flags = PVIOMMU_MAP_F_READ | PVIOMMU_MAP_F_WRITE;
    for (unsigned i = 0; i + 1 < way->count; i++) {
        if (any_bit(way->entry[i], 48, 50) || bit(way->entry[i], 61)) {
            return false;
        }
        if (bit(way->entry[i], 62)) {
            *flags = PVIOMMU_MAP_F_READ;
        }
    }
    if (bit(leaf, 7)) {
        *flags = PVIOMMU_MAP_F_READ;
    }
    return level <= 3 && !(level == 1 && !bit(leaf, 1)) &&
           !(level == 2 && any_bit(leaf, 12, 20)) &&
           !(level == 3 && any_bit(leaf, 12, 29)) &&
           !any_bit(leaf, 48, 49) && bit(leaf, 6) && bit(leaf, 10);
}

static bool is_input(const PviommuGuestTable *table, uint64_t iova)
{
    unsigned top = table->input_bits - 1;

    if (table->format == PVIOMMU_FORMAT_X86_64) {
        for (unsigned i = top; i < 64; i++) {
            if (bit(iova, i) != bit(iova, top)) {
                return false;
            }
        }
        return true;
    }
    return !any_bit(iova, top + 1, 63);
}

bool naive_walk(const Memory *memory, const PviommuGuestTable *table,
                uint64_t iova, uint64_t *size, uint64_t *phys,
                uint32_t *flags)
{
    bool x86_64 = table->format == PVIOMMU_FORMAT_X86_64;
    uint64_t page;
    Way way;

    if (!is_input(table, iova) || !go(memory, table, iova, &way) ||
        !(x86_64 ? x86_64_allows(&way, flags)
                 : arm_lpae_allows(&way, flags))) {
        return false;
    }
    *size = page_bytes[way.level[way.count - 1]];
    page = keep(way.entry[way.count - 1], 12, x86_64 ? 51 : 47);
    *phys = page / *size * *size + iova % *size;
    return true;
}
