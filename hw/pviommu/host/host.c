/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu: all receivers of one address space, or a host page table, as one
 */
#include "qemu/osdep.h"

#include "qapi/error.h"
#include "qemu/main-loop.h"
#include "pviommu/iommufd.h"

/* A receiver; with all zeros, the place before the first */
typedef struct Receiver {
    const PviommuReceiverOps *ops;
    void *receiver;
    IOMMUNotifier *notifier;
} Receiver;

static Receiver receiver_of(const PviommuHost *host, IOMMUNotifier *notifier)
{
    PviommuVfioContainer *container = NULL;

    /* VFIO asks for mappings (vfio_listener_region_add()), vhost does not */
    if (!host->events_only &&
        notifier->notifier_flags & IOMMU_NOTIFIER_MAP) {
        container = pviommu_container_find(host->as, notifier);
    }
    if (container) {
        return (Receiver) { &pviommu_container_ops, container, notifier };
    }
    return (Receiver) { &pviommu_notifier_ops, notifier, notifier };
}

static bool next_receiver(const PviommuHost *host, Receiver *r)
{
    IOMMUNotifier *n;

    if (host->table) {
        if (r->ops) {
            return false;
        }
        *r = (Receiver) { &pviommu_table_ops, host->table, NULL };
        return true;
    }
    g_assert(bql_locked());
    n = r->ops ? QLIST_NEXT(r->notifier, node)
               : QLIST_FIRST(&host->mr->iommu_notify);
    if (n) {
        *r = receiver_of(host, n);
    }
    return n;
}

typedef struct MapWalk {
    const Receiver *r;
    const PviommuMapping *mapping;
    PviommuMapping done;    /* from the first mapped piece to the last */
    bool any;
} MapWalk;

static int map_piece(const PviommuPiece *piece, void *opaque)
{
    MapWalk *walk = opaque;
    int ret = walk->r->ops->map(walk->r->receiver, piece);

    if (ret && memory_region_is_ram_device(piece->mr)) {
        /* Where RAM was asked for, a BAR is a courtesy (R-MAP-12) */
        return walk->mapping->flags & PVIOMMU_MAP_F_MMIO ? -EIO : 0;
    }
    if (!ret) {
        if (!walk->any) {
            walk->done.first = piece->iova;
            walk->done.phys = piece->phys;
        }
        walk->done.last = piece->iova + (piece->size - 1);
        walk->any = true;
    }
    return ret;
}

static int receiver_map(const Receiver *r, const PviommuMapping *mapping,
                        const MemoryRegionSection *section)
{
    MapWalk walk = { .r = r, .mapping = mapping, .done = *mapping };
    int ret;

    if (r->ops == &pviommu_notifier_ops &&
        !(r->notifier->notifier_flags & IOMMU_NOTIFIER_MAP)) {
        return 0;
    }
    ret = pviommu_pieces_foreach(mapping, section, map_piece, &walk);
    if (ret && walk.any && r->ops->unmap(r->receiver, &walk.done, NULL)) {
        return PVIOMMU_HOST_LOST;
    }
    return ret;
}

/* Take back on the receivers before @end what was done there */
static int undo(PviommuHost *host, const Receiver *end,
                const PviommuMapping *mapping, bool mapped, int ret)
{
    Receiver r = { 0 };

    while (next_receiver(host, &r) && r.notifier != end->notifier) {
        if (mapped ? r.ops->unmap(r.receiver, mapping, NULL)
                   : receiver_map(&r, mapping, NULL)) {
            ret = PVIOMMU_HOST_LOST;
        }
    }
    return ret;
}

int pviommu_host_map(PviommuHost *host, const PviommuMapping *mapping,
                     const MemoryRegionSection *section)
{
    Receiver r = { 0 };

    while (next_receiver(host, &r)) {
        int ret = receiver_map(&r, mapping, section);

        if (ret) {
            PviommuMapping part = *mapping;

            if (host->table && section) {
                host->table->partial = true;
            }
            /* Without a part in @section nobody mapped anything */
            if (!section || pviommu_pieces_clip(mapping, section, &part)) {
                ret = undo(host, &r, &part, true, ret);
            }
            return ret;
        }
    }
    return 0;
}

static int count(const PviommuPiece *piece, void *opaque)
{
    unsigned *pieces = opaque;

    return ++*pieces > 1;
}

int pviommu_host_unmap(PviommuHost *host, const PviommuMapping *mapping)
{
    Receiver r = { 0 };

    while (next_receiver(host, &r)) {
        int ret = r.ops->unmap(r.receiver, mapping, NULL);

        if (ret) {
            unsigned pieces = 0;

            /* Of several, the first may be gone though the last does not go */
            if (pviommu_pieces_foreach(mapping, NULL, count, &pieces)) {
                ret = PVIOMMU_HOST_LOST;
            }
            return undo(host, &r, mapping, false, ret);
        }
    }
    return 0;
}

/* Whether there are several, and what they span */
static bool span_hidden(const PviommuMappings *set, PviommuMapping *span)
{
    PviommuMappingIter iter = { 0 };
    PviommuMapping m;
    bool several = false;

    if (!pviommu_mappings_next_hidden(set, &iter, span)) {
        return false;
    }
    while (pviommu_mappings_next_hidden(set, &iter, &m)) {
        span->last = m.last;
        several = true;
    }
    return several;
}

bool pviommu_host_unmap_hidden(PviommuHost *host, const PviommuMappings *set)
{
    PviommuMapping span;
    Receiver r = { 0 }, other;

    if (!span_hidden(set, &span)) {
        return false;
    }
    if (!next_receiver(host, &r)) {
        return true;
    }
    /* What the first has lost could not be put back if another refuses */
    other = r;
    return !next_receiver(host, &other) &&
           !r.ops->unmap(r.receiver, &span, set);
}

int pviommu_host_clear(PviommuHost *host)
{
    Receiver r = { 0 };
    int first_error = 0;

    while (next_receiver(host, &r)) {
        int ret = r.ops->clear(r.receiver);

        first_error = first_error ?: ret;
    }
    return first_error;
}

static int fill(const Receiver *r, const PviommuMappings *set)
{
    PviommuMappingIter iter = { 0 };
    PviommuMapping mapping;
    int ret = 0;

    while (!ret &&
           pviommu_mappings_next(set, &iter, UINT64_MAX, &mapping)) {
        ret = receiver_map(r, &mapping, NULL);
    }
    return ret;
}

int pviommu_host_fill(PviommuHost *host, const PviommuMappings *set)
{
    Receiver r = { 0 };
    int ret = 0;

    while (!ret && next_receiver(host, &r)) {
        ret = fill(&r, set);
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
    /*
     * A MAP that a thread had to leave may have come to it already, as it is
     * ended by who holds the device next, and VFIO registers before it asks
     */
    ret = r.ops == &pviommu_container_ops ? r.ops->clear(r.receiver) : 0;
    ret = ret ?: fill(&r, set);
    if (ret) {
        Error *err = NULL;

        error_setg_errno(&err, -ret, "pviommu: the host refused the mappings "
                         "of the domain that the device joins");
        pviommu_host_refuse(host, notifier, err);
    }
}

bool pviommu_host_refuse(const PviommuHost *host,
                         const IOMMUNotifier *notifier, Error *err)
{
    PviommuVfioContainer *container = pviommu_container_find(host->as,
                                                             notifier);

    if (!container || container->initialized || container->error) {
        error_free(err);
        return false;
    }
    container->error = err;
    return true;
}

bool pviommu_host_idle(const PviommuHost *host)
{
    return !qatomic_read(&host->mr->iommu_notify.lh_first);
}

static bool note(PviommuVfioContainer *container, void *opaque)
{
    bool *there = opaque;

    *there = true;
    return false;
}

bool pviommu_host_wants_maps(const PviommuHost *host)
{
    bool container = false;
    IOMMUNotifier *n;

    g_assert(bql_locked());
    /* in bypass a container has no notifier yet */
    pviommu_container_foreach(host->as, note, &container);
    if (container) {
        return true;
    }
    IOMMU_NOTIFIER_FOREACH(n, host->mr) {
        if (n->notifier_flags & IOMMU_NOTIFIER_MAP) {
            return true;
        }
    }
    return false;
}

int pviommu_host_invalidate(PviommuHost *host, const PviommuMapping *range)
{
    Receiver r = { 0 };
    int first_error = 0;

    while (next_receiver(host, &r)) {
        if (r.ops->invalidate) {
            int ret = r.ops->invalidate(r.receiver, range);

            first_error = first_error ?: ret;
        }
    }
    return first_error;
}

/* One that VFIO sets up now is VFIO's: it reads the error itself */
static bool guard(PviommuVfioContainer *container, void *opaque)
{
    PviommuHost *host = opaque;

    if (container->initialized) {
        container->initialized = false;
        host->guarded = g_slist_prepend(host->guarded, container);
    }
    return true;
}

void pviommu_host_guard(PviommuHost *host)
{
    pviommu_container_foreach(host->as, guard, host);
}

typedef struct Verdict {
    PviommuHost *host;
    int error;
} Verdict;

/* VFIO's listener keeps no number but in its words: "...) = -12 (...)" */
static int errno_of(const Error *error)
{
    const char *at = g_strrstr(error_get_pretty(error), ") = -");

    return -((at ? atoi(at + strlen(") = -")) : 0) ?: ENOMEM);
}

static bool unguard(PviommuVfioContainer *container, void *opaque)
{
    Verdict *verdict = opaque;

    if (!g_slist_find(verdict->host->guarded, container)) {
        return true;
    }
    container->initialized = true;
    if (container->error) {
        verdict->error = verdict->error ?: errno_of(container->error);
        error_free(container->error);
        container->error = NULL;
    }
    return true;
}

int pviommu_host_unguard(PviommuHost *host)
{
    Verdict verdict = { .host = host };

    pviommu_container_foreach(host->as, unguard, &verdict);
    g_slist_free(g_steal_pointer(&host->guarded));
    return verdict.error;
}

static bool empty(PviommuVfioContainer *container, void *opaque)
{
    int *first_error = opaque;
    int ret = pviommu_container_ops.clear(container);

    *first_error = *first_error ?: ret;
    return true;
}

int pviommu_host_empty(PviommuHost *host)
{
    int first_error = 0;

    pviommu_container_foreach(host->as, empty, &first_error);
    return first_error;
}

typedef struct Names {
    GString *names;
    bool container;
} Names;

static bool add_names(PviommuVfioContainer *container, void *opaque)
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
    if (names.container && !host->events_only) {
        return pviommu_container_ops.name;
    } else if (names.container) {
        return pviommu_notifier_ops.name;
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
