/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu: an address space that others mirror, and what it shows
 *
 * The root holds an alias of system memory and an IOMMU memory region, of
 * which one is enabled.  VFIO's listener mirrors the first as guest RAM and
 * the second as whatever its notifier is told.
 */
#include "qemu/osdep.h"

#include "system/address-spaces.h"
#include "qapi/error.h"
#include "qemu/error-report.h"
#include "system/host_iommu_device.h"
#include "spaces/spaces.h"

#define TYPE_PVIOMMU_MEMORY_REGION "pviommu-memory-region"

/**
 * struct PviommuMirror - a space with memory regions
 * @parent_obj: the base
 * @root: holds @bypass, and @iommu that hides it while enabled
 * @bypass: alias of system memory
 * @iommu: where core translates
 * @as: the address space
 * @host: the same, as the host layer sees it
 * @shows: which of the two is seen, and what the host was given
 * @emptied: @bypass is seen though @shows is blocked: what VFIO's listener
 *           mirrors was taken from the host, until the space is forced
 */
typedef struct PviommuMirror {
    PviommuSpace parent_obj;
    MemoryRegion root;
    MemoryRegion bypass;
    IOMMUMemoryRegion iommu;
    AddressSpace as;
    PviommuHost host;
    PviommuState shows;
    bool emptied;
} PviommuMirror;

QEMU_BUILD_BUG_ON(offsetof(PviommuMirror, parent_obj));

static PviommuMirror *mirror_of(PviommuSpace *space)
{
    return container_of(space, PviommuMirror, parent_obj);
}

static void make_regions(PviommuMirror *mirror)
{
    PviommuDevice *s = mirror->parent_obj.device;
    g_autofree char *name = g_strdup_printf("pviommu-%u", s->spaces->len);

    memory_region_init(&mirror->root, OBJECT(s), name, UINT64_MAX);
    memory_region_init_alias(&mirror->bypass, OBJECT(s), "pviommu-bypass",
                             get_system_memory(), 0,
                             memory_region_size(get_system_memory()));
    memory_region_init_iommu(&mirror->iommu, sizeof(mirror->iommu),
                             TYPE_PVIOMMU_MEMORY_REGION, OBJECT(s), name,
                             UINT64_MAX);
    memory_region_set_enabled(MEMORY_REGION(&mirror->iommu),
                              mirror->shows != PVIOMMU_BYPASS);
    memory_region_add_subregion(&mirror->root, 0, &mirror->bypass);
    memory_region_add_subregion_overlap(&mirror->root, 0,
                                        MEMORY_REGION(&mirror->iommu), 1);
    address_space_init(&mirror->as, &mirror->root, name);

    mirror->host.as = &mirror->as;
    mirror->host.mr = &mirror->iommu;
    mirror->host.events_only = s->host_path == PVIOMMU_HOST_PATH_NOTIFIER;
}

static PviommuSpace *create(PviommuDevice *s)
{
    PviommuMirror *mirror = g_new0(PviommuMirror, 1);

    pviommu_space_init(&mirror->parent_obj, s, &pviommu_mirror_ops);
    mirror->shows = pviommu_group_state(mirror->parent_obj.group);
    make_regions(mirror);
    return &mirror->parent_obj;
}

static void release(PviommuSpace *space)
{
    PviommuMirror *mirror = mirror_of(space);

    address_space_destroy(&mirror->as);
    memory_region_del_subregion(&mirror->root, &mirror->bypass);
    memory_region_del_subregion(&mirror->root,
                                MEMORY_REGION(&mirror->iommu));
    object_unparent(OBJECT(&mirror->iommu));
    object_unparent(OBJECT(&mirror->bypass));
    object_unparent(OBJECT(&mirror->root));
}

static AddressSpace *address_space(PviommuSpace *space)
{
    return &mirror_of(space)->as;
}

/*
 * In one step, so that the address space is empty at no moment: a virtio
 * device keeps what it finds there (virtio_memory_listener_commit() in
 * hw/virtio/virtio.c), and its thread uses that at once
 */
static void enable_iommu(PviommuMirror *mirror, bool enable)
{
    mirror->host.switching = true;
    memory_region_set_enabled(MEMORY_REGION(&mirror->iommu), enable);
    mirror->host.switching = false;
    mirror->emptied = false;
}

/* Whether VFIO's listener maps what guest memory comes */
static bool mirrors_memory(const PviommuMirror *mirror)
{
    return mirror->shows == PVIOMMU_BYPASS || mirror->emptied;
}

static int show_bypass(PviommuMirror *mirror)
{
    int ret;

    if (mirror->shows == PVIOMMU_BYPASS) {
        return 0;
    }
    if (mirror->emptied) {
        enable_iommu(mirror, true);     /* so that all comes anew */
    }
    /* vhost keeps translations of its own: take them away first */
    pviommu_host_clear(&mirror->host);
    pviommu_host_guard(&mirror->host);
    enable_iommu(mirror, false);
    ret = pviommu_host_unguard(&mirror->host);
    if (ret) {
        enable_iommu(mirror, true);
        mirror->shows = PVIOMMU_BLOCKED;
        pviommu_space_refused(&mirror->parent_obj, "guest memory for bypass",
                              -ret);
        return ret;
    }
    mirror->shows = PVIOMMU_BYPASS;
    return 0;
}

/* Somebody waits to be told of mappings, and the guest was not asked to */
static void say_stale(PviommuSpace *space)
{
    g_autofree char *name = NULL;

    if (space->table_told) {
        return;
    }
    space->table_told = true;
    name = pviommu_space_name(space);
    warn_report("pviommu: the guest translates for %s by a page table of its "
                "own, and was not asked to announce new entries, as vDPA was "
                "not known of: the device may reach less than it should. "
                "Start with guest-tables=off", name);
}

/* If a table of the guest's decides, find out what those need who cannot ask */
static int show_table(PviommuMirror *mirror, PviommuDomain *domain)
{
    PviommuSpace *space = &mirror->parent_obj;

    if (!pviommu_space_is_shadowed(space)) {
        return 0;
    }
    if (!pviommu_group_formats(space->group).announced) {
        say_stale(space);
    }
    return pviommu_shadow_build(space->device, domain);
}

static int show_domain(PviommuMirror *mirror, PviommuState want)
{
    PviommuSpace *space = &mirror->parent_obj;
    PviommuDomain *domain = pviommu_group_domain(space->group);
    int ret;

    if (mirrors_memory(mirror)) {
        enable_iommu(mirror, true);
    }
    mirror->shows = PVIOMMU_BLOCKED;
    ret = pviommu_host_clear(&mirror->host);
    if (ret) {
        pviommu_space_refused(space, "to remove all mappings", -ret);
        return ret;
    }
    if (want == PVIOMMU_TRANSLATED) {
        ret = show_table(mirror, domain) ?:
              pviommu_host_fill(&mirror->host,
                                pviommu_domain_mappings(domain));
        if (ret) {
            pviommu_host_clear(&mirror->host);
            pviommu_space_refused(space, "the mappings of a domain", -ret);
        } else {
            mirror->shows = PVIOMMU_TRANSLATED;
        }
    }
    return ret;
}

static int show(PviommuSpace *space, PviommuState want)
{
    PviommuMirror *mirror = mirror_of(space);

    return want == PVIOMMU_BYPASS ? show_bypass(mirror)
                                  : show_domain(mirror, want);
}

static PviommuHost *served(PviommuSpace *space)
{
    PviommuMirror *mirror = mirror_of(space);

    return pviommu_group_fenced(space->group) ||
           pviommu_host_idle(&mirror->host) ? NULL : &mirror->host;
}

/* QEMU translates each access, unless somebody waits to be told of mappings */
static PviommuFormats formats(PviommuSpace *space)
{
    if (pviommu_host_wants_maps(&mirror_of(space)->host)) {
        return pviommu_shadow_formats(space->device);
    }
    return (PviommuFormats) { .offered = PVIOMMU_FORMATS_ALL };
}

static bool held(PviommuSpace *space)
{
    PviommuMirror *mirror = mirror_of(space);

    return !QTAILQ_EMPTY(&mirror->as.listeners) ||
           !pviommu_host_idle(&mirror->host);
}

static const char *path(PviommuSpace *space)
{
    return pviommu_host_path(&mirror_of(space)->host);
}

static char *devices(PviommuSpace *space)
{
    return pviommu_host_device_name(&mirror_of(space)->host);
}

/* VFIO attaches and detaches by itself: only learn what the host can do */
static bool add(PviommuSpace *space, PCIDevice *pdev, HostIOMMUDevice *hiod,
                Error **errp)
{
    HostIOMMUDeviceClass *hiodc = HOST_IOMMU_DEVICE_GET_CLASS(hiod);
    PviommuDevice *s = space->device;
    GList *ranges;
    bool ok;

    if (s->host_path == PVIOMMU_HOST_PATH_IOMMUFD) {
        pviommu_choice_explain(pdev, errp);
        return false;
    }
    if (!hiodc->get_iova_ranges) {
        return true;
    }
    ranges = hiodc->get_iova_ranges(hiod);
    ok = pviommu_host_info_add_ranges(s, space, hiod->name, ranges, errp);
    g_list_free_full(ranges, g_free);
    return ok;
}

static void expect(PviommuSpace *space, PCIDevice *pdev)
{
}

static void realized(PviommuSpace *space, PCIDevice *pdev)
{
}

static void remove_device(PviommuSpace *space, PCIDevice *pdev)
{
}

static void forget(PviommuSpace *space, AddressSpace *seen,
                   const MemoryRegionSection *section)
{
    PviommuMirror *mirror = mirror_of(space);

    if (mirror->shows == PVIOMMU_BYPASS) {
        pviommu_vhost_forget(&mirror->host, seen ?: &mirror->as, section);
    }
}

/* What VFIO's listener would populate now stays until regions change */
static bool takes_memory(PviommuSpace *space)
{
    return !mirror_of(space)->emptied;
}

static void memory_begins(PviommuSpace *space)
{
    PviommuMirror *mirror = mirror_of(space);

    /* Where nobody listens there is no container to look for */
    if (mirrors_memory(mirror) && !QTAILQ_EMPTY(&mirror->as.listeners)) {
        pviommu_host_guard(&mirror->host);
    }
}

/*
 * It has changed, and listeners are being told.  Where a host refused, nothing
 * is left at once; no region may change before all of them know.
 */
static void memory_ends(PviommuSpace *space)
{
    PviommuMirror *mirror = mirror_of(space);
    int ret;

    if (!mirrors_memory(mirror) || QTAILQ_EMPTY(&mirror->as.listeners)) {
        return;
    }
    ret = pviommu_host_unguard(&mirror->host);
    if (ret && !mirror->emptied) {
        pviommu_space_refused(space, "guest memory that came in bypass",
                              -ret);
        pviommu_space_fence(space);
        mirror->shows = PVIOMMU_BLOCKED;
        mirror->emptied = true;
        pviommu_space_force_later(space);
    }
    if (mirror->emptied) {
        pviommu_host_empty(&mirror->host);
    }
}

const PviommuSpaceOps pviommu_mirror_ops = {
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
    PviommuMirror *mirror = container_of(mr, PviommuMirror, iommu);
    PviommuSpace *space = &mirror->parent_obj;
    PviommuDevice *s = space->device;
    uint32_t access = (flag & IOMMU_RO ? PVIOMMU_MAP_F_READ : 0) |
                      (flag & IOMMU_WO ? PVIOMMU_MAP_F_WRITE : 0);
    PviommuTableView view;
    PviommuTranslation t;
    uint64_t granule;
    bool by_table, allowed = false;
    IOMMUTLBEntry entry = {
        .target_as = &address_space_memory,
        .iova = addr,
        .perm = IOMMU_NONE,
    };

    g_rw_lock_reader_lock(&s->lock);
    by_table = pviommu_translate_by_table(space->group, addr, &view);
    if (by_table) {
        pviommu_walk_begin(s);
    } else {
        allowed = pviommu_translate(space->group, addr, access, &t);
    }
    granule = pviommu_iommu_config(s->iommu)->page_size_mask;
    g_rw_lock_reader_unlock(&s->lock);

    if (by_table) {
        allowed = pviommu_view_walk(&view, addr, access, pviommu_read_entry,
                                    NULL, &t);
        pviommu_walk_end(s);
    }
    if (!allowed) {
        entry.addr_mask = (granule & -granule) - 1;
        entry.iova = addr & ~entry.addr_mask;
        if (access) {
            pviommu_fault_add(space, addr, access, t.reason);
        }
        return entry;
    }
    entry.addr_mask = block_mask(&t, addr);
    if (!pviommu_host_idle(&mirror->host)) {
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

/* A device joins those for whom a table of the guest's decides */
static bool replay_table(PviommuMirror *mirror, IOMMUNotifier *notifier,
                         PviommuDomain *domain)
{
    PviommuSpace *space = &mirror->parent_obj;
    Error *err = NULL;

    if (!(notifier->notifier_flags & IOMMU_NOTIFIER_MAP) ||
        mirror->host.switching) {
        return false;
    }
    if (pviommu_shadow_build(space->device, domain)) {
        error_setg(&err, "pviommu: the page table of the guest that the "
                   "device joins is too large");
        pviommu_host_refuse(&mirror->host, notifier, err);
        return false;
    }
    return true;
}

static void replay(IOMMUMemoryRegion *mr, IOMMUNotifier *notifier)
{
    PviommuMirror *mirror = container_of(mr, PviommuMirror, iommu);
    PviommuGroup *group = mirror->parent_obj.group;
    PVIOMMU_HOLD_GUARD(mirror->parent_obj.device);
    PviommuDomain *domain = pviommu_group_domain(group);

    if (pviommu_group_state(group) != PVIOMMU_TRANSLATED) {
        return;
    }
    if (!pviommu_domain_table(domain) ||
        replay_table(mirror, notifier, domain)) {
        pviommu_host_replay(&mirror->host, notifier,
                            pviommu_domain_mappings(domain));
    }
}

/* vhost registers for device IOTLB events under error_fatal: take any kind */
static int notify_flag_changed(IOMMUMemoryRegion *mr, IOMMUNotifierFlag old,
                               IOMMUNotifierFlag new, Error **errp)
{
    return 0;
}

static void memory_region_class_init(ObjectClass *oc, PviommuClassData *data)
{
    IOMMUMemoryRegionClass *imrc = IOMMU_MEMORY_REGION_CLASS(oc);

    imrc->translate = translate;
    imrc->replay = replay;
    imrc->notify_flag_changed = notify_flag_changed;
}

void pviommu_mirror_init_type(void)
{
    static const TypeInfo info = {
        .name = TYPE_PVIOMMU_MEMORY_REGION,
        .parent = TYPE_IOMMU_MEMORY_REGION,
        .class_init = memory_region_class_init,
    };

    type_register_static(&info);
}
