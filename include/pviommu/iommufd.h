/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu: host page tables of our own, by iommufd
 *
 * A table is an IO address space (IOAS) of the host's iommufd with one or
 * more hardware page tables (HWPT) on it; it is a receiver of mappings, see
 * pviommu/host.h.  Passed-through devices are moved between tables, and back
 * to the one that QEMU's VFIO code gave them, which holds no guest memory.
 *
 * The system calls are made here and not by QEMU's helpers:
 * iommufd_backend_map_dma() warns of each BAR that the kernel cannot map, and
 * iommufd_backend_unmap_dma() makes success of ENOENT (backends/iommufd.c).
 *
 * Locking: the big lock, held by the caller of every function here.
 */
#ifndef PVIOMMU_IOMMUFD_H
#define PVIOMMU_IOMMUFD_H

#include "pviommu/compat.h"
#include "pviommu/host.h"

/**
 * struct PviommuIommufd - an iommufd object of QEMU that is in use
 * @backend: the object, referenced
 * @fd: its file descriptor, open until pviommu_iommufd_put()
 * @users: how often pviommu_iommufd_get() gave it
 * @bypass: for the caller: the table that holds guest memory, or NULL
 * @fault: for the caller: told of accesses that a nested table does not allow,
 *         @address 0 where that is not known; set before there is one
 * @opaque: handed on to @fault
 * @next: all that are in use
 */
typedef struct PviommuIommufd {
    IOMMUFDBackend *backend;
    int fd;
    unsigned users;
    struct PviommuTable *bypass;
    void (*fault)(void *opaque, const VFIODevice *device, uint64_t address,
                  uint32_t access, uint8_t reason);
    void *opaque;
    QLIST_ENTRY(PviommuIommufd) next;
} PviommuIommufd;

typedef QLIST_HEAD(, PviommuIommufd) PviommuIommufdList;

/**
 * struct PviommuNestedOps - what a nested table does instead, see nest.h
 * @prepare: pviommu_table_prepare()
 * @attach: pviommu_table_attach()
 * @free: pviommu_table_free()
 * @invalidate: as of struct PviommuReceiverOps
 */
typedef struct PviommuNestedOps {
    int (*prepare)(struct PviommuTable *table, const VFIODevice *device);
    int (*attach)(struct PviommuTable *table, const VFIODevice *device);
    void (*free)(struct PviommuTable *table);
    int (*invalidate)(struct PviommuTable *table,
                      const PviommuMapping *range);
} PviommuNestedOps;

/**
 * struct PviommuTable - a host page table
 * @host: with it, the table takes mappings
 * @iommufd: what it is made of
 * @ioas: its IOAS
 * @hwpts: uint32_t, its HWPTs: more than one when devices do not fit the same
 * @owner: for the caller: the list that holds the table, or NULL
 * @ops: of a nested table, which has no IOAS and no HWPTs here; else NULL
 * @nested: the rest of a nested table
 * @nests: others may nest in it, where the host can do that
 * @views: while they do, what there is for them on the host; or NULL
 * @free_views: frees it: whether the host freed all of it
 * @children: how many tables nest in it
 * @partial: memory that came under its mappings was refused, or to unmap
 *           several at once, so they may hold less than there is
 */
typedef struct PviommuTable {
    PviommuHost host;
    PviommuIommufd *iommufd;
    uint32_t ioas;
    GArray *hwpts;
    GPtrArray *owner;
    const PviommuNestedOps *ops;
    struct PviommuNested *nested;
    bool nests;
    GPtrArray *views;
    bool (*free_views)(struct PviommuTable *table);
    unsigned children;
    bool partial;
} PviommuTable;

/**
 * pviommu_iommufd_probe - see whether the host has what tables need
 * @backend: the object; not necessarily opened yet
 * @errp: what is missing, and what to do
 *
 * Return: whether it has.
 */
bool pviommu_iommufd_probe(IOMMUFDBackend *backend, Error **errp);

/**
 * pviommu_iommufd_get - use an iommufd object
 * @list: those in use
 * @backend: the object
 * @errp: why it cannot be opened
 *
 * Return: the entry of @list, to be given to pviommu_iommufd_put(); NULL on
 * failure.
 */
PviommuIommufd *pviommu_iommufd_get(PviommuIommufdList *list,
                                    IOMMUFDBackend *backend, Error **errp);

/**
 * pviommu_iommufd_put - the opposite of pviommu_iommufd_get()
 * @iommufd: the object; its tables were freed if this is its last user
 */
void pviommu_iommufd_put(PviommuIommufd *iommufd);

/**
 * pviommu_iommufd_ranges - the addresses that a device's host can translate
 * @iommufd: the object that @device belongs to
 * @device: the device, on QEMU's table, to which it returns
 * @ranges: where to put a list of Range, in order, owned by the caller
 * @errp: what the host refused
 *
 * Return: whether it could be found out.
 */
bool pviommu_iommufd_ranges(PviommuIommufd *iommufd, VFIODevice *device,
                            GList **ranges, Error **errp);

/**
 * pviommu_table_new - make an empty table
 * @iommufd: what to make it of
 * @device: who is to be moved there first; not moved yet
 * @nests: tables of the guest's may nest in it, where the host can do that
 * @table: where to put it, owned by the caller
 *
 * The kernel pins memory and gives its verdict on a mapping only where there
 * is an HWPT, so one is made for @device unless that is an mdev.
 *
 * Return: 0, or a negative errno; @table is then as it was.
 */
int pviommu_table_new(PviommuIommufd *iommufd, const VFIODevice *device,
                      bool nests, PviommuTable **table);

/**
 * pviommu_table_free - free a table and all that is mapped
 * @table: the table, with no device on it and none nested in it
 */
void pviommu_table_free(PviommuTable *table);

/**
 * pviommu_table_ranges - the addresses that a table can translate
 * @table: the table, not a nested one
 * @ranges: list of Range, in order, to which they are added; owned by the
 *          caller
 *
 * Return: 0, or a negative errno.
 */
int pviommu_table_ranges(const PviommuTable *table, GList **ranges);

/**
 * pviommu_table_prepare - before devices of one host group move to a table
 * @table: the table
 * @device: each of them
 *
 * Return: 0, or a negative errno: it cannot move there.
 */
int pviommu_table_prepare(PviommuTable *table, const VFIODevice *device);

/**
 * pviommu_table_attach - move a device to a table
 * @table: the table
 * @device: the device; the rest of its host group moves with it
 *
 * Replaces what the device had in one step (VFIO_DEVICE_ATTACH_IOMMUFD_PT).
 *
 * Return: 0, or a negative errno; then the device is where it was.
 */
int pviommu_table_attach(PviommuTable *table, const VFIODevice *device);

/**
 * pviommu_table_leave - move a device back to QEMU's table
 * @device: the device
 *
 * If the host does not do that, the device is detached from its table.
 *
 * Return: 0, or a negative errno when the host did neither.
 */
int pviommu_table_leave(const VFIODevice *device);

#endif /* PVIOMMU_IOMMUFD_H */
