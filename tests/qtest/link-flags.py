#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Print, one a line, what QEMU links its own qtests with.

Its libqos whole, for the constructors in it, a few objects, and the libraries
that its build tree names. With --targets: what to build in that tree before.
"""

import os
import re
import shlex
import subprocess
import sys

MODEL = 'tests/qtest/qos-test'


LIBQOS = 'tests/qtest/libqos/libqos.a'
# what its object model and its utilities need of each other
OBJECTS = ('libqom.a.p/', 'libevent-loop-base.a.p/')


def main():
    build = sys.argv[1]
    commands = subprocess.run(['ninja', '-C', build, '-t', 'commands', MODEL],
                              check=True, stdout=subprocess.PIPE, text=True)
    args = shlex.split(commands.stdout.splitlines()[-1])
    objects = [arg for arg in args if arg.startswith(OBJECTS)]
    libraries = [arg for arg in args[args.index('-Wl,--start-group'):]
                 if 'libvhost-user' not in arg]
    built = objects + [LIBQOS] + [arg for arg in libraries
                                  if re.fullmatch(r'[^/-].*\.a', arg)]
    if '--targets' in sys.argv:
        print('\n'.join(built))
        return
    for arg in [*objects, '-Wl,--whole-archive', LIBQOS,
                '-Wl,--no-whole-archive', *libraries]:
        print(os.path.join(build, arg) if arg in built else arg)


main()
