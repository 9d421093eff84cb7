/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A host with iommufd, made of paper: system calls, and the observer's view
 */
#include "qemu/osdep.h"

#include <sys/eventfd.h>
#include <sys/socket.h>

#include "preload.h"
#include "tables.h"

/* Protects all of the host; system calls come in any thread */
static GMutex lock;
static GTree *counts;
static unsigned leaked;

ContextList host_contexts;
FunctionList host_functions;
Refusal iommufd_refusals[OBSERVER_CALL__MAX];
Stuck iommufd_stuck;
uint64_t iommufd_memlock = UINT64_MAX;

static const char *const names[OBSERVER_CALL__MAX] = {
    [OBSERVER_CALL_ANY] = "any",
    [OBSERVER_CALL_MAP] = "map",
    [OBSERVER_CALL_UNMAP] = "unmap",
    [OBSERVER_CALL_ATTACH] = "attach",
    [OBSERVER_CALL_DETACH] = "detach",
    [OBSERVER_CALL_IOAS_ALLOC] = "ioas-alloc",
    [OBSERVER_CALL_HWPT_ALLOC] = "hwpt-alloc",
    [OBSERVER_CALL_DESTROY] = "destroy",
    [OBSERVER_CALL_RANGES] = "ranges",
    [OBSERVER_CALL_OPEN] = "open",
    [OBSERVER_CALL_BIND] = "bind",
    [OBSERVER_CALL_INFO] = "info",
    [OBSERVER_CALL_PROCESS] = "process",
    [OBSERVER_CALL_PARENT] = "parent-alloc",
    [OBSERVER_CALL_NESTED] = "nested-alloc",
    [OBSERVER_CALL_VIOMMU] = "viommu-alloc",
    [OBSERVER_CALL_VDEVICE] = "vdevice-alloc",
    [OBSERVER_CALL_VEVENTQ] = "veventq-alloc",
    [OBSERVER_CALL_INVALIDATE] = "invalidate",
    [OBSERVER_CALL_OTHER] = "other",
};

int host_refuses(unsigned kind)
{
    return refusal_due(&iommufd_refusals[kind]) ?:
           refusal_due(&iommufd_refusals[OBSERVER_CALL_ANY]);
}

static int compare(gconstpointer a, gconstpointer b, gpointer opaque)
{
    return strcmp(a, b);
}

static void count(unsigned kind, int ret)
{
    char *key = g_strdup_printf("%s %d", names[kind], MAX(-ret, 0));
    uintptr_t times = (uintptr_t)g_tree_lookup(counts, key);

    g_tree_replace(counts, key, (gpointer)(times + 1));
}

/* --- system calls --- */

static Context *context_at(int fd)
{
    Context *c;

    QLIST_FOREACH(c, &host_contexts, next) {
        if (c->fd == fd) {
            break;
        }
    }
    return c;
}

static Function *function_at(int fd)
{
    Function *f;

    QLIST_FOREACH(f, &host_functions, next) {
        if (f->fd == fd) {
            break;
        }
    }
    return f;
}

static int run(Context *c, Function *f, unsigned long request, void *arg)
{
    const HostCall *call = c ? host_context_calls : host_function_calls;
    int ret;

    while (call->request && call->request != request) {
        call++;
    }
    if (!call->request) {
        count(OBSERVER_CALL_OTHER, -ENOTTY);
        return -ENOTTY;
    }
    ret = c ? call->on_context(c, arg) : call->on_function(f, arg);
    count(call->kind, ret);
    return ret;
}

static bool take_ioctl(int fd, unsigned long request, void *arg, int *ret)
{
    Context *c;
    Function *f;

    g_mutex_lock(&lock);
    c = context_at(fd);
    f = function_at(fd);
    if (c || f) {
        *ret = run(c, f, request, arg);
        if (*ret < 0) {
            errno = -*ret;
            *ret = -1;
        }
    }
    g_mutex_unlock(&lock);
    return c || f;
}

static int take_open(void)
{
    int ret;

    g_mutex_lock(&lock);
    ret = host_refuses(OBSERVER_CALL_OPEN) ?: eventfd(0, EFD_CLOEXEC);
    count(OBSERVER_CALL_OPEN, ret);
    if (ret >= 0) {
        Context *c = g_new0(Context, 1);

        c->fd = ret;
        c->users = 1;
        QLIST_INSERT_HEAD(&host_contexts, c, next);
    }
    g_mutex_unlock(&lock);
    if (ret < 0) {
        errno = -ret;
        return -1;
    }
    return ret;
}

static void put_context(Context *c)
{
    if (--c->users) {
        return;
    }
    leaked += host_nests_free(c);
    while (!QLIST_EMPTY(&c->hwpts)) {
        host_hwpt_free(QLIST_FIRST(&c->hwpts));
        leaked++;
    }
    while (!QLIST_EMPTY(&c->ioases)) {
        host_ioas_free(QLIST_FIRST(&c->ioases));
        leaked++;
    }
    QLIST_REMOVE(c, next);
    g_free(c);
}

static void take_close(int fd)
{
    Context *c;
    Function *f;

    g_mutex_lock(&lock);
    c = fd < 0 ? NULL : context_at(fd);
    f = function_at(fd);
    if (c) {
        c->fd = -1;
        put_context(c);
    } else if (f) {
        if (f->context) {
            host_function_detach(f);
            host_function_leaves(f);
            put_context(f->context);
        }
        QLIST_REMOVE(f, next);
        g_free(f);
    } else {
        host_events_close(fd);
    }
    g_mutex_unlock(&lock);
}

/* Not there without LD_PRELOAD */
#pragma weak pviommu_preload

bool iommufd_start(void)
{
    Preload *preload = &pviommu_preload;

    counts = g_tree_new_full(compare, NULL, g_free, NULL);
    if (preload) {
        *preload = (Preload) {
            .open = take_open, .ioctl = take_ioctl, .close = take_close,
        };
    }
    return preload;
}

/* --- what the observer asks --- */

int iommufd_open_function(const HostFunction *function)
{
    Function *f = g_new0(Function, 1);

    f->is = *function;
    f->fd = eventfd(0, EFD_CLOEXEC);
    g_mutex_lock(&lock);
    QLIST_INSERT_HEAD(&host_functions, f, next);
    g_mutex_unlock(&lock);
    return f->fd;
}

char *iommufd_mappings(int fd)
{
    GString *text = g_string_new(NULL);
    Function *f;

    g_mutex_lock(&lock);
    f = function_at(fd);
    if (f && host_ioas_of(f) && !(f->hwpt && f->hwpt->view)) {
        held_print(host_ioas_of(f)->held, "", text);
    }
    g_mutex_unlock(&lock);
    return g_string_free(text, FALSE);
}

bool iommufd_dma(int fd, hwaddr iova, void *data, uint64_t size, bool write)
{
    bool done = false;
    Function *f;

    g_mutex_lock(&lock);
    f = function_at(fd);
    if (f && f->hwpt && f->hwpt->view) {
        done = host_nested_dma(f, iova, data, size, write);
    } else if (f && host_ioas_of(f)) {
        done = host_ioas_dma(host_ioas_of(f), iova, data, size, write);
    }
    g_mutex_unlock(&lock);
    return done;
}

static gboolean print_count(gpointer key, gpointer value, gpointer text)
{
    g_string_append_printf(text, "%s %u\n", (char *)key,
                           (unsigned)(uintptr_t)value);
    return FALSE;
}

char *iommufd_calls(void)
{
    GString *text = g_string_new(NULL);

    g_mutex_lock(&lock);
    g_tree_foreach(counts, print_count, text);
    g_mutex_unlock(&lock);
    return g_string_free(text, FALSE);
}

static void print_context(const Context *c, GString *text)
{
    Ioas *ioas;
    Hwpt *hwpt;
    View *view;
    Place *place;
    Events *events;

    QLIST_FOREACH(view, &c->views, next) {
        g_string_append_printf(text, "viommu %u hwpt %u\n", view->id,
                               view->parent->id);
    }
    QLIST_FOREACH(place, &c->places, next) {
        g_string_append_printf(text, "vdevice %u viommu %u\n", place->id,
                               place->view->id);
    }
    QLIST_FOREACH(events, &c->events, next) {
        g_string_append_printf(text, "veventq %u viommu %u\n", events->id,
                               events->view->id);
    }
    QLIST_FOREACH(ioas, &c->ioases, next) {
        g_string_append_printf(text, "ioas %u mappings %d\n", ioas->id,
                               g_sequence_get_length(ioas->held));
    }
    QLIST_FOREACH(hwpt, &c->hwpts, next) {
        g_string_append_printf(text, "hwpt %u ioas %u\n", hwpt->id,
                               hwpt->ioas->id);
    }
}

char *iommufd_objects(void)
{
    GString *text = g_string_new(NULL);
    Context *c;
    Function *f;

    g_mutex_lock(&lock);
    g_string_printf(text, "pinned %" PRIu64 "\nleaked %u\nunread %u\n",
                    host_pinned(), leaked, host_unread());
    QLIST_FOREACH(c, &host_contexts, next) {
        g_string_append_printf(text, "context at %d\n", c->fd);
        print_context(c, text);
    }
    QLIST_FOREACH(f, &host_functions, next) {
        g_string_append_printf(text, "function %s at %u\n", f->is.name,
                               f->hwpt ? f->hwpt->id
                               : f->access ? f->access->id : 0);
    }
    g_mutex_unlock(&lock);
    return g_string_free(text, FALSE);
}

char *iommufd_descriptor(int fd)
{
    char *text = NULL;
    Function *f;

    g_mutex_lock(&lock);
    f = function_at(fd);
    if (f && f->hwpt && f->hwpt->view && f->descriptor[0]) {
        text = g_strdup_printf(
            "%" PRIx64 " %u %u %" PRIx64 " %" PRIx64, f->descriptor[1],
            64 - (unsigned)(f->descriptor[0] & 63),
            (unsigned)(f->descriptor[0] >> 48), f->descriptor[3],
            f->hwpt->context);
    }
    g_mutex_unlock(&lock);
    return text ?: g_strdup("");
}

bool iommufd_fault(int fd, const char *what)
{
    g_auto(GStrv) word = g_strsplit(what, ":", 0);
    unsigned words = g_strv_length(word);
    Function *f;

    if (words < 3) {
        return false;
    }
    g_mutex_lock(&lock);
    f = function_at(fd);
    for (unsigned i = words > 3 ? atoi(word[3]) : 1; f && i > 0; i--) {
        host_event(f, g_ascii_strtoull(word[0], NULL, 16),
                   g_ascii_strtoull(word[1], NULL, 16), *word[2] == 'w');
    }
    g_mutex_unlock(&lock);
    return f;
}

bool iommufd_vevent(int fd, const char *text)
{
    uint8_t bytes[128];
    unsigned size = 0, value;
    Events *events = NULL;
    Function *f;

    while (size < sizeof(bytes) && sscanf(text + 2 * size, "%2x",
                                          &value) == 1) {
        bytes[size++] = value;
    }
    g_mutex_lock(&lock);
    f = function_at(fd);
    if (f && f->context) {
        events = QLIST_FIRST(&f->context->events);
    }
    if (events) {
        send(events->peer, bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL);
    }
    g_mutex_unlock(&lock);
    return events;
}

bool iommufd_refuse(const char *what)
{
    g_auto(GStrv) word = g_strsplit(what, ":", 0);

    for (unsigned i = 0; i < OBSERVER_CALL__MAX; i++) {
        if (g_strv_length(word) >= 3 && g_str_equal(word[0], names[i])) {
            iommufd_refusals[i] = (Refusal) {
                .nth = word[3] ? atoi(word[3]) : 1, .times = atoi(word[1]),
                .error = atoi(word[2]),
            };
            return true;
        }
    }
    return false;
}
