/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu: the request queue
 *
 * A request is copied once, run by core, carried to the host, and answered.
 */
#include "qemu/osdep.h"

#include "qemu/atomic.h"
#include "qemu/error-report.h"
#include "qemu/iov.h"
#include "qemu/main-loop.h"
#include "spaces/spaces.h"
#include "topology/topology.h"
#include "virtio/virtio.h"

/*
 * More writable bytes than any request needs must still be zeroed up to the
 * tail. A chain may name the same guest memory a thousand times, so there is
 * an end to it: beyond this the buffer comes back unwritten.
 */
#define WRITABLE_MAX (64 * 1024)

/* Entries of tables to be read before others have their turn */
#define SWEPT_MAX (64 * 1024)

static uint8_t status_of(int ret)
{
    switch (-ret) {
    case ENOMEM:
    case ENOSPC:
        return PVIOMMU_S_NOMEM;
    case EINVAL:
    case EFAULT:
        return PVIOMMU_S_FAULT;
    default:
        return PVIOMMU_S_DEVERR;
    }
}

static void log_request(PviommuDevice *s, const PviommuWork *work)
{
    const PviommuRequest *req = &work->request;
    const PviommuAnswer *answer = &work->answer;
    g_autoptr(GString) line = g_string_new(NULL);

    g_string_printf(line, "%s", pviommu_request_type_name(req->type));
    switch (req->type) {
    case PVIOMMU_T_ATTACH:
        g_string_append_printf(line, " domain=%u endpoint=0x%x flags=0x%x",
                               req->domain, req->endpoint, req->flags);
        break;
    case PVIOMMU_T_DETACH:
        g_string_append_printf(line, " domain=%u endpoint=0x%x", req->domain,
                               req->endpoint);
        break;
    case PVIOMMU_T_MAP:
        g_string_append_printf(line, " domain=%u first=0x%" PRIx64
                               " last=0x%" PRIx64 " phys=0x%" PRIx64
                               " flags=0x%x", req->domain, req->first,
                               req->last, req->phys, req->flags);
        break;
    case PVIOMMU_T_UNMAP:
    case PVIOMMU_T_INVALIDATE:
        g_string_append_printf(line, " domain=%u first=0x%" PRIx64
                               " last=0x%" PRIx64, req->domain, req->first,
                               req->last);
        break;
    case PVIOMMU_T_PROBE:
        g_string_append_printf(line, " endpoint=0x%x", req->endpoint);
        break;
    case PVIOMMU_T_ATTACH_TABLE:
        g_string_append_printf(line, " domain=%u endpoint=0x%x flags=0x%x "
                               "format=%u input-bits=%u root=0x%" PRIx64
                               " attributes=0x%" PRIx64, req->domain,
                               req->endpoint, req->flags, req->table.format,
                               req->table.input_bits, req->table.root,
                               req->table.attributes);
        break;
    default:
        g_string_append_printf(line, " type=%u", req->type);
        break;
    }
    g_string_append_printf(line, " status=%s", answer->written
                           ? pviommu_status_name(answer->status)
                           : "unwritten");
    if (!work->asks_host) {
        g_string_append(line, " host=-\n");
    } else if (work->host) {
        g_string_append_printf(line, " host=%d (%s)\n", work->host,
                               strerror(-work->host));
    } else {
        g_string_append(line, " host=ok\n");
    }
    if (fputs(line->str, s->log) == EOF) {
        warn_report("pviommu: %s: cannot write: %s; the log ends here",
                    s->log_path, strerror(errno));
        fclose(s->log);
        s->log = NULL;
    }
}

static void note_mistakes(PviommuDevice *s, const PviommuRequest *req,
                          uint64_t mistakes)
{
    g_autofree char *table = req->type != PVIOMMU_T_ATTACH_TABLE ? NULL :
        g_strdup_printf(" format %u input-bits %u root 0x%" PRIx64,
                        req->table.format, req->table.input_bits,
                        req->table.root);

    while (mistakes) {
        g_autofree char *detail = g_strdup_printf(
            "%s domain %u endpoint 0x%x flags 0x%x first 0x%" PRIx64
            " last 0x%" PRIx64 " phys 0x%" PRIx64 "%s",
            pviommu_request_type_name(req->type), req->domain, req->endpoint,
            req->flags, req->first, req->last, req->phys, table ?: "");

        pviommu_device_mistake(s, ctz64(mistakes), detail);
        mistakes &= mistakes - 1;
    }
}

/* Write the answer into @elem; returns the used length */
static uint32_t write_answer(VirtQueueElement *elem, size_t writable,
                             const PviommuAnswer *answer,
                             const void *properties)
{
    const uint8_t tail[PVIOMMU_TAIL_SIZE] = { answer->status };
    size_t done = 0;

    if (!answer->written) {
        return 0;
    }
    writable -= sizeof(tail);
    if (properties && writable >= PVIOMMU_PROPERTIES_SIZE) {
        done = iov_from_buf(elem->in_sg, elem->in_num, 0, properties,
                            PVIOMMU_PROPERTIES_SIZE);
    }
    iov_memset(elem->in_sg, elem->in_num, done, 0, writable - done);
    iov_from_buf(elem->in_sg, elem->in_num, writable, tail, sizeof(tail));
    return writable + sizeof(tail);
}

static bool names_endpoint(uint8_t type)
{
    return type != PVIOMMU_T_MAP && type != PVIOMMU_T_UNMAP &&
           type != PVIOMMU_T_INVALIDATE;
}

/* The type of a request for the counters; 0 for what the guest cannot use */
static unsigned counted_as(const PviommuRequest *req,
                           const PviommuAnswer *answer)
{
    bool unknown = answer->mistakes >> PVIOMMU_MISTAKE_UNKNOWN_TYPE & 1;

    return unknown || req->type >= PVIOMMU_T__MAX ? 0 : req->type;
}

bool pviommu_work_is_for_any_thread(const PviommuWork *work)
{
    return !names_endpoint(work->copy[0]);
}

void pviommu_work_begin(PviommuDevice *s, PviommuWork *work, void *properties)
{
    pviommu_write_lock(s);
    pviommu_iommu_set_features(s->iommu, VIRTIO_DEVICE(s)->guest_features);
    pviommu_request_run(s->iommu, work->copy, work->readable, work->writable,
                        &work->request, properties, &work->answer,
                        &work->change);
    pviommu_write_unlock(s);
    work->asks_host = work->change.kind != PVIOMMU_CHANGE_NONE;
}

bool pviommu_work_carry(PviommuDevice *s, PviommuWork *work)
{
    if (work->answer.written && work->answer.status == PVIOMMU_S_OK) {
        if (!pviommu_change_carry(s, &work->change, &work->carry,
                                  &work->host)) {
            return false;
        }
        if (work->host) {
            work->answer.status = status_of(work->host);
        }
    }
    return true;
}

void pviommu_work_end(PviommuDevice *s, const PviommuWork *work)
{
    const PviommuAnswer *answer = &work->answer;
    unsigned type = counted_as(&work->request, answer);

    s->counters.requests[type]++;
    if (answer->written) {
        s->counters.statuses[type][answer->status]++;
    }
    note_mistakes(s, &work->request, answer->mistakes);
    if (s->log) {
        log_request(s, work);
    }
}

static uint32_t handle_one(PviommuDevice *s, VirtQueueElement *elem)
{
    uint8_t properties[PVIOMMU_PROPERTIES_SIZE];
    uint8_t copy[PVIOMMU_REQUEST_MAX] = { 0 };
    PviommuWork work = {
        .copy = copy,
        .readable = iov_size(elem->out_sg, elem->out_num),
        .writable = iov_size(elem->in_sg, elem->in_num),
    };

    iov_to_buf(elem->out_sg, elem->out_num, 0, copy, sizeof(copy));
    if (work.writable > WRITABLE_MAX) {
        pviommu_device_mistake(s, PVIOMMU_MISTAKE_HUGE_BUFFER, "request");
    } else {
        if (names_endpoint(copy[0])) {
            pviommu_endpoints_renumber(s);
        }
        if (s->guest_tables && (copy[0] == PVIOMMU_T_PROBE ||
                                copy[0] == PVIOMMU_T_ATTACH_TABLE)) {
            pviommu_spaces_set_formats(s);
        }
        pviommu_work_begin(s, &work, properties);
        pviommu_work_carry(s, &work);
    }
    pviommu_work_end(s, &work);
    return write_answer(elem, work.writable, &work.answer,
                        work.request.type == PVIOMMU_T_PROBE ? properties
                                                             : NULL);
}

/* False if there is more than the budget allows */
static bool serve(PviommuDevice *s, unsigned budget)
{
    VirtIODevice *vdev = VIRTIO_DEVICE(s);
    VirtQueue *vq = s->requestq;
    bool any = false;
    PVIOMMU_HOLD_GUARD(s);

    s->swept = 0;
    if (!(vdev->status & VIRTIO_CONFIG_S_DRIVER_OK)) {
        return true;     /* too early: no buffer may be consumed yet */
    }
    for (;;) {
        VirtQueueElement *elem;

        virtio_queue_set_notification(vq, 0);
        /* to find nothing, virtqueue_pop() clears 24 KiB of stack first */
        while (budget && !virtio_queue_empty(vq) &&
               (elem = virtqueue_pop(vq, sizeof(VirtQueueElement)))) {
            virtqueue_push(vq, elem, handle_one(s, elem));
            g_free(elem);
            any = true;
            budget = s->swept < SWEPT_MAX ? budget - 1 : 0;
        }
        if (!budget) {
            break;
        }
        virtio_queue_set_notification(vq, 1);
        /* A request that came while notification was off made no kick */
        if (vdev->broken || virtio_queue_empty(vq)) {
            break;
        }
    }
    if (any) {
        virtio_notify(vdev, vq);
    }
    return budget;
}

static void serve_batch(PviommuDevice *s)
{
    if (!serve(s, virtio_queue_get_num(VIRTIO_DEVICE(s), 0))) {
        qemu_bh_schedule(s->more);
    }
}

void pviommu_requests_handle(VirtIODevice *vdev, VirtQueue *vq)
{
    PviommuDevice *s = PVIOMMU_DEVICE(vdev);

    qatomic_inc(&s->counters.kicks);
    serve_batch(s);
}

void pviommu_requests_handle_one(PviommuDevice *s)
{
    serve(s, 1);
}

void pviommu_requests_more(void *opaque)
{
    PviommuDevice *s = opaque;
    VirtIODevice *vdev = VIRTIO_DEVICE(s);

    if (virtio_queue_ready(s->requestq) && !vdev->broken) {
        serve_batch(s);
    }
}
