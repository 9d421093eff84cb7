/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu: one request, from bytes to change of state and answer
 */
#include <string.h>

#include "le.h"
#include "pviommu/request.h"
#include "state.h"

#define MISTAKE(name) (UINT64_C(1) << PVIOMMU_MISTAKE_ ## name)

/**
 * struct Run - a request being carried out
 * @iommu: the IOMMU
 * @request: its fields
 * @reserved: value of the reserved field that must be 0, if it has one
 * @properties: where properties of PROBE go
 * @writable_size: writable bytes in all
 * @answer: the answer
 * @change: the change of state
 */
typedef struct Run {
    PviommuIommu *iommu;
    PviommuRequest *request;
    uint32_t reserved;
    void *properties;
    size_t writable_size;
    PviommuAnswer *answer;
    PviommuChange *change;
} Run;

/* Refuse with a status for a mistake; what the callers return */
#define REFUSE(run, code, name) \
    refuse(run, PVIOMMU_S_ ## code, MISTAKE(name))

static void refuse(Run *run, PviommuStatus status, uint64_t mistake)
{
    run->answer->status = status;
    run->answer->mistakes |= mistake;
}

static bool negotiated(const Run *run, unsigned feature)
{
    return run->iommu->features >> feature & 1;
}

/* Flags: the defined ones are 0 to @feature_flag, which needs @feature */
static bool check_flags(Run *run, uint32_t feature_flag, unsigned feature)
{
    uint32_t flags = run->request->flags;

    if (flags & ~(feature_flag | (feature_flag - 1))) {
        REFUSE(run, INVAL, FLAGS);
        return false;
    }
    if ((flags & feature_flag) && !negotiated(run, feature)) {
        REFUSE(run, INVAL, NOT_NEGOTIATED);
        return false;
    }
    return true;
}

/* The least that can be mapped */
static uint64_t granule_of(const Run *run)
{
    uint64_t mask = run->iommu->config.page_size_mask;

    return mask & -mask;
}

/* The domain of a MAP or UNMAP, or NULL with the answer given */
static PviommuDomain *paging_domain(Run *run)
{
    PviommuDomain *domain = pviommu_iommu_domain(run->iommu,
                                                 run->request->domain);

    if (!domain) {
        REFUSE(run, NOENT, NO_DOMAIN);
    } else if (domain->bypass) {
        REFUSE(run, INVAL, BYPASS_DOMAIN);
        domain = NULL;
    } else if (domain->table.format) {
        REFUSE(run, INVAL, DOMAIN_KIND);
        domain = NULL;
    }
    return domain;
}

/* Whether a domain is what an ATTACH or ATTACH_TABLE describes */
static bool is_kind(const PviommuDomain *domain,
                    const PviommuRequest *request)
{
    const PviommuGuestTable *a = &domain->table, *b = &request->table;

    return domain->bypass == (request->flags != 0) &&
           a->format == b->format && a->input_bits == b->input_bits &&
           a->root == b->root && a->attributes == b->attributes;
}

/* Whether the endpoint may enter the domain, which may not exist yet */
static bool check_attach(Run *run, const PviommuEndpoint *endpoint,
                         const PviommuDomain *domain)
{
    const PviommuConfig *config = &run->iommu->config;
    const PviommuRequest *request = run->request;
    const PviommuGroup *group = endpoint->group;
    bool alone = endpoint->domain && endpoint->domain->attached == 1;
    size_t siblings = group->attached - (endpoint->domain != NULL);

    if (domain && !is_kind(domain, request)) {
        REFUSE(run, INVAL, DOMAIN_KIND);
    } else if (request->domain < config->domain_first ||
               request->domain > config->domain_last) {
        REFUSE(run, RANGE, DOMAIN_RANGE);
    } else if (domain && domain == group->domain) {
        return true;
    } else if (siblings > 0) {
        REFUSE(run, UNSUPP, GROUP);
    } else if (domain && !pviommu_domain_fits(domain, group->regions)) {
        REFUSE(run, UNSUPP, RESERVED_REGION);
    } else if (!domain &&
               run->iommu->domain_count - alone >= config->max_domains) {
        REFUSE(run, NOMEM, MAX_DOMAINS);
    } else {
        return true;
    }
    return false;
}

/* Attach, when nothing is wrong with the request but perhaps the domain */
static void attach(Run *run, PviommuEndpoint *endpoint)
{
    const PviommuRequest *request = run->request;
    PviommuDomain *domain = pviommu_iommu_domain(run->iommu, request->domain);

    if (!check_attach(run, endpoint, domain)) {
        return;
    }
    if (!domain) {
        domain = pviommu_domain_new(run->iommu, request->domain,
                                    request->flags != 0, &request->table);
    }
    if (!domain) {
        refuse(run, PVIOMMU_S_NOMEM, 0);
        return;
    }
    pviommu_change_attach(run->change, endpoint, domain);
}

static void run_attach(Run *run)
{
    PviommuEndpoint *endpoint;

    if (run->reserved) {
        REFUSE(run, INVAL, RESERVED);
        return;
    }
    if (!check_flags(run, PVIOMMU_ATTACH_F_BYPASS, PVIOMMU_F_BYPASS_CONFIG)) {
        return;
    }
    endpoint = pviommu_iommu_endpoint(run->iommu, run->request->endpoint);
    if (!endpoint) {
        REFUSE(run, NOENT, NO_ENDPOINT);
        return;
    }
    attach(run, endpoint);
}

static void run_attach_table(Run *run)
{
    const PviommuGuestTable *table = &run->request->table;
    const PviommuFormatInfo *info = pviommu_format_info(table->format);
    PviommuEndpoint *endpoint;

    if (run->reserved || (info && !info->attributes && table->attributes)) {
        REFUSE(run, INVAL, RESERVED);
        return;
    }
    if (run->request->flags) {
        REFUSE(run, INVAL, FLAGS);
        return;
    }
    endpoint = pviommu_iommu_endpoint(run->iommu, run->request->endpoint);
    if (!endpoint) {
        REFUSE(run, NOENT, NO_ENDPOINT);
    } else if (!info || !(endpoint->group->formats >> table->format & 1) ||
               table->input_bits > 63 ||
               !(info->input_sizes >> table->input_bits & 1)) {
        REFUSE(run, UNSUPP, FORMAT);
    } else if (table->root & (PVIOMMU_TABLE_SIZE - 1)) {
        REFUSE(run, RANGE, UNALIGNED);
    } else if (table->root >> info->output_bits) {
        REFUSE(run, RANGE, INPUT_RANGE);
    } else {
        attach(run, endpoint);
    }
}

static void run_detach(Run *run)
{
    PviommuEndpoint *endpoint;
    PviommuDomain *domain;

    endpoint = pviommu_iommu_endpoint(run->iommu, run->request->endpoint);
    if (!endpoint) {
        REFUSE(run, NOENT, NO_ENDPOINT);
        return;
    }
    domain = pviommu_iommu_domain(run->iommu, run->request->domain);
    if (!domain) {
        REFUSE(run, INVAL, NO_DOMAIN);
    } else if (endpoint->domain != domain) {
        REFUSE(run, INVAL, NOT_ATTACHED);
    } else {
        pviommu_change_attach(run->change, endpoint, NULL);
    }
}

/* Whether the fields of a MAP are fine by themselves and for the domain */
static bool check_map(Run *run, const PviommuDomain *domain)
{
    const PviommuConfig *config = &run->iommu->config;
    const PviommuRequest *request = run->request;
    PviommuMapping old;

    /* last + 1 may wrap to 0, which is aligned */
    if ((request->first | request->phys | (request->last + 1)) &
        (granule_of(run) - 1)) {
        REFUSE(run, RANGE, UNALIGNED);
    } else if (request->first < config->input_first ||
               request->last > config->input_last) {
        REFUSE(run, RANGE, INPUT_RANGE);
    } else if (request->phys > UINT64_MAX - (request->last -
                                             request->first)) {
        REFUSE(run, FAULT, PHYS_WRAP);
    } else if (pviommu_domain_reserves(domain, request->first,
                                       request->last)) {
        REFUSE(run, INVAL, RESERVED_REGION);
    } else if (pviommu_mappings_find(&domain->mappings, request->first,
                                     request->last, &old)) {
        REFUSE(run, INVAL, OVERLAP);
    } else if (run->iommu->mapping_count >= config->max_mappings) {
        REFUSE(run, NOMEM, MAX_MAPPINGS);
    } else {
        return true;
    }
    return false;
}

static void run_map(Run *run)
{
    const PviommuRequest *request = run->request;
    PviommuMapping mapping = {
        .first = request->first,
        .last = request->last,
        .phys = request->phys,
        .flags = request->flags,
    };
    PviommuDomain *domain;

    if (!check_flags(run, PVIOMMU_MAP_F_MMIO, PVIOMMU_F_MMIO)) {
        return;
    }
    if (request->first > request->last) {
        REFUSE(run, INVAL, INVERTED);
        return;
    }
    domain = paging_domain(run);
    if (domain && check_map(run, domain) &&
        !pviommu_change_map(run->change, domain, &mapping)) {
        refuse(run, PVIOMMU_S_NOMEM, 0);
    }
}

/* Whether a range cuts a mapping of the set in two */
static bool splits(const PviommuMappings *set, uint64_t first, uint64_t last)
{
    PviommuMapping mapping;

    if (!pviommu_mappings_find(set, first, last, &mapping)) {
        return false;
    }
    if (mapping.first < first || mapping.last >= last) {
        return mapping.first < first || mapping.last > last;
    }
    return pviommu_mappings_lookup(set, last, &mapping) &&
           mapping.last > last;
}

static void run_unmap(Run *run)
{
    const PviommuConfig *config = &run->iommu->config;
    const PviommuRequest *request = run->request;
    PviommuDomain *domain;

    if (run->reserved) {
        REFUSE(run, INVAL, RESERVED);
        return;
    }
    if (request->first > request->last) {
        REFUSE(run, INVAL, INVERTED);
        return;
    }
    domain = paging_domain(run);
    if (!domain) {
        return;
    }
    if (splits(&domain->mappings, request->first, request->last)) {
        REFUSE(run, RANGE, SPLIT);
        return;
    }
    /* nothing can be there, so this is no error */
    if (request->first < config->input_first ||
        request->last > config->input_last) {
        run->answer->mistakes |= MISTAKE(INPUT_RANGE);
    }
    pviommu_change_unmap(run->change, domain, request->first, request->last);
}

static void run_invalidate(Run *run)
{
    const PviommuRequest *request = run->request;
    PviommuDomain *domain;

    if (run->reserved) {
        REFUSE(run, INVAL, RESERVED);
        return;
    }
    if (request->first > request->last) {
        REFUSE(run, INVAL, INVERTED);
        return;
    }
    domain = pviommu_iommu_domain(run->iommu, request->domain);
    if (!domain) {
        REFUSE(run, NOENT, NO_DOMAIN);
    } else if (!domain->table.format) {
        REFUSE(run, INVAL, DOMAIN_KIND);
    } else if ((request->first | (request->last + 1)) &
               (PVIOMMU_TABLE_SIZE - 1)) {
        REFUSE(run, RANGE, UNALIGNED);
    } else {
        pviommu_change_invalidate(run->change, domain, request->first,
                                  request->last);
    }
}

/* The formats of a group, behind its regions; false without room for them */
static bool encode_formats(const Run *run, const PviommuGroup *group)
{
    size_t at = pviommu_regions_count(group->regions) * PVIOMMU_RESV_MEM_SIZE;

    for (unsigned i = 0; i < PVIOMMU_FORMAT__MAX; i++) {
        const PviommuFormatInfo *info = pviommu_format_info(i);
        uint8_t *property = (uint8_t *)run->properties + at;

        if (!info || !(group->formats >> i & 1)) {
            continue;
        }
        if (run->iommu->config.probe_size - at < PVIOMMU_TABLE_FORMAT_SIZE) {
            return false;
        }
        le_put(property, 2, PVIOMMU_PROBE_T_TABLE_FORMAT);
        le_put(property + 2, 2,
               PVIOMMU_TABLE_FORMAT_SIZE - PVIOMMU_PROP_HEADER_SIZE);
        le_put(property + 4, 2, i);
        le_put(property + 8, 8, info->input_sizes);
        le_put(property + 16, 8, info->page_sizes);
        at += PVIOMMU_TABLE_FORMAT_SIZE;
    }
    return true;
}

static void run_probe(Run *run)
{
    PviommuEndpoint *endpoint;
    uint32_t size = run->iommu->config.probe_size;

    if (run->writable_size - PVIOMMU_TAIL_SIZE < size) {
        REFUSE(run, INVAL, SHORT_PROPERTIES);
        return;
    }
    endpoint = pviommu_iommu_endpoint(run->iommu, run->request->endpoint);
    if (!endpoint) {
        REFUSE(run, NOENT, NO_ENDPOINT);
        return;
    }
    if (!pviommu_regions_encode(endpoint->group->regions, run->properties,
                                size) ||
        (negotiated(run, PVIOMMU_F_GUEST_TABLES) &&
         !encode_formats(run, endpoint->group))) {
        memset(run->properties, 0, size);
        refuse(run, PVIOMMU_S_DEVERR, 0);
    }
}

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
        run_attach, PVIOMMU_ATTACH_SIZE,
        .domain = 4, .endpoint = 8, .flags = 12, .reserved = 16,
    },
    [PVIOMMU_T_DETACH] = {
        run_detach, PVIOMMU_DETACH_SIZE,
        .domain = 4, .endpoint = 8,
    },
    [PVIOMMU_T_MAP] = {
        run_map, PVIOMMU_MAP_SIZE,
        .domain = 4, .first = 8, .last = 16, .phys = 24, .flags = 32,
    },
    [PVIOMMU_T_UNMAP] = {
        run_unmap, PVIOMMU_UNMAP_SIZE,
        .domain = 4, .first = 8, .last = 16, .reserved = 24,
    },
    [PVIOMMU_T_PROBE] = {
        run_probe, PVIOMMU_PROBE_SIZE,
        .endpoint = 4,
    },
    [PVIOMMU_T_ATTACH_TABLE] = {
        run_attach_table, PVIOMMU_ATTACH_TABLE_SIZE,
        .domain = 4, .endpoint = 8, .flags = 12, .format = 16,
        .input_bits = 18, .reserved = 20, .root = 24, .attributes = 32,
    },
    [PVIOMMU_T_INVALIDATE] = {
        run_invalidate, PVIOMMU_INVALIDATE_SIZE,
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

    if (type->run == run_probe) {
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
    if (type->run == run_probe) {
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
