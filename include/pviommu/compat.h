/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Everything that differs between versions of QEMU
 *
 * Now: 10.0. This is the one header that may ask for QEMU's version, and the
 * one place that states what QEMU keeps private. Include it after
 * "qemu/osdep.h", as every header of QEMU.
 */
#ifndef PVIOMMU_COMPAT_H
#define PVIOMMU_COMPAT_H

#include "qom/object.h"
#include "hw/vfio/vfio-common.h"
#include "hw/vfio/vfio-container-base.h"
#include "system/host_iommu_device.h"
#include "system/iommufd.h"

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
