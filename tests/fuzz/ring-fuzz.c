/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * libFuzzer: a hostile virtqueue against a reader that is written plainly
 *
 * virtio/ring.c serves the request queue in an IOThread.  The input makes a
 * queue, writes descriptors and rings as a guest that knows what it does, or
 * does not, and has the device look, take, and give back.  What it finds, and
 * each byte that it writes, must be what the plain reader says.  Now and then
 * another processor writes while it looks; then it may find either, but
 * nothing that does not hold together.
 */
#include "qemu/osdep.h"

#include "standard-headers/linux/virtio_ring.h"
#include "virtio/ring.h"
#include "input.h"
#include "ring-guest.h"

enum {
    STEPS_MAX = 50,
    /* what one buffer may take of the queue and of a table together */
    LOOKS_MAX = 8,
    DESC = 0x10000, AVAIL = 0x10100, USED = 0x10180, DATA = 0x10240,
};

/**
 * struct Subject - the queue, and what it should be
 * @guest: whose it is
 * @ring: the queue
 * @open: the ring has it
 * @has_queue: there was one when it was opened, and it was not closed since
 * @event_idx: VIRTIO_RING_F_EVENT_IDX is negotiated
 * @on_empty: VIRTIO_F_NOTIFY_ON_EMPTY is
 * @last_avail: how many buffers were taken
 * @used_idx: how many were given back
 */
typedef struct Subject {
    Guest *guest;
    PviommuRing ring;
    bool open;
    bool has_queue;
    bool event_idx;
    bool on_empty;
    uint16_t last_avail;
    uint16_t used_idx;
} Subject;

/* In memory, at an edge of it, or anywhere */
static uint64_t take_address(const Subject *s, Input *input)
{
    unsigned how = input_byte(input);
    const Block *b = &s->guest->block[how >> 3 & 3];

    switch (how & 7) {
    case 0:
        return input_long(input);
    case 1:
        return b->first + b->size - (how >> 5);
    case 2:
        return b->first + input_word(input) % b->size;
    default:
        return DATA + (how >> 3) * 16;
    }
}

static uint32_t take_length(Input *input)
{
    static const uint32_t lengths[] = {
        4, 28, 36, 1, 2, 8, 16, 32, 48, 60, 64, 65, 128, 0, 512, 0x100, 0x400,
        0x401, 0x7fffffff, 0x80000000, 0xfffffff0, 0xffffffff,
    };
    unsigned how = input_byte(input);

    return how < ARRAY_SIZE(lengths) ? lengths[how]
                                     : how & 1 ? how : how * 16;
}

/* How the plain reader reads: 16 bits at once, and so they must be even */
static bool load(const Subject *s, uint64_t address, uint16_t *value)
{
    const uint8_t *at = guest_at(s->guest, address, 2, false);

    if (!at || address % 2) {
        return false;
    }
    *value = lduw_le_p(at);
    return true;
}

static void expect16(Subject *s, uint64_t address, uint16_t value)
{
    const uint8_t bytes[] = { value, value >> 8 };

    if (address % 2 == 0) {
        guest_expect(s->guest, address, bytes, sizeof(bytes));
    }
}

static bool is_empty(const Subject *s)
{
    uint16_t index;

    return load(s, s->guest->avail + 2, &index) && index == s->last_avail;
}

/* The buffers of a chain, in order; 0 if something is wrong with it */
static unsigned collect(const Subject *s, unsigned index,
                        struct vring_desc found[LOOKS_MAX])
{
    uint64_t table = s->guest->desc;
    uint64_t entries = s->guest->num;
    unsigned count = 0;

    for (unsigned looks = 0; looks < LOOKS_MAX; looks++) {
        const uint8_t *at = guest_at(s->guest, table + index * 16, 16, false);
        struct vring_desc d;

        if (index >= entries || !at) {
            return 0;
        }
        d = (struct vring_desc) { ldq_le_p(at), ldl_le_p(at + 8),
                                  lduw_le_p(at + 12), lduw_le_p(at + 14) };
        if (!d.len) {
            return 0;
        }
        if (d.flags & VRING_DESC_F_INDIRECT) {
            if (looks || d.flags & VRING_DESC_F_NEXT || d.len % 16 ||
                !guest_at(s->guest, d.addr, d.len, false)) {
                return 0;
            }
            table = d.addr;
            entries = d.len / 16;
            index = 0;
            continue;
        }
        found[count++] = d;
        if (!(d.flags & VRING_DESC_F_NEXT)) {
            return count;
        }
        index = d.next;
    }
    return 0;
}

/* A buffer as it should be; false if the thread should leave it alone */
static bool read_chain(const Subject *s, PviommuChain *chain)
{
    struct vring_desc d[LOOKS_MAX];
    unsigned count = collect(s, chain->head, d);

    for (unsigned i = 0; i < count; i++) {
        bool write = d[i].flags & VRING_DESC_F_WRITE;
        const uint8_t *at = guest_at(s->guest, d[i].addr, d[i].len, write);

        if (!at || (!write && chain->writable)) {
            return false;
        }
        if (write) {
            if (chain->nr_parts == PVIOMMU_CHAIN_PARTS) {
                return false;
            }
            chain->parts[chain->nr_parts].address = d[i].addr;
            chain->parts[chain->nr_parts++].length = d[i].len;
            chain->writable += d[i].len;
            continue;
        }
        for (unsigned j = 0; j < d[i].len; j++) {
            if (chain->readable < sizeof(chain->copy)) {
                chain->copy[chain->readable] = at[j];
            }
            chain->readable++;
        }
    }
    return count && chain->writable <= PVIOMMU_CHAIN_WRITABLE;
}

static PviommuRingNext should_be_next(const Subject *s, PviommuChain *chain)
{
    uint16_t index;

    *chain = (PviommuChain) { 0 };
    if (!load(s, s->guest->avail + 2, &index)) {
        return PVIOMMU_RING_UNUSUAL;
    }
    if (index == s->last_avail) {
        return PVIOMMU_RING_EMPTY;
    }
    if ((uint16_t)(index - s->last_avail) > s->guest->num ||
        !load(s, s->guest->avail + 4 + s->last_avail % s->guest->num * 2,
              &chain->head)) {
        return PVIOMMU_RING_UNUSUAL;
    }
    return read_chain(s, chain) ? PVIOMMU_RING_CHAIN : PVIOMMU_RING_UNUSUAL;
}

static void assert_same(const PviommuChain *a, const PviommuChain *b)
{
    g_assert_cmpuint(a->head, ==, b->head);
    g_assert_cmpuint(a->readable, ==, b->readable);
    g_assert_cmpuint(a->writable, ==, b->writable);
    g_assert_cmpmem(a->copy, sizeof(a->copy), b->copy, sizeof(b->copy));
    g_assert_cmpuint(a->nr_parts, ==, b->nr_parts);
    for (unsigned i = 0; i < a->nr_parts; i++) {
        g_assert_cmphex(a->parts[i].address, ==, b->parts[i].address);
        g_assert_cmpuint(a->parts[i].length, ==, b->parts[i].length);
    }
}

static void assert_holds_together(const PviommuChain *chain)
{
    uint64_t sum = 0;

    g_assert_cmpuint(chain->nr_parts, <=, PVIOMMU_CHAIN_PARTS);
    for (unsigned i = 0; i < chain->nr_parts; i++) {
        g_assert_cmpuint(chain->parts[i].length, >, 0);
        sum += chain->parts[i].length;
    }
    g_assert_cmpuint(chain->writable, ==, sum);
    g_assert_cmpuint(chain->writable, <=, PVIOMMU_CHAIN_WRITABLE);
}

/* As the thread does with a request */
static void take_and_give(Subject *s, const PviommuChain *chain,
                          unsigned how)
{
    uint8_t answer[PVIOMMU_CHAIN_WRITABLE];
    const uint8_t *next = answer;
    bool written = how & 1;
    uint8_t element[8];
    bool awaited;
    uint16_t value;

    memset(answer, how, sizeof(answer));
    pviommu_ring_take(&s->ring);
    s->last_avail++;
    for (unsigned i = 0; written && i < chain->nr_parts; i++) {
        guest_expect(s->guest, chain->parts[i].address, next,
                     chain->parts[i].length);
        next += chain->parts[i].length;
    }
    stl_le_p(element, chain->head);
    stl_le_p(element + 4, written ? chain->writable : 0);
    guest_expect(s->guest, s->guest->used + 4 +
                 s->used_idx % s->guest->num * 8, element, sizeof(element));
    expect16(s, s->guest->used + 2, ++s->used_idx);
    awaited = pviommu_ring_give(&s->ring, chain, written ? answer : NULL);
    if (s->on_empty && is_empty(s)) {
        g_assert_true(awaited);
    } else if (s->event_idx) {
        g_assert_cmpint(awaited, ==,
                        load(s, s->guest->avail + 4 + s->guest->num * 2,
                             &value) && vring_need_event(value, s->used_idx,
                                                         s->used_idx - 1));
    } else {
        g_assert_cmpint(awaited, ==, load(s, s->guest->avail, &value) &&
                        !(value & VRING_AVAIL_F_NO_INTERRUPT));
    }
}

static void look(Subject *s, unsigned how)
{
    PviommuChain chain, should;
    bool twisted = s->guest->looks;
    PviommuRingNext found = pviommu_ring_peek(&s->ring, &chain);

    s->guest->looks = 0;
    if (!twisted) {
        g_assert_cmpint(found, ==, should_be_next(s, &should));
    }
    if (found != PVIOMMU_RING_CHAIN) {
        return;
    }
    if (!twisted) {
        assert_same(&chain, &should);
    }
    assert_holds_together(&chain);
    if (how & 2) {
        take_and_give(s, &chain, how);
    }
}

static void want_kicks(Subject *s, bool want)
{
    pviommu_ring_want_kicks(&s->ring, want);
    if (!s->event_idx) {
        expect16(s, s->guest->used, want ? 0 : VRING_USED_F_NO_NOTIFY);
    } else if (want) {
        expect16(s, s->guest->used + 4 + s->guest->num * 8, s->last_avail);
    }
}

static void set_feature(Subject *s, unsigned feature, bool on)
{
    s->guest->vdev.guest_features &= ~(1ULL << feature);
    s->guest->vdev.guest_features |= (uint64_t)on << feature;
}

/* A device that is in no state for it is not opened */
static void open_ring(Subject *s, Input *input)
{
    unsigned how = input_byte(input);
    Guest *guest = s->guest;
    VirtIODevice *vdev = &guest->vdev;
    uint16_t index;
    bool may;

    s->event_idx = how & 1;
    s->on_empty = how & 2;
    set_feature(s, VIRTIO_RING_F_EVENT_IDX, s->event_idx);
    set_feature(s, VIRTIO_F_NOTIFY_ON_EMPTY, s->on_empty);
    set_feature(s, VIRTIO_F_RING_PACKED, (how & 0xf0) == 0xf0);
    vdev->broken = (how & 0xf0) == 0xe0;
    vdev->disabled = (how & 0xf0) == 0xd0;
    may = guest->num && guest->desc && (how & 0xf0) < 0xd0 &&
          load(s, guest->avail + 2, &index) &&
          load(s, guest->used + 2, &s->used_idx);
    s->last_avail = guest->last_avail;
    s->has_queue = guest->num;
    s->open = pviommu_ring_open(&s->ring, vdev, 0);
    g_assert_cmpint(s->open, ==, may);
}

/*
 * One that was not opened may be closed as well; without a queue, or closed
 * already, it is QEMU's, who may have gone on with it
 */
static void close_ring(Subject *s)
{
    unsigned closed = s->guest->closed;
    uint16_t last_avail = s->has_queue ? s->last_avail : s->guest->last_avail;

    pviommu_ring_close(&s->ring);
    g_assert_cmpuint(s->guest->last_avail, ==, last_avail);
    g_assert_cmpuint(s->guest->closed, ==, closed + s->has_queue);
    s->open = s->has_queue = false;
}

/* Another queue, as after a reset */
static void place(Subject *s, Input *input)
{
    static const uint16_t sizes[] = { 16, 8, 4, 2, 1, 3, 64, 0 };
    unsigned how = input_byte(input);

    s->guest->num = sizes[how & 7];
    s->guest->desc = how & 0x10 ? take_address(s, input) : DESC;
    s->guest->avail = how & 0x20 ? take_address(s, input) : AVAIL;
    s->guest->used = how & 0x40 ? take_address(s, input) : USED;
    s->guest->last_avail = how & 0x80 ? input_word(input) : 0;
}

/* One that is often right, or not at all */
static struct vring_desc take_descriptor(const Subject *s, Input *input,
                                         unsigned next)
{
    unsigned how = input_byte(input);
    struct vring_desc d;

    d.addr = cpu_to_le64(take_address(s, input));
    d.len = cpu_to_le32(take_length(input));
    d.flags = cpu_to_le16(how & 0x20 ? input_byte(input) : how & 7);
    d.next = cpu_to_le16(how & 0x40 ? input_byte(input) :
                         how & 0x80 ? input_word(input) : next);
    return d;
}

/* Descriptors one after the other, in the queue's table or elsewhere */
static void write_descriptors(Subject *s, Input *input)
{
    unsigned how = input_byte(input);
    unsigned index = how & 0x80 ? input_below(input, 16) : 0;
    uint64_t table = how & 0x40 ? take_address(s, input) : s->guest->desc;

    for (unsigned i = 0; i <= (how & 15); i++, index++) {
        struct vring_desc d = take_descriptor(s, input, index + 1);

        guest_write(s->guest, table + index * sizeof(d), &d, sizeof(d));
    }
}

static void write16(Subject *s, uint64_t address, uint16_t value)
{
    const uint8_t bytes[] = { value, value >> 8 };

    guest_write(s->guest, address, bytes, sizeof(bytes));
}

/* Buffers are available, or too many are said to be */
static void post(Subject *s, Input *input)
{
    unsigned how = input_byte(input), num = MAX(s->guest->num, 1);
    uint16_t index = 0;

    load(s, s->guest->avail + 2, &index);
    write16(s, s->guest->avail + 4 + index % num * 2,
            how & 0x40 ? input_word(input) : how & 15);
    index += how & 0x80 ? input_word(input) : 1;
    write16(s, s->guest->avail + 2, index);
}

static void scribble(Subject *s, Input *input)
{
    uint64_t address = take_address(s, input);
    uint8_t byte = input_byte(input);

    guest_write(s->guest, address, &byte, 1);
}

/* The next look is not alone */
static void twist(Subject *s, Input *input)
{
    s->guest->twist = take_address(s, input);
    s->guest->value = input_byte(input);
    s->guest->looks = 1 + input_below(input, 16);
}

static void use_ring(Subject *s, Input *input, unsigned how)
{
    switch (how & 15) {
    case 7:
        want_kicks(s, how & 0x80);
        break;
    case 8:
        g_assert_cmpint(pviommu_ring_is_empty(&s->ring), ==, is_empty(s));
        break;
    case 9:
        twist(s, input);
        look(s, how >> 4);
        break;
    default:
        look(s, how >> 4);
        break;
    }
}

static void step(Subject *s, Input *input)
{
    unsigned how = input_byte(input);

    switch (how & 15) {
    case 0:
    case 1:
        write_descriptors(s, input);
        break;
    case 2:
    case 3:
        post(s, input);
        break;
    case 4:
        scribble(s, input);
        break;
    case 5:
        guest_plug(s->guest, how >> 4 & 3, how & 0x80);
        break;
    case 6:
        close_ring(s);
        if (how & 0x80) {
            place(s, input);
        }
        open_ring(s, input);
        guest_check(s->guest);
        break;
    default:
        if (s->open) {
            use_ring(s, input, how);
            guest_check(s->guest);
        }
        break;
    }
}

/* What is copied too far is not to be zeros */
static void fill_data(Guest *guest)
{
    for (unsigned i = 0; i < 256; i++) {
        uint8_t byte = i + 1;

        guest_write(guest, DATA + i, &byte, 1);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Input input = { data, size };
    Subject s = { .guest = guest_new() };

    fill_data(s.guest);
    place(&s, &input);
    open_ring(&s, &input);
    for (unsigned i = 0; i < STEPS_MAX && input.left > 0; i++) {
        step(&s, &input);
    }
    guest_free(s.guest);
    return 0;
}
