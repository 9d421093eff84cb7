# SPDX-License-Identifier: GPL-2.0-or-later
"""Run test programs that print TAP, and pass their cases on."""

import json
import os
import re
import subprocess

from pvlab.wait import PATIENCE

CASE = re.compile(r'^(not )?ok\s+\d+\s+(?:-\s*)?(.*?)\s*'
                  r'(?:#\s*(SKIP)\b\s*(.*))?$', re.I)
PLAN = re.compile(r'^1\.\.(\d+)')


# Ends a program that does not end, on the slowest of machines too; what waits
# in it gives up before
TIMEOUT = 3 * PATIENCE


def steady():
    """What to run programs under so that TSan finds its addresses free.

    Newer kernels spread mappings wider than TSan knows; where that cannot be
    switched off (a container may forbid it), it has to do without.
    """
    command = ['setarch', os.uname().machine, '-R']
    try:
        done = subprocess.run([*command, 'true'], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT)
    except FileNotFoundError:
        return []
    return command if done.returncode == 0 else []


def listed(folder, suite):
    """The tests of a suite, as the Meson build in FOLDER knows them: with
    "name", "cmd" and "env"."""
    told = subprocess.run(['meson', 'introspect', '--tests', folder],
                          check=True, stdout=subprocess.PIPE).stdout
    return [test for test in json.loads(told)
            if any(name.endswith(':' + suite) for name in test['suite'])]


def cases(argv, env=None):
    """The names of the cases that a program of GLib's tests has."""
    told = subprocess.run([*argv, '-l'], env=env, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    return [line for line in told.stdout.splitlines() if line.startswith('/')]


def execute(argv, env=None):
    """Run ARGV: what it printed, and its status or a word on that."""
    try:
        done = subprocess.run(argv, env=env, timeout=TIMEOUT,
                              stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT)
        return done.stdout, done.returncode
    except subprocess.TimeoutExpired as error:
        return error.stdout or b'', f'timeout of {TIMEOUT} s'


def report(tap, prefix, output, status, wanted=lambda name: True, names=list):
    """Report the cases of a program that ran, named PREFIX: case, to TAP.

    A program that ends with a status or a number of cases other than its
    cases tell is one more case, which failed: the one that NAMES, which tells
    the names of all, has next, as GLib ends a program at an assertion.
    """
    planned, ran, failed = None, 0, False
    remarks = []
    for line in output.decode(errors='replace').splitlines():
        plan = PLAN.match(line)
        case = CASE.match(line)
        if plan:
            planned = int(plan.group(1))
        elif case:
            bad, name, skip, reason = case.groups()
            ran += 1
            if skip:
                if wanted(name):
                    tap.skip(f'{prefix}: {name}', reason)
            else:
                failed = failed or bool(bad)
                if bad or wanted(name):
                    tap.result(not bad, f'{prefix}: {name}',
                               '\n'.join(remarks[-40:]) if bad else None)
            remarks = []
        elif not line.startswith(('# Start of', '# End of', 'TAP version')):
            remarks.append(line)
    if (status and not failed) or planned != ran:
        name = next(iter(names()[ran:]), 'ended')
        tap.result(False, f'{prefix}: {name}',
                   f'status {status}, {ran} of {planned} cases ran\n'
                   + '\n'.join(remarks[-60:]))


def run(tap, prefix, argv, env=None, wanted=lambda name: True):
    """Run ARGV and report its cases, see execute() and report()."""
    report(tap, prefix, *execute(argv, env), wanted,
           lambda: cases(argv, env))
