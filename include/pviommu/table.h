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

#endif /* PVIOMMU_TABLE_H */
