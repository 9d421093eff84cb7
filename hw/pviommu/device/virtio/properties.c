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
#include "virtio/virtio.h"

/*
 * All of @text as a number.  In hexadecimal after 0x alone, so that nobody
 * has to guess which of the two a number is; no sign, and no space.
 */
static bool read_number(const char *text, unsigned base, uint64_t *number)
{
    return g_ascii_isdigit(*text) && !qemu_strtou64(text, NULL, base, number);
}

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
    if (strcmp(word, "auto") && (!read_number(word, 10, &bits) ||
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

static void get_count(Object *obj, Visitor *v, const char *name,
                      void *opaque, Error **errp)
{
    visit_type_uint64(v, name, object_field_prop_ptr(obj, opaque), errp);
}

/* QEMU's own type for 64 bits takes -1 for 2^64 - 1 */
static void set_count(Object *obj, Visitor *v, const char *name,
                      void *opaque, Error **errp)
{
    g_autofree char *word = word_or_number(v, name, errp);
    uint64_t count;

    if (!word) {
        return;
    }
    if (!read_number(word, 10, &count) || !count) {
        error_setg(errp, "%s is a number of at least 1, not '%s'", name,
                   word);
        return;
    }
    *(uint64_t *)object_field_prop_ptr(obj, opaque) = count;
}

static void set_default_count(ObjectProperty *op, const Property *prop)
{
    object_property_set_default_uint(op, prop->defval.u);
}

const PropertyInfo pviommu_prop_count = {
    .type = "uint64",
    .description = "1 or more",
    .get = get_count,
    .set = set_count,
    .set_default_value = set_default_count,
};

/* An address of a region; sets @plain to what is a number without its 0x */
static bool read_address(const char *text, uint64_t *address,
                         const char **plain)
{
    uint64_t number;

    if (g_ascii_strncasecmp(text, "0x", 2) && strlen(text) > 1) {
        if (g_ascii_isxdigit(*text) &&
            !qemu_strtou64(text, NULL, 16, &number)) {
            *plain = text;
        }
        return false;
    }
    return read_number(text, 16, address);
}

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
    const char *plain = NULL;
    uint64_t first, last, type;

    if (!visit_type_str(v, name, &word, errp)) {
        return;
    }
    part = g_strsplit(word, ":", 4);
    if (g_strv_length(part) != 3 ||
        !read_address(part[0], &first, &plain) ||
        !read_address(part[1], &last, &plain) ||
        !read_number(part[2], 10, &type)) {
        error_setg(errp, "reserved region '%s' is not of the form "
                   "first:last:type, two hexadecimal addresses and a number",
                   word);
        if (plain) {
            error_append_hint(errp, "Addresses begin with 0x: write '0x%s' "
                              "if that is what '%s' stands for.\n", plain,
                              plain);
        }
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
