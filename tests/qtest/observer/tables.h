/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A host with iommufd, made of paper: what its three files share
 *
 *   tables.c     calls on /dev/iommu
 *   functions.c  calls on device files of VFIO
 *   iommufd.c    system calls, and what the observer asks
 */
#ifndef TESTS_QTEST_OBSERVER_TABLES_H
#define TESTS_QTEST_OBSERVER_TABLES_H

#include "qemu/queue.h"
#include "iommufd.h"

/* Where an x86 IOMMU takes a write for an interrupt */
#define MSI_FIRST 0xfee00000ULL
#define MSI_LAST 0xfeefffffULL

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
 */
typedef struct Hwpt {
    uint32_t id;
    Ioas *ioas;
    uint32_t iommu;
    uint32_t bits;
    bool automatic;
    QLIST_ENTRY(Hwpt) next;
} Hwpt;

/**
 * struct Context - an open /dev/iommu
 * @fd: the file, -1 when it is closed
 * @users: the file and the functions that are bound to it
 * @last_id: the number that was given last
 * @ioases: all of them
 * @hwpts: all of them
 */
typedef struct Context {
    int fd;
    unsigned users;
    uint32_t last_id;
    QLIST_HEAD(, Ioas) ioases;
    QLIST_HEAD(, Hwpt) hwpts;
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
 */
typedef struct Function {
    HostFunction is;
    int fd;
    uint32_t id;
    Context *context;
    Hwpt *hwpt;
    Ioas *access;
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
bool host_ioas_overlaps(const Ioas *ioas, hwaddr first, hwaddr last);

/* functions.c */
Ioas *host_ioas_of(const Function *f);
void host_function_detach(Function *f);

#endif /* TESTS_QTEST_OBSERVER_TABLES_H */
