/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu: little-endian fields at any address
 */
#ifndef PVIOMMU_CORE_LE_H
#define PVIOMMU_CORE_LE_H

#include <stdint.h>

static inline uint64_t le_get(const uint8_t *field, unsigned size)
{
    uint64_t value = 0;

    while (size > 0) {
        value = value << 8 | field[--size];
    }
    return value;
}

static inline void le_put(uint8_t *field, unsigned size, uint64_t value)
{
    for (unsigned i = 0; i < size; i++) {
        field[i] = (uint8_t)(value >> (8 * i));
    }
}

#endif /* PVIOMMU_CORE_LE_H */
