/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A device that would crash QEMU 10.2, refused before it is made
 *
 * Where the host's kernel has no IOMMU_IOAS_CHANGE_PROCESS,
 * vfio_iommufd_cpr_register_iommufd() in hw/vfio/cpr-iommufd.c of 10.2 takes
 * the 0 of migrate_add_blocker_modes() for a failure. So
 * iommufd_backend_connect() fails and sets no error; vfio_pci_realize() reads
 * the error all the same, and whoever connects the object once more runs into
 * an assertion.
 */
#include "qemu/osdep.h"

#include "hw/core/qdev.h"
#include "qapi/error.h"
#include "qobject/qdict.h"
#include "pviommu/abi.h"
#include "pviommu/compat.h"
#include "pviommu/guard.h"

/* Objects that failed so, which must not be tried again */
static GHashTable *failed;

static bool fails_silently(IOMMUFDBackend *backend)
{
    Error *err = NULL;

    if (g_hash_table_contains(failed, backend)) {
        return true;
    } else if (backend->users) {
        return false;
    } else if (PVIOMMU_LOOKUP(iommufd_backend_connect)(backend, &err)) {
        PVIOMMU_LOOKUP(iommufd_backend_disconnect)(backend);
        return false;
    } else if (err) {
        error_free(err);        /* QEMU will say that itself */
        return false;
    }
    g_hash_table_add(failed, object_ref(OBJECT(backend)));
    return true;
}

/* Asked before each device is made; none is hidden, but any may be refused */
static bool hide_device(DeviceListener *listener, const QDict *opts,
                        bool from_json, Error **errp)
{
    const char *id = qdict_get_try_str(opts, "iommufd");
    /* an empty one is none at all */
    Object *object = id && *id ?
        object_resolve_path_type(id, TYPE_IOMMUFD_BACKEND, NULL) : NULL;

    if (object && fails_silently((IOMMUFDBackend *)object)) {
        error_setg(errp, "QEMU " QEMU_VERSION " cannot use iommufd with this "
                   "kernel, which has no IOMMU_IOAS_CHANGE_PROCESS");
        error_append_hint(errp, "Leave the device's iommufd= out, or use "
                          "Linux 6.13 or QEMU 11.0, or later.\n");
    }
    return false;
}

void pviommu_guard_start(void)
{
    static DeviceListener listener = { .hide_device = hide_device };

    if (PVIOMMU_CONNECT_FAILS_SILENTLY) {
        failed = g_hash_table_new(NULL, NULL);
        device_listener_register(&listener);
    }
}
