/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu: which requester ids may be behind an IOMMU, for what tells the
 * guest so
 *
 * Ids hold bus numbers, which behind bridges are the guest's to give.  Until
 * it has, each root bus is covered up to the next one; then what is out of
 * scope is left out.
 */
#include "qemu/osdep.h"

#include "hw/pci/pci_bus.h"
#include "hw/pci/pci_device.h"
#include "qemu/bitmap.h"
#include "firmware/firmware.h"
#include "topology/topology.h"

/* Requester ids of a segment */
#define IDS (1 << 16)

/* A root bus, and the requester ids that functions behind it may have */
typedef struct Root {
    PCIBus *bus;
    unsigned first;
    unsigned last;
} Root;

static int compare_roots(gconstpointer a, gconstpointer b)
{
    const Root *left = a, *right = b;

    return (left->first > right->first) - (left->first < right->first);
}

static void add_root(GArray *roots, PCIBus *bus)
{
    Root root = { .bus = bus, .first = pci_bus_num(bus) << 8 };

    g_array_append_val(roots, root);
}

/*
 * The root bus of @s, or the one that this expander is on, and all its
 * expanders, in the order of their numbers
 */
static GArray *find_roots(const PviommuDevice *s)
{
    GArray *roots = g_array_new(FALSE, FALSE, sizeof(Root));
    PCIBus *main = s->primary_bus, *bus;

    if (!main) {
        return roots;
    }
    if (main->parent_dev) {
        main = pci_get_bus(main->parent_dev);
    }
    add_root(roots, main);
    QLIST_FOREACH(bus, &main->child, sibling) {
        if (pci_bus_is_root(bus)) {
            add_root(roots, bus);
        }
    }
    g_array_sort(roots, compare_roots);
    for (unsigned i = 0; i < roots->len; i++) {
        Root *root = &g_array_index(roots, Root, i);

        root->last = i + 1 < roots->len ? root[1].first - 1 : IDS - 1;
    }
    return roots;
}

/* The IOMMUs' own functions are nobody's endpoints */
static void leave_out_iommus(unsigned long *ids)
{
    PviommuDevice *s = NULL;

    while ((s = pviommu_next(s))) {
        if (s->function) {
            clear_bit(pci_get_bdf(s->function), ids);
        }
    }
}

typedef struct Marks {
    const PviommuDevice *device;
    const Root *root;
    unsigned long *ids;
} Marks;

/* Mark what may be behind the IOMMU of a bus whose number is known */
static void mark_bus(PCIBus *bus, void *opaque)
{
    Marks *marks = opaque;
    const Root *root = marks->root;
    unsigned first = pci_bus_num(bus) << 8;

    if (bus != root->bus && (first <= root->first || first > root->last)) {
        return;
    }
    for (unsigned devfn = 0; devfn < PCI_DEVFN_MAX; devfn++) {
        if (pviommu_scope_may_hold(marks->device, bus, devfn)) {
            set_bit(first + devfn, marks->ids);
        } else {
            clear_bit(first + devfn, marks->ids);
        }
    }
}

static void add_ranges(GArray *ranges, const PviommuDevice *s,
                       const Root *root)
{
    g_autofree unsigned long *ids = bitmap_new(IDS);
    Marks marks = { s, root, ids };
    unsigned end, first;

    if (pviommu_scope_goes_behind(s)) {
        bitmap_set(ids, root->first, root->last - root->first + 1);
    }
    pci_for_each_bus(root->bus, mark_bus, &marks);
    leave_out_iommus(ids);
    for (first = find_first_bit(ids, IDS); first < IDS;
         first = find_next_bit(ids, IDS, end)) {
        PviommuIdRange range = { .first = first };

        end = find_next_zero_bit(ids, IDS, first);
        range.last = end - 1;
        g_array_append_val(ranges, range);
    }
}

GArray *pviommu_ranges_new(const PviommuDevice *s)
{
    GArray *ranges = g_array_new(FALSE, FALSE, sizeof(PviommuIdRange));
    g_autoptr(GArray) roots = find_roots(s);

    for (unsigned i = 0; i < roots->len; i++) {
        const Root *root = &g_array_index(roots, Root, i);

        if (pviommu_root_serving(root->bus) == s &&
            !pci_bus_bypass_iommu(root->bus)) {
            add_ranges(ranges, s, root);
        }
    }
    return ranges;
}

static void count_functions(PCIBus *bus, void *opaque)
{
    unsigned *count = opaque;

    for (unsigned devfn = 0; devfn < PCI_DEVFN_MAX; devfn++) {
        *count += bus->devices[devfn] != NULL;
    }
    *count += 1;
}

/*
 * How many ranges more there may be in all when buses have numbers: one
 * function, or one bus, splits a range in two at most
 */
unsigned pviommu_ranges_to_come(void)
{
    PviommuDevice *s = NULL;
    unsigned count = 0;

    while ((s = pviommu_next(s))) {
        if (s->primary_bus) {
            pci_for_each_bus(s->primary_bus, count_functions, &count);
        }
    }
    return count;
}
