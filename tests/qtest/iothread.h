/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The request queue in an IOThread, in a test
 */
#ifndef TESTS_QTEST_IOTHREAD_H
#define TESTS_QTEST_IOTHREAD_H

#include "viommu.h"

/* The property that has the IOMMU use it */
#define IN_IO "iothread=io"

/* One that polls for as long as a test may take, and one that never does */
#define POLLS "-object iothread,id=io,poll-max-ns=1000000000 "
#define WAITS "-object iothread,id=io,poll-max-ns=0 "

/**
 * iothread_eventfds - how many eventfds the emulator has open
 * @v: the emulator
 *
 * Some of them are the queue's as long as an IOThread has it.
 *
 * Return: the number.
 */
unsigned iothread_eventfds(Viommu *v);

/**
 * iothread_assert_polls - the thread finds requests without being told
 * @v: the emulator, with POLLS, and a domain 1 without mappings
 * @count: how many of them
 */
void iothread_assert_polls(Viommu *v, unsigned count);

/**
 * iothread_post_map - give a MAP of one page without telling the device
 * @v: the emulator
 * @domain: the domain
 * @iova: where
 * @phys: to what
 */
void iothread_post_map(Viommu *v, uint32_t domain, uint64_t iova,
                       uint64_t phys);

/**
 * iothread_post_unmap - the same of its UNMAP
 * @v: the emulator
 * @domain: the domain
 * @iova: where
 */
void iothread_post_unmap(Viommu *v, uint32_t domain, uint64_t iova);

/**
 * iothread_prepare_unmap - have an UNMAP of nothing in descriptors 0 and 1
 * @v: the emulator, which has used two descriptors, for an ATTACH to domain 1
 * @answer: guest-physical address for its answer
 *
 * It is done once, with its answer elsewhere; viommu_post_heads() gives it
 * again.
 */
void iothread_prepare_unmap(Viommu *v, uint64_t answer);

#endif /* TESTS_QTEST_IOTHREAD_H */
