/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Trials of the structures of guest memory and of IOMMU notifiers
 *
 * There is no machine yet, so no address space may hold a region that QEMU
 * would look up in it: even the size of a page may be unknown.
 */
#include "qemu/osdep.h"
#include "system/memory.h"
#include "hw/virtio/virtio-mem.h"

#include <malloc.h>

#include "pviommu/compat.h"

#include "abi-trial.h"

typedef struct Recorder {
    unsigned begun;
    unsigned committed;
    unsigned others;
} Recorder;

static Recorder recorder;

static void begin(MemoryListener *listener)
{
    recorder.begun++;
}

static void commit(MemoryListener *listener)
{
    recorder.committed++;
}

static void other(MemoryListener *listener, MemoryRegionSection *section)
{
    recorder.others++;
}

/* The space goes at the end of a grace period, so both are never freed */
PVIOMMU_TRIAL_ROOMY(AddressSpace, space);
PVIOMMU_TRIAL_ROOMY(MemoryRegion, root);

static bool watch_space(void)
{
    PVIOMMU_TRIAL_ROOMY(MemoryListener, watcher);
    MemoryListener *listener = &watcher.it;
    Recorder once = { .begun = 1, .committed = 1 };
    Recorder twice = { .begun = 2, .committed = 2 };
    bool ok;

    *listener = (MemoryListener) {
        .begin = begin,
        .commit = commit,
        .region_add = other,
        .region_del = other,
        .region_nop = other,
        .name = "pviommu-trial",
    };
    memory_listener_register(listener, &space.it);
    ok = !memcmp(&recorder, &once, sizeof(once)) &&
         listener->address_space == &space.it &&
         QTAILQ_FIRST(&space.it.listeners) == listener &&
         PVIOMMU_TRIAL_IN_ROOM(watcher);
    memory_listener_unregister(listener);
    return ok && !memcmp(&recorder, &twice, sizeof(twice)) &&
           !listener->address_space && PVIOMMU_TRIAL_IN_ROOM(watcher);
}

static bool try_listener(void)
{
    bool ok;

    memory_region_init(&root.it, NULL, NULL, 0x1000);
    address_space_init(&space.it, &root.it, "pviommu-trial");
    ok = space.it.root == &root.it &&
         !g_strcmp0(space.it.name, "pviommu-trial") &&
         QTAILQ_EMPTY(&space.it.listeners) && PVIOMMU_TRIAL_IN_ROOM(space) &&
         PVIOMMU_TRIAL_IN_ROOM(root) && watch_space();
    address_space_destroy(&space.it);
    return ok;
}

static bool try_region(void)
{
    g_autofree MemoryRegion *mr =
        pviommu_trial_fake(TYPE_MEMORY_REGION, sizeof(*mr));
    RamDiscardManager *rdm = (RamDiscardManager *)&recorder;
    bool ok;

    mr->size = int128_make64(0x3000);
    mr->rdm = rdm;
    ok = memory_region_size(mr) == 0x3000 &&
         !memory_region_get_ram_discard_manager(mr);
    mr->ram = true;
    ok = ok && memory_region_get_ram_discard_manager(mr) == rdm;

    memory_region_set_readonly(mr, true);
    ok = ok && mr->readonly && mr->ram && !mr->rom_device;
    memory_region_set_readonly(mr, false);
    return ok && !mr->readonly;
}

static bool try_section(void)
{
    PVIOMMU_TRIAL_ROOMY(MemoryRegionSection, section);
    MemoryRegionSection *copy;
    bool ok;

    section.it = (MemoryRegionSection) {
        .size = int128_make64(0x2000),
        .offset_within_region = 0x3000,
        .offset_within_address_space = 0x5000,
        .readonly = true,
    };
    copy = memory_region_section_new_copy(&section.it);
    ok = malloc_usable_size(copy) >= sizeof(*copy) &&
         copy->offset_within_region == 0x3000 &&
         copy->offset_within_address_space == 0x5000 && copy->readonly &&
         int128_get64(copy->size) == 0x2000;
    memory_region_section_free_copy(copy);
    return ok;
}

static struct {
    RamDiscardListener *populated;
    RamDiscardListener *discarded;
    hwaddr offset;
    hwaddr addr;
    uint64_t size;
} discard;

static int note_populate(RamDiscardListener *rdl,
                         PviommuDiscardSection *section)
{
    discard.populated = rdl;
    discard.offset = section->offset_within_region;
    discard.addr = section->offset_within_address_space;
    discard.size = int128_get64(section->size);
    return 0;
}

static void note_discard(RamDiscardListener *rdl,
                         PviommuDiscardSection *section)
{
    discard.discarded = section == rdl->section ? rdl : NULL;
}

static bool listen_to(RamDiscardManager *rdm, MemoryRegionSection *section)
{
    PVIOMMU_TRIAL_ROOMY(RamDiscardListener, rdl);
    bool ok;

    pviommu_compat_discard_init(&rdl.it, note_populate, note_discard);
    ram_discard_manager_register_listener(rdm, &rdl.it, section);
    ok = rdl.it.section && rdl.it.section->mr == section->mr &&
         *rdl.it.next.le_prev == &rdl.it &&
         discard.populated == &rdl.it && !discard.discarded &&
         discard.offset == 0x1000 && discard.addr == 0x101000 &&
         discard.size == 0x2000 && PVIOMMU_TRIAL_IN_ROOM(rdl);
    ram_discard_manager_unregister_listener(rdm, &rdl.it);
    return ok && discard.discarded == &rdl.it && !rdl.it.section;
}

/* virtio-mem with two of its blocks plugged, as its listeners see it */
static bool try_discard(void)
{
    g_autofree VirtIOMEM *vmem =
        pviommu_trial_fake(TYPE_VIRTIO_MEM, sizeof(*vmem));
    g_autofree HostMemoryBackend *backend =
        pviommu_trial_fake(TYPE_MEMORY_BACKEND, sizeof(*backend));
    unsigned long blocks = 0x6;
    MemoryRegionSection section;
    bool ok;

    if (!vmem || !backend) {
        return true;
    }
    vmem->memdev = backend;
    vmem->bitmap = &blocks;
    vmem->bitmap_size = 16;
    vmem->block_size = 0x1000;
    vmem->size = 0x2000;
    vmem->usable_region_size = 0x10000;
    section = (MemoryRegionSection) {
        .mr = &backend->mr,
        .offset_within_address_space = 0x100000,
        .size = int128_make64(0x10000),
    };
#ifdef TYPE_RAM_DISCARD_SOURCE
    /* since 11.1 it only says what is plugged */
    RamDiscardManager *rdm = ram_discard_manager_new(section.mr);

    ram_discard_manager_add_source(rdm, (RamDiscardSource *)vmem);
    ok = listen_to(rdm, &section);
    ram_discard_manager_del_source(rdm, (RamDiscardSource *)vmem);
    object_unref(rdm);
#else
    ok = listen_to((RamDiscardManager *)vmem, &section);
#endif
    return ok;
}

static struct {
    IOMMUNotifier *notifier;
    IOMMUTLBEntry entry;
    unsigned times;
} notified;

/* A loop without an end would be worse than a crash */
static void note_entry(IOMMUNotifier *notifier, IOMMUTLBEntry *entry)
{
    notified.notifier = notifier;
    notified.entry = *entry;
    if (notified.times++ > 8) {
        abort();
    }
}

static bool was_notified(IOMMUNotifier *notifier, const IOMMUTLBEntry *entry)
{
    bool was = notified.times == 1 && notified.notifier == notifier &&
               notified.entry.target_as == entry->target_as &&
               notified.entry.iova == entry->iova &&
               notified.entry.translated_addr == entry->translated_addr &&
               notified.entry.addr_mask == entry->addr_mask &&
               notified.entry.perm == entry->perm;

    notified.times = 0;
    return was;
}

static bool try_event(void)
{
    PVIOMMU_TRIAL_ROOMY(IOMMUNotifier, n);
    IOMMUTLBEvent event = {
        .type = IOMMU_NOTIFIER_MAP,
        .entry = {
            .target_as = &space.it,
            .iova = 0x4000,
            .translated_addr = 0x7000,
            .addr_mask = 0xfff,
            .perm = IOMMU_RW,
        },
    };
    bool ok;

    iommu_notifier_init(&n.it, note_entry, IOMMU_NOTIFIER_MAP, 0x3000,
                        0x4fff, 0);
    memory_region_notify_iommu_one(&n.it, &event);
    ok = was_notified(&n.it, &event.entry);

    /* QEMU crops these to what the notifier asked for */
    iommu_notifier_init(&n.it, note_entry, IOMMU_NOTIFIER_DEVIOTLB_UNMAP,
                        0x3000, 0x4fff, 0);
    event.type = IOMMU_NOTIFIER_DEVIOTLB_UNMAP;
    event.entry.iova = 0;
    event.entry.addr_mask = 0xffff;
    event.entry.perm = IOMMU_NONE;
    memory_region_notify_iommu_one(&n.it, &event);
    event.entry.iova = 0x3000;
    event.entry.addr_mask = 0x1fff;
    return ok && was_notified(&n.it, &event.entry);
}

static struct {
    IOMMUNotifierFlag flags;
    IOMMUNotifier *replayed;
    hwaddr translated;
} region;

static IOMMUTLBEntry translate(IOMMUMemoryRegion *iommu, hwaddr addr,
                               IOMMUAccessFlags flag, int iommu_idx)
{
    region.translated = addr;
    return (IOMMUTLBEntry) { .addr_mask = 0xfff, .perm = IOMMU_RO };
}

static uint64_t min_page_size(IOMMUMemoryRegion *iommu)
{
    return 0x1000;
}

static int flag_changed(IOMMUMemoryRegion *iommu, IOMMUNotifierFlag old_flags,
                        IOMMUNotifierFlag new_flags, Error **errp)
{
    region.flags = new_flags;
    return 0;
}

static void replay(IOMMUMemoryRegion *iommu, IOMMUNotifier *notifier)
{
    region.replayed = notifier;
}

static bool replay_region(IOMMUMemoryRegion *iommu,
                          IOMMUMemoryRegionClass *klass, IOMMUNotifier *n)
{
    const IOMMUTLBEntry entry = { .addr_mask = 0xfff, .perm = IOMMU_RO };

    memory_region_iommu_replay(iommu, n);
    if (region.replayed != n) {
        return false;
    }
    region.translated = ~0ULL;
    klass->replay = NULL;
    memory_region_iommu_replay(iommu, n);
    return !region.translated && was_notified(n, &entry);
}

static bool try_iommu_region(void)
{
    PVIOMMU_TRIAL_ROOMY(IOMMUNotifier, n);
    g_autofree IOMMUMemoryRegion *iommu =
        pviommu_trial_fake(TYPE_IOMMU_MEMORY_REGION, sizeof(*iommu));
    g_autofree IOMMUMemoryRegionClass *klass =
        pviommu_trial_class(iommu, sizeof(*klass));
    MemoryRegion *mr = (MemoryRegion *)iommu;
    bool ok;

    klass->translate = translate;
    klass->get_min_page_size = min_page_size;
    klass->notify_flag_changed = flag_changed;
    klass->replay = replay;
    mr->size = int128_make64(0x1000);

    iommu_notifier_init(&n.it, note_entry, IOMMU_NOTIFIER_IOTLB_EVENTS, 0,
                        0xfff, 0);
    ok = !memory_region_register_iommu_notifier(mr, &n.it, NULL) &&
         region.flags == IOMMU_NOTIFIER_IOTLB_EVENTS &&
         QLIST_FIRST(&iommu->iommu_notify) == &n.it &&
         n.it.node.le_prev == &iommu->iommu_notify.lh_first &&
         PVIOMMU_TRIAL_IN_ROOM(n) && replay_region(iommu, klass, &n.it);
    memory_region_unregister_iommu_notifier(mr, &n.it);
    return ok && QLIST_EMPTY(&iommu->iommu_notify) &&
           region.flags == IOMMU_NOTIFIER_NONE;
}

const PviommuTrial pviommu_trials_memory[] = {
    { "AddressSpace, MemoryListener", try_listener },
    { "MemoryRegion", try_region },
    { "MemoryRegionSection", try_section },
    { "RamDiscardListener, MemoryRegionSection", try_discard },
    { "IOMMUNotifier, IOMMUTLBEvent", try_event },
    { "IOMMUMemoryRegion, IOMMUMemoryRegionClass, IOMMUNotifier",
      try_iommu_region },
    { }
};
