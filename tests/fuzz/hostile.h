/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A guest that does what no guest should, one random step after another
 */
#ifndef TESTS_FUZZ_HOSTILE_H
#define TESTS_FUZZ_HOSTILE_H

#include "../qtest/watch.h"
#include "../unit/random.h"

enum {
    HOSTILE_WATCHES = 4,
};

/**
 * struct Hostile - the guest
 * @v: its IOMMU
 * @watch: observers o0 to o3, endpoints of it
 * @random: what to do next
 * @plugged: whether there is an observer "hot" behind the root port
 */
typedef struct Hostile {
    Viommu *v;
    Watch *watch[HOSTILE_WATCHES];
    Random random;
    bool plugged;
} Hostile;

/**
 * hostile_start - start an emulator
 * @seed: of all that this guest will do, the command line included; with an
 *        odd one the request queue is in an IOThread
 *
 * Return: the guest, to be ended by hostile_stop().
 */
Hostile *hostile_start(uint64_t seed);

/**
 * hostile_stop - end the emulator, which must still be there
 * @h: the guest
 */
void hostile_stop(Hostile *h);

/**
 * hostile_step - do one thing
 * @h: the guest
 */
void hostile_step(Hostile *h);

/* A number below @limit, which is not 0 */
static inline uint64_t hostile_below(Hostile *h, uint64_t limit)
{
    return random_below(&h->random, limit);
}

/* Guest-physical addresses and IOVAs of interest */
uint64_t hostile_phys(Hostile *h);
uint64_t hostile_iova(Hostile *h);

/* Have no host of an observer refuse anything any more */
void hostile_relent(Hostile *h);

/* Steps on the queues; the others are in hostile.c */
void hostile_request(Hostile *h);
void hostile_chain(Hostile *h);
void hostile_scribble(Hostile *h);
void hostile_event_buffers(Hostile *h);

/* Make the device ready with some of the features, or not quite ready */
void hostile_negotiate(Hostile *h);

#endif /* TESTS_FUZZ_HOSTILE_H */
