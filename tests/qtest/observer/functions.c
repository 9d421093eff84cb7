/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A host with iommufd, made of paper: calls on device files of VFIO
 */
#include "qemu/osdep.h"

#include <linux/vfio.h>

#include "tables.h"

Ioas *host_ioas_of(const Function *f)
{
    return f->hwpt ? f->hwpt->ioas : f->access;
}

static int bind_iommufd(Function *f, void *arg)
{
    struct vfio_device_bind_iommufd *cmd = arg;
    int ret = host_refuses(OBSERVER_CALL_BIND);
    Context *c;

    if (ret || f->context || cmd->flags) {
        return ret ?: -EINVAL;
    }
    QLIST_FOREACH(c, &host_contexts, next) {
        if (c->fd >= 0 && c->fd == cmd->iommufd) {
            f->context = c;
            f->id = cmd->out_devid = ++c->last_id;
            c->users++;
            return 0;
        }
    }
    return -EBADFD;
}

static int attach_hwpt(Function *f, Hwpt *hwpt)
{
    Hwpt *old = f->hwpt;

    if (hwpt == old) {
        return 0;
    } else if ((!old || old->ioas != hwpt->ioas) &&
               host_ioas_overlaps(hwpt->ioas, f->is.msi,
                                  f->is.msi + (MSI_SIZE - 1))) {
        return -EADDRINUSE;
    } else if (hwpt->iommu != f->is.iommu) {
        return -EINVAL;
    } else if (hwpt->view && !host_place_of(hwpt->view, f)) {
        return -ENOENT;
    }
    f->hwpt = hwpt;
    host_descriptor_load(f);
    host_hwpt_put(old);
    return 0;
}

/* An IOAS stands for one of its HWPTs that the kernel made, or a new one */
static int attach_ioas(Function *f, Ioas *ioas)
{
    Hwpt *hwpt, *tmp;
    int ret;

    QLIST_FOREACH_SAFE(hwpt, &f->context->hwpts, next, tmp) {
        if (hwpt->ioas == ioas && hwpt->automatic) {
            ret = attach_hwpt(f, hwpt);
            if (ret != -EINVAL) {
                return ret;
            }
        }
    }
    ret = host_hwpt_new(f->context, ioas, f, &hwpt);
    if (!ret) {
        hwpt->automatic = true;
        ret = attach_hwpt(f, hwpt);
        host_hwpt_put(hwpt);
    }
    return ret;
}

static int attach(Function *f, uint32_t id)
{
    Hwpt *hwpt = host_find_hwpt(f->context, id);
    Ioas *ioas = host_find_ioas(f->context, id);

    if (hwpt && !f->is.mdev) {
        return attach_hwpt(f, hwpt);
    } else if (!ioas) {
        return -ENOENT;
    } else if (!f->is.mdev) {
        return attach_ioas(f, ioas);
    }
    f->access = ioas;
    return 0;
}

static int attach_pt(Function *f, void *arg)
{
    struct vfio_device_attach_iommufd_pt *cmd = arg;
    const Ioas *before = host_ioas_of(f);
    int ret = host_refuses(OBSERVER_CALL_ATTACH);

    if (!ret) {
        ret = f->context ? attach(f, cmd->pt_id) : -EINVAL;
    }
    record_event(f->is.events, "attach %u = %d", cmd->pt_id, ret);
    if (!ret && host_ioas_of(f) != before) {
        held_print(host_ioas_of(f)->held, "held ", f->is.events);
    }
    return ret;
}

void host_function_detach(Function *f)
{
    Hwpt *old = f->hwpt;

    f->hwpt = NULL;
    f->access = NULL;
    host_hwpt_put(old);
}

static int detach_pt(Function *f, void *arg)
{
    int ret = host_refuses(OBSERVER_CALL_DETACH);

    if (!ret) {
        host_function_detach(f);
    }
    record_event(f->is.events, "detach = %d", ret);
    return ret;
}

static int get_info(Function *f, void *arg)
{
    struct vfio_device_info *cmd = arg;

    cmd->flags = VFIO_DEVICE_FLAGS_PCI | VFIO_DEVICE_FLAGS_RESET;
    cmd->num_regions = 0;
    cmd->num_irqs = 0;
    return host_refuses(OBSERVER_CALL_INFO);
}

const HostCall host_function_calls[] = {
    { VFIO_DEVICE_BIND_IOMMUFD, OBSERVER_CALL_BIND,
      .on_function = bind_iommufd },
    { VFIO_DEVICE_ATTACH_IOMMUFD_PT, OBSERVER_CALL_ATTACH,
      .on_function = attach_pt },
    { VFIO_DEVICE_DETACH_IOMMUFD_PT, OBSERVER_CALL_DETACH,
      .on_function = detach_pt },
    { VFIO_DEVICE_GET_INFO, OBSERVER_CALL_INFO, .on_function = get_info },
    { },
};
