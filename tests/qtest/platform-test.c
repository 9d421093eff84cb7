/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio-mmio devices behind the IOMMU
 *
 * R-EP-8 and R-EP-9 of docs/specs/pviommu.md.  The endpoint is a virtio-rng,
 * whose driver is that of the IOMMU with other registers: it has a queue, and
 * fills buffers with what is never all zeros.
 */
#include "qemu/osdep.h"

#include "edu.h"
#include "vhost-user.h"

#define RNG "-device virtio-rng-device,id=rng"
#define BEHIND ",iommu_platform=on "

/* Slots are filled from the last one down; the IOMMU may be in that */
#define SLOT_SIZE 0x200
#define LAST_SLOT (board()->slot ?: 0x0a003e00)
#define RNG_SLOT (LAST_SLOT - (board()->slot ? SLOT_SIZE : 0))
#define EP_RNG (0x80000000 + (uint32_t)(RNG_SLOT / SLOT_SIZE))

#define PAGE 4096ULL
#define SIZE 64
#define TARGET (RAM + 0x2000000)
#define IOVA (1ULL << 32)

/* All memory, as the rings lie somewhere in it */
static void map_memory(Viommu *v, uint32_t domain)
{
    assert_status(viommu_map(v, domain, RAM, RAM + 0xfffffff, RAM,
                             READ | WRITE), OK);
}

static Viommu *rng_open(Viommu *iommu)
{
    Viommu *v = g_new0(Viommu, 1);

    v->qts = iommu->qts;
    v->alloc = iommu->alloc;
    v->data = guest_alloc(&iommu->alloc, PAGE);
    v->mmio = g_new0(QVirtioMMIODevice, 1);
    qvirtio_mmio_init_device(v->mmio, v->qts, RNG_SLOT, SLOT_SIZE);
    v->vdev = &v->mmio->vdev;
    g_assert_cmpuint(v->vdev->device_type, ==, 4);
    g_assert_true(viommu_begin(v, ALL_FEATURES));
    v->requests.desc = guest_alloc(&iommu->alloc, 3 * PAGE);
    v->requests.avail = v->requests.desc + PAGE;
    v->requests.used = v->requests.desc + 2 * PAGE;
    v->requests.size = 8;
    qtest_memset(v->qts, v->requests.desc, 0, 3 * PAGE);
    v->vdev->bus->queue_select(v->vdev, 0);
    board_enable_queue(v, &v->requests);
    viommu_set_status(v, 0xf);
    return v;
}

static void rng_close(Viommu *v)
{
    board_forget_device(v);
    g_free(v);
}

/* Have a buffer at @iova filled */
static void rng_ask(Viommu *v, uint64_t iova)
{
    unsigned at = v->requests.next;

    viommu_post(v, &v->requests, &(ViommuBuffers) { .in_size = SIZE });
    qtest_writeq(v->qts, v->requests.desc + at * 16, iova);
    viommu_kick_always(v, &v->requests);
}

/* Whether what is written to @iova is seen at @gpa */
static bool rng_reaches(Viommu *v, uint64_t iova, uint64_t gpa)
{
    static const uint8_t zeros[SIZE];
    uint8_t seen[SIZE];

    qtest_memset(v->qts, gpa, 0, SIZE);
    rng_ask(v, iova);
    g_assert_cmpuint(viommu_wait(v, &v->requests), ==, SIZE);
    qtest_memread(v->qts, gpa, seen, SIZE);
    return memcmp(seen, zeros, SIZE);
}

static void number(void)
{
    const uint32_t absent[] = {
        EP_RNG & 0xffff, EP_RNG & 0x7fffffff, EP_RNG - 1, EP_RNG + 1,
    };
    Viommu *v = viommu_start(NULL, RNG BEHIND);
    uint8_t properties[VIOMMU_PROBE_SIZE];

    assert_state(v, EP_RNG, "bypass");
    assert_status(viommu_probe(v, EP_RNG, properties), OK);
    assert_status(viommu_attach(v, 1, EP_RNG), OK);
    assert_state(v, EP_RNG, "translated");
    for (unsigned i = 0; i < ARRAY_SIZE(absent); i++) {
        assert_status(viommu_attach(v, 1, absent[i]), NOENT);
    }
    viommu_stop(v);
}

static void bypass(void)
{
    Viommu *v = viommu_start(NULL, RNG BEHIND);
    Viommu *rng = rng_open(v);

    g_assert_true(rng_reaches(rng, TARGET, TARGET));
    assert_status(viommu_attach_flags(v, 1, EP_RNG,
                                      VIRTIO_IOMMU_ATTACH_F_BYPASS), OK);
    g_assert_true(rng_reaches(rng, TARGET, TARGET));
    rng_close(rng);
    viommu_stop(v);
}

static void translated(void)
{
    Viommu *v = viommu_start(NULL, RNG BEHIND);
    Viommu *rng = rng_open(v);

    assert_status(viommu_attach(v, 1, EP_RNG), OK);
    map_memory(v, 1);
    assert_status(viommu_map(v, 1, IOVA, IOVA + PAGE - 1, TARGET, WRITE), OK);
    g_assert_true(rng_reaches(rng, IOVA, TARGET));
    assert_status(viommu_unmap(v, 1, IOVA, IOVA + PAGE - 1), OK);
    g_assert_false(rng_reaches(rng, IOVA, TARGET));
    /* another domain leads elsewhere, and out of it is bypass */
    assert_status(viommu_attach(v, 2, EP_RNG), OK);
    map_memory(v, 2);
    assert_status(viommu_map(v, 2, IOVA, IOVA + PAGE - 1, TARGET + PAGE,
                             WRITE), OK);
    g_assert_true(rng_reaches(rng, IOVA, TARGET + PAGE));
    assert_status(viommu_detach(v, 2, EP_RNG), OK);
    g_assert_true(rng_reaches(rng, TARGET, TARGET));
    rng_close(rng);
    viommu_stop(v);
}

static void faults(void)
{
    Viommu *v = viommu_start(NULL, RNG BEHIND);
    Viommu *rng = rng_open(v);

    viommu_event_post(v, 24, 2);
    assert_status(viommu_attach(v, 1, EP_RNG), OK);
    map_memory(v, 1);
    g_assert_false(rng_reaches(rng, IOVA, TARGET));
    viommu_assert_fault(v, VIRTIO_IOMMU_FAULT_R_MAPPING,
                        VIRTIO_IOMMU_FAULT_F_WRITE, EP_RNG, IOVA);
    assert_status(viommu_map(v, 1, IOVA, IOVA + PAGE - 1, TARGET, READ), OK);
    g_assert_false(rng_reaches(rng, IOVA, TARGET));
    viommu_assert_fault(v, VIRTIO_IOMMU_FAULT_R_MAPPING,
                        VIRTIO_IOMMU_FAULT_F_WRITE, EP_RNG, IOVA);
    rng_close(rng);
    viommu_stop(v);
}

/* Its rings are read through the IOMMU as well */
static void blocked(void)
{
    Viommu *v = viommu_start("boot-bypass=off", RNG BEHIND);
    Viommu *rng;
    uint32_t length;

    viommu_event_post(v, 24, 4);
    rng = rng_open(v);
    rng_ask(rng, TARGET);
    viommu_settle(v);
    g_assert_false(viommu_used(rng, &rng->requests, &length));
    g_assert_cmphex(viommu_event(v).endpoint, ==, EP_RNG);
    assert_state(v, EP_RNG, "blocked");
    viommu_set_bypass(v, 1);
    rng_close(rng);
    rng = rng_open(v);
    g_assert_true(rng_reaches(rng, TARGET, TARGET));
    rng_close(rng);
    viommu_stop(v);
}

/* A domain holds endpoints of both kinds */
static void beside_a_function(void)
{
    Viommu *v = viommu_start(NULL, RNG BEHIND EDU_A);
    Viommu *rng = rng_open(v);
    Edu *edu = edu_open_filled(v, EP_A);

    assert_status(viommu_attach(v, 1, EP_A), OK);
    map_memory(v, 1);
    assert_status(viommu_map(v, 1, IOVA, IOVA + PAGE - 1, TARGET,
                             READ | WRITE), OK);
    assert_status(viommu_attach(v, 1, EP_RNG), OK);
    g_assert_true(edu_reaches(edu, IOVA, TARGET));
    g_assert_true(rng_reaches(rng, IOVA, TARGET));
    assert_status(viommu_detach(v, 1, EP_A), OK);
    g_assert_true(rng_reaches(rng, IOVA, TARGET));
    edu_close(edu);
    rng_close(rng);
    viommu_stop(v);
}

static void reset(void)
{
    Viommu *v = viommu_start(NULL, RNG BEHIND);
    Viommu *rng;

    assert_status(viommu_attach(v, 1, EP_RNG), OK);
    qtest_system_reset(v->qts);
    viommu_map_registers(v);
    assert_state(v, EP_RNG, "bypass");
    rng = rng_open(v);
    g_assert_true(rng_reaches(rng, TARGET, TARGET));
    rng_close(rng);
    viommu_stop(v);
}

/* They are in scope with all of them only */
static void out_of_scope(void)
{
    Viommu *v = viommu_start("scope=passthrough,boot-bypass=off", RNG BEHIND);
    Viommu *rng = rng_open(v);

    assert_state(v, EP_RNG, "none");
    assert_status(viommu_attach(v, 1, EP_RNG), NOENT);
    g_assert_true(rng_reaches(rng, TARGET, TARGET));
    rng_close(rng);
    viommu_stop(v);
}

/* It is shown, and is no endpoint */
static void without_iommu_platform(void)
{
    Viommu *v = viommu_start("boot-bypass=off", RNG " ");
    Viommu *rng = rng_open(v);

    assert_state(v, EP_RNG, "unprotected");
    assert_status(viommu_attach(v, 1, EP_RNG), NOENT);
    g_assert_true(rng_reaches(rng, TARGET, TARGET));
    rng_close(rng);
    viommu_stop(v);
}

/*
 * A device whose rings another process reads: that is told where addresses
 * lead, and of no memory else; and is told when they do no more
 */
static void vhost_user(void)
{
    g_autofree char *arg = NULL, *args = NULL;
    uint64_t used;
    VhostUser *u;
    Viommu *v, *rng;

    if (!qtest_has_device("vhost-user-rng")) {
        g_test_skip("the emulator has no vhost-user-rng");
        return;
    }
    u = vhost_user_new();
    arg = vhost_user_arg(u);
    args = g_strdup_printf("%s-device vhost-user-rng,chardev=vhost,"
                           "iommu_platform=on", arg);
    v = viommu_start("boot-bypass=off", args);
    assert_status(viommu_attach(v, 1, EP_RNG), OK);
    map_memory(v, 1);
    rng = rng_open(v);
    used = rng->requests.used;
    g_assert_true(vhost_user_reaches(u, used));
    assert_status(viommu_unmap(v, 1, 0, UINT64_MAX), OK);
    g_assert_false(vhost_user_reaches(u, used));
    rng_close(rng);
    viommu_stop(v);
    vhost_user_free(u);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("platform/number", number);
    ADD("platform/bypass", bypass);
    ADD("platform/translated", translated);
    ADD("platform/faults", faults);
    ADD("platform/blocked", blocked);
    ADD("platform/beside-a-function", beside_a_function);
    ADD("platform/reset", reset);
    ADD("platform/out-of-scope", out_of_scope);
    ADD("platform/without-iommu-platform", without_iommu_platform);
    ADD("platform/vhost-user", vhost_user);
    return g_test_run();
}
