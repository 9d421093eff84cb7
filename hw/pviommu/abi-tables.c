/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The sizes and offsets of QEMU's structures, as in the headers
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
#include "system/event-loop-base.h"
#include "system/memory.h"
#include "qapi/qmp-registry.h"
#include "qobject/qnull.h"

#include "pviommu/compat.h"
#include "hw/vfio/pci.h"

#include "abi-tables.h"

#define SIZE_BESIDE(other, type, instance, klass) \
    { type, sizeof(instance), sizeof(klass), other }
#define SIZE(type, instance, klass) SIZE_BESIDE(NULL, type, instance, klass)
#define SIZE_INTERFACE(type, klass) { type, 0, sizeof(klass), NULL }

const PviommuTypeSize pviommu_type_sizes[] = {
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
    SIZE(TYPE_EVENT_LOOP_BASE, EventLoopBase, EventLoopBaseClass),
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
    { }
};

#define PROP_BESIDE(other, type, name, structure, member) \
    { type, name, offsetof(structure, member), other }
#define PROP(type, name, structure, member) \
    PROP_BESIDE(NULL, type, name, structure, member)

const PviommuPropertyOffset pviommu_property_offsets[] = {
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
    { }
};

#define SYMBOL(symbol, structure) { #symbol, #structure, sizeof(structure) }

const PviommuSymbolSize pviommu_symbol_sizes[] = {
    SYMBOL(address_space_memory, AddressSpace),
    SYMBOL(vfio_memory_listener, MemoryListener),
    SYMBOL(qdev_prop_bool, PropertyInfo),
    SYMBOL(qemu_cpu_list_lock, QemuMutex),
    SYMBOL(qnull_, QNull),
    SYMBOL(qmp_commands, QmpCommandList),
    { }
};
