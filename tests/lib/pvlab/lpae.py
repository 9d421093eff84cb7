# SPDX-License-Identifier: GPL-2.0-or-later
"""A page table of Arm's stage 1 with pages of 4 KiB, kept in the memory of a
machine without a guest (R-TABLE-9 and 11 of docs/specs)."""

import struct

from .driver import ARM_LPAE

PAGE = 4096
VALID, TABLE = 1, 2
USER, READ_ONLY, INNER, ACCESSED = 1 << 6, 1 << 7, 3 << 8, 1 << 10
LEAF = VALID | USER | INNER | ACCESSED


class Table:
    """The table, which changes no entry but those it is told to."""

    FORMAT = ARM_LPAE
    NEXT = VALID | TABLE            # of what leads to a table
    LEAF = LEAF
    PAGE = TABLE                    # of a leaf in the last level
    ATTRIBUTES = 0xFF               # normal memory, write-back

    def __init__(self, qtest, memory, bits=48):
        """MEMORY: where its tables are, from the root on, as many as it
        needs.  BITS: the width of addresses."""
        self._qtest = qtest
        self._free = memory
        self.bits = bits
        self.attributes = self.ATTRIBUTES
        self.root = self._more()

    def _more(self) -> int:
        where, self._free = self._free, self._free + PAGE
        self._qtest.write(where, bytes(PAGE))
        return where

    def store(self, where, entry):
        """Write an entry."""
        self._qtest.write(where, struct.pack("<Q", entry))

    def entry(self, iova, level=3) -> int:
        """Where the entry of LEVEL for an address is; tables on the way are
        made."""
        first = 4 - -(-(self.bits - 12) // 9)
        table = self.root
        for each in range(first, level):
            where = table + 8 * (iova >> 39 - 9 * each & 511)
            found = self._qtest.peek(where, 64)
            if not found & VALID:
                found = self._more() | self.NEXT
                self.store(where, found)
            table = found & ~0xFFF & (1 << 48) - 1
        return table + 8 * (iova >> 39 - 9 * level & 511)

    def map(self, iova, phys, pages=1, flags=None):
        """Pages become present, or lead elsewhere."""
        flags = self.LEAF if flags is None else flags
        for i in range(pages):
            self.store(self.entry(iova + i * PAGE),
                       phys + i * PAGE | flags | self.PAGE)

    def unmap(self, iova, pages=1):
        """Pages are there no more."""
        for i in range(pages):
            self.store(self.entry(iova + i * PAGE), 0)
