/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * libFuzzer: requests and all else that changes core's state
 *
 * The input is a sequence of steps.  A request comes in any framing; its
 * answer is known from the model before it is run.  Its change is committed
 * or undone, with translations and fences in between.
 */
#include <string.h>
#include <glib.h>

#include "le.h"
#include "subject.h"

#define MISTAKE(name) (UINT64_C(1) << PVIOMMU_MISTAKE_ ## name)

enum {
    STEPS_MAX = 400,
};

/* Endpoints are numbered with these */
static const uint64_t numbers[] = {
    0, 1, 2, 3, 4, 5, 0x10002, UINT32_MAX, UINT64_C(0x100000001),
    PVIOMMU_NO_ID,
};

/**
 * struct Bytes - a request on its way
 * @data: the readable bytes
 * @readable: how many the guest says there are
 * @writable: how many it may write
 */
typedef struct Bytes {
    uint8_t data[PVIOMMU_REQUEST_MAX];
    size_t readable;
    size_t writable;
} Bytes;

static size_t full_size(uint8_t type)
{
    static const size_t sizes[] = {
        4, PVIOMMU_ATTACH_SIZE, PVIOMMU_DETACH_SIZE, PVIOMMU_MAP_SIZE,
        PVIOMMU_UNMAP_SIZE, PVIOMMU_PROBE_SIZE, PVIOMMU_ATTACH_TABLE_SIZE,
        PVIOMMU_INVALIDATE_SIZE,
    };

    return type < G_N_ELEMENTS(sizes) ? sizes[type] : sizes[0];
}

/* [first, last], mostly whole slots */
static void put_range(const Subject *subject, Input *input, uint8_t *bytes)
{
    unsigned slot = input_byte(input);
    unsigned count = input_byte(input);
    uint64_t first = subject_iova(subject, slot % SLOTS);
    uint64_t last = subject_iova(subject, slot % SLOTS + count % 8 + 1) - 1;

    switch (slot / SLOTS + count / 8 % 32 * 4) {
    case 1:
        first++;
        break;
    case 2:
        last++;
        break;
    case 3:
        last = first - 1;
        break;
    case 5:
        first = 0;
        last = UINT64_MAX;
        break;
    case 6:
        last = UINT64_MAX;
        break;
    case 7:
        first = 0;
        break;
    default:
        break;
    }
    le_put(bytes, 8, first);
    le_put(bytes + 8, 8, last);
}

/* Few, so that many attach the same */
static void put_table(Input *input, uint8_t *bytes)
{
    static const uint8_t widths[] = { 48, 57, 39, 44, 48, 38, 49, 0 };
    static const uint64_t roots[] = {
        0x1000, 0x1000, 0x2000, 0, 0x1001, (UINT64_C(1) << 48) - 4096,
        UINT64_C(1) << 48, UINT64_C(1) << 52,
    };

    le_put(bytes + 32, 2, input_below(input, 4));
    le_put(bytes + 34, 2, widths[input_below(input, 8)]);
    le_put(bytes + 16, 8, roots[input_below(input, 8)]);
    le_put(bytes + 24, 8, input_byte(input) > 240);
}

/* Types that came later have few numbers: the inputs kept mean what they did */
static uint8_t take_type(Input *input)
{
    uint8_t byte = input_byte(input);

    return byte < 250 ? 1 + byte % 5 : PVIOMMU_T_ATTACH_TABLE + byte % 2;
}

static void put_fields(const Subject *subject, Input *input, uint8_t *bytes)
{
    uint64_t phys;

    bytes[0] = take_type(input);
    le_put(bytes + 4, 4, input_below(input, MODEL_DOMAINS + 1));
    switch (bytes[0]) {
    case PVIOMMU_T_ATTACH:
        le_put(bytes + 8, 4, numbers[input_below(input, 8)]);
        le_put(bytes + 12, 4, input_below(input, 16) / 5);
        bytes[16 + input_below(input, 4)] = input_byte(input) > 240;
        break;
    case PVIOMMU_T_DETACH:
        le_put(bytes + 8, 4, numbers[input_below(input, 8)]);
        break;
    case PVIOMMU_T_PROBE:
        le_put(bytes + 4, 4, numbers[input_below(input, 8)]);
        break;
    case PVIOMMU_T_MAP:
        put_range(subject, input, bytes + 8);
        phys = input_byte(input) * subject->granule;
        le_put(bytes + 24, 8, input_byte(input) > 230 ? -phys : phys);
        le_put(bytes + 32, 4, input_below(input, 9));
        break;
    case PVIOMMU_T_ATTACH_TABLE:
        le_put(bytes + 8, 4, numbers[input_below(input, 8)]);
        le_put(bytes + 12, 4, input_byte(input) > 240);
        put_table(input, bytes);
        break;
    default:
        put_range(subject, input, bytes + 8);
        bytes[24 + input_below(input, 4)] = input_byte(input) > 240;
        break;
    }
}

/* A request that means something, or any bytes; framed well or anyhow */
static void take_request(const Subject *subject, Input *input, bool raw,
                         Bytes *bytes)
{
    uint8_t framing;

    memset(bytes, 0, sizeof(*bytes));
    if (raw) {
        size_t size = input_below(input, PVIOMMU_REQUEST_MAX + 1);

        for (size_t i = 0; i < size; i++) {
            bytes->data[i] = input_byte(input);
        }
    } else {
        put_fields(subject, input, bytes->data);
    }
    framing = input_byte(input);
    bytes->readable = full_size(bytes->data[0]);
    bytes->writable = PVIOMMU_TAIL_SIZE;
    if (bytes->data[0] == PVIOMMU_T_PROBE) {
        bytes->writable += subject->model.config.probe_size;
    }
    if (framing & 1 && framing & 8) {
        bytes->readable = input_byte(input);
    }
    if (framing & 2 && framing & 16) {
        bytes->writable = input_word(input);
    }
}

/* The fields, as the specification lays them out; the endpoint as an index */
static PviommuRequest decode(const Subject *subject, const uint8_t *bytes,
                             uint32_t *reserved)
{
    PviommuRequest request = { .type = bytes[0] };
    bool attach = bytes[0] == PVIOMMU_T_ATTACH;
    bool table = bytes[0] == PVIOMMU_T_ATTACH_TABLE;
    bool probe = bytes[0] == PVIOMMU_T_PROBE;
    uint64_t number = le_get(bytes + (probe ? 4 : 8), 4);

    request.endpoint = MODEL_ENDPOINTS;
    for (unsigned i = 0; i < MODEL_ENDPOINTS; i++) {
        if (subject->id[i] == number) {
            request.endpoint = i;
        }
    }
    request.domain = (uint32_t)le_get(bytes + 4, 4);
    request.flags = (uint32_t)le_get(bytes + (attach || table ? 12 : 32), 4);
    request.first = le_get(bytes + 8, 8);
    request.last = le_get(bytes + 16, 8);
    request.phys = le_get(bytes + 24, 8);
    if (table) {
        request.table = (PviommuGuestTable) {
            .format = (uint16_t)le_get(bytes + 32, 2),
            .input_bits = (uint16_t)le_get(bytes + 34, 2),
            .root = le_get(bytes + 16, 8),
            .attributes = le_get(bytes + 24, 8),
        };
    }
    *reserved = table ? 0 : (uint32_t)le_get(bytes + (attach ? 16 : 24), 4);
    return request;
}

/* What framing alone makes of the answer; written is false if that is all */
static PviommuAnswer judge_frame(const Subject *subject, const Bytes *bytes)
{
    PviommuAnswer answer = { .status = PVIOMMU_S_INVAL };
    uint8_t type = bytes->data[0];
    uint32_t probe_size = subject->model.config.probe_size;

    if (bytes->readable < PVIOMMU_HEAD_SIZE) {
        answer.mistakes |= MISTAKE(SHORT_HEAD);
    }
    if (bytes->writable < PVIOMMU_TAIL_SIZE) {
        answer.mistakes |= MISTAKE(NO_TAIL);
    }
    if (answer.mistakes) {
        return answer;
    }
    if (type == 0 || type > PVIOMMU_T_INVALIDATE ||
        (type == PVIOMMU_T_PROBE && probe_size == 0) ||
        (type > PVIOMMU_T_PROBE &&
         !(subject->model.features >> PVIOMMU_F_GUEST_TABLES & 1))) {
        answer.mistakes = MISTAKE(UNKNOWN_TYPE);
    } else if ((type == PVIOMMU_T_MAP || type == PVIOMMU_T_UNMAP) &&
               !(subject->model.features >> PVIOMMU_F_MAP_UNMAP & 1)) {
        answer.mistakes = MISTAKE(NOT_NEGOTIATED);
    } else {
        answer.written = true;
    }
    return answer;
}

/* The whole answer; the model carries the request out */
static PviommuAnswer judge(Subject *subject, const Bytes *bytes)
{
    PviommuAnswer frame = judge_frame(subject, bytes);
    uint8_t type = bytes->data[0];
    size_t properties = type == PVIOMMU_T_PROBE
                        ? subject->model.config.probe_size : 0;
    PviommuRequest request;
    PviommuAnswer answer;
    uint32_t reserved;

    if (!frame.written) {
        return frame;
    }
    if (bytes->readable > full_size(type)) {
        frame.mistakes |= MISTAKE(LONG_BODY);
    }
    if (bytes->writable > PVIOMMU_TAIL_SIZE + properties) {
        frame.mistakes |= MISTAKE(LONG_TAIL);
    }
    if (bytes->readable < full_size(type)) {
        frame.mistakes |= MISTAKE(SHORT_BODY);
        return frame;
    }
    if (bytes->writable < PVIOMMU_TAIL_SIZE + properties) {
        frame.mistakes |= MISTAKE(SHORT_PROPERTIES);
        return frame;
    }
    request = decode(subject, bytes->data, &reserved);
    answer = model_run(&subject->model, &request, reserved);
    answer.mistakes |= frame.mistakes;
    return answer;
}

/* What UNMAP removed is what the model had and has no more, in order */
static void check_removed(const Subject *subject, const Model *before,
                          const PviommuChange *change)
{
    PviommuMappingIter iter = { 0 };
    PviommuMapping mapping;
    uint64_t next = 0;
    unsigned id, count = 0;

    if (change->kind != PVIOMMU_CHANGE_UNMAP) {
        g_assert_false(pviommu_change_next_removed(change, &iter, &mapping));
        return;
    }
    id = pviommu_domain_id(change->domain);
    while (pviommu_change_next_removed(change, &iter, &mapping)) {
        const ModelDomain *domain = &before->domain[id];
        unsigned i = 0;

        g_assert_true(count == 0 || (next && mapping.first >= next));
        next = mapping.last + 1;
        while (domain->mapping[i].first != mapping.first) {
            g_assert_cmpuint(++i, <, domain->count);
        }
        g_assert_cmphex(mapping.last, ==, domain->mapping[i].last);
        g_assert_cmphex(mapping.phys, ==, domain->mapping[i].phys);
        count++;
    }
    g_assert_cmpuint(count, ==, before->domain[id].count -
                                subject->model.domain[id].count);
}

/* End a change; fences that were set meanwhile stand */
static void finish(Subject *subject, const Model *before,
                   PviommuChange *change, bool commit)
{
    Model undone = *before;
    PviommuGroup *group = change->endpoint
                          ? pviommu_endpoint_group(change->endpoint) : NULL;

    if (commit) {
        pviommu_change_commit(subject->iommu, change);
    } else {
        for (unsigned i = 0; i < MODEL_GROUPS; i++) {
            undone.fenced[i] = subject->model.fenced[i] ||
                               (subject->group[i] == group &&
                                before->fenced[i]);
        }
        pviommu_change_undo(subject->iommu, change);
        subject->model = undone;
    }
    g_assert_cmpint(change->kind, ==, PVIOMMU_CHANGE_NONE);
}

static void fence(Subject *subject, Input *input)
{
    unsigned group = input_below(input, MODEL_GROUPS);
    bool fenced = input_below(input, 2);

    subject->model.fenced[group] = fenced;
    pviommu_group_set_fenced(subject->group[group], fenced);
}

/* An OK PROBE holds every region and format once, any other nothing */
static void check_properties(const Subject *subject, const Bytes *bytes,
                             const PviommuAnswer *answer,
                             const uint8_t *properties)
{
    uint32_t size = subject->model.config.probe_size;
    unsigned filled = 0;

    if (bytes->data[0] != PVIOMMU_T_PROBE || !answer->written) {
        return;
    }
    for (uint32_t i = 0; i + PVIOMMU_RESV_MEM_SIZE <= size;
         i += PVIOMMU_RESV_MEM_SIZE) {
        filled += properties[i] != 0;
    }
    if (answer->status == PVIOMMU_S_OK) {
        uint32_t reserved;
        PviommuRequest request = decode(subject, bytes->data, &reserved);
        unsigned group = model_group[request.endpoint];

        for (unsigned i = 0; i < MODEL_REGIONS; i++) {
            const PviommuRegion *region = &subject->model.region[group][i];

            filled -= region->first <= region->last;
        }
        if (subject->model.features >> PVIOMMU_F_GUEST_TABLES & 1) {
            filled -= (unsigned)__builtin_popcount(
                subject->model.formats[group]);
        }
    }
    g_assert_cmpuint(filled, ==, 0);
}

static void run_request(Subject *subject, Input *input, bool raw)
{
    Model before = subject->model;
    g_autofree uint8_t *copy = NULL;
    g_autofree uint8_t *properties =
        g_malloc(subject->model.config.probe_size);
    PviommuAnswer wanted, answer;
    PviommuRequest request;
    PviommuChange change;
    uint8_t then = input_byte(input);
    Bytes bytes;

    take_request(subject, input, raw, &bytes);
    wanted = judge(subject, &bytes);
    /* of exactly the size that core may read, so that ASan sees more */
    copy = g_memdup2(bytes.data, MIN(bytes.readable, sizeof(bytes.data)));
    pviommu_request_run(subject->iommu, copy, bytes.readable, bytes.writable,
                        &request, properties, &answer, &change);
    g_assert_cmpint(answer.written, ==, wanted.written);
    g_assert_cmpint(answer.status, ==, wanted.status);
    g_assert_cmphex(answer.mistakes, ==, wanted.mistakes);
    check_properties(subject, &bytes, &answer, properties);
    if (answer.status != PVIOMMU_S_OK) {
        g_assert_cmpint(change.kind, ==, PVIOMMU_CHANGE_NONE);
    }
    check_removed(subject, &before, &change);
    if (then & 1) {
        subject_translate(subject, input);
    }
    if ((then & 6) == 6) {
        fence(subject, input);
    }
    if (then & 8) {
        subject_check(subject);
    }
    finish(subject, &before, &change, then & 0x30);
}

static void run_step(Subject *subject, Input *input)
{
    unsigned what = input_byte(input);

    switch (what) {
    case 0:
        subject_reset(subject);
        break;
    case 1:
        subject->model.config.bypass ^= true;
        pviommu_iommu_set_bypass(subject->iommu,
                                 subject->model.config.bypass);
        break;
    case 2:
        what = input_byte(input);
        /* bit 7 is no feature */
        subject->model.features = (what & 0x7f) |
            (uint64_t)(what >> 7) << PVIOMMU_F_GUEST_TABLES;
        pviommu_iommu_set_features(subject->iommu, subject->model.features);
        break;
    case 3:
        fence(subject, input);
        break;
    case 4:
        subject_set_regions(subject, input_below(input, MODEL_GROUPS), input);
        break;
    case 5:
        what = input_below(input, MODEL_ENDPOINTS);
        subject_ask(subject, what,
                    numbers[input_below(input, G_N_ELEMENTS(numbers))]);
        break;
    case 6:
        subject_renumber(subject);
        break;
    case 7:
        subject_replug(subject, input_below(input, MODEL_ENDPOINTS));
        break;
    case 8:
        subject_check(subject);
        break;
    default:
        if (what < 64) {
            subject_translate(subject, input);
        } else {
            run_request(subject, input, what < 80);
        }
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Input input = { data, size };
    Subject *subject = subject_new(&input);

    for (unsigned i = 0; i < STEPS_MAX && input.left > 0; i++) {
        run_step(subject, &input);
    }
    subject_check(subject);
    subject_free(subject);
    return 0;
}
