# SPDX-License-Identifier: GPL-2.0-or-later
"""Where the links of the documents lead, in the tree and once installed."""

import json
import os
import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get('PVIOMMU_BUILD', ROOT / 'build'))
LINK = re.compile(r'\]\(([^)\s]+)\)')


def anchors(text):
    """What a document's headings can be referred to by."""
    found = set()
    for heading in re.findall(r'^#+ (.+)$', text, re.M):
        word = re.sub(r'[^\w\- ]', '', heading.lower()).replace(' ', '-')
        found.add(word)
    return found


def links(path):
    """The links of a document to files: as written, the file, the anchor."""
    text = re.sub(r'^    .*$', '', path.read_text(encoding='utf-8'),
                  flags=re.M)
    for link in LINK.findall(text):
        if not re.match(r'\w+:', link):
            name, _, anchor = link.partition('#')
            yield link, (path.parent / name).resolve() if name else path, \
                anchor


def dead(path):
    """Links of a document that lead nowhere in the tree."""
    for link, target, anchor in links(path):
        if not target.exists():
            yield f'{link}: there is no {os.path.relpath(target, ROOT)}'
        elif anchor and anchor not in \
                anchors(target.read_text(encoding='utf-8')):
            yield f'{link}: there is no such heading'


def installed():
    """Where files of the tree are installed: {source: place}, of folders,
    too."""
    done = subprocess.run(['meson', 'introspect', '--installed', BUILD],
                          check=True, stdout=subprocess.PIPE, text=True)
    return {Path(source): Path(place)
            for source, place in json.loads(done.stdout).items()}


def place_of(path, places):
    """Where a file is installed, or None."""
    for folder in (path, *path.parents):
        if folder in places:
            return places[folder] / path.relative_to(folder)
    return None


def astray(path, places):
    """Links of a document that lead elsewhere when it is installed."""
    place = place_of(path, places)
    for link, target, _ in links(path):
        there = place_of(target, places)
        if place and (not there or os.path.relpath(there, place.parent) !=
                      os.path.relpath(target, path.parent)):
            yield f'{link}: it is installed elsewhere, or not at all'


def results():
    """For each document: a case's name, and what is wrong."""
    places = installed()
    documents = sorted([ROOT / 'README.md', *(ROOT / 'docs').rglob('*.md')])
    for path in documents:
        name = path.relative_to(ROOT)
        yield f'links lead somewhere: {name}', '\n'.join(dead(path))
        yield (f'links lead there when installed: {name}',
               '\n'.join(astray(path, places)) if place_of(path, places)
               else 'it is not installed')
    headers = [str(source) for source in places
               if source.suffix == '.h' or list(source.rglob('*.h'))]
    yield 'no header is installed', '\n'.join(headers)
