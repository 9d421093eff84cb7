/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Page tables that the guest owns, and the requests that name them
 */
#include "qemu/osdep.h"

#include "guest-table.h"

const Shape shapes[] = {
    { "x86-64-4", X86_64, 48, 0x8080604000 },
    { "x86-64-5", X86_64, 57, 0x1010080604000 },
    { "arm-lpae-39", ARM_LPAE, 39, 0x40403000 },
    { "arm-lpae-48", ARM_LPAE, 48, 0x8080604000 },
};

const unsigned shapes_count = ARRAY_SIZE(shapes);

static unsigned levels_of(const GuestTable *t)
{
    return DIV_ROUND_UP(t->bits - 12, 9);
}

GuestTable guest_table_new(Viommu *v, unsigned format, unsigned bits,
                           uint64_t at)
{
    qtest_memset(v->qts, at, 0, 16 * 4096);
    return (GuestTable) { v, format, bits, at, at + 4096 };
}

static uint64_t entry_in(uint64_t table, uint64_t iova, unsigned level)
{
    return table + (iova >> (12 + 9 * (level - 1)) & 511) * 8;
}

uint64_t guest_table_entry(const GuestTable *t, uint64_t iova, unsigned level)
{
    uint64_t table = t->root;

    for (unsigned i = levels_of(t); i > level; i--) {
        uint64_t entry = qtest_readq(t->v->qts, entry_in(table, iova, i));

        g_assert_cmphex(entry & 1, ==, 1);
        table = entry & 0xfffffffff000;
    }
    return entry_in(table, iova, level);
}

static uint64_t leaf(const GuestTable *t, uint64_t gpa, unsigned level,
                     uint32_t flags)
{
    if (t->format == X86_64) {
        return gpa | 0x65 | (flags & WRITE ? 2 : 0) | (level > 1 ? 0x80 : 0);
    }
    return gpa | 0x441 | (flags & WRITE ? 0 : 0x80) | (level > 1 ? 0 : 2);
}

void guest_table_map(GuestTable *t, uint64_t iova, uint64_t gpa,
                     unsigned level, uint32_t flags)
{
    QTestState *qts = t->v->qts;

    for (unsigned i = levels_of(t); i > level; i--) {
        uint64_t at = guest_table_entry(t, iova, i);

        if (!(qtest_readq(qts, at) & 1)) {
            g_assert_cmphex(t->free, <, t->root + 16 * 4096);
            qtest_writeq(qts, at, t->free | (t->format == X86_64 ? 0x27 : 3));
            t->free += 4096;
        }
    }
    qtest_writeq(qts, guest_table_entry(t, iova, level),
                 leaf(t, gpa, level, flags));
}

uint8_t viommu_attach_table(Viommu *v, uint32_t domain, uint32_t endpoint,
                            unsigned format, unsigned bits, uint64_t root)
{
    ReqAttachTable req = {
        .type = T_ATTACH_TABLE,
        .domain = cpu_to_le32(domain),
        .endpoint = cpu_to_le32(endpoint),
        .format = cpu_to_le16(format),
        .input_bits = cpu_to_le16(bits),
        .root = cpu_to_le64(root),
    };

    return viommu_request(v, &req, sizeof(req));
}

uint8_t guest_table_attach(const GuestTable *t, uint32_t domain,
                           uint32_t endpoint)
{
    return viommu_attach_table(t->v, domain, endpoint, t->format, t->bits,
                               t->root);
}

uint8_t viommu_invalidate(Viommu *v, uint32_t domain, uint64_t first,
                          uint64_t last)
{
    ReqInvalidate req = {
        .type = T_INVALIDATE,
        .domain = cpu_to_le32(domain),
        .first = cpu_to_le64(first),
        .last = cpu_to_le64(last),
    };

    return viommu_request(v, &req, sizeof(req));
}

uint64_t viommu_faults(Viommu *v)
{
    return viommu_count(v, "faults-reported") +
           viommu_count(v, "faults-dropped");
}
