/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Identity, features, the configuration and its field bypass
 *
 * R-CFG-*, R-FEAT-1 and R-BYP-* of docs/specs/pviommu.md.
 */
#include "qemu/osdep.h"

#include "edu.h"
#include "standard-headers/linux/pci_regs.h"

#define TARGET (RAM + 0x2000000)
#define BYPASS_FLAG VIRTIO_IOMMU_ATTACH_F_BYPASS

static void identity(void)
{
    Viommu *v = viommu_boot(NULL, NULL);
    QPCIDevice *pdev = v->dev->pdev;

    g_assert_cmphex(qpci_config_readw(pdev, PCI_VENDOR_ID), ==, 0x1af4);
    g_assert_cmphex(qpci_config_readw(pdev, PCI_DEVICE_ID), ==, 0x1057);
    g_assert_cmpuint(qpci_config_readb(pdev, PCI_REVISION_ID), >=, 1);
    viommu_stop(v);
}

static void features_offered(void)
{
    static const unsigned offered[] = {
        VIRTIO_IOMMU_F_INPUT_RANGE, VIRTIO_IOMMU_F_DOMAIN_RANGE,
        VIRTIO_IOMMU_F_MAP_UNMAP, VIRTIO_IOMMU_F_PROBE, VIRTIO_IOMMU_F_MMIO,
        VIRTIO_IOMMU_F_BYPASS_CONFIG, VIRTIO_F_VERSION_1,
        VIRTIO_RING_F_INDIRECT_DESC, VIRTIO_RING_F_EVENT_IDX,
    };
    Viommu *v = viommu_boot(NULL, NULL);
    uint64_t features = v->vdev->bus->get_features(v->vdev);

    for (unsigned i = 0; i < ARRAY_SIZE(offered); i++) {
        g_assert_cmphex(features & FEATURE(offered[i]), !=, 0);
    }
    g_assert_cmphex(features & FEATURE(VIRTIO_IOMMU_F_BYPASS), ==, 0);
    g_assert_cmphex(features & 0xffff80, ==, 0);
    g_assert_cmphex(features & FEATURE(VIRTIO_F_ACCESS_PLATFORM), ==, 0);
    viommu_stop(v);
}

static void two_queues(void)
{
    Viommu *v = viommu_boot(NULL, NULL);
    const QVirtioBus *bus = v->vdev->bus;

    for (unsigned i = 0; i < 8; i++) {
        unsigned size;

        bus->queue_select(v->vdev, i);
        size = bus->get_queue_size(v->vdev);
        if (i < 2) {
            board_assert_queue_max(size);
        } else {
            g_assert_cmpuint(size, ==, 0);
        }
    }
    viommu_stop(v);
}

static void configuration(void)
{
    Viommu *v = viommu_boot("granule=4k", EDU_A);
    struct virtio_iommu_config c = viommu_config(v);

    g_assert_cmphex(c.page_size_mask, ==, 0x40201000);
    g_assert_cmphex(c.input_range.start, ==, 0);
    g_assert_cmphex(c.input_range.end, ==, UINT64_MAX);
    g_assert_cmphex(c.domain_range.start, ==, 0);
    g_assert_cmphex(c.domain_range.end, ==, UINT32_MAX);
    g_assert_cmpuint(c.probe_size, ==, VIOMMU_PROBE_SIZE);
    g_assert_cmpuint(c.bypass, ==, 1);
    g_assert_cmphex(c.reserved[0] | c.reserved[1] | c.reserved[2], ==, 0);
    /* Negotiation changes nothing of it */
    viommu_negotiate(v, 0x4);
    g_assert_cmphex(viommu_config(v).page_size_mask, ==, 0x40201000);
    g_assert_cmphex(viommu_config(v).input_range.end, ==, UINT64_MAX);
    viommu_stop(v);

    v = viommu_boot("granule=64k,aw-bits=48,boot-bypass=off", EDU_A);
    c = viommu_config(v);
    g_assert_cmphex(c.page_size_mask, ==, 0x40210000);
    g_assert_cmphex(c.input_range.end, ==, 0xffffffffffff);
    g_assert_cmpuint(c.bypass, ==, 0);
    viommu_stop(v);
}

static void map_unmap_not_negotiated(void)
{
    Viommu *v = viommu_boot(NULL, EDU_A);
    struct virtio_iommu_req_map req = {
        .head.type = VIRTIO_IOMMU_T_MAP, .virt_end = cpu_to_le64(0xfff),
    };
    uint8_t in[4] = { 0xaa, 0xaa, 0xaa, 0xaa };

    viommu_negotiate(v, FEATURE(VIRTIO_F_VERSION_1));
    assert_status(viommu_attach(v, 0, EP_A), OK);
    for (unsigned type = VIRTIO_IOMMU_T_MAP; type <= VIRTIO_IOMMU_T_UNMAP;
         type++) {
        req.head.type = type;
        g_assert_cmpuint(viommu_send(v, &(ViommuBuffers) {
            .out = &req, .out_size = offsetof(typeof(req), tail),
            .in = in, .in_size = 4,
        }), ==, 0);
        g_assert_cmphex(in[0], ==, 0xaa);
    }
    g_assert_cmpuint(viommu_count_of(v, "mistakes", "not-negotiated"), ==, 2);
    viommu_negotiate(v, FEATURE(VIRTIO_IOMMU_F_MAP_UNMAP));
    assert_status(viommu_attach(v, 0, EP_A), OK);
    assert_status(viommu_map(v, 0, 0, 0xfff, 0, READ), OK);
    viommu_stop(v);
}

static void bypass_acts_on_unattached_alone(void)
{
    Viommu *v = viommu_start(NULL, EDU_A EDU_B "-device " EDU ",addr=6.0 ");
    Edu *a = edu_open_filled(v, EP_A);
    Edu *b = edu_open_filled(v, EP_B);
    Edu *c = edu_open_filled(v, 0x30);

    assert_status(viommu_attach(v, 1, EP_B), OK);
    assert_status(viommu_map(v, 1, 0, 0xfff, TARGET, WRITE), OK);
    assert_status(viommu_attach_flags(v, 2, 0x30, BYPASS_FLAG), OK);
    viommu_event_post(v, 24, 8);
    for (unsigned i = 0; i < 4; i++) {
        unsigned bypass = i & 1;

        viommu_set_bypass(v, bypass);
        g_assert_cmpuint(viommu_config(v).bypass, ==, bypass);
        g_assert_cmpint(edu_reaches(a, TARGET, TARGET), ==, bypass);
        if (!bypass) {
            viommu_assert_fault(v, VIRTIO_IOMMU_FAULT_R_DOMAIN,
                                VIRTIO_IOMMU_FAULT_F_WRITE, EP_A, TARGET);
        }
        g_assert_true(edu_reaches(b, 0, TARGET));
        g_assert_true(edu_reaches(c, TARGET, TARGET));
        assert_state(v, EP_A, bypass ? "bypass" : "blocked");
        assert_state(v, EP_B, "translated");
        assert_state(v, 0x30, "bypass");
    }
    edu_close(a);
    edu_close(b);
    edu_close(c);
    viommu_stop(v);
}

static void bypass_takes_0_and_1_alone(void)
{
    static const uint8_t values[] = { 2, 3, 0x80, 0xff, 0xfe };
    Viommu *v = viommu_start(NULL, EDU_A);

    for (unsigned bypass = 0; bypass < 2; bypass++) {
        viommu_set_bypass(v, bypass);
        for (unsigned i = 0; i < ARRAY_SIZE(values); i++) {
            viommu_set_bypass(v, values[i]);
            g_assert_cmpuint(viommu_config(v).bypass, ==, bypass);
        }
    }
    g_assert_cmpuint(viommu_count_of(v, "mistakes", "config-write"), ==, 10);
    assert_state(v, EP_A, "bypass");
    viommu_assert_alive(v);
    viommu_stop(v);
}

static void bypass_not_negotiated(void)
{
    Viommu *v = viommu_boot(NULL, EDU_A);

    viommu_negotiate(v, ~FEATURE(VIRTIO_IOMMU_F_BYPASS_CONFIG));
    viommu_set_bypass(v, 0);
    g_assert_cmpuint(viommu_config(v).bypass, ==, 1);
    assert_state(v, EP_A, "bypass");
    g_assert_cmpuint(viommu_count_of(v, "mistakes", "config-write"), ==, 1);
    viommu_assert_alive(v);
    viommu_negotiate(v, ALL_FEATURES);
    viommu_set_bypass(v, 0);
    g_assert_cmpuint(viommu_config(v).bypass, ==, 0);
    assert_state(v, EP_A, "blocked");
    viommu_stop(v);
}

/* What bypass says holds before there is a driver, and without bit 6 */
static void bypass_holds_without_a_driver(void)
{
    Viommu *v = viommu_boot("boot-bypass=off", EDU_A);
    Edu *edu = edu_open(v, EP_A);

    assert_state(v, EP_A, "blocked");
    edu_load(edu, TARGET, 4);
    g_assert_cmpuint(viommu_count(v, "faults-dropped"), >=, 1);
    viommu_negotiate(v, ~FEATURE(VIRTIO_IOMMU_F_BYPASS_CONFIG));
    assert_state(v, EP_A, "blocked");
    edu_close(edu);
    viommu_stop(v);
}

/* Nothing else can be written, before or after anything is read */
static void other_fields_are_read_only(void)
{
    Viommu *v = viommu_start("granule=4k", EDU_A);
    struct virtio_iommu_config before, after;

    for (unsigned offset = 0; offset < sizeof(before); offset++) {
        if (offset != offsetof(typeof(before), bypass)) {
            viommu_config_write(v, offset, 0x77);
        }
    }
    before = viommu_config(v);
    g_assert_cmphex(before.page_size_mask, ==, 0x40201000);
    g_assert_cmphex(before.bypass, ==, 1);
    for (unsigned offset = 0; offset < sizeof(before); offset++) {
        if (offset != offsetof(typeof(before), bypass)) {
            viommu_config_write(v, offset, 0x88);
        }
    }
    after = viommu_config(v);
    g_assert_cmpmem(&before, sizeof(before), &after, sizeof(after));
    assert_state(v, EP_A, "bypass");
    viommu_assert_alive(v);
    viommu_stop(v);
}

/* A driver may write its whole word; the byte of bypass counts */
static void bypass_written_as_a_word(void)
{
    Viommu *v = viommu_start(NULL, EDU_A);
    uint64_t word = board_register(v, BOARD_CONFIG) +
                    offsetof(struct virtio_iommu_config, bypass);

    qtest_writel(v->qts, word, 0);
    g_assert_cmpuint(viommu_config(v).bypass, ==, 0);
    qtest_writel(v->qts, word, 1);
    g_assert_cmpuint(viommu_config(v).bypass, ==, 1);
    g_assert_cmpuint(viommu_count_of(v, "mistakes", "config-write"), ==, 0);
    viommu_stop(v);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD_PCI("config/identity", identity);
    ADD("config/features-offered", features_offered);
    ADD("config/two-queues", two_queues);
    ADD("config/configuration", configuration);
    ADD("config/map-unmap-not-negotiated", map_unmap_not_negotiated);
    ADD("config/bypass-acts-on-unattached-alone",
        bypass_acts_on_unattached_alone);
    ADD("config/bypass-takes-0-and-1-alone", bypass_takes_0_and_1_alone);
    ADD("config/bypass-not-negotiated", bypass_not_negotiated);
    ADD("config/bypass-holds-without-a-driver",
        bypass_holds_without_a_driver);
    ADD("config/other-fields-are-read-only", other_fields_are_read_only);
    ADD("config/bypass-written-as-a-word", bypass_written_as_a_word);
    return g_test_run();
}
