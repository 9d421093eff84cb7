/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Several IOMMUs whose request queues are in IOThreads, of which they share
 * one or have one each
 *
 * Each is that of a root bus: "iommu" of pcie.0, the others of expanders, and
 * each has an edu.  Whatever one does, the others go on.
 */
#include "qemu/osdep.h"

#include "edu.h"
#include "iothread.h"

#define PAGE 4096ULL
#define COUNT_MAX 3

/* How many requests at a time; they fill a queue half */
#define BATCH 60

/* What a page of one IOMMU's domain leads to, and none of the others' */
#define TARGET(index, page) \
    (RAM + 0x2000000ULL + (index) * 0x800000ULL + (page) * PAGE)

/* Where they are; the numbers of the first one's buses are not used */
static const struct {
    const char *id;
    int bdf;
    int port;
    int bus;
    int endpoint;
} places[COUNT_MAX] = {
    { "iommu", VIOMMU_OWN_BDF, 0, 0, EP_A },
    { "iommu1", 0x88, 0x4008, 0x40, 0x4100 },
    { "iommu2", 0x90, 0x6008, 0x60, 0x6100 },
};

/**
 * struct Kind - IOMMUs
 * @name: of the tests with them
 * @count: how many
 * @own: each has a thread; else they share one
 */
typedef struct Kind {
    const char *name;
    unsigned count;
    bool own;
} Kind;

static const Kind kinds[] = {
    { "two-share", 2, false },
    { "three-share", 3, false },
    { "two-threads", 2, true },
    { "three-threads", 3, true },
};

/**
 * struct Several - an emulator with them
 * @count: how many
 * @v: the driver of each
 * @mapped: how many pages each has mapped, from 0 on
 */
typedef struct Several {
    unsigned count;
    Viommu *v[COUNT_MAX];
    unsigned mapped[COUNT_MAX];
} Several;

static void attach(Several *s, unsigned i)
{
    assert_status(viommu_attach(s->v[i], 1, places[i].endpoint), OK);
    s->mapped[i] = 0;
}

/* Have the bridge above a device let its registers through, or nothing */
static void show(Several *s, unsigned i, const Edu *edu)
{
    if (i) {
        viommu_set_window(s->v[0], places[i].port,
                          edu ? edu->bar.addr : 0xfff00000,
                          edu ? edu->bar.addr + 0xfffff : 0);
    }
}

static Several start(const Kind *kind)
{
    g_autoptr(GString) args = g_string_new(EDU_A POLLS);
    Several s = { .count = kind->count };

    for (unsigned i = 1; i < kind->count; i++) {
        g_autofree char *thread = kind->own ? g_strdup_printf("io%u", i)
                                            : g_strdup("io");

        if (kind->own) {
            g_string_append_printf(args, "-object iothread,id=%s,"
                                   "poll-max-ns=1000000000 ", thread);
        }
        g_string_append_printf(args,
            "-device pxb-pcie,id=x%u,bus=pcie.0,bus_nr=0x%x,addr=%x.0 "
            "-device pcie-root-port,id=p%u,bus=x%u,addr=1.0,chassis=%u "
            "-device " EDU ",bus=p%u "
            "-device pviommu-pci,id=%s,bus=pcie.0,addr=%x.0,primary-bus=x%u,"
            "iothread=%s ", i, places[i].bus, 7 + i, i, i, i, i, places[i].id,
            places[i].bdf >> 3, i, thread);
    }
    s.v[0] = viommu_start(IN_IO, args->str);
    for (unsigned i = 1; i < kind->count; i++) {
        s.v[i] = viommu_beside(s.v[0], places[i].id, places[i].bdf);
    }
    for (unsigned i = 0; i < kind->count; i++) {
        if (i) {
            viommu_set_bridge(s.v[0], places[i].port, places[i].bus,
                              places[i].bus + 1, places[i].bus + 1);
        }
        show(&s, i, NULL);
        attach(&s, i);
    }
    return s;
}

static void stop(Several *s)
{
    for (unsigned i = s->count - 1; i; i--) {
        viommu_assert_alive(s->v[i]);
        viommu_forget(s->v[i]);
    }
    viommu_assert_alive(s->v[0]);
    viommu_stop(s->v[0]);
}

static void post_maps(Several *s, unsigned i)
{
    for (unsigned j = 0; j < BATCH; j++) {
        unsigned page = s->mapped[i]++;

        viommu_post_map(s->v[i], 1, page * PAGE, page * PAGE + PAGE - 1,
                        TARGET(i, page), READ | WRITE);
    }
}

static void post_unmaps(Several *s, unsigned i)
{
    for (unsigned j = 0; j < BATCH; j++) {
        unsigned page = --s->mapped[i];

        viommu_post_unmap(s->v[i], 1, page * PAGE, page * PAGE + PAGE - 1);
    }
}

static void kick(Several *s, unsigned i)
{
    viommu_kick(s->v[i], &s->v[i]->requests);
}

static void wait_for(Several *s, unsigned i)
{
    viommu_wait_all(s->v[i], &s->v[i]->requests, 4);
}

static void assert_mapped(Several *s)
{
    for (unsigned i = 0; i < s->count; i++) {
        g_assert_cmpuint(viommu_count(s->v[i], "mappings"), ==, s->mapped[i]);
    }
}

/* Each device reaches what its own IOMMU says of the last page */
static void assert_translates(Several *s)
{
    for (unsigned i = 0; i < s->count; i++) {
        unsigned page = s->mapped[i] - 1;
        Edu *edu = edu_open(s->v[0], places[i].endpoint);

        g_assert_cmpuint(s->mapped[i], >, 0);
        show(s, i, edu);
        assert_status(viommu_map(s->v[i], 1, EDU_SCRATCH,
                                 EDU_SCRATCH + PAGE - 1, EDU_SCRATCH,
                                 READ | WRITE), OK);
        edu_fill(edu);
        g_assert_true(edu_reaches(edu, page * PAGE, TARGET(i, page)));
        g_assert_false(edu_reaches(edu, s->mapped[i] * PAGE,
                                   TARGET(i, page)));
        assert_status(viommu_unmap(s->v[i], 1, EDU_SCRATCH,
                                   EDU_SCRATCH + PAGE - 1), OK);
        show(s, i, NULL);
        edu_close(edu);
    }
}

static void map_in_turns(Several *s)
{
    for (unsigned i = 0; i < BATCH; i++) {
        for (unsigned j = 0; j < s->count; j++) {
            unsigned page = s->mapped[j]++;

            assert_status(viommu_map(s->v[j], 1, page * PAGE,
                                     page * PAGE + PAGE - 1,
                                     TARGET(j, page), READ | WRITE), OK);
        }
    }
    assert_mapped(s);
}

/* One request of each after the other, and nobody has to tell of any */
static void in_turns(const void *kind)
{
    Several s = start(kind);

    map_in_turns(&s);
    assert_translates(&s);
    for (unsigned i = 0; i < s.count; i++) {
        assert_status(viommu_unmap(s.v[i], 1, 0, UINT64_MAX), OK);
    }
    for (unsigned i = 0; i < s.count; i++) {
        iothread_assert_polls(s.v[i], 20);
    }
    stop(&s);
}

/* All are busy at the same time, and the machine is stopped meanwhile */
static void at_once(const void *kind)
{
    Several s = start(kind);

    for (unsigned i = 0; i < 20; i++) {
        for (unsigned j = 0; j < s.count; j++) {
            post_maps(&s, j);
        }
        for (unsigned j = 0; j < s.count; j++) {
            kick(&s, j);
        }
        if (i % 2) {
            qtest_qmp_assert_success(s.v[0]->qts, "{'execute': 'stop'}");
            qtest_qmp_assert_success(s.v[0]->qts, "{'execute': 'cont'}");
        }
        for (unsigned j = s.count; j--; ) {
            wait_for(&s, j);
        }
        assert_mapped(&s);
        if (i % 4 == 3) {
            for (unsigned j = 0; j < s.count; j++) {
                post_unmaps(&s, j);
                kick(&s, j);
            }
            for (unsigned j = 0; j < s.count; j++) {
                wait_for(&s, j);
            }
            assert_mapped(&s);
        }
    }
    assert_translates(&s);
    stop(&s);
}

/* Of one that is reset nothing is left; the others do not notice */
static void one_reset(const void *kind)
{
    Several s = start(kind);

    for (unsigned i = 0; i < 20; i++) {
        unsigned which = i % s.count;

        for (unsigned j = 0; j < s.count; j++) {
            post_maps(&s, j);
            kick(&s, j);
        }
        viommu_set_status(s.v[which], 0);
        g_assert_cmpuint(viommu_count(s.v[which], "mappings"), ==, 0);
        for (unsigned j = 0; j < s.count; j++) {
            if (j != which) {
                post_maps(&s, j);
                kick(&s, j);
                wait_for(&s, j);
            }
        }
        viommu_negotiate(s.v[which], ALL_FEATURES);
        attach(&s, which);
        assert_mapped(&s);
    }
    for (unsigned i = 0; i < s.count; i++) {
        post_maps(&s, i);
        kick(&s, i);
    }
    for (unsigned i = 0; i < s.count; i++) {
        wait_for(&s, i);
    }
    assert_translates(&s);
    stop(&s);
}

/* A thread stays as long as any of them has its queue there */
static void stays(const void *kind)
{
    Several s = start(kind);

    for (unsigned i = 0; i < s.count; i++) {
        g_autofree char *thread = i && ((const Kind *)kind)->own
                                  ? g_strdup_printf("io%u", i)
                                  : g_strdup("io");
        QDict *answer = qtest_qmp(s.v[0]->qts, "{'execute': 'object-del',"
                                  " 'arguments': {'id': %s}}", thread);

        g_assert_true(qdict_haskey(answer, "error"));
        qobject_unref(answer);
    }
    map_in_turns(&s);
    stop(&s);
}

static void add(const Kind *kind, const char *name,
                void (*test)(const void *kind))
{
    g_autofree char *path = g_strdup_printf("/pviommu/iothread/%s/%s",
                                            kind->name, name);

    qtest_add_data_func(path, kind, test);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++) {
        add(&kinds[i], "in-turns", in_turns);
        add(&kinds[i], "at-once", at_once);
        add(&kinds[i], "one-reset", one_reset);
        add(&kinds[i], "stays", stays);
    }
    return g_test_run();
}
