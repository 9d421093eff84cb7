/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Host page tables by iommufd: what they hold, what they share, what they
 * cost
 *
 * The matrices of the other programs run with iommufd too.
 */
#include "qemu/osdep.h"

#include "iommufd-scene.h"

#define MANY 10000

/* One in bypass, one translated, one blocked: all in turn, all at once */
static void test_three_states(void)
{
    Scene s = scene_new(NULL, 3, "");

    viommu_set_bypass(s.v, 0);
    for (unsigned round = 0; round < 6; round++) {
        Watch *bypass = s.w[round % 3], *blocked = s.w[(round + 2) % 3];
        Watch *paging = s.w[(round + 1) % 3];
        const uint32_t domain = 10 + round;
        Model m = model_new();

        assert_status(viommu_attach_flags(s.v, 1, bypass->endpoint,
                                          VIRTIO_IOMMU_ATTACH_F_BYPASS), OK);
        assert_status(viommu_attach(s.v, domain, paging->endpoint), OK);
        assert_state(s.v, blocked->endpoint, "blocked");
        model_map(&m, s.v, domain, HIGH, PAGE, PHYS, READ | WRITE);
        assert_holds_ram(bypass);
        assert_holds(paging, &m);
        assert_holds_nothing(blocked);
        assert_reaches(bypass, PHYS, PHYS, true);
        assert_reaches(bypass, HIGH, PHYS, false);
        assert_reaches(paging, HIGH, PHYS, true);
        assert_reaches(paging, PHYS, PHYS, false);
        assert_reaches(blocked, HIGH, PHYS, false);
        assert_reaches(blocked, PHYS, PHYS, false);
        assert_status(viommu_detach(s.v, domain, paging->endpoint), OK);
        assert_status(viommu_detach(s.v, 1, bypass->endpoint), OK);
        assert_holds_nothing(bypass);
        model_free(&m);
    }
    assert_no_mistakes(s.w[0]);
    scene_end(&s);
}

/* Memory is pinned once, however many reach it */
static void test_pinned_once(void)
{
    uint64_t one = 0;

    for (unsigned count = 1; count <= 3; count++) {
        Scene s = scene_new(NULL, count, "");

        one = one ?: watch_host(s.w[0], "pinned");
        g_assert_cmpuint(one, >=, 256 * MiB);
        g_assert_cmpuint(watch_host(s.w[0], "pinned"), ==, one);
        attach_all(&s, 1);
        assert_status(viommu_map(s.v, 1, HIGH, HIGH + MiB - 1, PHYS, READ),
                      OK);
        /* The table of bypass is kept */
        g_assert_cmpuint(watch_host(s.w[0], "pinned"), ==, one + MiB);
        scene_end(&s);
    }
}

static void test_pins_what_is_mapped(void)
{
    Scene s = scene_new("boot-bypass=off", 3, "");

    g_assert_cmpuint(watch_host(s.w[0], "pinned"), ==, 0);
    attach_all(&s, 1);
    g_assert_cmpuint(watch_host(s.w[0], "pinned"), ==, 0);
    assert_status(viommu_map(s.v, 1, HIGH, HIGH + MiB - 1, PHYS, READ), OK);
    g_assert_cmpuint(watch_host(s.w[0], "pinned"), ==, MiB);
    detach_all(&s, 1);
    g_assert_cmpuint(watch_host(s.w[0], "pinned"), ==, 0);
    /* A table for bypass is made when somebody needs it */
    viommu_set_bypass(s.v, 1);
    g_assert_cmpuint(watch_host(s.w[0], "pinned"), >=, 256 * MiB);
    assert_no_mistakes(s.w[0]);
    scene_end(&s);
}

/* keep-bypass: whether the table of bypass outlives its last endpoint */
static void test_keep_bypass(void)
{
    static const char *const keep[] = { "keep-bypass=off", "keep-bypass=on" };

    for (unsigned i = 0; i < 2; i++) {
        Scene s = scene_new(keep[i], 2, "");
        uint64_t pinned = watch_host(s.w[0], "pinned");
        unsigned maps;

        assert_status(viommu_attach(s.v, 1, s.w[0]->endpoint), OK);
        g_assert_cmpuint(watch_host(s.w[0], "pinned"), ==, pinned);
        assert_status(viommu_attach(s.v, 1, s.w[1]->endpoint), OK);
        g_assert_cmpuint(watch_host(s.w[0], "pinned"), ==, i ? pinned : 0);
        maps = watch_calls(s.w[0], "map");
        detach_all(&s, 1);
        assert_holds_ram(s.w[0]);
        assert_holds_ram(s.w[1]);
        g_assert_cmpuint(watch_host(s.w[0], "pinned"), ==, pinned);
        g_assert_cmpint(watch_calls(s.w[0], "map") == maps, ==, i);
        assert_no_mistakes(s.w[0]);
        scene_end(&s);
    }
}

/* A MAP and an UNMAP are a call each, however many endpoints there are */
static void test_map_costs_one(void)
{
    Scene s = scene_new(NULL, 3, "");
    Model m = model_new();

    for (unsigned count = 1; count <= 3; count++) {
        unsigned before;

        assert_status(viommu_attach(s.v, 1, s.w[count - 1]->endpoint), OK);
        before = watch_calls(s.w[0], "");
        model_map(&m, s.v, 1, HIGH, 2 * MiB, PHYS, READ | WRITE);
        g_assert_cmpuint(watch_calls(s.w[0], ""), ==, before + 1);
        for (unsigned i = 0; i < count; i++) {
            assert_holds(s.w[i], &m);
        }
        model_unmap(&m, s.v, 1, HIGH, 2 * MiB);
        g_assert_cmpuint(watch_calls(s.w[0], ""), ==, before + 2);
    }
    model_free(&m);
    assert_no_mistakes(s.w[0]);
    scene_end(&s);
}

/* So is an UNMAP of many: with gaps, with ROM and without any memory */
static void test_unmap_costs_one(void)
{
    Scene s = scene_new(NULL, 1, "");
    Model m = model_new();
    unsigned before;

    attach_all(&s, 1);
    model_map_pages(&m, s.v, 1, HIGH, MANY);
    model_map(&m, s.v, 1, 2 * HIGH, 3 * PAGE, PHYS, READ | WRITE);
    before = watch_calls(s.w[0], "");
    model_unmap(&m, s.v, 1, HIGH, MANY * PAGE);
    g_assert_cmpuint(watch_calls(s.w[0], ""), ==, before + 1);
    assert_holds(s.w[0], &m);

    assert_status(viommu_map(s.v, 1, HIGH, HIGH + MiB - 1, 0, READ | WRITE),
                  OK);
    assert_status(viommu_map(s.v, 1, 4 * HIGH, 4 * HIGH + PAGE - 1, 64 * HIGH,
                             READ), OK);
    before = watch_calls(s.w[0], "");
    assert_status(viommu_unmap(s.v, 1, 0, UINT64_MAX), OK);
    g_assert_cmpuint(watch_calls(s.w[0], ""), ==, before + 1);
    assert_holds_nothing(s.w[0]);
    model_free(&m);
    assert_no_mistakes(s.w[0]);
    scene_end(&s);
}

/* To move is one call, whatever is mapped here or there */
static void test_attach_costs_one(void)
{
    Scene s = scene_new(NULL, 2, "");
    const uint32_t endpoint = s.w[0]->endpoint;
    Model m = model_new();
    unsigned before, attaches;

    assert_status(viommu_attach(s.v, 1, s.w[1]->endpoint), OK);
    model_map_pages(&m, s.v, 1, HIGH, MANY);
    before = watch_calls(s.w[0], "");
    attaches = watch_calls(s.w[0], "attach");
    for (unsigned i = 0; i < 2; i++) {
        assert_status(viommu_attach(s.v, 1, endpoint), OK);
        assert_status(viommu_detach(s.v, 1, endpoint), OK);
    }
    assert_status(viommu_attach(s.v, 1, endpoint), OK);
    g_assert_cmpuint(watch_calls(s.w[0], "attach"), ==, attaches + 5);
    g_assert_cmpuint(watch_calls(s.w[0], ""), ==, before + 5);
    assert_holds(s.w[0], &m);
    model_free(&m);
    assert_no_mistakes(s.w[0]);
    scene_end(&s);
}

/* A domain has a table while it lives, whoever comes and goes */
static void test_table_lives_with_domain(void)
{
    Scene s = scene_new(NULL, 2, "-device pviommu-observer,id=o2,addr=6.0");
    const uint32_t plain = 6 << 3;
    uint64_t tables;
    unsigned maps;

    assert_status(viommu_attach(s.v, 1, plain), OK);
    assert_status(viommu_map(s.v, 1, HIGH, HIGH + PAGE - 1, PHYS, READ), OK);
    tables = watch_host(s.w[0], "ioas");
    maps = watch_calls(s.w[0], "map");
    assert_status(viommu_attach(s.v, 1, s.w[0]->endpoint), OK);
    g_assert_cmpuint(watch_host(s.w[0], "ioas"), ==, tables + 1);
    g_assert_cmpuint(watch_calls(s.w[0], "map"), ==, maps + 1);
    assert_status(viommu_detach(s.v, 1, s.w[0]->endpoint), OK);
    g_assert_cmpuint(watch_host(s.w[0], "ioas"), ==, tables + 1);
    assert_status(viommu_attach(s.v, 1, s.w[1]->endpoint), OK);
    g_assert_cmpuint(watch_calls(s.w[0], "map"), ==, maps + 1);
    assert_status(viommu_detach(s.v, 1, s.w[1]->endpoint), OK);
    assert_status(viommu_detach(s.v, 1, plain), OK);
    g_assert_cmpuint(watch_host(s.w[0], "ioas"), ==, tables);
    assert_no_mistakes(s.w[0]);
    scene_end(&s);
}

/* A table that nobody is on is no reason to refuse a MAP: it goes */
static void test_unused_table(void)
{
    Scene s = scene_new(NULL, 1, "-device pviommu-observer,id=o2,addr=6.0");
    const uint32_t endpoint = s.w[0]->endpoint;
    Model m = model_new();
    uint64_t tables = watch_host(s.w[0], "ioas");

    assert_status(viommu_attach(s.v, 1, 6 << 3), OK);
    model_map(&m, s.v, 1, HIGH + MiB, MiB, PHYS, READ | WRITE);
    for (unsigned round = 0; round < 2; round++) {
        assert_status(viommu_attach(s.v, 1, endpoint), OK);
        assert_holds(s.w[0], &m);
        assert_status(viommu_detach(s.v, 1, endpoint), OK);
        watch_fail(s.w[0], round ? OBSERVER_FAIL_UNMAP : OBSERVER_FAIL_MAP,
                   1, 1, ENOMEM);
        model_map(&m, s.v, 1, HIGH, PAGE, PHYS, READ | WRITE);
        model_unmap(&m, s.v, 1, HIGH, PAGE);
        g_assert_cmpuint(watch_host(s.w[0], "ioas"), ==, tables);
    }
    assert_status(viommu_attach(s.v, 1, endpoint), OK);
    assert_holds(s.w[0], &m);
    g_assert_cmpuint(viommu_count(s.v, "host-refusals"), ==, 0);
    model_free(&m);
    scene_end(&s);
}

/* The table of bypass follows guest memory while nobody is on it */
static void test_kept_table_follows(void)
{
    Scene s = scene_new(NULL, 1, "-m 256M,slots=2,maxmem=1G "
                        "-device pviommu-observer,watch=container,id=o1,"
                        "addr=5.0");
    Watch *container = watch_open(s.v, 1);
    const uint32_t endpoint = s.w[0]->endpoint;

    for (unsigned round = 0; round < 2; round++) {
        g_autofree char *id = g_strdup_printf("m%u", round);
        g_autofree char *held = NULL, *ram = NULL;
        unsigned maps;

        assert_status(viommu_attach(s.v, 1, endpoint), OK);
        watch_fail(s.w[0], OBSERVER_FAIL_MAP, round, 1, ENOMEM);
        qtest_qmp_assert_success(s.v->qts, "{ 'execute': 'object-add',"
                                 " 'arguments': { 'qom-type':"
                                 " 'memory-backend-ram', 'id': %s,"
                                 " 'size': 134217728 } }", id);
        qtest_qmp_assert_success(s.v->qts, "{ 'execute': 'device_add',"
                                 " 'arguments': { 'driver': 'pc-dimm',"
                                 " 'memdev': %s } }", id);
        /* Refused, it is made anew with all that there is */
        maps = watch_calls(s.w[0], "map");
        assert_status(viommu_detach(s.v, 1, endpoint), OK);
        g_assert_cmpint(watch_calls(s.w[0], "map") > maps, ==, round);
        held = watch_get(s.w[0], "mappings");
        ram = watch_get(container, "mappings");
        g_assert_nonnull(strstr(held, id));
        g_assert_cmpstr(held, ==, ram);
    }
    watch_close(container);
    scene_end(&s);
}

/* The operator is told which device of the host is meant */
static void test_host_device(void)
{
    Scene s = scene_new(NULL, 2, "-device edu,id=plain,addr=9.0");

    for (unsigned i = 0; i < 2; i++) {
        g_autofree char *name = viommu_endpoint_shows(s.v, s.w[i]->endpoint,
                                                      "host-device");

        g_assert_nonnull(name);
        g_assert_cmpstr(name, !=, "");
        assert_shows(s.v, s.w[i]->endpoint, "host-path", "iommufd");
    }
    assert_shows(s.v, 9 << 3, "state", "bypass");
    assert_shows(s.v, 9 << 3, "host-device", NULL);
    scene_end(&s);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("iommufd/three-states", test_three_states);
    ADD("iommufd/host-device", test_host_device);
    ADD("iommufd/pinned-once", test_pinned_once);
    ADD("iommufd/pins-what-is-mapped", test_pins_what_is_mapped);
    ADD("iommufd/keep-bypass", test_keep_bypass);
    ADD("iommufd/map-costs-one", test_map_costs_one);
    ADD("iommufd/unmap-costs-one", test_unmap_costs_one);
    ADD("iommufd/attach-costs-one", test_attach_costs_one);
    ADD("iommufd/table-lives-with-domain", test_table_lives_with_domain);
    ADD("iommufd/unused-table", test_unused_table);
    ADD("iommufd/kept-table-follows", test_kept_table_follows);
    return g_test_run();
}
