/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The emulator as a process
 */
#ifndef TESTS_QTEST_PROCESS_H
#define TESTS_QTEST_PROCESS_H

#include "viommu.h"

/**
 * process_resident - memory that the emulator has
 * @v: the emulator
 *
 * Return: pages of it that are in memory.
 */
size_t process_resident(Viommu *v);

/**
 * process_is_sanitized - whether the library is one with ASan and UBSan
 *
 * Then all takes longer, and freed memory is kept for a while, so that
 * process_resident() says nothing.
 *
 * Return: whether it is.
 */
bool process_is_sanitized(void);

/**
 * process_is_polled - whether an IOThread serves the request queue
 *
 * Then requests are seen though nobody kicks.
 *
 * Return: whether it does.
 */
bool process_is_polled(void);

#endif /* TESTS_QTEST_PROCESS_H */
