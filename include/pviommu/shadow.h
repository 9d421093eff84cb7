/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu: what hosts hold of a page table that the guest owns
 *
 * A host that cannot walk the guest's table is told what the table maps.  The
 * mappings of the domain are then what it was told last: the shadow.  When
 * the guest says that entries changed, a plan is made of the difference, which
 * core's state follows first and the hosts afterwards.
 *
 * A host unmaps what one call mapped as a whole or not at all.  So a mapping
 * of the shadow stays as it is, or goes; what is still right of one that goes
 * comes again.
 *
 * Locking: as pviommu/iommu.h has it.
 */
#ifndef PVIOMMU_SHADOW_H
#define PVIOMMU_SHADOW_H

#include "pviommu/iommu.h"

/**
 * struct PviommuPlan - how the shadow of a domain is to become its table
 * @domain: the domain
 * @gone: mappings of the shadow that are no longer so
 * @come: mappings that it lacks; none touches one that stays
 * @back: what pviommu_plan_retract() put back
 * @entries: entries of the table that were read
 * @over_sweep: the table was not walked to the end; the rest counts as absent
 * @over_quota: not all of @come was planned, for max_mappings
 * @no_memory: nor for want of memory
 */
typedef struct PviommuPlan {
    PviommuDomain *domain;
    PviommuMappings *gone;
    PviommuMappings *come;
    PviommuMappings *back;
    uint64_t entries;
    bool over_sweep;
    bool over_quota;
    bool no_memory;
} PviommuPlan;

/**
 * pviommu_plan_new - see what has changed in a table
 * @domain: a domain with a table of the guest's
 * @first: first IOVA
 * @last: last IOVA, inclusive; the range grows to take in the mappings of the
 *        shadow that its ends cut
 * @read: reads an entry
 * @opaque: handed on to @read
 *
 * What the table maps in reserved regions of the domain's groups, or outside
 * of the input range, counts as absent.
 *
 * Return: the plan, owned by the caller; NULL when there is no memory even for
 * what is to go: then all of the shadow is to be given up.
 */
PviommuPlan *pviommu_plan_new(PviommuDomain *domain, uint64_t first,
                              uint64_t last, PviommuReadEntry *read,
                              void *opaque);

/**
 * pviommu_plan_free - forget a plan
 * @plan: the plan; NULL is allowed
 */
void pviommu_plan_free(PviommuPlan *plan);

/**
 * pviommu_plan_enact - make the shadow what was planned
 * @plan: the plan, with the shadow as it was when that was made
 *
 * From here on the domain has a shadow.  What there is no memory for leaves
 * @plan->come.
 */
void pviommu_plan_enact(PviommuPlan *plan);

/**
 * pviommu_plan_retract - go back on a part of a plan, as a host refuses it
 * @plan: the plan, enacted; not retracted yet
 * @first: where the first mapping of @come starts that is to leave the shadow;
 *         those behind it leave, too
 *
 * What is right of the mappings that went, and would have come again there, is
 * in the shadow and in @plan->back then: the host held it before.
 */
void pviommu_plan_retract(PviommuPlan *plan, uint64_t first);

/**
 * pviommu_domain_shadowed - whether a domain has a shadow
 * @domain: the domain
 *
 * Return: true between pviommu_plan_enact() and pviommu_domain_unshadow().
 */
bool pviommu_domain_shadowed(const PviommuDomain *domain);

/**
 * pviommu_domain_unshadow - give the shadow of a domain up
 * @domain: a domain with a table of the guest's
 *
 * No host holds it any more.
 */
void pviommu_domain_unshadow(PviommuDomain *domain);

#endif /* PVIOMMU_SHADOW_H */
