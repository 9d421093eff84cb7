/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Are the running QEMU's structures laid out as in the headers?
 *
 * Nothing is followed before it is known to be a pointer: in another layout
 * the members read here may hold anything.
 */
#include "qemu/osdep.h"
#include "hw/acpi/acpi_aml_interface.h"
#include "hw/arm/virt.h"
#include "hw/core/boards.h"
#include "hw/pci/pci_bus.h"
#include "hw/pci/pci_device.h"
#include "hw/pci/pci_host.h"
#include "hw/core/qdev-properties.h"
#include "hw/core/resettable.h"
#include "hw/core/sysbus.h"
#include "hw/virtio/virtio.h"
#include "hw/virtio/virtio-bus.h"
#include "hw/virtio/virtio-mmio.h"
#include "hw/virtio/virtio-pci.h"
#include "system/memory.h"
#include "qobject/qnull.h"
#include "system/iothread.h"
#include "standard-headers/linux/virtio_ids.h"

#include <dlfcn.h>
#include <link.h>

#include "pviommu/abi.h"
#include "pviommu/compat.h"
#include "hw/vfio/pci.h"

#include "abi-trial.h"

/* @beside: a type that the emulator must have, where the name is not enough */
typedef struct TypeSize {
    const char *type;
    size_t instance_size;
    size_t class_size;
    const char *beside;
} TypeSize;

#define SIZE_BESIDE(other, type, instance, klass) \
    { type, sizeof(instance), sizeof(klass), other }
#define SIZE(type, instance, klass) SIZE_BESIDE(NULL, type, instance, klass)
#define SIZE_INTERFACE(type, klass) { type, 0, sizeof(klass), NULL }

static const TypeSize sizes[] = {
    SIZE(TYPE_OBJECT, Object, ObjectClass),
    SIZE(TYPE_DEVICE, DeviceState, DeviceClass),
    SIZE(TYPE_BUS, BusState, BusClass),
    SIZE(TYPE_SYS_BUS_DEVICE, SysBusDevice, SysBusDeviceClass),
    SIZE(TYPE_PCI_DEVICE, PCIDevice, PCIDeviceClass),
    SIZE(TYPE_PCI_BUS, PCIBus, PCIBusClass),
    SIZE(TYPE_PCI_HOST_BRIDGE, PCIHostState, PCIHostBridgeClass),
    SIZE(TYPE_VIRTIO_DEVICE, VirtIODevice, VirtioDeviceClass),
    SIZE(TYPE_VIRTIO_BUS, VirtioBusState, VirtioBusClass),
    SIZE(TYPE_VIRTIO_PCI, VirtIOPCIProxy, VirtioPCIClass),
    SIZE(TYPE_VIRTIO_MMIO, VirtIOMMIOProxy, SysBusDeviceClass),
    SIZE(TYPE_MEMORY_REGION, MemoryRegion, ObjectClass),
    SIZE(TYPE_IOMMU_MEMORY_REGION, IOMMUMemoryRegion, IOMMUMemoryRegionClass),
    SIZE(TYPE_MACHINE, MachineState, MachineClass),
    SIZE(TYPE_IOMMUFD_BACKEND, IOMMUFDBackend, IOMMUFDBackendClass),
    SIZE(TYPE_HOST_IOMMU_DEVICE, HostIOMMUDevice, HostIOMMUDeviceClass),
    SIZE(TYPE_VFIO_IOMMU, PviommuVfioContainer, VFIOIOMMUClass),
    SIZE(TYPE_VFIO_IOMMU_LEGACY, PviommuVfioLegacyContainer, VFIOIOMMUClass),
    SIZE(TYPE_VFIO_IOMMU_IOMMUFD, VFIOIOMMUFDContainer, VFIOIOMMUClass),
    SIZE(TYPE_VFIO_PCI, VFIOPCIDevice, PCIDeviceClass),
    SIZE_INTERFACE(TYPE_RESETTABLE_INTERFACE, ResettableClass),
    SIZE_INTERFACE(TYPE_ACPI_DEV_AML_IF, AcpiDevAmlIfClass),
    /* RISC-V has another of that name */
    SIZE_BESIDE("arm-cpu", TYPE_VIRT_MACHINE, VirtMachineState,
                VirtMachineClass),
};

typedef struct PropertyOffset {
    const char *type;
    const char *property;
    ptrdiff_t offset;
    const char *beside;
} PropertyOffset;

#define PROP_BESIDE(other, type, name, structure, member) \
    { type, name, offsetof(structure, member), other }
#define PROP(type, name, structure, member) \
    PROP_BESIDE(NULL, type, name, structure, member)

static const PropertyOffset offsets[] = {
    PROP(TYPE_PCI_DEVICE, "addr", PCIDevice, devfn),
    PROP(TYPE_PCI_DEVICE, "romfile", PCIDevice, romfile),
    PROP(TYPE_PCI_DEVICE, "romsize", PCIDevice, romsize),
    PROP(TYPE_PCI_DEVICE, "rombar", PCIDevice, rom_bar),
    PROP(TYPE_PCI_DEVICE, "multifunction", PCIDevice, cap_present),
    PROP(TYPE_PCI_DEVICE, "failover_pair_id", PCIDevice, failover_pair_id),
    PROP(TYPE_PCI_DEVICE, "acpi-index", PCIDevice, acpi_index),
    PROP(TYPE_PCI_DEVICE, "x-max-bounce-buffer-size", PCIDevice,
         max_bounce_buffer_size),
    PROP(TYPE_VIRTIO_DEVICE, "indirect_desc", VirtIODevice, host_features),
    PROP(TYPE_VIRTIO_DEVICE, "use-started", VirtIODevice, use_started),
    PROP(TYPE_VIRTIO_DEVICE, "use-disabled-flag", VirtIODevice,
         use_disabled_flag),
    PROP(TYPE_VIRTIO_DEVICE, "x-disable-legacy-check", VirtIODevice,
         disable_legacy_check),
    PROP(TYPE_VIRTIO_PCI, "modern-pio-notify", VirtIOPCIProxy, flags),
    PROP(TYPE_VIRTIO_MMIO, "force-legacy", VirtIOMMIOProxy, legacy),
    PROP(TYPE_VIRTIO_MMIO, "ioeventfd", VirtIOMMIOProxy, flags),
    PROP(TYPE_VFIO_PCI, "host", VFIOPCIDevice, host),
    PROP(TYPE_VFIO_PCI, "sysfsdev", VFIOPCIDevice, vbasedev.sysfsdev),
    PROP(TYPE_VFIO_PCI, "x-no-mmap", VFIOPCIDevice, vbasedev.no_mmap),
    PROP(TYPE_VFIO_PCI, "x-balloon-allowed", VFIOPCIDevice,
         vbasedev.ram_block_discard_allowed),
    /* Debian's emulator of RISC-V has none */
    PROP_BESIDE(TYPE_IOMMUFD_BACKEND, TYPE_VFIO_PCI, "iommufd", VFIOPCIDevice,
                vbasedev.iommufd),
};

/* The linker has noted the size of whatever QEMU does not keep to a file */
typedef struct SymbolSize {
    const char *symbol;
    const char *structure;
    size_t size;
} SymbolSize;

#define SYMBOL(symbol, structure) { #symbol, #structure, sizeof(structure) }

static const SymbolSize symbols[] = {
    SYMBOL(address_space_memory, AddressSpace),
    SYMBOL(vfio_memory_listener, MemoryListener),
    SYMBOL(qdev_prop_bool, PropertyInfo),
    SYMBOL(qemu_cpu_list_lock, QemuMutex),
    SYMBOL(qnull_, QNull),
};

typedef struct Bytes {
    uintptr_t first;
    uintptr_t last;
} Bytes;

static int image_holds(struct dl_phdr_info *info, size_t size, void *opaque)
{
    const Bytes *bytes = opaque;

    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *ph = &info->dlpi_phdr[i];
        uintptr_t start = info->dlpi_addr + ph->p_vaddr;

        if (ph->p_type == PT_LOAD && bytes->first >= start &&
            bytes->last < start + ph->p_memsz) {
            return 1;
        }
    }
    return 0;
}

/* Does a constant of QEMU or of one of its modules lie there? */
static bool in_image(const void *start, size_t size)
{
    Bytes bytes = {
        .first = (uintptr_t)start,
        .last = (uintptr_t)start + size - 1,
    };

    return bytes.last >= bytes.first && dl_iterate_phdr(image_holds, &bytes);
}

static bool is_string(const char *there, const char *expected)
{
    size_t size = strlen(expected) + 1;

    return in_image(there, size) && !memcmp(there, expected, size);
}

static bool has(const char *type)
{
    return !type || object_class_by_name(type);
}

static bool check_size(const TypeSize *expected, char **why)
{
    ObjectClass *klass = object_class_by_name(expected->type);
    const PVIOMMUTypeImpl *type;

    if (!klass || !has(expected->beside)) {
        return true;
    }
    type = (const PVIOMMUTypeImpl *)klass->type;
    if (type->name != object_class_get_name(klass)) {
        *why = g_strdup_printf("its type table (%s) is laid out in another "
                               "way", expected->type);
        return false;
    }
    if (type->instance_size != expected->instance_size) {
        *why = g_strdup_printf("the structure of a %s has %zu bytes there, "
                               "%zu here", expected->type,
                               type->instance_size, expected->instance_size);
        return false;
    }
    if (type->class_size != expected->class_size) {
        *why = g_strdup_printf("the class of a %s has %zu bytes there, %zu "
                               "here", expected->type, type->class_size,
                               expected->class_size);
        return false;
    }
    return true;
}

static bool check_offset(const PropertyOffset *expected, char **why)
{
    ObjectClass *klass = object_class_by_name(expected->type);
    const DeviceClass *dc = (const DeviceClass *)klass;

    if (!klass || !has(expected->beside)) {
        return true;
    }
    if (!in_image(dc->props_, sizeof(*dc->props_) * dc->props_count_)) {
        *why = g_strdup_printf("the class of a %s is laid out in another way",
                               expected->type);
        return false;
    }
    for (unsigned i = 0; i < dc->props_count_; i++) {
        const Property *property = &dc->props_[i];

        if (!is_string(property->name, expected->property)) {
            continue;
        }
        if (property->offset != expected->offset) {
            *why = g_strdup_printf("property '%s' of a %s is at offset %td "
                                   "there, %td here", expected->property,
                                   expected->type, property->offset,
                                   expected->offset);
            return false;
        }
        return true;
    }
    *why = g_strdup_printf("a %s has no property '%s'", expected->type,
                           expected->property);
    return false;
}

static bool check_symbol(const SymbolSize *expected, char **why)
{
    const void *there = pviommu_abi_lookup(expected->symbol);
    const ElfW(Sym) *symbol = NULL;
    Dl_info info;

    /* A neighbour may answer for one that is not there */
    if (!there ||
        !dladdr1(there, &info, (void **)&symbol, RTLD_DL_SYMENT) || !symbol ||
        info.dli_saddr != there || !symbol->st_size) {
        return true;
    }
    if (symbol->st_size != expected->size) {
        *why = g_strdup_printf("%s (%s) has %zu bytes there, %zu here",
                               expected->structure, expected->symbol,
                               (size_t)symbol->st_size, expected->size);
        return false;
    }
    return true;
}

/* Which functions of a class its type sets, and which it leaves out */
static bool check_functions(void)
{
    ObjectClass *oc = object_class_by_name("virtio-iommu-device");
    const VirtioDeviceClass *vdc = (VirtioDeviceClass *)oc;
    const ResettableClass *rc;

    if (!oc) {
        return true;
    }
    rc = (ResettableClass *)object_class_dynamic_cast(
        oc, TYPE_RESETTABLE_INTERFACE);
    return rc && !rc->phases.enter && rc->phases.exit && vdc->realize &&
           vdc->unrealize && vdc->get_features && !vdc->bad_features &&
           !vdc->set_features && !vdc->validate_features &&
           vdc->get_config && vdc->set_config && vdc->set_status;
}

/* Sizes and property tables say nothing of the order of a class's members */
static bool check_classes(char **why)
{
    const DeviceClass *dc;
    const PCIDeviceClass *pc;
    const VirtioBusClass *bc;
    bool ok;

    dc = (DeviceClass *)object_class_by_name(TYPE_PCI_DEVICE);
    ok = !dc || is_string(dc->bus_type, TYPE_PCI_BUS);

    dc = (DeviceClass *)object_class_by_name(TYPE_VIRTIO_DEVICE);
    ok = ok && (!dc || is_string(dc->bus_type, TYPE_VIRTIO_BUS));

    pc = (PCIDeviceClass *)object_class_by_name("virtio-iommu-pci");
    ok = ok && (!pc || (pc->realize &&
                        pc->vendor_id == PCI_VENDOR_ID_REDHAT_QUMRANET &&
                        pc->class_id == PCI_CLASS_OTHERS));

    bc = (VirtioBusClass *)object_class_by_name("virtio-pci-bus");
    ok = ok && (!bc || (bc->get_dma_as && bc->iommu_enabled));

    bc = (VirtioBusClass *)object_class_by_name(TYPE_VIRTIO_MMIO_BUS);
    ok = ok && (!bc || (!bc->get_dma_as && !bc->iommu_enabled &&
                        bc->pre_plugged));

    ok = ok && check_functions();
    if (!ok) {
        *why = g_strdup("the members of a class are in another order");
    }
    return ok;
}

bool pviommu_abi_check_layout(char **why)
{
    for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
        if (!check_size(&sizes[i], why)) {
            return false;
        }
    }
    for (size_t i = 0; i < G_N_ELEMENTS(offsets); i++) {
        if (!check_offset(&offsets[i], why)) {
            return false;
        }
    }
    for (size_t i = 0; i < G_N_ELEMENTS(symbols); i++) {
        if (!check_symbol(&symbols[i], why)) {
            return false;
        }
    }
    /* in this order: each relies on what the one before has found */
    return check_classes(why) &&
           pviommu_trials_run(pviommu_trials_qdev, why) &&
           pviommu_trials_run(pviommu_trials_memory, why) &&
           pviommu_trials_run(pviommu_trials_pci, why) &&
           pviommu_trials_run(pviommu_trials_vfio, why);
}
