/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu: one request while it is carried out
 *
 * request.c reads it and finds its type; run.c has a function for each type,
 * called with sizes that are right.  It checks all else, in the order that
 * pviommu_request_run() gives, answers, and changes the state or leaves it.
 *
 * Locking: as for pviommu_request_run().
 */
#ifndef PVIOMMU_RUN_H
#define PVIOMMU_RUN_H

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

static inline void refuse(Run *run, PviommuStatus status, uint64_t mistake)
{
    run->answer->status = status;
    run->answer->mistakes |= mistake;
}

static inline bool negotiated(const Run *run, unsigned feature)
{
    return run->iommu->features >> feature & 1;
}

void pviommu_run_attach(Run *run);
void pviommu_run_attach_table(Run *run);
void pviommu_run_detach(Run *run);
void pviommu_run_map(Run *run);
void pviommu_run_unmap(Run *run);
void pviommu_run_invalidate(Run *run);
void pviommu_run_probe(Run *run);

#endif /* PVIOMMU_RUN_H */
