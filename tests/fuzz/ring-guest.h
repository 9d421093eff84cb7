/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu fuzzing: a guest that has one virtqueue, and some memory
 *
 * What virtio/ring.c calls of QEMU and of host/ is in ring-guest.c: all that
 * it can learn of a machine is what the guest here says.  Memory is a few
 * blocks, each by itself on the heap, so that ASan sees a step over an edge;
 * what is there is kept twice, as it is and as it should be.
 */
#ifndef PVIOMMU_FUZZ_RING_GUEST_H
#define PVIOMMU_FUZZ_RING_GUEST_H

#include "hw/virtio/virtio.h"

/**
 * enum GuestBlock - blocks of memory
 * @GUEST_LOW: RAM
 * @GUEST_NEXT: RAM just behind that, and yet another block
 * @GUEST_ROM: just behind that, and not writable
 * @GUEST_TOP: RAM up to the last byte of the address space
 */
typedef enum GuestBlock {
    GUEST_LOW,
    GUEST_NEXT,
    GUEST_ROM,
    GUEST_TOP,
    GUEST_BLOCKS,
} GuestBlock;

/**
 * struct Block - one of them
 * @first: guest-physical address
 * @size: bytes
 * @rom: it cannot be written
 * @is: what is there; NULL when the block has gone
 * @should: what should be
 * @told: bytes that QEMU was told of as written
 * @should_tell: those that it should have been
 */
typedef struct Block {
    uint64_t first;
    uint64_t size;
    bool rom;
    uint8_t *is;
    uint8_t *should;
    uint8_t *told;
    uint8_t *should_tell;
} Block;

/**
 * struct Guest - the guest, and what QEMU knows of its queue
 * @vdev: the device
 * @block: memory
 * @num: size of the queue
 * @desc: guest-physical address of the descriptors
 * @avail: of the ring of what is available
 * @used: of the ring of what is used
 * @last_avail: how far the device came
 * @closed: how often the queue was given back
 * @looks: at which look from now another processor writes; 0 for none
 * @twist: where that writes
 * @value: and what
 */
typedef struct Guest {
    VirtIODevice vdev;
    Block block[GUEST_BLOCKS];
    unsigned num;
    uint64_t desc;
    uint64_t avail;
    uint64_t used;
    uint16_t last_avail;
    unsigned closed;
    unsigned looks;
    uint64_t twist;
    uint8_t value;
} Guest;

/* Memory full of zeros, and no queue; and the end of it */
Guest *guest_new(void);
void guest_free(Guest *guest);

/* A block is unplugged, or one is plugged with zeros in it */
void guest_plug(Guest *guest, GuestBlock which, bool in);

/**
 * guest_at - where memory should be written or read
 * @guest: the guest
 * @address: where
 * @size: bytes, 1 or more
 * @write: it must be writable
 *
 * Return: what should be there, or NULL when not all of it is in one block.
 */
uint8_t *guest_at(Guest *guest, uint64_t address, uint64_t size, bool write);

/* The guest writes; nothing where it has no memory */
void guest_write(Guest *guest, uint64_t address, const void *data,
                 size_t size);

/* The device should have written, and said so */
void guest_expect(Guest *guest, uint64_t address, const void *data,
                  size_t size);

/* What should be there is there, and QEMU was told of it, and of no more */
void guest_check(Guest *guest);

#endif /* PVIOMMU_FUZZ_RING_GUEST_H */
