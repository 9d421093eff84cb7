/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An observer with a MemoryListener: what vhost and others see
 */
#include "qemu/osdep.h"

#include "exec/address-spaces.h"
#include "qapi/error.h"
#include "state.h"

static char *block_in(MemoryRegion *mr, hwaddr offset)
{
    return held_name((uint8_t *)memory_region_get_ram_ptr(mr) + offset);
}

static void notified(IOMMUNotifier *n, IOMMUTLBEntry *entry)
{
    Watched *w = container_of(n, Watched, notifier);
    GString *events = w->observer->events;
    hwaddr last = entry->iova + entry->addr_mask;

    if (entry->perm == IOMMU_NONE) {
        record_event(events, "unmap %" PRIx64 " %" PRIx64, entry->iova, last);
        if (held_unmap(w->observer->held, entry->iova, last)) {
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

static void region_add(MemoryListener *listener, MemoryRegionSection *section)
{
    Observer *o = container_of(listener, Observer, listener);
    hwaddr first = section->offset_within_address_space;
    hwaddr last = first + int128_get64(int128_sub(section->size,
                                                  int128_one()));

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
        if (o->flags & IOMMU_NOTIFIER_MAP) {
            memory_region_iommu_replay(w->mr, &w->notifier);
        }
    } else if (memory_region_is_ram(section->mr)) {
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
    } else if (memory_region_is_ram(section->mr)) {
        record_event(o->events, "ram-del %" PRIx64 " %" PRIx64, first, last);
    } else {
        return;
    }
    if (held_unmap(o->held, first, last)) {
        record_event(o->events, "error split");
    }
}

void observer_listen(Observer *o, AddressSpace *as)
{
    o->listener = (MemoryListener) {
        .name = TYPE_OBSERVER,
        .region_add = region_add,
        .region_del = region_del,
    };
    memory_listener_register(&o->listener, as);
}

void observer_listen_stop(Observer *o)
{
    memory_listener_unregister(&o->listener);
}
