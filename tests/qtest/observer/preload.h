/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * System calls on /dev/iommu, taken away from the kernel, and one that tells
 * who waits
 *
 * pviommu-preload.so goes into LD_PRELOAD, behind the sanitizers.  There is a
 * /dev/iommu then; nothing else changes until somebody fills in
 * @pviommu_preload.
 */
#ifndef TESTS_QTEST_OBSERVER_PRELOAD_H
#define TESTS_QTEST_OBSERVER_PRELOAD_H

#include <stdbool.h>

/**
 * struct Preload - who answers instead
 * @open: opens /dev/iommu: a real file descriptor, or -1 and errno
 * @ioctl: false if @fd is none of its own; else does the call and puts what
 *         ioctl() returns into @ret, and errno
 * @close: @fd is about to be closed, whosever it is
 * @yield: this thread lets others go first, as who waits for them does
 */
typedef struct Preload {
    int (*open)(void);
    bool (*ioctl)(int fd, unsigned long request, void *arg, int *ret);
    void (*close)(int fd);
    void (*yield)(void);
} Preload;

extern Preload pviommu_preload;

/* What open() becomes under _FORTIFY_SOURCE; glibc declares it there alone */
int __open64_2(const char *path, int flags);

#endif /* TESTS_QTEST_OBSERVER_PRELOAD_H */
