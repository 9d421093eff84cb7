/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu: memory that a guest can make the IOMMU ask for
 *
 * Unlike GLib's, these requests may fail: what a guest asks for must not end
 * the program.  Free with g_free().
 */
#ifndef PVIOMMU_CORE_ALLOC_H
#define PVIOMMU_CORE_ALLOC_H

#include <stdbool.h>
#include <stddef.h>

/**
 * pviommu_alloc_try - allocate memory, or not
 * @size: bytes, not 0
 *
 * Return: memory with undefined content, owned by the caller, or NULL.
 */
void *pviommu_alloc_try(size_t size);

/**
 * pviommu_alloc_try0 - allocate zeroed memory, or not
 * @size: bytes, not 0
 *
 * Return: zeroed memory, owned by the caller, or NULL.
 */
void *pviommu_alloc_try0(size_t size);

/**
 * pviommu_alloc_fail_at - make one allocation fail, for tests
 * @n: 1 for the next, 2 for the one after it, ...; 0 for none
 */
void pviommu_alloc_fail_at(unsigned n);

/**
 * pviommu_alloc_fail_pending - whether that failure is still to come
 *
 * Return: true when fewer allocations were tried than
 * pviommu_alloc_fail_at() asked for.
 */
bool pviommu_alloc_fail_pending(void);

#endif /* PVIOMMU_CORE_ALLOC_H */
