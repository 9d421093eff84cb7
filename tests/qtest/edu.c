/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * QEMU's device "edu" as an endpoint that reads and writes memory
 */
#include "qemu/osdep.h"

#include "edu.h"

/* Its registers, and where its own buffer is (hw/misc/edu.c) */
enum {
    SOURCE = 0x80,
    TARGET = 0x88,
    COUNT = 0x90,
    COMMAND = 0x98,
    COMMAND_RUN = 1,
    COMMAND_TO_MEMORY = 2,
    BUFFER = 0x40000,
    DELAY_NS = 101 * 1000 * 1000,
};

Edu *edu_open(Viommu *v, int bdf)
{
    Edu *edu = g_new0(Edu, 1);

    edu->v = v;
    edu->pdev = qpci_device_find(v->bus, bdf);
    g_assert_nonnull(edu->pdev);
    qpci_device_enable(edu->pdev);
    edu->bar = qpci_iomap(edu->pdev, 0, NULL);
    return edu;
}

void edu_close(Edu *edu)
{
    g_free(edu->pdev);
    g_free(edu);
}

static void run(Edu *edu, uint64_t source, uint64_t target, size_t size,
                unsigned direction)
{
    qpci_io_writeq(edu->pdev, edu->bar, SOURCE, source);
    qpci_io_writeq(edu->pdev, edu->bar, TARGET, target);
    qpci_io_writeq(edu->pdev, edu->bar, COUNT, size);
    qpci_io_writeq(edu->pdev, edu->bar, COMMAND, COMMAND_RUN | direction);
    qtest_clock_step(edu->v->qts, DELAY_NS);
    g_assert_cmphex(qpci_io_readq(edu->pdev, edu->bar, COMMAND) &
                    COMMAND_RUN, ==, 0);
    viommu_settle(edu->v);
}

void edu_load(Edu *edu, uint64_t iova, size_t size)
{
    run(edu, iova, BUFFER, size, 0);
}

void edu_store(Edu *edu, uint64_t iova, size_t size)
{
    run(edu, BUFFER, iova, size, COMMAND_TO_MEMORY);
}

#define PATTERN 0x5a

void edu_fill(Edu *edu)
{
    qtest_memset(edu->v->qts, EDU_SCRATCH, PATTERN, 4096);
    edu_load(edu, EDU_SCRATCH, 4096);
}

Edu *edu_open_filled(Viommu *v, int bdf)
{
    Edu *edu = edu_open(v, bdf);

    edu_fill(edu);
    return edu;
}

bool edu_reaches(Edu *edu, uint64_t iova, uint64_t gpa)
{
    QTestState *qts = edu->v->qts;

    qtest_writeb(qts, gpa, 0);
    edu_store(edu, iova, 1);
    return qtest_readb(qts, gpa) == PATTERN;
}
