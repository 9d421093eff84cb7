/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu: memory that a guest can make the IOMMU ask for
 */
#include <string.h>
#include <glib.h>

#include "alloc.h"

/* Counts down to the allocation that fails; 0 when none is to */
static int fail_in;

void *pviommu_alloc_try(size_t size)
{
    if (g_atomic_int_get(&fail_in) > 0 &&
        g_atomic_int_dec_and_test(&fail_in)) {
        return NULL;
    }
    return g_try_malloc(size);
}

void *pviommu_alloc_try0(size_t size)
{
    void *memory = pviommu_alloc_try(size);

    if (memory) {
        memset(memory, 0, size);
    }
    return memory;
}

void pviommu_alloc_fail_at(unsigned n)
{
    g_atomic_int_set(&fail_in, (int)n);
}

bool pviommu_alloc_fail_pending(void)
{
    return g_atomic_int_get(&fail_in) > 0;
}
