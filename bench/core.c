/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu bench: the core's structures against a GTree as QEMU's own
 * virtio-iommu uses it, and against QEMU's interval tree
 *
 * Each figure is the median of the ratios of pairs: one run of core, one of
 * the other, taking turns at going first, in CPU time.  Usage:
 *
 *     core [LARGEST [PAIRS [NAME]]]
 *
 * NAME leaves out what does not begin so: "memory", or the name of a row.
 */
#include <malloc.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <glib.h>

#include "core-subjects.h"

enum {
    MIN_PAIRS = 9,
    /* operations that a run makes at least, so that the clock can tell */
    MIN_WORK = 100000,
    SIZES = 5,
};

typedef enum Order { ASCENDING, DESCENDING, RANDOM, ORDERS } Order;

static const char *const order_names[ORDERS] = {
    "ascending", "descending", "random",
};

static const uint64_t sizes[SIZES] = { 100, 1000, 10000, 100000, 1000000 };

/**
 * struct Load - what a run does
 * @count: mappings
 * @order: in which they are made and removed
 * @page: the pages, in that order; twice as many as @count
 * @iovas: how many addresses to translate
 * @iova: those, all mapped
 */
typedef struct Load {
    uint64_t count;
    Order order;
    uint64_t *page;
    uint64_t iovas;
    uint64_t *iova;
} Load;

/* Do a piece of work on a set; return the seconds of the part that counts */
typedef double Work(const Subject *subject, const Load *load);

static uint64_t random_state = 1;

static uint64_t random_next(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

static void shuffle(uint64_t *values, uint64_t count)
{
    for (uint64_t i = count - 1; i > 0; i--) {
        uint64_t j = random_next() % (i + 1);
        uint64_t value = values[i];

        values[i] = values[j];
        values[j] = value;
    }
}

static void load_init(Load *load, uint64_t count, Order order,
                      bool random_iova)
{
    /* no load touches the MSI region: pages start above it */
    uint64_t base = 0x100000;

    load->count = count;
    load->order = order;
    load->page = g_new(uint64_t, 2 * count);
    /* so many that the processor cannot learn them by heart */
    load->iovas = MAX(count, MIN_WORK);
    load->iova = g_new(uint64_t, load->iovas);
    for (uint64_t i = 0; i < 2 * count; i++) {
        load->page[i] = base + (order == DESCENDING ? 2 * count - i : i);
    }
    if (order == RANDOM) {
        shuffle(load->page, 2 * count);
    }
    for (uint64_t i = 0; i < load->iovas; i++) {
        uint64_t page = load->page[(random_iova ? random_next() : i) % count];

        load->iova[i] = page << 12 | (random_next() & 0xfff);
    }
}

static void load_clear(Load *load)
{
    g_free(load->page);
    g_free(load->iova);
}

static double now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void *fill(const Subject *subject, const Load *load)
{
    void *set = subject->new();

    for (uint64_t i = 0; i < load->count; i++) {
        subject->map(set, load->page[i]);
    }
    return set;
}

static uint64_t repeats(const Load *load)
{
    return MAX(1, MIN_WORK / load->count);
}

/* From nothing to @count mappings and back, in the same order */
static double work_fill_drain(const Subject *subject, const Load *load)
{
    double start = now();

    for (uint64_t n = repeats(load); n > 0; n--) {
        void *set = fill(subject, load);

        for (uint64_t i = 0; i < load->count; i++) {
            subject->unmap(set, load->page[i]);
        }
        subject->free(set);
    }
    return (now() - start) / (double)(repeats(load) * load->count);
}

/*
 * At @count mappings the oldest goes and a new one comes: a window that moves
 * up or down, or pages all over
 */
static double work_steady(const Subject *subject, const Load *load)
{
    void *set = fill(subject, load);
    uint64_t old = 0, new = load->count;
    uint64_t rounds = MIN_WORK;
    double start = now(), seconds;

    for (uint64_t i = 0; i < rounds; i++) {
        subject->unmap(set, load->page[old]);
        subject->map(set, load->page[new]);
        old = (old + 1) % (2 * load->count);
        new = (new + 1) % (2 * load->count);
    }
    seconds = now() - start;
    subject->free(set);
    return seconds / (double)rounds;
}

static double work_translate(const Subject *subject, const Load *load)
{
    void *set = fill(subject, load);
    uint64_t sum = 0;
    double start = now(), seconds;

    for (uint64_t n = 0; n < 2; n++) {
        for (uint64_t i = 0; i < load->iovas; i++) {
            sum += subject->translate(set, load->iova[i]);
        }
    }
    seconds = now() - start;
    /* uses the sum, lest the compiler leaves the translations out */
    g_assert(sum != 0);
    subject->free(set);
    return seconds / (double)(2 * load->iovas);
}

static int compare_double(const void *a, const void *b)
{
    double left = *(const double *)a;
    double right = *(const double *)b;

    return (left > right) - (left < right);
}

static double median(double *values, unsigned count)
{
    qsort(values, count, sizeof(double), compare_double);
    return count % 2 ? values[count / 2]
                     : (values[count / 2 - 1] + values[count / 2]) / 2;
}

/**
 * measure - run pairs
 * @subject: what to compare
 * @other: with what
 * @work: what it is to do
 * @load: on what
 * @pairs: how many
 * @times: where to put the median times of both
 *
 * Return: the median of the ratios.
 */
static double measure(const Subject *subject, const Subject *other, Work *work,
                      const Load *load, unsigned pairs, double times[2])
{
    g_autofree double *ratios = g_new(double, pairs);
    g_autofree double *ours = g_new(double, pairs);
    g_autofree double *theirs = g_new(double, pairs);

    for (unsigned i = 0; i < pairs; i++) {
        if (i % 2) {
            theirs[i] = work(other, load);
            ours[i] = work(subject, load);
        } else {
            ours[i] = work(subject, load);
            theirs[i] = work(other, load);
        }
        ratios[i] = ours[i] / theirs[i];
    }
    times[0] = median(ours, pairs);
    times[1] = median(theirs, pairs);
    return median(ratios, pairs);
}

/**
 * struct Row - a line of the table
 * @name: what it says
 * @subject: what is compared
 * @work: what is done
 * @order: in which mappings are made
 * @random: translate in no order
 * @limit: highest ratio allowed
 * @large_limit: the same from 10^5 mappings on
 */
typedef struct Row {
    const char *name;
    const Subject *subject;
    Work *work;
    Order order;
    bool random;
    double limit;
    double large_limit;
} Row;

#define MEMORY "memory"
#define MEMORY_HERE "memory-here"
#define TRANSLATE "translate"
#define FILL "fill, then drain"
#define STEADY "one out, one in"
#define REQUEST STEADY ", whole requests"

static const Row gtree_rows[] = {
    { TRANSLATE " in that order", &subject_iommu, work_translate,
      DESCENDING, false, 1.05, 1.05 },
    { TRANSLATE " at random", &subject_iommu, work_translate,
      DESCENDING, true, 1.05, 1 / 3.0 },
    { TRANSLATE " at random", &subject_iommu, work_translate,
      RANDOM, true, 1.05, 1 / 3.0 },
    { FILL, &subject_mappings, work_fill_drain, ASCENDING, false, 1.05, 1.05 },
    { FILL, &subject_mappings, work_fill_drain, DESCENDING, false, 1.05,
      1.05 },
    { FILL, &subject_mappings, work_fill_drain, RANDOM, false, 1.05, 1.05 },
    { STEADY, &subject_mappings, work_steady, ASCENDING, false, 1.05, 1.05 },
    { STEADY, &subject_mappings, work_steady, DESCENDING, false, 1.05, 1.05 },
    { STEADY, &subject_mappings, work_steady, RANDOM, false, 1.05, 1.05 },
    { REQUEST, &subject_iommu, work_steady, DESCENDING, false, 0, 0 },
    { REQUEST, &subject_iommu, work_steady, RANDOM, false, 0, 0 },
};

#ifdef BENCH_INTERVAL_TREE
/* One tree beside another; to know, so without limits */
static const Row interval_rows[] = {
    { TRANSLATE " in that order", &subject_mappings, work_translate,
      DESCENDING, false, 0, 0 },
    { TRANSLATE " at random", &subject_mappings, work_translate,
      DESCENDING, true, 0, 0 },
    { TRANSLATE " at random", &subject_mappings, work_translate,
      RANDOM, true, 0, 0 },
    { FILL, &subject_mappings, work_fill_drain, ASCENDING, false, 0, 0 },
    { FILL, &subject_mappings, work_fill_drain, DESCENDING, false, 0, 0 },
    { FILL, &subject_mappings, work_fill_drain, RANDOM, false, 0, 0 },
    { STEADY, &subject_mappings, work_steady, ASCENDING, false, 0, 0 },
    { STEADY, &subject_mappings, work_steady, DESCENDING, false, 0, 0 },
    { STEADY, &subject_mappings, work_steady, RANDOM, false, 0, 0 },
};
#endif

/* Print a row; false when a figure is above what is allowed */
static bool print_row(const Row *row, const Subject *other, uint64_t largest,
                      unsigned pairs)
{
    bool fine = true;

    printf("| %s | %s |", row->name, order_names[row->order]);
    for (unsigned i = 0; i < SIZES && sizes[i] <= largest; i++) {
        double limit = sizes[i] >= 100000 ? row->large_limit : row->limit;
        double times[2], ratio;
        Load load;

        load_init(&load, sizes[i], row->order, row->random);
        ratio = measure(row->subject, other, row->work, &load, pairs, times);
        load_clear(&load);
        printf(" %.2f (%.0f/%.0f)", ratio, times[0] * 1e9, times[1] * 1e9);
        if (limit > 0 && ratio > limit) {
            printf(" over %.2f", limit);
            fine = false;
        }
        printf(" |");
        fflush(stdout);
    }
    printf("\n");
    return fine;
}

static size_t allocated(void)
{
    struct mallinfo2 info = mallinfo2();

    return info.uordblks + info.hblkhd;
}

/* Bytes a mapping, counting only those in a set that is still there */
typedef double Memory(const Subject *subject, const Load *load);

static double per_mapping(size_t before, uint64_t count)
{
    return ((double)allocated() - (double)before) / (double)count;
}

static double memory_filled(const Subject *subject, const Load *load)
{
    size_t before = allocated();

    fill(subject, load);
    return per_mapping(before, load->count);
}

/* Every mapping replaced by another, one by one */
static double memory_replaced(const Subject *subject, const Load *load)
{
    size_t before = allocated();
    void *set = fill(subject, load);

    for (uint64_t i = 0; i < load->count; i++) {
        subject->unmap(set, load->page[i]);
        subject->map(set, load->page[load->count + i]);
    }
    return per_mapping(before, load->count);
}

/* All but each eighth of eight times as many removed */
static double memory_sparse(const Subject *subject, const Load *load)
{
    size_t before;
    uint64_t left = 0;
    void *set;
    Load eight;

    load_init(&eight, load->count * 8, load->order, false);
    before = allocated();
    set = fill(subject, &eight);
    for (uint64_t i = 0; i < eight.count; i++) {
        if (eight.page[i] % 8) {
            subject->unmap(set, eight.page[i]);
        } else {
            left++;
        }
    }
    return per_mapping(before, left);
}

/* In a process of its own: GLib keeps what a GTree frees, for the next */
static double in_child(Memory *memory, const Subject *subject,
                       const Load *load)
{
    double bytes = -1;
    int ends[2];
    pid_t child;

    if (pipe(ends) < 0) {
        perror("pipe");
        exit(1);
    }
    child = fork();
    if (child == 0) {
        bytes = memory(subject, load);
        _exit(write(ends[1], &bytes, sizeof(bytes)) != sizeof(bytes));
    }
    close(ends[1]);
    if (read(ends[0], &bytes, sizeof(bytes)) != sizeof(bytes)) {
        perror("child");
        exit(1);
    }
    close(ends[0]);
    waitpid(child, NULL, 0);
    return bytes;
}

static bool print_memory(const Subject *subject, const char *name,
                         uint64_t largest, double limit)
{
    Memory *const memories[] = {
        memory_filled, memory_replaced, memory_sparse,
    };
    bool fine = true;

    for (Order order = 0; order < ORDERS; order++) {
        printf("| %s | %s |", name, order_names[order]);
        for (unsigned i = 0; i < SIZES && sizes[i] <= largest; i++) {
            Load load;

            load_init(&load, sizes[i], order, false);
            for (unsigned j = 0; j < G_N_ELEMENTS(memories); j++) {
                double bytes = in_child(memories[j], subject, &load);

                fine = fine && bytes <= limit;
                printf("%s %.1f", j > 0 ? "," : "", bytes);
                fflush(stdout);
            }
            load_clear(&load);
            printf(" |");
        }
        printf("\n");
    }
    return fine;
}

static void print_head(const char *first, uint64_t largest)
{
    printf("\n| %s | order |", first);
    for (unsigned i = 0; i < SIZES && sizes[i] <= largest; i++) {
        printf(" %" G_GUINT64_FORMAT " |", sizes[i]);
    }
    printf("\n|---|---|");
    for (unsigned i = 0; i < SIZES && sizes[i] <= largest; i++) {
        printf("---|");
    }
    printf("\n");
}

static bool print_memories(uint64_t largest)
{
    bool fine;

    printf("Bytes a mapping: filled; all replaced, one by one; all but each "
           "eighth of 8 times as many removed\n");
    print_head("structure", largest);
    fine = print_memory(&subject_mappings, "core", largest, 64);
    print_memory(&subject_gtree, "GTree", largest, 1e9);
#ifdef BENCH_INTERVAL_TREE
    print_memory(&subject_interval, "interval tree", largest, 1e9);
#endif
    return fine;
}

/* All rows of a comparison whose names begin so */
static bool print_rows(const Row *rows, unsigned count, const char *beginning,
                       const Subject *other, const char *other_name,
                       uint64_t largest, unsigned pairs)
{
    bool fine = true;

    printf("\nMedian of the ratios core / %s over %u pairs, and ns an "
           "operation of both\n", other_name, pairs);
    print_head("what", largest);
    for (unsigned i = 0; i < count; i++) {
        if (g_str_has_prefix(rows[i].name, beginning)) {
            fine &= print_row(&rows[i], other, largest, pairs);
        }
    }
    return fine;
}

/*
 * The same in a program whose malloc() keeps nothing back for the next: what
 * is kept would count as allocated
 */
static bool run_memories(char **argv)
{
    char *const arguments[] = {
        argv[0], argv[1] ? argv[1] : (char *)"1000000", (char *)"0",
        (char *)MEMORY_HERE, NULL,
    };
    pid_t child = fork();
    int status = 1;

    if (child == 0) {
        setenv("GLIBC_TUNABLES", "glibc.malloc.tcache_count=0", 1);
        execv("/proc/self/exe", arguments);
        perror("/proc/self/exe");
        _exit(1);
    }
    waitpid(child, &status, 0);
    return status == 0;
}

int main(int argc, char **argv)
{
    uint64_t largest = argc > 1 ? g_ascii_strtoull(argv[1], NULL, 0)
                                : sizes[SIZES - 1];
    unsigned pairs = argc > 2 ? (unsigned)g_ascii_strtoull(argv[2], NULL, 0)
                              : MIN_PAIRS;
    const char *name = argc > 3 ? argv[3] : "";
    bool fine = true;

    /* what a run frees stays for the next: page faults are not the subject */
    mallopt(M_TRIM_THRESHOLD, 1 << 30);
    mallopt(M_MMAP_THRESHOLD, 1 << 30);
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (g_str_equal(name, MEMORY_HERE)) {
        return print_memories(largest) ? 0 : 1;
    }
    if (g_str_has_prefix(MEMORY, name)) {
        fine &= run_memories(argv);
    }
    fine &= print_rows(gtree_rows, G_N_ELEMENTS(gtree_rows), name,
                       &subject_gtree, "GTree", largest, pairs);
#ifdef BENCH_INTERVAL_TREE
    fine &= print_rows(interval_rows, G_N_ELEMENTS(interval_rows), name,
                       &subject_interval, "interval tree", largest, pairs);
#endif
    printf("\n%s\n", fine ? "All within the limits." : "Over a limit.");
    return fine ? 0 : 1;
}
