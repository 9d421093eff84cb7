/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Several IOMMUs at once, each of a root bus
 *
 * "iommu" at 00:10.0 is that of pcie.0, as in all tests.  "second", if it is
 * there, is that of the expander "x", whose root bus has the number 0x40.
 * Section "Several IOMMUs" of docs/specs/pviommu.md.
 */
#include "qemu/osdep.h"

#include "edu.h"
#include "watch.h"

#define TARGET 0x2000000
#define IOVA 0x10000
#define EXPANDER "-device pxb-pcie,id=x,bus_nr=0x40,addr=8.0 "
#define SECOND "-device pviommu-pci,id=second,bus=pcie.0,addr=11.0," \
               "primary-bus=x "
#define SECOND_BDF 0x88

/* A root port of the expander, and an edu behind it */
#define PORT "-device pcie-root-port,id=rp,bus=x,addr=1.0,chassis=1 "
#define PORT_BDF 0x4008
#define EDU_X PORT "-device " EDU ",id=ex,bus=rp "
#define EP_X 0x4100

static void number_port(Viommu *v)
{
    viommu_set_bridge(v, PORT_BDF, 0x40, 0x41, 0x41);
}

/* An edu in bypass; the bridges above it, a list, show its registers alone */
static Edu *open_behind(Viommu *v, int bdf, const int *bridges)
{
    Edu *edu = edu_open(v, bdf);
    uint64_t bar = edu->bar.addr;

    for (; bridges && *bridges; bridges++) {
        viommu_set_window(v, *bridges, bar, bar + 0xfffff);
    }
    edu_fill(edu);
    return edu;
}

static const int above_x[] = { PORT_BDF, 0 };

static void assert_translates(Viommu *v, int bdf, const int *bridges)
{
    Edu *edu = open_behind(v, bdf, bridges);

    assert_status(viommu_attach(v, 1, bdf), OK);
    assert_status(viommu_map(v, 1, 0, 0xfff, TARGET, WRITE), OK);
    g_assert_true(edu_reaches(edu, 0, TARGET));
    g_assert_false(edu_reaches(edu, TARGET, TARGET));
    assert_status(viommu_detach(v, 1, bdf), OK);
    g_assert_true(edu_reaches(edu, TARGET, TARGET));
    edu_close(edu);
}

static void assert_nobodys(Viommu *v, int bdf)
{
    uint8_t properties[VIOMMU_PROBE_SIZE];

    assert_state(v, bdf, "none");
    assert_status(viommu_attach(v, 1, bdf), NOENT);
    assert_status(viommu_probe(v, bdf, properties), NOENT);
}

/* The same domain and the same IOVA in both, and each has its own faults */
static void own_domains(void)
{
    Viommu *v = viommu_start(NULL, EDU_A EXPANDER SECOND EDU_X);
    Viommu *second = viommu_beside(v, "second", SECOND_BDF);
    Edu *a, *x;

    number_port(v);
    x = open_behind(v, EP_X, above_x);
    a = open_behind(v, EP_A, NULL);
    assert_nobodys(v, EP_X);
    assert_nobodys(second, EP_A);
    assert_status(viommu_attach(v, 1, EP_A), OK);
    assert_state(second, EP_X, "bypass");
    assert_status(viommu_attach(second, 1, EP_X), OK);
    assert_status(viommu_map(v, 1, IOVA, IOVA + 0xfff, TARGET, WRITE), OK);
    g_assert_false(edu_reaches(x, IOVA, TARGET));
    assert_status(viommu_map(second, 1, IOVA, IOVA + 0xfff, TARGET + 0x1000,
                             WRITE), OK);
    g_assert_true(edu_reaches(a, IOVA, TARGET));
    g_assert_true(edu_reaches(x, IOVA, TARGET + 0x1000));
    g_assert_cmpuint(viommu_count(v, "mappings"), ==, 1);

    assert_status(viommu_unmap(second, 1, IOVA, IOVA + 0xfff), OK);
    g_assert_true(edu_reaches(a, IOVA, TARGET));
    g_assert_false(edu_reaches(x, IOVA, TARGET + 0x1000));

    viommu_event_post(v, 24, 2);
    viommu_event_post(second, 24, 2);
    edu_load(x, 0x9000, 4);
    viommu_assert_fault(second, VIRTIO_IOMMU_FAULT_R_MAPPING,
                        VIRTIO_IOMMU_FAULT_F_READ, EP_X, 0x9000);
    edu_load(a, 0x5000, 4);
    viommu_assert_fault(v, VIRTIO_IOMMU_FAULT_R_MAPPING,
                        VIRTIO_IOMMU_FAULT_F_READ, EP_A, 0x5000);
    g_assert_cmpuint(viommu_count(v, "faults-reported"), ==, 1);
    g_assert_cmpuint(viommu_count(second, "faults-reported"), ==, 1);
    edu_close(a);
    edu_close(x);
    viommu_forget(second);
    viommu_stop(v);
}

static void own_properties(void)
{
    Viommu *v = viommu_start("boot-bypass=off,max-domains=1,granule=64k",
                             EDU_A EDU_B EXPANDER SECOND EDU_X);
    Viommu *second = viommu_beside(v, "second", SECOND_BDF);

    number_port(v);
    assert_state(v, EP_A, "blocked");
    assert_state(second, EP_X, "bypass");
    g_assert_cmphex(viommu_config(v).page_size_mask & 0xffff, ==, 0);
    g_assert_cmphex(viommu_config(second).page_size_mask & 0xffff, ==, 4096);
    assert_status(viommu_attach(v, 1, EP_A), OK);
    assert_status(viommu_attach(v, 2, EP_B), NOMEM);
    assert_status(viommu_attach(second, 2, EP_X), OK);
    assert_status(viommu_detach(second, 2, EP_X), OK);
    viommu_set_bypass(second, 0);
    assert_state(second, EP_X, "blocked");
    viommu_set_bypass(v, 1);
    assert_state(v, EP_B, "bypass");
    assert_state(second, EP_X, "blocked");
    viommu_forget(second);
    viommu_stop(v);
}

/* A reset of one is no matter to the other; one of the machine is to both */
static void resets(void)
{
    Viommu *v = viommu_start(NULL, EDU_A EXPANDER SECOND EDU_X);
    Viommu *second = viommu_beside(v, "second", SECOND_BDF);

    number_port(v);
    assert_status(viommu_attach(v, 1, EP_A), OK);
    assert_status(viommu_attach(second, 1, EP_X), OK);
    viommu_set_status(second, 0);
    assert_state(second, EP_X, "bypass");
    assert_state(v, EP_A, "translated");
    viommu_negotiate(second, ALL_FEATURES);
    viommu_set_bypass(second, 0);
    assert_status(viommu_attach(second, 1, EP_X), OK);
    viommu_set_status(v, 0);
    assert_state(v, EP_A, "bypass");
    assert_state(second, EP_X, "translated");

    qtest_system_reset(v->qts);
    number_port(v);
    assert_state(v, EP_A, "bypass");
    assert_state(second, EP_X, "bypass");
    viommu_map_registers(v);
    viommu_map_registers(second);
    viommu_negotiate(v, ALL_FEATURES);
    viommu_negotiate(second, ALL_FEATURES);
    assert_translates(v, EP_A, NULL);
    assert_translates(second, EP_X, above_x);
    viommu_forget(second);
    viommu_stop(v);
}

/* No IOMMU is an endpoint, not even of another */
static void own_functions(void)
{
    Viommu *v = viommu_start("boot-bypass=off", EDU_A EXPANDER SECOND);
    Viommu *second = viommu_beside(v, "second", SECOND_BDF);

    assert_nobodys(v, VIOMMU_OWN_BDF);
    assert_nobodys(v, SECOND_BDF);
    assert_nobodys(second, VIOMMU_OWN_BDF);
    assert_nobodys(second, SECOND_BDF);
    assert_state(v, EP_A, "blocked");
    viommu_forget(second);
    viommu_stop(v);
}

/* An expander without an IOMMU of its own has that of pcie.0 */
static void expander_without(void)
{
    Viommu *v = viommu_start(NULL, EXPANDER "-device pxb-pcie,id=y,"
                             "bus=pcie.0,bus_nr=0x80,addr=9.0 " SECOND EDU_X
                             "-device pcie-root-port,id=ry,bus=y,addr=1.0,"
                             "chassis=2 -device " EDU ",bus=ry ");
    Viommu *second = viommu_beside(v, "second", SECOND_BDF);
    static const int above_y[] = { 0x8008, 0 };

    number_port(v);
    viommu_set_bridge(v, 0x8008, 0x80, 0x81, 0x81);
    assert_nobodys(second, 0x8100);
    viommu_set_window(v, PORT_BDF, 0xfff00000, 0);
    assert_translates(v, 0x8100, above_y);
    viommu_set_window(v, 0x8008, 0xfff00000, 0);
    assert_translates(second, EP_X, above_x);
    viommu_forget(second);
    viommu_stop(v);
}

/* An IOMMU of an expander alone leaves pcie.0 untranslated */
static void expander_alone(void)
{
    Viommu *v = g_new0(Viommu, 1);
    Edu *a;

    v->qts = qtest_init("-machine q35 -m 256M -nodefaults " EDU_A EXPANDER
                        "-device pviommu-pci,id=iommu,bus=pcie.0,addr=10.0,"
                        "primary-bus=x " EDU_X);
    viommu_adopt(v);
    viommu_negotiate(v, ALL_FEATURES);
    number_port(v);
    assert_nobodys(v, EP_A);
    viommu_set_bypass(v, 0);
    viommu_set_window(v, PORT_BDF, 0xfff00000, 0);
    a = edu_open_filled(v, EP_A);
    g_assert_true(edu_reaches(a, TARGET, TARGET));
    edu_close(a);
    viommu_set_bypass(v, 1);
    assert_translates(v, EP_X, above_x);
    viommu_stop(v);
}

/*
 * On machine pc an expander's root bus has a bridge alone, in whose name all
 * behind it make requests: with pci.0's IOMMU, and with one of its own
 */
static void expander_of_pc(void)
{
    for (unsigned own = 0; own < 2; own++) {
        g_autofree char *args = g_strdup_printf(
            "-machine pc -m 256M -nodefaults -device pxb,id=x,bus_nr=0x40,"
            "addr=8.0 -device pviommu-pci,id=iommu,bus=pci.0,addr=10.0%s "
            "-device " EDU ",bus=x,addr=1.0 ",
            own ? ",primary-bus=pxb-internal" : "");
        Viommu *v = g_new0(Viommu, 1);
        Edu *edu;

        v->qts = qtest_init(args);
        viommu_adopt(v);
        viommu_negotiate(v, ALL_FEATURES);
        viommu_set_bridge(v, 0x4000, 0x40, 0x41, 0x41);
        edu = edu_open_filled(v, 0x4108);
        assert_state(v, 0x4108, "bypass");
        assert_status(viommu_attach(v, 1, 0x4108), OK);
        assert_status(viommu_attach(v, 1, 0x4000), OK);
        assert_status(viommu_map(v, 1, 0, 0xfff, TARGET, WRITE), OK);
        g_assert_true(edu_reaches(edu, 0, TARGET));
        g_assert_false(edu_reaches(edu, TARGET, TARGET));
        edu_close(edu);
        viommu_stop(v);
    }
}

/* An IOMMU that comes last takes what is behind its root from the other */
static void created_last(void)
{
    Viommu *v = viommu_start(NULL, EXPANDER EDU_X
                             "-device pcie-root-port,id=rb,bus=x,addr=2.0,"
                             "chassis=2 -device pcie-pci-bridge,id=br,bus=rb "
                             "-device " EDU ",bus=br,addr=1.0 "
                             "-device " EDU ",bus=br,addr=2.0 " SECOND
                             "-device " EDU ",id=a,bus=pcie.0,addr=4.0 ");
    Viommu *second = viommu_beside(v, "second", SECOND_BDF);

    number_port(v);
    viommu_set_bridge(v, 0x4010, 0x40, 0x42, 0x43);
    viommu_set_bridge(v, 0x4200, 0x42, 0x43, 0x43);
    viommu_set_window(v, 0x4010, 0xfff00000, 0);
    assert_nobodys(v, EP_X);
    assert_nobodys(v, PORT_BDF);
    assert_nobodys(v, 0x4300);
    assert_nobodys(v, 0x4308);
    assert_nobodys(v, 0x4310);
    assert_state(second, 0x4300, "bypass");
    assert_translates(v, EP_A, NULL);
    assert_translates(second, EP_X, above_x);
    viommu_forget(second);
    viommu_stop(v);
}

#define BRIDGES "-device pcie-root-port,id=r0,bus=pcie.0,addr=3.0,chassis=1 " \
                "-device pcie-pci-bridge,id=b0,bus=r0 " \
                "-device pcie-root-port,id=r1,bus=x,addr=3.0,chassis=2 " \
                "-device pcie-pci-bridge,id=b1,bus=r1 "

/* The bridges of BRIDGES get numbers: 1 and 2, 0x41 and 0x42 */
static void set_bridges(Viommu *v)
{
    viommu_set_bridge(v, 0x18, 0, 1, 2);
    viommu_set_bridge(v, 0x100, 1, 2, 2);
    viommu_set_bridge(v, 0x4018, 0x40, 0x41, 0x42);
    viommu_set_bridge(v, 0x4100, 0x41, 0x42, 0x42);
}

/* Behind a PCIe-to-PCI bridge under each root, functions share an id */
static void aliases(void)
{
    Viommu *v = viommu_start(NULL, EXPANDER SECOND BRIDGES
                             "-device " EDU ",bus=b0,addr=1.0 "
                             "-device " EDU ",bus=b1,addr=1.0 "
                             "-device " EDU ",bus=b1,addr=2.0 ");
    Viommu *second = viommu_beside(v, "second", SECOND_BDF);
    Edu *edu;

    set_bridges(v);
    assert_state(v, 0x200, "bypass");
    assert_nobodys(v, 0x4200);
    assert_nobodys(v, 0x4208);
    assert_nobodys(second, 0x200);
    assert_nobodys(second, 0x208);
    for (unsigned root = 0; root < 2; root++) {
        Viommu *of = root ? second : v;
        int bus = root ? 0x4200 : 0x200;
        const int bridges[] = { root ? 0x4018 : 0x18, root ? 0x4100 : 0x100,
                                0 };

        edu = open_behind(of, bus + 8, bridges);
        assert_status(viommu_attach(of, 1, bus + 8), OK);
        g_assert_true(edu_reaches(edu, TARGET, TARGET));
        assert_status(viommu_attach(of, 1, bus), OK);
        assert_status(viommu_map(of, 1, 0, 0xfff, TARGET + root * 0x1000,
                                 WRITE), OK);
        g_assert_true(edu_reaches(edu, 0, TARGET + root * 0x1000));
        viommu_event_post(of, 24, 1);
        edu_load(edu, 0x9000, 4);
        viommu_assert_fault(of, VIRTIO_IOMMU_FAULT_R_MAPPING,
                            VIRTIO_IOMMU_FAULT_F_READ, bus, 0x9000);
        edu_close(edu);
    }
    assert_status(viommu_attach(second, 2, 0x4210), OK);
    viommu_forget(second);
    viommu_stop(v);
}

/*
 * Under both roots, into root ports; function 1 of a device without function
 * 0 leaves without asking the guest
 */
static void hotplug(void)
{
    g_autofree char *arg = watch_arg("container", 0);
    g_autofree char *args = g_strdup_printf(
        EXPANDER SECOND "%s -global ICH9-LPC.acpi-pci-hotplug-with-bridge-"
        "support=off -device pcie-root-port,id=r0,bus=pcie.0,addr=3.0,"
        "chassis=1 -device pcie-root-port,id=r1,bus=x,addr=3.0,chassis=2 ",
        arg);
    Viommu *v = viommu_start(NULL, args);
    Viommu *second = viommu_beside(v, "second", SECOND_BDF);

    viommu_set_bridge(v, 0x18, 0, 1, 1);
    viommu_set_bridge(v, 0x4018, 0x40, 0x41, 0x41);
    for (unsigned i = 0; i < 4; i++) {
        bool root = i % 2;
        int hot = root ? 0x4101 : 0x101;
        Viommu *of = root ? second : v, *other = root ? v : second;
        Watch w = { .v = v, .id = "hot" };
        Model m = model_new();

        assert_nobodys(of, hot);
        qtest_qmp_device_add(v->qts, "pviommu-observer", "hot", "{'bus': %s,"
                             " 'addr': '0.1', 'watch': 'container'}",
                             root ? "r1" : "r0");
        assert_nobodys(other, hot);
        assert_state(of, hot, "bypass");
        assert_status(viommu_attach(of, 1, hot), OK);
        model_map(&m, of, 1, HIGH, 4096, TARGET, READ | WRITE);
        assert_holds(&w, &m);
        qtest_qmp_device_del_send(v->qts, "hot");
        qtest_qmp_eventwait(v->qts, "DEVICE_DELETED");
        assert_nobodys(of, hot);
        model_free(&m);
    }
    viommu_forget(second);
    viommu_stop(v);
}

/* An observer on each root: neither hears of the other's switches */
static void observed(const void *how)
{
    g_autofree char *arg = watch_arg(how, 1);
    g_autofree char *args = g_strdup_printf(
        "%s " EXPANDER SECOND PORT "-device pviommu-observer,watch=%s,id=o1,"
        "bus=rp ", arg, watch_how(how));
    Viommu *v = viommu_start(NULL, args);
    Viommu *second = viommu_beside(v, "second", SECOND_BDF);
    Watch *w[] = { watch_open(v, 0), g_new0(Watch, 1) };
    Viommu *of[] = { v, second };
    Model m = model_new();

    number_port(v);
    w[1]->v = v;
    w[1]->id = "o1";
    w[1]->endpoint = EP_X;
    watch_find(w[1]);
    viommu_set_window(v, PORT_BDF, w[1]->bar.addr, w[1]->bar.addr + 0xfffff);
    w[1]->ram = watch_get(w[1], "mappings");
    for (unsigned i = 0; i < 2; i++) {
        Watch *moved = w[i], *still = w[!i];

        assert_holds_ram(moved);
        watch_clear(still);
        assert_status(viommu_attach(of[i], 1, moved->endpoint), OK);
        assert_holds_nothing(moved);
        model_map(&m, of[i], 1, HIGH, 4096, TARGET, READ | WRITE);
        assert_holds(moved, &m);
        model_unmap(&m, of[i], 1, HIGH, 4096);
        assert_holds(moved, &m);
        assert_status(viommu_detach(of[i], 1, moved->endpoint), OK);
        assert_holds_ram(moved);
        viommu_set_bypass(of[i], 0);
        assert_holds_nothing(moved);
        viommu_set_bypass(of[i], 1);
        assert_holds_ram(moved);
        assert_holds_ram(still);
        assert_quiet(still);
    }
    model_free(&m);
    watch_close(w[0]);
    watch_close(w[1]);
    viommu_forget(second);
    viommu_stop(v);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("roots/own-domains", own_domains);
    ADD("roots/own-properties", own_properties);
    ADD("roots/resets", resets);
    ADD("roots/own-functions", own_functions);
    ADD("roots/expander-without", expander_without);
    ADD("roots/expander-alone", expander_alone);
    ADD("roots/expander-of-pc", expander_of_pc);
    ADD("roots/created-last", created_last);
    ADD("roots/aliases", aliases);
    ADD("roots/hotplug", hotplug);
    qtest_add_data_func("pviommu/roots/listener", "listener", observed);
    watch_add("roots", "observed", observed);
    return g_test_run();
}
