/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Command lines with devices of a host that can be made to refuse: which way
 * to the host is taken, and what is said where there is none
 */
#include "qemu/osdep.h"

#include "watch.h"
#include "launch.h"

#define P "-device pviommu-pci"

/* A device that asks for its address space, and then turns out to be none */
#define NO_VFIO "-device vfio-pci,sysfsdev=/sys/devices/system/cpu,id=v"

/* The figure of the warning is that of README, whatever ROMs there are */
static void locked_memory(void)
{
    /* Who may lock all memory is not told */
    launch_by("ulimit -l 64 &&",
              geteuid() ? "" : "setpriv --bounding-set=-ipc_lock");
    refuses("-M q35 -m 256M " P " " NO_VFIO, "the limit of locked memory is "
            "64 KiB", "need 294912 KiB");
    refuses("-M q35 -m 256M -device VGA,vgamem_mb=64 -drive if=pflash,"
            "file.driver=null-co,file.size=4M,file.read-zeroes=on,format=raw "
            P " " NO_VFIO, "the limit of locked memory is 64 KiB",
            "need 360448 KiB");
    launch_by("", "");
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

    g_assert_cmpint(launch(args, &err), ==, 0);
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

    g_assert_cmpint(launch(args, &err), ==, 0);
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
    int status = launch(args, &err);

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

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("pviommu/host-path/vfio-platform", vfio_platform);
    qtest_add_func("pviommu/host-path/locked-memory", locked_memory);
    qtest_add_func("pviommu/host-path/choice", host_path);
    qtest_add_func("pviommu/host-path/falls-back-twice",
                   host_path_falls_back_twice);
    qtest_add_func("pviommu/host-path/falls-back", host_path_falls_back);
    qtest_add_func("pviommu/host-path/keeps-process", host_keeps_process);
    qtest_add_func("pviommu/host-path/keeps-process-type1",
                   host_keeps_process_type1);
    return g_test_run();
}
