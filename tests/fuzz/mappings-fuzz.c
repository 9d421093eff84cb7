/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * libFuzzer: the set of mappings against a sorted array
 *
 * A step inserts or removes runs of mappings, up to a few thousand, so that
 * the tree has three levels; hides a range, then drops it or puts it back; or
 * has an allocation fail.
 */
#include <string.h>
#include <glib.h>

#include "alloc.h"
#include "input.h"
#include "mappings-hide.h"

enum {
    HELD_MAX = 8192,
    STEPS_MAX = 200,
};

/**
 * struct Pair - the set, and what it should hold
 * @set: the set
 * @count: how many
 * @held: by first IOVA
 */
typedef struct Pair {
    PviommuMappings *set;
    unsigned count;
    PviommuMapping held[HELD_MAX];
} Pair;

/* The first that does not end below @iova; count if there is none */
static unsigned seek(const Pair *pair, uint64_t iova)
{
    unsigned low = 0, high = pair->count;

    while (low < high) {
        unsigned middle = (low + high) / 2;

        if (pair->held[middle].last < iova) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static void assert_same(const PviommuMapping *a, const PviommuMapping *b)
{
    g_assert_cmphex(a->first, ==, b->first);
    g_assert_cmphex(a->last, ==, b->last);
    g_assert_cmphex(a->phys, ==, b->phys);
    g_assert_cmphex(a->flags, ==, b->flags);
}

/* The set is the array without the entries from @from to before @to */
static void check(const Pair *pair, unsigned from, unsigned to)
{
    PviommuMappingIter iter = { 0 };
    PviommuMapping mapping;
    uint64_t bytes = 0;
    unsigned i = 0;

    while (pviommu_mappings_next(pair->set, &iter, UINT64_MAX, &mapping)) {
        i = i == from ? to : i;
        g_assert_cmpuint(i, <, pair->count);
        assert_same(&mapping, &pair->held[i]);
        bytes += mapping.last - mapping.first + 1;
        i++;
    }
    i = i == from ? to : i;
    g_assert_cmpuint(i, ==, pair->count);
    g_assert_cmpuint(pviommu_mappings_count(pair->set), ==,
                     pair->count - (to - from));
    g_assert_cmpuint(pviommu_mappings_bytes(pair->set), ==, bytes);
}

static void check_lookup(const Pair *pair, uint64_t iova, uint64_t last)
{
    unsigned i = seek(pair, iova);
    bool touches = i < pair->count && pair->held[i].first <= last;
    bool holds = i < pair->count && pair->held[i].first <= iova;
    PviommuMapping mapping;

    g_assert_cmpint(pviommu_mappings_find(pair->set, iova, last, &mapping),
                    ==, touches);
    if (touches) {
        assert_same(&mapping, &pair->held[i]);
    }
    g_assert_cmpint(pviommu_mappings_lookup(pair->set, iova, &mapping), ==,
                    holds);
    if (holds) {
        assert_same(&mapping, &pair->held[i]);
    }
}

/* Insert if nothing is in the way; a failed allocation changes nothing */
static void insert(Pair *pair, uint64_t first, uint64_t last)
{
    unsigned i = seek(pair, first);
    PviommuMapping mapping = {
        first, last, first * 3, (uint32_t)(first >> 3) & 7,
    };

    if (pair->count == HELD_MAX || last < first ||
        (i < pair->count && pair->held[i].first <= last) ||
        !pviommu_mappings_insert(pair->set, &mapping)) {
        return;
    }
    memmove(&pair->held[i + 1], &pair->held[i],
            (pair->count - i) * sizeof(mapping));
    pair->held[i] = mapping;
    pair->count++;
}

static void delete(Pair *pair, unsigned from, unsigned to)
{
    memmove(&pair->held[from], &pair->held[to],
            (pair->count - to) * sizeof(pair->held[0]));
    pair->count -= to - from;
}

static void insert_run(Pair *pair, Input *input)
{
    unsigned how = input_byte(input);
    unsigned count = how & 0x80 ? 1 : 1 + input_byte(input);
    uint64_t at = (uint64_t)input_word(input) << 8 | input_byte(input);
    uint64_t size = 1 + (how & 3);
    uint64_t step = size + (how >> 2 & 3);
    bool down = how & 0x10;

    at = how & 0x20 ? -at : at;         /* near the last byte */
    for (unsigned i = 0; i < count; i++) {
        insert(pair, at, at + (size - 1));
        at = down ? at - step : at + step;
    }
    if (how & 0x40) {
        pviommu_alloc_fail_at(1 + input_below(input, 8));
    }
}

static void remove_run(Pair *pair, Input *input)
{
    unsigned count = 1 + input_byte(input);
    unsigned at = input_word(input);
    bool ends = at & 1;                 /* always the last one */

    while (count-- > 0 && pair->count > 0) {
        unsigned i = ends ? pair->count - 1 : at % pair->count;

        g_assert_false(pair->held[i].first != pair->held[i].last &&
                       pviommu_mappings_remove(pair->set,
                                               pair->held[i].last));
        g_assert_true(pviommu_mappings_remove(pair->set,
                                              pair->held[i].first));
        delete(pair, i, i + 1);
    }
}

static void hide(Pair *pair, Input *input)
{
    unsigned how = input_byte(input);
    unsigned from = pair->count ? input_word(input) % pair->count : 0;
    unsigned count = how & 1 ? input_byte(input) : input_word(input);
    unsigned to = MIN(from + count, pair->count);
    PviommuMappingIter iter = { 0 };
    PviommuMapping mapping;
    uint64_t first, last;

    if (from == to) {
        return;
    }
    first = pair->held[from].first;
    last = pair->held[to - 1].last;
    if (how & 2) {                      /* with the holes around */
        first = from > 0 ? pair->held[from - 1].last + 1 : 0;
        last = to < pair->count ? pair->held[to].first - 1 : UINT64_MAX;
    }
    g_assert_cmpuint(pviommu_mappings_hide(pair->set, first, last), ==,
                     to - from);
    for (unsigned i = from; i < to; i++) {
        g_assert_true(pviommu_mappings_next_hidden(pair->set, &iter,
                                                   &mapping));
        assert_same(&mapping, &pair->held[i]);
    }
    g_assert_false(pviommu_mappings_next_hidden(pair->set, &iter, &mapping));
    check(pair, from, to);
    if (how & 12) {
        pviommu_mappings_drop_hidden(pair->set);
        delete(pair, from, to);
    } else {
        g_assert_cmpuint(pviommu_mappings_unhide(pair->set), ==, to - from);
    }
}

static void look(const Pair *pair, Input *input)
{
    unsigned size = input_byte(input);
    uint64_t iova = (uint64_t)input_word(input) << 8;

    check_lookup(pair, iova, iova + size);
    check_lookup(pair, UINT64_MAX - iova, UINT64_MAX);
    if (pair->count > 0) {
        const PviommuMapping *held = &pair->held[iova % pair->count];

        check_lookup(pair, held->first, held->last);
        check_lookup(pair, held->last, UINT64_MAX);
        check_lookup(pair, held->last + 1 ? held->last + 1 : 0, UINT64_MAX);
    }
}

static void run_step(Pair *pair, Input *input)
{
    switch (input_below(input, 8)) {
    case 0:
    case 1:
    case 2:
        insert_run(pair, input);
        break;
    case 3:
        remove_run(pair, input);
        break;
    case 4:
    case 5:
        hide(pair, input);
        break;
    case 6:
        look(pair, input);
        break;
    default:
        if (input_byte(input) > 224) {
            pviommu_mappings_clear(pair->set);
            pair->count = 0;
        } else {
            check(pair, 0, 0);
        }
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Input input = { data, size };
    Pair *pair = g_new(Pair, 1);

    pviommu_alloc_fail_at(0);
    pair->set = pviommu_mappings_new();
    pair->count = 0;
    for (unsigned i = 0; i < STEPS_MAX && input.left > 0; i++) {
        run_step(pair, &input);
    }
    check(pair, 0, 0);
    pviommu_mappings_free(pair->set);
    g_free(pair);
    return 0;
}
