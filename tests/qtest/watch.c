/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The observer in a test
 */
#include "qemu/osdep.h"

#include "standard-headers/linux/pci_regs.h"
#include "edu.h"
#include "watch.h"

#define PAGE 4096ULL

/* Low guest RAM that the tests do not use for anything else: 16 to 48 MiB */
#define PHYS_FIRST (RAM + 0x1000000)
#define PHYS_PAGES 8192

char *watch_library(void)
{
    const char *library = g_getenv("PVIOMMU_OBSERVER");
    g_autofree char *folder = NULL, *preload = NULL;

    g_assert_nonnull(library);
    folder = g_path_get_dirname(library);
    preload = g_build_filename(folder, "pviommu-preload.so", NULL);
    /* The wrapper around the emulator puts it into LD_PRELOAD */
    g_setenv("PVIOMMU_QTEST_PRELOAD", preload, TRUE);
    return g_strdup_printf("-plugin %s", library);
}

const char *watch_how(const char *how)
{
    return g_str_equal(how, "iommufd") ? "iommufd,iommufd=host" : how;
}

char *watch_arg(const char *how, unsigned count)
{
    g_autofree char *library = watch_library();
    GString *arg = g_string_new(library);

    g_string_append(arg, " -object iommufd,id=host ");
    for (unsigned i = 0; i < count; i++) {
        g_string_append_printf(arg, "-device pviommu-observer,watch=%s,"
                               "id=o%u,addr=%x.0 ", watch_how(how), i, 4 + i);
    }
    return g_string_free(arg, FALSE);
}

void watch_add(const char *group, const char *name,
               void (*test)(const void *how))
{
    g_autofree char *plain = g_strdup_printf("/pviommu/%s/%s", group, name);
    g_autofree char *iommufd = g_strdup_printf("/pviommu/%s/iommufd/%s",
                                               group, name);

    qtest_add_data_func(plain, "container", test);
    qtest_add_data_func(iommufd, "iommufd", test);
}

bool watch_is_iommufd(const void *how)
{
    return g_str_equal(how, "iommufd");
}

QPCIDevice *watch_bar_open(Viommu *v, uint32_t address)
{
    QPCIDevice *pdev = qpci_device_find(v->bus, 8 << 3);

    qpci_config_writel(pdev, PCI_BASE_ADDRESS_2, address);
    qpci_config_writel(pdev, PCI_BASE_ADDRESS_3, 0);
    qpci_config_writew(pdev, PCI_COMMAND, PCI_COMMAND_MEMORY);
    return pdev;
}

bool watch_plug(Viommu *v, const char *how)
{
    QDict *arguments = qdict_new(), *answer;
    bool taken;

    qdict_put_str(arguments, "driver", "pviommu-observer");
    qdict_put_str(arguments, "watch", how);
    if (watch_is_iommufd(how)) {
        qdict_put_str(arguments, "iommufd", "host");
    }
    qdict_put_str(arguments, "id", "hot");
    qdict_put_str(arguments, "bus", "rp");
    qdict_put_str(arguments, "addr", "0.1");
    answer = qtest_qmp(v->qts, "{ 'execute': 'device_add', 'arguments': %p }",
                       arguments);
    taken = qdict_haskey(answer, "return");
    if (!taken) {
        g_test_message("device_add: %s", qdict_get_str(
            qdict_get_qdict(answer, "error"), "desc"));
    }
    qobject_unref(answer);
    return taken;
}

void watch_unplug(Viommu *v)
{
    qtest_qmp_assert_success(v->qts, "{ 'execute': 'device_del',"
                             " 'arguments': { 'id': 'hot' } }");
    qtest_qmp_eventwait(v->qts, "DEVICE_DELETED");
}

void watch_find(Watch *w)
{
    g_free(w->pdev);
    w->pdev = qpci_device_find(w->v->bus, w->endpoint);
    g_assert_nonnull(w->pdev);
    qpci_device_enable(w->pdev);
    w->bar = qpci_iomap(w->pdev, 0, NULL);
}

Watch *watch_open(Viommu *v, unsigned index)
{
    static const char *const ids[] = { "o0", "o1", "o2", "o3" };
    Watch *w = g_new0(Watch, 1);

    w->v = v;
    w->id = ids[index];
    w->endpoint = (4 + index) << 3;
    watch_find(w);
    w->ram = watch_get(w, "mappings");
    return w;
}

void watch_close(Watch *w)
{
    g_free(w->ram);
    g_free(w->pdev);
    g_free(w);
}

char *watch_get(Watch *w, const char *name)
{
    QDict *answer = qtest_qmp(w->v->qts, "{ 'execute': 'qom-get', "
                              "'arguments': { 'path': %s, 'property': %s } }",
                              w->id, name);
    char *text = g_strdup(qdict_get_str(answer, "return"));

    qobject_unref(answer);
    return text;
}

static unsigned count_calls(Watch *w, const char *call, const int *error)
{
    g_autofree char *text = watch_get(w, "calls");
    g_auto(GStrv) line = g_strsplit(text, "\n", 0);
    unsigned sum = 0;

    for (unsigned i = 0; line[i] && *line[i]; i++) {
        g_auto(GStrv) word = g_strsplit(line[i], " ", 3);

        if ((!*call || g_str_equal(word[0], call)) &&
            (!error || atoi(word[1]) == *error)) {
            sum += atoi(word[2]);
        }
    }
    return sum;
}

unsigned watch_calls(Watch *w, const char *call)
{
    return count_calls(w, call, NULL);
}

unsigned watch_failed(Watch *w, const char *call, int error)
{
    return count_calls(w, call, &error);
}

uint64_t watch_host(Watch *w, const char *what)
{
    g_autofree char *text = watch_get(w, "host");
    g_auto(GStrv) line = g_strsplit(text, "\n", 0);
    uint64_t lines = 0;

    for (unsigned i = 0; line[i] && *line[i]; i++) {
        g_auto(GStrv) word = g_strsplit(line[i], " ", 0);

        if (g_str_equal(word[0], what)) {
            if (g_strv_length(word) == 2) {
                return g_ascii_strtoull(word[1], NULL, 10);
            }
            lines++;
        }
    }
    return lines;
}

void watch_set(Watch *w, unsigned reg, uint32_t value)
{
    qpci_io_writel(w->pdev, w->bar, reg, value);
}

void watch_clear(Watch *w)
{
    watch_set(w, OBSERVER_COMMAND, OBSERVER_CLEAR);
}

void watch_fail(Watch *w, unsigned reg, unsigned nth, unsigned times,
                int error)
{
    watch_set(w, OBSERVER_ERRNO, error);
    watch_set(w, OBSERVER_FAIL_TIMES, times);
    watch_set(w, reg, nth);
}

void watch_stick(Watch *w, uint64_t iova, int error)
{
    watch_set(w, OBSERVER_ERRNO, error);
    qpci_io_writeq(w->pdev, w->bar, OBSERVER_STUCK, iova);
}

bool watch_miss(Watch *w, uint64_t iova, bool write)
{
    qpci_io_writeq(w->pdev, w->bar, OBSERVER_ADDRESS, iova);
    watch_set(w, OBSERVER_VALUE, write);
    watch_set(w, OBSERVER_COMMAND, OBSERVER_MISS);
    return qpci_io_readl(w->pdev, w->bar, OBSERVER_RESULT);
}

bool watch_dma(Watch *w, uint32_t command, uint64_t iova, uint64_t size)
{
    qpci_io_writeq(w->pdev, w->bar, OBSERVER_ADDRESS, iova);
    qpci_io_writeq(w->pdev, w->bar, OBSERVER_LENGTH, size);
    watch_set(w, OBSERVER_COMMAND, command);
    viommu_settle(w->v);
    return qpci_io_readl(w->pdev, w->bar, OBSERVER_RESULT) == 0;
}

typedef struct Line {
    uint64_t first;
    uint64_t last;
    uint64_t phys;
    bool readonly;
} Line;

Model model_new(void)
{
    return (Model) { g_array_new(FALSE, FALSE, sizeof(Line)) };
}

void model_free(Model *m)
{
    g_array_free(m->lines, TRUE);
}

void model_add(Model *m, uint64_t first, uint64_t size, uint64_t phys,
               uint32_t flags)
{
    Line line = { first, first + (size - 1), phys, !(flags & WRITE) };
    unsigned at = m->lines->len;

    while (at && g_array_index(m->lines, Line, at - 1).first > first) {
        at--;
    }
    g_array_insert_val(m->lines, at, line);
}

void model_map(Model *m, Viommu *v, uint32_t domain, uint64_t first,
               uint64_t size, uint64_t phys, uint32_t flags)
{
    assert_status(viommu_map(v, domain, first, first + (size - 1), phys,
                             flags), OK);
    model_add(m, first, size, phys, flags);
}

void model_remove(Model *m, uint64_t first, uint64_t size)
{
    for (int i = m->lines->len - 1; i >= 0; i--) {
        Line *line = &g_array_index(m->lines, Line, i);

        if (line->first >= first && line->last <= first + (size - 1)) {
            g_array_remove_index(m->lines, i);
        }
    }
}

void model_unmap(Model *m, Viommu *v, uint32_t domain, uint64_t first,
                 uint64_t size)
{
    assert_status(viommu_unmap(v, domain, first, first + (size - 1)), OK);
    model_remove(m, first, size);
}

#define BATCH_MAX (VIOMMU_QUEUE_SIZE / 2)

/* Have the MAPs of @lines done, all in one kick */
static void map_batch(Viommu *v, uint32_t domain, const Line *lines,
                      unsigned count)
{
    struct virtio_iommu_req_map maps[BATCH_MAX];

    for (unsigned i = 0; i < count; i++) {
        maps[i] = viommu_map_request(domain, lines[i].first, lines[i].last,
                                     lines[i].phys,
                                     READ | (lines[i].readonly ? 0 : WRITE));
    }
    viommu_post_maps(v, maps, count);
    viommu_kick(v, &v->requests);
    viommu_wait_maps(v, count);
}

void model_map_pages(Model *m, Viommu *v, uint32_t domain, uint64_t iova,
                     unsigned count)
{
    unsigned start = m->lines->len, done = 0;

    for (unsigned i = 0; i < count; i++) {
        /* Neighbours on one side are none on the other */
        uint64_t phys = PHYS_FIRST +
                        (PHYS_PAGES - 1 - i % PHYS_PAGES) * PAGE;

        model_add(m, iova + i * PAGE, PAGE, phys,
                  i % 3 ? READ | WRITE : READ);
    }
    while (done < count) {
        unsigned batch = MIN(count - done, BATCH_MAX);

        map_batch(v, domain, &g_array_index(m->lines, Line, start + done),
                  batch);
        done += batch;
    }
}

void assert_holds(Watch *w, const Model *m)
{
    g_autofree char *held = watch_get(w, "mappings");
    g_autoptr(GString) expected = g_string_new(NULL);

    for (unsigned i = 0; i < m->lines->len; i++) {
        const Line *line = &g_array_index(m->lines, Line, i);

        g_string_append_printf(expected, "%" PRIx64 " %" PRIx64
                               " %s+%" PRIx64 " %s\n", line->first,
                               line->last, board()->ram_block,
                               line->phys - RAM, line->readonly ? "r" : "rw");
    }
    g_assert_cmpstr(held, ==, expected->str);
}

void assert_holds_ram(Watch *w)
{
    g_autofree char *held = watch_get(w, "mappings");

    g_assert_nonnull(strstr(held, board()->ram_block));
    g_assert_cmpstr(held, ==, w->ram);
}

void assert_holds_nothing(Watch *w)
{
    g_autofree char *held = watch_get(w, "mappings");

    g_assert_cmpstr(held, ==, "");
}

void assert_quiet(Watch *w)
{
    g_autofree char *events = watch_get(w, "events");

    g_assert_cmpstr(events, ==, "");
}

/**
 * struct Sides - the mappings that a host holds, told apart by a border
 * @held: first IOVA of each
 * @border: lowest IOVA of the upper side
 * @above: how many lie there
 */
typedef struct Sides {
    GHashTable *held;
    uint64_t border;
    unsigned above;
} Sides;

static void sides_add(Sides *s, uint64_t first)
{
    if (g_hash_table_add(s->held, g_memdup2(&first, sizeof(first)))) {
        s->above += first >= s->border;
    }
}

static void sides_remove(Sides *s, uint64_t first, uint64_t last)
{
    GHashTableIter iter;
    gpointer key;

    g_hash_table_iter_init(&iter, s->held);
    while (g_hash_table_iter_next(&iter, &key, NULL)) {
        uint64_t at = *(uint64_t *)key;

        if (at >= first && at <= last) {
            s->above -= at >= s->border;
            g_hash_table_iter_remove(&iter);
        }
    }
}

static void follow(Sides *s, const char *event)
{
    g_auto(GStrv) word = g_strsplit(event, " ", 4);
    uint64_t first, last;

    if (g_strv_length(word) < 3 || strstr(event, "= -")) {
        return;
    } else if (!strcmp(word[0], "attach") || !strcmp(word[0], "detach")) {
        sides_remove(s, 0, UINT64_MAX);     /* lines of what is held follow */
        return;
    }
    first = g_ascii_strtoull(word[1], NULL, 16);
    last = g_ascii_strtoull(word[2], NULL, 16);
    if (!strcmp(word[0], "map") || !strcmp(word[0], "ram-add") ||
        !strcmp(word[0], "held")) {
        sides_add(s, first);
    } else if (!strcmp(word[0], "unmap") ||
               g_str_has_suffix(word[0], "-del")) {
        sides_remove(s, first, last);
    }
}

void assert_no_gap(Watch *w)
{
    g_autofree char *events = watch_get(w, "events");

    g_assert_null(strstr(events, "gap"));
}

void assert_never_both(Watch *w, const char *before, uint64_t border)
{
    g_autofree char *events = watch_get(w, "events");
    g_auto(GStrv) held = g_strsplit(before, "\n", 0);
    g_auto(GStrv) event = g_strsplit(events, "\n", 0);
    Sides s = {
        .held = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free,
                                      NULL),
        .border = border,
    };

    for (unsigned i = 0; held[i] && *held[i]; i++) {
        sides_add(&s, g_ascii_strtoull(held[i], NULL, 16));
    }
    for (unsigned i = 0; event[i]; i++) {
        unsigned below;

        g_assert_false(g_str_has_prefix(event[i], "error"));
        follow(&s, event[i]);
        below = g_hash_table_size(s.held) - s.above;
        if (below && s.above) {
            g_test_message("event %u: %s", i, event[i]);
        }
        g_assert_false(below && s.above);
    }
    g_hash_table_destroy(s.held);
}

Viommu *watch_start_aliased(const char *properties)
{
    g_autofree char *library = watch_library();
    g_autofree char *arg = g_strdup_printf(
        "%s -device pcie-root-port,id=rp,addr=3.0,chassis=1 "
        "-device pcie-pci-bridge,id=br,bus=rp "
        "-device " EDU ",id=x,bus=br,addr=1.0", library);
    Viommu *v = viommu_start(properties, arg);

    viommu_set_bridge(v, 3 << 3, 0, 1, 2);
    viommu_set_bridge(v, 1 << 8, 1, 2, 2);
    return v;
}

QDict *watch_join_alias(Viommu *v, bool announce)
{
    return qtest_qmp(v->qts, "{ 'execute': 'device_add', 'arguments': {"
                     " 'driver': 'pviommu-observer', 'id': 'late',"
                     " 'bus': 'br', 'addr': '3.0', 'watch': 'container',"
                     " 'announce': %i } }", announce);
}
