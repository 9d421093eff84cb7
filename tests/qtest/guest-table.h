/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Page tables that the guest owns, and the requests that name them
 *
 * No header of virtio's has these requests, so they are stated here as
 * docs/specs/pviommu.md has them.
 */
#ifndef TESTS_QTEST_GUEST_TABLE_H
#define TESTS_QTEST_GUEST_TABLE_H

#include "viommu.h"

#define F_GUEST_TABLES 23
#define T_ATTACH_TABLE 6
#define T_INVALIDATE 7
#define PROBE_T_TABLE_FORMAT 8
#define X86_64 1
#define ARM_LPAE 2

#define TABLES_ON "guest-tables=on"

/* Where tables lie unless a test says otherwise, and where they lead to */
#define TABLES_AT (RAM + 0x3000000)
#define TARGET (RAM + 0x2000000)

typedef struct ReqAttachTable {
    uint8_t type;
    uint8_t head[3];
    uint32_t domain;
    uint32_t endpoint;
    uint32_t flags;
    uint64_t root;
    uint64_t attributes;
    uint16_t format;
    uint16_t input_bits;
} QEMU_PACKED ReqAttachTable;

typedef struct ReqInvalidate {
    uint8_t type;
    uint8_t head[3];
    uint32_t domain;
    uint64_t first;
    uint64_t last;
    uint8_t reserved[4];
} QEMU_PACKED ReqInvalidate;

/**
 * struct GuestTable - a page table in guest memory
 * @v: the guest
 * @format: X86_64 or ARM_LPAE
 * @bits: width of what it translates
 * @root: where it is
 * @free: where its next part will be
 */
typedef struct GuestTable {
    Viommu *v;
    unsigned format;
    unsigned bits;
    uint64_t root;
    uint64_t free;
} GuestTable;

/* A kind of table, and an IOVA in it that no index of is 0 */
typedef struct Shape {
    const char *name;
    unsigned format;
    unsigned bits;
    uint64_t iova;
} Shape;

extern const Shape shapes[];
extern const unsigned shapes_count;

/**
 * guest_table_new - make an empty table
 * @v: the guest
 * @format: X86_64 or ARM_LPAE
 * @bits: width of what it translates
 * @at: where it is, with room for 16 pages
 *
 * Return: the table.
 */
GuestTable guest_table_new(Viommu *v, unsigned format, unsigned bits,
                           uint64_t at);

/**
 * guest_table_map - map a page, by stores alone
 * @t: the table
 * @iova: the first IOVA
 * @gpa: where it leads
 * @level: 1 for 4 KiB, 2 for 2 MiB, 3 for 1 GiB
 * @flags: READ, or READ and WRITE
 */
void guest_table_map(GuestTable *t, uint64_t iova, uint64_t gpa,
                     unsigned level, uint32_t flags);

/**
 * guest_table_entry - find an entry
 * @t: the table
 * @iova: an IOVA
 * @level: of which level, down to which there are tables
 *
 * Return: its guest-physical address.
 */
uint64_t guest_table_entry(const GuestTable *t, uint64_t iova,
                           unsigned level);

/* Attach an endpoint to a domain with the table; returns the status */
uint8_t guest_table_attach(const GuestTable *t, uint32_t domain,
                           uint32_t endpoint);

/* Attach to a domain with a table at any address */
uint8_t viommu_attach_table(Viommu *v, uint32_t domain, uint32_t endpoint,
                            unsigned format, unsigned bits, uint64_t root);

uint8_t viommu_invalidate(Viommu *v, uint32_t domain, uint64_t first,
                          uint64_t last);

/* How many faults there were, told or not */
uint64_t viommu_faults(Viommu *v);

#endif /* TESTS_QTEST_GUEST_TABLE_H */
