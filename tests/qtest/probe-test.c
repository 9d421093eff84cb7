/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * PROBE: what an endpoint's reserved regions are
 *
 * R-PROBE-* of docs/specs/pviommu.md.
 */
#include "qemu/osdep.h"

#include "edu.h"

#define MSI VIRTIO_IOMMU_RESV_MEM_T_MSI
#define RESERVED VIRTIO_IOMMU_RESV_MEM_T_RESERVED

#define REGIONS(list) "\"reserved-regions\": [" list "]"

typedef struct Region {
    uint8_t type;
    uint64_t first;
    uint64_t last;
} Region;

/* The region that every machine has for interrupts */
#define THE_MSI (&(Region) { MSI, MSI_FIRST, MSI_LAST })

/* The properties are these regions, in this order, and zeros behind them */
static void assert_regions(const uint8_t *properties, const Region *regions,
                           unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        struct virtio_iommu_probe_resv_mem p;

        memcpy(&p, properties + i * sizeof(p), sizeof(p));
        g_assert_cmphex(le16_to_cpu(p.head.type), ==,
                        VIRTIO_IOMMU_PROBE_T_RESV_MEM);
        g_assert_cmpuint(le16_to_cpu(p.head.length), ==, 20);
        g_assert_cmpuint(p.subtype, ==, regions[i].type);
        g_assert_cmphex(p.reserved[0] | p.reserved[1] | p.reserved[2], ==, 0);
        g_assert_cmphex(le64_to_cpu(p.start), ==, regions[i].first);
        g_assert_cmphex(le64_to_cpu(p.end), ==, regions[i].last);
    }
    for (unsigned i = count * 24; i < VIOMMU_PROBE_SIZE; i++) {
        g_assert_cmphex(properties[i], ==, 0);
    }
}

static void assert_probe(Viommu *v, const Region *regions, unsigned count)
{
    uint8_t properties[VIOMMU_PROBE_SIZE];

    assert_status(viommu_probe(v, EP_A, properties), OK);
    assert_regions(properties, regions, count);
}

static void msi_region(void)
{
    Viommu *v = viommu_start(NULL, EDU_A);

    assert_probe(v, THE_MSI, 1);
    /* Attached or not, and after MAPs: always the same */
    assert_status(viommu_attach(v, 1, EP_A), OK);
    assert_status(viommu_map(v, 1, 0, 0xfff, 0, READ), OK);
    assert_probe(v, THE_MSI, 1);
    viommu_stop(v);
}

static void regions_of_the_user(void)
{
    const Region both[] = {
        { MSI, MSI_FIRST, MSI_LAST },
        { RESERVED, 0x10000, 0x1ffff },
    };
    static const Region around_msi[] = {
        { MSI, 0x8000000, 0x80fffff },
        { RESERVED, 0x7000000, 0x7ffffff },
        { RESERVED, 0x8100000, 0x8ffffff },
    };
    static const Region own_msi[] = {
        { MSI, 0x8000000, 0x80fffff },
        { RESERVED, 0x10000, 0x1ffff },
        { RESERVED, 0xfffffffffffff000, UINT64_MAX },
    };
    Viommu *v = viommu_start(REGIONS("\"0x10000:0x1ffff:0\""), EDU_A);

    assert_probe(v, both, 2);
    viommu_stop(v);

    /* Whatever their order, and whatever is reserved around the MSI region */
    v = viommu_start(REGIONS("\"0x8000000:0x80fffff:1\","
                             "\"0x7000000:0x80effff:0\","
                             "\"0x8010000:0x8ffffff:0\""), EDU_A);
    assert_probe(v, around_msi, 3);
    viommu_stop(v);

    v = viommu_start(REGIONS("\"0x10000:0x1ffff:0\","
                             "\"0xfffffffffffff000:0xffffffffffffffff:0\","
                             "\"0x8000000:0x80fffff:1\""), EDU_A);
    assert_probe(v, own_msi, 3);
    assert_status(viommu_attach(v, 1, EP_A), OK);
    assert_status(viommu_map(v, 1, 0xfee00000, 0xfee00fff, 0, READ), OK);
    assert_status(viommu_map(v, 1, 0x8000000, 0x8000fff, 0, READ), INVAL);
    assert_status(viommu_map(v, 1, 0xf000, 0x10fff, 0, READ), INVAL);
    assert_status(viommu_map(v, 1, 0xf000, 0xffff, 0, READ), OK);
    assert_status(viommu_map(v, 1, 0x20000, 0x20fff, 0, READ), OK);
    assert_status(viommu_map(v, 1, -0x1000, UINT64_MAX, 0, READ), INVAL);
    assert_status(viommu_map(v, 1, -0x2000, -0x1001, 0, READ), OK);
    viommu_stop(v);
}

/* More than the buffer holds: neighbours are joined, none is lost */
static void too_many_regions(void)
{
    g_autoptr(GString) properties = g_string_new(NULL);
    uint8_t buffer[VIOMMU_PROBE_SIZE];
    unsigned covered = 0;
    Viommu *v;

    for (unsigned i = 0; i < 40; i++) {
        g_string_append_printf(properties, "%s\"0x%x:0x%x:0\"",
                               i ? "," : "\"reserved-regions\": [",
                               (i + 1) << 20, ((i + 1) << 20) + 0xfff);
    }
    g_string_append_c(properties, ']');
    v = viommu_start(properties->str, EDU_A);
    assert_status(viommu_probe(v, EP_A, buffer), OK);
    for (unsigned i = 0; i < VIOMMU_PROBE_SIZE / 24; i++) {
        struct virtio_iommu_probe_resv_mem p;

        memcpy(&p, buffer + i * sizeof(p), sizeof(p));
        g_assert_cmphex(le16_to_cpu(p.head.type), ==,
                        VIRTIO_IOMMU_PROBE_T_RESV_MEM);
        for (unsigned j = 0; j < 40; j++) {
            uint64_t first = (j + 1ULL) << 20;

            covered += p.subtype == RESERVED &&
                       le64_to_cpu(p.start) <= first &&
                       le64_to_cpu(p.end) >= first + 0xfff;
        }
    }
    g_assert_cmpuint(covered, ==, 40);
    viommu_stop(v);
}

static void absent_endpoint(void)
{
    Viommu *v = viommu_start(NULL, EDU_A);
    static const uint32_t absent[] = { EP_B, 0x10000 + EP_A, 0xffffffff };
    uint8_t buffer[VIOMMU_PROBE_SIZE];

    for (unsigned i = 0; i < ARRAY_SIZE(absent); i++) {
        assert_status(viommu_probe(v, absent[i], buffer), NOENT);
        assert_regions(buffer, NULL, 0);
    }
    assert_probe(v, THE_MSI, 1);
    viommu_stop(v);
}

/* Too small for the properties: none is written, INVAL at the end */
static void short_properties(void)
{
    static const size_t sizes[] = { 4, 8, 64, VIOMMU_PROBE_SIZE + 3 };
    Viommu *v = viommu_start(NULL, EDU_A);
    struct virtio_iommu_req_probe req = {
        .head.type = VIRTIO_IOMMU_T_PROBE, .endpoint = cpu_to_le32(EP_A),
    };

    for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
        uint8_t in[VIOMMU_PROBE_SIZE + 4];

        memset(in, 0xaa, sizeof(in));
        g_assert_cmpuint(viommu_send(v, &(ViommuBuffers) {
            .out = &req, .out_size = sizeof(req),
            .in = in, .in_size = sizes[i],
        }), ==, sizes[i]);
        for (size_t j = 0; j < sizes[i]; j++) {
            g_assert_cmphex(in[j], ==, j == sizes[i] - 4
                            ? VIRTIO_IOMMU_S_INVAL : 0);
        }
    }
    g_assert_cmpuint(viommu_count_of(v, "mistakes", "short-properties"), ==,
                     ARRAY_SIZE(sizes));
    assert_probe(v, THE_MSI, 1);
    viommu_stop(v);
}

static void long_properties(void)
{
    Viommu *v = viommu_start(NULL, EDU_A);
    struct virtio_iommu_req_probe req = {
        .head.type = VIRTIO_IOMMU_T_PROBE, .endpoint = cpu_to_le32(EP_A),
    };
    uint8_t in[VIOMMU_PROBE_SIZE + 104];

    memset(in, 0xaa, sizeof(in));
    g_assert_cmpuint(viommu_send(v, &(ViommuBuffers) {
        .out = &req, .out_size = sizeof(req), .in = in, .in_size = sizeof(in),
    }), ==, sizeof(in));
    assert_regions(in, THE_MSI, 1);
    for (size_t i = VIOMMU_PROBE_SIZE; i < sizeof(in); i++) {
        g_assert_cmphex(in[i], ==, 0);
    }
    viommu_stop(v);
}

static void reserved_ignored(void)
{
    Viommu *v = viommu_start(NULL, EDU_A);
    struct virtio_iommu_req_probe req = {
        .head.type = VIRTIO_IOMMU_T_PROBE, .endpoint = cpu_to_le32(EP_A),
    };
    uint8_t in[VIOMMU_PROBE_SIZE + 4];

    memset(req.reserved, 0xff, sizeof(req.reserved));
    viommu_send(v, &(ViommuBuffers) {
        .out = &req, .out_size = sizeof(req), .in = in, .in_size = sizeof(in),
    });
    assert_status(in[VIOMMU_PROBE_SIZE], OK);
    assert_regions(in, THE_MSI, 1);
    viommu_stop(v);
}

static void short_request(void)
{
    Viommu *v = viommu_start(NULL, EDU_A);
    struct virtio_iommu_req_probe req = {
        .head.type = VIRTIO_IOMMU_T_PROBE, .endpoint = cpu_to_le32(EP_A),
    };
    uint8_t in[VIOMMU_PROBE_SIZE + 4];

    for (unsigned size = 4; size < sizeof(req); size += 17) {
        memset(in, 0xaa, sizeof(in));
        g_assert_cmpuint(viommu_send(v, &(ViommuBuffers) {
            .out = &req, .out_size = size, .in = in, .in_size = sizeof(in),
        }), ==, sizeof(in));
        assert_status(in[VIOMMU_PROBE_SIZE], INVAL);
        assert_regions(in, NULL, 0);
    }
    viommu_stop(v);
}

/* A store to the MSI region passes in every state, without a mapping */
static void msi_passes_in_every_state(void)
{
    /* Guest memory, so that the store can be seen */
    const uint64_t msi = RAM + 0x2000000, reserved = RAM + 0x3000000;
    g_autofree char *regions =
        g_strdup_printf(REGIONS("\"0x%" PRIx64 ":0x%" PRIx64 ":1\","
                                "\"0x%" PRIx64 ":0x%" PRIx64 ":0\""),
                        msi, msi + 0xfffff, reserved, reserved + 0xfffff);
    Viommu *v = viommu_start(regions, EDU_A);
    Edu *edu = edu_open_filled(v, EP_A);

    g_assert_true(edu_reaches(edu, msi, msi));
    g_assert_true(edu_reaches(edu, reserved, reserved));
    viommu_set_bypass(v, 0);
    g_assert_true(edu_reaches(edu, msi, msi));
    g_assert_false(edu_reaches(edu, reserved, reserved));
    assert_status(viommu_attach(v, 1, EP_A), OK);
    g_assert_true(edu_reaches(edu, msi, msi));
    viommu_event_post(v, 24, 2);
    g_assert_false(edu_reaches(edu, reserved, reserved));
    viommu_assert_fault(v, VIRTIO_IOMMU_FAULT_R_MAPPING,
                        VIRTIO_IOMMU_FAULT_F_WRITE, EP_A, reserved);
    edu_close(edu);
    viommu_stop(v);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("probe/msi-region", msi_region);
    ADD("probe/regions-of-the-user", regions_of_the_user);
    ADD("probe/too-many-regions", too_many_regions);
    ADD("probe/absent-endpoint", absent_endpoint);
    ADD("probe/short-properties", short_properties);
    ADD("probe/long-properties", long_properties);
    ADD("probe/reserved-ignored", reserved_ignored);
    ADD("probe/short-request", short_request);
    ADD("probe/msi-passes-in-every-state", msi_passes_in_every_state);
    return g_test_run();
}
