/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A PCI device that watches its own address space as VFIO would
 */
#include "qemu/osdep.h"

#include "hw/pci/msi.h"
#include "hw/core/qdev-properties.h"
#include "qapi/error.h"
#include "qapi/visitor.h"
#include "qemu/memalign.h"
#include "plugins/qemu-plugin.h"
#include "state.h"

QEMU_PLUGIN_EXPORT int qemu_plugin_version = QEMU_PLUGIN_VERSION;

static bool is_watch(const Observer *o, const char *watch)
{
    return !g_strcmp0(o->watch, watch);
}

/* A passed-through device asks its host; others ask QEMU */
static MemTxResult dma(Observer *o, uint64_t address, uint64_t size,
                       bool read)
{
    if (o->attached) {
        return iommufd_dma(o->vbasedev.fd, address, o->buffer, size, !read)
               ? MEMTX_OK : MEMTX_DECODE_ERROR;
    }
    return pci_dma_rw(PCI_DEVICE(o), address, o->buffer, size,
                      read ? DMA_DIRECTION_TO_DEVICE
                           : DMA_DIRECTION_FROM_DEVICE,
                      MEMTXATTRS_UNSPECIFIED);
}

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

        result = dma(o, o->address + done, size, command == OBSERVER_READ);
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
    case OBSERVER_MISS:
        o->result = observer_miss(o, o->address, o->value);
        break;
    case OBSERVER_HOLD:
        observer_hold(o->address);
        break;
    case OBSERVER_LET_GO:
        observer_let_go();
        break;
    case OBSERVER_CLEAR:
        g_string_truncate(o->events, 0);
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
    switch (addr) {
    case OBSERVER_RESULT:
        return o->result;
    case OBSERVER_HELD:
        return observer_is_holding();
    default:
        return 0;
    }
}

/* The model of the kernel is one for all observers */
static void order_refusal(Observer *o, unsigned call, uint32_t nth)
{
    Refusal *refusals = o->attached ? iommufd_refusals : o->refusals;

    refusals[call] = (Refusal) { nth, o->fail_times, o->error };
}

static void order_stuck(Observer *o, hwaddr iova)
{
    *(o->attached ? &iommufd_stuck : &o->stuck) = (Stuck) { iova, o->error };
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
    if (addr >= OBSERVER_FAIL &&
        addr < OBSERVER_FAIL + 4 * OBSERVER_CALL__MAX) {
        order_refusal(o, (addr - OBSERVER_FAIL) / 4, value);
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
    case OBSERVER_FAIL_TIMES:
        o->fail_times = value;
        break;
    case OBSERVER_STUCK:
        order_stuck(o, value);
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
static IOMMUNotifierFlag flags_of(const Observer *o)
{
    return is_watch(o, "listener") ? IOMMU_NOTIFIER_IOTLB_EVENTS
           : is_watch(o, "vhost") ? IOMMU_NOTIFIER_UNMAP
           : is_watch(o, "vhost-ats") ? IOMMU_NOTIFIER_DEVIOTLB_UNMAP
           : IOMMU_NOTIFIER_NONE;
}

static void start_watch(Observer *o, Error **errp)
{
    AddressSpace *as = pci_device_iommu_address_space(PCI_DEVICE(o));

    o->flags = flags_of(o);
    if (o->flags) {
        /* vhost listens where its device does DMA (dma_as of a virtio one) */
        observer_listen(o, o->flags & IOMMU_NOTIFIER_MAP
                           ? as : pci_get_address_space(PCI_DEVICE(o)));
    } else if (is_watch(o, "container")) {
        observer_container_start(o, as, errp);
    } else if (is_watch(o, "iommufd")) {
        observer_attach(o, as, errp);
    } else if (o->watch && !is_watch(o, "none")) {
        error_setg(errp, "watch is none, listener, vhost, vhost-ats, "
                   "container or iommufd");
    }
}

static void observer_realize(PCIDevice *pdev, Error **errp)
{
    Observer *o = OBSERVER(pdev);

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
    if (!msi_init(pdev, 0, 1, true, false, errp)) {
        start_watch(o, errp);
    }
}

static void observer_exit(PCIDevice *pdev)
{
    Observer *o = OBSERVER(pdev);

    if (o->told_iommu) {
        pci_device_unset_iommu_device(pdev);
    }
    if (o->container) {
        observer_container_stop(o);
    } else if (o->flags) {
        observer_listen_stop(o);
    }
    msi_uninit(pdev);
}

static void observer_init(Object *obj)
{
    Observer *o = OBSERVER(obj);

    o->events = g_string_new(NULL);
    o->held = held_new();
    o->error = ENOMEM;
}

static void observer_finalize(Object *obj)
{
    Observer *o = OBSERVER(obj);

    observer_detach(o);
    g_sequence_free(o->held);
    g_string_free(o->events, TRUE);
}

static void get_events(Object *obj, Visitor *v, const char *name,
                       void *opaque, Error **errp)
{
    Observer *o = OBSERVER(obj);

    visit_type_str(v, name, &o->events->str, errp);
}

static void get_mappings(Object *obj, Visitor *v, const char *name,
                         void *opaque, Error **errp)
{
    Observer *o = OBSERVER(obj);
    GString *text = g_string_new(NULL);
    g_autofree char *reached = NULL;

    held_print(o->held, "", text);
    reached = o->attached ? iommufd_mappings(o->vbasedev.fd) : NULL;
    g_string_append(text, reached ?: "");
    visit_type_str(v, name, &text->str, errp);
    g_string_free(text, TRUE);
}

static void get_guard(Object *obj, Visitor *v, const char *name,
                      void *opaque, Error **errp)
{
    const Observer *o = OBSERVER(obj);
    const PviommuVfioContainer *c = o->vbasedev.bcontainer;
    g_autofree char *text = g_strdup(c && !c->initialized ? "up" : "down");

    visit_type_str(v, name, &text, errp);
}

static char *get_calls(Object *obj, Error **errp)
{
    return iommufd_calls();
}

static char *get_host(Object *obj, Error **errp)
{
    return iommufd_objects();
}

static void set_fail(Object *obj, const char *value, Error **errp)
{
    if (!iommufd_refuse(value)) {
        error_setg(errp, "fail is CALL:TIMES:ERRNO[:N]");
    }
}

static char *get_descriptor(Object *obj, Error **errp)
{
    return iommufd_descriptor(OBSERVER(obj)->vbasedev.fd);
}

static void set_fault(Object *obj, const char *value, Error **errp)
{
    if (!iommufd_fault(OBSERVER(obj)->vbasedev.fd, value)) {
        error_setg(errp, "fault is TYPE:ADDRESS:r|w[:TIMES]");
    }
}

static void set_vevent(Object *obj, const char *value, Error **errp)
{
    if (!iommufd_vevent(OBSERVER(obj)->vbasedev.fd, value)) {
        error_setg(errp, "there are no events");
    }
}

static void set_memlock(Object *obj, Visitor *v, const char *name,
                        void *opaque, Error **errp)
{
    visit_type_uint64(v, name, &iommufd_memlock, errp);
}

static const Property properties[] = {
    DEFINE_PROP_STRING("watch", Observer, watch),
    DEFINE_PROP_UINT32("quota", Observer, quota, 0),
    DEFINE_PROP_BOOL("peer", Observer, has_peer, false),
    DEFINE_PROP_BOOL("announce", Observer, announce, false),
    DEFINE_PROP_LINK("iommufd", Observer, vbasedev.iommufd,
                     TYPE_IOMMUFD_BACKEND, IOMMUFDBackend *),
    DEFINE_PROP_UINT32("iommu", Observer, function.iommu, 0),
    DEFINE_PROP_UINT32("bits", Observer, function.bits, 64),
    DEFINE_PROP_BOOL("mdev", Observer, function.mdev, false),
    DEFINE_PROP_UINT64("msi", Observer, function.msi, 0xfee00000),
    DEFINE_PROP_BOOL("nests", Observer, function.nests, false),
    DEFINE_PROP_UINT32("idr0", Observer, function.idr0, 0xb),
    DEFINE_PROP_UINT32("idr5", Observer, function.idr5, 0x15),
};

static void observer_class_init(ObjectClass *oc, PviommuClassData *data)
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
    object_class_property_add_str(oc, "calls", get_calls, NULL);
    object_class_property_add_str(oc, "host", get_host, NULL);
    object_class_property_add_str(oc, "fail", NULL, set_fail);
    object_class_property_add_str(oc, "descriptor", get_descriptor, NULL);
    object_class_property_add_str(oc, "fault", NULL, set_fault);
    object_class_property_add_str(oc, "vevent", NULL, set_vevent);
    object_class_property_add(oc, "memlock", "uint64", NULL, set_memlock,
                              NULL, NULL);
}

static const InterfaceInfo observer_interfaces[] = {
    { INTERFACE_PCIE_DEVICE },
    { INTERFACE_CONVENTIONAL_PCI_DEVICE },
    { },
};

static const TypeInfo observer_type = {
    .name = TYPE_OBSERVER,
    .parent = TYPE_PCI_DEVICE,
    .instance_size = sizeof(Observer),
    .instance_init = observer_init,
    .instance_finalize = observer_finalize,
    .class_init = observer_class_init,
    .interfaces = (InterfaceInfo *)observer_interfaces,
};

/* The likeness of a VFIO platform device, where QEMU has none */
static const TypeInfo platform_type = {
    .name = "vfio-platform",
    .parent = TYPE_DEVICE,
    .instance_size = sizeof(DeviceState),
};

QEMU_PLUGIN_EXPORT int qemu_plugin_install(qemu_plugin_id_t id,
                                           const qemu_info_t *info, int argc,
                                           char **argv)
{
    iommufd_start();
    type_register_static(&observer_type);
    type_register_static(&observer_container_type);
    if (!object_class_by_name(platform_type.name)) {
        type_register_static(&platform_type);
    }
    return 0;
}
