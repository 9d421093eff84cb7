#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Join static libraries into one object whose symbols are all weak."""

import argparse
import subprocess


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--cc', required=True)
    parser.add_argument('--objcopy', required=True)
    parser.add_argument('--output', required=True)
    parser.add_argument('libraries', nargs='+')
    args = parser.parse_args()

    subprocess.run([args.cc, '-r', '-nostdlib', '-o', args.output,
                    '-Wl,--whole-archive', *args.libraries,
                    '-Wl,--no-whole-archive'], check=True)
    subprocess.run([args.objcopy, '--weaken', args.output], check=True)


main()
