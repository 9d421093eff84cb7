#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Every rule of docs/specs/pviommu.md names tests, and those exist.

A rule is a paragraph that begins with its name in bold; the paragraph after
it begins with "Tests:" and holds names in backquotes, or "none yet".
"/pviommu/a" is a string in a source of tests/unit. "/TARGET/pviommu/a" is
put together in tests/qtest and "LAYER:a/b" in tests/LAYER, so of these each
word must be there, quoted or between the slashes of a quoted path; of a
switch, "A-to-B", both states.
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
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


class Sources:
    """The names that the sources of the tests hold."""

    def __init__(self, root):
        self.root = root
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
            return name in self.paths
        if QTEST.match(name):
            return self._has_words('qtest', QTEST.sub('', name))
        layer, _, case = name.partition(':')
        return self._has_words(layer, case)


def results(root=ROOT):
    """For each rule: a case's name, what is wrong, why it is skipped."""
    sources = Sources(root)
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


def outcomes(cases, root=ROOT):
    """For each rule that names tests: its name, and for each of these tests
    what became of it. CASES: for each layer a dictionary of a case's name to
    its result."""
    every = {}
    for layer, results_of in cases.items():
        for name, result in results_of.items():
            # programs say "gcc: /pviommu/a", layers in Python just "a/b"
            every.setdefault(name.rsplit(' ', 1)[-1], set()).add(result)
            every.setdefault(f'{layer}:{name}', set()).add(result)
    for rule, field in read_rules((root / SPEC).read_text(encoding='utf-8')):
        names = re.findall(r'`([^`]+)`', field or '')
        if names:
            yield rule, {name: every.get(name, {'absent'}) for name in names}


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
