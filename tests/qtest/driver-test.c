/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the operator is told of a driver that makes no use of the IOMMU, and
 * that this is told once
 */
#include "qemu/osdep.h"

#include "edu.h"
#include "guest-table.h"
#include "messages.h"

static void granule(void)
{
    Viommu *v = messages_boot("granule=64k", EDU_A);

    messages_assert(0, "", "");
    viommu_negotiate(v, ALL_FEATURES);
    messages_assert(1, "granule is 64 KiB", "bypass");
    viommu_negotiate(v, ALL_FEATURES);
    assert_status(viommu_attach(v, 1, EP_A), OK);
    qtest_system_reset(v->qts);
    viommu_map_registers(v);
    viommu_negotiate(v, ALL_FEATURES);
    assert_status(viommu_attach(v, 1, EP_A), OK);
    messages_stop(v, 2, "granule is 64 KiB");

    v = messages_boot("granule=64k,boot-bypass=off", EDU_A);
    viommu_negotiate(v, ALL_FEATURES);
    messages_assert(1, "granule is 64 KiB", "stay blocked");
    assert_status(viommu_attach(v, 1, EP_A), OK);
    messages_stop(v, 1, "");
}

static void nothing_attached(void)
{
    Viommu *v = messages_boot("granule=4k", EDU_A);

    viommu_negotiate(v, ALL_FEATURES);
    messages_assert(0, "", "");
    for (unsigned i = 0; i < 100; i++) {
        viommu_negotiate(v, ALL_FEATURES);      /* resets it first */
        messages_assert(1, "attached no device", "in bypass");
    }
    qtest_system_reset(v->qts);
    messages_stop(v, 1, "");
}

static void nothing_attached_at_the_end(void)
{
    Viommu *v = messages_boot("granule=4k,boot-bypass=off", EDU_A);

    viommu_negotiate(v, ALL_FEATURES);
    assert_status(viommu_attach(v, 1, EP_A), OK);
    qtest_system_reset(v->qts);
    viommu_map_registers(v);
    viommu_negotiate(v, ALL_FEATURES);          /* this one is another */
    messages_assert(0, "", "");
    messages_stop(v, 1, "they were blocked");
}

static void gives_up(void)
{
    Viommu *v = messages_boot("granule=4k", EDU_A);

    for (unsigned i = 0; i < 100; i++) {
        g_assert_true(viommu_begin(v, FEATURE(VIRTIO_IOMMU_F_PROBE)));
        viommu_set_status(v, VIRTIO_CONFIG_S_ACKNOWLEDGE |
                          VIRTIO_CONFIG_S_DRIVER | VIRTIO_CONFIG_S_FAILED);
        messages_assert(1, "gave the IOMMU up", "in bypass");
    }
    messages_stop(v, 1, "");
}

/* One that does its work, one that goes and comes, and none at all */
static void good_ones_are_quiet(void)
{
    Viommu *v = messages_boot("granule=4k", EDU_A);

    qtest_system_reset(v->qts);
    viommu_map_registers(v);
    for (unsigned i = 0; i < 3; i++) {
        viommu_negotiate(v, ALL_FEATURES);
        assert_status(viommu_attach(v, 1, EP_A), OK);
        viommu_set_status(v, 0);
        viommu_set_status(v, 0);
    }
    viommu_negotiate(v, ALL_FEATURES);
    assert_status(viommu_attach(v, 1, EP_A), OK);
    messages_stop(v, 0, "");
}

/* Tables are use as well */
static void attaches_tables(void)
{
    Viommu *v = messages_boot("granule=4k," TABLES_ON, EDU_A);

    viommu_negotiate(v, ALL_FEATURES);
    assert_status(viommu_attach_table(v, 1, EP_A, X86_64, 48, TABLES_AT), OK);
    viommu_set_status(v, 0);
    messages_stop(v, 0, "");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("driver/granule-above-its-pages", granule);
    ADD("driver/attaches-nothing", nothing_attached);
    ADD("driver/attaches-nothing-until-the-end", nothing_attached_at_the_end);
    ADD("driver/gives-up", gives_up);
    ADD("driver/attaches-tables", attaches_tables);
    ADD("driver/good-ones-are-quiet", good_ones_are_quiet);
    return g_test_run();
}
