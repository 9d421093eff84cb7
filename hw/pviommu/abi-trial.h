/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Trials of structures that QOM knows nothing of
 *
 * A trial hands such a structure to a function of the running QEMU and looks
 * at what became of it: which callback was called, which member was written.
 * Where QEMU wants an object, it gets one that is zero but for its class, so
 * that no code of the type runs and nothing is registered. A trial that found
 * nothing wrong leaves QEMU as it was.
 */
#ifndef PVIOMMU_ABI_TRIAL_H
#define PVIOMMU_ABI_TRIAL_H

#include "qom/object.h"

/**
 * PVIOMMU_TRIAL_ROOM - bytes behind a structure that QEMU is to write to
 *
 * Those of the running QEMU may be larger. Zero, and to stay so.
 */
#define PVIOMMU_TRIAL_ROOM 256

/**
 * PVIOMMU_TRIAL_ROOMY() - a zeroed variable with room behind it
 * @type: the structure, its member "it"
 * @name: the variable
 */
#define PVIOMMU_TRIAL_ROOMY(type, name)                         \
    static struct {                                             \
        type it;                                                \
        uint8_t room[PVIOMMU_TRIAL_ROOM];                       \
    } name

/**
 * PVIOMMU_TRIAL_IN_ROOM() - whether QEMU stayed within the structure
 * @name: a PVIOMMU_TRIAL_ROOMY() variable
 */
#define PVIOMMU_TRIAL_IN_ROOM(name) pviommu_trial_untouched((name).room)

/**
 * struct PviommuTrial - one trial
 * @what: the structures on trial, for the message
 * @run: returns false if they differ, and may crash if they do; true, too, if
 *       this emulator lacks what it takes
 */
typedef struct PviommuTrial {
    const char *what;
    bool (*run)(void);
} PviommuTrial;

/* Each ends with an empty one */
extern const PviommuTrial pviommu_trials_memory[];
extern const PviommuTrial pviommu_trials_vfio[];
extern const PviommuTrial pviommu_trials_qdev[];
extern const PviommuTrial pviommu_trials_pci[];

/**
 * pviommu_trial_untouched() - whether nothing was written behind a structure
 * @room: PVIOMMU_TRIAL_ROOM bytes; see PVIOMMU_TRIAL_IN_ROOM()
 *
 * Return: true if all are zero.
 */
bool pviommu_trial_untouched(const uint8_t *room);

/**
 * pviommu_trial_fake() - what QEMU takes for an object of a type
 * @type: the type; may be abstract
 * @size: of the instance
 *
 * Return: zeroed memory with a class, and room behind it, freed with
 * g_free(); NULL if this emulator has no such type.
 */
void *pviommu_trial_fake(const char *type, size_t size);

/**
 * pviommu_trial_class() - give a fake a class of its own
 * @fake: from pviommu_trial_fake()
 * @size: of the class
 *
 * Return: the class, a copy; freed with g_free() when @fake is used no more.
 */
void *pviommu_trial_class(void *fake, size_t size);

/**
 * pviommu_trials_run() - run trials up to the first that fails
 * @trials: an array that ends with an empty one
 * @why: on failure, set to one line; the caller frees it with g_free()
 *
 * A trial that crashes has failed; QEMU must then be ended. Main thread only.
 *
 * Return: true if all passed.
 */
bool pviommu_trials_run(const PviommuTrial *trials, char **why);

#endif /* PVIOMMU_ABI_TRIAL_H */
