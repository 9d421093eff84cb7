/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu: host page tables of our own, by iommufd
 */
#include "qemu/osdep.h"

#include <sys/ioctl.h>
#include <linux/iommufd.h>
#include <linux/vfio.h>

#include "qapi/error.h"
#include "qemu/range.h"
#include "pviommu/abi.h"
#include "pviommu/iommufd.h"
#include "call.h"

int pviommu_call(int fd, unsigned long request, void *argument)
{
    return RETRY_ON_EINTR(ioctl(fd, request, argument)) ? -errno : 0;
}

int pviommu_destroy(int fd, uint32_t id)
{
    struct iommu_destroy arg = { .size = sizeof(arg), .id = id };

    return pviommu_call(fd, IOMMU_DESTROY, &arg);
}

static int alloc_ioas(int fd, uint32_t *ioas)
{
    struct iommu_ioas_alloc arg = { .size = sizeof(arg) };
    int ret = pviommu_call(fd, IOMMU_IOAS_ALLOC, &arg);

    *ioas = arg.out_ioas_id;
    return ret;
}

static int alloc_hwpt(int fd, uint32_t device, uint32_t ioas, uint32_t flags,
                      uint32_t *hwpt)
{
    struct iommu_hwpt_alloc arg = {
        .size = sizeof(arg),
        .flags = flags,
        .dev_id = device,
        .pt_id = ioas,
        .data_type = IOMMU_HWPT_DATA_NONE,
    };
    int ret = pviommu_call(fd, IOMMU_HWPT_ALLOC, &arg);

    *hwpt = arg.out_hwpt_id;
    return ret;
}

int pviommu_attach(const VFIODevice *device, uint32_t id)
{
    struct vfio_device_attach_iommufd_pt arg = {
        .argsz = sizeof(arg),
        .pt_id = id,
    };

    return pviommu_call(device->fd, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &arg);
}

static bool probe(int fd, Error **errp)
{
    ERRP_GUARD();
    uint32_t ioas, hwpt;
    int ret = alloc_ioas(fd, &ioas);

    if (ret) {
        error_setg_errno(errp, -ret, "the host's iommufd gives no IO address "
                         "space");
        error_append_hint(errp, "The file descriptor must be one of "
                          "/dev/iommu.\n");
        return false;
    }
    /* There is no device 0: a kernel that knows the call says ENOENT */
    ret = alloc_hwpt(fd, 0, ioas, 0, &hwpt);
    pviommu_destroy(fd, ioas);
    if (ret != -ENOENT) {
        error_setg_errno(errp, -ret, "the host's iommufd makes no page "
                         "tables");
        error_append_hint(errp, "Linux 6.6 or later is needed.\n");
        return false;
    }
    return true;
}

bool pviommu_iommufd_probe(IOMMUFDBackend *backend, Error **errp)
{
    ERRP_GUARD();
    bool ok;
    int fd;

    if (backend->fd >= 0) {
        return probe(backend->fd, errp);
    }
    fd = open("/dev/iommu", O_RDWR | O_CLOEXEC);
    if (fd < 0) {
        error_setg_errno(errp, errno, "cannot open /dev/iommu");
        error_append_hint(errp, errno == EACCES || errno == EPERM
                          ? "Give the user that runs QEMU access to it.\n"
                          : "Load the host's module iommufd. Where the "
                            "kernel was built without CONFIG_IOMMUFD, leave "
                            "the device's iommufd= out.\n");
        return false;
    }
    ok = probe(fd, errp);
    close(fd);
    return ok;
}

PviommuIommufd *pviommu_iommufd_get(PviommuIommufdList *list,
                                    IOMMUFDBackend *backend, Error **errp)
{
    PviommuIommufd *iommufd;

    QLIST_FOREACH(iommufd, list, next) {
        if (iommufd->backend == backend) {
            iommufd->users++;
            return iommufd;
        }
    }
    /* Keeps the file open until our tables are gone */
    if (!PVIOMMU_LOOKUP(iommufd_backend_connect)(backend, errp)) {
        return NULL;
    }
    iommufd = g_new0(PviommuIommufd, 1);
    iommufd->backend = backend;
    iommufd->fd = backend->fd;
    iommufd->users = 1;
    object_ref(OBJECT(backend));
    QLIST_INSERT_HEAD(list, iommufd, next);
    return iommufd;
}

void pviommu_iommufd_put(PviommuIommufd *iommufd)
{
    if (--iommufd->users) {
        return;
    }
    QLIST_REMOVE(iommufd, next);
    PVIOMMU_LOOKUP(iommufd_backend_disconnect)(iommufd->backend);
    object_unref(OBJECT(iommufd->backend));
    g_free(iommufd);
}

/* One to nest in where the host has such, for tables where that is wanted */
int pviommu_table_add_hwpt(PviommuTable *table, const VFIODevice *device)
{
    int fd = table->iommufd->fd, ret = -EOPNOTSUPP;
    uint32_t hwpt;

    if (table->nests) {
        ret = alloc_hwpt(fd, device->devid, table->ioas,
                         IOMMU_HWPT_ALLOC_NEST_PARENT, &hwpt);
    }
    if (ret == -EOPNOTSUPP) {
        ret = alloc_hwpt(fd, device->devid, table->ioas, 0, &hwpt);
    }
    if (!ret) {
        g_array_append_val(table->hwpts, hwpt);
    }
    return ret;
}

int pviommu_table_new(PviommuIommufd *iommufd, const VFIODevice *device,
                      bool nests, PviommuTable **table)
{
    PviommuTable *made;
    uint32_t ioas;
    int ret = alloc_ioas(iommufd->fd, &ioas);

    if (ret) {
        return ret;
    }
    made = g_new0(PviommuTable, 1);
    made->host.table = made;
    made->iommufd = iommufd;
    made->ioas = ioas;
    made->hwpts = g_array_new(FALSE, FALSE, sizeof(uint32_t));
    made->nests = nests;
    ret = device->mdev ? 0 : pviommu_table_add_hwpt(made, device);
    if (ret) {
        pviommu_table_free(made);
        return ret;
    }
    *table = made;
    return 0;
}

void pviommu_table_free(PviommuTable *table)
{
    bool freed = true;

    if (table->ops) {
        table->ops->free(table);
        return;
    }
    if (table->views) {
        freed = table->free_views(table);
    }
    for (unsigned i = 0; i < table->hwpts->len; i++) {
        freed &= !pviommu_destroy(table->iommufd->fd,
                                  g_array_index(table->hwpts, uint32_t, i));
    }
    freed &= !pviommu_destroy(table->iommufd->fd, table->ioas);
    if (!freed) {
        pviommu_table_ops.clear(table);     /* it must hold nothing at least */
    }
    g_array_free(table->hwpts, TRUE);
    g_free(table);
}

int pviommu_table_prepare(PviommuTable *table, const VFIODevice *device)
{
    return table->ops ? table->ops->prepare(table, device) : 0;
}

int pviommu_table_attach(PviommuTable *table, const VFIODevice *device)
{
    int ret = -EINVAL;

    if (table->ops) {
        return table->ops->attach(table, device);
    }
    if (device->mdev) {
        return pviommu_attach(device, table->ioas);
    }
    for (unsigned i = 0; i < table->hwpts->len && ret == -EINVAL; i++) {
        ret = pviommu_attach(device, g_array_index(table->hwpts, uint32_t, i));
    }
    if (ret != -EINVAL) {
        return ret;
    }
    /* None is made for the device's kind of host IOMMU */
    ret = pviommu_table_add_hwpt(table, device);
    if (!ret) {
        uint32_t last = table->hwpts->len - 1;
        uint32_t hwpt = g_array_index(table->hwpts, uint32_t, last);

        ret = pviommu_attach(device, hwpt);
        if (ret) {
            pviommu_destroy(table->iommufd->fd, hwpt);
            g_array_set_size(table->hwpts, last);
        }
    }
    return ret;
}

int pviommu_table_leave(const VFIODevice *device)
{
    struct vfio_device_detach_iommufd_pt arg = { .argsz = sizeof(arg) };
    const VFIOIOMMUFDContainer *container =
        pviommu_compat_iommufd(device);
    int ret = pviommu_attach(device, device->mdev
                             ? container->ioas_id : device->hwpt->hwpt_id);

    /* What is detached reaches nothing either */
    return ret ? pviommu_call(device->fd, VFIO_DEVICE_DETACH_IOMMUFD_PT, &arg)
               : 0;
}

int pviommu_table_ranges(const PviommuTable *table, GList **ranges)
{
    g_autofree struct iommu_iova_range *array = NULL;
    struct iommu_ioas_iova_ranges arg = {
        .size = sizeof(arg),
        .ioas_id = table->ioas,
    };
    int ret = pviommu_call(table->iommufd->fd, IOMMU_IOAS_IOVA_RANGES, &arg);

    if (ret == -EMSGSIZE) {
        array = g_new0(struct iommu_iova_range, arg.num_iovas);
        arg.allowed_iovas = (uintptr_t)array;
        ret = pviommu_call(table->iommufd->fd, IOMMU_IOAS_IOVA_RANGES, &arg);
    }
    for (unsigned i = 0; !ret && i < arg.num_iovas; i++) {
        Range *range = g_new(Range, 1);

        range_set_bounds(range, array[i].start, array[i].last);
        *ranges = range_list_insert(*ranges, range);
    }
    return ret;
}

bool pviommu_iommufd_ranges(PviommuIommufd *iommufd, VFIODevice *device,
                            GList **ranges, Error **errp)
{
    ERRP_GUARD();
    PviommuTable *table;
    int ret = pviommu_table_new(iommufd, device, false, &table);

    *ranges = NULL;
    if (!ret) {
        ret = pviommu_table_attach(table, device);
        if (!ret) {
            ret = pviommu_table_ranges(table, ranges);
            if (pviommu_table_leave(device)) {
                ret = ret ?: -EIO;
            }
        }
        pviommu_table_free(table);
    }
    if (ret) {
        error_setg_errno(errp, -ret, "%s: the host does not let pviommu use "
                         "page tables of its own", device->name);
        error_append_hint(errp, "host-path=container has the mappings made "
                          "by QEMU's own code for iommufd.\n");
    }
    return !ret;
}

static int table_map(void *receiver, const PviommuPiece *piece)
{
    const PviommuTable *table = receiver;
    struct iommu_ioas_map arg = {
        .size = sizeof(arg),
        .flags = IOMMU_IOAS_MAP_FIXED_IOVA |
                 (piece->flags & PVIOMMU_MAP_F_READ
                  ? IOMMU_IOAS_MAP_READABLE : 0) |
                 (piece->flags & PVIOMMU_MAP_F_WRITE
                  ? IOMMU_IOAS_MAP_WRITEABLE : 0),
        .ioas_id = table->ioas,
        .user_va = (uintptr_t)piece->vaddr,
        .length = piece->size,
        .iova = piece->iova,
    };

    if (memory_region_is_ram_device(piece->mr) && !table->hwpts->len) {
        return -EFAULT;     /* would be taken, and then refuse every HWPT */
    }
    return pviommu_call(table->iommufd->fd, IOMMU_IOAS_MAP, &arg);
}

typedef struct Expected {
    uint64_t least;
    uint64_t most;
} Expected;

static int expect(const PviommuPiece *piece, void *opaque)
{
    Expected *expected = opaque;

    expected->most += piece->size;
    if (!memory_region_is_ram_device(piece->mr)) {
        expected->least += piece->size;
    }
    return 0;
}

/* Whether the host found there what had been mapped */
static bool is_whole(const PviommuTable *table, const PviommuMapping *mapping,
                     const PviommuMappings *set, uint64_t length)
{
    PviommuMappingIter iter = { 0 };
    Expected expected = { 0 };
    PviommuMapping m;

    if (length == mapping->last - mapping->first + 1) {
        return true;
    }
    if (!set) {
        pviommu_pieces_foreach(mapping, NULL, expect, &expected);
    } else {
        while (pviommu_mappings_next_hidden(set, &iter, &m)) {
            pviommu_pieces_foreach(&m, NULL, expect, &expected);
        }
    }
    return length <= expected.most &&
           (length >= expected.least || table->partial);
}

int pviommu_table_unmap(const PviommuTable *table, uint64_t iova,
                        uint64_t *length)
{
    struct iommu_ioas_unmap arg = {
        .size = sizeof(arg),
        .ioas_id = table->ioas,
        .iova = iova,
        .length = *length,
    };
    int ret = pviommu_call(table->iommufd->fd, IOMMU_IOAS_UNMAP, &arg);

    *length = ret ? 0 : arg.length;
    return ret;
}

static int table_clear(void *receiver)
{
    PviommuTable *table = receiver;
    uint64_t length = UINT64_MAX;
    int ret = pviommu_table_unmap(table, 0, &length);

    table->partial &= ret != 0;
    return ret;
}

static int table_unmap(void *receiver, const PviommuMapping *mapping,
                       const PviommuMappings *set)
{
    PviommuTable *table = receiver;
    uint64_t length = mapping->last - mapping->first + 1;
    bool all = length == 0 || length == UINT64_MAX;
    int ret;

    /* the kernel's word for all of it is another */
    ret = all ? table_clear(table)
              : pviommu_table_unmap(table, mapping->first, &length);
    if (ret && ret != -ENOENT) {
        table->partial |= set != NULL;
        return ret;
    }
    return all || is_whole(table, mapping, set, length) ? 0 : PVIOMMU_HOST_LOST;
}

static int table_invalidate(void *receiver, const PviommuMapping *range)
{
    PviommuTable *table = receiver;

    return table->ops ? table->ops->invalidate(table, range) : 0;
}

const PviommuReceiverOps pviommu_table_ops = {
    .name = "iommufd",
    .map = table_map,
    .unmap = table_unmap,
    .clear = table_clear,
    .invalidate = table_invalidate,
};
