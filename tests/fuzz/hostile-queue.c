/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A hostile guest: what it does with the queues
 */
#include "qemu/osdep.h"

#include "hostile.h"
#include "../qtest/guest-table.h"

static const uint32_t lengths[] = {
    0, 1, 3, 4, 8, 16, 20, 24, 28, 36, 72, 512, 516, 520, 4096, 65536,
    0x200000, 0x7fffffff, 0xffffffff,
};

static uint32_t endpoint(Hostile *h)
{
    static const uint32_t ids[] = {
        4 << 3, 5 << 3, 6 << 3, 7 << 3, 0x101,
        0x201, VIOMMU_OWN_BDF, 0x10020, 0, -1,
    };

    return ids[hostile_below(h, hostile_below(h, 4) ? 5
                                                    : ARRAY_SIZE(ids))];
}

static void put(uint8_t *bytes, unsigned offset, unsigned size,
                uint64_t value)
{
    stn_le_p(bytes + offset, size, value);
}

/* Entries that often mean something, in any level, where HIGH is looked for */
static void make_table(Hostile *h, uint8_t bytes[72])
{
    static const uint8_t widths[] = { 48, 48, 57, 39, 44, 64, 255 };
    static const uint16_t flags[] = { 0x7, 0x87, 0x443, 0x441, 0x3, 0x5 };
    uint64_t root = hostile_phys(h) & ~(hostile_below(h, 16) ? 0xfffULL : 0);

    put(bytes, 16, 8, root);
    put(bytes, 24, 8, hostile_below(h, 8) == 0);
    put(bytes, 32, 2, hostile_below(h, 4));
    put(bytes, 34, 2, widths[hostile_below(h, ARRAY_SIZE(widths))]);
    if (root - h->v->data >= 64 * 4096) {
        return;                 /* it would be written to elsewhere */
    }
    for (unsigned shift = 12; shift < 57; shift += 9) {
        uint64_t entry = (hostile_phys(h) & ~0xfffULL) |
                         flags[hostile_below(h, ARRAY_SIZE(flags))];

        if (hostile_below(h, 2)) {
            entry = root | flags[hostile_below(h, ARRAY_SIZE(flags))];
        }
        qtest_writeq(h->v->qts, root + (HIGH >> shift & 0x1ff) * 8, entry);
    }
}

/* Fields that often mean something; the size of the request */
static size_t make_request(Hostile *h, uint8_t bytes[72])
{
    uint64_t pages = 1 + hostile_below(h, hostile_below(h, 8) ? 4 : 0x10000);
    uint64_t first = hostile_iova(h) & ~(hostile_below(h, 8) ? 0xfffULL : 0);

    memset(bytes, 0, 72);
    bytes[0] = hostile_below(h, 20) ? 1 + hostile_below(h, 7)
                                    : hostile_below(h, 256);
    put(bytes, 4, 4, hostile_below(h, 5));
    switch (bytes[0]) {
    case VIRTIO_IOMMU_T_ATTACH:
        put(bytes, 8, 4, endpoint(h));
        put(bytes, 12, 4, hostile_below(h, 4) == 0);
        return 20;
    case VIRTIO_IOMMU_T_DETACH:
        put(bytes, 8, 4, endpoint(h));
        return 20;
    case VIRTIO_IOMMU_T_MAP:
        put(bytes, 8, 8, first);
        put(bytes, 16, 8, first + (pages * 4096 - 1));
        put(bytes, 24, 8, hostile_phys(h) & ~0xfffULL);
        put(bytes, 32, 4, hostile_below(h, 8));
        return 36;
    case VIRTIO_IOMMU_T_UNMAP:
    case T_INVALIDATE:
        put(bytes, 8, 8, hostile_below(h, 6) ? first : 0);
        put(bytes, 16, 8, hostile_below(h, 3) ? first + (pages * 4096 - 1)
                                              : UINT64_MAX);
        return 28;
    case VIRTIO_IOMMU_T_PROBE:
        put(bytes, 4, 4, endpoint(h));
        return 72;
    case T_ATTACH_TABLE:
        put(bytes, 8, 4, endpoint(h));
        make_table(h, bytes);
        return 36;
    default:
        for (unsigned i = 1; i < 72; i++) {
            bytes[i] = hostile_below(h, 256);
        }
        return hostile_below(h, 73);
    }
}

void hostile_request(Hostile *h)
{
    uint8_t bytes[72], in[VIOMMU_PROBE_SIZE + 8] = { 0 };
    ViommuQueue *queue = &h->v->requests;
    ViommuBuffers b = { .out = bytes, .in = in, .in_size = 4 };

    b.out_size = make_request(h, bytes);
    if (bytes[0] == VIRTIO_IOMMU_T_PROBE) {
        b.in_size += VIOMMU_PROBE_SIZE;
    }
    if (hostile_below(h, 16) == 0) {
        b.out_size = 1 + hostile_below(h, sizeof(bytes));
    }
    if (hostile_below(h, 16) == 0) {
        b.in_size = hostile_below(h, sizeof(in));
    }
    b.indirect = hostile_below(h, 2);
    if (queue->size < VIOMMU_QUEUE_SIZE) {
        b.indirect = true;      /* it may be too small for a chain */
    } else if (hostile_below(h, 4) == 0) {
        b.out_piece = 1 + hostile_below(h, 8);
        b.in_piece = 4 + hostile_below(h, 64);
    }
    viommu_post(h->v, queue, &b);
    if (hostile_below(h, 8)) {
        viommu_kick_always(h->v, queue);
    }
}

static struct vring_desc make_desc(Hostile *h, unsigned count)
{
    uint16_t flags = 0;

    if (hostile_below(h, 3)) {
        flags |= VRING_DESC_F_NEXT;
    }
    if (hostile_below(h, 2)) {
        flags |= VRING_DESC_F_WRITE;
    }
    if (hostile_below(h, 6) == 0) {
        flags |= VRING_DESC_F_INDIRECT;
    }
    if (hostile_below(h, 30) == 0) {
        flags = hostile_below(h, 0x10000);
    }
    return (struct vring_desc) {
        .addr = cpu_to_le64(hostile_phys(h)),
        .len = cpu_to_le32(lengths[hostile_below(h, ARRAY_SIZE(lengths))]),
        .flags = cpu_to_le16(flags),
        .next = cpu_to_le16(hostile_below(h, hostile_below(h, 20) ? count
                                                                  : 65536)),
    };
}

static uint8_t get_status(Hostile *h)
{
    return h->v->vdev->bus->get_status(&h->v->dev->vdev);
}

/* Descriptors at random, in the queue or in a table that may name itself */
void hostile_chain(Hostile *h)
{
    ViommuQueue *queue = hostile_below(h, 5) ? &h->v->requests
                                             : &h->v->events;
    unsigned size = MAX(queue->size, 1);
    unsigned count = 1 + hostile_below(h, 8);
    bool table = hostile_below(h, 3) == 0;
    uint64_t where = table ? h->v->data : queue->desc;
    uint16_t head = hostile_below(h, 8);

    for (unsigned i = 0; i < count; i++) {
        struct vring_desc desc = make_desc(h, 8);

        qtest_memwrite(h->v->qts, where + i * sizeof(desc), &desc,
                       sizeof(desc));
    }
    if (table) {
        struct vring_desc desc = {
            .addr = cpu_to_le64(where),
            .len = cpu_to_le32(count * sizeof(desc) + hostile_below(h, 2)),
            .flags = cpu_to_le16(VRING_DESC_F_INDIRECT |
                                 (hostile_below(h, 4) ? 0
                                  : VRING_DESC_F_NEXT)),
        };

        qtest_memwrite(h->v->qts, queue->desc + head * sizeof(desc), &desc,
                       sizeof(desc));
    }
    qtest_writew(h->v->qts, queue->avail + 4 + queue->posted % size * 2,
                 hostile_below(h, 40) ? head : hostile_below(h, 65536));
    queue->posted += hostile_below(h, 60) ? 1 : hostile_below(h, 600);
    qtest_writew(h->v->qts, queue->avail + 2, queue->posted);
    viommu_kick_always(h->v, queue);
    if (hostile_below(h, 4) && (get_status(h) & VIRTIO_CONFIG_S_NEEDS_RESET)) {
        hostile_negotiate(h);   /* it would do nothing until then */
    }
}

/* Bytes of the rings */
void hostile_scribble(Hostile *h)
{
    ViommuQueue *queue = hostile_below(h, 2) ? &h->v->requests
                                             : &h->v->events;

    if (queue->desc) {
        qtest_memset(h->v->qts, queue->desc + hostile_below(h, 3 * 4096),
                     hostile_below(h, 256), 1 + hostile_below(h, 16));
    }
}

void hostile_event_buffers(Hostile *h)
{
    static const uint8_t sizes[] = { 24, 24, 24, 32, 16, 1, 0 };
    ViommuQueue *queue = &h->v->events;
    ViommuBuffers b = {
        .in_size = sizes[hostile_below(h, sizeof(sizes))],
        .out = "garbage",
        .out_size = hostile_below(h, 4) ? 0 : 7,
        .indirect = true,
    };

    if (b.in_size + b.out_size == 0 || !queue->desc) {
        return;
    }
    b.in_piece = hostile_below(h, 4) ? 0 : 1 + hostile_below(h, 24);
    for (unsigned i = hostile_below(h, 8); i; i--) {
        viommu_post(h->v, queue, &b);
    }
    viommu_kick_always(h->v, queue);
}

void hostile_negotiate(Hostile *h)
{
    uint64_t features = ALL_FEATURES;

    for (unsigned i = hostile_below(h, 4); i; i--) {
        features &= ~FEATURE(hostile_below(h, 42));
    }
    if (hostile_below(h, 16) == 0) {
        features &= random_next(&h->random) | FEATURE(VIRTIO_F_VERSION_1);
    }
    h->v->queue_size = hostile_below(h, 4) ? 0 : 2 << hostile_below(h, 6);
    if (!viommu_begin(h->v, features)) {
        return;
    }
    viommu_queues(h->v);
    if (hostile_below(h, 10)) {
        viommu_set_status(h->v, 0xf);
    }
}
