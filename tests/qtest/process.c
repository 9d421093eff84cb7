/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The emulator as a process
 */
#include "qemu/osdep.h"

#include "process.h"

size_t process_resident(Viommu *v)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/statm",
                                            qtest_pid(v->qts));
    g_autofree char *text = NULL;
    unsigned long size, resident;

    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    g_assert_cmpint(sscanf(text, "%lu %lu", &size, &resident), ==, 2);
    return resident;
}

bool process_is_sanitized(void)
{
    return !g_strcmp0(g_getenv("PVIOMMU_QTEST_KIND"), "sanitized") ||
           process_is_polled();
}

bool process_is_polled(void)
{
    const char *kind = g_getenv("PVIOMMU_QTEST_KIND");

    return !g_strcmp0(kind, "polled") || !g_strcmp0(kind, "threads");
}
