/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu: granule, width and reserved regions, agreed with the hosts
 *
 * What the guest reads in the configuration is settled when the machine is
 * ready; a device that comes later must take it as it is.
 */
#include "qemu/osdep.h"

#include <sys/resource.h>

#include "exec/cpu-common.h"
#include "qapi/error.h"
#include "qemu/error-report.h"
#include "qemu/units.h"
#include "system/host_iommu_device.h"
#include "system/ramblock.h"
#include "system/ramlist.h"
#include "spaces/spaces.h"

static const struct {
    const char *word;
    uint64_t size;
} granules[] = {
    { "1", 1 },
    { "4k", 4 * KiB },
    { "8k", 8 * KiB },
    { "16k", 16 * KiB },
    { "64k", 64 * KiB },
};

static bool granule_is_host(const PviommuDevice *s)
{
    return !s->granule || !strcmp(s->granule, "host");
}

static uint64_t last_of_bits(unsigned bits)
{
    return bits == 64 ? UINT64_MAX : (1ULL << bits) - 1;
}

static void set_config(PviommuDevice *s)
{
    PviommuConfig config = *pviommu_iommu_config(s->iommu);
    uint64_t granule = s->granule_size;
    const uint64_t hints[] = { 2 * MiB, 1 * GiB };

    config.page_size_mask = granule;
    for (unsigned i = 0; i < ARRAY_SIZE(hints); i++) {
        if (hints[i] > granule) {
            config.page_size_mask |= hints[i];
        }
    }
    config.input_last = last_of_bits(s->aw_bits ?: s->host_bits);
    pviommu_write_lock(s);
    pviommu_iommu_set_config(s->iommu, &config);
    pviommu_write_unlock(s);
}

/* One MSI region at most, and none that is reserved in it */
static bool check_regions(const PviommuDevice *s, Error **errp)
{
    const PviommuRegion *msi = NULL;

    for (unsigned i = 0; i < s->nr_regions; i++) {
        if (s->regions[i].type != PVIOMMU_REGION_MSI) {
            continue;
        }
        if (msi) {
            error_setg(errp, "an endpoint has at most one MSI region, but "
                       "reserved-regions has more");
            return false;
        }
        msi = &s->regions[i];
    }
    for (unsigned i = 0; msi && i < s->nr_regions; i++) {
        const PviommuRegion *region = &s->regions[i];

        if (region != msi && region->first >= msi->first &&
            region->last <= msi->last) {
            error_setg(errp, "reserved region '0x%" PRIx64 ":0x%" PRIx64
                       ":0' lies in the MSI region, 0x%" PRIx64 " to 0x%"
                       PRIx64, region->first, region->last, msi->first,
                       msi->last);
            error_append_hint(errp, "Leave it out, or name another MSI region "
                              "in reserved-regions, with type 1.\n");
            return false;
        }
    }
    return true;
}

bool pviommu_host_info_check(PviommuDevice *s, Error **errp)
{
    if (granule_is_host(s)) {
        s->granule_size = qemu_real_host_page_size();
    } else {
        for (unsigned i = 0; i < ARRAY_SIZE(granules); i++) {
            if (!strcmp(s->granule, granules[i].word)) {
                s->granule_size = granules[i].size;
            }
        }
    }
    if (!s->granule_size) {
        error_setg(errp, "granule '%s' is not known", s->granule);
        error_append_hint(errp, "It is one of host, 4k, 8k, 16k, 64k, or 1 "
                          "for single bytes.\n");
        return false;
    }
    if (!s->max_domains || !s->max_mappings) {
        error_setg(errp, "max-%s must be at least 1",
                   s->max_domains ? "mappings" : "domains");
        return false;
    }
    if (!check_regions(s, errp)) {
        return false;
    }
    s->host_bits = 64;
    set_config(s);
    return true;
}

bool pviommu_host_info_add_page_sizes(PviommuDevice *s, HostIOMMUDevice *hiod,
                                      Error **errp)
{
    HostIOMMUDeviceClass *hiodc = HOST_IOMMU_DEVICE_GET_CLASS(hiod);
    uint64_t mask, least;

    if (!hiodc->get_page_size_mask) {
        return true;
    }
    mask = hiodc->get_page_size_mask(hiod);
    least = mask & -mask;
    if (least <= s->granule_size) {
        return true;
    }
    if (s->frozen || !granule_is_host(s)) {
        error_setg(errp, "%s: the host's IOMMU has page sizes 0x%" PRIx64
                   ", but pviommu offers the guest a granule of 0x%" PRIx64
                   "%s", hiod->name, mask, s->granule_size,
                   s->frozen ? " since the machine started" : "");
        error_append_hint(errp, "Start with a granule of at least 0x%" PRIx64
                          ", or with granule=host and the device present.\n",
                          least);
        return false;
    }
    s->granule_size = least;
    return true;
}

bool pviommu_host_info_add_ranges(PviommuDevice *s, PviommuSpace *space,
                                  const char *name, GList *ranges,
                                  Error **errp)
{
    ERRP_GUARD();
    uint64_t input_last = pviommu_iommu_config(s->iommu)->input_last;
    PviommuRegions *regions;
    GList *holes = NULL;
    Range *lowest, *highest;

    if (!ranges) {
        return true;    /* an old kernel that does not tell */
    }
    lowest = ranges->data;
    highest = g_list_last(ranges)->data;
    if (range_lob(lowest) > input_last) {
        error_setg(errp, "%s: the host's IOMMU takes addresses from 0x%"
                   PRIx64 " to 0x%" PRIx64 " only, but pviommu offers the "
                   "guest those up to 0x%" PRIx64, name,
                   range_lob(lowest), range_upb(highest), input_last);
        error_append_hint(errp, "Start with a larger aw-bits.\n");
        return false;
    }
    range_inverse_array(ranges, &holes, 0, UINT64_MAX);
    regions = space->regions ?: pviommu_regions_new();
    for (GList *l = holes; l; l = l->next) {
        pviommu_regions_add(regions, &(PviommuRegion) {
            .first = range_lob(l->data),
            .last = range_upb(l->data),
            .type = PVIOMMU_REGION_RESERVED,
        });
    }
    space->regions = regions;
    if (!s->frozen && range_upb(highest) != UINT64_MAX) {
        unsigned bits = 63 - clz64(range_upb(highest) + 1);

        s->host_bits = MAX(32, MIN(s->host_bits, bits));
    }
    pviommu_space_regions_changed(space);
    g_list_free_full(holes, g_free);
    return true;
}

void pviommu_host_info_add_msi(PviommuSpace *space)
{
    /*
     * MSI_IOVA_BASE in drivers/iommu/arm/arm-smmu-v3/arm-smmu-v3.h: where
     * Linux reserves room for doorbells, and iommufd does not tell for what
     */
    const uint64_t msi = 0x8000000;
    const PviommuRegion *found = space->regions
        ? pviommu_regions_find(space->regions, msi, msi) : NULL;

    if (found) {
        PviommuRegion region = *found;

        region.type = PVIOMMU_REGION_MSI;
        pviommu_regions_add(space->regions, &region);
        pviommu_space_regions_changed(space);
    }
}

void pviommu_host_info_freeze(PviommuDevice *s)
{
    set_config(s);
    s->frozen = true;
}

/* CAP_IPC_LOCK lifts the limit of locked memory */
static bool may_lock_all(void)
{
    g_autofree char *status = NULL;
    const char *line;

    if (!g_file_get_contents("/proc/self/status", &status, NULL, NULL)) {
        return false;
    }
    line = strstr(status, "\nCapEff:");
    return line &&
           g_ascii_strtoull(line + strlen("\nCapEff:"), NULL, 16) & (1 << 14);
}

/*
 * RAM, that of video cards included.  ROMs are not: they are small, and what
 * the firmware's flash holds is not mapped for devices at all.
 */
static int add_block(RAMBlock *block, void *opaque)
{
    uint64_t *sum = opaque;
    ram_addr_t offset;
    MemoryRegion *mr =
        memory_region_from_host(qemu_ram_get_host_addr(block), &offset);

    if (mr && memory_region_is_ram(mr) && !memory_region_is_rom(mr)) {
        *sum += qemu_ram_get_max_length(block);
    }
    return 0;
}

/*
 * How many times the guest's memory is pinned for the devices of an IOMMU;
 * those on host page tables share them
 */
static unsigned count_pinned(PviommuDevice *s, bool *tables)
{
    bool counted = false;
    unsigned count = 0;

    for (unsigned i = 0; i < s->spaces->len; i++) {
        PviommuSpace *space = g_ptr_array_index(s->spaces, i);

        if (space->passthrough && !(space->ops->shares_pins && counted)) {
            count++;
            counted |= space->ops->shares_pins;
        }
    }
    *tables |= counted;
    return count;
}

void pviommu_host_info_check_memlock(PviommuDevice *s)
{
    /* For ROMs, and for memory of devices to come */
    uint64_t ram = 32 * MiB, need = 0;
    PviommuDevice *each = NULL;
    struct rlimit limit;
    bool bypass = pviommu_iommu_config(s->iommu)->bypass, tables = false;

    qemu_ram_foreach_block(add_block, &ram);
    ram = ROUND_UP(ram, MiB);
    while ((each = pviommu_next(each))) {
        need += count_pinned(each, &tables) * ram;
    }
    if (getrlimit(RLIMIT_MEMLOCK, &limit) ||
        limit.rlim_cur == RLIM_INFINITY || limit.rlim_cur >= need ||
        may_lock_all()) {
        return;
    }
    warn_report("pviommu: the limit of locked memory is %" PRIu64 " KiB; the "
                "passed-through devices so far need %" PRIu64 " KiB%s%s. "
                "Raise it (ulimit -l, or libvirt's hard_limit)",
                (uint64_t)limit.rlim_cur / KiB, need / KiB,
                bypass ? " to start in bypass"
                       : " if the guest maps all of its memory",
                bypass && tables && s->keep_bypass
                ? ", and with iommufd more for what the guest then maps"
                : "");
}
