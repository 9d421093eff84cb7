/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a device tree says of an IOMMU: hw/pviommu/device/firmware/fdt.c
 *
 * The bindings are those that fdt.h names.
 */
#include <glib.h>
#include <libfdt.h>
#include <string.h>

#include "pviommu/fdt.h"

#define BRIDGE "/soc/pcie@10000000"
#define SLOT_A "/soc/virtio_mmio@a000000"
#define SLOT_B "/soc/virtio_mmio@a000200"

typedef struct Tree {
    uint8_t data[8192];
} Tree;

static void add_device(void *fdt, const char *name, uint64_t address,
                       const char *compatible, bool is_pci)
{
    const fdt32_t reg[] = {
        cpu_to_fdt32(address >> 32), cpu_to_fdt32(address), 0,
        cpu_to_fdt32(0x200),
    };

    g_assert_cmpint(fdt_begin_node(fdt, name), ==, 0);
    g_assert_cmpint(fdt_property_string(fdt, "compatible", compatible), ==, 0);
    if (is_pci) {
        fdt_property_string(fdt, "device_type", "pci");
        fdt_property_u32(fdt, "#address-cells", 3);
        fdt_property_u32(fdt, "#size-cells", 2);
    }
    fdt_property(fdt, "reg", reg, sizeof(reg));
    g_assert_cmpint(fdt_end_node(fdt), ==, 0);
}

/* A board with a PCI host bridge and two slots, a level below the top */
static void make_tree(Tree *tree)
{
    void *fdt = tree->data;

    fdt_create(fdt, sizeof(tree->data));
    fdt_finish_reservemap(fdt);
    fdt_begin_node(fdt, "");
    fdt_property_u32(fdt, "#address-cells", 1);
    fdt_property_u32(fdt, "#size-cells", 1);
    fdt_begin_node(fdt, "soc");
    fdt_property_u32(fdt, "#address-cells", 2);
    fdt_property_u32(fdt, "#size-cells", 2);
    add_device(fdt, "virtio_mmio@a000000", 0xa000000, "virtio,mmio", false);
    add_device(fdt, "virtio_mmio@a000200", 0xa000200, "virtio,mmio", false);
    add_device(fdt, "pcie@10000000", 0x4010000000, "pci-host-ecam-generic",
               true);
    fdt_end_node(fdt);
    fdt_end_node(fdt);
    g_assert_cmpint(fdt_finish(fdt), ==, 0);
    g_assert_cmpint(fdt_pack(fdt), ==, 0);
}

static void assert_cells(const void *fdt, const char *path, const char *name,
                         const uint32_t *cells, unsigned count)
{
    int len;
    const fdt32_t *data = fdt_getprop(fdt, fdt_path_offset(fdt, path), name,
                                      &len);

    g_assert_cmpint(len, ==, count * 4);
    for (unsigned i = 0; i < count; i++) {
        g_assert_cmphex(fdt32_ld(data + i), ==, cells[i]);
    }
}

#define ASSERT_CELLS(fdt, path, name, ...) do { \
    const uint32_t cells_[] = { __VA_ARGS__ }; \
    assert_cells(fdt, path, name, cells_, G_N_ELEMENTS(cells_)); \
} while (0)

static void assert_absent(const void *fdt, const char *path, const char *name)
{
    int node = fdt_path_offset(fdt, path);

    g_assert_cmpint(node, >=, 0);
    g_assert_null(fdt_getprop(fdt, node, name, NULL));
}

typedef struct Fixture {
    Tree tree;
    GArray *ranges;
    GArray *slots;
    PviommuFdtIommu iommu;
} Fixture;

static void set_up(Fixture *f, bool is_pci)
{
    const PviommuIdRange low = { 0, 0x17 }, high = { 0x19, 0xffff };
    const PviommuFdtSlot slot = { 0xa000000, 0x80050000 };
    Tree tight;

    make_tree(&tight);
    fdt_open_into(&tight, &f->tree, sizeof(f->tree));
    f->ranges = g_array_new(FALSE, FALSE, sizeof(low));
    f->slots = g_array_new(FALSE, FALSE, sizeof(slot));
    g_array_append_val(f->ranges, low);
    g_array_append_val(f->ranges, high);
    g_array_append_val(f->slots, slot);
    f->iommu = (PviommuFdtIommu) {
        .phandle = 0x8005,
        .is_pci = is_pci,
        .requester = 0x18,
        .address = 0xa000200,
        .bridge = BRIDGE,
        .ranges = f->ranges,
        .slots = f->slots,
    };
}

static void tear_down(Fixture *f)
{
    g_array_free(f->ranges, TRUE);
    g_array_free(f->slots, TRUE);
}

static void assert_refused(Fixture *f, const char *why)
{
    g_autofree char *message = pviommu_fdt_add(&f->tree, &f->iommu);

    g_assert_nonnull(message);
    g_assert_nonnull(strstr(message, why));
    g_assert_cmpint(fdt_check_header(&f->tree), ==, 0);
}

static void function(void)
{
    static const char compatible[] = "virtio,pci-iommu\0pci1af4,1057";
    const char *node = BRIDGE "/iommu@3,0";
    Fixture f;
    const void *data;
    int len;

    set_up(&f, true);
    g_assert_null(pviommu_fdt_add(&f.tree, &f.iommu));
    data = fdt_getprop(&f.tree, fdt_path_offset(&f.tree, node), "compatible",
                       &len);
    g_assert_cmpmem(data, len, compatible, sizeof(compatible));
    ASSERT_CELLS(&f.tree, node, "reg", 0x1800, 0, 0, 0, 0);
    ASSERT_CELLS(&f.tree, node, "#iommu-cells", 1);
    ASSERT_CELLS(&f.tree, node, "phandle", 0x8005);
    ASSERT_CELLS(&f.tree, BRIDGE, "iommu-map", 0, 0x8005, 0, 0x18,
                 0x19, 0x8005, 0x19, 0xffe7);
    ASSERT_CELLS(&f.tree, SLOT_A, "iommus", 0x8005, 0x80050000);
    assert_absent(&f.tree, SLOT_B, "iommus");
    tear_down(&f);
}

static void slot(void)
{
    Fixture f;

    set_up(&f, false);
    g_assert_null(pviommu_fdt_add(&f.tree, &f.iommu));
    ASSERT_CELLS(&f.tree, SLOT_B, "#iommu-cells", 1);
    ASSERT_CELLS(&f.tree, SLOT_B, "phandle", 0x8005);
    assert_absent(&f.tree, SLOT_B, "iommus");
    g_assert_cmpstr(fdt_getprop(&f.tree, fdt_path_offset(&f.tree, SLOT_B),
                                "compatible", NULL), ==, "virtio,mmio");
    ASSERT_CELLS(&f.tree, SLOT_A, "iommus", 0x8005, 0x80050000);
    assert_absent(&f.tree, SLOT_A, "#iommu-cells");
    ASSERT_CELLS(&f.tree, BRIDGE, "iommu-map", 0, 0x8005, 0, 0x18,
                 0x19, 0x8005, 0x19, 0xffe7);
    tear_down(&f);
}

static void all_functions(void)
{
    const PviommuIdRange all = { 0, 0xffff };
    Fixture f;

    set_up(&f, false);
    g_array_set_size(f.ranges, 0);
    g_array_append_val(f.ranges, all);
    g_assert_null(pviommu_fdt_add(&f.tree, &f.iommu));
    ASSERT_CELLS(&f.tree, BRIDGE, "iommu-map", 0, 0x8005, 0, 0x10000);
    tear_down(&f);
}

static void nothing_behind(void)
{
    Fixture f;

    set_up(&f, false);
    g_array_set_size(f.ranges, 0);
    g_array_set_size(f.slots, 0);
    g_assert_null(pviommu_fdt_add(&f.tree, &f.iommu));
    assert_absent(&f.tree, BRIDGE, "iommu-map");
    f.iommu.bridge = NULL;
    g_assert_null(pviommu_fdt_add(&f.tree, &f.iommu));
    tear_down(&f);
}

static void bridges(void)
{
    uint64_t address = 0;
    char path[64];
    Fixture f;
    int node;

    set_up(&f, true);
    node = pviommu_fdt_next_bridge(&f.tree, -1, &address);
    g_assert_cmpint(fdt_get_path(&f.tree, node, path, sizeof(path)), ==, 0);
    g_assert_cmpstr(path, ==, BRIDGE);
    g_assert_cmphex(address, ==, 0x4010000000);
    g_assert_cmpint(pviommu_fdt_next_bridge(&f.tree, node, &address), <, 0);
    tear_down(&f);
}

static void absent_nodes(void)
{
    Fixture f;

    set_up(&f, false);
    g_assert_true(pviommu_fdt_knows(&f.tree, &f.iommu));
    f.iommu.address = 0xa000400;
    g_assert_false(pviommu_fdt_knows(&f.tree, &f.iommu));
    f.iommu.is_pci = true;
    g_assert_true(pviommu_fdt_knows(&f.tree, &f.iommu));
    g_array_index(f.slots, PviommuFdtSlot, 0).address = 0x1000a000000;
    g_assert_false(pviommu_fdt_knows(&f.tree, &f.iommu));
    g_array_set_size(f.slots, 0);
    g_assert_true(pviommu_fdt_knows(&f.tree, &f.iommu));
    f.iommu.bridge = "/soc/pcie@20000000";
    g_assert_false(pviommu_fdt_knows(&f.tree, &f.iommu));
    f.iommu.bridge = NULL;
    g_assert_false(pviommu_fdt_knows(&f.tree, &f.iommu));
    f.iommu.is_pci = false;
    f.iommu.address = 0xa000200;
    g_assert_true(pviommu_fdt_knows(&f.tree, &f.iommu));
    tear_down(&f);
}

static void another_iommu(void)
{
    Fixture f;

    set_up(&f, false);
    fdt_setprop_u32(&f.tree, fdt_path_offset(&f.tree, BRIDGE), "iommu-map", 0);
    assert_refused(&f, "already");
    tear_down(&f);
}

/* In every size from too small to large enough: refused, or all there */
static void no_room(void)
{
    Tree tight;
    unsigned refused = 0;

    make_tree(&tight);
    for (unsigned more = 0; more < 1024; more += 4) {
        g_autofree char *why = NULL;
        int size = fdt_totalsize(&tight) + more;
        g_autofree void *fdt = g_malloc0(size);
        Fixture f;

        set_up(&f, true);
        g_assert_cmpint(fdt_open_into(&tight, fdt, size), ==, 0);
        why = pviommu_fdt_add(fdt, &f.iommu);
        g_assert_cmpint(fdt_check_header(fdt), ==, 0);
        if (why) {
            g_assert_cmpstr(why, ==, "it has no room left");
            g_assert_cmpuint(refused * 4, ==, more);
            refused++;
        } else {
            ASSERT_CELLS(fdt, SLOT_A, "iommus", 0x8005, 0x80050000);
        }
        tear_down(&f);
    }
    g_assert_cmpuint(refused, >, 10);
    g_assert_cmpuint(refused, <, 200);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/pviommu/fdt/function", function);
    g_test_add_func("/pviommu/fdt/slot", slot);
    g_test_add_func("/pviommu/fdt/all-functions", all_functions);
    g_test_add_func("/pviommu/fdt/nothing-behind", nothing_behind);
    g_test_add_func("/pviommu/fdt/bridges", bridges);
    g_test_add_func("/pviommu/fdt/absent-nodes", absent_nodes);
    g_test_add_func("/pviommu/fdt/another-iommu", another_iommu);
    g_test_add_func("/pviommu/fdt/no-room", no_room);
    return g_test_run();
}
