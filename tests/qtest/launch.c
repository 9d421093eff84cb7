/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Emulators that are started for their command line alone
 */
#include "qemu/osdep.h"

#include "launch.h"

/* Which emulator; the tests' runner has one variable for each */
static const char *emulator = "QTEST_QEMU_BINARY";

static const char *before = "";
static const char *by = "";

void launch_by(const char *shell, const char *program)
{
    before = shell;
    by = program;
}

int launch_commands(const char *args, const char *commands, char **err)
{
    g_autofree char *line = g_strdup_printf(
        "%s printf '%s\\nquit\\n' | exec %s %s -display none -nodefaults -S "
        "-accel tcg -monitor stdio %s %s", before, commands, by,
        getenv(emulator), args, commands[0] ? ">&2" : ">/dev/null");
    const char *argv[] = { "/bin/sh", "-c", line, NULL };
    GError *error = NULL;
    int status;

    g_spawn_sync(NULL, (char **)argv, NULL, 0, NULL, NULL, NULL, err, &status,
                 &error);
    g_assert_no_error(error);
    g_assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

int launch(const char *args, char **err)
{
    return launch_commands(args, "", err);
}

/* What follows the echo of an option in an error: "NAME: OPTION: MESSAGE" */
static const char *message_of(const char *args, const char *err)
{
    const char *option = strstr(err, ": ");
    g_auto(GStrv) words = g_strsplit(args, "'", 0);
    g_autofree char *unquoted = g_strjoinv("", words);

    if (!option || option[2] != '-') {
        return err;             /* it is about no option */
    }
    option += 2;
    /* The longest, as an option may have colons as well */
    for (const char *end = err + strlen(err); end > option; end--) {
        g_autofree char *echo = g_strndup(option, end - option);

        if (g_str_has_prefix(end, ": ") && strstr(unquoted, echo)) {
            return end + 2;
        }
    }
    return err;
}

void refuses(const char *args, const char *first, const char *second)
{
    g_autofree char *err = NULL;
    int status = launch(args, &err);
    const char *message = message_of(args, err);

    g_assert_true(first[0] && second[0]);
    if (status != 1 || !strstr(message, first) || !strstr(message, second)) {
        g_test_message("%s: status %d, not \"%s\" and \"%s\" in: %s", args,
                       status, first, second, err);
        g_test_fail();
    }
}

void takes(const char *args, const char *warning)
{
    g_autofree char *err = NULL;
    int status = launch(args, &err);

    if (status != 0 || (warning ? !strstr(err, warning)
                                : strstr(err, "pviommu") != NULL)) {
        g_test_message("%s: status %d, \"%s\" expected in: %s", args, status,
                       warning ?: "nothing", err);
        g_test_fail();
    }
}

bool launch_on_arm(void)
{
    if (!getenv("QTEST_QEMU_BINARY_AARCH64")) {
        g_test_skip("no emulator of aarch64");
        return false;
    }
    emulator = "QTEST_QEMU_BINARY_AARCH64";
    return true;
}

void launch_on_x86(void)
{
    emulator = "QTEST_QEMU_BINARY";
}

