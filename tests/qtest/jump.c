/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Loaded before TSan: jumps of the emulator's that it must not see
 *
 * QEMU's coroutines go from one stack to another by siglongjmp()
 * (util/coroutine-ucontext.c).  A QEMU that is built for TSan tells it so; a
 * distribution's does not, and TSan ends a program that jumps to where it was
 * not.  The library, which it watches, never jumps.
 */
#include <dlfcn.h>
#include <setjmp.h>
#include <stdlib.h>

static void (*jump)(sigjmp_buf env, int value);

static void __attribute__((constructor)) find(void)
{
    void *libc = dlopen("libc.so.6", RTLD_LAZY | RTLD_NOLOAD);

    jump = libc ? dlsym(libc, "siglongjmp") : NULL;
}

void siglongjmp(sigjmp_buf env, int value)
{
    if (jump) {
        jump(env, value);
    }
    abort();
}
