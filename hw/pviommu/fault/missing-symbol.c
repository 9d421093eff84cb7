/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * For the tests: a use of a function that no QEMU has
 */
#include "qemu/osdep.h"
#include "missing-symbol.h"

void pviommu_fault_use(void)
{
    pviommu_no_such_qemu_function();
}
