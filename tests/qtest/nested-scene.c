/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Observers behind SMMUs that walk tables of the guest's, in a test
 */
#include "qemu/osdep.h"

#include "nested-scene.h"

GuestTable nested_table(Viommu *v, unsigned n, unsigned bits)
{
    GuestTable t = guest_table_new(v, ARM_LPAE, bits,
                                   TABLES_AT + n * 0x10000);

    guest_table_map(&t, IOVA, TARGET_OF(n), 1, READ | WRITE);
    return t;
}

uint8_t nested_attach(const GuestTable *t, uint32_t domain, Watch *w)
{
    ReqAttachTable req = {
        .type = T_ATTACH_TABLE,
        .domain = cpu_to_le32(domain),
        .endpoint = cpu_to_le32(w->endpoint),
        .format = cpu_to_le16(t->format),
        .input_bits = cpu_to_le16(t->bits),
        .root = cpu_to_le64(t->root),
        .attributes = cpu_to_le64(MAIR),
    };

    return viommu_request(t->v, &req, sizeof(req));
}

Descriptor nested_descriptor(Watch *w)
{
    g_autofree char *text = watch_get(w, "descriptor");
    Descriptor d = { 0 };

    d.valid = sscanf(text, "%" SCNx64 " %u %u %" SCNx64 " %" SCNx64, &d.root,
                     &d.bits, &d.asid, &d.mair, &d.at) == 5;
    return d;
}

void assert_nested(Watch *w, const GuestTable *t)
{
    uint64_t target = TARGET_OF((t->root - TABLES_AT) / 0x10000);
    Descriptor d = nested_descriptor(w);

    assert_state(w->v, w->endpoint, "translated");
    g_assert_true(d.valid);
    g_assert_cmphex(d.root, ==, t->root);
    g_assert_cmpuint(d.bits, ==, t->bits);
    g_assert_cmphex(d.mair, ==, MAIR);
    assert_reaches(w, IOVA + 0x123, target + 0x123, true);
}

void assert_in_bypass(Watch *w)
{
    g_autofree char *held = watch_get(w, "mappings");

    assert_state(w->v, w->endpoint, "bypass");
    g_assert_false(nested_descriptor(w).valid);
    g_assert_true(g_str_has_prefix(held, w->ram));
    assert_reaches(w, PLAIN, PLAIN, true);
}

void assert_cut(Watch *w)
{
    assert_state(w->v, w->endpoint, "blocked");
    g_assert_false(nested_descriptor(w).valid);
    assert_holds_nothing(w);
    g_assert_false(watch_dma(w, OBSERVER_READ, IOVA, 1));
    g_assert_false(watch_dma(w, OBSERVER_READ, PLAIN, 1));
}

unsigned nested_commands(Watch *w, uint64_t low, uint64_t high)
{
    g_autofree char *text = watch_get(w, "events");
    g_autofree char *line = g_strdup_printf("command %" PRIx64 " %" PRIx64
                                            "\n", low, high);
    unsigned count = 0;

    for (const char *at = text; (at = strstr(at, line)); at++) {
        count++;
    }
    return count;
}

unsigned nested_all_commands(Watch *w)
{
    g_autofree char *text = watch_get(w, "events");
    unsigned count = 0;

    for (const char *at = text; (at = strstr(at, "command ")); at++) {
        count++;
    }
    return count;
}

unsigned nested_objects(Watch *w)
{
    return watch_host(w, "viommu") + watch_host(w, "vdevice") +
           watch_host(w, "veventq");
}

void nested_set(Watch *w, const char *property, const char *value)
{
    qtest_qmp_assert_success(w->v->qts, "{ 'execute': 'qom-set', 'arguments':"
                             " { 'path': %s, 'property': %s, 'value': %s } }",
                             w->id, property, value);
}
