/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu: faults on the event queue
 *
 * translate() may run without the big lock, so a fault waits (common/faults.c)
 * for a bottom half that hands it to the guest.  What finds no buffer is
 * counted and lost.
 */
#include "qemu/osdep.h"

#include "qemu/iov.h"
#include "qemu/main-loop.h"
#include "hw/virtio/virtio-bus.h"
#include "virtio/virtio.h"

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
    PviommuFault pending[PVIOMMU_FAULTS_PENDING];
    unsigned count = pviommu_faults_take(s, pending);
    bool used = false;
    PVIOMMU_HOLD_GUARD(s);

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

void pviommu_events_init(PviommuDevice *s)
{
    qemu_mutex_init(&s->faults.lock);
    s->faults.bh = virtio_bh_new_guarded(DEVICE(s), deliver_all, s);
}

void pviommu_events_cleanup(PviommuDevice *s)
{
    qemu_bh_delete(s->faults.bh);
    qemu_mutex_destroy(&s->faults.lock);
}
