/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Values of properties that must be refused, each with a message that says
 * why, and beside them those that are taken
 */
#include "qemu/osdep.h"

#include "launch.h"

#define P "-device pviommu-pci"

static void granule(void)
{
    static const char *const bad[] = {
        "", "0", "2", "3", "4K", "4096", "2M", "-1", "hosts",
    };
    static const char *const good[] = {
        "host", "1", "4k", "8k", "16k", "64k",
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autofree char *args = g_strdup_printf("-M q35 " P ",granule=%s",
                                                bad[i]);

        refuses(args, "granule", "64k");
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(good); i++) {
        g_autofree char *args = g_strdup_printf("-M q35 " P ",granule=%s",
                                                good[i]);

        takes(args, NULL);
    }
}

static void aw_bits(void)
{
    static const char *const bad[] = {
        "", "0", "31", "65", "288", "4294967328", "-1", "48x", "autos",
        "+48",
    };
    static const char *const good[] = { "auto", "32", "39", "48", "64" };
    static const char *const bad_json[][2] = {
        { "31", "auto, or 32 to 64" }, { "65", "auto, or 32 to 64" },
        { "288", "auto, or 32 to 64" }, { "-1", "auto, or 32 to 64" },
        { "48.5", "auto, or 32 to 64" }, { "\"x\"", "auto, or 32 to 64" },
        { "[]", "neither a word nor a number" },
        { "null", "neither a word nor a number" },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autofree char *args = g_strdup_printf("-M q35 " P ",aw-bits=%s",
                                                bad[i]);

        refuses(args, "aw-bits", "auto");
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(good); i++) {
        g_autofree char *args = g_strdup_printf("-M q35 " P ",aw-bits=%s",
                                                good[i]);

        takes(args, NULL);
    }
    refuses("-M q35 " P " -global pviommu-device.aw-bits=31", "aw-bits",
            "auto");
    refuses("-M q35 " P " -global pviommu-device.aw-bits=x", "aw-bits",
            "auto");
    takes("-M q35 " P " -global pviommu-device.aw-bits=48", NULL);
    takes("-M q35 " P " -global pviommu-device.aw-bits=auto", NULL);
    for (unsigned i = 0; i < G_N_ELEMENTS(bad_json); i++) {
        g_autofree char *args = g_strdup_printf(
            "-M q35 -device '{\"driver\": \"pviommu-pci\", "
            "\"aw-bits\": %s}'", bad_json[i][0]);

        refuses(args, "aw-bits", bad_json[i][1]);
    }
    takes("-M q35 -device '{\"driver\": \"pviommu-pci\", \"aw-bits\": 48}'",
          NULL);
    takes("-M q35 -device '{\"driver\": \"pviommu-pci\", "
          "\"aw-bits\": \"auto\"}'", NULL);
}

static void reserved_regions(void)
{
    static const struct {
        const char *list;
        const char *word;
    } bad[] = {
        { "\"0x5000:0x4000:0\"", "ends before it starts" },
        { "\"0x1:0x0:1\"", "ends before it starts" },
        { "\"0:0x1000:2\"", "unknown type" },
        { "\"0:0x1000:4294967296\"", "unknown type" },
        { "\"0:0x1000:-1\"", "first:last:type" },
        { "\"0:0x1000\"", "first:last:type" },
        { "\"0:0x1000:0:0\"", "first:last:type" },
        { "\"\"", "first:last:type" },
        { "\":::\"", "first:last:type" },
        { "\"0x1ffffffffffffffff:0x1ffffffffffffffff:0\"",
          "first:last:type" },
        { "5", "expected: string" },
        { "{}", "expected: string" },
        { "\"0:0xfff:1\", \"0x1000:0x1fff:1\"", "at most one MSI region" },
        { "\"0:0xffffffffffffffff:0\"", "leaves nothing to map" },
        { "\"0xfee10000:0xfee1ffff:0\"", "lies in the MSI region" },
        { "\"1:0xff:0\", \"0:0xffff:1\"", "lies in the MSI region" },
        /* It could be either: which one is asked */
        { "\"4096:8191:0\"", "'0x4096'" },
        { "\"fee00000:feefffff:1\"", "'0xfee00000'" },
        { "\"-1:-1:0\"", "not of the form" },
        { "\" 0:0xfff:0\"", "not of the form" },
        { "\"0:0xfff:-0\"", "not of the form" },
    };
    static const char *const good[] = {
        "", "\"0:0xfff:0\"", "\"0xfee00000:0xfeefffff:1\"",
        "\"0:9:0\", \"0XF0000000:0xFFFFFFFF:0\"",
        "\"0:0:0\"", "\"0xffffffffffffffff:0xffffffffffffffff:0\"",
        "\"0:0x1fff:0\", \"0x1000:0x2fff:0\"",
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autofree char *args = g_strdup_printf(
            "-M q35 -device '{\"driver\": \"pviommu-pci\", "
            "\"reserved-regions\": [%s]}'", bad[i].list);

        refuses(args, "reserved", bad[i].word);
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(good); i++) {
        g_autofree char *args = g_strdup_printf(
            "-M q35 -device '{\"driver\": \"pviommu-pci\", "
            "\"reserved-regions\": [%s]}'", good[i]);

        takes(args, NULL);
    }
}

static void limits(void)
{
    static const char *const bad[] = {
        "0", "-1", "+1", " 1", "1k", "", "18446744073709551616",
    };
    static const char *const bad_json[] = { "-1", "1.5", "[]" };

    refuses("-M q35 " P ",max-domains=0", "max-domains", "at least 1");
    refuses("-M q35 " P ",max-domains=-1", "max-domains", "uint32_t");
    refuses("-M q35 " P ",max-domains=4294967296", "max-domains", "uint32_t");
    refuses("-M q35 " P ",max-domains=many", "max-domains", "integer");
    for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autofree char *args = g_strdup_printf("-M q35 " P
                                                ",max-mappings='%s'", bad[i]);

        refuses(args, "max-mappings", "at least 1");
    }
    refuses("-M q35 " P " -global pviommu-device.max-mappings=-1",
            "max-mappings", "at least 1");
    for (unsigned i = 0; i < G_N_ELEMENTS(bad_json); i++) {
        g_autofree char *args = g_strdup_printf(
            "-M q35 -device '{\"driver\": \"pviommu-pci\", "
            "\"max-mappings\": %s}'", bad_json[i]);

        refuses(args, "max-mappings", i < 2 ? "at least 1"
                                             : "neither a word nor a number");
    }
    takes("-M q35 -device '{\"driver\": \"pviommu-pci\", "
          "\"max-mappings\": 7}'", NULL);
    takes("-M q35 " P " -global pviommu-device.max-mappings=7", NULL);
    takes("-M q35 " P ",max-domains=1,max-mappings=1", NULL);
    takes("-M q35 " P ",max-domains=4294967295,"
          "max-mappings=18446744073709551615", NULL);
}

static void other_properties(void)
{
    refuses("-M q35 " P ",boot-bypass=2", "boot-bypass", "'on' or 'off'");
    refuses("-M q35 " P ",boot-bypass=", "boot-bypass", "'on' or 'off'");
    refuses("-M q35 " P ",requests-log=/nonexistent/log", "requests-log",
            "No such file");
    refuses("-M q35 " P ",requests-log=/", "requests-log", "directory");
    refuses("-M q35 " P ",requests-log=", "requests-log",
            "No such file");
    refuses("-M q35 " P ",nonsense=1", "nonsense", "not found");
    takes("-M q35 " P ",boot-bypass=off,requests-log=/dev/null", NULL);
    takes("-M q35 " P ",iommu_platform=on,vectors=0", NULL);
    takes("-M q35 " P ",vectors=2048", NULL);
    refuses("-M q35 " P ",vectors=2049", "vectors", "0 to 2048");
    refuses("-M q35 " P ",vectors=4294967295", "vectors", "0 to 2048");
    /* It is modern whatever is asked */
    takes("-M q35 " P ",disable-legacy=off,disable-modern=on", NULL);
}

/* A pipe that nobody reads would keep QEMU waiting for ever */
static void requests_log_pipe(void)
{
    g_autofree char *path = g_strdup_printf("%s/pviommu-pipe-%d",
                                            g_get_tmp_dir(), getpid());
    g_autofree char *args = g_strdup_printf("-M q35 " P ",requests-log=%s",
                                            path);
    int reader;

    g_assert_cmpint(mkfifo(path, 0600), ==, 0);
    refuses(args, "requests-log", "nobody reads");
    reader = open(path, O_RDONLY | O_NONBLOCK);
    g_assert_cmpint(reader, >=, 0);
    takes(args, NULL);
    close(reader);
    unlink(path);
}

static void migration(void)
{
    refuses("-M q35 -only-migratable " P, "only-migratable",
            "cannot migrate");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("pviommu/command-line/granule", granule);
    qtest_add_func("pviommu/command-line/aw-bits", aw_bits);
    qtest_add_func("pviommu/command-line/reserved-regions", reserved_regions);
    qtest_add_func("pviommu/command-line/limits", limits);
    qtest_add_func("pviommu/command-line/other-properties", other_properties);
    qtest_add_func("pviommu/command-line/requests-log-pipe", requests_log_pipe);
    qtest_add_func("pviommu/command-line/only-migratable", migration);
    return g_test_run();
}
