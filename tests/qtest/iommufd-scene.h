/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Observers that are passed through by iommufd, in a test
 */
#ifndef TESTS_QTEST_IOMMUFD_SCENE_H
#define TESTS_QTEST_IOMMUFD_SCENE_H

#include "watch.h"

#define PAGE 4096ULL
#define MiB (1ULL << 20)

/* Guest memory that is not used for anything else */
#define PHYS 0x1000000ULL

/**
 * struct Scene - an emulator with such observers
 * @v: the emulator
 * @w: the observers
 * @count: how many
 * @m: what a domain maps, empty at first; whose it is, is the test's to say
 */
typedef struct Scene {
    Viommu *v;
    Watch *w[3];
    unsigned count;
    Model m;
} Scene;

/**
 * scene_new - start an emulator
 * @properties: of the IOMMU, as for viommu_start()
 * @count: how many observers: "o0" and so on
 * @extra: more of a command line
 *
 * Return: the scene, to be ended by scene_end().
 */
Scene scene_new(const char *properties, unsigned count, const char *extra);
void scene_end(Scene *s);

/* Attach all observers, or detach them */
void attach_all(Scene *s, uint32_t domain);
void detach_all(Scene *s, uint32_t domain);

/*
 * The host refused no call but what a probe asks and a size too small, and
 * nothing was leaked
 */
void assert_no_mistakes(Watch *w);

/* Whether a write of the observer arrives there */
void assert_reaches(Watch *w, uint64_t iova, uint64_t phys, bool can);

/* The way to the host that an endpoint has, owned by the caller */
char *endpoint_path(Viommu *v, uint32_t endpoint);
void assert_path(Viommu *v, uint32_t endpoint, const char *path);

#endif /* TESTS_QTEST_IOMMUFD_SCENE_H */
