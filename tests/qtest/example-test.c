/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The example of docs/guest/driver.md does what that says
 */
#include "qemu/osdep.h"

#include "edu.h"
#include "../../docs/guest/example.c"

#define DOMAIN 1
#define IOVA 0x100000
#define TARGET (RAM + 0x2000000)

static Viommu *machine;

static uint32_t virtqueue_run(const void *readable, size_t readable_size,
                              void *writable, size_t writable_size)
{
    const ViommuBuffers chain = {
        .out = readable, .out_size = readable_size,
        .in = writable, .in_size = writable_size,
    };

    return viommu_send(machine, &chain);
}

/* A device is let to a page, and no longer */
static void confines(void)
{
    Edu *edu;

    machine = viommu_start("boot-bypass=off", EDU_A);
    g_assert_cmpint(iommu_map(DOMAIN, IOVA, TARGET, 4096,
                              VIRTIO_IOMMU_MAP_F_WRITE), ==,
                    VIRTIO_IOMMU_S_NOENT);
    g_assert_cmpint(iommu_attach(DOMAIN, EP_A), ==, VIRTIO_IOMMU_S_OK);
    g_assert_cmpint(iommu_map(DOMAIN, EDU_SCRATCH, EDU_SCRATCH, 4096,
                              VIRTIO_IOMMU_MAP_F_READ), ==,
                    VIRTIO_IOMMU_S_OK);
    edu = edu_open_filled(machine, EP_A);
    g_assert_false(edu_reaches(edu, IOVA, TARGET));
    g_assert_cmpint(iommu_map(DOMAIN, IOVA, TARGET, 4096,
                              VIRTIO_IOMMU_MAP_F_WRITE), ==,
                    VIRTIO_IOMMU_S_OK);
    g_assert_true(edu_reaches(edu, IOVA, TARGET));
    g_assert_cmpint(iommu_unmap(DOMAIN, IOVA, 4096), ==, VIRTIO_IOMMU_S_OK);
    g_assert_false(edu_reaches(edu, IOVA, TARGET));
    g_assert_cmpint(iommu_detach(DOMAIN, EP_A), ==, VIRTIO_IOMMU_S_OK);
    assert_state(machine, EP_A, "blocked");
    g_assert_cmpint(iommu_unmap(DOMAIN, IOVA, 4096), ==,
                    VIRTIO_IOMMU_S_NOENT);
    edu_close(edu);
    viommu_stop(machine);
}

/* What the device does not know comes back unwritten */
static void unknown(void)
{
    machine = viommu_boot(NULL, EDU_A);
    viommu_negotiate(machine, FEATURE(VIRTIO_F_VERSION_1));
    g_assert_cmpint(iommu_map(DOMAIN, IOVA, TARGET, 4096,
                              VIRTIO_IOMMU_MAP_F_WRITE), ==,
                    VIRTIO_IOMMU_S_UNSUPP);
    viommu_stop(machine);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("/pviommu/example/confines", confines);
    qtest_add_func("/pviommu/example/unknown", unknown);
    return g_test_run();
}
