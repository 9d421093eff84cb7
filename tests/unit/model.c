/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu tests: the IOMMU once more, as simply as can be
 */
#include <glib.h>

#include "model.h"

const unsigned model_group[MODEL_ENDPOINTS] = { 0, 1, 2, 2, 3, 4 };

#define ANSWER(code, name) \
    ((PviommuAnswer) { true, PVIOMMU_S_ ## code, \
                       UINT64_C(1) << PVIOMMU_MISTAKE_ ## name })

static const PviommuAnswer fine = { true, PVIOMMU_S_OK, 0 };

bool model_exists(const Model *model, unsigned domain)
{
    for (unsigned i = 0; i < MODEL_ENDPOINTS; i++) {
        if (model->attached[i] == (int)domain) {
            return true;
        }
    }
    return false;
}

int model_domain_of(const Model *model, unsigned group)
{
    for (unsigned i = 0; i < MODEL_ENDPOINTS; i++) {
        if (model_group[i] == group && model->attached[i] >= 0) {
            return model->attached[i];
        }
    }
    return -1;
}

static bool has(const Model *model, unsigned feature)
{
    return model->features & UINT64_C(1) << feature;
}

static bool overlap(uint64_t first, uint64_t last, uint64_t other_first,
                    uint64_t other_last)
{
    return first <= other_last && other_first <= last;
}

/* Whether a range touches a region of a group */
static bool reserves(const Model *model, unsigned group, uint64_t first,
                     uint64_t last)
{
    for (unsigned i = 0; i < MODEL_REGIONS; i++) {
        const PviommuRegion *region = &model->region[group][i];

        if (region->first <= region->last &&
            overlap(first, last, region->first, region->last)) {
            return true;
        }
    }
    return false;
}

static unsigned count_domains(const Model *model)
{
    unsigned count = 0;

    for (unsigned i = 0; i < MODEL_DOMAINS; i++) {
        count += model_exists(model, i);
    }
    return count;
}

static unsigned count_mappings(const Model *model)
{
    unsigned count = 0;

    for (unsigned i = 0; i < MODEL_DOMAINS; i++) {
        count += model_exists(model, i) ? model->domain[i].count : 0;
    }
    return count;
}

/* Change what an endpoint is attached to; -1 for nothing */
static void set_attached(Model *model, unsigned endpoint, int domain)
{
    unsigned group = model_group[endpoint];
    int before = model_domain_of(model, group);

    model->attached[endpoint] = domain;
    if (model_domain_of(model, group) != before || domain >= 0) {
        model->fenced[group] = false;
    }
    for (unsigned i = 0; i < MODEL_DOMAINS; i++) {
        if (!model_exists(model, i)) {
            model->domain[i].count = 0;
        }
    }
}

/* Enter a domain of a kind, with what is checked of any kind */
static PviommuAnswer enter(Model *model, const PviommuRequest *request,
                           bool bypass)
{
    unsigned endpoint = request->endpoint;
    unsigned target = request->domain;
    Model after = *model;

    if (target < MODEL_DOMAINS && model_exists(model, target)) {
        const PviommuGuestTable *table = &model->domain[target].table;

        if (model->domain[target].bypass != bypass ||
            table->format != request->table.format ||
            table->input_bits != request->table.input_bits ||
            table->root != request->table.root ||
            table->attributes != request->table.attributes) {
            return ANSWER(INVAL, DOMAIN_KIND);
        }
    }
    if (request->table.root % 4096) {
        return ANSWER(RANGE, UNALIGNED);
    }
    if (request->table.root >>
        (request->table.format == PVIOMMU_FORMAT_X86_64 ? 52 : 48)) {
        return ANSWER(RANGE, INPUT_RANGE);
    }
    if (target < model->config.domain_first ||
        target > model->config.domain_last) {
        return ANSWER(RANGE, DOMAIN_RANGE);
    }
    for (unsigned i = 0; i < MODEL_ENDPOINTS; i++) {
        if (i != endpoint && model_group[i] == model_group[endpoint] &&
            model->attached[i] >= 0 && model->attached[i] != (int)target) {
            return ANSWER(UNSUPP, GROUP);
        }
    }
    for (unsigned i = 0; model_domain_of(model, model_group[endpoint]) !=
                         (int)target && model_exists(model, target) &&
                         i < model->domain[target].count; i++) {
        const PviommuMapping *mapping = &model->domain[target].mapping[i];

        if (reserves(model, model_group[endpoint], mapping->first,
                     mapping->last)) {
            return ANSWER(UNSUPP, RESERVED_REGION);
        }
    }
    if (!model_exists(model, target)) {
        after.domain[target].bypass = bypass;
        after.domain[target].table = request->table;
    }
    set_attached(&after, endpoint, (int)target);
    if (!model_exists(model, target) &&
        count_domains(&after) > model->config.max_domains) {
        return ANSWER(NOMEM, MAX_DOMAINS);
    }
    *model = after;
    return fine;
}

static PviommuAnswer model_attach(Model *model, const PviommuRequest *request,
                                  uint32_t reserved)
{
    bool bypass = request->flags & PVIOMMU_ATTACH_F_BYPASS;

    if (reserved) {
        return ANSWER(INVAL, RESERVED);
    }
    if (request->flags > 1) {
        return ANSWER(INVAL, FLAGS);
    }
    if (bypass && !has(model, PVIOMMU_F_BYPASS_CONFIG)) {
        return ANSWER(INVAL, NOT_NEGOTIATED);
    }
    if (request->endpoint >= MODEL_ENDPOINTS) {
        return ANSWER(NOENT, NO_ENDPOINT);
    }
    return enter(model, request, bypass);
}

static PviommuAnswer model_attach_table(Model *model,
                                        const PviommuRequest *request)
{
    const PviommuGuestTable *table = &request->table;
    bool x86 = table->format == PVIOMMU_FORMAT_X86_64;
    bool width_fits = x86 ? table->input_bits == 48 || table->input_bits == 57
                          : table->input_bits >= 39 && table->input_bits <= 48;

    if (x86 && table->attributes) {
        return ANSWER(INVAL, RESERVED);
    }
    if (request->flags) {
        return ANSWER(INVAL, FLAGS);
    }
    if (request->endpoint >= MODEL_ENDPOINTS) {
        return ANSWER(NOENT, NO_ENDPOINT);
    }
    if (table->format > PVIOMMU_FORMAT_ARM_LPAE || !width_fits ||
        !(model->formats[model_group[request->endpoint]] &
          1u << table->format)) {
        return ANSWER(UNSUPP, FORMAT);
    }
    return enter(model, request, false);
}

static PviommuAnswer model_detach(Model *model, const PviommuRequest *request)
{
    if (request->endpoint >= MODEL_ENDPOINTS) {
        return ANSWER(NOENT, NO_ENDPOINT);
    }
    if (request->domain >= MODEL_DOMAINS ||
        !model_exists(model, request->domain)) {
        return ANSWER(INVAL, NO_DOMAIN);
    }
    if (model->attached[request->endpoint] != (int)request->domain) {
        return ANSWER(INVAL, NOT_ATTACHED);
    }
    set_attached(model, request->endpoint, -1);
    return fine;
}

/* What MAP and UNMAP check of a domain */
static PviommuAnswer check_domain(const Model *model,
                                  const PviommuRequest *request)
{
    if (request->first > request->last) {
        return ANSWER(INVAL, INVERTED);
    }
    if (request->domain >= MODEL_DOMAINS ||
        !model_exists(model, request->domain)) {
        return ANSWER(NOENT, NO_DOMAIN);
    }
    if (model->domain[request->domain].bypass) {
        return ANSWER(INVAL, BYPASS_DOMAIN);
    }
    if (model->domain[request->domain].table.format) {
        return ANSWER(INVAL, DOMAIN_KIND);
    }
    return fine;
}

/* Alignment, ranges and regions of a MAP */
static PviommuAnswer check_place(const Model *model,
                                 const PviommuRequest *request)
{
    uint64_t granule = 1;

    while (!(model->config.page_size_mask & granule)) {
        granule *= 2;
    }
    if (request->first % granule || request->phys % granule ||
        request->last % granule != granule - 1) {
        return ANSWER(RANGE, UNALIGNED);
    }
    if (request->first < model->config.input_first ||
        request->last > model->config.input_last) {
        return ANSWER(RANGE, INPUT_RANGE);
    }
    if (request->phys + (request->last - request->first) < request->phys) {
        return ANSWER(FAULT, PHYS_WRAP);
    }
    for (unsigned i = 0; i < MODEL_ENDPOINTS; i++) {
        if (model->attached[i] == (int)request->domain &&
            reserves(model, model_group[i], request->first, request->last)) {
            return ANSWER(INVAL, RESERVED_REGION);
        }
    }
    return fine;
}

static PviommuAnswer model_map(Model *model, const PviommuRequest *request)
{
    ModelDomain *domain;
    PviommuAnswer answer;

    if (request->flags > 7) {
        return ANSWER(INVAL, FLAGS);
    }
    if ((request->flags & PVIOMMU_MAP_F_MMIO) &&
        !has(model, PVIOMMU_F_MMIO)) {
        return ANSWER(INVAL, NOT_NEGOTIATED);
    }
    answer = check_domain(model, request);
    if (answer.status == PVIOMMU_S_OK) {
        answer = check_place(model, request);
    }
    if (answer.status != PVIOMMU_S_OK) {
        return answer;
    }
    domain = &model->domain[request->domain];
    for (unsigned i = 0; i < domain->count; i++) {
        if (overlap(request->first, request->last, domain->mapping[i].first,
                    domain->mapping[i].last)) {
            return ANSWER(INVAL, OVERLAP);
        }
    }
    if (count_mappings(model) >= model->config.max_mappings) {
        return ANSWER(NOMEM, MAX_MAPPINGS);
    }
    domain->mapping[domain->count++] = (PviommuMapping) {
        request->first, request->last, request->phys, request->flags,
    };
    return fine;
}

static PviommuAnswer model_unmap(Model *model, const PviommuRequest *request,
                                 uint32_t reserved)
{
    ModelDomain *domain;
    PviommuAnswer answer;
    unsigned left = 0;

    if (reserved) {
        return ANSWER(INVAL, RESERVED);
    }
    answer = check_domain(model, request);
    if (answer.status != PVIOMMU_S_OK) {
        return answer;
    }
    domain = &model->domain[request->domain];
    for (unsigned i = 0; i < domain->count; i++) {
        const PviommuMapping *mapping = &domain->mapping[i];

        if (overlap(request->first, request->last, mapping->first,
                    mapping->last) &&
            (mapping->first < request->first ||
             mapping->last > request->last)) {
            return ANSWER(RANGE, SPLIT);
        }
    }
    for (unsigned i = 0; i < domain->count; i++) {
        if (!overlap(request->first, request->last, domain->mapping[i].first,
                     domain->mapping[i].last)) {
            domain->mapping[left++] = domain->mapping[i];
        }
    }
    domain->count = left;
    if (request->first < model->config.input_first ||
        request->last > model->config.input_last) {
        return ANSWER(OK, INPUT_RANGE);
    }
    return fine;
}

static PviommuAnswer model_invalidate(const Model *model,
                                      const PviommuRequest *request,
                                      uint32_t reserved)
{
    if (reserved) {
        return ANSWER(INVAL, RESERVED);
    }
    if (request->first > request->last) {
        return ANSWER(INVAL, INVERTED);
    }
    if (request->domain >= MODEL_DOMAINS ||
        !model_exists(model, request->domain)) {
        return ANSWER(NOENT, NO_DOMAIN);
    }
    if (!model->domain[request->domain].table.format) {
        return ANSWER(INVAL, DOMAIN_KIND);
    }
    if (request->first % 4096 || request->last % 4096 != 4095) {
        return ANSWER(RANGE, UNALIGNED);
    }
    return fine;
}

PviommuAnswer model_run(Model *model, const PviommuRequest *request,
                        uint32_t reserved)
{
    switch (request->type) {
    case PVIOMMU_T_ATTACH_TABLE:
    case PVIOMMU_T_INVALIDATE:
        if (!has(model, PVIOMMU_F_GUEST_TABLES)) {
            PviommuAnswer answer = ANSWER(INVAL, UNKNOWN_TYPE);

            answer.written = false;
            return answer;
        }
        return request->type == PVIOMMU_T_ATTACH_TABLE
               ? model_attach_table(model, request)
               : model_invalidate(model, request, reserved);
    case PVIOMMU_T_ATTACH:
        return model_attach(model, request, reserved);
    case PVIOMMU_T_DETACH:
        return model_detach(model, request);
    case PVIOMMU_T_MAP:
    case PVIOMMU_T_UNMAP:
        if (!has(model, PVIOMMU_F_MAP_UNMAP)) {
            PviommuAnswer answer = ANSWER(INVAL, NOT_NEGOTIATED);

            answer.written = false;
            return answer;
        }
        return request->type == PVIOMMU_T_MAP
               ? model_map(model, request)
               : model_unmap(model, request, reserved);
    default:
        return request->endpoint < MODEL_ENDPOINTS
               ? fine : ANSWER(NOENT, NO_ENDPOINT);
    }
}

bool model_by_table(const Model *model, unsigned group, uint64_t iova)
{
    int id = model_domain_of(model, group);

    return id >= 0 && model->domain[id].table.format &&
           !model->fenced[group] && !reserves(model, group, iova, iova) &&
           iova >= model->config.input_first &&
           iova <= model->config.input_last;
}

bool model_translate(const Model *model, unsigned group, uint64_t iova,
                     uint32_t access, uint64_t *phys, uint8_t *reason)
{
    int id = model_domain_of(model, group);
    const PviommuRegion *region = NULL;

    for (unsigned i = 0; i < MODEL_REGIONS; i++) {
        if (model->region[group][i].first <= iova &&
            iova <= model->region[group][i].last) {
            region = &model->region[group][i];
        }
    }
    *phys = iova;
    if (region && region->type == PVIOMMU_REGION_MSI) {
        return true;
    }
    if (model->fenced[group]) {
        *reason = PVIOMMU_FAULT_R_UNKNOWN;
        return false;
    }
    if (id < 0) {
        *reason = PVIOMMU_FAULT_R_DOMAIN;
        return model->config.bypass;
    }
    if (model->domain[id].bypass) {
        return true;
    }
    *reason = PVIOMMU_FAULT_R_MAPPING;
    for (unsigned i = 0; !region && i < model->domain[id].count; i++) {
        const PviommuMapping *mapping = &model->domain[id].mapping[i];

        if (mapping->first <= iova && iova <= mapping->last) {
            *phys = mapping->phys + (iova - mapping->first);
            return (access & mapping->flags) == access;
        }
    }
    return false;
}
