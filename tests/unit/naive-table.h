/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu tests: page tables walked once more, as simply as can be
 *
 * All entries on the way are collected first, then each rule is asked of
 * them, one after the other and bit by bit.
 */
#ifndef PVIOMMU_TEST_NAIVE_TABLE_H
#define PVIOMMU_TEST_NAIVE_TABLE_H

#include "pviommu/iommu.h"

/**
 * struct Memory - what tables lie in
 * @first: guest-physical address of @word
 * @count: how many words
 * @word: the words
 * @reads: how often one was asked for
 */
typedef struct Memory {
    uint64_t first;
    unsigned count;
    uint64_t *word;
    unsigned reads;
} Memory;

/* For pviommu_table_walk(), with a Memory; outside of it there is none */
bool memory_read(uint64_t address, uint64_t *entry, void *opaque);

/**
 * naive_walk - as pviommu_table_walk()
 * @memory: the memory
 * @table: the table
 * @iova: the address
 * @size: where to put how much the last entry maps
 * @phys: where to put where @iova leads
 * @flags: where to put what is allowed
 *
 * Return: whether anything is mapped there.
 */
bool naive_walk(const Memory *memory, const PviommuGuestTable *table,
                uint64_t iova, uint64_t *size, uint64_t *phys,
                uint32_t *flags);

#endif /* PVIOMMU_TEST_NAIVE_TABLE_H */
