/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the operator can read: properties, the log of requests, guest errors;
 * and what is refused while it runs
 */
#include "qemu/osdep.h"

#include "qobject/qstring.h"
#include "edu.h"

#define TARGET (RAM + 0x2000000)

static void domains_and_endpoints(void)
{
    Viommu *v = viommu_start(NULL, EDU_A EDU_B);
    QDict *answer, *domain, *endpoint = NULL;
    QListEntry *entry;
    QList *list;

    assert_status(viommu_attach(v, 9, EP_A), OK);
    assert_status(viommu_attach(v, 9, EP_B), OK);
    assert_status(viommu_map(v, 9, 0, 0x2fff, TARGET, READ), OK);
    assert_status(viommu_map(v, 9, 0x3000, 0x3fff, TARGET, READ), OK);

    answer = viommu_get(v, "domains");
    list = qdict_get_qlist(answer, "return");
    g_assert_cmpuint(qlist_size(list), ==, 1);
    domain = qobject_to(QDict, qlist_peek(list));
    g_assert_cmpint(qdict_get_int(domain, "id"), ==, 9);
    g_assert_cmpstr(qdict_get_str(domain, "kind"), ==, "paging");
    g_assert_cmpint(qdict_get_int(domain, "mappings"), ==, 2);
    g_assert_cmpint(qdict_get_int(domain, "mapped-bytes"), ==, 0x4000);
    g_assert_cmpuint(qlist_size(qdict_get_qlist(domain, "endpoints")), ==, 2);
    qobject_unref(answer);

    answer = viommu_get(v, "endpoints");
    QLIST_FOREACH_ENTRY(qdict_get_qlist(answer, "return"), entry) {
        QDict *dict = qobject_to(QDict, qlist_entry_obj(entry));

        if (qdict_get_int(dict, "id") == EP_A) {
            endpoint = dict;
        }
    }
    g_assert_nonnull(endpoint);
    g_assert_cmpstr(qdict_get_str(endpoint, "type"), ==, "edu");
    g_assert_cmpstr(qdict_get_str(endpoint, "device"), ==,
                    "/machine/peripheral/a");
    g_assert_cmpstr(qdict_get_str(endpoint, "state"), ==, "translated");
    g_assert_cmpstr(qdict_get_str(endpoint, "host-path"), ==, "none");
    g_assert_cmpint(qdict_get_int(endpoint, "domain"), ==, 9);
    g_assert_false(qdict_get_bool(endpoint, "fenced"));
    qobject_unref(answer);

    g_assert_cmpuint(viommu_count(v, "mappings"), ==, 2);
    g_assert_cmpuint(viommu_count(v, "mapped-bytes"), ==, 0x4000);
    g_assert_cmpuint(viommu_count(v, "host-refusals"), ==, 0);
    viommu_stop(v);
}

static void statuses_by_type(void)
{
    Viommu *v = viommu_start(NULL, EDU_A);
    QDict *answer, *statuses;

    assert_status(viommu_attach(v, 1, EP_A), OK);
    assert_status(viommu_attach(v, 1, 0x99), NOENT);
    assert_status(viommu_map(v, 1, 1, 0xfff, 0, READ), RANGE);
    assert_status(viommu_map(v, 1, 1, 0, 0, READ), INVAL);
    assert_status(viommu_map(v, 1, 2, 0, 0, READ), INVAL);
    answer = viommu_get(v, "statuses");
    statuses = qdict_get_qdict(answer, "return");
    g_assert_cmpint(qdict_get_int(qdict_get_qdict(statuses, "ATTACH"),
                                  "NOENT"), ==, 1);
    g_assert_cmpint(qdict_get_int(qdict_get_qdict(statuses, "MAP"),
                                  "RANGE"), ==, 1);
    g_assert_cmpint(qdict_get_int(qdict_get_qdict(statuses, "MAP"),
                                  "INVAL"), ==, 2);
    g_assert_cmpuint(qdict_size(qdict_get_qdict(statuses, "UNMAP")), ==, 0);
    qobject_unref(answer);
    g_assert_cmpuint(viommu_count_of(v, "requests", "ATTACH"), ==, 2);
    g_assert_cmpuint(viommu_count_of(v, "requests", "MAP"), ==, 3);
    g_assert_cmpuint(viommu_count_of(v, "requests", "PROBE"), ==, 0);
    viommu_stop(v);
}

/* All of the 64-bit space but the MSI window: numbers stay whole */
static void mapped_bytes_of_all(void)
{
    Viommu *v = viommu_start("granule=1", EDU_A);

    assert_status(viommu_attach(v, 1, EP_A), OK);
    assert_status(viommu_map(v, 1, 0, MSI_FIRST - 1, 0, READ), OK);
    assert_status(viommu_map(v, 1, MSI_LAST + 1, UINT64_MAX, 0, READ), OK);
    g_assert_cmphex(viommu_count(v, "mapped-bytes"), ==,
                    MSI_FIRST - MSI_LAST - 1);
    viommu_stop(v);
}

static void counters_cannot_be_written(void)
{
    static const char *const names[] = {
        "domains", "endpoints", "mappings", "mapped-bytes", "requests",
        "statuses", "mistakes", "host-refusals", "faults-reported",
        "faults-dropped", "driver-ok", "features", "bypass", "granule-bytes",
        "address-bits", "msi-window", "host-tables",
    };
    Viommu *v = viommu_start(NULL, EDU_A);

    for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
        QDict *answer = viommu_get(v, names[i]);

        qobject_unref(answer);
        answer = qtest_qmp(v->qts, "{'execute': 'qom-set', 'arguments': "
                           "{'path': 'iommu', 'property': %s, 'value': 0}}",
                           names[i]);
        g_assert_true(qdict_haskey(answer, "error"));
        qobject_unref(answer);
    }
    viommu_stop(v);
}

static void assert_reads(Viommu *v, const char *name, const char *wanted)
{
    QDict *answer = viommu_get(v, name);
    QObject *value = qdict_get(answer, "return");

    if (qobject_type(value) == QTYPE_QLIST) {
        value = qlist_entry_obj(qlist_first(qobject_to(QList, value)));
    }
    g_assert_cmpstr(qstring_get_str(qobject_to(QString, value)), ==, wanted);
    qobject_unref(answer);
}

/* What was given to the IOMMU reads back so that it could be given again */
static void properties_read_back(void)
{
    Viommu *v = viommu_start("\"aw-bits\": 48, "
                             "\"reserved-regions\": [\"0x1000:0x2fff:0\"]",
                             EDU_A);

    assert_reads(v, "aw-bits", "48");
    assert_reads(v, "reserved-regions", "0x1000:0x2fff:0");
    viommu_stop(v);
    v = viommu_start(NULL, EDU_A);
    assert_reads(v, "aw-bits", "auto");
    viommu_stop(v);
}

static char *temporary(const char *what)
{
    return g_strdup_printf("%s/pviommu-%s-%d", g_get_tmp_dir(), what,
                           getpid());
}

static void requests_log(void)
{
    g_autofree char *path = temporary("requests");
    g_autofree char *property = g_strdup_printf("requests-log=%s", path);
    g_autofree char *text = NULL;
    Viommu *v = viommu_start(property, EDU_A);
    uint8_t probe[VIOMMU_PROBE_SIZE];

    assert_status(viommu_attach(v, 1, EP_A), OK);
    assert_status(viommu_map(v, 1, 0x1000, 0x1fff, 0x2000000, READ | WRITE),
                  OK);
    assert_status(viommu_map(v, 1, 0x1000, 0x1fff, 0x2000000, READ), INVAL);
    assert_status(viommu_unmap(v, 1, 0, UINT64_MAX), OK);
    assert_status(viommu_probe(v, EP_A, probe), OK);
    assert_status(viommu_detach(v, 1, EP_A), OK);
    viommu_send(v, &(ViommuBuffers) { .out = "\x09\0\0", .out_size = 4,
                                      .in_size = 4 });
    /* Every line is there at once, not at the end */
    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    g_assert_cmpstr(text, ==,
        "ATTACH domain=1 endpoint=0x20 flags=0x0 status=OK host=ok\n"
        "MAP domain=1 first=0x1000 last=0x1fff phys=0x2000000 flags=0x3 "
        "status=OK host=ok\n"
        "MAP domain=1 first=0x1000 last=0x1fff phys=0x2000000 flags=0x1 "
        "status=INVAL host=-\n"
        "UNMAP domain=1 first=0x0 last=0xffffffffffffffff status=OK "
        "host=ok\n"
        "PROBE endpoint=0x20 status=OK host=-\n"
        "DETACH domain=1 endpoint=0x20 status=OK host=ok\n"
        "unknown type=9 status=unwritten host=-\n");
    viommu_stop(v);
    unlink(path);
}

/* How often a word is in a text */
static unsigned occurrences(const char *text, const char *word)
{
    unsigned count = 0;

    for (const char *at = text; (at = strstr(at, word)); at++) {
        count++;
    }
    return count;
}

/* A full disk: one warning, the log ends, the guest goes on */
static void requests_log_full(void)
{
    g_autofree char *path = temporary("warnings");
    g_autofree char *args = g_strdup_printf(EDU_A "2>%s ", path);
    g_autofree char *text = NULL;
    Viommu *v;

    if (access("/dev/full", W_OK)) {
        g_test_skip("no /dev/full");
        return;
    }
    v = viommu_start("requests-log=/dev/full", args);
    for (unsigned i = 0; i < 100; i++) {
        assert_status(viommu_attach(v, 1, EP_A), OK);
        assert_status(viommu_detach(v, 1, EP_A), OK);
    }
    viommu_stop(v);
    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    g_assert_cmpuint(occurrences(text, "/dev/full: cannot write"), ==, 1);
    g_assert_cmpuint(occurrences(text, "the log ends here"), ==, 1);
    unlink(path);
}

/* However often a guest is wrong, the log says it once */
static void guest_errors_are_logged_once(void)
{
    g_autofree char *path = temporary("errors");
    g_autofree char *args = g_strdup_printf(EDU_A "-d guest_errors -D %s ",
                                            path);
    g_autofree char *text = NULL;
    g_auto(GStrv) lines = NULL;
    Viommu *v = viommu_start(NULL, args);
    struct virtio_iommu_req_map req = {
        .head.type = VIRTIO_IOMMU_T_MAP,
        .virt_start = cpu_to_le64(0x1000),
    };
    const unsigned total = 20000;
    unsigned ours = 0;

    for (unsigned i = 0; i < total; i += 100) {
        for (unsigned j = 0; j < 100; j++) {
            viommu_post(v, &v->requests, &(ViommuBuffers) {
                .out = &req, .out_size = offsetof(typeof(req), tail),
                .in_size = 4,
            });
        }
        viommu_kick(v, &v->requests);
        for (unsigned j = 0; j < 100; j++) {
            g_assert_cmpuint(viommu_wait(v, &v->requests), ==, 4);
        }
    }
    assert_status(viommu_attach(v, 1, 0x99), NOENT);
    assert_status(viommu_attach(v, 1, 0x99), NOENT);
    viommu_config_write(v, 0, 1);
    viommu_config_write(v, 0, 1);
    g_assert_cmpuint(viommu_count_of(v, "mistakes", "inverted"), ==, total);
    viommu_stop(v);

    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    lines = g_strsplit(text, "\n", 0);
    for (unsigned i = 0; lines[i]; i++) {
        ours += g_str_has_prefix(lines[i], "pviommu: guest mistake ");
    }
    g_assert_cmpuint(ours, ==, 3);
    g_assert_nonnull(strstr(text, "guest mistake inverted: MAP"));
    g_assert_nonnull(strstr(text, "guest mistake no-endpoint: ATTACH"));
    g_assert_nonnull(strstr(text, "guest mistake config-write: "));
    unlink(path);
}

static void assert_says_cannot_migrate(const char *text)
{
    if (!strstr(text, "pviommu cannot migrate")) {
        g_test_message("%s", text);
        g_test_fail();
    }
}

static void migration_refused(void)
{
    Viommu *v = viommu_start(NULL, EDU_A);
    QDict *answer = qtest_qmp(v->qts, "{'execute': 'migrate', 'arguments': "
                              "{'uri': 'exec:cat >/dev/null'}}");

    g_assert_true(qdict_haskey(answer, "error"));
    assert_says_cannot_migrate(
        qdict_get_str(qdict_get_qdict(answer, "error"), "desc"));
    qobject_unref(answer);
    viommu_assert_alive(v);
    viommu_stop(v);
}

static void savevm_refused(void)
{
    g_autofree char *image = temporary("image");
    g_autofree char *make = g_strdup_printf("qemu-img create -q -f qcow2 "
                                            "%s 16M", image);
    g_autofree char *args = g_strdup_printf(EDU_A
        "-drive file=%s,format=qcow2,if=none,id=disk "
        "-device virtio-blk-pci,drive=disk ", image);
    g_autofree char *answer = NULL;
    Viommu *v;

    if (!g_spawn_command_line_sync(make, NULL, NULL, NULL, NULL) ||
        access(image, F_OK)) {
        g_test_skip("no qemu-img to make an image for savevm");
        return;
    }
    v = viommu_start(NULL, args);
    answer = qtest_hmp(v->qts, "savevm here");
    assert_says_cannot_migrate(answer);
    viommu_assert_alive(v);
    viommu_stop(v);
    unlink(image);
}

static void info_qtree(void)
{
    g_autofree char *hmp = NULL;
    Viommu *v = viommu_start(NULL, EDU_A);

    hmp = qtest_hmp(v->qts, "info qtree");
    g_assert_nonnull(strstr(hmp, "pviommu-"));
    viommu_assert_alive(v);
    viommu_stop(v);
}

/* A management program asks a type for its properties without a device */
static void properties_of_the_type(void)
{
    static const char *const types[] = { "pviommu-pci", "pviommu-device" };
    QTestState *qts = qtest_init("-machine none");

    for (unsigned i = 0; i < ARRAY_SIZE(types); i++) {
        QDict *answer = qtest_qmp(qts, "{'execute': 'device-list-properties',"
                                  " 'arguments': {'typename': %s}}",
                                  types[i]);
        bool found = false;
        QListEntry *entry;

        QLIST_FOREACH_ENTRY(qdict_get_qlist(answer, "return"), entry) {
            QDict *dict = qobject_to(QDict, qlist_entry_obj(entry));

            found |= !strcmp(qdict_get_str(dict, "name"), "boot-bypass");
        }
        g_assert_true(found);
        qobject_unref(answer);
    }
    qtest_quit(qts);
}

/* Why an endpoint is said to be unprotected, or NULL if it is not */
static char *reason_of(Viommu *v, uint32_t endpoint)
{
    QDict *answer = viommu_get(v, "endpoints");
    char *reason = NULL;
    QListEntry *entry;

    QLIST_FOREACH_ENTRY(qdict_get_qlist(answer, "return"), entry) {
        QDict *dict = qobject_to(QDict, qlist_entry_obj(entry));

        if (qdict_get_int(dict, "id") == endpoint) {
            reason = g_strdup(qdict_get_try_str(dict, "reason"));
            g_assert_cmpint(!reason, ==, !g_str_equal(
                qdict_get_str(dict, "state"), "unprotected"));
        }
    }
    qobject_unref(answer);
    return reason;
}

/* Attached or not, it reaches all memory, and that is what is shown */
static void unprotected(void)
{
    Viommu *v = viommu_start("boot-bypass=off", EDU_A
                             "-device virtio-rng-pci,addr=5.0 "
                             "-device virtio-rng-pci,addr=6.0,"
                             "iommu_platform=on,disable-legacy=on ");
    g_autofree char *forgot = reason_of(v, 0x28);

    g_assert_cmpstr(forgot, ==, "iommu_platform=on is not given");
    g_assert_null(reason_of(v, EP_A));
    g_assert_null(reason_of(v, 0x30));
    assert_status(viommu_attach(v, 1, 0x28), OK);
    assert_status(viommu_attach(v, 1, 0x30), OK);
    assert_state(v, 0x28, "unprotected");
    assert_state(v, 0x30, "translated");
    viommu_stop(v);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("introspect/domains-and-endpoints", domains_and_endpoints);
    ADD("introspect/statuses-by-type", statuses_by_type);
    ADD("introspect/mapped-bytes-of-all", mapped_bytes_of_all);
    ADD("introspect/counters-cannot-be-written", counters_cannot_be_written);
    ADD("introspect/properties-read-back", properties_read_back);
    ADD("introspect/info-qtree", info_qtree);
    ADD("introspect/properties-of-the-type", properties_of_the_type);
    ADD("log/requests", requests_log);
    ADD("log/requests-disk-full", requests_log_full);
    ADD("log/guest-errors-once", guest_errors_are_logged_once);
    ADD("migration/refused", migration_refused);
    ADD("migration/savevm-refused", savevm_refused);
    ADD_PCI("introspect/unprotected", unprotected);
    return g_test_run();
}
