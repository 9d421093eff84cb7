#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Print, one a line, the flags QEMU compiles target-independent code with.

They are read from the build tree's compile_commands.json, so they are right
for whatever architecture and configuration that tree has. Directories become
absolute. QEMU's own headers are searched last and as system headers: their
warnings are not ours to fix, and <elf.h> stays the C library's.
"""

import json
import os
import re
import shlex
import sys

MODEL = 'hw/virtio/virtio-mmio.c'
# not about the language or the ABI, or ours to choose
SKIP = ('-W', '-O', '-g', '-c', '-std=', '-fPI', '-fpi', '-fdiagnostics-color',
        '-fstack-protector')
SKIP_TWO = ('-MQ', '-MF', '-MT', '-o')


def directory(base, path):
    return os.path.normpath(os.path.join(base, path))


def convert(args, base, source, build):
    ours = (os.path.realpath(source), os.path.realpath(build))
    out = []
    it = iter(args)
    for arg in it:
        if arg in SKIP_TWO:
            next(it)
            continue
        for option in ('-iquote', '-isystem', '-I'):
            if not arg.startswith(option):
                continue
            path = directory(base, arg[len(option):] or next(it))
            real = os.path.realpath(path)
            if os.path.basename(real) == 'linux-headers':
                # newer than the machine's: before them
                out.append(f'-isystem{path}')
            elif real.startswith(ours):
                out.append(f'-idirafter{path}')
            else:
                out.append(f'-isystem{path}')
            break
        else:
            if arg.startswith(('-D', '-f', '-m', '-pthread')) \
                    and not arg.startswith(SKIP):
                out.append(arg)
    return list(dict.fromkeys(out))


def main():
    source, build = sys.argv[1:]
    with open(os.path.join(build, 'compile_commands.json'),
              encoding='utf-8') as f:
        commands = json.load(f)
    for entry in commands:
        # libsystem since 10.1
        if entry['file'].endswith(MODEL) and \
                re.search('libcommon|libsystem', entry['output']):
            args = shlex.split(entry['command'])[1:]
            base = entry['directory']
            break
    else:
        sys.exit(f'{build}: no compile command for {MODEL}')
    flags = convert(args, base, source, build)
    # private headers, such as "hw/vfio/pci.h", are found from the source's top
    for flag in flags:
        if flag != '-D_GNU_SOURCE':
            print(flag)


main()
