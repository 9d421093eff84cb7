/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the observer's host holds, and what it was told
 */
#include "qemu/osdep.h"

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

void record_init(Record *record)
{
    record->held = g_sequence_new(held_free);
    record->events = g_string_new(NULL);
}

void record_free(Record *record)
{
    g_sequence_free(record->held);
    g_string_free(record->events, TRUE);
}

void record_event(Record *record, const char *format, ...)
{
    va_list ap;

    va_start(ap, format);
    g_string_append_vprintf(record->events, format, ap);
    va_end(ap);
    g_string_append_c(record->events, '\n');
}

/* The lowest mapping that ends at @first or behind it, or the end */
static GSequenceIter *at_or_after(const Record *record, hwaddr first)
{
    Held key = { .first = first };
    GSequenceIter *iter = g_sequence_search(record->held, &key, compare,
                                            NULL);
    GSequenceIter *before = g_sequence_iter_prev(iter);

    if (before != iter) {
        const Held *held = g_sequence_get(before);

        if (held->last >= first) {
            return before;
        }
    }
    return iter;
}

static const Held *held_at(GSequenceIter *iter)
{
    return g_sequence_iter_is_end(iter) ? NULL : g_sequence_get(iter);
}

int record_map(Record *record, hwaddr first, hwaddr last, char *what,
               const char *perm)
{
    GSequenceIter *iter = at_or_after(record, first);
    const Held *held = held_at(iter);
    Held *new;

    if (held && held->first <= last) {
        g_free(what);
        return -EEXIST;
    }
    new = g_new(Held, 1);
    *new = (Held) { first, last, what, perm };
    g_sequence_insert_before(iter, new);
    return 0;
}

int record_unmap(Record *record, hwaddr first, hwaddr last)
{
    GSequenceIter *iter = at_or_after(record, first);
    const Held *held = held_at(iter);
    const Held *end = held_at(at_or_after(record, last));

    if ((held && held->first < first) ||
        (end && end->first <= last && end->last > last)) {
        return -EINVAL;
    }
    while (held && held->first <= last) {
        GSequenceIter *next = g_sequence_iter_next(iter);

        g_sequence_remove(iter);
        iter = next;
        held = held_at(iter);
    }
    return 0;
}

char *record_mappings(const Record *record)
{
    GString *text = g_string_new(NULL);
    GSequenceIter *iter = g_sequence_get_begin_iter(record->held);

    for (; !g_sequence_iter_is_end(iter); iter = g_sequence_iter_next(iter)) {
        const Held *held = g_sequence_get(iter);

        g_string_append_printf(text, "%" PRIx64 " %" PRIx64 " %s %s\n",
                               held->first, held->last, held->what,
                               held->perm);
    }
    return g_string_free(text, FALSE);
}
