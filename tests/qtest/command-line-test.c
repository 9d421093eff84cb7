/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Command lines that must be refused, each with a message that says why
 *
 * The emulator ends with status 1 and words on stderr, never by a signal;
 * beside it stand the command lines that it takes.
 */
#include "qemu/osdep.h"

#include "watch.h"

#define P "-device pviommu-pci"

/* Which emulator; the tests' runner has one variable for each */
static const char *emulator = "QTEST_QEMU_BINARY";

/* What the shell does first, and a program that runs the emulator */
static const char *before = "";
static const char *by = "";

/*
 * Run the emulator for some monitor commands, if any: its status, and stderr
 * with what the monitor says of them
 */
static int run_commands(const char *args, const char *commands, char **err)
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

static int run(const char *args, char **err)
{
    return run_commands(args, "", err);
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

/* Both words are looked for in the message, not in the option it is about */
static void refuses(const char *args, const char *first, const char *second)
{
    g_autofree char *err = NULL;
    int status = run(args, &err);
    const char *message = message_of(args, err);

    g_assert_true(first[0] && second[0]);
    if (status != 1 || !strstr(message, first) || !strstr(message, second)) {
        g_test_message("%s: status %d, not \"%s\" and \"%s\" in: %s", args,
                       status, first, second, err);
        g_test_fail();
    }
}

static void takes(const char *args, const char *warning)
{
    g_autofree char *err = NULL;
    int status = run(args, &err);

    if (status != 0 || (warning ? !strstr(err, warning)
                                : strstr(err, "pviommu") != NULL)) {
        g_test_message("%s: status %d, \"%s\" expected in: %s", args, status,
                       warning ?: "nothing", err);
        g_test_fail();
    }
}

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

static void two_iommus(void)
{
    static const char *const others[] = {
        "pviommu-pci", "virtio-iommu-pci", "intel-iommu", "amd-iommu",
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(others); i++) {
        g_autofree char *after = g_strdup_printf("-M q35 " P " -device %s",
                                                 others[i]);
        g_autofree char *before = g_strdup_printf("-M q35 -device %s " P,
                                                  others[i]);

        refuses(before, "IOMMU", "once");
        refuses(after, "pviommu", i ? "only one" : "once");
    }
    takes("-M q35 " P, NULL);
}

#define PXB "-device pxb-pcie,id=x,bus_nr=64 "
#define PORT "-device pcie-root-port,id=rp,bus=x,addr=1.0 "
#define Q P ",bus=pcie.0"

static void primary_bus(void)
{
    refuses("-M q35 " P ",primary-bus=x", "no PCI bus 'x'", "so far: pcie.0.");
    refuses("-M q35 " P ",primary-bus=", "no PCI bus ''", "so far: pcie.0.");
    refuses("-M q35 " P ",primary-bus=x " PXB, "no PCI bus 'x'", "pcie.0");
    refuses("-M q35 " PXB Q ",primary-bus=ide.0", "no PCI bus 'ide.0'", " x");
    refuses("-M q35 " PXB PORT Q ",primary-bus=rp", "'rp' is not a root bus",
            " x");
    refuses("-M pc -device pxb,bus_nr=64 -device pxb,bus=pci.0,bus_nr=80 "
            P ",bus=pci.0,primary-bus=pxb-internal", "more than one",
            "QOM path");
    takes("-M pc -device pxb,bus_nr=64,id=x " P ",bus=pci.0,"
          "primary-bus=pxb-internal", NULL);
    takes("-M q35 " PXB PORT Q ",primary-bus=x", NULL);
    takes("-M q35 " PXB Q ",primary-bus=x", "no device is behind");
    takes("-M q35,default_bus_bypass_iommu=on " P, "no device is behind");
}

/* One IOMMU a root bus, and no other kind beside it */
static void two_iommus_of_roots(void)
{
    takes("-M q35 " PXB PORT Q " " Q ",primary-bus=x", NULL);
    takes("-M q35 " PXB PORT Q ",primary-bus=x " Q, NULL);
    refuses("-M q35 " PXB Q ",primary-bus=x " Q ",primary-bus=x",
            "bus x has an IOMMU already", "primary-bus=");
    refuses("-M q35 -device intel-iommu " PXB Q ",primary-bus=x",
            "bus x has an IOMMU already", "once");
    refuses("-M q35 " PXB Q ",primary-bus=x -device intel-iommu",
            "put another IOMMU on", "bus x");
    refuses("-M q35 " PXB Q ",primary-bus=x -device virtio-iommu-pci,"
            "bus=pcie.0", "put another IOMMU on", "bus x");
}

static void scope(void)
{
    static const char *const malformed[] = {
        "some", "4", "4.8", "20.0", "g.0", "4.0.0", "4.0:", ":4.0", "4.0/",
        "/4.0", "4.0//1.0", "00:04.0", "-1.0", "4.0 ", "-0.0",
        "1f.+0",
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(malformed); i++) {
        g_autofree char *args = g_strdup_printf("-M q35 " P ",scope='%s'",
                                                malformed[i]);

        refuses(args, "is not a place", "SLOT.FUNCTION");
    }
    refuses("-M q35 " P ",scope=", "no place", "scope");
    refuses("-M q35 " P ",scope=5.0", "no device at 5.0", "addr=");
    refuses("-M q35 " P ",scope=5.0,addr=5.0", "at 5.0", "it is one");
    refuses("-M q35 " P ",scope=1f.0/0.0", "no device at 1f.0/0.0", "addr=");
    refuses("-M q35 " P ",scope=5.0/1.0 -device pcie-pci-bridge,id=br,addr=5.0 "
            "-device edu,bus=br,addr=1.0", "at 5.0/1.0", "name the bridge");
    refuses("-M q35,default_bus_bypass_iommu=on " P ",scope=1f.0", "at 1f.0",
            "bypasses");
    refuses("-M q35 " P ",scope=8.0/1.0 -device pxb-pcie,id=x,bus_nr=64,"
            "addr=8.0 " PORT Q ",primary-bus=x", "at 8.0/1.0", "has another");
    takes("-M q35 " P ",scope=5.0 -device edu,addr=5.0", NULL);
    takes("-M q35 " P ",scope=0.0:1f.0:1F.2", NULL);
    takes("-M q35 " P ",scope=all", NULL);
    takes("-M q35 " P ",scope=passthrough", "no device is behind");
    takes("-M pc " P ",scope=1.1", NULL);
}

static void places(void)
{
    refuses("-M q35 -device pcie-root-port,id=rp -device pviommu-pci,bus=rp",
            "root bus", "bus=pcie.0");
    refuses("-M q35 -device pcie-pci-bridge,id=br "
            "-device pviommu-pci,bus=br", "root bus", "bus=pcie.0");
    refuses("-M q35 -device pviommu-device", "virtio-bus",
            "pviommu-device");
    takes("-M q35 -device pviommu-pci,bus=pcie.0,addr=1f.7", NULL);
}

static void machines(void)
{
    refuses("-M microvm " P, "PCI", "pviommu-pci");
    refuses("-M microvm -global virtio-mmio.force-legacy=off "
            "-device pviommu-device -device pviommu-device", "already",
            "once");
    refuses("-M none " P, "PCI", "pviommu-pci");
    refuses("-M isapc " P, "PCI", "pviommu-pci");
    takes("-M pc " P, NULL);
    takes("-M q35 " P, NULL);
    takes("-M microvm,pcie=on " P, NULL);
    takes("-M microvm -global virtio-mmio.force-legacy=off "
          "-device pviommu-device", "no device is behind");
    /* Nobody tells the guest which devices are behind it: that is said */
    takes("-M microvm,acpi=off -global virtio-mmio.force-legacy=off "
          "-device pviommu-device", "will not be told");
    takes("-M q35,acpi=off " P, "will not be told");
}

/* False, and the test is skipped, if there is none */
static bool choose_arm(void)
{
    if (!getenv("QTEST_QEMU_BINARY_AARCH64")) {
        g_test_skip("no emulator of aarch64");
        return false;
    }
    emulator = "QTEST_QEMU_BINARY_AARCH64";
    return true;
}

static void choose_x86(void)
{
    emulator = "QTEST_QEMU_BINARY";
}

static void machines_of_arm(void)
{
    g_autofree char *tree = g_strdup_printf("%s/pviommu-%d.dtb",
                                            g_get_tmp_dir(), getpid());
    g_autofree char *dump = g_strdup_printf("-M virt,dumpdtb=%s", tree);
    g_autofree char *given = g_strdup_printf("-M virt -dtb %s " P, tree);

    if (!choose_arm()) {
        return;
    }
    takes(dump, NULL);
    takes(given, "-dtb is not changed");
    unlink(tree);
    takes("-M virt " P, NULL);
    takes("-M virt,acpi=off " P, NULL);
    refuses("-M sbsa-ref " P, "IOMMU", "once");
    refuses("-M virt,iommu=smmuv3 " P, "IOMMU", "once");
    refuses("-M virt " P ",granule=3", "granule", "64k");
    refuses("-M raspi3b " P, "PCI", "pviommu-pci");
    choose_x86();
}

#define SLOTS "-M virt -cpu cortex-a57 -global virtio-mmio.force-legacy=off "
#define RNG "-device virtio-rng-device"
#define BEHIND RNG ",iommu_platform=on "
#define PLATFORM "-device pviommu-device "

static void platform_form(void)
{
    g_autoptr(GString) full = g_string_new(SLOTS);

    if (!choose_arm()) {
        return;
    }
    takes(SLOTS PLATFORM, NULL);
    takes(SLOTS PLATFORM BEHIND, NULL);
    takes(SLOTS "-device pviommu-device,iommu_platform=on " BEHIND, NULL);
    takes("-M xlnx-versal-virt -global virtio-mmio.force-legacy=off "
          PLATFORM, "no nodes for devices");
    refuses("-M virt " PLATFORM, "version 2", "force-legacy=off");
    refuses("-M raspi3b " PLATFORM, "'virtio-bus' bus", "found");
    refuses(SLOTS PLATFORM PLATFORM, "already", "once");
    for (unsigned i = 0; i < 32; i++) {
        g_string_append(full, RNG " ");
    }
    g_string_append(full, PLATFORM);
    refuses(full->str, "'virtio-bus' bus", "found");
    /* PCI has an IOMMU: this one has the slots */
    takes(SLOTS P " " PLATFORM, "no device is behind");
    refuses(SLOTS PLATFORM P, "pcie.0", "already");
    takes("-M virt,iommu=smmuv3 -global virtio-mmio.force-legacy=off "
          PLATFORM, "no device is behind");
    choose_x86();
}

/* A virtio-mmio device asks for its address space once, when it is plugged */
static void platform_endpoint_before(void)
{
    if (!choose_arm()) {
        return;
    }
    refuses(SLOTS BEHIND PLATFORM, "before the IOMMU", "virtio-mmio");
    refuses(SLOTS BEHIND P, "before the IOMMU", "virtio-mmio");
    refuses(SLOTS P " " BEHIND PLATFORM, "already", "before all endpoints");
    takes(SLOTS RNG " " PLATFORM, "is not protected by the IOMMU");
    choose_x86();
}

/* A device that asks for its address space, and then turns out to be none */
#define NO_VFIO "-device vfio-pci,sysfsdev=/sys/devices/system/cpu,id=v"

/* The figure of the warning is that of README, whatever ROMs there are */
static void locked_memory(void)
{
    before = "ulimit -l 64 &&";
    /* Who may lock all memory is not told */
    if (!geteuid()) {
        by = "setpriv --bounding-set=-ipc_lock";
    }
    refuses("-M q35 -m 256M " P " " NO_VFIO, "the limit of locked memory is "
            "64 KiB", "need 294912 KiB");
    refuses("-M q35 -m 256M -device VGA,vgamem_mb=64 -drive if=pflash,"
            "file.driver=null-co,file.size=4M,file.read-zeroes=on,format=raw "
            P " " NO_VFIO, "the limit of locked memory is 64 KiB",
            "need 360448 KiB");
    before = "";
    by = "";
}

/* The IOMMU, and a device of a host that can be made to refuse */
static char *with_host(const char *iommu, const char *device)
{
    g_autofree char *library = watch_library();

    return g_strdup_printf("-M q35 %s " P "%s -object iommufd,id=host %s",
                           library, iommu, device);
}

#define PASSED "-device pviommu-observer,watch=iommufd,iommufd=host"

static void host_path(void)
{
    static const struct {
        const char *iommu;
        const char *device;
        const char *first;
        const char *second;
    } bad[] = {
        { ",host-path=vfio", "", "host-path", "container" },
        { ",host-path=", "", "host-path", "container" },
        { ",host-path=iommufd",
          "-device pviommu-observer,watch=container,announce=on",
          "no iommufd object", "-object iommufd" },
        { ",host-path=iommufd",
          "-device pcie-pci-bridge,id=br " PASSED ",bus=br,addr=1.0",
          "bridge", "host-path=auto" },
        { "", PASSED ",fail=open:9:13", "/dev/iommu", "access" },
        { "", PASSED ",fail=open:9:2", "/dev/iommu", "iommufd" },
        { ",host-path=iommufd", PASSED ",fail=open:9:2", "/dev/iommu",
          "No such file" },
        { "", PASSED ",memlock=1048576", "locked memory", "ulimit" },
        { ",granule=1", PASSED, "page sizes 0x1000", "granule=host" },
    };
    static const char *const good[][2] = {
        { ",host-path=auto", PASSED },
        { ",host-path=iommufd", PASSED },
        { ",host-path=container", PASSED },
        { ",host-path=notifier", PASSED },
        { ",host-path=auto",
          "-device pviommu-observer,watch=container,announce=on" },
        { ",boot-bypass=off", PASSED ",memlock=1048576" },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autofree char *args = with_host(bad[i].iommu, bad[i].device);

        refuses(args, bad[i].first, bad[i].second);
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(good); i++) {
        g_autofree char *args = with_host(good[i][0], good[i][1]);

        takes(args, NULL);
    }
}

/* An old kernel: another way to the host, of which is told once */
static void host_path_falls_back(void)
{
    g_autofree char *args = with_host("", PASSED ",fail=hwpt-alloc:1:25 "
                                      PASSED);
    g_autofree char *err = NULL;
    const char *first;

    g_assert_cmpint(run(args, &err), ==, 0);
    first = strstr(err, "host-path=auto takes container");
    g_assert_nonnull(first);
    g_assert_nonnull(strstr(first, "Linux 6.6 or later"));
    g_assert_null(strstr(first + 1, "host-path=auto"));
}

/* One that may fail of something else is told of too */
static void host_path_falls_back_twice(void)
{
    g_autofree char *args =
        with_host("", PASSED ",fail=hwpt-alloc:1:25 -object iommufd,id=second "
                  "-device pviommu-observer,watch=iommufd,iommufd=second,"
                  "fail=hwpt-alloc:1:25");
    g_autofree char *err = NULL;
    const char *first;

    g_assert_cmpint(run(args, &err), ==, 0);
    first = strstr(err, "takes container for devices with iommufd object "
                   "'host'");
    g_assert_nonnull(first);
    g_assert_nonnull(strstr(first, "with iommufd object 'second'"));
}

/*
 * A kernel with which a second device crashes QEMU 10.2, so the first one is
 * refused there; other series do not mind
 */
static void host_keeps_process(void)
{
    g_autofree char *args =
        with_host("", "-device pviommu-observer,fail=process:9:25 " PASSED " "
                  PASSED);
    g_autofree char *err = NULL;
    int status = run(args, &err);

    g_assert_cmpint(status, <=, 1);
    if (status) {
        g_assert_nonnull(strstr(err, "no IOMMU_IOAS_CHANGE_PROCESS"));
        g_assert_nonnull(strstr(err, "QEMU 11.0"));
    } else {
        g_assert_cmpstr(err, ==, "");
    }
}

/* With that kernel type1 goes on, whose iommufd= names nothing */
static void host_keeps_process_type1(void)
{
    g_autofree char *args =
        with_host("", "-device pviommu-observer,fail=process:9:25 "
                  "-device pviommu-observer,watch=container,iommufd=");

    takes(args, NULL);
}

/* QEMU gives it memory itself; on x86 the observer's library has a likeness */
static void vfio_platform(void)
{
    g_autofree char *with = g_strdup_printf("-M q35 -plugin %s -device "
                                            "vfio-platform,id=there",
                                            g_getenv("PVIOMMU_OBSERVER"));
    g_autofree char *before = g_strdup_printf("%s " P, with);

    takes(with, NULL);
    refuses(before, "vfio-platform device there", "past every IOMMU");
}

static void migration(void)
{
    refuses("-M q35 -only-migratable " P, "only-migratable",
            "cannot migrate");
}

#define PAST "is not protected by the IOMMU and reaches all of guest memory: "
#define FORGOT "virtio-rng-pci forgot " PAST "iommu_platform=on is not given"

#define MICROVM_SLOT "-M microvm -global virtio-mmio.force-legacy=off " \
    "-device pviommu-device "

/* One warning a device that QEMU lets past every IOMMU */
static void unprotected(void)
{
    takes("-M q35 " P " -device virtio-rng-pci,id=forgot", FORGOT);
    takes("-M q35 " P " -device virtio-rng-pci,iommu_platform=on,"
          "disable-legacy=on", NULL);
    takes("-M q35 " P ",scope=5.0 -device e1000e,addr=5.0 "
          "-device virtio-rng-pci,id=forgot", NULL);
    takes("-M q35 " P " -device usb-ehci,id=usb", "usb-ehci usb " PAST);
    takes("-M q35 " P " -device qemu-xhci,id=usb", NULL);
    takes("-M q35 " P " -device pvscsi,id=disks", "pvscsi disks " PAST);
    takes("-M q35,default_bus_bypass_iommu=on " P " -device e1000e,id=net",
          "e1000e net " PAST "its root bus has bypass_iommu=on");
    takes("-M q35 -device pxb-pcie,id=x,bus_nr=64,bypass_iommu=on " PORT Q
          " -device e1000e,bus=rp,id=net", "e1000e net " PAST);
    takes(MICROVM_SLOT "-device virtio-rng-device,id=forgot",
          "virtio-rng-device forgot " PAST "iommu_platform=on is not given");
    takes(MICROVM_SLOT "-device virtio-rng-device,iommu_platform=on", NULL);
}

static void unprotected_hotplug(void)
{
    const char *args = "-M q35 " P " -device pcie-root-port,id=rp";
    g_autofree char *err = NULL, *none = NULL;

    g_assert_cmpint(run_commands(args, "device_add virtio-rng-pci,bus=rp,"
                                 "id=forgot", &err), ==, 0);
    g_assert_nonnull(strstr(err, FORGOT));
    g_assert_null(strstr(strstr(err, FORGOT) + 1, "pviommu"));
    g_assert_cmpint(run_commands(args, "device_add virtio-rng-pci,bus=rp,"
                                 "iommu_platform=on,disable-legacy=on", &none),
                    ==, 0);
    g_assert_null(strstr(none, "pviommu"));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("pviommu/command-line/granule", granule);
    qtest_add_func("pviommu/command-line/aw-bits", aw_bits);
    qtest_add_func("pviommu/command-line/reserved-regions", reserved_regions);
    qtest_add_func("pviommu/command-line/limits", limits);
    qtest_add_func("pviommu/command-line/other-properties", other_properties);
    qtest_add_func("pviommu/command-line/requests-log-pipe",
                   requests_log_pipe);
    qtest_add_func("pviommu/command-line/two-iommus", two_iommus);
    qtest_add_func("pviommu/command-line/primary-bus", primary_bus);
    qtest_add_func("pviommu/command-line/two-iommus-of-roots",
                   two_iommus_of_roots);
    qtest_add_func("pviommu/command-line/scope", scope);
    qtest_add_func("pviommu/command-line/places", places);
    qtest_add_func("pviommu/command-line/machines", machines);
    qtest_add_func("pviommu/command-line/machines-of-arm", machines_of_arm);
    qtest_add_func("pviommu/command-line/platform-form", platform_form);
    qtest_add_func("pviommu/command-line/platform-endpoint-before",
                   platform_endpoint_before);
    qtest_add_func("pviommu/command-line/vfio-platform", vfio_platform);
    qtest_add_func("pviommu/command-line/only-migratable", migration);
    qtest_add_func("pviommu/command-line/locked-memory", locked_memory);
    qtest_add_func("pviommu/command-line/host-path", host_path);
    qtest_add_func("pviommu/command-line/host-path-falls-back-twice",
                   host_path_falls_back_twice);
    qtest_add_func("pviommu/command-line/host-path-falls-back",
                   host_path_falls_back);
    qtest_add_func("pviommu/command-line/host-keeps-process",
                   host_keeps_process);
    qtest_add_func("pviommu/command-line/host-keeps-process-type1",
                   host_keeps_process_type1);
    qtest_add_func("pviommu/command-line/unprotected", unprotected);
    qtest_add_func("pviommu/command-line/unprotected-hotplug",
                   unprotected_hotplug);
    return g_test_run();
}
