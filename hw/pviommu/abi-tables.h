/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is known of QEMU's structures when the library is built
 */
#ifndef PVIOMMU_ABI_TABLES_H
#define PVIOMMU_ABI_TABLES_H

#include <stddef.h>

/**
 * struct PviommuTypeSize - the structures of a QOM type
 * @type: its name; that of the last in a table is NULL
 * @instance_size: of an instance, 0 for an interface
 * @class_size: of its class
 * @beside: a type that the emulator must have, where the name is not enough,
 *          or NULL
 */
typedef struct PviommuTypeSize {
    const char *type;
    size_t instance_size;
    size_t class_size;
    const char *beside;
} PviommuTypeSize;

/**
 * struct PviommuPropertyOffset - where a property is kept
 * @type: the type that has it; that of the last in a table is NULL
 * @property: its name
 * @offset: of the member in an instance
 * @beside: as for #PviommuTypeSize
 */
typedef struct PviommuPropertyOffset {
    const char *type;
    const char *property;
    ptrdiff_t offset;
    const char *beside;
} PviommuPropertyOffset;

/**
 * struct PviommuSymbolSize - a variable of QEMU
 * @symbol: its name; that of the last in a table is NULL
 * @structure: what it is
 * @size: of it: the linker has noted that of whatever is not kept to a file
 */
typedef struct PviommuSymbolSize {
    const char *symbol;
    const char *structure;
    size_t size;
} PviommuSymbolSize;

extern const PviommuTypeSize pviommu_type_sizes[];
extern const PviommuPropertyOffset pviommu_property_offsets[];
extern const PviommuSymbolSize pviommu_symbol_sizes[];

#endif /* PVIOMMU_ABI_TABLES_H */
