#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Every rule of docs/specs/pviommu.md names tests, and those exist.

A rule is a paragraph that begins with its name in bold; the paragraph after
it begins with "Tests:" and holds names in backquotes, or "none yet".
"/pviommu/a" is a string in a source of tests/unit. "/TARGET/pviommu/a" is
put together in tests/qtest and "LAYER:a/b" in tests/LAYER, so of these each
word must be there, quoted or between the slashes of a quoted path; of a
switch, "A-to-B", both states.

That is as much as can be told of names without running anything.  Programs
in C that are built list their cases, and then a name must be in the list.
After a run of everything a rule is judged by what became of its tests: see
outcomes() and judge().
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get('PVIOMMU_BUILD', ROOT / 'build'))
SPEC = Path('docs/specs/pviommu.md')
RULE = re.compile(r'\*\*(R-[A-Z]+-\d+)\*\*')
QTEST = re.compile(r'/(?:x86_64|aarch64)/pviommu/')
NONE = 'none yet'


def read_rules(text):
    """The rules: a list of name and field, which is None if there is none."""
    rules = []
    for paragraph in re.split(r'\n\s*\n', text):
        found = RULE.match(paragraph)
        if found:
            rules.append([found.group(1), None])
        elif paragraph.startswith('Tests:') and rules \
                and rules[-1][1] is None:
            rules[-1][1] = ' '.join(paragraph[len('Tests:'):].split())
    return rules


def listed(build, layer, target):
    """The names that the programs of a layer list, of which Meson's TARGET is
    all: a set, or None if they are not all built as they are now."""
    try:
        idle = subprocess.run(['ninja', '-n', '-C', build, target],
                              check=True, stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, text=True).stdout
        tests = json.loads(subprocess.run(
            ['meson', 'introspect', '--tests', build], check=True,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout)
    except (OSError, subprocess.CalledProcessError, ValueError):
        return None
    if 'no work to do' not in idle:
        return None
    names = set()
    for test in tests:
        if not any(suite.endswith(layer) for suite in test['suite']):
            continue
        # libqtest tells the target by the name of the emulator
        emulator = f"qemu-system-{test['env'].get('PVIOMMU_TARGET', 'x86_64')}"
        done = subprocess.run([*test['cmd'], '-l'], text=True, env={
            **os.environ, 'QTEST_QEMU_BINARY': f'/{emulator}',
            **test['env']}, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL)
        found = [line for line in done.stdout.splitlines()
                 if line.startswith('/')]
        if done.returncode or not found:
            return None
        names.update(found)
    return names or None


class Sources:
    """The names that the sources of the tests hold, or the programs list."""

    def __init__(self, root, build=None):
        self.root = root
        self.lists = {}
        if build:
            self.lists = {'unit': listed(build, 'unit', 'all'),
                          'qtest': listed(build, 'qtest', 'qtests')}
        self.texts = {}
        self.paths = re.findall(r'"(/pviommu/[^"]+)"', self._text('unit'))

    def _text(self, layer):
        if layer not in self.texts:
            files = [path for path in
                     sorted((self.root / 'tests' / layer).rglob('*'))
                     if path.is_file() and path.suffix in ('', '.py', '.c')]
            self.texts[layer] = '\n'.join(
                path.read_text(encoding='utf-8') for path in files)
        return self.texts[layer]

    def _has_word(self, layer, word):
        return re.search(rf'\b{word}\b' if word.isdigit() else
                         rf'["\'/]{re.escape(word)}["\'/]',
                         self._text(layer))

    def _has_words(self, layer, path):
        return bool(path) and all(
            self._has_word(layer, part) or '-to-' in part and all(
                self._has_word(layer, state) for state in part.split('-to-'))
            for part in path.split('/'))

    def has(self, name):
        """Whether there is a test of this name."""
        if name.startswith('/pviommu/'):
            return name in (self.lists.get('unit') or self.paths)
        if QTEST.match(name):
            if self.lists.get('qtest'):
                return name in self.lists['qtest']
            return self._has_words('qtest', QTEST.sub('', name))
        layer, _, case = name.partition(':')
        return self._has_words(layer, case)


def results(root=ROOT, build=BUILD):
    """For each rule: a case's name, what is wrong, why it is skipped."""
    sources = Sources(root, build)
    rules = read_rules((root / SPEC).read_text(encoding='utf-8'))
    seen = set()
    for name, field in rules:
        case = f'rule {name} has its tests'
        names = re.findall(r'`([^`]+)`', field or '')
        absent = [test for test in names if not sources.has(test)]
        if name in seen:
            yield case, f'{SPEC} has two rules {name}', None
        elif field == NONE:
            yield case, None, NONE
        elif not names or re.sub(r'`[^`]+`|[,\s]', '', field):
            yield case, f'no names of tests after {name}: {field}', None
        else:
            yield case, '\n'.join(f'no test {test}' for test in absent), None
        seen.add(name)
    if not rules:
        yield 'rules have their tests', f'no rules in {SPEC}', None


def case_names(layer, name):
    """How a rule may name a case: programs say "gcc: attach: /pviommu/a", and
    layers in Python just "a/b"."""
    last = name.rsplit(' ', 1)[-1]
    if layer == 'unit' and last.startswith('/pviommu/') or \
            layer == 'qtest' and QTEST.match(last):
        return last
    return f'{layer}:{name}'


def layer_of(name):
    """The layer in which a test of this name runs."""
    if name.startswith('/pviommu/'):
        return 'unit'
    return 'qtest' if QTEST.match(name) else name.partition(':')[0]


def outcomes(cases, root=ROOT):
    """For each rule that names tests: its name, and for each of these tests
    the set of what became of it.

    CASES: for each layer the names of its cases and their results, in pairs,
    as a case may run more than once.  A test without a result is 'absent', or
    'left out' if its layer skipped tests together ("x/all", "x: all"), as it
    may have been one of these.
    """
    every, left_out = {}, set()
    for layer, pairs in cases.items():
        for name, result in pairs:
            every.setdefault(case_names(layer, name), set()).add(result)
            if result == 'skipped' and re.search(r'(^|[/ ])all$', name):
                left_out.add(layer)
    for rule, field in read_rules((root / SPEC).read_text(encoding='utf-8')):
        names = re.findall(r'`([^`]+)`', field or '')
        if names:
            yield rule, {name: every.get(name) or
                         {'left out' if layer_of(name) in left_out
                          else 'absent'} for name in names}


def judge(tests):
    """What becomes of a rule of which outcomes() said TESTS: 'passed',
    'failed' or 'skipped', and why.

    It holds only if each of its tests ran and passed.
    """
    told = (('failed', 'failed', 'failed'), ('absent', 'failed', 'no test'),
            ('skipped', 'skipped', 'skipped'),
            ('left out', 'skipped', 'left out'))
    of = {}
    for name, found in sorted(tests.items()):
        for outcome, _, _ in told:
            # skipped in one build, it may pass in another
            if outcome in found and not (outcome == 'skipped' and
                                         'passed' in found):
                of.setdefault(outcome, []).append(name)
                break
    verdicts = [verdict for outcome, verdict, _ in told if outcome in of]
    return (verdicts or ['passed'])[0], '; '.join(
        f"{word}: {', '.join(of[outcome])}"
        for outcome, _, word in told if outcome in of)


def main():
    """Alone, it prints TAP."""
    failed = number = 0
    print('TAP version 13')
    for case, problem, skipped in results():
        number += 1
        failed += bool(problem)
        print(f"{'not ok' if problem else 'ok'} {number} - {case}"
              + (f' # SKIP {skipped}' if skipped else ''))
        for line in (problem or '').splitlines():
            print(f'# {line}')
    print(f'1..{number}')
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
