# SPDX-License-Identifier: GPL-2.0-or-later
"""A page table of x86_64 with four levels, kept in the memory of a machine
without a guest (R-TABLE-9 and 10 of docs/specs)."""

import struct

from . import lpae
from .driver import X86_64

PAGE = 4096
ADDRESS = ((1 << 52) - 1) & ~(PAGE - 1)
LARGE = 1 << 7
PRESENT, WRITABLE, USER, ACCESSED, DIRTY = 1, 2, 4, 1 << 5, 1 << 6
READ_ONLY = PRESENT | USER | ACCESSED


class Table(lpae.Table):
    """As that of Arm, with other bits."""

    FORMAT = X86_64
    NEXT = PRESENT | WRITABLE | USER | ACCESSED
    LEAF = NEXT | DIRTY
    PAGE = 0
    ATTRIBUTES = 0


def walk(read, root, level=3, base=0, rights=3):
    """All that a table maps: (IOVA, bytes, guest address, rights), in order.
    READ: a function from an address to the page that is there."""
    for index, entry in enumerate(struct.unpack("<512Q", read(root))):
        if not entry & PRESENT or not entry & USER:
            continue
        iova = base + (index << 12 + 9 * level)
        allowed = rights if entry & WRITABLE else rights & 1
        if level and not entry & LARGE:
            yield from walk(read, entry & ADDRESS, level - 1, iova, allowed)
        else:
            size = PAGE << 9 * level
            yield iova, size, entry & ADDRESS & -size, allowed
