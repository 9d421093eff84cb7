/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Observers behind SMMUs that walk tables of the guest's, in a test
 */
#ifndef TESTS_QTEST_NESTED_SCENE_H
#define TESTS_QTEST_NESTED_SCENE_H

#include "guest-table.h"
#include "iommufd-scene.h"

#define NESTS "-global pviommu-observer.nests=on "

/* Another observer, "o1", behind another SMMU */
#define ON_ANOTHER_SMMU "-device pviommu-observer,watch=iommufd,iommufd=host," \
    "iommu=1,id=o1,addr=5.0 " NESTS

#define MAIR 0xff440c0400ULL

/* What each table of the tests maps, and how far the targets are apart */
#define IOVA 0x40403000ULL
#define TARGET_OF(n) (TARGET + (n) * 0x10000)

/* Guest memory that no table of theirs leads to */
#define PLAIN (RAM + 0x1000000)

/* Commands of SMMUv3, for an address space or for a device */
#define CFGI_CD_ALL(device) (0x06 | (uint64_t)(device) << 32)
#define TLBI_NH_ASID(asid) (0x11 | (uint64_t)(asid) << 48)
#define TLBI_NH_VA(asid) (0x12 | (uint64_t)(asid) << 48)

/**
 * nested_table - make a table for ARM_LPAE that maps IOVA to TARGET_OF(n)
 * @v: the guest
 * @n: which of the tests' tables, 0 to 15
 * @bits: width of what it translates
 *
 * Return: the table.
 */
GuestTable nested_table(Viommu *v, unsigned n, unsigned bits);

/* Attach an endpoint to it, with MAIR; returns the status */
uint8_t nested_attach(const GuestTable *t, uint32_t domain, Watch *w);

/**
 * struct Descriptor - what an observer's SMMU holds of it
 * @valid: it translates
 * @root: where the table is
 * @bits: width of what it translates
 * @asid: the address space
 * @mair: the guest's attributes
 * @at: where the descriptor was read
 */
typedef struct Descriptor {
    bool valid;
    uint64_t root;
    unsigned bits;
    unsigned asid;
    uint64_t mair;
    uint64_t at;
} Descriptor;

Descriptor nested_descriptor(Watch *w);

/* The observer is translated by the table, and its DMA arrives */
void assert_nested(Watch *w, const GuestTable *t);

/* It is in bypass; the table may have more than guest memory */
void assert_in_bypass(Watch *w);

/* It reaches nothing */
void assert_cut(Watch *w);

/* How often the host was given a command since watch_clear() */
unsigned nested_commands(Watch *w, uint64_t low, uint64_t high);
unsigned nested_all_commands(Watch *w);

/* How many objects of the kinds that nesting makes there are */
unsigned nested_objects(Watch *w);

/* Write a property of an observer */
void nested_set(Watch *w, const char *property, const char *value);

#endif /* TESTS_QTEST_NESTED_SCENE_H */
