/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu: page tables that the guest owns
 *
 * The guest keeps a page table in its memory and names its root; here it is
 * walked, entry by entry, as the hardware that has the format would.  Nothing
 * is kept between walks and nothing is written: accessed and dirty bits stay
 * as they are.
 *
 * Source: docs/specs/pviommu.md, "Guest-owned tables (experimental)".
 *
 * Locking: none; whatever the reader of entries needs.
 */
#ifndef PVIOMMU_TABLE_H
#define PVIOMMU_TABLE_H

#include <stdbool.h>
#include <stdint.h>

#include "pviommu/mappings.h"

/* Formats of tables; the values are those of the wire, and none is 0 */
typedef enum PviommuFormat {
    PVIOMMU_FORMAT_X86_64 = 1,    /* 4 and 5 levels */
    PVIOMMU_FORMAT_ARM_LPAE = 2,  /* stage 1, granule 4 KiB, 39 to 48 bits */
    PVIOMMU_FORMAT__MAX,
} PviommuFormat;

/* Bit n: format n */
#define PVIOMMU_FORMATS_ALL ((1u << PVIOMMU_FORMAT__MAX) - 2)

/**
 * struct PviommuFormats - tables of the guest that a group can have
 * @offered: bit n for PviommuFormat n
 * @announced: of those, the ones whose new entries the guest is to announce;
 *             others are found by who walks the table
 */
typedef struct PviommuFormats {
    uint32_t offered;
    uint32_t announced;
} PviommuFormats;

/* Bytes of a table, and what its root is aligned to */
#define PVIOMMU_TABLE_SIZE 4096

/**
 * struct PviommuFormatInfo - what a format allows
 * @input_sizes: bit n: tables that translate IOVAs of n bits
 * @page_sizes: bit n: entries that map 2^n bytes
 * @output_bits: width of a guest-physical address in an entry or a root
 * @attributes: whether a table has attributes beside its root
 */
typedef struct PviommuFormatInfo {
    uint64_t input_sizes;
    uint64_t page_sizes;
    uint8_t output_bits;
    bool attributes;
} PviommuFormatInfo;

/**
 * struct PviommuGuestTable - a table as the guest described it
 * @format: PviommuFormat; 0 stands for no table
 * @input_bits: width of the IOVAs that it translates, one of the format's
 * @root: guest-physical address, a multiple of PVIOMMU_TABLE_SIZE
 * @attributes: memory types that entries refer to (Arm's MAIR); not looked at
 */
typedef struct PviommuGuestTable {
    uint16_t format;
    uint16_t input_bits;
    uint64_t root;
    uint64_t attributes;
} PviommuGuestTable;

/* Declared whole in pviommu/iommu.h */
typedef struct PviommuTranslation PviommuTranslation;

/**
 * pviommu_format_info - what a format allows
 * @format: any number
 *
 * Return: a constant, or NULL when there is no such format.
 */
const PviommuFormatInfo *pviommu_format_info(unsigned format);

/**
 * typedef PviommuReadEntry - read an entry of a table
 * @address: guest-physical, a multiple of 8
 * @entry: where to put it, in the byte order of the host
 * @opaque: as given to the walk
 *
 * All 8 bytes at once, as the guest may write them meanwhile.
 *
 * Return: whether there is memory that can be read so.
 */
typedef bool PviommuReadEntry(uint64_t address, uint64_t *entry,
                              void *opaque);

/**
 * pviommu_table_walk - translate an access by a table
 * @table: the table, with values that its format allows
 * @iova: address of the access
 * @access: PVIOMMU_MAP_F_READ, _WRITE or both; 0 asks without accessing
 * @read: reads an entry; called once for each level at most
 * @opaque: handed on to @read
 * @translation: the result, always filled in whole: what the last entry maps,
 *               no more; of a fault @iova alone, with reason MAPPING
 *
 * Return: true when the access is allowed (for @access 0: when anything is
 * mapped there), false when it faults.
 */
bool pviommu_table_walk(const PviommuGuestTable *table, uint64_t iova,
                        uint32_t access, PviommuReadEntry *read, void *opaque,
                        PviommuTranslation *translation);

/*
 * Entries that one sweep may read: 64 MiB of tables, which map 32 GiB by pages
 * of 4 KiB.  The guest waits meanwhile, for some 50 ms at worst, and so does
 * who wants to manage it; a table that points to itself has 2^36 entries.
 */
#define PVIOMMU_SWEEP_MAX (UINT64_C(1) << 23)

/**
 * struct PviommuSweep - a walk of all that a table maps in a range
 * @read: reads an entry
 * @read_opaque: handed on to @read
 * @found: called for each run of leaves that are contiguous on both sides and
 *         allow the same, in order of IOVA and as long as can be
 * @found_opaque: handed on to @found
 * @left: entries that may be read yet; counted down, and @found may say 0
 * @stopped: where it ended for want of them: what is below was told
 * @run: private: the run that may still grow
 * @growing: private: whether there is one; start with false
 */
typedef struct PviommuSweep {
    PviommuReadEntry *read;
    void *read_opaque;
    void (*found)(const PviommuMapping *run, void *opaque);
    void *found_opaque;
    uint64_t left;
    uint64_t stopped;
    PviommuMapping run;
    bool growing;
} PviommuSweep;

/**
 * pviommu_table_sweep - find all that a table maps in a range
 * @table: the table, with values that its format allows
 * @first: first IOVA
 * @last: last IOVA, inclusive; what crosses the ends is cut there
 * @sweep: how
 *
 * Of a table that changes meanwhile each entry is judged as it was read.
 * Where nothing is present nothing is read but the entry that says so.
 *
 * Return: false when more entries would have had to be read than were left;
 * what was found until then was told.
 */
bool pviommu_table_sweep(const PviommuGuestTable *table, uint64_t first,
                         uint64_t last, PviommuSweep *sweep);

#endif /* PVIOMMU_TABLE_H */
