/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu: what there is on the host, for whoever wants to know
 */
#include "qemu/osdep.h"

#include <sys/resource.h>

#include "qemu/units.h"
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

/* A line of /proc/self/status that has KiB, in bytes */
static bool read_line(const char *status, const char *begins,
                      uint64_t *bytes)
{
    const char *line = strstr(status, begins);

    if (line) {
        *bytes = g_ascii_strtoull(line + strlen(begins), NULL, 10) * KiB;
    }
    return line;
}

bool pviommu_host_memory_read(PviommuHostMemory *memory)
{
    g_autofree char *status = NULL;
    struct rlimit limit;

    if (!g_file_get_contents("/proc/self/status", &status, NULL, NULL) ||
        !read_line(status, "\nVmPin:", &memory->pinned) ||
        !read_line(status, "\nVmLck:", &memory->locked) ||
        getrlimit(RLIMIT_MEMLOCK, &limit)) {
        return false;
    }
    memory->limit = limit.rlim_cur == RLIM_INFINITY ? UINT64_MAX
                                                    : limit.rlim_cur;
    return true;
}
