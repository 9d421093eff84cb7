/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu: a guest's driver that takes the IOMMU and makes no use of it
 *
 * Such a guest sends nothing that could be refused, so that nobody would be
 * told: its devices are in bypass, or blocked, as if there were no driver.
 * What can be known of it is said, each thing once while QEMU runs.
 */
#include "qemu/osdep.h"

#include "hw/core/boards.h"
#include "qemu/error-report.h"
#include "qemu/units.h"
#include "standard-headers/linux/virtio_config.h"
#include "system/runstate.h"
#include "virtio/virtio.h"

/* The smallest pages that a guest may have, on x86 the only ones */
#define LEAST_PAGE (4 * KiB)

enum {
    TOLD_GRANULE = 1,
    TOLD_NOTHING = 2,
    TOLD_FAILED = 4,
};

static bool told_before(PviommuDevice *s, unsigned what)
{
    bool before = s->driver_told & what;

    s->driver_told |= what;
    return before;
}

/* What becomes of devices that no driver attaches */
static const char *fate(const PviommuDevice *s)
{
    return pviommu_iommu_config(s->iommu)->bypass
           ? "in bypass, where they reach all of its memory"
           : "blocked";
}

/*
 * Linux refuses a granule above its page size when it attaches a device
 * (viommu_domain_finalise() in drivers/iommu/virtio-iommu.c), and so asks for
 * no domain at all
 */
static void check_granule(PviommuDevice *s)
{
    uint64_t kib = s->granule_size / KiB;

    if (s->granule_size <= LEAST_PAGE || told_before(s, TOLD_GRANULE)) {
        return;
    }
    if (object_dynamic_cast(OBJECT(current_machine), "x86-machine")) {
        warn_report("pviommu: the granule is %" PRIu64 " KiB, but the guest's "
                    "pages have 4 KiB: Linux attaches no device then, and all "
                    "stay %s. Start with granule=4k", kib, fate(s));
    } else {
        info_report("pviommu: the granule is %" PRIu64 " KiB: Linux with "
                    "smaller pages attaches no device, and all stay %s", kib,
                    fate(s));
    }
}

static uint64_t attaches(const PviommuDevice *s)
{
    return s->counters.requests[PVIOMMU_T_ATTACH] +
           s->counters.requests[PVIOMMU_T_ATTACH_TABLE];
}

/* The driver goes: now it is known that it asked for nothing */
static void check_use(PviommuDevice *s)
{
    if (attaches(s) != s->attaches_before || !s->endpoints->len ||
        told_before(s, TOLD_NOTHING)) {
        return;
    }
    warn_report("pviommu: the guest's driver attached no device behind the "
                "IOMMU: they were %s. The guest's log may say why", fate(s));
}

static void check_failed(PviommuDevice *s)
{
    if (!s->endpoints->len || told_before(s, TOLD_FAILED)) {
        return;
    }
    warn_report("pviommu: the guest's driver gave the IOMMU up: the devices "
                "behind it stay %s. The guest's log may say why", fate(s));
}

void pviommu_driver_status(VirtIODevice *vdev, uint8_t status)
{
    PviommuDevice *s = PVIOMMU_DEVICE(vdev);
    uint8_t comes = status & ~vdev->status, goes = vdev->status & ~status;
    PVIOMMU_HOLD_GUARD(s);

    if (comes & VIRTIO_CONFIG_S_DRIVER_OK) {
        s->attaches_before = attaches(s);
        check_granule(s);
    }
    if (comes & VIRTIO_CONFIG_S_FAILED) {
        check_failed(s);
    }
    if (goes & VIRTIO_CONFIG_S_DRIVER_OK) {
        check_use(s);
    }
}

/* The machine ends with the driver in place */
static void shut_down(Notifier *notifier, void *data)
{
    PviommuDevice *s = container_of(notifier, PviommuDevice, shutdown);
    PVIOMMU_HOLD_GUARD(s);

    if (VIRTIO_DEVICE(s)->status & VIRTIO_CONFIG_S_DRIVER_OK) {
        check_use(s);
    }
}

void pviommu_driver_start(PviommuDevice *s)
{
    s->shutdown.notify = shut_down;
    qemu_register_shutdown_notifier(&s->shutdown);
}

void pviommu_driver_stop(PviommuDevice *s)
{
    notifier_remove(&s->shutdown);
}
