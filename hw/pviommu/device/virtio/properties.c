/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pviommu: properties that QEMU has no type for, or none that checks enough
 */
#include "qemu/osdep.h"

#include "qapi/error.h"
#include "qapi/visitor-impl.h"
#include "qapi/visitor.h"
#include "qemu/cutils.h"
#include "qobject/qnum.h"
#include "qobject/qstring.h"
#include "common/common.h"

/* A word, or a number where the command line is JSON; owned by the caller */
static char *word_or_number(Visitor *v, const char *name, Error **errp)
{
    QObject *value = NULL;
    char *word = NULL;

    if (!v->type_any) {         /* -global: all is words */
        visit_type_str(v, name, &word, errp);
        return word;
    }
    if (!visit_type_any(v, name, &value, errp)) {
        return NULL;
    }
    if (qobject_type(value) == QTYPE_QSTRING) {
        word = g_strdup(qstring_get_str(qobject_to(QString, value)));
    } else if (qobject_type(value) == QTYPE_QNUM) {
        word = qnum_to_string(qobject_to(QNum, value));
    } else {
        error_setg(errp, "%s is neither a word nor a number", name);
    }
    qobject_unref(value);
    return word;
}

static void get_aw_bits(Object *obj, Visitor *v, const char *name,
                        void *opaque, Error **errp)
{
    uint8_t bits = *(uint8_t *)object_field_prop_ptr(obj, opaque);
    g_autofree char *word = bits ? g_strdup_printf("%u", bits)
                                 : g_strdup("auto");
    char *value = word;

    visit_type_str(v, name, &value, errp);
}

static void set_aw_bits(Object *obj, Visitor *v, const char *name,
                        void *opaque, Error **errp)
{
    g_autofree char *word = word_or_number(v, name, errp);
    uint64_t bits = 0;

    if (!word) {
        return;
    }
    if (strcmp(word, "auto") && (qemu_strtou64(word, NULL, 10, &bits) ||
                                 bits < 32 || bits > 64)) {
        error_setg(errp, "aw-bits is auto, or 32 to 64, not '%s'", word);
        return;
    }
    *(uint8_t *)object_field_prop_ptr(obj, opaque) = bits;
}

const PropertyInfo pviommu_prop_aw_bits = {
    .type = "str",
    .description = "width of an IOVA: auto, or 32 to 64",
    .get = get_aw_bits,
    .set = set_aw_bits,
};

static void get_region(Object *obj, Visitor *v, const char *name,
                       void *opaque, Error **errp)
{
    const PviommuRegion *region = object_field_prop_ptr(obj, opaque);
    g_autofree char *word = g_strdup_printf("0x%" PRIx64 ":0x%" PRIx64 ":%u",
                                            region->first, region->last,
                                            region->type);
    char *value = word;

    visit_type_str(v, name, &value, errp);
}

static void set_region(Object *obj, Visitor *v, const char *name,
                       void *opaque, Error **errp)
{
    PviommuRegion *region = object_field_prop_ptr(obj, opaque);
    g_autofree char *word = NULL;
    g_auto(GStrv) part = NULL;
    uint64_t first, last, type;

    if (!visit_type_str(v, name, &word, errp)) {
        return;
    }
    part = g_strsplit(word, ":", 4);
    if (g_strv_length(part) != 3 ||
        qemu_strtou64(part[0], NULL, 16, &first) ||
        qemu_strtou64(part[1], NULL, 16, &last) ||
        qemu_strtou64(part[2], NULL, 10, &type)) {
        error_setg(errp, "reserved region '%s' is not of the form "
                   "first:last:type, two hexadecimal addresses and a number",
                   word);
    } else if (first > last) {
        error_setg(errp, "reserved region '%s' ends before it starts", word);
    } else if (last - first == UINT64_MAX) {
        error_setg(errp, "reserved region '%s' leaves nothing to map", word);
    } else if (type > PVIOMMU_REGION_MSI) {
        error_setg(errp, "reserved region '%s' has an unknown type", word);
        error_append_hint(errp, "Types are 0 (reserved) and 1 (MSI).\n");
    } else {
        *region = (PviommuRegion) { first, last, type };
    }
}

const PropertyInfo pviommu_prop_region = {
    .type = "str",
    .description = "reserved region, as 0xfee00000:0xfeefffff:1",
    .get = get_region,
    .set = set_region,
};
