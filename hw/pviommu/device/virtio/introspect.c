/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu: state and counters, for qom-get and query-pviommu
 *
 * What there is is told in one table, of which each entry is a property of the
 * device and a member of what query-pviommu says of it.  The names are
 * documented in docs/system/pviommu.md and docs/interop/pviommu-qmp.md.
 */
#include "qemu/osdep.h"

#include "hw/pci/pci_bus.h"
#include "hw/pci/pci_device.h"
#include "pviommu/nest.h"
#include "qemu/atomic.h"
#include "qobject/qbool.h"
#include "qobject/qdict.h"
#include "qobject/qlist.h"
#include "qobject/qnum.h"
#include "qobject/qnull.h"
#include "qapi/visitor.h"
#include "spaces/spaces.h"
#include "topology/topology.h"
#include "virtio/virtio.h"

/* Returns NULL where there is no such thing */
typedef QObject *Reader(PviommuDevice *s);

static QObject *number(uint64_t value)
{
    return QOBJECT(qnum_from_uint(value));
}

static const char *state_name(PviommuState state)
{
    switch (state) {
    case PVIOMMU_BLOCKED:
        return "blocked";
    case PVIOMMU_BYPASS:
        return "bypass";
    case PVIOMMU_TRANSLATED:
        return "translated";
    }
    g_assert_not_reached();
}

/* An endpoint may have lost its number and be attached all the same */
static void add_id(QList *list, const PviommuEndpoint *endpoint)
{
    uint64_t id = pviommu_endpoint_id(endpoint);

    if (id != PVIOMMU_NO_ID) {
        qlist_append_obj(list, number(id));
    }
}

/* The table of the guest's that a domain has */
static QDict *new_table(const PviommuDomain *domain)
{
    static const char *const formats[PVIOMMU_FORMAT__MAX] = {
        [PVIOMMU_FORMAT_X86_64] = "x86_64",
        [PVIOMMU_FORMAT_ARM_LPAE] = "arm-lpae",
    };
    const PviommuGuestTable *table = pviommu_domain_table(domain);
    QDict *dict = qdict_new();

    qdict_put_str(dict, "format", formats[table->format]);
    qdict_put_obj(dict, "input-bits", number(table->input_bits));
    qdict_put_obj(dict, "root", number(table->root));
    qdict_put_bool(dict, "shadowed", pviommu_domain_shadowed(domain));
    return dict;
}

const char *pviommu_introspect_kind(const PviommuDomain *domain)
{
    return pviommu_domain_bypass(domain) ? "bypass" :
           pviommu_domain_table(domain) ? "table" : "paging";
}

typedef struct DomainList {
    PviommuDevice *device;
    QList *list;
} DomainList;

static void add_domain(PviommuDomain *domain, void *opaque)
{
    DomainList *domains = opaque;
    const GPtrArray *endpoints = domains->device->endpoints;
    const PviommuMappings *set = pviommu_domain_mappings(domain);
    bool bypass = pviommu_domain_bypass(domain);
    QDict *entry = qdict_new();
    QList *members = qlist_new();

    for (unsigned i = 0; i < endpoints->len; i++) {
        PviommuBusEndpoint *e = g_ptr_array_index(endpoints, i);

        if (pviommu_endpoint_domain(e->endpoint) == domain) {
            add_id(members, e->endpoint);
        }
    }
    qdict_put_obj(entry, "id", number(pviommu_domain_id(domain)));
    qdict_put_str(entry, "kind", pviommu_introspect_kind(domain));
    qdict_put(entry, "endpoints", members);
    if (pviommu_domain_table(domain)) {
        qdict_put(entry, "table", new_table(domain));
    }
    qdict_put_obj(entry, "mappings",
                  number(bypass ? 0 : pviommu_mappings_count(set)));
    qdict_put_obj(entry, "mapped-bytes",
                  number(bypass ? 0 : pviommu_mappings_bytes(set)));
    qlist_append(domains->list, entry);
}

static QObject *read_domains(PviommuDevice *s)
{
    DomainList domains = { .device = s, .list = qlist_new() };

    pviommu_endpoints_renumber(s);
    pviommu_iommu_foreach_domain(s->iommu, add_domain, &domains);
    return QOBJECT(domains.list);
}

/* What is known of any device; @state is NULL for one that is unprotected */
static QDict *new_entry(PviommuDevice *s, DeviceState *dev, uint64_t id,
                        const char *state)
{
    g_autofree char *path = object_get_canonical_path(OBJECT(dev));
    QDict *entry = qdict_new();

    qdict_put_obj(entry, "id", number(id));
    qdict_put_str(entry, "device", path);
    qdict_put_str(entry, "type", object_get_typename(OBJECT(dev)));
    qdict_put_str(entry, "state", state ?: "unprotected");
    if (!state) {
        qdict_put_str(entry, "reason", pviommu_unprotected(s, dev));
    }
    return entry;
}

static void add_past(PviommuDevice *s, QList *list, DeviceState *dev,
                     uint64_t id)
{
    QDict *entry = new_entry(s, dev, id, NULL);

    qdict_put_str(entry, "host-path", "none");
    qdict_put_bool(entry, "fenced", false);
    qlist_append(list, entry);
}

/* Devices that no request can name, as they are past the IOMMU */
static void add_all_past(PviommuDevice *s, QList *list)
{
    g_autoptr(GPtrArray) functions = pviommu_past_bus(s);
    g_autoptr(GPtrArray) slots = pviommu_past_slots(s);

    for (unsigned i = 0; i < functions->len; i++) {
        PCIDevice *pdev = g_ptr_array_index(functions, i);

        add_past(s, list, DEVICE(pdev), pci_get_bdf(pdev));
    }
    for (unsigned i = 0; i < slots->len; i++) {
        DeviceState *dev = g_ptr_array_index(slots, i);

        add_past(s, list, dev, pviommu_slot_id(pviommu_slot_of(dev)));
    }
}

static QObject *read_endpoints(PviommuDevice *s)
{
    QList *list = qlist_new();

    pviommu_endpoints_renumber(s);
    for (unsigned i = 0; i < s->endpoints->len; i++) {
        PviommuBusEndpoint *e = g_ptr_array_index(s->endpoints, i);
        PviommuDomain *domain = pviommu_endpoint_domain(e->endpoint);
        g_autofree char *host = e->space->ops->devices(e->space);
        bool past = !e->requester && pviommu_unprotected(s, e->dev);
        uint64_t id = pviommu_endpoint_id(e->endpoint);
        QDict *entry;

        if (id == PVIOMMU_NO_ID) {
            continue;
        }
        entry = new_entry(s, e->dev, id, past ? NULL
                          : state_name(pviommu_group_state(e->space->group)));
        qdict_put_str(entry, "host-path", e->space->ops->path(e->space));
        if (host) {
            qdict_put_str(entry, "host-device", host);
        }
        qdict_put_bool(entry, "fenced", pviommu_group_fenced(e->space->group));
        if (domain) {
            qdict_put_obj(entry, "domain",
                          number(pviommu_domain_id(domain)));
        }
        qlist_append(list, entry);
    }
    add_all_past(s, list);
    return QOBJECT(list);
}

static void add_table(const PviommuTable *table, PviommuDomain *domain,
                      void *opaque)
{
    DomainList *tables = opaque;
    const GPtrArray *endpoints = tables->device->endpoints;
    bool nested = pviommu_nested_parent(table);
    QDict *entry = qdict_new();
    QList *members = qlist_new();

    for (unsigned i = 0; i < endpoints->len; i++) {
        PviommuBusEndpoint *e = g_ptr_array_index(endpoints, i);

        if (pviommu_space_is_on(e->space, table)) {
            add_id(members, e->endpoint);
        }
    }
    qdict_put_str(entry, "iommufd", object_get_canonical_path_component(
                      OBJECT(table->iommufd->backend)));
    qdict_put_str(entry, "holds", !domain ? "guest-memory" :
                  nested ? "guest-table" : "mappings");
    if (domain) {
        qdict_put_obj(entry, "domain", number(pviommu_domain_id(domain)));
    }
    if (!nested) {
        qdict_put_obj(entry, "ioas", number(table->ioas));
    }
    qdict_put(entry, "endpoints", members);
    qdict_put_obj(entry, "nested", number(table->children));
    qdict_put_bool(entry, "partial", table->partial);
    qlist_append(tables->list, entry);
}

static QObject *read_host_tables(PviommuDevice *s)
{
    DomainList tables = { .device = s, .list = qlist_new() };

    pviommu_endpoints_renumber(s);
    pviommu_tables_foreach(s, add_table, &tables);
    return QOBJECT(tables.list);
}

static QList *feature_list(uint64_t features)
{
    static const struct {
        unsigned bit;
        const char *name;
    } known[] = {
        { PVIOMMU_F_INPUT_RANGE, "INPUT_RANGE" },
        { PVIOMMU_F_DOMAIN_RANGE, "DOMAIN_RANGE" },
        { PVIOMMU_F_MAP_UNMAP, "MAP_UNMAP" },
        { PVIOMMU_F_PROBE, "PROBE" },
        { PVIOMMU_F_MMIO, "MMIO" },
        { PVIOMMU_F_BYPASS_CONFIG, "BYPASS_CONFIG" },
        { PVIOMMU_F_GUEST_TABLES, "GUEST_TABLES" },
    };
    QList *list = qlist_new();

    for (unsigned i = 0; i < ARRAY_SIZE(known); i++) {
        if (features & BIT_ULL(known[i].bit)) {
            qlist_append_str(list, known[i].name);
        }
    }
    return list;
}

/* The specification's own; QEMU tells of those that all devices have */
static QObject *read_features(PviommuDevice *s)
{
    const VirtIODevice *vdev = VIRTIO_DEVICE(s);
    QDict *dict = qdict_new();

    qdict_put(dict, "offered", feature_list(vdev->host_features));
    qdict_put(dict, "accepted", feature_list(vdev->guest_features));
    return QOBJECT(dict);
}

static QObject *read_driver_ok(PviommuDevice *s)
{
    return QOBJECT(qbool_from_bool(VIRTIO_DEVICE(s)->status &
                                   VIRTIO_CONFIG_S_DRIVER_OK));
}

static QObject *read_bypass(PviommuDevice *s)
{
    return QOBJECT(qbool_from_bool(pviommu_iommu_config(s->iommu)->bypass));
}

static QObject *read_granule_bytes(PviommuDevice *s)
{
    uint64_t mask = pviommu_iommu_config(s->iommu)->page_size_mask;

    return number(mask & -mask);
}

static QObject *read_address_bits(PviommuDevice *s)
{
    return number(64 - clz64(pviommu_iommu_config(s->iommu)->input_last));
}

static QObject *read_msi_window(PviommuDevice *s)
{
    for (unsigned i = 0; i < s->nr_regions; i++) {
        if (s->regions[i].type == PVIOMMU_REGION_MSI) {
            QDict *dict = qdict_new();

            qdict_put_obj(dict, "first", number(s->regions[i].first));
            qdict_put_obj(dict, "last", number(s->regions[i].last));
            return QOBJECT(dict);
        }
    }
    return NULL;
}

static QObject *read_mappings(PviommuDevice *s)
{
    return number(pviommu_iommu_mapping_count(s->iommu));
}

static void add_bytes(PviommuDomain *domain, void *opaque)
{
    uint64_t *sum = opaque;

    if (!pviommu_domain_bypass(domain)) {
        *sum += pviommu_mappings_bytes(pviommu_domain_mappings(domain));
    }
}

static QObject *read_mapped_bytes(PviommuDevice *s)
{
    uint64_t sum = 0;

    pviommu_iommu_foreach_domain(s->iommu, add_bytes, &sum);
    return number(sum);
}

/* Types of requests that there are, and one */
static unsigned types_of(const PviommuDevice *s)
{
    return s->guest_tables ? PVIOMMU_T__MAX : PVIOMMU_T_PROBE + 1;
}

static QObject *read_requests(PviommuDevice *s)
{
    QDict *dict = qdict_new();

    for (unsigned type = 0; type < types_of(s); type++) {
        qdict_put_obj(dict, pviommu_request_type_name(type),
                      number(s->counters.requests[type]));
    }
    return QOBJECT(dict);
}

/* What was refused, by type and status; only what happened */
static QObject *read_statuses(PviommuDevice *s)
{
    QDict *dict = qdict_new();

    for (unsigned type = 1; type < types_of(s); type++) {
        QDict *of_type = qdict_new();

        for (unsigned i = PVIOMMU_S_OK + 1; i < PVIOMMU_S__MAX; i++) {
            if (s->counters.statuses[type][i]) {
                qdict_put_obj(of_type, pviommu_status_name(i),
                              number(s->counters.statuses[type][i]));
            }
        }
        qdict_put(dict, pviommu_request_type_name(type), of_type);
    }
    return QOBJECT(dict);
}

static QObject *read_mistakes(PviommuDevice *s)
{
    QDict *dict = qdict_new();

    for (unsigned i = 0; i < PVIOMMU_MISTAKE__ALL; i++) {
        qdict_put_obj(dict, pviommu_device_mistake_name(i),
                      number(s->counters.mistakes[i]));
    }
    return QOBJECT(dict);
}

static QObject *read_kicks(PviommuDevice *s)
{
    return number(qatomic_read(&s->counters.kicks));
}

static QObject *read_host_refusals(PviommuDevice *s)
{
    return number(s->counters.host_refusals);
}

static QObject *read_mmio_left_out(PviommuDevice *s)
{
    return number(s->counters.mmio_left_out);
}

static QObject *read_faults_reported(PviommuDevice *s)
{
    return number(s->counters.faults_reported);
}

static QObject *read_faults_dropped(PviommuDevice *s)
{
    return number(s->counters.faults_dropped);
}

static const struct {
    const char *name;
    const char *type;
    Reader *read;
    const char *description;
} readers[] = {
    { "driver-ok", "bool", read_driver_ok, "the guest's driver is ready" },
    { "features", "dict", read_features,
      "features of an IOMMU that are offered, and that the driver accepted" },
    { "bypass", "bool", read_bypass, "what is attached nowhere is in bypass" },
    { "granule-bytes", "uint64", read_granule_bytes,
      "the least size of a mapping" },
    { "address-bits", "uint64", read_address_bits, "width of an IOVA" },
    { "msi-window", "dict", read_msi_window,
      "addresses where stores are interrupts" },
    { "domains", "list", read_domains,
      "domains with their endpoints and mappings" },
    { "endpoints", "list", read_endpoints,
      "endpoints with their state, domain and path to the host" },
    { "host-tables", "list", read_host_tables,
      "page tables that the host has for the IOMMU, and who is on them" },
    { "mappings", "uint64", read_mappings, "mappings in all domains" },
    { "mapped-bytes", "uint64", read_mapped_bytes,
      "bytes of IOVA mapped in all domains" },
    { "requests", "dict", read_requests, "requests by type" },
    { "statuses", "dict", read_statuses,
      "statuses other than OK, by type of request" },
    { "kicks", "uint64", read_kicks,
      "times that the guest notified of new requests" },
    { "host-refusals", "uint64", read_host_refusals,
      "what the host would not map or unmap" },
    { "mmio-left-out", "uint64", read_mmio_left_out,
      "MAPs of MMIO of which no host could map anything" },
    { "faults-reported", "uint64", read_faults_reported,
      "faults that the guest was told of" },
    { "faults-dropped", "uint64", read_faults_dropped,
      "faults that it was not: no buffer, too many at once, or a reset" },
    { "mistakes", "dict", read_mistakes, "guest mistakes by kind" },
};

static void get(Object *obj, Visitor *v, const char *name, void *opaque,
                Error **errp)
{
    PviommuDevice *s = PVIOMMU_DEVICE(obj);
    const unsigned *index = opaque;
    PVIOMMU_HOLD_GUARD(s);
    QObject *value = s->iommu ? readers[*index].read(s) : NULL;

    value = value ?: QOBJECT(qnull());
    visit_type_any(v, name, &value, errp);
    qobject_unref(value);
}

DeviceState *pviommu_introspect_device(PviommuDevice *s)
{
    return s->function ? DEVICE(s->function) : DEVICE(s);
}

QDict *pviommu_introspect(PviommuDevice *s)
{
    DeviceState *dev = pviommu_introspect_device(s);
    g_autofree char *path = object_get_canonical_path(OBJECT(dev));
    QDict *dict = qdict_new();
    PVIOMMU_HOLD_GUARD(s);

    if (dev->id) {
        qdict_put_str(dict, "id", dev->id);
    }
    qdict_put_str(dict, "path", path);
    qdict_put_str(dict, "transport", s->function ? "pci" : "mmio");
    if (s->primary_bus) {
        qdict_put_str(dict, "primary-bus", BUS(s->primary_bus)->name);
    }
    if (s->iothread_name) {
        qdict_put_str(dict, "iothread", s->iothread_name);
    }
    for (unsigned i = 0; i < ARRAY_SIZE(readers); i++) {
        QObject *value = readers[i].read(s);

        if (value) {
            qdict_put_obj(dict, readers[i].name, value);
        }
    }
    return dict;
}

void pviommu_introspect_class_init(ObjectClass *oc)
{
    static unsigned index[ARRAY_SIZE(readers)];

    for (unsigned i = 0; i < ARRAY_SIZE(readers); i++) {
        index[i] = i;
        object_class_property_add(oc, readers[i].name, readers[i].type, get,
                                  NULL, NULL, &index[i]);
        object_class_property_set_description(oc, readers[i].name,
                                              readers[i].description);
    }
}
