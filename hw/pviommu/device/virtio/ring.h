/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu: a split virtqueue, served without the big lock
 *
 * virtqueue_pop() and its like may take the big lock: rings and buffers may
 * be at registers, and what a guest got wrong is told by an interrupt, a store
 * (virtio_error() in hw/virtio/virtio.c).  A thread that must not take it
 * serves the ring itself where all is RAM and as usual, as vhost does, and
 * leaves everything else in the ring for QEMU's code.
 *
 * One at a time has the queue: this between pviommu_ring_open() and
 * pviommu_ring_close(), QEMU's code else.  Nothing here takes a lock.
 *
 * Source: virtio specification, Split Virtqueues.
 */
#ifndef PVIOMMU_DEVICE_VIRTIO_RING_H
#define PVIOMMU_DEVICE_VIRTIO_RING_H

#include "hw/virtio/virtio.h"
#include "pviommu/wire.h"

/**
 * struct PviommuRing - a virtqueue
 * @vdev: the device
 * @index: number of the queue
 * @num: its size
 * @desc: guest-physical address of the descriptors
 * @avail: of the ring of what is available
 * @used: of the ring of what is used
 * @last_avail: how many buffers were taken, modulo 2^16
 * @used_idx: how many were given back
 * @event_idx: VIRTIO_RING_F_EVENT_IDX is negotiated
 * @on_empty: VIRTIO_F_NOTIFY_ON_EMPTY is
 */
typedef struct PviommuRing {
    VirtIODevice *vdev;
    unsigned index;
    unsigned num;
    uint64_t desc;
    uint64_t avail;
    uint64_t used;
    uint16_t last_avail;
    uint16_t used_idx;
    bool event_idx;
    bool on_empty;
} PviommuRing;

/* Parts of the memory of a buffer; what has more is not as usual */
#define PVIOMMU_CHAIN_PARTS 4

/* Writable bytes of a buffer; what has more is not as usual */
#define PVIOMMU_CHAIN_WRITABLE 64

/**
 * struct PviommuChain - a buffer of the ring
 * @head: its number
 * @readable: how many readable bytes
 * @writable: how many writable bytes
 * @copy: the first readable ones
 * @parts: where the writable ones are
 * @nr_parts: how many
 */
typedef struct PviommuChain {
    uint16_t head;
    uint64_t readable;
    uint64_t writable;
    uint8_t copy[PVIOMMU_REQUEST_MAX];
    struct {
        uint64_t address;
        uint32_t length;
    } parts[PVIOMMU_CHAIN_PARTS];
    unsigned nr_parts;
} PviommuChain;

/**
 * enum PviommuRingNext - what is next in a ring
 * @PVIOMMU_RING_EMPTY: nothing
 * @PVIOMMU_RING_CHAIN: a buffer
 * @PVIOMMU_RING_UNUSUAL: something for QEMU's code
 */
typedef enum PviommuRingNext {
    PVIOMMU_RING_EMPTY,
    PVIOMMU_RING_CHAIN,
    PVIOMMU_RING_UNUSUAL,
} PviommuRingNext;

/**
 * pviommu_ring_open - take a queue over from QEMU's code
 * @ring: filled
 * @vdev: the device; its driver is ready
 * @index: number of the queue
 *
 * With the big lock.  To close what was not opened does no harm.
 *
 * Return: false if there is no queue, or it is a packed one, or not in RAM, or
 * the device may not reach memory.
 */
bool pviommu_ring_open(PviommuRing *ring, VirtIODevice *vdev, unsigned index);

/**
 * pviommu_ring_close - give it back
 * @ring: the queue, of which no buffer is taken and not yet given back
 *
 * With the big lock. Once more does nothing, as it may be QEMU's since.
 */
void pviommu_ring_close(PviommuRing *ring);

/**
 * pviommu_ring_is_empty - whether there is nothing to do
 * @ring: the queue
 *
 * Return: false if there is, or if QEMU's code has to look.
 */
bool pviommu_ring_is_empty(const PviommuRing *ring);

/**
 * pviommu_ring_peek - look at what is next, and leave it there
 * @ring: the queue
 * @chain: filled when it is a buffer
 *
 * Return: what is next.
 */
PviommuRingNext pviommu_ring_peek(const PviommuRing *ring,
                                  PviommuChain *chain);

/**
 * pviommu_ring_take - take what is next
 * @ring: the queue, for which pviommu_ring_peek() found a buffer
 */
void pviommu_ring_take(PviommuRing *ring);

/**
 * pviommu_ring_give - give a buffer back
 * @ring: the queue
 * @chain: the buffer
 * @answer: @chain.writable bytes; NULL to leave it unwritten
 *
 * The driver sees all that was written before this, when it sees the buffer.
 *
 * Return: whether the driver wants an interrupt.
 */
bool pviommu_ring_give(PviommuRing *ring, const PviommuChain *chain,
                       const void *answer);

/**
 * pviommu_ring_want_kicks - tell the driver whether to notify of new buffers
 * @ring: the queue
 * @want: whether; look again at the ring afterwards if so
 */
void pviommu_ring_want_kicks(PviommuRing *ring, bool want);

#endif /* PVIOMMU_DEVICE_VIRTIO_RING_H */
