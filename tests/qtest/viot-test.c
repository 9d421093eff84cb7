/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The ACPI table VIOT: which functions it says are behind the IOMMU
 *
 * Section "VIOT" of docs/specs/pviommu.md.  The table is taken from where
 * the firmware would take it.
 */
#include "qemu/osdep.h"

#include "edu.h"
#include "libqos/fw_cfg.h"
#include "libqos/libqos.h"

#define TABLES_MAX (1024 * 1024)

#define PXB "-device pxb-pcie,bus=pcie.0,"

#define SECOND "-device pviommu-pci,id=second,bus=pcie.0,addr=11.0," \
               "primary-bus=x "

/* ACPI hot-plug of PCI on machine pc (docs/specs/acpi_pci_hotplug.rst) */
#define ACPI_PCIHP_EJECT 0xae08
#define ACPI_PCIHP_SELECT 0xae10

enum { NODES = 48, RANGE_SIZE = 24, IOMMU_SIZE = 16 };

/* The only table of the signature, or NULL; to be freed */
static uint8_t *fetch(Viommu *v, uint32_t *size)
{
    QOSState qs = { .qts = v->qts, .alloc = v->alloc };
    QFWCFG *fw_cfg = pc_fw_cfg_init(v->qts);
    g_autofree uint8_t *tables = g_malloc0(TABLES_MAX);
    size_t length = qfw_cfg_read_file(fw_cfg, &qs, "etc/acpi/tables", tables,
                                      TABLES_MAX);
    uint8_t *found = NULL;

    pc_fw_cfg_uninit(fw_cfg);
    g_assert_cmpuint(length, >, 0);
    for (size_t i = 0; i + NODES <= length; i++) {
        if (!memcmp(tables + i, "VIOT", 4)) {
            g_assert_null(found);
            *size = ldl_le_p(tables + i + 4);
            g_assert_cmpuint(*size, >=, NODES);
            g_assert_cmpuint(i + *size, <=, length);
            found = g_memdup2(tables + i, *size);
        }
    }
    return found;
}

/* Its header is right, and its first node is our IOMMU */
static uint8_t *fetch_checked(Viommu *v, unsigned *ranges)
{
    uint32_t size;
    uint8_t *table = fetch(v, &size), sum = 0;
    uint8_t *node;

    g_assert_nonnull(table);
    for (unsigned i = 0; i < size; i++) {
        sum += table[i];
    }
    g_assert_cmpuint(sum, ==, 0);
    g_assert_cmpuint(table[8], ==, 0);                      /* revision */
    *ranges = lduw_le_p(table + 36) - 1;
    g_assert_cmpuint(lduw_le_p(table + 38), ==, NODES);
    g_assert_cmphex(ldq_le_p(table + 40), ==, 0);
    g_assert_cmpuint(size, ==, NODES + IOMMU_SIZE + *ranges * RANGE_SIZE);
    node = table + NODES;
    g_assert_cmpuint(node[0], ==, 3);
    g_assert_cmpuint(lduw_le_p(node + 2), ==, IOMMU_SIZE);
    g_assert_cmpuint(lduw_le_p(node + 4), ==, 0);           /* segment */
    g_assert_cmphex(lduw_le_p(node + 6), ==, VIOMMU_OWN_BDF);
    return table;
}

static void assert_range(const uint8_t *table, unsigned index, uint16_t first,
                         uint16_t last)
{
    const uint8_t *node = table + NODES + IOMMU_SIZE + index * RANGE_SIZE;

    g_assert_cmpuint(node[0], ==, 1);
    g_assert_cmpuint(lduw_le_p(node + 2), ==, RANGE_SIZE);
    g_assert_cmphex(ldl_le_p(node + 4), ==, first);         /* endpoint id */
    g_assert_cmpuint(lduw_le_p(node + 8), ==, 0);
    g_assert_cmpuint(lduw_le_p(node + 10), ==, 0);
    g_assert_cmphex(lduw_le_p(node + 12), ==, first);
    g_assert_cmphex(lduw_le_p(node + 14), ==, last);
    g_assert_cmpuint(lduw_le_p(node + 16), ==, NODES);
}

static void one_root(void)
{
    Viommu *v = viommu_boot(NULL, EDU_A);
    unsigned ranges;
    g_autofree uint8_t *table = fetch_checked(v, &ranges);

    /* All but the IOMMU itself */
    g_assert_cmpuint(ranges, ==, 2);
    assert_range(table, 0, 0, VIOMMU_OWN_BDF - 1);
    assert_range(table, 1, VIOMMU_OWN_BDF + 1, 0xffff);
    viommu_stop(v);
}

static void expanders(void)
{
    Viommu *v = viommu_boot(NULL,
                            PXB "bus_nr=0x80,addr=8.0,id=x "
                            PXB "bus_nr=0x40,addr=9.0,id=y,"
                            "bypass_iommu=on "
                            PXB "bus_nr=0xc0,addr=a.0,id=z ");
    unsigned ranges;
    g_autofree uint8_t *table = fetch_checked(v, &ranges);

    g_assert_cmpuint(ranges, ==, 4);
    assert_range(table, 0, 0, VIOMMU_OWN_BDF - 1);
    assert_range(table, 1, VIOMMU_OWN_BDF + 1, 0x3fff);
    assert_range(table, 2, 0x8000, 0xbfff);
    assert_range(table, 3, 0xc000, 0xffff);
    viommu_stop(v);
}

/* The nodes, as "IOMMU: FIRST-LAST ... IOMMU: ..." */
static char *nodes(Viommu *v)
{
    uint32_t size, at = NODES;
    g_autofree uint8_t *table = fetch(v, &size);
    GString *text = g_string_new(NULL);
    int iommu = 0;

    for (int i = 0; i < lduw_le_p(table + 36); i++) {
        const uint8_t *node = table + at;

        at += lduw_le_p(node + 2);
        g_assert_cmpuint(at, <=, size);
        if (node[0] == 3) {
            iommu = node - table;
            g_string_append_printf(text, "%s%x:", i ? " " : "",
                                   lduw_le_p(node + 6));
        } else {
            g_assert_cmpuint(node[0], ==, 1);
            g_assert_cmpuint(lduw_le_p(node + 16), ==, iommu);
            g_assert_cmphex(ldl_le_p(node + 4), ==, lduw_le_p(node + 12));
            g_string_append_printf(text, " %x-%x", lduw_le_p(node + 12),
                                   lduw_le_p(node + 14));
        }
    }
    g_assert_cmpuint(at, ==, size);
    return g_string_free(text, FALSE);
}

static void assert_nodes(const char *args, const char *wanted)
{
    Viommu *v = viommu_boot(NULL, args);
    g_autofree char *found = nodes(v);

    g_assert_cmpstr(found, ==, wanted);
    viommu_stop(v);
}

/* One table for all of them, and no IOMMU is in a range of another */
static void several_iommus(void)
{
    assert_nodes(PXB "id=x,bus_nr=0x40,addr=8.0 " SECOND,
                 "80: 0-7f 81-87 89-3fff 88: 4000-ffff");
    assert_nodes(PXB "id=y,bus_nr=0x80,addr=9.0 "
                 PXB "id=x,bus_nr=0x40,addr=8.0 " SECOND,
                 "80: 0-7f 81-87 89-3fff 8000-ffff 88: 4000-7fff");
    assert_nodes(PXB "id=x,bus_nr=0x40,addr=8.0 " SECOND
                 PXB "id=y,bus_nr=0x80,addr=9.0 "
                 "-device pviommu-pci,bus=pcie.0,addr=12.0,primary-bus=y ",
                 "80: 0-7f 81-87 89-8f 91-3fff 88: 4000-7fff 90: 8000-ffff");
}

/* An IOMMU of an expander alone: none is said to be behind another bus */
static void expander_alone(void)
{
    Viommu *v = g_new0(Viommu, 1);
    g_autofree char *found = NULL;

    v->qts = qtest_init("-machine q35 -m 256M -nodefaults "
                        PXB "id=x,bus_nr=0x40,addr=8.0 "
                        "-device pviommu-pci,id=iommu,bus=pcie.0,addr=10.0,"
                        "primary-bus=x");
    viommu_adopt(v);
    found = nodes(v);
    g_assert_cmpstr(found, ==, "80: 4000-ffff");
    viommu_stop(v);
}

static void roots_that_bypass(void)
{
    assert_nodes("-M default_bus_bypass_iommu=on "
                 PXB "id=x,bus_nr=0x40,addr=8.0 " SECOND,
                 "80: 88: 4000-ffff");
    assert_nodes(PXB "id=x,bus_nr=0x40,addr=8.0,bypass_iommu=on " SECOND,
                 "80: 0-7f 81-87 89-3fff 88:");
}

#define PORTS "-device pcie-root-port,id=r3,addr=3.0,chassis=1 " \
              "-device pcie-root-port,id=r6,addr=6.0,chassis=2 "

/* Only what is in scope, as far as bus numbers tell */
static void assert_scope(const char *scope, const char *args,
                         const char *unnumbered, const char *numbered)
{
    g_autofree char *before = NULL, *after = NULL;
    Viommu *v = viommu_boot(scope, args);

    before = nodes(v);
    g_assert_cmpstr(before, ==, unnumbered);
    qtest_system_reset(v->qts);
    viommu_set_bridge(v, 0x18, 0, 1, 1);
    viommu_set_bridge(v, 0x30, 0, 2, 2);
    after = nodes(v);
    g_assert_cmpstr(after, ==, numbered);
    viommu_stop(v);
}

static void scope(void)
{
    assert_scope("scope=all", PORTS EDU_A, "80: 0-7f 81-ffff",
                 "80: 0-7f 81-ffff");
    assert_scope("scope=4.0", PORTS EDU_A, "80: 20-20", "80: 20-20");
    assert_scope("scope=4.0:1f.0:1f.2:0.0", PORTS EDU_A,
                 "80: 0-0 20-20 f8-f8 fa-fa", "80: 0-0 20-20 f8-f8 fa-fa");
    assert_scope("scope=3.0", PORTS EDU_A,
                 "80: 18-18 100-ffff", "80: 18-18 100-1ff 300-ffff");
    assert_scope("scope=6.0/0.1", PORTS "-device " EDU ",bus=r6,addr=0.1 "
                 "-device " EDU ",bus=r6,addr=0.0,multifunction=on ",
                 "80: 100-ffff", "80: 201-201 300-ffff");
    assert_scope("scope=passthrough", PORTS EDU_A "-device " EDU ",bus=r6 ",
                 "80: 1-17 19-1f 21-2f 31-7f 81-f7 f9-f9 fc-ffff",
                 "80: 1-17 19-1f 21-2f 31-7f 81-f7 f9-f9 fc-1ff 201-ffff");
}

/* The guest ejects a device that scope names, and reads the table again */
static void scope_of_none(void)
{
    Viommu *v = g_new0(Viommu, 1);
    g_autofree char *found = NULL;

    v->qts = qtest_init("-machine pc -m 256M -nodefaults "
                        "-device pviommu-pci,id=iommu,addr=10.0,scope=4.0 "
                        EDU_A);
    viommu_adopt(v);
    assert_state(v, EP_A, "bypass");
    qtest_outl(v->qts, ACPI_PCIHP_SELECT, 0);
    qtest_outl(v->qts, ACPI_PCIHP_EJECT, 1 << 4);
    qtest_qmp_eventwait(v->qts, "DEVICE_DELETED");
    qtest_system_reset(v->qts);
    viommu_map_registers(v);
    found = nodes(v);
    g_assert_cmpstr(found, ==, "80: 20-20");
    viommu_stop(v);
}

#define PORT(addr) "-device pcie-root-port,id=r" addr ",addr=" addr \
                   ",chassis=" addr " "

/*
 * More is plugged, and splits more ranges, than there was room kept for: the
 * table stays as it was, and that is said once
 */
static void no_room(void)
{
    g_autofree char *path = g_strdup_printf("%s/pviommu-messages-%d",
                                            g_get_tmp_dir(), getpid());
    g_autofree char *args = g_strdup_printf(PORT("3") PORT("4") PORT("5")
                                            PORT("6") " 2>%s ", path);
    Viommu *v = viommu_boot("scope=passthrough", args);
    g_autofree char *before = nodes(v);
    g_autofree char *text = NULL;
    const char *said;

    for (unsigned port = 3; port <= 6; port++) {
        for (int function = 6; function >= 0; function -= 2) {
            g_autofree char *id = g_strdup_printf("d%u%d", port, function);
            g_autofree char *bus = g_strdup_printf("r%u", port);
            g_autofree char *addr = g_strdup_printf("0.%d", function);

            qtest_qmp_device_add(v->qts, "edu", id, "{'bus': %s, 'addr': %s, "
                                 "'multifunction': true}", bus, addr);
        }
    }
    for (unsigned i = 0; i < 3; i++) {
        g_autofree char *after = NULL;

        qtest_system_reset(v->qts);
        for (unsigned port = 3; port <= 6; port++) {
            viommu_set_bridge(v, port << 3, 0, port, port);
        }
        after = nodes(v);
        g_assert_cmpstr(after, ==, before);
    }
    viommu_stop(v);
    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    unlink(path);
    said = strstr(text, "VIOT has no room");
    g_assert_nonnull(said);
    g_assert_null(strstr(said + 1, "VIOT has no room"));
}

static void root_that_bypasses(void)
{
    Viommu *v = viommu_boot(NULL, "-M default_bus_bypass_iommu=on " EDU_A);
    unsigned ranges;
    g_autofree uint8_t *table = fetch_checked(v, &ranges);

    g_assert_cmpuint(ranges, ==, 0);
    assert_state(v, EP_A, "unprotected");
    viommu_stop(v);
}

/* A guest that resets its machine finds the same table */
static void after_a_reset(void)
{
    Viommu *v = viommu_boot(NULL, EDU_A);
    unsigned ranges;
    g_autofree uint8_t *before = fetch_checked(v, &ranges);
    g_autofree uint8_t *after = NULL;
    unsigned count = ranges;

    qtest_system_reset(v->qts);
    viommu_map_registers(v);
    after = fetch_checked(v, &ranges);
    g_assert_cmpuint(ranges, ==, count);
    g_assert_cmpmem(before, ldl_le_p(before + 4), after,
                    ldl_le_p(after + 4));
    viommu_stop(v);
}

static void beside_a_users_table(void)
{
    g_autofree char *path = g_strdup_printf("%s/pviommu-table-%d",
                                            g_get_tmp_dir(), getpid());
    g_autofree char *args = g_strdup_printf(EDU_A "-acpitable sig=TEST,"
                                            "data=%s ", path);
    unsigned ranges;
    Viommu *v;

    g_assert_true(g_file_set_contents(path, "user", 4, NULL));
    v = viommu_boot(NULL, args);
    g_free(fetch_checked(v, &ranges));
    g_assert_cmpuint(ranges, ==, 2);
    viommu_stop(v);
    unlink(path);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("viot/one-root", one_root);
    ADD("viot/expanders", expanders);
    ADD("viot/several-iommus", several_iommus);
    ADD("viot/expander-alone", expander_alone);
    ADD("viot/scope", scope);
    ADD("viot/scope-of-none", scope_of_none);
    ADD("viot/no-room", no_room);
    ADD("viot/root-that-bypasses", root_that_bypasses);
    ADD("viot/roots-that-bypass", roots_that_bypass);
    ADD("viot/after-a-reset", after_a_reset);
    ADD("viot/beside-a-users-table", beside_a_users_table);
    return g_test_run();
}
