/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu bench: what is measured
 */
#ifndef PVIOMMU_BENCH_CORE_SUBJECTS_H
#define PVIOMMU_BENCH_CORE_SUBJECTS_H

#include <stdint.h>

/**
 * struct Subject - a set of mappings, each one page long
 * @new: make an empty one
 * @free: free it with all mappings
 * @map: look for an overlap, then add a page
 * @unmap: find and remove a page
 * @translate: physical address of an IOVA that is mapped
 */
typedef struct Subject {
    void *(*new)(void);
    void (*free)(void *set);
    void (*map)(void *set, uint64_t page);
    void (*unmap)(void *set, uint64_t page);
    uint64_t (*translate)(void *set, uint64_t iova);
} Subject;

/* What all of them map a page to */
static inline uint64_t subject_phys(uint64_t page)
{
    return (page ^ 0x5a5a) << 12;
}

/* A GTree as hw/virtio/virtio-iommu.c of QEMU 10.0 uses it */
extern const Subject subject_gtree;

/*
 * QEMU's include/qemu/interval-tree.h, a mapping's node holding all of it;
 * there if BENCH_INTERVAL_TREE is defined
 */
extern const Subject subject_interval;

/* PviommuMappings alone */
extern const Subject subject_mappings;

/* Whole requests, from bytes to commit, and pviommu_translate() */
extern const Subject subject_iommu;

#endif /* PVIOMMU_BENCH_CORE_SUBJECTS_H */
