/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu: the virtio device: properties, configuration, life and reset
 */
#include "qemu/osdep.h"

#include "system/address-spaces.h"
#include "hw/core/boards.h"
#include "hw/core/qdev-properties.h"
#include "hw/core/resettable.h"
#include "migration/blocker.h"
#include "qapi/error.h"
#include "qemu/error-report.h"
#include "qemu/main-loop.h"
#include "standard-headers/linux/virtio_ids.h"
#include "system/reset.h"
#include "system/system.h"
#include "firmware/firmware.h"
#include "spaces/spaces.h"
#include "topology/topology.h"
#include "virtio/virtio.h"

#define QUEUE_SIZE 256

static void get_config(VirtIODevice *vdev, uint8_t *data)
{
    const PviommuConfig *c = pviommu_iommu_config(PVIOMMU_DEVICE(vdev)->iommu);

    memset(data, 0, PVIOMMU_CFG_SIZE);
    stq_le_p(data + PVIOMMU_CFG_PAGE_SIZE_MASK, c->page_size_mask);
    stq_le_p(data + PVIOMMU_CFG_INPUT_FIRST, c->input_first);
    stq_le_p(data + PVIOMMU_CFG_INPUT_LAST, c->input_last);
    stl_le_p(data + PVIOMMU_CFG_DOMAIN_FIRST, c->domain_first);
    stl_le_p(data + PVIOMMU_CFG_DOMAIN_LAST, c->domain_last);
    stl_le_p(data + PVIOMMU_CFG_PROBE_SIZE, c->probe_size);
    data[PVIOMMU_CFG_BYPASS] = c->bypass;
}

static void set_bypass(PviommuDevice *s, bool bypass)
{
    PVIOMMU_HOLD_GUARD(s);

    pviommu_write_lock(s);
    pviommu_iommu_set_bypass(s->iommu, bypass);
    pviommu_write_unlock(s);

    for (unsigned i = 0; i < s->spaces->len; i++) {
        PviommuSpace *space = g_ptr_array_index(s->spaces, i);

        if (!space->parked && !pviommu_group_domain(space->group)) {
            pviommu_space_retry(space);
        }
    }
}

/* @data is what the guest would read, with what it wrote laid over it */
static void set_config(VirtIODevice *vdev, const uint8_t *data)
{
    PviommuDevice *s = PVIOMMU_DEVICE(vdev);
    uint8_t now[PVIOMMU_CFG_SIZE];
    uint8_t bypass = data[PVIOMMU_CFG_BYPASS];
    bool stray;
    PVIOMMU_HOLD_GUARD(s);

    get_config(vdev, now);
    stray = memcmp(now, data, PVIOMMU_CFG_BYPASS) ||
            memcmp(now + PVIOMMU_CFG_BYPASS + 1,
                   data + PVIOMMU_CFG_BYPASS + 1,
                   sizeof(now) - PVIOMMU_CFG_BYPASS - 1);
    if (bypass != now[PVIOMMU_CFG_BYPASS]) {
        if (bypass <= 1 &&
            virtio_vdev_has_feature(vdev, PVIOMMU_F_BYPASS_CONFIG)) {
            set_bypass(s, bypass);
        } else {
            stray = true;
        }
    }
    if (stray) {
        pviommu_device_mistake(s, PVIOMMU_MISTAKE_CONFIG_WRITE,
                               "only bypass can be written, with 0 or 1, "
                               "once BYPASS_CONFIG is negotiated");
    }
    get_config(vdev, vdev->config);
}

static uint64_t get_features(VirtIODevice *vdev, uint64_t features,
                             Error **errp)
{
    static const unsigned offered[] = {
        PVIOMMU_F_INPUT_RANGE, PVIOMMU_F_DOMAIN_RANGE, PVIOMMU_F_MAP_UNMAP,
        PVIOMMU_F_PROBE, PVIOMMU_F_MMIO, PVIOMMU_F_BYPASS_CONFIG,
    };

    virtio_add_feature(&features, VIRTIO_F_VERSION_1);
    for (unsigned i = 0; i < ARRAY_SIZE(offered); i++) {
        virtio_add_feature(&features, offered[i]);
    }
    if (PVIOMMU_DEVICE(vdev)->guest_tables) {
        virtio_add_feature(&features, PVIOMMU_F_GUEST_TABLES);
    }
    return features;
}

/* All endpoints unattached, all domains gone; bypass stays */
static void detach_all(PviommuDevice *s)
{
    PVIOMMU_HOLD_GUARD(s);

    for (;;) {
        PviommuChange change = { 0 };
        bool any;

        pviommu_write_lock(s);
        any = pviommu_iommu_detach_next(s->iommu, &change);
        pviommu_write_unlock(s);
        if (!any) {
            break;
        }
        pviommu_change_force(s, &change);
    }
    qemu_bh_cancel(s->more);
    pviommu_faults_drop_all(s);
}

static void device_reset(VirtIODevice *vdev)
{
    /* As part of a larger reset: when all other devices have gone quiet */
    if (!resettable_is_in_reset(OBJECT(vdev))) {
        detach_all(PVIOMMU_DEVICE(vdev));
    }
}

static void device_reset_exit(Object *obj, ResetType type)
{
    PviommuDevice *s = PVIOMMU_DEVICE(obj);

    detach_all(s);
    if (s->system_reset) {
        s->system_reset = false;
        set_bypass(s, s->boot_bypass);
        get_config(VIRTIO_DEVICE(s), VIRTIO_DEVICE(s)->config);
    }
}

static void system_reset(void *opaque)
{
    PviommuDevice *s = opaque;

    s->system_reset = true;
}

static void ready(Notifier *notifier, void *data)
{
    PviommuDevice *s = container_of(notifier, PviommuDevice, ready);
    PVIOMMU_HOLD_GUARD(s);

    pviommu_root_check(s);
    pviommu_scope_check(s);
    pviommu_endpoints_settle(s);
    if (!s->endpoints->len) {
        warn_report("pviommu: no device is behind the IOMMU%s%s",
                    s->primary_bus ? " of bus " : "",
                    s->primary_bus ? BUS(s->primary_bus)->name : "");
    }
    pviommu_unprotected_warn_all(s);
    pviommu_slots_check();
    pviommu_host_info_freeze(s);
    get_config(VIRTIO_DEVICE(s), VIRTIO_DEVICE(s)->config);
    pviommu_publish(s);
}

static bool open_log(PviommuDevice *s, Error **errp)
{
    int fd;

    if (!s->log_path) {
        return true;
    }
    /* Without waiting for the reader of a pipe: it may never come */
    fd = open(s->log_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC |
              O_NONBLOCK, 0666);
    if (fd < 0 || fcntl(fd, F_SETFL, O_WRONLY) < 0) {
        error_setg_errno(errp, errno, "requests-log: cannot write '%s'%s",
                         s->log_path, errno == ENXIO
                         ? ", a pipe that nobody reads or a device that is "
                           "not there" : "");
        if (fd >= 0) {
            close(fd);
        }
        return false;
    }
    s->log = fdopen(fd, "w");
    setvbuf(s->log, NULL, _IOLBF, 0);
    return true;
}

/* Interrupts are stores: give them a way unless the user chose one */
static void add_msi_region(PviommuDevice *s)
{
    PviommuRegion region;

    if (!pviommu_msi_region(&region)) {
        return;
    }
    for (unsigned i = 0; i < s->nr_regions; i++) {
        if (s->regions[i].type == PVIOMMU_REGION_MSI) {
            return;
        }
    }
    s->regions = g_renew(PviommuRegion, s->regions, s->nr_regions + 1);
    s->regions[s->nr_regions++] = region;
}

static bool parse_host_path(PviommuDevice *s, Error **errp)
{
    static const char *const names[] = {
        [PVIOMMU_HOST_PATH_AUTO] = "auto",
        [PVIOMMU_HOST_PATH_NOTIFIER] = "notifier",
        [PVIOMMU_HOST_PATH_CONTAINER] = "container",
        [PVIOMMU_HOST_PATH_IOMMUFD] = "iommufd",
    };

    for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
        if (!s->host_path_name || !strcmp(s->host_path_name, names[i])) {
            s->host_path = i;
            return true;
        }
    }
    error_setg(errp, "host-path '%s' is not known", s->host_path_name);
    error_append_hint(errp, "It is one of auto, notifier, container, "
                      "iommufd.\n");
    return false;
}

static void make_state(PviommuDevice *s)
{
    const PviommuConfig config = {
        .page_size_mask = qemu_real_host_page_size(),
        .input_last = UINT64_MAX,
        .domain_last = UINT32_MAX,
        .probe_size = PVIOMMU_PROPERTIES_SIZE,
        .max_domains = s->max_domains,
        .max_mappings = s->max_mappings,
        .bypass = s->boot_bypass,
    };

    g_rw_lock_init(&s->lock);
    s->iommu = pviommu_iommu_new(&config);
    pviommu_iommu_share(s->iommu);
    s->spaces = g_ptr_array_new();
    /* Not in the context that a device may poll while it is realized */
    s->overdue = aio_bh_new(iohandler_get_aio_context(),
                            pviommu_spaces_force_overdue, s);
    s->endpoints = g_ptr_array_new();
    s->probed = g_hash_table_new_full(NULL, NULL, object_unref, NULL);
}

static void free_state(PviommuDevice *s)
{
    qemu_bh_delete(s->overdue);
    for (unsigned i = 0; i < s->spaces->len; i++) {
        pviommu_space_free(g_ptr_array_index(s->spaces, i));
    }
    pviommu_tables_stop(s);
    g_ptr_array_free(s->spaces, TRUE);
    g_ptr_array_free(s->endpoints, TRUE);
    g_hash_table_destroy(s->probed);
    pviommu_iommu_free(s->iommu);
    g_rw_lock_clear(&s->lock);
    pviommu_scope_free(s);
    if (s->log) {
        fclose(s->log);
        s->log = NULL;
    }
}

static void device_realize(DeviceState *dev, Error **errp)
{
    VirtIODevice *vdev = VIRTIO_DEVICE(dev);
    PviommuDevice *s = PVIOMMU_DEVICE(dev);
    PVIOMMU_HOLD_GUARD(s);

    if (!pviommu_mmio_plug(s, errp) || !parse_host_path(s, errp) ||
        !pviommu_polled_check(s, errp) || !pviommu_scope_parse(s, errp)) {
        return;
    }
    if (!pviommu_root_take(s, &pviommu_pci_iommu_ops, errp)) {
        pviommu_scope_free(s);
        return;
    }
    if (!pviommu_endpoints_check_order(s, errp)) {
        pviommu_root_leave(s);
        pviommu_scope_free(s);
        return;
    }
    add_msi_region(s);
    make_state(s);
    if (!pviommu_host_info_check(s, errp) || !open_log(s, errp) ||
        !pviommu_slots_take(s, errp)) {
        goto err_state;
    }
    error_setg(&s->blocker, "pviommu cannot migrate yet: its domains and "
               "mappings do not travel");
    if (migrate_add_blocker(&s->blocker, errp) < 0) {
        goto err_state;
    }

    virtio_init(vdev, VIRTIO_ID_IOMMU, PVIOMMU_CFG_SIZE);
    s->requestq = virtio_add_queue(vdev, QUEUE_SIZE, pviommu_requests_handle);
    s->eventq = virtio_add_queue(vdev, QUEUE_SIZE, NULL);
    get_config(vdev, vdev->config);
    s->more = virtio_bh_new_guarded(dev, pviommu_requests_more, s);
    pviommu_polled_start(s);
    pviommu_events_init(s);
    pviommu_driver_start(s);

    pviommu_endpoints_start(s);
    pviommu_follow_memory_start(s);
    s->ready.notify = ready;
    qemu_add_machine_init_done_notifier(&s->ready);
    qemu_register_reset(system_reset, s);
    return;

err_state:
    pviommu_slots_leave(s);
    pviommu_root_leave(s);
    free_state(s);
}

static void device_unrealize(DeviceState *dev)
{
    VirtIODevice *vdev = VIRTIO_DEVICE(dev);
    PviommuDevice *s = PVIOMMU_DEVICE(dev);
    PVIOMMU_HOLD_GUARD(s);

    qemu_unregister_reset(system_reset, s);
    qemu_remove_machine_init_done_notifier(&s->ready);
    pviommu_follow_memory_stop(s);
    pviommu_endpoints_stop(s);
    pviommu_driver_stop(s);
    pviommu_events_cleanup(s);
    pviommu_polled_stop(s);
    qemu_bh_delete(s->more);
    virtio_delete_queue(s->requestq);
    virtio_delete_queue(s->eventq);
    virtio_cleanup(vdev);
    migrate_del_blocker(&s->blocker);
    pviommu_slots_leave(s);
    pviommu_root_leave(s);
    free_state(s);
}

static void device_init(Object *obj)
{
    qemu_rec_mutex_init(&PVIOMMU_DEVICE(obj)->held.mutex);
}

static void device_finalize(Object *obj)
{
    PviommuDevice *s = PVIOMMU_DEVICE(obj);

    qemu_rec_mutex_destroy(&s->held.mutex);
    g_free(s->regions);
}

static const Property properties[] = {
    DEFINE_PROP_BOOL("boot-bypass", PviommuDevice, boot_bypass, true),
    DEFINE_PROP_STRING("iothread", PviommuDevice, iothread_name),
    DEFINE_PROP_BOOL("guest-tables", PviommuDevice, guest_tables, false),
    DEFINE_PROP_STRING("granule", PviommuDevice, granule),
    DEFINE_PROP("aw-bits", PviommuDevice, aw_bits, pviommu_prop_aw_bits,
                uint8_t),
    DEFINE_PROP_STRING("host-path", PviommuDevice, host_path_name),
    DEFINE_PROP_BOOL("keep-bypass", PviommuDevice, keep_bypass, true),
    DEFINE_PROP_UINT32("max-domains", PviommuDevice, max_domains, 65536),
    DEFINE_PROP_UNSIGNED("max-mappings", PviommuDevice, max_mappings,
                         4 * 1024 * 1024, pviommu_prop_count, uint64_t),
    DEFINE_PROP_STRING("requests-log", PviommuDevice, log_path),
    DEFINE_PROP_ARRAY("reserved-regions", PviommuDevice, nr_regions, regions,
                      pviommu_prop_region, PviommuRegion),
    DEFINE_PROP_STRING("primary-bus", PviommuDevice, primary_bus_name),
    DEFINE_PROP_STRING("scope", PviommuDevice, scope_name),
};

/* What each is for, in the same order */
static const char *const purposes[] = {
    "attached nowhere: all of guest memory (on), or nothing (off)",
    "id of an iothread object that serves the requests",
    "experimental: the guest may keep page tables of its own",
    "smallest piece that can be mapped: host, 1, 4k, 8k, 16k, 64k",
    "width of an address: auto, or 32 to 64",
    "auto, iommufd, container, notifier",
    "keep iommufd's page table of all guest memory while nobody is on it",
    "most domains at once",
    "most mappings at once, in all domains",
    "a file: one line for each request",
    "a list, in JSON: [\"0xfee00000:0xfeefffff:1\"]; type 0 reserved, 1 MSI",
    "root bus whose devices are behind the IOMMU",
    "which devices: all, passthrough, or places such as 4.0:3.0/0.0",
};

QEMU_BUILD_BUG_ON(G_N_ELEMENTS(purposes) != G_N_ELEMENTS(properties));

void pviommu_print_help(void)
{
    printf("pviommu " PVIOMMU_VERSION ", built for QEMU " QEMU_VERSION ":\n"
           "-device pviommu-pci or pviommu-device, each with\n");
    for (unsigned i = 0; i < G_N_ELEMENTS(properties); i++) {
        const Property *p = &properties[i];
        g_autofree char *name = g_strdup_printf("%s=<%s>", p->name,
                                                p->info->type);

        printf("  %-24s %s", name, purposes[i]);
        if (p->set_default && p->info == &qdev_prop_bool) {
            printf(" (default: %s)", p->defval.u ? "on" : "off");
        } else if (p->set_default && p->defval.u) {
            printf(" (default: %" PRIu64 ")", p->defval.u);
        }
        printf("\n");
    }
}

static PVIOMMU_SET_STATUS_RESULT set_status(VirtIODevice *vdev, uint8_t status)
{
    pviommu_driver_status(vdev, status);
    return PVIOMMU_SET_STATUS_OK;
}

static void device_class_init(ObjectClass *oc, PviommuClassData *data)
{
    DeviceClass *dc = DEVICE_CLASS(oc);
    VirtioDeviceClass *vdc = VIRTIO_DEVICE_CLASS(oc);
    ResettableClass *rc = RESETTABLE_CLASS(oc);

    device_class_set_props(dc, properties);
    set_bit(DEVICE_CATEGORY_MISC, dc->categories);
    dc->desc = "pviommu virtio IOMMU";
    dc->hotpluggable = false;
    vdc->realize = device_realize;
    vdc->unrealize = device_unrealize;
    vdc->get_config = get_config;
    vdc->set_config = set_config;
    vdc->get_features = get_features;
    vdc->set_status = set_status;
    vdc->reset = device_reset;
    rc->phases.exit = device_reset_exit;
    pviommu_polled_class_init(vdc);
    pviommu_introspect_class_init(oc);
}

void pviommu_register_types(void)
{
    static const TypeInfo info = {
        .name = TYPE_PVIOMMU_DEVICE,
        .parent = TYPE_VIRTIO_DEVICE,
        .instance_size = sizeof(PviommuDevice),
        .instance_init = device_init,
        .instance_finalize = device_finalize,
        .class_init = device_class_init,
    };

    type_register_static(&info);
    pviommu_mirror_init_type();
    pviommu_pci_init_type();
    pviommu_publish_init();
    pviommu_qmp_register();
}
