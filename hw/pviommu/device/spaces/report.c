/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu: what the operator is told of a space that the host refused
 */
#include "qemu/osdep.h"

#include <sys/resource.h>

#include "qemu/error-report.h"
#include "spaces/spaces.h"

char *pviommu_space_name(PviommuSpace *space)
{
    g_autofree char *vfio = space->ops->devices(space);
    PviommuBusEndpoint *e = pviommu_endpoint_first(space, NULL);
    uint32_t id = pviommu_space_endpoint_id(space);

    if (!e && vfio) {
        return g_steal_pointer(&vfio);      /* it is being plugged */
    }
    return g_strdup_printf("endpoint 0x%x%s%s%s%s%s", id, e ? " (" : "",
                           e ? object_get_typename(OBJECT(e->dev)) : "",
                           vfio ? " " : "", vfio ?: "", e ? ")" : "");
}

static const char *advice(int err)
{
    switch (err) {
    case ENOMEM:
        return "raise the limit of locked memory (ulimit -l, or libvirt's "
               "hard_limit) or give the host more memory";
    case ENOSPC:
        return "raise the parameter dma_entry_limit of the host's module "
               "vfio_iommu_type1, or make the guest map larger pieces";
    case EINVAL:
    case EFAULT:
        return "the host's IOMMU does not take such an address or size";
    case EADDRINUSE:
        return "the host reserves addresses that are mapped";
    default:
        return "the host's kernel log may say why";
    }
}

void pviommu_space_refused(PviommuSpace *space, const char *what, int err)
{
    g_autofree char *name = NULL;
    g_autofree char *now = NULL;
    struct rlimit limit;
    uint64_t bit = 1ULL << (err & 63);

    space->device->counters.host_refusals++;
    if (space->errnos_told & bit) {
        return;
    }
    space->errnos_told |= bit;
    name = pviommu_space_name(space);
    if (err == ENOMEM && !getrlimit(RLIMIT_MEMLOCK, &limit) &&
        limit.rlim_cur != RLIM_INFINITY) {
        now = g_strdup_printf(" (the limit is %" PRIu64 " KiB)",
                              (uint64_t)limit.rlim_cur / 1024);
    }
    error_report("pviommu: %s: the host refused %s: %s; %s%s", name, what,
                 strerror(err), advice(err), now ?: "");
}
