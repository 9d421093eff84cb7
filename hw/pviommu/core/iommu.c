/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu: the IOMMU as a whole
 */
#include "state.h"

PviommuIommu *pviommu_iommu_new(const PviommuConfig *config)
{
    PviommuIommu *iommu = g_new0(PviommuIommu, 1);

    g_assert(config->page_size_mask != 0);
    iommu->config = *config;
    iommu->domains = g_hash_table_new(NULL, NULL);
    iommu->endpoints = g_ptr_array_new();
    iommu->by_id = g_hash_table_new(NULL, NULL);
    return iommu;
}

void pviommu_iommu_free(PviommuIommu *iommu)
{
    if (!iommu) {
        return;
    }
    g_assert(iommu->groups == 0 && !iommu->changing);
    g_hash_table_destroy(iommu->domains);
    g_ptr_array_free(iommu->endpoints, true);
    g_hash_table_destroy(iommu->by_id);
    g_free(iommu);
}

void pviommu_iommu_share(PviommuIommu *iommu)
{
    g_assert(!iommu->shared);
    iommu->shared = true;
}

void pviommu_iommu_begin(PviommuIommu *iommu)
{
    g_assert(iommu->shared && !iommu->open);
    iommu->open = true;
}

void pviommu_iommu_end(PviommuIommu *iommu)
{
    g_assert(iommu->open);
    iommu->open = false;
}

const PviommuConfig *pviommu_iommu_config(const PviommuIommu *iommu)
{
    return &iommu->config;
}

void pviommu_iommu_set_config(PviommuIommu *iommu,
                              const PviommuConfig *config)
{
    assert_open(iommu);
    g_assert(iommu->attached == 0 && config->page_size_mask != 0);
    iommu->config = *config;
}

void pviommu_iommu_set_bypass(PviommuIommu *iommu, bool bypass)
{
    assert_open(iommu);
    iommu->config.bypass = bypass;
}

void pviommu_iommu_set_features(PviommuIommu *iommu, uint64_t features)
{
    assert_open(iommu);
    iommu->features = features;
}

size_t pviommu_iommu_domain_count(const PviommuIommu *iommu)
{
    return iommu->domain_count;
}

uint64_t pviommu_iommu_mapping_count(const PviommuIommu *iommu)
{
    return iommu->mapping_count;
}

PviommuDomain *pviommu_iommu_domain(const PviommuIommu *iommu, uint32_t id)
{
    PviommuDomain *domain = g_hash_table_lookup(iommu->domains,
                                                GUINT_TO_POINTER(id));

    return domain && domain->attached > 0 ? domain : NULL;
}

static gint compare_id(gconstpointer a, gconstpointer b)
{
    const PviommuDomain *const *left = a;
    const PviommuDomain *const *right = b;

    return ((*left)->id > (*right)->id) - ((*left)->id < (*right)->id);
}

void pviommu_iommu_foreach_domain(const PviommuIommu *iommu,
                                  PviommuDomainFunc *func, void *opaque)
{
    g_autoptr(GPtrArray) sorted = g_ptr_array_new();
    GHashTableIter iter;
    void *domain;

    g_hash_table_iter_init(&iter, iommu->domains);
    while (g_hash_table_iter_next(&iter, NULL, &domain)) {
        if (((PviommuDomain *)domain)->attached > 0) {
            g_ptr_array_add(sorted, domain);
        }
    }
    g_ptr_array_sort(sorted, compare_id);
    for (guint i = 0; i < sorted->len; i++) {
        func(sorted->pdata[i], opaque);
    }
}

PviommuEndpoint *pviommu_iommu_endpoint(const PviommuIommu *iommu,
                                        uint32_t id)
{
    return g_hash_table_lookup(iommu->by_id, GUINT_TO_POINTER(id));
}

/* Ask every endpoint; true when any answer differs from the last time's */
static bool ask_numbers(PviommuIommu *iommu, PviommuIdFunc *id, void *opaque)
{
    bool changed = iommu->numbers_stale;

    for (guint i = 0; i < iommu->endpoints->len; i++) {
        PviommuEndpoint *endpoint = iommu->endpoints->pdata[i];
        uint64_t asked = id(endpoint, opaque);

        if (asked > UINT32_MAX) {
            asked = PVIOMMU_NO_ID;
        }
        changed |= asked != endpoint->asked;
        endpoint->asked = asked;
    }
    return changed;
}

void pviommu_iommu_renumber(PviommuIommu *iommu, PviommuIdFunc *id,
                            void *opaque)
{
    assert_open(iommu);
    if (!ask_numbers(iommu, id, opaque)) {
        return;
    }
    g_hash_table_remove_all(iommu->by_id);
    for (guint i = 0; i < iommu->endpoints->len; i++) {
        PviommuEndpoint *endpoint = iommu->endpoints->pdata[i];
        void *key = GUINT_TO_POINTER((guint)endpoint->asked);

        endpoint->id = PVIOMMU_NO_ID;
        if (endpoint->asked != PVIOMMU_NO_ID &&
            !g_hash_table_contains(iommu->by_id, key)) {
            endpoint->id = endpoint->asked;
            g_hash_table_insert(iommu->by_id, key, endpoint);
        }
    }
    iommu->numbers_stale = false;
}

bool pviommu_iommu_detach_next(PviommuIommu *iommu, PviommuChange *change)
{
    *change = (PviommuChange) { 0 };
    if (iommu->attached == 0) {
        return false;
    }
    for (guint i = 0; i < iommu->endpoints->len; i++) {
        PviommuEndpoint *endpoint = iommu->endpoints->pdata[i];

        if (endpoint->domain) {
            pviommu_endpoint_detach(endpoint, change);
            return true;
        }
    }
    g_assert_not_reached();
}
