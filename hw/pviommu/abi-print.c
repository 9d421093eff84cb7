/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Print the sizes and offsets that the library for a series of QEMU expects
 *
 * One a line: what, and bytes. scripts/layouts puts those of several series
 * side by side. Not part of the library.
 */
#include <stdio.h>

#include "abi-tables.h"

int main(void)
{
    for (const PviommuTypeSize *t = pviommu_type_sizes; t->type; t++) {
        if (t->instance_size) {
            printf("instance %s %zu\n", t->type, t->instance_size);
        }
        printf("class %s %zu\n", t->type, t->class_size);
    }
    for (const PviommuPropertyOffset *p = pviommu_property_offsets; p->type;
         p++) {
        printf("property %s.%s %td\n", p->type, p->property, p->offset);
    }
    for (const PviommuSymbolSize *s = pviommu_symbol_sizes; s->symbol; s++) {
        printf("structure %s %zu\n", s->structure, s->size);
    }
    return 0;
}
