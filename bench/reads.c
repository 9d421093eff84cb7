/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu bench: random reads of a block device, past the page cache
 *
 *     reads DEVICE DEPTH MILLISECONDS [KIB]
 *
 * Keeps DEPTH reads of KIB (4) KiB under way by Linux's AIO.  Prints how many
 * were done and the nanoseconds that took.  Linked statically: it runs in an
 * initramfs.
 */
#include <err.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <linux/aio_abi.h>
#include <linux/fs.h>

enum { MOST = 256 };

static long block = 4096;
static uint64_t state = 88172645463325252ULL;

static uint64_t random_next(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static int64_t now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000LL + time.tv_nsec;
}

static void submit(aio_context_t context, struct iocb *iocb, uint64_t blocks)
{
    iocb->aio_offset = random_next() % blocks * block;
    if (syscall(SYS_io_submit, context, 1, &iocb) != 1) {
        err(1, "io_submit");
    }
}

int main(int argc, char **argv)
{
    struct io_event events[MOST];
    static struct iocb iocbs[MOST];
    aio_context_t context = 0;
    int64_t start, end, last;
    uint64_t size = 0, done = 0;
    long depth;
    char *memory;
    int fd;

    if (argc != 4 && argc != 5) {
        errx(2, "usage: reads DEVICE DEPTH MILLISECONDS [KIB]");
    }
    if (argc == 5) {
        block = atol(argv[4]) * 1024;
    }
    if (block < 4096 || block & (block - 1)) {
        errx(2, "the size is a power of two, at least 4 KiB");
    }
    depth = atol(argv[2]);
    if (depth < 1 || depth > MOST) {
        errx(2, "the depth is 1 to %d", MOST);
    }
    fd = open(argv[1], O_RDONLY | O_DIRECT);
    if (fd < 0 || ioctl(fd, BLKGETSIZE64, &size) || size < (uint64_t)block) {
        err(1, "%s", argv[1]);
    }
    memory = mmap(NULL, depth * block, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (memory == MAP_FAILED || syscall(SYS_io_setup, depth, &context)) {
        err(1, "io_setup");
    }
    start = now();
    end = start + (int64_t)atol(argv[3]) * 1000000;
    for (long i = 0; i < depth; i++) {
        iocbs[i] = (struct iocb) {
            .aio_lio_opcode = IOCB_CMD_PREAD,
            .aio_fildes = fd,
            .aio_buf = (uintptr_t)memory + i * block,
            .aio_nbytes = block,
        };
        submit(context, &iocbs[i], size / block);
    }
    do {
        long got = syscall(SYS_io_getevents, context, 1, depth, events, NULL);

        if (got < 1) {
            err(1, "io_getevents");
        }
        for (long i = 0; i < got; i++) {
            if (events[i].res != block) {
                errx(1, "a read ended with %lld", (long long)events[i].res);
            }
            submit(context, (struct iocb *)(uintptr_t)events[i].obj,
                   size / block);
        }
        done += got;
        last = now();
    } while (last < end);
    printf("%llu %lld\n", (unsigned long long)done, (long long)(last - start));
    /* The rest ends with the process */
    return 0;
}
