/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Are the running QEMU's structures laid out as in the headers?
 *
 * Nothing is followed before it is known to be a pointer: in another layout
 * the members read here may hold anything.
 */
#include "qemu/osdep.h"
#include "hw/pci/pci_bus.h"
#include "hw/pci/pci_device.h"
#include "hw/core/qdev-properties.h"
#include "hw/core/resettable.h"
#include "hw/virtio/virtio.h"
#include "hw/virtio/virtio-bus.h"
#include "hw/virtio/virtio-mmio.h"
#include "standard-headers/linux/virtio_ids.h"

#include <dlfcn.h>
#include <link.h>

#include "pviommu/abi.h"
#include "pviommu/compat.h"

#include "abi-tables.h"
#include "abi-trial.h"

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

static bool check_size(const PviommuTypeSize *expected, char **why)
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

static bool check_offset(const PviommuPropertyOffset *expected, char **why)
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

static bool check_symbol(const PviommuSymbolSize *expected, char **why)
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
    for (const PviommuTypeSize *t = pviommu_type_sizes; t->type; t++) {
        if (!check_size(t, why)) {
            return false;
        }
    }
    for (const PviommuPropertyOffset *p = pviommu_property_offsets; p->type;
         p++) {
        if (!check_offset(p, why)) {
            return false;
        }
    }
    for (const PviommuSymbolSize *s = pviommu_symbol_sizes; s->symbol; s++) {
        if (!check_symbol(s, why)) {
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
