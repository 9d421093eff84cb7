# SPDX-License-Identifier: GPL-2.0-or-later
"""What the scripts say of themselves: with folders of their own, and tools that
only pretend to be."""

import os
import subprocess
import tempfile
from pathlib import Path

from pvlab.tap import check, same

ROOT = Path(__file__).resolve().parents[2]
PRETENDED = {'meson': ':', 'ninja': ':',
             'apt-get': 'echo "nothing is to be fetched" >&2; exit 1'}


class Scripts:
    """The scripts, in a place where they can do no harm."""

    def __init__(self, folder):
        self.folder = folder
        self.cache, self.build = folder / 'cache', folder / 'build'
        self.tools = folder / 'tools'
        self.tools.mkdir()
        for name, script in PRETENDED.items():
            path = self.tools / name
            path.write_text(f'#!/bin/sh\n{script}\n')
            path.chmod(0o755)

    def run(self, name, *args):
        """One of them: its status, what it printed, what it said."""
        done = subprocess.run(
            [ROOT / 'scripts' / name, *args], stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={**os.environ, 'PVIOMMU_CACHE': str(self.cache),
                 'PVIOMMU_BUILD': str(self.build),
                 'PATH': f'{self.tools}:{os.environ["PATH"]}'})
        return done.returncode, done.stdout, done.stderr

    def did_nothing(self):
        """Neither in the cache nor in the build folder."""
        same([path.name for path in (self.cache, self.build)
              if path.exists()], [], 'folders that were made')


def usage(name):
    """--help prints how it is called, another word is refused, and neither
    begins any work."""
    with tempfile.TemporaryDirectory() as folder:
        scripts = Scripts(Path(folder))
        for option in ('--help', '-h'):
            status, printed, said = scripts.run(name, option)
            same((status, said), (0, ''), f'{option}: status and messages')
            check(f'usage: scripts/{name}' in printed, printed)
            scripts.did_nothing()
        status, printed, said = scripts.run(name, '--no-such-option')
        same((status, printed), (2, ''), 'status and what was printed')
        check(f'usage: scripts/{name}' in said, said)
        scripts.did_nothing()


def no_kernel_yet():
    """To ask for what was not built yet is no failure."""
    with tempfile.TemporaryDirectory() as folder:
        scripts = Scripts(Path(folder))
        same(scripts.run('build-lab-kernel', '--cached'), (0, '', ''),
             'status, what was printed, messages')
        scripts.did_nothing()


def cases(tap):
    """All of them."""
    for path in sorted((ROOT / 'scripts').iterdir()):
        if not path.suffix and os.access(path, os.X_OK):
            tap.case(f'scripts/{path.name}: says how it is called', usage,
                     path.name)
    tap.case('scripts/build-lab-kernel: nothing is built yet', no_kernel_yet)
