/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu: words for what people read in logs
 */
#include <glib.h>

#include "pviommu/request.h"

static const char *const mistake_names[PVIOMMU_MISTAKE__MAX] = {
    [PVIOMMU_MISTAKE_SHORT_HEAD] = "short-head",
    [PVIOMMU_MISTAKE_NO_TAIL] = "no-tail",
    [PVIOMMU_MISTAKE_UNKNOWN_TYPE] = "unknown-type",
    [PVIOMMU_MISTAKE_NOT_NEGOTIATED] = "not-negotiated",
    [PVIOMMU_MISTAKE_SHORT_BODY] = "short-body",
    [PVIOMMU_MISTAKE_LONG_BODY] = "long-body",
    [PVIOMMU_MISTAKE_LONG_TAIL] = "long-tail",
    [PVIOMMU_MISTAKE_SHORT_PROPERTIES] = "short-properties",
    [PVIOMMU_MISTAKE_RESERVED] = "reserved",
    [PVIOMMU_MISTAKE_FLAGS] = "flags",
    [PVIOMMU_MISTAKE_NO_ENDPOINT] = "no-endpoint",
    [PVIOMMU_MISTAKE_NO_DOMAIN] = "no-domain",
    [PVIOMMU_MISTAKE_DOMAIN_RANGE] = "domain-range",
    [PVIOMMU_MISTAKE_DOMAIN_KIND] = "domain-kind",
    [PVIOMMU_MISTAKE_BYPASS_DOMAIN] = "bypass-domain",
    [PVIOMMU_MISTAKE_NOT_ATTACHED] = "not-attached",
    [PVIOMMU_MISTAKE_GROUP] = "group",
    [PVIOMMU_MISTAKE_INVERTED] = "inverted",
    [PVIOMMU_MISTAKE_UNALIGNED] = "unaligned",
    [PVIOMMU_MISTAKE_INPUT_RANGE] = "input-range",
    [PVIOMMU_MISTAKE_RESERVED_REGION] = "reserved-region",
    [PVIOMMU_MISTAKE_OVERLAP] = "overlap",
    [PVIOMMU_MISTAKE_SPLIT] = "split",
    [PVIOMMU_MISTAKE_PHYS_WRAP] = "phys-wrap",
    [PVIOMMU_MISTAKE_MAX_DOMAINS] = "max-domains",
    [PVIOMMU_MISTAKE_MAX_MAPPINGS] = "max-mappings",
    [PVIOMMU_MISTAKE_FORMAT] = "format",
    [PVIOMMU_MISTAKE_LARGE_TABLE] = "large-table",
};

static const char *const status_names[PVIOMMU_S__MAX] = {
    [PVIOMMU_S_OK] = "OK",
    [PVIOMMU_S_IOERR] = "IOERR",
    [PVIOMMU_S_UNSUPP] = "UNSUPP",
    [PVIOMMU_S_DEVERR] = "DEVERR",
    [PVIOMMU_S_INVAL] = "INVAL",
    [PVIOMMU_S_RANGE] = "RANGE",
    [PVIOMMU_S_NOENT] = "NOENT",
    [PVIOMMU_S_FAULT] = "FAULT",
    [PVIOMMU_S_NOMEM] = "NOMEM",
};

static const char *const type_names[] = {
    [PVIOMMU_T_ATTACH] = "ATTACH",
    [PVIOMMU_T_DETACH] = "DETACH",
    [PVIOMMU_T_MAP] = "MAP",
    [PVIOMMU_T_UNMAP] = "UNMAP",
    [PVIOMMU_T_PROBE] = "PROBE",
    [PVIOMMU_T_ATTACH_TABLE] = "ATTACH_TABLE",
    [PVIOMMU_T_INVALIDATE] = "INVALIDATE",
};

const char *pviommu_mistake_name(PviommuMistake mistake)
{
    g_assert(mistake < PVIOMMU_MISTAKE__MAX);
    return mistake_names[mistake];
}

const char *pviommu_status_name(uint8_t status)
{
    return status < PVIOMMU_S__MAX ? status_names[status] : "?";
}

const char *pviommu_request_type_name(uint8_t type)
{
    if (type < G_N_ELEMENTS(type_names) && type_names[type]) {
        return type_names[type];
    }
    return "unknown";
}
