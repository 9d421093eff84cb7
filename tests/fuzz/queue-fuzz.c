/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A hostile guest against the whole device
 *
 * This is no target of libFuzzer: the device lives in the distribution's
 * emulator, which is not instrumented and whose main() is not ours, so there
 * is no coverage to steer by and no way to start over in the process.  It is
 * a generator of random steps instead, over qtest, with a library that ASan
 * and UBSan watch.
 *
 * After some hundred steps the guest resets the device and behaves well: it
 * must find everything at work, and the hosts of all observers must hold just
 * what they should.
 *
 * PVIOMMU_FUZZ_SECONDS says how long; PVIOMMU_FUZZ_SEED with which emulator
 * to begin.  Each emulator's seed is printed.
 */
#include "qemu/osdep.h"

#include "hostile.h"
#include "standard-headers/linux/pci_regs.h"

#define PAGE 0x10000ULL         /* the largest granule used */
#define PHYS 0x4000000ULL

enum {
    ROUNDS = 6,                 /* in the life of an emulator */
    STEPS = 400,                /* in a round */
};

static uint64_t number_from(const char *name, uint64_t usual)
{
    const char *text = g_getenv(name);

    return text ? g_ascii_strtoull(text, NULL, 0) : usual;
}

/* Switch everything on that the guest may have switched off */
static void find_device(Hostile *h)
{
    uint8_t pm = qpci_find_capability(h->v->dev->pdev, PCI_CAP_ID_PM, 0);

    hostile_relent(h);
    if (pm) {
        qpci_config_writew(h->v->dev->pdev, pm + PCI_PM_CTRL, 0);
    }
    viommu_map_registers(h->v);
    h->v->queue_size = 0;
}

static void check_endpoint(Hostile *h, Watch *w)
{
    Model m = model_new();

    assert_status(viommu_attach(h->v, 1, w->endpoint), OK);
    assert_holds_nothing(w);
    model_map(&m, h->v, 1, HIGH, PAGE, PHYS, READ | WRITE);
    model_map(&m, h->v, 1, HIGH + PAGE, PAGE, PHYS + 4 * PAGE, READ);
    assert_holds(w, &m);
    qtest_writel(h->v->qts, PHYS, 0x12345678);
    g_assert_true(watch_dma(w, OBSERVER_READ, HIGH, 4));
    g_assert_cmphex(qpci_io_readl(w->pdev, w->bar, OBSERVER_BUFFER), ==,
                    0x12345678);
    g_assert_false(watch_dma(w, OBSERVER_FILL, HIGH + PAGE, 4));
    g_assert_false(watch_dma(w, OBSERVER_READ, HIGH + 2 * PAGE, 4));
    assert_status(viommu_unmap(h->v, 1, 0, UINT64_MAX), OK);
    assert_holds_nothing(w);
    assert_status(viommu_detach(h->v, 1, w->endpoint), OK);
    assert_holds_ram(w);
    model_free(&m);
}

/* A driver that knows what it does finds a device that does it */
static void check_device(Hostile *h)
{
    uint8_t properties[VIOMMU_PROBE_SIZE];

    find_device(h);
    viommu_negotiate(h->v, ALL_FEATURES);
    /* written anew, it has endpoints tried that the host once refused */
    viommu_set_bypass(h->v, 0);
    viommu_set_bypass(h->v, 1);
    for (unsigned i = 0; i < HOSTILE_WATCHES; i++) {
        assert_holds_ram(h->watch[i]);
    }
    for (unsigned i = 0; i < HOSTILE_WATCHES; i++) {
        assert_status(viommu_probe(h->v, h->watch[i]->endpoint, properties),
                      OK);
        check_endpoint(h, h->watch[i]);
    }
    viommu_assert_alive(h->v);
}

static void test_hostile_guest(void)
{
    uint64_t seed = number_from("PVIOMMU_FUZZ_SEED", g_get_real_time());
    gint64 end = g_get_monotonic_time() + G_TIME_SPAN_SECOND *
                 (gint64)number_from("PVIOMMU_FUZZ_SECONDS", 60);
    uint64_t steps = 0;

    do {
        Hostile *h;

        g_test_message("PVIOMMU_FUZZ_SEED=%" PRIu64, seed);
        h = hostile_start(seed++);
        for (unsigned i = 0; i < ROUNDS; i++) {
            for (unsigned j = 0; j < STEPS; j++, steps++) {
                hostile_step(h);
            }
            check_device(h);
        }
        hostile_stop(h);
    } while (g_get_monotonic_time() < end);
    g_test_message("%" PRIu64 " steps", steps);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("fuzz/hostile-guest", test_hostile_guest);
    return g_test_run();
}
