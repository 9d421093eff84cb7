/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * query-pviommu-mappings, which the library adds to QMP:
 * docs/interop/pviommu-qmp.md
 */
#include "qemu/osdep.h"

#include "edu.h"
#include "guest-table.h"
#include "iothread.h"
#include "qmp.h"
#include "watch.h"

#define PAGE 4096ULL
#define IOVA(n) ((uint64_t)(n) * PAGE)
#define LAST(n) (IOVA(n) + PAGE - 1)

/* In the domain of "pages"; in an answer; in one batch of requests */
#define MANY 100000
#define MOST 10000
#define BATCH 100

#define BYPASS VIRTIO_IOMMU_ATTACH_F_BYPASS

/* Give a batch of mappings of a page each, every second to be written */
static void post_batch(Viommu *v, uint32_t domain, unsigned first)
{
    struct virtio_iommu_req_map maps[BATCH];

    for (unsigned i = 0, n = first; i < BATCH; i++, n++) {
        maps[i] = viommu_map_request(domain, IOVA(2 * n), LAST(2 * n),
                                     TARGET + IOVA(n % 4096),
                                     n % 2 ? READ | WRITE : READ);
    }
    viommu_post_maps(v, maps, BATCH);
    viommu_kick(v, &v->requests);
}

static void map_many(Viommu *v, uint32_t domain, unsigned count)
{
    for (unsigned i = 0; i < count; i += BATCH) {
        post_batch(v, domain, i);
        viommu_wait_maps(v, BATCH);
    }
}

static void assert_mapping(const QDict *m, unsigned n)
{
    g_assert_cmphex(qmp_number(m, "first"), ==, IOVA(2 * n));
    g_assert_cmphex(qmp_number(m, "last"), ==, LAST(2 * n));
    g_assert_cmphex(qmp_number(m, "phys"), ==, TARGET + IOVA(n % 4096));
    g_assert_true(qdict_get_bool(m, "read"));
    g_assert_cmpint(qdict_get_bool(m, "write"), ==, n % 2);
    g_assert_false(qdict_get_bool(m, "mmio"));
}

static QDict *ask_page(Viommu *v, uint32_t domain, uint64_t from,
                       uint64_t max)
{
    return qmp_ask(v->qts, QMP_MAPPINGS("'domain': %" PRIu32 ", 'from': %"
                                        PRIu64 ", 'max': %" PRIu64),
                   domain, from, max);
}

/* All of a domain that map_many() filled, page by page; how many answers */
static unsigned walk(Viommu *v, uint32_t domain, uint64_t max,
                     unsigned count)
{
    unsigned n = 0, answers = 0;
    uint64_t from = 0;
    bool more = true;

    while (more) {
        QDict *answer = ask_page(v, domain, from, max);
        const QListEntry *entry;

        g_assert_cmpuint(qmp_number(answer, "domain"), ==, domain);
        g_assert_cmpstr(qdict_get_str(answer, "kind"), ==, "paging");
        g_assert_cmpuint(qmp_length(answer, "mappings"), <=, max);
        QLIST_FOREACH_ENTRY(qdict_get_qlist(answer, "mappings"), entry) {
            assert_mapping(qobject_to(QDict, qlist_entry_obj(entry)), n++);
        }
        more = qdict_haskey(answer, "next");
        if (more) {
            g_assert_cmpuint(qmp_length(answer, "mappings"), ==, max);
            from = qmp_number(answer, "next");
            g_assert_cmphex(from, ==, IOVA(2 * n));
        }
        qobject_unref(answer);
        answers++;
    }
    g_assert_cmpuint(n, ==, count);
    return answers;
}

/* A part in the middle of many */
static void assert_part(Viommu *v, uint32_t domain, unsigned first,
                        unsigned count)
{
    QDict *answer = ask_page(v, domain, IOVA(2 * first), count);

    g_assert_cmpuint(qmp_length(answer, "mappings"), ==, count);
    assert_mapping(qmp_entry(answer, "mappings", 0), first);
    assert_mapping(qmp_entry(answer, "mappings", count - 1),
                   first + count - 1);
    g_assert_cmphex(qmp_number(answer, "next"), ==,
                    IOVA(2 * (first + count)));
    qobject_unref(answer);
}

static void pages(void)
{
    Viommu *v = viommu_start(NULL, EDU_A EDU_B);
    QDict *answer;

    assert_status(viommu_attach(v, 7, EP_A), OK);
    assert_status(viommu_attach(v, 8, EP_B), OK);
    g_assert_cmpuint(walk(v, 7, MOST, 0), ==, 1);
    map_many(v, 7, MANY);
    map_many(v, 8, 1000);
    g_assert_cmpuint(viommu_count(v, "mappings"), ==, MANY + 1000);
    g_assert_cmpuint(walk(v, 8, 100, 1000), ==, 10);
    g_assert_cmpuint(walk(v, 8, 999, 1000), ==, 2);
    g_assert_cmpuint(walk(v, 8, 1000, 1000), ==, 1);
    assert_part(v, 7, 0, MOST);
    for (unsigned first = 1; first < MANY - 10; first += 9999) {
        assert_part(v, 7, first, 10);
    }
    /* what holds the address, then what is behind it */
    answer = ask_page(v, 7, IOVA(2000) + 5, 1);
    assert_mapping(qmp_entry(answer, "mappings", 0), 1000);
    g_assert_cmphex(qmp_number(answer, "next"), ==, IOVA(2002));
    qobject_unref(answer);
    answer = ask_page(v, 7, LAST(2000) + 1, 2);
    assert_mapping(qmp_entry(answer, "mappings", 0), 1001);
    g_assert_cmpuint(qmp_length(answer, "mappings"), ==, 2);
    qobject_unref(answer);
    answer = ask_page(v, 7, LAST(2 * MANY - 2), 1);
    assert_mapping(qmp_entry(answer, "mappings", 0), MANY - 1);
    g_assert_false(qdict_haskey(answer, "next"));
    qobject_unref(answer);
    answer = ask_page(v, 7, UINT64_MAX, 1);
    g_assert_cmpuint(qmp_length(answer, "mappings"), ==, 0);
    g_assert_false(qdict_haskey(answer, "next"));
    qobject_unref(answer);
    /* as many as there are without a word */
    answer = qmp_ask(v->qts, QMP_MAPPINGS("'domain': 7"));
    g_assert_cmpuint(qmp_length(answer, "mappings"), ==, 1000);
    g_assert_cmphex(qmp_number(answer, "next"), ==, IOVA(2000));
    qobject_unref(answer);
    viommu_stop(v);
}

/* The last byte of all is no end of the walk too early or too late */
static void ends(void)
{
    Viommu *v = viommu_start("granule=1", EDU_A);
    QDict *answer;

    assert_status(viommu_attach(v, 1, EP_A), OK);
    assert_status(viommu_map(v, 1, UINT64_MAX, UINT64_MAX, 0, READ | MMIO),
                  OK);
    assert_status(viommu_map(v, 1, UINT64_MAX - 9, UINT64_MAX - 1, 9, WRITE),
                  OK);
    answer = ask_page(v, 1, UINT64_MAX - 1, 1);
    g_assert_cmphex(qmp_number(qmp_entry(answer, "mappings", 0), "first"), ==,
                    UINT64_MAX - 9);
    g_assert_cmphex(qmp_number(answer, "next"), ==, UINT64_MAX);
    qobject_unref(answer);
    answer = ask_page(v, 1, UINT64_MAX, 1);
    g_assert_cmphex(qmp_number(qmp_entry(answer, "mappings", 0), "last"), ==,
                    UINT64_MAX);
    g_assert_true(qdict_get_bool(qmp_entry(answer, "mappings", 0), "mmio"));
    g_assert_false(qdict_get_bool(qmp_entry(answer, "mappings", 0), "write"));
    g_assert_false(qdict_haskey(answer, "next"));
    qobject_unref(answer);
    viommu_stop(v);
}

#define BY_ENDPOINT QMP_MAPPINGS("'endpoint': %u")

static void by_endpoint(void)
{
    Viommu *v = viommu_start(NULL, EDU_A EDU_B);
    QDict *answer;

    qmp_assert_refused(v->qts, "attached to no domain", BY_ENDPOINT, EP_A);
    assert_status(viommu_attach(v, 3, EP_A), OK);
    assert_status(viommu_map(v, 3, 0, 0xfff, TARGET, READ), OK);
    assert_status(viommu_attach_flags(v, 4, EP_B, BYPASS), OK);
    answer = qmp_ask(v->qts, BY_ENDPOINT, EP_A);
    g_assert_cmpuint(qmp_number(answer, "domain"), ==, 3);
    g_assert_cmpuint(qmp_length(answer, "mappings"), ==, 1);
    qobject_unref(answer);
    answer = qmp_ask(v->qts, BY_ENDPOINT, EP_B);
    g_assert_cmpuint(qmp_number(answer, "domain"), ==, 4);
    g_assert_cmpstr(qdict_get_str(answer, "kind"), ==, "bypass");
    g_assert_cmpuint(qmp_length(answer, "mappings"), ==, 0);
    qobject_unref(answer);
    assert_status(viommu_detach(v, 3, EP_A), OK);
    qmp_assert_refused(v->qts, "attached to no domain", BY_ENDPOINT, EP_A);
    qmp_assert_refused(v->qts, "no domain 3", QMP_MAPPINGS("'domain': 3"));
    viommu_stop(v);
}

/* Numbers are those that the guest gives now; what has left has none */
static void unplugged(void)
{
    g_autofree char *library = watch_library();
    g_autofree char *args = g_strdup_printf(WATCH_PORT "%s ", library);
    Viommu *v = viommu_start(NULL, args);
    QDict *answer;

    g_assert_true(watch_plug(v, "container"));
    viommu_set_bridge(v, WATCH_PORT_BDF, 0, 1, 1);
    answer = qmp_query(v->qts);
    g_assert_cmpuint(qmp_length(qmp_entry(answer, "instances", 0),
                                "domains"), ==, 0);
    qmp_find(qmp_entry(answer, "instances", 0), "endpoints", "id", 0x101);
    qobject_unref(answer);
    assert_status(viommu_attach(v, 3, 0x101), OK);
    viommu_set_bridge(v, WATCH_PORT_BDF, 0, 2, 2);
    qmp_assert_refused(v->qts, "no endpoint 257", BY_ENDPOINT, 0x101);
    answer = qmp_ask(v->qts, BY_ENDPOINT, 0x201);
    g_assert_cmpuint(qmp_number(answer, "domain"), ==, 3);
    qobject_unref(answer);
    watch_unplug(v);
    qmp_assert_refused(v->qts, "no endpoint 513", BY_ENDPOINT, 0x201);
    answer = qmp_query(v->qts);
    g_assert_cmpuint(qmp_length(qmp_entry(answer, "instances", 0), "domains"),
                     ==, 0);
    qobject_unref(answer);
    viommu_stop(v);
}

/* What a table of the guest's maps is read when somebody asks */
static void guest_table(void)
{
    Viommu *v = viommu_start(TABLES_ON, EDU_A);
    GuestTable t = guest_table_new(v, X86_64, 48, TABLES_AT);
    QDict *answer, *table, *m;

    for (unsigned i = 0; i < 8; i++) {
        guest_table_map(&t, IOVA(i), TARGET + IOVA(i), 1, READ | WRITE);
        guest_table_map(&t, IOVA(2 * i + 100), TARGET, 1, READ);
    }
    assert_status(guest_table_attach(&t, 6, EP_A), OK);
    answer = qmp_query(v->qts);
    table = qdict_get_qdict(qmp_find(qmp_entry(answer, "instances", 0),
                                       "domains", "id", 6), "table");
    g_assert_cmpstr(qdict_get_str(table, "format"), ==, "x86_64");
    g_assert_cmpuint(qmp_number(table, "input-bits"), ==, 48);
    g_assert_cmphex(qmp_number(table, "root"), ==, TABLES_AT);
    g_assert_false(qdict_get_bool(table, "shadowed"));
    qobject_unref(answer);

    answer = ask_page(v, 6, 0, 3);
    g_assert_cmpstr(qdict_get_str(answer, "kind"), ==, "table");
    g_assert_cmpuint(qmp_length(answer, "mappings"), ==, 3);
    m = qmp_entry(answer, "mappings", 0);
    g_assert_cmphex(qmp_number(m, "first"), ==, 0);
    g_assert_cmphex(qmp_number(m, "last"), ==, LAST(7));
    g_assert_cmphex(qmp_number(m, "phys"), ==, TARGET);
    g_assert_true(qdict_get_bool(m, "write"));
    g_assert_cmphex(qmp_number(answer, "next"), ==, IOVA(104));
    qobject_unref(answer);
    /* a store is all that it takes, and the walk goes on behind it */
    guest_table_map(&t, HIGH, TARGET + PAGE, 2, READ);
    answer = ask_page(v, 6, IOVA(104), MOST);
    g_assert_cmpuint(qmp_length(answer, "mappings"), ==, 7);
    m = qmp_entry(answer, "mappings", 6);
    g_assert_cmphex(qmp_number(m, "first"), ==, HIGH);
    g_assert_false(qdict_haskey(answer, "next"));
    qobject_unref(answer);
    answer = ask_page(v, 6, UINT64_MAX, 1);
    g_assert_cmpuint(qmp_length(answer, "mappings"), ==, 0);
    qobject_unref(answer);
    viommu_stop(v);
}

/* A table that is large and empty is read in parts, each of which ends */
static void empty_table(void)
{
    Viommu *v = viommu_start(TABLES_ON, EDU_A);
    GuestTable t = guest_table_new(v, X86_64, 48, TABLES_AT);
    const uint64_t last = TABLES_AT + 3 * PAGE;
    uint64_t pointers[512], from = 0;
    QDict *answer;

    /* all entries of a level lead to the same table of the next */
    for (unsigned level = 0; level < 3; level++) {
        for (unsigned i = 0; i < 512; i++) {
            pointers[i] = cpu_to_le64((TABLES_AT + (level + 1) * PAGE) | 0x27);
        }
        qtest_memwrite(v->qts, TABLES_AT + level * PAGE, pointers,
                       sizeof(pointers));
    }
    assert_status(guest_table_attach(&t, 6, EP_A), OK);
    for (unsigned i = 0; i < 3; i++) {
        answer = ask_page(v, 6, from, MOST);
        g_assert_cmpuint(qmp_length(answer, "mappings"), ==, 0);
        g_assert_cmphex(qmp_number(answer, "next"), >, from);
        from = qmp_number(answer, "next");
        qobject_unref(answer);
    }
    /* and goes on to what is there */
    qtest_writeq(v->qts, last + 5 * 8, TARGET | 0x27);
    answer = ask_page(v, 6, from, 1);
    g_assert_cmpuint(qmp_length(answer, "mappings"), ==, 1);
    g_assert_cmphex(qmp_number(qmp_entry(answer, "mappings", 0), "first"), >=,
                    from);
    g_assert_cmphex(qmp_number(qmp_entry(answer, "mappings", 0), "phys"), ==,
                    TARGET);
    qobject_unref(answer);
    viommu_stop(v);
}

/* What is wrong, and what the answer says of it */
static const struct {
    const char *arguments;
    const char *said;
} wrong[] = {
    { "'domain': 1, 'endpoint': 32", "either a 'domain' or an 'endpoint'" },
    { "'domain': 1, 'first': 0", "'first'" },
    { "'domain': 2", "no domain 2; query-pviommu" },
    { "'endpoint': 3", "no endpoint 3; query-pviommu" },
    { "'domain': 1, 'device': 'x'", "id or path 'x'; query-pviommu" },
    { "'domain': 1, 'device': 'a'", "id or path 'a'; query-pviommu" },
    { "'domain': 1, 'device': 1", "'device'" },
    { "'domain': '1'", "'domain'" },
    { "'domain': null", "'domain'" },
    { "'domain': -1", "'domain' is 0 to 4294967295" },
    { "'domain': 4294967296", "'domain' is 0 to 4294967295" },
    { "'endpoint': -1", "'endpoint' is 0 to 4294967295" },
    { "'domain': 1, 'from': true", "'from'" },
    { "'domain': 1, 'from': 1.5", "'from'" },
    { "'domain': 1, 'from': -4096", "'from' is 0 to 18446744073709551615" },
    { "'domain': 1, 'max': 0", "'max' is 1 to 10000; go on with 'from'" },
    { "'domain': 1, 'max': 10001", "'max' is 1 to 10000" },
    { "'domain': 1, 'max': -1", "'max' is" },
    { "'domain': 1, 'max': []", "'max'" },
};

static void wrong_use(void)
{
    Viommu *v = viommu_start(NULL, EDU_A);

    assert_status(viommu_attach(v, 1, EP_A), OK);
    qmp_assert_refused(v->qts, "'all'", "{'execute': 'query-pviommu',"
                       " 'arguments': {'all': true}}");
    qmp_assert_refused(v->qts, "either a 'domain' or an 'endpoint'",
                       "{'execute': 'query-pviommu-mappings'}");
    for (unsigned i = 0; i < ARRAY_SIZE(wrong); i++) {
        qtest_qmp_send_raw(v->qts, QMP_MAPPINGS("%s"), wrong[i].arguments);
        qmp_assert_error(qtest_qmp_receive(v->qts), "GenericError",
                         wrong[i].said);
    }
    viommu_assert_alive(v);
    viommu_stop(v);
}

/* Requests go on in their thread while somebody looks */
static void iothread(void)
{
    Viommu *v = viommu_start(IN_IO, POLLS EDU_A);
    QDict *answer = qmp_query(v->qts);

    g_assert_cmpstr(qdict_get_str(qmp_entry(answer, "instances", 0),
                                  "iothread"), ==, "io");
    qobject_unref(answer);
    assert_status(viommu_attach(v, 2, EP_A), OK);
    for (unsigned count = 0; count < 50 * BATCH; count += BATCH) {
        unsigned seen = 0;

        post_batch(v, 2, count);
        while (seen < BATCH) {
            const QListEntry *entry;
            unsigned before = seen;

            answer = ask_page(v, 2, IOVA(2 * count), BATCH);
            seen = 0;
            QLIST_FOREACH_ENTRY(qdict_get_qlist(answer, "mappings"), entry) {
                assert_mapping(qobject_to(QDict, qlist_entry_obj(entry)),
                               count + seen++);
            }
            g_assert_cmpuint(seen, >=, before);
            qobject_unref(answer);
            qobject_unref(qmp_query(v->qts));
        }
        viommu_wait_maps(v, BATCH);
    }
    walk(v, 2, MOST, 50 * BATCH);
    viommu_stop(v);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("qmp/mappings/pages", pages);
    ADD("qmp/mappings/ends", ends);
    ADD("qmp/mappings/by-endpoint", by_endpoint);
    ADD_PCI("qmp/mappings/unplugged", unplugged);
    ADD("qmp/mappings/guest-table", guest_table);
    ADD("qmp/mappings/empty-table", empty_table);
    ADD("qmp/mappings/wrong-use", wrong_use);
    ADD("qmp/mappings/iothread", iothread);
    return g_test_run();
}
