/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu: a split virtqueue, served without the big lock
 */
#include "qemu/osdep.h"

#include "qemu/atomic.h"
#include "qemu/rcu.h"
#include "standard-headers/linux/virtio_ring.h"
#include "system/memory_cached.h"
#include "pviommu/host.h"
#include "virtio/ring.h"

/* Descriptors that are looked at for one buffer: its parts, and a table */
#define DESCRIPTORS_MAX (2 * PVIOMMU_CHAIN_PARTS)

static bool find(const PviommuRing *ring, uint64_t address, hwaddr size,
                 bool write, PviommuRam *ram)
{
    return pviommu_find_ram(ring->vdev->dma_as, address, size, write, ram);
}

/*
 * As QEMU does after a store of its own.  memory_region_set_dirty() is not
 * enough: TCG would go on with what it translated from there.
 */
static void tell_written(const PviommuRam *ram, hwaddr size)
{
    MemoryRegionCache cache = {
        .ptr = ram->at,
        .xlat = ram->offset,
        .mrs.mr = ram->mr,
        .is_write = true,
    };

    address_space_cache_invalidate(&cache, 0, size);
}

static void write_to(const PviommuRing *ring, uint64_t address,
                     const void *data, size_t size)
{
    PviommuRam ram;

    /* its memory may have gone since it was looked at; nobody misses it */
    if (find(ring, address, size, true, &ram)) {
        memcpy(ram.at, data, size);
        tell_written(&ram, size);
    }
}

/* Fields of a ring: flags, index, entries, and a last one, of the other side */
enum { FLAGS, INDEX, ENTRIES };

static uint64_t field_address(uint64_t ring, unsigned field)
{
    return ring + field * sizeof(uint16_t);
}

/* A field of 16 bits, at once; false where there is none */
static bool load(const PviommuRing *ring, uint64_t address, uint16_t *value)
{
    PviommuRam ram;

    if (!find(ring, address, sizeof(*value), false, &ram) ||
        !QEMU_PTR_IS_ALIGNED(ram.at, sizeof(*value))) {
        return false;
    }
    *value = le16_to_cpu(qatomic_load_acquire((uint16_t *)ram.at));
    return true;
}

/* What was written before is seen before */
static void store(const PviommuRing *ring, uint64_t address, uint16_t value)
{
    PviommuRam ram;

    if (find(ring, address, sizeof(value), true, &ram) &&
        QEMU_PTR_IS_ALIGNED(ram.at, sizeof(value))) {
        qatomic_store_release((uint16_t *)ram.at, cpu_to_le16(value));
        tell_written(&ram, sizeof(value));
    }
}

bool pviommu_ring_open(PviommuRing *ring, VirtIODevice *vdev, unsigned index)
{
    uint16_t avail_idx;

    *ring = (PviommuRing) {
        .vdev = vdev,
        .index = index,
        .num = virtio_queue_get_num(vdev, index),
        .desc = virtio_queue_get_desc_addr(vdev, index),
        .avail = virtio_queue_get_avail_addr(vdev, index),
        .used = virtio_queue_get_used_addr(vdev, index),
        .last_avail = virtio_queue_get_last_avail_idx(vdev, index),
        .event_idx = virtio_vdev_has_feature(vdev, VIRTIO_RING_F_EVENT_IDX),
        .on_empty = virtio_vdev_has_feature(vdev, VIRTIO_F_NOTIFY_ON_EMPTY),
    };
    if (!ring->num || !ring->desc || vdev->broken || vdev->disabled ||
        virtio_vdev_has_feature(vdev, VIRTIO_F_RING_PACKED)) {
        return false;
    }
    RCU_READ_LOCK_GUARD();
    return load(ring, field_address(ring->avail, INDEX), &avail_idx) &&
           load(ring, field_address(ring->used, INDEX), &ring->used_idx);
}

void pviommu_ring_close(PviommuRing *ring)
{
    if (!ring->num) {
        return;         /* QEMU's code may have gone on with it since */
    }
    virtio_queue_set_last_avail_idx(ring->vdev, ring->index,
                                    ring->last_avail);
    virtio_queue_update_used_idx(ring->vdev, ring->index);
    virtio_queue_invalidate_signalled_used(ring->vdev, ring->index);
    ring->num = 0;
}

bool pviommu_ring_is_empty(const PviommuRing *ring)
{
    uint16_t index;

    RCU_READ_LOCK_GUARD();
    return load(ring, field_address(ring->avail, INDEX), &index) &&
           index == ring->last_avail;
}

static bool add_readable(const PviommuRing *ring, PviommuChain *chain,
                         const struct vring_desc *d)
{
    size_t have = MIN(chain->readable, sizeof(chain->copy));
    PviommuRam ram;

    if (chain->writable || !find(ring, d->addr, d->len, false, &ram)) {
        return false;
    }
    memcpy(chain->copy + have, ram.at,
           MIN(sizeof(chain->copy) - have, d->len));
    chain->readable += d->len;
    return true;
}

static bool add_writable(const PviommuRing *ring, PviommuChain *chain,
                         const struct vring_desc *d)
{
    PviommuRam ram;

    if (chain->nr_parts == PVIOMMU_CHAIN_PARTS ||
        d->len > PVIOMMU_CHAIN_WRITABLE - chain->writable ||
        !find(ring, d->addr, d->len, true, &ram)) {
        return false;
    }
    chain->parts[chain->nr_parts].address = d->addr;
    chain->parts[chain->nr_parts++].length = d->len;
    chain->writable += d->len;
    return true;
}

/*
 * A copy, as the guest may change it while it is looked at; @indirect is a
 * table that is not the queue's
 */
static bool read_descriptor(const PviommuRing *ring, const void *indirect,
                            unsigned index, struct vring_desc *d)
{
    size_t offset = index * sizeof(*d);
    PviommuRam ram;

    if (indirect) {
        memcpy(d, indirect + offset, sizeof(*d));
    } else if (find(ring, ring->desc + offset, sizeof(*d), false, &ram)) {
        memcpy(d, ram.at, sizeof(*d));
    } else {
        return false;
    }
    d->addr = le64_to_cpu(d->addr);
    d->len = le32_to_cpu(d->len);
    d->flags = le16_to_cpu(d->flags);
    d->next = le16_to_cpu(d->next);
    return true;
}

/* False where there is something that QEMU's code must see to */
static bool read_chain(const PviommuRing *ring, PviommuChain *chain)
{
    unsigned size = ring->num, index = chain->head;
    PviommuRam indirect = { 0 };
    struct vring_desc d;

    for (unsigned i = 0; i < DESCRIPTORS_MAX; i++) {
        if (index >= size || !read_descriptor(ring, indirect.at, index, &d) ||
            !d.len) {
            return false;
        }
        if (d.flags & VRING_DESC_F_INDIRECT) {
            if (i || d.len % sizeof(d) || d.flags & VRING_DESC_F_NEXT ||
                !find(ring, d.addr, d.len, false, &indirect)) {
                return false;
            }
            size = d.len / sizeof(d);
            index = 0;
            continue;
        }
        if (!(d.flags & VRING_DESC_F_WRITE ? add_writable(ring, chain, &d)
                                           : add_readable(ring, chain, &d))) {
            return false;
        }
        if (!(d.flags & VRING_DESC_F_NEXT)) {
            return true;
        }
        index = d.next;
    }
    return false;
}

PviommuRingNext pviommu_ring_peek(const PviommuRing *ring,
                                  PviommuChain *chain)
{
    unsigned entry = ENTRIES + ring->last_avail % ring->num;
    uint16_t index, count;

    RCU_READ_LOCK_GUARD();
    if (!load(ring, field_address(ring->avail, INDEX), &index)) {
        return PVIOMMU_RING_UNUSUAL;
    }
    count = index - ring->last_avail;
    if (!count) {
        return PVIOMMU_RING_EMPTY;
    }
    *chain = (PviommuChain) { 0 };
    return count <= ring->num &&
           load(ring, field_address(ring->avail, entry), &chain->head) &&
           read_chain(ring, chain) ? PVIOMMU_RING_CHAIN : PVIOMMU_RING_UNUSUAL;
}

void pviommu_ring_take(PviommuRing *ring)
{
    ring->last_avail++;
}

static void write_answer(const PviommuRing *ring, const PviommuChain *chain,
                         const char *answer)
{
    for (unsigned i = 0; i < chain->nr_parts; i++) {
        write_to(ring, chain->parts[i].address, answer,
                 chain->parts[i].length);
        answer += chain->parts[i].length;
    }
}

/* Whether the driver wants an interrupt for the buffer that went back last */
static bool is_awaited(const PviommuRing *ring)
{
    unsigned field = ring->event_idx ? ENTRIES + ring->num : FLAGS;
    uint16_t value;

    smp_mb();       /* it may ask for one just after the buffer went back */
    if (ring->on_empty && pviommu_ring_is_empty(ring)) {
        return true;
    }
    if (!load(ring, field_address(ring->avail, field), &value)) {
        return false;
    }
    return ring->event_idx ? value == (uint16_t)(ring->used_idx - 1)
                           : !(value & VRING_AVAIL_F_NO_INTERRUPT);
}

bool pviommu_ring_give(PviommuRing *ring, const PviommuChain *chain,
                       const void *answer)
{
    const struct vring_used_elem entry = {
        .id = cpu_to_le32(chain->head),
        .len = cpu_to_le32(answer ? chain->writable : 0),
    };
    unsigned place = ring->used_idx++ % ring->num;

    RCU_READ_LOCK_GUARD();
    if (answer) {
        write_answer(ring, chain, answer);
    }
    write_to(ring, field_address(ring->used, ENTRIES) + place * sizeof(entry),
             &entry, sizeof(entry));
    store(ring, field_address(ring->used, INDEX), ring->used_idx);
    return is_awaited(ring);
}

void pviommu_ring_want_kicks(PviommuRing *ring, bool want)
{
    uint64_t entries = field_address(ring->used, ENTRIES);

    RCU_READ_LOCK_GUARD();
    if (!ring->event_idx) {
        store(ring, field_address(ring->used, FLAGS),
              want ? 0 : VRING_USED_F_NO_NOTIFY);
    } else if (want) {
        store(ring, entries + ring->num * sizeof(struct vring_used_elem),
              ring->last_avail);
    }
    if (want) {
        smp_mb();       /* a buffer that came before this is seen */
    }
}
