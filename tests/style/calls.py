#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Calls go down: read from the object files, not from the sources.

A folder of hw/pviommu uses what itself and the folders below it define, never
what is above; and the files of a folder use each other without a ring.  "Use"
is a call, an address taken, or a variable.  A call by a pointer in a table of
functions leaves no trace in an object file: that is how a lower folder may
reach a higher one.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get('PVIOMMU_BUILD', ROOT / 'build'))
TOP = 'hw/pviommu/'
# from the top down
FOLDERS = ('device/virtio', 'device/firmware', 'device/topology',
           'device/spaces', 'device/common', 'host', 'core')


def objects(build=BUILD):
    """The library's sources in FOLDERS, and the object file of each."""
    with open(build / 'compile_commands.json', encoding='utf-8') as f:
        entries = json.load(f)
    found = {}
    for entry in entries:
        path = os.path.relpath(Path(entry['directory']) / entry['file'], ROOT)
        if path.startswith(TOP) and \
                re.search(r'libpviommu-(core|qemu)\.a\.p/', entry['output']):
            found[path[len(TOP):]] = build / entry['output']
    return found


def symbols(path):
    """What an object file defines for others, and what it uses of others."""
    lines = subprocess.run(['nm', '-P', path], check=True, text=True,
                           stdout=subprocess.PIPE).stdout.splitlines()
    defines, uses = set(), set()
    for line in lines:
        name, kind = line.split()[:2]
        if kind == 'U':
            uses.add(name)
        elif kind.isupper():
            defines.add(name)
    return defines, uses


def graph(files):
    """Who uses whom: {file: {other file: set of symbols}}."""
    read = {name: symbols(path) for name, path in files.items()}
    home = {symbol: name for name, (defines, _) in read.items()
            for symbol in defines}
    edges = {}
    for name, (_, uses) in read.items():
        edges[name] = {}
        for symbol in uses & home.keys():
            edges[name].setdefault(home[symbol], set()).add(symbol)
    return edges


def folder(name):
    return os.path.dirname(name)


def upward(edges, room):
    """What files of a folder use of folders above it."""
    level = FOLDERS.index(room)
    return [f'{name} uses {", ".join(sorted(names))} of {other}'
            for name, used in sorted(edges.items()) if folder(name) == room
            for other, names in sorted(used.items())
            if FOLDERS.index(folder(other)) < level]


def ring(edges, room):
    """One way round among the files of a folder, or nothing."""
    def search(name, way):
        if name in way:
            return way[way.index(name):] + [name]
        if name in done:
            return []
        for other in sorted(edges[name]):
            if folder(other) == room and other != name:
                found = search(other, [*way, name])
                if found:
                    return found
        done.add(name)
        return []

    done = set()
    for name in sorted(edges):
        if folder(name) == room:
            found = search(name, [])
            if found:
                return found
    return []


def results(edges=None):
    """For each folder and question: a case's name, and what is wrong."""
    if edges is None:
        edges = graph(objects())
    for room in FOLDERS:
        inside = [name for name in edges if folder(name) == room]
        yield (f'calls go down: {room}',
               '\n'.join(upward(edges, room)) if inside
               else 'there is no object file of this folder')
        around = ring(edges, room)
        yield f'no ring among files: {room}', ' -> '.join(around)
    strange = sorted({folder(name) for name in edges} - set(FOLDERS))
    yield 'each folder has its place', '\n'.join(strange)


def is_noticed():
    """What is wrong with the above itself: nothing if it sees a made-up call
    up, and a made-up ring."""
    edges = {'core/a.c': {'host/b.c': {'up'}, 'core/c.c': {'down'}},
             'core/c.c': {'core/d.c': {'round'}},
             'core/d.c': {'core/a.c': {'back'}},
             'host/b.c': {'core/d.c': {'fine'}}}
    found = dict(results(edges))
    if found['calls go down: core'] != 'core/a.c uses up of host/b.c' or \
            found['calls go down: host'] or \
            found['no ring among files: host']:
        return f'a call up: {found}'
    if found['no ring among files: core'] != \
            'core/a.c -> core/c.c -> core/d.c -> core/a.c':
        return f'a ring: {found}'
    return ''


def main():
    """Alone, it prints what is wrong."""
    wrong = [(name, problem) for name, problem in results() if problem]
    for name, problem in wrong:
        print(f'{name}:\n{problem}')
    return 1 if wrong else 0


if __name__ == '__main__':
    sys.exit(main())
