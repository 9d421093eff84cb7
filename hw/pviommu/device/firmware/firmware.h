/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu: how boards are told of the IOMMU, and they the guest
 *
 * By the ACPI table VIOT or by a device tree; and what boards have that the
 * IOMMU must know.  Each function here is called with the big lock held.
 * What cannot be told to the guest is warned of; what must not be is an
 * error that ends QEMU at start, with the reason.
 */
#ifndef PVIOMMU_DEVICE_FIRMWARE_H
#define PVIOMMU_DEVICE_FIRMWARE_H

#include "common/common.h"
#include "pviommu/fdt.h"

/**
 * pviommu_publish_init - wait for the board to be done
 *
 * To be called once, before there is a board.
 */
void pviommu_publish_init(void);

/**
 * pviommu_publish - tell the guest of an IOMMU and of what is behind it
 * @s: the IOMMU
 *
 * To be called when all devices of the command line exist, before the board
 * hands its tables or its tree over.
 */
void pviommu_publish(PviommuDevice *s);

/**
 * pviommu_viot_build - write the ACPI table VIOT
 *
 * Return: the table of all IOMMUs of the machine, owned by the caller.
 * Specification: ACPI 6.5, and the VIOT it refers to.
 */
GByteArray *pviommu_viot_build(void);

/**
 * pviommu_viot_publish - give a PC our table as if the user had
 * @s: the IOMMU; only for the first one something is done
 *
 * Return: false if the board shows no tables of users.
 */
bool pviommu_viot_publish(PviommuDevice *s);

/**
 * pviommu_viot_refresh - write a published table anew
 *
 * To be called whenever the board builds its tables: bus numbers may be
 * others.  Does nothing where none was published.
 */
void pviommu_viot_refresh(void);

/**
 * pviommu_armvirt_publish - have Arm's virt board write its VIOT
 * @s: an IOMMU
 *
 * Return: whether firmware will hand over ACPI tables that do not say all of
 * it; false on other boards.
 */
bool pviommu_armvirt_publish(PviommuDevice *s);

/**
 * pviommu_microvm_add_table - put a table among those of the board microvm
 * @table: an ACPI table; copied
 *
 * Return: false if the board has no ACPI tables.
 */
bool pviommu_microvm_add_table(const GByteArray *table);

/**
 * pviommu_ranges_new - say which requester ids may be behind an IOMMU
 * @s: the IOMMU
 *
 * Return: an array of PviommuIdRange, in order; the caller drops it with
 * g_array_unref().
 */
GArray *pviommu_ranges_new(const PviommuDevice *s);

/**
 * pviommu_ranges_to_come - bound the ranges that bus numbers may add
 *
 * Return: how many ranges more there may be, for all IOMMUs together, once
 * the guest has numbered its buses.
 */
unsigned pviommu_ranges_to_come(void);

/**
 * pviommu_msi_region - find where the machine takes interrupts
 * @region: where to put that window, of type MSI
 *
 * Return: false if the machine has none that we know of.
 */
bool pviommu_msi_region(PviommuRegion *region);

#endif /* PVIOMMU_DEVICE_FIRMWARE_H */
