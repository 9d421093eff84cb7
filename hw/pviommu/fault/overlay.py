#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Copy one QEMU header with the change that a test of the refusal needs."""

import os
import re
import sys

CHANGES = {
    # as if PCIDevice had gained a field in its middle
    'layout': (r'(\n    int32_t devfn;\n)', r'\n    uint64_t shifted;\1'),
    'version': (r'(#define QEMU_VERSION) "[^"]*"', r'\1 "9.99.0"'),
}


def main():
    fault, source, target = sys.argv[1:]
    with open(source, encoding='utf-8') as f:
        text = f.read()
    text, count = re.subn(*CHANGES[fault], text)
    if count != 1:
        sys.exit(f'{source}: nothing to change for "{fault}"')
    os.makedirs(os.path.dirname(target), exist_ok=True)
    with open(target, 'w', encoding='utf-8') as f:
        f.write(text)


main()
