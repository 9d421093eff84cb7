/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu: requests as bytes, and who carries them out
 */
#include <string.h>

#include "le.h"
#include "pviommu/request.h"
#include "run.h"
#include "state.h"

/**
 * struct Type - what a type of request looks like
 * @run: checks it and carries it out
 * @size: bytes of its readable part
 * @domain: offset of the field; 0 where there is none, as for all offsets
 * @endpoint: offset of the field
 * @flags: offset of the field
 * @first: offset of the field
 * @last: offset of the field
 * @phys: offset of the field
 * @reserved: offset of the four reserved bytes that must be 0
 * @format: offset of the field
 * @input_bits: offset of the field
 * @root: offset of the field
 * @attributes: offset of the field
 */
typedef struct Type {
    void (*run)(Run *run);
    uint8_t size;
    uint8_t domain;
    uint8_t endpoint;
    uint8_t flags;
    uint8_t first;
    uint8_t last;
    uint8_t phys;
    uint8_t reserved;
    uint8_t format;
    uint8_t input_bits;
    uint8_t root;
    uint8_t attributes;
} Type;

static const Type types[] = {
    [PVIOMMU_T_ATTACH] = {
        pviommu_run_attach, PVIOMMU_ATTACH_SIZE,
        .domain = 4, .endpoint = 8, .flags = 12, .reserved = 16,
    },
    [PVIOMMU_T_DETACH] = {
        pviommu_run_detach, PVIOMMU_DETACH_SIZE,
        .domain = 4, .endpoint = 8,
    },
    [PVIOMMU_T_MAP] = {
        pviommu_run_map, PVIOMMU_MAP_SIZE,
        .domain = 4, .first = 8, .last = 16, .phys = 24, .flags = 32,
    },
    [PVIOMMU_T_UNMAP] = {
        pviommu_run_unmap, PVIOMMU_UNMAP_SIZE,
        .domain = 4, .first = 8, .last = 16, .reserved = 24,
    },
    [PVIOMMU_T_PROBE] = {
        pviommu_run_probe, PVIOMMU_PROBE_SIZE,
        .endpoint = 4,
    },
    [PVIOMMU_T_ATTACH_TABLE] = {
        pviommu_run_attach_table, PVIOMMU_ATTACH_TABLE_SIZE,
        .domain = 4, .endpoint = 8, .flags = 12, .root = 16,
        .attributes = 24, .format = 32, .input_bits = 34,
    },
    [PVIOMMU_T_INVALIDATE] = {
        pviommu_run_invalidate, PVIOMMU_INVALIDATE_SIZE,
        .domain = 4, .first = 8, .last = 16, .reserved = 24,
    },
};

/* The type of a request, or NULL when it is to be returned unwritten */
static const Type *find_type(Run *run)
{
    uint8_t type = run->request->type;

    /*
     * Without properties to read, there is no feature PROBE; what follows it
     * is in no specification but where the guest agreed to ours.
     */
    if (type >= G_N_ELEMENTS(types) || !types[type].run ||
        (type == PVIOMMU_T_PROBE && run->iommu->config.probe_size == 0) ||
        (type > PVIOMMU_T_PROBE &&
         !negotiated(run, PVIOMMU_F_GUEST_TABLES))) {
        run->answer->mistakes |= MISTAKE(UNKNOWN_TYPE);
        return NULL;
    }
    if ((type == PVIOMMU_T_MAP || type == PVIOMMU_T_UNMAP) &&
        !negotiated(run, PVIOMMU_F_MAP_UNMAP)) {
        run->answer->mistakes |= MISTAKE(NOT_NEGOTIATED);
        return NULL;
    }
    return &types[type];
}

/* A field that the request has in whole, else 0 */
static uint64_t field(const uint8_t *readable, size_t readable_size,
                      unsigned offset, unsigned size)
{
    if (offset == 0 || offset + size > readable_size) {
        return 0;
    }
    return le_get(readable + offset, size);
}

static void decode(Run *run, const uint8_t *readable, size_t size)
{
    PviommuRequest *request = run->request;
    const Type *type;

    *request = (PviommuRequest) { 0 };
    run->reserved = 0;
    if (size == 0) {
        return;
    }
    request->type = readable[0];
    if (request->type >= G_N_ELEMENTS(types)) {
        return;
    }
    type = &types[request->type];
    request->domain = (uint32_t)field(readable, size, type->domain, 4);
    request->endpoint = (uint32_t)field(readable, size, type->endpoint, 4);
    request->flags = (uint32_t)field(readable, size, type->flags, 4);
    request->first = field(readable, size, type->first, 8);
    request->last = field(readable, size, type->last, 8);
    request->phys = field(readable, size, type->phys, 8);
    request->table = (PviommuGuestTable) {
        .format = (uint16_t)field(readable, size, type->format, 2),
        .input_bits = (uint16_t)field(readable, size, type->input_bits, 2),
        .root = field(readable, size, type->root, 8),
        .attributes = field(readable, size, type->attributes, 8),
    };
    run->reserved = (uint32_t)field(readable, size, type->reserved, 4);
}

/* Note sizes that are more than needed; false when the body is too short */
static bool check_sizes(Run *run, const Type *type, size_t readable_size)
{
    size_t writable = PVIOMMU_TAIL_SIZE;

    if (type->run == pviommu_run_probe) {
        writable += run->iommu->config.probe_size;
    }
    if (readable_size > type->size) {
        run->answer->mistakes |= MISTAKE(LONG_BODY);
    }
    if (run->writable_size > writable) {
        run->answer->mistakes |= MISTAKE(LONG_TAIL);
    }
    if (readable_size < type->size) {
        REFUSE(run, INVAL, SHORT_BODY);
        return false;
    }
    return true;
}

void pviommu_request_run(PviommuIommu *iommu, const void *readable,
                         size_t readable_size, size_t writable_size,
                         PviommuRequest *request, void *properties,
                         PviommuAnswer *answer, PviommuChange *change)
{
    Run run = {
        .iommu = iommu,
        .request = request,
        .properties = properties,
        .writable_size = writable_size,
        .answer = answer,
        .change = change,
    };
    const Type *type;

    assert_open(iommu);
    *change = (PviommuChange) { 0 };
    *answer = (PviommuAnswer) { .status = PVIOMMU_S_INVAL };
    decode(&run, readable, readable_size);
    if (readable_size < PVIOMMU_HEAD_SIZE) {
        answer->mistakes |= MISTAKE(SHORT_HEAD);
    }
    if (writable_size < PVIOMMU_TAIL_SIZE) {
        answer->mistakes |= MISTAKE(NO_TAIL);
    }
    if (answer->mistakes) {
        return;
    }
    type = find_type(&run);
    if (!type) {
        return;
    }
    answer->written = true;
    answer->status = PVIOMMU_S_OK;
    if (type->run == pviommu_run_probe) {
        memset(properties, 0, iommu->config.probe_size);
    }
    if (check_sizes(&run, type, readable_size)) {
        type->run(&run);
    }
}

void pviommu_fault_encode(void *report, uint8_t reason, uint32_t access,
                          uint32_t endpoint, uint64_t address)
{
    uint8_t *bytes = report;

    memset(bytes, 0, PVIOMMU_FAULT_SIZE);
    bytes[0] = reason;
    le_put(bytes + 4, 4, access | PVIOMMU_FAULT_F_ADDRESS);
    le_put(bytes + 8, 4, endpoint);
    le_put(bytes + 16, 8, address);
}
