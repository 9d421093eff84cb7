/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu: all receivers of one address space as one
 */
#include "qemu/osdep.h"

#include "qapi/error.h"
#include "pviommu/host.h"

typedef struct Receiver {
    const PviommuReceiverOps *ops;
    void *receiver;
} Receiver;

static Receiver receiver_of(const PviommuHost *host, IOMMUNotifier *notifier)
{
    VFIOContainerBase *container = pviommu_container_find(host->as, notifier);

    if (container) {
        return (Receiver) { &pviommu_container_ops, container };
    }
    return (Receiver) { &pviommu_notifier_ops, notifier };
}

/* Take back on the receivers before @end what was done there */
static int undo(PviommuHost *host, const IOMMUNotifier *end,
                const PviommuMapping *mapping, bool mapped, int ret)
{
    IOMMUNotifier *n;

    IOMMU_NOTIFIER_FOREACH(n, host->mr) {
        Receiver r;

        if (n == end) {
            break;
        }
        r = receiver_of(host, n);
        if (mapped ? r.ops->unmap(r.receiver, mapping)
                   : r.ops->map(r.receiver, mapping, NULL)) {
            ret = PVIOMMU_HOST_LOST;
        }
    }
    return ret;
}

int pviommu_host_map(PviommuHost *host, const PviommuMapping *mapping,
                     const MemoryRegionSection *section)
{
    IOMMUNotifier *n;

    IOMMU_NOTIFIER_FOREACH(n, host->mr) {
        Receiver r = receiver_of(host, n);
        int ret = r.ops->map(r.receiver, mapping, section);

        if (ret) {
            PviommuMapping part = *mapping;

            /* Without a part in @section nobody mapped anything */
            if (!section || pviommu_pieces_clip(mapping, section, &part)) {
                ret = undo(host, n, &part, true, ret);
            }
            return ret;
        }
    }
    return 0;
}

int pviommu_host_unmap(PviommuHost *host, const PviommuMapping *mapping)
{
    IOMMUNotifier *n;

    IOMMU_NOTIFIER_FOREACH(n, host->mr) {
        Receiver r = receiver_of(host, n);
        int ret = r.ops->unmap(r.receiver, mapping);

        if (ret) {
            return undo(host, n, mapping, false, ret);
        }
    }
    return 0;
}

int pviommu_host_clear(PviommuHost *host)
{
    IOMMUNotifier *n;
    int first_error = 0;

    IOMMU_NOTIFIER_FOREACH(n, host->mr) {
        Receiver r = receiver_of(host, n);
        int ret = r.ops->clear(r.receiver);

        if (ret && !first_error) {
            first_error = ret;
        }
    }
    return first_error;
}

static int fill(Receiver r, const PviommuMappings *set)
{
    PviommuMappingIter iter = { 0 };
    PviommuMapping mapping;
    int ret = 0;

    while (!ret &&
           pviommu_mappings_next(set, &iter, UINT64_MAX, &mapping)) {
        ret = r.ops->map(r.receiver, &mapping, NULL);
    }
    return ret;
}

int pviommu_host_fill(PviommuHost *host, const PviommuMappings *set)
{
    IOMMUNotifier *n;
    int ret = 0;

    IOMMU_NOTIFIER_FOREACH(n, host->mr) {
        ret = fill(receiver_of(host, n), set);
        if (ret) {
            break;
        }
    }
    return ret;
}

void pviommu_host_replay(PviommuHost *host, IOMMUNotifier *notifier,
                         const PviommuMappings *set)
{
    Receiver r;
    int ret;

    if (host->switching) {
        return;
    }
    r = receiver_of(host, notifier);
    ret = fill(r, set);
    if (ret && r.ops == &pviommu_container_ops) {
        VFIOContainerBase *container = r.receiver;

        if (!container->initialized && !container->error) {
            error_setg_errno(&container->error, -ret,
                             "pviommu: the host refused the mappings of the "
                             "domain that the device joins");
        }
    }
}

bool pviommu_host_idle(const PviommuHost *host)
{
    return QLIST_EMPTY(&host->mr->iommu_notify);
}

static bool lower_guard(VFIOContainerBase *container, void *opaque)
{
    container->initialized = false;
    return true;
}

static bool raise_guard(VFIOContainerBase *container, void *opaque)
{
    Error **errp = opaque;

    container->initialized = true;
    if (container->error) {
        if (*errp) {
            error_free(container->error);
        } else {
            *errp = container->error;
        }
        container->error = NULL;
    }
    return true;
}

bool pviommu_host_guard(PviommuHost *host, void (*change)(void *opaque),
                        void *opaque, Error **errp)
{
    Error *error = NULL;

    pviommu_container_foreach(host->as, lower_guard, NULL);
    change(opaque);
    pviommu_container_foreach(host->as, raise_guard, &error);
    if (error) {
        error_propagate(errp, error);
        return false;
    }
    return true;
}

typedef struct Names {
    GString *names;
    bool container;
} Names;

static bool add_names(VFIOContainerBase *container, void *opaque)
{
    Names *names = opaque;
    VFIODevice *device;

    names->container = true;
    QLIST_FOREACH(device, &container->device_list, container_next) {
        g_string_append_printf(names->names, "%s%s",
                               names->names->len ? "," : "", device->name);
    }
    return true;
}

const char *pviommu_host_path(PviommuHost *host)
{
    Names names = { .names = g_string_new(NULL) };
    IOMMUNotifier *n;

    pviommu_container_foreach(host->as, add_names, &names);
    g_string_free(names.names, TRUE);
    if (names.container) {
        return pviommu_container_ops.name;
    }
    IOMMU_NOTIFIER_FOREACH(n, host->mr) {
        return pviommu_notifier_ops.name;
    }
    return "none";
}

char *pviommu_host_device_name(PviommuHost *host)
{
    Names names = { .names = g_string_new(NULL) };

    pviommu_container_foreach(host->as, add_names, &names);
    return g_string_free(names.names, names.names->len == 0);
}
