/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu tests: an IOMMU with endpoints, and requests to it
 *
 * Every request that is not answered OK is checked to have changed nothing.
 */
#ifndef PVIOMMU_TEST_FIXTURE_H
#define PVIOMMU_TEST_FIXTURE_H

#include <glib.h>

#include "pviommu/request.h"

enum {
    FIXTURE_ENDPOINTS = 16,
    FIXTURE_PROBE_SIZE = 512,
    FIXTURE_ALL_FEATURES = 0x77,
    FIXTURE_WITH_TABLES = FIXTURE_ALL_FEATURES | 1 << PVIOMMU_F_GUEST_TABLES,
};

/**
 * struct Fixture - the IOMMU and the last request
 * @iommu: the IOMMU
 * @groups: how many groups
 * @group: the groups
 * @endpoints: how many endpoints
 * @endpoint: the endpoints
 * @id: number of each endpoint; fixture_renumber() after changing it
 * @hold: leave the change of a request for the test to end
 * @properties: of the last PROBE
 * @request: the last request
 * @answer: its answer
 * @change: its change
 * @freed: what finish() was given of a domain that it freed
 */
typedef struct Fixture {
    PviommuIommu *iommu;
    unsigned groups;
    PviommuGroup *group[FIXTURE_ENDPOINTS];
    unsigned endpoints;
    PviommuEndpoint *endpoint[FIXTURE_ENDPOINTS];
    uint64_t id[FIXTURE_ENDPOINTS];
    bool hold;
    uint8_t properties[FIXTURE_PROBE_SIZE];
    PviommuRequest request;
    PviommuAnswer answer;
    PviommuChange change;
    void *freed;
} Fixture;

/* Granule 4 KiB, no limits but 64 domains and 1024 mappings, bypass on */
extern const PviommuConfig fixture_config;

/**
 * fixture_new - make an IOMMU
 * @config: what it offers; NULL for fixture_config
 *
 * All features are negotiated.
 */
Fixture *fixture_new(const PviommuConfig *config);

/* As fixture_new(), with endpoint 8 in a group of its own, and 9 likewise */
Fixture *fixture_new_pair(const PviommuConfig *config);

/* Detach and free everything */
void fixture_free(Fixture *fixture);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Fixture, fixture_free)

/* Add a group; one that is not named only has an address space */
PviommuGroup *fixture_add_group(Fixture *fixture, bool name_only);

/* Add an endpoint */
PviommuEndpoint *fixture_add(Fixture *fixture, PviommuGroup *group,
                             uint32_t id);

/* Make the ids known */
void fixture_renumber(Fixture *fixture);

/* Give a group one reserved region, or one more */
void fixture_reserve(PviommuGroup *group, uint64_t first, uint64_t last,
                     PviommuRegionType type);

/* All state that can be seen, as one number */
uint64_t fixture_digest(const Fixture *fixture);

/* The domain of a number, or NULL */
PviommuDomain *fixture_domain(const Fixture *fixture, uint32_t id);

/* Run a request as bytes; the return value is the answer's status */
uint8_t submit(Fixture *fixture, const void *readable, size_t readable_size,
               size_t writable_size);

/* End what @hold left; with whether to commit */
void finish(Fixture *fixture, bool commit);

uint8_t attach(Fixture *fixture, uint32_t domain, uint32_t endpoint,
               uint32_t flags);
uint8_t detach(Fixture *fixture, uint32_t domain, uint32_t endpoint);
uint8_t map(Fixture *fixture, uint32_t domain, uint64_t first, uint64_t last,
            uint64_t phys, uint32_t flags);
uint8_t unmap(Fixture *fixture, uint32_t domain, uint64_t first,
              uint64_t last);
uint8_t probe(Fixture *fixture, uint32_t endpoint);
uint8_t attach_table(Fixture *fixture, uint32_t domain, uint32_t endpoint,
                     const PviommuGuestTable *table);
uint8_t invalidate(Fixture *fixture, uint32_t domain, uint64_t first,
                   uint64_t last);

/* Whether a domain has exactly the mapping [first, last] */
bool is_mapped(const Fixture *fixture, uint32_t domain, uint64_t first,
               uint64_t last);

/* The bytes of a request; returns its size */
size_t build_attach(uint8_t *bytes, uint32_t domain, uint32_t endpoint,
                    uint32_t flags);
size_t build_detach(uint8_t *bytes, uint32_t domain, uint32_t endpoint);
size_t build_map(uint8_t *bytes, uint32_t domain, uint64_t first,
                 uint64_t last, uint64_t phys, uint32_t flags);
size_t build_unmap(uint8_t *bytes, uint32_t domain, uint64_t first,
                   uint64_t last);
size_t build_probe(uint8_t *bytes, uint32_t endpoint);
size_t build_attach_table(uint8_t *bytes, uint32_t domain, uint32_t endpoint,
                          const PviommuGuestTable *table);
size_t build_invalidate(uint8_t *bytes, uint32_t domain, uint64_t first,
                        uint64_t last);

/* The request is carried out; the guest made no mistake */
#define ASSERT_OK(fixture, call)                                            \
    do {                                                                    \
        g_assert_cmpstr(pviommu_status_name(call), ==, "OK");               \
        g_assert_cmphex((fixture)->answer.mistakes, ==, 0);                 \
        g_assert_true((fixture)->answer.written);                           \
    } while (0)

/* The request is refused with a status, for one mistake */
#define ASSERT_REFUSED(fixture, call, status, mistake)                      \
    do {                                                                    \
        g_assert_cmpstr(pviommu_status_name(call), ==, #status);            \
        assert_mistake(fixture, PVIOMMU_MISTAKE_ ## mistake);               \
        g_assert_true((fixture)->answer.written);                           \
    } while (0)

/* The request is returned unwritten, for one mistake */
#define ASSERT_UNWRITTEN(fixture, call, mistake)                            \
    do {                                                                    \
        (void)(call);                                                       \
        g_assert_false((fixture)->answer.written);                          \
        assert_mistake(fixture, PVIOMMU_MISTAKE_ ## mistake);               \
    } while (0)

/* The last request had this mistake and no other */
void assert_mistake(const Fixture *fixture, PviommuMistake mistake);

#endif /* PVIOMMU_TEST_FIXTURE_H */
