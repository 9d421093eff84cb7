/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The request queue in an IOThread: what the main loop does for it
 *
 * Who can be called by the main loop alone gets what is mapped all the same,
 * and the operator is told, once.
 */
#include "qemu/osdep.h"

#include "edu.h"
#include "guest-table.h"
#include "iothread.h"
#include "messages.h"
#include "watch.h"

#define PAGE 4096ULL
#define PHYS 0x1000000ULL
#define COUNT 100

/* Pages of a domain, each by a request of its own, and away by a batch */
static void map_pages(Viommu *v, Model *m, uint64_t iova)
{
    for (unsigned i = 0; i < COUNT; i++) {
        model_map(m, v, 1, iova + i * PAGE, PAGE, PHYS + i * PAGE,
                  READ | WRITE);
    }
}

static void unmap_pages(Viommu *v, Model *m, uint64_t iova)
{
    for (unsigned i = 0; i < COUNT; i++) {
        uint64_t first = iova + i * PAGE;

        viommu_post_unmap(v, 1, first, first + PAGE - 1);
    }
    viommu_kick(v, &v->requests);
    viommu_wait_all(v, &v->requests, 4);
    model_remove(m, iova, COUNT * PAGE);
}

static bool keeps_what_it_is_told(const char *how)
{
    return !g_str_has_prefix(how, "vhost");
}

/* From the first MAP on, whatever the guest does then */
static void said_once(const void *how)
{
    g_autofree char *base = watch_arg(how, 1);
    g_autofree char *arg = g_strdup_printf(POLLS "%s", base);
    Viommu *v = messages_start(IN_IO, arg);
    Watch *w = watch_open(v, 0);
    Model m = model_new();

    assert_status(viommu_attach(v, 1, w->endpoint), OK);
    messages_assert(0, "", "");
    for (unsigned i = 0; i < 3; i++) {
        map_pages(v, &m, HIGH);
        if (keeps_what_it_is_told(how)) {
            assert_holds(w, &m);
        }
        messages_assert(1, "endpoint 0x20 (pviommu-observer",
                        "not by iothread=");
        unmap_pages(v, &m, HIGH);
        if (keeps_what_it_is_told(how)) {
            assert_holds(w, &m);
        }
        if (i) {
            qtest_system_reset(v->qts);
            viommu_map_registers(v);
        }
        viommu_negotiate(v, ALL_FEATURES);
        assert_status(viommu_attach(v, 1, w->endpoint), OK);
    }
    viommu_assert_alive(v);
    model_free(&m);
    watch_close(w);
    messages_stop(v, 1, "");
}

/* The thread itself reaches tables of iommufd, and emulated devices */
static void not_said(void)
{
    g_autofree char *base = watch_arg("iommufd", 1);
    g_autofree char *arg = g_strdup_printf(POLLS EDU_B "%s", base);
    Viommu *v = messages_start(IN_IO, arg);
    Watch *w = watch_open(v, 0);
    Model m = model_new();

    assert_status(viommu_attach(v, 1, EP_B), OK);
    map_pages(v, &m, HIGH);
    unmap_pages(v, &m, HIGH);
    assert_status(viommu_attach(v, 1, w->endpoint), OK);
    map_pages(v, &m, HIGH);
    assert_holds(w, &m);
    unmap_pages(v, &m, HIGH);
    assert_holds(w, &m);
    model_free(&m);
    watch_close(w);
    messages_stop(v, 0, "");
}

/* One in a domain is enough, and both get it */
static void beside_a_table(void)
{
    g_autofree char *base = watch_arg("iommufd", 1);
    g_autofree char *arg = g_strdup_printf(POLLS "%s -device pviommu-observer,"
                                           "watch=container,id=o1,addr=5.0",
                                           base);
    Viommu *v = messages_start(IN_IO, arg);
    Watch *table = watch_open(v, 0), *container = watch_open(v, 1);
    Model m = model_new();

    assert_status(viommu_attach(v, 1, table->endpoint), OK);
    map_pages(v, &m, HIGH);
    assert_status(viommu_attach(v, 1, container->endpoint), OK);
    assert_holds(container, &m);
    messages_assert(0, "", "");
    map_pages(v, &m, HIGH + COUNT * PAGE);
    messages_assert(1, "endpoint 0x28 (pviommu-observer", "");
    assert_holds(table, &m);
    assert_holds(container, &m);
    unmap_pages(v, &m, HIGH);
    assert_holds(table, &m);
    assert_holds(container, &m);
    assert_status(viommu_detach(v, 1, container->endpoint), OK);
    unmap_pages(v, &m, HIGH + COUNT * PAGE);
    assert_holds(table, &m);
    model_free(&m);
    watch_close(table);
    watch_close(container);
    messages_stop(v, 1, "");
}

/* Entries of the guest's are told by the main loop as well */
static void invalidated(void)
{
    g_autofree char *base = watch_arg("container", 1);
    g_autofree char *arg = g_strdup_printf(POLLS "%s", base);
    Viommu *v = messages_start(IN_IO "," TABLES_ON, arg);
    Watch *w = watch_open(v, 0);
    GuestTable t = guest_table_new(v, X86_64, 48, TABLES_AT);

    assert_status(guest_table_attach(&t, 1, w->endpoint), OK);
    messages_assert(0, "", "");
    for (unsigned i = 0; i < COUNT; i++) {
        Model m = model_new();

        guest_table_map(&t, HIGH, PHYS + i * PAGE, 1, READ | WRITE);
        model_add(&m, HIGH, PAGE, PHYS + i * PAGE, READ | WRITE);
        assert_status(viommu_invalidate(v, 1, HIGH, HIGH + PAGE - 1), OK);
        assert_holds(w, &m);
        model_free(&m);
    }
    watch_close(w);
    messages_stop(v, 1, "endpoint 0x20 (pviommu-observer");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_data_func("/pviommu/iothread/lent/container", "container",
                        said_once);
    qtest_add_data_func("/pviommu/iothread/lent/listener", "listener",
                        said_once);
    qtest_add_data_func("/pviommu/iothread/lent/vhost", "vhost", said_once);
    qtest_add_func("/pviommu/iothread/lent/not-said", not_said);
    qtest_add_func("/pviommu/iothread/lent/beside-a-table", beside_a_table);
    qtest_add_func("/pviommu/iothread/lent/invalidated", invalidated);
    return g_test_run();
}
