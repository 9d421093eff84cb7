/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Observers that are passed through by iommufd, in a test
 */
#include "qemu/osdep.h"

#include "iommufd-scene.h"

Scene scene_new(const char *properties, unsigned count, const char *extra)
{
    g_autofree char *arg = watch_arg("iommufd", count);
    g_autofree char *all = g_strdup_printf("%s %s", arg, extra);
    Scene s = {
        .v = viommu_start(properties, all),
        .count = count,
        .m = model_new(),
    };

    for (unsigned i = 0; i < count; i++) {
        s.w[i] = watch_open(s.v, i);
    }
    return s;
}

void assert_no_mistakes(Watch *w)
{
    g_autofree char *text = watch_get(w, "calls");
    g_auto(GStrv) line = g_strsplit(text, "\n", 0);

    for (unsigned i = 0; line[i] && *line[i]; i++) {
        if (!strstr(line[i], " 0 ") &&
            !g_str_has_prefix(line[i], "hwpt-alloc 2 ") &&
            !g_str_has_prefix(line[i], "ranges 90 ")) {
            g_test_message("call: %s", line[i]);
            g_test_fail();
        }
    }
    g_assert_cmpuint(watch_host(w, "leaked"), ==, 0);
}

void scene_end(Scene *s)
{
    viommu_assert_alive(s->v);
    model_free(&s->m);
    for (unsigned i = 0; i < s->count; i++) {
        watch_close(s->w[i]);
    }
    viommu_stop(s->v);
}

void attach_all(Scene *s, uint32_t domain)
{
    for (unsigned i = 0; i < s->count; i++) {
        assert_status(viommu_attach(s->v, domain, s->w[i]->endpoint), OK);
    }
}

void detach_all(Scene *s, uint32_t domain)
{
    for (unsigned i = 0; i < s->count; i++) {
        assert_status(viommu_detach(s->v, domain, s->w[i]->endpoint), OK);
    }
}

void assert_reaches(Watch *w, uint64_t iova, uint64_t phys, bool can)
{
    static uint8_t value;

    qtest_writeb(w->v->qts, phys, 0);
    watch_set(w, OBSERVER_VALUE, ++value | 0x80);
    g_assert_cmpint(watch_dma(w, OBSERVER_FILL, iova, 1), ==, can);
    g_assert_cmphex(qtest_readb(w->v->qts, phys), ==,
                    can ? value | 0x80 : 0);
}

char *endpoint_path(Viommu *v, uint32_t endpoint)
{
    QDict *answer = viommu_get(v, "endpoints");
    QListEntry *entry;
    char *path = NULL;

    QLIST_FOREACH_ENTRY(qdict_get_qlist(answer, "return"), entry) {
        QDict *dict = qobject_to(QDict, qlist_entry_obj(entry));

        if (qdict_get_int(dict, "id") == endpoint) {
            path = g_strdup(qdict_get_str(dict, "host-path"));
        }
    }
    g_assert_nonnull(path);
    qobject_unref(answer);
    return path;
}

void assert_path(Viommu *v, uint32_t endpoint, const char *path)
{
    g_autofree char *has = endpoint_path(v, endpoint);

    g_assert_cmpstr(has, ==, path);
}
