/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu fuzzing: a guest that has one virtqueue, and some memory
 */
#include "qemu/osdep.h"

#include "qemu/rcu.h"
#include "pviommu/host.h"
#include "ring-guest.h"

#define LOW 0x10000
#define LOW_SIZE 0x400
#define NEXT_SIZE 0x100
#define ROM_SIZE 0x100
#define TOP_SIZE 0x100

Guest *guest_new(void)
{
    Guest *guest = g_new0(Guest, 1);

    guest->block[GUEST_LOW].first = LOW;
    guest->block[GUEST_LOW].size = LOW_SIZE;
    guest->block[GUEST_NEXT].first = LOW + LOW_SIZE;
    guest->block[GUEST_NEXT].size = NEXT_SIZE;
    guest->block[GUEST_ROM].first = LOW + LOW_SIZE + NEXT_SIZE;
    guest->block[GUEST_ROM].size = ROM_SIZE;
    guest->block[GUEST_ROM].rom = true;
    guest->block[GUEST_TOP].first = -(uint64_t)TOP_SIZE;
    guest->block[GUEST_TOP].size = TOP_SIZE;
    for (unsigned i = 0; i < GUEST_BLOCKS; i++) {
        guest_plug(guest, i, true);
    }
    guest->vdev.dma_as = (AddressSpace *)guest;
    return guest;
}

void guest_plug(Guest *guest, GuestBlock which, bool in)
{
    Block *b = &guest->block[which];

    if (in == !!b->is) {
        return;
    }
    g_clear_pointer(&b->is, g_free);
    g_clear_pointer(&b->should, g_free);
    g_clear_pointer(&b->told, g_free);
    g_clear_pointer(&b->should_tell, g_free);
    if (in) {
        b->is = g_malloc0(b->size);
        b->should = g_malloc0(b->size);
        b->told = g_malloc0(b->size);
        b->should_tell = g_malloc0(b->size);
    }
}

void guest_free(Guest *guest)
{
    for (unsigned i = 0; i < GUEST_BLOCKS; i++) {
        guest_plug(guest, i, false);
    }
    g_free(guest);
}

static Block *find_block(Guest *guest, uint64_t address, uint64_t size,
                         bool write)
{
    for (unsigned i = 0; i < GUEST_BLOCKS; i++) {
        Block *b = &guest->block[i];

        if (b->is && !(write && b->rom) && size <= b->size &&
            address - b->first <= b->size - size) {
            return b;
        }
    }
    return NULL;
}

uint8_t *guest_at(Guest *guest, uint64_t address, uint64_t size, bool write)
{
    Block *b = find_block(guest, address, size, write);

    return b ? b->should + (address - b->first) : NULL;
}

void guest_write(Guest *guest, uint64_t address, const void *data,
                 size_t size)
{
    for (size_t i = 0; i < size; i++) {
        Block *b = find_block(guest, address + i, 1, false);

        if (b) {
            b->is[address + i - b->first] = ((const uint8_t *)data)[i];
            b->should[address + i - b->first] = ((const uint8_t *)data)[i];
        }
    }
}

void guest_expect(Guest *guest, uint64_t address, const void *data,
                  size_t size)
{
    Block *b = find_block(guest, address, size, true);

    if (b) {
        memcpy(b->should + (address - b->first), data, size);
        memset(b->should_tell + (address - b->first), 1, size);
    }
}

void guest_check(Guest *guest)
{
    for (unsigned i = 0; i < GUEST_BLOCKS; i++) {
        Block *b = &guest->block[i];

        if (b->is) {
            g_assert_cmpmem(b->is, b->size, b->should, b->size);
            g_assert_cmpmem(b->told, b->size, b->should_tell, b->size);
            memset(b->told, 0, b->size);
            memset(b->should_tell, 0, b->size);
        }
    }
}

/* What the ring asks host/ for: RAM, as long as it does not go away */
bool pviommu_find_ram(AddressSpace *as, uint64_t address, hwaddr size,
                      bool write, PviommuRam *ram)
{
    Guest *guest = (Guest *)as;
    Block *b;

    g_assert_cmpuint(get_ptr_rcu_reader()->depth, >, 0);
    g_assert_cmpuint(size, >, 0);
    if (guest->looks && !--guest->looks) {
        guest_write(guest, guest->twist, &guest->value, 1);
    }
    b = find_block(guest, address, size, write);
    if (!b) {
        return false;
    }
    *ram = (PviommuRam) {
        .mr = (MemoryRegion *)b,
        .offset = address - b->first,
        .at = b->is + (address - b->first),
    };
    return true;
}

/* And QEMU */
void address_space_cache_invalidate(MemoryRegionCache *cache, hwaddr addr,
                                    hwaddr access_len)
{
    Block *b = (Block *)cache->mrs.mr;

    g_assert_true(cache->is_write);
    g_assert_true(cache->ptr == b->is + cache->xlat);
    g_assert_cmpuint(cache->xlat + addr + access_len, <=, b->size);
    memset(b->told + cache->xlat + addr, 1, access_len);
}

static Guest *guest_of(VirtIODevice *vdev)
{
    return container_of(vdev, Guest, vdev);
}

int virtio_queue_get_num(VirtIODevice *vdev, int n)
{
    return guest_of(vdev)->num;
}

hwaddr virtio_queue_get_desc_addr(VirtIODevice *vdev, int n)
{
    return guest_of(vdev)->desc;
}

hwaddr virtio_queue_get_avail_addr(VirtIODevice *vdev, int n)
{
    return guest_of(vdev)->avail;
}

hwaddr virtio_queue_get_used_addr(VirtIODevice *vdev, int n)
{
    return guest_of(vdev)->used;
}

unsigned int virtio_queue_get_last_avail_idx(VirtIODevice *vdev, int n)
{
    return guest_of(vdev)->last_avail;
}

void virtio_queue_set_last_avail_idx(VirtIODevice *vdev, int n,
                                     unsigned int idx)
{
    guest_of(vdev)->last_avail = idx;
}

void virtio_queue_update_used_idx(VirtIODevice *vdev, int n)
{
}

void virtio_queue_invalidate_signalled_used(VirtIODevice *vdev, int n)
{
    guest_of(vdev)->closed++;
}

/* RCU, of which there is no writer */
QEMU_DEFINE_CO_TLS(struct rcu_reader_data, rcu_reader)
unsigned long rcu_gp_ctr = 1;
QemuEvent rcu_gp_event;

void qemu_event_set(QemuEvent *ev)
{
}
