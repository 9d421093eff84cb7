/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu: reserved regions of IOVA, as PROBE tells them
 *
 * A sorted list of disjoint closed intervals.  Lists are made while devices
 * are plugged, by the host's side, never from guest input, so allocation
 * failure ends the program as in all of GLib.
 *
 * Locking: none inside; the caller serialises changes against readers.
 */
#ifndef PVIOMMU_REGIONS_H
#define PVIOMMU_REGIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * enum PviommuRegionType - subtype of a RESV_MEM property, as on the wire
 * @PVIOMMU_REGION_RESERVED: accesses fault
 * @PVIOMMU_REGION_MSI: writes reach the interrupt controller untranslated
 */
typedef enum PviommuRegionType {
    PVIOMMU_REGION_RESERVED = 0,
    PVIOMMU_REGION_MSI = 1,
} PviommuRegionType;

/**
 * struct PviommuRegion - one reserved region
 * @first: first IOVA
 * @last: last IOVA, inclusive, not below @first
 * @type: what it is for
 */
typedef struct PviommuRegion {
    uint64_t first;
    uint64_t last;
    PviommuRegionType type;
} PviommuRegion;

typedef struct PviommuRegions PviommuRegions;

/**
 * pviommu_regions_new - make an empty list
 *
 * Return: the list, owned by the caller.
 */
PviommuRegions *pviommu_regions_new(void);

/**
 * pviommu_regions_free - free a list
 * @list: the list; NULL is allowed
 */
void pviommu_regions_free(PviommuRegions *list);

/**
 * pviommu_regions_copy - copy a list
 * @list: the list
 *
 * Return: the copy, owned by the caller.
 */
PviommuRegions *pviommu_regions_copy(const PviommuRegions *list);

/**
 * pviommu_regions_add - add a region
 * @list: the list
 * @region: what to add, copied
 *
 * Where regions overlap, MSI wins over RESERVED, whichever was there first,
 * and otherwise @region over what was there; the loser is cut or split around
 * the winner.  So a list to which one MSI region was added holds it whole.
 */
void pviommu_regions_add(PviommuRegions *list, const PviommuRegion *region);

/**
 * pviommu_regions_fit - make the list short enough for PROBE
 * @list: the list
 * @count: the most regions that it may hold, 1 or more (section "Property
 *         RESV_MEM": probe_size / 24)
 *
 * Joins the RESERVED neighbours with the narrowest gap, again and again.
 * Reserves more, never less; an MSI region is never joined nor covered.
 *
 * Return: true, or false when MSI regions leave too many; then the list is
 * as short as it gets.
 */
bool pviommu_regions_fit(PviommuRegions *list, size_t count);

/**
 * pviommu_regions_count - how many regions a list holds
 * @list: the list; NULL counts as empty
 *
 * Return: the number.
 */
size_t pviommu_regions_count(const PviommuRegions *list);

/**
 * pviommu_regions_get - the n-th region, in order of IOVA
 * @list: the list
 * @index: 0 to count - 1
 *
 * Return: the region, valid until the list changes.
 */
const PviommuRegion *pviommu_regions_get(const PviommuRegions *list,
                                         size_t index);

/**
 * pviommu_regions_find - the lowest region that touches a range
 * @list: the list; NULL counts as empty
 * @first: first IOVA
 * @last: last IOVA, inclusive, not below @first
 *
 * Return: the region, valid until the list changes, or NULL.
 */
const PviommuRegion *pviommu_regions_find(const PviommuRegions *list,
                                          uint64_t first, uint64_t last);

/**
 * pviommu_regions_encode - write a list as properties of PROBE
 * @list: the list; NULL counts as empty
 * @properties: where to; wholly overwritten, the rest with zeros
 * @size: bytes there
 *
 * MSI regions come first, so that a driver that stops early has them.
 * Section "Property RESV_MEM".
 *
 * Return: true, or false when @size is too small; then all of @properties is
 * zero.
 */
bool pviommu_regions_encode(const PviommuRegions *list, void *properties,
                            size_t size);

#endif /* PVIOMMU_REGIONS_H */
