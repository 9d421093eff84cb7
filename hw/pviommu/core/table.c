/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu: the walk of a page table that the guest owns
 *
 * Each entry is read once and judged by that copy, as the guest may change it
 * at any time.  A level takes 9 bits off the address, so whatever the entries
 * point to, a walk ends after as many loads as the table has levels.
 *
 * Sources: Intel's VT-d specification, "First-Stage Paging Entries"; Arm's
 * Architecture Reference Manual, "Translation table descriptor formats".
 */
#include <glib.h>

#include "pviommu/iommu.h"
#include "pviommu/table.h"

#define BIT(n) (UINT64_C(1) << (n))
#define ACCESS_MASK (PVIOMMU_MAP_F_READ | PVIOMMU_MAP_F_WRITE)

/* Of an address, the bits from @low to @high */
#define BITS(high, low) ((BIT((high) - (low)) * 2 - 1) << (low))

enum {
    PAGE_SHIFT = 12,
    LEVEL_BITS = 9,
    LEVELS_MAX = 5,
    LARGEST_SHIFT = 30,     /* of the two pages beyond 4 KiB */
};

/* What an entry is */
typedef enum Kind {
    FAULT,                  /* not present, not allowed, or not valid */
    TABLE,                  /* points to a table of the next level */
    LEAF,                   /* maps a page */
} Kind;

/* Entries of Intel's and AMD's paging with 4 or 5 levels */
#define X86_PRESENT BIT(0)
#define X86_WRITE BIT(1)
#define X86_USER BIT(2)
#define X86_PAGE BIT(7)             /* in a page of 4 KiB a memory type */
#define X86_ADDRESS BITS(51, 12)

/* Descriptors of Arm's VMSAv8-64 */
#define ARM_VALID BIT(0)
#define ARM_TABLE BIT(1)            /* in the last level: a page */
#define ARM_USER BIT(6)             /* AP[1] */
#define ARM_READ_ONLY BIT(7)        /* AP[2] */
#define ARM_ACCESSED BIT(10)
#define ARM_ADDRESS BITS(47, 12)
#define ARM_LEAF_RESERVED BITS(49, 48)
#define ARM_TABLE_RESERVED BITS(50, 48)
#define ARM_TABLE_NO_USER BIT(61)   /* APTable[0] */
#define ARM_TABLE_READ_ONLY BIT(62) /* APTable[1] */

/**
 * typedef Judge - say what an entry is
 * @entry: the entry
 * @shift: it decides for 2^shift bytes
 * @flags: what the entries before it allow, narrowed by this one
 *
 * Return: what it is; for FAULT @flags does not matter.
 */
typedef Kind Judge(uint64_t entry, unsigned shift, uint32_t *flags);

/* The address bits of a page that its size makes superfluous */
static uint64_t below(unsigned shift, unsigned low)
{
    return BIT(shift) - BIT(low);
}

static Kind judge_x86_64(uint64_t entry, unsigned shift, uint32_t *flags)
{
    /* requests without a PASID are a user's */
    if (!(entry & X86_PRESENT) || !(entry & X86_USER)) {
        return FAULT;
    }
    if (!(entry & X86_WRITE)) {
        *flags &= ~PVIOMMU_MAP_F_WRITE;
    }
    if (shift == PAGE_SHIFT) {
        return LEAF;
    }
    if (!(entry & X86_PAGE)) {
        return TABLE;
    }
    /* bit 12 is the memory type that bit 7 is in smaller pages */
    if (shift > LARGEST_SHIFT || (entry & below(shift, PAGE_SHIFT + 1))) {
        return FAULT;
    }
    return LEAF;
}

static Kind judge_arm_lpae(uint64_t entry, unsigned shift, uint32_t *flags)
{
    if (!(entry & ARM_VALID)) {
        return FAULT;
    }
    if (shift > PAGE_SHIFT && (entry & ARM_TABLE)) {
        if (entry & (ARM_TABLE_RESERVED | ARM_TABLE_NO_USER)) {
            return FAULT;
        }
        if (entry & ARM_TABLE_READ_ONLY) {
            *flags &= ~PVIOMMU_MAP_F_WRITE;
        }
        return TABLE;
    }
    if ((shift == PAGE_SHIFT && !(entry & ARM_TABLE)) ||
        shift > LARGEST_SHIFT || (entry & ARM_LEAF_RESERVED) ||
        (entry & below(shift, PAGE_SHIFT)) ||
        !(entry & ARM_USER) || !(entry & ARM_ACCESSED)) {
        return FAULT;
    }
    if (entry & ARM_READ_ONLY) {
        *flags &= ~PVIOMMU_MAP_F_WRITE;
    }
    return LEAF;
}

/**
 * struct Format - a format
 * @info: what is told of it
 * @judge: says what an entry is
 * @address: the bits of an entry that are an address
 * @sign_extended: IOVAs have their top bit in all bits above, rather than 0
 */
typedef struct Format {
    PviommuFormatInfo info;
    Judge *judge;
    uint64_t address;
    bool sign_extended;
} Format;

#define PAGE_SIZES (BIT(12) | BIT(21) | BIT(30))

static const Format formats[PVIOMMU_FORMAT__MAX] = {
    [PVIOMMU_FORMAT_X86_64] = {
        .info = {
            .input_sizes = BIT(48) | BIT(57),
            .page_sizes = PAGE_SIZES,
            .output_bits = 52,
        },
        .judge = judge_x86_64,
        .address = X86_ADDRESS,
        .sign_extended = true,
    },
    [PVIOMMU_FORMAT_ARM_LPAE] = {
        .info = {
            .input_sizes = BITS(48, 39),
            .page_sizes = PAGE_SIZES,
            .output_bits = 48,
            .attributes = true,
        },
        .judge = judge_arm_lpae,
        .address = ARM_ADDRESS,
    },
};

const PviommuFormatInfo *pviommu_format_info(unsigned format)
{
    return format < G_N_ELEMENTS(formats) && formats[format].judge
           ? &formats[format].info : NULL;
}

/* Whether an IOVA has no bits that the table does not look at */
static bool in_input(const Format *format, unsigned bits, uint64_t iova)
{
    uint64_t above = iova >> (bits - format->sign_extended);
    uint64_t ones = UINT64_MAX >> (bits - format->sign_extended);

    return above == 0 || (format->sign_extended && above == ones);
}

static bool fault(PviommuTranslation *translation, uint64_t iova)
{
    *translation = (PviommuTranslation) {
        .first = iova, .last = iova, .reason = PVIOMMU_FAULT_R_MAPPING,
    };
    return false;
}

/* Fill in what the last entry, for 2^shift bytes around @iova, makes of it */
static bool mapped(PviommuTranslation *translation, uint64_t iova,
                   unsigned shift, uint64_t address, uint32_t flags)
{
    uint64_t mask = BIT(shift) - 1;

    *translation = (PviommuTranslation) {
        .first = iova & ~mask,
        .last = iova | mask,
        .phys = address & ~mask,
        .flags = flags,
    };
    return true;
}

/* Where the bits of an IOVA that index the first level begin */
static unsigned top_shift(const PviommuGuestTable *table)
{
    return (table->input_bits - 1 - PAGE_SHIFT) / LEVEL_BITS * LEVEL_BITS +
           PAGE_SHIFT;
}

bool pviommu_table_walk(const PviommuGuestTable *table, uint64_t iova,
                        uint32_t access, PviommuReadEntry *read, void *opaque,
                        PviommuTranslation *translation)
{
    const Format *format = &formats[table->format];
    unsigned bits = table->input_bits;
    unsigned shift = top_shift(table);
    uint64_t index = iova & (BIT(bits) - 1);
    uint64_t address = table->root;
    uint32_t flags = ACCESS_MASK;
    Kind kind = TABLE;

    g_assert(format->judge && format->info.input_sizes >> bits & 1);
    if (!in_input(format, bits, iova)) {
        return fault(translation, iova);
    }
    for (;;) {
        uint64_t entry;

        if (!read(address + (index >> shift) * sizeof(entry), &entry,
                  opaque)) {
            return fault(translation, iova);
        }
        kind = format->judge(entry, shift, &flags);
        address = entry & format->address;
        if (kind != TABLE) {
            break;
        }
        index &= BIT(shift) - 1;
        shift -= LEVEL_BITS;
    }
    if (kind == FAULT || (access & ACCESS_MASK & ~flags)) {
        return fault(translation, iova);
    }
    return mapped(translation, iova, shift, address, flags);
}

static void tell(PviommuSweep *sweep)
{
    if (sweep->growing) {
        sweep->growing = false;
        sweep->found(&sweep->run, sweep->found_opaque);
    }
}

/* Add a leaf, or a part of one, to the run that it continues */
static void grow(PviommuSweep *sweep, uint64_t first, uint64_t last,
                 uint64_t phys, uint32_t flags)
{
    PviommuMapping *run = &sweep->run;

    if (!sweep->growing || run->last + 1 != first || run->flags != flags ||
        run->phys + (first - run->first) != phys) {
        tell(sweep);
        *run = (PviommuMapping) {
            .first = first, .phys = phys, .flags = flags,
        };
        sweep->growing = true;
    }
    run->last = last;
}

/**
 * sweep_input - find all that a table maps in a part of its input
 * @table: the table
 * @first: first IOVA
 * @last: last IOVA, inclusive, whose bits above the input are those of @first
 * @sweep: how
 *
 * Return: as pviommu_table_sweep().
 */
static bool sweep_input(const PviommuGuestTable *table, uint64_t first,
                        uint64_t last, PviommuSweep *sweep)
{
    const Format *format = &formats[table->format];
    const uint64_t input = BIT(table->input_bits) - 1;
    struct {
        uint64_t table;
        uint32_t flags;
    } level[LEVELS_MAX] = { { table->root, ACCESS_MASK } };
    unsigned shift = top_shift(table), depth = 0;
    uint64_t at = first;

    for (;;) {
        uint64_t index = (at & input) >> shift & (BIT(LEVEL_BITS) - 1);
        uint64_t end = MIN(at | (BIT(shift) - 1), last);
        uint32_t flags = level[depth].flags;
        Kind kind = FAULT;
        uint64_t entry;

        if (sweep->left == 0) {
            sweep->stopped = at;
            return false;
        }
        sweep->left--;
        if (sweep->read(level[depth].table + index * sizeof(entry), &entry,
                        sweep->read_opaque)) {
            kind = format->judge(entry, shift, &flags);
        }
        if (kind == TABLE) {
            depth++;
            shift -= LEVEL_BITS;
            level[depth].table = entry & format->address;
            level[depth].flags = flags;
            continue;
        }
        if (kind == LEAF) {
            uint64_t page = BIT(shift) - 1;

            grow(sweep, at, end, (entry & format->address & ~page) |
                 (at & page), flags);
        }
        if (end == last) {
            return true;
        }
        at = end + 1;
        while (depth > 0 && !(at & (BIT(shift + LEVEL_BITS) - 1))) {
            depth--;
            shift += LEVEL_BITS;
        }
    }
}

bool pviommu_table_sweep(const PviommuGuestTable *table, uint64_t first,
                         uint64_t last, PviommuSweep *sweep)
{
    const Format *format = &formats[table->format];
    uint64_t half = BIT(table->input_bits - format->sign_extended);
    bool whole = true;

    g_assert(format->judge &&
             format->info.input_sizes >> table->input_bits & 1);
    if (first < half) {
        whole = sweep_input(table, first, MIN(last, half - 1), sweep);
    }
    if (whole && format->sign_extended && last >= -half) {
        whole = sweep_input(table, MAX(first, -half), last, sweep);
    }
    tell(sweep);
    return whole;
}
