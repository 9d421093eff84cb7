/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A thread of the emulator that is held where it reads guest memory
 *
 * The page is taken away, and the signal that its first reader gets goes on
 * when it is told to, or when another thread waits for others: it may wait for
 * just this one, and could tell nobody anything then.
 */
#include "qemu/osdep.h"

#include <sys/syscall.h>

#include "system/address-spaces.h"
#include "preload.h"
#include "state.h"

#pragma weak pviommu_preload

static struct {
    char *page;
    size_t size;
    pthread_t main;
    pthread_t holder;
    struct sigaction before;
    bool held;
    bool free;
} hold;

static void on_fault(int number, siginfo_t *info, void *context)
{
    char *at = info->si_addr;

    if (at < hold.page || at >= hold.page + hold.size) {
        sigaction(SIGSEGV, &hold.before, NULL);
        return;
    }
    mprotect(hold.page, hold.size, PROT_READ | PROT_WRITE);
    if (pthread_equal(pthread_self(), hold.main)) {
        return;
    }
    hold.holder = pthread_self();
    qatomic_store_release(&hold.held, true);
    while (!qatomic_read(&hold.free)) {
        syscall(SYS_sched_yield);       /* not by way of on_yield() */
    }
}

static void on_yield(void)
{
    if (qatomic_load_acquire(&hold.held) &&
        !pthread_equal(pthread_self(), hold.holder)) {
        qatomic_set(&hold.free, true);
    }
}

void observer_hold(hwaddr address)
{
    MemoryRegionSection section = memory_region_find(get_system_memory(),
                                                     address, 1);
    const struct sigaction action = {
        .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO,
    };
    uintptr_t at = (uintptr_t)memory_region_get_ram_ptr(section.mr) +
                   section.offset_within_region;

    hold.size = qemu_real_host_page_size();
    hold.page = (char *)(at & -hold.size);
    hold.main = pthread_self();
    hold.held = hold.free = false;
    if (&pviommu_preload) {
        pviommu_preload.yield = on_yield;
    }
    sigaction(SIGSEGV, &action, &hold.before);
    mprotect(hold.page, hold.size, PROT_NONE);
    memory_region_unref(section.mr);
}

bool observer_is_holding(void)
{
    return qatomic_read(&hold.held);
}

void observer_let_go(void)
{
    mprotect(hold.page, hold.size, PROT_READ | PROT_WRITE);
    qatomic_set(&hold.free, true);
    sigaction(SIGSEGV, &hold.before, NULL);
}
