/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu: a table of ours among the ACPI tables of the board microvm
 *
 * The board takes no tables of users.  It builds its own once, when the
 * machine is ready, as three files for the firmware: the tables, the root
 * pointer, and a script that has the firmware put addresses where offsets are
 * and make check sums (hw/acpi/bios-linker-loader.c).  Afterwards they are
 * given back with one table more: it goes behind the others, and behind it a
 * longer copy of the list of tables (XSDT) for the root pointer to name.
 */
#include "qemu/osdep.h"

#include "exec/cpu-common.h"
#include "hw/core/boards.h"
#include "hw/nvram/fw_cfg.h"
#include "qemu/bswap.h"
#include "system/ramblock.h"
#include "system/ramlist.h"
#include "firmware/firmware.h"

#define TABLES "etc/acpi/tables"
#define LOADER "etc/table-loader"
#define RSDP "etc/acpi/rsdp"

enum {
    /* a table's header, and where its length and its check sum are */
    HEADER_SIZE = 36,
    LENGTH = 4,
    CHECKSUM = 9,
    /* the root pointer's own pointer to the XSDT */
    RSDP_SIZE = 36,
    RSDP_XSDT = 24,
    /* an order of the script */
    ORDER_SIZE = 128,
    ORDER_FILE = 4,
    ORDER_FILE_SIZE = 56,
    ADD_POINTER = 2,
    ADD_CHECKSUM = 3,
};

static GByteArray *read_file(const char *name)
{
    g_autofree char *id = g_strdup_printf("/rom@%s", name);
    RAMBlock *block = qemu_ram_block_by_name(id);

    return block ? g_byte_array_append(g_byte_array_new(),
                                       qemu_ram_get_host_addr(block),
                                       qemu_ram_get_used_length(block))
                 : g_byte_array_new();
}

/* The firmware reads it for as long as the machine is there */
static void write_file(const char *name, GByteArray *content)
{
    size_t size = content->len;

    fw_cfg_modify_file(fw_cfg_find(), name,
                       g_byte_array_free(content, FALSE), size);
}

static uint8_t *order(GByteArray *loader, uint32_t command)
{
    uint8_t zeros[ORDER_SIZE] = { 0 };
    uint8_t *at;

    g_byte_array_append(loader, zeros, ORDER_SIZE);
    at = loader->data + loader->len - ORDER_SIZE;
    stl_le_p(at, command);
    memcpy(at + ORDER_FILE, TABLES, sizeof(TABLES));
    return at + ORDER_FILE + ORDER_FILE_SIZE;
}

/* The 64 bits at @offset of the tables become an address in them */
static void order_pointer(GByteArray *loader, uint32_t offset)
{
    uint8_t *at = order(loader, ADD_POINTER);

    memcpy(at, TABLES, sizeof(TABLES));
    stl_le_p(at + ORDER_FILE_SIZE, offset);
    at[ORDER_FILE_SIZE + 4] = 8;
}

static void order_checksum(GByteArray *loader, uint32_t table, uint32_t size)
{
    uint8_t *at = order(loader, ADD_CHECKSUM);

    stl_le_p(at, table + CHECKSUM);
    stl_le_p(at + 4, table);
    stl_le_p(at + 8, size);
}

bool pviommu_microvm_add_table(const GByteArray *table)
{
    g_autoptr(GByteArray) tables = read_file(TABLES);
    g_autoptr(GByteArray) loader = read_file(LOADER);
    g_autoptr(GByteArray) rsdp = read_file(RSDP);
    uint32_t at = ROUND_UP(tables->len, 16), old, size, xsdt;
    uint64_t entry = at;

    old = rsdp->len >= RSDP_SIZE ? ldq_le_p(rsdp->data + RSDP_XSDT) : 0;
    if (!old || old + HEADER_SIZE > tables->len ||
        memcmp(tables->data + old, "XSDT", 4)) {
        return false;
    }
    size = ldl_le_p(tables->data + old + LENGTH);
    xsdt = at + ROUND_UP(table->len, 16);

    g_byte_array_set_size(tables, xsdt + size + sizeof(entry));
    memset(tables->data + at, 0, tables->len - at);
    memcpy(tables->data + at, table->data, table->len);
    memcpy(tables->data + xsdt, tables->data + old, size);
    stq_le_p(tables->data + xsdt + size, entry);
    size += sizeof(entry);
    stl_le_p(tables->data + xsdt + LENGTH, size);
    tables->data[xsdt + CHECKSUM] = 0;
    for (uint32_t i = HEADER_SIZE; i < size; i += sizeof(entry)) {
        order_pointer(loader, xsdt + i);
    }
    order_checksum(loader, xsdt, size);
    stq_le_p(rsdp->data + RSDP_XSDT, xsdt);

    write_file(TABLES, g_steal_pointer(&tables));
    write_file(LOADER, g_steal_pointer(&loader));
    write_file(RSDP, g_steal_pointer(&rsdp));
    return true;
}
