/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The back end of a vhost-user device
 *
 * The messages are those of docs/interop/vhost-user.rst in QEMU's source.  The
 * emulator waits for the answer to each that concerns the IOMMU, so that what
 * a request of the guest led to is known here when the request is done.
 */
#include "qemu/osdep.h"

#include <sys/socket.h>
#include <sys/un.h>

#include "standard-headers/linux/vhost_types.h"
#include "standard-headers/linux/virtio_config.h"
#include "vhost-user.h"

enum {
    GET_FEATURES = 1,
    GET_VRING_BASE = 11,
    GET_PROTOCOL_FEATURES = 15,
    IOTLB_MSG = 22,
};

#define VERSION 1
#define REPLY (1 << 2)
#define NEED_REPLY (1 << 3)

#define F_PROTOCOL_FEATURES 30
#define PROTOCOL_F_REPLY_ACK 3
#define PROTOCOL_F_BACKEND_REQ 5

#define PAYLOAD_MAX 1024
#define FDS_MAX 16

typedef struct Message {
    uint32_t request;
    uint32_t flags;
    uint32_t size;
    union {
        uint64_t number;
        struct vhost_vring_state state;
        struct vhost_iotlb_msg iotlb;
        uint8_t bytes[PAYLOAD_MAX];
    };
} QEMU_PACKED Message;

#define HEADER_SIZE offsetof(Message, number)

struct VhostUser {
    char *path;
    int listener;
    GThread *thread;
    GArray *files;          /* what came with messages, open as QEMU expects */
    GMutex lock;            /* protects what follows */
    GArray *entries;        /* struct vhost_iotlb_msg */
};

/* Some bytes, and with them files; false at the end */
static bool take(VhostUser *u, int fd, void *data, size_t size)
{
    char control[CMSG_SPACE(FDS_MAX * sizeof(int))];
    struct iovec iov = { .iov_base = data, .iov_len = size };
    struct msghdr msg = {
        .msg_iov = &iov,
        .msg_iovlen = 1,
        .msg_control = control,
        .msg_controllen = sizeof(control),
    };
    ssize_t got = recvmsg(fd, &msg, MSG_WAITALL);

    for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); got > 0 && c;
         c = CMSG_NXTHDR(&msg, c)) {
        g_array_append_vals(u->files, CMSG_DATA(c),
                            (c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
    }
    return got == (ssize_t)size;
}

static bool overlaps(const struct vhost_iotlb_msg *a,
                     const struct vhost_iotlb_msg *b)
{
    return a->iova <= b->iova + (b->size - 1) &&
           b->iova <= a->iova + (a->size - 1);
}

static void learn(VhostUser *u, const struct vhost_iotlb_msg *told)
{
    g_mutex_lock(&u->lock);
    if (told->type == VHOST_IOTLB_UPDATE) {
        g_array_append_vals(u->entries, told, 1);
    } else if (told->type == VHOST_IOTLB_INVALIDATE) {
        for (unsigned i = u->entries->len; i > 0; i--) {
            if (overlaps(&g_array_index(u->entries, struct vhost_iotlb_msg,
                                        i - 1), told)) {
                g_array_remove_index(u->entries, i - 1);
            }
        }
    }
    g_mutex_unlock(&u->lock);
}

/* Do what a message asks for; whether there is an answer, in its place */
static bool answer(VhostUser *u, Message *m)
{
    struct vhost_iotlb_msg told;

    switch (m->request) {
    case GET_FEATURES:
        m->number = 1ULL << VIRTIO_F_VERSION_1 |
                    1ULL << VIRTIO_F_IOMMU_PLATFORM |
                    1ULL << F_PROTOCOL_FEATURES;
        break;
    case GET_PROTOCOL_FEATURES:
        m->number = 1 << PROTOCOL_F_REPLY_ACK | 1 << PROTOCOL_F_BACKEND_REQ;
        break;
    case GET_VRING_BASE:
        m->state.num = 0;
        break;
    case IOTLB_MSG:
        told = m->iotlb;            /* it is not aligned there */
        learn(u, &told);
        /* fall through */
    default:
        if (!(m->flags & NEED_REPLY)) {
            return false;
        }
        m->number = 0;
        break;
    }
    m->flags = VERSION | REPLY;
    m->size = sizeof(m->number);
    return true;
}

static void *serve(void *opaque)
{
    VhostUser *u = opaque;
    int fd = accept(u->listener, NULL, NULL);
    Message m;

    while (fd >= 0 && take(u, fd, &m, HEADER_SIZE)) {
        g_assert_cmpuint(m.size, <=, PAYLOAD_MAX);
        if (m.size && !take(u, fd, m.bytes, m.size)) {
            break;
        }
        if (answer(u, &m)) {
            g_assert_cmpint(send(fd, &m, HEADER_SIZE + m.size, MSG_NOSIGNAL),
                            ==, HEADER_SIZE + m.size);
        }
    }
    if (fd >= 0) {
        close(fd);
    }
    for (unsigned i = 0; i < u->files->len; i++) {
        close(g_array_index(u->files, int, i));
    }
    return NULL;
}

VhostUser *vhost_user_new(void)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    VhostUser *u = g_new0(VhostUser, 1);

    u->path = g_strdup_printf("%s/pviommu-vhost-%d", g_get_tmp_dir(),
                              getpid());
    unlink(u->path);
    g_strlcpy(address.sun_path, u->path, sizeof(address.sun_path));
    u->listener = socket(AF_UNIX, SOCK_STREAM, 0);
    g_assert_cmpint(bind(u->listener, (struct sockaddr *)&address,
                         sizeof(address)), ==, 0);
    g_assert_cmpint(listen(u->listener, 1), ==, 0);
    g_mutex_init(&u->lock);
    u->files = g_array_new(FALSE, FALSE, sizeof(int));
    u->entries = g_array_new(FALSE, FALSE, sizeof(struct vhost_iotlb_msg));
    u->thread = g_thread_new("vhost-user", serve, u);
    return u;
}

void vhost_user_free(VhostUser *u)
{
    /* Ends the wait for an emulator that never connected */
    shutdown(u->listener, SHUT_RDWR);
    g_thread_join(u->thread);
    close(u->listener);
    unlink(u->path);
    g_array_free(u->files, TRUE);
    g_array_free(u->entries, TRUE);
    g_mutex_clear(&u->lock);
    g_free(u->path);
    g_free(u);
}

char *vhost_user_arg(const VhostUser *u)
{
    return g_strdup_printf("-object memory-backend-memfd,id=shared,size=256M,"
                           "share=on -machine memory-backend=shared "
                           "-chardev socket,id=vhost,path=%s ", u->path);
}

bool vhost_user_reaches(VhostUser *u, uint64_t iova)
{
    const struct vhost_iotlb_msg byte = { .iova = iova, .size = 1 };
    bool found = false;

    g_mutex_lock(&u->lock);
    for (unsigned i = 0; i < u->entries->len; i++) {
        found |= overlaps(&g_array_index(u->entries, struct vhost_iotlb_msg,
                                         i), &byte);
    }
    g_mutex_unlock(&u->lock);
    return found;
}
