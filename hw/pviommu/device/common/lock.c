/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu: who may change the state of core
 */
#include "qemu/osdep.h"

#include <sched.h>

#include "qemu/atomic.h"
#include "qemu/main-loop.h"
#include "common/common.h"

void pviommu_write_lock(PviommuDevice *s)
{
    g_assert(bql_locked());
    g_rw_lock_writer_lock(&s->lock);
    pviommu_iommu_begin(s->iommu);
    /* none begins any more, and those on their way wait for nobody */
    while (qatomic_load_acquire(&s->walks)) {
        sched_yield();
    }
}

void pviommu_write_unlock(PviommuDevice *s)
{
    pviommu_iommu_end(s->iommu);
    g_rw_lock_writer_unlock(&s->lock);
}

void pviommu_walk_begin(PviommuDevice *s)
{
    qatomic_inc(&s->walks);
}

void pviommu_walk_end(PviommuDevice *s)
{
    qatomic_dec(&s->walks);
}
