/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Everything that differs between versions of QEMU
 *
 * Now: 10.0 to 11.1. This is the one header that may ask for QEMU's version,
 * and the one place that states what QEMU keeps private. Include it after
 * "qemu/osdep.h", as every header of QEMU. Headers that QEMU has renamed are
 * included by their newest names; include/qemu-before has those names for the
 * versions before.
 */
#ifndef PVIOMMU_COMPAT_H
#define PVIOMMU_COMPAT_H

#include <linux/iommufd.h>

#include "qom/object.h"
#include "system/host_iommu_device.h"
#include "system/iommufd.h"

/**
 * PVIOMMU_QEMU_AT_LEAST() - whether the headers are of this series or later
 * @major: of the series
 * @minor: of the series
 */
#define PVIOMMU_QEMU_AT_LEAST(major, minor) \
    (QEMU_VERSION_MAJOR > (major) || \
     (QEMU_VERSION_MAJOR == (major) && QEMU_VERSION_MINOR >= (minor)))

#if PVIOMMU_QEMU_AT_LEAST(10, 1)
#include "hw/vfio/vfio-container.h"
#include "hw/vfio/vfio-device.h"
#include "hw/vfio/vfio-iommufd.h"
#include "hw/vfio/vfio-listener.h"
#else
#include "hw/vfio/vfio-common.h"
#endif
#if PVIOMMU_QEMU_AT_LEAST(10, 2)
#include "hw/vfio/vfio-container-legacy.h"
#else
#include "hw/vfio/vfio-container-base.h"
#endif

/**
 * typedef PviommuVfioContainer - what all VFIO containers are
 *
 * Until 10.2 QEMU called it VFIOContainerBase, and a container of the type1
 * driver VFIOContainer.
 */
#if PVIOMMU_QEMU_AT_LEAST(10, 2)
typedef VFIOContainer PviommuVfioContainer;
typedef VFIOLegacyContainer PviommuVfioLegacyContainer;
#else
typedef VFIOContainerBase PviommuVfioContainer;
typedef VFIOContainer PviommuVfioLegacyContainer;
#endif

/**
 * PVIOMMU_TYPE_VFIO_PCI - the type that every VFIO PCI device has or inherits
 *
 * vfio-user-pci is another child of it since 10.1.
 */
#if PVIOMMU_QEMU_AT_LEAST(10, 2)
#define PVIOMMU_TYPE_VFIO_PCI "vfio-pci-device"
#elif PVIOMMU_QEMU_AT_LEAST(10, 1)
#define PVIOMMU_TYPE_VFIO_PCI "vfio-pci-base"
#else
#define PVIOMMU_TYPE_VFIO_PCI "vfio-pci"
#endif

/* iommufd_backend_connect() fails on kernels before Linux 6.13, see guard.c */
#define PVIOMMU_CONNECT_FAILS_SILENTLY \
    (PVIOMMU_QEMU_AT_LEAST(10, 2) && !PVIOMMU_QEMU_AT_LEAST(11, 0))

/* What QOM hands to class_init() is constant since 10.1 */
#if PVIOMMU_QEMU_AT_LEAST(10, 1)
typedef const void PviommuClassData;
#else
typedef void PviommuClassData;
#endif

/* A section that is populated or discarded is constant since 11.1 */
#if PVIOMMU_QEMU_AT_LEAST(11, 1)
typedef const MemoryRegionSection PviommuDiscardSection;
#else
typedef MemoryRegionSection PviommuDiscardSection;
#endif

/* What VirtioDeviceClass.set_status() returns, and that it took the status */
#if PVIOMMU_QEMU_AT_LEAST(10, 1)
#define PVIOMMU_SET_STATUS_RESULT int
#define PVIOMMU_SET_STATUS_OK 0
#else
#define PVIOMMU_SET_STATUS_RESULT void
#define PVIOMMU_SET_STATUS_OK
#endif

/*
 * What an object of QEMU's event loops says to object_del: PVIOMMU_MAY_DELETE()
 * is the function of its class, which has the arguments given, @base first
 */
#if PVIOMMU_QEMU_AT_LEAST(11, 1)
#define PVIOMMU_MAY_DELETE(klass) ((klass)->prepare_delete)
#define PVIOMMU_MAY_DELETE_ARGS EventLoopBase *base, Error **errp
#define PVIOMMU_MAY_DELETE_ERROR(why) error_setg(errp, "%s", why)
#else
#define PVIOMMU_MAY_DELETE(klass) ((klass)->can_be_deleted)
#define PVIOMMU_MAY_DELETE_ARGS EventLoopBase *base
#define PVIOMMU_MAY_DELETE_ERROR(why) ((void)0)
#endif

/* Events of a guest's view of an SMMU: in Linux 6.15, and in 10.1's headers */
#if !PVIOMMU_QEMU_AT_LEAST(10, 1)
#define IOMMU_VEVENTQ_ALLOC _IO(IOMMUFD_TYPE, 0x93)
enum { IOMMU_VEVENTQ_FLAG_LOST_EVENTS = 1 };
enum { IOMMU_VEVENTQ_TYPE_ARM_SMMUV3 = 1 };

struct iommufd_vevent_header {
    uint32_t flags;
    uint32_t sequence;
};

struct iommu_vevent_arm_smmuv3 {
    uint64_t evt[4];
};

struct iommu_veventq_alloc {
    uint32_t size;
    uint32_t flags;
    uint32_t viommu_id;
    uint32_t type;
    uint32_t veventq_depth;
    uint32_t out_veventq_id;
    uint32_t out_veventq_fd;
    uint32_t reserved;
};
#endif

/**
 * pviommu_compat_discard_init() - ram_discard_listener_init()
 * @rdl: the listener
 * @populate: called for each part that is populated
 * @discard: called for each section, in one call, that is discarded
 */
static inline void pviommu_compat_discard_init(RamDiscardListener *rdl,
                                               NotifyRamPopulate populate,
                                               NotifyRamDiscard discard)
{
#if PVIOMMU_QEMU_AT_LEAST(11, 0)
    ram_discard_listener_init(rdl, populate, discard);
#else
    ram_discard_listener_init(rdl, populate, discard, true);
#endif
}

/**
 * pviommu_compat_unmappable() - whether VFIO leaves a BAR out of containers
 * @mr: a region of RAM
 *
 * Return: true if no container holds it in bypass (since 11.1).
 */
static inline bool pviommu_compat_unmappable(const MemoryRegion *mr)
{
#if PVIOMMU_QEMU_AT_LEAST(11, 1)
    return memory_region_skip_iommu_map(mr);
#else
    return false;
#endif
}

/**
 * pviommu_compat_space_get() - VFIO's view of an address space
 * @as: the address space
 *
 * Return: the view, made if need be, until pviommu_compat_space_put().
 */
static inline VFIOAddressSpace *pviommu_compat_space_get(AddressSpace *as)
{
#if PVIOMMU_QEMU_AT_LEAST(10, 1)
    return vfio_address_space_get(as);
#else
    return vfio_get_address_space(as);
#endif
}

/**
 * pviommu_compat_space_put() - give it back
 * @space: freed if it has no container
 */
static inline void pviommu_compat_space_put(VFIOAddressSpace *space)
{
#if PVIOMMU_QEMU_AT_LEAST(10, 1)
    vfio_address_space_put(space);
#else
    vfio_put_address_space(space);
#endif
}

/**
 * pviommu_compat_dma_map() - vfio_container_dma_map()
 * @container: the container
 * @iova: of the first byte; a multiple of the host's page size
 * @size: bytes, a multiple of the host's page size
 * @vaddr: where QEMU has them
 * @readonly: the device must not write there
 * @mr: the RAM they are part of, from which since 10.1 a file may be mapped
 *
 * Return: 0, or the host's negative errno.
 */
static inline int pviommu_compat_dma_map(PviommuVfioContainer *container,
                                         hwaddr iova, uint64_t size,
                                         void *vaddr, bool readonly,
                                         MemoryRegion *mr)
{
#if PVIOMMU_QEMU_AT_LEAST(10, 1)
    return vfio_container_dma_map(container, iova, size, vaddr, readonly, mr);
#else
    return vfio_container_dma_map(container, iova, size, vaddr, readonly);
#endif
}

/**
 * pviommu_compat_dma_unmap() - vfio_container_dma_unmap()
 * @container: the container
 * @iova: of the first byte; a multiple of the host's page size
 * @size: bytes, a multiple of the host's page size
 *
 * Return: 0, or the host's negative errno.
 */
static inline int pviommu_compat_dma_unmap(PviommuVfioContainer *container,
                                           hwaddr iova, uint64_t size)
{
#if PVIOMMU_QEMU_AT_LEAST(10, 1)
    return vfio_container_dma_unmap(container, iova, size, NULL, false);
#else
    return vfio_container_dma_unmap(container, iova, size, NULL);
#endif
}

/**
 * pviommu_compat_listen() - have VFIO mirror an address space in a container
 * @container: the container, whose space is set
 * @errp: set on failure
 *
 * Return: false if what is there now was refused.
 */
static inline bool pviommu_compat_listen(PviommuVfioContainer *container,
                                         Error **errp)
{
#if PVIOMMU_QEMU_AT_LEAST(10, 1)
    return vfio_listener_register(container, errp);
#else
    container->listener = vfio_memory_listener;
    memory_listener_register(&container->listener, container->space->as);
    if (container->error) {
        error_propagate(errp, container->error);
        container->error = NULL;
        return false;
    }
    return true;
#endif
}

/**
 * pviommu_compat_iommufd() - QEMU's own container of an iommufd device
 * @device: a device that is attached
 *
 * Return: its container.
 */
static inline VFIOIOMMUFDContainer *
pviommu_compat_iommufd(const VFIODevice *device)
{
#if PVIOMMU_QEMU_AT_LEAST(10, 2)
    return container_of(device->bcontainer, VFIOIOMMUFDContainer, parent_obj);
#else
    return container_of(device->bcontainer, VFIOIOMMUFDContainer, bcontainer);
#endif
}

/**
 * struct PVIOMMUTypeImpl - the head of QEMU's private struct TypeImpl
 * @name: the type's name
 * @class_size: bytes of its class structure
 * @instance_size: bytes of its instance structure
 *
 * See qom/object.c. An #ObjectClass points at one with its member "type".
 * Compared with the public name of the class before it is believed.
 */
typedef struct PVIOMMUTypeImpl {
    const char *name;
    size_t class_size;
    size_t instance_size;
} PVIOMMUTypeImpl;

#endif /* PVIOMMU_COMPAT_H */
