/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Page tables that the guest owns, walked by an SMMU of the host: what that
 * tells of accesses, and devices that come and go
 *
 * R-TABLE-31 and 33 of docs/specs/pviommu.md.
 */
#include "qemu/osdep.h"

#include "nested-scene.h"

#define R_MAPPING VIRTIO_IOMMU_FAULT_R_MAPPING
#define R_UNKNOWN VIRTIO_IOMMU_FAULT_R_UNKNOWN
#define F_READ VIRTIO_IOMMU_FAULT_F_READ
#define F_WRITE VIRTIO_IOMMU_FAULT_F_WRITE
#define PLUGGED 0x101

/* A record of an event, of a device's number */
#define RECORD(number, type) \
    "0000000000000000" type "000000" number "000000" \
    "0000000008000000" "0050000000000000" "0000000000000000"
#define LOST "0100000000000000"

static Scene start(const char *properties, unsigned count, const char *extra)
{
    g_autofree char *with = g_strdup_printf("guest-tables=on,%s", properties);
    g_autofree char *all = g_strdup_printf(NESTS "%s", extra);
    Scene s = scene_new(with, count, all);

    viommu_event_post(s.v, sizeof(struct virtio_iommu_fault), 64);
    return s;
}

/* Until the emulator has read all, and the guest was told */
static void settle(Watch *w)
{
    while (watch_host(w, "unread")) {
        viommu_settle(w->v);
    }
    viommu_settle(w->v);
}

static uint64_t told(Watch *w)
{
    settle(w);
    return viommu_faults(w->v);
}

static void test_reports(void)
{
    Scene s = start("boot-bypass=off", 2, "");
    Watch *a = s.w[0], *b = s.w[1];
    GuestTable t = nested_table(s.v, 0, 48), u = nested_table(s.v, 1, 48);

    guest_table_map(&u, IOVA + PAGE, TARGET_OF(1), 1, READ);
    assert_status(nested_attach(&t, 1, a), OK);
    assert_status(nested_attach(&u, 2, b), OK);
    g_assert_false(watch_dma(a, OBSERVER_READ, IOVA + 2 * PAGE + 8, 1));
    settle(a);
    viommu_assert_fault(s.v, R_MAPPING, F_READ, a->endpoint,
                        IOVA + 2 * PAGE + 8);
    g_assert_false(watch_dma(b, OBSERVER_FILL, IOVA + PAGE + 16, 1));
    settle(a);
    viommu_assert_fault(s.v, R_MAPPING, F_WRITE, b->endpoint,
                        IOVA + PAGE + 16);

    /* Of every type there is; what is no fault of an access has no address */
    for (unsigned type = 0; type < 0x40; type++) {
        g_autofree char *what = g_strdup_printf("%x:%x:w", type,
                                                0x1000 * (type + 1));
        bool access = type >= 0x10 && type <= 0x13;

        viommu_event_post(s.v, sizeof(struct virtio_iommu_fault), 1);
        nested_set(a, "fault", what);
        settle(a);
        viommu_assert_fault(s.v, access ? R_MAPPING : R_UNKNOWN,
                            access ? F_WRITE : 0, a->endpoint,
                            access ? 0x1000 * (type + 1) : 0);
    }
    scene_end(&s);
}

/* A record that is none, or of nobody: nothing is told */
static void test_garbage(void)
{
    static const char *const records[] = {
        LOST, "00", "0000", "000000000000", "0000000000000000",
        LOST "1000000000000000",
        RECORD("02", "10"), RECORD("ff", "10"), RECORD("ffffff", "10"),
    };
    Scene s = start("boot-bypass=off", 2, "");
    Watch *w = s.w[0];
    GuestTable t = nested_table(s.v, 0, 48);

    assert_status(nested_attach(&t, 1, w), OK);
    assert_status(nested_attach(&t, 1, s.w[1]), OK);
    for (unsigned i = 0; i < ARRAY_SIZE(records); i++) {
        nested_set(w, "vevent", records[i]);
        g_test_message("record %u", i);
        g_assert_cmpuint(told(w), ==, 0);
    }
    nested_set(w, "vevent", RECORD("00", "10"));
    settle(w);
    viommu_assert_fault(s.v, R_MAPPING, F_READ, w->endpoint, 0x5000);
    nested_set(w, "vevent", RECORD("01", "10"));
    settle(w);
    viommu_assert_fault(s.v, R_MAPPING, F_READ, s.w[1]->endpoint, 0x5000);
    g_assert_cmpuint(told(w), ==, 2);
    assert_nested(w, &t);
    scene_end(&s);
}

/* As many as the host has do not keep the guest from anything */
static void test_flood(void)
{
    Scene s = start("boot-bypass=off", 1, "");
    Watch *w = s.w[0];
    GuestTable t = nested_table(s.v, 0, 48);

    assert_status(nested_attach(&t, 1, w), OK);
    for (unsigned i = 0; i < 100; i++) {
        g_autofree char *what = g_strdup_printf("10:%x:r:100", i << 12);

        nested_set(w, "fault", what);
        assert_status(viommu_invalidate(s.v, 1, IOVA, IOVA + PAGE - 1), OK);
    }
    g_assert_cmpuint(told(w), >=, 100);
    g_assert_cmpuint(viommu_count(s.v, "faults-reported"), ==, 64);
    assert_nested(w, &t);
    scene_end(&s);
}

/* A host before Linux 6.15, or one without memory for it */
static void test_no_queue(void)
{
    Scene s = start("boot-bypass=off", 1, "");
    Watch *w = s.w[0];
    GuestTable t = nested_table(s.v, 0, 48);

    watch_fail(w, OBSERVER_FAIL + 4 * OBSERVER_CALL_VEVENTQ, 1, 1, ENOTTY);
    assert_status(nested_attach(&t, 1, w), OK);
    assert_nested(w, &t);
    g_assert_cmpuint(watch_host(w, "veventq"), ==, 0);
    g_assert_false(watch_dma(w, OBSERVER_READ, PLAIN, 1));
    g_assert_cmpuint(told(w), ==, 0);
    scene_end(&s);
}

static Scene start_plugged(const char *properties, Watch *hot)
{
    Scene s = start(properties, 1, WATCH_PORT);

    viommu_set_bridge(s.v, WATCH_PORT_BDF, 0, PLUGGED >> 8, PLUGGED >> 8);
    *hot = (Watch) { .v = s.v, .id = "hot", .endpoint = PLUGGED,
                     .ram = s.w[0]->ram };
    return s;
}

/* One that has left is told of no more, nor is another taken for it */
static void test_plug(void)
{
    static const char *const keep[] = { "keep-bypass=on", "keep-bypass=off" };

    for (unsigned i = 0; i < 2; i++) {
        Watch hot;
        Scene s = start_plugged(keep[i], &hot);
        Watch *w = s.w[0];
        GuestTable t = nested_table(s.v, 0, 48);
        GuestTable u = nested_table(s.v, 1, 48);
        unsigned hwpts = watch_host(w, "hwpt");

        for (unsigned round = 0; round < 3; round++) {
            uint64_t before;

            assert_status(nested_attach(&t, 1, w), OK);
            g_assert_true(watch_plug(s.v, "iommufd"));
            assert_status(nested_attach(round ? &u : &t, 1 + !!round, &hot),
                          OK);
            g_assert_cmpuint(watch_host(w, "vdevice"), ==, 2);
            g_assert_cmphex(nested_descriptor(&hot).root, ==,
                            round ? u.root : t.root);
            nested_set(&hot, "fault", "10:9000:r");
            settle(w);
            viommu_assert_fault(s.v, R_MAPPING, F_READ, PLUGGED, 0x9000);
            /* Its number is the one that the last had */
            nested_set(w, "vevent", RECORD("01", "10"));
            settle(w);
            viommu_assert_fault(s.v, R_MAPPING, F_READ, PLUGGED, 0x5000);
            watch_unplug(s.v);
            assert_nested(w, &t);
            g_assert_cmpuint(watch_host(w, "vdevice"), ==, 1);
            before = told(w);
            nested_set(w, "vevent", RECORD("01", "10"));
            g_assert_cmpuint(told(w), ==, before);
            assert_status(viommu_detach(s.v, 1, w->endpoint), OK);
            assert_in_bypass(w);
            g_assert_cmpuint(watch_host(w, "hwpt"), ==, hwpts);
        }
        g_assert_cmpuint(watch_host(w, "leaked"), ==, 0);
        scene_end(&s);
    }
}

/* The last one that nests leaves: with it all that was made for it */
static void test_unplug_last(void)
{
    g_autofree char *library = watch_library();
    g_autofree char *arg = g_strdup_printf(
        NESTS WATCH_PORT "%s -object iommufd,id=host "
        "-device pviommu-observer,id=o0,addr=4.0", library);
    Viommu *v = viommu_start("guest-tables=on", arg);
    Watch *w = watch_open(v, 0);
    Watch hot = { .v = v, .id = "hot", .endpoint = PLUGGED };
    GuestTable t = nested_table(v, 0, 48);

    viommu_set_bridge(v, WATCH_PORT_BDF, 0, PLUGGED >> 8, PLUGGED >> 8);
    for (unsigned i = 0; i < 4; i++) {
        g_assert_true(watch_plug(v, "iommufd"));
        assert_status(nested_attach(&t, 1, &hot), OK);
        g_assert_cmphex(nested_descriptor(&hot).root, ==, t.root);
        if (i % 2) {
            assert_status(nested_attach(&t, 1, w), OK); /* emulated */
        }
        watch_unplug(v);
        g_assert_cmpuint(watch_host(w, "context"), ==, 0);
        g_assert_cmpuint(watch_host(w, "pinned"), ==, 0);
        g_assert_cmpuint(watch_host(w, "leaked"), ==, 0);
    }
    assert_status(viommu_invalidate(v, 1, 0, UINT64_MAX), OK);
    viommu_assert_alive(v);
    watch_close(w);
    viommu_stop(v);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("nested/reports", test_reports);
    ADD("nested/garbage", test_garbage);
    ADD("nested/flood", test_flood);
    ADD("nested/no-queue", test_no_queue);
    ADD("nested/plug", test_plug);
    ADD("nested/unplug-last", test_unplug_last);
    return g_test_run();
}
