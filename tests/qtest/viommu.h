/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A driver of the IOMMU for tests: it can do all that a guest can, also what
 * a guest must not
 *
 * One struct Viommu is one emulator: a board (board.h), 256 MiB, the IOMMU
 * with the id "iommu", and what the test adds.  The constants come from the
 * virtio specification's header, not from ours.
 *
 * A function that cannot do its work fails the test.
 */
#ifndef TESTS_QTEST_VIOMMU_H
#define TESTS_QTEST_VIOMMU_H

#include "qemu/bswap.h"
#include "libqtest.h"
#include "libqos/virtio-mmio.h"
#include "libqos/virtio-pci.h"
#include "qobject/qdict.h"
#include "qobject/qlist.h"
#include "standard-headers/linux/virtio_config.h"
#include "standard-headers/linux/virtio_iommu.h"
#include "standard-headers/linux/virtio_ring.h"
#include "board.h"

/* Guest memory for what requests say and are told, used in turn */
#define VIOMMU_DATA_SIZE (4 * 1024 * 1024)

#define VIOMMU_OWN_BDF 0x80
#define VIOMMU_PROBE_SIZE 512
#define VIOMMU_QUEUE_SIZE 256

/* Ends the waiting for what never comes, on the slowest of machines too */
#define VIOMMU_TIMEOUT_US (600 * G_TIME_SPAN_SECOND)

#define FEATURE(name) (1ULL << (name))
#define ALL_FEATURES UINT64_MAX

#define READ VIRTIO_IOMMU_MAP_F_READ
#define WRITE VIRTIO_IOMMU_MAP_F_WRITE
#define MMIO VIRTIO_IOMMU_MAP_F_MMIO

/* The status that a request is to have; what it had is told otherwise */
#define assert_status(request, status) \
    g_assert_cmpstr(viommu_status_name(request), ==, #status)

#define ADD(name, func) board_add_test(name, func)
#define ADD_PCI(name, func) board_add_pci_test(name, func)

/**
 * struct ViommuQueue - a split virtqueue
 * @index: its number
 * @size: how many descriptors
 * @desc: guest-physical address of the table
 * @avail: and of the ring of what the driver gives
 * @used: and of the ring of what it gets back
 * @next: next descriptor to fill
 * @posted: how many buffers were given
 * @kicked: how many were when the device was told last
 * @seen: how many were got back
 */
typedef struct ViommuQueue {
    unsigned index;
    uint16_t size;
    uint64_t desc;
    uint64_t avail;
    uint64_t used;
    uint16_t next;
    uint16_t posted;
    uint16_t kicked;
    uint16_t seen;
} ViommuQueue;

/**
 * struct Viommu - an emulator with an IOMMU, and its driver
 * @qts: the emulator
 * @id: the IOMMU's id
 * @bdf: its bus, device and function
 * @alloc: guest memory for tests
 * @bus: the PCI bus
 * @dev: the IOMMU's function, NULL on a board with the platform form
 * @mmio: its registers there, NULL else
 * @vdev: the virtio device in either of the two
 * @features: what was negotiated
 * @queue_size: size to give the queues, 0 for the device's own
 * @requests: queue 0
 * @events: queue 1
 * @data: guest memory for requests, VIOMMU_DATA_SIZE bytes
 * @data_next: how much of it is used
 */
typedef struct Viommu {
    QTestState *qts;
    const char *id;
    int bdf;
    QGuestAllocator alloc;
    QPCIBus *bus;
    QVirtioPCIDevice *dev;
    QVirtioMMIODevice *mmio;
    QVirtioDevice *vdev;
    uint64_t features;
    uint16_t queue_size;
    ViommuQueue requests;
    ViommuQueue events;
    uint64_t data;
    size_t data_next;
} Viommu;

/**
 * struct ViommuBuffers - a descriptor chain
 * @out: what the device may read
 * @out_size: bytes of it
 * @in: what is in the part that the device may write, and what is there
 *      afterwards
 * @in_size: bytes of it
 * @out_piece: most bytes of one readable descriptor, 0 for any
 * @in_piece: most bytes of one writable descriptor, 0 for any
 * @indirect: use an indirect table
 */
typedef struct ViommuBuffers {
    const void *out;
    size_t out_size;
    void *in;
    size_t in_size;
    size_t out_piece;
    size_t in_piece;
    bool indirect;
} ViommuBuffers;

/**
 * viommu_start - start an emulator and make its IOMMU ready
 * @properties: of the IOMMU, as in "granule=4k", or members of a JSON object
 *              if it starts with a quote; NULL for none
 * @args: more of a command line; NULL for none
 *
 * Return: the driver, with all features negotiated; free by viommu_stop().
 */
Viommu *viommu_start(const char *properties, const char *args);

/**
 * viommu_boot - start an emulator and leave its IOMMU alone
 * @properties: as for viommu_start()
 * @args: as for viommu_start()
 *
 * Return: the driver; the device has its registers mapped and no more.
 */
Viommu *viommu_boot(const char *properties, const char *args);

/**
 * viommu_adopt - drive an emulator that the test started
 * @v: the driver, with @v->qts set and all else zero; its IOMMU is where
 *     viommu_boot() puts it
 */
void viommu_adopt(Viommu *v);

/**
 * viommu_beside - drive another IOMMU of the same emulator
 * @v: the driver of the first
 * @id: the other one's id
 * @bdf: its bus, device and function
 *
 * Return: its driver, with all features negotiated; free by viommu_forget()
 * before @v.
 */
Viommu *viommu_beside(Viommu *v, const char *id, int bdf);

/**
 * viommu_forget - stop to drive such an IOMMU
 * @v: its driver, freed
 */
void viommu_forget(Viommu *v);

/**
 * viommu_stop - end an emulator, which must end well
 * @v: the driver, freed
 */
void viommu_stop(Viommu *v);

/**
 * viommu_map_registers - find the device and map its registers
 * @v: the driver, after a reset of the machine
 */
void viommu_map_registers(Viommu *v);

/**
 * viommu_set_bridge - number the buses behind a PCI bridge
 * @v: the driver
 * @bdf: the bridge
 * @primary: number of its own bus
 * @secondary: of the bus behind it
 * @last: of the last one that is
 *
 * Opens a window for all registers behind it.
 */
void viommu_set_bridge(Viommu *v, int bdf, int primary, int secondary,
                       int last);

/**
 * viommu_set_window - choose which registers a PCI bridge lets through
 * @v: the driver
 * @bdf: the bridge
 * @first: first address, a multiple of 1 MiB
 * @last: last address
 */
void viommu_set_window(Viommu *v, int bdf, uint32_t first, uint32_t last);

/**
 * viommu_unplug - remove a device behind a bridge with native hotplug
 * @v: the driver
 * @id: the device
 *
 * The guest's part is done by a reset of the machine.
 */
void viommu_unplug(Viommu *v, const char *id);

/**
 * viommu_begin - go through initialization up to and with FEATURES_OK
 * @v: the driver
 * @mask: the features to accept of those offered
 *
 * Return: whether FEATURES_OK stayed set.
 */
bool viommu_begin(Viommu *v, uint64_t mask);

/**
 * viommu_queues - set up both queues, empty
 * @v: the driver
 */
void viommu_queues(Viommu *v);

/**
 * viommu_negotiate - go through the whole initialization
 * @v: the driver
 * @mask: the features to accept of those offered
 */
void viommu_negotiate(Viommu *v, uint64_t mask);

/**
 * viommu_set_status - write the device status
 * @v: the driver
 * @status: VIRTIO_CONFIG_S_*; 0 resets
 */
void viommu_set_status(Viommu *v, uint8_t status);

/**
 * viommu_wait_needs_reset - wait until the device asks for a reset
 * @v: the driver
 */
void viommu_wait_needs_reset(Viommu *v);

/**
 * viommu_assert_alive - the device takes requests and wants no reset
 * @v: the driver
 */
void viommu_assert_alive(Viommu *v);

/**
 * viommu_post - give a buffer without telling the device
 * @v: the driver
 * @queue: the queue
 * @buffers: the chain
 *
 * Return: guest-physical address of the writable part.
 */
uint64_t viommu_post(Viommu *v, ViommuQueue *queue,
                     const ViommuBuffers *buffers);

/**
 * viommu_kick - tell the device of buffers, if it wants to be told
 * @v: the driver
 * @queue: the queue
 */
void viommu_kick(Viommu *v, ViommuQueue *queue);

/**
 * viommu_kick_always - tell the device, whether it wants to be told or not
 * @v: the driver
 * @queue: the queue
 */
void viommu_kick_always(Viommu *v, ViommuQueue *queue);

/**
 * viommu_used - take back a buffer if there is one
 * @v: the driver
 * @queue: the queue
 * @length: where to put the used length
 *
 * Return: whether there was one.
 */
bool viommu_used(Viommu *v, ViommuQueue *queue, uint32_t *length);

/**
 * viommu_wait - take back a buffer
 * @v: the driver
 * @queue: the queue
 *
 * Return: its used length.
 */
uint32_t viommu_wait(Viommu *v, ViommuQueue *queue);

/**
 * viommu_post_map - give a MAP without telling the device
 * @v: the driver
 * @domain: as for viommu_map(), like the others
 * @first: first IOVA
 * @last: last IOVA
 * @phys: guest-physical address of @first
 * @flags: READ and so on
 *
 * Return: guest-physical address of its tail.
 */
uint64_t viommu_post_map(Viommu *v, uint32_t domain, uint64_t first,
                         uint64_t last, uint64_t phys, uint32_t flags);

/**
 * viommu_post_unmap - the same of an UNMAP
 * @v: the driver
 * @domain: as for viommu_unmap(), like the others
 * @first: first IOVA
 * @last: last IOVA
 *
 * Return: guest-physical address of its tail.
 */
uint64_t viommu_post_unmap(Viommu *v, uint32_t domain, uint64_t first,
                           uint64_t last);

/**
 * viommu_map_request - what a MAP consists of
 * @domain: as for viommu_map(), like the others
 * @first: first IOVA
 * @last: last IOVA
 * @phys: guest-physical address of @first
 * @flags: READ and so on
 *
 * Return: the request, with a status that no device gives.
 */
struct virtio_iommu_req_map viommu_map_request(uint32_t domain,
                                               uint64_t first, uint64_t last,
                                               uint64_t phys, uint32_t flags);

/**
 * viommu_post_maps - give several MAPs, with few accesses, without telling
 *                    the device
 * @v: the driver, of whose requests the device holds none
 * @maps: the requests
 * @count: how many; half of the queue's size at most
 */
void viommu_post_maps(Viommu *v, const struct virtio_iommu_req_map *maps,
                      unsigned count);

/**
 * viommu_wait_maps - take them back, of which each must have gone well
 * @v: the driver
 * @count: how many
 */
void viommu_wait_maps(Viommu *v, unsigned count);

/**
 * viommu_post_heads - give buffers that are in the queue's table already
 * @v: the driver
 * @queue: the queue, of which the device holds no buffer
 * @count: how many
 * @step: descriptors of each; the first begins at 0
 */
void viommu_post_heads(Viommu *v, ViommuQueue *queue, unsigned count,
                       unsigned step);

/**
 * viommu_wait_all - take back all buffers
 * @v: the driver
 * @queue: the queue
 * @length: the used length that each must have
 */
void viommu_wait_all(Viommu *v, ViommuQueue *queue, uint32_t length);

/**
 * viommu_send - have a request done
 * @v: the driver
 * @buffers: the chain; @buffers->in is what came back
 *
 * Return: the used length.
 */
uint32_t viommu_send(Viommu *v, const ViommuBuffers *buffers);

/**
 * viommu_request - have a request done, in one descriptor each way
 * @v: the driver
 * @out: the readable part
 * @out_size: its size
 *
 * The answer must be a tail with zeros behind the status, used length 4.
 *
 * Return: the status.
 */
uint8_t viommu_request(Viommu *v, const void *out, size_t out_size);

uint8_t viommu_attach(Viommu *v, uint32_t domain, uint32_t endpoint);
uint8_t viommu_attach_flags(Viommu *v, uint32_t domain, uint32_t endpoint,
                            uint32_t flags);
uint8_t viommu_detach(Viommu *v, uint32_t domain, uint32_t endpoint);
uint8_t viommu_map(Viommu *v, uint32_t domain, uint64_t first, uint64_t last,
                   uint64_t phys, uint32_t flags);
uint8_t viommu_unmap(Viommu *v, uint32_t domain, uint64_t first,
                     uint64_t last);

/**
 * viommu_probe - probe an endpoint
 * @v: the driver
 * @endpoint: its id
 * @properties: VIOMMU_PROBE_SIZE bytes to fill
 *
 * The used length must be that of properties and tail.
 *
 * Return: the status.
 */
uint8_t viommu_probe(Viommu *v, uint32_t endpoint, void *properties);

/**
 * viommu_status_name - the specification's word for a status
 * @status: VIRTIO_IOMMU_S_*
 *
 * Return: such as "NOENT".
 */
const char *viommu_status_name(uint8_t status);

/**
 * viommu_config - read the configuration
 * @v: the driver
 *
 * Return: the configuration, in the host's byte order.
 */
struct virtio_iommu_config viommu_config(Viommu *v);

/**
 * viommu_config_write - write a byte of the configuration
 * @v: the driver
 * @offset: which
 * @value: what
 */
void viommu_config_write(Viommu *v, unsigned offset, uint8_t value);

/**
 * viommu_set_bypass - write the field bypass
 * @v: the driver
 * @bypass: what
 */
void viommu_set_bypass(Viommu *v, uint8_t bypass);

/**
 * viommu_event_post - give the device buffers for reports
 * @v: the driver
 * @size: bytes of each
 * @count: how many
 */
void viommu_event_post(Viommu *v, size_t size, unsigned count);

/**
 * viommu_event - take a report
 * @v: the driver
 *
 * Return: the report, in the host's byte order; its buffer was of its size.
 */
struct virtio_iommu_fault viommu_event(Viommu *v);

/**
 * viommu_assert_fault - take a report that must say this
 * @v: the driver
 * @reason: VIRTIO_IOMMU_FAULT_R_*
 * @access: VIRTIO_IOMMU_FAULT_F_READ or _WRITE
 * @endpoint: whose
 * @address: where
 */
void viommu_assert_fault(Viommu *v, uint8_t reason, uint32_t access,
                         uint32_t endpoint, uint64_t address);

/**
 * viommu_settle - wait until the emulator has done what it had to do
 * @v: the driver
 */
void viommu_settle(Viommu *v);

/**
 * viommu_get - read a property of the device
 * @v: the driver
 * @name: which
 *
 * Return: {"return": value}, to be freed by qobject_unref().
 */
QDict *viommu_get(Viommu *v, const char *name);

/**
 * viommu_count - read a counter
 * @v: the driver
 * @name: such as "mappings"
 *
 * Return: its value.
 */
uint64_t viommu_count(Viommu *v, const char *name);

/**
 * viommu_count_of - read a counter out of a dictionary
 * @v: the driver
 * @name: such as "mistakes"
 * @key: such as "overlap"
 *
 * Return: its value, 0 when it is not there.
 */
uint64_t viommu_count_of(Viommu *v, const char *name, const char *key);

/**
 * viommu_endpoint_state - read what is said of an endpoint
 * @v: the driver
 * @endpoint: its id
 *
 * Return: "blocked", "bypass", "translated", or "none" if there is no such
 * endpoint; owned by the caller.
 */
char *viommu_endpoint_state(Viommu *v, uint32_t endpoint);

/**
 * viommu_endpoint_shows - read one thing that is said of an endpoint
 * @v: the driver
 * @endpoint: its id
 * @name: a member of its entry in the property "endpoints"
 *
 * Return: the word that it is, "true" or "false", or NULL if it is not said;
 * owned by the caller.
 */
char *viommu_endpoint_shows(Viommu *v, uint32_t endpoint, const char *name);

#define assert_shows(v, endpoint, name, wanted) do { \
    g_autofree char *shown_ = viommu_endpoint_shows(v, endpoint, name); \
    g_assert_cmpstr(shown_, ==, wanted); \
} while (0)

#define assert_state(v, endpoint, state) do { \
    g_autofree char *state_ = viommu_endpoint_state(v, endpoint); \
    g_assert_cmpstr(state_, ==, state); \
} while (0)

#endif /* TESTS_QTEST_VIOMMU_H */
