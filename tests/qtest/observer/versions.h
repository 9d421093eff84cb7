/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the observer alone uses of QEMU that differs between versions; the rest
 * is in pviommu/compat.h
 */
#ifndef TESTS_QTEST_OBSERVER_VERSIONS_H
#define TESTS_QTEST_OBSERVER_VERSIONS_H

#include "pviommu/compat.h"

/* The last parameters of VFIOIOMMUClass.dma_map() and .dma_unmap() */
#if PVIOMMU_QEMU_AT_LEAST(10, 1)
#define DMA_MAP_REGION , MemoryRegion *mr
#define DMA_UNMAP_ALL , bool unmap_all
#define WANTS_ALL unmap_all
#else
#define DMA_MAP_REGION
#define DMA_UNMAP_ALL
#define WANTS_ALL false
#endif

#if !PVIOMMU_QEMU_AT_LEAST(10, 1)
#define vfio_device_attach vfio_attach_device
#define vfio_device_detach vfio_detach_device
#endif

#endif /* TESTS_QTEST_OBSERVER_VERSIONS_H */
