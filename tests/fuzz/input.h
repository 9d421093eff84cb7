/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu fuzzing: what libFuzzer made, read from front to back
 *
 * Behind the end everything is 0, so any input means something.
 */
#ifndef PVIOMMU_FUZZ_INPUT_H
#define PVIOMMU_FUZZ_INPUT_H

#include <stddef.h>
#include <stdint.h>

/* What libFuzzer calls, again and again */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct Input {
    const uint8_t *next;
    size_t left;
} Input;

static inline uint8_t input_byte(Input *input)
{
    if (input->left == 0) {
        return 0;
    }
    input->left--;
    return *input->next++;
}

/* Two bytes, low one first */
static inline uint16_t input_word(Input *input)
{
    uint16_t low = input_byte(input);

    return low | (uint16_t)(input_byte(input) << 8);
}

/* Eight bytes, high word first */
static inline uint64_t input_long(Input *input)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < 4; i++) {
        value = value << 16 | input_word(input);
    }
    return value;
}

/* A number below @limit, which is 1 to 256 */
static inline unsigned input_below(Input *input, unsigned limit)
{
    return input_byte(input) % limit;
}

#endif /* PVIOMMU_FUZZ_INPUT_H */
