/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A driver of the IOMMU for tests
 */
#include "qemu/osdep.h"

#include "qobject/qnum.h"
#include "qobject/qstring.h"
#include "standard-headers/linux/pci_regs.h"
#include "viommu.h"

/* Guest memory that libqos may hand out: behind the low one and the tests' */
#define ALLOC_FIRST (RAM + 0x8000000)
#define ALLOC_END (RAM + 0x10000000)

/* How much of it the driver of another IOMMU has for itself */
#define BESIDE_SIZE (2 * VIOMMU_DATA_SIZE)

static uint8_t read_status(Viommu *v)
{
    return v->vdev->bus->get_status(v->vdev);
}

void viommu_set_status(Viommu *v, uint8_t status)
{
    v->vdev->bus->set_status(v->vdev, status);
}

void viommu_wait_needs_reset(Viommu *v)
{
    gint64 end = g_get_monotonic_time() + VIOMMU_TIMEOUT_US;

    while (!(read_status(v) & VIRTIO_CONFIG_S_NEEDS_RESET)) {
        g_assert_cmpint(g_get_monotonic_time(), <, end);
    }
}

void viommu_map_registers(Viommu *v)
{
    board_forget_device(v);
    board_find_device(v);
    g_assert_cmpuint(v->vdev->device_type, ==, 23);
}

void viommu_adopt(Viommu *v)
{
    alloc_init(&v->alloc, 0, ALLOC_FIRST, ALLOC_END, 4096);
    v->id = "iommu";
    v->bdf = VIOMMU_OWN_BDF;
    v->bus = board_pci_new(v);
    v->data = guest_alloc(&v->alloc, VIOMMU_DATA_SIZE);
    viommu_map_registers(v);
}

Viommu *viommu_boot(const char *properties, const char *args)
{
    g_autofree char *device = board_device_arg(properties);
    Viommu *v = g_new0(Viommu, 1);

    v->qts = qtest_initf("-machine %s -m 256M -nodefaults %s %s",
                         board()->machine, device, args ?: "");
    viommu_adopt(v);
    return v;
}

void viommu_set_window(Viommu *v, int bdf, uint32_t first, uint32_t last)
{
    QPCIDevice *bridge = qpci_device_find(v->bus, bdf);

    g_assert_nonnull(bridge);
    qpci_config_writew(bridge, PCI_MEMORY_BASE, first >> 16);
    qpci_config_writew(bridge, PCI_MEMORY_LIMIT, last >> 16);
    qpci_config_writew(bridge, PCI_COMMAND, PCI_COMMAND_MEMORY |
                       PCI_COMMAND_MASTER);
    g_free(bridge);
}

void viommu_set_bridge(Viommu *v, int bdf, int primary, int secondary,
                       int last)
{
    QPCIDevice *bridge = qpci_device_find(v->bus, bdf);

    g_assert_nonnull(bridge);
    qpci_config_writeb(bridge, PCI_PRIMARY_BUS, primary);
    qpci_config_writeb(bridge, PCI_SECONDARY_BUS, secondary);
    qpci_config_writeb(bridge, PCI_SUBORDINATE_BUS, last);
    g_free(bridge);
    viommu_set_window(v, bdf, 0xe0000000, 0xfbffffff);
}

void viommu_unplug(Viommu *v, const char *id)
{
    qtest_qmp_device_del_send(v->qts, id);
    qtest_system_reset_nowait(v->qts);
    qtest_qmp_eventwait(v->qts, "DEVICE_DELETED");
}

bool viommu_begin(Viommu *v, uint64_t mask)
{
    QVirtioDevice *vdev = v->vdev;
    uint8_t status = VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER;

    viommu_set_status(v, 0);
    g_assert_cmphex(read_status(v), ==, 0);
    viommu_set_status(v, VIRTIO_CONFIG_S_ACKNOWLEDGE);
    viommu_set_status(v, status);
    v->features = vdev->bus->get_features(vdev) & mask;
    v->features |= FEATURE(VIRTIO_F_VERSION_1);
    v->features &= ~FEATURE(VIRTIO_F_RING_PACKED);
    vdev->bus->set_features(vdev, v->features);
    viommu_set_status(v, status | VIRTIO_CONFIG_S_FEATURES_OK);
    return read_status(v) & VIRTIO_CONFIG_S_FEATURES_OK;
}

static void setup_queue(Viommu *v, ViommuQueue *queue, unsigned index)
{
    QVirtioDevice *vdev = v->vdev;
    unsigned size = v->queue_size ?: VIOMMU_QUEUE_SIZE;

    if (queue->desc) {
        guest_free(&v->alloc, queue->desc);
    }
    vdev->bus->queue_select(vdev, index);
    board_assert_queue_max(vdev->bus->get_queue_size(vdev));
    *queue = (ViommuQueue) { .index = index, .size = size };
    queue->desc = guest_alloc(&v->alloc, 3 * 4096);
    queue->avail = queue->desc + 4096;
    queue->used = queue->desc + 2 * 4096;
    qtest_memset(v->qts, queue->desc, 0, 3 * 4096);
    board_enable_queue(v, queue);
}

void viommu_queues(Viommu *v)
{
    setup_queue(v, &v->requests, 0);
    setup_queue(v, &v->events, 1);
}

void viommu_negotiate(Viommu *v, uint64_t mask)
{
    g_assert_true(viommu_begin(v, mask));
    viommu_queues(v);
    viommu_set_status(v, read_status(v) | VIRTIO_CONFIG_S_DRIVER_OK);
}

Viommu *viommu_start(const char *properties, const char *args)
{
    Viommu *v = viommu_boot(properties, args);

    viommu_negotiate(v, ALL_FEATURES);
    return v;
}

Viommu *viommu_beside(Viommu *v, const char *id, int bdf)
{
    Viommu *beside = g_new0(Viommu, 1);
    uint64_t room = guest_alloc(&v->alloc, BESIDE_SIZE);

    beside->qts = v->qts;
    beside->id = id;
    beside->bdf = bdf;
    beside->bus = v->bus;
    alloc_init(&beside->alloc, 0, room, room + BESIDE_SIZE, 4096);
    beside->data = guest_alloc(&beside->alloc, VIOMMU_DATA_SIZE);
    viommu_map_registers(beside);
    viommu_negotiate(beside, ALL_FEATURES);
    return beside;
}

void viommu_forget(Viommu *v)
{
    board_forget_device(v);
    alloc_destroy(&v->alloc);
    g_free(v);
}

void viommu_stop(Viommu *v)
{
    QTestState *qts = v->qts;

    board_pci_free(v->bus);
    viommu_forget(v);
    qtest_quit(qts);
}

void viommu_assert_alive(Viommu *v)
{
    g_assert_cmphex(read_status(v), ==, VIRTIO_CONFIG_S_ACKNOWLEDGE |
                    VIRTIO_CONFIG_S_DRIVER | VIRTIO_CONFIG_S_FEATURES_OK |
                    VIRTIO_CONFIG_S_DRIVER_OK);
    /* DETACH of an endpoint that is nobody's */
    assert_status(viommu_detach(v, 1, 0xffffffff), NOENT);
}

static uint64_t config_read(Viommu *v, unsigned offset, unsigned size)
{
    QVirtioDevice *vdev = v->vdev;

    switch (size) {
    case 1:
        return vdev->bus->config_readb(vdev, offset);
    case 4:
        return vdev->bus->config_readl(vdev, offset);
    default:
        return vdev->bus->config_readl(vdev, offset) |
               (uint64_t)vdev->bus->config_readl(vdev, offset + 4) << 32;
    }
}

struct virtio_iommu_config viommu_config(Viommu *v)
{
    struct virtio_iommu_config c;

#define FIELD(field) \
    c.field = config_read(v, offsetof(typeof(c), field), sizeof(c.field))
    FIELD(page_size_mask);
    FIELD(input_range.start);
    FIELD(input_range.end);
    FIELD(domain_range.start);
    FIELD(domain_range.end);
    FIELD(probe_size);
    FIELD(bypass);
    FIELD(reserved[0]);
    FIELD(reserved[1]);
    FIELD(reserved[2]);
#undef FIELD
    return c;
}

void viommu_config_write(Viommu *v, unsigned offset, uint8_t value)
{
    qtest_writeb(v->qts, board_register(v, BOARD_CONFIG) + offset, value);
}

void viommu_set_bypass(Viommu *v, uint8_t bypass)
{
    viommu_config_write(v, offsetof(struct virtio_iommu_config, bypass),
                        bypass);
}

void viommu_event_post(Viommu *v, size_t size, unsigned count)
{
    g_autofree uint8_t *pattern = g_malloc(size);

    memset(pattern, 0xaa, size);
    while (count--) {
        viommu_post(v, &v->events, &(ViommuBuffers) {
            .in = pattern, .in_size = size,
        });
    }
}

struct virtio_iommu_fault viommu_event(Viommu *v)
{
    struct virtio_iommu_fault fault;
    uint16_t slot = v->events.seen % v->events.size;
    uint32_t head;

    g_assert_cmpuint(viommu_wait(v, &v->events), ==, sizeof(fault));
    head = qtest_readl(v->qts, v->events.used + 4 + slot * 8);
    qtest_memread(v->qts, qtest_readq(v->qts, v->events.desc + head * 16),
                  &fault, sizeof(fault));
    fault.flags = le32_to_cpu(fault.flags);
    fault.endpoint = le32_to_cpu(fault.endpoint);
    fault.address = le64_to_cpu(fault.address);
    return fault;
}

void viommu_assert_fault(Viommu *v, uint8_t reason, uint32_t access,
                         uint32_t endpoint, uint64_t address)
{
    struct virtio_iommu_fault fault = viommu_event(v);
    static const uint8_t zeros[4];

    g_assert_cmpuint(fault.reason, ==, reason);
    g_assert_cmphex(fault.flags, ==, access | VIRTIO_IOMMU_FAULT_F_ADDRESS);
    g_assert_cmphex(fault.endpoint, ==, endpoint);
    g_assert_cmphex(fault.address, ==, address);
    g_assert_cmpmem(fault.reserved, 3, zeros, 3);
    g_assert_cmpmem(fault.reserved2, 4, zeros, 4);
}

void viommu_settle(Viommu *v)
{
    /* The monitor runs in the same loop as bottom halves, behind them */
    for (int i = 0; i < 3; i++) {
        qobject_unref(viommu_get(v, "mappings"));
    }
}

QDict *viommu_get(Viommu *v, const char *name)
{
    QDict *answer = qtest_qmp(v->qts, "{'execute': 'qom-get', 'arguments': "
                              "{'path': %s, 'property': %s}}", v->id, name);

    g_assert_true(qdict_haskey(answer, "return"));
    return answer;
}

uint64_t viommu_count(Viommu *v, const char *name)
{
    QDict *answer = viommu_get(v, name);
    uint64_t value = qnum_get_uint(qobject_to(QNum,
                                              qdict_get(answer, "return")));

    qobject_unref(answer);
    return value;
}

uint64_t viommu_count_of(Viommu *v, const char *name, const char *key)
{
    QDict *answer = viommu_get(v, name);
    QNum *num = qobject_to(QNum, qdict_get(qdict_get_qdict(answer, "return"),
                                           key));
    uint64_t value = num ? qnum_get_uint(num) : 0;

    qobject_unref(answer);
    return value;
}

char *viommu_endpoint_state(Viommu *v, uint32_t endpoint)
{
    QDict *answer = viommu_get(v, "endpoints");
    char *state = NULL;
    QListEntry *entry;

    QLIST_FOREACH_ENTRY(qdict_get_qlist(answer, "return"), entry) {
        QDict *dict = qobject_to(QDict, qlist_entry_obj(entry));

        if (qdict_get_int(dict, "id") == endpoint) {
            g_assert_null(state);
            state = g_strdup(qdict_get_str(dict, "state"));
        }
    }
    qobject_unref(answer);
    return state ?: g_strdup("none");
}

char *viommu_endpoint_shows(Viommu *v, uint32_t endpoint, const char *name)
{
    QDict *answer = viommu_get(v, "endpoints");
    char *shown = NULL;
    QListEntry *entry;

    QLIST_FOREACH_ENTRY(qdict_get_qlist(answer, "return"), entry) {
        QDict *dict = qobject_to(QDict, qlist_entry_obj(entry));
        QObject *value = qdict_get(dict, name);

        if (qdict_get_int(dict, "id") != endpoint || !value) {
            continue;
        }
        shown = g_strdup(qobject_type(value) == QTYPE_QBOOL
                         ? (qdict_get_bool(dict, name) ? "true" : "false")
                         : qdict_get_str(dict, name));
    }
    qobject_unref(answer);
    return shown;
}
