/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Machines and places where the IOMMU can be, and devices that can be behind
 * it: command lines that are refused, each with a message that says why, and
 * those that are taken
 */
#include "qemu/osdep.h"

#include "launch.h"

#define P "-device pviommu-pci"

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

static void machines_of_arm(void)
{
    g_autofree char *tree = g_strdup_printf("%s/pviommu-%d.dtb",
                                            g_get_tmp_dir(), getpid());
    g_autofree char *dump = g_strdup_printf("-M virt,dumpdtb=%s", tree);
    g_autofree char *given = g_strdup_printf("-M virt -dtb %s " P, tree);

    if (!launch_on_arm()) {
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
    launch_on_x86();
}

#define SLOTS "-M virt -cpu cortex-a57 -global virtio-mmio.force-legacy=off "
#define RNG "-device virtio-rng-device"
#define BEHIND RNG ",iommu_platform=on "
#define PLATFORM "-device pviommu-device "

/* libvirt's; LeakSanitizer starts a process, and so cannot be in it */
static const char *sandbox(void)
{
    return g_strcmp0(g_getenv("PVIOMMU_QTEST_KIND"), "plain") ? "" :
           "-sandbox on,obsolete=deny,elevateprivileges=deny,spawn=deny,"
           "resourcecontrol=deny ";
}

/*
 * QEMU creates what is written as JSON after all else
 * (qemu_create_cli_devices() in system/vl.c), and so libvirt's devices after
 * an IOMMU of qemu:commandline
 */
static void json_comes_last(void)
{
    static const char args[] =
        "-M microvm -global virtio-mmio.force-legacy=off ";
    g_autofree char *json = g_strdup_printf(
        "%s%s-device '{\"driver\": \"virtio-rng-device\", "
        "\"iommu_platform\": true}' " PLATFORM, args, sandbox());
    g_autofree char *plain = g_strdup_printf("%s%s" BEHIND PLATFORM, args,
                                             sandbox());

    takes(json, NULL);
    refuses(plain, "before the IOMMU", "virtio-mmio");
}

static void platform_form(void)
{
    g_autoptr(GString) full = g_string_new(SLOTS);

    if (!launch_on_arm()) {
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
    launch_on_x86();
}

/* A virtio-mmio device asks for its address space once, when it is plugged */
static void platform_endpoint_before(void)
{
    if (!launch_on_arm()) {
        return;
    }
    refuses(SLOTS BEHIND PLATFORM, "before the IOMMU", "virtio-mmio");
    refuses(SLOTS BEHIND P, "before the IOMMU", "virtio-mmio");
    refuses(SLOTS P " " BEHIND PLATFORM, "already", "before all endpoints");
    takes(SLOTS RNG " " PLATFORM, "is not protected by the IOMMU");
    launch_on_x86();
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

    g_assert_cmpint(launch_commands(args, "device_add virtio-rng-pci,bus=rp,"
                                 "id=forgot", &err), ==, 0);
    g_assert_nonnull(strstr(err, FORGOT));
    g_assert_null(strstr(strstr(err, FORGOT) + 1, "pviommu"));
    g_assert_cmpint(launch_commands(args, "device_add virtio-rng-pci,bus=rp,"
                                 "iommu_platform=on,disable-legacy=on", &none),
                    ==, 0);
    g_assert_null(strstr(none, "pviommu"));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("pviommu/placement/two-iommus", two_iommus);
    qtest_add_func("pviommu/placement/primary-bus", primary_bus);
    qtest_add_func("pviommu/placement/two-iommus-of-roots",
                   two_iommus_of_roots);
    qtest_add_func("pviommu/placement/scope", scope);
    qtest_add_func("pviommu/placement/places", places);
    qtest_add_func("pviommu/placement/machines", machines);
    qtest_add_func("pviommu/placement/machines-of-arm", machines_of_arm);
    qtest_add_func("pviommu/placement/platform-form", platform_form);
    qtest_add_func("pviommu/placement/json-comes-last", json_comes_last);
    qtest_add_func("pviommu/placement/platform-endpoint-before",
                   platform_endpoint_before);
    qtest_add_func("pviommu/placement/unprotected", unprotected);
    qtest_add_func("pviommu/placement/unprotected-hotplug",
                   unprotected_hotplug);
    return g_test_run();
}
