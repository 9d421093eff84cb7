/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu tests: an IOMMU with endpoints, and requests to it
 */
#include <string.h>

#include "fixture.h"
#include "le.h"

const PviommuConfig fixture_config = {
    .page_size_mask = ~UINT64_C(0xfff),
    .input_first = 0,
    .input_last = UINT64_MAX,
    .domain_first = 0,
    .domain_last = UINT32_MAX,
    .probe_size = FIXTURE_PROBE_SIZE,
    .max_domains = 64,
    .max_mappings = 1024,
    .bypass = true,
};

Fixture *fixture_new(const PviommuConfig *config)
{
    Fixture *fixture = g_new0(Fixture, 1);

    fixture->iommu = pviommu_iommu_new(config ? config : &fixture_config);
    pviommu_iommu_set_features(fixture->iommu, FIXTURE_ALL_FEATURES);
    return fixture;
}

Fixture *fixture_new_pair(const PviommuConfig *config)
{
    Fixture *fixture = fixture_new(config);

    fixture_add(fixture, fixture_add_group(fixture, false), 8);
    fixture_add(fixture, fixture_add_group(fixture, false), 9);
    return fixture;
}

void fixture_free(Fixture *fixture)
{
    PviommuChange change;

    while (pviommu_iommu_detach_next(fixture->iommu, &change)) {
        pviommu_change_commit(fixture->iommu, &change);
    }
    g_assert_cmpuint(pviommu_iommu_domain_count(fixture->iommu), ==, 0);
    g_assert_cmpuint(pviommu_iommu_mapping_count(fixture->iommu), ==, 0);
    for (unsigned i = 0; i < fixture->endpoints; i++) {
        pviommu_endpoint_free(fixture->endpoint[i]);
    }
    for (unsigned i = 0; i < fixture->groups; i++) {
        pviommu_group_free(fixture->group[i]);
    }
    pviommu_iommu_free(fixture->iommu);
    g_free(fixture);
}

PviommuGroup *fixture_add_group(Fixture *fixture, bool name_only)
{
    PviommuGroup *group;

    g_assert(fixture->groups < FIXTURE_ENDPOINTS);
    group = pviommu_group_new(fixture->iommu, name_only ? NULL : fixture);
    fixture->group[fixture->groups++] = group;
    return group;
}

PviommuEndpoint *fixture_add(Fixture *fixture, PviommuGroup *group,
                             uint32_t id)
{
    PviommuEndpoint *endpoint = pviommu_endpoint_new(group, NULL);

    g_assert(fixture->endpoints < FIXTURE_ENDPOINTS);
    fixture->id[fixture->endpoints] = id;
    fixture->endpoint[fixture->endpoints++] = endpoint;
    fixture_renumber(fixture);
    return endpoint;
}

static uint64_t number(const PviommuEndpoint *endpoint, void *opaque)
{
    Fixture *fixture = opaque;

    for (unsigned i = 0; i < fixture->endpoints; i++) {
        if (fixture->endpoint[i] == endpoint) {
            return fixture->id[i];
        }
    }
    g_assert_not_reached();
}

void fixture_renumber(Fixture *fixture)
{
    pviommu_iommu_renumber(fixture->iommu, number, fixture);
}

void fixture_reserve(PviommuGroup *group, uint64_t first, uint64_t last,
                     PviommuRegionType type)
{
    const PviommuRegions *old = pviommu_group_regions(group);
    PviommuRegions *list = old ? pviommu_regions_copy(old)
                               : pviommu_regions_new();
    PviommuRegion region = { first, last, type };

    pviommu_regions_add(list, &region);
    pviommu_group_set_regions(group, list);
}

static void digest_add(uint64_t *digest, uint64_t value)
{
    *digest = (*digest ^ value) * UINT64_C(0x100000001b3);
    *digest ^= *digest >> 29;
}

static void digest_domain(PviommuDomain *domain, void *opaque)
{
    const PviommuMappings *set = pviommu_domain_mappings(domain);
    const PviommuGuestTable *table = pviommu_domain_table(domain);
    PviommuMappingIter iter = { 0 };
    PviommuMapping mapping;
    uint64_t *digest = opaque;

    digest_add(digest, pviommu_domain_id(domain));
    digest_add(digest, pviommu_domain_bypass(domain));
    digest_add(digest, table ? table->format : 0);
    digest_add(digest, table ? table->root : 0);
    digest_add(digest, pviommu_mappings_count(set));
    digest_add(digest, pviommu_mappings_bytes(set));
    while (pviommu_mappings_next(set, &iter, UINT64_MAX, &mapping)) {
        digest_add(digest, mapping.first);
        digest_add(digest, mapping.last);
        digest_add(digest, mapping.phys);
        digest_add(digest, mapping.flags);
    }
}

static uint64_t domain_number(const PviommuDomain *domain)
{
    return domain ? pviommu_domain_id(domain) : PVIOMMU_NO_ID;
}

uint64_t fixture_digest(const Fixture *fixture)
{
    uint64_t digest = UINT64_C(0xcbf29ce484222325);

    pviommu_iommu_foreach_domain(fixture->iommu, digest_domain, &digest);
    digest_add(&digest, pviommu_iommu_domain_count(fixture->iommu));
    digest_add(&digest, pviommu_iommu_mapping_count(fixture->iommu));
    for (unsigned i = 0; i < fixture->endpoints; i++) {
        const PviommuEndpoint *endpoint = fixture->endpoint[i];

        digest_add(&digest, pviommu_endpoint_id(endpoint));
        digest_add(&digest, domain_number(pviommu_endpoint_domain(endpoint)));
    }
    for (unsigned i = 0; i < fixture->groups; i++) {
        const PviommuGroup *group = fixture->group[i];

        digest_add(&digest, domain_number(pviommu_group_domain(group)));
        digest_add(&digest, pviommu_group_state(group));
        digest_add(&digest, pviommu_group_fenced(group));
    }
    return digest;
}

typedef struct Find {
    uint32_t id;
    PviommuDomain *domain;
} Find;

static void find_domain(PviommuDomain *domain, void *opaque)
{
    Find *find = opaque;

    if (pviommu_domain_id(domain) == find->id) {
        find->domain = domain;
    }
}

PviommuDomain *fixture_domain(const Fixture *fixture, uint32_t id)
{
    Find find = { .id = id };

    pviommu_iommu_foreach_domain(fixture->iommu, find_domain, &find);
    return find.domain;
}

uint8_t submit(Fixture *fixture, const void *readable, size_t readable_size,
               size_t writable_size)
{
    uint64_t before = fixture_digest(fixture);
    /* of exactly the size that core may read, so that ASan sees more */
    size_t size = MIN(readable_size, (size_t)PVIOMMU_REQUEST_MAX);
    g_autofree void *copy = g_malloc(size);

    if (size > 0) {
        memcpy(copy, readable, size);
    }
    pviommu_request_run(fixture->iommu, copy, readable_size, writable_size,
                        &fixture->request, fixture->properties,
                        &fixture->answer, &fixture->change);
    if (fixture->answer.status != PVIOMMU_S_OK) {
        g_assert_cmphex(fixture_digest(fixture), ==, before);
        g_assert_cmpint(fixture->change.kind, ==, PVIOMMU_CHANGE_NONE);
    }
    if (!fixture->hold) {
        PviommuChange change = fixture->change;

        pviommu_change_commit(fixture->iommu, &change);
        g_assert_cmpint(change.kind, ==, PVIOMMU_CHANGE_NONE);
    }
    return fixture->answer.status;
}

void finish(Fixture *fixture, bool commit)
{
    fixture->freed = commit
        ? pviommu_change_commit(fixture->iommu, &fixture->change)
        : pviommu_change_undo(fixture->iommu, &fixture->change);
    g_assert_cmpint(fixture->change.kind, ==, PVIOMMU_CHANGE_NONE);
}

size_t build_attach(uint8_t *bytes, uint32_t domain, uint32_t endpoint,
                    uint32_t flags)
{
    memset(bytes, 0, PVIOMMU_ATTACH_SIZE);
    bytes[0] = PVIOMMU_T_ATTACH;
    le_put(bytes + 4, 4, domain);
    le_put(bytes + 8, 4, endpoint);
    le_put(bytes + 12, 4, flags);
    return PVIOMMU_ATTACH_SIZE;
}

size_t build_detach(uint8_t *bytes, uint32_t domain, uint32_t endpoint)
{
    memset(bytes, 0, PVIOMMU_DETACH_SIZE);
    bytes[0] = PVIOMMU_T_DETACH;
    le_put(bytes + 4, 4, domain);
    le_put(bytes + 8, 4, endpoint);
    return PVIOMMU_DETACH_SIZE;
}

size_t build_map(uint8_t *bytes, uint32_t domain, uint64_t first,
                 uint64_t last, uint64_t phys, uint32_t flags)
{
    memset(bytes, 0, PVIOMMU_MAP_SIZE);
    bytes[0] = PVIOMMU_T_MAP;
    le_put(bytes + 4, 4, domain);
    le_put(bytes + 8, 8, first);
    le_put(bytes + 16, 8, last);
    le_put(bytes + 24, 8, phys);
    le_put(bytes + 32, 4, flags);
    return PVIOMMU_MAP_SIZE;
}

size_t build_unmap(uint8_t *bytes, uint32_t domain, uint64_t first,
                   uint64_t last)
{
    memset(bytes, 0, PVIOMMU_UNMAP_SIZE);
    bytes[0] = PVIOMMU_T_UNMAP;
    le_put(bytes + 4, 4, domain);
    le_put(bytes + 8, 8, first);
    le_put(bytes + 16, 8, last);
    return PVIOMMU_UNMAP_SIZE;
}

size_t build_probe(uint8_t *bytes, uint32_t endpoint)
{
    memset(bytes, 0, PVIOMMU_PROBE_SIZE);
    bytes[0] = PVIOMMU_T_PROBE;
    le_put(bytes + 4, 4, endpoint);
    return PVIOMMU_PROBE_SIZE;
}

size_t build_attach_table(uint8_t *bytes, uint32_t domain, uint32_t endpoint,
                          const PviommuGuestTable *table)
{
    memset(bytes, 0, PVIOMMU_ATTACH_TABLE_SIZE);
    bytes[0] = PVIOMMU_T_ATTACH_TABLE;
    le_put(bytes + 4, 4, domain);
    le_put(bytes + 8, 4, endpoint);
    le_put(bytes + 16, 8, table->root);
    le_put(bytes + 24, 8, table->attributes);
    le_put(bytes + 32, 2, table->format);
    le_put(bytes + 34, 2, table->input_bits);
    return PVIOMMU_ATTACH_TABLE_SIZE;
}

size_t build_invalidate(uint8_t *bytes, uint32_t domain, uint64_t first,
                        uint64_t last)
{
    build_unmap(bytes, domain, first, last);
    bytes[0] = PVIOMMU_T_INVALIDATE;
    return PVIOMMU_INVALIDATE_SIZE;
}

uint8_t attach(Fixture *fixture, uint32_t domain, uint32_t endpoint,
               uint32_t flags)
{
    uint8_t bytes[PVIOMMU_REQUEST_MAX];

    return submit(fixture, bytes,
                  build_attach(bytes, domain, endpoint, flags), 4);
}

uint8_t detach(Fixture *fixture, uint32_t domain, uint32_t endpoint)
{
    uint8_t bytes[PVIOMMU_REQUEST_MAX];

    return submit(fixture, bytes, build_detach(bytes, domain, endpoint), 4);
}

uint8_t map(Fixture *fixture, uint32_t domain, uint64_t first, uint64_t last,
            uint64_t phys, uint32_t flags)
{
    uint8_t bytes[PVIOMMU_REQUEST_MAX];

    return submit(fixture, bytes,
                  build_map(bytes, domain, first, last, phys, flags), 4);
}

uint8_t unmap(Fixture *fixture, uint32_t domain, uint64_t first,
              uint64_t last)
{
    uint8_t bytes[PVIOMMU_REQUEST_MAX];

    return submit(fixture, bytes, build_unmap(bytes, domain, first, last), 4);
}

uint8_t probe(Fixture *fixture, uint32_t endpoint)
{
    uint8_t bytes[PVIOMMU_REQUEST_MAX];

    memset(fixture->properties, 0xa5, sizeof(fixture->properties));
    return submit(fixture, bytes, build_probe(bytes, endpoint),
                  FIXTURE_PROBE_SIZE + PVIOMMU_TAIL_SIZE);
}

uint8_t attach_table(Fixture *fixture, uint32_t domain, uint32_t endpoint,
                     const PviommuGuestTable *table)
{
    uint8_t bytes[PVIOMMU_REQUEST_MAX];

    return submit(fixture, bytes,
                  build_attach_table(bytes, domain, endpoint, table), 4);
}

uint8_t invalidate(Fixture *fixture, uint32_t domain, uint64_t first,
                   uint64_t last)
{
    uint8_t bytes[PVIOMMU_REQUEST_MAX];

    return submit(fixture, bytes,
                  build_invalidate(bytes, domain, first, last), 4);
}

bool is_mapped(const Fixture *fixture, uint32_t domain, uint64_t first,
               uint64_t last)
{
    PviommuDomain *found = fixture_domain(fixture, domain);
    PviommuMapping mapping;

    return found &&
           pviommu_mappings_find(pviommu_domain_mappings(found), first, last,
                                 &mapping) &&
           mapping.first == first && mapping.last == last;
}

void assert_mistake(const Fixture *fixture, PviommuMistake mistake)
{
    for (unsigned i = 0; i < PVIOMMU_MISTAKE__MAX; i++) {
        bool made = fixture->answer.mistakes >> i & 1;

        if (made != (i == mistake)) {
            g_error("mistake %s %s", pviommu_mistake_name(i),
                    made ? "unexpected" : "missing");
        }
    }
}
