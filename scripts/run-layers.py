#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Run layers of tests and count their cases.

A layer is an executable tests/LAYER/run that prints TAP on stdout. Given
arguments, it runs only the cases whose names hold one of them. It finds what
it needs in the environment that scripts/common.sh sets; LAYER@FOLDER with that
of another build, in FOLDER, and LAYER@=REASON is skipped.

Layers that boot guests run beside the others.
"""

import os
import re
import subprocess
import sys
import threading
import time
import xml.etree.ElementTree as ET
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RESULTS = Path(os.environ['PVIOMMU_BUILD']) / 'results'
CASE = re.compile(r'^(not )?ok\b\s*(\d*)\s*(?:-\s*)?(.*?)\s*'
                  r'(?:#\s*(SKIP)\b\s*(.*))?$', re.I)
PLAN = re.compile(r'^1\.\.(\d+)(?:\s*#\s*skip\b\s*(.*))?', re.I)


# One thread runs these in order, another the rest
GUESTS = ('guest', 'lab')
printing = threading.Lock()


def show(text):
    """One line, whole."""
    with printing:
        print(text, flush=True)


class Layer:
    """One run of one layer."""

    def __init__(self, name, words):
        self.kind, _, self.folder = name.partition('@')
        self.name = name
        self.why_not = None
        if self.folder.startswith('='):
            self.name = f'{self.kind}@newest'
            self.why_not = self.folder[1:]
        elif self.folder:
            version = Path(self.folder).name.removeprefix('qemu-')
            self.name = f'{self.kind}@{version}'
        self.words = words
        self.cases = []     # (name, 'passed' | 'failed' | 'skipped', text, s)
        self.planned = None
        self.before = time.monotonic()

    def add(self, name, result, text=''):
        now = time.monotonic()
        self.cases.append([name, result, text, now - self.before])
        self.before = now
        mark = {'passed': 'ok  ', 'failed': 'FAIL', 'skipped': 'skip'}[result]
        tail = f' ({text})' if text else ''
        show(f'{mark} {self.name}: {name}{tail}')

    def line(self, line):
        found = CASE.match(line)
        if found:
            bad, _, name, directive, text = found.groups()
            if directive:
                self.add(name, 'skipped', text or '')
            elif bad:
                self.add(name, 'failed')
            else:
                self.add(name, 'passed')
            return
        found = PLAN.match(line)
        if found:
            self.planned = int(found.group(1))
            if self.planned == 0:
                self.add('all', 'skipped', found.group(2) or '')
                self.planned = 1
        elif line.startswith('Bail out!'):
            self.add('bail out', 'failed', line[9:].strip())
        elif self.planned is None and self.cases \
                and self.cases[-1][1] == 'failed':
            # what a failed case says comes right after it
            show(f'     {self.name}: {line}')
            self.cases[-1][2] += line.lstrip('# ') + '\n'

    def run(self):
        command = ROOT / 'tests' / self.kind / 'run'
        around, env = [], {**os.environ, 'PVIOMMU_LAYER': self.name}
        if self.folder:
            # the library is the same there, and watched by the sanitizers here
            around = [ROOT / 'scripts/with-setup.sh', self.folder]
            env['PVIOMMU_QTEST_KINDS'] = 'plain'
        self.before = time.monotonic()
        show(f'== {self.name}')
        if self.why_not:
            self.add('all', 'skipped', self.why_not)
            return
        if not os.access(command, os.X_OK):
            self.add('all', 'failed', f'{command} is missing')
            return
        with open(RESULTS / f'{self.name}.tap', 'w', encoding='utf-8') as tap:
            with subprocess.Popen([*around, command, *self.words],
                                  stdout=subprocess.PIPE, text=True,
                                  errors='replace', cwd=ROOT, env=env
                                  ) as process:
                for line in process.stdout:
                    tap.write(line)
                    tap.flush()
                    self.line(line.rstrip('\n'))
        count = len(self.cases)
        failed = any(case[1] == 'failed' for case in self.cases)
        if process.returncode and not failed:
            self.add('ended', 'failed', f'status {process.returncode}')
        elif self.planned is None:
            self.add('ended', 'failed', f'no plan after {count} cases')
        elif self.planned != count:
            self.add('ended', 'failed', f'{self.planned} cases were planned, '
                                        f'{count} ran')

    def count(self, result):
        return sum(case[1] == result for case in self.cases)

    def write_junit(self):
        suite = ET.Element('testsuite', name=self.name,
                           tests=str(len(self.cases)),
                           failures=str(self.count('failed')),
                           skipped=str(self.count('skipped')))
        for name, result, text, seconds in self.cases:
            case = ET.SubElement(suite, 'testcase', name=name,
                                 classname=self.name, time=f'{seconds:.3f}')
            # XML has no way to write most control characters
            text = re.sub(r'[^\t\n\x20-\ud7ff\ue000-\ufffd]', '?', text)
            if result == 'failed':
                ET.SubElement(case, 'failure', message='failed').text = text
            elif result == 'skipped':
                ET.SubElement(case, 'skipped', message=text)
        ET.ElementTree(suite).write(RESULTS / f'{self.name}.xml',
                                    encoding='utf-8', xml_declaration=True)


def run_all(layers):
    """One layer after another."""
    for layer in layers:
        layer.run()
        layer.write_junit()


def check_rules(layers):
    """After a run of everything: each rule's tests did run, and passed."""
    sys.path.insert(0, str(ROOT / 'tests/style'))
    import rules                                        # noqa: E402
    layer = Layer('rules', [])
    print('== rules', flush=True)
    for rule, tests in rules.outcomes(
            {of.name: [case[:2] for case in of.cases] for of in layers}):
        layer.add(f'{rule}: its tests ran and passed', *rules.judge(tests))
    return layer


def main():
    layers = {}
    for argument in sys.argv[1:]:
        name, _, word = (argument, '', '') if '@' in argument else \
            argument.partition(':')
        layer = layers.setdefault(name, Layer(name, []))
        if word:
            layer.words.append(word)
    RESULTS.mkdir(parents=True, exist_ok=True)
    lanes = [[], []]
    for layer in layers.values():
        lanes[layer.kind in GUESTS].append(layer)
    threads = [threading.Thread(target=run_all, args=[lane]) for lane in lanes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # without words to choose by, all named layers ran whole
    everything = {path.parent.name for path in ROOT.glob('tests/*/run')}
    if everything <= set(layers) and not any(layer.words for layer in
                                             layers.values()):
        layers['rules'] = check_rules(list(layers.values()))
        layers['rules'].write_junit()

    failed = [(layer.name, case[0]) for layer in layers.values()
              for case in layer.cases if case[1] == 'failed']
    if failed:
        print('failed:')
        for layer, case in failed:
            print(f'  {layer}: {case}')
    totals = [sum(layer.count(result) for layer in layers.values())
              for result in ('passed', 'failed', 'skipped')]
    print('{} passed, {} failed, {} skipped'.format(*totals))
    return 1 if totals[1] or not totals[0] else 0


if __name__ == '__main__':
    sys.exit(main())
