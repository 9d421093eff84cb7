/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu: where the machine takes message signalled interrupts
 */
#include "qemu/osdep.h"

#include "hw/core/boards.h"
#include "hw/core/sysbus.h"
#include "firmware/firmware.h"

/* The window of x86 */
#define X86_FIRST 0xfee00000ULL
#define X86_LAST 0xfeefffffULL

/* The registers of Arm's interrupt controllers that devices write to */
static const struct {
    const char *type;
    hwaddr offset;
    uint64_t size;
} doorbells[] = {
    { "arm-gicv2m", 0, 0x1000 },
    { "arm-gicv3-its-common", 0x10000, 0x10000 },
};

bool pviommu_msi_region(PviommuRegion *region)
{
    region->type = PVIOMMU_REGION_MSI;
    if (object_dynamic_cast(OBJECT(current_machine), "x86-machine")) {
        region->first = X86_FIRST;
        region->last = X86_LAST;
        return true;
    }
    for (unsigned i = 0; i < ARRAY_SIZE(doorbells); i++) {
        Object *found = object_resolve_path_type("", doorbells[i].type, NULL);

        if (found) {
            region->first = SYS_BUS_DEVICE(found)->mmio[0].addr +
                            doorbells[i].offset;
            region->last = region->first + doorbells[i].size - 1;
            return true;
        }
    }
    return false;
}
