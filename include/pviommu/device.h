/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu: the types that QEMU sees
 *
 * "pviommu-device" is the virtio device; "pviommu-pci" is a PCI function
 * that holds one.  docs/specs/pviommu.md has what the guest sees,
 * docs/system/pviommu.md the properties and the counters.
 */
#ifndef PVIOMMU_DEVICE_H
#define PVIOMMU_DEVICE_H

#define TYPE_PVIOMMU_DEVICE "pviommu-device"
#define TYPE_PVIOMMU_PCI "pviommu-pci"

/**
 * pviommu_register_types - register every type of the library with QOM
 *
 * Called once, from qemu_plugin_install(), before the machine exists.
 */
void pviommu_register_types(void);

/**
 * pviommu_print_help - print what the devices can be told, to stdout
 *
 * One line for each property of their own. Any thread, at any time.
 */
void pviommu_print_help(void);

#endif /* PVIOMMU_DEVICE_H */
