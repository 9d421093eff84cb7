/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Trials of VFIO's structures, without a device and without a container
 */
#include "qemu/osdep.h"
#include "qapi/error.h"

#include <malloc.h>

#include "pviommu/abi.h"
#include "pviommu/compat.h"

#include "abi-trial.h"

/* Only its address is used */
static AddressSpace *const space_key = (AddressSpace *)&space_key;

static bool try_space(void)
{
    __typeof__(vfio_address_space_insert) *insert =
        PVIOMMU_LOOKUP(vfio_address_space_insert);
    g_autofree PviommuVfioContainer *container =
        pviommu_trial_fake(TYPE_VFIO_IOMMU, sizeof(*container));
    VFIOAddressSpace *space;
    bool ok;

    if (!container) {
        return true;
    }
    space = pviommu_compat_space_get(space_key);
    ok = malloc_usable_size(space) >= sizeof(*space) &&
         space->as == space_key && QLIST_EMPTY(&space->containers) &&
         pviommu_compat_space_get(space_key) == space;
    if (ok && insert) {
        insert(space, container);
        ok = container->space == space &&
             QLIST_FIRST(&space->containers) == container &&
             container->next.le_prev == &space->containers.lh_first &&
             !QLIST_NEXT(container, next);
        if (ok) {
            QLIST_REMOVE(container, next);
        }
    }
    if (ok) {
        pviommu_compat_space_put(space);
    }
    return ok;
}

static void replay(IOMMUMemoryRegion *iommu, IOMMUNotifier *notifier)
{
}

/* What VFIO's listener makes of an IOMMU memory region */
static bool add_section(PviommuVfioContainer *container,
                        IOMMUMemoryRegion *iommu)
{
    MemoryRegionSection section = {
        .mr = (MemoryRegion *)iommu,
        .offset_within_region = 0x30000,
        .offset_within_address_space = 0x50000,
        .size = int128_make64(0x20000),
    };
    VFIOGuestIOMMU *guest;
    bool ok;

    container->listener.region_add(&container->listener, &section);
    guest = QLIST_FIRST(&container->giommu_list);
    ok = guest && malloc_usable_size(guest) >= sizeof(*guest) &&
         guest->bcontainer == container && guest->iommu_mr == iommu &&
         guest->iommu_offset == 0x20000 && guest->n.start == 0x30000 &&
         guest->n.end == 0x4ffff &&
         guest->n.notifier_flags == IOMMU_NOTIFIER_IOTLB_EVENTS &&
         QLIST_FIRST(&iommu->iommu_notify) == &guest->n &&
         guest->giommu_next.le_prev == &container->giommu_list.lh_first;
    if (ok) {
        memory_region_unregister_iommu_notifier(section.mr, &guest->n);
        QLIST_REMOVE(guest, giommu_next);
        g_free(guest);
    }
    return ok;
}

/* The space goes at the end of a grace period, so both are never freed */
PVIOMMU_TRIAL_ROOMY(AddressSpace, listened);
PVIOMMU_TRIAL_ROOMY(MemoryRegion, root);

static bool try_listener(void)
{
    VFIOAddressSpace space = { .as = &listened.it };
    g_autofree PviommuVfioContainer *container =
        pviommu_trial_fake(TYPE_VFIO_IOMMU, sizeof(*container));
    g_autofree IOMMUMemoryRegion *iommu =
        pviommu_trial_fake(TYPE_IOMMU_MEMORY_REGION, sizeof(*iommu));
    g_autofree IOMMUMemoryRegionClass *klass =
        pviommu_trial_class(iommu, sizeof(*klass));
    MemoryListener *listener;
    bool ok;

    if (!container) {
        return true;
    }
    klass->replay = replay;
    iommu->parent_obj.is_iommu = true;
    iommu->parent_obj.size = int128_make64(0x80000);
    memory_region_init(&root.it, NULL, NULL, 0x1000);
    address_space_init(&listened.it, &root.it, "pviommu-trial");

    container->space = &space;
    listener = &container->listener;
    ok = pviommu_compat_listen(container, NULL) &&
         listener->address_space == &listened.it &&
         !g_strcmp0(listener->name, "vfio") && listener->region_add &&
         listener->region_del && !listener->region_nop &&
         !listener->log_start && listener->log_sync &&
         !listener->eventfd_add && add_section(container, iommu);
    if (ok) {
        memory_listener_unregister(listener);
        address_space_destroy(&listened.it);
    }
    return ok;
}

PVIOMMU_TRIAL_ROOMY(VFIODevice, device);

static bool try_device(void)
{
    __typeof__(vfio_device_init) *init = PVIOMMU_LOOKUP(vfio_device_init);
    __typeof__(vfio_device_get_name) *get_name =
        PVIOMMU_LOOKUP(vfio_device_get_name);
    VFIODevice *d = &device.it;
    DeviceState *owner = (DeviceState *)&device;
    VFIODeviceOps *ops = (VFIODeviceOps *)&device.room;

    if (init) {
        init(d, VFIO_DEVICE_TYPE_PCI, ops, owner, true);
        if (d->type != VFIO_DEVICE_TYPE_PCI || d->ops != ops ||
            d->dev != owner || d->fd != -1 || !d->ram_block_discard_allowed) {
            return false;
        }
    }
    if (get_name) {
        d->fd = 12345;
        d->iommufd = (IOMMUFDBackend *)&device;
        if (!get_name(d, NULL) || g_strcmp0(d->name, "VFIO_FD12345")) {
            return false;
        }
    }
    return PVIOMMU_TRIAL_IN_ROOM(device);
}

static bool try_host_device(void)
{
    const char *type = TYPE_HOST_IOMMU_DEVICE "-legacy-vfio";
    ObjectClass *oc = object_class_by_name(type);
    HostIOMMUDeviceClass *klass = (HostIOMMUDeviceClass *)oc;
    HostIOMMUDevice *hiod;
    bool ok;

    if (!klass) {
        return true;
    }
    if (!klass->realize || !klass->get_cap || !klass->get_iova_ranges ||
        !klass->get_page_size_mask) {
        return false;
    }
    hiod = (HostIOMMUDevice *)object_new(type);
    g_free(device.it.name);
    device.it.name = g_strdup("pviommu-trial");
    ok = klass->realize(hiod, &device.it, NULL) && hiod->agent == &device.it &&
         hiod->name != device.it.name &&
         !g_strcmp0(hiod->name, "pviommu-trial");
    if (ok) {
        object_unref(hiod);
        g_free(device.it.name);
    }
    return ok;
}

static bool try_iommufd(void)
{
    IOMMUFDBackend *backend;
    bool ok;

    if (!object_class_by_name(TYPE_IOMMUFD_BACKEND)) {
        return true;
    }
    backend = (IOMMUFDBackend *)object_new(TYPE_IOMMUFD_BACKEND);
    ok = backend->fd == -1 && !backend->users && backend->owned;
    object_unref(backend);
    return ok;
}

const PviommuTrial pviommu_trials_vfio[] = {
    { "VFIOAddressSpace, VFIOContainer", try_space },
    { "VFIOGuestIOMMU, VFIOContainer, MemoryListener, "
      "MemoryRegionSection", try_listener },
    { "VFIODevice", try_device },
    { "HostIOMMUDevice, HostIOMMUDeviceClass", try_host_device },
    { "IOMMUFDBackend", try_iommufd },
    { }
};
