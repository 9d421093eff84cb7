/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu bench: what the audit library tells of the emulator
 *
 * The emulator is driven by qtest, one command at a time.  The library lays
 * this in the file that BENCH_CALLS names; passthrough/emulator.py reads it.
 */
#ifndef BENCH_CALLS_H
#define BENCH_CALLS_H

#include <stdint.h>

enum { CALLS_RECENT = 8 };

/**
 * struct Calls - since the emulator started
 * @hz: ticks a second
 * @commands: commands that were answered
 * @inside: ticks between a command's arrival and its answer's departure
 * @handled: of those, between virtqueue_pop() and virtqueue_push(), where a
 *           library calls them
 * @calls: ioctls of VFIO and iommufd
 * @calls_inside: ticks in those
 * @requests: that were handled
 * @recent: of each of the last requests, what it added to @handled; request
 *          N is at N modulo CALLS_RECENT
 */
typedef struct Calls {
    uint64_t hz;
    uint64_t commands;
    uint64_t inside;
    uint64_t handled;
    uint64_t calls;
    uint64_t calls_inside;
    uint64_t requests;
    uint64_t recent[CALLS_RECENT];
} Calls;

#endif /* BENCH_CALLS_H */
