/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * System calls on /dev/iommu, taken away from the kernel, and one that tells
 * who waits
 *
 * What is not answered here goes to the kernel directly: looking up the next
 * function of the same name is not safe as early as this library is called.
 */
#undef _FORTIFY_SOURCE
#undef _FILE_OFFSET_BITS
#include <fcntl.h>
#include <sched.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "preload.h"

#define EXPORT __attribute__((visibility("default")))

EXPORT Preload pviommu_preload;

static int do_open(int dir, const char *path, int flags, va_list *ap)
{
    unsigned mode = ap && (flags & (O_CREAT | O_TMPFILE))
                    ? va_arg(*ap, unsigned) : 0;

    if (pviommu_preload.open && !strcmp(path, "/dev/iommu")) {
        return pviommu_preload.open();
    }
    return syscall(SYS_openat, dir, path, flags, mode);
}

EXPORT int open(const char *path, int flags, ...)
{
    va_list ap;
    int fd;

    va_start(ap, flags);
    fd = do_open(AT_FDCWD, path, flags, &ap);
    va_end(ap);
    return fd;
}

EXPORT int open64(const char *path, int flags, ...)
    __attribute__((alias("open")));

EXPORT int openat64(int dir, const char *path, int flags, ...)
{
    va_list ap;
    int fd;

    va_start(ap, flags);
    fd = do_open(dir, path, flags, &ap);
    va_end(ap);
    return fd;
}

EXPORT int __open64_2(const char *path, int flags)
{
    return do_open(AT_FDCWD, path, flags, NULL);
}

/* QEMU 11.0 and later look for it before there is a plugin */
EXPORT int access(const char *path, int mode)
{
    if (!strcmp(path, "/dev/iommu")) {
        return 0;
    }
    return syscall(SYS_faccessat, AT_FDCWD, path, mode);
}

EXPORT int ioctl(int fd, unsigned long request, ...)
{
    va_list ap;
    void *arg;
    int ret;

    va_start(ap, request);
    arg = va_arg(ap, void *);
    va_end(ap);
    if (pviommu_preload.ioctl &&
        pviommu_preload.ioctl(fd, request, arg, &ret)) {
        return ret;
    }
    return syscall(SYS_ioctl, fd, request, arg);
}

EXPORT int sched_yield(void)
{
    if (pviommu_preload.yield) {
        pviommu_preload.yield();
    }
    return syscall(SYS_sched_yield);
}

EXPORT int close(int fd)
{
    if (pviommu_preload.close) {
        pviommu_preload.close(fd);
    }
    return syscall(SYS_close, fd);
}
