/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu: what a device tree says of an IOMMU
 */
#include "pviommu/fdt.h"

#include <libfdt.h>

/* Where the registers of a node begin; false if it has none */
static bool read_address(const void *fdt, int node, uint64_t *address)
{
    int cells = fdt_address_cells(fdt, fdt_parent_offset(fdt, node)), len;
    const fdt32_t *reg = fdt_getprop(fdt, node, "reg", &len);

    if (!reg || cells < 1 || cells > 2 || len < cells * 4) {
        return false;
    }
    *address = 0;
    for (int i = 0; i < cells; i++) {
        *address = *address << 32 | fdt32_ld(reg + i);
    }
    return true;
}

int pviommu_fdt_next_bridge(const void *fdt, int node, uint64_t *address)
{
    do {
        node = fdt_node_offset_by_prop_value(fdt, node, "device_type", "pci",
                                             sizeof("pci"));
    } while (node >= 0 && !read_address(fdt, node, address));
    return node;
}

static int find_slot(const void *fdt, uint64_t address)
{
    int node = -1;
    uint64_t found;

    do {
        node = fdt_node_offset_by_compatible(fdt, node, "virtio,mmio");
    } while (node >= 0 && !(read_address(fdt, node, &found) &&
                            found == address));
    return node;
}

bool pviommu_fdt_knows(const void *fdt, const PviommuFdtIommu *iommu)
{
    if (iommu->bridge ? fdt_path_offset(fdt, iommu->bridge) < 0
                      : iommu->is_pci) {
        return false;
    }
    if (!iommu->is_pci && find_slot(fdt, iommu->address) < 0) {
        return false;
    }
    for (unsigned i = 0; i < iommu->slots->len; i++) {
        if (find_slot(fdt, g_array_index(iommu->slots, PviommuFdtSlot,
                                         i).address) < 0) {
            return false;
        }
    }
    return true;
}

static int add_function(void *fdt, const PviommuFdtIommu *iommu)
{
    static const char compatible[] = "virtio,pci-iommu\0pci1af4,1057";
    g_autofree char *name =
        g_strdup_printf("iommu@%x,%x", (iommu->requester >> 3) & 0x1f,
                        iommu->requester & 7);
    const fdt32_t reg[5] = { cpu_to_fdt32(iommu->requester << 8) };
    int bridge = fdt_path_offset(fdt, iommu->bridge);
    int node = fdt_add_subnode(fdt, bridge, name), ret;

    if (node < 0) {
        return node;
    }
    ret = fdt_setprop(fdt, node, "compatible", compatible,
                      sizeof(compatible));
    return ret ?: fdt_setprop(fdt, node, "reg", reg, sizeof(reg)) ?: node;
}

static int add_map(void *fdt, const PviommuFdtIommu *iommu)
{
    int bridge = fdt_path_offset(fdt, iommu->bridge), ret = 0;

    if (bridge < 0) {
        return bridge;
    }
    if (fdt_getprop(fdt, bridge, "iommu-map", NULL)) {
        return -FDT_ERR_EXISTS;
    }
    for (unsigned i = 0; !ret && i < iommu->ranges->len; i++) {
        PviommuIdRange r = g_array_index(iommu->ranges, PviommuIdRange, i);
        const fdt32_t entry[] = {
            cpu_to_fdt32(r.first), cpu_to_fdt32(iommu->phandle),
            cpu_to_fdt32(r.first), cpu_to_fdt32(r.last - r.first + 1),
        };

        ret = fdt_appendprop(fdt, bridge, "iommu-map", entry, sizeof(entry));
    }
    return ret;
}

static int add_slot(void *fdt, const PviommuFdtIommu *iommu,
                    const PviommuFdtSlot *slot)
{
    const fdt32_t iommus[] = {
        cpu_to_fdt32(iommu->phandle), cpu_to_fdt32(slot->id),
    };
    int node = find_slot(fdt, slot->address);

    return node < 0 ? node
                    : fdt_setprop(fdt, node, "iommus", iommus, sizeof(iommus));
}

static int add(void *fdt, const PviommuFdtIommu *iommu)
{
    int node = iommu->is_pci ? add_function(fdt, iommu)
                             : find_slot(fdt, iommu->address);
    int ret;

    if (node < 0) {
        return node;
    }
    ret = fdt_setprop_u32(fdt, node, "#iommu-cells", 1) ?:
          fdt_setprop_u32(fdt, node, "phandle", iommu->phandle);
    if (!ret && iommu->bridge) {
        ret = add_map(fdt, iommu);
    }
    for (unsigned i = 0; !ret && i < iommu->slots->len; i++) {
        ret = add_slot(fdt, iommu,
                       &g_array_index(iommu->slots, PviommuFdtSlot, i));
    }
    return ret;
}

char *pviommu_fdt_add(void *fdt, const PviommuFdtIommu *iommu)
{
    int ret = add(fdt, iommu);

    switch (-ret) {
    case 0:
        return NULL;
    case FDT_ERR_NOSPACE:
        return g_strdup("it has no room left");
    case FDT_ERR_EXISTS:
        return g_strdup("it names an IOMMU of the PCI host bridge already");
    default:
        return g_strdup(fdt_strerror(ret));
    }
}
