/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu: which functions the IOMMU is for, by property scope
 *
 * A function out of scope is a plain one: its accesses reach guest memory,
 * and for the guest's driver it is not there.  Places are named by the way
 * to them, as bus numbers are the guest's to give: slot and function on the
 * primary bus, then behind that bridge or expander, and so on.
 *
 * Behind a bridge to a conventional bus functions cannot be told apart: no
 * place there can be named, so that what holds for the bridge holds for all
 * of them.
 */
#include "qemu/osdep.h"

#include "system/address-spaces.h"
#include "hw/pci/pci_bridge.h"
#include "hw/pci/pci_bus.h"
#include "qapi/error.h"
#include "qemu/cutils.h"
#include "qemu/error-report.h"
#include "topology/topology.h"

static bool parse_step(const char *text, uint8_t *devfn)
{
    g_auto(GStrv) part = g_strsplit(text, ".", 3);
    unsigned slot, function;

    if (g_strv_length(part) != 2 ||
        !g_ascii_isxdigit(*part[0]) || !g_ascii_isxdigit(*part[1]) ||
        qemu_strtoui(part[0], NULL, 16, &slot) || slot >= PCI_SLOT_MAX ||
        qemu_strtoui(part[1], NULL, 16, &function) ||
        function >= PCI_FUNC_MAX) {
        return false;
    }
    *devfn = PCI_DEVFN(slot, function);
    return true;
}

/* A place, or NULL if @text is none */
static GByteArray *parse_place(const char *text)
{
    g_auto(GStrv) steps = g_strsplit(text, "/", 0);
    g_autoptr(GByteArray) place = g_byte_array_new();

    for (unsigned i = 0; steps[i]; i++) {
        uint8_t devfn;

        if (!parse_step(steps[i], &devfn)) {
            return NULL;
        }
        g_byte_array_append(place, &devfn, 1);
    }
    return place->len ? g_steal_pointer(&place) : NULL;
}

static void free_place(gpointer place)
{
    g_byte_array_free(place, TRUE);
}

bool pviommu_scope_parse(PviommuDevice *s, Error **errp)
{
    g_auto(GStrv) words = NULL;

    if (!s->scope_name || !strcmp(s->scope_name, "all")) {
        s->scope = PVIOMMU_SCOPE_ALL;
        return true;
    }
    if (!strcmp(s->scope_name, "passthrough")) {
        s->scope = PVIOMMU_SCOPE_PASSTHROUGH;
        return true;
    }
    s->scope = PVIOMMU_SCOPE_LIST;
    s->places = g_ptr_array_new_with_free_func(free_place);
    words = g_strsplit(s->scope_name, ":", 0);
    for (unsigned i = 0; words[i]; i++) {
        GByteArray *place = parse_place(words[i]);

        if (!place) {
            error_setg(errp, "scope: '%s' is not a place", words[i]);
            error_append_hint(errp, "scope is all, passthrough, or places "
                              "with colons between them. A place is "
                              "SLOT.FUNCTION, hexadecimal as in addr=, and "
                              "for a device behind a bridge that of the "
                              "bridge, a slash, and its own: 5.0:3.0/0.0\n");
            pviommu_scope_free(s);
            return false;
        }
        g_ptr_array_add(s->places, place);
    }
    if (!s->places->len) {
        error_setg(errp, "scope: no place is named");
        pviommu_scope_free(s);
        return false;
    }
    return true;
}

void pviommu_scope_free(PviommuDevice *s)
{
    g_clear_pointer(&s->places, g_ptr_array_unref);
}

/* A bus whose functions make their requests in the name of a bridge */
static bool is_behind_one_name(PCIBus *bus)
{
    return !pci_bus_is_root(bus) && !pci_bus_is_express(bus);
}

static bool any_vfio(PCIBus *bus)
{
    BusChild *child;
    PCIBus *behind;

    QTAILQ_FOREACH(child, &BUS(bus)->children, sibling) {
        if (pviommu_is_vfio(PCI_DEVICE(child->child))) {
            return true;
        }
    }
    QLIST_FOREACH(behind, &bus->child, sibling) {
        if (any_vfio(behind)) {
            return true;
        }
    }
    return false;
}

static bool is_passed_through(PCIBus *bus, int devfn)
{
    PCIDevice *pdev = pviommu_device_at(bus, devfn);
    PCIBus *behind;

    if (is_behind_one_name(bus)) {
        return any_vfio(bus);
    }
    if (!pdev || !DEVICE(pdev)->realized || !IS_PCI_BRIDGE(pdev)) {
        return pviommu_is_vfio(pdev);
    }
    behind = pci_bridge_get_sec_bus(PCI_BRIDGE(pdev));
    return is_behind_one_name(behind) && any_vfio(behind);
}

/* Whether one of the places is this function or a bridge above it */
static bool is_listed(const PviommuDevice *s, PCIBus *bus, int devfn)
{
    g_autoptr(GByteArray) way = g_byte_array_new();

    for (;;) {
        uint8_t step = devfn;

        g_byte_array_prepend(way, &step, 1);
        if (bus == s->primary_bus) {
            break;
        }
        devfn = bus->parent_dev->devfn;
        bus = pci_get_bus(bus->parent_dev);
    }
    for (unsigned i = 0; i < s->places->len; i++) {
        const GByteArray *place = g_ptr_array_index(s->places, i);

        if (place->len <= way->len &&
            !memcmp(place->data, way->data, place->len)) {
            return true;
        }
    }
    return false;
}

bool pviommu_scope_holds(const PviommuDevice *s, PCIBus *bus, int devfn)
{
    switch (s->scope) {
    case PVIOMMU_SCOPE_ALL:
        return true;
    case PVIOMMU_SCOPE_PASSTHROUGH:
        return is_passed_through(bus, devfn);
    case PVIOMMU_SCOPE_LIST:
        return is_listed(s, bus, devfn);
    }
    g_assert_not_reached();
}

bool pviommu_scope_may_hold(const PviommuDevice *s, PCIBus *bus, int devfn)
{
    return pviommu_scope_holds(s, bus, devfn) ||
           (s->scope == PVIOMMU_SCOPE_PASSTHROUGH &&
            !is_behind_one_name(bus) && !bus->devices[devfn]);
}

/* The bus behind a bridge or an expander; NULL if @pdev is neither or NULL */
static PCIBus *bus_behind(const PCIDevice *pdev)
{
    PCIBus *bus;

    if (!pdev) {
        return NULL;
    }
    QLIST_FOREACH(bus, &pci_get_bus(pdev)->child, sibling) {
        if (bus->parent_dev == pdev) {
            return bus;
        }
    }
    return NULL;
}

/* The function at a place, or NULL */
static PCIDevice *find_place(const PviommuDevice *s, const GByteArray *place)
{
    PCIBus *bus = s->primary_bus;
    PCIDevice *pdev = NULL;

    for (unsigned i = 0; i < place->len; i++) {
        pdev = bus ? bus->devices[place->data[i]] : NULL;
        if (!pdev) {
            return NULL;
        }
        bus = bus_behind(pdev);
    }
    return pdev;
}

bool pviommu_scope_goes_behind(const PviommuDevice *s)
{
    for (unsigned i = 0; s->places && i < s->places->len; i++) {
        const GByteArray *place = g_ptr_array_index(s->places, i);

        if (place->len > 1 || bus_behind(find_place(s, place))) {
            return true;
        }
    }
    return !s->places;
}

static char *place_text(const GByteArray *place)
{
    GString *text = g_string_new(NULL);

    for (unsigned i = 0; i < place->len; i++) {
        g_string_append_printf(text, "%s%x.%x", i ? "/" : "",
                               PCI_SLOT(place->data[i]),
                               PCI_FUNC(place->data[i]));
    }
    return g_string_free(text, FALSE);
}

void pviommu_scope_check(const PviommuDevice *s)
{
    for (unsigned i = 0; s->places && i < s->places->len; i++) {
        const GByteArray *place = g_ptr_array_index(s->places, i);
        g_autofree char *text = place_text(place);
        PCIDevice *pdev = find_place(s, place);

        if (!pdev) {
            error_report("pviommu: scope: there is no device at %s of bus %s; "
                         "give it there with addr=, or name another place",
                         text, BUS(s->primary_bus)->name);
        } else if (is_behind_one_name(pci_get_bus(pdev))) {
            error_report("pviommu: scope: the device at %s of bus %s cannot "
                         "be told from others behind its PCI bridge; name "
                         "the bridge", text, BUS(s->primary_bus)->name);
        } else if (pviommu_root_serving(pci_get_bus(pdev)) != s ||
                   pci_device_iommu_address_space(pdev) ==
                   &address_space_memory) {
            error_report("pviommu: scope: the device at %s of bus %s cannot "
                         "be behind the IOMMU: it is one, or its bus has "
                         "another or bypasses it; name another place", text,
                         BUS(s->primary_bus)->name);
        } else {
            continue;
        }
        exit(1);
    }
}
