/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The observer in a test: what its host holds, against what the test expects
 *
 * Guest memory is one block of the board, below 4 GiB, and the mappings of
 * the tests lie above: so a line of the host's set is guest RAM (bypass) or a
 * mapping of a domain, never in doubt.
 */
#ifndef TESTS_QTEST_WATCH_H
#define TESTS_QTEST_WATCH_H

#include "observer/observer.h"
#include "viommu.h"

/* Where domains of the tests map: behind all guest RAM */
#define HIGH ((uint64_t)1 << 32)

/**
 * struct Watch - an observer
 * @v: the emulator that it is in
 * @id: its name there
 * @endpoint: its number
 * @pdev: its function
 * @bar: its registers
 * @ram: its host's set in bypass
 */
typedef struct Watch {
    Viommu *v;
    const char *id;
    uint32_t endpoint;
    QPCIDevice *pdev;
    QPCIBar bar;
    char *ram;
} Watch;

/**
 * watch_library - an option that loads the observer's library
 *
 * Return: part of a command line, owned by the caller.
 */
char *watch_library(void);

/**
 * watch_how - what follows "watch=" in the options of an observer
 * @how: property watch; with "iommufd", the object "host" is used
 *
 * Return: part of an option.
 */
const char *watch_how(const char *how);

/**
 * watch_arg - options that load the observer's library and make observers
 * @how: property watch
 * @count: how many: "o0" at 00:04.0, "o1" at 00:05.0, and so on
 *
 * Return: part of a command line, owned by the caller.
 */
char *watch_arg(const char *how, unsigned count);

/**
 * watch_add - add a test for both hosts that refuse with a verdict
 * @group: the program's part of the path
 * @name: the test's part
 * @test: is given "container" in the one and "iommufd" in the other, whose
 *        path has the word between @group and @name
 */
void watch_add(const char *group, const char *name,
               void (*test)(const void *how));

/* Whether the test of watch_add() is the one for iommufd */
bool watch_is_iommufd(const void *how);

/* Options that make a root port for watch_plug() */
#define WATCH_PORT_BDF (3 << 3)
#define WATCH_PORT \
    "-global ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off " \
    "-device pcie-root-port,id=rp,addr=3.0,chassis=1 "

/* A device whose BAR is memory that a host can map */
#define WATCH_BAR \
    "-object memory-backend-ram,id=bar,size=1M,share=on " \
    "-device ivshmem-plain,memdev=bar,addr=8.0"

/**
 * watch_bar_open - show that BAR to the guest
 * @v: the emulator, with WATCH_BAR
 * @address: guest-physical address
 *
 * Return: the device; g_free() it.
 */
QPCIDevice *watch_bar_open(Viommu *v, uint32_t address);

/**
 * watch_plug - plug an observer, "hot", into the root port
 * @v: the emulator
 * @how: property watch; with "iommufd", the object "host" is used
 *
 * As function 1 of a device without function 0, it can leave without asking
 * the guest.
 *
 * Return: whether QEMU took it.
 */
bool watch_plug(Viommu *v, const char *how);

/**
 * watch_unplug - unplug it, and wait until it is gone
 * @v: the emulator
 */
void watch_unplug(Viommu *v);

/**
 * watch_open - find an observer that is in bypass
 * @v: the emulator
 * @index: which
 *
 * Return: the observer, to be freed by watch_close().
 */
Watch *watch_open(Viommu *v, unsigned index);

/**
 * watch_find - map the registers, once more after a reset of the machine
 * @w: the observer
 */
void watch_find(Watch *w);

/**
 * watch_close - forget an observer
 * @w: the observer
 */
void watch_close(Watch *w);

/**
 * watch_get - read a property of an observer
 * @w: the observer
 * @name: "events" or "mappings"
 *
 * Return: the text, owned by the caller.
 */
char *watch_get(Watch *w, const char *name);

/**
 * watch_calls - how often the host with iommufd was called
 * @w: any observer
 * @call: which call, see observer.h; "" for all
 *
 * Return: the number, whatever the calls returned.
 */
unsigned watch_calls(Watch *w, const char *call);

/**
 * watch_failed - how many of these calls returned an error
 * @w: any observer
 * @call: which call, "" for all
 * @error: errno
 *
 * Return: the number.
 */
unsigned watch_failed(Watch *w, const char *call, int error);

/**
 * watch_host - what the host with iommufd has
 * @w: any observer
 * @what: "pinned" (bytes), "leaked", or "ioas", "hwpt", "context", "function"
 *
 * Return: the number.
 */
uint64_t watch_host(Watch *w, const char *what);

/**
 * watch_clear - forget the events
 * @w: the observer
 */
void watch_clear(Watch *w);

/**
 * watch_set - write a register
 * @w: the observer
 * @reg: OBSERVER_*
 * @value: what
 */
void watch_set(Watch *w, unsigned reg, uint32_t value);

/**
 * watch_fail - have the host refuse
 * @w: the observer
 * @reg: OBSERVER_FAIL_MAP or _UNMAP
 * @nth: the n-th from now
 * @times: how many in a row
 * @error: errno
 */
void watch_fail(Watch *w, unsigned reg, unsigned nth, unsigned times,
                int error);

/**
 * watch_stick - have the host keep a mapping
 * @w: the observer
 * @iova: where it starts; 0 to let go.  Who unmaps more than that finds that
 *        what lies before is gone
 * @error: errno
 */
void watch_stick(Watch *w, uint64_t iova, int error);

/**
 * watch_dma - move data
 * @w: the observer
 * @command: OBSERVER_READ, _WRITE or _FILL
 * @iova: where
 * @size: bytes
 *
 * Return: whether all of it went through.
 */
bool watch_dma(Watch *w, uint32_t command, uint64_t iova, uint64_t size);

/**
 * watch_miss - have vhost ask for an address that it does not have
 * @w: the observer
 * @iova: the address
 * @write: what for
 *
 * Return: whether it has it then.
 */
bool watch_miss(Watch *w, uint64_t iova, bool write);

/**
 * struct Model - what a domain maps, as the test knows it
 * @lines: an entry for each mapping, in order of IOVA
 */
typedef struct Model {
    GArray *lines;
} Model;

Model model_new(void);
void model_free(Model *m);

/* Map or unmap in a domain and in the model of it; both must be OK */
void model_map(Model *m, Viommu *v, uint32_t domain, uint64_t first,
               uint64_t size, uint64_t phys, uint32_t flags);
void model_unmap(Model *m, Viommu *v, uint32_t domain, uint64_t first,
                 uint64_t size);

/* The same in the model alone */
void model_add(Model *m, uint64_t first, uint64_t size, uint64_t phys,
               uint32_t flags);
void model_remove(Model *m, uint64_t first, uint64_t size);

/*
 * @count pages from @iova on, behind all that the model has, each a mapping
 * to a page of low guest RAM; a queue full of requests at a time
 */
void model_map_pages(Model *m, Viommu *v, uint32_t domain, uint64_t iova,
                     unsigned count);

/* The host of @w holds just what the model says, guest RAM, or nothing */
void assert_holds(Watch *w, const Model *m);
void assert_holds_ram(Watch *w);
void assert_holds_nothing(Watch *w);

/* The host of @w was told nothing since the last watch_clear() */
void assert_quiet(Watch *w);

/*
 * There was RAM or an IOMMU at each moment since the last watch_clear(); for
 * an observer with a listener
 */
void assert_no_gap(Watch *w);

/**
 * assert_never_both - no moment had mappings on both sides of an IOVA
 * @w: the observer
 * @before: its host's set at the last watch_clear()
 * @border: the IOVA
 *
 * Follows the events from there on.
 */
void assert_never_both(Watch *w, const char *before, uint64_t border);

/**
 * watch_start_aliased - start with a function that has an alias
 * @properties: of the IOMMU
 *
 * Device "x", at 02:01.0 behind a bridge, makes its requests as 02:00.0.
 *
 * Return: the guest.
 */
Viommu *watch_start_aliased(const char *properties);

/**
 * watch_join_alias - pass a device through beside that function
 * @v: from watch_start_aliased()
 * @announce: VFIO tells of it; of a mediated one it does not
 *
 * Return: QEMU's answer, owned by the caller.
 */
QDict *watch_join_alias(Viommu *v, bool announce);

#endif /* TESTS_QTEST_WATCH_H */
