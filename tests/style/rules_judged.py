# SPDX-License-Identifier: GPL-2.0-or-later
"""Rules are judged by their tests: what rules.py makes of a specification and
of results that are made up."""

import tempfile
from pathlib import Path

import rules
from pvlab.tap import check, same

SPEC = """**R-A-1** (must) One.

Tests: `/pviommu/a/one`, `/x86_64/pviommu/b/two`,
`lab:c/three`

**R-A-2** (must) Two.

Tests: `lab:c/three`
"""
FINE = {
    'unit': [('gcc: a: /pviommu/a/one', 'passed'),
             ('clang: a: /pviommu/a/one', 'passed')],
    'qtest': [('plain: b: /x86_64/pviommu/b/two', 'passed'),
              ('sanitized: b: /x86_64/pviommu/b/two', 'passed')],
    'lab': [('c/three', 'passed'), ('c/four', 'failed')],
}
# What differs from FINE, then what becomes of each rule and a word of why
CHANGES = (
    ({}, ('passed', ''), ('passed', '')),
    ({'lab': [('c/three', 'failed')]}, ('failed', 'failed: lab:c/three'),
     ('failed', 'failed: lab:c/three')),
    ({'lab': [('c/three', 'skipped')]}, ('skipped', 'skipped: lab:c/three'),
     ('skipped', 'skipped: lab:c/three')),
    ({'lab': [('c/four', 'passed')]}, ('failed', 'no test: lab:c/three'),
     ('failed', 'no test: lab:c/three')),
    ({'lab': [('c/all', 'skipped')]}, ('skipped', 'left out: lab:c/three'),
     ('skipped', 'left out: lab:c/three')),
    # one build of several
    ({'unit': [('gcc: a: /pviommu/a/one', 'passed'),
               ('clang: a: /pviommu/a/one', 'failed')]},
     ('failed', 'failed: /pviommu/a/one'), ('passed', '')),
    ({'qtest': [('plain: b: /x86_64/pviommu/b/two', 'skipped'),
                ('sanitized: b: /x86_64/pviommu/b/two', 'passed')]},
     ('passed', ''), ('passed', '')),
    # a test that failed says more than one that was skipped
    ({'unit': [('gcc: a: /pviommu/a/one', 'skipped')],
      'qtest': [('plain: b: /x86_64/pviommu/b/two', 'failed')]},
     ('failed', 'skipped: /pviommu/a/one'), ('passed', '')),
    # in another layer there is one of that name
    ({'unit': [], 'qtest': [('plain: a: /pviommu/a/one', 'passed')]},
     ('failed', '/pviommu/a/one'), ('passed', '')),
)


def by_outcome():
    """Each of CHANGES."""
    with tempfile.TemporaryDirectory() as folder:
        spec = Path(folder) / rules.SPEC
        spec.parent.mkdir(parents=True)
        spec.write_text(SPEC, encoding='utf-8')
        for change, *wanted in CHANGES:
            for (rule, tests), (verdict, word) in zip(
                    rules.outcomes({**FINE, **change}, Path(folder)), wanted,
                    strict=True):
                got, text = rules.judge(tests)
                same(got, verdict, f'{rule} with {change}')
                check(word in text, f'{rule} with {change}: {text}')


def by_name():
    """A name that is made of words of two tests is none."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for path, text in (
                ('tests/unit/a.c', '"/pviommu/a/one" "/pviommu/b/two"'),
                ('tests/qtest/a.c', '"a/one" "b/two"')):
            (root / path).parent.mkdir(parents=True)
            (root / path).write_text(text, encoding='utf-8')
        sources = rules.Sources(root)
        for name, there in (('/pviommu/a/one', True),
                            ('/pviommu/a/two', False),
                            ('/x86_64/pviommu/a/one', True),
                            ('/x86_64/pviommu/a/three', False),
                            ('lab:a/one', False)):
            same(sources.has(name), there, name)
        sources.lists['qtest'] = {'/x86_64/pviommu/a/one'}
        for name, there in (('/x86_64/pviommu/a/one', True),
                            ('/x86_64/pviommu/a/two', False),
                            ('/aarch64/pviommu/a/one', False)):
            same(sources.has(name), there, f'{name}, listed')


def cases(tap):
    """Both."""
    tap.case('rules are judged by their tests', by_outcome)
    tap.case('rules name tests that there are', by_name)
