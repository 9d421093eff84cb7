/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu tests: random requests against a model, committed and undone
 */
#include "fixture.h"
#include "le.h"
#include "model.h"
#include "random.h"

enum {
    SLOTS = 64,
};

/**
 * struct Pair - the IOMMU, and what it should be
 * @fixture: the IOMMU
 * @model: the model
 * @random: the numbers
 * @granule: bytes in a slot
 * @base: IOVA of slot 0
 */
typedef struct Pair {
    Fixture *fixture;
    Model model;
    Random *random;
    uint64_t granule;
    uint64_t base;
} Pair;

static uint64_t below(Pair *pair, uint64_t limit)
{
    return random_below(pair->random, limit);
}

static void set_config(Pair *pair)
{
    PviommuConfig *config = &pair->model.config;

    *config = fixture_config;
    config->page_size_mask = pair->granule;
    config->input_first = pair->base + 2 * pair->granule;
    config->input_last = pair->base + ((SLOTS - 4) * pair->granule - 1);
    if (below(pair, 2)) {
        config->input_last = pair->base + (SLOTS * pair->granule - 1);
    }
    config->domain_last = MODEL_DOMAINS - 1;
    config->domain_first = (uint32_t)below(pair, 2);
    config->max_domains = 3;
    config->max_mappings = 16 + below(pair, 16);
    pair->fixture = fixture_new(config);
}

static void set_regions(Pair *pair, unsigned group)
{
    PviommuRegions *list = pviommu_regions_new();
    uint64_t slot = below(pair, SLOTS / 2);

    for (unsigned i = 0; i < MODEL_REGIONS; i++) {
        PviommuRegion *region = &pair->model.region[group][i];

        region->first = pair->base + slot * pair->granule;
        slot += below(pair, 3);
        region->last = pair->base + (slot * pair->granule - 1);
        region->type = (PviommuRegionType)below(pair, 2);
        if (slot == 0 || region->last < region->first) {
            region->first = 1;
            region->last = 0;
        } else {
            pviommu_regions_add(list, region);
        }
        slot += 10;
    }
    pviommu_group_set_regions(pair->fixture->group[group], list);
}

static Pair *pair_new(Random *random, uint64_t granule, uint64_t base)
{
    Pair *pair = g_new0(Pair, 1);

    pair->random = random;
    pair->granule = granule;
    pair->base = base;
    set_config(pair);
    pair->model.features = FIXTURE_WITH_TABLES;
    pviommu_iommu_set_features(pair->fixture->iommu, FIXTURE_WITH_TABLES);
    for (unsigned i = 0; i < MODEL_GROUPS; i++) {
        fixture_add_group(pair->fixture, i == MODEL_NAME_ONLY);
        set_regions(pair, i);
        pair->model.formats[i] = (uint32_t)below(pair, 4) << 1;
        pviommu_group_set_formats(pair->fixture->group[i], (PviommuFormats) {
            .offered = pair->model.formats[i],
        });
    }
    for (unsigned i = 0; i < MODEL_ENDPOINTS; i++) {
        fixture_add(pair->fixture, pair->fixture->group[model_group[i]], i);
        pair->model.attached[i] = -1;
    }
    return pair;
}

static void check_domain(Pair *pair, unsigned id)
{
    const ModelDomain *model = &pair->model.domain[id];
    PviommuDomain *domain = fixture_domain(pair->fixture, id);
    const PviommuMappings *set;

    g_assert_cmpint(domain != NULL, ==, model_exists(&pair->model, id));
    if (!domain) {
        return;
    }
    g_assert_cmpint(pviommu_domain_bypass(domain), ==, model->bypass);
    g_assert_cmpint(pviommu_domain_table(domain) != NULL, ==,
                    model->table.format != 0);
    set = pviommu_domain_mappings(domain);
    g_assert_cmpuint(pviommu_mappings_count(set), ==, model->count);
    for (unsigned i = 0; i < model->count; i++) {
        const PviommuMapping *wanted = &model->mapping[i];
        PviommuMapping found;

        g_assert_true(pviommu_mappings_lookup(set, wanted->last, &found));
        g_assert_cmphex(found.first, ==, wanted->first);
        g_assert_cmphex(found.last, ==, wanted->last);
        g_assert_cmphex(found.phys, ==, wanted->phys);
        g_assert_cmphex(found.flags, ==, wanted->flags);
    }
}

static void check_state(Pair *pair)
{
    uint64_t mappings = 0;
    size_t domains = 0;

    for (unsigned i = 0; i < MODEL_DOMAINS; i++) {
        check_domain(pair, i);
        if (model_exists(&pair->model, i)) {
            domains++;
            mappings += pair->model.domain[i].count;
        }
    }
    g_assert_cmpuint(pviommu_iommu_domain_count(pair->fixture->iommu), ==,
                     domains);
    g_assert_cmpuint(pviommu_iommu_mapping_count(pair->fixture->iommu), ==,
                     mappings);
    for (unsigned i = 0; i < MODEL_ENDPOINTS; i++) {
        PviommuDomain *domain =
            pviommu_endpoint_domain(pair->fixture->endpoint[i]);

        g_assert_cmpint(domain ? (int)pviommu_domain_id(domain) : -1, ==,
                        pair->model.attached[i]);
    }
    for (unsigned i = 0; i < MODEL_GROUPS; i++) {
        g_assert_cmpint(pviommu_group_fenced(pair->fixture->group[i]), ==,
                        pair->model.fenced[i]);
    }
}

static void check_translate(Pair *pair)
{
    PviommuTableView view;
    unsigned group = (unsigned)below(pair, MODEL_GROUPS);
    uint64_t iova = pair->base + below(pair, SLOTS) * pair->granule +
                    below(pair, 3) - 1;
    uint32_t access = (uint32_t)below(pair, 4);
    PviommuTranslation found;
    uint64_t phys;
    uint8_t reason = 0;
    bool passes = model_translate(&pair->model, group, iova, access, &phys,
                                  &reason);

    g_assert_cmpint(pviommu_translate(pair->fixture->group[group], iova,
                                      access, &found),
                    ==, passes);
    g_assert_cmpint(pviommu_translate_by_table(pair->fixture->group[group],
                                               iova, &view),
                    ==, model_by_table(&pair->model, group, iova));
    g_assert_cmphex(found.first, <=, iova);
    g_assert_cmphex(found.last, >=, iova);
    if (!passes) {
        g_assert_cmpuint(found.reason, ==, reason);
        return;
    }
    g_assert_cmphex(found.phys + (iova - found.first), ==, phys);
    /* both ends of the block translate alike, so all between does */
    g_assert_true(model_translate(&pair->model, group, found.first, access,
                                  &phys, &reason));
    g_assert_cmphex(phys, ==, found.phys);
    g_assert_true(model_translate(&pair->model, group, found.last, access,
                                  &phys, &reason));
    g_assert_cmphex(phys, ==, found.phys + (found.last - found.first));
}

/* A range that mostly means something */
static void random_range(Pair *pair, PviommuRequest *request)
{
    uint64_t first = below(pair, SLOTS);
    uint64_t count = 1 + below(pair, below(pair, 4) ? 4 : SLOTS);

    request->first = pair->base + first * pair->granule;
    request->last = request->first + (count * pair->granule - 1);
    if (request->last < pair->base) {
        request->last = UINT64_MAX;
    }
    switch (below(pair, 24)) {
    case 0:
        request->first += pair->granule / 2;
        break;
    case 1:
        request->last++;
        break;
    case 2:
        request->last = request->first - 1;
        break;
    case 3:
        request->first = 0;
        request->last = UINT64_MAX;
        break;
    default:
        break;
    }
}

/* A table of which, mostly, nothing is wrong; few, so that some are equal */
static void random_table(Pair *pair, PviommuGuestTable *table)
{
    static const uint8_t widths[] = { 48, 57, 39, 44 };

    table->format = (uint16_t)(1 + below(pair, 2));
    table->input_bits = table->format == PVIOMMU_FORMAT_X86_64 ||
                        below(pair, 8) == 0
                        ? widths[below(pair, 2)]
                        : widths[2 + below(pair, 2)];
    table->root = (1 + below(pair, 3)) << 12;
    switch (below(pair, 24)) {
    case 0:
        table->root = UINT64_C(1) << (48 + 4 * below(pair, 2));
        break;
    case 1:
        table->root++;
        break;
    case 2:
        table->format = (uint16_t)(3 * below(pair, 2));
        break;
    case 3:
        table->attributes = 0xff44;
        break;
    default:
        break;
    }
}

static size_t random_request(Pair *pair, PviommuRequest *request,
                             uint8_t *bytes, uint32_t *reserved)
{
    static const uint8_t types[] = {
        PVIOMMU_T_ATTACH, PVIOMMU_T_ATTACH, PVIOMMU_T_DETACH, PVIOMMU_T_MAP,
        PVIOMMU_T_MAP, PVIOMMU_T_MAP, PVIOMMU_T_MAP, PVIOMMU_T_MAP,
        PVIOMMU_T_UNMAP, PVIOMMU_T_UNMAP, PVIOMMU_T_PROBE,
        PVIOMMU_T_ATTACH_TABLE, PVIOMMU_T_INVALIDATE,
    };
    size_t size;

    *request = (PviommuRequest) {
        .type = types[below(pair, G_N_ELEMENTS(types))],
        .domain = (uint32_t)below(pair, MODEL_DOMAINS + 1),
        .endpoint = (uint32_t)below(pair, MODEL_ENDPOINTS + 1),
    };
    *reserved = below(pair, 40) ? 0 : 1u << below(pair, 32);
    random_range(pair, request);
    switch (request->type) {
    case PVIOMMU_T_ATTACH:
        request->flags = below(pair, 30) ? !below(pair, 4) : 2;
        size = build_attach(bytes, request->domain, request->endpoint,
                            request->flags);
        le_put(bytes + 16, 4, *reserved);
        return size;
    case PVIOMMU_T_DETACH:
        return build_detach(bytes, request->domain, request->endpoint);
    case PVIOMMU_T_MAP:
        request->flags = (uint32_t)below(pair, below(pair, 8) ? 8 : 16);
        request->phys = below(pair, 100) * pair->granule;
        if (below(pair, 10) == 0) {
            request->phys = -request->phys;
        } else if (below(pair, 50) == 0) {
            request->phys++;
        }
        return build_map(bytes, request->domain, request->first,
                         request->last, request->phys, request->flags);
    case PVIOMMU_T_UNMAP:
        size = build_unmap(bytes, request->domain, request->first,
                           request->last);
        le_put(bytes + 24, 4, *reserved);
        return size;
    case PVIOMMU_T_ATTACH_TABLE:
        random_table(pair, &request->table);
        request->flags = below(pair, 30) == 0;
        size = build_attach_table(bytes, request->domain, request->endpoint,
                                  &request->table);
        le_put(bytes + 12, 4, request->flags);
        return size;
    case PVIOMMU_T_INVALIDATE:
        size = build_invalidate(bytes, request->domain, request->first,
                                request->last);
        le_put(bytes + 24, 4, *reserved);
        return size;
    default:
        return build_probe(bytes, request->endpoint);
    }
}

/* Run a request on both; then commit on both, or undo on both */
static void step(Pair *pair, PviommuStatus *status)
{
    Model before = pair->model;
    uint8_t bytes[PVIOMMU_REQUEST_MAX];
    PviommuRequest request;
    PviommuAnswer wanted, answer;
    PviommuChange change;
    uint32_t reserved;
    size_t size = random_request(pair, &request, bytes, &reserved);
    size_t writable = PVIOMMU_TAIL_SIZE +
        (request.type == PVIOMMU_T_PROBE ? FIXTURE_PROBE_SIZE : 0);

    wanted = model_run(&pair->model, &request, reserved);
    pviommu_request_run(pair->fixture->iommu, bytes, size, writable,
                        &request, pair->fixture->properties, &answer,
                        &change);
    *status = answer.status;
    g_assert_cmpint(answer.written, ==, wanted.written);
    g_assert_cmpint(answer.status, ==, wanted.status);
    g_assert_cmphex(answer.mistakes, ==, wanted.mistakes);
    check_translate(pair);
    if (below(pair, 100) == 0) {
        check_state(pair);
    }
    if (answer.status == PVIOMMU_S_OK && below(pair, 5) == 0) {
        pviommu_change_undo(pair->fixture->iommu, &change);
        pair->model = before;
    } else {
        pviommu_change_commit(pair->fixture->iommu, &change);
    }
}

/* What is not a request: fences, bypass, features, reset */
static void disturb(Pair *pair)
{
    static const unsigned features[] = {
        FIXTURE_WITH_TABLES, FIXTURE_WITH_TABLES, FIXTURE_ALL_FEATURES,
        FIXTURE_WITH_TABLES & ~(1u << PVIOMMU_F_MMIO),
        FIXTURE_WITH_TABLES & ~(1u << PVIOMMU_F_BYPASS_CONFIG),
        FIXTURE_WITH_TABLES & ~(1u << PVIOMMU_F_MAP_UNMAP),
    };
    unsigned group = (unsigned)below(pair, MODEL_GROUPS);
    PviommuIommu *iommu = pair->fixture->iommu;
    PviommuChange change;

    switch (below(pair, 8)) {
    case 0:
        while (pviommu_iommu_detach_next(iommu, &change)) {
            pviommu_change_commit(iommu, &change);
        }
        for (unsigned i = 0; i < MODEL_ENDPOINTS; i++) {
            if (pair->model.attached[i] >= 0) {
                pair->model.fenced[model_group[i]] = false;
            }
            pair->model.attached[i] = -1;
        }
        for (unsigned i = 0; i < MODEL_DOMAINS; i++) {
            pair->model.domain[i].count = 0;
        }
        break;
    case 1:
    case 2:
        pair->model.features = features[below(pair, 6)];
        pviommu_iommu_set_features(iommu, pair->model.features);
        break;
    case 3:
    case 4:
        pair->model.config.bypass = below(pair, 2);
        pviommu_iommu_set_bypass(iommu, pair->model.config.bypass);
        break;
    default:
        pair->model.fenced[group] = below(pair, 2);
        pviommu_group_set_fenced(pair->fixture->group[group],
                                 pair->model.fenced[group]);
        break;
    }
}

static void run_pair(uint64_t granule, uint64_t base)
{
    uint64_t rounds = random_rounds(75000);
    unsigned seen[PVIOMMU_S__MAX] = { 0 };
    Random random;

    random_init(&random);
    for (uint64_t round = 0; round < rounds;) {
        Pair *pair = pair_new(&random, granule, base);

        for (unsigned i = 0; i < 1500; i++, round++) {
            PviommuStatus status;

            step(pair, &status);
            seen[status]++;
            if (below(pair, 40) == 0) {
                disturb(pair);
            }
        }
        check_state(pair);
        fixture_free(pair->fixture);
        g_free(pair);
    }
    /* every status that core gives has been met */
    g_assert_cmpuint(seen[PVIOMMU_S_OK], >, rounds / 10);
    g_assert_cmpuint(seen[PVIOMMU_S_UNSUPP], >, 0);
    g_assert_cmpuint(seen[PVIOMMU_S_INVAL], >, 0);
    g_assert_cmpuint(seen[PVIOMMU_S_RANGE], >, 0);
    g_assert_cmpuint(seen[PVIOMMU_S_NOENT], >, 0);
    g_assert_cmpuint(seen[PVIOMMU_S_FAULT], >, 0);
    g_assert_cmpuint(seen[PVIOMMU_S_NOMEM], >, 0);
}

static void test_bytes(void)
{
    run_pair(1, -(uint64_t)SLOTS);
}

static void test_4k(void)
{
    run_pair(0x1000, 0);
}

static void test_64k(void)
{
    run_pair(0x10000, UINT64_C(0xfe000000));
}

static void test_2m(void)
{
    run_pair(0x200000, -((uint64_t)SLOTS << 21));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/pviommu/iommu/random/bytes-to-the-last", test_bytes);
    g_test_add_func("/pviommu/iommu/random/4k-from-the-first", test_4k);
    g_test_add_func("/pviommu/iommu/random/64k", test_64k);
    g_test_add_func("/pviommu/iommu/random/2m-to-the-last", test_2m);
    return g_test_run();
}
