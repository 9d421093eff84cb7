/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The types that pviommu.so brings into QEMU
 */
#ifndef PVIOMMU_DEVICE_H
#define PVIOMMU_DEVICE_H

/**
 * pviommu_register_types() - register every type of this library
 *
 * Called once, from the main thread under the big lock, before the machine
 * and any -device exists, and only after the running QEMU was found to be the
 * one that this library was built for.
 */
void pviommu_register_types(void);

#endif /* PVIOMMU_DEVICE_H */
