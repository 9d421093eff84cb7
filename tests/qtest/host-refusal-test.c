/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A host that refuses: the guest reads the status, nothing stays half done
 */
#include "qemu/osdep.h"

#include "watch.h"

#define PAGE 4096ULL
#define SECOND_HIGH (2 * HIGH)
#define COUNT 8

typedef struct Scene {
    Viommu *v;
    Watch *w;
    Watch *other;
    Model in_a;
    Model in_b;
} Scene;

/* o0 in domain 1 (A) and o1 in domain 2 (B), with 8 mappings each */
static void scene_fill(Scene *s)
{
    s->in_a = model_new();
    s->in_b = model_new();
    assert_status(viommu_attach(s->v, 1, s->w->endpoint), OK);
    assert_status(viommu_attach(s->v, 2, s->other->endpoint), OK);
    model_map_pages(&s->in_a, s->v, 1, HIGH, COUNT);
    model_map_pages(&s->in_b, s->v, 2, SECOND_HIGH, COUNT);
}

/* With iommufd this is o0 alone: each table that it needs is made anew */
static Scene *scene_new(const char *how)
{
    Scene *s = g_new0(Scene, 1);
    g_autofree char *arg = watch_arg(how, 1);
    g_autofree char *all = g_strdup_printf(
        "%s -device pviommu-observer,watch=container,id=o1,addr=5.0", arg);

    s->v = viommu_start(watch_is_iommufd(how) ? "keep-bypass=off" : NULL,
                        all);
    s->w = watch_open(s->v, 0);
    s->other = watch_open(s->v, 1);
    scene_fill(s);
    return s;
}

static void scene_clear(Scene *s)
{
    viommu_assert_alive(s->v);
    model_free(&s->in_a);
    model_free(&s->in_b);
}

/* The same after a reset of the device: starting QEMU takes its time */
static void scene_again(Scene *s)
{
    scene_clear(s);
    viommu_negotiate(s->v, ALL_FEATURES);
    viommu_set_bypass(s->v, 1);
    assert_holds_ram(s->w);
    assert_holds_ram(s->other);
    scene_fill(s);
}

static void scene_free(Scene *s)
{
    scene_clear(s);
    watch_close(s->w);
    watch_close(s->other);
    viommu_stop(s->v);
    g_free(s);
}

/* The n-th map of an ATTACH is refused: all is as it was, from every state */
static void test_attach_nth(const void *how)
{
    Scene *s = scene_new(how);

    for (unsigned n = 1; n <= COUNT; n++) {
        uint64_t refusals = viommu_count(s->v, "host-refusals");

        watch_fail(s->w, OBSERVER_FAIL_MAP, n, 1, ENOMEM);
        assert_status(viommu_attach(s->v, 2, s->w->endpoint), NOMEM);
        assert_holds(s->w, &s->in_a);
        assert_state(s->v, s->w->endpoint, "translated");
        g_assert_cmpuint(viommu_count(s->v, "host-refusals"), ==,
                         refusals + 1);
        assert_holds(s->other, &s->in_b);

        /* It is in A all the same: what A maps reaches it */
        model_map(&s->in_a, s->v, 1, HIGH + 64 * PAGE, PAGE, 0x1000000, READ);
        assert_holds(s->w, &s->in_a);

        /* And the next try goes well */
        assert_status(viommu_attach(s->v, 2, s->w->endpoint), OK);
        assert_holds(s->w, &s->in_b);
        scene_again(s);
    }
    scene_free(s);
}

static void test_attach_nth_from_bypass(const void *how)
{
    Scene *s = scene_new(how);

    for (unsigned n = 1; n <= COUNT; n++) {
        assert_status(viommu_detach(s->v, 1, s->w->endpoint), OK);
        assert_holds_ram(s->w);
        watch_fail(s->w, OBSERVER_FAIL_MAP, n, 1, ENOSPC);
        assert_status(viommu_attach(s->v, 2, s->w->endpoint), NOMEM);
        assert_holds_ram(s->w);
        assert_state(s->v, s->w->endpoint, "bypass");
        /* Not attached: */
        assert_status(viommu_detach(s->v, 2, s->w->endpoint), INVAL);
        assert_status(viommu_attach(s->v, 2, s->w->endpoint), OK);
        assert_holds(s->w, &s->in_b);
        scene_again(s);
    }
    scene_free(s);
}

static void test_attach_nth_from_blocked(const void *how)
{
    Scene *s = scene_new(how);

    for (unsigned n = 1; n <= COUNT; n++) {
        assert_status(viommu_detach(s->v, 1, s->w->endpoint), OK);
        viommu_set_bypass(s->v, 0);
        watch_fail(s->w, OBSERVER_FAIL_MAP, n, 1, EFAULT);
        assert_status(viommu_attach(s->v, 2, s->w->endpoint), FAULT);
        assert_holds_nothing(s->w);
        assert_state(s->v, s->w->endpoint, "blocked");
        assert_status(viommu_attach(s->v, 2, s->w->endpoint), OK);
        assert_holds(s->w, &s->in_b);
        scene_again(s);
    }
    scene_free(s);
}

/* B is refused, and A is refused again: blocked, until the next ATTACH */
static void test_undo_refused(const void *how)
{
    Scene *s = scene_new(how);

    for (unsigned n = 1; n <= COUNT; n++) {
        watch_fail(s->w, OBSERVER_FAIL_MAP, n, 1000, ENOMEM);
        assert_status(viommu_attach(s->v, 2, s->w->endpoint), DEVERR);
        assert_holds_nothing(s->w);
        assert_state(s->v, s->w->endpoint, "blocked");
        assert_shows(s->v, s->w->endpoint, "fenced", "true");
        assert_shows(s->v, s->other->endpoint, "fenced", "false");
        g_assert_false(watch_dma(s->w, OBSERVER_FILL, HIGH + PAGE, 1));
        assert_holds(s->other, &s->in_b);

        /* A lives on without reaching it */
        watch_fail(s->w, OBSERVER_FAIL_MAP, 0, 0, ENOMEM);
        watch_clear(s->w);
        model_map(&s->in_a, s->v, 1, HIGH + 64 * PAGE, PAGE, 0x1000000, READ);
        assert_quiet(s->w);
        assert_holds_nothing(s->w);
        if (n % 2) {
            assert_status(viommu_attach(s->v, 1, s->w->endpoint), OK);
            assert_holds(s->w, &s->in_a);
        } else {
            assert_status(viommu_attach(s->v, 2, s->w->endpoint), OK);
            assert_holds(s->w, &s->in_b);
        }
        assert_state(s->v, s->w->endpoint, "translated");
        scene_again(s);
    }
    scene_free(s);
}

/* Every errno has its status (R-MAP-14), and the range stays free */
static void test_map_errors(const void *how)
{
    static const struct {
        int error;
        const char *status;
    } table[] = {
        { ENOMEM, "NOMEM" }, { ENOSPC, "NOMEM" }, { EINVAL, "FAULT" },
        { EFAULT, "FAULT" }, { EEXIST, "DEVERR" }, { EIO, "DEVERR" },
        { EPERM, "DEVERR" },
    };
    Scene *s = scene_new(how);

    for (unsigned i = 0; i < ARRAY_SIZE(table); i++) {
        uint8_t status;

        watch_fail(s->w, OBSERVER_FAIL_MAP, 1, 1, table[i].error);
        status = viommu_map(s->v, 1, HIGH + 64 * PAGE, HIGH + 65 * PAGE - 1,
                            0x1000000, READ);
        g_assert_cmpstr(viommu_status_name(status), ==, table[i].status);
        assert_holds(s->w, &s->in_a);
        g_assert_cmpuint(viommu_count(s->v, "mappings"), ==, 2 * COUNT);
        model_map(&s->in_a, s->v, 1, HIGH + 64 * PAGE, PAGE, 0x1000000, READ);
        model_unmap(&s->in_a, s->v, 1, HIGH + 64 * PAGE, PAGE);
    }
    g_assert_cmpuint(viommu_count(s->v, "host-refusals"), ==,
                     ARRAY_SIZE(table));
    scene_free(s);
}

/* The second endpoint's host refuses: the first one's forgets */
static void test_map_second_endpoint(const void *how)
{
    Scene *s = scene_new(how);

    for (unsigned i = 0; i < 2; i++) {
        Watch *refuses = i ? s->w : s->other;

        assert_status(viommu_attach(s->v, 2, s->w->endpoint), OK);
        watch_fail(refuses, OBSERVER_FAIL_MAP, 1, 1, ENOSPC);
        assert_status(viommu_map(s->v, 2, HIGH, HIGH + PAGE - 1, 0x1000000,
                                 READ | WRITE), NOMEM);
        assert_holds(s->w, &s->in_b);
        assert_holds(s->other, &s->in_b);
        model_map(&s->in_b, s->v, 2, SECOND_HIGH + 64 * PAGE, PAGE,
                  0x1000000, READ | WRITE);
        assert_holds(s->w, &s->in_b);
        assert_holds(s->other, &s->in_b);
        model_unmap(&s->in_b, s->v, 2, SECOND_HIGH + 64 * PAGE, PAGE);
    }
    scene_free(s);
}

/* The second piece of one MAP is refused: the first one is taken back */
static void test_map_second_piece(const void *how)
{
    Scene *s = scene_new(how);

    watch_fail(s->w, OBSERVER_FAIL_MAP, 2, 1, ENOMEM);
    /* RAM, then ROM: two pieces and more */
    assert_status(viommu_map(s->v, 1, SECOND_HIGH,
                             SECOND_HIGH + 0xfffff, 0, READ | WRITE), NOMEM);
    assert_holds(s->w, &s->in_a);
    assert_status(viommu_map(s->v, 1, SECOND_HIGH,
                             SECOND_HIGH + 0xfffff, 0, READ | WRITE), OK);
    assert_status(viommu_unmap(s->v, 1, SECOND_HIGH,
                               SECOND_HIGH + 0xfffff), OK);
    assert_holds(s->w, &s->in_a);
    scene_free(s);
}

/* An UNMAP that the host refuses leaves every mapping in place */
static void test_unmap_refused(const void *how)
{
    Scene *s = scene_new(how);

    for (unsigned i = 0; i < 2 * COUNT; i++) {
        Watch *keeps = i % 2 ? s->other : s->w;

        assert_status(viommu_attach(s->v, 2, s->w->endpoint), OK);
        watch_stick(keeps, SECOND_HIGH + i / 2 * PAGE, EINVAL);
        assert_status(viommu_unmap(s->v, 2, SECOND_HIGH,
                                   SECOND_HIGH + COUNT * PAGE - 1), FAULT);
        assert_holds(s->w, &s->in_b);
        assert_holds(s->other, &s->in_b);
        g_assert_true(watch_dma(s->other, OBSERVER_FILL,
                                SECOND_HIGH + PAGE, 1));
        watch_stick(keeps, 0, 0);
        model_unmap(&s->in_b, s->v, 2, SECOND_HIGH, COUNT * PAGE);
        assert_holds_nothing(s->w);
        assert_holds_nothing(s->other);
        scene_again(s);
    }
    scene_free(s);
}

/* So with an UNMAP of the whole 64-bit space, both ends of which are mapped */
static void test_unmap_all_refused(const void *how)
{
    Scene *s = scene_new(how);

    assert_status(viommu_attach(s->v, 2, s->w->endpoint), OK);
    model_map(&s->in_b, s->v, 2, 0, PAGE, 0x1000000, READ | WRITE);
    model_map(&s->in_b, s->v, 2, -PAGE, PAGE, 0x1000000, READ | WRITE);
    for (unsigned i = 0; i < 2; i++) {
        watch_stick(i ? s->other : s->w, SECOND_HIGH + PAGE, EINVAL);
        assert_status(viommu_unmap(s->v, 2, 0, UINT64_MAX), FAULT);
        assert_state(s->v, s->w->endpoint, "translated");
        assert_holds(s->w, &s->in_b);
        assert_holds(s->other, &s->in_b);
        watch_stick(i ? s->other : s->w, 0, 0);
    }
    assert_status(viommu_unmap(s->v, 2, 0, UINT64_MAX), OK);
    assert_holds_nothing(s->w);
    assert_holds_nothing(s->other);
    model_free(&s->in_b);
    s->in_b = model_new();
    scene_free(s);
}

/* A mapping of which one piece does not go is there as a whole, or lost */
static void test_unmap_piece_refused(const void *how)
{
    Scene *s = scene_new(how);
    g_autofree char *held = NULL, *after = NULL, *state = NULL;

    /* RAM, then ROM */
    assert_status(viommu_map(s->v, 1, SECOND_HIGH, SECOND_HIGH + 0xfffff, 0,
                             READ | WRITE), OK);
    held = watch_get(s->w, "mappings");
    watch_stick(s->w, SECOND_HIGH + 0xff000, EINVAL);
    g_assert_cmpuint(viommu_unmap(s->v, 1, SECOND_HIGH,
                                  SECOND_HIGH + 0xfffff), !=,
                     VIRTIO_IOMMU_S_OK);
    state = viommu_endpoint_state(s->v, s->w->endpoint);
    after = watch_get(s->w, "mappings");
    g_assert_cmpstr(after, ==, g_str_equal(state, "translated") ? held : "");
    watch_stick(s->w, 0, 0);
    assert_status(viommu_unmap(s->v, 1, SECOND_HIGH, SECOND_HIGH + 0xfffff),
                  OK);
    if (!g_str_equal(state, "translated")) {
        assert_status(viommu_attach(s->v, 1, s->w->endpoint), OK);
    }
    assert_holds(s->w, &s->in_a);
    scene_free(s);
}

/* What it does not unmap at once, it is asked to one by one */
static void test_unmap_one_by_one(const void *how)
{
    Scene *s = scene_new(how);

    for (unsigned i = 0; i < 2; i++) {
        assert_status(viommu_attach(s->v, 2, s->w->endpoint), OK);
        watch_fail(i ? s->other : s->w, OBSERVER_FAIL_UNMAP, 1, 1, EBUSY);
        model_unmap(&s->in_b, s->v, 2, SECOND_HIGH, COUNT * PAGE);
        assert_holds_nothing(s->w);
        assert_holds_nothing(s->other);
        g_assert_cmpuint(viommu_count(s->v, "host-refusals"), ==, 0);
        scene_again(s);
    }
    scene_free(s);
}

/* Too little for bypass: VFIO's own listener would end the VM here */
static void test_bypass_refused(const void *how)
{
    static const struct {
        int error;
        const char *status;
    } table[] = {
        { ENOMEM, "NOMEM" }, { EFAULT, "FAULT" }, { EIO, "DEVERR" },
    };
    Scene *s = scene_new(how);

    for (unsigned i = 0; i < ARRAY_SIZE(table); i++) {
        uint8_t status;

        watch_fail(s->w, OBSERVER_FAIL_MAP, i + 1, 1, table[i].error);
        status = viommu_attach_flags(s->v, 3, s->w->endpoint,
                                     VIRTIO_IOMMU_ATTACH_F_BYPASS);
        g_assert_cmpstr(viommu_status_name(status), ==, table[i].status);
        assert_holds(s->w, &s->in_a);
        assert_state(s->v, s->w->endpoint, "translated");
    }
    assert_status(viommu_attach_flags(s->v, 3, s->w->endpoint,
                                      VIRTIO_IOMMU_ATTACH_F_BYPASS), OK);
    assert_holds_ram(s->w);
    scene_free(s);
}

/* DETACH cannot be refused: what cannot be mapped stays blocked */
static void test_detach_to_bypass_refused(const void *how)
{
    Scene *s = scene_new(how);

    watch_fail(s->w, OBSERVER_FAIL_MAP, 1, 1, ENOMEM);
    assert_status(viommu_detach(s->v, 1, s->w->endpoint), OK);
    assert_holds_nothing(s->w);
    assert_state(s->v, s->w->endpoint, "blocked");
    g_assert_false(watch_dma(s->w, OBSERVER_FILL, 0x1000000, 1));
    assert_status(viommu_attach(s->v, 2, s->w->endpoint), OK);
    assert_holds(s->w, &s->in_b);
    scene_free(s);
}

/* So with a write to bypass, and with resets; the next one may go well */
static void test_bypass_write_refused(const void *how)
{
    Scene *s = scene_new(how);

    assert_status(viommu_detach(s->v, 1, s->w->endpoint), OK);
    viommu_set_bypass(s->v, 0);
    watch_fail(s->w, OBSERVER_FAIL_MAP, 2, 1, ENOMEM);
    viommu_set_bypass(s->v, 1);
    assert_holds_nothing(s->w);
    assert_state(s->v, s->w->endpoint, "blocked");
    viommu_set_bypass(s->v, 0);
    viommu_set_bypass(s->v, 1);
    assert_holds_ram(s->w);

    assert_status(viommu_attach(s->v, 2, s->w->endpoint), OK);
    watch_fail(s->w, OBSERVER_FAIL_MAP, 1, 1, ENOSPC);
    viommu_negotiate(s->v, ALL_FEATURES);
    assert_holds_nothing(s->w);
    assert_state(s->v, s->w->endpoint, "blocked");
    assert_holds_ram(s->other);
    scene_free(s);
}

/* A host that takes only so many: NOMEM, room again after an UNMAP */
static void test_quota(const void *how)
{
    Scene *s = scene_new(how);

    watch_set(s->w, OBSERVER_QUOTA, COUNT);
    assert_status(viommu_map(s->v, 1, HIGH + 64 * PAGE, HIGH + 65 * PAGE - 1,
                             0x1000000, READ), NOMEM);
    model_unmap(&s->in_a, s->v, 1, HIGH, PAGE);
    model_map(&s->in_a, s->v, 1, HIGH + 64 * PAGE, PAGE, 0x1000000, READ);
    assert_holds(s->w, &s->in_a);
    watch_set(s->w, OBSERVER_QUOTA, COUNT - 1);
    assert_status(viommu_attach(s->v, 2, s->w->endpoint), DEVERR);
    assert_holds_nothing(s->w);
    watch_set(s->w, OBSERVER_QUOTA, 0);
    assert_status(viommu_attach(s->v, 2, s->w->endpoint), OK);
    assert_holds(s->w, &s->in_b);
    scene_free(s);
}

/* A guest that does not look at the status reads of it in its event queue */
static void test_event(const void *how)
{
    Scene *s = scene_new(how);

    viommu_event_post(s->v, sizeof(struct virtio_iommu_fault), 4);
    watch_fail(s->w, OBSERVER_FAIL_MAP, 1, 1, ENOMEM);
    assert_status(viommu_map(s->v, 1, HIGH + 64 * PAGE, HIGH + 65 * PAGE - 1,
                             0x1000000, READ | WRITE), NOMEM);
    viommu_assert_fault(s->v, VIRTIO_IOMMU_FAULT_R_MAPPING,
                        VIRTIO_IOMMU_FAULT_F_READ |
                        VIRTIO_IOMMU_FAULT_F_WRITE, s->w->endpoint,
                        HIGH + 64 * PAGE);
    scene_free(s);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    watch_add("host-refusal", "attach-nth", test_attach_nth);
    watch_add("host-refusal", "attach-nth-from-bypass",
              test_attach_nth_from_bypass);
    watch_add("host-refusal", "attach-nth-from-blocked",
              test_attach_nth_from_blocked);
    qtest_add_data_func("/pviommu/host-refusal/undo-refused", "container",
                        test_undo_refused);
    watch_add("host-refusal", "map-errors", test_map_errors);
    watch_add("host-refusal", "map-second-endpoint", test_map_second_endpoint);
    watch_add("host-refusal", "map-second-piece", test_map_second_piece);
    watch_add("host-refusal", "unmap-refused", test_unmap_refused);
    watch_add("host-refusal", "unmap-all-refused", test_unmap_all_refused);
    watch_add("host-refusal", "unmap-piece-refused",
              test_unmap_piece_refused);
    watch_add("host-refusal", "unmap-one-by-one", test_unmap_one_by_one);
    watch_add("host-refusal", "bypass-refused", test_bypass_refused);
    watch_add("host-refusal", "detach-to-bypass-refused",
              test_detach_to_bypass_refused);
    watch_add("host-refusal", "bypass-write-refused",
              test_bypass_write_refused);
    qtest_add_data_func("/pviommu/host-refusal/quota", "container",
                        test_quota);
    watch_add("host-refusal", "event", test_event);
    return g_test_run();
}
