/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu fuzzing: an IOMMU beside the naive model of the unit tests
 *
 * Whatever does not agree ends the program.
 */
#ifndef PVIOMMU_FUZZ_SUBJECT_H
#define PVIOMMU_FUZZ_SUBJECT_H

#include "input.h"
#include "../unit/model.h"

enum {
    SLOTS = 64,             /* granules that requests are about */
    PROBE_SIZE = 512,
};

/**
 * struct Subject - the IOMMU, and what it should be
 * @iommu: the IOMMU
 * @group: its groups, as in the model
 * @endpoint: its endpoints, as in the model
 * @asked: the number that each endpoint asks for
 * @id: the number that each has
 * @order: endpoints in the order of their making
 * @model: the model
 * @granule: bytes in a slot
 * @base: IOVA of slot 0
 */
typedef struct Subject {
    PviommuIommu *iommu;
    PviommuGroup *group[MODEL_GROUPS];
    PviommuEndpoint *endpoint[MODEL_ENDPOINTS];
    uint64_t asked[MODEL_ENDPOINTS];
    uint64_t id[MODEL_ENDPOINTS];
    unsigned order[MODEL_ENDPOINTS];
    Model model;
    uint64_t granule;
    uint64_t base;
} Subject;

/* Make one as the input says, with endpoints 0 to 5; and end it */
Subject *subject_new(Input *input);
void subject_free(Subject *subject);

/* The first IOVA of a slot */
uint64_t subject_iova(const Subject *subject, unsigned slot);

/* Reserve other regions for a group */
void subject_set_regions(Subject *subject, unsigned group, Input *input);

/* Have an endpoint ask for another number; no number changes yet */
void subject_ask(Subject *subject, unsigned endpoint, uint64_t number);

/* Ask all endpoints */
void subject_renumber(Subject *subject);

/* Unplug an endpoint, and plug another into the same group */
void subject_replug(Subject *subject, unsigned endpoint);

/* As a reset of the device does */
void subject_reset(Subject *subject);

/* Translate at and around a slot */
void subject_translate(Subject *subject, Input *input);

/* Everything that can be seen is as the model has it */
void subject_check(const Subject *subject);

#endif /* PVIOMMU_FUZZ_SUBJECT_H */
