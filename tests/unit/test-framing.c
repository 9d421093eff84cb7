/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu tests: sizes, types and features of requests
 */
#include <string.h>

#include "fixture.h"

enum {
    ENOUGH = FIXTURE_PROBE_SIZE + PVIOMMU_TAIL_SIZE,
};

/* One request of each type that is carried out on endpoint 8, domain 1 */
static size_t build_good(uint8_t *bytes, uint8_t type)
{
    switch (type) {
    case PVIOMMU_T_ATTACH:
        return build_attach(bytes, 1, 8, 0);
    case PVIOMMU_T_DETACH:
        return build_detach(bytes, 1, 8);
    case PVIOMMU_T_MAP:
        return build_map(bytes, 1, 0x1000, 0x1fff, 0x5000, 3);
    case PVIOMMU_T_UNMAP:
        return build_unmap(bytes, 1, 0x4000, 0x4fff);
    default:
        return build_probe(bytes, 8);
    }
}

static size_t writable_of(uint8_t type)
{
    return PVIOMMU_TAIL_SIZE +
           (type == PVIOMMU_T_PROBE ? FIXTURE_PROBE_SIZE : 0);
}

/* Endpoint 8 in domain 1, with a mapping */
static Fixture *new_attached(void)
{
    Fixture *fixture = fixture_new_pair(NULL);

    ASSERT_OK(fixture, attach(fixture, 1, 8, 0));
    ASSERT_OK(fixture, map(fixture, 1, 0x4000, 0x4fff, 0, 3));
    return fixture;
}

static void test_exact(void)
{
    for (uint8_t type = PVIOMMU_T_ATTACH; type <= PVIOMMU_T_PROBE; type++) {
        g_autoptr(Fixture) fixture = new_attached();
        uint8_t bytes[PVIOMMU_REQUEST_MAX];
        size_t size = build_good(bytes, type);

        ASSERT_OK(fixture, submit(fixture, bytes, size, writable_of(type)));
        g_assert_cmpint(fixture->request.type, ==, type);
    }
}

static void test_head_reserved(void)
{
    for (uint8_t type = PVIOMMU_T_ATTACH; type <= PVIOMMU_T_PROBE; type++) {
        g_autoptr(Fixture) fixture = new_attached();
        uint8_t bytes[PVIOMMU_REQUEST_MAX];
        size_t size = build_good(bytes, type);

        memset(bytes + 1, 0xff, 3);
        ASSERT_OK(fixture, submit(fixture, bytes, size, writable_of(type)));
    }
}

static void test_short_head(void)
{
    g_autoptr(Fixture) fixture = new_attached();
    uint8_t bytes[PVIOMMU_REQUEST_MAX];

    build_good(bytes, PVIOMMU_T_ATTACH);
    for (size_t size = 0; size < PVIOMMU_HEAD_SIZE; size++) {
        ASSERT_UNWRITTEN(fixture, submit(fixture, bytes, size, ENOUGH),
                         SHORT_HEAD);
        g_assert_cmpint(fixture->request.type, ==,
                        size > 0 ? PVIOMMU_T_ATTACH : 0);
    }
    pviommu_request_run(fixture->iommu, NULL, 0, 4, &fixture->request,
                        fixture->properties, &fixture->answer,
                        &fixture->change);
    g_assert_false(fixture->answer.written);
}

static void test_no_tail(void)
{
    g_autoptr(Fixture) fixture = new_attached();

    for (uint8_t type = PVIOMMU_T_ATTACH; type <= PVIOMMU_T_PROBE; type++) {
        uint8_t bytes[PVIOMMU_REQUEST_MAX];
        size_t size = build_good(bytes, type);

        for (size_t tail = 0; tail < PVIOMMU_TAIL_SIZE; tail++) {
            ASSERT_UNWRITTEN(fixture, submit(fixture, bytes, size, tail),
                             NO_TAIL);
            g_assert_cmpint(fixture->answer.status, !=, PVIOMMU_S_OK);
        }
        g_assert_cmpint(fixture->request.type, ==, type);
    }
}

static void test_nothing(void)
{
    g_autoptr(Fixture) fixture = new_attached();

    submit(fixture, NULL, 0, 0);
    g_assert_false(fixture->answer.written);
    g_assert_cmphex(fixture->answer.mistakes, ==,
                    1 << PVIOMMU_MISTAKE_SHORT_HEAD |
                    1 << PVIOMMU_MISTAKE_NO_TAIL);
}

static void test_unknown_type(void)
{
    g_autoptr(Fixture) fixture = new_attached();
    uint8_t bytes[PVIOMMU_REQUEST_MAX] = { 0 };

    for (unsigned type = 0; type < 256; type++) {
        if (type >= PVIOMMU_T_ATTACH && type <= PVIOMMU_T_PROBE) {
            continue;
        }
        bytes[0] = (uint8_t)type;
        for (size_t size = 4; size <= sizeof(bytes); size += 4) {
            ASSERT_UNWRITTEN(fixture, submit(fixture, bytes, size, ENOUGH),
                             UNKNOWN_TYPE);
        }
    }
    ASSERT_OK(fixture, detach(fixture, 1, 8));
}

static void test_not_negotiated(void)
{
    g_autoptr(Fixture) fixture = new_attached();

    pviommu_iommu_set_features(fixture->iommu, FIXTURE_ALL_FEATURES &
                               ~(1u << PVIOMMU_F_MAP_UNMAP));
    ASSERT_UNWRITTEN(fixture, map(fixture, 1, 0, 0xfff, 0, 3),
                     NOT_NEGOTIATED);
    ASSERT_UNWRITTEN(fixture, unmap(fixture, 1, 0, UINT64_MAX),
                     NOT_NEGOTIATED);
    g_assert_true(is_mapped(fixture, 1, 0x4000, 0x4fff));
    pviommu_iommu_set_features(fixture->iommu, 1u << PVIOMMU_F_MAP_UNMAP);
    ASSERT_OK(fixture, map(fixture, 1, 0, 0xfff, 0, 3));
    ASSERT_OK(fixture, unmap(fixture, 1, 0, UINT64_MAX));
}

static void test_no_feature_needed(void)
{
    g_autoptr(Fixture) fixture = fixture_new_pair(NULL);

    pviommu_iommu_set_features(fixture->iommu, 0);
    ASSERT_OK(fixture, attach(fixture, 1, 8, 0));
    ASSERT_OK(fixture, probe(fixture, 8));
    ASSERT_OK(fixture, detach(fixture, 1, 8));
}

static void test_probe_not_offered(void)
{
    PviommuConfig config = fixture_config;
    g_autoptr(Fixture) fixture = NULL;

    config.probe_size = 0;
    fixture = fixture_new_pair(&config);
    ASSERT_UNWRITTEN(fixture, probe(fixture, 8), UNKNOWN_TYPE);
    g_assert_cmphex(fixture->properties[0], ==, 0xa5);
}

static void test_short_body(void)
{
    g_autoptr(Fixture) fixture = new_attached();

    for (uint8_t type = PVIOMMU_T_ATTACH; type <= PVIOMMU_T_PROBE; type++) {
        uint8_t bytes[PVIOMMU_REQUEST_MAX];
        size_t whole = build_good(bytes, type);

        for (size_t size = PVIOMMU_HEAD_SIZE; size < whole; size++) {
            ASSERT_REFUSED(fixture, submit(fixture, bytes, size,
                                           writable_of(type)),
                           INVAL, SHORT_BODY);
        }
    }
    ASSERT_OK(fixture, map(fixture, 1, 0x1000, 0x1fff, 0x5000, 3));
}

static void test_long_body(void)
{
    for (uint8_t type = PVIOMMU_T_ATTACH; type <= PVIOMMU_T_PROBE; type++) {
        g_autoptr(Fixture) fixture = new_attached();
        uint8_t bytes[4096];
        size_t size;

        memset(bytes, 0xff, sizeof(bytes));
        size = build_good(bytes, type);
        g_assert_cmpint(submit(fixture, bytes, size + 1, writable_of(type)),
                        ==, PVIOMMU_S_OK);
        assert_mistake(fixture, PVIOMMU_MISTAKE_LONG_BODY);
        g_assert_true(fixture->answer.written);
    }
}

static void test_longest_body(void)
{
    g_autoptr(Fixture) fixture = new_attached();
    uint8_t bytes[PVIOMMU_REQUEST_MAX];

    memset(bytes, 0xff, sizeof(bytes));
    build_good(bytes, PVIOMMU_T_MAP);
    g_assert_cmpint(submit(fixture, bytes, SIZE_MAX, SIZE_MAX), ==,
                    PVIOMMU_S_OK);
    g_assert_true(is_mapped(fixture, 1, 0x1000, 0x1fff));
}

static void test_long_tail(void)
{
    for (uint8_t type = PVIOMMU_T_ATTACH; type <= PVIOMMU_T_PROBE; type++) {
        g_autoptr(Fixture) fixture = new_attached();
        uint8_t bytes[PVIOMMU_REQUEST_MAX];
        size_t size = build_good(bytes, type);

        g_assert_cmpint(submit(fixture, bytes, size, writable_of(type) + 4),
                        ==, PVIOMMU_S_OK);
        assert_mistake(fixture, PVIOMMU_MISTAKE_LONG_TAIL);
        g_assert_true(fixture->answer.written);
    }
}

static void test_mistakes_add_up(void)
{
    g_autoptr(Fixture) fixture = new_attached();
    uint8_t bytes[PVIOMMU_REQUEST_MAX] = { 0 };
    size_t size = build_map(bytes, 7, 0, 0xfff, 0, 3);

    g_assert_cmpint(submit(fixture, bytes, size + 2, 99), ==,
                    PVIOMMU_S_NOENT);
    g_assert_cmphex(fixture->answer.mistakes, ==,
                    1 << PVIOMMU_MISTAKE_LONG_BODY |
                    1 << PVIOMMU_MISTAKE_LONG_TAIL |
                    1 << PVIOMMU_MISTAKE_NO_DOMAIN);
}

static void test_fields_read(void)
{
    g_autoptr(Fixture) fixture = new_attached();
    uint8_t bytes[PVIOMMU_REQUEST_MAX];
    const PviommuRequest *request = &fixture->request;
    size_t size = build_map(bytes, 0x01020304, UINT64_C(0x1112131415161718),
                            UINT64_C(0x2122232425262728),
                            UINT64_C(0x3132333435363738), 0x41424344);

    submit(fixture, bytes, size, 4);
    g_assert_cmphex(request->domain, ==, 0x01020304);
    g_assert_cmphex(request->endpoint, ==, 0);
    g_assert_cmphex(request->first, ==, UINT64_C(0x1112131415161718));
    g_assert_cmphex(request->last, ==, UINT64_C(0x2122232425262728));
    g_assert_cmphex(request->phys, ==, UINT64_C(0x3132333435363738));
    g_assert_cmphex(request->flags, ==, 0x41424344);
    /* fields that are there only in part are not there */
    submit(fixture, bytes, 23, 4);
    g_assert_cmphex(request->first, ==, UINT64_C(0x1112131415161718));
    g_assert_cmphex(request->last, ==, 0);
    g_assert_cmphex(request->flags, ==, 0);
    size = build_attach(bytes, 0x51525354, 0x61626364, 0x71727374);
    submit(fixture, bytes, size, 4);
    g_assert_cmphex(request->domain, ==, 0x51525354);
    g_assert_cmphex(request->endpoint, ==, 0x61626364);
    g_assert_cmphex(request->flags, ==, 0x71727374);
    g_assert_cmphex(request->first, ==, 0);
    size = build_probe(bytes, 0x81828384);
    submit(fixture, bytes, size, 4);
    g_assert_cmphex(request->endpoint, ==, 0x81828384);
    g_assert_cmphex(request->domain, ==, 0);
}

static void test_all_ones(void)
{
    g_autoptr(Fixture) fixture = new_attached();
    uint8_t bytes[PVIOMMU_REQUEST_MAX];

    memset(bytes, 0xff, sizeof(bytes));
    ASSERT_UNWRITTEN(fixture, submit(fixture, bytes, sizeof(bytes), ENOUGH),
                     UNKNOWN_TYPE);
    for (uint8_t type = PVIOMMU_T_ATTACH; type <= PVIOMMU_T_PROBE; type++) {
        bytes[0] = type;
        submit(fixture, bytes, sizeof(bytes), ENOUGH);
        g_assert_cmpint(fixture->answer.status, !=, PVIOMMU_S_OK);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/pviommu/framing/exact", test_exact);
    g_test_add_func("/pviommu/framing/head-reserved-ignored",
                    test_head_reserved);
    g_test_add_func("/pviommu/framing/short-head", test_short_head);
    g_test_add_func("/pviommu/framing/no-tail", test_no_tail);
    g_test_add_func("/pviommu/framing/nothing", test_nothing);
    g_test_add_func("/pviommu/framing/unknown-type", test_unknown_type);
    g_test_add_func("/pviommu/framing/map-unmap-not-negotiated",
                    test_not_negotiated);
    g_test_add_func("/pviommu/framing/others-need-no-feature",
                    test_no_feature_needed);
    g_test_add_func("/pviommu/framing/probe-not-offered",
                    test_probe_not_offered);
    g_test_add_func("/pviommu/framing/short-body", test_short_body);
    g_test_add_func("/pviommu/framing/long-body", test_long_body);
    g_test_add_func("/pviommu/framing/longest-body", test_longest_body);
    g_test_add_func("/pviommu/framing/long-tail", test_long_tail);
    g_test_add_func("/pviommu/framing/mistakes-add-up", test_mistakes_add_up);
    g_test_add_func("/pviommu/framing/fields-read", test_fields_read);
    g_test_add_func("/pviommu/framing/all-ones", test_all_ones);
    return g_test_run();
}
