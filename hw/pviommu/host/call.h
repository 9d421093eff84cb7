/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu: calls of the host's iommufd that more than one file here makes
 *
 * Locking: the big lock.
 */
#ifndef PVIOMMU_HOST_CALL_H
#define PVIOMMU_HOST_CALL_H

#include "pviommu/iommufd.h"

/**
 * pviommu_call - one call
 * @fd: file descriptor of an iommufd object or of a device
 * @request: an ioctl
 * @argument: its structure
 *
 * Return: 0, or a negative errno.
 */
int pviommu_call(int fd, unsigned long request, void *argument);

/**
 * pviommu_destroy - end an object of iommufd
 * @fd: file descriptor of the iommufd object
 * @id: the object
 *
 * Return: 0, or a negative errno; -EBUSY while something uses it.
 */
int pviommu_destroy(int fd, uint32_t id);

/**
 * pviommu_attach - move a device to another page table in one step
 * @device: the device
 * @id: an IOAS or an HWPT
 *
 * Return: 0, or a negative errno; then the device is where it was.
 */
int pviommu_attach(const VFIODevice *device, uint32_t id);

/**
 * pviommu_table_add_hwpt - make one more HWPT on the IOAS of a table
 * @table: the table, not a nested one
 * @device: whom it has to suit
 *
 * Return: 0, and it is the last of @table->hwpts; or a negative errno.
 */
int pviommu_table_add_hwpt(PviommuTable *table, const VFIODevice *device);

/**
 * pviommu_table_unmap - unmap in the IOAS of a table
 * @table: the table, not a nested one
 * @iova: first byte
 * @length: bytes; 2^64 - 1, from 0 on, for all; where to put how many were
 *          mapped there
 *
 * Return: 0, or a negative errno.
 */
int pviommu_table_unmap(const PviommuTable *table, uint64_t iova,
                        uint64_t *length);

#endif /* PVIOMMU_HOST_CALL_H */
