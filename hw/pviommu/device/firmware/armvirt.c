/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu: the ACPI tables of Arm's virt board
 *
 * The board shows no tables of users, but writes a VIOT itself where it has
 * a virtio IOMMU on PCI (virt_acpi_build() in hw/arm/virt-acpi-build.c), and
 * for that ours is one, that of the main root bus.  It knows of no other, of
 * none in a slot, nor of endpoints there.
 */
#include "qemu/osdep.h"

#include "hw/arm/virt.h"
#include "hw/pci/pci_bus.h"
#include "hw/pci/pci_device.h"
#include "firmware/firmware.h"

/* RISC-V has a board of that name too */
static VirtMachineState *armvirt(void)
{
    return object_class_by_name("arm-cpu")
           ? (VirtMachineState *)object_dynamic_cast(OBJECT(current_machine),
                                                     TYPE_VIRT_MACHINE)
           : NULL;
}

bool pviommu_armvirt_publish(PviommuDevice *s)
{
    VirtMachineState *vms = armvirt();
    bool told;

    if (!vms || vms->acpi == ON_OFF_AUTO_OFF) {
        return false;
    }
    told = s->function && !s->primary_bus->parent_dev;
    if (told && vms->iommu == VIRT_IOMMU_NONE) {
        vms->iommu = VIRT_IOMMU_VIRTIO;
        vms->virtio_iommu_bdf = pci_get_bdf(s->function);
    }
    return !told && vms->bootinfo.firmware_loaded;
}
