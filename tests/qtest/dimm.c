/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A DIMM that comes and goes, on q35
 */
#include "qemu/osdep.h"

#include "dimm.h"

/* docs/specs/acpi_mem_hotplug.rst in QEMU */
#define ACPI_MEMORY_SLOT 0xa00
#define ACPI_MEMORY_CONTROL 0xa14
#define ACPI_MEMORY_EJECT 0x08

void dimm_plug(QTestState *qts, const char *backend)
{
    qtest_qmp_assert_success(qts, "{ 'execute': 'object-add', 'arguments': {"
                             " 'qom-type': 'memory-backend-ram', 'id': %s,"
                             " 'size': %" PRIu64 " } }", backend,
                             (uint64_t)DIMM_SIZE);
    qtest_qmp_assert_success(qts, "{ 'execute': 'device_add', 'arguments': {"
                             " 'driver': 'pc-dimm', 'id': 'dimm',"
                             " 'memdev': %s } }", backend);
}

void dimm_unplug(QTestState *qts)
{
    qtest_qmp_assert_success(qts, "{ 'execute': 'device_del', 'arguments': {"
                             " 'id': 'dimm' } }");
    qtest_outl(qts, ACPI_MEMORY_SLOT, 0);
    qtest_outb(qts, ACPI_MEMORY_CONTROL, ACPI_MEMORY_EJECT);
    qtest_qmp_eventwait(qts, "DEVICE_DELETED");
}
