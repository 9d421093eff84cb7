/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A host with iommufd, made of paper: calls on /dev/iommu
 */
#include "qemu/osdep.h"

#include <linux/iommufd.h>
#include <sys/mman.h>

#include "system/memory.h"
#include "tables.h"
#include "versions.h"

#define PAGE 4096ULL

/* Tell the functions that reach what is in an IOAS */
static void G_GNUC_PRINTF(2, 3) tell(const Ioas *ioas, const char *format, ...)
{
    g_autofree char *line = NULL;
    Function *f;
    va_list ap;

    va_start(ap, format);
    line = g_strdup_vprintf(format, ap);
    va_end(ap);
    QLIST_FOREACH(f, &host_functions, next) {
        if (host_ioas_of(f) == ioas) {
            record_event(f->is.events, "%s", line);
        }
    }
}

Ioas *host_find_ioas(const Context *c, uint32_t id)
{
    Ioas *ioas;

    QLIST_FOREACH(ioas, &c->ioases, next) {
        if (ioas->id == id) {
            break;
        }
    }
    return ioas;
}

Hwpt *host_find_hwpt(const Context *c, uint32_t id)
{
    Hwpt *hwpt;

    QLIST_FOREACH(hwpt, &c->hwpts, next) {
        if (hwpt->id == id) {
            break;
        }
    }
    return hwpt;
}

static bool has_hwpt(const Context *c, const Ioas *ioas)
{
    Hwpt *hwpt;

    QLIST_FOREACH(hwpt, &c->hwpts, next) {
        if (hwpt->ioas == ioas) {
            return true;
        }
    }
    return false;
}

static bool is_used(const Hwpt *hwpt)
{
    Function *f;

    QLIST_FOREACH(f, &host_functions, next) {
        if (f->hwpt == hwpt) {
            return true;
        }
    }
    return false;
}

static bool is_busy(const Context *c, const Hwpt *hwpt)
{
    return is_used(hwpt) || host_is_nested_in(c, hwpt);
}

void host_ioas_free(Ioas *ioas)
{
    QLIST_REMOVE(ioas, next);
    g_sequence_free(ioas->held);
    g_free(ioas);
}

void host_hwpt_free(Hwpt *hwpt)
{
    QLIST_REMOVE(hwpt, next);
    g_free(hwpt);
}

void host_hwpt_put(Hwpt *hwpt)
{
    if (hwpt && hwpt->automatic && !is_used(hwpt)) {
        host_hwpt_free(hwpt);
    }
}

/* --- memory --- */

static uint64_t bytes_of(const Ioas *ioas)
{
    GSequenceIter *iter = g_sequence_get_begin_iter(ioas->held);
    uint64_t bytes = 0;

    for (; held_at(iter); iter = g_sequence_iter_next(iter)) {
        bytes += held_at(iter)->last - held_at(iter)->first + 1;
    }
    return bytes;
}

uint64_t host_pinned(void)
{
    uint64_t bytes = 0;
    Context *c;
    Ioas *ioas;

    QLIST_FOREACH(c, &host_contexts, next) {
        QLIST_FOREACH(ioas, &c->ioases, next) {
            bytes += has_hwpt(c, ioas) ? bytes_of(ioas) : 0;
        }
    }
    return bytes;
}

/* Memory that a device brought, or none at all, cannot be pinned */
static int pin(uint8_t *vaddr, uint64_t size)
{
    ram_addr_t first, last;
    MemoryRegion *mr = memory_region_from_host(vaddr, &first);

    if (!mr && !msync(vaddr, size, MS_ASYNC)) {
        return 0;       /* the emulator's own */
    }
    return mr && !memory_region_is_ram_device(mr) &&
           memory_region_from_host(vaddr + (size - 1), &last) == mr
           ? 0 : -EFAULT;
}

static int check_memlock(uint64_t size)
{
    uint64_t now;

    if (iommufd_memlock == UINT64_MAX) {
        return 0;       /* to count takes its time */
    }
    now = host_pinned();
    return now > iommufd_memlock || size > iommufd_memlock - now ? -ENOMEM
                                                                 : 0;
}

/* The first HWPT of an IOAS pins what is there */
static int pin_all(Ioas *ioas, uint32_t bits)
{
    GSequenceIter *iter = g_sequence_get_begin_iter(ioas->held);
    const uint64_t last = bits == 64 ? UINT64_MAX : (1ULL << bits) - 1;
    int ret = check_memlock(bytes_of(ioas));

    for (; held_at(iter) && !ret; iter = g_sequence_iter_next(iter)) {
        const Held *held = held_at(iter);

        ret = held->last > last ||
              (held->first | (held->last + 1)) & (PAGE - 1)
              ? -EADDRINUSE
              : pin(held->vaddr, held->last - held->first + 1);
    }
    return ret;
}

bool host_ioas_overlaps(const Ioas *ioas, hwaddr first, hwaddr last)
{
    const Held *held = held_at(held_at_or_after(ioas->held, first));

    return held && held->first <= last;
}

/* Addresses that no mapping may have */
static bool is_reserved(const Context *c, const Ioas *ioas, hwaddr first,
                        hwaddr last)
{
    Function *f;
    Hwpt *hwpt;

    QLIST_FOREACH(hwpt, &c->hwpts, next) {
        if (hwpt->ioas == ioas && hwpt->bits < 64 && last >> hwpt->bits) {
            return true;
        }
    }
    QLIST_FOREACH(f, &host_functions, next) {
        if (f->hwpt && f->hwpt->ioas == ioas &&
            first <= f->is.msi + (MSI_SIZE - 1) && last >= f->is.msi) {
            return true;
        }
    }
    return false;
}

static int check_map(const Context *c, const Ioas *ioas,
                     const struct iommu_ioas_map *cmd)
{
    const bool pins = has_hwpt(c, ioas);
    const uint64_t align = pins ? PAGE - 1 : 0;
    const hwaddr last = cmd->iova + (cmd->length - 1);

    if (!cmd->length || (cmd->length | cmd->iova) & align) {
        return -EINVAL;
    } else if (last < cmd->iova) {
        return -EOVERFLOW;
    } else if (is_reserved(c, ioas, cmd->iova, last)) {
        return -EINVAL;
    } else if (host_ioas_overlaps(ioas, cmd->iova, last)) {
        return -EEXIST;
    } else if (cmd->user_va & align) {
        return -EINVAL;
    }
    return !pins ? 0 : check_memlock(cmd->length) ?:
           pin((void *)(uintptr_t)cmd->user_va, cmd->length);
}

static int ioas_map(Context *c, void *arg)
{
    const uint32_t access = IOMMU_IOAS_MAP_READABLE |
                            IOMMU_IOAS_MAP_WRITEABLE;
    struct iommu_ioas_map *cmd = arg;
    const Ioas *ioas = host_find_ioas(c, cmd->ioas_id);
    void *vaddr = (void *)(uintptr_t)cmd->user_va;
    hwaddr last = cmd->iova + (cmd->length - 1);
    g_autofree char *what = held_name(vaddr);
    const char *perm;
    int ret;

    /* To choose an IOVA is not for this model */
    if ((cmd->flags | access) != (access | IOMMU_IOAS_MAP_FIXED_IOVA) ||
        cmd->__reserved) {
        return -EOPNOTSUPP;
    } else if (cmd->iova == UINT64_MAX || cmd->length == UINT64_MAX) {
        return -EOVERFLOW;
    } else if (!(cmd->flags & access)) {
        return -EINVAL;
    } else if (!ioas) {
        return -ENOENT;
    }
    perm = (cmd->flags & access) == access ? "rw"
           : cmd->flags & IOMMU_IOAS_MAP_READABLE ? "r" : "w";
    ret = host_refuses(OBSERVER_CALL_MAP) ?: check_map(c, ioas, cmd) ?:
          held_map(ioas->held, cmd->iova, last, vaddr, g_strdup(what), perm);
    tell(ioas, "map %" PRIx64 " %" PRIx64 " %s %s = %d", (uint64_t)cmd->iova,
         last, what, perm, ret);
    return ret;
}

/* What lies before a mapping that would be split is gone all the same */
static int unmap(Ioas *ioas, hwaddr first, hwaddr last, uint64_t *bytes)
{
    GSequenceIter *iter = held_at_or_after(ioas->held, first);
    const Held *held = held_at(iter);

    while (held && held->first <= last) {
        GSequenceIter *next = g_sequence_iter_next(iter);

        if (held->first < first || held->last > last) {
            return -ENOENT;
        }
        *bytes += held->last - held->first + 1;
        g_sequence_remove(iter);
        iter = next;
        held = held_at(iter);
    }
    return *bytes ? 0 : -ENOENT;
}

static int ioas_unmap(Context *c, void *arg)
{
    struct iommu_ioas_unmap *cmd = arg;
    bool all = !cmd->iova && cmd->length == UINT64_MAX;
    Ioas *ioas = host_find_ioas(c, cmd->ioas_id);
    hwaddr last = all ? UINT64_MAX : cmd->iova + (cmd->length - 1);
    uint64_t bytes = 0;
    int ret;

    if (!ioas) {
        return -ENOENT;
    } else if (!all && (cmd->iova == UINT64_MAX ||
                        cmd->length == UINT64_MAX)) {
        return -EOVERFLOW;
    } else if (!cmd->length) {
        return -EINVAL;
    } else if (last < cmd->iova) {
        return -EOVERFLOW;
    }
    ret = host_refuses(OBSERVER_CALL_UNMAP) ?:
          is_stuck(ioas->held, &iommufd_stuck, cmd->iova, last)
          ? -iommufd_stuck.error : unmap(ioas, cmd->iova, last, &bytes);
    if (all && ret == -ENOENT) {
        ret = 0;
    }
    tell(ioas, "unmap %" PRIx64 " %" PRIx64 " = %d", (uint64_t)cmd->iova,
         last, ret);
    if (!ret) {
        cmd->length = bytes;
    }
    return ret;
}

/* --- tables --- */

static int ioas_alloc(Context *c, void *arg)
{
    struct iommu_ioas_alloc *cmd = arg;
    int ret = host_refuses(OBSERVER_CALL_IOAS_ALLOC);
    Ioas *ioas;

    if (ret || cmd->flags) {
        return ret ?: -EOPNOTSUPP;
    }
    ioas = g_new0(Ioas, 1);
    ioas->id = cmd->out_ioas_id = ++c->last_id;
    ioas->held = held_new();
    QLIST_INSERT_HEAD(&c->ioases, ioas, next);
    return 0;
}

int host_hwpt_new(Context *c, Ioas *ioas, const Function *f, Hwpt **out)
{
    int ret = has_hwpt(c, ioas) ? 0 : pin_all(ioas, f->is.bits);

    if (!ret) {
        *out = g_new0(Hwpt, 1);
        (*out)->id = ++c->last_id;
        (*out)->ioas = ioas;
        (*out)->iommu = f->is.iommu;
        (*out)->bits = f->is.bits;
        QLIST_INSERT_HEAD(&c->hwpts, *out, next);
    }
    return ret;
}

Function *host_find_function(const Context *c, uint32_t id)
{
    Function *f;

    QLIST_FOREACH(f, &host_functions, next) {
        if (f->context == c && f->id == id) {
            break;
        }
    }
    return f;
}

static int hwpt_alloc(Context *c, void *arg)
{
    struct iommu_hwpt_alloc *cmd = arg;
    bool parent = cmd->flags == IOMMU_HWPT_ALLOC_NEST_PARENT;
    int ret = host_refuses(OBSERVER_CALL_HWPT_ALLOC);
    const Function *f = host_find_function(c, cmd->dev_id);
    Ioas *ioas = host_find_ioas(c, cmd->pt_id);
    Hwpt *hwpt;

    if (!ret && parent) {
        ret = host_refuses(OBSERVER_CALL_PARENT);
    }
    if (ret) {
        return ret;
    } else if (host_find_view(c, cmd->pt_id)) {
        return host_nested_alloc(c, arg);
    } else if (cmd->__reserved) {
        return -EOPNOTSUPP;
    } else if (cmd->data_type != IOMMU_HWPT_DATA_NONE || cmd->data_len) {
        return -EINVAL;
    } else if (!f || f->is.mdev) {
        return -ENOENT;
    } else if (!ioas) {
        return -EINVAL;
    } else if (cmd->flags && !(parent && f->is.nests)) {
        return -EOPNOTSUPP;
    }
    ret = host_hwpt_new(c, ioas, f, &hwpt);
    cmd->out_hwpt_id = ret ? 0 : hwpt->id;
    if (!ret) {
        hwpt->parent = parent;
    }
    return ret;
}

static bool is_accessed(const Ioas *ioas)
{
    Function *f;

    QLIST_FOREACH(f, &host_functions, next) {
        if (f->access == ioas) {
            return true;
        }
    }
    return false;
}

static int destroy(Context *c, void *arg)
{
    struct iommu_destroy *cmd = arg;
    int ret = host_refuses(OBSERVER_CALL_DESTROY);
    Hwpt *hwpt = host_find_hwpt(c, cmd->id);
    Ioas *ioas = host_find_ioas(c, cmd->id);

    if (ret) {
        return ret;
    } else if ((hwpt && is_busy(c, hwpt)) || host_find_function(c, cmd->id) ||
               (ioas && (has_hwpt(c, ioas) || is_accessed(ioas)))) {
        return -EBUSY;
    } else if (hwpt) {
        host_hwpt_free(hwpt);
    } else if (ioas) {
        host_ioas_free(ioas);
    } else {
        return host_nest_destroy(c, cmd->id);
    }
    return 0;
}

/* Of all functions there the first one's is told */
static const Function *first_on(const Ioas *ioas)
{
    Function *f;

    QLIST_FOREACH(f, &host_functions, next) {
        if (f->hwpt && f->hwpt->ioas == ioas) {
            break;
        }
    }
    return f;
}

static int iova_ranges(Context *c, void *arg)
{
    struct iommu_ioas_iova_ranges *cmd = arg;
    struct iommu_iova_range *out = (void *)(uintptr_t)cmd->allowed_iovas;
    const Ioas *ioas = host_find_ioas(c, cmd->ioas_id);
    struct iommu_iova_range range[2] = { { 0, UINT64_MAX } };
    int ret = host_refuses(OBSERVER_CALL_RANGES);
    uint32_t room = cmd->num_iovas;
    const Function *f = first_on(ioas);
    Hwpt *hwpt;

    if (ret || !ioas) {
        return ret ?: -ENOENT;
    }
    QLIST_FOREACH(hwpt, &c->hwpts, next) {
        if (hwpt->ioas == ioas && hwpt->bits < 64) {
            range[0].last = MIN(range[0].last, (1ULL << hwpt->bits) - 1);
        }
    }
    cmd->num_iovas = 1;
    if (f) {
        range[1].start = f->is.msi + MSI_SIZE;
        range[1].last = range[0].last;
        range[0].last = f->is.msi - 1;
        cmd->num_iovas = 2;
    }
    cmd->out_iova_alignment = has_hwpt(c, ioas) ? PAGE : 1;
    if (room) {
        memcpy(out, range, MIN(room, cmd->num_iovas) * sizeof(*out));
    }
    return cmd->num_iovas > room ? -EMSGSIZE : 0;
}

/*
 * Since Linux 6.13; QEMU 10.1 and later ask for no more than whether it is
 * there, so it is not one of the calls that fail now and then
 */
static int change_process(Context *c, void *arg)
{
    return refusal_due(&iommufd_refusals[OBSERVER_CALL_PROCESS]);
}

const HostCall host_context_calls[] = {
    { IOMMU_IOAS_ALLOC, OBSERVER_CALL_IOAS_ALLOC, .on_context = ioas_alloc },
    { IOMMU_HWPT_ALLOC, OBSERVER_CALL_HWPT_ALLOC, .on_context = hwpt_alloc },
    { IOMMU_IOAS_MAP, OBSERVER_CALL_MAP, .on_context = ioas_map },
    { IOMMU_IOAS_UNMAP, OBSERVER_CALL_UNMAP, .on_context = ioas_unmap },
    { IOMMU_DESTROY, OBSERVER_CALL_DESTROY, .on_context = destroy },
    { IOMMU_IOAS_IOVA_RANGES, OBSERVER_CALL_RANGES,
      .on_context = iova_ranges },
    { IOMMU_GET_HW_INFO, OBSERVER_CALL_INFO, .on_context = host_hw_info },
    { IOMMU_VIOMMU_ALLOC, OBSERVER_CALL_VIOMMU,
      .on_context = host_viommu_alloc },
    { IOMMU_VDEVICE_ALLOC, OBSERVER_CALL_VDEVICE,
      .on_context = host_vdevice_alloc },
    { IOMMU_VEVENTQ_ALLOC, OBSERVER_CALL_VEVENTQ,
      .on_context = host_veventq_alloc },
    { IOMMU_HWPT_INVALIDATE, OBSERVER_CALL_INVALIDATE,
      .on_context = host_invalidate },
    { IOMMU_IOAS_CHANGE_PROCESS, OBSERVER_CALL_PROCESS,
      .on_context = change_process },
    { },
};
