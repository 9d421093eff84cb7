/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu: what there is on the host, for whoever wants to know
 */
#include "qemu/osdep.h"

#include "spaces/spaces.h"

typedef struct Walk {
    PviommuTableFunc *func;
    void *opaque;
} Walk;

static void walk_domain(PviommuDomain *domain, void *opaque)
{
    const GPtrArray *tables = pviommu_domain_opaque(domain);
    const Walk *walk = opaque;

    for (unsigned i = 0; tables && i < tables->len; i++) {
        walk->func(g_ptr_array_index(tables, i), domain, walk->opaque);
    }
}

void pviommu_tables_foreach(PviommuDevice *s, PviommuTableFunc *func,
                            void *opaque)
{
    PviommuIommufd *iommufd;

    QLIST_FOREACH(iommufd, &s->iommufds, next) {
        if (iommufd->bypass) {
            func(iommufd->bypass, NULL, opaque);
        }
    }
    pviommu_iommu_foreach_domain(s->iommu, walk_domain,
                                 &(Walk) { func, opaque });
}
