/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Commands to the monitor and their answers, in a test
 */
#ifndef TESTS_QTEST_QMP_H
#define TESTS_QTEST_QMP_H

#include "viommu.h"

/* The command for mappings with its arguments, members of a JSON object */
#define QMP_MAPPINGS(arguments) \
    "{'execute': 'query-pviommu-mappings', 'arguments': {" arguments "}}"

/**
 * qmp_take_answer - take what a command returns
 * @response: the response, freed; an error fails the test
 *
 * Return: the object, to be freed by qobject_unref().
 */
QDict *qmp_take_answer(QDict *response);

/* The same, of a command with arguments as qtest_qmp() takes them */
#define qmp_ask(qts, ...) qmp_take_answer(qtest_qmp(qts, __VA_ARGS__))

/**
 * qmp_query - ask for all IOMMUs
 * @qts: the emulator
 *
 * Return: the answer of query-pviommu, to be freed by qobject_unref().
 */
QDict *qmp_query(QTestState *qts);

/**
 * qmp_assert_error - fail the test unless a response is an error
 * @response: the response, freed
 * @class: its class
 * @wanted: words in its text
 */
void qmp_assert_error(QDict *response, const char *class,
                      const char *wanted);

/* A command that is to be refused with such words */
#define qmp_assert_refused(qts, wanted, ...) \
    qmp_assert_error(qtest_qmp(qts, __VA_ARGS__), "GenericError", wanted)

/**
 * qmp_number - read a number
 * @dict: an object
 * @name: its member, which must be there
 *
 * Return: the number.
 */
uint64_t qmp_number(const QDict *dict, const char *name);

/**
 * qmp_length - count a list
 * @dict: an object
 * @name: its member, which must be there
 *
 * Return: the number of entries.
 */
unsigned qmp_length(const QDict *dict, const char *name);

/**
 * qmp_entry - take an object out of a list
 * @dict: an object
 * @name: its member, which must be there
 * @index: of the entry, which must be there
 *
 * Return: the entry, which @dict owns.
 */
QDict *qmp_entry(const QDict *dict, const char *name, unsigned index);

/**
 * qmp_find - find an object in a list by its number
 * @dict: an object
 * @name: its member
 * @key: the entry's member
 * @wanted: its number; there must be one
 *
 * Return: the entry, which @dict owns.
 */
QDict *qmp_find(const QDict *dict, const char *name, const char *key,
                uint64_t wanted);

#endif /* TESTS_QTEST_QMP_H */
