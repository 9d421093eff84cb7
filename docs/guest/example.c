/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The requests of a driver, as short as they can be: see driver.md.  For any
 * kernel; all that is the kernel's own is virtqueue_run().
 */
#include <endian.h>
#include <stddef.h>
#include <stdint.h>

#include <linux/virtio_iommu.h>

#include "example.h"

/* Have a request done that ends in its tail: its status */
static int run(void *request, size_t size)
{
    struct virtio_iommu_req_tail tail = { .status = VIRTIO_IOMMU_S_DEVERR };
    uint32_t used = virtqueue_run(request, size - sizeof(tail), &tail,
                                  sizeof(tail));

    /* A request of a type that the device does not know comes back unwritten */
    return used < sizeof(tail) ? VIRTIO_IOMMU_S_UNSUPP : tail.status;
}

int iommu_attach(uint32_t domain, uint32_t endpoint)
{
    struct virtio_iommu_req_attach request = {
        .head.type = VIRTIO_IOMMU_T_ATTACH,
        .domain = htole32(domain),
        .endpoint = htole32(endpoint),
    };

    return run(&request, sizeof(request));
}

int iommu_detach(uint32_t domain, uint32_t endpoint)
{
    struct virtio_iommu_req_detach request = {
        .head.type = VIRTIO_IOMMU_T_DETACH,
        .domain = htole32(domain),
        .endpoint = htole32(endpoint),
    };

    return run(&request, sizeof(request));
}

int iommu_map(uint32_t domain, uint64_t iova, uint64_t phys, uint64_t size,
              uint32_t flags)
{
    struct virtio_iommu_req_map request = {
        .head.type = VIRTIO_IOMMU_T_MAP,
        .domain = htole32(domain),
        .virt_start = htole64(iova),
        .virt_end = htole64(iova + size - 1),       /* the last byte */
        .phys_start = htole64(phys),
        .flags = htole32(flags),
    };

    return run(&request, sizeof(request));
}

int iommu_unmap(uint32_t domain, uint64_t iova, uint64_t size)
{
    struct virtio_iommu_req_unmap request = {
        .head.type = VIRTIO_IOMMU_T_UNMAP,
        .domain = htole32(domain),
        .virt_start = htole64(iova),
        .virt_end = htole64(iova + size - 1),
    };

    return run(&request, sizeof(request));
}
