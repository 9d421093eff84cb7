/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A guest that does anything at all: the emulator must outlive it
 *
 * The seed is printed by GLib and set by --seed.
 */
#include "qemu/osdep.h"

#include "edu.h"

#define STEPS 2500

static uint64_t pick(const uint64_t *values, unsigned count)
{
    return values[g_test_rand_int_range(0, count)];
}

static bool one_in(int count)
{
    return g_test_rand_int_range(0, count) == 0;
}

static uint64_t any64(void)
{
    static const uint64_t edges[] = {
        0, 1, 0xfff, 0x1000, 0x1fff, 0x2000, 0x7fff, 0xfedfffff, 0xfee00000,
        0xfeefffff, 0xfef00000, 0xffffffff, 1ULL << 32, INT64_MAX,
        1ULL << 63, -0x1000ULL, UINT64_MAX - 1, UINT64_MAX,
    };

    switch (g_test_rand_int_range(0, 4)) {
    case 0:
        return pick(edges, ARRAY_SIZE(edges));
    case 1:
        return (uint64_t)(uint32_t)g_test_rand_int() << 32 |
               (uint32_t)g_test_rand_int();
    default:
        return g_test_rand_int_range(0, 32) << 12;
    }
}

static uint32_t any_endpoint(void)
{
    static const uint64_t ids[] = {
        EP_A, EP_B, EP_A, EP_B, 0x18, 0x100, 0, VIOMMU_OWN_BDF, 0x10020,
        UINT32_MAX,
    };

    return pick(ids, ARRAY_SIZE(ids));
}

/* A request that is right more often than not */
static size_t make_request(uint8_t *out)
{
    uint8_t type = one_in(20) ? g_test_rand_int() : g_test_rand_int_range(1, 6);
    uint32_t domain = g_test_rand_int_range(0, 4);
    uint64_t first = any64();

    memset(out, one_in(20) ? 0xff : 0, 80);
    out[0] = type;
    stl_le_p(out + 4, type == 5 ? any_endpoint() : domain);
    switch (type) {
    case 1:
        stl_le_p(out + 8, any_endpoint());
        stl_le_p(out + 12, g_test_rand_int_range(0, one_in(10) ? 8 : 2));
        return 20;
    case 2:
        stl_le_p(out + 8, any_endpoint());
        return 20;
    case 3:
        stq_le_p(out + 8, first);
        stq_le_p(out + 16, one_in(4) ? any64() : first + 0xfff);
        stq_le_p(out + 24, any64());
        stl_le_p(out + 32, g_test_rand_int_range(0, one_in(10) ? 16 : 8));
        return 36;
    case 4:
        stq_le_p(out + 8, first);
        stq_le_p(out + 16, one_in(4) ? any64() : first + 0xfff);
        return 28;
    default:
        return 72;
    }
}

static uint64_t any_address(Viommu *v)
{
    const uint64_t addresses[] = {
        v->data, v->requests.desc, v->requests.used, v->events.used,
        v->dev->bar.addr, v->dev->bar.addr + v->dev->common_cfg_offset,
        v->dev->bar.addr + v->dev->notify_cfg_offset,
        v->dev->bar.addr + v->dev->device_cfg_offset, 0xfee00000,
        0xf000000000, UINT64_MAX - 3, 0,
    };

    return pick(addresses, ARRAY_SIZE(addresses));
}

static void post(Viommu *v, ViommuQueue *queue)
{
    uint8_t out[80];
    ViommuBuffers b = { .out = out, .out_size = make_request(out) };

    b.in_size = out[0] == 5 ? VIOMMU_PROBE_SIZE + 4 : 4;
    if (queue == &v->events) {
        b.out_size = 0;
        b.in_size = g_test_rand_int_range(1, 40);
    }
    if (one_in(10)) {
        b.out_size = g_test_rand_int_range(0, 80);
        b.in_size = g_test_rand_int_range(1, 1000);
    }
    b.indirect = one_in(4);
    b.out_piece = one_in(4) ? g_test_rand_int_range(1, 9) : 0;
    b.in_piece = one_in(4) ? g_test_rand_int_range(8, 99) : 0;
    viommu_post(v, queue, &b);
    if (one_in(20)) {
        unsigned desc = g_test_rand_int_range(0, 256);

        qtest_writeq(v->qts, queue->desc + desc * 16, any_address(v));
    }
    if (one_in(200)) {
        qtest_writel(v->qts, queue->desc + g_test_rand_int_range(0, 256) * 16
                     + 8, g_test_rand_int());
    }
    if (one_in(200)) {
        qtest_writew(v->qts, queue->avail + 2, g_test_rand_int());
    }
}

static void write_register(Viommu *v)
{
    QVirtioPCIDevice *d = v->dev;
    const uint64_t starts[] = {
        d->common_cfg_offset, d->device_cfg_offset, d->notify_cfg_offset,
        d->isr_cfg_offset,
    };
    uint64_t at = pick(starts, ARRAY_SIZE(starts)) +
                  g_test_rand_int_range(0, 64);
    uint64_t value = any64();

    switch (g_test_rand_int_range(0, 4)) {
    case 0:
        qpci_io_writeb(d->pdev, d->bar, at, value);
        break;
    case 1:
        qpci_io_writew(d->pdev, d->bar, at, value);
        break;
    case 2:
        qpci_io_writel(d->pdev, d->bar, at, value);
        break;
    default:
        qpci_io_writeq(d->pdev, d->bar, at, value);
        break;
    }
}

static void read_all(Viommu *v)
{
    static const char *const names[] = {
        "domains", "endpoints", "mappings", "mapped-bytes", "requests",
        "statuses", "mistakes", "faults-reported", "faults-dropped",
    };

    for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
        qobject_unref(viommu_get(v, names[i]));
    }
}

static void step(Viommu *v, Edu *edu)
{
    switch (g_test_rand_int_range(0, 100)) {
    case 0 ... 49:
        post(v, &v->requests);
        break;
    case 50 ... 69:
        viommu_kick_always(v, &v->requests);
        break;
    case 70 ... 74:
        post(v, &v->events);
        break;
    case 75 ... 84:
        if (one_in(2)) {
            edu_load(edu, any64(), g_test_rand_int_range(1, 4097));
        } else {
            edu_store(edu, any64(), g_test_rand_int_range(1, 4097));
        }
        break;
    case 85 ... 89:
        viommu_set_bypass(v, g_test_rand_int_range(0, one_in(9) ? 256 : 2));
        break;
    case 90 ... 93:
        write_register(v);
        break;
    case 94:
        read_all(v);
        break;
    case 95:
        viommu_set_status(v, one_in(2) ? 0 : g_test_rand_int());
        break;
    default:
        viommu_negotiate(v, FEATURE(VIRTIO_F_ACCESS_PLATFORM) |
                         (one_in(3) ? any64() : ALL_FEATURES));
        break;
    }
}

/* Anything, in any order; then it works as on the first day */
static void storm(const void *opaque)
{
    const char *properties = opaque;
    Viommu *v = viommu_start(properties, EDU_A EDU_B
                             "-device pcie-root-port,id=rp,addr=3.0,"
                             "chassis=1 ");
    Edu *edu = edu_open_filled(v, EP_A);

    for (unsigned i = 0; i < STEPS; i++) {
        step(v, edu);
        if (i % 1000 == 999) {
            qtest_system_reset(v->qts);
            viommu_map_registers(v);
            edu_close(edu);
            viommu_negotiate(v, ALL_FEATURES);
            edu = edu_open(v, EP_A);
        }
    }
    read_all(v);
    viommu_negotiate(v, ALL_FEATURES);
    viommu_assert_alive(v);
    edu_close(edu);
    viommu_stop(v);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_data_func("pviommu/hostile/storm", NULL, storm);
    qtest_add_data_func("pviommu/hostile/storm-of-bytes",
                        "granule=1,max-mappings=50", storm);
    qtest_add_data_func("pviommu/hostile/storm-blocked",
                        "boot-bypass=off,iommu_platform=on,max-domains=2",
                        storm);
    return g_test_run();
}
