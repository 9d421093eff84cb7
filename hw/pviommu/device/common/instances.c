/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu: all IOMMUs of the machine, in the order in which they were made
 */
#include "qemu/osdep.h"

#include "qemu/main-loop.h"
#include "common/common.h"

static QTAILQ_HEAD(, PviommuDevice) all = QTAILQ_HEAD_INITIALIZER(all);

PviommuDevice *pviommu_next(const PviommuDevice *s)
{
    g_assert(bql_locked());
    return s ? QTAILQ_NEXT(s, next) : QTAILQ_FIRST(&all);
}

void pviommu_instance_add(PviommuDevice *s)
{
    QTAILQ_INSERT_TAIL(&all, s, next);
}

void pviommu_instance_remove(PviommuDevice *s)
{
    QTAILQ_REMOVE(&all, s, next);
}
