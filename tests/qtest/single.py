# SPDX-License-Identifier: GPL-2.0-or-later
"""scripts/qtest, as one uses it who works on one thing."""

import harness
from pvlab.tap import check, same

CASE = '/pviommu/map/quota'


def qtest(*words, **more):
    """Run it, as harness.run() does."""
    return harness.run(harness.ROOT / 'scripts/qtest', *words,
                       **{'PVIOMMU_BUILD': str(harness.BUILD), **more})


def passes():
    """One case runs, and passes, in each way."""
    ways = [(), ('--iothread',)]
    if 'aarch64' in harness.emulators():
        ways.append(('--board', 'virt'))
    for words in ways:
        status, printed, said = qtest(*words, CASE)
        same((status, said), (0, ''), 'status and messages')
        check(f'{CASE}\n' in printed and '# 1 passed, 0 failed' in printed,
              printed)


def fails():
    """One that fails is named, and what it said is shown."""
    status, printed, _ = qtest(CASE, PVIOMMU_QTEST_ARGS='-no-such-option')
    same(status, 1, 'status')
    line = next(line for line in printed.splitlines()
                if line.startswith('not ok'))
    check(line.endswith(CASE), line)
    check('no-such-option' in printed, printed)
    status, _, said = qtest('--qemu', '/no/such/qemu', CASE)
    same(status, 1, 'status')
    check('/no/such/qemu' in said, said)


def lists():
    """Without a case, or for one that is not there, all names."""
    status, names, said = qtest()
    same((status, said), (0, ''), 'status and messages')
    check(any(name.endswith(CASE) for name in names.splitlines()), names)
    status, printed, said = qtest('no-such-case')
    same((status, printed), (1, names), 'status and what it printed')
    check('no-such-case' in said, said)
    status, _, said = qtest('--board', 'no-such-board', CASE)
    same(status, 1, 'status')
    check('no-such-board' in said, said)


def cases(tap):
    """All of this."""
    for test in (passes, fails, lists):
        tap.case(f'scripts/qtest: {test.__name__}', test)
