/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu tests: the IOMMU once more, as simply as can be
 *
 * Lists that are searched from one end to the other, copied whole to undo.
 */
#ifndef PVIOMMU_TEST_MODEL_H
#define PVIOMMU_TEST_MODEL_H

#include "pviommu/request.h"

enum {
    MODEL_ENDPOINTS = 6,
    MODEL_GROUPS = 5,
    MODEL_DOMAINS = 5,
    MODEL_MAPPINGS = 48,
    MODEL_REGIONS = 2,
};

typedef struct ModelDomain {
    bool bypass;
    PviommuGuestTable table;
    unsigned count;
    PviommuMapping mapping[MODEL_MAPPINGS];
} ModelDomain;

/**
 * struct Model - all state
 * @config: what is offered
 * @features: what is negotiated
 * @domain: by id; counts only while an endpoint is attached
 * @attached: domain of each endpoint, -1 for none
 * @fenced: of each group
 * @formats: of each group, those that are offered
 * @region: of each group; those with last < first do not count
 */
typedef struct Model {
    PviommuConfig config;
    uint64_t features;
    ModelDomain domain[MODEL_DOMAINS];
    int attached[MODEL_ENDPOINTS];
    bool fenced[MODEL_GROUPS];
    uint32_t formats[MODEL_GROUPS];
    PviommuRegion region[MODEL_GROUPS][MODEL_REGIONS];
} Model;

/* Endpoints 2 and 3 share group 2; group 3 is the one that is named only */
extern const unsigned model_group[MODEL_ENDPOINTS];

enum {
    MODEL_NAME_ONLY = 3,
};

/**
 * model_run - carry out a request
 * @model: the state
 * @request: the request, in full length
 * @reserved: value of the reserved field
 *
 * Return: what the answer should be.
 */
PviommuAnswer model_run(Model *model, const PviommuRequest *request,
                        uint32_t reserved);

/* Whether a domain has an endpoint */
bool model_exists(const Model *model, unsigned domain);

/* The domain of a group, -1 for none */
int model_domain_of(const Model *model, unsigned group);

/* As pviommu_translate_by_table(), but for the range around */
bool model_by_table(const Model *model, unsigned group, uint64_t iova);

/* As pviommu_translate(), but for the bounds of the block */
bool model_translate(const Model *model, unsigned group, uint64_t iova,
                     uint32_t access, uint64_t *phys, uint8_t *reason);

#endif /* PVIOMMU_TEST_MODEL_H */
