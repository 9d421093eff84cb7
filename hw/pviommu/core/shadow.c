/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu: what hosts hold of a page table that the guest owns
 *
 * The runs that a sweep finds and the mappings of the shadow are both in order
 * of IOVA, so that one pass over both says what goes and what comes.
 */
#include "alloc.h"
#include "pviommu/shadow.h"
#include "regions-rank.h"
#include "state.h"

/**
 * struct Pass - a pass over the shadow and the table
 * @plan: what it makes
 * @next: where in the shadow it is
 * @last: the last IOVA of interest
 * @old: the first mapping of the shadow that nothing is decided of
 * @any: whether there is one
 * @lost: there was no memory to plan what goes
 */
typedef struct Pass {
    PviommuPlan *plan;
    PviommuMappingIter next;
    uint64_t last;
    PviommuMapping old;
    bool any;
    bool lost;
} Pass;

static void pass_step(Pass *pass)
{
    pass->any = pviommu_mappings_next(&pass->plan->domain->mappings,
                                      &pass->next, pass->last, &pass->old);
}

/* The first undecided mapping of the shadow goes */
static void go(Pass *pass)
{
    if (!pviommu_mappings_insert(pass->plan->gone, &pass->old)) {
        pass->lost = true;
    }
    pass_step(pass);
}

/* Whether @a and @b say the same of the IOVAs that both have */
static bool agree(const PviommuMapping *a, const PviommuMapping *b)
{
    return a->phys - a->first == b->phys - b->first && a->flags == b->flags;
}

/* The part of a mapping from @first to @last */
static PviommuMapping part_of(const PviommuMapping *mapping, uint64_t first,
                              uint64_t last)
{
    return (PviommuMapping) {
        .first = first,
        .last = last,
        .phys = mapping->phys + (first - mapping->first),
        .flags = mapping->flags,
    };
}

static void come(Pass *pass, const PviommuMapping *run, uint64_t first,
                 uint64_t last)
{
    PviommuPlan *plan = pass->plan;
    const PviommuIommu *iommu = plan->domain->iommu;
    PviommuMapping part = part_of(run, first, last);

    if (iommu->mapping_count - plan->gone->count + plan->come->count >=
        iommu->config.max_mappings) {
        plan->over_quota = true;
    } else if (!pviommu_mappings_insert(plan->come, &part)) {
        plan->no_memory = true;
    }
}

static void found(const PviommuMapping *run, void *opaque)
{
    Pass *pass = opaque;
    uint64_t first = run->first;

    while (pass->any && pass->old.last < run->first) {
        go(pass);
    }
    while (pass->any && pass->old.first <= run->last) {
        PviommuMapping old = pass->old;

        if (old.first < run->first || old.last > run->last ||
            !agree(&old, run)) {
            go(pass);
            continue;
        }
        pass_step(pass);
        if (first < old.first) {
            come(pass, run, first, old.first - 1);
        }
        if (old.last == run->last) {
            return;
        }
        first = old.last + 1;
    }
    come(pass, run, first, run->last);
}

/**
 * next_gap - find a range that is reserved for no group of a domain
 * @domain: the domain
 * @first: where to look from; where to put the first IOVA of the range
 * @last: where to look to; where to put its last IOVA
 *
 * Return: whether there is one.
 */
static bool next_gap(const PviommuDomain *domain, uint64_t *first,
                     uint64_t *last)
{
    const PviommuGroup *group = domain->groups;
    const uint64_t end = *last;

    while (group) {
        uint64_t from, to;

        if (!regions_around(group->regions, *first, &from, &to)) {
            *last = MIN(*last, to);
            group = group->next;
        } else if (to >= end) {
            return false;
        } else {
            *first = to + 1;
            *last = end;
            group = domain->groups;
        }
    }
    return true;
}

/* Find what the table maps where that counts */
static void sweep(Pass *pass, uint64_t first, PviommuSweep *how)
{
    PviommuPlan *plan = pass->plan;
    const PviommuConfig *config = &plan->domain->iommu->config;
    uint64_t end = MIN(pass->last, config->input_last);

    first = MAX(first, config->input_first);
    while (first <= end) {
        uint64_t last = end;

        if (!next_gap(plan->domain, &first, &last)) {
            return;
        }
        if (!pviommu_table_sweep(&plan->domain->table, first, last, how)) {
            plan->over_sweep = true;
            return;
        }
        if (last == end) {
            return;
        }
        first = last + 1;
    }
}

static PviommuPlan *plan_new(PviommuDomain *domain)
{
    PviommuPlan *plan = pviommu_alloc_try0(sizeof(*plan));

    if (!plan) {
        return NULL;
    }
    plan->domain = domain;
    plan->gone = pviommu_mappings_new();
    plan->come = pviommu_mappings_new();
    plan->back = pviommu_mappings_new();
    if (!plan->gone || !plan->come || !plan->back) {
        pviommu_plan_free(plan);
        return NULL;
    }
    return plan;
}

PviommuPlan *pviommu_plan_new(PviommuDomain *domain, uint64_t first,
                              uint64_t last, PviommuReadEntry *read,
                              void *opaque)
{
    PviommuPlan *plan = plan_new(domain);
    Pass pass = { .plan = plan };
    PviommuSweep how = {
        .read = read,
        .read_opaque = opaque,
        .found = found,
        .found_opaque = &pass,
        .left = PVIOMMU_SWEEP_MAX,
    };
    PviommuMapping cut;

    g_assert(domain->table.format);
    if (!plan) {
        return NULL;
    }
    if (pviommu_mappings_lookup(&domain->mappings, first, &cut)) {
        first = cut.first;
    }
    if (pviommu_mappings_lookup(&domain->mappings, last, &cut)) {
        last = cut.last;
    }
    pass.next.next = first;
    pass.last = last;
    pass_step(&pass);
    sweep(&pass, first, &how);
    while (pass.any) {
        go(&pass);
    }
    plan->entries = PVIOMMU_SWEEP_MAX - how.left;
    if (pass.lost) {
        pviommu_plan_free(plan);
        return NULL;
    }
    return plan;
}

void pviommu_plan_free(PviommuPlan *plan)
{
    if (plan) {
        pviommu_mappings_free(plan->gone);
        pviommu_mappings_free(plan->come);
        pviommu_mappings_free(plan->back);
        g_free(plan);
    }
}

static bool add(PviommuDomain *domain, const PviommuMapping *mapping)
{
    if (!pviommu_mappings_insert(&domain->mappings, mapping)) {
        return false;
    }
    domain->iommu->mapping_count++;
    return true;
}

static void take(PviommuDomain *domain, const PviommuMapping *mapping)
{
    bool was = pviommu_mappings_remove(&domain->mappings, mapping->first);

    g_assert(was);
    domain->iommu->mapping_count--;
}

void pviommu_plan_enact(PviommuPlan *plan)
{
    PviommuMappingIter iter = { 0 };
    PviommuMapping m;

    assert_open(plan->domain->iommu);
    g_assert(plan->domain->attached > 0);
    while (pviommu_mappings_next(plan->gone, &iter, UINT64_MAX, &m)) {
        take(plan->domain, &m);
    }
    iter = (PviommuMappingIter) { 0 };
    while (pviommu_mappings_next(plan->come, &iter, UINT64_MAX, &m)) {
        if (!add(plan->domain, &m)) {
            pviommu_mappings_remove(plan->come, m.first);
            plan->no_memory = true;
        }
    }
    plan->domain->shadowed = true;
}

/* Put back what the shadow held of a mapping that does not come */
static void put_back(PviommuPlan *plan, const PviommuMapping *mapping)
{
    PviommuMappingIter iter = { .next = mapping->first };
    PviommuMapping old;

    while (pviommu_mappings_next(plan->gone, &iter, mapping->last, &old)) {
        PviommuMapping part = part_of(mapping,
                                      MAX(old.first, mapping->first),
                                      MIN(old.last, mapping->last));

        if (!agree(&old, mapping)) {
            continue;
        }
        if (!pviommu_mappings_insert(plan->back, &part)) {
            plan->no_memory = true;
        } else if (!add(plan->domain, &part)) {
            pviommu_mappings_remove(plan->back, part.first);
            plan->no_memory = true;
        }
    }
}

void pviommu_plan_retract(PviommuPlan *plan, uint64_t first)
{
    PviommuMappingIter iter = { .next = first };
    PviommuMapping m;

    assert_open(plan->domain->iommu);
    while (pviommu_mappings_next(plan->come, &iter, UINT64_MAX, &m)) {
        take(plan->domain, &m);
        put_back(plan, &m);
        pviommu_mappings_remove(plan->come, m.first);
    }
}

bool pviommu_domain_shadowed(const PviommuDomain *domain)
{
    return domain->shadowed;
}

void pviommu_domain_unshadow(PviommuDomain *domain)
{
    assert_open(domain->iommu);
    g_assert(domain->table.format);
    if (domain->attached > 0) {
        domain->iommu->mapping_count -=
            pviommu_mappings_count(&domain->mappings);
    }
    pviommu_mappings_clear(&domain->mappings);
    domain->shadowed = false;
}
