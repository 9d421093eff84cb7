/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Faults: what is reported, and what becomes of what cannot be
 *
 * R-FAULT-* of docs/specs/pviommu.md.
 */
#include "qemu/osdep.h"

#include "edu.h"
#include "process.h"

#define R_DOMAIN VIRTIO_IOMMU_FAULT_R_DOMAIN
#define R_MAPPING VIRTIO_IOMMU_FAULT_R_MAPPING
#define F_READ VIRTIO_IOMMU_FAULT_F_READ
#define F_WRITE VIRTIO_IOMMU_FAULT_F_WRITE

static uint64_t faults(Viommu *v)
{
    return viommu_count(v, "faults-reported") +
           viommu_count(v, "faults-dropped");
}

static void unattached(void)
{
    Viommu *v = viommu_start("boot-bypass=off", EDU_A EDU_B);
    Edu *a = edu_open(v, EP_A);
    Edu *b = edu_open(v, EP_B);

    viommu_event_post(v, 24, 8);
    edu_load(a, 0x123456789abc, 1);
    viommu_assert_fault(v, R_DOMAIN, F_READ, EP_A, 0x123456789abc);
    edu_store(b, 0xfffffffffffffff0, 1);
    viommu_assert_fault(v, R_DOMAIN, F_WRITE, EP_B, 0xfffffffffffffff0);
    edu_store(a, 0, 1);
    viommu_assert_fault(v, R_DOMAIN, F_WRITE, EP_A, 0);
    g_assert_cmpuint(viommu_count(v, "faults-reported"), ==, 3);
    g_assert_cmpuint(viommu_count(v, "faults-dropped"), ==, 0);
    edu_close(a);
    edu_close(b);
    viommu_stop(v);
}

static void unmapped(void)
{
    Viommu *v = viommu_start(NULL, EDU_A);
    Edu *edu = edu_open(v, EP_A);

    viommu_event_post(v, 24, 8);
    assert_status(viommu_attach(v, 1, EP_A), OK);
    edu_load(edu, 0x4444, 2);
    viommu_assert_fault(v, R_MAPPING, F_READ, EP_A, 0x4444);
    edu_store(edu, 0x8888, 2);
    viommu_assert_fault(v, R_MAPPING, F_WRITE, EP_A, 0x8888);
    /* In bypass nothing faults */
    assert_status(viommu_detach(v, 1, EP_A), OK);
    edu_load(edu, 0x4444, 2);
    g_assert_cmpuint(faults(v), ==, 2);
    edu_close(edu);
    viommu_stop(v);
}

static void no_permission(void)
{
    Viommu *v = viommu_start(NULL, EDU_A);
    Edu *edu = edu_open(v, EP_A);

    viommu_event_post(v, 24, 8);
    assert_status(viommu_attach(v, 1, EP_A), OK);
    assert_status(viommu_map(v, 1, 0, 0xfff, RAM + 0x2000000, READ), OK);
    edu_load(edu, 0, 8);
    edu_store(edu, 0x18, 8);
    viommu_assert_fault(v, R_MAPPING, F_WRITE, EP_A, 0x18);
    g_assert_cmpuint(faults(v), ==, 1);
    edu_close(edu);
    viommu_stop(v);
}

/* A transfer that leaves a mapping faults where it leaves */
static void transfer_leaves_mapping(void)
{
    Viommu *v = viommu_start(NULL, EDU_A);
    Edu *edu = edu_open_filled(v, EP_A);

    viommu_event_post(v, 24, 8);
    assert_status(viommu_attach(v, 1, EP_A), OK);
    assert_status(viommu_map(v, 1, 0, 0xfff, RAM + 0x2000000, WRITE), OK);
    edu_store(edu, 0xff8, 16);
    g_assert_cmphex(qtest_readq(v->qts, RAM + 0x2000ff8), ==,
                    0x5a5a5a5a5a5a5a5a);
    g_assert_cmphex(qtest_readq(v->qts, RAM + 0x2001000), ==, 0);
    viommu_assert_fault(v, R_MAPPING, F_WRITE, EP_A, 0x1000);
    edu_close(edu);
    viommu_stop(v);
}

/* A blocked transfer of a page is one report, not a thousand */
static void one_report_for_a_page(void)
{
    Viommu *v = viommu_start(NULL, EDU_A);
    Edu *edu = edu_open(v, EP_A);

    viommu_event_post(v, 24, 64);
    assert_status(viommu_attach(v, 1, EP_A), OK);
    edu_load(edu, 0x10000, 4096);
    viommu_assert_fault(v, R_MAPPING, F_READ, EP_A, 0x10000);
    g_assert_cmpuint(faults(v), ==, 1);
    edu_load(edu, 0x10800, 4096);
    viommu_assert_fault(v, R_MAPPING, F_READ, EP_A, 0x10800);
    viommu_assert_fault(v, R_MAPPING, F_READ, EP_A, 0x11000);
    g_assert_cmpuint(faults(v), ==, 3);
    edu_close(edu);
    viommu_stop(v);
}

static void no_buffer(void)
{
    Viommu *v = viommu_start("boot-bypass=off", EDU_A);
    Edu *edu = edu_open(v, EP_A);

    edu_load(edu, 0x5000, 4);
    g_assert_cmpuint(viommu_count(v, "faults-dropped"), ==, 1);
    viommu_assert_alive(v);
    /* It is dropped, not kept; a later buffer serves a later fault */
    viommu_event_post(v, 24, 1);
    viommu_kick(v, &v->events);
    edu_load(edu, 0x6000, 4);
    viommu_assert_fault(v, R_DOMAIN, F_READ, EP_A, 0x6000);
    edu_close(edu);
    viommu_stop(v);
}

/* A buffer that is too small comes back empty; the next one serves */
static void small_buffers(void)
{
    static const size_t sizes[] = { 1, 16, 23 };
    Viommu *v = viommu_start("boot-bypass=off", EDU_A);
    Edu *edu = edu_open(v, EP_A);

    for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
        viommu_event_post(v, sizes[i], 1);
    }
    viommu_event_post(v, 24, 1);
    edu_load(edu, 0x7000, 4);
    for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
        g_assert_cmpuint(viommu_wait(v, &v->events), ==, 0);
    }
    viommu_assert_fault(v, R_DOMAIN, F_READ, EP_A, 0x7000);
    g_assert_cmpuint(viommu_count_of(v, "mistakes", "event-buffer"), ==, 3);
    viommu_assert_alive(v);

    /* Nothing but small ones */
    viommu_event_post(v, 16, 200);
    edu_load(edu, 0x8000, 4);
    for (unsigned i = 0; i < 200; i++) {
        g_assert_cmpuint(viommu_wait(v, &v->events), ==, 0);
    }
    g_assert_cmpuint(viommu_count(v, "faults-dropped"), ==, 1);
    viommu_assert_alive(v);
    edu_close(edu);
    viommu_stop(v);
}

static void large_and_split_buffers(void)
{
    Viommu *v = viommu_start("boot-bypass=off", EDU_A);
    Edu *edu = edu_open(v, EP_A);
    uint8_t pattern[64], seen[64];
    uint64_t in;

    memset(pattern, 0xaa, sizeof(pattern));
    in = viommu_post(v, &v->events, &(ViommuBuffers) {
        .in = pattern, .in_size = 64, .in_piece = 1,
    });
    edu_load(edu, 0x9000, 4);
    g_assert_cmpuint(viommu_wait(v, &v->events), ==, 24);
    qtest_memread(v->qts, in, seen, sizeof(seen));
    g_assert_cmpuint(seen[0], ==, R_DOMAIN);
    g_assert_cmphex(ldq_le_p(seen + 16), ==, 0x9000);
    g_assert_cmpmem(seen + 24, 40, pattern, 40);
    edu_close(edu);
    viommu_stop(v);
}

/* The guest does not kick the event queue after its first fill */
static void unkicked_buffers_are_found(void)
{
    Viommu *v = viommu_start("boot-bypass=off", EDU_A);
    Edu *edu = edu_open(v, EP_A);

    for (unsigned i = 0; i < 600; i++) {
        viommu_event_post(v, 24, 1);
        edu_load(edu, i << 12, 4);
        viommu_assert_fault(v, R_DOMAIN, F_READ, EP_A, i << 12);
    }
    g_assert_cmpuint(viommu_count(v, "faults-reported"), ==, 600);
    edu_close(edu);
    viommu_stop(v);
}

static void readable_buffer(void)
{
    Viommu *v = viommu_start("boot-bypass=off", EDU_A);
    Edu *edu = edu_open(v, EP_A);

    viommu_post(v, &v->events, &(ViommuBuffers) {
        .out = "0123456789abcdef01234567", .out_size = 24,
    });
    viommu_event_post(v, 24, 1);
    edu_load(edu, 0x7000, 4);
    g_assert_cmpuint(viommu_wait(v, &v->events), ==, 0);
    viommu_assert_fault(v, R_DOMAIN, F_READ, EP_A, 0x7000);
    viommu_assert_alive(v);
    edu_close(edu);
    viommu_stop(v);
}

static void queue_not_ready(void)
{
    Viommu *v = viommu_boot("boot-bypass=off", EDU_A);
    Edu *edu = edu_open(v, EP_A);

    edu_load(edu, 0x7000, 4);
    viommu_set_status(v, 0);
    viommu_begin(v, ALL_FEATURES);
    edu_load(edu, 0x7000, 4);
    g_assert_cmpuint(viommu_count(v, "faults-dropped"), ==, 2);
    viommu_negotiate(v, ALL_FEATURES);
    viommu_assert_alive(v);
    edu_close(edu);
    viommu_stop(v);
}

/*
 * A million faults, as QEMU makes one of every word, and no buffer: counted by
 * page, and no memory taken
 */
static void many(void)
{
    Viommu *v = viommu_start("boot-bypass=off", EDU_A);
    Edu *edu = edu_open(v, EP_A);
    size_t before = 0;

    for (unsigned i = 0; i < 1000; i++) {
        edu_load(edu, (uint64_t)i << 20, 4096);
        if (i == 100) {
            before = process_resident(v);
        }
    }
    g_assert_cmpuint(viommu_count(v, "faults-dropped"), ==, 1000);
    if (!process_is_sanitized()) {
        g_assert_cmpuint(process_resident(v), <, before + 512);
    }
    viommu_event_post(v, 16, 1);
    viommu_event_post(v, 24, 1);
    edu_load(edu, 0x123000, 4);
    g_assert_cmpuint(viommu_wait(v, &v->events), ==, 0);
    viommu_assert_fault(v, R_DOMAIN, F_READ, EP_A, 0x123000);
    viommu_assert_alive(v);
    edu_close(edu);
    viommu_stop(v);
}

static void interrupt(void)
{
    Viommu *v = viommu_start("boot-bypass=off,vectors=0", EDU_A);
    Edu *edu = edu_open(v, EP_A);
    QVirtioDevice *vdev = v->vdev;
    QVirtQueuePCI events = { .vq.index = 1 };

    vdev->bus->get_queue_isr_status(vdev, &events.vq);
    g_assert_false(vdev->bus->get_queue_isr_status(vdev, &events.vq));
    edu_load(edu, 0x1000, 4);
    g_assert_false(vdev->bus->get_queue_isr_status(vdev, &events.vq));
    /* With EVENT_IDX: at the first buffer from here on */
    qtest_writew(v->qts, v->events.avail + 4 + 2 * v->events.size, 0);
    viommu_event_post(v, 24, 1);
    edu_load(edu, 0x1000, 4);
    viommu_assert_fault(v, R_DOMAIN, F_READ, EP_A, 0x1000);
    g_assert_true(vdev->bus->get_queue_isr_status(vdev, &events.vq));
    edu_close(edu);
    viommu_stop(v);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("fault/unattached", unattached);
    ADD("fault/unmapped", unmapped);
    ADD("fault/no-permission", no_permission);
    ADD("fault/transfer-leaves-mapping", transfer_leaves_mapping);
    ADD("fault/one-report-for-a-page", one_report_for_a_page);
    ADD("fault/no-buffer", no_buffer);
    ADD("fault/small-buffers", small_buffers);
    ADD("fault/large-and-split-buffers", large_and_split_buffers);
    ADD("fault/unkicked-buffers-are-found", unkicked_buffers_are_found);
    ADD("fault/readable-buffer", readable_buffer);
    ADD("fault/queue-not-ready", queue_not_ready);
    ADD("fault/many", many);
    ADD_PCI("fault/interrupt", interrupt);
    return g_test_run();
}
