/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu bench: what the ioctls of iommufd cost by themselves
 *
 *     bare CDEV MIB PAIRS [SIZE]
 *
 * CDEV is the node of a device that vfio-pci has, which nobody uses.  Prints
 * lines of "HOW NAME NANOSECONDS", one a pair of ioctls: "switch", the device
 * moved to a table with a few mappings and back to one with MIB MiB; then
 * "map 4096" and so on, as much mapped into the first and unmapped again.  HOW
 * is "row" for one after the other, and "woken" where this process sleeps
 * before, and another runs, as an emulator does between requests.  With SIZE
 * there are maps of so many bytes alone, in a row.
 */
#include <err.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <linux/iommufd.h>
#include <linux/vfio.h>

#define KIB 1024ULL
#define MIB (1024 * KIB)

static const uint64_t sizes[] = { 4 * KIB, 64 * KIB, 2 * MIB };

static int iommufd, device;

static void call(int fd, unsigned long request, void *argument,
                 const char *what)
{
    if (ioctl(fd, request, argument)) {
        err(1, "%s", what);
    }
}

static int64_t now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000LL + time.tv_nsec;
}

static uint32_t make_ioas(void)
{
    struct iommu_ioas_alloc arg = { .size = sizeof(arg) };

    call(iommufd, IOMMU_IOAS_ALLOC, &arg, "IOMMU_IOAS_ALLOC");
    return arg.out_ioas_id;
}

static uint32_t make_hwpt(uint32_t id, uint32_t ioas)
{
    struct iommu_hwpt_alloc arg = {
        .size = sizeof(arg),
        .dev_id = id,
        .pt_id = ioas,
    };

    call(iommufd, IOMMU_HWPT_ALLOC, &arg, "IOMMU_HWPT_ALLOC");
    return arg.out_hwpt_id;
}

/* An HWPT, or an IOAS of which the kernel makes one */
static void attach(uint32_t table)
{
    struct vfio_device_attach_iommufd_pt arg = {
        .argsz = sizeof(arg),
        .pt_id = table,
    };

    call(device, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &arg,
         "VFIO_DEVICE_ATTACH_IOMMUFD_PT");
}

static void map(uint32_t ioas, uint64_t iova, char *memory, uint64_t size)
{
    struct iommu_ioas_map arg = {
        .size = sizeof(arg),
        .flags = IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_READABLE |
                 IOMMU_IOAS_MAP_WRITEABLE,
        .ioas_id = ioas,
        .user_va = (uintptr_t)memory,
        .length = size,
        .iova = iova,
    };

    call(iommufd, IOMMU_IOAS_MAP, &arg, "IOMMU_IOAS_MAP");
}

static void unmap(uint32_t ioas, uint64_t iova, uint64_t size)
{
    struct iommu_ioas_unmap arg = {
        .size = sizeof(arg),
        .ioas_id = ioas,
        .iova = iova,
        .length = size,
    };

    call(iommufd, IOMMU_IOAS_UNMAP, &arg, "IOMMU_IOAS_UNMAP");
}

static uint32_t open_device(const char *path)
{
    struct vfio_device_bind_iommufd bind = { .argsz = sizeof(bind) };

    iommufd = open("/dev/iommu", O_RDWR);
    if (iommufd < 0) {
        err(1, "/dev/iommu");
    }
    device = open(path, O_RDWR);
    if (device < 0) {
        err(1, "%s", path);
    }
    bind.iommufd = iommufd;
    call(device, VFIO_DEVICE_BIND_IOMMUFD, &bind, "VFIO_DEVICE_BIND_IOMMUFD");
    return bind.out_devid;
}

static char *make_memory(uint64_t size)
{
    char *memory = mmap(NULL, size + 2 * MIB, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (memory == MAP_FAILED) {
        err(1, "%llu MiB", (unsigned long long)(size / MIB));
    }
    /* Aligned for large pages, as QEMU's guest memory is */
    memory += -(uintptr_t)memory % (2 * MIB);
    madvise(memory, size, MADV_HUGEPAGE);
    return memory;
}

/* A process that answers each byte; it must not get a copy of the memory */
static int start_other(void)
{
    int line[2];
    char byte;

    if (socketpair(AF_UNIX, SOCK_STREAM, 0, line)) {
        err(1, "socketpair");
    }
    if (fork() == 0) {
        close(line[0]);
        while (read(line[1], &byte, 1) == 1 &&
               write(line[1], &byte, 1) == 1) {
            continue;
        }
        _exit(0);
    }
    close(line[1]);
    return line[0];
}

/* Sleep until it has run; negative: go on at once */
static void be_woken(int other)
{
    char byte = 0;

    if (other >= 0 &&
        (write(other, &byte, 1) != 1 || read(other, &byte, 1) != 1)) {
        err(1, "the other process");
    }
}

typedef struct Tables {
    uint32_t all, some;         /* HWPTs */
    uint32_t some_ioas;
    char *memory;
} Tables;

static const char *how(int other)
{
    return other < 0 ? "row" : "woken";
}

/* Both ioctls of a pair are timed by themselves, as both are woken up for */
static void time_maps(const Tables *t, long pairs, uint64_t size, int other)
{
    for (long i = 0; i < pairs; i++) {
        int64_t start, cost;

        be_woken(other);
        start = now();
        map(t->some_ioas, 128 * MIB, t->memory + 4 * MIB, size);
        cost = now() - start;
        be_woken(other);
        start = now();
        unmap(t->some_ioas, 128 * MIB, size);
        printf("%s map %llu %lld\n", how(other), (unsigned long long)size,
               (long long)(now() - start + cost));
    }
}

static void time_pairs(const Tables *t, long pairs, int other)
{
    for (long i = 0; i < pairs; i++) {
        int64_t start, cost;

        be_woken(other);
        start = now();
        attach(t->some);
        cost = now() - start;
        be_woken(other);
        start = now();
        attach(t->all);
        printf("%s switch %lld\n", how(other),
               (long long)(now() - start + cost));
    }
    attach(t->some);
    for (unsigned s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
        time_maps(t, pairs, sizes[s], other);
    }
    attach(t->all);
}

int main(int argc, char **argv)
{
    uint32_t id, all_ioas;
    uint64_t size;
    int other;
    Tables t;
    long pairs;

    if (argc != 4 && argc != 5) {
        errx(2, "usage: bare CDEV MIB PAIRS [SIZE]");
    }
    size = (uint64_t)atol(argv[2]) * MIB;
    pairs = atol(argv[3]);
    other = start_other();
    id = open_device(argv[1]);
    t.memory = make_memory(size);
    t.some_ioas = make_ioas();
    if (argc == 5) {
        attach(t.some_ioas);
        time_maps(&t, pairs, atol(argv[4]), -1);
        return 0;
    }
    all_ioas = make_ioas();
    map(all_ioas, 0, t.memory, size);
    for (unsigned i = 0; i < 16; i++) {
        map(t.some_ioas, 64 * MIB + i * 4 * KIB, t.memory + i * 4 * KIB,
            4 * KIB);
    }
    t.all = make_hwpt(id, all_ioas);
    t.some = make_hwpt(id, t.some_ioas);
    attach(t.all);
    time_pairs(&t, pairs, -1);
    time_pairs(&t, pairs, other);
    return 0;
}
