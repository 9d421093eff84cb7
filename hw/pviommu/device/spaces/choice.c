/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu: which kind of space a function gets
 */
#include "qemu/osdep.h"

#include "qapi/error.h"
#include "qemu/error-report.h"
#include "spaces/spaces.h"

static IOMMUFDBackend *backend_of(PCIDevice *pdev)
{
    Object *link = object_property_find(OBJECT(pdev), "iommufd")
        ? object_property_get_link(OBJECT(pdev), "iommufd", NULL) : NULL;

    return (IOMMUFDBackend *)object_dynamic_cast(link, TYPE_IOMMUFD_BACKEND);
}

bool pviommu_choice_is_tables(PviommuDevice *s, PCIDevice *pdev)
{
    IOMMUFDBackend *backend = backend_of(pdev);
    gpointer known;
    Error *err = NULL;
    bool ok;

    if (!backend || (s->host_path != PVIOMMU_HOST_PATH_AUTO &&
                     s->host_path != PVIOMMU_HOST_PATH_IOMMUFD)) {
        return false;
    }
    /*
     * A device asks more than once until it is realized, and VFIO attaches
     * it in between: an object that was probed keeps to what came out.
     */
    if (g_hash_table_lookup_extended(s->probed, backend, NULL, &known)) {
        return known;
    }
    ok = pviommu_iommufd_probe(backend, &err);
    g_hash_table_insert(s->probed, object_ref(OBJECT(backend)),
                        GINT_TO_POINTER(ok));
    if (!ok) {
        /* Once for each object; VFIO may fail of the same, and say less */
        error_prepend(&err, "pviommu: host-path=%s iommufd object '%s': ",
                      s->host_path == PVIOMMU_HOST_PATH_IOMMUFD
                      ? "iommufd, but for"
                      : "auto takes container for devices with",
                      object_get_canonical_path_component(OBJECT(backend)));
        warn_report_err(err);
    } else {
        error_free(err);
    }
    return ok;
}

void pviommu_choice_explain(PCIDevice *pdev, Error **errp)
{
    ERRP_GUARD();
    IOMMUFDBackend *backend = backend_of(pdev);

    if (!backend) {
        error_setg(errp, "host-path=iommufd, but the device has no iommufd "
                   "object");
        error_append_hint(errp, "Add -object iommufd,id=iommufd0 and give "
                          "the device iommufd=iommufd0, or choose "
                          "host-path=auto.\n");
    } else if (pviommu_iommufd_probe(backend, errp)) {
        error_setg(errp, "host-path=iommufd, but the device is behind a "
                   "bridge that makes requests in its own name");
        error_append_hint(errp, "Put it elsewhere, or choose "
                          "host-path=auto.\n");
    } else {
        error_prepend(errp, "host-path=iommufd: ");
    }
}
