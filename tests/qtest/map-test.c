/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * MAP and UNMAP: what may be mapped where, and what DMA then reaches
 *
 * R-MAP-* and R-UNMAP-* of docs/specs/pviommu.md.
 */
#include "qemu/osdep.h"

#include "edu.h"

#define PAGE 0x1000ULL
#define TARGET (RAM + 0x2000000)
#define TARGET2 (RAM + 0x3000000)

static Viommu *start_attached(const char *properties)
{
    Viommu *v = viommu_start(properties, EDU_A EDU_B);

    assert_status(viommu_attach(v, 1, EP_A), OK);
    return v;
}

/* An edu that is filled and attached to domain 1 */
static Viommu *start_filled(const char *properties, Edu **edu)
{
    Viommu *v = viommu_start(properties, EDU_A EDU_B);

    *edu = edu_open_filled(v, EP_A);
    assert_status(viommu_attach(v, 1, EP_A), OK);
    return v;
}

static void stop(Viommu *v, Edu *edu)
{
    edu_close(edu);
    viommu_stop(v);
}

/* State is unchanged: nothing is mapped, and this is what a MAP finds */
static void assert_empty(Viommu *v)
{
    g_assert_cmpuint(viommu_count(v, "mappings"), ==, 0);
    g_assert_cmpuint(viommu_count(v, "mapped-bytes"), ==, 0);
}

static void absent_or_bypass_domain(void)
{
    Viommu *v = start_attached(NULL);

    assert_status(viommu_map(v, 2, 0, PAGE - 1, 0, READ), NOENT);
    assert_status(viommu_unmap(v, 2, 0, PAGE - 1), NOENT);
    assert_status(viommu_attach_flags(v, 2, EP_B,
                                      VIRTIO_IOMMU_ATTACH_F_BYPASS), OK);
    assert_status(viommu_map(v, 2, 0, PAGE - 1, 0, READ), INVAL);
    assert_status(viommu_unmap(v, 2, 0, PAGE - 1), INVAL);
    g_assert_cmpuint(viommu_count_of(v, "mistakes", "bypass-domain"), ==, 2);
    assert_empty(v);
    assert_status(viommu_map(v, 1, 0, PAGE - 1, 0, READ), OK);
    viommu_stop(v);
}

static void inverted(void)
{
    Viommu *v = start_attached(NULL);

    assert_status(viommu_map(v, 1, 0x3000, 0x2fff, 0, READ), INVAL);
    assert_status(viommu_map(v, 1, 0x2000, 0x0fff, 0, READ), INVAL);
    assert_status(viommu_map(v, 1, UINT64_MAX, 0, 0, READ), INVAL);
    assert_empty(v);
    assert_status(viommu_map(v, 1, 0, 0xffff, 0, READ), OK);
    assert_status(viommu_unmap(v, 1, 0x10000, 0xffff), INVAL);
    assert_status(viommu_unmap(v, 1, UINT64_MAX, 0), INVAL);
    g_assert_cmpuint(viommu_count(v, "mappings"), ==, 1);
    g_assert_cmpuint(viommu_count_of(v, "mistakes", "inverted"), ==, 5);
    viommu_stop(v);
}

static void unaligned(void)
{
    Viommu *v = start_attached(NULL);

    assert_status(viommu_map(v, 1, 0x1001, 0x1fff, 0, READ), RANGE);
    assert_status(viommu_map(v, 1, 0x1000, 0x1fff, 0x800, READ), RANGE);
    assert_status(viommu_map(v, 1, 0x1000, 0x1ffe, 0, READ), RANGE);
    assert_status(viommu_map(v, 1, 0x1000, 0x1000, 0, READ), RANGE);
    assert_status(viommu_map(v, 1, 0x1000, 0x2000, 0, READ), RANGE);
    assert_empty(v);
    assert_status(viommu_map(v, 1, 0x1000, 0x1fff, 0, READ), OK);
    viommu_stop(v);
}

static void unaligned_for_each_granule(void)
{
    static const struct {
        const char *property;
        uint64_t size;
    } granules[] = {
        { "granule=4k", 0x1000 }, { "granule=8k", 0x2000 },
        { "granule=16k", 0x4000 }, { "granule=64k", 0x10000 },
    };

    for (unsigned i = 0; i < ARRAY_SIZE(granules); i++) {
        uint64_t g = granules[i].size;
        Viommu *v = start_attached(granules[i].property);

        g_assert_cmphex(viommu_config(v).page_size_mask & 0xfffff, ==, g);
        assert_status(viommu_map(v, 1, g / 2, g - 1, 0, READ), RANGE);
        assert_status(viommu_map(v, 1, 0, g / 2 - 1, 0, READ), RANGE);
        assert_status(viommu_map(v, 1, 0, g - 1, g / 2, READ), RANGE);
        assert_status(viommu_map(v, 1, g, 4 * g - 1, g, READ), OK);
        viommu_stop(v);
    }
}

/* Bytes map one by one, and DMA of a byte reaches that byte alone */
static void single_bytes(void)
{
    Edu *edu;
    Viommu *v = start_filled("granule=1", &edu);

    g_assert_cmphex(viommu_config(v).page_size_mask & 0xfffff, ==, 1);
    assert_status(viommu_map(v, 1, 5, 5, TARGET + 77, WRITE), OK);
    assert_status(viommu_map(v, 1, 6, 6, TARGET2 + 3, WRITE), OK);
    g_assert_true(edu_reaches(edu, 5, TARGET + 77));
    g_assert_true(edu_reaches(edu, 6, TARGET2 + 3));
    g_assert_false(edu_reaches(edu, 4, TARGET + 76));
    g_assert_false(edu_reaches(edu, 7, TARGET2 + 4));
    assert_status(viommu_unmap(v, 1, 5, 5), OK);
    g_assert_false(edu_reaches(edu, 5, TARGET + 77));
    g_assert_cmpuint(viommu_count(v, "mapped-bytes"), ==, 1);
    stop(v, edu);
}

/* A transfer over several mappings goes to where each byte is mapped */
static void transfer_over_single_bytes(void)
{
    Edu *edu;
    Viommu *v = start_filled("granule=1", &edu);
    uint8_t seen[3];

    for (unsigned i = 0; i < 3; i++) {
        assert_status(viommu_map(v, 1, 10 + i, 10 + i,
                                 TARGET + 2 - i, WRITE), OK);
    }
    qtest_memset(v->qts, TARGET - 1, 0, 5);
    edu_store(edu, 10, 3);
    qtest_memread(v->qts, TARGET, seen, 3);
    g_assert_cmphex(seen[0] & seen[1] & seen[2], ==, 0x5a);
    g_assert_cmphex(qtest_readb(v->qts, TARGET - 1), ==, 0);
    g_assert_cmphex(qtest_readb(v->qts, TARGET + 3), ==, 0);
    stop(v, edu);
}

static void overlap(void)
{
    Edu *edu;
    Viommu *v = start_filled(NULL, &edu);

    assert_status(viommu_map(v, 1, 0x4000, 0x7fff, TARGET, WRITE), OK);
    assert_status(viommu_map(v, 1, 0x3000, 0x4fff, 0, READ), INVAL);
    assert_status(viommu_map(v, 1, 0x7000, 0x8fff, 0, READ), INVAL);
    assert_status(viommu_map(v, 1, 0x5000, 0x5fff, 0, READ), INVAL);
    assert_status(viommu_map(v, 1, 0x3000, 0x8fff, 0, READ), INVAL);
    assert_status(viommu_map(v, 1, 0x4000, 0x7fff, TARGET, WRITE), INVAL);
    assert_status(viommu_map(v, 1, 0, UINT64_MAX, 0, READ), INVAL);
    g_assert_true(edu_reaches(edu, 0x4000, TARGET));
    g_assert_true(edu_reaches(edu, 0x7fff, TARGET + 0x3fff));
    /* Neighbours that touch are fine */
    assert_status(viommu_map(v, 1, 0x3000, 0x3fff, TARGET2, WRITE), OK);
    assert_status(viommu_map(v, 1, 0x8000, 0x8fff, TARGET2, WRITE), OK);
    g_assert_cmpuint(viommu_count(v, "mappings"), ==, 3);
    g_assert_cmpuint(viommu_count(v, "mapped-bytes"), ==, 0x6000);
    /* And so is the same range of another domain */
    assert_status(viommu_attach(v, 2, EP_B), OK);
    assert_status(viommu_map(v, 2, 0x4000, 0x7fff, TARGET, WRITE), OK);
    stop(v, edu);
}

static void neighbours_do_not_mix(void)
{
    Edu *edu;
    Viommu *v = start_filled(NULL, &edu);

    assert_status(viommu_map(v, 1, 0x1000, 0x1fff, TARGET, WRITE), OK);
    assert_status(viommu_map(v, 1, 0x2000, 0x2fff, TARGET2, WRITE), OK);
    g_assert_true(edu_reaches(edu, 0x1fff, TARGET + 0xfff));
    g_assert_true(edu_reaches(edu, 0x2000, TARGET2));
    viommu_event_post(v, 24, 8);
    g_assert_false(edu_reaches(edu, 0xfff, TARGET - 1));
    viommu_assert_fault(v, VIRTIO_IOMMU_FAULT_R_MAPPING,
                        VIRTIO_IOMMU_FAULT_F_WRITE, EP_A, 0xfff);
    g_assert_false(edu_reaches(edu, 0x3000, TARGET2 + 0x1000));
    viommu_assert_fault(v, VIRTIO_IOMMU_FAULT_R_MAPPING,
                        VIRTIO_IOMMU_FAULT_F_WRITE, EP_A, 0x3000);
    stop(v, edu);
}

static void last_byte_of_the_space(void)
{
    const uint64_t top = -PAGE;
    Edu *edu;
    Viommu *v = start_filled(NULL, &edu);

    g_assert_cmphex(viommu_config(v).input_range.end, ==, UINT64_MAX);
    assert_status(viommu_map(v, 1, top, UINT64_MAX, TARGET, WRITE), OK);
    g_assert_true(edu_reaches(edu, UINT64_MAX, TARGET + PAGE - 1));
    g_assert_true(edu_reaches(edu, top, TARGET));
    g_assert_false(edu_reaches(edu, top - 1, TARGET - 1));
    g_assert_false(edu_reaches(edu, 0, TARGET + PAGE));
    assert_status(viommu_map(v, 1, top, UINT64_MAX, TARGET, WRITE), INVAL);
    assert_status(viommu_unmap(v, 1, UINT64_MAX, UINT64_MAX), RANGE);
    assert_status(viommu_unmap(v, 1, top, UINT64_MAX), OK);
    g_assert_false(edu_reaches(edu, UINT64_MAX, TARGET + PAGE - 1));
    stop(v, edu);
}

static void last_byte_of_the_space_alone(void)
{
    Edu *edu;
    Viommu *v = start_filled("granule=1", &edu);

    assert_status(viommu_map(v, 1, UINT64_MAX, UINT64_MAX, TARGET, WRITE),
                  OK);
    assert_status(viommu_map(v, 1, 0, 0, TARGET2, WRITE), OK);
    g_assert_true(edu_reaches(edu, UINT64_MAX, TARGET));
    g_assert_true(edu_reaches(edu, 0, TARGET2));
    g_assert_false(edu_reaches(edu, UINT64_MAX - 1, TARGET - 1));
    assert_status(viommu_unmap(v, 1, 1, UINT64_MAX), OK);
    g_assert_false(edu_reaches(edu, UINT64_MAX, TARGET));
    g_assert_true(edu_reaches(edu, 0, TARGET2));
    stop(v, edu);
}

/* The MSI region lies in it, so two MAPs make the whole space */
static void whole_space(void)
{
    Edu *edu;
    Viommu *v = start_filled(NULL, &edu);

    assert_status(viommu_map(v, 1, 0, UINT64_MAX, 0, READ | WRITE), INVAL);
    assert_status(viommu_map(v, 1, 0, MSI_FIRST - 1, 0, READ | WRITE), OK);
    assert_status(viommu_map(v, 1, MSI_LAST + 1, UINT64_MAX, MSI_LAST + 1,
                             READ | WRITE), OK);
    g_assert_true(edu_reaches(edu, TARGET, TARGET));
    assert_status(viommu_map(v, 1, 0x1000, 0x1fff, 0, READ), INVAL);
    assert_status(viommu_unmap(v, 1, 0, 1ULL << 63), RANGE);
    g_assert_cmpuint(viommu_count(v, "mappings"), ==, 2);
    assert_status(viommu_unmap(v, 1, 0, UINT64_MAX), OK);
    assert_empty(v);
    g_assert_false(edu_reaches(edu, TARGET, TARGET));
    stop(v, edu);
}

static void input_range(void)
{
    const uint64_t last = (1ULL << 39) - 1;
    Edu *edu;
    Viommu *v = start_filled("aw-bits=39", &edu);

    g_assert_cmphex(viommu_config(v).input_range.end, ==, last);
    assert_status(viommu_map(v, 1, last + 1, last + PAGE, 0, READ), RANGE);
    assert_status(viommu_map(v, 1, last - PAGE + 1, last + PAGE, 0, READ),
                  RANGE);
    assert_status(viommu_map(v, 1, -PAGE, UINT64_MAX, 0, READ), RANGE);
    assert_empty(v);
    assert_status(viommu_map(v, 1, last - PAGE + 1, last, TARGET, WRITE), OK);
    g_assert_true(edu_reaches(edu, last, TARGET + PAGE - 1));
    g_assert_false(edu_reaches(edu, last + 1, TARGET + PAGE));
    /* UNMAP knows no range: nothing is there */
    assert_status(viommu_unmap(v, 1, last + 1, UINT64_MAX), OK);
    g_assert_cmpuint(viommu_count(v, "mappings"), ==, 1);
    stop(v, edu);
}

static void input_range_unnegotiated(void)
{
    Viommu *v = viommu_boot("aw-bits=32", EDU_A);

    viommu_negotiate(v, ~FEATURE(VIRTIO_IOMMU_F_INPUT_RANGE));
    assert_status(viommu_attach(v, 1, EP_A), OK);
    assert_status(viommu_map(v, 1, 1ULL << 32, (1ULL << 32) + 0xfff, 0,
                             READ), RANGE);
    assert_status(viommu_map(v, 1, 0xfffff000, 0xffffffff, 0, READ), OK);
    viommu_stop(v);
}

static void reserved_region(void)
{
    Viommu *v = start_attached(NULL);

    assert_status(viommu_map(v, 1, MSI_FIRST, MSI_FIRST + PAGE - 1, 0, READ),
                  INVAL);
    assert_status(viommu_map(v, 1, MSI_LAST - PAGE + 1, MSI_LAST, 0, READ),
                  INVAL);
    assert_status(viommu_map(v, 1, MSI_FIRST - PAGE, MSI_FIRST + PAGE - 1, 0,
                             READ), INVAL);
    assert_status(viommu_map(v, 1, MSI_FIRST - 16 * PAGE,
                             MSI_LAST + 16 * PAGE, 0, READ), INVAL);
    assert_empty(v);
    g_assert_cmpuint(viommu_count_of(v, "mistakes", "reserved-region"), ==,
                     4);
    assert_status(viommu_map(v, 1, MSI_FIRST - PAGE, MSI_FIRST - 1, 0, READ),
                  OK);
    assert_status(viommu_map(v, 1, MSI_LAST + 1, MSI_LAST + PAGE, 0, READ),
                  OK);
    viommu_stop(v);
}

static void flags(void)
{
    Viommu *v = viommu_boot(NULL, EDU_A);

    viommu_negotiate(v, ~FEATURE(VIRTIO_IOMMU_F_MMIO));
    assert_status(viommu_attach(v, 1, EP_A), OK);
    for (unsigned bit = 2; bit < 32; bit++) {
        assert_status(viommu_map(v, 1, 0, 0xfff, 0, READ | 1u << bit),
                      INVAL);
    }
    assert_empty(v);
    viommu_negotiate(v, ALL_FEATURES);
    assert_status(viommu_attach(v, 1, EP_A), OK);
    for (unsigned bit = 3; bit < 32; bit++) {
        assert_status(viommu_map(v, 1, 0, 0xfff, 0, 1u << bit), INVAL);
    }
    for (unsigned value = 0; value < 8; value++) {
        assert_status(viommu_map(v, 1, value << 12, value << 12 | 0xfff,
                                 TARGET, value), OK);
    }
    viommu_stop(v);
}

static void no_permission(void)
{
    Edu *edu;
    Viommu *v = start_filled(NULL, &edu);

    viommu_event_post(v, 24, 16);
    assert_status(viommu_map(v, 1, 0x1000, 0x1fff, TARGET, READ), OK);
    g_assert_false(edu_reaches(edu, 0x1234, TARGET + 0x234));
    viommu_assert_fault(v, VIRTIO_IOMMU_FAULT_R_MAPPING,
                        VIRTIO_IOMMU_FAULT_F_WRITE, EP_A, 0x1234);
    assert_status(viommu_map(v, 1, 0x2000, 0x2fff, TARGET, WRITE), OK);
    edu_load(edu, 0x2010, 1);
    viommu_assert_fault(v, VIRTIO_IOMMU_FAULT_R_MAPPING,
                        VIRTIO_IOMMU_FAULT_F_READ, EP_A, 0x2010);
    /* No flag at all: it takes the range and gives nothing */
    assert_status(viommu_map(v, 1, 0x3000, 0x3fff, TARGET, 0), OK);
    assert_status(viommu_map(v, 1, 0x3000, 0x3fff, TARGET, READ), INVAL);
    edu_load(edu, 0x3010, 1);
    viommu_assert_fault(v, VIRTIO_IOMMU_FAULT_R_MAPPING,
                        VIRTIO_IOMMU_FAULT_F_READ, EP_A, 0x3010);
    g_assert_false(edu_reaches(edu, 0x3020, TARGET + 0x20));
    viommu_assert_fault(v, VIRTIO_IOMMU_FAULT_R_MAPPING,
                        VIRTIO_IOMMU_FAULT_F_WRITE, EP_A, 0x3020);
    stop(v, edu);
}

static void reads_what_is_mapped(void)
{
    Viommu *v = start_attached(NULL);
    Edu *edu = edu_open(v, EP_A);
    char text[16] = "";

    qtest_memwrite(v->qts, TARGET + 0xffc, "mapped!", 8);
    assert_status(viommu_map(v, 1, 0x10000, 0x11fff, TARGET, READ), OK);
    assert_status(viommu_map(v, 1, 0x20000, 0x20fff, TARGET2, WRITE), OK);
    edu_load(edu, 0x10ffc, 8);
    edu_store(edu, 0x20100, 8);
    qtest_memread(v->qts, TARGET2 + 0x100, text, 8);
    g_assert_cmpstr(text, ==, "mapped!");
    stop(v, edu);
}

static void phys_wraps(void)
{
    Viommu *v = start_attached(NULL);

    assert_status(viommu_map(v, 1, 0, 0x1fff, -PAGE, READ), FAULT);
    assert_status(viommu_map(v, 1, PAGE, UINT32_MAX / 2, UINT64_MAX << 30,
                             READ), FAULT);
    assert_empty(v);
    assert_status(viommu_map(v, 1, 0, 0xfff, -PAGE, READ), OK);
    viommu_stop(v);
}

/* What is no RAM may be mapped; DMA goes wherever the bus sends it */
static void holes_and_registers(void)
{
    Edu *edu;
    Viommu *v = start_filled(NULL, &edu);
    const uint64_t hole = RAM + 0x20000000;

    assert_status(viommu_map(v, 1, RAM, hole + 0xffff, RAM, READ | WRITE),
                  OK);
    g_assert_false(edu_reaches(edu, hole, hole));
    g_assert_true(edu_reaches(edu, TARGET, TARGET));
    viommu_assert_alive(v);
    stop(v, edu);
}

static void mmio_reaches_a_register(void)
{
    Edu *a;
    Viommu *v = start_filled(NULL, &a);
    Edu *b = edu_open(v, EP_B);
    uint64_t bar = b->bar.addr;

    qpci_io_writel(b->pdev, b->bar, 4, 0);
    assert_status(viommu_map(v, 1, 0, 0xfff, bar, READ | WRITE | MMIO), OK);
    edu_store(a, 4, 4);
    g_assert_cmphex(qpci_io_readl(b->pdev, b->bar, 4), ==, ~0x5a5a5a5au);
    edu_close(b);
    stop(v, a);
}

static void mapping_quota(void)
{
    Viommu *v = start_attached("max-mappings=3");

    for (unsigned i = 0; i < 3; i++) {
        assert_status(viommu_map(v, 1, i * PAGE, i * PAGE + 0xfff, 0, READ),
                      OK);
    }
    assert_status(viommu_map(v, 1, 3 * PAGE, 4 * PAGE - 1, 0, READ), NOMEM);
    assert_status(viommu_attach(v, 2, EP_B), OK);
    assert_status(viommu_map(v, 2, 0, PAGE - 1, 0, READ), NOMEM);
    assert_status(viommu_unmap(v, 1, PAGE, 2 * PAGE - 1), OK);
    assert_status(viommu_map(v, 2, 0, PAGE - 1, 0, READ), OK);
    assert_status(viommu_map(v, 1, PAGE, 2 * PAGE - 1, 0, READ), NOMEM);
    /* A domain that ceases gives its share back */
    assert_status(viommu_detach(v, 1, EP_A), OK);
    for (unsigned i = 1; i < 3; i++) {
        assert_status(viommu_map(v, 2, i * PAGE, i * PAGE + 0xfff, 0, READ),
                      OK);
    }
    assert_status(viommu_map(v, 2, 3 * PAGE, 4 * PAGE - 1, 0, READ), NOMEM);
    g_assert_cmpuint(viommu_count_of(v, "mistakes", "max-mappings"), ==, 4);
    viommu_stop(v);
}

/* The examples of the virtio specification, by name: m maps, u unmaps */
static void examples_of_the_specification(void)
{
    Viommu *v = start_attached("granule=1");

#define m(first, last) assert_status(viommu_map(v, 1, first, last, 0, READ), OK)
#define u(first, last) viommu_unmap(v, 1, first, last)
#define left(count) g_assert_cmpuint(viommu_count(v, "mappings"), ==, count)
#define clean() assert_status(u(0, UINT64_MAX), OK)
    assert_status(u(0, 4), OK);
    m(0, 9);
    assert_status(u(0, 9), OK);
    left(0);
    m(0, 4);
    m(5, 9);
    assert_status(u(0, 9), OK);
    left(0);
    m(0, 9);
    assert_status(u(0, 4), RANGE);
    left(1);
    clean();
    m(0, 4);
    m(5, 9);
    assert_status(u(0, 4), OK);
    left(1);
    clean();
    m(0, 4);
    assert_status(u(0, 9), OK);
    left(0);
    m(0, 4);
    m(10, 14);
    assert_status(u(0, 14), OK);
    left(0);
    m(7, 7);
    assert_status(u(7, 7), OK);
    left(0);
#undef m
#undef u
#undef left
#undef clean
    viommu_stop(v);
}

/* Whatever the order they were made in: a split removes none */
static void unmap_that_splits_removes_none(void)
{
    static const uint64_t first[] = { 0x0, 0x1000, 0x2000 };
    static const uint64_t last[] = { 0xfff, 0x1fff, 0x4fff };
    static const uint8_t orders[6][3] = {
        { 0, 1, 2 }, { 0, 2, 1 }, { 1, 0, 2 }, { 1, 2, 0 }, { 2, 0, 1 },
        { 2, 1, 0 },
    };
    Edu *edu;
    Viommu *v = start_filled(NULL, &edu);

    for (unsigned i = 0; i < ARRAY_SIZE(orders); i++) {
        for (unsigned j = 0; j < 3; j++) {
            unsigned k = orders[i][j];

            assert_status(viommu_map(v, 1, first[k], last[k],
                                     TARGET + first[k], WRITE), OK);
        }
        assert_status(viommu_unmap(v, 1, 0, 0x2fff), RANGE);
        assert_status(viommu_unmap(v, 1, 0x800, 0x1fff), RANGE);
        assert_status(viommu_unmap(v, 1, 0x3000, UINT64_MAX), RANGE);
        g_assert_cmpuint(viommu_count(v, "mappings"), ==, 3);
        for (unsigned j = 0; j < 3; j++) {
            g_assert_true(edu_reaches(edu, last[j], TARGET + last[j]));
        }
        assert_status(viommu_unmap(v, 1, 0, 0x4fff), OK);
    }
    g_assert_cmpuint(viommu_count_of(v, "mistakes", "split"), ==, 18);
    stop(v, edu);
}

static void unmap_holes_and_reserved(void)
{
    Viommu *v = start_attached(NULL);
    struct virtio_iommu_req_unmap req = {
        .head.type = VIRTIO_IOMMU_T_UNMAP,
        .domain = cpu_to_le32(1),
        .virt_end = cpu_to_le64(UINT64_MAX),
    };

    assert_status(viommu_map(v, 1, 0x2000, 0x2fff, 0, READ), OK);
    assert_status(viommu_unmap(v, 1, 0, 0x1fff), OK);
    assert_status(viommu_unmap(v, 1, 0x3000, UINT64_MAX), OK);
    assert_status(viommu_unmap(v, 1, 0x1fff, 0x1fff), OK);
    for (unsigned i = 0; i < 4; i++) {
        req.reserved[i] = 1;
        assert_status(viommu_request(v, &req, offsetof(typeof(req), tail)),
                      INVAL);
        req.reserved[i] = 0;
    }
    g_assert_cmpuint(viommu_count(v, "mappings"), ==, 1);
    assert_status(viommu_request(v, &req, offsetof(typeof(req), tail)), OK);
    assert_empty(v);
    viommu_stop(v);
}

static void unmap_stops_dma(void)
{
    Edu *edu;
    Viommu *v = start_filled(NULL, &edu);

    for (unsigned i = 0; i < 20; i++) {
        uint64_t iova = i % 3 * PAGE;

        assert_status(viommu_map(v, 1, iova, iova + PAGE - 1,
                                 TARGET + i * PAGE, WRITE), OK);
        g_assert_true(edu_reaches(edu, iova + 1, TARGET + i * PAGE + 1));
        assert_status(viommu_unmap(v, 1, iova, iova + PAGE - 1), OK);
        g_assert_false(edu_reaches(edu, iova + 1, TARGET + i * PAGE + 1));
    }
    stop(v, edu);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("map/absent-or-bypass-domain", absent_or_bypass_domain);
    ADD("map/inverted", inverted);
    ADD("map/unaligned", unaligned);
    ADD("map/unaligned-for-each-granule", unaligned_for_each_granule);
    ADD("map/single-bytes", single_bytes);
    ADD("map/transfer-over-single-bytes", transfer_over_single_bytes);
    ADD("map/overlap", overlap);
    ADD("map/neighbours-do-not-mix", neighbours_do_not_mix);
    ADD("map/last-byte-of-the-space", last_byte_of_the_space);
    ADD("map/last-byte-of-the-space-alone", last_byte_of_the_space_alone);
    ADD("map/whole-space", whole_space);
    ADD("map/input-range", input_range);
    ADD("map/input-range-unnegotiated", input_range_unnegotiated);
    ADD("map/reserved-region", reserved_region);
    ADD("map/flags", flags);
    ADD("map/no-permission", no_permission);
    ADD("map/reads-what-is-mapped", reads_what_is_mapped);
    ADD("map/phys-wraps", phys_wraps);
    ADD("map/holes-and-registers", holes_and_registers);
    ADD("map/mmio-reaches-a-register", mmio_reaches_a_register);
    ADD("map/quota", mapping_quota);
    ADD("unmap/examples-of-the-specification",
        examples_of_the_specification);
    ADD("unmap/split-removes-none", unmap_that_splits_removes_none);
    ADD("unmap/holes-and-reserved", unmap_holes_and_reserved);
    ADD("unmap/stops-dma", unmap_stops_dma);
    return g_test_run();
}
