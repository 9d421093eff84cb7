/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu.so: the one file to load, whatever the series of QEMU
 *
 * The library proper is built once for each series, because every minor
 * release of QEMU changes structures that it uses. This part knows nothing of
 * them: it asks the emulator for its version, and opens the library for it,
 * pviommu/MAJOR.MINOR.so beside this file. QEMU looks for
 * qemu_plugin_version when a plugin has been opened (plugin_load() in
 * plugins/loader.c), so it sees that of the library chosen.
 */
#include <dlfcn.h>
#include <errno.h>
#include <glib.h>
#include <inttypes.h>
#include <link.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

/* As QEMU generates them of qapi/control.json, since 2.5 */
typedef struct VersionTriple {
    int64_t major;
    int64_t minor;
    int64_t micro;
} VersionTriple;

typedef struct VersionInfo {
    VersionTriple *qemu;
    char *package;
} VersionInfo;

typedef VersionInfo *QueryVersion(void **errp);
typedef void FreeVersion(VersionInfo *info);
typedef int Install(uint64_t id, const void *info, int argc, char **argv);

EXPORT int qemu_plugin_version;
EXPORT Install qemu_plugin_install;

static Install *install;

static G_NORETURN G_GNUC_PRINTF(1, 2) void stop(const char *format, ...)
{
    g_autofree char *message = NULL;
    va_list ap;

    va_start(ap, format);
    message = g_strdup_vprintf(format, ap);
    va_end(ap);
    fprintf(stderr, "%s: pviommu: %s\n", g_get_prgname() ?: "qemu", message);
    exit(EXIT_FAILURE);
}

/* MAJOR.MINOR of the running emulator, and its whole version */
static char *running_series(char **version)
{
    QueryVersion *query = (QueryVersion *)dlsym(RTLD_DEFAULT,
                                                "qmp_query_version");
    FreeVersion *release = (FreeVersion *)dlsym(RTLD_DEFAULT,
                                                "qapi_free_VersionInfo");
    VersionInfo *info;
    char *series;

    if (!query || !release) {
        stop("this is not a system emulator (qemu-system-...), or one that "
             "was built without --enable-modules and so exports nothing that "
             "the library needs");
    }
    info = query(NULL);
    series = g_strdup_printf("%" PRId64 ".%" PRId64, info->qemu->major,
                             info->qemu->minor);
    *version = g_strdup_printf("%s.%" PRId64, series, info->qemu->micro);
    release(info);
    return series;
}

/* This file: its name, and where its first bytes are */
static Dl_info self(void)
{
    Dl_info info;

    if (!dladdr(&install, &info)) {
        stop("the library does not find itself");
    }
    return info;
}

/* The folder beside this file, or beside the one that a link names */
static char *folder(void)
{
    const char *name = self().dli_fname;
    g_autofree char *directory = NULL;
    char *file = realpath(name, NULL);

    directory = g_path_get_dirname(file ?: name);
    free(file);
    return g_build_filename(directory, "pviommu", NULL);
}

static gint compare(gconstpointer a, gconstpointer b)
{
    return g_strcmp0(*(char *const *)a, *(char *const *)b);
}

/* The series for which there are libraries, such as "10.0, 11.1" */
static char *available(const char *where)
{
    g_autoptr(GDir) dir = g_dir_open(where, 0, NULL);
    g_autoptr(GString) list = g_string_new(NULL);
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    const char *name;

    while (dir && (name = g_dir_read_name(dir))) {
        if (g_str_has_suffix(name, ".so")) {
            g_ptr_array_add(names, g_strndup(name, strlen(name) - 3));
        }
    }
    g_ptr_array_sort(names, compare);
    for (unsigned i = 0; i < names->len; i++) {
        g_string_append_printf(list, "%s%s", i ? ", " : "",
                               (char *)g_ptr_array_index(names, i));
    }
    return g_strdup(names->len ? list->str : "none");
}

/*
 * What is wrong with a library that can be read, or NULL. The dynamic linker
 * waits for whoever writes into a FIFO, crashes where a segment's end is
 * missing, and says of another machine's library that there is no such file.
 */
static const char *fault_of(const char *path)
{
    g_autoptr(GMappedFile) file = NULL;
    const ElfW(Ehdr) *header, *own = self().dli_fbase;
    const ElfW(Phdr) *segments;
    size_t size;

    if (!g_file_test(path, G_FILE_TEST_IS_REGULAR)) {
        return "is no file";
    }
    file = g_mapped_file_new(path, FALSE, NULL);
    size = file ? g_mapped_file_get_length(file) : 0;
    header = size ? (const void *)g_mapped_file_get_contents(file) : NULL;
    if (size < sizeof(*header)) {
        return "is truncated";
    }
    if (memcmp(header->e_ident, ELFMAG, SELFMAG)) {
        return NULL;            /* that is said well enough */
    }
    if (header->e_machine != own->e_machine) {
        return "is for another machine";
    }
    if (header->e_phoff > size ||
        header->e_phnum > (size - header->e_phoff) / sizeof(*segments)) {
        return "is truncated";
    }
    segments = (const void *)((const char *)header + header->e_phoff);
    for (unsigned i = 0; i < header->e_phnum; i++) {
        if (segments[i].p_offset > size ||
            segments[i].p_filesz > size - segments[i].p_offset) {
            return "is truncated";
        }
    }
    return NULL;
}

static void __attribute__((constructor)) opened(void)
{
    g_autofree char *version = NULL;
    g_autofree char *series = running_series(&version);
    g_autofree char *where = folder();
    g_autofree char *name = g_strconcat(series, ".so", NULL);
    g_autofree char *path = g_build_filename(where, name, NULL);
    const char *fault;
    const int *plugin_version;
    void *library;

    if (access(path, R_OK)) {
        g_autofree char *there = NULL;

        if (errno != ENOENT && errno != ENOTDIR) {
            stop("%s, for this QEMU %s, cannot be read: %s", path, version,
                 g_strerror(errno));
        }
        there = available(where);
        stop("this is QEMU %s, and of the libraries in %s (for QEMU: %s) none "
             "is for it; build it with scripts/setup --qemu %s", version,
             where, there, series);
    }
    fault = fault_of(path);
    if (fault) {
        stop("%s, for this QEMU %s, %s; build it anew with scripts/setup "
             "--qemu %s", path, version, fault, series);
    }
    library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        stop("the library for this QEMU %s cannot be loaded: %s; build it "
             "anew with scripts/setup --qemu %s", version, dlerror(), series);
    }
    plugin_version = dlsym(library, "qemu_plugin_version");
    install = (Install *)dlsym(library, "qemu_plugin_install");
    if (!plugin_version || !install) {
        stop("%s, for this QEMU %s, is not a library of pviommu; build one "
             "with scripts/setup --qemu %s", path, version, series);
    }
    qemu_plugin_version = *plugin_version;
}

int qemu_plugin_install(uint64_t id, const void *info, int argc, char **argv)
{
    return install(id, info, argc, argv);
}
