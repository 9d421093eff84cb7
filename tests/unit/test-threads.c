/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu tests: threads that translate while another changes
 *
 * Core has no lock; a GRWLock stands for the device's.  What is mapped always
 * translates to iova + SHIFT, so whatever a thread finds must obey that; what
 * is mapped all the time must be found, and what never is must not.
 * ThreadSanitizer sees whether translating writes anything.
 */
#include "fixture.h"
#include "random.h"

#define SHIFT UINT64_C(0x100000000)

enum {
    /* pages that come and go, ... */
    PAGES = 512,
    /* ... that stay, and that nobody maps, one after the other */
    KEPT = PAGES + 16,
    NEVER = KEPT + 16,
    END = NEVER + 16,
    /* an endpoint that stays where it is, and which group is its own */
    STEADY = 10,
    STEADY_GROUP = 2,
    READERS = 4,
    /* only a test that has failed waits that long */
    WAIT_MINUTES = 5,
};

typedef struct Shared {
    GRWLock lock;
    Fixture *fixture;
    int changing;
    int stop;
} Shared;

typedef struct Reader {
    Shared *shared;
    Random random;
    /* of pages that come and go: how often it found one, and none */
    int hits;
    int misses;
} Reader;

static void check_moving(Reader *reader, uint64_t iova)
{
    unsigned group = (unsigned)random_below(&reader->random, STEADY_GROUP);
    PviommuTranslation found;

    if (pviommu_translate(reader->shared->fixture->group[group], iova,
                          PVIOMMU_MAP_F_READ, &found)) {
        g_assert_cmphex(found.phys, ==, found.first + SHIFT);
        g_assert_cmphex(found.first, <=, iova);
        g_assert_cmphex(found.last, >=, iova);
        g_atomic_int_inc(&reader->hits);
    } else {
        g_assert_cmpint(found.reason, !=, PVIOMMU_FAULT_R_UNKNOWN);
        g_atomic_int_inc(&reader->misses);
    }
}

static void check_steady(Reader *reader, uint64_t iova)
{
    PviommuTranslation found;
    bool is_mapped = pviommu_translate(
        reader->shared->fixture->group[STEADY_GROUP], iova,
        PVIOMMU_MAP_F_READ, &found);

    if (iova < (uint64_t)NEVER << 12) {
        g_assert_true(is_mapped);
        g_assert_cmphex(found.first, ==, iova & ~UINT64_C(0xfff));
        g_assert_cmphex(found.last, ==, iova | 0xfff);
        g_assert_cmphex(found.phys, ==, found.first + SHIFT);
    } else {
        g_assert_false(is_mapped);
        g_assert_cmpint(found.reason, ==, PVIOMMU_FAULT_R_MAPPING);
    }
}

static void *translate(void *opaque)
{
    Reader *reader = opaque;
    Shared *shared = reader->shared;

    while (!g_atomic_int_get(&shared->stop)) {
        uint64_t iova = random_below(&reader->random, END << 12);

        /* a GRWLock lets readers starve the writer */
        while (g_atomic_int_get(&shared->changing)) {
            g_thread_yield();
        }
        g_rw_lock_reader_lock(&shared->lock);
        if (iova < (uint64_t)PAGES << 12) {
            check_moving(reader, iova);
        } else if (iova >= (uint64_t)KEPT << 12) {
            check_steady(reader, iova);
        }
        g_rw_lock_reader_unlock(&shared->lock);
    }
    return NULL;
}

static size_t random_request(Random *random, uint8_t *bytes)
{
    uint64_t first = random_below(random, PAGES) << 12;
    uint64_t last = first + (random_below(random, 4) << 12) + 0xfff;
    uint32_t endpoint = 8 + (uint32_t)random_below(random, 2);
    uint32_t domain = 1 + (uint32_t)random_below(random, 2);
    uint64_t what = random_below(random, 100);

    if (what < 2) {
        return build_detach(bytes, domain, endpoint);
    } else if (what < 6) {
        return build_attach(bytes, domain, endpoint, 0);
    } else if (what < 70) {
        return build_map(bytes, domain, first, last, first + SHIFT, 3);
    }
    return build_unmap(bytes, domain, first, last);
}

static void lock_for_change(Shared *shared)
{
    g_atomic_int_set(&shared->changing, 1);
    g_rw_lock_writer_lock(&shared->lock);
    g_atomic_int_set(&shared->changing, 0);
}

/* As the device does: change, show it to the host unlocked, end it */
static void change(Shared *shared, Random *random)
{
    PviommuIommu *iommu = shared->fixture->iommu;
    uint8_t bytes[PVIOMMU_REQUEST_MAX];
    PviommuRequest request;
    PviommuAnswer answer;
    PviommuChange made;
    size_t size = random_request(random, bytes);

    lock_for_change(shared);
    pviommu_request_run(iommu, bytes, size, 4, &request, NULL, &answer,
                        &made);
    g_rw_lock_writer_unlock(&shared->lock);
    g_thread_yield();
    lock_for_change(shared);
    if (random_below(random, 4) == 0) {
        pviommu_change_undo(iommu, &made);
    } else {
        pviommu_change_commit(iommu, &made);
    }
    g_rw_lock_writer_unlock(&shared->lock);
}

/* The endpoint that stays where it is, and what stays mapped */
static void make_steady(Fixture *fixture)
{
    fixture_add(fixture, fixture_add_group(fixture, false), STEADY);
    ASSERT_OK(fixture, attach(fixture, 1, STEADY, 0));
    for (uint64_t page = KEPT; page < NEVER; page++) {
        ASSERT_OK(fixture, map(fixture, 1, page << 12, page << 12 | 0xfff,
                               (page << 12) + SHIFT, 3));
    }
}

static bool all_saw_both(Reader *reader)
{
    for (unsigned i = 0; i < READERS; i++) {
        if (!g_atomic_int_get(&reader[i].hits) ||
            !g_atomic_int_get(&reader[i].misses)) {
            return false;
        }
    }
    return true;
}

static void test_translate_and_change(void)
{
    Shared shared = { .fixture = NULL };
    Reader reader[READERS] = { 0 };
    GThread *thread[READERS];
    PviommuConfig config = fixture_config;
    uint64_t rounds = random_rounds(300);
    gint64 end;
    Random random;

    config.bypass = false;
    shared.fixture = fixture_new_pair(&config);
    make_steady(shared.fixture);
    random_init(&random);
    g_rw_lock_init(&shared.lock);
    for (unsigned i = 0; i < READERS; i++) {
        reader[i].shared = &shared;
        reader[i].random.state = random_next(&random);
        thread[i] = g_thread_new("translate", translate, &reader[i]);
    }
    for (uint64_t i = 0; i < rounds; i++) {
        change(&shared, &random);
    }
    /* However slowly the threads get their turns, each is to see changes */
    end = g_get_monotonic_time() + WAIT_MINUTES * 60 * G_TIME_SPAN_SECOND;
    while (!all_saw_both(reader)) {
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        change(&shared, &random);
    }
    g_atomic_int_set(&shared.stop, 1);
    for (unsigned i = 0; i < READERS; i++) {
        g_thread_join(thread[i]);
        g_test_message("%d found, %d not", reader[i].hits, reader[i].misses);
    }
    fixture_free(shared.fixture);
    g_rw_lock_clear(&shared.lock);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/pviommu/threads/translate-and-change",
                    test_translate_and_change);
    return g_test_run();
}
