/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu: page tables of the guest's that the host's IOMMU walks itself
 *
 * A nested table is the guest's: what it says is translated once more by its
 * parent, a host page table with all of guest memory (pviommu/iommufd.h).  The
 * host's IOMMU reads both, so that no mapping is a call any more.  The parent
 * pins all that it holds.  Today this is Arm's SMMUv3 alone (Linux 6.13).
 *
 * A nested table takes no mappings: of pviommu_table_ops, only @invalidate is
 * for it.
 *
 * Locking: the big lock, held by the caller of every function here.
 */
#ifndef PVIOMMU_NEST_H
#define PVIOMMU_NEST_H

#include "pviommu/iommufd.h"
#include "pviommu/table.h"

/**
 * pviommu_nest_formats - ask which tables of the guest's a host can walk
 * @iommufd: the object that @device belongs to
 * @device: the device; not moved
 * @errp: why there is none
 *
 * Tries what can be tried: that there can be a parent, and a guest's view of
 * the device's IOMMU on it.
 *
 * Return: bit n: PviommuFormat n; 0 with the reason where there is none.
 */
uint32_t pviommu_nest_formats(PviommuIommufd *iommufd,
                              const VFIODevice *device, Error **errp);

/**
 * pviommu_nested_new - make a host page table of a guest's table
 * @parent: what translates its output and the addresses of its entries; made
 *          with @nests, and freed after all that nest in it
 * @guest: the table, of a format that the devices' hosts can walk; copied
 *
 * Return: the table, owned by the caller, for pviommu_table_prepare(),
 * pviommu_table_attach() and pviommu_table_free().
 */
PviommuTable *pviommu_nested_new(PviommuTable *parent,
                                 const PviommuGuestTable *guest);

/**
 * pviommu_nested_parent - what a nested table is nested in
 * @table: any table
 *
 * Return: its parent, or NULL.
 */
PviommuTable *pviommu_nested_parent(const PviommuTable *table);

/**
 * pviommu_nest_forget - a device leaves
 * @parent: a table, not a nested one
 * @device: the device, on none of the tables that nest there
 */
void pviommu_nest_forget(PviommuTable *parent, const VFIODevice *device);

#endif /* PVIOMMU_NEST_H */
