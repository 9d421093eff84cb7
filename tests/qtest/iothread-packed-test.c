/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The request queue in an IOThread, and drivers that ask for a packed ring
 *
 * Such a queue is served as without a thread; the driver that declines gets
 * the thread.  The layout is that of "Packed Virtqueues" in the virtio
 * specification.
 */
#include "qemu/osdep.h"

#include "edu.h"
#include "iothread.h"

#define PAGE 4096ULL
#define PHYS 0x1000000ULL

/* A request takes two, so that some go around the end of the ring */
#define SIZE 7

/**
 * struct Packed - a packed virtqueue
 * @v: the driver
 * @at: where its parts are
 * @data: guest memory for a request and its answer
 * @next: next descriptor to fill, which the device uses next
 * @wrap: the wrap counter of both
 */
typedef struct Packed {
    Viommu *v;
    ViommuQueue at;
    uint64_t data;
    unsigned next;
    bool wrap;
} Packed;

static void negotiate(Packed *p)
{
    Viommu *v = p->v;
    QVirtioDevice *vdev = v->vdev;
    uint64_t features;

    viommu_set_status(v, 0);
    viommu_set_status(v, VIRTIO_CONFIG_S_ACKNOWLEDGE);
    viommu_set_status(v, VIRTIO_CONFIG_S_ACKNOWLEDGE |
                      VIRTIO_CONFIG_S_DRIVER);
    features = vdev->bus->get_features(vdev);
    g_assert_true(features & FEATURE(VIRTIO_F_RING_PACKED));
    vdev->bus->set_features(vdev, features);
    viommu_set_status(v, VIRTIO_CONFIG_S_ACKNOWLEDGE |
                      VIRTIO_CONFIG_S_DRIVER | VIRTIO_CONFIG_S_FEATURES_OK);
    if (!p->data) {
        p->at.size = SIZE;
        p->at.desc = guest_alloc(&v->alloc, 2 * PAGE);
        p->at.avail = p->at.desc + PAGE / 2;
        p->at.used = p->at.avail + 16;
        p->data = p->at.desc + PAGE;
    }
    qtest_memset(v->qts, p->at.desc, 0, PAGE);
    p->next = 0;
    p->wrap = true;
    vdev->bus->queue_select(vdev, 0);
    board_enable_queue(v, &p->at);
    viommu_set_status(v, 0xf);
}

static void put(Packed *p, unsigned index, uint64_t address, uint32_t length,
                uint16_t flags, bool wrap)
{
    struct vring_packed_desc d = {
        .addr = cpu_to_le64(address),
        .len = cpu_to_le32(length),
        .id = cpu_to_le16(1),
        .flags = cpu_to_le16(flags | wrap << VRING_PACKED_DESC_F_AVAIL |
                             !wrap << VRING_PACKED_DESC_F_USED),
    };

    qtest_memwrite(p->v->qts, p->at.desc + index * sizeof(d), &d, sizeof(d));
}

/* The first descriptor comes last, and with it both */
static void post(Packed *p, const void *out, size_t size)
{
    static const uint8_t tail[] = { 0xaa, 0xaa, 0xaa, 0xaa };
    unsigned second = (p->next + 1) % SIZE;

    qtest_memwrite(p->v->qts, p->data, out, size);
    qtest_memwrite(p->v->qts, p->data + 64, tail, sizeof(tail));
    put(p, second, p->data + 64, sizeof(tail), VRING_DESC_F_WRITE,
        p->wrap ^ !second);
    put(p, p->next, p->data, size, VRING_DESC_F_NEXT, p->wrap);
}

static uint8_t wait_for(Packed *p)
{
    gint64 end = g_get_monotonic_time() + VIOMMU_TIMEOUT_US;
    uint16_t used = 1 << VRING_PACKED_DESC_F_AVAIL |
                    1 << VRING_PACKED_DESC_F_USED;
    uint64_t at = p->at.desc + p->next * sizeof(struct vring_packed_desc);
    uint8_t tail[4];

    while ((qtest_readw(p->v->qts, at + 14) & used) != (p->wrap ? used : 0)) {
        g_assert_cmpint(g_get_monotonic_time(), <, end);
    }
    g_assert_cmpuint(qtest_readl(p->v->qts, at + 8), ==, 4);
    p->next += 2;
    p->wrap ^= p->next >= SIZE;
    p->next %= SIZE;
    qtest_memread(p->v->qts, p->data + 64, tail, sizeof(tail));
    g_assert_cmphex(tail[1] | tail[2] | tail[3], ==, 0);
    return tail[0];
}

/* Told of, unless the device wants no notifications */
static void kick(Packed *p)
{
    uint16_t flags = qtest_readw(p->v->qts, p->at.used + 2);

    if (flags != VRING_PACKED_EVENT_FLAG_DISABLE) {
        board_notify_queue(p->v, &p->at);
    }
}

static uint8_t request(Packed *p, const void *out, size_t size)
{
    post(p, out, size);
    kick(p);
    return wait_for(p);
}

static void attach(Packed *p)
{
    struct virtio_iommu_req_attach req = {
        .head.type = VIRTIO_IOMMU_T_ATTACH,
        .domain = cpu_to_le32(1),
        .endpoint = cpu_to_le32(EP_A),
    };

    assert_status(request(p, &req, offsetof(typeof(req), tail)), OK);
}

static void map(Packed *p, unsigned page)
{
    struct virtio_iommu_req_map req = {
        .head.type = VIRTIO_IOMMU_T_MAP,
        .domain = cpu_to_le32(1),
        .virt_start = cpu_to_le64(page * PAGE),
        .virt_end = cpu_to_le64(page * PAGE + PAGE - 1),
        .phys_start = cpu_to_le64(PHYS),
        .flags = cpu_to_le32(READ | WRITE),
    };

    assert_status(request(p, &req, offsetof(typeof(req), tail)), OK);
}

/* Each request is told of, and none is the thread's business */
static void assert_without_a_thread(Packed *p, unsigned eventfds)
{
    uint64_t kicks = viommu_count(p->v, "kicks");

    attach(p);
    for (unsigned i = 0; i < 100; i++) {
        map(p, i);
    }
    g_assert_cmpuint(viommu_count(p->v, "kicks"), ==, kicks + 101);
    g_assert_cmpuint(viommu_count(p->v, "mappings"), ==, 100);
    g_assert_cmpuint(iothread_eventfds(p->v), ==, eventfds);
}

static void assert_with_a_thread(Viommu *v, unsigned eventfds)
{
    g_assert_cmpuint(iothread_eventfds(v), >, eventfds);
    assert_status(viommu_attach(v, 1, EP_A), OK);
    iothread_assert_polls(v, 50);
}

static void accepted(void)
{
    Packed p = { .v = viommu_boot(IN_IO ",packed=on", POLLS EDU_A) };
    unsigned eventfds = iothread_eventfds(p.v);

    negotiate(&p);
    assert_without_a_thread(&p, eventfds);
    qtest_qmp_assert_success(p.v->qts, "{'execute': 'stop'}");
    qtest_qmp_assert_success(p.v->qts, "{'execute': 'cont'}");
    map(&p, 100);
    g_assert_cmpuint(viommu_count(p.v, "mappings"), ==, 101);
    viommu_stop(p.v);
}

static void declined(void)
{
    Viommu *v = viommu_boot(IN_IO ",packed=on", POLLS EDU_A);
    unsigned eventfds = iothread_eventfds(v);

    viommu_negotiate(v, ALL_FEATURES);
    g_assert_false(v->features & FEATURE(VIRTIO_F_RING_PACKED));
    assert_with_a_thread(v, eventfds);
    viommu_stop(v);
}

/* One driver after the other */
static void in_turns(void)
{
    Packed p = { .v = viommu_boot(IN_IO ",packed=on", POLLS EDU_A) };
    unsigned eventfds = iothread_eventfds(p.v);

    for (unsigned i = 0; i < 5; i++) {
        negotiate(&p);
        assert_without_a_thread(&p, eventfds);
        if (i % 2) {
            qtest_system_reset(p.v->qts);
            viommu_map_registers(p.v);
        }
        viommu_negotiate(p.v, ALL_FEATURES);
        assert_with_a_thread(p.v, eventfds);
    }
    viommu_stop(p.v);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("/pviommu/iothread/packed/accepted", accepted);
    qtest_add_func("/pviommu/iothread/packed/declined", declined);
    qtest_add_func("/pviommu/iothread/packed/in-turns", in_turns);
    return g_test_run();
}
