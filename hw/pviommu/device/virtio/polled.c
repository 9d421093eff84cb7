/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu: the request queue in an IOThread
 *
 * The thread polls the ring, so that the guest need not leave for a request.
 * What is here never takes the big lock, as who stops it waits for it with
 * that; for what else runs in the thread, which may be a disk's as well,
 * nobody waits.  What needs the big lock is lent to the main loop, and the
 * thread leaves the queue alone until it is given back:
 *
 * - a request that the thread cannot begin, or cannot read, stays in the ring,
 *   and QEMU's code takes it from there as it does without an IOThread;
 * - one that it cannot end (a host that refuses, VFIO's containers, vhost) is
 *   ended by whoever holds the device next, before anything else is done with
 *   it: see pviommu_hold().
 *
 * So requests are run in order, one at a time.
 */
#include "qemu/osdep.h"

#include <sched.h>

#include "hw/virtio/virtio-bus.h"
#include "qapi/error.h"
#include "qemu/aio.h"
#include "qemu/error-report.h"
#include "qemu/main-loop.h"
#include "virtio/ring.h"
#include "virtio/virtio.h"

/**
 * struct Kick - what the guest notifies by
 * @notifier: as that of the queue, whose structure is QEMU's alone
 * @polled: whose it is
 */
typedef struct Kick {
    EventNotifier notifier;
    PviommuPolled *polled;
} Kick;

/**
 * struct PviommuPolled - what the IOThread and the main loop share
 *
 * Under the big lock alone:
 * @device: the IOMMU
 * @ctx: where the IOThread runs
 * @wanted: the driver is ready, and no machine is stopped
 * @attached: the thread has the queue, or it is lent
 * @lend: gives it back
 * @told: the operator was told that requests are lent
 *
 * Atomically:
 * @serves: the queue is the thread's business; the main loop's to say
 * @busy: the thread does something with the queue
 *
 * In the thread alone, while it is busy:
 * @kick: the one in use; the thread may come late to tell of the other that
 *        it polls, or does no more
 * @kicks: both
 * @polls: it looks by itself, and wants no kicks
 * @again: goes on with the queue
 *
 * Whoever has the queue:
 * @lent: the main loop has it; set by the thread and cleared by the other
 * @unread: QEMU's code is to take the request; else it was taken
 * @ring: the queue
 * @chain: where the request came from
 * @work: the request
 */
struct PviommuPolled {
    PviommuDevice *device;
    AioContext *ctx;
    bool wanted;
    bool attached;
    QEMUBH *lend;
    bool told;

    bool serves;
    bool busy;

    Kick *kick;
    Kick kicks[2];
    bool polls;
    QEMUBH *again;

    bool lent;
    bool unread;
    PviommuRing ring;
    PviommuChain chain;
    PviommuWork work;
};

static void give_back(PviommuPolled *p)
{
    const PviommuAnswer *answer = &p->work.answer;
    uint8_t bytes[PVIOMMU_CHAIN_WRITABLE] = { 0 };

    if (answer->written) {
        bytes[p->chain.writable - PVIOMMU_TAIL_SIZE] = answer->status;
    }
    if (pviommu_ring_give(&p->ring, &p->chain,
                          answer->written ? bytes : NULL)) {
        event_notifier_set(
            virtio_queue_get_guest_notifier(p->device->requestq));
    }
}

/* Who can be called with the big lock alone, of those that are to be told */
static PviommuSpace *find_out_of_reach(const PviommuWork *work)
{
    PviommuTarget t = { 0 };

    if (work->carry.asks) {
        return work->carry.target.space;
    }
    while (work->change.kind == PVIOMMU_CHANGE_INVALIDATE &&
           pviommu_target_next(work->change.domain, &t)) {
        if (t.space) {
            return t.space;
        }
    }
    return NULL;
}

/* The way to the host needs the big lock for each request */
static void say_lent(PviommuPolled *p)
{
    PviommuSpace *space = p->told ? NULL : find_out_of_reach(&p->work);
    g_autofree char *name = NULL;

    if (!space) {
        return;
    }
    p->told = true;
    name = pviommu_space_name(space);
    info_report("pviommu: what the guest maps for %s is told by the main loop, "
                "not by iothread=, as only page tables of iommufd can be "
                "called by another thread", name);
}

/* Under the big lock, as soon as anybody holds the device */
static void finish(PviommuDevice *s)
{
    PviommuPolled *p = s->polled;

    say_lent(p);
    pviommu_work_carry(s, &p->work);
    pviommu_work_end(s, &p->work);
    give_back(p);
}

static void end_unfinished(PviommuDevice *s)
{
    pviommu_release(pviommu_hold(s));
}

static void lend(PviommuPolled *p, bool unread)
{
    p->unread = unread;
    qatomic_store_release(&p->lent, true);
    qemu_bh_schedule(p->lend);
}

/* The device is held; false if the big lock is needed to end it */
static bool run(PviommuPolled *p)
{
    PviommuDevice *s = p->device;
    bool done;

    pviommu_ring_take(&p->ring);
    pviommu_work_begin(s, &p->work, NULL);
    done = pviommu_work_carry(s, &p->work);
    if (done) {
        pviommu_work_end(s, &p->work);
    } else {
        s->unfinished = finish;
    }
    pviommu_release(s);
    if (done) {
        give_back(p);
    }
    return done;
}

/* The request that is next; EMPTY and UNUSUAL as for the ring */
static PviommuRingNext next(PviommuPolled *p)
{
    PviommuRingNext found = pviommu_ring_peek(&p->ring, &p->chain);

    if (found != PVIOMMU_RING_CHAIN) {
        return found;
    }
    p->work = (PviommuWork) {
        .copy = p->chain.copy,
        .readable = p->chain.readable,
        .writable = p->chain.writable,
    };
    return pviommu_work_is_for_any_thread(&p->work)
           ? PVIOMMU_RING_CHAIN : PVIOMMU_RING_UNUSUAL;
}

/*
 * Until nothing is left; false if the budget was not enough, it is lent, or is
 * to be left
 */
static bool drain(PviommuPolled *p)
{
    for (unsigned budget = p->ring.num; budget; budget--) {
        switch (next(p)) {
        case PVIOMMU_RING_EMPTY:
            return true;
        case PVIOMMU_RING_UNUSUAL:
            lend(p, true);
            return false;
        case PVIOMMU_RING_CHAIN:
            if (!pviommu_hold_while(p->device, &p->serves)) {
                return false;
            }
            if (!run(p)) {
                lend(p, false);
                return false;
            }
            break;
        }
    }
    qemu_bh_schedule(p->again);
    return false;
}

static void serve(PviommuPolled *p)
{
    do {
        pviommu_ring_want_kicks(&p->ring, false);
        if (!drain(p) || p->polls) {
            return;
        }
        pviommu_ring_want_kicks(&p->ring, true);
    } while (!pviommu_ring_is_empty(&p->ring));
}

static void leave(PviommuPolled *p)
{
    qatomic_store_release(&p->busy, false);
}

/* False if the queue is none of the thread's business */
static bool enter(PviommuPolled *p)
{
    qatomic_set(&p->busy, true);
    smp_mb();       /* against withdraw() */
    if (qatomic_load_acquire(&p->serves)) {     /* what attach() set */
        return true;
    }
    leave(p);
    return false;
}

/* The thread does nothing with the queue from here on */
static void withdraw(PviommuPolled *p)
{
    qatomic_set(&p->serves, false);
    smp_mb();       /* against enter() */
    while (qatomic_load_acquire(&p->busy)) {
        sched_yield();
    }
}

static bool is_lent(const PviommuPolled *p)
{
    return qatomic_load_acquire(&p->lent);
}

static void again(void *opaque)
{
    PviommuPolled *p = opaque;

    if (enter(p)) {
        if (!is_lent(p)) {
            serve(p);
        }
        leave(p);
    }
}

/* As enter(); NULL if it was not, or is no longer meant */
static PviommuPolled *enter_by(EventNotifier *notifier)
{
    Kick *kick = container_of(notifier, Kick, notifier);
    PviommuPolled *p = kick->polled;

    if (!enter(p)) {
        return NULL;
    }
    if (p->kick == kick) {
        return p;
    }
    leave(p);
    return NULL;
}

/* The guest's notification, or our own at the start */
static void kicked(EventNotifier *notifier)
{
    PviommuPolled *p = enter_by(notifier);

    if (p) {
        if (event_notifier_test_and_clear(notifier)) {
            qatomic_inc(&p->device->counters.kicks);
            if (!is_lent(p)) {
                serve(p);
            }
        }
        leave(p);
    }
}

static bool poll_ring(void *opaque)
{
    PviommuPolled *p = enter_by(opaque);
    bool found = false;

    if (p) {
        found = !is_lent(p) && !pviommu_ring_is_empty(&p->ring);
        leave(p);
    }
    return found;
}

static void poll_found(EventNotifier *notifier)
{
    again(container_of(notifier, Kick, notifier)->polled);
}

static void set_polls(EventNotifier *notifier, bool polls)
{
    PviommuPolled *p = enter_by(notifier);

    if (p) {
        p->polls = polls;
        if (!is_lent(p)) {
            pviommu_ring_want_kicks(&p->ring, !polls);
        }
        leave(p);
    }
}

static void poll_begins(EventNotifier *notifier)
{
    set_polls(notifier, true);
}

/* QEMU looks at the ring once more after this */
static void poll_ends(EventNotifier *notifier)
{
    set_polls(notifier, false);
}

static VirtioBusState *bus_of(PviommuDevice *s)
{
    return VIRTIO_BUS(qdev_get_parent_bus(DEVICE(s)));
}

static int set_guest_notifier(PviommuDevice *s, bool on)
{
    VirtioBusState *bus = bus_of(s);

    return VIRTIO_BUS_GET_CLASS(bus)->set_guest_notifiers(BUS(bus)->parent, 1,
                                                          on);
}

static void attach(PviommuPolled *p)
{
    EventNotifier *notifier;

    p->kick = &p->kicks[p->kick == &p->kicks[0]];
    p->kick->notifier = *virtio_queue_get_host_notifier(p->device->requestq);
    notifier = &p->kick->notifier;
    p->polls = false;
    p->lent = false;
    p->attached = true;
    qemu_bh_cancel(p->device->more);    /* it is the thread's to look */
    qatomic_store_release(&p->serves, true);
    aio_set_event_notifier(p->ctx, notifier, kicked, poll_ring, poll_found);
    aio_set_event_notifier_poll(p->ctx, notifier, poll_begins, poll_ends);
    /* nobody looked after what came before */
    event_notifier_set(notifier);
}

/* False without a queue, or without means to take it away from the vCPUs */
static bool try_queue(PviommuPolled *p)
{
    PviommuDevice *s = p->device;

    if (!pviommu_ring_open(&p->ring, VIRTIO_DEVICE(s), 0) ||
        set_guest_notifier(s, true) < 0) {
        return false;
    }
    if (virtio_bus_set_host_notifier(bus_of(s), 0, true) < 0) {
        set_guest_notifier(s, false);
        return false;
    }
    attach(p);
    return true;
}

/*
 * The vCPUs have it, as without an IOThread.  The thread may have asked for no
 * notifications, and nobody else would look.
 */
static void leave_to_vcpus(PviommuPolled *p)
{
    qemu_bh_schedule(p->device->more);
}

static void take_queue(PviommuPolled *p)
{
    if (p->wanted && !p->attached && !try_queue(p)) {
        leave_to_vcpus(p);
    }
}

static void leave_queue(PviommuPolled *p)
{
    PviommuDevice *s = p->device;
    bool is_empty;

    if (!p->attached) {
        return;
    }
    withdraw(p);
    aio_set_event_notifier(p->ctx, &p->kick->notifier, NULL, NULL, NULL);
    end_unfinished(s);
    p->attached = false;
    qemu_bh_cancel(p->lend);
    is_empty = pviommu_ring_is_empty(&p->ring);
    pviommu_ring_close(&p->ring);
    virtio_bus_set_host_notifier(bus_of(s), 0, false);
    virtio_bus_cleanup_host_notifier(bus_of(s), 0);
    set_guest_notifier(s, false);
    if (!is_empty) {
        leave_to_vcpus(p);
    }
}

/* The main loop has the queue, and gives it back */
static void borrow(void *opaque)
{
    PviommuPolled *p = opaque;
    PviommuDevice *s = p->device;

    /* what the thread wrote before it lent the queue is seen from here on */
    if (!p->attached || !is_lent(p)) {
        return;
    }
    end_unfinished(s);
    if (p->unread) {
        pviommu_ring_close(&p->ring);
        pviommu_requests_handle_one(s);
        if (!p->attached || !is_lent(p)) {
            return;             /* the answer stopped the queue */
        }
        if (!pviommu_ring_open(&p->ring, VIRTIO_DEVICE(s), 0)) {
            leave_queue(p);     /* until it starts anew */
            leave_to_vcpus(p);
            return;
        }
    }
    qatomic_store_release(&p->lent, false);
    qemu_bh_schedule(p->again);
}

static int start(VirtIODevice *vdev)
{
    PviommuPolled *p = PVIOMMU_DEVICE(vdev)->polled;

    if (p) {
        p->wanted = true;
        take_queue(p);
    }
    return 0;
}

static void stop(VirtIODevice *vdev)
{
    PviommuPolled *p = PVIOMMU_DEVICE(vdev)->polled;

    if (p) {
        leave_queue(p);
        p->wanted = false;
    }
}

static void queue_reset(VirtIODevice *vdev, uint32_t index)
{
    PviommuPolled *p = PVIOMMU_DEVICE(vdev)->polled;

    if (p && index == 0) {
        leave_queue(p);
    }
}

static void queue_enable(VirtIODevice *vdev, uint32_t index)
{
    PviommuPolled *p = PVIOMMU_DEVICE(vdev)->polled;

    if (p && index == 0) {
        leave_queue(p);
        take_queue(p);
    }
}

/* What object_del of the IOThread says */
static bool may_delete(PVIOMMU_MAY_DELETE_ARGS)
{
    PviommuDevice *s = NULL;

    while ((s = pviommu_next(s))) {
        if (s->iothread && OBJECT(s->iothread) == OBJECT(base)) {
            PVIOMMU_MAY_DELETE_ERROR("a pviommu has its queue there");
            return false;
        }
    }
    return true;
}

bool pviommu_polled_check(PviommuDevice *s, Error **errp)
{
    const char *name = s->iothread_name;

    if (!name) {
        return true;
    }
    s->iothread = iothread_by_id(name);
    if (!s->iothread) {
        error_setg(errp, "iothread: there is no iothread object '%s'", name);
        error_append_hint(errp, "Put -object iothread,id=%s on the command "
                          "line.\n", name);
    }
    return s->iothread;
}

void pviommu_polled_start(PviommuDevice *s)
{
    DeviceState *transport;
    PviommuPolled *p;

    if (!s->iothread) {
        return;
    }
    object_ref(OBJECT(s->iothread));
    PVIOMMU_MAY_DELETE(EVENT_LOOP_BASE_GET_CLASS(s->iothread)) = may_delete;
    transport = DEVICE(qdev_get_parent_bus(DEVICE(s))->parent);
    p = s->polled = g_new0(PviommuPolled, 1);
    p->device = s;
    p->kicks[0].polled = p->kicks[1].polled = p;
    p->ctx = iothread_get_aio_context(s->iothread);
    p->again = aio_bh_new(p->ctx, again, p);
    /* Not in the context that a device may poll while it is realized */
    p->lend = aio_bh_new_guarded(iohandler_get_aio_context(), borrow, p,
                                 &transport->mem_reentrancy_guard);
}

void pviommu_polled_stop(PviommuDevice *s)
{
    PviommuPolled *p = g_steal_pointer(&s->polled);

    if (p) {
        qemu_bh_delete(p->lend);
        qemu_bh_delete(p->again);
        g_free(p);
        object_unref(OBJECT(s->iothread));
    }
}

void pviommu_polled_class_init(VirtioDeviceClass *vdc)
{
    vdc->start_ioeventfd = start;
    vdc->stop_ioeventfd = stop;
    vdc->queue_reset = queue_reset;
    vdc->queue_enable = queue_enable;
}
