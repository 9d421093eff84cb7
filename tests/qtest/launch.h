/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Emulators that are started for their command line alone
 *
 * Each ends at once, with status 1 and words on stderr, or with 0; one that
 * ends by a signal fails the test. They run without devices that QEMU adds of
 * itself, and stopped.
 */
#ifndef TESTS_QTEST_LAUNCH_H
#define TESTS_QTEST_LAUNCH_H

#include "libqtest.h"

/**
 * launch_commands() - start the emulator and give its monitor some commands
 * @args: the command line, as a shell takes it
 * @commands: what the monitor is told before "quit"; "" for nothing
 * @err: where stderr goes, with what the monitor says of the commands, to be
 *       freed with g_free()
 *
 * Return: the status.
 */
int launch_commands(const char *args, const char *commands, char **err);

/**
 * launch() - as launch_commands(), with no commands
 * @args: as there
 * @err: as there
 *
 * Return: the status.
 */
int launch(const char *args, char **err);

/**
 * launch_by() - how the emulator is started from now on
 * @shell: what the shell does first, with "&&" at its end, or ""
 * @program: a command that runs the emulator, or ""
 *
 * Both stay the caller's, and are used until the next call.
 */
void launch_by(const char *shell, const char *program);

/**
 * refuses() - fail the test unless the emulator ends with status 1
 * @args: the command line
 * @first: what it must say, in the message, not in the option that is echoed
 *         before it; not empty
 * @second: what it must say as well; not empty
 */
void refuses(const char *args, const char *first, const char *second);

/**
 * takes() - fail the test unless the emulator starts
 * @args: the command line
 * @warning: what it must say; NULL: nothing of pviommu
 */
void takes(const char *args, const char *warning);

/**
 * launch_on_arm() - start the emulator of aarch64 from now on
 *
 * Return: false, and the test is skipped, if there is none.
 */
bool launch_on_arm(void);

/**
 * launch_on_x86() - start the emulator of x86_64 again
 */
void launch_on_x86(void);

#endif /* TESTS_QTEST_LAUNCH_H */
