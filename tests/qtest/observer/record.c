/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What an observer's host holds, what it was told, and what it is to refuse
 */
#include "qemu/osdep.h"

#include "system/memory.h"
#include "record.h"

static int compare(gconstpointer a, gconstpointer b, gpointer opaque)
{
    const Held *left = a, *right = b;

    return (left->first > right->first) - (left->first < right->first);
}

static void held_free(gpointer opaque)
{
    Held *held = opaque;

    g_free(held->what);
    g_free(held);
}

GSequence *held_new(void)
{
    return g_sequence_new(held_free);
}

GSequenceIter *held_at_or_after(GSequence *held, hwaddr first)
{
    Held key = { .first = first };
    GSequenceIter *iter = g_sequence_search(held, &key, compare, NULL);
    GSequenceIter *before = g_sequence_iter_prev(iter);

    if (before != iter && held_at(before)->last >= first) {
        return before;
    }
    return iter;
}

const Held *held_at(GSequenceIter *iter)
{
    return g_sequence_iter_is_end(iter) ? NULL : g_sequence_get(iter);
}

int held_map(GSequence *held, hwaddr first, hwaddr last, void *vaddr,
             char *what, const char *perm)
{
    GSequenceIter *iter = held_at_or_after(held, first);
    const Held *next = held_at(iter);
    Held *new;

    if (next && next->first <= last) {
        g_free(what);
        return -EEXIST;
    }
    new = g_new(Held, 1);
    *new = (Held) { first, last, vaddr, what, perm };
    g_sequence_insert_before(iter, new);
    return 0;
}

void held_drop(GSequence *held, hwaddr first, hwaddr last)
{
    GSequenceIter *iter = held_at_or_after(held, first);
    const Held *at = held_at(iter);

    while (at && at->first <= last) {
        GSequenceIter *next = g_sequence_iter_next(iter);

        g_sequence_remove(iter);
        iter = next;
        at = held_at(iter);
    }
}

int held_unmap(GSequence *held, hwaddr first, hwaddr last)
{
    const Held *at = held_at(held_at_or_after(held, first));
    const Held *end = held_at(held_at_or_after(held, last));

    if ((at && at->first < first) ||
        (end && end->first <= last && end->last > last)) {
        return -EINVAL;
    }
    held_drop(held, first, last);
    return 0;
}

void held_print(GSequence *held, const char *prefix, GString *text)
{
    GSequenceIter *iter = g_sequence_get_begin_iter(held);

    for (; !g_sequence_iter_is_end(iter); iter = g_sequence_iter_next(iter)) {
        const Held *at = g_sequence_get(iter);

        g_string_append_printf(text, "%s%" PRIx64 " %" PRIx64 " %s %s\n",
                               prefix, at->first, at->last, at->what,
                               at->perm);
    }
}

char *held_name(void *vaddr)
{
    ram_addr_t offset;
    MemoryRegion *mr = memory_region_from_host(vaddr, &offset);

    return mr ? g_strdup_printf("%s+%" PRIx64, memory_region_name(mr),
                                (uint64_t)offset)
              : g_strdup("nothing");
}

void record_event(GString *events, const char *format, ...)
{
    va_list ap;

    va_start(ap, format);
    g_string_append_vprintf(events, format, ap);
    va_end(ap);
    g_string_append_c(events, '\n');
}

bool is_stuck(GSequence *held, const Stuck *stuck, hwaddr first, hwaddr last)
{
    if (!stuck->iova || stuck->iova < first || stuck->iova > last) {
        return false;
    }
    if (stuck->iova > first) {
        held_drop(held, first, stuck->iova - 1);
    }
    return true;
}

int refusal_due(Refusal *refusal)
{
    if (!refusal->nth || --refusal->nth) {
        return 0;
    }
    if (refusal->times > 1) {
        refusal->times--;
        refusal->nth = 1;
    }
    return -refusal->error;
}
