/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the observer's host holds, and what it was told, as text
 */
#ifndef TESTS_QTEST_OBSERVER_RECORD_H
#define TESTS_QTEST_OBSERVER_RECORD_H

#include "exec/hwaddr.h"

/**
 * struct Held - a mapping that the host holds
 * @first: first IOVA
 * @last: last IOVA, inclusive
 * @what: memory block and offset
 * @perm: "r", "w" or "rw"
 */
typedef struct Held {
    hwaddr first;
    hwaddr last;
    char *what;
    const char *perm;
} Held;

/**
 * struct Record - the host of one observer
 * @held: Held *, by first IOVA
 * @events: one line each
 */
typedef struct Record {
    GSequence *held;
    GString *events;
} Record;

void record_init(Record *record);
void record_free(Record *record);

/* Add a line to the events */
void record_event(Record *record, const char *format, ...) G_GNUC_PRINTF(2, 3);

/* As type1 does: 0, or -EEXIST when something overlaps.  Takes over @what. */
int record_map(Record *record, hwaddr first, hwaddr last, char *what,
               const char *perm);

/* As type1 does: 0, or -EINVAL when a mapping would be split */
int record_unmap(Record *record, hwaddr first, hwaddr last);

/* All mappings, a line each; owned by the caller */
char *record_mappings(const Record *record);

#endif /* TESTS_QTEST_OBSERVER_RECORD_H */
