/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Registration of the types that pviommu.so brings
 */
#include "qemu/osdep.h"
#include "pviommu/device.h"

void pviommu_register_types(void)
{
}
