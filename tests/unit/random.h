/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu tests: random numbers with a seed that can be set
 */
#ifndef PVIOMMU_TEST_RANDOM_H
#define PVIOMMU_TEST_RANDOM_H

#include <stdint.h>
#include <glib.h>

typedef struct Random {
    uint64_t state;
} Random;

/**
 * random_init - start a sequence and print its seed
 * @random: the sequence
 *
 * PVIOMMU_TEST_SEED in the environment sets the seed.
 */
static inline void random_init(Random *random)
{
    const char *seed = g_getenv("PVIOMMU_TEST_SEED");

    random->state = seed ? g_ascii_strtoull(seed, NULL, 0)
                         : (uint64_t)g_get_real_time();
    g_test_message("PVIOMMU_TEST_SEED=%" G_GUINT64_FORMAT, random->state);
}

/* splitmix64 */
static inline uint64_t random_next(Random *random)
{
    uint64_t value = random->state += UINT64_C(0x9e3779b97f4a7c15);

    value = (value ^ value >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    value = (value ^ value >> 27) * UINT64_C(0x94d049bb133111eb);
    return value ^ value >> 31;
}

/* A number below @limit, which is not 0 */
static inline uint64_t random_below(Random *random, uint64_t limit)
{
    return random_next(random) % limit;
}

/**
 * random_rounds - how many random operations to do
 * @usual: how many when PVIOMMU_TEST_ROUNDS does not say otherwise
 */
static inline uint64_t random_rounds(uint64_t usual)
{
    const char *rounds = g_getenv("PVIOMMU_TEST_ROUNDS");

    return rounds ? g_ascii_strtoull(rounds, NULL, 0) : usual;
}

#endif /* PVIOMMU_TEST_RANDOM_H */
