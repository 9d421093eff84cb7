/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the operator is told by an emulator that runs
 */
#include "qemu/osdep.h"

#include "messages.h"

static char *messages;

Viommu *messages_boot(const char *properties, const char *args)
{
    g_autofree char *all = NULL;

    messages = g_strdup_printf("%s/pviommu-messages-%d", g_get_tmp_dir(),
                               getpid());
    all = g_strdup_printf("%s 2>%s ", args, messages);
    return viommu_boot(properties, all);
}

Viommu *messages_start(const char *properties, const char *args)
{
    Viommu *v = messages_boot(properties, args);

    viommu_negotiate(v, ALL_FEATURES);
    return v;
}

void messages_assert(unsigned lines, const char *first, const char *second)
{
    g_autofree char *text = NULL;
    g_auto(GStrv) line = NULL;
    unsigned ours = 0;

    g_assert_true(g_file_get_contents(messages, &text, NULL, NULL));
    line = g_strsplit(text, "\n", 0);
    for (unsigned i = 0; line[i]; i++) {
        ours += strstr(line[i], "pviommu: ") != NULL;
    }
    if (ours != lines || !strstr(text, first) || !strstr(text, second)) {
        g_test_message("%u lines with \"%s\" and \"%s\" expected in: %s",
                       lines, first, second, text);
        g_test_fail();
    }
}

void messages_stop(Viommu *v, unsigned lines, const char *words)
{
    viommu_stop(v);
    messages_assert(lines, words, "");
    unlink(messages);
    g_clear_pointer(&messages, g_free);
}
