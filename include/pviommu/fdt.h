/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu: what a device tree says of an IOMMU
 *
 * The bindings are those of Linux, in Documentation/devicetree/bindings:
 * virtio/pci-iommu.yaml, virtio/mmio.yaml, virtio/iommu.txt,
 * pci/pci-iommu.txt, iommu/iommu.txt.  Needs libfdt and no more, so that it
 * can be tested alone.
 */
#ifndef PVIOMMU_FDT_H
#define PVIOMMU_FDT_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

/**
 * struct PviommuIdRange - requester ids of PCI that are behind the IOMMU
 * @first: the first; the endpoint's id is the same
 * @last: the last, inclusive
 */
typedef struct PviommuIdRange {
    uint16_t first;
    uint16_t last;
} PviommuIdRange;

/**
 * struct PviommuFdtSlot - a virtio-mmio device that is behind the IOMMU
 * @address: guest-physical address of its registers
 * @id: the endpoint's id
 */
typedef struct PviommuFdtSlot {
    uint64_t address;
    uint32_t id;
} PviommuFdtSlot;

/**
 * struct PviommuFdtIommu - an IOMMU and what is behind it
 * @phandle: a phandle that no node has
 * @is_pci: it is a PCI function, else a virtio-mmio device
 * @requester: requester id of the function
 * @address: guest-physical address of the registers of the other
 * @bridge: path of the node of the PCI host bridge that holds the function
 *          and those behind the IOMMU; NULL if there is none
 * @ranges: of PviommuIdRange, those behind @bridge
 * @slots: of PviommuFdtSlot
 */
typedef struct PviommuFdtIommu {
    uint32_t phandle;
    bool is_pci;
    uint16_t requester;
    uint64_t address;
    const char *bridge;
    const GArray *ranges;
    const GArray *slots;
} PviommuFdtIommu;

/**
 * pviommu_fdt_next_bridge - walk the PCI host bridges of a tree
 * @fdt: the tree
 * @node: offset of the one before, or -1 for the first
 * @address: set to the address of its configuration space
 *
 * Return: the node's offset, or a negative number at the end.
 */
int pviommu_fdt_next_bridge(const void *fdt, int node, uint64_t *address);

/**
 * pviommu_fdt_knows - whether a tree has the nodes that are to be changed
 * @fdt: the tree
 * @iommu: the IOMMU
 *
 * Return: false if there is none for the bridge, the IOMMU's slot or an
 * endpoint's.
 */
bool pviommu_fdt_knows(const void *fdt, const PviommuFdtIommu *iommu);

/**
 * pviommu_fdt_add - put an IOMMU in a tree
 * @fdt: the tree, with room to grow; pviommu_fdt_knows() was true of it
 * @iommu: the IOMMU
 *
 * Return: NULL, or why it cannot be done, owned by the caller; the tree may
 * have been changed in part then.
 */
char *pviommu_fdt_add(void *fdt, const PviommuFdtIommu *iommu);

#endif /* PVIOMMU_FDT_H */
