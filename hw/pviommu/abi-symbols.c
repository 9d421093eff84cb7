/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What this library needs and the running QEMU lacks
 *
 * Every undefined symbol is made weak when the library is linked, so that one
 * that is missing does not stop it from being loaded; see
 * scripts/weak-link.py.
 */
#include "qemu/osdep.h"

#include <dlfcn.h>
#include <link.h>

#include "pviommu/abi.h"

/* The toolchain's own: tested before use by the code that it adds */
static bool is_toolchains(const char *name)
{
    return g_str_has_prefix(name, "_ITM_") ||
           !strcmp(name, "__gmon_start__") || !strcmp(name, "__cxa_finalize");
}

void *pviommu_abi_lookup(const char *name)
{
    return dlsym(RTLD_DEFAULT, name);
}

static const void *dynamic_entry(const struct link_map *map, ElfW(Sxword) tag)
{
    for (const ElfW(Dyn) *d = map->l_ld; d->d_tag != DT_NULL; d++) {
        if (d->d_tag == tag) {
            return (const void *)d->d_un.d_ptr;
        }
    }
    return NULL;
}

bool pviommu_abi_check_symbols(char **why)
{
    struct link_map *map = NULL;
    const ElfW(Sym) *symbols;
    const char *strings, *first = NULL;
    const uint32_t *hash;
    unsigned missing = 0;
    void *self;
    Dl_info info;

    if (!dladdr1(pviommu_abi_check_symbols, &info, (void **)&map,
                 RTLD_DL_LINKMAP) || !map) {
        *why = g_strdup("the library does not find itself");
        return false;
    }
    symbols = dynamic_entry(map, DT_SYMTAB);
    strings = dynamic_entry(map, DT_STRTAB);
    hash = dynamic_entry(map, DT_GNU_HASH);
    if (!symbols || !strings || !hash) {
        *why = g_strdup("the library has no dynamic symbol table");
        return false;
    }

    /* its own dependencies are looked through as well as QEMU and QEMU's */
    self = dlopen(map->l_name, RTLD_LAZY | RTLD_NOLOAD);

    /* the second word is the first symbol that is defined here */
    for (uint32_t i = 1; i < hash[1]; i++) {
        const char *name = strings + symbols[i].st_name;

        if (symbols[i].st_shndx != SHN_UNDEF || !*name || is_toolchains(name) ||
            pviommu_abi_lookup(name) || (self && dlsym(self, name))) {
            continue;
        }
        first = first ?: name;
        missing++;
    }
    if (self) {
        dlclose(self);
    }

    if (missing > 1) {
        *why = g_strdup_printf("it lacks %s and %u more symbols", first,
                               missing - 1);
    } else if (missing) {
        *why = g_strdup_printf("it lacks the symbol %s", first);
    }
    return !missing;
}
