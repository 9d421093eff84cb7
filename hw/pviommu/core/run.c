/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu: what each type of request is checked for, and what it does
 */
#include <string.h>

#include "le.h"
#include "run.h"

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

/* Whether a table, if the request has one, is where its format allows */
static bool check_root(Run *run)
{
    const PviommuGuestTable *table = &run->request->table;
    const PviommuFormatInfo *info = pviommu_format_info(table->format);

    if (table->root & (PVIOMMU_TABLE_SIZE - 1)) {
        REFUSE(run, RANGE, UNALIGNED);
        return false;
    }
    if (info && table->root >> info->output_bits) {
        REFUSE(run, RANGE, INPUT_RANGE);
        return false;
    }
    return true;
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
    } else if (!check_root(run)) {
        return false;
    } else if (request->domain < config->domain_first ||
               request->domain > config->domain_last) {
        REFUSE(run, RANGE, DOMAIN_RANGE);
    } else if (domain && domain == group->domain) {
        return true;
    } else if (siblings > 0) {
        REFUSE(run, UNSUPP, GROUP);
    } else if (domain && !domain->table.format &&
               !pviommu_domain_fits(domain, group->regions)) {
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
    if (endpoint->domain == domain && domain->table.format &&
        endpoint->group->opaque && !endpoint->group->fenced &&
        endpoint->group->formats.announced >> domain->table.format & 1) {
        /* the driver announces from here on, and perhaps did not before */
        pviommu_change_invalidate(run->change, domain, 0, UINT64_MAX);
    } else {
        pviommu_change_attach(run->change, endpoint, domain);
    }
}

void pviommu_run_attach(Run *run)
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

void pviommu_run_attach_table(Run *run)
{
    const PviommuGuestTable *table = &run->request->table;
    const PviommuFormatInfo *info = pviommu_format_info(table->format);
    PviommuEndpoint *endpoint;

    if (info && !info->attributes && table->attributes) {
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
    } else if (!info ||
               !(endpoint->group->formats.offered >> table->format & 1) ||
               table->input_bits > 63 ||
               !(info->input_sizes >> table->input_bits & 1)) {
        REFUSE(run, UNSUPP, FORMAT);
    } else {
        attach(run, endpoint);
    }
}

void pviommu_run_detach(Run *run)
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

void pviommu_run_map(Run *run)
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

/* What is wrong with the range of an UNMAP or INVALIDATE by itself */
static bool check_range(Run *run)
{
    if (run->reserved) {
        REFUSE(run, INVAL, RESERVED);
    } else if (run->request->first > run->request->last) {
        REFUSE(run, INVAL, INVERTED);
    } else {
        return true;
    }
    return false;
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

void pviommu_run_unmap(Run *run)
{
    const PviommuConfig *config = &run->iommu->config;
    const PviommuRequest *request = run->request;
    PviommuDomain *domain;

    if (!check_range(run)) {
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

void pviommu_run_invalidate(Run *run)
{
    const PviommuRequest *request = run->request;
    PviommuDomain *domain;

    if (!check_range(run)) {
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

        if (!info || !(group->formats.offered >> i & 1)) {
            continue;
        }
        if (run->iommu->config.probe_size - at < PVIOMMU_TABLE_FORMAT_SIZE) {
            return false;
        }
        le_put(property, 2, PVIOMMU_PROBE_T_TABLE_FORMAT);
        le_put(property + 2, 2,
               PVIOMMU_TABLE_FORMAT_SIZE - PVIOMMU_PROP_HEADER_SIZE);
        le_put(property + 4, 2, i);
        if (group->formats.announced >> i & 1) {
            le_put(property + 6, 2, PVIOMMU_TABLE_FORMAT_F_NEW_ENTRIES);
        }
        le_put(property + 8, 8, info->input_sizes);
        le_put(property + 16, 8, info->page_sizes);
        at += PVIOMMU_TABLE_FORMAT_SIZE;
    }
    return true;
}

void pviommu_run_probe(Run *run)
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
