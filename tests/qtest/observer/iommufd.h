/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A host with iommufd, made of paper: /dev/iommu and VFIO device files
 *
 * Behind pviommu-preload.so, it answers the calls that QEMU's VFIO code and
 * pviommu make, with the errors that Linux 6.12 gives (drivers/iommu/iommufd:
 * ioas.c, io_pagetable.c, hw_pagetable.c, device.c; drivers/vfio:
 * device_cdev.c, iommufd.c).  It knows no dirty tracking or PASIDs, and each
 * function is alone in its IOMMU group.  Of nesting it knows what SMMUv3 has in
 * Linux 7.3 (viommu.c, eventq.c, arm-smmu-v3-iommufd.c).
 *
 * An IOAS pins its memory once, however many HWPTs it has; without any, it
 * pins nothing, and what cannot be pinned shows when it gets the first.
 */
#ifndef TESTS_QTEST_OBSERVER_IOMMUFD_H
#define TESTS_QTEST_OBSERVER_IOMMUFD_H

#include "exec/hwaddr.h"
#include "observer.h"
#include "record.h"

/**
 * struct HostFunction - a function of the host, bound to VFIO
 * @name: for those who read
 * @iommu: number of the IOMMU that it is behind: an HWPT serves but one
 * @bits: width of its IOMMU
 * @mdev: it is a mediated device, which has no HWPT
 * @msi: first of 1 MiB of addresses that are not translated
 * @nests: its IOMMU is an SMMUv3 with both stages
 * @idr0: register IDR0 of that
 * @idr5: register IDR5 of that
 * @events: where to record what its table tells, owned by the caller
 */
typedef struct HostFunction {
    const char *name;
    uint32_t iommu;
    uint32_t bits;
    bool mdev;
    uint64_t msi;
    bool nests;
    uint32_t idr0;
    uint32_t idr5;
    GString *events;
} HostFunction;

/* Refusals of calls, by OBSERVER_CALL_* */
extern Refusal iommufd_refusals[OBSERVER_CALL__MAX];

/* Of every IOAS */
extern Stuck iommufd_stuck;

/* Most bytes that may be pinned */
extern uint64_t iommufd_memlock;

/* Take the system calls; false without pviommu-preload.so */
bool iommufd_start(void);

/* Open the device file of a function; closing it ends its life */
int iommufd_open_function(const HostFunction *function);

/* What the function reaches now, a line each; owned by the caller */
char *iommufd_mappings(int fd);

/* Move data by the table of the function; false for a fault */
bool iommufd_dma(int fd, hwaddr iova, void *data, uint64_t size, bool write);

/* See observer.h; owned by the caller */
char *iommufd_descriptor(int fd);
char *iommufd_calls(void);
char *iommufd_objects(void);

/* See observer.h: properties fault and vevent; false if it makes no sense */
bool iommufd_fault(int fd, const char *what);
bool iommufd_vevent(int fd, const char *bytes);

/* Refuse calls of a kind, the n-th and on: "CALL:TIMES:ERRNO[:N]" */
bool iommufd_refuse(const char *what);

#endif /* TESTS_QTEST_OBSERVER_IOMMUFD_H */
