/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Resets: of the device, of the machine, and in the middle of work
 *
 * R-RST-* and R-CFG-3 of docs/specs/pviommu.md.
 */
#include "qemu/osdep.h"

#include "edu.h"
#include "standard-headers/linux/pci_regs.h"

#define TARGET (RAM + 0x2000000)

static void make_work(Viommu *v)
{
    assert_status(viommu_attach(v, 1, EP_A), OK);
    assert_status(viommu_attach_flags(v, 2, EP_B,
                                      VIRTIO_IOMMU_ATTACH_F_BYPASS), OK);
    for (unsigned i = 0; i < 100; i++) {
        assert_status(viommu_map(v, 1, i << 12, i << 12 | 0xfff, TARGET,
                                 WRITE), OK);
    }
}

static void assert_forgotten(Viommu *v, bool bypass)
{
    const char *state = bypass ? "bypass" : "blocked";
    QDict *domains = viommu_get(v, "domains");

    g_assert_cmpuint(viommu_count(v, "mappings"), ==, 0);
    g_assert_cmpuint(viommu_count(v, "mapped-bytes"), ==, 0);
    g_assert_true(qlist_empty(qdict_get_qlist(domains, "return")));
    qobject_unref(domains);
    assert_state(v, EP_A, state);
    assert_state(v, EP_B, state);
    g_assert_cmpuint(viommu_config(v).bypass, ==, bypass);
}

static void device_reset(void)
{
    Viommu *v = viommu_start(NULL, EDU_A EDU_B);
    Edu *edu = edu_open_filled(v, EP_A);

    for (unsigned i = 0; i < 4; i++) {
        bool bypass = i & 1;

        make_work(v);
        g_assert_true(edu_reaches(edu, 0x5000, TARGET));
        viommu_set_bypass(v, bypass);
        viommu_set_status(v, 0);
        assert_forgotten(v, bypass);
        g_assert_false(edu_reaches(edu, 0x5000, TARGET));
        g_assert_cmpint(edu_reaches(edu, TARGET, TARGET), ==, bypass);
        viommu_negotiate(v, ALL_FEATURES);
        assert_status(viommu_map(v, 1, 0, 0xfff, 0, READ), NOENT);
        g_assert_cmpuint(viommu_config(v).bypass, ==, bypass);
    }
    edu_close(edu);
    viommu_stop(v);
}

static void start_again(Viommu *v)
{
    qtest_system_reset(v->qts);
    viommu_map_registers(v);
}

static void system_reset(void)
{
    static const char *const initial[] = {
        "boot-bypass=off", "boot-bypass=on",
    };

    for (unsigned i = 0; i < 2; i++) {
        Viommu *v = viommu_start(initial[i], EDU_A EDU_B);

        for (unsigned j = 0; j < 3; j++) {
            make_work(v);
            viommu_set_bypass(v, !i);
            start_again(v);
            assert_forgotten(v, i);
            viommu_negotiate(v, ALL_FEATURES);
            assert_status(viommu_map(v, 1, 0, 0xfff, 0, READ), NOENT);
        }
        viommu_stop(v);
    }
}

static void features_are_forgotten(void)
{
    Viommu *v = viommu_start(NULL, EDU_A EDU_B);

    viommu_set_status(v, 0);
    viommu_set_bypass(v, 0);        /* nothing is negotiated any more */
    g_assert_cmpuint(viommu_config(v).bypass, ==, 1);
    assert_state(v, EP_A, "bypass");
    viommu_stop(v);
}

/* Requests lie in the ring and are never looked at again */
static void requests_in_the_ring(void)
{
    struct virtio_iommu_req_attach req = {
        .head.type = VIRTIO_IOMMU_T_ATTACH,
        .domain = cpu_to_le32(1),
        .endpoint = cpu_to_le32(EP_A),
    };
    Viommu *v = viommu_start(NULL, EDU_A EDU_B);

    for (unsigned round = 0; round < 20; round++) {
        ViommuQueue old;
        uint8_t used[4096], after[4096];

        for (unsigned i = 0; i < 100; i++) {
            viommu_post(v, &v->requests, &(ViommuBuffers) {
                .out = &req, .out_size = offsetof(typeof(req), tail),
                .in_size = 4,
            });
        }
        old = v->requests;
        if (round & 1) {
            viommu_kick(v, &v->requests);
        }
        viommu_set_status(v, 0);
        qtest_memread(v->qts, old.used, used, sizeof(used));
        viommu_settle(v);
        qtest_memread(v->qts, old.used, after, sizeof(after));
        g_assert_cmpmem(used, sizeof(used), after, sizeof(after));
        assert_forgotten(v, true);
        viommu_negotiate(v, ALL_FEATURES);
        viommu_assert_alive(v);
        assert_state(v, EP_A, "bypass");
    }
    viommu_stop(v);
}

static void faults_of_before(void)
{
    Viommu *v = viommu_start("boot-bypass=off", EDU_A EDU_B);
    Edu *edu = edu_open(v, EP_A);
    uint32_t length;

    edu_load(edu, 0x1000, 4);
    viommu_negotiate(v, ALL_FEATURES);
    viommu_event_post(v, 24, 4);
    viommu_settle(v);
    g_assert_false(viommu_used(v, &v->events, &length));
    edu_load(edu, 0x2000, 4);
    viommu_assert_fault(v, VIRTIO_IOMMU_FAULT_R_DOMAIN,
                        VIRTIO_IOMMU_FAULT_F_READ, EP_A, 0x2000);
    g_assert_false(viommu_used(v, &v->events, &length));
    edu_close(edu);
    viommu_stop(v);
}

/* An endpoint's own reset is none of ours: its domain stays */
static void reset_of_an_endpoint(void)
{
    Viommu *v = viommu_start(NULL, EDU_A "-device e1000e,addr=5.0,id=b ");
    QPCIDevice *nic;
    uint8_t cap;

    assert_status(viommu_attach(v, 1, EP_B), OK);
    assert_status(viommu_map(v, 1, 0, 0xfff, TARGET, READ), OK);
    nic = qpci_device_find(v->bus, EP_B);
    cap = qpci_find_capability(nic, PCI_CAP_ID_EXP, 0);
    g_assert_cmpuint(cap, !=, 0);
    qpci_config_writew(nic, cap + PCI_EXP_DEVCTL, 0x8000);  /* FLR, if any */
    assert_state(v, EP_B, "translated");
    g_assert_cmpuint(viommu_count(v, "mappings"), ==, 1);
    g_free(nic);
    viommu_stop(v);
}

static void counters_go_on(void)
{
    Viommu *v = viommu_start(NULL, EDU_A EDU_B);
    uint64_t before;

    make_work(v);
    before = viommu_count_of(v, "requests", "MAP");
    g_assert_cmpuint(before, ==, 100);
    viommu_negotiate(v, ALL_FEATURES);
    make_work(v);
    g_assert_cmpuint(viommu_count_of(v, "requests", "MAP"), ==, 200);
    viommu_stop(v);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("reset/device", device_reset);
    ADD("reset/system", system_reset);
    ADD("reset/features-are-forgotten", features_are_forgotten);
    ADD("reset/requests-in-the-ring", requests_in_the_ring);
    ADD("reset/faults-of-before", faults_of_before);
    ADD("reset/of-an-endpoint", reset_of_an_endpoint);
    ADD("reset/counters-go-on", counters_go_on);
    return g_test_run();
}
