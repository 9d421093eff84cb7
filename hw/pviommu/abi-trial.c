/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Running trials of QEMU's structures
 *
 * In another layout QEMU may follow a number or call a null pointer, or one of
 * its assertions may fail. None of that is to be QEMU's last word.
 */
#include "qemu/osdep.h"

#include <setjmp.h>

#include "abi-trial.h"

static const int fatal[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT };

static sigjmp_buf before;

static void crashed(int signal)
{
    siglongjmp(before, signal);
}

static bool survives(const PviommuTrial *trial)
{
    return !sigsetjmp(before, 1) && trial->run();
}

bool pviommu_trials_run(const PviommuTrial *trials, char **why)
{
    const struct sigaction action = { .sa_handler = crashed };
    struct sigaction old[G_N_ELEMENTS(fatal)];
    const PviommuTrial *trial = trials;

    for (size_t i = 0; i < G_N_ELEMENTS(fatal); i++) {
        sigaction(fatal[i], &action, &old[i]);
    }
    while (trial->run && survives(trial)) {
        trial++;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(fatal); i++) {
        sigaction(fatal[i], &old[i], NULL);
    }

    if (trial->run) {
        *why = g_strdup_printf("%s: laid out or used in another way",
                               trial->what);
    }
    return !trial->run;
}

bool pviommu_trial_untouched(const uint8_t *room)
{
    for (size_t i = 0; i < PVIOMMU_TRIAL_ROOM; i++) {
        if (room[i]) {
            return false;
        }
    }
    return true;
}

void *pviommu_trial_fake(const char *type, size_t size)
{
    ObjectClass *klass = object_class_by_name(type);
    Object *fake;

    if (!klass) {
        return NULL;
    }
    fake = g_malloc0(size + PVIOMMU_TRIAL_ROOM);
    fake->class = klass;
    fake->ref = 1;
    return fake;
}

void *pviommu_trial_class(void *fake, size_t size)
{
    Object *obj = fake;

    obj->class = g_memdup2(obj->class, size);
    return obj->class;
}
