/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Commands to the monitor and their answers, in a test
 */
#include "qemu/osdep.h"

#include "qmp.h"
#include "qobject/qnum.h"

QDict *qmp_take_answer(QDict *response)
{
    QDict *answer;

    if (!qdict_haskey(response, "return")) {
        g_test_message("%s", qdict_get_str(qdict_get_qdict(response, "error"),
                                           "desc"));
    }
    answer = qdict_get_qdict(response, "return");
    g_assert_nonnull(answer);
    qobject_ref(answer);
    qobject_unref(response);
    return answer;
}

QDict *qmp_query(QTestState *qts)
{
    return qmp_ask(qts, "{'execute': 'query-pviommu'}");
}

void qmp_assert_error(QDict *response, const char *class,
                      const char *wanted)
{
    QDict *error = qdict_get_qdict(response, "error");

    g_assert_nonnull(error);
    g_assert_cmpstr(qdict_get_str(error, "class"), ==, class);
    g_test_message("%s", qdict_get_str(error, "desc"));
    g_assert_nonnull(strstr(qdict_get_str(error, "desc"), wanted));
    qobject_unref(response);
}

uint64_t qmp_number(const QDict *dict, const char *name)
{
    QNum *number = qobject_to(QNum, qdict_get(dict, name));

    g_assert_nonnull(number);
    return qnum_get_uint(number);
}

unsigned qmp_length(const QDict *dict, const char *name)
{
    g_assert_true(qdict_haskey(dict, name));
    return qlist_size(qdict_get_qlist(dict, name));
}

QDict *qmp_entry(const QDict *dict, const char *name, unsigned index)
{
    const QListEntry *entry = qlist_first(qdict_get_qlist(dict, name));

    while (entry && index--) {
        entry = qlist_next(entry);
    }
    g_assert_nonnull(entry);
    return qobject_to(QDict, qlist_entry_obj(entry));
}

QDict *qmp_find(const QDict *dict, const char *name, const char *key,
                uint64_t wanted)
{
    const QListEntry *entry;

    QLIST_FOREACH_ENTRY(qdict_get_qlist(dict, name), entry) {
        QDict *found = qobject_to(QDict, qlist_entry_obj(entry));

        if (qdict_haskey(found, key) && qmp_number(found, key) == wanted) {
            return found;
        }
    }
    g_assert_not_reached();
}
