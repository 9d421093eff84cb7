/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu: faults, from any thread to the event queue
 *
 * translate() may run without the big lock, so it leaves a fault here, where
 * there is room for a few; a bottom half hands them to the guest.  What
 * finds no room or no buffer is counted and lost.
 */
#include "qemu/osdep.h"

#include "qemu/iov.h"
#include "qemu/main-loop.h"
#include "hw/virtio/virtio-bus.h"
#include "common/common.h"

#define FAULT_PAGE 4096

/* Sets @used when a buffer went back, with a report or without */
static bool deliver(PviommuDevice *s, const PviommuFault *fault, bool *used)
{
    VirtIODevice *vdev = VIRTIO_DEVICE(s);
    uint8_t report[PVIOMMU_FAULT_SIZE];

    if (fault->space->parked) {
        return false;       /* its device has left, and its number with it */
    }
    pviommu_fault_encode(report, fault->reason, fault->access,
                         pviommu_space_endpoint_id(fault->space),
                         fault->address);
    for (unsigned tries = virtio_queue_get_num(vdev, 1); tries; tries--) {
        VirtQueueElement *elem;
        size_t size;

        if (!(vdev->status & VIRTIO_CONFIG_S_DRIVER_OK) ||
            !virtio_queue_ready(s->eventq) || vdev->broken) {
            return false;
        }
        elem = virtqueue_pop(s->eventq, sizeof(VirtQueueElement));
        if (!elem) {
            return false;
        }
        *used = true;
        size = iov_size(elem->in_sg, elem->in_num);
        if (size >= sizeof(report)) {
            iov_from_buf(elem->in_sg, elem->in_num, 0, report,
                         sizeof(report));
            virtqueue_push(s->eventq, elem, sizeof(report));
            g_free(elem);
            return true;
        }
        pviommu_device_mistake(s, PVIOMMU_MISTAKE_EVENT_BUFFER,
                               "a buffer of the event queue is too small");
        virtqueue_push(s->eventq, elem, 0);
        g_free(elem);
    }
    return false;
}

static void deliver_all(void *opaque)
{
    PviommuDevice *s = opaque;
    PviommuEvents *events = &s->events;
    PviommuFault pending[PVIOMMU_FAULTS_PENDING];
    unsigned count;
    bool used = false;

    WITH_QEMU_LOCK_GUARD(&events->lock) {
        count = events->count;
        memcpy(pending, events->pending, count * sizeof(pending[0]));
        events->count = 0;
        s->counters.faults_dropped += events->dropped;
        events->dropped = 0;
    }
    for (unsigned i = 0; i < count; i++) {
        if (deliver(s, &pending[i], &used)) {
            s->counters.faults_reported++;
        } else {
            s->counters.faults_dropped++;
        }
    }
    if (used) {
        virtio_notify(VIRTIO_DEVICE(s), s->eventq);
    }
}

/**
 * pviommu_events_add - report a fault
 * @space: whose access; lives as long as the device
 * @address: IOVA
 * @access: PVIOMMU_FAULT_F_READ or _WRITE
 * @reason: PVIOMMU_FAULT_R_*
 *
 * Any thread, any lock.  One report stands for all of the same endpoint,
 * page, access and reason that wait beside it.
 */
void pviommu_events_add(PviommuSpace *space, uint64_t address,
                        uint32_t access, uint8_t reason)
{
    PviommuEvents *events = &space->device->events;

    QEMU_LOCK_GUARD(&events->lock);
    for (unsigned i = 0; i < events->count; i++) {
        const PviommuFault *f = &events->pending[i];

        if (f->space == space && f->access == access &&
            f->reason == reason &&
            f->address / FAULT_PAGE == address / FAULT_PAGE) {
            return;
        }
    }
    if (events->count < PVIOMMU_FAULTS_PENDING) {
        events->pending[events->count++] = (PviommuFault) {
            .space = space,
            .address = address,
            .access = access,
            .reason = reason,
        };
    } else {
        events->dropped++;
    }
    qemu_bh_schedule(events->bh);
}

/* At a reset: what has not been delivered never will be */
void pviommu_events_drop_all(PviommuDevice *s)
{
    QEMU_LOCK_GUARD(&s->events.lock);
    s->events.dropped += s->events.count;
    s->events.count = 0;
}

void pviommu_events_init(PviommuDevice *s)
{
    qemu_mutex_init(&s->events.lock);
    s->events.bh = virtio_bh_new_guarded(DEVICE(s), deliver_all, s);
}

void pviommu_events_cleanup(PviommuDevice *s)
{
    qemu_bh_delete(s->events.bh);
    qemu_mutex_destroy(&s->events.lock);
}
