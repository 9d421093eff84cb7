/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu bench: counts and times, in an emulator that is driven by qtest,
 * the ioctls of VFIO and iommufd, the handling of requests, and all between a
 * command's arrival and its answer
 *
 * It is a library for LD_AUDIT, see rtld-audit(7): as the emulator and its
 * plugin are linked, some functions that they call are replaced.  The product
 * is measured as it is.  The time is the processor's counter, as reading the
 * clock is a system call in the lab's host.
 */
#include <fcntl.h>
#include <link.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

#include "calls.h"

/* VFIO and iommufd share the letter: VFIO_TYPE, IOMMUFD_TYPE */
#define VFIO_LETTER ';'

static Calls nowhere, *calls = &nowhere;
static int qtest_fd = -1;
static uint64_t arrived, popped;

static int (*real_ioctl)(int fd, unsigned long request, void *argument);
static ssize_t (*real_recvmsg)(int fd, struct msghdr *message, int flags);
static ssize_t (*real_sendmsg)(int fd, const struct msghdr *message,
                               int flags);
static void *(*real_pop)(void *queue, size_t size);
static void (*real_push)(void *queue, void *element, unsigned length);

static int our_ioctl(int fd, unsigned long request, void *argument)
{
    uint64_t start = __rdtsc();
    int ret = real_ioctl(fd, request, argument);

    if (_IOC_TYPE(request) == VFIO_LETTER) {
        calls->calls_inside += __rdtsc() - start;
        calls->calls++;
    }
    return ret;
}

/* The first byte tells a command of qtest from one of QMP, which is JSON */
static ssize_t our_recvmsg(int fd, struct msghdr *message, int flags)
{
    ssize_t got = real_recvmsg(fd, message, flags);

    if (got > 0) {
        char first = *(const char *)message->msg_iov[0].iov_base;

        if (qtest_fd < 0 && first >= 'a' && first <= 'z') {
            qtest_fd = fd;
        }
        if (fd == qtest_fd) {
            arrived = __rdtsc();
        }
    }
    return got;
}

static ssize_t our_sendmsg(int fd, const struct msghdr *message, int flags)
{
    if (fd == qtest_fd && arrived) {
        calls->inside += __rdtsc() - arrived;
        calls->commands++;
        arrived = 0;
    }
    return real_sendmsg(fd, message, flags);
}

static void *our_pop(void *queue, size_t size)
{
    void *element = real_pop(queue, size);

    popped = __rdtsc();
    return element;
}

static void our_push(void *queue, void *element, unsigned length)
{
    uint64_t ticks = __rdtsc() - popped;

    calls->handled += ticks;
    calls->recent[calls->requests++ % CALLS_RECENT] = ticks;
    real_push(queue, element, length);
}

static const struct {
    const char *name;
    void *ours;
    void *real;
} replaced[] = {
    { "ioctl", our_ioctl, &real_ioctl },
    { "recvmsg", our_recvmsg, &real_recvmsg },
    { "sendmsg", our_sendmsg, &real_sendmsg },
    { "virtqueue_pop", our_pop, &real_pop },
    { "virtqueue_push", our_push, &real_push },
};

static uint64_t measure_hz(void)
{
    struct timespec start, now;
    uint64_t ticks = __rdtsc();
    int64_t elapsed;

    clock_gettime(CLOCK_MONOTONIC, &start);
    do {
        clock_gettime(CLOCK_MONOTONIC, &now);
        elapsed = (now.tv_sec - start.tv_sec) * 1000000000LL +
                  now.tv_nsec - start.tv_nsec;
    } while (elapsed < 100000000);
    return (__rdtsc() - ticks) * 1000000000.0 / elapsed;
}

unsigned la_version(unsigned version)
{
    const char *name = getenv("BENCH_CALLS");
    int fd = name ? open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600) : -1;

    if (fd >= 0 && ftruncate(fd, sizeof(Calls)) == 0) {
        calls = mmap(NULL, sizeof(Calls), PROT_READ | PROT_WRITE, MAP_SHARED,
                     fd, 0);
        if (calls == MAP_FAILED) {
            abort();
        }
        calls->hz = measure_hz();
    }
    return version;
}

/* Calls from the emulator and its plugin, to them and to libc */
unsigned la_objopen(struct link_map *map, Lmid_t lmid, uintptr_t *cookie)
{
    bool program = !*map->l_name;
    bool plugin = strstr(map->l_name, "pviommu");
    bool libc = strstr(map->l_name, "/libc.so");

    return (program || plugin ? LA_FLG_BINDFROM : 0) |
           (program || libc ? LA_FLG_BINDTO : 0);
}

uintptr_t la_symbind64(Elf64_Sym *symbol, unsigned index,
                       uintptr_t *from, uintptr_t *to, unsigned *flags,
                       const char *name)
{
    for (size_t i = 0; i < sizeof(replaced) / sizeof(replaced[0]); i++) {
        if (strcmp(name, replaced[i].name) == 0) {
            memcpy(replaced[i].real, &symbol->st_value, sizeof(void *));
            return (uintptr_t)replaced[i].ours;
        }
    }
    return symbol->st_value;
}
