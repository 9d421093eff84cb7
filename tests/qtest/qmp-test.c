/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * query-pviommu, which the library adds to QMP: docs/interop/pviommu-qmp.md
 */
#include "qemu/osdep.h"

#include "edu.h"
#include "iommufd-scene.h"
#include "qmp.h"
#include "qobject/qstring.h"

#define TARGET (RAM + 0x2000000)
#define BYPASS VIRTIO_IOMMU_ATTACH_F_BYPASS

#define EXPANDER "-device pxb-pcie,id=x,bus_nr=0x40,addr=8.0 " \
                 "-device pviommu-pci,id=second,bus=pcie.0,addr=11.0," \
                 "primary-bus=x,boot-bypass=off "
#define SECOND_BDF 0x88

static bool lists(const QDict *dict, const char *name, const char *word)
{
    const QListEntry *entry;

    QLIST_FOREACH_ENTRY(qdict_get_qlist(dict, name), entry) {
        QString *text = qobject_to(QString, qlist_entry_obj(entry));

        if (!strcmp(qstring_get_str(text), word)) {
            return true;
        }
    }
    return false;
}

/* Whether an answer names a command or a type, as QEMU lists them */
static bool names(QTestState *qts, const char *command, const char *name)
{
    QDict *response = qtest_qmp(qts, "{'execute': %s}", command);
    const QListEntry *entry;
    bool found = false;

    QLIST_FOREACH_ENTRY(qdict_get_qlist(response, "return"), entry) {
        found |= !strcmp(qdict_get_str(qobject_to(QDict,
                                                  qlist_entry_obj(entry)),
                                       "name"), name);
    }
    qobject_unref(response);
    return found;
}

static void none(void)
{
    QTestState *qts = qtest_init("-machine none");
    QDict *answer = qmp_query(qts);
    unsigned major, minor, micro;

    g_assert_cmpuint(qmp_length(answer, "instances"), ==, 0);
    g_assert_cmpint(sscanf(qdict_get_str(answer, "version"), "%u.%u.%u",
                           &major, &minor, &micro), ==, 3);
    qobject_unref(answer);
    g_assert_true(names(qts, "query-commands", "query-pviommu"));
    g_assert_true(names(qts, "query-commands", "query-pviommu-mappings"));
    g_assert_false(names(qts, "query-qmp-schema", "query-pviommu"));
    qmp_assert_refused(qts, "-device pviommu-pci",
                       QMP_MAPPINGS("'domain': 1"));
    qtest_quit(qts);
}

/* What qom-get tells is told here, each in the same words */
static void as_properties(void)
{
    Viommu *v = viommu_start(NULL, EDU_A EDU_B);
    QDict *answer, *instance;
    const QDictEntry *entry;
    unsigned same = 0;

    assert_status(viommu_attach(v, 9, EP_A), OK);
    assert_status(viommu_map(v, 9, 0, 0x2fff, TARGET, READ), OK);
    assert_status(viommu_attach(v, 9, 0x99), NOENT);
    answer = qmp_query(v->qts);
    g_assert_cmpuint(qmp_length(answer, "instances"), ==, 1);
    instance = qmp_entry(answer, "instances", 0);
    g_assert_cmpstr(qdict_get_str(instance, "id"), ==, "iommu");
    g_assert_cmpstr(qdict_get_str(instance, "path"), ==,
                    "/machine/peripheral/iommu");
    g_assert_cmpstr(qdict_get_str(instance, "transport"), ==,
                    board()->slot ? "mmio" : "pci");
    for (entry = qdict_first(instance); entry;
         entry = qdict_next(instance, entry)) {
        const char *name = qdict_entry_key(entry);
        QDict *property;

        if (!strcmp(name, "id") || !strcmp(name, "path") ||
            !strcmp(name, "transport")) {
            continue;
        }
        if (!strcmp(name, "primary-bus")) {
            g_assert_cmpstr(qdict_get_str(instance, name), ==, "pcie.0");
            continue;
        }
        property = viommu_get(v, name);
        g_assert_true(qobject_is_equal(qdict_get(property, "return"),
                                       qdict_entry_value(entry)));
        qobject_unref(property);
        same++;
    }
    g_assert_cmpuint(same, ==, 19);
    qobject_unref(answer);
    viommu_stop(v);
}

static void assert_features(QDict *instance, bool accepted)
{
    QDict *features = qdict_get_qdict(instance, "features");

    g_assert_true(lists(features, "offered", "MAP_UNMAP"));
    g_assert_true(lists(features, "offered", "PROBE"));
    g_assert_false(lists(features, "offered", "GUEST_TABLES"));
    g_assert_cmpuint(qmp_length(features, "offered"), ==, 6);
    g_assert_cmpint(lists(features, "accepted", "MAP_UNMAP"), ==, accepted);
    g_assert_false(lists(features, "accepted", "PROBE"));
    g_assert_cmpint(qdict_get_bool(instance, "driver-ok"), ==, accepted);
}

/* What is in force, and not what was asked for */
static void in_force(void)
{
    Viommu *v = viommu_boot("granule=64k,aw-bits=40", EDU_A);
    QDict *answer = qmp_query(v->qts), *instance, *window;

    assert_features(qmp_entry(answer, "instances", 0), false);
    qobject_unref(answer);
    viommu_begin(v, ALL_FEATURES);
    answer = qmp_query(v->qts);
    g_assert_false(qdict_get_bool(qmp_entry(answer, "instances", 0),
                                  "driver-ok"));
    qobject_unref(answer);
    viommu_negotiate(v, ~FEATURE(VIRTIO_IOMMU_F_PROBE));
    viommu_set_bypass(v, 0);
    answer = qmp_query(v->qts);
    instance = qmp_entry(answer, "instances", 0);
    assert_features(instance, true);
    g_assert_cmpuint(qmp_number(instance, "granule-bytes"), ==, 0x10000);
    g_assert_cmpuint(qmp_number(instance, "address-bits"), ==, 40);
    g_assert_false(qdict_get_bool(instance, "bypass"));
    window = qdict_get_qdict(instance, "msi-window");
    g_assert_cmphex(qmp_number(window, "first"), ==, MSI_FIRST);
    g_assert_cmphex(qmp_number(window, "last"), ==, MSI_LAST);
    g_assert_false(qdict_haskey(instance, "iothread"));
    qobject_unref(answer);
    viommu_stop(v);
}

/* The kernel's own account: of this process, so its file must say the same */
static void host_memory(void)
{
    g_autofree char *path = NULL;
    g_autofree char *status = NULL;
    Viommu *v = viommu_start(NULL, EDU_A);
    QDict *answer = qmp_query(v->qts), *memory;
    uint64_t locked;
    const char *line;

    path = g_strdup_printf("/proc/%d/status", qtest_pid(v->qts));
    g_assert_true(g_file_get_contents(path, &status, NULL, NULL));
    line = strstr(status, "\nVmLck:");
    g_assert_nonnull(line);
    locked = g_ascii_strtoull(line + strlen("\nVmLck:"), NULL, 10) * 1024;
    memory = qdict_get_qdict(answer, "host-memory");
    g_assert_cmpuint(qmp_number(memory, "locked-bytes"), ==, locked);
    g_assert_cmpuint(qmp_number(memory, "pinned-bytes"), ==, 0);
    qobject_unref(answer);
    viommu_stop(v);
}

static const char *state_of(const QDict *instance, uint32_t endpoint)
{
    return qdict_get_str(qmp_find(instance, "endpoints", "id", endpoint),
                         "state");
}

static void states(void)
{
    Viommu *v = viommu_start(NULL, EDU_A EDU_B
                             "-device " EDU ",id=c,addr=6.0 "
                             "-device virtio-rng-pci,addr=7.0 ");
    QDict *answer, *instance;

    viommu_set_bypass(v, 0);
    assert_status(viommu_attach(v, 1, EP_A), OK);
    assert_status(viommu_map(v, 1, 0, 0xfff, TARGET, READ), OK);
    assert_status(viommu_attach_flags(v, 2, EP_B, BYPASS), OK);
    answer = qmp_query(v->qts);
    instance = qmp_entry(answer, "instances", 0);
    g_assert_cmpstr(state_of(instance, EP_A), ==, "translated");
    g_assert_cmpstr(state_of(instance, EP_B), ==, "bypass");
    g_assert_cmpstr(state_of(instance, 0x30), ==, "blocked");
    g_assert_cmpstr(state_of(instance, 0x38), ==, "unprotected");
    g_assert_cmpuint(qmp_length(instance, "domains"), ==, 2);
    g_assert_cmpuint(qmp_number(qmp_find(instance, "domains", "id", 1),
                               "mapped-bytes"), ==, PAGE);
    g_assert_cmpstr(qdict_get_str(qmp_find(instance, "domains", "id", 2),
                                  "kind"), ==, "bypass");
    g_assert_cmpuint(qmp_length(instance, "host-tables"), ==, 0);
    qobject_unref(answer);
    viommu_stop(v);
}

/* Who is on which page table of the host's */
static void assert_tables(Viommu *v, unsigned count, const char *holds,
                          unsigned on)
{
    QDict *answer = qmp_query(v->qts);
    QDict *instance = qmp_entry(answer, "instances", 0);
    const QListEntry *entry;
    bool found = false;

    g_assert_cmpuint(qmp_length(instance, "host-tables"), ==, count);
    QLIST_FOREACH_ENTRY(qdict_get_qlist(instance, "host-tables"), entry) {
        QDict *table = qobject_to(QDict, qlist_entry_obj(entry));

        g_assert_cmpstr(qdict_get_str(table, "iommufd"), ==, "host");
        g_assert_false(qdict_get_bool(table, "partial"));
        if (strcmp(qdict_get_str(table, "holds"), holds)) {
            continue;
        }
        found = true;
        g_assert_cmpuint(qmp_number(table, "ioas"), >, 0);
        g_assert_cmpuint(qmp_length(table, "endpoints"), ==, on);
        g_assert_cmpint(qdict_haskey(table, "domain"), ==,
                        !strcmp(holds, "mappings"));
    }
    g_assert_true(found);
    qobject_unref(answer);
}

static void host_tables(void)
{
    Scene s = scene_new(NULL, 2, "");

    assert_tables(s.v, 1, "guest-memory", 2);
    assert_status(viommu_attach(s.v, 5, s.w[0]->endpoint), OK);
    assert_tables(s.v, 2, "guest-memory", 1);
    assert_tables(s.v, 2, "mappings", 1);
    assert_status(viommu_attach(s.v, 5, s.w[1]->endpoint), OK);
    assert_tables(s.v, 2, "guest-memory", 0);
    assert_tables(s.v, 2, "mappings", 2);
    assert_shows(s.v, s.w[0]->endpoint, "host-path", "iommufd");
    detach_all(&s, 5);
    assert_tables(s.v, 1, "guest-memory", 2);
    scene_end(&s);
}

static void several(void)
{
    Viommu *v = viommu_start(NULL, EDU_A EXPANDER);
    Viommu *second = viommu_beside(v, "second", SECOND_BDF);
    QDict *answer = qmp_query(v->qts), *instance;

    g_assert_cmpuint(qmp_length(answer, "instances"), ==, 2);
    instance = qmp_entry(answer, "instances", 0);
    g_assert_cmpstr(qdict_get_str(instance, "id"), ==, "iommu");
    g_assert_cmpstr(qdict_get_str(instance, "primary-bus"), ==, "pcie.0");
    g_assert_true(qdict_get_bool(instance, "bypass"));
    instance = qmp_entry(answer, "instances", 1);
    g_assert_cmpstr(qdict_get_str(instance, "id"), ==, "second");
    g_assert_cmpstr(qdict_get_str(instance, "primary-bus"), ==, "x");
    g_assert_false(qdict_get_bool(instance, "bypass"));
    qobject_unref(answer);

    assert_status(viommu_attach(v, 1, EP_A), OK);
    assert_status(viommu_map(v, 1, 0, 0xfff, TARGET, READ), OK);
    qmp_assert_refused(v->qts, "by 'device'", QMP_MAPPINGS("'domain': 1"));
    qmp_assert_refused(v->qts, "no domain 1",
                       QMP_MAPPINGS("'domain': 1, 'device': 'second'"));
    answer = qmp_ask(v->qts, QMP_MAPPINGS(
                         "'device': '/machine/peripheral/iommu',"
                         " 'domain': 1"));
    g_assert_cmpuint(qmp_length(answer, "mappings"), ==, 1);
    qobject_unref(answer);
    answer = qmp_ask(v->qts, QMP_MAPPINGS("'device': 'iommu', 'domain': 1"));
    g_assert_cmpuint(qmp_length(answer, "mappings"), ==, 1);
    qobject_unref(answer);
    viommu_forget(second);
    viommu_stop(v);
}

/* Neither before the machine nor out of turn: they need it, and its lock */
static void out_of_turn(void)
{
    QTestState *qts = qtest_init_without_qmp_handshake("-machine none");
    QDict *response = qtest_qmp_receive(qts);

    qobject_unref(response);
    response = qtest_qmp(qts, "{'execute': 'qmp_capabilities',"
                         " 'arguments': {'enable': ['oob']}}");
    g_assert_true(qdict_haskey(response, "return"));
    qobject_unref(response);
    qmp_assert_refused(qts, "does not support OOB",
                       "{'exec-oob': 'query-pviommu', 'id': 1}");
    qtest_quit(qts);
}

static void preconfig(void)
{
    QTestState *qts = qtest_init("-machine none -preconfig");

    qmp_assert_error(qtest_qmp(qts, "{'execute': 'query-pviommu'}"),
                     "CommandNotFound", "query-pviommu");
    qtest_qmp_assert_success(qts, "{'execute': 'x-exit-preconfig'}");
    qobject_unref(qmp_query(qts));
    qtest_quit(qts);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("qmp/none", none);
    ADD("qmp/as-properties", as_properties);
    ADD("qmp/in-force", in_force);
    ADD("qmp/host-memory", host_memory);
    ADD("qmp/states", states);
    ADD_PCI("qmp/host-tables", host_tables);
    ADD_PCI("qmp/several", several);
    ADD("qmp/out-of-turn", out_of_turn);
    ADD("qmp/preconfig", preconfig);
    return g_test_run();
}
