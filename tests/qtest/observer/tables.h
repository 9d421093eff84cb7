/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A host with iommufd, made of paper: what its files share
 *
 *   tables.c     calls on /dev/iommu
 *   nests.c      those for tables that nest
 *   walk.c       what a nested function reaches, and what is told of the rest
 *   functions.c  calls on device files of VFIO
 *   iommufd.c    system calls, and what the observer asks
 */
#ifndef TESTS_QTEST_OBSERVER_TABLES_H
#define TESTS_QTEST_OBSERVER_TABLES_H

#include "qemu/queue.h"
#include "iommufd.h"

/* Bytes from HostFunction.msi on */
#define MSI_SIZE 0x100000ULL

/**
 * struct Ioas - addresses that lead to memory
 * @id: its number
 * @held: its mappings
 */
typedef struct Ioas {
    uint32_t id;
    GSequence *held;
    QLIST_ENTRY(Ioas) next;
} Ioas;

/**
 * struct Hwpt - what a function is attached to
 * @id: its number
 * @ioas: whose mappings are in it
 * @iommu: the IOMMU that can use it
 * @bits: width of that
 * @automatic: the kernel made it when something was attached to the IOAS,
 *             and frees it with the last user
 * @parent: others can nest in it
 * @view: what it nests in, or NULL
 * @context: the address of its context descriptor, for the stage of @view
 */
typedef struct Hwpt {
    uint32_t id;
    Ioas *ioas;
    uint32_t iommu;
    uint32_t bits;
    bool automatic;
    bool parent;
    struct View *view;
    uint64_t context;
    QLIST_ENTRY(Hwpt) next;
} Hwpt;

/**
 * struct View - a vIOMMU
 * @id: its number
 * @parent: what is behind its stage
 */
typedef struct View {
    uint32_t id;
    Hwpt *parent;
    QLIST_ENTRY(View) next;
} View;

/**
 * struct Place - a vDEVICE
 * @id: its number
 * @view: the vIOMMU that it is of
 * @function: what is there
 * @number: the guest's number for it
 */
typedef struct Place {
    uint32_t id;
    View *view;
    struct Function *function;
    uint64_t number;
    QLIST_ENTRY(Place) next;
} Place;

/**
 * struct Events - a vEVENTQ
 * @id: its number
 * @view: the vIOMMU that it is of
 * @fd: where they are read, -1 when that is closed
 * @peer: where they are written
 */
typedef struct Events {
    uint32_t id;
    View *view;
    int fd;
    int peer;
    QLIST_ENTRY(Events) next;
} Events;

/**
 * struct Context - an open /dev/iommu
 * @fd: the file, -1 when it is closed
 * @users: the file and the functions that are bound to it
 * @last_id: the number that was given last
 * @ioases: all of them
 * @hwpts: all of them
 * @views: all of them
 * @places: all of them
 * @events: all of them
 */
typedef struct Context {
    int fd;
    unsigned users;
    uint32_t last_id;
    QLIST_HEAD(, Ioas) ioases;
    QLIST_HEAD(, Hwpt) hwpts;
    QLIST_HEAD(, View) views;
    QLIST_HEAD(, Place) places;
    QLIST_HEAD(, Events) events;
    QLIST_ENTRY(Context) next;
} Context;

/**
 * struct Function - an open device file
 * @is: what it is
 * @fd: the file
 * @id: its number once it is bound
 * @context: what it is bound to, or NULL
 * @hwpt: what it is attached to, or NULL
 * @access: the same, of a mediated device
 * @descriptor: the context descriptor that its SMMU holds
 */
typedef struct Function {
    HostFunction is;
    int fd;
    uint32_t id;
    Context *context;
    Hwpt *hwpt;
    Ioas *access;
    uint64_t descriptor[8];
    QLIST_ENTRY(Function) next;
} Function;

typedef QLIST_HEAD(, Context) ContextList;
typedef QLIST_HEAD(, Function) FunctionList;

extern ContextList host_contexts;
extern FunctionList host_functions;

/* A call that the host knows: 0 or negative errno */
typedef struct HostCall {
    unsigned long request;
    unsigned kind;              /* OBSERVER_CALL_* */
    int (*on_context)(Context *c, void *arg);
    int (*on_function)(Function *f, void *arg);
} HostCall;

extern const HostCall host_context_calls[];
extern const HostCall host_function_calls[];

/* iommufd.c: whether the test ordered that a call is refused */
int host_refuses(unsigned kind);

/* tables.c */
Ioas *host_find_ioas(const Context *c, uint32_t id);
Hwpt *host_find_hwpt(const Context *c, uint32_t id);
int host_hwpt_new(Context *c, Ioas *ioas, const Function *f, Hwpt **out);
void host_hwpt_put(Hwpt *hwpt);
void host_ioas_free(Ioas *ioas);
void host_hwpt_free(Hwpt *hwpt);
uint64_t host_pinned(void);
Function *host_find_function(const Context *c, uint32_t id);
bool host_ioas_overlaps(const Ioas *ioas, hwaddr first, hwaddr last);

/* nests.c */
int host_hw_info(Context *c, void *arg);
int host_nested_alloc(Context *c, void *arg);
int host_viommu_alloc(Context *c, void *arg);
int host_vdevice_alloc(Context *c, void *arg);
int host_veventq_alloc(Context *c, void *arg);
int host_invalidate(Context *c, void *arg);
View *host_find_view(const Context *c, uint32_t id);
Place *host_place_of(const View *view, const Function *f);
bool host_is_nested_in(const Context *c, const Hwpt *hwpt);
int host_nest_destroy(Context *c, uint32_t id);
unsigned host_nests_free(Context *c);
void host_function_leaves(Function *f);
bool host_events_close(int fd);
unsigned host_unread(void);

/* walk.c */
bool host_ioas_dma(const Ioas *ioas, hwaddr iova, void *data, uint64_t size,
                   bool write);
bool host_nested_dma(Function *f, uint64_t iova, void *data, uint64_t size,
                     bool write);
void host_descriptor_load(Function *f);
void host_event(const Function *f, unsigned type, uint64_t address,
                bool write);

/* functions.c */
Ioas *host_ioas_of(const Function *f);
void host_function_detach(Function *f);

#endif /* TESTS_QTEST_OBSERVER_TABLES_H */
