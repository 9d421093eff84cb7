/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu: faults that wait to be told to the guest
 */
#include "qemu/osdep.h"

#include "qemu/main-loop.h"
#include "common/common.h"

#define FAULT_PAGE 4096

void pviommu_fault_add(PviommuSpace *space, uint64_t address,
                       uint32_t access, uint8_t reason)
{
    PviommuFaults *faults = &space->device->faults;

    QEMU_LOCK_GUARD(&faults->lock);
    for (unsigned i = 0; i < faults->count; i++) {
        const PviommuFault *f = &faults->pending[i];

        if (f->space == space && f->access == access &&
            f->reason == reason &&
            f->address / FAULT_PAGE == address / FAULT_PAGE) {
            return;
        }
    }
    if (faults->count < PVIOMMU_FAULTS_PENDING) {
        faults->pending[faults->count++] = (PviommuFault) {
            .space = space,
            .address = address,
            .access = access,
            .reason = reason,
        };
    } else {
        faults->dropped++;
    }
    qemu_bh_schedule(faults->bh);
}

unsigned pviommu_faults_take(PviommuDevice *s, PviommuFault *taken)
{
    PviommuFaults *faults = &s->faults;
    unsigned count;

    g_assert(bql_locked());
    QEMU_LOCK_GUARD(&faults->lock);
    count = faults->count;
    memcpy(taken, faults->pending, count * sizeof(taken[0]));
    faults->count = 0;
    s->counters.faults_dropped += faults->dropped;
    faults->dropped = 0;
    return count;
}

void pviommu_faults_drop_all(PviommuDevice *s)
{
    QEMU_LOCK_GUARD(&s->faults.lock);
    s->faults.dropped += s->faults.count;
    s->faults.count = 0;
}
