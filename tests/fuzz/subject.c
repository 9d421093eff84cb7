/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu fuzzing: an IOMMU beside the naive model of the unit tests
 */
#include <glib.h>

#include "subject.h"

#define ALL_FEATURES (0x77 | UINT64_C(1) << PVIOMMU_F_GUEST_TABLES)

/* Of each group, tables of the guest: of both formats, of one, of none */
static const uint32_t formats[MODEL_GROUPS] = { 6, 2, 6, 0, 4 };

static const uint64_t bases[] = { 0, 0xfe000000, UINT64_MAX };
static const unsigned shifts[] = { 0, 12, 16, 21 };

uint64_t subject_iova(const Subject *subject, unsigned slot)
{
    return subject->base + slot * subject->granule;
}

static void set_config(Subject *subject, Input *input)
{
    PviommuConfig *config = &subject->model.config;

    subject->granule = UINT64_C(1) << shifts[input_below(input, 4)];
    subject->base = bases[input_below(input, G_N_ELEMENTS(bases))];
    if (subject->base == UINT64_MAX) {
        subject->base = -SLOTS * subject->granule;      /* up to the last */
    }
    *config = (PviommuConfig) {
        .page_size_mask = subject->granule | subject->granule << 9,
        .input_first = subject_iova(subject, input_below(input, 4)),
        .input_last = subject_iova(subject,
                                   SLOTS - input_below(input, 4)) - 1,
        .domain_first = input_below(input, 2),
        .domain_last = MODEL_DOMAINS - 1,
        .probe_size = input_below(input, 8) ? PROBE_SIZE : 0,
        .max_domains = 1 + input_below(input, MODEL_DOMAINS),
        .max_mappings = 1 + input_below(input, MODEL_MAPPINGS),
        .bypass = input_below(input, 2),
    };
}

void subject_set_regions(Subject *subject, unsigned group, Input *input)
{
    PviommuRegions *list = pviommu_regions_new();

    for (unsigned i = 0; i < MODEL_REGIONS; i++) {
        PviommuRegion *region = &subject->model.region[group][i];
        unsigned first = i * SLOTS / 2 + input_below(input, 16);
        unsigned count = input_below(input, 16);

        *region = (PviommuRegion) {
            .first = count ? subject_iova(subject, first) : 1,
            .last = count ? subject_iova(subject, first + count) - 1 : 0,
            .type = (PviommuRegionType)input_below(input, 2),
        };
        if (count) {
            pviommu_regions_add(list, region);
        }
    }
    pviommu_group_set_regions(subject->group[group], list);
}

Subject *subject_new(Input *input)
{
    Subject *subject = g_new0(Subject, 1);

    set_config(subject, input);
    subject->iommu = pviommu_iommu_new(&subject->model.config);
    subject->model.features = ALL_FEATURES;
    pviommu_iommu_set_features(subject->iommu, ALL_FEATURES);
    for (unsigned i = 0; i < MODEL_GROUPS; i++) {
        subject->group[i] = pviommu_group_new(
            subject->iommu, i == MODEL_NAME_ONLY ? NULL : subject);
        subject->model.formats[i] = formats[i];
        pviommu_group_set_formats(subject->group[i], (PviommuFormats) {
            .offered = formats[i],
        });
        for (unsigned j = 0; j < MODEL_REGIONS; j++) {
            subject->model.region[i][j] = (PviommuRegion) { 1, 0, 0 };
        }
    }
    for (unsigned i = 0; i < MODEL_ENDPOINTS; i++) {
        subject->endpoint[i] =
            pviommu_endpoint_new(subject->group[model_group[i]], NULL);
        subject->model.attached[i] = -1;
        subject->order[i] = i;
        subject->asked[i] = i;
    }
    subject_renumber(subject);
    return subject;
}

void subject_free(Subject *subject)
{
    subject_reset(subject);
    g_assert_cmpuint(pviommu_iommu_domain_count(subject->iommu), ==, 0);
    g_assert_cmpuint(pviommu_iommu_mapping_count(subject->iommu), ==, 0);
    for (unsigned i = 0; i < MODEL_ENDPOINTS; i++) {
        pviommu_endpoint_free(subject->endpoint[i]);
    }
    for (unsigned i = 0; i < MODEL_GROUPS; i++) {
        pviommu_group_free(subject->group[i]);
    }
    pviommu_iommu_free(subject->iommu);
    g_free(subject);
}

void subject_ask(Subject *subject, unsigned endpoint, uint64_t number)
{
    subject->asked[endpoint] = number;
}

static uint64_t number(const PviommuEndpoint *endpoint, void *opaque)
{
    const Subject *subject = opaque;

    for (unsigned i = 0; i < MODEL_ENDPOINTS; i++) {
        if (subject->endpoint[i] == endpoint) {
            return subject->asked[i];
        }
    }
    g_assert_not_reached();
}

void subject_renumber(Subject *subject)
{
    pviommu_iommu_renumber(subject->iommu, number, subject);
    for (unsigned i = 0; i < MODEL_ENDPOINTS; i++) {
        unsigned e = subject->order[i];

        subject->id[e] = subject->asked[e] > UINT32_MAX ? PVIOMMU_NO_ID
                                                        : subject->asked[e];
        for (unsigned j = 0; j < i; j++) {
            if (subject->id[subject->order[j]] == subject->id[e]) {
                subject->id[e] = PVIOMMU_NO_ID;
            }
        }
    }
}

/* What the model does when an endpoint is detached by the device itself */
static void model_leave(Model *model, unsigned endpoint)
{
    unsigned group = model_group[endpoint];
    int before = model_domain_of(model, group);

    model->attached[endpoint] = -1;
    if (model_domain_of(model, group) != before) {
        model->fenced[group] = false;
    }
    for (unsigned i = 0; i < MODEL_DOMAINS; i++) {
        if (!model_exists(model, i)) {
            model->domain[i].count = 0;
        }
    }
}

void subject_replug(Subject *subject, unsigned endpoint)
{
    PviommuGroup *group = subject->group[model_group[endpoint]];
    PviommuChange change;
    unsigned at = 0;

    pviommu_endpoint_detach(subject->endpoint[endpoint], &change);
    pviommu_change_commit(subject->iommu, &change);
    model_leave(&subject->model, endpoint);
    pviommu_endpoint_free(subject->endpoint[endpoint]);
    subject->endpoint[endpoint] = pviommu_endpoint_new(group, NULL);
    subject->id[endpoint] = PVIOMMU_NO_ID;
    while (subject->order[at] != endpoint) {
        at++;
    }
    for (; at + 1 < MODEL_ENDPOINTS; at++) {
        subject->order[at] = subject->order[at + 1];
    }
    subject->order[at] = endpoint;
}

void subject_reset(Subject *subject)
{
    PviommuChange change;

    while (pviommu_iommu_detach_next(subject->iommu, &change)) {
        pviommu_change_commit(subject->iommu, &change);
    }
    for (unsigned i = 0; i < MODEL_ENDPOINTS; i++) {
        if (subject->model.attached[i] >= 0) {
            model_leave(&subject->model, i);
        }
    }
}

void subject_translate(Subject *subject, Input *input)
{
    unsigned group = input_below(input, MODEL_GROUPS);
    unsigned slot = input_byte(input);
    uint32_t access = slot >> 6;
    uint64_t iova = subject_iova(subject, slot % SLOTS) +
                    input_below(input, 3) - 1;
    PviommuTranslation found;
    PviommuTableView view;
    uint64_t phys;
    uint8_t reason = 0;
    bool passes = model_translate(&subject->model, group, iova, access, &phys,
                                  &reason);

    g_assert_cmpint(pviommu_translate(subject->group[group], iova, access,
                                      &found), ==, passes);
    g_assert_cmpint(pviommu_translate_by_table(subject->group[group], iova,
                                               &view), ==,
                    model_by_table(&subject->model, group, iova));
    g_assert_cmphex(found.first, <=, iova);
    g_assert_cmphex(found.last, >=, iova);
    if (!passes) {
        g_assert_cmpuint(found.reason, ==, reason);
        g_assert_cmphex(found.first, ==, found.last);
        g_assert_cmphex(found.flags, ==, 0);
        return;
    }
    g_assert_cmphex(found.phys + (iova - found.first), ==, phys);
    /* both ends of the block translate alike, so all between does */
    g_assert_true(model_translate(&subject->model, group, found.first, access,
                                  &phys, &reason));
    g_assert_cmphex(phys, ==, found.phys);
    g_assert_true(model_translate(&subject->model, group, found.last, access,
                                  &phys, &reason));
    g_assert_cmphex(phys, ==, found.phys + (found.last - found.first));
}

static const PviommuMapping *model_find(const ModelDomain *domain,
                                        uint64_t first)
{
    for (unsigned i = 0; i < domain->count; i++) {
        if (domain->mapping[i].first == first) {
            return &domain->mapping[i];
        }
    }
    g_assert_not_reached();
}

/* In order, disjoint, and each of them in the model */
static void check_mappings(const PviommuMappings *set,
                           const ModelDomain *model)
{
    PviommuMappingIter iter = { 0 };
    PviommuMapping mapping;
    uint64_t next = 0, bytes = 0;
    unsigned count = 0;

    while (pviommu_mappings_next(set, &iter, UINT64_MAX, &mapping)) {
        const PviommuMapping *wanted = model_find(model, mapping.first);

        g_assert_true(count == 0 || (next && mapping.first >= next));
        g_assert_cmphex(mapping.last, ==, wanted->last);
        g_assert_cmphex(mapping.phys, ==, wanted->phys);
        g_assert_cmphex(mapping.flags, ==, wanted->flags);
        bytes += mapping.last - mapping.first + 1;
        next = mapping.last + 1;
        count++;
    }
    g_assert_cmpuint(count, ==, model->count);
    g_assert_cmpuint(pviommu_mappings_count(set), ==, count);
    g_assert_cmpuint(pviommu_mappings_bytes(set), ==, bytes);
}

typedef struct Walk {
    const Subject *subject;
    uint64_t mappings;
    size_t domains;
    int64_t last;
} Walk;

static void check_domain(PviommuDomain *domain, void *opaque)
{
    Walk *walk = opaque;
    const Model *model = &walk->subject->model;
    uint32_t id = pviommu_domain_id(domain);
    const ModelDomain *wanted = &model->domain[id];
    PviommuGroup *group = NULL;
    unsigned groups = 0;

    g_assert_cmpint(id, >, walk->last);
    g_assert_cmpuint(id, <, MODEL_DOMAINS);
    g_assert_true(model_exists(model, id));
    g_assert_cmpint(pviommu_domain_bypass(domain), ==, wanted->bypass);
    g_assert_cmpint(pviommu_domain_table(domain) != NULL, ==,
                    wanted->table.format != 0);
    check_mappings(pviommu_domain_mappings(domain), wanted);
    while ((group = pviommu_domain_next_group(domain, group))) {
        g_assert_true(pviommu_group_domain(group) == domain);
        g_assert_nonnull(pviommu_group_opaque(group));
        groups++;
    }
    for (unsigned i = 0; i < MODEL_GROUPS; i++) {
        groups -= i != MODEL_NAME_ONLY &&
                  model_domain_of(model, i) == (int)id;
    }
    g_assert_cmpuint(groups, ==, 0);
    walk->last = id;
    walk->domains++;
    walk->mappings += wanted->count;
}

static PviommuState wanted_state(const Model *model, unsigned group)
{
    int domain = model_domain_of(model, group);

    if (model->fenced[group] || (domain < 0 && !model->config.bypass)) {
        return PVIOMMU_BLOCKED;
    }
    return domain < 0 || model->domain[domain].bypass ? PVIOMMU_BYPASS
                                                      : PVIOMMU_TRANSLATED;
}

void subject_check(const Subject *subject)
{
    const Model *model = &subject->model;
    Walk walk = { .subject = subject, .last = -1 };
    size_t domains = 0;

    pviommu_iommu_foreach_domain(subject->iommu, check_domain, &walk);
    for (unsigned i = 0; i < MODEL_DOMAINS; i++) {
        domains += model_exists(model, i);
    }
    g_assert_cmpuint(walk.domains, ==, domains);
    g_assert_cmpuint(pviommu_iommu_domain_count(subject->iommu), ==, domains);
    g_assert_cmpuint(pviommu_iommu_mapping_count(subject->iommu), ==,
                     walk.mappings);
    for (unsigned i = 0; i < MODEL_ENDPOINTS; i++) {
        PviommuDomain *domain = pviommu_endpoint_domain(subject->endpoint[i]);

        g_assert_cmpint(domain ? (int)pviommu_domain_id(domain) : -1, ==,
                        model->attached[i]);
        g_assert_cmphex(pviommu_endpoint_id(subject->endpoint[i]), ==,
                        subject->id[i]);
    }
    for (unsigned i = 0; i < MODEL_GROUPS; i++) {
        g_assert_cmpint(pviommu_group_fenced(subject->group[i]), ==,
                        model->fenced[i]);
        g_assert_cmpint(pviommu_group_state(subject->group[i]), ==,
                        wanted_state(model, i));
    }
}
