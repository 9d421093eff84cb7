/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A host with iommufd, made of paper: calls for tables that nest
 *
 * What a vIOMMU of type ARM_SMMUV3 does: arm-smmu-v3-iommufd.c of Linux.
 */
#include "qemu/osdep.h"

#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "tables.h"
#include "versions.h"

View *host_find_view(const Context *c, uint32_t id)
{
    View *view;

    QLIST_FOREACH(view, &c->views, next) {
        if (view->id == id) {
            break;
        }
    }
    return view;
}

static Place *find_place(const Context *c, uint32_t id)
{
    Place *place;

    QLIST_FOREACH(place, &c->places, next) {
        if (place->id == id) {
            break;
        }
    }
    return place;
}

static Events *find_events(const Context *c, uint32_t id)
{
    Events *events;

    QLIST_FOREACH(events, &c->events, next) {
        if (events->id == id) {
            break;
        }
    }
    return events;
}

Place *host_place_of(const View *view, const Function *f)
{
    Place *place;

    QLIST_FOREACH(place, &f->context->places, next) {
        if (place->function == f && (!view || place->view == view)) {
            break;
        }
    }
    return place;
}

bool host_is_nested_in(const Context *c, const Hwpt *hwpt)
{
    View *view;

    QLIST_FOREACH(view, &c->views, next) {
        if (view->parent == hwpt) {
            return true;
        }
    }
    return false;
}

/* --- what there is --- */

int host_hw_info(Context *c, void *arg)
{
    struct iommu_hw_info *cmd = arg;
    const Function *f = host_find_function(c, cmd->dev_id);
    struct iommu_hw_info_arm_smmuv3 info = { 0 };
    int ret = host_refuses(OBSERVER_CALL_INFO);

    if (ret || !f) {
        return ret ?: -ENOENT;
    }
    cmd->out_data_type = IOMMU_HW_INFO_TYPE_NONE;
    cmd->out_capabilities = 0;
    if (f->is.nests) {
        info.idr[0] = f->is.idr0;
        info.idr[5] = f->is.idr5;
        cmd->out_data_type = IOMMU_HW_INFO_TYPE_ARM_SMMUV3;
        memcpy((void *)(uintptr_t)cmd->data_uptr, &info,
               MIN(cmd->data_len, sizeof(info)));
    }
    cmd->data_len = f->is.nests ? sizeof(info) : 0;
    return 0;
}

int host_viommu_alloc(Context *c, void *arg)
{
    struct iommu_viommu_alloc *cmd = arg;
    int ret = host_refuses(OBSERVER_CALL_VIOMMU);
    const Function *f = host_find_function(c, cmd->dev_id);
    Hwpt *hwpt = host_find_hwpt(c, cmd->hwpt_id);
    View *view;

    if (ret) {
        return ret;
    } else if (cmd->flags) {
        return -EOPNOTSUPP;
    } else if (!f || f->is.mdev) {
        return -ENOENT;
    } else if (!f->is.nests || cmd->type != IOMMU_VIOMMU_TYPE_ARM_SMMUV3) {
        return -EOPNOTSUPP;
    } else if (!hwpt || hwpt->view) {
        return -ENOENT;
    } else if (!hwpt->parent || hwpt->iommu != f->is.iommu) {
        return -EINVAL;
    }
    view = g_new0(View, 1);
    view->id = cmd->out_viommu_id = ++c->last_id;
    view->parent = hwpt;
    QLIST_INSERT_HEAD(&c->views, view, next);
    return 0;
}

static bool is_taken(const Context *c, const View *view, uint64_t number)
{
    Place *place;

    QLIST_FOREACH(place, &c->places, next) {
        if (place->view == view && place->number == number) {
            return true;
        }
    }
    return false;
}

int host_vdevice_alloc(Context *c, void *arg)
{
    struct iommu_vdevice_alloc *cmd = arg;
    int ret = host_refuses(OBSERVER_CALL_VDEVICE);
    Function *f = host_find_function(c, cmd->dev_id);
    View *view = host_find_view(c, cmd->viommu_id);
    Place *place;

    if (ret) {
        return ret;
    } else if (!view || !f) {
        return -ENOENT;
    } else if (view->parent->iommu != f->is.iommu) {
        return -EINVAL;
    } else if (host_place_of(NULL, f) || is_taken(c, view, cmd->virt_id)) {
        return -EEXIST;
    }
    place = g_new0(Place, 1);
    place->id = cmd->out_vdevice_id = ++c->last_id;
    place->view = view;
    place->function = f;
    place->number = cmd->virt_id;
    QLIST_INSERT_HEAD(&c->places, place, next);
    return 0;
}

int host_veventq_alloc(Context *c, void *arg)
{
    struct iommu_veventq_alloc *cmd = arg;
    int ret = host_refuses(OBSERVER_CALL_VEVENTQ);
    View *view = host_find_view(c, cmd->viommu_id);
    Events *events;
    int fd[2];

    if (ret) {
        return ret;
    } else if (cmd->flags || cmd->type != IOMMU_VEVENTQ_TYPE_ARM_SMMUV3) {
        return -EOPNOTSUPP;
    } else if (!cmd->veventq_depth) {
        return -EINVAL;
    } else if (!view) {
        return -ENOENT;
    }
    QLIST_FOREACH(events, &c->events, next) {
        if (events->view == view) {
            return -EEXIST;
        }
    }
    /* What is read at a time is a record */
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fd)) {
        return -errno;
    }
    events = g_new0(Events, 1);
    events->id = cmd->out_veventq_id = ++c->last_id;
    events->view = view;
    events->fd = cmd->out_veventq_fd = fd[0];
    events->peer = fd[1];
    QLIST_INSERT_HEAD(&c->events, events, next);
    return 0;
}

/* As arm_smmu_validate_vste(), and of what is allowed what has to be */
static int check_entry(const uint64_t *ste)
{
    const uint64_t allowed[2] = { 0xf80fffffffffffffULL, 0x380000ff };
    const unsigned config = ste[0] >> 1 & 7;

    if (ste[0] & ~allowed[0] || ste[1] & ~allowed[1] || config != 5 ||
        !(ste[0] & 1)) {
        return -EIO;
    }
    return 0;
}

/* On a vIOMMU; the rest is in tables.c */
int host_nested_alloc(Context *c, void *arg)
{
    struct iommu_hwpt_alloc *cmd = arg;
    int ret = host_refuses(OBSERVER_CALL_NESTED);
    const uint64_t *data = (void *)(uintptr_t)cmd->data_uptr;
    const Function *f = host_find_function(c, cmd->dev_id);
    View *view = host_find_view(c, cmd->pt_id);
    uint64_t ste[2];
    Hwpt *hwpt;

    if (ret) {
        return ret;
    } else if (cmd->__reserved) {
        return -EOPNOTSUPP;
    } else if (!f) {
        return -ENOENT;
    } else if (f->is.iommu != view->parent->iommu) {
        return -EINVAL;
    } else if (cmd->flags) {
        return -EOPNOTSUPP;
    } else if (cmd->data_type != IOMMU_HWPT_DATA_ARM_SMMUV3 ||
               cmd->data_len != sizeof(ste)) {
        return -EINVAL;
    }
    ste[0] = le64_to_cpu(data[0]);
    ste[1] = le64_to_cpu(data[1]);
    ret = check_entry(ste);
    if (ret) {
        return ret;
    }
    hwpt = g_new0(Hwpt, 1);
    hwpt->id = cmd->out_hwpt_id = ++c->last_id;
    hwpt->ioas = view->parent->ioas;
    hwpt->iommu = view->parent->iommu;
    hwpt->bits = view->parent->bits;
    hwpt->view = view;
    hwpt->context = ste[0] & 0x000fffffffffffc0;
    QLIST_INSERT_HEAD(&c->hwpts, hwpt, next);
    return 0;
}

/* --- commands --- */

/* What a command may have beside its opcode, or -EIO */
static int check_command(const Context *c, const View *view,
                         const uint64_t *word)
{
    enum { CFGI_CD_ALL = 0x06, NH_ASID = 0x11, NH_VA = 0x12 };
    uint64_t allowed[2] = { 0xff, 0 };

    switch (word[0] & 0xff) {
    case CFGI_CD_ALL:
        allowed[0] |= 0xffffffffULL << 32;
        if (!is_taken(c, view, word[0] >> 32)) {
            return -EIO;
        }
        break;
    case NH_VA:
        allowed[1] = 0xfffffffffffff001ULL;
        /* fall through */
    case NH_ASID:
        allowed[0] |= 0xffULL << 48 | 0xffffULL << 32;
        break;
    default:
        return -EIO;
    }
    return word[0] & ~allowed[0] || word[1] & ~allowed[1] ? -EIO : 0;
}

/* Of the caches only that of context descriptors is one */
static void obey(const Context *c, const View *view, const uint64_t *word)
{
    Place *place;

    QLIST_FOREACH(place, &c->places, next) {
        if (place->view != view) {
            continue;
        }
        record_event(place->function->is.events, "command %" PRIx64
                     " %" PRIx64, word[0], word[1]);
        if ((word[0] & 0xff) == 0x06 && place->number == word[0] >> 32) {
            host_descriptor_load(place->function);
        }
    }
}

int host_invalidate(Context *c, void *arg)
{
    struct iommu_hwpt_invalidate *cmd = arg;
    const uint64_t *data = (void *)(uintptr_t)cmd->data_uptr;
    int ret = host_refuses(OBSERVER_CALL_INVALIDATE);
    View *view = host_find_view(c, cmd->hwpt_id);
    uint32_t count = cmd->entry_num, i = 0;

    cmd->entry_num = 0;
    if (ret) {
        return ret;
    } else if (cmd->__reserved) {
        return -EOPNOTSUPP;
    } else if (!view) {
        return -ENOENT;
    } else if (cmd->data_type !=
               IOMMU_VIOMMU_INVALIDATE_DATA_ARM_SMMUV3 ||
               cmd->entry_len != 2 * sizeof(*data)) {
        return -EINVAL;
    }
    for (; i < count && !ret; i++) {
        uint64_t word[2] = { le64_to_cpu(data[2 * i]),
                             le64_to_cpu(data[2 * i + 1]) };

        ret = check_command(c, view, word);
        if (!ret) {
            obey(c, view, word);
        }
    }
    cmd->entry_num = ret ? i - 1 : i;
    return ret;
}

/* --- the end --- */

static bool is_seen(const Context *c, const View *view)
{
    Hwpt *hwpt;
    Place *place;
    Events *events;

    QLIST_FOREACH(hwpt, &c->hwpts, next) {
        if (hwpt->view == view) {
            return true;
        }
    }
    QLIST_FOREACH(place, &c->places, next) {
        if (place->view == view) {
            return true;
        }
    }
    QLIST_FOREACH(events, &c->events, next) {
        if (events->view == view) {
            return true;
        }
    }
    return false;
}

static void free_events(Events *events)
{
    /* close() would come back here */
    syscall(SYS_close, events->peer);
    QLIST_REMOVE(events, next);
    g_free(events);
}

int host_nest_destroy(Context *c, uint32_t id)
{
    View *view = host_find_view(c, id);
    Place *place = find_place(c, id);
    Events *events = find_events(c, id);

    if ((view && is_seen(c, view)) || (events && events->fd >= 0)) {
        return -EBUSY;
    } else if (view) {
        QLIST_REMOVE(view, next);
        g_free(view);
    } else if (place) {
        QLIST_REMOVE(place, next);
        g_free(place);
    } else if (events) {
        free_events(events);
    } else {
        return -ENOENT;
    }
    return 0;
}

unsigned host_nests_free(Context *c)
{
    unsigned count = 0;
    Place *place;
    Events *events;
    View *view;

    for (; (place = QLIST_FIRST(&c->places)); count++) {
        QLIST_REMOVE(place, next);
        g_free(place);
    }
    for (; (events = QLIST_FIRST(&c->events)); count++) {
        free_events(events);
    }
    for (; (view = QLIST_FIRST(&c->views)); count++) {
        QLIST_REMOVE(view, next);
        g_free(view);
    }
    return count;
}

void host_function_leaves(Function *f)
{
    Place *place = host_place_of(NULL, f);

    if (place) {
        QLIST_REMOVE(place, next);
        g_free(place);
    }
}

bool host_events_close(int fd)
{
    Context *c;
    Events *events;

    QLIST_FOREACH(c, &host_contexts, next) {
        QLIST_FOREACH(events, &c->events, next) {
            if (fd >= 0 && events->fd == fd) {
                events->fd = -1;
                return true;
            }
        }
    }
    return false;
}

unsigned host_unread(void)
{
    unsigned sum = 0;
    Context *c;
    Events *events;
    int size;

    QLIST_FOREACH(c, &host_contexts, next) {
        QLIST_FOREACH(events, &c->events, next) {
            if (events->fd >= 0 &&
                !syscall(SYS_ioctl, events->peer, SIOCOUTQ, &size)) {
                sum += size;
            }
        }
    }
    return sum;
}
