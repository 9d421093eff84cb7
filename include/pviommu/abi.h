/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Is the QEMU that loaded this library the one it was built for?
 *
 * The library uses QEMU's structures and functions directly, so it must never
 * run against others. Three questions, in this order, each safe to ask when
 * the one after it would have the answer no: the version, the symbols, the
 * layout of the structures.
 */
#ifndef PVIOMMU_ABI_H
#define PVIOMMU_ABI_H

#include <glib.h>
#include <stdbool.h>

/**
 * PVIOMMU_LOOKUP() - a function of QEMU that only some emulators have
 * @fn: the function, declared by a header of QEMU already
 *
 * Calling such a function by its name would make every emulator without it
 * fail the symbol check.
 *
 * Return: a pointer of the right type to it, or NULL.
 */
#define PVIOMMU_LOOKUP(fn) ((__typeof__(fn) *)pviommu_abi_lookup(#fn))

/**
 * pviommu_abi_lookup() - find a symbol of the running QEMU
 * @name: its name
 *
 * Any thread. Callers use PVIOMMU_LOOKUP(), which keeps the type.
 *
 * Return: its address, or NULL.
 */
void *pviommu_abi_lookup(const char *name);

/**
 * pviommu_abi_check_symbols() - find what this library needs and QEMU lacks
 * @why: on failure, set to one line that says what is missing; the caller
 *       frees it with g_free()
 *
 * Looks at this library's own dynamic symbol table; calls nothing of QEMU.
 *
 * Return: true if every symbol is there.
 */
bool pviommu_abi_check_symbols(char **why);

/**
 * pviommu_abi_check_layout() - compare QEMU's structures with the headers'
 * @why: on failure, set to one line that names the first difference; the
 *       caller frees it with g_free()
 *
 * Compares the sizes of instances and classes that the running QEMU holds for
 * its types with sizeof, the offsets in its tables of properties with
 * offsetof, members of classes with values that are known, and has QEMU use
 * structures of ours. What this emulator lacks is passed over. Initializes the
 * classes it looks at, as "-device help" would, and catches fatal signals
 * while it runs; after a failure QEMU can only be ended. Needs
 * pviommu_abi_check_symbols() to have passed, no library of ours to be loaded
 * before, and no machine; main thread only.
 *
 * Return: true if nothing differs.
 */
bool pviommu_abi_check_layout(char **why);

#endif /* PVIOMMU_ABI_H */
