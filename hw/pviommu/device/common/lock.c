/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu: who may look at the state of the device, and who may change core's
 */
#include "qemu/osdep.h"

#include <sched.h>

#include "qemu/atomic.h"
#include "qemu/main-loop.h"
#include "common/common.h"

PviommuDevice *pviommu_hold(PviommuDevice *s)
{
    g_assert(bql_locked());
    qatomic_inc(&s->held.waiting);
    qemu_rec_mutex_lock(&s->held.mutex);
    qatomic_dec(&s->held.waiting);
    if (!s->held.depth++) {
        qatomic_set(&s->held.holder, g_thread_self());
        if (s->unfinished) {
            g_steal_pointer(&s->unfinished)(s);
        }
    }
    return s;
}

/* A mutex is not fair, and a guest may have a request ready at any time */
bool pviommu_hold_while(PviommuDevice *s, const bool *wanted)
{
    g_assert(!bql_locked());
    while (qatomic_read(&s->held.waiting) ||
           qemu_rec_mutex_trylock(&s->held.mutex)) {
        if (!qatomic_read(wanted)) {
            return false;
        }
        sched_yield();
    }
    g_assert(!s->held.depth && !s->unfinished);
    s->held.depth = 1;
    qatomic_set(&s->held.holder, g_thread_self());
    return true;
}

void pviommu_release(PviommuDevice *s)
{
    if (!--s->held.depth) {
        qatomic_set(&s->held.holder, NULL);
    }
    qemu_rec_mutex_unlock(&s->held.mutex);
}

bool pviommu_is_held(PviommuDevice *s)
{
    return qatomic_read(&s->held.holder) == g_thread_self();
}

void pviommu_write_lock(PviommuDevice *s)
{
    g_assert(pviommu_is_held(s));
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
