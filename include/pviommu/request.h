/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu: one request, from bytes to change of state and answer
 *
 * Source: virtio specification, IOMMU Device, Device operations.
 */
#ifndef PVIOMMU_REQUEST_H
#define PVIOMMU_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pviommu/iommu.h"
#include "pviommu/wire.h"

/**
 * enum PviommuMistake - what a guest can get wrong in a request
 *
 * pviommu_mistake_name() has the words for each.  The value is a bit number
 * in struct PviommuAnswer.
 */
typedef enum PviommuMistake {
    PVIOMMU_MISTAKE_SHORT_HEAD,       /* fewer than 4 readable bytes */
    PVIOMMU_MISTAKE_NO_TAIL,          /* fewer than 4 writable bytes */
    PVIOMMU_MISTAKE_UNKNOWN_TYPE,
    PVIOMMU_MISTAKE_NOT_NEGOTIATED,   /* type or flag not accepted */
    PVIOMMU_MISTAKE_SHORT_BODY,
    PVIOMMU_MISTAKE_LONG_BODY,        /* answered as if it were not there */
    PVIOMMU_MISTAKE_LONG_TAIL,        /* more writable bytes than needed */
    PVIOMMU_MISTAKE_SHORT_PROPERTIES, /* PROBE with too few writable bytes */
    PVIOMMU_MISTAKE_RESERVED,         /* a reserved field that must be 0 */
    PVIOMMU_MISTAKE_FLAGS,            /* undefined flag */
    PVIOMMU_MISTAKE_NO_ENDPOINT,
    PVIOMMU_MISTAKE_NO_DOMAIN,
    PVIOMMU_MISTAKE_DOMAIN_RANGE,
    PVIOMMU_MISTAKE_DOMAIN_KIND,      /* the domain is of another kind */
    PVIOMMU_MISTAKE_BYPASS_DOMAIN,    /* MAP or UNMAP on a bypass domain */
    PVIOMMU_MISTAKE_NOT_ATTACHED,
    PVIOMMU_MISTAKE_GROUP,            /* sibling is in another domain */
    PVIOMMU_MISTAKE_INVERTED,         /* last below first */
    PVIOMMU_MISTAKE_UNALIGNED,
    PVIOMMU_MISTAKE_INPUT_RANGE,
    PVIOMMU_MISTAKE_RESERVED_REGION,
    PVIOMMU_MISTAKE_OVERLAP,
    PVIOMMU_MISTAKE_SPLIT,            /* UNMAP of part of a mapping */
    PVIOMMU_MISTAKE_PHYS_WRAP,
    PVIOMMU_MISTAKE_MAX_DOMAINS,
    PVIOMMU_MISTAKE_MAX_MAPPINGS,
    PVIOMMU_MISTAKE_FORMAT,           /* of a table, not the endpoint's */
    PVIOMMU_MISTAKE_LARGE_TABLE,      /* more entries than a host is told of */
    PVIOMMU_MISTAKE__MAX,
} PviommuMistake;

/**
 * pviommu_mistake_name - name a mistake
 * @mistake: below PVIOMMU_MISTAKE__MAX
 *
 * Return: a short constant word with hyphens ("short-head").
 */
const char *pviommu_mistake_name(PviommuMistake mistake);

/**
 * pviommu_status_name - name a status
 * @status: any
 *
 * Return: the specification's word ("OK", "NOENT"), "?" for an unknown one.
 */
const char *pviommu_status_name(uint8_t status);

/**
 * pviommu_request_type_name - name a request type
 * @type: any
 *
 * Return: "ATTACH" and so on, "unknown" for an unknown one.
 */
const char *pviommu_request_type_name(uint8_t type);

/**
 * struct PviommuRequest - a request as read; fields it lacks are 0
 * @type: PVIOMMU_T_*, or what the guest wrote there
 * @domain: ATTACH, DETACH, MAP, UNMAP, ATTACH_TABLE, INVALIDATE
 * @endpoint: ATTACH, DETACH, PROBE, ATTACH_TABLE
 * @flags: ATTACH, MAP, ATTACH_TABLE
 * @first: MAP, UNMAP, INVALIDATE: first IOVA
 * @last: MAP, UNMAP, INVALIDATE: last IOVA, inclusive
 * @phys: MAP: guest-physical address of @first
 * @table: ATTACH_TABLE
 */
typedef struct PviommuRequest {
    uint8_t type;
    uint32_t domain;
    uint32_t endpoint;
    uint32_t flags;
    uint64_t first;
    uint64_t last;
    uint64_t phys;
    PviommuGuestTable table;
} PviommuRequest;

/**
 * struct PviommuAnswer - what to tell the guest
 * @written: false: return the buffer unwritten, with used length 0; true:
 *           the last 4 writable bytes are the tail (@status, then zeros), the
 *           bytes before are properties or zeros, the used length is all
 * @status: PVIOMMU_S_*; not OK when @written is false
 * @mistakes: bit n is set for mistake n; a request may be OK and have some
 */
typedef struct PviommuAnswer {
    bool written;
    uint8_t status;
    uint64_t mistakes;
} PviommuAnswer;

/**
 * pviommu_request_run - decode, check and carry out one request
 * @iommu: the IOMMU; state is unchanged unless the answer's status is OK
 * @readable: private copy of the readable bytes, up to PVIOMMU_REQUEST_MAX
 *            of them; may be NULL when there are none
 * @readable_size: how many readable bytes the guest gave in all
 * @writable_size: how many writable bytes the guest gave in all
 * @request: what was read, for the log
 * @properties: probe_size bytes; filled by an OK PROBE, zeroed by another,
 *              untouched by other types
 * @answer: what to tell the guest
 * @change: what changed when the status is OK: the caller shows it to the
 *          host, then commits it, or undoes it and answers with the host's
 *          error; kind NONE when there is nothing for the host, to be
 *          committed all the same
 *
 * Checks in this order, the first that fails decides: framing, reserved
 * bits and flags, last below first, endpoint, format, domain, alignment,
 * ranges, reserved regions, overlap, quota.
 *
 * Numbers of endpoints must be up to date (pviommu_iommu_renumber()).
 */
void pviommu_request_run(PviommuIommu *iommu, const void *readable,
                         size_t readable_size, size_t writable_size,
                         PviommuRequest *request, void *properties,
                         PviommuAnswer *answer, PviommuChange *change);

/**
 * pviommu_fault_encode - write a fault report
 * @report: PVIOMMU_FAULT_SIZE bytes
 * @reason: PVIOMMU_FAULT_R_*
 * @access: PVIOMMU_FAULT_F_READ or _WRITE; _ADDRESS is added
 * @endpoint: id
 * @address: IOVA
 */
void pviommu_fault_encode(void *report, uint8_t reason, uint32_t access,
                          uint32_t endpoint, uint64_t address);

#endif /* PVIOMMU_REQUEST_H */
