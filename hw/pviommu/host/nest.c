/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu: page tables of the guest's that an SMMUv3 of the host walks
 *
 * Sources: include/uapi/linux/iommufd.h, and of Linux 7.3
 * drivers/iommu/arm/arm-smmu-v3/arm-smmu-v3-iommufd.c.
 *
 * A nest is the guest's view of one SMMU: a vIOMMU on an HWPT of the parent,
 * with a vDEVICE for each device and a queue of events.  A table that nests
 * there is a context descriptor, which the SMMU reads through the parent: all
 * of them are in a few pages of QEMU's own, at the end of the parent's
 * addresses.  A device may reach them there by its guest's table, but only to
 * read what the guest said itself.
 */
#include "qemu/osdep.h"

#include <glib-unix.h>

#include "qapi/error.h"
#include "qemu/main-loop.h"
#include "qemu/range.h"
#include "pviommu/nest.h"
#include "call.h"
#include "smmuv3.h"

/* Events that wait in the host's kernel; more are counted there and lost */
#define EVENTS_MAX 64

/**
 * struct NestDevice - a device of a nest
 * @device: the device, whose number in the nest is its place in the list;
 *          NULL when it has left
 * @vdevice: its vDEVICE; 0 for a place that is free
 */
typedef struct NestDevice {
    const VFIODevice *device;
    uint32_t vdevice;
} NestDevice;

/**
 * struct PviommuNest - the guest's view of one SMMU
 * @parent: the table, with one of whose HWPTs it is
 * @viommu: its vIOMMU
 * @events: its vEVENTQ
 * @events_fd: where that is read; -1 where Linux has none (before 6.15)
 * @devices: NestDevice
 * @descriptors: one for each ASID, in pages of their own
 * @base: where the SMMU finds them
 * @used: which of them are
 */
typedef struct PviommuNest {
    PviommuTable *parent;
    uint32_t viommu;
    uint32_t events;
    int events_fd;
    GArray *devices;
    uint64_t *descriptors;
    uint64_t base;
    bool used[PVIOMMU_SMMU_ASIDS];
} PviommuNest;

/**
 * struct Stage - a table in one nest
 * @nest: the nest
 * @slot: its context descriptor, and its ASID
 * @hwpt: the HWPT that devices are on
 */
typedef struct Stage {
    PviommuNest *nest;
    unsigned slot;
    uint32_t hwpt;
} Stage;

/**
 * struct PviommuNested - what a nested table has beyond the base
 * @parent: the parent
 * @guest: the guest's table
 * @stages: Stage, one for each SMMU with a device on the table
 */
typedef struct PviommuNested {
    PviommuTable *parent;
    PviommuGuestTable guest;
    GArray *stages;
} PviommuNested;

static int alloc_viommu(int fd, uint32_t device, uint32_t hwpt,
                        uint32_t *viommu)
{
    struct iommu_viommu_alloc arg = {
        .size = sizeof(arg),
        .type = IOMMU_VIOMMU_TYPE_ARM_SMMUV3,
        .dev_id = device,
        .hwpt_id = hwpt,
    };
    int ret = pviommu_call(fd, IOMMU_VIOMMU_ALLOC, &arg);

    *viommu = arg.out_viommu_id;
    return ret;
}

/* --- what a host can do --- */

/* A parent, and a view of the SMMU on it */
static int try_nest(PviommuIommufd *iommufd, const VFIODevice *device)
{
    PviommuTable *parent;
    uint32_t viommu;
    int ret = pviommu_table_new(iommufd, device, true, &parent);

    if (ret) {
        return ret;
    }
    ret = alloc_viommu(iommufd->fd, device->devid,
                       g_array_index(parent->hwpts, uint32_t, 0), &viommu);
    if (!ret) {
        pviommu_destroy(iommufd->fd, viommu);
    }
    pviommu_table_free(parent);
    return ret;
}

uint32_t pviommu_nest_formats(PviommuIommufd *iommufd,
                              const VFIODevice *device, Error **errp)
{
    bool walks;
    int ret;

    if (device->mdev ||
        pviommu_smmu_walks_lpae(iommufd->fd, device->devid, &walks)) {
        error_setg(errp, "its IOMMU is not of a kind that can");
        return 0;
    }
    if (!walks) {
        error_setg(errp, "its SMMU does not walk tables of this kind");
        return 0;
    }
    ret = try_nest(iommufd, device);
    if (ret) {
        error_setg_errno(errp, -ret, "Linux or its SMMU has no second stage "
                         "for that (SMMU_IDR0.S2P, and S2FWB or IORT's "
                         "CANWBS)");
        return 0;
    }
    return 1u << PVIOMMU_FORMAT_ARM_LPAE;
}

/* --- context descriptors --- */

static uint64_t *descriptor(const PviommuNest *nest, unsigned slot)
{
    return nest->descriptors +
           slot * (PVIOMMU_SMMU_DESCRIPTOR / sizeof(uint64_t));
}

static size_t descriptors_size(void)
{
    return ROUND_UP(PVIOMMU_SMMU_ASIDS * PVIOMMU_SMMU_DESCRIPTOR,
                    qemu_real_host_page_size());
}

/* The last addresses that the parent translates; no guest's RAM is there */
static int place_descriptors(PviommuNest *nest)
{
    size_t size = descriptors_size();
    struct iommu_ioas_map map = {
        .size = sizeof(map),
        .flags = IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_READABLE,
        .ioas_id = nest->parent->ioas,
        .length = size,
    };
    GList *ranges = NULL;
    int ret = pviommu_table_ranges(nest->parent, &ranges);

    if (!ret) {
        Range *last = g_list_last(ranges)->data;
        uint64_t end = MIN(range_upb(last), MAKE_64BIT_MASK(0, 48));

        nest->base = ROUND_DOWN(end + 1, size) - size *
                     (1 + nest->parent->views->len);
        map.iova = nest->base;
        map.user_va = (uintptr_t)nest->descriptors;
        ret = pviommu_call(nest->parent->iommufd->fd, IOMMU_IOAS_MAP, &map);
    }
    g_list_free_full(ranges, g_free);
    return ret;
}

/* --- events --- */

static void report(const PviommuNest *nest, const PviommuSmmuEvent *event)
{
    PviommuIommufd *iommufd = nest->parent->iommufd;
    const NestDevice *d;

    if (event->device >= nest->devices->len) {
        return;
    }
    d = &g_array_index(nest->devices, NestDevice, event->device);
    if (d->device) {
        iommufd->fault(iommufd->opaque, d->device, event->address,
                       event->access, event->reason);
    }
}

/* A header without an event says that some were lost */
static void read_events(void *opaque)
{
    const PviommuNest *nest = opaque;
    struct {
        struct iommufd_vevent_header header;
        struct iommu_vevent_arm_smmuv3 event;
    } got;

    for (unsigned i = 0; i < EVENTS_MAX; i++) {
        ssize_t size = read(nest->events_fd, &got, sizeof(got));

        if (size < (ssize_t)sizeof(got.header)) {
            return;
        }
        if (size == sizeof(got) &&
            !(got.header.flags & IOMMU_VEVENTQ_FLAG_LOST_EVENTS)) {
            PviommuSmmuEvent event = pviommu_smmu_read_event(&got.event);

            report(nest, &event);
        }
    }
}

static void open_events(PviommuNest *nest)
{
    struct iommu_veventq_alloc arg = {
        .size = sizeof(arg),
        .viommu_id = nest->viommu,
        .type = IOMMU_VEVENTQ_TYPE_ARM_SMMUV3,
        .veventq_depth = EVENTS_MAX,
    };

    nest->events_fd = -1;
    if (pviommu_call(nest->parent->iommufd->fd, IOMMU_VEVENTQ_ALLOC, &arg)) {
        return;
    }
    nest->events = arg.out_veventq_id;
    nest->events_fd = arg.out_veventq_fd;
    g_unix_set_fd_nonblocking(nest->events_fd, true, NULL);
    qemu_set_fd_handler(nest->events_fd, read_events, NULL, nest);
}

static bool close_events(PviommuNest *nest)
{
    if (nest->events_fd < 0) {
        return true;
    }
    qemu_set_fd_handler(nest->events_fd, NULL, NULL, NULL);
    close(nest->events_fd);
    return !pviommu_destroy(nest->parent->iommufd->fd, nest->events);
}

/* --- nests and their devices --- */

static bool free_nest(PviommuNest *nest)
{
    int fd = nest->parent->iommufd->fd;
    bool freed = true;

    for (unsigned i = 0; i < nest->devices->len; i++) {
        uint32_t vdevice = g_array_index(nest->devices, NestDevice,
                                         i).vdevice;

        freed &= !vdevice || !pviommu_destroy(fd, vdevice);
    }
    freed &= close_events(nest);
    freed &= !pviommu_destroy(fd, nest->viommu);
    g_array_free(nest->devices, TRUE);
    /* pinned until the parent's IOAS is no more */
    munmap(nest->descriptors, descriptors_size());
    g_free(nest);
    return freed;
}

static bool free_nests(PviommuTable *parent)
{
    bool freed = true;

    for (unsigned i = 0; i < parent->views->len; i++) {
        freed &= free_nest(g_ptr_array_index(parent->views, i));
    }
    g_ptr_array_free(parent->views, TRUE);
    parent->views = NULL;
    return freed;
}

/* On the HWPT that suits the device: there is one for each kind of IOMMU */
static int view_smmu(PviommuTable *parent, const VFIODevice *device,
                     uint32_t *viommu)
{
    int fd = parent->iommufd->fd, ret = -EINVAL;

    for (unsigned i = 0; i < parent->hwpts->len && ret == -EINVAL; i++) {
        ret = alloc_viommu(fd, device->devid,
                           g_array_index(parent->hwpts, uint32_t, i), viommu);
    }
    if (ret != -EINVAL) {
        return ret;
    }
    ret = pviommu_table_add_hwpt(parent, device);
    if (!ret) {
        uint32_t last = parent->hwpts->len - 1;
        uint32_t hwpt = g_array_index(parent->hwpts, uint32_t, last);

        ret = alloc_viommu(fd, device->devid, hwpt, viommu);
        if (ret) {
            pviommu_destroy(fd, hwpt);
            g_array_set_size(parent->hwpts, last);
        }
    }
    return ret;
}

static int add_nest(PviommuTable *parent, const VFIODevice *device,
                    PviommuNest **nest)
{
    PviommuNest *made = g_new0(PviommuNest, 1);
    int ret;

    /* shared, so that what is pinned stays what is written to */
    made->descriptors = mmap(NULL, descriptors_size(),
                             PROT_READ | PROT_WRITE,
                             MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (made->descriptors == MAP_FAILED) {
        g_free(made);
        return -ENOMEM;
    }
    made->parent = parent;
    ret = view_smmu(parent, device, &made->viommu);
    if (!ret) {
        ret = place_descriptors(made);
        if (ret) {
            pviommu_destroy(parent->iommufd->fd, made->viommu);
        }
    }
    if (ret) {
        munmap(made->descriptors, descriptors_size());
        g_free(made);
        return ret;
    }
    made->devices = g_array_new(FALSE, TRUE, sizeof(NestDevice));
    open_events(made);
    g_ptr_array_add(parent->views, made);
    *nest = made;
    return 0;
}

static NestDevice *device_in(const PviommuNest *nest, const VFIODevice *device)
{
    for (unsigned i = 0; i < nest->devices->len; i++) {
        NestDevice *d = &g_array_index(nest->devices, NestDevice, i);

        if (d->device == device) {
            return d;
        }
    }
    return NULL;
}

static unsigned free_place(const PviommuNest *nest)
{
    unsigned i = 0;

    while (i < nest->devices->len &&
           g_array_index(nest->devices, NestDevice, i).vdevice) {
        i++;
    }
    return i;
}

static int enter(PviommuNest *nest, const VFIODevice *device)
{
    unsigned place = free_place(nest);
    struct iommu_vdevice_alloc arg = {
        .size = sizeof(arg),
        .viommu_id = nest->viommu,
        .dev_id = device->devid,
        .virt_id = place,
    };
    int ret = pviommu_call(nest->parent->iommufd->fd, IOMMU_VDEVICE_ALLOC,
                           &arg);

    if (!ret) {
        g_array_set_size(nest->devices, MAX(nest->devices->len, place + 1));
        g_array_index(nest->devices, NestDevice, place) = (NestDevice) {
            .device = device,
            .vdevice = arg.out_vdevice_id,
        };
    }
    return ret;
}

/* The nest that a device is in from now on */
static int nest_of(PviommuTable *parent, const VFIODevice *device,
                   PviommuNest **nest)
{
    uint64_t size = descriptors_size();
    int ret = -EINVAL;

    if (!parent->views) {
        parent->views = g_ptr_array_new();
        parent->free_views = free_nests;
    }
    for (unsigned i = 0; i < parent->views->len; i++) {
        *nest = g_ptr_array_index(parent->views, i);
        if (device_in(*nest, device)) {
            return 0;
        }
    }
    for (unsigned i = 0; i < parent->views->len && ret == -EINVAL; i++) {
        *nest = g_ptr_array_index(parent->views, i);
        ret = enter(*nest, device);     /* EINVAL: behind another SMMU */
    }
    if (ret != -EINVAL) {
        return ret;
    }
    ret = add_nest(parent, device, nest);
    if (!ret) {
        ret = enter(*nest, device);
        if (ret) {
            g_ptr_array_set_size(parent->views, parent->views->len - 1);
            pviommu_table_unmap(parent, (*nest)->base, &size);
            free_nest(*nest);
        }
    }
    return ret;
}

void pviommu_nest_forget(PviommuTable *parent, const VFIODevice *device)
{
    for (unsigned i = 0; parent->views && i < parent->views->len; i++) {
        NestDevice *d = device_in(g_ptr_array_index(parent->views, i),
                                  device);

        if (d) {
            d->device = NULL;
            if (!pviommu_destroy(parent->iommufd->fd, d->vdevice)) {
                d->vdevice = 0;
            }
        }
    }
}

/* --- nested tables --- */

PviommuTable *pviommu_nested_parent(const PviommuTable *table)
{
    return table->ops ? table->nested->parent : NULL;
}

static int alloc_hwpt(Stage *stage, const VFIODevice *device)
{
    const PviommuNest *nest = stage->nest;
    struct iommu_hwpt_arm_smmuv3 ste = pviommu_smmu_stream_entry(
        nest->base + stage->slot * PVIOMMU_SMMU_DESCRIPTOR);
    struct iommu_hwpt_alloc arg = {
        .size = sizeof(arg),
        .dev_id = device->devid,
        .pt_id = nest->viommu,
        .data_type = IOMMU_HWPT_DATA_ARM_SMMUV3,
        .data_len = sizeof(ste),
        .data_uptr = (uintptr_t)&ste,
    };
    int ret = pviommu_call(nest->parent->iommufd->fd, IOMMU_HWPT_ALLOC, &arg);

    stage->hwpt = arg.out_hwpt_id;
    return ret;
}

static int add_stage(PviommuNested *nested, PviommuNest *nest,
                     const VFIODevice *device)
{
    Stage stage = { .nest = nest };
    int ret;

    while (nest->used[stage.slot]) {
        if (++stage.slot == PVIOMMU_SMMU_ASIDS) {
            return -ENOSPC;
        }
    }
    pviommu_smmu_write_descriptor(descriptor(nest, stage.slot),
                                  &nested->guest, stage.slot);
    ret = alloc_hwpt(&stage, device);
    if (!ret) {
        nest->used[stage.slot] = true;
        g_array_append_val(nested->stages, stage);
    }
    return ret;
}

static int prepare(PviommuTable *table, const VFIODevice *device)
{
    PviommuNest *nest;

    return nest_of(table->nested->parent, device, &nest);
}

static int attach(PviommuTable *table, const VFIODevice *device)
{
    PviommuNested *nested = table->nested;
    PviommuNest *nest;
    int ret = nest_of(nested->parent, device, &nest);

    for (unsigned i = 0; i < nested->stages->len && !ret; i++) {
        const Stage *stage = &g_array_index(nested->stages, Stage, i);

        if (stage->nest == nest) {
            return pviommu_attach(device, stage->hwpt);
        }
    }
    ret = ret ?: add_stage(nested, nest, device);
    return ret ?: pviommu_attach(device,
                                 g_array_index(nested->stages, Stage,
                                               nested->stages->len - 1).hwpt);
}

static int invalidate_stage(const Stage *stage, uint64_t first, uint64_t last)
{
    const PviommuNest *nest = stage->nest;

    return pviommu_smmu_invalidate(nest->parent->iommufd->fd, nest->viommu,
                                   stage->slot, first, last);
}

static int invalidate(PviommuTable *table, const PviommuMapping *range)
{
    const PviommuNested *nested = table->nested;
    int ret = 0;

    for (unsigned i = 0; i < nested->stages->len && !ret; i++) {
        ret = invalidate_stage(&g_array_index(nested->stages, Stage, i),
                               range->first, range->last);
    }
    return ret;
}

static int clear_stage(const Stage *stage)
{
    const PviommuNest *nest = stage->nest;
    int ret = 0;

    qatomic_set(descriptor(nest, stage->slot), 0);
    for (unsigned i = 0; i < nest->devices->len && !ret; i++) {
        if (g_array_index(nest->devices, NestDevice, i).vdevice) {
            ret = pviommu_smmu_forget_descriptors(nest->parent->iommufd->fd,
                                                  nest->viommu, i);
        }
    }
    return ret ?: invalidate_stage(stage, 0, UINT64_MAX);
}

static void free_nested(PviommuTable *table)
{
    PviommuNested *nested = table->nested;

    for (unsigned i = 0; i < nested->stages->len; i++) {
        const Stage *stage = &g_array_index(nested->stages, Stage, i);
        int ret = pviommu_destroy(table->iommufd->fd, stage->hwpt);

        /* the ASID is another table's next */
        if (!clear_stage(stage) && !ret) {
            stage->nest->used[stage->slot] = false;
        }
    }
    nested->parent->children--;
    g_array_free(nested->stages, TRUE);
    g_free(nested);
    g_free(table);
}

static const PviommuNestedOps ops = {
    .prepare = prepare,
    .attach = attach,
    .free = free_nested,
    .invalidate = invalidate,
};

PviommuTable *pviommu_nested_new(PviommuTable *parent,
                                 const PviommuGuestTable *guest)
{
    PviommuNested *nested = g_new0(PviommuNested, 1);
    PviommuTable *table = g_new0(PviommuTable, 1);

    nested->parent = parent;
    nested->guest = *guest;
    nested->stages = g_array_new(FALSE, FALSE, sizeof(Stage));
    parent->children++;
    table->host.table = table;
    table->iommufd = parent->iommufd;
    table->ops = &ops;
    table->nested = nested;
    return table;
}
