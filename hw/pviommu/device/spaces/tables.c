/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu: devices that are moved between host page tables
 *
 * Blocked is the table that QEMU's VFIO code gave the device: its address
 * space holds no memory, so nor does the table.  Bypass is one table for all
 * devices of an iommufd object, with all of guest memory.  Translated is one
 * for each domain and iommufd object, which takes the domain's mappings once,
 * however many devices are on it.  Where the domain is a table of the guest's
 * and the host can walk it, it nests in bypass's.
 */
#include "qemu/osdep.h"

#include "system/address-spaces.h"
#include "qapi/error.h"
#include "qemu/error-report.h"
#include "system/host_iommu_device.h"
#include "pviommu/nest.h"
#include "spaces/spaces.h"

/**
 * struct Member - a device that is moved between host page tables
 * @pdev: its PCI function; only compared
 * @device: what moves
 * @formats: tables of the guest's that its host can walk
 */
typedef struct Member {
    PCIDevice *pdev;
    VFIODevice *device;
    uint32_t formats;
} Member;

/**
 * struct PviommuTableSpace - a space whose devices are on host page tables
 * @parent_obj: the base
 * @members: Member, its devices
 * @iommufd: what those tables are made of, while there are devices
 * @table: the one that the devices are on; NULL for QEMU's
 */
typedef struct PviommuTableSpace {
    PviommuSpace parent_obj;
    GArray *members;
    PviommuIommufd *iommufd;
    PviommuTable *table;
} PviommuTableSpace;

QEMU_BUILD_BUG_ON(offsetof(PviommuTableSpace, parent_obj));

static PviommuTableSpace *table_space_of(PviommuSpace *space)
{
    return container_of(space, PviommuTableSpace, parent_obj);
}

/* Identity, of whatever memory there is */
const PviommuMapping pviommu_all_memory = {
    .last = UINT64_MAX,
    .flags = PVIOMMU_MAP_F_READ | PVIOMMU_MAP_F_WRITE,
};

static PviommuSpace *create(PviommuDevice *s)
{
    PviommuTableSpace *ts = g_new0(PviommuTableSpace, 1);

    ts->members = g_array_new(FALSE, FALSE, sizeof(Member));
    pviommu_space_init(&ts->parent_obj, s, &pviommu_table_space_ops);
    return &ts->parent_obj;
}

static void release(PviommuSpace *space)
{
    g_array_free(table_space_of(space)->members, TRUE);
}

/* Interrupts without irqfd are stores to the device's address space */
static AddressSpace *address_space(PviommuSpace *space)
{
    PviommuDevice *s = space->device;

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

bool pviommu_space_is_on(PviommuSpace *space, const PviommuTable *table)
{
    return space->ops == &pviommu_table_space_ops &&
           table_space_of(space)->table == table;
}

PviommuSpace *pviommu_table_user(PviommuDevice *s, const PviommuTable *table)
{
    for (unsigned i = 0; i < s->spaces->len; i++) {
        PviommuSpace *space = g_ptr_array_index(s->spaces, i);

        if (pviommu_space_is_on(space, table)) {
            return space;
        }
    }
    return NULL;
}

/*
 * From here on no device is moved to the table, and who leaves it leaves it.
 * Returns false when that was so before: it is being lost.
 */
static bool forget_table(PviommuTable *table)
{
    guint i;

    if (table->iommufd->bypass == table) {
        table->iommufd->bypass = NULL;
        return true;
    }
    if (!table->owner || !g_ptr_array_find(table->owner, table, &i)) {
        return false;
    }
    g_ptr_array_steal_index(table->owner, i);
    return true;
}

static void free_table(PviommuTable *table)
{
    forget_table(table);
    pviommu_table_free(table);
}

typedef struct Children {
    PviommuDevice *device;
    const PviommuTable *parent;
} Children;

static void lose_children(PviommuDomain *domain, void *opaque)
{
    GPtrArray *tables = pviommu_domain_opaque(domain);
    const Children *children = opaque;

    for (unsigned i = tables ? tables->len : 0; i > 0; i--) {
        PviommuTable *table = g_ptr_array_index(tables, i - 1);

        if (pviommu_nested_parent(table) == children->parent) {
            pviommu_table_lose(children->device, table);
        }
    }
}

void pviommu_table_lose(PviommuDevice *s, PviommuTable *table)
{
    PviommuSpace *space;

    if (!forget_table(table)) {
        return;
    }
    if (table->children) {
        pviommu_iommu_foreach_domain(s->iommu, lose_children,
                                     &(Children) { s, table });
    }
    while ((space = pviommu_table_user(s, table))) {
        pviommu_space_lose(space);
    }
    pviommu_table_free(table);
}

/* What a new table is made for: the first device of the space */
static const VFIODevice *first_device(const PviommuTableSpace *ts)
{
    return g_array_index(ts->members, Member, 0).device;
}

static int bypass_table(const PviommuTableSpace *ts, PviommuTable **table)
{
    PviommuIommufd *iommufd = ts->iommufd;
    PviommuTable *made;
    int ret;

    if (!iommufd->bypass) {
        ret = pviommu_table_new(iommufd, first_device(ts),
                                ts->parent_obj.device->guest_tables, &made);
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

/* All of guest memory is pinned for it, as for bypass */
static int nested_table(const PviommuTableSpace *ts,
                        const PviommuGuestTable *guest, PviommuTable **table)
{
    PviommuTable *parent;
    int ret = bypass_table(ts, &parent);

    if (!ret) {
        *table = pviommu_nested_new(parent, guest);
    }
    return ret;
}

static int filled_table(const PviommuTableSpace *ts, PviommuDomain *domain,
                        PviommuTable **table)
{
    PviommuTable *made;
    int ret = pviommu_table_new(ts->iommufd, first_device(ts), false, &made);

    if (ret) {
        return ret;
    }
    ret = pviommu_shadow_build(ts->parent_obj.device, domain) ?:
          pviommu_host_fill(&made->host, pviommu_domain_mappings(domain));
    if (ret) {
        pviommu_table_free(made);
        return ret;
    }
    *table = made;
    return 0;
}

static int domain_table(PviommuTableSpace *ts, PviommuTable **table)
{
    const PviommuSpace *space = &ts->parent_obj;
    PviommuDomain *domain = pviommu_group_domain(space->group);
    const PviommuGuestTable *guest = pviommu_domain_table(domain);
    bool nests = guest && !pviommu_space_is_shadowed(&ts->parent_obj);
    GPtrArray *tables = pviommu_domain_opaque(domain);
    PviommuTable *made;
    int ret;

    for (unsigned i = 0; tables && i < tables->len; i++) {
        made = g_ptr_array_index(tables, i);
        if (made->iommufd == ts->iommufd &&
            nests == (pviommu_nested_parent(made) != NULL)) {
            *table = made;
            return 0;
        }
    }
    ret = nests ? nested_table(ts, guest, &made)
                : filled_table(ts, domain, &made);
    if (ret) {
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

static int move_one(const Member *member, PviommuTable *table)
{
    return table ? pviommu_table_attach(table, member->device)
                 : pviommu_table_leave(member->device);
}

static bool all_leave(const PviommuTableSpace *ts)
{
    bool left = true;

    for (unsigned i = 0; i < ts->members->len; i++) {
        left &= !move_one(&g_array_index(ts->members, Member, i), NULL);
    }
    return left;
}

/*
 * All devices of the space, or none.  PVIOMMU_HOST_LOST when neither works:
 * then they are on QEMU's table, or, if ts->table is not NULL, do not leave
 * that one.
 */
static int move(PviommuTableSpace *ts, PviommuTable *table)
{
    int ret = 0;

    for (unsigned i = 0; table && !ret && i < ts->members->len; i++) {
        ret = pviommu_table_prepare(table, g_array_index(ts->members, Member,
                                                         i).device);
    }
    if (ret) {
        return ret;
    }
    for (unsigned i = 0; i < ts->members->len; i++) {
        ret = move_one(&g_array_index(ts->members, Member, i), table);
        if (!ret) {
            continue;
        }
        /* One host group moves as one: the first takes back the rest */
        if (i && move_one(&g_array_index(ts->members, Member, 0),
                          ts->table)) {
            ts->table = all_leave(ts) ? NULL : table ?: ts->table;
            ret = PVIOMMU_HOST_LOST;
        }
        return ret;
    }
    ts->table = table;
    return 0;
}

/* Free bypass's table if nobody has a use for it, and it is not to be kept */
static void spare_bypass(PviommuDevice *s, PviommuIommufd *iommufd)
{
    PviommuTable *table = iommufd->bypass;

    if (table && !s->keep_bypass && !table->children &&
        !pviommu_table_user(s, table)) {
        free_table(table);
    }
}

void pviommu_tables_spare(PviommuDevice *s)
{
    PviommuIommufd *iommufd;

    QLIST_FOREACH(iommufd, &s->iommufds, next) {
        spare_bypass(s, iommufd);
    }
}

static int show(PviommuSpace *space, PviommuState want)
{
    PviommuTableSpace *ts = table_space_of(space);
    PviommuTable *was = ts->table, *table = NULL;
    PviommuDevice *s = space->device;
    int ret = 0;

    if (ts->members->len && want == PVIOMMU_BYPASS) {
        ret = bypass_table(ts, &table);
    } else if (ts->members->len && want == PVIOMMU_TRANSLATED) {
        ret = domain_table(ts, &table);
    }
    if (ret) {
        pviommu_space_refused(space, want == PVIOMMU_BYPASS
                              ? "guest memory for bypass"
                              : "the mappings of a domain", -ret);
        return ret;
    }
    if (table != was) {
        ret = move(ts, table);
        if (ret) {
            pviommu_space_refused(space, "another page table", -ret);
        }
    }
    if (ret && ts->table && (!table || ret == PVIOMMU_HOST_LOST)) {
        PviommuTable *stuck = g_steal_pointer(&ts->table);

        pviommu_table_lose(s, stuck);   /* a device does not leave it */
        if (stuck == was) {
            return ret;
        }
    } else if (ret && table && !table->children &&
               !pviommu_table_user(s, table)) {
        free_table(table);      /* made for nothing, or of no use */
    }
    if (was || ret) {
        pviommu_tables_spare(s);
    }
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
static int index_of(const PviommuTableSpace *ts, const PCIDevice *pdev)
{
    for (unsigned i = 0; i < ts->members->len; i++) {
        if (g_array_index(ts->members, Member, i).pdev == pdev) {
            return i;
        }
    }
    return -1;
}

static bool has(const PviommuTableSpace *ts, const VFIODevice *device)
{
    for (unsigned i = 0; i < ts->members->len; i++) {
        if (g_array_index(ts->members, Member, i).device == device) {
            return true;
        }
    }
    return false;
}

/*
 * The host attaches it only to what its group is on, and VFIO only to QEMU's
 * table
 */
static void expect(PviommuSpace *space, PCIDevice *pdev)
{
    PviommuTableSpace *ts = table_space_of(space);

    if (!ts->table || DEVICE(pdev)->realized ||
        index_of(ts, pdev) >= 0) {
        return;
    }
    move(ts, NULL);
    pviommu_space_force_later(space);
}

static bool learn_ranges(PviommuSpace *space, VFIODevice *device,
                         Error **errp)
{
    GList *ranges;
    bool ok = pviommu_iommufd_ranges(table_space_of(space)->iommufd, device,
                                     &ranges, errp) &&
              pviommu_host_info_add_ranges(space->device, space, device->name,
                                           ranges, errp);

    g_list_free_full(ranges, g_free);
    return ok;
}

/* Which tables of the guest's the device's host walks; 0, and why, for none */
static uint32_t learn_formats(PviommuSpace *space, const VFIODevice *device)
{
    Error *err = NULL;
    uint32_t found = 0;

    if (space->device->guest_tables) {
        found = pviommu_nest_formats(table_space_of(space)->iommufd, device,
                                     &err);
    }
    if (found) {
        pviommu_host_info_add_msi(space);
    } else if (err) {
        info_report("pviommu: the guest is to announce what its tables map "
                    "for %s, as the host walks none: %s", device->name,
                    error_get_pretty(err));
        error_free(err);
    }
    return found;
}

static void remove_device(PviommuSpace *space, PCIDevice *pdev)
{
    PviommuTableSpace *ts = table_space_of(space);
    int i = index_of(ts, pdev);

    if (i < 0) {
        return;
    }
    if (ts->members->len == 1) {
        move(ts, NULL);
        ts->table = NULL;       /* VFIO is about to detach it in any case */
    }
    if (ts->iommufd->bypass) {
        pviommu_nest_forget(ts->iommufd->bypass,
                            g_array_index(ts->members, Member, i).device);
    }
    spare_bypass(space->device, ts->iommufd);
    g_array_remove_index(ts->members, i);
    put_iommufd(space->device, ts->iommufd);
}

/* An access that a nested table does not allow */
static void report(void *opaque, const VFIODevice *device, uint64_t address,
                   uint32_t access, uint8_t reason)
{
    PviommuDevice *s = opaque;

    for (unsigned i = 0; i < s->spaces->len; i++) {
        PviommuSpace *space = g_ptr_array_index(s->spaces, i);

        if (space->ops == &pviommu_table_space_ops &&
            has(table_space_of(space), device)) {
            pviommu_fault_add(space, address, access, reason);
            return;
        }
    }
}

/* Take a device that VFIO has attached to QEMU's table */
static bool take(PviommuSpace *space, PCIDevice *pdev, VFIODevice *device,
                 Error **errp)
{
    ERRP_GUARD();
    PviommuTableSpace *ts = table_space_of(space);
    PviommuDevice *s = space->device;
    Member member = { .pdev = pdev, .device = device };
    PviommuIommufd *iommufd = pviommu_iommufd_get(&s->iommufds,
                                                  device->iommufd, errp);
    int ret;

    if (!iommufd) {
        return false;
    }
    if (ts->members->len && ts->iommufd != iommufd) {
        error_setg(errp, "%s is in one IOMMU group of the host with %s, but "
                   "has another iommufd object", device->name,
                   first_device(ts)->name);
        error_append_hint(errp, "Give them the same.\n");
        put_iommufd(s, iommufd);
        return false;
    }
    ts->iommufd = iommufd;
    if (!learn_ranges(space, device, errp)) {
        put_iommufd(s, iommufd);
        return false;
    }
    member.formats = learn_formats(space, device);
    iommufd->fault = report;
    iommufd->opaque = s;
    g_array_append_val(ts->members, member);
    ret = pviommu_space_switch(space);
    if (ret) {
        remove_device(space, pdev);
        error_setg_errno(errp, -ret, "pviommu: the host cannot serve %s",
                         device->name);
        return false;
    }
    return true;
}

/* VFIO tells of no mdev, see vfio_realize() in hw/vfio/pci.c: look for it */
static void realized(PviommuSpace *space, PCIDevice *pdev)
{
    VFIODevice *device;
    Error *err = NULL;

    if (index_of(table_space_of(space), pdev) >= 0) {
        return;
    }
    QLIST_FOREACH(device, &vfio_device_list, global_next) {
        if (device->dev == DEVICE(pdev) &&
            !take(space, pdev, device, &err)) {
            error_report_err(err);
            pviommu_space_lose(space);
        }
    }
}

static bool add(PviommuSpace *space, PCIDevice *pdev, HostIOMMUDevice *hiod,
                Error **errp)
{
    return take(space, pdev, hiod->agent, errp);
}

/* What its domain maps is carried to the tables, not to the space */
static PviommuHost *served(PviommuSpace *space)
{
    return NULL;
}

static PviommuFormats formats(PviommuSpace *space)
{
    const PviommuTableSpace *ts = table_space_of(space);
    PviommuFormats found = {
        .offered = ts->members->len ? PVIOMMU_FORMATS_ALL : 0,
    };

    for (unsigned i = 0; i < ts->members->len; i++) {
        found.offered &= g_array_index(ts->members, Member, i).formats;
    }
    return found.offered ? found : pviommu_shadow_formats(space->device);
}

static bool held(PviommuSpace *space)
{
    return table_space_of(space)->members->len;
}

static const char *path(PviommuSpace *space)
{
    return pviommu_table_ops.name;
}

static char *devices(PviommuSpace *space)
{
    PviommuTableSpace *ts = table_space_of(space);
    GString *names = g_string_new(NULL);

    for (unsigned i = 0; i < ts->members->len; i++) {
        g_string_append_printf(names, "%s%s", i ? "," : "",
                               g_array_index(ts->members, Member,
                                             i).device->name);
    }
    return g_string_free(names, names->len == 0);
}

/* Guest memory that changes is carried to the tables: see follow.c */
static void forget(PviommuSpace *space, AddressSpace *seen,
                   const MemoryRegionSection *section)
{
}

static bool takes_memory(PviommuSpace *space)
{
    return true;
}

static void memory_begins(PviommuSpace *space)
{
}

static void memory_ends(PviommuSpace *space)
{
}

const PviommuSpaceOps pviommu_table_space_ops = {
    .shares_pins = true,
    .create = create,
    .release = release,
    .address_space = address_space,
    .show = show,
    .served = served,
    .formats = formats,
    .held = held,
    .path = path,
    .devices = devices,
    .add = add,
    .expect = expect,
    .realized = realized,
    .remove = remove_device,
    .forget = forget,
    .takes_memory = takes_memory,
    .memory_begins = memory_begins,
    .memory_ends = memory_ends,
};
