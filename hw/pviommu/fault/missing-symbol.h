/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * For the tests: a function that no QEMU has, and one that uses it
 */
#ifndef PVIOMMU_FAULT_MISSING_SYMBOL_H
#define PVIOMMU_FAULT_MISSING_SYMBOL_H

/**
 * pviommu_no_such_qemu_function() - declared, and defined nowhere
 */
void pviommu_no_such_qemu_function(void);

/**
 * pviommu_fault_use() - make the library need it; never called
 */
void pviommu_fault_use(void);

#endif /* PVIOMMU_FAULT_MISSING_SYMBOL_H */
