/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu: devices that are moved between host page tables
 *
 * Blocked is the table that QEMU's VFIO code gave the device: its address
 * space holds no memory, so nor does the table.  Bypass is one table for all
 * devices of an iommufd object, with all of guest memory.  Translated is one
 * for each domain and iommufd object, which takes the domain's mappings once,
 * however many devices are on it.
 */
#include "qemu/osdep.h"

#include "exec/address-spaces.h"
#include "qapi/error.h"
#include "qemu/error-report.h"
#include "spaces/spaces.h"

/* Identity, of whatever memory there is */
const PviommuMapping pviommu_all_memory = {
    .last = UINT64_MAX,
    .flags = PVIOMMU_MAP_F_READ | PVIOMMU_MAP_F_WRITE,
};

static IOMMUFDBackend *backend_of(PCIDevice *pdev)
{
    Object *link = object_property_find(OBJECT(pdev), "iommufd")
        ? object_property_get_link(OBJECT(pdev), "iommufd", NULL) : NULL;

    return (IOMMUFDBackend *)object_dynamic_cast(link, TYPE_IOMMUFD_BACKEND);
}

bool pviommu_tables_chosen(PviommuDevice *s, PCIDevice *pdev)
{
    IOMMUFDBackend *backend = backend_of(pdev);
    gpointer known;
    Error *err = NULL;
    bool ok;

    if (!backend || (s->host_path != PVIOMMU_HOST_PATH_AUTO &&
                     s->host_path != PVIOMMU_HOST_PATH_IOMMUFD)) {
        return false;
    }
    /*
     * A device asks more than once until it is realized, and VFIO attaches
     * it in between: an object that was probed keeps to what came out.
     */
    if (g_hash_table_lookup_extended(s->probed, backend, NULL, &known)) {
        return known;
    }
    ok = pviommu_iommufd_probe(backend, &err);
    g_hash_table_insert(s->probed, object_ref(OBJECT(backend)),
                        GINT_TO_POINTER(ok));
    if (!ok && !s->said_path) {
        /* VFIO may fail of the same, and say less */
        s->said_path = true;
        error_prepend(&err, "pviommu: host-path=%s: ",
                      s->host_path == PVIOMMU_HOST_PATH_IOMMUFD ? "iommufd"
                      : "auto takes container for devices with an iommufd "
                        "object");
        warn_report_err(err);
    } else {
        error_free(err);
    }
    return ok;
}

void pviommu_tables_explain(PCIDevice *pdev, Error **errp)
{
    ERRP_GUARD();
    IOMMUFDBackend *backend = backend_of(pdev);

    if (!backend) {
        error_setg(errp, "host-path=iommufd, but the device has no iommufd "
                   "object");
        error_append_hint(errp, "Add -object iommufd,id=iommufd0 and give "
                          "the device iommufd=iommufd0, or choose "
                          "host-path=auto.\n");
    } else if (pviommu_iommufd_probe(backend, errp)) {
        error_setg(errp, "host-path=iommufd, but the device is behind a "
                   "bridge that makes requests in its own name");
        error_append_hint(errp, "Put it elsewhere, or choose "
                          "host-path=auto.\n");
    } else {
        error_prepend(errp, "host-path=iommufd: ");
    }
}

/* Interrupts without irqfd are stores to the device's address space */
AddressSpace *pviommu_tables_as(PviommuDevice *s)
{
    if (s->table_as.root) {
        return &s->table_as;
    }
    memory_region_init(&s->table_root, OBJECT(s), "pviommu-tables",
                       UINT64_MAX);
    for (unsigned i = 0; i < s->nr_regions; i++) {
        const PviommuRegion *region = &s->regions[i];

        if (region->type == PVIOMMU_REGION_MSI) {   /* there is one at most */
            memory_region_init_alias(&s->table_msi, OBJECT(s), "pviommu-msi",
                                     get_system_memory(), region->first,
                                     region->last - region->first + 1);
            memory_region_add_subregion(&s->table_root, region->first,
                                        &s->table_msi);
        }
    }
    address_space_init(&s->table_as, &s->table_root, "pviommu-tables");
    return &s->table_as;
}

void pviommu_tables_stop(PviommuDevice *s)
{
    if (s->table_as.root) {
        address_space_destroy(&s->table_as);
    }
}

PviommuSpace *pviommu_table_space(PviommuDevice *s, const PviommuTable *table)
{
    for (unsigned i = 0; i < s->spaces->len; i++) {
        PviommuSpace *space = g_ptr_array_index(s->spaces, i);

        if (space->table == table) {
            return space;
        }
    }
    return NULL;
}

/* From here on no device is moved to the table, and who leaves it leaves it */
static void forget_table(PviommuTable *table)
{
    guint i;

    if (table->iommufd->bypass == table) {
        table->iommufd->bypass = NULL;
    } else if (g_ptr_array_find(table->owner, table, &i)) {
        g_ptr_array_steal_index(table->owner, i);
    }
}

static void free_table(PviommuTable *table)
{
    forget_table(table);
    pviommu_table_free(table);
}

void pviommu_table_lose(PviommuDevice *s, PviommuTable *table)
{
    PviommuSpace *space;

    forget_table(table);
    while ((space = pviommu_table_space(s, table))) {
        pviommu_space_lose(space);
    }
    pviommu_table_free(table);
}

/* What a new table is made for: the first device of the space */
static const VFIODevice *first_device(const PviommuSpace *space)
{
    return g_array_index(space->passed, PviommuPassed, 0).device;
}

static int bypass_table(const PviommuSpace *space, PviommuTable **table)
{
    PviommuIommufd *iommufd = space->iommufd;
    PviommuTable *made;
    int ret;

    if (!iommufd->bypass) {
        ret = pviommu_table_new(iommufd, first_device(space), &made);
        if (ret) {
            return ret;
        }
        ret = pviommu_host_map(&made->host, &pviommu_all_memory, NULL);
        if (ret) {
            pviommu_table_free(made);
            return ret;
        }
        iommufd->bypass = made;
    }
    *table = iommufd->bypass;
    return 0;
}

static int domain_table(const PviommuSpace *space, PviommuTable **table)
{
    PviommuDomain *domain = pviommu_group_domain(space->group);
    GPtrArray *tables = pviommu_domain_opaque(domain);
    PviommuTable *made;
    int ret;

    for (unsigned i = 0; tables && i < tables->len; i++) {
        made = g_ptr_array_index(tables, i);
        if (made->iommufd == space->iommufd) {
            *table = made;
            return 0;
        }
    }
    ret = pviommu_table_new(space->iommufd, first_device(space), &made);
    if (ret) {
        return ret;
    }
    ret = pviommu_host_fill(&made->host, pviommu_domain_mappings(domain));
    if (ret) {
        pviommu_table_free(made);
        return ret;
    }
    if (!tables) {
        tables = g_ptr_array_new_with_free_func(
            (GDestroyNotify)pviommu_table_free);
        pviommu_write_lock(space->device);
        pviommu_domain_set_opaque(domain, tables);
        pviommu_write_unlock(space->device);
    }
    made->owner = tables;
    g_ptr_array_add(tables, made);
    *table = made;
    return 0;
}

static int move_one(const PviommuPassed *passed, PviommuTable *table)
{
    return table ? pviommu_table_attach(table, passed->device)
                 : pviommu_table_leave(passed->device);
}

/* All devices of the space, or none; on QEMU's table when neither works */
static int move(PviommuSpace *space, PviommuTable *table)
{
    int ret = 0;

    for (unsigned i = 0; i < space->passed->len && !ret; i++) {
        ret = move_one(&g_array_index(space->passed, PviommuPassed, i),
                       table);
        if (ret && i) {
            /* One host group moves as one: the first takes back the rest */
            ret = move_one(&g_array_index(space->passed, PviommuPassed, 0),
                           space->table) ? PVIOMMU_HOST_LOST : ret;
        }
    }
    if (!ret || !table || ret == PVIOMMU_HOST_LOST) {
        space->table = ret ? NULL : table;
    }
    return ret;
}

/* Free a table that all devices have left, if it is not to be kept */
static void left(PviommuDevice *s, PviommuTable *table)
{
    if (table && table == table->iommufd->bypass && !s->keep_bypass &&
        !pviommu_table_space(s, table)) {
        free_table(table);
    }
}

int pviommu_tables_switch(PviommuSpace *space, PviommuState want)
{
    PviommuTable *was = space->table, *table = NULL;
    PviommuDevice *s = space->device;
    int ret = 0;

    if (space->passed->len && want == PVIOMMU_BYPASS) {
        ret = bypass_table(space, &table);
    } else if (space->passed->len && want == PVIOMMU_TRANSLATED) {
        ret = domain_table(space, &table);
    }
    if (ret) {
        pviommu_space_refused(space, want == PVIOMMU_BYPASS
                              ? "guest memory for bypass"
                              : "the mappings of a domain", -ret);
        return ret;
    }
    if (table != was) {
        ret = move(space, table);
        if (ret) {
            pviommu_space_refused(space, "another page table", -ret);
        }
    }
    if (ret && table && !pviommu_table_space(s, table)) {
        free_table(table);      /* made for nothing, or of no use */
    }
    left(s, was);
    return ret;
}

static void release_domain(PviommuDomain *domain, void *opaque)
{
    GPtrArray *tables = pviommu_domain_opaque(domain);
    const PviommuIommufd *iommufd = opaque;

    for (unsigned i = tables ? tables->len : 0; i > 0; i--) {
        PviommuTable *table = g_ptr_array_index(tables, i - 1);

        if (table->iommufd == iommufd) {
            free_table(table);
        }
    }
}

static void put_iommufd(PviommuDevice *s, PviommuIommufd *iommufd)
{
    if (iommufd->users == 1) {
        pviommu_iommu_foreach_domain(s->iommu, release_domain, iommufd);
        if (iommufd->bypass) {
            free_table(iommufd->bypass);
        }
    }
    pviommu_iommufd_put(iommufd);
}

/* Where a function is in the space's devices, or -1 */
static int index_of(const PviommuSpace *space, const PCIDevice *pdev)
{
    for (unsigned i = 0; i < space->passed->len; i++) {
        if (g_array_index(space->passed, PviommuPassed, i).pdev == pdev) {
            return i;
        }
    }
    return -1;
}

void pviommu_tables_expect(PviommuSpace *space, PCIDevice *pdev)
{
    if (!space->table || DEVICE(pdev)->realized ||
        index_of(space, pdev) >= 0) {
        return;
    }
    move(space, NULL);
    pviommu_space_force_later(space);
}

static bool learn_ranges(PviommuSpace *space, VFIODevice *device,
                         Error **errp)
{
    GList *ranges;
    bool ok = pviommu_iommufd_ranges(space->iommufd, device, &ranges, errp) &&
              pviommu_host_info_add_ranges(space->device, space, device->name,
                                           ranges, errp);

    g_list_free_full(ranges, g_free);
    return ok;
}

bool pviommu_tables_add(PviommuSpace *space, PCIDevice *pdev,
                        VFIODevice *device, Error **errp)
{
    ERRP_GUARD();
    PviommuDevice *s = space->device;
    PviommuPassed passed = { .pdev = pdev, .device = device };
    PviommuIommufd *iommufd = pviommu_iommufd_get(&s->iommufds,
                                                  device->iommufd, errp);
    int ret;

    if (!iommufd) {
        return false;
    }
    if (space->passed->len && space->iommufd != iommufd) {
        error_setg(errp, "%s is in one IOMMU group of the host with %s, but "
                   "has another iommufd object", device->name,
                   first_device(space)->name);
        error_append_hint(errp, "Give them the same.\n");
        put_iommufd(s, iommufd);
        return false;
    }
    space->iommufd = iommufd;
    if (!learn_ranges(space, device, errp)) {
        put_iommufd(s, iommufd);
        return false;
    }
    g_array_append_val(space->passed, passed);
    ret = pviommu_space_switch(space);
    if (ret) {
        pviommu_tables_remove(space, pdev);
        error_setg_errno(errp, -ret, "pviommu: the host cannot serve %s",
                         device->name);
        return false;
    }
    return true;
}

/* VFIO tells of no mdev, see vfio_realize() in hw/vfio/pci.c: look for it */
void pviommu_tables_find(PviommuSpace *space, PCIDevice *pdev)
{
    VFIODevice *device;
    Error *err = NULL;

    if (index_of(space, pdev) >= 0) {
        return;
    }
    QLIST_FOREACH(device, &vfio_device_list, global_next) {
        if (device->dev == DEVICE(pdev) &&
            !pviommu_tables_add(space, pdev, device, &err)) {
            error_report_err(err);
            pviommu_space_lose(space);
        }
    }
}

void pviommu_tables_remove(PviommuSpace *space, PCIDevice *pdev)
{
    PviommuTable *was = space->table;
    int i = index_of(space, pdev);

    if (i < 0) {
        return;
    }
    if (space->passed->len == 1) {
        move(space, NULL);
        left(space->device, was);
    }
    g_array_remove_index(space->passed, i);
    put_iommufd(space->device, space->iommufd);
}
