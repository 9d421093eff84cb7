/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the operator is told by an emulator that runs
 *
 * One emulator at a time; its messages go to a file.
 */
#ifndef TESTS_QTEST_MESSAGES_H
#define TESTS_QTEST_MESSAGES_H

#include "viommu.h"

/* As viommu_boot() and viommu_start() */
Viommu *messages_boot(const char *properties, const char *args);
Viommu *messages_start(const char *properties, const char *args);

/**
 * messages_assert - fail the test unless just this was said so far
 * @lines: how many lines of the library
 * @first: words that are in all that was said; "" for none
 * @second: as well
 */
void messages_assert(unsigned lines, const char *first, const char *second);

/**
 * messages_stop - end the emulator, which may say more
 * @v: the driver, freed
 * @lines: how many lines were said in all
 * @words: as @first of messages_assert()
 */
void messages_stop(Viommu *v, unsigned lines, const char *words);

#endif /* TESTS_QTEST_MESSAGES_H */
