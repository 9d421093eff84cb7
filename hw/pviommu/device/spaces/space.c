/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu: the address space of a group, and what it shows
 *
 * The root holds an alias of system memory and an IOMMU memory region, of
 * which one is enabled.  VFIO's listener mirrors the first as guest RAM and
 * the second as whatever its notifier is told.
 */
#include "qemu/osdep.h"

#include "exec/address-spaces.h"
#include "qapi/error.h"
#include "qemu/error-report.h"
#include "qemu/main-loop.h"
#include "spaces/spaces.h"

static void make_regions(PviommuSpace *space)
{
    PviommuDevice *s = space->device;
    g_autofree char *name = g_strdup_printf("pviommu-%u", s->spaces->len);

    memory_region_init(&space->root, OBJECT(s), name, UINT64_MAX);
    memory_region_init_alias(&space->bypass, OBJECT(s), "pviommu-bypass",
                             get_system_memory(), 0,
                             memory_region_size(get_system_memory()));
    memory_region_init_iommu(&space->iommu, sizeof(space->iommu),
                             TYPE_PVIOMMU_MEMORY_REGION, OBJECT(s), name,
                             UINT64_MAX);
    memory_region_set_enabled(&space->bypass,
                              space->shows == PVIOMMU_BYPASS);
    memory_region_set_enabled(MEMORY_REGION(&space->iommu),
                              space->shows != PVIOMMU_BYPASS);
    memory_region_add_subregion(&space->root, 0, &space->bypass);
    memory_region_add_subregion_overlap(&space->root, 0,
                                        MEMORY_REGION(&space->iommu), 1);
    address_space_init(&space->as, &space->root, name);

    space->host.as = &space->as;
    space->host.mr = &space->iommu;
    space->host.events_only = s->host_path == PVIOMMU_HOST_PATH_NOTIFIER;
}

static void free_regions(PviommuSpace *space)
{
    address_space_destroy(&space->as);
    memory_region_del_subregion(&space->root, &space->bypass);
    memory_region_del_subregion(&space->root, MEMORY_REGION(&space->iommu));
    object_unparent(OBJECT(&space->iommu));
    object_unparent(OBJECT(&space->bypass));
    object_unparent(OBJECT(&space->root));
}

PviommuSpace *pviommu_space_new(PviommuDevice *s, PCIBus *bus, int devfn,
                                int host_group, bool tables)
{
    PviommuSpace *space = g_new0(PviommuSpace, 1);

    space->device = s;
    space->bus = bus;
    space->devfn = devfn;
    space->host_group = host_group;
    pviommu_write_lock(s);
    space->group = pviommu_group_new(s->iommu, space);
    pviommu_write_unlock(s);
    if (tables) {
        space->passed = g_array_new(FALSE, FALSE, sizeof(PviommuPassed));
    } else {
        space->shows = pviommu_group_state(space->group);
        make_regions(space);
    }
    g_ptr_array_add(s->spaces, space);
    pviommu_space_regions_changed(space);
    return space;
}

void pviommu_space_free(PviommuSpace *space)
{
    if (space->passed) {
        g_array_free(space->passed, TRUE);
    } else {
        free_regions(space);
    }
    pviommu_write_lock(space->device);
    pviommu_group_free(space->group);
    pviommu_write_unlock(space->device);
    pviommu_regions_free(space->regions);
    g_free_rcu(space, rcu);
}

void pviommu_space_regions_changed(PviommuSpace *space)
{
    PviommuDevice *s = space->device;
    PviommuRegions *regions = space->regions
                              ? pviommu_regions_copy(space->regions)
                              : pviommu_regions_new();

    for (unsigned i = 0; i < s->nr_regions; i++) {
        pviommu_regions_add(regions, &s->regions[i]);
    }
    pviommu_regions_fit(regions,
                        PVIOMMU_PROPERTIES_SIZE / PVIOMMU_RESV_MEM_SIZE);

    pviommu_write_lock(s);
    for (unsigned i = 0; i < s->endpoints->len; i++) {
        PviommuBusEndpoint *e = g_ptr_array_index(s->endpoints, i);

        if (e->space == space && e->name) {
            pviommu_group_set_regions(e->name,
                                      pviommu_regions_copy(regions));
        }
    }
    pviommu_group_set_regions(space->group, regions);
    pviommu_write_unlock(s);
}

static void enable_iommu(PviommuSpace *space, bool enable)
{
    space->host.switching = true;
    memory_region_set_enabled(MEMORY_REGION(&space->iommu), enable);
    space->host.switching = false;
}

/* Whether VFIO's listener maps what guest memory comes */
static bool mirrors_memory(const PviommuSpace *space)
{
    return !space->passed &&
           (space->shows == PVIOMMU_BYPASS || space->emptied);
}

/* Show guest memory no more, nor anything else yet */
static void disable_bypass(PviommuSpace *space)
{
    memory_region_set_enabled(&space->bypass, false);
    space->emptied = false;
}

static int show_bypass(PviommuSpace *space)
{
    int ret;

    if (space->shows == PVIOMMU_BYPASS) {
        return 0;
    }
    if (space->emptied) {
        disable_bypass(space);
    } else {
        /* vhost keeps translations of its own: take them away first */
        pviommu_host_clear(&space->host);
        enable_iommu(space, false);
    }
    pviommu_host_guard(&space->host);
    memory_region_set_enabled(&space->bypass, true);
    ret = pviommu_host_unguard(&space->host);
    if (ret) {
        disable_bypass(space);
        enable_iommu(space, true);
        space->shows = PVIOMMU_BLOCKED;
        pviommu_space_refused(space, "guest memory for bypass", -ret);
        return ret;
    }
    space->shows = PVIOMMU_BYPASS;
    return 0;
}

static int show_domain(PviommuSpace *space, PviommuState want)
{
    PviommuDomain *domain = pviommu_group_domain(space->group);
    int ret;

    if (mirrors_memory(space)) {
        disable_bypass(space);
        enable_iommu(space, true);
    }
    space->shows = PVIOMMU_BLOCKED;
    ret = pviommu_host_clear(&space->host);
    if (ret) {
        pviommu_space_refused(space, "to remove all mappings", -ret);
        return ret;
    }
    if (want == PVIOMMU_TRANSLATED) {
        ret = pviommu_host_fill(&space->host,
                                pviommu_domain_mappings(domain));
        if (ret) {
            pviommu_host_clear(&space->host);
            pviommu_space_refused(space, "the mappings of a domain", -ret);
        } else {
            space->shows = PVIOMMU_TRANSLATED;
        }
    }
    return ret;
}

int pviommu_space_switch(PviommuSpace *space)
{
    PviommuState want = pviommu_group_state(space->group);

    space->overdue = false;
    if (space->passed) {
        return pviommu_tables_switch(space, want);
    }
    return want == PVIOMMU_BYPASS ? show_bypass(space)
                                  : show_domain(space, want);
}

static void set_fenced(PviommuSpace *space, bool fenced)
{
    pviommu_write_lock(space->device);
    pviommu_group_set_fenced(space->group, fenced);
    pviommu_write_unlock(space->device);
}

static void say_blocked(PviommuSpace *space)
{
    g_autofree char *name = NULL;

    if (space->told_blocked) {
        return;
    }
    space->told_blocked = true;
    name = pviommu_space_name(space);
    error_report("pviommu: %s is blocked, as the host could not serve it; the "
                 "guest may attach it again", name);
}

void pviommu_space_force(PviommuSpace *space)
{
    if (!pviommu_space_switch(space)) {
        return;
    }
    set_fenced(space, true);
    if (pviommu_space_switch(space)) {
        pviommu_space_force_later(space);       /* not even empty */
    }
    say_blocked(space);
}

void pviommu_space_force_later(PviommuSpace *space)
{
    space->overdue = true;
    qemu_bh_schedule(space->device->overdue);
}

void pviommu_spaces_force_overdue(void *opaque)
{
    PviommuDevice *s = opaque;

    for (unsigned i = 0; i < s->spaces->len; i++) {
        PviommuSpace *space = g_ptr_array_index(s->spaces, i);

        if (space->overdue && !space->parked) {
            pviommu_space_force(space);
        }
        space->overdue = false;     /* not for ever: the next change tries */
    }
}

bool pviommu_space_served(const PviommuSpace *space)
{
    return !space->passed && !pviommu_group_fenced(space->group) &&
           !pviommu_host_idle(&space->host);
}

const char *pviommu_space_host_path(PviommuSpace *space)
{
    return space->passed ? pviommu_table_ops.name
                         : pviommu_host_path(&space->host);
}

char *pviommu_space_host_devices(PviommuSpace *space)
{
    GString *names;

    if (!space->passed) {
        return pviommu_host_device_name(&space->host);
    }
    names = g_string_new(NULL);
    for (unsigned i = 0; i < space->passed->len; i++) {
        g_string_append_printf(names, "%s%s", i ? "," : "",
                               g_array_index(space->passed, PviommuPassed,
                                             i).device->name);
    }
    return g_string_free(names, names->len == 0);
}

/* Fenced while it was served: no request of the guest's need be the cause */
static void fence(PviommuSpace *space)
{
    set_fenced(space, true);
    say_blocked(space);
    pviommu_fault_add(space, 0, PVIOMMU_FAULT_F_READ | PVIOMMU_FAULT_F_WRITE,
                      PVIOMMU_FAULT_R_UNKNOWN);
}

/*
 * Called by listeners, too: a space that mappings are carried to shows the
 * IOMMU region already, so that no region changes.
 */
void pviommu_space_lose(PviommuSpace *space)
{
    fence(space);
    pviommu_space_force(space);
}

void pviommu_space_memory_begins(PviommuSpace *space)
{
    if (mirrors_memory(space)) {
        pviommu_host_guard(&space->host);
    }
}

/*
 * It has changed, and listeners are being told.  Where a host refused, nothing
 * is left at once; no region may change before all of them know.
 */
void pviommu_space_memory_ends(PviommuSpace *space)
{
    int ret;

    if (!mirrors_memory(space)) {
        return;
    }
    ret = pviommu_host_unguard(&space->host);
    if (ret && !space->emptied) {
        pviommu_space_refused(space, "guest memory that came in bypass",
                              -ret);
        fence(space);
        space->shows = PVIOMMU_BLOCKED;
        space->emptied = true;
        pviommu_space_force_later(space);
    }
    if (space->emptied) {
        pviommu_host_empty(&space->host);
    }
}

void pviommu_space_retry(PviommuSpace *space)
{
    set_fenced(space, false);
    pviommu_space_force(space);
}

void pviommu_space_park(PviommuSpace *space)
{
    if (!space->passed) {
        show_domain(space, PVIOMMU_BLOCKED);
    }
    space->parked = true;
    space->passthrough = false;
    space->told = 0;
    space->told_blocked = false;
}

bool pviommu_space_held(const PviommuSpace *space)
{
    return space->passed ? space->passed->len
                         : !QTAILQ_EMPTY(&space->as.listeners) ||
                           !pviommu_host_idle(&space->host);
}

/* vhost does not cut memory into smaller parts than the pages of guests */
#define VHOST_PAGE 4096

/*
 * The largest aligned power of two around @addr inside the block; half of
 * the space at most, as QEMU adds 1 to it
 */
static uint64_t block_mask(const PviommuTranslation *t, uint64_t addr)
{
    uint64_t delta = (t->first ^ t->phys) | 1ULL << 63;
    uint64_t mask = (delta & -delta) - 1;

    while ((addr & ~mask) < t->first || (addr | mask) > t->last) {
        mask >>= 1;
    }
    return mask;
}

/*
 * The same, but all of it in the RAM that @phys is in.  vhost takes the first
 * byte of a block to its memory, and is given what follows up to the end of
 * that RAM (vhost_device_iotlb_miss() in hw/virtio/vhost.c): were it other
 * RAM, the address that it asked for would be left out.
 */
static uint64_t ram_mask(uint64_t phys, uint64_t mask)
{
    RCU_READ_LOCK_GUARD();
    while (mask >= VHOST_PAGE) {
        hwaddr offset, size = mask + 1;
        MemoryRegion *mr = address_space_translate(&address_space_memory,
                                                   phys & ~mask, &offset,
                                                   &size, false,
                                                   MEMTXATTRS_UNSPECIFIED);

        if (memory_region_is_ram(mr) && size > mask) {
            break;
        }
        mask >>= 1;
    }
    return mask;
}

static IOMMUTLBEntry translate(IOMMUMemoryRegion *mr, hwaddr addr,
                               IOMMUAccessFlags flag, int iommu_idx)
{
    PviommuSpace *space = container_of(mr, PviommuSpace, iommu);
    PviommuDevice *s = space->device;
    uint32_t access = (flag & IOMMU_RO ? PVIOMMU_MAP_F_READ : 0) |
                      (flag & IOMMU_WO ? PVIOMMU_MAP_F_WRITE : 0);
    PviommuTranslation t;
    uint64_t granule;
    bool allowed;
    IOMMUTLBEntry entry = {
        .target_as = &address_space_memory,
        .iova = addr,
        .perm = IOMMU_NONE,
    };

    g_rw_lock_reader_lock(&s->lock);
    allowed = pviommu_translate(space->group, addr, access, &t);
    granule = pviommu_iommu_config(s->iommu)->page_size_mask;
    g_rw_lock_reader_unlock(&s->lock);

    if (!allowed) {
        entry.addr_mask = (granule & -granule) - 1;
        entry.iova = addr & ~entry.addr_mask;
        if (access) {
            pviommu_fault_add(space, addr, access, t.reason);
        }
        return entry;
    }
    entry.addr_mask = block_mask(&t, addr);
    if (!pviommu_host_idle(&space->host)) {
        /* Only who registers a notifier keeps a block (vhost) */
        entry.addr_mask = ram_mask(t.phys + (addr - t.first),
                                   entry.addr_mask);
    }
    entry.iova = addr & ~entry.addr_mask;
    entry.translated_addr = (t.phys + (addr - t.first)) & ~entry.addr_mask;
    entry.perm = IOMMU_ACCESS_FLAG(t.flags & PVIOMMU_MAP_F_READ,
                                   t.flags & PVIOMMU_MAP_F_WRITE);
    return entry;
}

static void replay(IOMMUMemoryRegion *mr, IOMMUNotifier *notifier)
{
    PviommuSpace *space = container_of(mr, PviommuSpace, iommu);

    if (pviommu_group_state(space->group) == PVIOMMU_TRANSLATED) {
        PviommuDomain *domain = pviommu_group_domain(space->group);

        pviommu_host_replay(&space->host, notifier,
                            pviommu_domain_mappings(domain));
    }
}

/* vhost registers for device IOTLB events under error_fatal: take any kind */
static int notify_flag_changed(IOMMUMemoryRegion *mr, IOMMUNotifierFlag old,
                               IOMMUNotifierFlag new, Error **errp)
{
    return 0;
}

static void memory_region_class_init(ObjectClass *oc, void *data)
{
    IOMMUMemoryRegionClass *imrc = IOMMU_MEMORY_REGION_CLASS(oc);

    imrc->translate = translate;
    imrc->replay = replay;
    imrc->notify_flag_changed = notify_flag_changed;
}

void pviommu_space_init_type(void)
{
    static const TypeInfo info = {
        .name = TYPE_PVIOMMU_MEMORY_REGION,
        .parent = TYPE_IOMMU_MEMORY_REGION,
        .class_init = memory_region_class_init,
    };

    type_register_static(&info);
}
