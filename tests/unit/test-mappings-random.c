/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu tests: random operations on a set of mappings, against an array
 * that says for every slot of IOVA what is mapped there
 */
#include <string.h>
#include <glib.h>

#include "mappings-hide.h"
#include "pviommu/mappings.h"
#include "random.h"
#include "tree-check.h"

enum {
    SLOTS = 1 << 16,
};

/**
 * struct Model - a set, and what it should hold
 * @set: the set
 * @random: the numbers
 * @base: IOVA of slot 0
 * @size: bytes of IOVA in a slot
 * @slots: slots in use, up to SLOTS
 * @owner: slot where the mapping over this slot starts, plus 1; 0 for none
 * @mapping: by the slot where it starts
 * @count: mappings
 * @bytes: bytes mapped
 */
typedef struct Model {
    PviommuMappings *set;
    Random random;
    uint64_t base;
    uint64_t size;
    unsigned slots;
    unsigned owner[SLOTS];
    PviommuMapping mapping[SLOTS];
    size_t count;
    uint64_t bytes;
} Model;

static unsigned slot_of(const Model *model, uint64_t iova)
{
    return (unsigned)((iova - model->base) / model->size);
}

static uint64_t slot_first(const Model *model, unsigned slot)
{
    return model->base + slot * model->size;
}

static uint64_t slot_last(const Model *model, unsigned slot)
{
    return slot_first(model, slot) + (model->size - 1);
}

static void assert_same(const PviommuMapping *a, const PviommuMapping *b)
{
    g_assert_cmphex(a->first, ==, b->first);
    g_assert_cmphex(a->last, ==, b->last);
    g_assert_cmphex(a->phys, ==, b->phys);
    g_assert_cmphex(a->flags, ==, b->flags);
}

/* First slot in [slot, end) that is mapped, or end */
static unsigned next_mapped(const Model *model, unsigned slot, unsigned end)
{
    while (slot < end && model->owner[slot] == 0) {
        slot++;
    }
    return slot;
}

static void model_fill(Model *model, const PviommuMapping *mapping,
                       bool there)
{
    unsigned first = slot_of(model, mapping->first);
    unsigned last = slot_of(model, mapping->last);
    uint64_t bytes = mapping->last - mapping->first + 1;

    model->mapping[first] = *mapping;
    for (unsigned slot = first; slot <= last; slot++) {
        model->owner[slot] = there ? first + 1 : 0;
    }
    model->count += there ? 1 : -1;
    model->bytes += there ? bytes : -bytes;
}

static void check_find(Model *model, unsigned first, unsigned last)
{
    unsigned slot = next_mapped(model, first, last + 1);
    PviommuMapping found;
    bool there = pviommu_mappings_find(model->set, slot_first(model, first),
                                       slot_last(model, last), &found);

    g_assert_cmpint(there, ==, slot <= last);
    if (there) {
        assert_same(&found, &model->mapping[model->owner[slot] - 1]);
    }
}

static void check_lookup(Model *model, unsigned slot)
{
    uint64_t iova = slot_first(model, slot) +
                    random_below(&model->random, model->size);
    PviommuMapping found;
    bool there = pviommu_mappings_lookup(model->set, iova, &found);

    g_assert_cmpint(there, ==, model->owner[slot] != 0);
    if (there) {
        assert_same(&found, &model->mapping[model->owner[slot] - 1]);
    }
}

static void check_all(Model *model)
{
    PviommuMappingIter iter = { 0 };
    PviommuMapping found;
    unsigned slot = 0;

    tree_check(model->set);
    while (pviommu_mappings_next(model->set, &iter, UINT64_MAX, &found)) {
        slot = next_mapped(model, slot, model->slots);
        g_assert_cmpuint(slot, <, model->slots);
        assert_same(&found, &model->mapping[slot]);
        slot = slot_of(model, found.last) + 1;
    }
    g_assert_cmpuint(next_mapped(model, slot, model->slots), ==,
                     model->slots);
}

/* Slots [first, last] that mean something in this model */
static void random_range(Model *model, unsigned longest, unsigned *first,
                         unsigned *last)
{
    uint64_t length = 1 + random_below(&model->random, longest);

    *first = (unsigned)random_below(&model->random, model->slots);
    *last = (unsigned)MIN(*first + length, model->slots) - 1;
}

static void do_insert(Model *model)
{
    PviommuMapping mapping, found;
    unsigned first, last;

    random_range(model, 6, &first, &last);
    mapping.first = slot_first(model, first);
    mapping.last = slot_last(model, last);
    mapping.phys = random_next(&model->random);
    mapping.flags = (uint32_t)random_below(&model->random, 8);
    check_find(model, first, last);
    if (!pviommu_mappings_find(model->set, mapping.first, mapping.last,
                               &found)) {
        g_assert_true(pviommu_mappings_insert(model->set, &mapping));
        model_fill(model, &mapping, true);
    }
}

static void do_remove(Model *model)
{
    unsigned slot = (unsigned)random_below(&model->random, model->slots);
    unsigned owner = model->owner[slot];
    bool removed = pviommu_mappings_remove(model->set,
                                           slot_first(model, slot));

    g_assert_cmpint(removed, ==, owner == slot + 1);
    if (removed) {
        model_fill(model, &model->mapping[slot], false);
    } else if (owner > 0) {
        PviommuMapping old = model->mapping[owner - 1];

        g_assert_true(pviommu_mappings_remove(model->set, old.first));
        model_fill(model, &old, false);
    }
}

/* Hide a range, look at it, then drop it or put it back */
static void do_hide(Model *model, unsigned longest)
{
    g_autoptr(GArray) hidden = g_array_new(false, false,
                                           sizeof(PviommuMapping));
    PviommuMappingIter iter = { 0 };
    PviommuMapping mapping;
    unsigned first, last;
    size_t n = 0;

    random_range(model, longest, &first, &last);
    if (model->owner[first]) {
        first = model->owner[first] - 1;
    }
    if (model->owner[last]) {
        last = slot_of(model, model->mapping[model->owner[last] - 1].last);
    }
    for (unsigned slot = first; slot <= last; slot++) {
        if (model->owner[slot] == slot + 1) {
            mapping = model->mapping[slot];
            g_array_append_val(hidden, mapping);
            model_fill(model, &mapping, false);
        }
    }
    g_assert_cmpuint(pviommu_mappings_hide(model->set,
                                           slot_first(model, first),
                                           slot_last(model, last)),
                     ==, hidden->len);
    check_find(model, 0, model->slots - 1);
    check_find(model, first, last);
    check_find(model, last, model->slots - 1);
    check_lookup(model, first);
    check_lookup(model, last);
    g_assert_cmpuint(pviommu_mappings_count(model->set), ==, model->count);
    g_assert_cmphex(pviommu_mappings_bytes(model->set), ==, model->bytes);
    while (pviommu_mappings_next_hidden(model->set, &iter, &mapping)) {
        assert_same(&mapping, &g_array_index(hidden, PviommuMapping, n++));
    }
    g_assert_cmpuint(n, ==, hidden->len);
    if (random_below(&model->random, 3) > 0) {
        pviommu_mappings_drop_hidden(model->set);
        return;
    }
    g_assert_cmpuint(pviommu_mappings_unhide(model->set), ==, hidden->len);
    for (n = 0; n < hidden->len; n++) {
        model_fill(model, &g_array_index(hidden, PviommuMapping, n), true);
    }
}

/**
 * run_model - random operations on a set
 * @base: lowest IOVA
 * @size: bytes in a slot
 * @slots: how many slots
 * @rounds: how many operations
 *
 * Phases in which the set grows and shrinks take turns, so that it is large
 * at times and empty at others.
 */
static void run_model(uint64_t base, uint64_t size, unsigned slots,
                      uint64_t rounds)
{
    Model *model = g_new0(Model, 1);
    uint64_t phase = slots;

    random_init(&model->random);
    model->set = pviommu_mappings_new();
    model->base = base;
    model->size = size;
    model->slots = slots;
    for (uint64_t round = 0; round < rounds; round++) {
        bool grow = round / phase % 2 == 0;
        uint64_t what = random_below(&model->random, 100);

        if (what < (grow ? 60 : 20)) {
            do_insert(model);
        } else if (what < 75) {
            do_remove(model);
        } else if (what < 78) {
            do_hide(model, grow ? 8 : slots / 8);
        } else {
            check_lookup(model, (unsigned)random_below(&model->random,
                                                       slots));
        }
        g_assert_cmpuint(pviommu_mappings_count(model->set), ==,
                         model->count);
        g_assert_cmphex(pviommu_mappings_bytes(model->set), ==,
                        model->bytes);
        if (round % (slots * 2) == 0) {
            check_all(model);
        }
    }
    check_all(model);
    do_hide(model, slots * 2);
    check_all(model);
    pviommu_mappings_free(model->set);
    g_free(model);
}

static void test_few(void)
{
    run_model(0, 1, 40, random_rounds(100000));
}

static void test_some(void)
{
    run_model(0x12345000, 0x1000, 800, random_rounds(100000));
}

static void test_last_byte(void)
{
    run_model(-(UINT64_C(600) << 21), UINT64_C(1) << 21, 600,
              random_rounds(100000));
}

static void test_whole_space(void)
{
    run_model(0, UINT64_C(1) << 48, SLOTS, random_rounds(400000));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/pviommu/mappings/random/few-of-one-byte", test_few);
    g_test_add_func("/pviommu/mappings/random/some-of-4k", test_some);
    g_test_add_func("/pviommu/mappings/random/to-the-last-byte",
                    test_last_byte);
    g_test_add_func("/pviommu/mappings/random/many-over-the-whole-space",
                    test_whole_space);
    return g_test_run();
}
