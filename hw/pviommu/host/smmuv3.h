/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu: the words of an SMMUv3 that its owner writes and reads
 *
 * Sources: Arm's IHI 0070 (registers, context descriptors, stream table
 * entries, commands, events), include/uapi/linux/iommufd.h.
 *
 * Locking: the big lock.
 */
#ifndef PVIOMMU_HOST_SMMUV3_H
#define PVIOMMU_HOST_SMMUV3_H

#include "pviommu/compat.h"
#include "pviommu/table.h"

/* As many as there are ASIDs everywhere: 8 bits */
#define PVIOMMU_SMMU_ASIDS 256

/* Bytes of a context descriptor */
#define PVIOMMU_SMMU_DESCRIPTOR 64

/**
 * struct PviommuSmmuEvent - what an SMMU reports
 * @device: number of the device in its vIOMMU
 * @address: IOVA, 0 where that is not known
 * @access: PVIOMMU_FAULT_F_READ or _WRITE, 0 where that is not known
 * @reason: PVIOMMU_FAULT_R_*
 */
typedef struct PviommuSmmuEvent {
    uint32_t device;
    uint64_t address;
    uint32_t access;
    uint8_t reason;
} PviommuSmmuEvent;

/**
 * pviommu_smmu_walks_lpae - ask whether a device's SMMU walks ARM_LPAE
 * @fd: file descriptor of the iommufd object
 * @device: the device's number there
 * @walks: where to put the answer
 *
 * Looks at the fields that iommufd.h lets us read, for what R-TABLE-11 takes
 * for granted.
 *
 * Return: 0, or a negative errno: it is behind no SMMUv3.
 */
int pviommu_smmu_walks_lpae(int fd, uint32_t device, bool *walks);

/**
 * pviommu_smmu_write_descriptor - write a context descriptor
 * @word: where; the SMMU may read it
 * @guest: the table that it is of
 * @asid: by which what is kept of the table is known
 */
void pviommu_smmu_write_descriptor(uint64_t *word,
                                   const PviommuGuestTable *guest,
                                   unsigned asid);

/**
 * pviommu_smmu_stream_entry - the part of a stream table entry that is ours
 * @descriptor: where the SMMU finds the context descriptor
 *
 * Return: the entry.
 */
struct iommu_hwpt_arm_smmuv3 pviommu_smmu_stream_entry(uint64_t descriptor);

/**
 * pviommu_smmu_invalidate - have an SMMU forget what it kept of a table
 * @fd: file descriptor of the iommufd object
 * @viommu: the vIOMMU
 * @asid: of the table
 * @first: first IOVA, a multiple of 4 KiB
 * @last: last IOVA, one less than a multiple of 4 KiB
 *
 * One call, which returns when that is done.
 *
 * Return: 0, or a negative errno.
 */
int pviommu_smmu_invalidate(int fd, uint32_t viommu, unsigned asid,
                            uint64_t first, uint64_t last);

/**
 * pviommu_smmu_forget_descriptors - have it forget those of a device
 * @fd: file descriptor of the iommufd object
 * @viommu: the vIOMMU
 * @device: number of the device in it
 *
 * Return: 0, or a negative errno.
 */
int pviommu_smmu_forget_descriptors(int fd, uint32_t viommu, uint32_t device);

/**
 * pviommu_smmu_read_event - read the words of an event
 * @event: the words
 *
 * Return: what they say.
 */
PviommuSmmuEvent
pviommu_smmu_read_event(const struct iommu_vevent_arm_smmuv3 *event);

#endif /* PVIOMMU_HOST_SMMUV3_H */
