/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Requests as descriptor chains: how they are cut, too short, too long
 *
 * R-REQ-* of docs/specs/pviommu.md.
 */
#include "qemu/osdep.h"

#include "edu.h"

#define ATTACH_SIZE offsetof(struct virtio_iommu_req_attach, tail)
#define MAP_SIZE offsetof(struct virtio_iommu_req_map, tail)

static struct virtio_iommu_req_attach attach_request(uint32_t domain)
{
    return (struct virtio_iommu_req_attach) {
        .head.type = VIRTIO_IOMMU_T_ATTACH,
        .domain = cpu_to_le32(domain),
        .endpoint = cpu_to_le32(EP_A),
    };
}

static struct virtio_iommu_req_map map_request(uint64_t first)
{
    return (struct virtio_iommu_req_map) {
        .head.type = VIRTIO_IOMMU_T_MAP,
        .domain = cpu_to_le32(1),
        .virt_start = cpu_to_le64(first),
        .virt_end = cpu_to_le64(first + 0xfff),
        .phys_start = cpu_to_le64(RAM + 0x100000),
        .flags = cpu_to_le32(READ | WRITE),
    };
}

static struct virtio_iommu_req_unmap unmap_request(uint64_t first)
{
    return (struct virtio_iommu_req_unmap) {
        .head.type = VIRTIO_IOMMU_T_UNMAP,
        .domain = cpu_to_le32(1),
        .virt_start = cpu_to_le64(first),
        .virt_end = cpu_to_le64(first + 0xfff),
    };
}

static struct virtio_iommu_req_detach detach_request(void)
{
    return (struct virtio_iommu_req_detach) {
        .head.type = VIRTIO_IOMMU_T_DETACH,
        .domain = cpu_to_le32(1),
        .endpoint = cpu_to_le32(EP_A),
    };
}

/* One of each type, cut as @shape says, has its effect and its answer */
static void send_all_types(Viommu *v, ViommuBuffers shape, uint8_t reserved)
{
    struct virtio_iommu_req_attach attach = attach_request(1);
    struct virtio_iommu_req_map map = map_request(0x1000);
    struct virtio_iommu_req_unmap unmap = unmap_request(0x1000);
    struct virtio_iommu_req_detach detach = detach_request();
    struct virtio_iommu_req_probe probe = {
        .head.type = VIRTIO_IOMMU_T_PROBE, .endpoint = cpu_to_le32(EP_A),
    };
    struct {
        void *out;
        size_t size;
        size_t in;
        uint64_t mappings;
        uint64_t domains;
    } cases[] = {
        { &attach, ATTACH_SIZE, 4, 0, 1 },
        { &map, MAP_SIZE, 4, 1, 1 },
        { &probe, sizeof(probe), VIOMMU_PROBE_SIZE + 4, 1, 1 },
        { &unmap, offsetof(typeof(unmap), tail), 4, 0, 1 },
        { &detach, offsetof(typeof(detach), tail), 4, 0, 0 },
    };

    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        uint8_t in[VIOMMU_PROBE_SIZE + 4];
        uint8_t *tail = in + cases[i].in - 4;

        memset(in, 0xaa, sizeof(in));
        memset((uint8_t *)cases[i].out + 1, reserved, 3);
        shape.out = cases[i].out;
        shape.out_size = cases[i].size;
        shape.in = in;
        shape.in_size = cases[i].in;
        if (shape.in_piece && !shape.indirect && cases[i].in > 4) {
            shape.in_piece = 7;     /* or the ring would be too short */
        }
        g_assert_cmpuint(viommu_send(v, &shape), ==, cases[i].in);
        assert_status(tail[0], OK);
        g_assert_cmphex(tail[1] | tail[2] | tail[3], ==, 0);
        g_assert_cmpuint(viommu_count(v, "mappings"), ==,
                         cases[i].mappings);
        if (cases[i].in > 4) {
            g_assert_cmphex(lduw_le_p(in), ==, VIRTIO_IOMMU_PROBE_T_RESV_MEM);
            g_assert_cmphex(in[VIOMMU_PROBE_SIZE - 1], ==, 0);
        }
    }
}

static void whole(void)
{
    Viommu *v = viommu_start(NULL, EDU_A);

    send_all_types(v, (ViommuBuffers) { 0 }, 0);
    viommu_stop(v);
}

static void head_reserved_nonzero(void)
{
    Viommu *v = viommu_start(NULL, EDU_A);

    send_all_types(v, (ViommuBuffers) { 0 }, 0xff);
    viommu_stop(v);
}

static void every_byte_a_descriptor(void)
{
    Viommu *v = viommu_start(NULL, EDU_A);

    send_all_types(v, (ViommuBuffers) { .out_piece = 1, .in_piece = 1 }, 0);
    send_all_types(v, (ViommuBuffers) { .out_piece = 3 }, 0);
    send_all_types(v, (ViommuBuffers) { .in_piece = 3 }, 0);
    viommu_stop(v);
}

static void indirect(void)
{
    Viommu *v = viommu_start(NULL, EDU_A);

    send_all_types(v, (ViommuBuffers) { .indirect = true }, 0);
    send_all_types(v, (ViommuBuffers) {
        .indirect = true, .out_piece = 1, .in_piece = 1,
    }, 0);
    send_all_types(v, (ViommuBuffers) {
        .indirect = true, .out_piece = 5, .in_piece = 9,
    }, 0);
    viommu_stop(v);
}

static void unknown_type(void)
{
    static const uint8_t types[] = { 0, 6, 7, 127, 255 };
    Viommu *v = viommu_start(NULL, EDU_A);

    for (unsigned i = 0; i < ARRAY_SIZE(types); i++) {
        uint8_t out[72] = { types[i] };
        uint8_t in[32], pattern[32];

        memset(pattern, 0x5a, sizeof(pattern));
        memcpy(in, pattern, sizeof(in));
        g_assert_cmpuint(viommu_send(v, &(ViommuBuffers) {
            .out = out, .out_size = sizeof(out),
            .in = in, .in_size = sizeof(in),
        }), ==, 0);
        g_assert_cmpmem(in, sizeof(in), pattern, sizeof(pattern));
        viommu_assert_alive(v);
    }
    g_assert_cmpuint(viommu_count_of(v, "mistakes", "unknown-type"), ==,
                     ARRAY_SIZE(types));
    g_assert_cmpuint(viommu_count_of(v, "requests", "unknown"), ==,
                     ARRAY_SIZE(types));
    viommu_stop(v);
}

static void no_room_for_tail(void)
{
    Viommu *v = viommu_start(NULL, EDU_A);
    struct virtio_iommu_req_attach req = attach_request(1);
    static const struct {
        size_t out;
        size_t in;
    } cases[] = {
        { 3, 4 }, { 1, 4 }, { 0, 4 }, { 0, 1 }, { 3, 3 },
        { ATTACH_SIZE, 3 }, { ATTACH_SIZE, 1 }, { ATTACH_SIZE, 0 },
    };

    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        uint8_t in[4] = { 0x5a, 0x5a, 0x5a, 0x5a };

        g_assert_cmpuint(viommu_send(v, &(ViommuBuffers) {
            .out = &req, .out_size = cases[i].out,
            .in = in, .in_size = cases[i].in,
        }), ==, 0);
        for (unsigned j = 0; j < cases[i].in; j++) {
            g_assert_cmphex(in[j], ==, 0x5a);
        }
        viommu_assert_alive(v);
    }
    assert_state(v, EP_A, "bypass");       /* no ATTACH was done */
    g_assert_cmpuint(viommu_count_of(v, "mistakes", "short-head"), ==, 5);
    g_assert_cmpuint(viommu_count_of(v, "mistakes", "no-tail"), ==, 5);
    assert_status(viommu_attach(v, 1, EP_A), OK);
    viommu_stop(v);
}

/* A body one byte short, of every type, from no body at all */
static void short_body(void)
{
    Viommu *v = viommu_start(NULL, EDU_A);
    struct virtio_iommu_req_map map = map_request(0x1000);
    struct virtio_iommu_req_attach attach = attach_request(1);
    struct virtio_iommu_req_unmap unmap = unmap_request(0x1000);
    struct virtio_iommu_req_detach detach = detach_request();

    for (size_t size = 4; size < ATTACH_SIZE; size++) {
        assert_status(viommu_request(v, &attach, size), INVAL);
    }
    assert_status(viommu_map(v, 1, 0, 0xfff, 0, READ), NOENT);
    assert_status(viommu_request(v, &attach, ATTACH_SIZE), OK);

    for (size_t size = 4; size < MAP_SIZE; size++) {
        assert_status(viommu_request(v, &map, size), INVAL);
    }
    g_assert_cmpuint(viommu_count(v, "mappings"), ==, 0);
    assert_status(viommu_request(v, &map, MAP_SIZE), OK);

    for (size_t size = 4; size < offsetof(typeof(unmap), tail); size++) {
        assert_status(viommu_request(v, &unmap, size), INVAL);
    }
    g_assert_cmpuint(viommu_count(v, "mappings"), ==, 1);

    for (size_t size = 4; size < offsetof(typeof(detach), tail); size++) {
        assert_status(viommu_request(v, &detach, size), INVAL);
    }
    assert_state(v, EP_A, "translated");
    g_assert_cmpuint(viommu_count_of(v, "mistakes", "short-body"), ==,
                     16 + 32 + 24 + 16);
    viommu_stop(v);
}

static void long_body(void)
{
    Viommu *v = viommu_start(NULL, EDU_A);
    uint8_t out[4096];
    struct virtio_iommu_req_attach req = attach_request(1);

    memset(out, 0xff, sizeof(out));
    memcpy(out, &req, ATTACH_SIZE);
    assert_status(viommu_request(v, out, ATTACH_SIZE + 1), OK);
    assert_status(viommu_request(v, out, sizeof(out)), OK);
    g_assert_cmpuint(viommu_count_of(v, "mistakes", "long-body"), ==, 2);
    viommu_stop(v);
}

/* The tail is the last four bytes, those before are zero */
static void long_tail(void)
{
    static const size_t sizes[] = { 5, 8, 100, 4096, 65536 };
    Viommu *v = viommu_start(NULL, EDU_A);
    struct virtio_iommu_req_attach req = attach_request(1);

    for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
        g_autofree uint8_t *in = g_malloc(sizes[i]);

        memset(in, 0xaa, sizes[i]);
        g_assert_cmpuint(viommu_send(v, &(ViommuBuffers) {
            .out = &req, .out_size = ATTACH_SIZE,
            .in = in, .in_size = sizes[i], .in_piece = 4096,
        }), ==, sizes[i]);
        for (size_t j = 0; j < sizes[i]; j++) {
            g_assert_cmphex(in[j], ==, 0);      /* OK is 0 as well */
        }
        in[sizes[i] - 4] = 0xaa;
        req.reserved[0] = 1;
        viommu_send(v, &(ViommuBuffers) {
            .out = &req, .out_size = ATTACH_SIZE,
            .in = in, .in_size = sizes[i],
        });
        assert_status(in[sizes[i] - 4], INVAL);
        req.reserved[0] = 0;
    }
    g_assert_cmpuint(viommu_count_of(v, "mistakes", "long-tail"), ==,
                     2 * ARRAY_SIZE(sizes));
    viommu_stop(v);
}

/* More than a driver could mean: unwritten, and nothing was done */
static void huge_tail(void)
{
    Viommu *v = viommu_start(NULL, EDU_A);
    struct virtio_iommu_req_attach req = attach_request(1);

    g_assert_cmpuint(viommu_send(v, &(ViommuBuffers) {
        .out = &req, .out_size = ATTACH_SIZE, .in_size = 1024 * 1024,
    }), ==, 0);
    assert_state(v, EP_A, "bypass");
    g_assert_cmpuint(viommu_count_of(v, "mistakes", "huge-buffer"), ==, 1);
    viommu_assert_alive(v);
    viommu_stop(v);
}

static void all_ones(void)
{
    Viommu *v = viommu_start(NULL, EDU_A);
    uint8_t out[72];

    memset(out, 0xff, sizeof(out));
    for (unsigned type = 1; type <= 5; type++) {
        uint8_t in[VIOMMU_PROBE_SIZE + 4];
        static const char *const statuses[] = {
            "", "INVAL", "NOENT", "INVAL", "INVAL", "NOENT",
        };
        size_t size = type == 5 ? sizeof(in) : 4;

        out[0] = type;
        g_assert_cmpuint(viommu_send(v, &(ViommuBuffers) {
            .out = out, .out_size = sizeof(out), .in = in, .in_size = size,
        }), ==, size);
        g_assert_cmpstr(viommu_status_name(in[size - 4]), ==,
                        statuses[type]);
    }
    g_assert_cmpuint(viommu_count(v, "mappings"), ==, 0);
    viommu_assert_alive(v);
    viommu_stop(v);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("framing/whole", whole);
    ADD("framing/head-reserved-nonzero", head_reserved_nonzero);
    ADD("framing/every-byte-a-descriptor", every_byte_a_descriptor);
    ADD("framing/indirect", indirect);
    ADD("framing/unknown-type-unwritten", unknown_type);
    ADD("framing/no-room-for-tail-unwritten", no_room_for_tail);
    ADD("framing/short-body", short_body);
    ADD("framing/long-body", long_body);
    ADD("framing/long-tail-is-last", long_tail);
    ADD("framing/huge-tail-unwritten", huge_tail);
    ADD("framing/all-ones", all_ones);
    return g_test_run();
}
