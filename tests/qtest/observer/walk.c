/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A host with iommufd, made of paper: what a function reaches
 *
 * An SMMUv3 of two stages: a context descriptor, which it keeps, and a table
 * of VMSAv8-64 with 4 KiB granule, of which it keeps nothing.
 */
#include "qemu/osdep.h"

#include <sys/socket.h>

#include "tables.h"
#include "versions.h"

#define PAGE 4096ULL

enum { F_TRANSLATION = 0x10, F_PERMISSION = 0x13 };

bool host_ioas_dma(const Ioas *ioas, hwaddr iova, void *data, uint64_t size,
                   bool write)
{
    uint8_t *at = data;

    while (size) {
        const Held *held = held_at(held_at_or_after(ioas->held, iova));
        uint64_t part;
        uint8_t *vaddr;

        if (!held || held->first > iova ||
            !strchr(held->perm, write ? 'w' : 'r')) {
            return false;
        }
        part = MIN(size - 1, held->last - iova) + 1;
        vaddr = (uint8_t *)held->vaddr + (iova - held->first);
        memcpy(write ? vaddr : at, write ? at : vaddr, part);
        at += part;
        iova += part;
        size -= part;
    }
    return true;
}

static uint64_t load(const Function *f, uint64_t address, bool *ok)
{
    uint64_t value = 0;

    *ok &= host_ioas_dma(f->hwpt->ioas, address, &value, sizeof(value),
                         false);
    return le64_to_cpu(value);
}

/* One that is not valid is kept, too, but not written down */
void host_descriptor_load(Function *f)
{
    const uint64_t valid = 1ULL << 31;
    bool ok = f->hwpt && f->hwpt->view;

    for (unsigned i = 0; ok && i < ARRAY_SIZE(f->descriptor); i++) {
        f->descriptor[i] = load(f, f->hwpt->context + 8 * i, &ok);
    }
    if (!ok || !(f->descriptor[0] & valid)) {
        memset(f->descriptor, 0, sizeof(f->descriptor));
    }
}

/*
 * AArch64, of the lower half alone, 4 KiB granule, records and aborts, for
 * one address space alone, all of 48 bits out
 */
static bool is_legal(const uint64_t *descriptor)
{
    const uint64_t word = descriptor[0];
    const unsigned bits = 64 - (word & 63);

    return bits >= 39 && bits <= 48 && (word >> 6 & 3) == 0 &&
           !(word & 1 << 14) && word & 1 << 30 && word & 1 << 31 &&
           (word >> 32 & 7) == 5 && word & 1ULL << 41 && word & 1ULL << 45 &&
           word & 1ULL << 46 && word & 1ULL << 47 && !descriptor[2];
}

/* Where an address leads, or the type of the event */
static unsigned translate(const Function *f, uint64_t iova, bool write,
                          uint64_t *out)
{
    const unsigned bits = 64 - (f->descriptor[0] & 63);
    uint64_t table = f->descriptor[1];
    bool ok = is_legal(f->descriptor) && !(iova >> bits);

    for (int level = DIV_ROUND_UP(bits - 12, 9); ok && level > 0; level--) {
        unsigned shift = 12 + 9 * (level - 1);
        uint64_t entry = load(f, table + (iova >> shift & 511) * 8, &ok);
        bool leaf = level == 1 || !(entry & 2);

        if (!ok || !(entry & 1) || (level == 1 && !(entry & 2))) {
            return F_TRANSLATION;
        }
        if (leaf) {
            *out = (entry & 0xfffffffff000 & ~((1ULL << shift) - 1)) |
                   (iova & ((1ULL << shift) - 1));
            return (entry & 0x440) != 0x440 || (write && entry & 0x80)
                   ? F_PERMISSION : 0;
        }
        table = entry & 0xfffffffff000;
    }
    return F_TRANSLATION;
}

bool host_nested_dma(Function *f, uint64_t iova, void *data, uint64_t size,
                     bool write)
{
    uint8_t *at = data;

    while (size) {
        uint64_t part = MIN(size, PAGE - (iova & (PAGE - 1))), out;
        unsigned type = translate(f, iova, write, &out);

        if (type) {
            host_event(f, type, iova, write);
            return false;
        }
        /* What the second stage says is no event of the guest's */
        if (!host_ioas_dma(f->hwpt->ioas, out, at, part, write)) {
            return false;
        }
        at += part;
        iova += part;
        size -= part;
    }
    return true;
}

/* Of an attached device alone; when there is no more room, it is lost */
void host_event(const Function *f, unsigned type, uint64_t address,
                bool write)
{
    const View *view = f->hwpt ? f->hwpt->view : NULL;
    const Place *place = view ? host_place_of(view, f) : NULL;
    struct {
        struct iommufd_vevent_header header;
        struct iommu_vevent_arm_smmuv3 event;
    } record = { 0 };
    Events *events;

    if (!place) {
        return;
    }
    record.event.evt[0] = cpu_to_le64(type | place->number << 32);
    record.event.evt[1] = cpu_to_le64((uint64_t)!write << 35);
    record.event.evt[2] = cpu_to_le64(address);
    QLIST_FOREACH(events, &f->context->events, next) {
        if (events->view == view) {
            send(events->peer, &record, sizeof(record),
                 MSG_DONTWAIT | MSG_NOSIGNAL);
        }
    }
}
