/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu: the set of mappings of one domain
 *
 * Disjoint closed intervals of IOVA, each with a guest-physical address and
 * permissions.  The whole 64-bit space is usable, its last byte included.
 * A mapping is what one MAP made: neighbours are never merged.
 *
 * Locking: none inside.  Functions that take a const set may run in several
 * threads at once; the others need the set for themselves.
 */
#ifndef PVIOMMU_MAPPINGS_H
#define PVIOMMU_MAPPINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct PviommuMappings PviommuMappings;

/**
 * struct PviommuMapping - one mapping, always handed over by value
 * @first: first IOVA
 * @last: last IOVA, inclusive, not below @first
 * @phys: guest-physical address of @first
 * @flags: PVIOMMU_MAP_F_* of the MAP request
 */
typedef struct PviommuMapping {
    uint64_t first;
    uint64_t last;
    uint64_t phys;
    uint32_t flags;
} PviommuMapping;

/**
 * pviommu_mappings_new - make an empty set
 *
 * Return: the set, owned by the caller, or NULL when there is no memory.
 */
PviommuMappings *pviommu_mappings_new(void);

/**
 * pviommu_mappings_free - free a set and all it holds
 * @set: the set; NULL is allowed
 */
void pviommu_mappings_free(PviommuMappings *set);

/**
 * pviommu_mappings_insert - add a mapping that overlaps none
 * @set: the set
 * @mapping: what to add, copied; the caller made sure that nothing in @set
 *           overlaps it (pviommu_mappings_find() says)
 *
 * Return: true, or false when there is no memory; then @set is as before.
 */
bool pviommu_mappings_insert(PviommuMappings *set,
                             const PviommuMapping *mapping);

/**
 * pviommu_mappings_remove - remove the mapping that starts at an IOVA
 * @set: the set
 * @first: the first IOVA of a mapping in @set
 *
 * Never fails for want of memory.
 *
 * Return: true, or false when no mapping starts there.
 */
bool pviommu_mappings_remove(PviommuMappings *set, uint64_t first);

/**
 * pviommu_mappings_clear - remove all mappings
 * @set: the set
 */
void pviommu_mappings_clear(PviommuMappings *set);

/**
 * pviommu_mappings_lookup - find the mapping that holds an IOVA
 * @set: the set
 * @iova: the address
 * @mapping: where to put it; untouched when there is none
 *
 * Return: whether there is one.
 */
bool pviommu_mappings_lookup(const PviommuMappings *set, uint64_t iova,
                             PviommuMapping *mapping);

/**
 * pviommu_mappings_find - find the lowest mapping that touches a range
 * @set: the set
 * @first: first IOVA of the range
 * @last: last IOVA of the range, inclusive, not below @first
 * @mapping: where to put it; untouched when there is none
 *
 * Return: whether there is one.
 */
bool pviommu_mappings_find(const PviommuMappings *set, uint64_t first,
                           uint64_t last, PviommuMapping *mapping);

/**
 * struct PviommuMappingIter - where a walk over a set stands
 * @next: the lowest IOVA not yet walked
 * @done: nothing is left
 *
 * Start with { 0 }, or with @next at the first IOVA of interest.
 */
typedef struct PviommuMappingIter {
    uint64_t next;
    bool done;
} PviommuMappingIter;

/**
 * pviommu_mappings_next - step of a walk, in order of IOVA
 * @set: the set; it may change between two steps
 * @iter: the walk
 * @last: last IOVA of interest, inclusive
 * @mapping: where to put the next mapping that touches what is left of the
 *           range; untouched when there is none
 *
 * Return: whether there was one.
 */
bool pviommu_mappings_next(const PviommuMappings *set,
                           PviommuMappingIter *iter, uint64_t last,
                           PviommuMapping *mapping);

/**
 * pviommu_mappings_next_hidden - step of a walk over what is being removed
 * @set: the set
 * @iter: the walk; start with { 0 }
 * @mapping: where to put the next; untouched when there is none
 *
 * While an UNMAP is under way, the mappings that it removes are hidden from
 * all other functions.
 *
 * Return: whether there was one.
 */
bool pviommu_mappings_next_hidden(const PviommuMappings *set,
                                  PviommuMappingIter *iter,
                                  PviommuMapping *mapping);

/**
 * pviommu_mappings_count - how many mappings a set holds
 * @set: the set
 *
 * Return: the number.
 */
size_t pviommu_mappings_count(const PviommuMappings *set);

/**
 * pviommu_mappings_bytes - how many bytes of IOVA a set covers
 * @set: the set
 *
 * Return: the sum of the sizes, modulo 2^64 (only the single mapping of the
 * whole space wraps, to 0).
 */
uint64_t pviommu_mappings_bytes(const PviommuMappings *set);

#endif /* PVIOMMU_MAPPINGS_H */
