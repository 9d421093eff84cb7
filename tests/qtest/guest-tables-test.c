/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Page tables that the guest owns, and an endpoint that QEMU emulates
 *
 * R-TABLE-* of docs/specs/pviommu.md.
 */
#include "qemu/osdep.h"

#include "edu.h"
#include "guest-table.h"

#define R_MAPPING VIRTIO_IOMMU_FAULT_R_MAPPING
#define F_READ VIRTIO_IOMMU_FAULT_F_READ
#define F_WRITE VIRTIO_IOMMU_FAULT_F_WRITE
#define BYPASS VIRTIO_IOMMU_ATTACH_F_BYPASS

/* The first property that is not a reserved region */
static const uint8_t *first_format(const uint8_t *properties)
{
    while (lduw_le_p(properties) == VIRTIO_IOMMU_PROBE_T_RESV_MEM) {
        properties += 24;
    }
    return properties;
}

static void off_by_default(void)
{
    Viommu *v = viommu_start(NULL, EDU_A);
    uint8_t properties[VIOMMU_PROBE_SIZE];
    ReqAttachTable req = { .type = T_ATTACH_TABLE };
    uint8_t in[4] = { 0x5a };

    g_assert_cmphex(v->features & FEATURE(F_GUEST_TABLES), ==, 0);
    assert_status(viommu_probe(v, EP_A, properties), OK);
    g_assert_cmpuint(lduw_le_p(first_format(properties)), ==, 0);
    g_assert_cmpuint(viommu_send(v, &(ViommuBuffers) {
        .out = &req, .out_size = sizeof(req), .in = in, .in_size = 4,
    }), ==, 0);
    g_assert_cmphex(in[0], ==, 0x5a);
    g_assert_cmpuint(viommu_count_of(v, "mistakes", "unknown-type"), ==, 1);
    g_assert_cmpuint(viommu_count_of(v, "requests", "unknown"), ==, 1);
    viommu_assert_alive(v);
    viommu_stop(v);
}

static void not_negotiated(void)
{
    Viommu *v = viommu_boot(TABLES_ON, EDU_A);
    uint8_t properties[VIOMMU_PROBE_SIZE];
    ReqInvalidate req = { .type = T_INVALIDATE };

    viommu_negotiate(v, ~FEATURE(F_GUEST_TABLES));
    assert_status(viommu_probe(v, EP_A, properties), OK);
    g_assert_cmpuint(lduw_le_p(first_format(properties)), ==, 0);
    g_assert_cmpuint(viommu_send(v, &(ViommuBuffers) {
        .out = &req, .out_size = sizeof(req), .in_size = 4,
    }), ==, 0);
    /* and what there was before is as it was */
    assert_status(viommu_attach(v, 1, EP_A), OK);
    assert_status(viommu_map(v, 1, 0, 0xfff, TARGET, READ), OK);
    viommu_stop(v);
}

static void offered(void)
{
    Viommu *v = viommu_start(TABLES_ON, EDU_A);
    uint8_t properties[VIOMMU_PROBE_SIZE];
    const uint8_t *p;

    g_assert_cmphex(v->features & FEATURE(F_GUEST_TABLES), !=, 0);
    assert_status(viommu_probe(v, EP_A, properties), OK);
    g_assert_cmpuint(lduw_le_p(properties), ==, VIRTIO_IOMMU_PROBE_T_RESV_MEM);
    p = first_format(properties);
    for (unsigned format = X86_64; format <= ARM_LPAE; format++) {
        g_assert_cmpuint(lduw_le_p(p), ==, PROBE_T_TABLE_FORMAT);
        g_assert_cmpuint(lduw_le_p(p + 2), ==, 20);
        g_assert_cmpuint(lduw_le_p(p + 4), ==, format);
        g_assert_cmpuint(lduw_le_p(p + 6), ==, 0);
        g_assert_cmphex(ldq_le_p(p + 8), ==, format == X86_64
                        ? 1ULL << 48 | 1ULL << 57 : 0x1ff8000000000);
        g_assert_cmphex(ldq_le_p(p + 16), ==, 0x40201000);
        p += 24;
    }
    g_assert_cmpuint(lduw_le_p(p), ==, 0);
    viommu_stop(v);
}

static void translates(void)
{
    Viommu *v = viommu_start(TABLES_ON, EDU_A EDU_B);
    Edu *a = edu_open_filled(v, EP_A);
    Edu *b = edu_open_filled(v, EP_B);

    for (unsigned i = 0; i < shapes_count; i++) {
        const Shape *shape = &shapes[i];
        GuestTable t = guest_table_new(v, shape->format, shape->bits,
                                       TABLES_AT + i * 0x10000);

        guest_table_map(&t, shape->iova, TARGET, 1, READ | WRITE);
        assert_status(guest_table_attach(&t, i, EP_A), OK);
        assert_state(v, EP_A, "translated");
        g_assert_true(edu_reaches(a, shape->iova + 0x123, TARGET + 0x123));
        g_assert_true(edu_reaches(a, shape->iova + 0xfff, TARGET + 0xfff));
        g_assert_false(edu_reaches(a, shape->iova + 0x1000, TARGET));
        g_assert_false(edu_reaches(a, shape->iova - 1, TARGET));
        g_assert_false(edu_reaches(a, TARGET, TARGET));
        /* a store is all that it takes to map */
        guest_table_map(&t, shape->iova + 0x1000, TARGET + 0x5000, 1,
                        READ | WRITE);
        g_assert_true(edu_reaches(a, shape->iova + 0x1008, TARGET + 0x5008));
        g_assert_false(edu_reaches(b, shape->iova, TARGET));
        assert_status(guest_table_attach(&t, i, EP_B), OK);
        g_assert_true(edu_reaches(b, shape->iova, TARGET));
        assert_status(viommu_detach(v, i, EP_B), OK);
    }
    edu_close(a);
    edu_close(b);
    viommu_stop(v);
}

static void big_pages(void)
{
    Viommu *v = viommu_start(TABLES_ON, EDU_A);
    Edu *edu = edu_open_filled(v, EP_A);

    for (unsigned i = 0; i < shapes_count; i++) {
        const Shape *shape = &shapes[i];
        GuestTable t = guest_table_new(v, shape->format, shape->bits,
                                       TABLES_AT + i * 0x10000);
        const uint64_t two_mib = shape->iova & -0x200000ULL;
        const uint64_t one_gib = (shape->iova & -0x40000000ULL) + 0x40000000;

        guest_table_map(&t, two_mib, TARGET, 2, READ | WRITE);
        guest_table_map(&t, one_gib, RAM & -0x40000000ULL, 3, READ | WRITE);
        assert_status(guest_table_attach(&t, i, EP_A), OK);
        g_assert_true(edu_reaches(edu, two_mib, TARGET));
        g_assert_true(edu_reaches(edu, two_mib + 0x1fffff,
                                  TARGET + 0x1fffff));
        g_assert_false(edu_reaches(edu, two_mib + 0x200000,
                                   TARGET + 0x200000));
        g_assert_true(edu_reaches(edu, one_gib + (TARGET & 0x3fffffff),
                                  TARGET));
    }
    edu_close(edu);
    viommu_stop(v);
}

static void permissions(void)
{
    Viommu *v = viommu_start(TABLES_ON, EDU_A);
    Edu *edu = edu_open_filled(v, EP_A);

    viommu_event_post(v, 24, 32);
    for (unsigned i = 0; i < shapes_count; i++) {
        const Shape *shape = &shapes[i];
        GuestTable t = guest_table_new(v, shape->format, shape->bits,
                                       TABLES_AT + i * 0x10000);

        guest_table_map(&t, shape->iova, TARGET, 1, READ);
        assert_status(guest_table_attach(&t, i, EP_A), OK);
        edu_load(edu, shape->iova, 8);
        g_assert_cmpuint(viommu_faults(v), ==, 2 * i);
        g_assert_false(edu_reaches(edu, shape->iova + 8, TARGET + 8));
        viommu_assert_fault(v, R_MAPPING, F_WRITE, EP_A, shape->iova + 8);
        edu_load(edu, shape->iova + 0x1000, 8);
        viommu_assert_fault(v, R_MAPPING, F_READ, EP_A,
                            shape->iova + 0x1000);
        assert_status(viommu_detach(v, i, EP_A), OK);
        edu_fill(edu);
    }
    edu_close(edu);
    viommu_stop(v);
}

/* What an entry no longer says is gone once that was said */
static void invalidate(void)
{
    Viommu *v = viommu_start(TABLES_ON, EDU_A);
    Edu *edu = edu_open_filled(v, EP_A);
    GuestTable t = guest_table_new(v, X86_64, 48, TABLES_AT);

    guest_table_map(&t, 0x5000, TARGET, 1, READ | WRITE);
    guest_table_map(&t, 0x6000, TARGET + 0x1000, 1, READ | WRITE);
    assert_status(guest_table_attach(&t, 1, EP_A), OK);
    g_assert_true(edu_reaches(edu, 0x5000, TARGET));
    guest_table_map(&t, 0x5000, TARGET + 0x8000, 1, READ | WRITE);
    assert_status(viommu_invalidate(v, 1, 0x5000, 0x5fff), OK);
    g_assert_false(edu_reaches(edu, 0x5000, TARGET));
    g_assert_true(edu_reaches(edu, 0x5000, TARGET + 0x8000));
    qtest_writeq(v->qts, guest_table_entry(&t, 0x5000, 1), 0);
    assert_status(viommu_invalidate(v, 1, 0, UINT64_MAX), OK);
    g_assert_false(edu_reaches(edu, 0x5000, TARGET + 0x8000));
    g_assert_true(edu_reaches(edu, 0x6000, TARGET + 0x1000));
    g_assert_cmpuint(viommu_count_of(v, "requests", "INVALIDATE"), ==, 2);
    edu_close(edu);
    viommu_stop(v);
}

static void invalidate_refused(void)
{
    Viommu *v = viommu_start(TABLES_ON, EDU_A EDU_B);
    GuestTable t = guest_table_new(v, ARM_LPAE, 39, TABLES_AT);

    assert_status(guest_table_attach(&t, 1, EP_A), OK);
    assert_status(viommu_invalidate(v, 2, 0, 0xfff), NOENT);
    assert_status(viommu_invalidate(v, 1, 0x1000, 0xfff), INVAL);
    assert_status(viommu_invalidate(v, 1, 0x800, 0xfff), RANGE);
    assert_status(viommu_invalidate(v, 1, 0, 0x7ff), RANGE);
    assert_status(viommu_attach(v, 2, EP_B), OK);
    assert_status(viommu_invalidate(v, 2, 0, 0xfff), INVAL);
    assert_status(viommu_attach_flags(v, 3, EP_B, BYPASS), OK);
    assert_status(viommu_invalidate(v, 3, 0, UINT64_MAX), INVAL);
    assert_status(viommu_invalidate(v, 1, 0, UINT64_MAX), OK);
    viommu_stop(v);
}

/* From kind to kind by ATTACH, and what each refuses */
static void switches_kinds(void)
{
    Viommu *v = viommu_start(TABLES_ON, EDU_A EDU_B);
    Edu *edu = edu_open_filled(v, EP_A);
    GuestTable t = guest_table_new(v, X86_64, 48, TABLES_AT);
    GuestTable other = guest_table_new(v, ARM_LPAE, 48, TABLES_AT + 0x10000);

    guest_table_map(&t, 0x5000, TARGET, 1, READ | WRITE);
    guest_table_map(&other, 0x5000, TARGET + 0x2000, 1, READ | WRITE);
    for (unsigned i = 0; i < 3; i++) {
        assert_status(guest_table_attach(&t, 1, EP_A), OK);
        g_assert_true(edu_reaches(edu, 0x5000, TARGET));
        assert_status(viommu_map(v, 1, 0, 0xfff, TARGET, READ), INVAL);
        assert_status(viommu_unmap(v, 1, 0, 0xfff), INVAL);
        assert_status(viommu_attach(v, 1, EP_B), INVAL);
        assert_status(guest_table_attach(&other, 1, EP_A), INVAL);
        g_assert_true(edu_reaches(edu, 0x5000, TARGET));

        assert_status(guest_table_attach(&other, 2, EP_A), OK);
        g_assert_true(edu_reaches(edu, 0x5000, TARGET + 0x2000));
        assert_status(viommu_attach(v, 3, EP_A), OK);
        g_assert_false(edu_reaches(edu, 0x5000, TARGET + 0x2000));
        assert_status(viommu_map(v, 3, 0x5000, 0x5fff, TARGET + 0x4000,
                                 READ | WRITE), OK);
        g_assert_true(edu_reaches(edu, 0x5000, TARGET + 0x4000));
        assert_status(guest_table_attach(&t, 3, EP_A), INVAL);
        assert_status(viommu_attach_flags(v, 4, EP_A, BYPASS), OK);
        g_assert_true(edu_reaches(edu, TARGET, TARGET));
        assert_status(guest_table_attach(&t, 4, EP_A), INVAL);
    }
    g_assert_cmpuint(viommu_count(v, "mappings"), ==, 0);
    edu_close(edu);
    viommu_stop(v);
}

static void bad_requests(void)
{
    Viommu *v = viommu_start(TABLES_ON ",max-domains=1", EDU_A EDU_B);
    ReqAttachTable req = {
        .type = T_ATTACH_TABLE,
        .domain = cpu_to_le32(1),
        .endpoint = cpu_to_le32(EP_A),
        .format = cpu_to_le16(X86_64),
        .input_bits = cpu_to_le16(48),
        .flags = cpu_to_le32(1),
    };

    assert_status(viommu_request(v, &req, sizeof(req)), INVAL);
    req.flags = 0;
    req.attributes = cpu_to_le64(1);
    assert_status(viommu_request(v, &req, sizeof(req)), INVAL);
    assert_status(viommu_request(v, &req, sizeof(req) - 1), INVAL);
    assert_status(viommu_attach_table(v, 1, 0x30, X86_64, 48, 0), NOENT);
    assert_status(viommu_attach_table(v, 1, EP_A, 0, 48, 0), UNSUPP);
    assert_status(viommu_attach_table(v, 1, EP_A, 3, 48, 0), UNSUPP);
    assert_status(viommu_attach_table(v, 1, EP_A, 0xffff, 0xffff, -1),
                  UNSUPP);
    assert_status(viommu_attach_table(v, 1, EP_A, X86_64, 39, 0), UNSUPP);
    assert_status(viommu_attach_table(v, 1, EP_A, ARM_LPAE, 57, 0), UNSUPP);
    assert_status(viommu_attach_table(v, 1, EP_A, X86_64, 48, 0x800), RANGE);
    assert_status(viommu_attach_table(v, 1, EP_A, X86_64, 48, 1ULL << 52),
                  RANGE);
    assert_state(v, EP_A, "bypass");
    assert_status(viommu_attach_table(v, 1, EP_A, X86_64, 48, 0), OK);
    assert_status(viommu_attach_table(v, 2, EP_B, X86_64, 48, 0), NOMEM);
    g_assert_cmpuint(viommu_count_of(v, "mistakes", "format"), ==, 5);
    viommu_stop(v);
}

/* Nothing of this is reached through a table that cannot be one */
static void assert_reaches_nothing(Edu *edu, uint32_t domain, uint64_t root)
{
    static const uint64_t iovas[] = {
        0, 0x5000, 0x8080604000, 0x3ffffffff8, 0x7ffffffff000,
        0xffff800000000000, UINT64_MAX - 7,
    };
    Viommu *v = edu->v;

    for (unsigned i = 0; i < shapes_count; i++) {
        uint8_t status = viommu_attach_table(v, domain + i, EP_A,
                                             shapes[i].format,
                                             shapes[i].bits, root);

        if (root >> (shapes[i].format == X86_64 ? 52 : 48)) {
            assert_status(status, RANGE);
            continue;
        }
        assert_status(status, OK);
        for (unsigned j = 0; j < ARRAY_SIZE(iovas); j++) {
            uint64_t before = viommu_faults(v);

            edu_load(edu, iovas[j], 8);
            g_assert_cmpuint(viommu_faults(v), ==, before + 1);
            edu_store(edu, iovas[j], 8);
            g_assert_cmpuint(viommu_faults(v), ==, before + 2);
        }
    }
    viommu_assert_alive(v);
}

static void no_memory(void)
{
    Viommu *v = viommu_start(TABLES_ON, EDU_A);
    Edu *edu = edu_open_filled(v, EP_A);

    /* registers: of the endpoint, of the IOMMU; and none at all */
    assert_reaches_nothing(edu, 10, edu->bar.addr);
    assert_reaches_nothing(edu, 20, board_register(v, BOARD_CONFIG) & -4096);
    assert_reaches_nothing(edu, 30, board_register(v, BOARD_NOTIFY) & -4096);
    assert_reaches_nothing(edu, 40, RAM + 0x10000000);
    assert_reaches_nothing(edu, 50, (1ULL << 48) - 4096);
    assert_reaches_nothing(edu, 60, (1ULL << 52) - 4096);
    assert_reaches_nothing(edu, 70, UINT64_MAX - 4095);
    edu_close(edu);
    viommu_stop(v);
}

static void hostile_entries(void)
{
    Viommu *v = viommu_start(TABLES_ON, EDU_A);
    Edu *edu = edu_open_filled(v, EP_A);

    qtest_memset(v->qts, TABLES_AT, 0xff, 0x10000);
    assert_reaches_nothing(edu, 10, TABLES_AT);
    qtest_memset(v->qts, TABLES_AT, 0xfe, 0x10000);
    assert_reaches_nothing(edu, 20, TABLES_AT);
    edu_close(edu);
    viommu_stop(v);
}

/* A walk ends at the last level, whatever it meets there */
static void points_to_itself(void)
{
    Viommu *v = viommu_start(TABLES_ON, EDU_A);
    Edu *edu = edu_open_filled(v, EP_A);

    for (unsigned i = 0; i < shapes_count; i++) {
        uint64_t at = TABLES_AT + i * 4096;

        for (unsigned n = 0; n < 512; n++) {
            qtest_writeq(v->qts, at + n * 8,
                         at | (shapes[i].format == X86_64 ? 0x67 : 0x443));
        }
        assert_status(viommu_attach_table(v, i, EP_A, shapes[i].format,
                                          shapes[i].bits, at), OK);
        g_assert_true(edu_reaches(edu, shapes[i].iova + 0x800, at + 0x800));
    }
    viommu_assert_alive(v);
    edu_close(edu);
    viommu_stop(v);
}

static void msi_and_ranges(void)
{
    Viommu *v = viommu_start(TABLES_ON ",aw-bits=39", EDU_A);
    Edu *edu = edu_open_filled(v, EP_A);
    GuestTable t = guest_table_new(v, X86_64, 48, TABLES_AT);

    /* neither interrupts nor what is beyond the range go by the table */
    guest_table_map(&t, MSI_FIRST, TARGET, 1, READ | WRITE);
    guest_table_map(&t, 0x8000000000, TARGET, 1, READ | WRITE);
    guest_table_map(&t, 0x7ffffff000, TARGET, 1, READ | WRITE);
    assert_status(guest_table_attach(&t, 1, EP_A), OK);
    g_assert_false(edu_reaches(edu, MSI_FIRST + 0x100, TARGET + 0x100));
    g_assert_cmpuint(viommu_faults(v), ==, 0);
    g_assert_false(edu_reaches(edu, 0x8000000000, TARGET));
    g_assert_cmpuint(viommu_faults(v), ==, 1);
    g_assert_true(edu_reaches(edu, 0x7ffffff000, TARGET));
    edu_close(edu);
    viommu_stop(v);
}

static void resets(void)
{
    Viommu *v = viommu_start(TABLES_ON, EDU_A);
    Edu *edu = edu_open_filled(v, EP_A);
    GuestTable t = guest_table_new(v, X86_64, 48, TABLES_AT);

    guest_table_map(&t, 0x5000, TARGET, 1, READ | WRITE);
    for (unsigned i = 0; i < 2; i++) {
        QDict *domains;

        viommu_set_bypass(v, i);
        assert_status(guest_table_attach(&t, 1, EP_A), OK);
        g_assert_true(edu_reaches(edu, 0x5000, TARGET));
        viommu_set_status(v, 0);
        domains = viommu_get(v, "domains");
        g_assert_true(qlist_empty(qdict_get_qlist(domains, "return")));
        qobject_unref(domains);
        g_assert_false(edu_reaches(edu, 0x5000, TARGET));
        g_assert_cmpint(edu_reaches(edu, TARGET, TARGET), ==, i);
        viommu_negotiate(v, ALL_FEATURES);
        assert_status(viommu_invalidate(v, 1, 0, 0xfff), NOENT);
    }
    assert_status(guest_table_attach(&t, 1, EP_A), OK);
    qtest_system_reset(v->qts);
    viommu_map_registers(v);
    assert_state(v, EP_A, "bypass");
    viommu_negotiate(v, ALL_FEATURES);
    assert_status(viommu_invalidate(v, 1, 0, 0xfff), NOENT);
    edu_close(edu);
    viommu_stop(v);
}

static void is_shown(void)
{
    Viommu *v = viommu_start(TABLES_ON, EDU_A);
    QDict *answer, *domain;

    assert_status(viommu_attach_table(v, 7, EP_A, ARM_LPAE, 40, TABLES_AT),
                  OK);
    answer = viommu_get(v, "domains");
    domain = qobject_to(QDict, qlist_peek(qdict_get_qlist(answer, "return")));
    g_assert_cmpstr(qdict_get_str(domain, "kind"), ==, "table");
    g_assert_cmpint(qdict_get_int(domain, "mappings"), ==, 0);
    qobject_unref(answer);
    g_assert_cmpuint(viommu_count_of(v, "requests", "ATTACH_TABLE"), ==, 1);
    viommu_stop(v);
}

static void is_logged(void)
{
    g_autofree char *path = g_strdup_printf("%s/pviommu-tables-%d",
                                            g_get_tmp_dir(), getpid());
    g_autofree char *properties = g_strdup_printf(TABLES_ON
                                                  ",requests-log=%s", path);
    g_autofree char *wanted = g_strdup_printf(
        "ATTACH_TABLE domain=7 endpoint=0x%x flags=0x3 format=2 input-bits=40 "
        "root=0x%" PRIx64 " attributes=0x1122334455667788 status=INVAL host=-\n"
        "ATTACH_TABLE domain=7 endpoint=0x%x flags=0x0 format=2 input-bits=40 "
        "root=0x%" PRIx64 " attributes=0x0 status=OK host=ok\n"
        "INVALIDATE domain=7 first=0x1000 last=0x2fff status=OK host=ok\n"
        "INVALIDATE domain=8 first=0x1000 last=0x2fff status=NOENT host=-\n",
        EP_A, TABLES_AT, EP_A, TABLES_AT);
    g_autofree char *text = NULL;
    Viommu *v = viommu_start(properties, EDU_A);
    ReqAttachTable req = {
        .type = T_ATTACH_TABLE,
        .domain = cpu_to_le32(7),
        .endpoint = cpu_to_le32(EP_A),
        .flags = cpu_to_le32(3),
        .root = cpu_to_le64(TABLES_AT),
        .attributes = cpu_to_le64(0x1122334455667788),
        .format = cpu_to_le16(ARM_LPAE),
        .input_bits = cpu_to_le16(40),
    };

    assert_status(viommu_request(v, &req, sizeof(req)), INVAL);
    assert_status(viommu_attach_table(v, 7, EP_A, ARM_LPAE, 40, TABLES_AT),
                  OK);
    assert_status(viommu_invalidate(v, 7, 0x1000, 0x2fff), OK);
    assert_status(viommu_invalidate(v, 8, 0x1000, 0x2fff), NOENT);
    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    g_assert_cmpstr(text, ==, wanted);
    viommu_stop(v);
    unlink(path);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("guest-tables/off-by-default", off_by_default);
    ADD("guest-tables/not-negotiated", not_negotiated);
    ADD("guest-tables/offered", offered);
    ADD("guest-tables/translates", translates);
    ADD("guest-tables/big-pages", big_pages);
    ADD("guest-tables/permissions", permissions);
    ADD("guest-tables/invalidate", invalidate);
    ADD("guest-tables/invalidate-refused", invalidate_refused);
    ADD("guest-tables/switches-kinds", switches_kinds);
    ADD("guest-tables/bad-requests", bad_requests);
    ADD("guest-tables/no-memory", no_memory);
    ADD("guest-tables/hostile-entries", hostile_entries);
    ADD("guest-tables/points-to-itself", points_to_itself);
    ADD("guest-tables/msi-and-ranges", msi_and_ranges);
    ADD("guest-tables/resets", resets);
    ADD("guest-tables/is-shown", is_shown);
    ADD("guest-tables/is-logged", is_logged);
    return g_test_run();
}
