/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The request queue: order, batches, notifications, and its beginning
 *
 * R-REQ-7, 8 and 11 of docs/specs/pviommu.md, and what virtio says of every
 * device.
 */
#include "qemu/osdep.h"

#include "edu.h"
#include "process.h"

static ViommuBuffers out(const void *req, size_t size)
{
    static const uint8_t tail[4] = { 0xaa, 0xaa, 0xaa, 0xaa };

    return (ViommuBuffers) {
        .out = req, .out_size = size, .in = (void *)tail, .in_size = 4,
    };
}

static struct virtio_iommu_req_map map_request(uint64_t page)
{
    return (struct virtio_iommu_req_map) {
        .head.type = VIRTIO_IOMMU_T_MAP,
        .domain = cpu_to_le32(1),
        .virt_start = cpu_to_le64(page << 12),
        .virt_end = cpu_to_le64(page << 12 | 0xfff),
        .flags = cpu_to_le32(READ),
    };
}

static uint64_t post_map(Viommu *v, uint64_t page)
{
    return viommu_post_map(v, 1, page << 12, page << 12 | 0xfff, 0, READ);
}

static uint64_t post_unmap(Viommu *v, uint64_t page)
{
    return viommu_post_unmap(v, 1, page << 12, page << 12 | 0xfff);
}

static void wait_count(Viommu *v, unsigned count)
{
    while (count--) {
        g_assert_cmpuint(viommu_wait(v, &v->requests), ==, 4);
    }
}

/* MAPs and UNMAPs of the same page in one batch: one after the other */
static void batch_in_order(void)
{
    Viommu *v = viommu_start(NULL, EDU_A);
    uint64_t in[128];

    assert_status(viommu_attach(v, 1, EP_A), OK);
    for (unsigned i = 0; i < 128; i += 4) {
        in[i] = post_map(v, 1);
        in[i + 1] = post_map(v, 1);         /* overlaps */
        in[i + 2] = post_unmap(v, 1);
        in[i + 3] = post_unmap(v, 1);       /* a hole */
    }
    viommu_kick(v, &v->requests);
    wait_count(v, 128);
    for (unsigned i = 0; i < 128; i++) {
        g_assert_cmpstr(viommu_status_name(qtest_readb(v->qts, in[i])), ==,
                        i % 4 == 1 ? "INVAL" : "OK");
    }
    viommu_stop(v);
}

/* The ring wraps many times, and every size of it works */
static void ring_sizes(void)
{
    static const uint16_t sizes[] = { 2, 4, 64, 256 };
    Viommu *v = viommu_boot(NULL, EDU_A);

    for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
        v->queue_size = sizes[i];
        viommu_negotiate(v, ALL_FEATURES);
        assert_status(viommu_attach(v, 1, EP_A), OK);
        for (unsigned j = 0; j < 3u * sizes[i] + 1; j++) {
            assert_status(viommu_map(v, 1, j << 12, j << 12 | 0xfff, 0,
                                     READ), OK);
        }
        g_assert_cmpuint(viommu_count(v, "mappings"), ==,
                         3u * sizes[i] + 1);
    }
    viommu_stop(v);
}

static void in_order(void)
{
    Viommu *v = viommu_start("in_order=on", EDU_A);

    g_assert_cmphex(v->features & FEATURE(VIRTIO_F_IN_ORDER), !=, 0);
    assert_status(viommu_attach(v, 1, EP_A), OK);
    for (unsigned i = 0; i < 600; i++) {
        assert_status(viommu_map(v, 1, i << 12, i << 12 | 0xfff, 0, READ),
                      OK);
    }
    viommu_stop(v);
}

/* The driver refills while the device works; nobody is starved or lost */
static void more_than_the_ring(void)
{
    Viommu *v = viommu_start(NULL, EDU_A);
    unsigned posted = 0, done = 0;
    const unsigned total = 3000;
    uint32_t length;

    assert_status(viommu_attach(v, 1, EP_A), OK);
    while (done < total) {
        while (posted < total && posted - done < 128) {
            post_map(v, posted++);
        }
        viommu_kick(v, &v->requests);
        g_assert_cmpuint(viommu_wait(v, &v->requests), ==, 4);
        done++;
        while (viommu_used(v, &v->requests, &length)) {
            g_assert_cmpuint(length, ==, 4);
            done++;
        }
    }
    g_assert_cmpuint(viommu_count(v, "mappings"), ==, total);
    viommu_stop(v);
}

/* One kick for a full ring of one-descriptor (indirect) requests */
static void full_ring_for_one_kick(void)
{
    Viommu *v = viommu_start(NULL, EDU_A);
    struct virtio_iommu_req_map req;

    assert_status(viommu_attach(v, 1, EP_A), OK);
    for (unsigned i = 0; i < VIOMMU_QUEUE_SIZE; i++) {
        ViommuBuffers b;

        req = map_request(i);
        b = out(&req, offsetof(typeof(req), tail));
        b.indirect = true;
        viommu_post(v, &v->requests, &b);
    }
    viommu_kick(v, &v->requests);
    wait_count(v, VIOMMU_QUEUE_SIZE);
    g_assert_cmpuint(viommu_count(v, "mappings"), ==, VIOMMU_QUEUE_SIZE);
    /* Kicks are wanted again */
    assert_status(viommu_unmap(v, 1, 0, UINT64_MAX), OK);
    viommu_stop(v);
}

static void without_event_idx(void)
{
    Viommu *v = viommu_boot(NULL, EDU_A);

    viommu_negotiate(v, ~FEATURE(VIRTIO_RING_F_EVENT_IDX));
    assert_status(viommu_attach(v, 1, EP_A), OK);
    for (unsigned i = 0; i < 400; i++) {
        assert_status(viommu_map(v, 1, i << 12, i << 12 | 0xfff, 0, READ),
                      OK);
    }
    for (unsigned i = 0; i < 100; i++) {
        post_unmap(v, i);
    }
    viommu_kick(v, &v->requests);
    wait_count(v, 100);
    g_assert_cmpuint(viommu_count(v, "mappings"), ==, 300);
    viommu_stop(v);
}

static void one_interrupt_for_a_batch(void)
{
    Viommu *v = viommu_boot("vectors=0", EDU_A);
    QVirtioDevice *vdev = v->vdev;
    QVirtQueuePCI requests = { .vq.index = 0 };

    viommu_negotiate(v, ~FEATURE(VIRTIO_RING_F_EVENT_IDX));
    assert_status(viommu_attach(v, 1, EP_A), OK);
    g_assert_true(vdev->bus->get_queue_isr_status(vdev, &requests.vq));
    g_assert_false(vdev->bus->get_queue_isr_status(vdev, &requests.vq));
    for (unsigned i = 0; i < 100; i++) {
        post_map(v, i);
    }
    viommu_kick(v, &v->requests);
    wait_count(v, 100);
    viommu_settle(v);
    g_assert_true(vdev->bus->get_queue_isr_status(vdev, &requests.vq));
    g_assert_false(vdev->bus->get_queue_isr_status(vdev, &requests.vq));
    /* A driver that polls wants none */
    qtest_writew(v->qts, v->requests.avail, VRING_AVAIL_F_NO_INTERRUPT);
    assert_status(viommu_unmap(v, 1, 0, UINT64_MAX), OK);
    viommu_settle(v);
    g_assert_false(vdev->bus->get_queue_isr_status(vdev, &requests.vq));
    viommu_stop(v);
}

/* MSI-X of the IOMMU itself passes, whatever it does to others */
static void own_msi(void)
{
    Viommu *v = viommu_boot("boot-bypass=off", EDU_A);
    QVirtQueuePCI requests = { .vq.index = 0 };

    qpci_msix_enable(v->dev->pdev);
    g_assert_true(viommu_begin(v, ALL_FEATURES));
    viommu_queues(v);
    requests.msix_data = 0x12345678;
    qvirtqueue_pci_msix_setup(v->dev, &requests, &v->alloc, 1);
    qtest_writel(v->qts, requests.msix_addr, 0);
    viommu_set_status(v, 0xf);
    assert_status(viommu_attach(v, 1, EP_A), OK);
    viommu_settle(v);
    g_assert_cmphex(qtest_readl(v->qts, requests.msix_addr), ==, 0x12345678);
    viommu_stop(v);
}

static void before_driver_ok(void)
{
    Viommu *v = viommu_boot("boot-bypass=off", EDU_A);
    Edu *edu = edu_open(v, EP_A);
    uint32_t length;

    /* No queue at all */
    viommu_kick_always(v, &v->requests);
    viommu_settle(v);
    /* Queues, but the driver is not ready: no buffer may be consumed */
    g_assert_true(viommu_begin(v, ALL_FEATURES));
    viommu_queues(v);
    viommu_event_post(v, 24, 1);
    post_map(v, 1);
    viommu_kick_always(v, &v->requests);
    edu_load(edu, 0x1000, 4);
    g_assert_false(viommu_used(v, &v->requests, &length));
    g_assert_false(viommu_used(v, &v->events, &length));
    viommu_set_status(v, 0xf);
    viommu_kick_always(v, &v->requests);
    g_assert_cmpuint(viommu_wait(v, &v->requests), ==, 4);
    edu_load(edu, 0x2000, 4);
    viommu_assert_fault(v, VIRTIO_IOMMU_FAULT_R_DOMAIN,
                        VIRTIO_IOMMU_FAULT_F_READ, EP_A, 0x2000);
    edu_close(edu);
    viommu_stop(v);
}

/* A ring that cannot be: the device asks for a reset, and lives after it */
static void broken_ring(void)
{
    Viommu *v = viommu_start(NULL, EDU_A);
    Edu *edu;
    uint64_t in;

    assert_status(viommu_attach(v, 1, EP_A), OK);
    post_map(v, 1);
    /* The head of a chain that is outside the table */
    qtest_writew(v->qts, v->requests.avail + 4 +
                 (v->requests.posted - 1) % 256 * 2, 0xffff);
    viommu_kick_always(v, &v->requests);
    viommu_wait_needs_reset(v);
    viommu_negotiate(v, ALL_FEATURES);
    assert_state(v, EP_A, "bypass");
    viommu_assert_alive(v);

    /* A chain that bites its tail */
    in = post_map(v, 1);
    qtest_writew(v->qts, v->requests.desc +
                 (v->requests.next - 1) * 16 + 12, VRING_DESC_F_NEXT |
                 VRING_DESC_F_WRITE);
    qtest_writew(v->qts, v->requests.desc +
                 (v->requests.next - 1) * 16 + 14, v->requests.next - 1);
    viommu_kick_always(v, &v->requests);
    viommu_wait_needs_reset(v);
    g_assert_cmphex(qtest_readb(v->qts, in), ==, 0xaa);
    viommu_negotiate(v, ALL_FEATURES);
    viommu_assert_alive(v);

    /* The same of the event queue, found at a fault */
    assert_status(viommu_attach(v, 1, EP_A), OK);
    viommu_event_post(v, 24, 1);
    qtest_writew(v->qts, v->events.avail + 4, 0xffff);
    edu = edu_open(v, EP_A);
    edu_load(edu, 0x1000, 4);
    edu_close(edu);
    viommu_wait_needs_reset(v);
    viommu_negotiate(v, ALL_FEATURES);
    viommu_assert_alive(v);
    viommu_stop(v);
}

/* A request, then an answer, that lies where there is no memory */
static void data_outside_memory(void)
{
    Viommu *v = viommu_start(NULL, EDU_A);

    assert_status(viommu_attach(v, 1, EP_A), OK);
    for (unsigned i = 0; i < 2; i++) {
        uint16_t head = v->requests.next;

        post_map(v, 1);
        qtest_writeq(v->qts, v->requests.desc + (head + i) * 16,
                     0xf000000000);
        viommu_kick_always(v, &v->requests);
        /* What is read there is no request; what is written is lost */
        g_assert_cmpuint(viommu_wait(v, &v->requests), ==, i * 4);
        g_assert_cmpuint(viommu_count(v, "mappings"), ==, i);
        viommu_assert_alive(v);
    }
    viommu_stop(v);
}

/* Point the writable part of what was posted last at an address */
static void aim(Viommu *v, uint64_t address)
{
    qtest_writeq(v->qts, v->requests.desc + (v->requests.next - 1) % 256 * 16,
                 address);
}

/*
 * Answers that kick the queue, or reset the device, that gives them: QEMU
 * blocks both, also in what is done after the kick
 */
static void answers_in_own_registers(void)
{
    static const BoardRegister targets[] = { BOARD_NOTIFY, BOARD_STATUS };
    Viommu *v = viommu_boot(NULL, EDU_A);

    for (unsigned i = 0; i < ARRAY_SIZE(targets); i++) {
        const gint64 end = g_get_monotonic_time() + VIOMMU_TIMEOUT_US;
        const unsigned all = (i + 1) * (128 + 0x1000);

        viommu_negotiate(v, ~FEATURE(VIRTIO_RING_F_EVENT_IDX));
        assert_status(viommu_attach(v, 1, EP_A), OK);
        for (unsigned j = 0; j < 127; j++) {
            post_map(v, 0);
            aim(v, board_register(v, targets[i]));
        }
        post_map(v, 0);
        /* The ring again and again: more than is done at one kick */
        qtest_writew(v->qts, v->requests.avail + 2,
                     v->requests.posted + 0x1000);
        viommu_kick_always(v, &v->requests);
        while (viommu_count_of(v, "requests", "MAP") < all) {
            g_assert_cmpint(g_get_monotonic_time(), <, end);
        }
        viommu_settle(v);
        g_assert_cmpuint(viommu_count_of(v, "requests", "MAP"), ==, all);
        g_assert_cmphex(v->vdev->bus->get_status(v->vdev), ==, 0xf);
        assert_state(v, EP_A, "translated");
    }
    viommu_negotiate(v, ALL_FEATURES);
    viommu_assert_alive(v);
    viommu_stop(v);
}

/* The device's features, as the register that selects them has them now */
static uint32_t read_features(Viommu *v)
{
    return qtest_readl(v->qts, board_register(v, BOARD_FEATURES_SELECT) +
                       (v->mmio ? -4 : 4));
}

/*
 * The report of a fault kicks the request queue, or writes bypass, a selection
 * or the status: QEMU blocks all of them, and the report counts as given
 */
static void report_in_own_registers(void)
{
    static const BoardRegister targets[] = {
        BOARD_NOTIFY, BOARD_CONFIG, BOARD_FEATURES_SELECT, BOARD_STATUS,
    };
    Viommu *v = viommu_start("boot-bypass=off", EDU_A);
    Edu *edu = edu_open(v, EP_A);
    uint32_t length;

    for (unsigned i = 0; i < ARRAY_SIZE(targets); i++) {
        uint32_t features;

        /* The device does not know of this one yet */
        post_map(v, 1);
        qtest_writel(v->qts, board_register(v, BOARD_FEATURES_SELECT), 0);
        features = read_features(v);
        viommu_event_post(v, 24, 1);
        qtest_writeq(v->qts, v->events.desc +
                     (v->events.next - 1) % 256 * 16,
                     board_register(v, targets[i]) +
                     (targets[i] == BOARD_CONFIG ? 24 : 0));
        edu_load(edu, 0x1000 * i, 4);
        g_assert_cmpuint(viommu_wait(v, &v->events), ==, 24);
        viommu_settle(v);
        g_assert_cmpuint(viommu_count(v, "faults-reported"), ==, i + 1);
        g_assert_true(process_is_polled() ||
                      !viommu_used(v, &v->requests, &length));
        g_assert_cmpuint(viommu_config(v).bypass, ==, 0);
        g_assert_cmphex(read_features(v), ==, features);
        g_assert_cmphex(v->vdev->bus->get_status(v->vdev), ==, 0xf);
        assert_state(v, EP_A, "blocked");
        viommu_negotiate(v, ALL_FEATURES);
        viommu_assert_alive(v);
    }
    edu_close(edu);
    viommu_stop(v);
}

/* An event queue is for events: requests there are left alone */
static void kick_of_the_event_queue(void)
{
    Viommu *v = viommu_start(NULL, EDU_A);
    struct virtio_iommu_req_attach req = {
        .head.type = VIRTIO_IOMMU_T_ATTACH, .endpoint = cpu_to_le32(EP_A),
    };
    ViommuBuffers b = out(&req, offsetof(typeof(req), tail));
    uint32_t length;

    viommu_post(v, &v->events, &b);
    viommu_kick_always(v, &v->events);
    viommu_settle(v);
    g_assert_false(viommu_used(v, &v->events, &length));
    assert_state(v, EP_A, "bypass");
    viommu_assert_alive(v);
    viommu_stop(v);
}

/* One queue is reset alone: domains stay, nothing is answered any more */
static void queue_reset(void)
{
    Viommu *v = viommu_start(NULL, EDU_A);
    QVirtioPCIDevice *d = v->dev;
    uint64_t common = d->common_cfg_offset;

    if (!(v->features & FEATURE(VIRTIO_F_RING_RESET))) {
        g_test_skip("the transport has no RING_RESET");
        viommu_stop(v);
        return;
    }
    assert_status(viommu_attach(v, 1, EP_A), OK);
    assert_status(viommu_map(v, 1, 0, 0xfff, 0, READ), OK);
    d->vdev.bus->queue_select(&d->vdev, 0);
    qpci_io_writew(d->pdev, d->bar, common + 0x3a, 1);  /* queue_reset */
    g_assert_cmpuint(qpci_io_readw(d->pdev, d->bar, common + 0x3a), ==, 0);
    assert_state(v, EP_A, "translated");
    g_assert_cmpuint(viommu_count(v, "mappings"), ==, 1);
    viommu_kick_always(v, &v->requests);
    viommu_settle(v);
    viommu_queues(v);
    viommu_assert_alive(v);
    g_assert_cmpuint(viommu_count(v, "mappings"), ==, 1);
    viommu_stop(v);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("queue/batch-in-order", batch_in_order);
    ADD("queue/ring-sizes", ring_sizes);
    ADD("queue/in-order", in_order);
    ADD("queue/more-than-the-ring", more_than_the_ring);
    ADD("queue/full-ring-for-one-kick", full_ring_for_one_kick);
    ADD("queue/without-event-idx", without_event_idx);
    ADD_PCI("queue/one-interrupt-for-a-batch", one_interrupt_for_a_batch);
    ADD_PCI("queue/own-msi", own_msi);
    ADD("queue/before-driver-ok", before_driver_ok);
    ADD("queue/broken-ring", broken_ring);
    ADD("queue/data-outside-memory", data_outside_memory);
    ADD("queue/answers-in-own-registers", answers_in_own_registers);
    ADD("queue/report-in-own-registers", report_in_own_registers);
    ADD("queue/kick-of-the-event-queue", kick_of_the_event_queue);
    ADD_PCI("queue/reset-of-one-queue", queue_reset);
    return g_test_run();
}
