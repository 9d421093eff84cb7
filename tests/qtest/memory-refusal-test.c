/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Guest memory that changes while hosts refuse
 *
 * The guest shadows a ROM (registers PAM0 to PAM6 of the host bridge), so
 * that memory goes and other memory comes at the same place.  What a host
 * refuses then blocks the endpoints concerned, and no others.
 */
#include "qemu/osdep.h"

#include "iommufd-scene.h"

#define PAM 0x90
#define SHADOW 0x33             /* RAM in both halves of a register */
#define PLAIN 0x00

static void shadow(Viommu *v, uint8_t value)
{
    QPCIDevice *mch = qpci_device_find(v->bus, 0);

    qpci_config_writeb(mch, PAM + 1, value);
    g_free(mch);
    viommu_settle(v);
}

static void attach_bypass(Viommu *v, Watch *w)
{
    assert_status(viommu_attach_flags(v, 9, w->endpoint,
                                      VIRTIO_IOMMU_ATTACH_F_BYPASS), OK);
    assert_state(v, w->endpoint, "bypass");
}

static void assert_lost(Viommu *v, Watch *w)
{
    assert_state(v, w->endpoint, "blocked");
    assert_holds_nothing(w);
    g_assert_false(watch_dma(w, OBSERVER_FILL, PHYS, 1));
}

/* The table of bypass is lost, kept or not: all that are on it are blocked */
static void test_bypass_table(void)
{
    static const char *const keep[] = { "keep-bypass=off", "keep-bypass=on" };

    for (unsigned i = 0; i < 2; i++) {
        Scene s = scene_new(keep[i], 2, "");
        uint64_t tables = watch_host(s.w[0], "ioas");

        watch_fail(s.w[0], OBSERVER_FAIL_UNMAP, 1, 1, EIO);
        shadow(s.v, SHADOW);
        assert_lost(s.v, s.w[0]);
        assert_lost(s.v, s.w[1]);
        g_assert_cmpuint(watch_host(s.w[0], "ioas"), ==, tables - 1);
        g_assert_cmpuint(viommu_count(s.v, "host-refusals"), ==, 1);
        shadow(s.v, PLAIN);
        attach_bypass(s.v, s.w[0]);
        attach_bypass(s.v, s.w[1]);
        assert_holds_ram(s.w[0]);
        assert_holds_ram(s.w[1]);
        g_assert_cmpuint(watch_host(s.w[0], "ioas"), ==, tables);
        scene_end(&s);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("memory-refusal/bypass-table", test_bypass_table);
    return g_test_run();
}
