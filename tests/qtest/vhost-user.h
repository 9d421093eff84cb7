/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The back end of a vhost-user device, which moves no data: it keeps what it
 * is told of an IOMMU
 */
#ifndef TESTS_QTEST_VHOST_USER_H
#define TESTS_QTEST_VHOST_USER_H

#include <stdbool.h>
#include <stdint.h>

typedef struct VhostUser VhostUser;

/**
 * vhost_user_new - wait for an emulator, in a thread
 *
 * Return: the back end, to be freed by vhost_user_free() after the emulator
 * has ended.
 */
VhostUser *vhost_user_new(void);

/**
 * vhost_user_free - see it to its end
 * @u: the back end
 */
void vhost_user_free(VhostUser *u);

/**
 * vhost_user_arg - options that connect an emulator
 * @u: the back end
 *
 * Return: part of a command line with guest memory that can be shared and the
 * chardev "vhost", owned by the caller.
 */
char *vhost_user_arg(const VhostUser *u);

/**
 * vhost_user_reaches - whether the back end was told where an address leads
 * @u: the back end
 * @iova: the address
 *
 * Return: true after an update that has it, until an invalidation that has.
 */
bool vhost_user_reaches(VhostUser *u, uint64_t iova);

#endif /* TESTS_QTEST_VHOST_USER_H */
