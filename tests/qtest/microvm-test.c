/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The ACPI tables of the board microvm, as its firmware would make them
 *
 * R-VIOT-4 of docs/specs/pviommu.md.  The board hands over files and a script
 * that puts addresses and check sums in; here it is carried out at made-up
 * addresses, and the tables are found as an operating system finds them.
 */
#include "qemu/osdep.h"

#include "edu.h"
#include "libqos/fw_cfg.h"
#include "libqos/libqos.h"

#define TABLES "etc/acpi/tables"
#define RSDP "etc/acpi/rsdp"
#define LOADER "etc/table-loader"
#define MOST (256 * 1024)

#define SLOT_BEFORE(slot) ((slot) - 0x200)

enum { ALLOCATE = 1, ADD_POINTER, ADD_CHECKSUM, ORDER_SIZE = 128, NAME = 56 };

typedef struct File {
    const char *name;
    uint64_t address;
    uint8_t *data;
    size_t size;
} File;

typedef struct Tables {
    File files[2];
} Tables;

static File *file_of(Tables *t, const uint8_t *name)
{
    for (unsigned i = 0; i < ARRAY_SIZE(t->files); i++) {
        if (!strcmp((const char *)name, t->files[i].name)) {
            return &t->files[i];
        }
    }
    g_assert_not_reached();
}

static void add_pointer(Tables *t, const uint8_t *order)
{
    File *in = file_of(t, order), *to = file_of(t, order + NAME);
    uint32_t at = ldl_le_p(order + 2 * NAME);
    uint8_t size = order[2 * NAME + 4];
    uint64_t value = ldn_le_p(in->data + at, size);

    g_assert_cmpuint(at + size, <=, in->size);
    g_assert_cmpuint(value, <, to->size);
    stn_le_p(in->data + at, size, value + to->address);
}

static void add_checksum(Tables *t, const uint8_t *order)
{
    File *in = file_of(t, order);
    uint32_t at = ldl_le_p(order + NAME);
    uint32_t start = ldl_le_p(order + NAME + 4);
    uint32_t size = ldl_le_p(order + NAME + 8);
    uint8_t sum = 0;

    g_assert_cmpuint(start + size, <=, in->size);
    for (uint32_t i = 0; i < size; i++) {
        sum += in->data[start + i];
    }
    in->data[at] -= sum;
}

static void tables_load(Tables *t, Viommu *v)
{
    QOSState qs = { .qts = v->qts, .alloc = v->alloc };
    QFWCFG *fw_cfg = pc_fw_cfg_init(v->qts);
    g_autofree uint8_t *script = g_malloc0(MOST);
    size_t size = qfw_cfg_read_file(fw_cfg, &qs, LOADER, script, MOST);

    *t = (Tables) { {
        { .name = TABLES, .address = 0x7f000000 },
        { .name = RSDP, .address = 0xf0000 },
    } };
    for (unsigned i = 0; i < ARRAY_SIZE(t->files); i++) {
        File *file = &t->files[i];

        file->data = g_malloc0(MOST);
        file->size = qfw_cfg_read_file(fw_cfg, &qs, file->name, file->data,
                                       MOST);
        g_assert_cmpuint(file->size, >, 0);
    }
    pc_fw_cfg_uninit(fw_cfg);
    for (size_t at = 0; at + ORDER_SIZE <= size; at += ORDER_SIZE) {
        switch (ldl_le_p(script + at)) {
        case ADD_POINTER:
            add_pointer(t, script + at + 4);
            break;
        case ADD_CHECKSUM:
            add_checksum(t, script + at + 4);
            break;
        }
    }
}

static void tables_free(Tables *t)
{
    for (unsigned i = 0; i < ARRAY_SIZE(t->files); i++) {
        g_free(t->files[i].data);
    }
}

/* A table at an address; whole, and its sum is 0 */
static const uint8_t *table_at(Tables *t, uint64_t address)
{
    File *tables = &t->files[0];
    uint64_t at = address - tables->address;
    uint32_t size;
    uint8_t sum = 0;

    g_assert_cmpuint(at + 36, <=, tables->size);
    size = ldl_le_p(tables->data + at + 4);
    g_assert_cmpuint(at + size, <=, tables->size);
    for (uint32_t i = 0; i < size; i++) {
        sum += tables->data[at + i];
    }
    g_assert_cmpuint(sum, ==, 0);
    return tables->data + at;
}

/* The table VIOT by way of the root pointer, or NULL; @count: of all tables */
static const uint8_t *find_viot(Tables *t, unsigned *count)
{
    const uint8_t *rsdp = t->files[1].data, *xsdt, *found = NULL;
    uint8_t sum = 0;

    g_assert_cmpmem(rsdp, 8, "RSD PTR ", 8);
    for (unsigned i = 0; i < 36; i++) {
        sum += rsdp[i];
    }
    g_assert_cmpuint(sum, ==, 0);
    xsdt = table_at(t, ldq_le_p(rsdp + 24));
    g_assert_cmpmem(xsdt, 4, "XSDT", 4);
    *count = (ldl_le_p(xsdt + 4) - 36) / 8;
    for (unsigned i = 0; i < *count; i++) {
        const uint8_t *table = table_at(t, ldq_le_p(xsdt + 36 + i * 8));

        if (!memcmp(table, "VIOT", 4)) {
            g_assert_null(found);
            found = table;
        }
    }
    return found;
}

static void platform_form(void)
{
    Viommu *v = viommu_boot(NULL, "-device virtio-rng-device,"
                            "iommu_platform=on -device virtio-rng-device");
    const uint8_t *viot;
    unsigned count;
    Tables t;

    tables_load(&t, v);
    viot = find_viot(&t, &count);
    g_assert_cmpuint(count, ==, 3);         /* FACP, APIC, VIOT */
    g_assert_nonnull(viot);
    g_assert_cmpuint(lduw_le_p(viot + 36), ==, 3);
    g_assert_cmpuint(lduw_le_p(viot + 38), ==, 48);
    /* The IOMMU in its slot */
    g_assert_cmpuint(viot[48], ==, 4);
    g_assert_cmpuint(lduw_le_p(viot + 50), ==, 16);
    g_assert_cmphex(ldq_le_p(viot + 56), ==, board()->slot);
    /* All PCI functions */
    g_assert_cmpuint(viot[64], ==, 1);
    g_assert_cmpuint(lduw_le_p(viot + 66), ==, 24);
    g_assert_cmphex(lduw_le_p(viot + 76), ==, 0);
    g_assert_cmphex(lduw_le_p(viot + 78), ==, 0xffff);
    g_assert_cmpuint(lduw_le_p(viot + 80), ==, 48);
    /* The endpoint in a slot, and not the device that is none */
    g_assert_cmpuint(viot[88], ==, 2);
    g_assert_cmpuint(lduw_le_p(viot + 90), ==, 24);
    g_assert_cmphex((uint32_t)ldl_le_p(viot + 92), ==,
                    0x80000000 + SLOT_BEFORE(board()->slot) / 0x200);
    g_assert_cmphex(ldq_le_p(viot + 96), ==, SLOT_BEFORE(board()->slot));
    g_assert_cmpuint(lduw_le_p(viot + 104), ==, 48);
    g_assert_cmpuint(ldl_le_p(viot + 4), ==, 112);
    tables_free(&t);
    viommu_stop(v);
}

/* A guest that resets its machine finds the same */
static void after_a_reset(void)
{
    Viommu *v = viommu_boot(NULL, NULL);
    unsigned count;
    Tables t;

    qtest_system_reset(v->qts);
    tables_load(&t, v);
    g_assert_nonnull(find_viot(&t, &count));
    g_assert_cmpuint(count, ==, 3);
    tables_free(&t);
    viommu_stop(v);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("microvm/platform-form", platform_form);
    ADD("microvm/after-a-reset", after_a_reset);
    return g_test_run();
}
