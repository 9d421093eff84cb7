/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu: devices behind the IOMMU: PCI functions, and virtio-mmio devices
 *
 * A device is an endpoint from its realize to its unrealize.  The number of a
 * virtio-mmio device is that of its slot.  The number of a PCI function is its
 * bus, device and function as the guest programmed them last, so it is asked
 * for anew whenever a request names an endpoint.
 *
 * A device whose plug is refused after its realize leaves without an unrealize
 * (device_set_realized() in hw/core/qdev.c).  So endpoints hold a reference,
 * and who uses their device looks first whether it is there.
 *
 * Behind a bridge that makes requests in its own name, functions share the
 * address space of that name (the alias).  The guest attaches both numbers;
 * only the alias moves the address space, the other is a name.
 */
#include "qemu/osdep.h"

#include "system/address-spaces.h"
#include "hw/pci/pci_bus.h"
#include "hw/pci/pci_device.h"
#include "hw/vfio/pci.h"
#include "hw/virtio/virtio.h"
#include "qapi/error.h"
#include "qemu/main-loop.h"
#include "spaces/spaces.h"
#include "topology/topology.h"

static PviommuSpace *space_by_as(PviommuDevice *s, const AddressSpace *as)
{
    for (unsigned i = 0; i < s->spaces->len; i++) {
        PviommuSpace *space = g_ptr_array_index(s->spaces, i);

        if (space->ops == &pviommu_mirror_ops &&
            space->ops->address_space(space) == as) {
            return space;
        }
    }
    return NULL;
}

static bool is_aliased(const PCIDevice *pdev)
{
    return pdev->requester_id_cache.dev != pdev ||
           pdev->requester_id_cache.type != PCI_REQ_ID_BDF;
}

/* No IOMMU is translated, be it by another one */
static bool is_pviommu(const PCIDevice *pdev)
{
    return pdev && object_dynamic_cast(OBJECT(pdev), TYPE_PVIOMMU_PCI);
}

/* Where sysfs has the IOMMU group of a vfio-pci device; owned by the caller */
static char *host_group_path(PCIDevice *pdev)
{
    const VFIODevice *device =
        &OBJECT_CHECK(VFIOPCIDevice, pdev, PVIOMMU_TYPE_VFIO_PCI)->vbasedev;
    g_autofree char *sysfsdev = NULL, *host = NULL;
    struct stat st;

    sysfsdev = object_property_get_str(OBJECT(pdev), "sysfsdev", NULL);
    if (sysfsdev && *sysfsdev) {
        return g_build_filename(sysfsdev, "iommu_group", NULL);
    }
    if (device->fd >= 0 && !fstat(device->fd, &st)) {
        /* Passed by file descriptor: one of /dev/vfio/devices */
        return g_strdup_printf("/sys/dev/char/%u:%u/device/iommu_group",
                               major(st.st_rdev), minor(st.st_rdev));
    }
    host = object_property_get_str(OBJECT(pdev), "host", NULL);
    return g_build_filename("/sys/bus/pci/devices", host ?: "",
                            "iommu_group", NULL);
}

/*
 * VFIO wants all functions of one IOMMU group of the host in one address
 * space.  Returns the number of the group of @pdev when it has more than one
 * member, else -1.
 */
static int host_group_of(PCIDevice *pdev)
{
    g_autofree char *path = NULL, *link = NULL, *members = NULL;
    GDir *dir;
    int count = 0;

    if (!pviommu_is_vfio(pdev) || is_aliased(pdev)) {
        return -1;
    }
    path = host_group_path(pdev);
    link = g_file_read_link(path, NULL);
    members = g_build_filename(path, "devices", NULL);
    dir = link ? g_dir_open(members, 0, NULL) : NULL;
    if (!dir) {
        return -1;
    }
    while (g_dir_read_name(dir)) {
        count++;
    }
    g_dir_close(dir);
    return count > 1 ? atoi(strrchr(link, '/') + 1) : -1;
}

static PviommuSpace *find_space(PviommuDevice *s, const PviommuSpaceOps *kind,
                                PCIBus *bus, int devfn, int host_group)
{
    for (unsigned i = 0; i < s->spaces->len; i++) {
        PviommuSpace *space = g_ptr_array_index(s->spaces, i);

        if (space->ops != kind) {
            continue;
        }
        if (host_group >= 0 ? space->host_group == host_group
                            : space->host_group < 0 && space->bus == bus &&
                              space->devfn == devfn) {
            return space;
        }
    }
    return NULL;
}

static PviommuBusEndpoint *endpoint_of(PviommuDevice *s,
                                       const PCIDevice *pdev)
{
    for (unsigned i = 0; i < s->endpoints->len; i++) {
        PviommuBusEndpoint *e = g_ptr_array_index(s->endpoints, i);

        if (pdev && e->pdev == pdev) {
            return e;
        }
    }
    return NULL;
}

/* Where the requests of a function arrive; NULL if not here */
static PviommuSpace *space_of(PviommuDevice *s, PCIDevice *pdev)
{
    AddressSpace *as = pci_device_iommu_address_space(pdev);

    return as == &s->table_as
           ? find_space(s, &pviommu_table_space_ops, pci_get_bus(pdev),
                        pdev->devfn, host_group_of(pdev))
           : space_by_as(s, as);
}

/*
 * An address space that no device is in any more, for other devices: QEMU
 * does not say when it is done with one, so none is ever freed
 */
static PviommuSpace *spare_space(PviommuDevice *s,
                                 const PviommuSpaceOps *kind)
{
    for (unsigned i = 0; i < s->spaces->len; i++) {
        PviommuSpace *space = g_ptr_array_index(s->spaces, i);

        if (space->ops == kind && space->parked && !kind->held(space)) {
            return space;
        }
    }
    return NULL;
}

static PviommuSpace *make_space(PviommuDevice *s, PCIBus *bus, int devfn,
                                PCIDevice *pdev)
{
    const PviommuSpaceOps *kind =
        pdev && !is_aliased(pdev) && pviommu_choice_is_tables(s, pdev)
        ? &pviommu_table_space_ops : &pviommu_mirror_ops;
    int host_group = host_group_of(pdev);
    PviommuSpace *space = find_space(s, kind, bus, devfn, host_group);

    if (space && space->parked && host_group < 0 && pdev &&
        !is_aliased(pdev) && kind->held(space)) {
        /* The device that left may do DMA there until it is finalized */
        space->bus = NULL;
        space = NULL;
    }
    if (!space) {
        space = spare_space(s, kind) ?: pviommu_space_new(s, kind);
        space->bus = bus;
        space->devfn = devfn;
        space->host_group = host_group;
    }
    if (space->parked) {
        space->parked = false;
        pviommu_space_retry(space);
    }
    kind->expect(space, pdev);
    if (pviommu_is_vfio(pdev) && !space->passthrough) {
        space->passthrough = true;
        pviommu_host_info_check_memlock(s);
    }
    return space;
}

static AddressSpace *get_address_space(PCIBus *bus, void *opaque, int devfn)
{
    PviommuDevice *s = opaque;
    PCIDevice *pdev = pviommu_device_at(bus, devfn);
    PviommuBusEndpoint *e = endpoint_of(s, pdev);
    PviommuSpace *space;
    PVIOMMU_HOLD_GUARD(s);

    if (is_pviommu(pdev)) {
        return &address_space_memory;
    }
    /* The way to the host is chosen once for a device */
    if (e && !is_aliased(pdev)) {
        space = e->space;
    } else if (pviommu_scope_holds(s, bus, devfn)) {
        space = make_space(s, bus, devfn, pdev);
    } else {
        return &address_space_memory;
    }
    return space->ops->address_space(space);
}

/* The host's regions, when @pdev is the only device that they are for */
static void forget_regions(PviommuSpace *space, const PCIDevice *pdev)
{
    if (!pviommu_endpoint_first(space, &pdev->qdev)) {
        pviommu_regions_free(g_steal_pointer(&space->regions));
        pviommu_space_regions_changed(space);
    }
}

static bool set_iommu_device(PCIBus *bus, void *opaque, int devfn,
                             HostIOMMUDevice *hiod, Error **errp)
{
    PviommuDevice *s = opaque;
    PCIDevice *pdev = pviommu_device_at(bus, devfn);
    PviommuSpace *space = space_of(s, pdev);
    PVIOMMU_HOLD_GUARD(s);

    if (!space) {
        return true;
    }
    space->passthrough = true;
    if (pviommu_host_info_add_page_sizes(s, hiod, errp) &&
        space->ops->add(space, pdev, hiod, errp)) {
        return true;
    }
    forget_regions(space, pdev);
    return false;
}

static void unset_iommu_device(PCIBus *bus, void *opaque, int devfn)
{
    PviommuDevice *s = opaque;
    PCIDevice *pdev = pviommu_device_at(bus, devfn);
    PviommuSpace *space = pdev ? space_of(s, pdev) : NULL;
    PVIOMMU_HOLD_GUARD(s);

    if (space) {
        space->ops->remove(space, pdev);
        forget_regions(space, pdev);
    }
}

const PCIIOMMUOps pviommu_pci_iommu_ops = {
    .get_address_space = get_address_space,
    .set_iommu_device = set_iommu_device,
    .unset_iommu_device = unset_iommu_device,
};

static void add(PviommuDevice *s, DeviceState *dev, PviommuSpace *space,
                PviommuGroup *name, bool requester)
{
    PviommuBusEndpoint *e = g_new0(PviommuBusEndpoint, 1);
    VirtIOMMIOProxy *slot = pviommu_slot_of(dev);

    e->dev = DEVICE(object_ref(OBJECT(dev)));
    e->pdev = slot ? NULL : PCI_DEVICE(dev);
    e->id = slot ? pviommu_slot_id(slot) : 0;
    e->space = space;
    e->name = name;
    e->requester = requester;
    pviommu_write_lock(s);
    e->endpoint = pviommu_endpoint_new(name ?: space->group, e);
    pviommu_write_unlock(s);
    g_ptr_array_add(s->endpoints, e);
    qemu_bh_schedule(s->tidy);
}

static bool has_alias(const PviommuSpace *space)
{
    const GPtrArray *list = space->device->endpoints;

    for (unsigned i = 0; i < list->len; i++) {
        const PviommuBusEndpoint *e = g_ptr_array_index(list, i);

        if (e->space == space && e->requester) {
            return true;
        }
    }
    return false;
}

static void realized(DeviceListener *listener, DeviceState *dev)
{
    PviommuDevice *s = container_of(listener, PviommuDevice, listener);
    PCIDevice *pdev =
        (PCIDevice *)object_dynamic_cast(OBJECT(dev), TYPE_PCI_DEVICE);
    PviommuSpace *space;
    PviommuGroup *name;
    PVIOMMU_HOLD_GUARD(s);

    if (pviommu_slot_of(dev)) {
        space = space_by_as(s, VIRTIO_DEVICE(dev)->dma_as);
        if (space) {
            add(s, dev, space, NULL, false);
        }
        return;
    }
    if (!pdev) {
        return;
    }
    space = space_of(s, pdev);
    if (dev->hotplugged && (space || pviommu_is_past_bus(s, pdev))) {
        pviommu_unprotected_warn(s, dev);
    }
    if (!space) {
        return;         /* an IOMMU, or behind another one, or behind none */
    }
    if (!is_aliased(pdev)) {
        space->ops->realized(space, pdev);
        add(s, dev, space, NULL, false);
        return;
    }
    if (!has_alias(space)) {
        add(s, dev, space, NULL, true);
    }
    pviommu_write_lock(s);
    name = pviommu_group_new(s->iommu, NULL);
    pviommu_write_unlock(s);
    add(s, dev, space, name, false);
    pviommu_space_regions_changed(space);
}

/* Another function that makes its requests in the same name */
static PCIDevice *other_aliased(const PviommuBusEndpoint *alias)
{
    const GPtrArray *list = alias->space->device->endpoints;

    for (unsigned i = 0; i < list->len; i++) {
        const PviommuBusEndpoint *e = g_ptr_array_index(list, i);

        if (e->space == alias->space && e->name && e->pdev != alias->pdev &&
            pviommu_endpoint_is_there(e)) {
            return e->pdev;
        }
    }
    return NULL;
}

static void drop(PviommuDevice *s, PviommuBusEndpoint *e)
{
    PviommuSpace *space = e->space;
    PviommuChange change = { 0 };

    space->ops->remove(space, e->pdev);
    pviommu_write_lock(s);
    pviommu_endpoint_detach(e->endpoint, &change);
    pviommu_write_unlock(s);

    g_ptr_array_remove(s->endpoints, e);
    if (pviommu_endpoint_first(space, NULL)) {
        pviommu_change_force(s, &change);
    } else {
        /* Nobody is left to serve: do not map RAM for a device that leaves */
        if (!space->parked) {
            pviommu_space_park(space);
        }
        pviommu_change_finish(s, &change);
    }

    pviommu_write_lock(s);
    pviommu_endpoint_free(e->endpoint);
    pviommu_group_free(e->name);
    pviommu_write_unlock(s);
    object_unref(e->dev);
    g_free(e);
}

/* Its device has left: a name that functions share passes to another one */
static void lose(PviommuDevice *s, PviommuBusEndpoint *e)
{
    PCIDevice *other = e->requester ? other_aliased(e) : NULL;

    if (!other) {
        drop(s, e);
        return;
    }
    object_unref(e->dev);
    e->dev = DEVICE(object_ref(OBJECT(other)));
    e->pdev = other;
}

/* A bus goes, and another one may come to be where it was in memory */
static void forget_bus(PviommuDevice *s, const BusState *bus)
{
    for (unsigned i = 0; i < s->spaces->len; i++) {
        PviommuSpace *space = g_ptr_array_index(s->spaces, i);

        if (space->host_group >= 0 || (void *)space->bus != bus) {
            continue;
        }
        space->bus = NULL;
        if (!space->parked) {
            pviommu_space_park(space);      /* for a device that failed */
        }
    }
}

static void unrealized(DeviceListener *listener, DeviceState *dev)
{
    PviommuDevice *s = container_of(listener, PviommuDevice, listener);
    BusState *bus;
    PVIOMMU_HOLD_GUARD(s);

    for (int i = s->endpoints->len - 1; i >= 0; i--) {
        PviommuBusEndpoint *e = g_ptr_array_index(s->endpoints, i);

        if (e->dev == dev) {
            lose(s, e);
        }
    }
    QLIST_FOREACH(bus, &dev->child_bus, sibling) {
        forget_bus(s, bus);
    }
}

/* Endpoints whose devices left without a word */
static void tidy(void *opaque)
{
    PviommuDevice *s = opaque;
    PVIOMMU_HOLD_GUARD(s);

    for (int i = s->endpoints->len - 1; i >= 0; i--) {
        PviommuBusEndpoint *e = g_ptr_array_index(s->endpoints, i);

        if (!pviommu_endpoint_is_there(e)) {
            lose(s, e);
        }
    }
}

void pviommu_endpoints_start(PviommuDevice *s)
{
    /* Not in the context that a device may poll while it is realized */
    s->tidy = aio_bh_new(iohandler_get_aio_context(), tidy, s);
    s->listener.realize = realized;
    s->listener.unrealize = unrealized;
    device_listener_register(&s->listener);
}

void pviommu_endpoints_stop(PviommuDevice *s)
{
    device_listener_unregister(&s->listener);
    qemu_bh_delete(s->tidy);
    while (s->endpoints->len) {
        drop(s, g_ptr_array_index(s->endpoints, s->endpoints->len - 1));
    }
}

void pviommu_endpoints_settle(PviommuDevice *s)
{
    for (int i = s->endpoints->len - 1; i >= 0; i--) {
        PviommuBusEndpoint *e = g_ptr_array_index(s->endpoints, i);

        if (e->pdev && pviommu_root_serving(pci_get_bus(e->pdev)) != s) {
            drop(s, e);
        }
    }
}

static uint64_t number(const PviommuBusEndpoint *e)
{
    if (!e->pdev) {
        return e->id;
    }
    return e->requester ? pci_requester_id(e->pdev) : pci_get_bdf(e->pdev);
}

static uint64_t number_of(const PviommuEndpoint *endpoint, void *opaque)
{
    return number(pviommu_endpoint_opaque(endpoint));
}

void pviommu_endpoints_renumber(PviommuDevice *s)
{
    tidy(s);
    pviommu_write_lock(s);
    pviommu_iommu_renumber(s->iommu, number_of, NULL);
    pviommu_write_unlock(s);
}

typedef struct FindVfio {
    PviommuDevice *device;
    PCIDevice *found;
} FindVfio;

static void find_vfio(PCIBus *bus, PCIDevice *pdev, void *opaque)
{
    FindVfio *find = opaque;

    if (!find->found && pviommu_is_vfio(pdev) && !pci_bus_bypass_iommu(bus) &&
        pviommu_scope_holds(find->device, bus, pdev->devfn)) {
        find->found = pdev;
    }
}

static void find_vfio_under(PCIBus *bus, void *opaque)
{
    FindVfio *find = opaque;

    if (pviommu_root_serving(bus) == find->device) {
        pci_for_each_device_under_bus(bus, find_vfio, find);
    }
}

bool pviommu_endpoints_check_order(PviommuDevice *s, Error **errp)
{
    FindVfio find = { .device = s };

    if (s->primary_bus) {
        pci_for_each_bus(s->primary_bus, find_vfio_under, &find);
    }
    if (find.found) {
        const char *id = DEVICE(find.found)->id;

        error_setg(errp, "vfio-pci device %s at %02x.%x was created before "
                   "the IOMMU and would escape it", id ?: "without id",
                   PCI_SLOT(find.found->devfn), PCI_FUNC(find.found->devfn));
        error_append_hint(errp, "Put -device pviommu-pci before every "
                          "-device vfio-pci on the command line.\n");
        return false;
    }
    return true;
}
