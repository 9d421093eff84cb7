/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the host of a passed-through device holds, through every switch
 *
 * Each test runs twice: watched by a listener, which hears what vhost and
 * others hear, and by a VFIO container, which is what VFIO hears.
 */
#include "qemu/osdep.h"

#include "process.h"
#include "watch.h"

#define PAGE 4096ULL
#define SECOND_HIGH (2 * HIGH)

typedef struct Way {
    const char *name;
    void (*enter)(Watch *w);
    void (*leave)(Watch *w);
} Way;

static Viommu *start(const char *how, unsigned count, const char *properties)
{
    g_autofree char *arg = watch_arg(how, count);

    return viommu_start(properties, arg);
}

static void attach(Watch *w)
{
    assert_status(viommu_attach(w->v, 1, w->endpoint), OK);
}

static void detach(Watch *w)
{
    assert_status(viommu_detach(w->v, 1, w->endpoint), OK);
}

static void to_bypass_domain(Watch *w)
{
    assert_status(viommu_attach_flags(w->v, 2, w->endpoint,
                                      VIRTIO_IOMMU_ATTACH_F_BYPASS), OK);
}

static void device_reset(Watch *w)
{
    viommu_negotiate(w->v, ALL_FEATURES);
}

static void system_reset(Watch *w)
{
    qtest_qmp_assert_success(w->v->qts, "{ 'execute': 'system_reset' }");
    qtest_qmp_eventwait(w->v->qts, "RESET");
    viommu_map_registers(w->v);
    viommu_negotiate(w->v, ALL_FEATURES);
    watch_find(w);
}

/* Ways out of a domain into bypass */
static const Way ways[] = {
    { "detach", attach, detach },
    { "bypass-domain", attach, to_bypass_domain },
    { "device-reset", attach, device_reset },
    { "system-reset", attach, system_reset },
};

typedef struct Case {
    const char *how;
    const Way *way;
    unsigned count;
} Case;

/* Bypass, translated with mappings, bypass */
static void switch_once(const Way *way, Watch *w, Watch *other,
                        unsigned count)
{
    g_autofree char *before = NULL;
    Viommu *v = w->v;
    Model m = model_new();

    /* Another endpoint keeps the domain and its mappings alive */
    assert_status(viommu_attach(v, 1, other->endpoint), OK);
    model_map_pages(&m, v, 1, HIGH, count);
    assert_holds_ram(w);
    watch_clear(w);
    way->enter(w);
    assert_holds(w, &m);
    assert_state(v, w->endpoint, "translated");
    assert_never_both(w, w->ram, HIGH);
    assert_no_gap(w);

    watch_clear(w);
    before = watch_get(w, "mappings");
    way->leave(w);
    assert_holds_ram(w);
    assert_state(v, w->endpoint, "bypass");
    assert_never_both(w, before, HIGH);
    if (way->leave == system_reset) {
        watch_find(other);      /* whose functions were disabled */
    } else {
        assert_no_gap(w);
    }
    if (way->leave == detach || way->leave == to_bypass_domain) {
        assert_holds(other, &m);
        assert_status(viommu_detach(v, 1, other->endpoint), OK);
    }
    if (way->leave == to_bypass_domain) {
        assert_status(viommu_detach(v, 2, w->endpoint), OK);
    }
    assert_holds_ram(other);
    model_free(&m);
}

/* With that many mappings, and with few before and after */
static void test_switch(const void *opaque)
{
    const Case *c = opaque;
    Viommu *v = start(c->how, 2, NULL);
    Watch *w = watch_open(v, 0), *other = watch_open(v, 1);

    assert_holds_ram(w);
    for (unsigned few = 0; few < 2; few++) {
        switch_once(c->way, w, other, few);
        if (!few || c->count <= 1000) {
            switch_once(c->way, w, other, c->count);
        }
    }
    watch_close(w);
    watch_close(other);
    viommu_stop(v);
}

/* The field bypass moves who is in no domain, and nobody else */
static void test_bypass_write(const void *opaque)
{
    Viommu *v = start(opaque, 3, NULL);
    Watch *free = watch_open(v, 0), *paging = watch_open(v, 1);
    Watch *bypass = watch_open(v, 2);
    Model m = model_new();

    assert_status(viommu_attach(v, 1, paging->endpoint), OK);
    assert_status(viommu_attach_flags(v, 2, bypass->endpoint,
                                      VIRTIO_IOMMU_ATTACH_F_BYPASS), OK);
    model_map_pages(&m, v, 1, HIGH, 8);
    watch_clear(paging);
    watch_clear(bypass);

    for (unsigned round = 0; round < 2; round++) {
        viommu_set_bypass(v, 0);
        assert_holds_nothing(free);
        assert_state(v, free->endpoint, "blocked");
        g_assert_false(watch_dma(free, OBSERVER_FILL, RAM + 0x1000000, 16));
        g_assert_true(watch_dma(bypass, OBSERVER_FILL, RAM + 0x1000000, 16));
        g_assert_true(watch_dma(paging, OBSERVER_FILL, HIGH + PAGE, 16));
        viommu_set_bypass(v, 1);
        assert_holds_ram(free);
        g_assert_true(watch_dma(free, OBSERVER_FILL, RAM + 0x1000000, 16));
    }
    assert_quiet(paging);
    assert_quiet(bypass);
    assert_holds(paging, &m);
    assert_holds_ram(bypass);

    model_free(&m);
    watch_close(free);
    watch_close(paging);
    watch_close(bypass);
    viommu_stop(v);
}

/* With boot-bypass=off nothing is held until it is mapped */
static void test_boot_blocked(const void *opaque)
{
    Viommu *v = start(opaque, 1, "boot-bypass=off");
    Watch *w = watch_open(v, 0);
    Model m = model_new();

    assert_holds_nothing(w);
    attach(w);
    assert_holds_nothing(w);
    model_map_pages(&m, v, 1, HIGH, 3);
    assert_holds(w, &m);
    detach(w);
    assert_holds_nothing(w);
    viommu_set_bypass(v, 1);
    qtest_qmp_assert_success(v->qts, "{ 'execute': 'system_reset' }");
    qtest_qmp_eventwait(v->qts, "RESET");
    assert_holds_nothing(w);
    model_free(&m);
    watch_close(w);
    viommu_stop(v);
}

/* From A to B: A's mappings go, then B's come */
static void test_move(const void *opaque)
{
    Viommu *v = start(opaque, 3, NULL);
    Watch *w = watch_open(v, 0), *a = watch_open(v, 1), *b = watch_open(v, 2);
    g_autofree char *before = NULL;
    Model in_a = model_new(), in_b = model_new();

    assert_status(viommu_attach(v, 1, a->endpoint), OK);
    assert_status(viommu_attach(v, 2, b->endpoint), OK);
    attach(w);
    model_map_pages(&in_a, v, 1, HIGH, 16);
    model_map_pages(&in_b, v, 2, SECOND_HIGH, 5);
    assert_holds(w, &in_a);
    before = watch_get(w, "mappings");
    watch_clear(w);
    watch_clear(a);
    watch_clear(b);
    assert_status(viommu_attach(v, 2, w->endpoint), OK);
    assert_holds(w, &in_b);
    assert_never_both(w, before, SECOND_HIGH);
    assert_quiet(a);
    assert_quiet(b);
    g_assert_false(watch_dma(w, OBSERVER_FILL, HIGH + PAGE, 1));
    g_assert_true(watch_dma(w, OBSERVER_FILL, SECOND_HIGH + PAGE, 1));

    /* The last one out takes the mappings along */
    assert_status(viommu_attach(v, 3, a->endpoint), OK);
    assert_holds_nothing(a);
    assert_status(viommu_attach(v, 1, a->endpoint), OK);
    assert_holds_nothing(a);

    model_free(&in_a);
    model_free(&in_b);
    watch_close(w);
    watch_close(a);
    watch_close(b);
    viommu_stop(v);
}

/* Two endpoints of a domain hold the same; who stays notices nothing */
static void test_two_in_one(const void *opaque)
{
    Viommu *v = start(opaque, 2, NULL);
    Watch *w = watch_open(v, 0), *other = watch_open(v, 1);
    Model m = model_new();

    attach(w);
    model_map_pages(&m, v, 1, HIGH, 4);
    watch_clear(w);
    assert_status(viommu_attach(v, 1, other->endpoint), OK);
    assert_quiet(w);
    assert_holds(other, &m);
    model_map(&m, v, 1, HIGH + 64 * PAGE, 16 * PAGE, RAM + 0x1400000,
              READ | WRITE);
    assert_holds(w, &m);
    assert_holds(other, &m);
    model_unmap(&m, v, 1, HIGH + PAGE, PAGE);
    assert_holds(w, &m);
    assert_holds(other, &m);
    watch_clear(other);
    detach(w);
    assert_quiet(other);
    assert_holds(other, &m);
    assert_holds_ram(w);
    model_map(&m, v, 1, HIGH + PAGE, PAGE, RAM + 0x1500000, READ);
    assert_holds(other, &m);
    assert_holds_ram(w);

    model_free(&m);
    watch_close(w);
    watch_close(other);
    viommu_stop(v);
}

/* The same IOVA leads each domain elsewhere */
static void test_same_iova(const void *opaque)
{
    Viommu *v = start(opaque, 2, NULL);
    Watch *w = watch_open(v, 0), *other = watch_open(v, 1);
    Model one = model_new(), two = model_new();
    uint8_t byte[2];

    attach(w);
    assert_status(viommu_attach(v, 2, other->endpoint), OK);
    model_map(&one, v, 1, HIGH, PAGE, RAM + 0x1000000, READ | WRITE);
    model_map(&two, v, 2, HIGH, PAGE, RAM + 0x1001000, READ | WRITE);
    assert_holds(w, &one);
    assert_holds(other, &two);
    watch_set(w, OBSERVER_VALUE, 0x11);
    watch_set(other, OBSERVER_VALUE, 0x22);
    g_assert_true(watch_dma(w, OBSERVER_FILL, HIGH, 1));
    g_assert_true(watch_dma(other, OBSERVER_FILL, HIGH, 1));
    byte[0] = qtest_readb(v->qts, RAM + 0x1000000);
    byte[1] = qtest_readb(v->qts, RAM + 0x1001000);
    g_assert_cmphex(byte[0], ==, 0x11);
    g_assert_cmphex(byte[1], ==, 0x22);
    model_unmap(&one, v, 1, HIGH, PAGE);
    assert_holds_nothing(w);
    assert_holds(other, &two);

    model_free(&one);
    model_free(&two);
    watch_close(w);
    watch_close(other);
    viommu_stop(v);
}

static void test_attach_twice(const void *opaque)
{
    Viommu *v = start(opaque, 1, NULL);
    Watch *w = watch_open(v, 0);
    Model m = model_new();

    attach(w);
    model_map_pages(&m, v, 1, HIGH, 4);
    watch_clear(w);
    attach(w);
    assert_quiet(w);
    assert_holds(w, &m);
    detach(w);
    /* The domain went with its last endpoint */
    attach(w);
    assert_holds_nothing(w);
    model_free(&m);
    watch_close(w);
    viommu_stop(v);
}

/* One UNMAP of many, with holes; one that would split changes nothing */
static void test_unmap_span(const void *opaque)
{
    Viommu *v = start(opaque, 1, NULL);
    Watch *w = watch_open(v, 0);
    Model m = model_new();

    attach(w);
    model_map_pages(&m, v, 1, HIGH, 4);
    model_map(&m, v, 1, HIGH + 16 * PAGE, 16 * PAGE, RAM + 0x1800000,
              READ | WRITE);
    model_map(&m, v, 1, HIGH + 64 * PAGE, PAGE, RAM + 0x1900000, READ);
    watch_clear(w);
    assert_status(viommu_unmap(v, 1, HIGH, HIGH + 17 * PAGE - 1), RANGE);
    assert_status(viommu_unmap(v, 1, HIGH + 17 * PAGE,
                               HIGH + 65 * PAGE - 1), RANGE);
    assert_quiet(w);
    assert_holds(w, &m);
    model_unmap(&m, v, 1, HIGH + 2 * PAGE, 32 * PAGE);
    assert_holds(w, &m);
    model_unmap(&m, v, 1, 0, 0);        /* all of the space */
    assert_holds_nothing(w);
    model_free(&m);
    watch_close(w);
    viommu_stop(v);
}

/* The last page of the 64-bit space is one like any other */
static void test_last_page(const void *opaque)
{
    Viommu *v = start(opaque, 1, NULL);
    Watch *w = watch_open(v, 0);
    Model m = model_new();

    attach(w);
    model_map(&m, v, 1, -PAGE, PAGE, RAM + 0x1a00000, READ | WRITE);
    assert_holds(w, &m);
    watch_set(w, OBSERVER_VALUE, 0x5a);
    g_assert_true(watch_dma(w, OBSERVER_FILL, UINT64_MAX, 1));
    g_assert_cmphex(qtest_readb(v->qts, RAM + 0x1a00fff), ==, 0x5a);
    detach(w);
    assert_holds_ram(w);
    attach(w);
    model_free(&m);
    m = model_new();
    model_map(&m, v, 1, -PAGE, PAGE, RAM + 0x1a00000, READ | WRITE);
    model_unmap(&m, v, 1, -PAGE, PAGE);
    assert_holds_nothing(w);
    model_free(&m);
    watch_close(w);
    viommu_stop(v);
}

/* Of what is mapped only RAM reaches the host, ROMs for reading */
static void test_holes(const void *opaque)
{
    const uint64_t size = 512 * 1024 * 1024;
    Viommu *v = start(opaque, 1, NULL);
    Watch *w = watch_open(v, 0);
    g_autofree char *held = NULL;

    attach(w);
    /* RAM of 256 MiB, before it or after it nothing, and a PC's ROMs in it */
    assert_status(viommu_map(v, 1, HIGH, HIGH + size - 1,
                             RAM ? RAM - size / 2 : 0, READ | WRITE), OK);
    held = watch_get(w, "mappings");
    if (!strcmp(opaque, "container")) {
        g_assert_true(g_str_has_prefix(held, board()->holes[0]));
        g_assert_nonnull(strstr(held, board()->holes[1]));
        g_assert_true(g_str_has_suffix(held, board()->holes[2]));
    }
    assert_status(viommu_unmap(v, 1, HIGH, HIGH + size - 1), OK);
    assert_holds_nothing(w);
    watch_close(w);
    viommu_stop(v);
}

/* As few pieces as the receiver takes, never across two MAPs */
static void test_pieces(const void *opaque)
{
    Viommu *v = start(opaque, 1, NULL);
    Watch *w = watch_open(v, 0);
    g_autofree char *events = NULL, *expected = NULL;

    attach(w);
    watch_clear(w);
    assert_status(viommu_map(v, 1, HIGH + PAGE, HIGH + 1000 * PAGE - 1,
                             RAM + 0x1003000, READ | WRITE), OK);
    assert_status(viommu_map(v, 1, HIGH + 1000 * PAGE,
                             HIGH + 1003 * PAGE - 1, RAM + 0x13ea000,
                             READ | WRITE), OK);
    assert_status(viommu_unmap(v, 1, HIGH + PAGE, HIGH + 1000 * PAGE - 1),
                  OK);
    events = watch_get(w, "events");
    expected = g_strdup_printf(
        "map 100001000 1003e7fff %s+1003000 rw = 0\n"
        "map 1003e8000 1003eafff %s+13ea000 rw = 0\n"
        "unmap 100001000 1003e7fff = 0\n", board()->ram_block,
        board()->ram_block);
    g_assert_cmpstr(events, ==, expected);
    watch_close(w);
    viommu_stop(v);
}

/* Read-only stays read-only; without permission nothing is held */
static void test_permissions(const void *opaque)
{
    Viommu *v = start(opaque, 1, NULL);
    Watch *w = watch_open(v, 0);
    Model m = model_new();

    attach(w);
    model_map(&m, v, 1, HIGH, PAGE, RAM + 0x1000000, READ);
    assert_status(viommu_map(v, 1, HIGH + PAGE, HIGH + 2 * PAGE - 1,
                             RAM + 0x1001000, 0), OK);
    assert_holds(w, &m);
    g_assert_true(watch_dma(w, OBSERVER_READ, HIGH, 16));
    g_assert_false(watch_dma(w, OBSERVER_FILL, HIGH, 16));
    g_assert_false(watch_dma(w, OBSERVER_READ, HIGH + PAGE, 16));
    if (!strcmp(opaque, "iommufd")) {
        g_autofree char *held = NULL;

        /* No other way has a word for it */
        assert_status(viommu_map(v, 1, 2 * HIGH, 2 * HIGH + PAGE - 1,
                                 RAM + 0x1002000, WRITE), OK);
        held = watch_get(w, "mappings");
        g_assert_nonnull(strstr(held, "+1002000 w\n"));
        g_assert_true(watch_dma(w, OBSERVER_FILL, 2 * HIGH, 16));
        g_assert_false(watch_dma(w, OBSERVER_READ, 2 * HIGH, 16));
    }
    model_free(&m);
    watch_close(w);
    viommu_stop(v);
}

/* A transfer over two neighbouring mappings that are apart in memory */
static void test_transfer_over_neighbours(const void *opaque)
{
    Viommu *v = start(opaque, 1, NULL);
    Watch *w = watch_open(v, 0);
    Model m = model_new();

    attach(w);
    model_map(&m, v, 1, HIGH, PAGE, RAM + 0x1000000, READ | WRITE);
    model_map(&m, v, 1, HIGH + PAGE, PAGE, RAM + 0x1800000, READ | WRITE);
    watch_set(w, OBSERVER_VALUE, 0x77);
    g_assert_true(watch_dma(w, OBSERVER_FILL, HIGH + PAGE - 8, 16));
    g_assert_cmphex(qtest_readq(v->qts, RAM + 0x1000ff8), ==,
                    0x7777777777777777ULL);
    g_assert_cmphex(qtest_readq(v->qts, RAM + 0x1800000), ==,
                    0x7777777777777777ULL);
    g_assert_false(watch_dma(w, OBSERVER_FILL, HIGH + 2 * PAGE - 8, 16));
    model_free(&m);
    watch_close(w);
    viommu_stop(v);
}

static void add(const char *how, const char *name, void (*test)(const void *))
{
    g_autofree char *path = g_strdup_printf("%s/replay/%s/%s",
                                            board()->prefix, how, name);

    qtest_add_data_func(path, how, test);
}

static void add_switches(const char *how)
{
    static const unsigned counts[] = { 1000, 100000 };

    for (unsigned i = 0; i < ARRAY_SIZE(ways); i++) {
        for (unsigned j = 0; j < ARRAY_SIZE(counts); j++) {
            g_autofree char *path = NULL;
            Case *c;

            /* A hundred thousand take their time: once */
            if (counts[j] > 1000 &&
                (i || strcmp(how, "container") || process_is_sanitized())) {
                continue;
            }
            c = g_new(Case, 1);
            *c = (Case) { how, &ways[i], counts[j] };
            path = g_strdup_printf("%s/replay/%s/switch/%s/%u",
                                   board()->prefix, how, ways[i].name,
                                   counts[j]);
            qtest_add_data_func_full(path, c, test_switch, g_free);
        }
    }
}

int main(int argc, char **argv)
{
    static const char *const hows[] = { "listener", "container", "iommufd" };

    g_test_init(&argc, &argv, NULL);
    for (unsigned i = 0; i < ARRAY_SIZE(hows); i++) {
        const char *how = hows[i];

        add_switches(how);
        add(how, "bypass-write", test_bypass_write);
        add(how, "boot-blocked", test_boot_blocked);
        add(how, "move", test_move);
        add(how, "two-in-one", test_two_in_one);
        add(how, "same-iova", test_same_iova);
        add(how, "attach-twice", test_attach_twice);
        add(how, "unmap-span", test_unmap_span);
        add(how, "last-page", test_last_page);
        add(how, "holes", test_holes);
        add(how, "permissions", test_permissions);
        add(how, "transfer-over-neighbours", test_transfer_over_neighbours);
    }
    add("container", "pieces", test_pieces);
    return g_test_run();
}
