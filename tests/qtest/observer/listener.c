/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An observer with a MemoryListener: what vhost and others see
 */
#include "qemu/osdep.h"

#include "system/address-spaces.h"
#include "qapi/error.h"
#include "state.h"

static char *block_in(MemoryRegion *mr, hwaddr offset)
{
    return held_name((uint8_t *)memory_region_get_ram_ptr(mr) + offset);
}

static bool is_vhost(const Observer *o)
{
    return !(o->flags & IOMMU_NOTIFIER_MAP);
}

/* vhost_device_iotlb_miss() in hw/virtio/vhost.c */
bool observer_miss(Observer *o, hwaddr iova, bool write)
{
    MemoryRegionSection section;
    IOMMUTLBEntry entry;
    hwaddr size;
    bool found;
    char *what;

    RCU_READ_LOCK_GUARD();
    entry = address_space_get_iotlb_entry(pci_get_address_space(PCI_DEVICE(o)),
                                          iova, write,
                                          MEMTXATTRS_UNSPECIFIED);
    if (!entry.target_as) {
        return false;
    }
    section = memory_region_find(get_system_memory(), entry.translated_addr,
                                 1ULL << 63);
    found = section.mr && memory_region_is_ram(section.mr) &&
            section.offset_within_address_space == entry.translated_addr;
    what = found ? block_in(section.mr, section.offset_within_region) : NULL;
    memory_region_unref(section.mr);
    if (!found) {
        record_event(o->events, "lookup %" PRIx64 " fails",
                     entry.translated_addr);
        return false;
    }
    size = MIN(entry.addr_mask + 1, int128_get64(section.size));
    entry.iova = iova & ~entry.addr_mask;
    held_drop(o->held, entry.iova, entry.iova + (size - 1));
    held_map(o->held, entry.iova, entry.iova + (size - 1), NULL, what,
             entry.perm == IOMMU_RO ? "r" :
             entry.perm == IOMMU_WO ? "w" : "rw");
    return iova - entry.iova < size;
}

static void notified(IOMMUNotifier *n, IOMMUTLBEntry *entry)
{
    Watched *w = container_of(n, Watched, notifier);
    GString *events = w->observer->events;
    hwaddr last = entry->iova + entry->addr_mask;

    if (entry->perm == IOMMU_NONE) {
        record_event(events, "unmap %" PRIx64 " %" PRIx64, entry->iova, last);
        if (is_vhost(w->observer)) {
            held_drop(w->observer->held, entry->iova, last);
        } else if (held_unmap(w->observer->held, entry->iova, last)) {
            record_event(events, "error split");
        }
    } else {
        MemoryRegionSection section;
        char *what;

        section = memory_region_find(get_system_memory(),
                                     entry->translated_addr, 1);
        what = section.mr ? block_in(section.mr, section.offset_within_region)
                          : g_strdup("nothing");
        memory_region_unref(section.mr);
        record_event(events, "map %" PRIx64 " %" PRIx64 " %s", entry->iova,
                     last, what);
        if (held_map(w->observer->held, entry->iova, last, NULL, what,
                     entry->perm == IOMMU_RO ? "r" :
                     entry->perm == IOMMU_WO ? "w" : "rw")) {
            record_event(events, "error overlap");
        }
    }
}

/* Whether there is anything at a section, for any device */
static bool leads_somewhere(const MemoryRegionSection *section)
{
    return memory_region_is_iommu(section->mr) ||
           memory_region_is_ram(section->mr);
}

static void region_add(MemoryListener *listener, MemoryRegionSection *section)
{
    Observer *o = container_of(listener, Observer, listener);
    hwaddr first = section->offset_within_address_space;
    hwaddr last = first + int128_get64(int128_sub(section->size,
                                                  int128_one()));

    o->sections += leads_somewhere(section);
    if (memory_region_is_iommu(section->mr)) {
        Watched *w = g_new0(Watched, 1);

        w->observer = o;
        w->mr = IOMMU_MEMORY_REGION(section->mr);
        record_event(o->events, "iommu-add %" PRIx64 " %" PRIx64, first,
                     last);
        iommu_notifier_init(&w->notifier, notified, o->flags,
                            section->offset_within_region,
                            section->offset_within_region + (last - first),
                            0);
        memory_region_register_iommu_notifier(section->mr, &w->notifier,
                                              &error_fatal);
        QLIST_INSERT_HEAD(&o->watched, w, next);
        if (!is_vhost(o)) {
            memory_region_iommu_replay(w->mr, &w->notifier);
        }
    } else if (memory_region_is_ram(section->mr) && !is_vhost(o)) {
        char *what = block_in(section->mr, section->offset_within_region);

        record_event(o->events, "ram-add %" PRIx64 " %" PRIx64 " %s", first,
                     last, what);
        if (held_map(o->held, first, last, NULL, what,
                     section->readonly ? "r" : "rw")) {
            record_event(o->events, "error overlap");
        }
    }
}

static void region_del(MemoryListener *listener, MemoryRegionSection *section)
{
    Observer *o = container_of(listener, Observer, listener);
    hwaddr first = section->offset_within_address_space;
    hwaddr last = first + int128_get64(int128_sub(section->size,
                                                  int128_one()));
    Watched *w, *tmp;

    o->sections -= leads_somewhere(section);
    if (memory_region_is_iommu(section->mr)) {
        record_event(o->events, "iommu-del %" PRIx64 " %" PRIx64, first,
                     last);
        QLIST_FOREACH_SAFE(w, &o->watched, next, tmp) {
            if (MEMORY_REGION(w->mr) == section->mr &&
                w->notifier.start == section->offset_within_region) {
                memory_region_unregister_iommu_notifier(section->mr,
                                                        &w->notifier);
                QLIST_REMOVE(w, next);
                g_free(w);
            }
        }
    } else if (memory_region_is_ram(section->mr) && !is_vhost(o)) {
        record_event(o->events, "ram-del %" PRIx64 " %" PRIx64, first, last);
    } else {
        return;
    }
    /* vhost keeps what it has: it only stops to listen */
    if (!is_vhost(o) && held_unmap(o->held, first, last)) {
        record_event(o->events, "error split");
    }
}

/* Changes are complete, and threads see them from now on */
static void commit(MemoryListener *listener)
{
    Observer *o = container_of(listener, Observer, listener);

    if (o->sections == 0 && !o->in_gap) {
        record_event(o->events, "gap");
    }
    o->in_gap = o->sections == 0;
}

void observer_listen(Observer *o, AddressSpace *as)
{
    o->listener = (MemoryListener) {
        .name = is_vhost(o) ? "vhost-iommu" : TYPE_OBSERVER,
        .region_add = region_add,
        .region_del = region_del,
        .commit = commit,
    };
    memory_listener_register(&o->listener, as);
}

void observer_listen_stop(Observer *o)
{
    memory_listener_unregister(&o->listener);
}
