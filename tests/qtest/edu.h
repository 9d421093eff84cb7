/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * QEMU's device "edu" as an endpoint that reads and writes memory
 *
 * It moves up to 4096 bytes between memory and a buffer of its own.  Give it
 * dma_mask=0xffffffffffffffff, or it clears address bits above 28.
 */
#ifndef TESTS_QTEST_EDU_H
#define TESTS_QTEST_EDU_H

#include "viommu.h"

#define EDU "edu,dma_mask=0xffffffffffffffff"

/* An edu at 00:04.0, one at 00:05.0, and their numbers */
#define EDU_A "-device " EDU ",id=a,addr=4.0 "
#define EDU_B "-device " EDU ",id=b,addr=5.0 "
#define EP_A 0x20
#define EP_B 0x28

#define EDU_SCRATCH (RAM + 0x1000000)

/**
 * struct Edu - an edu
 * @v: the emulator that it is in
 * @pdev: its function
 * @bar: its registers
 */
typedef struct Edu {
    Viommu *v;
    QPCIDevice *pdev;
    QPCIBar bar;
} Edu;

/**
 * edu_open - find an edu and map its registers
 * @v: the emulator
 * @bdf: bus, device, function
 *
 * Return: the device, to be freed by edu_close().
 */
Edu *edu_open(Viommu *v, int bdf);

/**
 * edu_close - forget an edu
 * @edu: the device
 */
void edu_close(Edu *edu);

/**
 * edu_load - read memory into the buffer
 * @edu: the device
 * @iova: where from
 * @size: bytes, to the start of the buffer
 *
 * The DMA is done when this returns, and its faults are reported.
 */
void edu_load(Edu *edu, uint64_t iova, size_t size);

/**
 * edu_store - write the buffer to memory
 * @edu: the device
 * @iova: where to
 * @size: bytes, from the start of the buffer
 */
void edu_store(Edu *edu, uint64_t iova, size_t size);

/**
 * edu_fill - fill the buffer, by way of guest memory at EDU_SCRATCH
 * @edu: the device, which must be in bypass
 */
void edu_fill(Edu *edu);

/**
 * edu_open_filled - open an edu that is in bypass, and fill its buffer
 * @v: the emulator
 * @bdf: bus, device, function
 *
 * Return: as edu_open().
 */
Edu *edu_open_filled(Viommu *v, int bdf);

/**
 * edu_reaches - see where a byte goes that the device writes
 * @edu: the device, filled
 * @iova: where it writes
 * @gpa: guest-physical address to look at, overwritten
 *
 * Return: whether the byte was seen there.
 */
bool edu_reaches(Edu *edu, uint64_t iova, uint64_t gpa);

#endif /* TESTS_QTEST_EDU_H */
