/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu: the virtio IOMMU on the wire: numbers and layouts
 *
 * Source: virtio specification, Device Types / IOMMU Device.  Every field is
 * little endian.  Offsets are bytes from the start of the part named.
 */
#ifndef PVIOMMU_WIRE_H
#define PVIOMMU_WIRE_H

#include <stdint.h>

/* Feature bits (section "Feature bits") */
enum {
    PVIOMMU_F_INPUT_RANGE = 0,
    PVIOMMU_F_DOMAIN_RANGE = 1,
    PVIOMMU_F_MAP_UNMAP = 2,
    PVIOMMU_F_BYPASS = 3,         /* deprecated, never offered */
    PVIOMMU_F_PROBE = 4,
    PVIOMMU_F_MMIO = 5,
    PVIOMMU_F_BYPASS_CONFIG = 6,
    PVIOMMU_F_GUEST_TABLES = 23,  /* experimental: docs/specs/pviommu.md */
};

/* Configuration space (section "Device configuration layout") */
enum {
    PVIOMMU_CFG_PAGE_SIZE_MASK = 0,   /* le64 */
    PVIOMMU_CFG_INPUT_FIRST = 8,      /* le64 */
    PVIOMMU_CFG_INPUT_LAST = 16,      /* le64, inclusive */
    PVIOMMU_CFG_DOMAIN_FIRST = 24,    /* le32 */
    PVIOMMU_CFG_DOMAIN_LAST = 28,     /* le32, inclusive */
    PVIOMMU_CFG_PROBE_SIZE = 32,      /* le32 */
    PVIOMMU_CFG_BYPASS = 36,          /* u8, then three reserved bytes */
    PVIOMMU_CFG_SIZE = 40,
};

/* Request types (section "Device operations") */
enum {
    PVIOMMU_T_ATTACH = 1,
    PVIOMMU_T_DETACH = 2,
    PVIOMMU_T_MAP = 3,
    PVIOMMU_T_UNMAP = 4,
    PVIOMMU_T_PROBE = 5,
    PVIOMMU_T_ATTACH_TABLE = 6,       /* with F_GUEST_TABLES */
    PVIOMMU_T_INVALIDATE = 7,         /* with F_GUEST_TABLES */
    PVIOMMU_T__MAX,
};

/* Sizes of what frames a request, and of the readable part of each type */
enum {
    PVIOMMU_HEAD_SIZE = 4,            /* u8 type, u8 reserved[3] */
    PVIOMMU_TAIL_SIZE = 4,            /* u8 status, u8 reserved[3] */
    PVIOMMU_ATTACH_SIZE = 20,
    PVIOMMU_DETACH_SIZE = 20,
    PVIOMMU_MAP_SIZE = 36,
    PVIOMMU_UNMAP_SIZE = 28,
    PVIOMMU_PROBE_SIZE = 72,
    PVIOMMU_ATTACH_TABLE_SIZE = 36,
    PVIOMMU_INVALIDATE_SIZE = 28,
    PVIOMMU_REQUEST_MAX = PVIOMMU_PROBE_SIZE,
};

/* ATTACH flags */
#define PVIOMMU_ATTACH_F_BYPASS (1u << 0)

/* MAP flags */
#define PVIOMMU_MAP_F_READ (1u << 0)
#define PVIOMMU_MAP_F_WRITE (1u << 1)
#define PVIOMMU_MAP_F_MMIO (1u << 2)

/**
 * enum PviommuStatus - what the tail of a request says
 */
typedef enum PviommuStatus {
    PVIOMMU_S_OK = 0,
    PVIOMMU_S_IOERR = 1,
    PVIOMMU_S_UNSUPP = 2,
    PVIOMMU_S_DEVERR = 3,
    PVIOMMU_S_INVAL = 4,
    PVIOMMU_S_RANGE = 5,
    PVIOMMU_S_NOENT = 6,
    PVIOMMU_S_FAULT = 7,
    PVIOMMU_S_NOMEM = 8,
    PVIOMMU_S__MAX = 9,
} PviommuStatus;

/* Properties of PROBE: header le16 type, le16 length, then the body */
enum {
    PVIOMMU_PROBE_T_NONE = 0,
    PVIOMMU_PROBE_T_RESV_MEM = 1,
    PVIOMMU_PROBE_T_TABLE_FORMAT = 8, /* with F_GUEST_TABLES */
    PVIOMMU_PROP_HEADER_SIZE = 4,
    PVIOMMU_RESV_MEM_SIZE = 24,       /* header included, here and below */
    PVIOMMU_TABLE_FORMAT_SIZE = 24,
    PVIOMMU_TABLE_FORMAT_F_NEW_ENTRIES = 1 << 0,
};

/* Fault reports (section "Fault reporting") */
enum {
    PVIOMMU_FAULT_R_UNKNOWN = 0,
    PVIOMMU_FAULT_R_DOMAIN = 1,
    PVIOMMU_FAULT_R_MAPPING = 2,
    PVIOMMU_FAULT_SIZE = 24,
};

#define PVIOMMU_FAULT_F_READ (1u << 0)
#define PVIOMMU_FAULT_F_WRITE (1u << 1)
#define PVIOMMU_FAULT_F_ADDRESS (1u << 8)

#endif /* PVIOMMU_WIRE_H */
