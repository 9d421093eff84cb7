/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An observer that is a VFIO container, on a host made of paper
 */
#include "qemu/osdep.h"

#include "qapi/error.h"
#include "state.h"

static Observer *observer_of(const PviommuVfioContainer *container)
{
    return container_of(container, ObserverContainer, parent_obj)->observer;
}

static int dma_map(const PviommuVfioContainer *container, hwaddr iova,
                   uint64_t size, void *vaddr, bool readonly DMA_MAP_REGION)
{
    Observer *o = observer_of(container);
    g_autofree char *what = held_name(vaddr);
    int ret = refusal_due(&o->refusals[OBSERVER_CALL_MAP]);

    if (ret) {
        /* as the test ordered */
    } else if (o->quota &&
               (unsigned)g_sequence_get_length(o->held) >= o->quota) {
        ret = -ENOSPC;
    } else if ((iova | size) & ~(hwaddr)qemu_real_host_page_mask() || !size) {
        ret = -EINVAL;
    } else {
        ret = held_map(o->held, iova, iova + (size - 1), vaddr,
                       g_strdup(what), readonly ? "r" : "rw");
    }
    record_event(o->events, "map %" PRIx64 " %" PRIx64 " %s %s = %d", iova,
                 iova + (size - 1), what, readonly ? "r" : "rw", ret);
    return ret;
}

static int unmap(const PviommuVfioContainer *container, hwaddr iova,
                 uint64_t size)
{
    Observer *o = observer_of(container);
    hwaddr last = iova + (size - 1);
    int ret = refusal_due(&o->refusals[OBSERVER_CALL_UNMAP]) ?:
              !size ? -EINVAL
              : is_stuck(o->held, &o->stuck, iova, last) ? -o->stuck.error
              : held_unmap(o->held, iova, last);

    record_event(o->events, "unmap %" PRIx64 " %" PRIx64 " = %d", iova, last,
                 ret);
    return ret;
}

static int dma_unmap(const PviommuVfioContainer *container, hwaddr iova,
                     uint64_t size, IOMMUTLBEntry *iotlb DMA_UNMAP_ALL)
{
    const uint64_t half = 1ULL << 63;
    int ret;

    if (!WANTS_ALL) {
        return unmap(container, iova, size);
    }
    ret = unmap(container, 0, half);
    return unmap(container, half, half) ?: ret;
}

static void container_class_init(ObjectClass *oc, PviommuClassData *data)
{
    VFIOIOMMUClass *vioc = VFIO_IOMMU_CLASS(oc);

    vioc->dma_map = dma_map;
    vioc->dma_unmap = dma_unmap;
}

/* As vfio_realize() in hw/vfio/pci.c without an iommufd object */
static bool tell_iommu(Observer *o, Error **errp)
{
    HostIOMMUDevice *hiod = HOST_IOMMU_DEVICE(
        object_new(TYPE_HOST_IOMMU_DEVICE "-legacy-vfio"));

    o->vbasedev.hiod = hiod;
    o->vbasedev.bcontainer = &o->container->parent_obj;
    hiod->name = g_strdup(DEVICE(o)->id ?: "observer");
    hiod->agent = &o->vbasedev;
    o->told_iommu = pci_device_set_iommu_device(PCI_DEVICE(o), hiod, errp);
    return o->told_iommu;
}

void observer_container_start(Observer *o, AddressSpace *as, Error **errp)
{
    PviommuVfioContainer *container;

    o->container =
        OBSERVER_CONTAINER(object_new(TYPE_OBSERVER_CONTAINER));
    o->container->observer = o;
    container = &o->container->parent_obj;
    container->pgsizes = qemu_real_host_page_mask();
    o->space = pviommu_compat_space_get(as);
    vfio_address_space_insert(o->space, container);
    if (!pviommu_compat_listen(container, errp)) {
        observer_container_stop(o);
        return;
    }
    container->initialized = true;
    if (o->announce && !tell_iommu(o, errp)) {
        observer_container_stop(o);
    }
}

void observer_container_stop(Observer *o)
{
    memory_listener_unregister(&o->container->parent_obj.listener);
    object_unref(OBJECT(o->vbasedev.hiod));
    object_unref(OBJECT(o->container));
    o->container = NULL;
    pviommu_compat_space_put(o->space);
}

const TypeInfo observer_container_type = {
    .name = TYPE_OBSERVER_CONTAINER,
    .parent = TYPE_VFIO_IOMMU,
    .instance_size = sizeof(ObserverContainer),
    .class_init = container_class_init,
};
