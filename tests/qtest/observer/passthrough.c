/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An observer that is passed through with iommufd
 *
 * What vfio_realize(), vfio_exitfn() and vfio_instance_finalize() in
 * hw/vfio/pci.c do for a device of which the file was opened before, and as
 * there the device is detached only when it is finalized.
 */
#include "qemu/osdep.h"

#include "qapi/error.h"
#include "state.h"

static void no_needs_reset(VFIODevice *vbasedev)
{
    vbasedev->needs_reset = false;
}

static VFIODeviceOps no_ops = {
    .vfio_compute_needs_reset = no_needs_reset,
};

bool observer_attach(Observer *o, AddressSpace *as, Error **errp)
{
    IOMMUFDBackend *iommufd = o->vbasedev.iommufd;

    if (!iommufd) {
        error_setg(errp, "watch=iommufd needs iommufd=ID");
        return false;
    }
    /* Since 10.1 no two may have the same */
    o->vbasedev.name = DEVICE(o)->id ? g_strdup(DEVICE(o)->id)
                                     : object_get_canonical_path(OBJECT(o));
    o->function.name = o->vbasedev.name;
    o->function.events = o->events;
    /* One of type PCI would be taken for a VFIOPCIDevice since 10.2 */
    vfio_device_init(&o->vbasedev, VFIO_DEVICE_TYPE_AP, &no_ops, DEVICE(o),
                     false);
    o->vbasedev.mdev = o->function.mdev;
    o->vbasedev.fd = iommufd_open_function(&o->function);
    o->attached = vfio_device_attach(o->vbasedev.name, &o->vbasedev, as,
                                     errp);
    if (!o->attached || o->vbasedev.mdev) {
        return o->attached;
    }
    o->told_iommu = pci_device_set_iommu_device(PCI_DEVICE(o),
                                                o->vbasedev.hiod, errp);
    return o->told_iommu;
}

void observer_detach(Observer *o)
{
    if (o->attached) {
        vfio_device_detach(&o->vbasedev);
    }
    g_free(o->vbasedev.name);
}
