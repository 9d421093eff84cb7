/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu: the words of an SMMUv3 that its owner writes and reads
 */
#include "qemu/osdep.h"

#include "qemu/bswap.h"
#include "pviommu/wire.h"
#include "call.h"
#include "smmuv3.h"

/* Pages beyond which one command for all of the table is cheaper */
#define PAGES_MAX 64

#define TABLE_BITS 12

int pviommu_smmu_walks_lpae(int fd, uint32_t device, bool *walks)
{
    enum { TTF_AARCH64 = 2, STALL_FORCED = 2, TT_BIG_ENDIAN = 3 };
    struct iommu_hw_info_arm_smmuv3 info = { 0 };
    struct iommu_hw_info arg = {
        .size = sizeof(arg),
        .dev_id = device,
        .data_len = sizeof(info),
        .data_uptr = (uintptr_t)&info,
    };
    int ret = pviommu_call(fd, IOMMU_GET_HW_INFO, &arg);

    if (!ret && arg.out_data_type != IOMMU_HW_INFO_TYPE_ARM_SMMUV3) {
        ret = -ENODEV;
    }
    *walks = !ret && (extract32(info.idr[0], 2, 2) & TTF_AARCH64) &&
             extract32(info.idr[0], 21, 2) != TT_BIG_ENDIAN &&
             extract32(info.idr[0], 24, 2) != STALL_FORCED &&
             extract32(info.idr[5], 4, 1);      /* pages of 4 KiB */
    return ret;
}

/*
 * Of the lower half of the address space, walked in inner shareable,
 * write-back memory of 4 KiB granule; faults abort and are recorded; access
 * flags are not set by hardware.  Its output is cut to what the SMMU has.
 */
void pviommu_smmu_write_descriptor(uint64_t *word,
                                   const PviommuGuestTable *guest,
                                   unsigned asid)
{
    uint64_t first = 0;

    first = deposit64(first, 0, 6, 64 - guest->input_bits);     /* T0SZ */
    first = deposit64(first, 8, 2, 1);          /* IR0 */
    first = deposit64(first, 10, 2, 1);         /* OR0 */
    first = deposit64(first, 12, 2, 3);         /* SH0 */
    first = deposit64(first, 30, 1, 1);         /* EPD1 */
    first = deposit64(first, 31, 1, 1);         /* V */
    first = deposit64(first, 32, 3, 5);         /* IPS: 48 bits */
    first = deposit64(first, 41, 1, 1);         /* AA64 */
    first = deposit64(first, 45, 1, 1);         /* R */
    first = deposit64(first, 46, 1, 1);         /* A */
    first = deposit64(first, 47, 1, 1);         /* ASET */
    first = deposit64(first, 48, 16, asid);     /* ASID */
    word[1] = cpu_to_le64(guest->root);         /* TTB0 */
    word[2] = 0;
    word[3] = cpu_to_le64(guest->attributes);   /* MAIR */
    qatomic_store_release(&word[0], cpu_to_le64(first));
}

struct iommu_hwpt_arm_smmuv3 pviommu_smmu_stream_entry(uint64_t descriptor)
{
    enum { V = 1, S1_TRANSLATE = 5 << 1 };
    /* memory attributes for what is read from there */
    enum { S1CIR_WBWA = 1 << 2, S1COR_WBWA = 1 << 4, S1CSH_INNER = 3 << 6 };

    return (struct iommu_hwpt_arm_smmuv3) {
        .ste = {
            cpu_to_le64(descriptor | S1_TRANSLATE | V),
            cpu_to_le64(S1CSH_INNER | S1COR_WBWA | S1CIR_WBWA),
        },
    };
}

enum {
    CFGI_CD_ALL = 0x06,
    TLBI_NH_ASID = 0x11,
    TLBI_NH_VA = 0x12,
};

typedef struct iommu_viommu_arm_smmuv3_invalidate Command;

static Command command(uint64_t low, uint64_t high)
{
    return (Command) { .cmd = { cpu_to_le64(low), cpu_to_le64(high) } };
}

/* In one call, which returns when the SMMU has done all of them */
static int send_commands(int fd, uint32_t viommu, const Command *commands,
                         unsigned count)
{
    struct iommu_hwpt_invalidate arg = {
        .size = sizeof(arg),
        .hwpt_id = viommu,
        .data_uptr = (uintptr_t)commands,
        .data_type = IOMMU_VIOMMU_INVALIDATE_DATA_ARM_SMMUV3,
        .entry_len = sizeof(*commands),
        .entry_num = count,
    };

    return pviommu_call(fd, IOMMU_HWPT_INVALIDATE, &arg);
}

int pviommu_smmu_invalidate(int fd, uint32_t viommu, unsigned asid,
                            uint64_t first, uint64_t last)
{
    uint64_t pages = (last - first) >> TABLE_BITS;      /* less one */
    uint64_t tag = (uint64_t)asid << 48;
    Command commands[PAGES_MAX];

    if (pages >= PAGES_MAX) {
        commands[0] = command(TLBI_NH_ASID | tag, 0);
        return send_commands(fd, viommu, commands, 1);
    }
    for (unsigned i = 0; i <= pages; i++) {
        commands[i] = command(TLBI_NH_VA | tag,
                              first + ((uint64_t)i << TABLE_BITS));
    }
    return send_commands(fd, viommu, commands, pages + 1);
}

int pviommu_smmu_forget_descriptors(int fd, uint32_t viommu, uint32_t device)
{
    Command all = command(CFGI_CD_ALL | (uint64_t)device << 32, 0);

    return send_commands(fd, viommu, &all, 1);
}

PviommuSmmuEvent
pviommu_smmu_read_event(const struct iommu_vevent_arm_smmuv3 *event)
{
    enum { F_TRANSLATION = 0x10, F_PERMISSION = 0x13 };
    uint64_t head = le64_to_cpu(event->evt[0]);
    unsigned type = head & 0xff;
    PviommuSmmuEvent found = {
        .device = head >> 32,
        .reason = PVIOMMU_FAULT_R_UNKNOWN,
    };

    if (type >= F_TRANSLATION && type <= F_PERMISSION) {
        found.address = le64_to_cpu(event->evt[2]);
        found.access = extract64(le64_to_cpu(event->evt[1]), 35, 1)
                       ? PVIOMMU_FAULT_F_READ : PVIOMMU_FAULT_F_WRITE;
        found.reason = PVIOMMU_FAULT_R_MAPPING;
    }
    return found;
}
