/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu: devices that would crash QEMU
 */
#ifndef PVIOMMU_GUARD_H
#define PVIOMMU_GUARD_H

/**
 * pviommu_guard_start - from now on refuse what crashes this series of QEMU
 *
 * Once, when the library is loaded. Only 10.2 needs it: there, a device with
 * iommufd= on a host whose kernel has no IOMMU_IOAS_CHANGE_PROCESS.
 */
void pviommu_guard_start(void);

#endif /* PVIOMMU_GUARD_H */
