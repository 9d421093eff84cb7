/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu: the commands that are added to QEMU's monitor protocol
 *
 * Source: docs/interop/pviommu-qmp.md.  QEMU runs them in the main loop with
 * the big lock.  Their arguments are read as QEMU reads those of its schema.
 */
#include "qemu/osdep.h"

#include "monitor/monitor-internal.h"
#include "qapi/error.h"
#include "qapi/qobject-input-visitor.h"
#include "qapi/visitor.h"
#include "qobject/qdict.h"
#include "qobject/qlist.h"
#include "qobject/qnum.h"
#include "topology/topology.h"
#include "virtio/virtio.h"

/* Mappings in an answer, which libvirt and qemu.qmp take up to 10 MiB of */
#define MAPPINGS_DEFAULT 1000
#define MAPPINGS_MAX 10000

/* Entries of a guest's table that are read for an answer */
#define ENTRIES_MAX (UINT64_C(1) << 17)

/**
 * struct Arguments - of query-pviommu-mappings
 * @device: id or QOM path; NULL if not given
 * @has_domain: @domain is given
 * @has_endpoint: @endpoint is given
 * @domain: number of a domain
 * @endpoint: number of an endpoint
 * @from: lowest IOVA of interest
 * @max: how many mappings
 */
typedef struct Arguments {
    char *device;
    bool has_domain;
    bool has_endpoint;
    uint32_t domain;
    uint32_t endpoint;
    uint64_t from;
    uint64_t max;
} Arguments;

/**
 * struct Page - mappings to be told in one answer
 * @mappings: PviommuMapping, @max at most
 * @max: how many
 * @more: there may be more
 * @next: where to go on for them
 * @sweep: of a table of the guest's, while it is under way
 */
typedef struct Page {
    GArray *mappings;
    uint64_t max;
    bool more;
    uint64_t next;
    PviommuSweep sweep;
} Page;

static QObject *number(uint64_t value)
{
    return QOBJECT(qnum_from_uint(value));
}

/* An optional number; QEMU's visitor takes -1 for 2^64 - 1 */
static bool read_number(Visitor *v, QDict *args, const char *name, bool *given,
                        uint64_t *value, uint64_t last, Error **errp)
{
    bool present = visit_optional(v, name, given);
    int64_t negative;

    if (!present) {
        return true;
    }
    if (!visit_type_uint64(v, name, value, errp)) {
        return false;
    }
    if (*value > last ||
        (qnum_get_try_int(qobject_to(QNum, qdict_get(args, name)),
                          &negative) && negative < 0)) {
        error_setg(errp, "'%s' is 0 to %" PRIu64, name, last);
        return false;
    }
    return true;
}

static bool read_id(Visitor *v, QDict *args, const char *name, bool *given,
                    uint32_t *id, Error **errp)
{
    uint64_t value = 0;
    bool ok = read_number(v, args, name, given, &value, UINT32_MAX, errp);

    *id = value;
    return ok;
}

static bool read_members(Visitor *v, QDict *args, Arguments *a, Error **errp)
{
    bool given = false;

    if (visit_optional(v, "device", &given) &&
        !visit_type_str(v, "device", &a->device, errp)) {
        return false;
    }
    return read_id(v, args, "domain", &a->has_domain, &a->domain, errp) &&
           read_id(v, args, "endpoint", &a->has_endpoint, &a->endpoint,
                   errp) &&
           read_number(v, args, "from", &given, &a->from, UINT64_MAX, errp) &&
           read_number(v, args, "max", &given, &a->max, UINT64_MAX, errp);
}

/* Without @a there is none to be read, and none may be given */
static bool read_arguments(QDict *args, Arguments *a, Error **errp)
{
    Visitor *v = qobject_input_visitor_new(QOBJECT(args));
    bool ok = visit_start_struct(v, NULL, NULL, 0, errp);

    if (ok) {
        ok = (!a || read_members(v, args, a, errp)) &&
             visit_check_struct(v, errp);
        visit_end_struct(v, NULL);
    }
    visit_free(v);
    return ok;
}

static QDict *new_host_memory(const PviommuHostMemory *memory)
{
    QDict *dict = qdict_new();

    qdict_put_obj(dict, "pinned-bytes", number(memory->pinned));
    qdict_put_obj(dict, "locked-bytes", number(memory->locked));
    if (memory->limit != UINT64_MAX) {
        qdict_put_obj(dict, "limit-bytes", number(memory->limit));
    }
    return dict;
}

static void query(QDict *args, QObject **ret, Error **errp)
{
    PviommuDevice *s = NULL;
    PviommuHostMemory memory;
    QList *instances;
    QDict *answer;

    if (!read_arguments(args, NULL, errp)) {
        return;
    }
    instances = qlist_new();
    while ((s = pviommu_next(s))) {
        qlist_append(instances, pviommu_introspect(s));
    }
    answer = qdict_new();
    qdict_put_str(answer, "version", PVIOMMU_VERSION);
    qdict_put(answer, "instances", instances);
    if (pviommu_host_memory_read(&memory)) {
        qdict_put(answer, "host-memory", new_host_memory(&memory));
    }
    *ret = QOBJECT(answer);
}

static bool is_called(PviommuDevice *s, const char *name)
{
    DeviceState *dev = pviommu_introspect_device(s);
    g_autofree char *path = object_get_canonical_path(OBJECT(dev));

    return !g_strcmp0(dev->id, name) || !strcmp(path, name);
}

static PviommuDevice *find_instance(const char *name, Error **errp)
{
    PviommuDevice *s = NULL, *found = NULL;
    unsigned count = 0;

    while ((s = pviommu_next(s))) {
        if (!name || is_called(s, name)) {
            found = s;
            count++;
        }
    }
    if (count == 1) {
        return found;
    }
    if (name) {
        error_setg(errp, "no pviommu device has the id or path '%s'; "
                   "query-pviommu lists them", name);
    } else if (count) {
        error_setg(errp, "there are %u pviommu devices: name one by 'device'; "
                   "query-pviommu lists them", count);
    } else {
        error_setg(errp, "there is no pviommu device: start QEMU with "
                   "-device pviommu-pci");
    }
    return NULL;
}

/* The domain of an endpoint; @s is held */
static PviommuDomain *find_by_endpoint(PviommuDevice *s, uint32_t id,
                                       Error **errp)
{
    PviommuEndpoint *endpoint;
    PviommuDomain *domain;

    pviommu_endpoints_renumber(s);
    endpoint = pviommu_iommu_endpoint(s->iommu, id);
    if (!endpoint) {
        error_setg(errp, "there is no endpoint %" PRIu32 "; query-pviommu "
                   "lists them", id);
        return NULL;
    }
    domain = pviommu_endpoint_domain(endpoint);
    if (!domain) {
        error_setg(errp, "endpoint %" PRIu32 " is attached to no domain: it "
                   "has no mappings", id);
    }
    return domain;
}

static PviommuDomain *find_domain(PviommuDevice *s, const Arguments *a,
                                  Error **errp)
{
    PviommuDomain *domain;

    if (a->has_endpoint) {
        return find_by_endpoint(s, a->endpoint, errp);
    }
    domain = pviommu_iommu_domain(s->iommu, a->domain);
    if (!domain) {
        error_setg(errp, "there is no domain %" PRIu32 "; query-pviommu "
                   "lists them", a->domain);
    }
    return domain;
}

/* Whether there was room; where not, that is where to go on */
static bool take(Page *page, const PviommuMapping *mapping)
{
    if (page->mappings->len == page->max) {
        page->more = true;
        page->next = mapping->first;
        return false;
    }
    g_array_append_val(page->mappings, *mapping);
    return true;
}

static void take_run(const PviommuMapping *run, void *opaque)
{
    Page *page = opaque;

    if (!page->more && !take(page, run)) {
        page->sweep.left = 0;
    }
}

/* As the table is now, whoever walks it or is told of it */
static void fill_from_table(Page *page, const PviommuGuestTable *table,
                            uint64_t from, uint64_t last)
{
    PviommuEntryCache cache = { };

    page->sweep = (PviommuSweep) {
        .read = pviommu_read_entry_cached,
        .read_opaque = &cache,
        .found = take_run,
        .found_opaque = page,
        .left = ENTRIES_MAX,
    };
    if (from <= last && !pviommu_table_sweep(table, from, last,
                                             &page->sweep) && !page->more) {
        page->more = true;
        page->next = page->sweep.stopped;
    }
}

static void fill_from_set(Page *page, const PviommuMappings *set,
                          uint64_t from)
{
    PviommuMappingIter iter = { .next = from };
    PviommuMapping mapping;
    bool room = true;

    while (room && pviommu_mappings_next(set, &iter, UINT64_MAX, &mapping)) {
        room = take(page, &mapping);
    }
}

static QDict *new_mapping(const PviommuMapping *mapping)
{
    QDict *dict = qdict_new();

    qdict_put_obj(dict, "first", number(mapping->first));
    qdict_put_obj(dict, "last", number(mapping->last));
    qdict_put_obj(dict, "phys", number(mapping->phys));
    qdict_put_bool(dict, "read", mapping->flags & PVIOMMU_MAP_F_READ);
    qdict_put_bool(dict, "write", mapping->flags & PVIOMMU_MAP_F_WRITE);
    qdict_put_bool(dict, "mmio", mapping->flags & PVIOMMU_MAP_F_MMIO);
    return dict;
}

/* No more than what must be done while requests wait */
static QDict *read_page(PviommuDevice *s, const Arguments *a, Page *page,
                        Error **errp)
{
    PVIOMMU_HOLD_GUARD(s);
    PviommuDomain *domain = find_domain(s, a, errp);
    const PviommuGuestTable *table;
    QDict *answer;

    if (!domain) {
        return NULL;
    }
    table = pviommu_domain_table(domain);
    if (table) {
        fill_from_table(page, table, a->from,
                        pviommu_iommu_config(s->iommu)->input_last);
    } else if (!pviommu_domain_bypass(domain)) {
        fill_from_set(page, pviommu_domain_mappings(domain), a->from);
    }
    answer = qdict_new();
    qdict_put_obj(answer, "domain", number(pviommu_domain_id(domain)));
    qdict_put_str(answer, "kind", pviommu_introspect_kind(domain));
    return answer;
}

static QDict *new_answer(const Arguments *a, Error **errp)
{
    PviommuDevice *s;
    QDict *answer;
    Page page = { .max = a->max };

    if (a->has_domain == a->has_endpoint) {
        error_setg(errp, "name either a 'domain' or an 'endpoint'");
        return NULL;
    }
    if (!a->max || a->max > MAPPINGS_MAX) {
        error_setg(errp, "'max' is 1 to %u; go on with 'from'", MAPPINGS_MAX);
        return NULL;
    }
    s = find_instance(a->device, errp);
    if (!s) {
        return NULL;
    }
    page.mappings = g_array_new(FALSE, FALSE, sizeof(PviommuMapping));
    answer = read_page(s, a, &page, errp);
    if (answer) {
        QList *list = qlist_new();

        for (unsigned i = 0; i < page.mappings->len; i++) {
            qlist_append(list, new_mapping(&g_array_index(
                             page.mappings, PviommuMapping, i)));
        }
        qdict_put(answer, "mappings", list);
        if (page.more) {
            qdict_put_obj(answer, "next", number(page.next));
        }
    }
    g_array_free(page.mappings, TRUE);
    return answer;
}

static void query_mappings(QDict *args, QObject **ret, Error **errp)
{
    Arguments a = { .max = MAPPINGS_DEFAULT };

    if (read_arguments(args, &a, errp)) {
        QDict *answer = new_answer(&a, errp);

        *ret = answer ? QOBJECT(answer) : NULL;
    }
    g_free(a.device);
}

void pviommu_qmp_register(void)
{
    static const struct {
        const char *name;
        QmpCommandFunc *function;
    } commands[] = {
        { "query-pviommu", query },
        { "query-pviommu-mappings", query_mappings },
    };

    for (unsigned i = 0; i < ARRAY_SIZE(commands); i++) {
        qmp_register_command(&qmp_commands, commands[i].name,
                             commands[i].function, 0, 0);
    }
}
