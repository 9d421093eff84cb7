/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu: what the guest did wrong, counted and named
 */
#include "qemu/osdep.h"

#include "qemu/error-report.h"
#include "qemu/log.h"
#include "qemu/main-loop.h"
#include "common/common.h"

const char *pviommu_device_mistake_name(unsigned mistake)
{
    switch (mistake) {
    case PVIOMMU_MISTAKE_CONFIG_WRITE:
        return "config-write";
    case PVIOMMU_MISTAKE_EVENT_BUFFER:
        return "event-buffer";
    case PVIOMMU_MISTAKE_HUGE_BUFFER:
        return "huge-buffer";
    default:
        return pviommu_mistake_name(mistake);
    }
}

void pviommu_device_mistake(PviommuDevice *s, unsigned mistake,
                            const char *detail)
{
    g_assert(pviommu_is_held(s));
    s->counters.mistakes[mistake]++;
    if (s->mistakes_logged & BIT_ULL(mistake)) {
        return;
    }
    s->mistakes_logged |= BIT_ULL(mistake);
    qemu_log_mask(LOG_GUEST_ERROR, "pviommu: guest mistake %s: %s\n",
                  pviommu_device_mistake_name(mistake), detail);
    if (mistake == PVIOMMU_MISTAKE_MAX_DOMAINS) {
        warn_report("pviommu: the guest reached max-domains=%u; raise it if "
                    "you trust the guest", s->max_domains);
    } else if (mistake == PVIOMMU_MISTAKE_MAX_MAPPINGS) {
        warn_report("pviommu: the guest reached max-mappings=%" PRIu64
                    "; raise it if you trust the guest", s->max_mappings);
    }
}
