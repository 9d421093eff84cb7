/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Entry of pviommu.so: is this the right QEMU? Then register the types
 */
#include "qemu/osdep.h"
#include "plugins/qemu-plugin.h"
#include "qapi/qapi-commands-control.h"
#include "qom/object.h"

#include "pviommu/abi.h"
#include "pviommu/device.h"
#include "pviommu/guard.h"

/*
 * Nothing of the plugin interface is used but the structure handed to
 * qemu_plugin_install(), so any version of it would do.
 */
QEMU_PLUGIN_EXPORT int qemu_plugin_version = QEMU_PLUGIN_VERSION;

/*
 * Returning an error would do as well, but QEMU would add a line of its own
 * that says less.
 */
static G_NORETURN void stop(const char *message)
{
    fprintf(stderr, "%s: pviommu: %s\n", g_get_prgname() ?: "qemu", message);
    exit(EXIT_FAILURE);
}

static G_NORETURN void refuse(const char *why)
{
    g_autofree char *message =
        g_strdup_printf("%s; rebuild pviommu.so for this QEMU: run "
                        "scripts/setup, or configure the build with "
                        "-Dqemu_source=DIR -Dqemu_binary=FILE", why);

    stop(message);
}

/*
 * The layout has the last word: nothing that is used here changed between
 * 10.0.2 and 10.0.13, but every minor release changed a structure.
 */
static bool is_same_series(const char *version)
{
    size_t length = strrchr(QEMU_VERSION, '.') - QEMU_VERSION;

    return !strncmp(version, QEMU_VERSION, length) && version[length] == '.';
}

/*
 * The version, or NULL if this is no QEMU that tells it. It may be any version
 * here: look up even the functions that tell it, and free the answer only
 * where its structure is known to be ours.
 */
static char *running_version(void)
{
    __typeof__(qmp_query_version) *query = PVIOMMU_LOOKUP(qmp_query_version);
    __typeof__(qapi_free_VersionInfo) *release =
        PVIOMMU_LOOKUP(qapi_free_VersionInfo);
    VersionInfo *info = query ? query(NULL) : NULL;
    char *version;

    if (!info || !info->qemu) {
        return NULL;
    }
    version = g_strdup_printf("%" PRId64 ".%" PRId64 ".%" PRId64,
                              info->qemu->major, info->qemu->minor,
                              info->qemu->micro);
    if (release && is_same_series(version)) {
        release(info);
    }
    return version;
}

static void check_version(const char *running)
{
    g_autofree char *why = NULL;

    if (!is_same_series(running)) {
        why = g_strdup_printf("this is QEMU %s, but the library was built for "
                              "QEMU " QEMU_VERSION, running);
        refuse(why);
    }
}

static G_NORETURN void refuse_difference(const char *running, const char *why)
{
    g_autofree char *message =
        g_strdup_printf("this QEMU %s differs from the QEMU " QEMU_VERSION
                        " that the library was built for: %s", running, why);

    refuse(message);
}

/*
 * QEMU knows a plugin by the path given (plugin_find_desc()). The same file by
 * another path is opened once and installed twice; a copy of it has variables
 * of its own. QOM alone remembers either.
 */
static void refuse_second(void)
{
    if (object_class_by_name(TYPE_PVIOMMU_DEVICE)) {
        stop("the library is loaded already, by another path or as a copy; "
             "give -plugin pviommu.so only once");
    }
}

/*
 * When the library is opened: a QEMU of another version may want another
 * version of the plugin interface, and would name no more than that.
 */
static void __attribute__((constructor)) opened(void)
{
    g_autofree char *running = running_version();

    if (running) {
        check_version(running);
    }
}

QEMU_PLUGIN_EXPORT int qemu_plugin_install(qemu_plugin_id_t id,
                                           const qemu_info_t *info,
                                           int argc, char **argv)
{
    g_autofree char *running = running_version();
    g_autofree char *message = NULL;
    g_autofree char *why = NULL;

    if (!info->system_emulation) {
        refuse("this is not a system emulator (qemu-system-...)");
    }
    check_version(running ?: "of an unknown version");

    if (!pviommu_abi_check_symbols(&why)) {
        refuse_difference(running, why);
    }
    refuse_second();
    if (!pviommu_abi_check_layout(&why)) {
        refuse_difference(running, why);
    }

    if (argc && !strcmp(argv[0], "help=on")) {
        pviommu_print_help();
        exit(EXIT_SUCCESS);
    }
    if (argc) {
        message = g_strdup_printf("-plugin takes no argument but help, not "
                                  "'%s'; properties go to -device "
                                  "pviommu-pci",
                                  argv[0]);
        stop(message);
    }

    pviommu_guard_start();
    pviommu_register_types();
    return 0;
}
