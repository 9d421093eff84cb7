/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ATTACH and DETACH: who may enter which domain, and what a refusal leaves
 *
 * R-ATTACH-* and R-DETACH-* of docs/specs/pviommu.md.
 */
#include "qemu/osdep.h"

#include "edu.h"

#define TARGET (RAM + 0x2000000)        /* guest memory to write to */
#define BYPASS VIRTIO_IOMMU_ATTACH_F_BYPASS

static void creates_paging_domain(void)
{
    Viommu *v = viommu_start(NULL, EDU_A);
    Edu *edu = edu_open_filled(v, EP_A);

    g_assert_true(edu_reaches(edu, TARGET, TARGET));
    assert_status(viommu_attach(v, 1, EP_A), OK);
    assert_state(v, EP_A, "translated");
    g_assert_false(edu_reaches(edu, TARGET, TARGET));
    assert_status(viommu_map(v, 1, 0, 0xfff, TARGET, READ | WRITE), OK);
    g_assert_true(edu_reaches(edu, 0x10, TARGET + 0x10));
    edu_close(edu);
    viommu_stop(v);
}

static void creates_bypass_domain(void)
{
    Viommu *v = viommu_start("boot-bypass=off", EDU_A EDU_B);
    Edu *edu = edu_open(v, EP_A);

    assert_state(v, EP_A, "blocked");
    assert_status(viommu_attach_flags(v, 1, EP_A, BYPASS), OK);
    assert_state(v, EP_A, "bypass");
    assert_state(v, EP_B, "blocked");
    edu_fill(edu);
    g_assert_true(edu_reaches(edu, TARGET, TARGET));
    edu_close(edu);
    viommu_stop(v);
}

static void reserved_nonzero(void)
{
    Viommu *v = viommu_start(NULL, EDU_A);
    struct virtio_iommu_req_attach req = {
        .head.type = VIRTIO_IOMMU_T_ATTACH,
        .domain = cpu_to_le32(2),
        .endpoint = cpu_to_le32(EP_A),
    };

    assert_status(viommu_attach(v, 1, EP_A), OK);
    for (unsigned i = 0; i < 4; i++) {
        req.reserved[i] = 0x80;
        assert_status(viommu_request(v, &req, offsetof(typeof(req), tail)),
                      INVAL);
        req.reserved[i] = 0;
        assert_status(viommu_map(v, 1, 0x1000 * i, 0x1000 * i + 0xfff, 0,
                                 READ), OK);
    }
    g_assert_cmpuint(viommu_count_of(v, "mistakes", "reserved"), ==, 4);
    assert_status(viommu_request(v, &req, offsetof(typeof(req), tail)), OK);
    viommu_stop(v);
}

static void unknown_flags(void)
{
    Viommu *v = viommu_start(NULL, EDU_A);

    for (unsigned bit = 1; bit < 32; bit++) {
        assert_status(viommu_attach_flags(v, 1, EP_A, 1u << bit), INVAL);
    }
    assert_state(v, EP_A, "bypass");
    g_assert_cmpuint(viommu_count_of(v, "mistakes", "flags"), ==, 31);
    assert_status(viommu_attach_flags(v, 1, EP_A, BYPASS), OK);
    viommu_stop(v);
}

static void bypass_flag_not_negotiated(void)
{
    Viommu *v = viommu_boot(NULL, EDU_A);

    viommu_negotiate(v, ~FEATURE(VIRTIO_IOMMU_F_BYPASS_CONFIG));
    assert_status(viommu_attach_flags(v, 1, EP_A, BYPASS), INVAL);
    assert_status(viommu_attach(v, 1, EP_A), OK);
    viommu_stop(v);
}

static void absent_endpoint(void)
{
    Viommu *v = viommu_start(NULL, EDU_A);
    static const uint32_t absent[] = {
        0x30, 0x21, EP_A + 0x100, 0x10000 + EP_A, 0xffff0000 + EP_A,
        0xffffffff,
    };

    for (unsigned i = 0; i < ARRAY_SIZE(absent); i++) {
        assert_status(viommu_attach(v, 1, absent[i]), NOENT);
    }
    /* The host bridge is a PCI function as any other */
    assert_status(viommu_attach(v, 1, 0), OK);
    assert_status(viommu_attach(v, 1, EP_A), OK);
    viommu_stop(v);
}

/* The IOMMU does not translate itself, so it is no endpoint */
static void own_number(void)
{
    Viommu *v = viommu_start("iommu_platform=on", EDU_A);
    uint8_t properties[VIOMMU_PROBE_SIZE];

    assert_status(viommu_attach(v, 1, VIOMMU_OWN_BDF), NOENT);
    assert_status(viommu_attach_flags(v, 1, VIOMMU_OWN_BDF, BYPASS), NOENT);
    assert_status(viommu_detach(v, 1, VIOMMU_OWN_BDF), NOENT);
    assert_status(viommu_probe(v, VIOMMU_OWN_BDF, properties), NOENT);
    assert_state(v, VIOMMU_OWN_BDF, "none");
    viommu_set_bypass(v, 0);
    viommu_assert_alive(v);
    assert_status(viommu_attach(v, 1, EP_A), OK);
    viommu_stop(v);
}

static void own_rings_with_boot_bypass_off(void)
{
    Viommu *v = viommu_start("iommu_platform=on,boot-bypass=off", EDU_A);

    g_assert_cmphex(v->features & FEATURE(VIRTIO_F_ACCESS_PLATFORM), !=, 0);
    viommu_assert_alive(v);
    assert_status(viommu_attach(v, 1, EP_A), OK);
    viommu_stop(v);
}

static void kind_disagrees(void)
{
    Viommu *v = viommu_start(NULL, EDU_A EDU_B);
    Edu *edu = edu_open_filled(v, EP_A);

    assert_status(viommu_attach(v, 1, EP_A), OK);
    assert_status(viommu_map(v, 1, 0, 0xfff, TARGET, READ | WRITE), OK);
    assert_status(viommu_attach_flags(v, 2, EP_B, BYPASS), OK);

    assert_status(viommu_attach(v, 2, EP_A), INVAL);
    g_assert_true(edu_reaches(edu, 0, TARGET));
    assert_status(viommu_attach_flags(v, 1, EP_B, BYPASS), INVAL);
    assert_state(v, EP_B, "bypass");
    /* Nor does the only endpoint of a domain turn it */
    assert_status(viommu_attach_flags(v, 1, EP_A, BYPASS), INVAL);
    assert_status(viommu_attach(v, 2, EP_B), INVAL);
    g_assert_true(edu_reaches(edu, 0, TARGET));
    g_assert_cmpuint(viommu_count_of(v, "mistakes", "domain-kind"), ==, 4);

    assert_status(viommu_attach_flags(v, 2, EP_A, BYPASS), OK);
    g_assert_true(edu_reaches(edu, TARGET + 8, TARGET + 8));
    edu_close(edu);
    viommu_stop(v);
}

static void moves_between_domains(void)
{
    Viommu *v = viommu_start(NULL, EDU_A EDU_B);
    Edu *a = edu_open_filled(v, EP_A);
    Edu *b = edu_open_filled(v, EP_B);

    assert_status(viommu_attach(v, 1, EP_A), OK);
    assert_status(viommu_attach(v, 1, EP_B), OK);
    assert_status(viommu_map(v, 1, 0, 0xfff, TARGET, READ | WRITE), OK);
    g_assert_true(edu_reaches(a, 0, TARGET));
    g_assert_true(edu_reaches(b, 0, TARGET));

    /* One moves away; the other stays as it is */
    assert_status(viommu_attach(v, 2, EP_A), OK);
    g_assert_false(edu_reaches(a, 0, TARGET));
    g_assert_true(edu_reaches(b, 0, TARGET));
    assert_status(viommu_map(v, 2, 0, 0xfff, TARGET + 0x1000,
                             READ | WRITE), OK);
    g_assert_true(edu_reaches(a, 0, TARGET + 0x1000));
    g_assert_true(edu_reaches(b, 0, TARGET));

    /* The last one leaves: the old domain ceases */
    assert_status(viommu_attach(v, 2, EP_B), OK);
    g_assert_true(edu_reaches(b, 0, TARGET + 0x1000));
    assert_status(viommu_map(v, 1, 0x5000, 0x5fff, 0, READ), NOENT);
    assert_status(viommu_attach(v, 1, EP_A), OK);
    g_assert_false(edu_reaches(a, 0, TARGET));
    g_assert_cmpuint(viommu_count(v, "mappings"), ==, 1);
    edu_close(a);
    edu_close(b);
    viommu_stop(v);
}

static void same_domain_again(void)
{
    Viommu *v = viommu_start(NULL, EDU_A);
    Edu *edu = edu_open_filled(v, EP_A);

    assert_status(viommu_attach(v, 1, EP_A), OK);
    assert_status(viommu_map(v, 1, 0, 0xfff, TARGET, READ | WRITE), OK);
    assert_status(viommu_attach(v, 1, EP_A), OK);
    g_assert_cmpuint(viommu_count(v, "mappings"), ==, 1);
    g_assert_true(edu_reaches(edu, 0, TARGET));
    assert_status(viommu_detach(v, 1, EP_A), OK);
    assert_status(viommu_detach(v, 1, EP_A), INVAL);
    edu_close(edu);
    viommu_stop(v);
}

/* A domain that is full of mappings serves whoever comes next */
static void second_endpoint_finds_mappings(void)
{
    Viommu *v = viommu_start(NULL, EDU_A EDU_B);
    Edu *b = edu_open_filled(v, EP_B);

    assert_status(viommu_attach(v, 1, EP_A), OK);
    for (unsigned i = 0; i < 100; i++) {
        assert_status(viommu_map(v, 1, i << 12, (i << 12) | 0xfff,
                                 TARGET + (99 - i) * 4096, READ | WRITE), OK);
    }
    assert_status(viommu_attach(v, 1, EP_B), OK);
    g_assert_true(edu_reaches(b, 0, TARGET + 99 * 4096));
    g_assert_true(edu_reaches(b, 0x63fff, TARGET + 0xfff));
    g_assert_false(edu_reaches(b, TARGET, TARGET));
    edu_close(b);
    viommu_stop(v);
}

static void same_reserved_regions(void)
{
    Viommu *v = viommu_start(NULL, EDU_A EDU_B);

    assert_status(viommu_attach(v, 1, EP_A), OK);
    assert_status(viommu_map(v, 1, 0xfedff000, 0xfedfffff, 0, READ), OK);
    /* Same regions: no conflict, though neither may map there */
    assert_status(viommu_attach(v, 1, EP_B), OK);
    viommu_stop(v);
}

static void any_domain_number(void)
{
    static const uint32_t ids[] = { 0, 1, 0x7fffffff, 0xffffffff };
    Viommu *v = viommu_start(NULL, EDU_A);

    for (unsigned i = 0; i < ARRAY_SIZE(ids); i++) {
        assert_status(viommu_attach(v, ids[i], EP_A), OK);
        assert_status(viommu_map(v, ids[i], 0, 0xfff, 0, READ), OK);
        g_assert_cmpuint(viommu_count(v, "mappings"), ==, 1);
    }
    assert_status(viommu_detach(v, 0xffffffff, EP_A), OK);
    viommu_stop(v);
}

static void domain_quota(void)
{
    Viommu *v = viommu_start("max-domains=2", EDU_A EDU_B
                             "-device edu,addr=6.0 ");

    assert_status(viommu_attach(v, 1, EP_A), OK);
    assert_status(viommu_attach(v, 2, EP_B), OK);
    assert_status(viommu_attach(v, 3, 0x30), NOMEM);
    assert_state(v, 0x30, "bypass");
    assert_status(viommu_attach(v, 2, 0x30), OK);
    assert_status(viommu_attach(v, 3, EP_B), NOMEM);
    assert_status(viommu_map(v, 2, 0, 0xfff, 0, READ), OK);
    /* One that gives up its domain by moving may have another */
    assert_status(viommu_attach(v, 3, EP_A), OK);
    assert_status(viommu_map(v, 1, 0, 0xfff, 0, READ), NOENT);
    assert_status(viommu_detach(v, 3, EP_A), OK);
    assert_status(viommu_attach(v, 4, EP_B), OK);
    g_assert_cmpuint(viommu_count_of(v, "mistakes", "max-domains"), ==, 2);
    viommu_stop(v);
}

static void detach_ignores_reserved(void)
{
    Viommu *v = viommu_start(NULL, EDU_A);
    struct virtio_iommu_req_detach req = {
        .head.type = VIRTIO_IOMMU_T_DETACH,
        .domain = cpu_to_le32(1),
        .endpoint = cpu_to_le32(EP_A),
    };

    memset(req.reserved, 0xff, sizeof(req.reserved));
    assert_status(viommu_attach(v, 1, EP_A), OK);
    assert_status(viommu_request(v, &req, offsetof(typeof(req), tail)), OK);
    assert_state(v, EP_A, "bypass");
    viommu_stop(v);
}

static void detach_refused(void)
{
    Viommu *v = viommu_start(NULL, EDU_A EDU_B);

    assert_status(viommu_detach(v, 1, EP_A), INVAL);
    assert_status(viommu_attach(v, 1, EP_A), OK);
    assert_status(viommu_detach(v, 1, EP_B), INVAL);
    assert_status(viommu_attach(v, 2, EP_B), OK);
    assert_status(viommu_detach(v, 1, EP_B), INVAL);
    assert_status(viommu_detach(v, 3, EP_B), INVAL);
    assert_status(viommu_detach(v, 1, 0x30), NOENT);
    assert_state(v, EP_A, "translated");
    assert_state(v, EP_B, "translated");
    assert_status(viommu_detach(v, 2, EP_B), OK);
    assert_status(viommu_detach(v, 1, EP_A), OK);
    viommu_stop(v);
}

/* With bypass back to identity, without it to faults */
static void detach_returns_to_bypass_field(void)
{
    Viommu *v = viommu_start(NULL, EDU_A);
    Edu *edu = edu_open_filled(v, EP_A);

    for (unsigned bypass = 0; bypass < 2; bypass++) {
        viommu_set_bypass(v, bypass);
        assert_status(viommu_attach(v, 1, EP_A), OK);
        assert_status(viommu_map(v, 1, 0, 0xfff, TARGET, READ | WRITE), OK);
        g_assert_true(edu_reaches(edu, 0, TARGET));
        assert_status(viommu_detach(v, 1, EP_A), OK);
        g_assert_false(edu_reaches(edu, 0, TARGET));
        g_assert_cmpint(edu_reaches(edu, TARGET, TARGET), ==, bypass);
        assert_state(v, EP_A, bypass ? "bypass" : "blocked");
    }
    edu_close(edu);
    viommu_stop(v);
}

static void last_detach_forgets_domain(void)
{
    Viommu *v = viommu_start(NULL, EDU_A EDU_B);

    assert_status(viommu_attach(v, 1, EP_A), OK);
    assert_status(viommu_attach(v, 1, EP_B), OK);
    assert_status(viommu_map(v, 1, 0, 0xfff, 0, READ), OK);
    assert_status(viommu_detach(v, 1, EP_A), OK);
    g_assert_cmpuint(viommu_count(v, "mappings"), ==, 1);
    assert_status(viommu_detach(v, 1, EP_B), OK);
    g_assert_cmpuint(viommu_count(v, "mappings"), ==, 0);
    g_assert_cmpuint(viommu_count(v, "mapped-bytes"), ==, 0);
    assert_status(viommu_unmap(v, 1, 0, 0xfff), NOENT);
    assert_status(viommu_attach_flags(v, 1, EP_A, BYPASS), OK);
    assert_status(viommu_map(v, 1, 0, 0xfff, 0, READ), INVAL);
    assert_status(viommu_detach(v, 1, EP_A), OK);
    assert_status(viommu_attach(v, 1, EP_A), OK);
    assert_status(viommu_map(v, 1, 0, 0xfff, 0, READ), OK);
    viommu_stop(v);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("attach/creates-paging-domain", creates_paging_domain);
    ADD("attach/creates-bypass-domain", creates_bypass_domain);
    ADD("attach/reserved-nonzero", reserved_nonzero);
    ADD("attach/unknown-flags", unknown_flags);
    ADD("attach/bypass-flag-not-negotiated", bypass_flag_not_negotiated);
    ADD("attach/absent-endpoint", absent_endpoint);
    ADD("attach/own-number", own_number);
    ADD("attach/own-rings-with-boot-bypass-off",
        own_rings_with_boot_bypass_off);
    ADD("attach/kind-disagrees", kind_disagrees);
    ADD("attach/moves-between-domains", moves_between_domains);
    ADD("attach/same-domain-again", same_domain_again);
    ADD("attach/second-endpoint-finds-mappings",
        second_endpoint_finds_mappings);
    ADD("attach/same-reserved-regions-no-conflict",
        same_reserved_regions);
    ADD("attach/any-domain-number", any_domain_number);
    ADD("attach/domain-quota", domain_quota);
    ADD("detach/ignores-reserved", detach_ignores_reserved);
    ADD("detach/refused", detach_refused);
    ADD("detach/returns-to-bypass-field", detach_returns_to_bypass_field);
    ADD("detach/last-one-forgets-domain", last_detach_forgets_domain);
    return g_test_run();
}
