/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu bench: what is measured
 */
#include <glib.h>

#include "core-subjects.h"
#include "le.h"
#include "pviommu/request.h"

/* The GTree: key and value each have memory of their own */

typedef struct Interval {
    uint64_t low;
    uint64_t high;
} Interval;

typedef struct Mapping {
    uint64_t phys;
    uint32_t flags;
} Mapping;

static gint interval_compare(gconstpointer a, gconstpointer b,
                             gpointer user_data)
{
    const Interval *left = a;
    const Interval *right = b;

    (void)user_data;
    if (left->high < right->low) {
        return -1;
    } else if (right->high < left->low) {
        return 1;
    } else {
        return 0;
    }
}

static void *gtree_new(void)
{
    return g_tree_new_full(interval_compare, NULL, g_free, g_free);
}

static void gtree_free(void *set)
{
    g_tree_destroy(set);
}

static void gtree_map(void *set, uint64_t page)
{
    Interval *interval = g_malloc0(sizeof(*interval));
    Mapping *mapping;

    interval->low = page << 12;
    interval->high = page << 12 | 0xfff;
    mapping = g_tree_lookup(set, interval);
    g_assert(!mapping);
    mapping = g_malloc0(sizeof(*mapping));
    mapping->phys = subject_phys(page);
    mapping->flags = PVIOMMU_MAP_F_READ | PVIOMMU_MAP_F_WRITE;
    g_tree_insert(set, interval, mapping);
}

/* QEMU's looks once more, for a second mapping; that is not counted here */
static void gtree_unmap(void *set, uint64_t page)
{
    Interval interval = { page << 12, page << 12 | 0xfff };
    void *key, *value;

    if (g_tree_lookup_extended(set, &interval, &key, &value)) {
        Interval *found = key;

        if (found->low >= interval.low && found->high <= interval.high) {
            g_tree_remove(set, key);
        }
    }
}

static uint64_t gtree_translate(void *set, uint64_t iova)
{
    Interval interval = { iova, iova };
    void *key, *value;

    if (!g_tree_lookup_extended(set, &interval, &key, &value)) {
        return 0;
    }
    return ((Mapping *)value)->phys + (iova - ((Interval *)key)->low);
}

const Subject subject_gtree = {
    .new = gtree_new,
    .free = gtree_free,
    .map = gtree_map,
    .unmap = gtree_unmap,
    .translate = gtree_translate,
};

/* The set */

static void *mappings_new(void)
{
    return pviommu_mappings_new();
}

static void mappings_free(void *set)
{
    pviommu_mappings_free(set);
}

static void mappings_map(void *set, uint64_t page)
{
    PviommuMapping mapping = {
        page << 12, page << 12 | 0xfff, subject_phys(page),
        PVIOMMU_MAP_F_READ | PVIOMMU_MAP_F_WRITE,
    };
    PviommuMapping found;
    bool free = !pviommu_mappings_find(set, mapping.first, mapping.last,
                                       &found);

    if (!free || !pviommu_mappings_insert(set, &mapping)) {
        g_assert_not_reached();
    }
}

static void mappings_unmap(void *set, uint64_t page)
{
    PviommuMapping found;

    if (pviommu_mappings_lookup(set, page << 12, &found)) {
        pviommu_mappings_remove(set, found.first);
    }
}

static uint64_t mappings_translate(void *set, uint64_t iova)
{
    PviommuMapping found;

    return pviommu_mappings_lookup(set, iova, &found)
           ? found.phys + (iova - found.first) : 0;
}

const Subject subject_mappings = {
    .new = mappings_new,
    .free = mappings_free,
    .map = mappings_map,
    .unmap = mappings_unmap,
    .translate = mappings_translate,
};

/* The IOMMU: one endpoint with the MSI region of x86, in domain 1 */

enum {
    ID = 8,
};

typedef struct Whole {
    PviommuIommu *iommu;
    PviommuGroup *group;
    PviommuEndpoint *endpoint;
} Whole;

static uint64_t number(const PviommuEndpoint *endpoint, void *opaque)
{
    (void)endpoint;
    (void)opaque;
    return ID;
}

static void run(Whole *whole, const uint8_t *bytes, size_t size)
{
    PviommuRequest request;
    PviommuAnswer answer;
    PviommuChange change;

    pviommu_request_run(whole->iommu, bytes, size, PVIOMMU_TAIL_SIZE,
                        &request, NULL, &answer, &change);
    g_assert(answer.status == PVIOMMU_S_OK);
    pviommu_change_commit(whole->iommu, &change);
}

static void *iommu_new(void)
{
    static const PviommuConfig config = {
        .page_size_mask = ~UINT64_C(0xfff),
        .input_last = UINT64_MAX,
        .domain_last = UINT32_MAX,
        .max_domains = 1,
        .max_mappings = UINT64_MAX,
    };
    PviommuRegion msi = { 0xfee00000, 0xfeefffff, PVIOMMU_REGION_MSI };
    PviommuRegions *regions = pviommu_regions_new();
    Whole *whole = g_new0(Whole, 1);
    uint8_t bytes[PVIOMMU_ATTACH_SIZE] = { PVIOMMU_T_ATTACH };

    whole->iommu = pviommu_iommu_new(&config);
    pviommu_iommu_set_features(whole->iommu, 1u << PVIOMMU_F_MAP_UNMAP);
    whole->group = pviommu_group_new(whole->iommu, whole);
    pviommu_regions_add(regions, &msi);
    pviommu_group_set_regions(whole->group, regions);
    whole->endpoint = pviommu_endpoint_new(whole->group, NULL);
    pviommu_iommu_renumber(whole->iommu, number, NULL);
    le_put(bytes + 4, 4, 1);
    le_put(bytes + 8, 4, ID);
    run(whole, bytes, sizeof(bytes));
    return whole;
}

static void iommu_free(void *set)
{
    Whole *whole = set;
    PviommuChange change;

    pviommu_endpoint_detach(whole->endpoint, &change);
    pviommu_change_commit(whole->iommu, &change);
    pviommu_endpoint_free(whole->endpoint);
    pviommu_group_free(whole->group);
    pviommu_iommu_free(whole->iommu);
    g_free(whole);
}

static void iommu_map(void *set, uint64_t page)
{
    uint8_t bytes[PVIOMMU_MAP_SIZE] = { PVIOMMU_T_MAP };

    le_put(bytes + 4, 4, 1);
    le_put(bytes + 8, 8, page << 12);
    le_put(bytes + 16, 8, page << 12 | 0xfff);
    le_put(bytes + 24, 8, subject_phys(page));
    le_put(bytes + 32, 4, PVIOMMU_MAP_F_READ | PVIOMMU_MAP_F_WRITE);
    run(set, bytes, sizeof(bytes));
}

static void iommu_unmap(void *set, uint64_t page)
{
    uint8_t bytes[PVIOMMU_UNMAP_SIZE] = { PVIOMMU_T_UNMAP };

    le_put(bytes + 4, 4, 1);
    le_put(bytes + 8, 8, page << 12);
    le_put(bytes + 16, 8, page << 12 | 0xfff);
    run(set, bytes, sizeof(bytes));
}

static uint64_t iommu_translate(void *set, uint64_t iova)
{
    Whole *whole = set;
    PviommuTranslation found;

    return pviommu_translate(whole->group, iova, PVIOMMU_MAP_F_READ, &found)
           ? found.phys + (iova - found.first) : 0;
}

const Subject subject_iommu = {
    .new = iommu_new,
    .free = iommu_free,
    .map = iommu_map,
    .unmap = iommu_unmap,
    .translate = iommu_translate,
};
