/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A driver of the IOMMU for tests: buffers on its queues, and requests
 */
#include "qemu/osdep.h"

#include "viommu.h"

static uint64_t take_data(Viommu *v, size_t size)
{
    uint64_t address;

    g_assert_cmpuint(size, <=, VIOMMU_DATA_SIZE);
    if (v->data_next + size > VIOMMU_DATA_SIZE) {
        v->data_next = 0;
    }
    address = v->data + v->data_next;
    v->data_next += ROUND_UP(size, 16);
    return address;
}

typedef struct Chain {
    GArray *descs;      /* struct vring_desc in guest's order */
    bool own_numbers;   /* an indirect table: descriptors count from 0 */
    uint16_t first;     /* number of the first descriptor in the queue */
    uint16_t size;      /* of the queue */
} Chain;

static void chain_add(Chain *chain, uint64_t address, size_t size,
                      size_t piece, uint16_t flags)
{
    while (size) {
        size_t part = piece && piece < size ? piece : size;
        struct vring_desc desc = {
            .addr = cpu_to_le64(address),
            .len = cpu_to_le32(part),
            .flags = cpu_to_le16(flags | VRING_DESC_F_NEXT),
        };

        g_array_append_val(chain->descs, desc);
        address += part;
        size -= part;
    }
}

static void chain_link(Chain *chain)
{
    struct vring_desc *desc = (struct vring_desc *)chain->descs->data;
    unsigned count = chain->descs->len;

    g_assert_cmpuint(count, >, 0);
    for (unsigned i = 0; i < count; i++) {
        uint16_t next = i + 1;

        if (!chain->own_numbers) {
            next = (chain->first + next) % chain->size;
        }
        desc[i].next = cpu_to_le16(next);
    }
    desc[count - 1].flags &= ~cpu_to_le16(VRING_DESC_F_NEXT);
}

static void write_desc(Viommu *v, ViommuQueue *queue,
                       const struct vring_desc *desc)
{
    qtest_memwrite(v->qts, queue->desc + queue->next * sizeof(*desc), desc,
                   sizeof(*desc));
    queue->next = (queue->next + 1) % queue->size;
}

uint64_t viommu_post(Viommu *v, ViommuQueue *queue,
                     const ViommuBuffers *b)
{
    uint64_t out = take_data(v, b->out_size), in = take_data(v, b->in_size);
    uint16_t head = queue->next;
    Chain chain = {
        .descs = g_array_new(FALSE, TRUE, sizeof(struct vring_desc)),
        .own_numbers = b->indirect,
        .first = head,
        .size = queue->size,
    };

    if (b->out_size) {
        qtest_memwrite(v->qts, out, b->out, b->out_size);
    }
    if (b->in_size && b->in) {
        qtest_memwrite(v->qts, in, b->in, b->in_size);
    }
    chain_add(&chain, out, b->out_size, b->out_piece, 0);
    chain_add(&chain, in, b->in_size, b->in_piece, VRING_DESC_F_WRITE);
    chain_link(&chain);
    if (b->indirect) {
        size_t size = chain.descs->len * sizeof(struct vring_desc);
        uint64_t table = take_data(v, size);
        struct vring_desc desc = {
            .addr = cpu_to_le64(table),
            .len = cpu_to_le32(size),
            .flags = cpu_to_le16(VRING_DESC_F_INDIRECT),
        };

        qtest_memwrite(v->qts, table, chain.descs->data, size);
        write_desc(v, queue, &desc);
    } else {
        g_assert_cmpuint(chain.descs->len, <=, queue->size);
        for (unsigned i = 0; i < chain.descs->len; i++) {
            write_desc(v, queue,
                       &g_array_index(chain.descs, struct vring_desc, i));
        }
    }
    g_array_free(chain.descs, TRUE);

    qtest_writew(v->qts, queue->avail + 4 +
                 queue->posted % queue->size * 2, head);
    queue->posted++;
    qtest_writew(v->qts, queue->avail + 2, queue->posted);
    return in;
}

static bool wants_kick(Viommu *v, ViommuQueue *queue)
{
    if (v->features & FEATURE(VIRTIO_RING_F_EVENT_IDX)) {
        uint16_t event = qtest_readw(v->qts, queue->used + 4 +
                                     queue->size * 8);
        uint16_t old = queue->kicked;

        queue->kicked = queue->posted;
        return vring_need_event(event, queue->posted, old);
    }
    return !(qtest_readw(v->qts, queue->used) & VRING_USED_F_NO_NOTIFY);
}

void viommu_kick(Viommu *v, ViommuQueue *queue)
{
    if (wants_kick(v, queue)) {
        viommu_kick_always(v, queue);
    }
}

void viommu_kick_always(Viommu *v, ViommuQueue *queue)
{
    board_notify_queue(v, queue);
}

bool viommu_used(Viommu *v, ViommuQueue *queue, uint32_t *length)
{
    uint16_t used = qtest_readw(v->qts, queue->used + 2);

    g_assert_cmpuint((uint16_t)(used - queue->seen), <=, queue->size);
    if (used == queue->seen) {
        return false;
    }
    *length = qtest_readl(v->qts, queue->used + 4 +
                          queue->seen % queue->size * 8 + 4);
    queue->seen++;
    return true;
}

uint32_t viommu_wait(Viommu *v, ViommuQueue *queue)
{
    gint64 end = g_get_monotonic_time() + VIOMMU_TIMEOUT_US;
    uint32_t length;

    while (!viommu_used(v, queue, &length)) {
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        g_usleep(50);
    }
    return length;
}

void viommu_post_heads(Viommu *v, ViommuQueue *queue, unsigned count,
                       unsigned step)
{
    g_autofree uint16_t *ring = g_new(uint16_t, queue->size);
    const uint64_t at = queue->avail + 4;

    g_assert_cmpuint(queue->seen, ==, queue->posted);
    qtest_memread(v->qts, at, ring, queue->size * sizeof(*ring));
    for (unsigned i = 0; i < count; i++) {
        ring[queue->posted++ % queue->size] = cpu_to_le16(i * step);
    }
    qtest_memwrite(v->qts, at, ring, queue->size * sizeof(*ring));
    queue->next = 0;
    qtest_writew(v->qts, queue->avail + 2, queue->posted);
}

void viommu_wait_all(Viommu *v, ViommuQueue *queue, uint32_t length)
{
    g_autofree struct vring_used_elem *ring = g_new(struct vring_used_elem,
                                                    queue->size);
    gint64 end = g_get_monotonic_time() + VIOMMU_TIMEOUT_US;

    while (qtest_readw(v->qts, queue->used + 2) != queue->posted) {
        g_assert_cmpint(g_get_monotonic_time(), <, end);
    }
    qtest_memread(v->qts, queue->used + 4, ring,
                  queue->size * sizeof(*ring));
    for (; queue->seen != queue->posted; queue->seen++) {
        g_assert_cmpuint(le32_to_cpu(ring[queue->seen % queue->size].len),
                         ==, length);
    }
}

uint32_t viommu_send(Viommu *v, const ViommuBuffers *b)
{
    uint64_t in = viommu_post(v, &v->requests, b);
    uint32_t length;

    viommu_kick(v, &v->requests);
    length = viommu_wait(v, &v->requests);
    if (b->in_size && b->in) {
        qtest_memread(v->qts, in, b->in, b->in_size);
    }
    return length;
}

uint8_t viommu_request(Viommu *v, const void *out, size_t out_size)
{
    uint8_t tail[4] = { 0xaa, 0xaa, 0xaa, 0xaa };
    uint32_t length = viommu_send(v, &(ViommuBuffers) {
        .out = out, .out_size = out_size, .in = tail, .in_size = 4,
    });

    g_assert_cmpuint(length, ==, 4);
    g_assert_cmphex(tail[1] | tail[2] | tail[3], ==, 0);
    return tail[0];
}

uint8_t viommu_attach_flags(Viommu *v, uint32_t domain, uint32_t endpoint,
                            uint32_t flags)
{
    struct virtio_iommu_req_attach req = {
        .head.type = VIRTIO_IOMMU_T_ATTACH,
        .domain = cpu_to_le32(domain),
        .endpoint = cpu_to_le32(endpoint),
        .flags = cpu_to_le32(flags),
    };

    return viommu_request(v, &req, offsetof(typeof(req), tail));
}

uint8_t viommu_attach(Viommu *v, uint32_t domain, uint32_t endpoint)
{
    return viommu_attach_flags(v, domain, endpoint, 0);
}

uint8_t viommu_detach(Viommu *v, uint32_t domain, uint32_t endpoint)
{
    struct virtio_iommu_req_detach req = {
        .head.type = VIRTIO_IOMMU_T_DETACH,
        .domain = cpu_to_le32(domain),
        .endpoint = cpu_to_le32(endpoint),
    };

    return viommu_request(v, &req, offsetof(typeof(req), tail));
}

struct virtio_iommu_req_map viommu_map_request(uint32_t domain,
                                               uint64_t first, uint64_t last,
                                               uint64_t phys, uint32_t flags)
{
    return (struct virtio_iommu_req_map) {
        .head.type = VIRTIO_IOMMU_T_MAP,
        .domain = cpu_to_le32(domain),
        .virt_start = cpu_to_le64(first),
        .virt_end = cpu_to_le64(last),
        .phys_start = cpu_to_le64(phys),
        .flags = cpu_to_le32(flags),
        .tail.status = 0xaa,
    };
}

static struct virtio_iommu_req_unmap unmap_request(uint32_t domain,
                                                   uint64_t first,
                                                   uint64_t last)
{
    return (struct virtio_iommu_req_unmap) {
        .head.type = VIRTIO_IOMMU_T_UNMAP,
        .domain = cpu_to_le32(domain),
        .virt_start = cpu_to_le64(first),
        .virt_end = cpu_to_le64(last),
    };
}

uint8_t viommu_map(Viommu *v, uint32_t domain, uint64_t first, uint64_t last,
                   uint64_t phys, uint32_t flags)
{
    struct virtio_iommu_req_map req = viommu_map_request(domain, first, last,
                                                         phys, flags);

    return viommu_request(v, &req, offsetof(typeof(req), tail));
}

uint8_t viommu_unmap(Viommu *v, uint32_t domain, uint64_t first,
                     uint64_t last)
{
    struct virtio_iommu_req_unmap req = unmap_request(domain, first, last);

    return viommu_request(v, &req, offsetof(typeof(req), tail));
}

static uint64_t post_request(Viommu *v, const void *out, size_t out_size)
{
    uint8_t tail[4] = { 0xaa, 0xaa, 0xaa, 0xaa };

    return viommu_post(v, &v->requests, &(ViommuBuffers) {
        .out = out, .out_size = out_size, .in = tail, .in_size = 4,
    });
}

uint64_t viommu_post_map(Viommu *v, uint32_t domain, uint64_t first,
                         uint64_t last, uint64_t phys, uint32_t flags)
{
    struct virtio_iommu_req_map req = viommu_map_request(domain, first, last,
                                                         phys, flags);

    return post_request(v, &req, offsetof(typeof(req), tail));
}

uint64_t viommu_post_unmap(Viommu *v, uint32_t domain, uint64_t first,
                           uint64_t last)
{
    struct virtio_iommu_req_unmap req = unmap_request(domain, first, last);

    return post_request(v, &req, offsetof(typeof(req), tail));
}

/* Where batches are in guest memory */
#define BATCH_AT (RAM + 0x4000000)

void viommu_post_maps(Viommu *v, const struct virtio_iommu_req_map *maps,
                      unsigned count)
{
    const size_t body = offsetof(struct virtio_iommu_req_map, tail);
    struct vring_desc desc[VIOMMU_QUEUE_SIZE];

    g_assert_cmpuint(count * 2, <=, v->requests.size);
    for (unsigned i = 0; i < count; i++) {
        uint64_t at = BATCH_AT + i * sizeof(maps[0]);

        desc[2 * i] = (struct vring_desc) {
            .addr = cpu_to_le64(at),
            .len = cpu_to_le32(body),
            .flags = cpu_to_le16(VRING_DESC_F_NEXT),
            .next = cpu_to_le16(2 * i + 1),
        };
        desc[2 * i + 1] = (struct vring_desc) {
            .addr = cpu_to_le64(at + body),
            .len = cpu_to_le32(sizeof(maps[0].tail)),
            .flags = cpu_to_le16(VRING_DESC_F_WRITE),
        };
    }
    qtest_memwrite(v->qts, BATCH_AT, maps, count * sizeof(maps[0]));
    qtest_memwrite(v->qts, v->requests.desc, desc,
                   count * 2 * sizeof(desc[0]));
    viommu_post_heads(v, &v->requests, count, 2);
}

void viommu_wait_maps(Viommu *v, unsigned count)
{
    g_autofree struct virtio_iommu_req_map *maps =
        g_new(struct virtio_iommu_req_map, count);

    viommu_wait_all(v, &v->requests, sizeof(maps[0].tail));
    qtest_memread(v->qts, BATCH_AT, maps, count * sizeof(maps[0]));
    for (unsigned i = 0; i < count; i++) {
        assert_status(maps[i].tail.status, OK);
    }
}

uint8_t viommu_probe(Viommu *v, uint32_t endpoint, void *properties)
{
    struct virtio_iommu_req_probe req = {
        .head.type = VIRTIO_IOMMU_T_PROBE,
        .endpoint = cpu_to_le32(endpoint),
    };
    uint8_t in[VIOMMU_PROBE_SIZE + 4];
    uint32_t length;

    memset(in, 0xaa, sizeof(in));
    length = viommu_send(v, &(ViommuBuffers) {
        .out = &req, .out_size = sizeof(req), .in = in, .in_size = sizeof(in),
    });
    g_assert_cmpuint(length, ==, sizeof(in));
    memcpy(properties, in, VIOMMU_PROBE_SIZE);
    g_assert_cmphex(in[VIOMMU_PROBE_SIZE + 1] | in[VIOMMU_PROBE_SIZE + 2] |
                    in[VIOMMU_PROBE_SIZE + 3], ==, 0);
    return in[VIOMMU_PROBE_SIZE];
}

const char *viommu_status_name(uint8_t status)
{
    static const char *const names[] = {
        "OK", "IOERR", "UNSUPP", "DEVERR", "INVAL", "RANGE", "NOENT",
        "FAULT", "NOMEM",
    };

    return status < G_N_ELEMENTS(names) ? names[status] : "unknown";
}
