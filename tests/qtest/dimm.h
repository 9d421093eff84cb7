/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A DIMM that comes and goes, on q35
 *
 * The emulator needs "-m 256M,slots=2,maxmem=1G".
 */
#ifndef TESTS_QTEST_DIMM_H
#define TESTS_QTEST_DIMM_H

#include "libqtest.h"

/* Where it is in guest memory, and its size */
#define DIMM_PHYS 0x100000000ULL
#define DIMM_SIZE 0x8000000ULL

/**
 * dimm_plug - plug it in
 * @qts: the emulator, without one
 * @backend: what its memory is to be called; there must be no such object
 */
void dimm_plug(QTestState *qts, const char *backend);

/**
 * dimm_unplug - have the guest give it back
 * @qts: the emulator; the object behind the memory stays
 */
void dimm_unplug(QTestState *qts);

#endif /* TESTS_QTEST_DIMM_H */
