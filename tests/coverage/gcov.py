# SPDX-License-Identifier: GPL-2.0-or-later
"""What gcov tells of the sources in a folder, added up over all builds of
them.

A branch that only an assertion takes is left out: what no guest, host or
migration stream can cause has no test.
"""

import json
import re
import subprocess
from pathlib import Path

ASSERT = re.compile(r'\bg_assert(_not_reached|_nonnull|_null)?\b')


class Source:
    """One file: how often each line ran, and each branch was taken."""

    def __init__(self, path: Path):
        self.text = path.read_text(encoding='utf-8').splitlines()
        self.lines = {}
        self.branches = {}

    def add(self, entry):
        number = entry['line_number']
        text = self.text[number - 1] if number <= len(self.text) else ''
        if 'g_assert_not_reached' in text:
            return
        self.lines[number] = self.lines.get(number, 0) + entry['count']
        if ASSERT.search(text):
            return
        for at, branch in enumerate(entry['branches']):
            key = number, entry.get('function_name'), at
            self.branches[key] = self.branches.get(key, 0) + branch['count']

    def missing_lines(self):
        return sorted(n for n, count in self.lines.items() if not count)

    def missing_branches(self):
        return sorted({key[0] for key, count in self.branches.items()
                       if not count and self.lines.get(key[0])})


def read(build: Path, objects, root: Path, folder: str, found=None):
    """The sources in FOLDER of ROOT and below: a dictionary by name, or what
    there is of them added to one that was FOUND.

    OBJECTS, a pattern, names the .gcda files in BUILD.
    """
    found = {} if found is None else found
    for data in sorted(build.glob(objects)):
        done = subprocess.run(['gcov', '--json-format', '--stdout',
                               '--branch-probabilities', data], cwd=build,
                              check=True, stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL)
        for line in done.stdout.splitlines():
            if not line.startswith(b'{'):
                continue
            for entry in json.loads(line)['files']:
                path = (build / entry['file']).resolve()
                top = (root / folder).resolve()
                if top not in path.parents:
                    continue
                name = str(path.relative_to(top))
                source = found.setdefault(name, None) or Source(path)
                found[name] = source
                for item in entry['lines']:
                    source.add(item)
    return found


def percent(counts):
    """How many of them are not 0, in percent."""
    counts = list(counts)
    return 100 * sum(map(bool, counts)) / len(counts) if counts else 0.0


def totals(sources):
    """Percent of lines and of branches, of all sources together."""
    return (percent(count for source in sources.values()
                    for count in source.lines.values()),
            percent(count for source in sources.values()
                    for count in source.branches.values()))


def ranges(numbers):
    """1, 2, 3, 7 as '1-3 7'."""
    out = []
    for number in numbers:
        if out and out[-1][1] == number - 1:
            out[-1][1] = number
        else:
            out.append([number, number])
    return ' '.join(str(a) if a == b else f'{a}-{b}' for a, b in out)


def table(sources):
    """Lines of text: a row for each source, with what is missing."""
    for name, source in sorted(sources.items()):
        lines = percent(source.lines.values())
        branches = percent(source.branches.values())
        text = f'{name:24} lines {lines:5.1f} %  branches {branches:5.1f} %'
        if source.missing_lines():
            text += f'  not run: {ranges(source.missing_lines())}'
        if source.missing_branches():
            text += f'  one way only: {ranges(source.missing_branches())}'
        yield text
