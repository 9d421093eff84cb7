# SPDX-License-Identifier: GPL-2.0-or-later
"""What the library uses of QEMU, and what docs/devel/qemu.md says of it."""

import re

import harness
from pvlab.tap import Skip, check, same

PAGE = harness.ROOT / 'docs/devel/qemu.md'
# The headings of the two parts that are compared
BOUND = 'Functions and variables'
LOOKED_UP = 'Looked up by name'

# What compiler and linker add, whatever the code
TOOLCHAINS = re.compile(r'_ITM_\w+|__gmon_start__')
# A name in a table, and the series that it is used in if not in all
NAME = re.compile(r'`(\w+)`(?: \(([^)]*)\))?')
SERIES = re.compile(r'(\d+)\.(\d+)( on)?')
# How sources ask for a name
LOOK_UP = re.compile(r'PVIOMMU_LOOKUP\((?!fn\))(\w+)\)|'
                     r'\bSYMBOL\((?!symbol,)(\w+),|'
                     r'dlsym\(RTLD_DEFAULT,\s*"(\w+)"\)')


def used_in(mark, series):
    """Whether a name marked so is used in a series: no mark, "10.0" for that
    alone, or "10.1 on" for that and all later ones."""
    if mark is None:
        return True
    found = SERIES.fullmatch(mark)
    check(found, f'{PAGE.name}: ({mark}) is neither "X.Y" nor "X.Y on"')
    first = int(found[1]), int(found[2])
    return series >= first if found[3] else series == first


def told(heading, series):
    """The names that the page tells of under a heading, in the second column
    of its tables."""
    _, found, text = PAGE.read_text(encoding='utf-8').partition(
        f'\n## {heading}\n')
    check(found, f'{PAGE.name} has no heading "{heading}"')
    names = []
    for row in re.findall(r'^\|.*$', text.partition('\n## ')[0], re.M):
        names += [name for name, mark in NAME.findall(row.split('|')[2])
                  if used_in(mark or None, series)]
    twice = sorted({name for name in names if names.count(name) > 1})
    same(twice, [], f'names that {PAGE.name} tells of twice')
    return set(names)


def dynamic(kind, file):
    """The names in a file's dynamic symbol table."""
    out = harness.build(['nm', '-D', f'--{kind}-only', file])
    return {line.split()[-1].partition('@')[0] for line in out.splitlines()}


def bound(library):
    """What the library uses that is of none of the libraries that it is
    linked with: that is QEMU's."""
    names = {name for name in dynamic('undefined', library)
             if not TOOLCHAINS.fullmatch(name)}
    for file in re.findall(r'(/\S+) \(0x', harness.build(['ldd', library])):
        names -= dynamic('defined', file)
    return names


def looked_up():
    """What sources ask for by name."""
    names = set()
    for source in (harness.ROOT / 'hw/pviommu').rglob('*.c'):
        for found in LOOK_UP.findall(source.read_text(encoding='utf-8')):
            names.update(filter(None, found))
    return names


def compare(there, names):
    wrong = [f'{name} is used, but the page does not tell of it'
             for name in sorted(there - names)]
    wrong += [f'the page tells of {name}, which is not used'
              for name in sorted(names - there)]
    check(not wrong, '\n'.join([f'{PAGE}:', *wrong]))


def tells_what_is_bound(library):
    series = tuple(map(int, library.stem.split('.')))
    there = bound(library)
    check('virtqueue_pop' in there, f'nothing of QEMU found in {library}')
    compare(there, told(BOUND, series))


def tells_what_is_looked_up(library):
    series = tuple(map(int, library.stem.split('.')))
    compare(looked_up(), told(LOOKED_UP, series))


def vhost_is_called_so():
    """The observer's listener has this name, too, so no test but this one
    would notice that vhost's has another."""
    used = re.search(r'#define VHOST_LISTENER ("[\w-]+")',
                     (harness.ROOT / 'hw/pviommu/host/vhost.c').read_text())
    source = harness.QEMU_SOURCE / 'hw/virtio/vhost.c'
    if not source.exists():
        raise Skip(f'{harness.QEMU_SOURCE} has headers only')
    check(f'.name = {used[1]},' in source.read_text(encoding='utf-8'),
          f'{source} has no listener called {used[1]}')


def cases(tap):
    """All cases, on the library for the QEMU of this build."""
    library = harness.library()
    tap.case('load: docs/devel/qemu.md has each symbol that is used, no other',
             tells_what_is_bound, library)
    tap.case('load: docs/devel/qemu.md has each name that is looked up, no '
             'other', tells_what_is_looked_up, library)
    tap.case("load: vhost's listener is called as we call it",
             vhost_is_called_so)
