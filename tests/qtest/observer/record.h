/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What an observer's host holds, what it was told, and what it is to refuse
 */
#ifndef TESTS_QTEST_OBSERVER_RECORD_H
#define TESTS_QTEST_OBSERVER_RECORD_H

#include "exec/hwaddr.h"

/**
 * struct Held - a mapping that the host holds
 * @first: first IOVA
 * @last: last IOVA, inclusive
 * @vaddr: where it leads; not followed unless the host is the kernel's model
 * @what: memory block and offset, owned
 * @perm: "r", "w" or "rw"
 */
typedef struct Held {
    hwaddr first;
    hwaddr last;
    void *vaddr;
    char *what;
    const char *perm;
} Held;

/* Mappings that do not overlap, by first IOVA */
GSequence *held_new(void);

/* The lowest mapping that ends at @first or behind it, or the end */
GSequenceIter *held_at_or_after(GSequence *held, hwaddr first);

/* The mapping there, NULL at the end */
const Held *held_at(GSequenceIter *iter);

/* 0, or -EEXIST when something overlaps.  Takes over @what. */
int held_map(GSequence *held, hwaddr first, hwaddr last, void *vaddr,
             char *what, const char *perm);

/* As type1 does: 0, or -EINVAL when a mapping would be split */
int held_unmap(GSequence *held, hwaddr first, hwaddr last);

/* As vhost does: whatever touches the range is gone */
void held_drop(GSequence *held, hwaddr first, hwaddr last);

/* Each mapping in a line that begins with @prefix */
void held_print(GSequence *held, const char *prefix, GString *text);

/* The memory block at a host address, and the offset; owned by the caller */
char *held_name(void *vaddr);

/* Add a line to the events */
void record_event(GString *events, const char *format, ...)
    G_GNUC_PRINTF(2, 3);

/**
 * struct Refusal - the n-th call from now on is refused
 * @nth: counts down to 1; 0 for none
 * @times: how many in a row
 * @error: errno
 */
typedef struct Refusal {
    uint32_t nth;
    uint32_t times;
    int error;
} Refusal;

/* A call: 0, or the negative errno that it is to return */
int refusal_due(Refusal *refusal);

/**
 * struct Stuck - a mapping that does not go
 * @iova: where; 0 for none
 * @error: errno
 */
typedef struct Stuck {
    hwaddr iova;
    int error;
} Stuck;

/* Whether the range holds it; then all of the range before it goes */
bool is_stuck(GSequence *held, const Stuck *stuck, hwaddr first, hwaddr last);

#endif /* TESTS_QTEST_OBSERVER_RECORD_H */
