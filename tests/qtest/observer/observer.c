/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A PCI device that watches its own address space as VFIO would
 */
#include "qemu/osdep.h"

#include "exec/memory.h"
#include "exec/address-spaces.h"
#include "hw/pci/msi.h"
#include "hw/pci/pci_device.h"
#include "hw/qdev-properties.h"
#include "hw/vfio/vfio-common.h"
#include "qapi/error.h"
#include "qapi/visitor.h"
#include "qemu/memalign.h"
#include "qemu/qemu-plugin.h"
#include "observer.h"
#include "record.h"

#define TYPE_OBSERVER "pviommu-observer"
#define TYPE_OBSERVER_CONTAINER "pviommu-observer-container"

typedef struct Observer Observer;

/* An IOMMU region that the listener found */
typedef struct Watched {
    Observer *observer;
    IOMMUMemoryRegion *mr;
    IOMMUNotifier notifier;
    QLIST_ENTRY(Watched) next;
} Watched;

typedef struct ObserverContainer {
    VFIOContainerBase parent_obj;
    Observer *observer;
} ObserverContainer;

struct Observer {
    PCIDevice parent_obj;
    MemoryRegion bar;
    MemoryRegion peer;
    void *peer_pages;
    bool has_peer;
    char *watch;
    Record record;

    MemoryListener listener;
    IOMMUNotifierFlag flags;
    QLIST_HEAD(, Watched) watched;
    VFIOAddressSpace *space;
    ObserverContainer *container;

    uint64_t address;
    uint64_t length;
    uint32_t result;
    uint32_t value;
    uint32_t fail_map;
    uint32_t fail_unmap;
    uint32_t fail_times;
    uint32_t error;
    uint32_t quota;
    uint8_t buffer[OBSERVER_BUFFER_SIZE];
};

DECLARE_INSTANCE_CHECKER(Observer, OBSERVER, TYPE_OBSERVER)
DECLARE_INSTANCE_CHECKER(ObserverContainer, OBSERVER_CONTAINER,
                         TYPE_OBSERVER_CONTAINER)

QEMU_PLUGIN_EXPORT int qemu_plugin_version = QEMU_PLUGIN_VERSION;

/* Name what is at a host address */
static char *block_at(void *vaddr)
{
    ram_addr_t offset;
    MemoryRegion *mr = memory_region_from_host(vaddr, &offset);

    return mr ? g_strdup_printf("%s+%" PRIx64, memory_region_name(mr),
                                (uint64_t)offset)
              : g_strdup("nothing");
}

static char *block_in(MemoryRegion *mr, hwaddr offset)
{
    return block_at((uint8_t *)memory_region_get_ram_ptr(mr) + offset);
}

/* Whether the refusal that the test ordered is due */
static bool due(Observer *o, uint32_t *countdown)
{
    if (!*countdown || --*countdown) {
        return false;
    }
    if (o->fail_times > 1) {
        o->fail_times--;
        *countdown = 1;
    }
    return true;
}

/* --- watch=listener: what vhost and others see --- */

static void notified(IOMMUNotifier *n, IOMMUTLBEntry *entry)
{
    Watched *w = container_of(n, Watched, notifier);
    Record *record = &w->observer->record;
    hwaddr last = entry->iova + entry->addr_mask;

    if (entry->perm == IOMMU_NONE) {
        record_event(record, "unmap %" PRIx64 " %" PRIx64, entry->iova, last);
        if (record_unmap(record, entry->iova, last)) {
            record_event(record, "error split");
        }
    } else {
        MemoryRegionSection section;
        char *what;

        section = memory_region_find(get_system_memory(),
                                     entry->translated_addr, 1);
        what = section.mr ? block_in(section.mr, section.offset_within_region)
                          : g_strdup("nothing");
        memory_region_unref(section.mr);
        record_event(record, "map %" PRIx64 " %" PRIx64 " %s", entry->iova,
                     last, what);
        if (record_map(record, entry->iova, last, what,
                       entry->perm == IOMMU_RO ? "r" :
                       entry->perm == IOMMU_WO ? "w" : "rw")) {
            record_event(record, "error overlap");
        }
    }
}

static void region_add(MemoryListener *listener, MemoryRegionSection *section)
{
    Observer *o = container_of(listener, Observer, listener);
    hwaddr first = section->offset_within_address_space;
    hwaddr last = first + int128_get64(int128_sub(section->size,
                                                  int128_one()));

    if (memory_region_is_iommu(section->mr)) {
        Watched *w = g_new0(Watched, 1);

        w->observer = o;
        w->mr = IOMMU_MEMORY_REGION(section->mr);
        record_event(&o->record, "iommu-add %" PRIx64 " %" PRIx64, first,
                     last);
        iommu_notifier_init(&w->notifier, notified, o->flags,
                            section->offset_within_region,
                            section->offset_within_region + (last - first),
                            0);
        memory_region_register_iommu_notifier(section->mr, &w->notifier,
                                              &error_fatal);
        QLIST_INSERT_HEAD(&o->watched, w, next);
        if (o->flags & IOMMU_NOTIFIER_MAP) {
            memory_region_iommu_replay(w->mr, &w->notifier);
        }
    } else if (memory_region_is_ram(section->mr)) {
        char *what = block_in(section->mr, section->offset_within_region);

        record_event(&o->record, "ram-add %" PRIx64 " %" PRIx64 " %s", first,
                     last, what);
        if (record_map(&o->record, first, last, what,
                       section->readonly ? "r" : "rw")) {
            record_event(&o->record, "error overlap");
        }
    }
}

static void region_del(MemoryListener *listener, MemoryRegionSection *section)
{
    Observer *o = container_of(listener, Observer, listener);
    hwaddr first = section->offset_within_address_space;
    hwaddr last = first + int128_get64(int128_sub(section->size,
                                                  int128_one()));
    Watched *w, *tmp;

    if (memory_region_is_iommu(section->mr)) {
        record_event(&o->record, "iommu-del %" PRIx64 " %" PRIx64, first,
                     last);
        QLIST_FOREACH_SAFE(w, &o->watched, next, tmp) {
            if (MEMORY_REGION(w->mr) == section->mr &&
                w->notifier.start == section->offset_within_region) {
                memory_region_unregister_iommu_notifier(section->mr,
                                                        &w->notifier);
                QLIST_REMOVE(w, next);
                g_free(w);
            }
        }
    } else if (memory_region_is_ram(section->mr)) {
        record_event(&o->record, "ram-del %" PRIx64 " %" PRIx64, first, last);
    } else {
        return;
    }
    if (record_unmap(&o->record, first, last)) {
        record_event(&o->record, "error split");
    }
}

/* --- watch=container: what VFIO does, on a host made of paper --- */

static Observer *observer_of(const VFIOContainerBase *container)
{
    return container_of(container, ObserverContainer, parent_obj)->observer;
}

static int dma_map(const VFIOContainerBase *container, hwaddr iova,
                   ram_addr_t size, void *vaddr, bool readonly)
{
    Observer *o = observer_of(container);
    g_autofree char *what = block_at(vaddr);
    int ret;

    if (due(o, &o->fail_map)) {
        ret = -(int)o->error;
    } else if (o->quota &&
               (unsigned)g_sequence_get_length(o->record.held) >= o->quota) {
        ret = -ENOSPC;
    } else if ((iova | size) & ~(hwaddr)qemu_real_host_page_mask() || !size) {
        ret = -EINVAL;
    } else {
        ret = record_map(&o->record, iova, iova + (size - 1),
                         g_strdup(what), readonly ? "r" : "rw");
    }
    record_event(&o->record, "map %" PRIx64 " %" PRIx64 " %s %s = %d", iova,
                 iova + (size - 1), what, readonly ? "r" : "rw", ret);
    return ret;
}

static int dma_unmap(const VFIOContainerBase *container, hwaddr iova,
                     ram_addr_t size, IOMMUTLBEntry *iotlb)
{
    Observer *o = observer_of(container);
    int ret;

    if (due(o, &o->fail_unmap)) {
        ret = -(int)o->error;
    } else {
        ret = size ? record_unmap(&o->record, iova, iova + (size - 1))
                   : -EINVAL;
    }
    record_event(&o->record, "unmap %" PRIx64 " %" PRIx64 " = %d", iova,
                 iova + (size - 1), ret);
    return ret;
}

static void container_class_init(ObjectClass *oc, void *data)
{
    VFIOIOMMUClass *vioc = VFIO_IOMMU_CLASS(oc);

    vioc->dma_map = dma_map;
    vioc->dma_unmap = dma_unmap;
}

static bool start_container(Observer *o, AddressSpace *as, Error **errp)
{
    VFIOContainerBase *container;

    o->container =
        OBSERVER_CONTAINER(object_new(TYPE_OBSERVER_CONTAINER));
    o->container->observer = o;
    container = &o->container->parent_obj;
    container->pgsizes = qemu_real_host_page_mask();
    o->space = vfio_get_address_space(as);
    vfio_address_space_insert(o->space, container);
    container->listener = vfio_memory_listener;
    memory_listener_register(&container->listener, as);
    if (container->error) {
        error_propagate(errp, g_steal_pointer(&container->error));
        return false;
    }
    container->initialized = true;
    return true;
}

static void stop_container(Observer *o)
{
    memory_listener_unregister(&o->container->parent_obj.listener);
    object_unref(OBJECT(o->container));
    vfio_put_address_space(o->space);
}

/* --- the device --- */

static uint32_t transfer(Observer *o, uint32_t command)
{
    uint64_t done = 0;
    MemTxResult result = MEMTX_OK;

    if (command == OBSERVER_FILL) {
        memset(o->buffer, o->value, sizeof(o->buffer));
    } else if (o->length > sizeof(o->buffer)) {
        return MEMTX_ERROR;
    }
    while (done < o->length && result == MEMTX_OK) {
        uint64_t size = MIN(o->length - done, sizeof(o->buffer));

        result = pci_dma_rw(PCI_DEVICE(o), o->address + done, o->buffer, size,
                            command == OBSERVER_READ
                            ? DMA_DIRECTION_TO_DEVICE
                            : DMA_DIRECTION_FROM_DEVICE,
                            MEMTXATTRS_UNSPECIFIED);
        done += size;
    }
    return result;
}

/* Ask the IOMMU region for a read, and keep what it says of both */
static uint32_t lookup(Observer *o)
{
    AddressSpace *as = pci_device_iommu_address_space(PCI_DEVICE(o));
    MemoryRegionSection section = memory_region_find(as->root, o->address, 1);
    uint32_t perm = IOMMU_NONE;

    if (section.mr && memory_region_is_iommu(section.mr)) {
        IOMMUMemoryRegion *mr = IOMMU_MEMORY_REGION(section.mr);

        perm = IOMMU_MEMORY_REGION_GET_CLASS(mr)->translate(
            mr, section.offset_within_region, IOMMU_RO, 0).perm;
    }
    memory_region_unref(section.mr);
    return perm;
}

static void run(Observer *o, uint32_t command)
{
    switch (command) {
    case OBSERVER_READ:
    case OBSERVER_WRITE:
    case OBSERVER_FILL:
        o->result = transfer(o, command);
        break;
    case OBSERVER_MSI:
        msi_notify(PCI_DEVICE(o), 0);
        break;
    case OBSERVER_LOOKUP:
        o->result = lookup(o);
        break;
    case OBSERVER_CLEAR:
        g_string_truncate(o->record.events, 0);
        break;
    default:
        break;
    }
}

static uint64_t bar_read(void *opaque, hwaddr addr, unsigned size)
{
    Observer *o = opaque;

    if (addr >= OBSERVER_BUFFER &&
        addr + size <= OBSERVER_BUFFER + OBSERVER_BUFFER_SIZE) {
        return ldn_le_p(o->buffer + addr - OBSERVER_BUFFER, size);
    }
    return addr == OBSERVER_RESULT ? o->result : 0;
}

static void bar_write(void *opaque, hwaddr addr, uint64_t value,
                      unsigned size)
{
    Observer *o = opaque;

    if (addr >= OBSERVER_BUFFER &&
        addr + size <= OBSERVER_BUFFER + OBSERVER_BUFFER_SIZE) {
        stn_le_p(o->buffer + addr - OBSERVER_BUFFER, size, value);
        return;
    }
    switch (addr) {
    case OBSERVER_ADDRESS:
        o->address = value;
        break;
    case OBSERVER_LENGTH:
        o->length = value;
        break;
    case OBSERVER_COMMAND:
        run(o, value);
        break;
    case OBSERVER_VALUE:
        o->value = value;
        break;
    case OBSERVER_FAIL_MAP:
        o->fail_map = value;
        break;
    case OBSERVER_FAIL_UNMAP:
        o->fail_unmap = value;
        break;
    case OBSERVER_FAIL_TIMES:
        o->fail_times = value;
        break;
    case OBSERVER_ERRNO:
        o->error = value;
        break;
    case OBSERVER_QUOTA:
        o->quota = value;
        break;
    default:
        break;
    }
}

static const MemoryRegionOps bar_ops = {
    .read = bar_read,
    .write = bar_write,
    .endianness = DEVICE_LITTLE_ENDIAN,
    .valid.min_access_size = 1,
    .valid.max_access_size = 8,
    .impl.min_access_size = 1,
    .impl.max_access_size = 8,
};

/* What a listener asks its notifiers for */
static IOMMUNotifierFlag flags_of(const char *watch)
{
    return !g_strcmp0(watch, "listener") ? IOMMU_NOTIFIER_IOTLB_EVENTS
           : !g_strcmp0(watch, "vhost") ? IOMMU_NOTIFIER_UNMAP
           : !g_strcmp0(watch, "vhost-ats") ? IOMMU_NOTIFIER_DEVIOTLB_UNMAP
           : IOMMU_NOTIFIER_NONE;
}

static void observer_realize(PCIDevice *pdev, Error **errp)
{
    Observer *o = OBSERVER(pdev);
    AddressSpace *as = pci_device_iommu_address_space(pdev);

    memory_region_init_io(&o->bar, OBJECT(o), &bar_ops, o, TYPE_OBSERVER,
                          OBSERVER_BAR_SIZE);
    pci_register_bar(pdev, 0, PCI_BASE_ADDRESS_SPACE_MEMORY, &o->bar);
    if (o->has_peer) {
        o->peer_pages = qemu_memalign(qemu_real_host_page_size(),
                                      OBSERVER_PEER_SIZE);
        memory_region_init_ram_device_ptr(&o->peer, OBJECT(o), "peer",
                                          OBSERVER_PEER_SIZE, o->peer_pages);
        pci_register_bar(pdev, 2, PCI_BASE_ADDRESS_SPACE_MEMORY, &o->peer);
    }
    if (msi_init(pdev, 0, 1, true, false, errp)) {
        return;
    }
    record_init(&o->record);
    o->error = ENOMEM;
    o->flags = flags_of(o->watch);
    if (!o->watch || !strcmp(o->watch, "none")) {
        return;
    } else if (o->flags) {
        o->listener = (MemoryListener) {
            .name = TYPE_OBSERVER,
            .region_add = region_add,
            .region_del = region_del,
        };
        memory_listener_register(&o->listener, as);
    } else if (!strcmp(o->watch, "container")) {
        if (!start_container(o, as, errp)) {
            stop_container(o);
            o->container = NULL;
        }
    } else {
        error_setg(errp, "watch is none, listener, vhost, vhost-ats or "
                   "container");
    }
}

static void observer_exit(PCIDevice *pdev)
{
    Observer *o = OBSERVER(pdev);

    if (o->container) {
        stop_container(o);
    } else if (o->listener.region_add) {
        memory_listener_unregister(&o->listener);
    }
    msi_uninit(pdev);
    record_free(&o->record);
}

static void get_events(Object *obj, Visitor *v, const char *name,
                       void *opaque, Error **errp)
{
    Observer *o = OBSERVER(obj);

    visit_type_str(v, name, &o->record.events->str, errp);
}

static void get_mappings(Object *obj, Visitor *v, const char *name,
                         void *opaque, Error **errp)
{
    g_autofree char *text = record_mappings(&OBSERVER(obj)->record);

    visit_type_str(v, name, &text, errp);
}

static void get_guard(Object *obj, Visitor *v, const char *name,
                      void *opaque, Error **errp)
{
    const ObserverContainer *c = OBSERVER(obj)->container;
    g_autofree char *text = g_strdup(c && !c->parent_obj.initialized
                                     ? "up" : "down");

    visit_type_str(v, name, &text, errp);
}

static const Property properties[] = {
    DEFINE_PROP_STRING("watch", Observer, watch),
    DEFINE_PROP_UINT32("quota", Observer, quota, 0),
    DEFINE_PROP_BOOL("peer", Observer, has_peer, false),
};

static void observer_class_init(ObjectClass *oc, void *data)
{
    PCIDeviceClass *pc = PCI_DEVICE_CLASS(oc);

    pc->realize = observer_realize;
    pc->exit = observer_exit;
    pc->vendor_id = OBSERVER_VENDOR;
    pc->device_id = OBSERVER_DEVICE;
    pc->class_id = PCI_CLASS_OTHERS;
    device_class_set_props(DEVICE_CLASS(oc), properties);
    object_class_property_add(oc, "events", "str", get_events, NULL, NULL,
                              NULL);
    object_class_property_add(oc, "guard", "str", get_guard, NULL, NULL,
                              NULL);
    object_class_property_add(oc, "mappings", "str", get_mappings, NULL, NULL,
                              NULL);
}

static const InterfaceInfo observer_interfaces[] = {
    { INTERFACE_PCIE_DEVICE },
    { INTERFACE_CONVENTIONAL_PCI_DEVICE },
    { },
};

static const TypeInfo types[] = {
    {
        .name = TYPE_OBSERVER,
        .parent = TYPE_PCI_DEVICE,
        .instance_size = sizeof(Observer),
        .class_init = observer_class_init,
        .interfaces = (InterfaceInfo *)observer_interfaces,
    }, {
        .name = TYPE_OBSERVER_CONTAINER,
        .parent = TYPE_VFIO_IOMMU,
        .instance_size = sizeof(ObserverContainer),
        .class_init = container_class_init,
    },
};

QEMU_PLUGIN_EXPORT int qemu_plugin_install(qemu_plugin_id_t id,
                                           const qemu_info_t *info, int argc,
                                           char **argv)
{
    type_register_static_array(types, ARRAY_SIZE(types));
    return 0;
}
