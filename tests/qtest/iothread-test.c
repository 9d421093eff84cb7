/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The request queue in an IOThread
 *
 * What every device does, all other tests show with it: they are run with an
 * IOThread as well.  Here is what there is of it alone.
 */
#include "qemu/osdep.h"

#include <sys/resource.h>

#include "dimm.h"
#include "edu.h"
#include "iommufd-scene.h"
#include "iothread.h"
#include "launch.h"

#define IOVA(n) ((uint64_t)(n) * PAGE)

static void set_running(Viommu *v, bool running)
{
    qtest_qmp_assert_success(v->qts, "{'execute': %s}",
                             running ? "cont" : "stop");
}

/* While it polls, nobody has to tell it of a request */
static void without_a_kick(const void *features)
{
    Viommu *v = viommu_boot(IN_IO, POLLS EDU_A);

    viommu_negotiate(v, ALL_FEATURES & ~(uint64_t)(uintptr_t)features);
    assert_status(viommu_attach(v, 1, EP_A), OK);
    iothread_assert_polls(v, 100);
    viommu_stop(v);
}

/* Without polling each is told of, and done all the same */
static void waits(void)
{
    Viommu *v = viommu_start(IN_IO, WAITS EDU_A);
    uint64_t kicks;

    assert_status(viommu_attach(v, 1, EP_A), OK);
    kicks = viommu_count(v, "kicks");
    for (unsigned i = 0; i < 100; i++) {
        assert_status(viommu_map(v, 1, IOVA(i), IOVA(i) + PAGE - 1, PHYS,
                                 READ), OK);
    }
    g_assert_cmpuint(viommu_count(v, "kicks"), >, kicks);
    g_assert_cmpuint(viommu_count(v, "mappings"), ==, 100);
    viommu_stop(v);
}

static void refused(void)
{
    static const char *const what = "no iothread object 'io'";

    refuses("-device pviommu-pci,iothread=io", what, "-object iothread,id=io");
    refuses("-object memory-backend-ram,id=io,size=1M "
            "-device pviommu-pci,iothread=io", what, "-object iothread,id=io");
    takes("-object iothread,id=io -device pviommu-pci,iothread=io", NULL);
}

/* No IOMMU comes late, and QEMU says so before it looks for a thread */
static void refused_late(void)
{
    static const char *const names[] = { "io", "none" };
    Viommu *v = viommu_start(IN_IO, POLLS EDU_A WATCH_PORT);

    for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
        QDict *answer = qtest_qmp(v->qts, "{'execute': 'device_add',"
                                  " 'arguments': {'driver': 'pviommu-pci',"
                                  " 'bus': 'rp', 'iothread': %s}}", names[i]);

        g_assert_true(qdict_haskey(answer, "error"));
        g_assert_nonnull(strstr(
            qdict_get_str(qdict_get_qdict(answer, "error"), "desc"),
            "does not support hotplugging"));
        qobject_unref(answer);
    }
    assert_status(viommu_attach(v, 1, EP_A), OK);
    iothread_assert_polls(v, 10);
    viommu_stop(v);
}

/* As long as the queue is there, the thread stays */
static void stays(void)
{
    Viommu *v = viommu_start(IN_IO, POLLS "-object iothread,id=idle " EDU_A);
    QDict *answer = qtest_qmp(v->qts, "{'execute': 'object-del',"
                              " 'arguments': {'id': 'io'}}");

    g_assert_true(qdict_haskey(answer, "error"));
    qobject_unref(answer);
    qtest_qmp_assert_success(v->qts, "{'execute': 'object-del',"
                             " 'arguments': {'id': 'idle'}}");
    viommu_assert_alive(v);
    viommu_stop(v);
}

/* A stopped machine does nothing; what waits is done when it goes on */
static void stop_and_continue(void)
{
    Viommu *v = viommu_start(IN_IO, POLLS EDU_A);

    assert_status(viommu_attach(v, 1, EP_A), OK);
    for (unsigned i = 0; i < 50; i++) {
        uint32_t length;

        iothread_post_map(v, 1, IOVA(2 * i), PHYS);
        viommu_kick(v, &v->requests);
        set_running(v, false);
        g_assert_cmpuint(viommu_wait(v, &v->requests), ==, 4);
        iothread_post_map(v, 1, IOVA(2 * i + 1), PHYS);
        g_assert_cmpuint(viommu_count(v, "mappings"), ==, 2 * i + 1);
        g_assert_false(viommu_used(v, &v->requests, &length));
        set_running(v, true);
        g_assert_cmpuint(viommu_wait(v, &v->requests), ==, 4);
    }
    g_assert_cmpuint(viommu_count(v, "mappings"), ==, 100);
    viommu_stop(v);
}

/* The device is reset while it works; nothing is left, on the host neither */
static void resets(void)
{
    Scene s = scene_new(IN_IO, 1, POLLS);
    Model nothing = model_new();

    for (unsigned i = 0; i < 50; i++) {
        attach_all(&s, 1);
        for (unsigned j = 0; j < 60; j++) {
            iothread_post_map(s.v, 1, IOVA(j), PHYS + IOVA(j));
        }
        viommu_kick(s.v, &s.v->requests);
        if (i % 2) {
            qtest_system_reset(s.v->qts);
            viommu_map_registers(s.v);
        }
        viommu_negotiate(s.v, ALL_FEATURES);
        g_assert_cmpuint(viommu_count(s.v, "mappings"), ==, 0);
    }
    attach_all(&s, 1);
    assert_holds(s.w[0], &nothing);
    model_free(&nothing);
    assert_no_mistakes(s.w[0]);
    scene_end(&s);
}

/* With the rings of the request queue elsewhere; 0 for where they are */
static void negotiate_rings(Viommu *v, uint64_t avail, uint64_t used)
{
    ViommuQueue queue;

    viommu_begin(v, ALL_FEATURES);
    viommu_queues(v);
    queue = v->requests;
    queue.avail = avail ?: queue.avail;
    queue.used = used ?: queue.used;
    v->vdev->bus->queue_select(v->vdev, 0);
    board_enable_queue(v, &queue);
    viommu_set_status(v, 0xf);
}

/* A ring or a buffer that is no RAM is left to QEMU's code, for as long */
static void registers(void)
{
    Viommu *v = viommu_start(IN_IO, POLLS EDU_A);
    const uint64_t nowhere = 0xfeb00000;
    uint64_t desc;

    assert_status(viommu_attach(v, 1, EP_A), OK);
    for (unsigned i = 0; i < 20; i++) {
        iothread_post_map(v, 1, IOVA(i), PHYS);
        desc = v->requests.desc +
               (v->requests.next - 2 + i % 2 + 256) % 256 * 16;
        qtest_writeq(v->qts, desc, nowhere);
        viommu_kick(v, &v->requests);
        viommu_wait(v, &v->requests);
        viommu_assert_alive(v);
    }
    negotiate_rings(v, 0, nowhere);
    iothread_post_map(v, 1, 0, PHYS);
    viommu_kick_always(v, &v->requests);
    viommu_negotiate(v, ALL_FEATURES);
    viommu_assert_alive(v);
    viommu_stop(v);
}

/* What is wrong with a ring makes the device ask for a reset, and that helps */
static void broken(void)
{
    Viommu *v = viommu_start(IN_IO, POLLS EDU_A);

    for (unsigned i = 0; i < 20; i++) {
        assert_status(viommu_attach(v, 1, EP_A), OK);
        /* a descriptor that is not in the table, or one without bytes */
        qtest_writew(v->qts, v->requests.avail + 4 +
                     v->requests.posted % 256 * 2, i % 2 ? 256 : 255);
        qtest_writew(v->qts, v->requests.avail + 2, v->requests.posted + 1);
        viommu_kick_always(v, &v->requests);
        viommu_wait_needs_reset(v);
        viommu_negotiate(v, ALL_FEATURES);
        viommu_assert_alive(v);
    }
    viommu_stop(v);
}

/*
 * A table of which not all is in memory is wrong, whatever is at its start:
 * here those of the queue before it, which are a request that the thread runs
 */
static void table_beyond_memory(void)
{
    Viommu *v = viommu_start(IN_IO, POLLS EDU_A);

    for (unsigned i = 0; i < 5; i++) {
        const struct vring_desc desc = {
            .addr = cpu_to_le64(v->requests.desc),
            .len = cpu_to_le32(i % 2 ? 256 * MiB : 0xfffffff0),
            .flags = cpu_to_le16(VRING_DESC_F_INDIRECT),
        };

        assert_status(viommu_unmap(v, 1, 0, UINT64_MAX), NOENT);
        qtest_memwrite(v->qts, v->requests.desc + 2 * sizeof(desc), &desc,
                       sizeof(desc));
        qtest_writew(v->qts, v->requests.avail + 4 + 2, 2);
        qtest_writew(v->qts, v->requests.avail + 2, 2);
        viommu_kick_always(v, &v->requests);
        viommu_wait_needs_reset(v);
        g_assert_cmpuint(qtest_readw(v->qts, v->requests.used + 2), ==, 1);
        viommu_negotiate(v, ALL_FEATURES);
        viommu_assert_alive(v);
        viommu_negotiate(v, ALL_FEATURES);
    }
    viommu_stop(v);
}

/* The host has no file descriptors left when the machine goes on */
static void no_notifiers(void)
{
    Viommu *v = viommu_start(IN_IO, POLLS EDU_A);
    struct rlimit before, none;
    pid_t pid = qtest_pid(v->qts);

    assert_status(viommu_attach(v, 1, EP_A), OK);
    for (unsigned i = 0; i < 10; i++) {
        assert_status(viommu_map(v, 1, IOVA(i), IOVA(i) + PAGE - 1, PHYS,
                                 READ), OK);
    }
    g_assert_cmpint(prlimit(pid, RLIMIT_NOFILE, NULL, &before), ==, 0);
    none = (struct rlimit) { 3, before.rlim_max };
    set_running(v, false);
    iothread_post_map(v, 1, IOVA(10), PHYS);
    g_assert_cmpint(prlimit(pid, RLIMIT_NOFILE, &none, NULL), ==, 0);
    set_running(v, true);
    g_assert_cmpint(prlimit(pid, RLIMIT_NOFILE, &before, NULL), ==, 0);
    g_assert_cmpuint(viommu_wait(v, &v->requests), ==, 4);
    for (unsigned i = 11; i < 20; i++) {
        assert_status(viommu_map(v, 1, IOVA(i), IOVA(i) + PAGE - 1, PHYS,
                                 READ), OK);
    }
    viommu_stop(v);
}

#define CODE 0x10000
#define COUNTER 0x3000

/* Starts the processor at CODE */
static char *make_firmware(void)
{
    static const uint8_t jump[] = { 0xea, 0, 0, CODE >> 4 & 0xff, CODE >> 12 };
    g_autofree char *path = NULL;
    g_autofree uint8_t *image = g_malloc(0x10000);
    int fd = g_file_open_tmp("pviommu-firmware-XXXXXX", &path, NULL);

    memset(image, 0xff, 0x10000);
    memcpy(image + 0x10000 - 16, jump, sizeof(jump));
    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(write(fd, image, 0x10000), ==, 0x10000);
    close(fd);
    return g_steal_pointer(&path);
}

/*
 * Have a number stored at COUNTER for ever; the processor is stopped.  In two
 * blocks: what jumps to itself, TCG does not leave when it is invalidated
 */
static void write_code(QTestState *qts, uint8_t number)
{
    const uint8_t code[] = {
        0x66, 0xc7, 0x06, COUNTER & 0xff, COUNTER >> 8, number, 0, 0, 0,
        0xeb, 0, 0xeb, 0xf3,
    };

    qtest_memwrite(qts, CODE, code, sizeof(code));
}

/* The first that is seen may have been on its way */
static uint32_t stored_now(QTestState *qts)
{
    gint64 end = g_get_monotonic_time() + VIOMMU_TIMEOUT_US;
    uint32_t number = 0;

    for (unsigned i = 0; i < 2; i++) {
        qtest_writel(qts, COUNTER, 0xdeadbeef);
        while ((number = qtest_readl(qts, COUNTER)) == 0xdeadbeef) {
            g_assert_cmpint(g_get_monotonic_time(), <, end);
        }
    }
    return number;
}

/* An answer may be written over instructions that TCG has translated */
static void answers_in_code(void)
{
    g_autofree char *firmware = make_firmware();
    g_autofree char *args = g_strdup_printf("-accel tcg -S -bios %s "
                                            POLLS EDU_A, firmware);
    Viommu *v = viommu_boot(IN_IO, args);

    write_code(v->qts, 1);
    set_running(v, true);
    viommu_negotiate(v, ALL_FEATURES);
    assert_status(viommu_attach(v, 1, EP_A), OK);
    /* What is asked again and again, as nothing comes of it */
    iothread_prepare_unmap(v, CODE + 5);
    for (unsigned i = 1; i < 20; i++) {
        set_running(v, false);
        write_code(v->qts, i);
        set_running(v, true);
        g_assert_cmpuint(stored_now(v->qts), ==, i);
        viommu_post_heads(v, &v->requests, 1, 2);
        viommu_kick(v, &v->requests);
        g_assert_cmpuint(viommu_wait(v, &v->requests), ==, 4);
        g_assert_cmpuint(stored_now(v->qts), ==, VIRTIO_IOMMU_S_OK);
    }
    viommu_stop(v);
    unlink(firmware);
}

/* Where the thread could only ask the main loop, again and again */
static void ring_in_registers(void)
{
    Viommu *v = viommu_boot(IN_IO, POLLS EDU_A);
    unsigned before = iothread_eventfds(v);

    viommu_negotiate(v, ALL_FEATURES);
    g_assert_cmpuint(iothread_eventfds(v), >, before);
    viommu_set_status(v, 0);
    g_assert_cmpuint(iothread_eventfds(v), ==, before);
    negotiate_rings(v, 0xfeb00000, 0);
    g_assert_cmpuint(iothread_eventfds(v), ==, before);
    viommu_negotiate(v, ALL_FEATURES);
    viommu_assert_alive(v);
    viommu_stop(v);
}

#define DIMM_IOVA (1ULL << 40)
/* What else goes on in a machine whose guest maps at full speed */
static void disturb(Viommu *v, GRand *rand, bool *dimm)
{
    switch (g_rand_int_range(rand, 0, 4)) {
    case 0:
        if (*dimm) {
            dimm_unplug(v->qts);
            qtest_qmp_assert_success(v->qts, "{'execute': 'object-del',"
                                     " 'arguments': {'id': 'ram'}}");
        } else {
            dimm_plug(v->qts, "ram");
        }
        *dimm = !*dimm;
        break;
    case 1:
        set_running(v, false);
        set_running(v, true);
        break;
    case 2:
        qobject_unref(viommu_get(v, "domains"));
        qobject_unref(viommu_get(v, "endpoints"));
        break;
    case 3:
        viommu_set_bypass(v, g_rand_boolean(rand));
        break;
    }
}

static void toggles(Viommu *v, GRand *rand, bool *held)
{
    for (unsigned i = 0; i < 100; i++) {
        unsigned n = g_rand_int_range(rand, 0, 256);

        if (held[n]) {
            iothread_post_unmap(v, 1, IOVA(n));
        } else {
            iothread_post_map(v, 1, IOVA(n), PHYS + IOVA(n));
        }
        held[n] = !held[n];
    }
    viommu_kick(v, &v->requests);
}

static void assert_dimm(Watch *w, bool there)
{
    g_autofree char *held = watch_get(w, "mappings");

    g_assert_cmpstr(held, ==,
                    there ? "10000000000 10007ffffff ram+0 rw\n" : "");
}

/* Requests go on all the time, and in the end the host has what they say */
static void stress(void)
{
    const char *given = g_getenv("PVIOMMU_STRESS_ROUNDS");
    const unsigned rounds = given ? atoi(given) : 60;
    Scene s = scene_new(IN_IO, 2, POLLS "-m 256M,slots=2,maxmem=1G");
    g_autoptr(GRand) rand = g_rand_new_with_seed(1);
    bool held[256] = { 0 }, dimm = false;

    assert_status(viommu_attach(s.v, 1, s.w[0]->endpoint), OK);
    assert_status(viommu_attach(s.v, 2, s.w[1]->endpoint), OK);
    assert_status(viommu_map(s.v, 2, DIMM_IOVA, DIMM_IOVA + DIMM_SIZE - 1,
                             DIMM_PHYS, READ | WRITE), OK);
    for (unsigned i = 0; i < rounds; i++) {
        toggles(s.v, rand, held);
        disturb(s.v, rand, &dimm);
        viommu_wait_all(s.v, &s.v->requests, 4);
        if (i % 10 == 9) {
            Model now = model_new();

            for (unsigned n = 0; n < ARRAY_SIZE(held); n++) {
                if (held[n]) {
                    model_add(&now, IOVA(n), PAGE, PHYS + IOVA(n),
                              READ | WRITE);
                }
            }
            assert_holds(s.w[0], &now);
            assert_dimm(s.w[1], dimm);
            model_free(&now);
        }
    }
    g_assert_cmpuint(viommu_count(s.v, "host-refusals"), ==, 0);
    assert_no_mistakes(s.w[0]);
    scene_end(&s);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_data_func("/pviommu/iothread/without-a-kick/flags",
                        (void *)(uintptr_t)FEATURE(VIRTIO_RING_F_EVENT_IDX),
                        without_a_kick);
    qtest_add_data_func("/pviommu/iothread/without-a-kick/event-index", NULL,
                        without_a_kick);
    qtest_add_func("/pviommu/iothread/waits", waits);
    qtest_add_func("/pviommu/iothread/refused", refused);
    qtest_add_func("/pviommu/iothread/refused-late", refused_late);
    qtest_add_func("/pviommu/iothread/stays", stays);
    qtest_add_func("/pviommu/iothread/stop-and-continue", stop_and_continue);
    qtest_add_func("/pviommu/iothread/resets", resets);
    qtest_add_func("/pviommu/iothread/registers", registers);
    qtest_add_func("/pviommu/iothread/broken", broken);
    qtest_add_func("/pviommu/iothread/table-beyond-memory",
                   table_beyond_memory);
    qtest_add_func("/pviommu/iothread/no-notifiers", no_notifiers);
    qtest_add_func("/pviommu/iothread/answers-in-code", answers_in_code);
    qtest_add_func("/pviommu/iothread/ring-in-registers", ring_in_registers);
    qtest_add_func("/pviommu/iothread/stress", stress);
    return g_test_run();
}
