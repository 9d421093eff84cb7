/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What example.c gives, and what it needs
 */
#ifndef DOCS_GUEST_EXAMPLE_H
#define DOCS_GUEST_EXAMPLE_H

#include <stddef.h>
#include <stdint.h>

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
uint32_t virtqueue_run(const void *readable, size_t readable_size,
                       void *writable, size_t writable_size);

/**
 * iommu_attach() - put an endpoint into a domain
 * @domain: any number in the device's domain_range; made by this if need be
 * @endpoint: of PCI, bus << 8 | device << 3 | function
 *
 * Return: VIRTIO_IOMMU_S_OK, or another status; nothing has changed then.
 */
int iommu_attach(uint32_t domain, uint32_t endpoint);

/**
 * iommu_detach() - the opposite; the last endpoint takes the domain with it
 * @domain: as for iommu_attach()
 * @endpoint: as there
 *
 * Return: as iommu_attach().
 */
int iommu_detach(uint32_t domain, uint32_t endpoint);

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
int iommu_map(uint32_t domain, uint64_t iova, uint64_t phys, uint64_t size,
              uint32_t flags);

/**
 * iommu_unmap() - take whole mappings away
 * @domain: as for iommu_map()
 * @iova: the first address
 * @size: in bytes, not 0; no mapping may lie across either end
 *
 * Return: as iommu_attach(); OK as well if nothing was mapped.
 */
int iommu_unmap(uint32_t domain, uint64_t iova, uint64_t size);

#endif /* DOCS_GUEST_EXAMPLE_H */
