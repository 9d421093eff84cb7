/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The requests of a driver, as short as they can be: see driver.md.  For any
 * kernel; all that is the kernel's own is virtqueue_run().
 */
#include <endian.h>
#include <stddef.h>
#include <stdint.h>

#include <linux/virtio_iommu.h>

/**
 * virtqueue_run() - the kernel's: have a chain of two buffers used
 * @readable: what the device reads
 * @readable_size: in bytes
 * @writable: what the device writes
 * @writable_size: in bytes
 *
 * Puts both into the request queue as one chain, notifies the device, and waits
 * until it is used.
 *
 * Return: the used length, in bytes.
 */
static uint32_t virtqueue_run(const void *readable, size_t readable_size,
                              void *writable, size_t writable_size);

/* Have a request done that ends in its tail: its status */
static int run(void *request, size_t size)
{
    struct virtio_iommu_req_tail tail = { .status = VIRTIO_IOMMU_S_DEVERR };
    uint32_t used = virtqueue_run(request, size - sizeof(tail), &tail,
                                  sizeof(tail));

    /* A request of a type that the device does not know comes back unwritten */
    return used < sizeof(tail) ? VIRTIO_IOMMU_S_UNSUPP : tail.status;
}

/**
 * iommu_attach() - put an endpoint into a domain
 * @domain: any number in the device's domain_range; made by this if need be
 * @endpoint: of PCI, bus << 8 | device << 3 | function
 *
 * Return: VIRTIO_IOMMU_S_OK, or another status; nothing has changed then.
 */
static int iommu_attach(uint32_t domain, uint32_t endpoint)
{
    struct virtio_iommu_req_attach request = {
        .head.type = VIRTIO_IOMMU_T_ATTACH,
        .domain = htole32(domain),
        .endpoint = htole32(endpoint),
    };

    return run(&request, sizeof(request));
}

/**
 * iommu_detach() - the opposite; the last endpoint takes the domain with it
 * @domain: as for iommu_attach()
 * @endpoint: as there
 *
 * Return: as iommu_attach().
 */
static int iommu_detach(uint32_t domain, uint32_t endpoint)
{
    struct virtio_iommu_req_detach request = {
        .head.type = VIRTIO_IOMMU_T_DETACH,
        .domain = htole32(domain),
        .endpoint = htole32(endpoint),
    };

    return run(&request, sizeof(request));
}

/**
 * iommu_map() - let the endpoints of a domain reach memory
 * @domain: one that endpoints are in
 * @iova: the address that they use; a multiple of the device's granule, which
 *        is the lowest bit of page_size_mask, as are the next two
 * @phys: guest-physical address
 * @size: in bytes, not 0
 * @flags: VIRTIO_IOMMU_MAP_F_READ, _WRITE
 *
 * Return: as iommu_attach().
 */
static int iommu_map(uint32_t domain, uint64_t iova, uint64_t phys,
                     uint64_t size, uint32_t flags)
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

/**
 * iommu_unmap() - take whole mappings away
 * @domain: as for iommu_map()
 * @iova: the first address
 * @size: in bytes, not 0; no mapping may lie across either end
 *
 * Return: as iommu_attach(); OK as well if nothing was mapped.
 */
static int iommu_unmap(uint32_t domain, uint64_t iova, uint64_t size)
{
    struct virtio_iommu_req_unmap request = {
        .head.type = VIRTIO_IOMMU_T_UNMAP,
        .domain = htole32(domain),
        .virt_start = htole64(iova),
        .virt_end = htole64(iova + size - 1),
    };

    return run(&request, sizeof(request));
}
