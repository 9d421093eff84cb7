# SPDX-License-Identifier: GPL-2.0-or-later
"""The tables of Arm's SMMUv3, read from memory as it reads them (Arm's IHI
0070): from its registers to the stream table, from there to the page tables.
Linux has no dump of them.  Takes a kernel with CONFIG_DEVMEM and without
CONFIG_STRICT_DEVMEM."""

import array
import ctypes
import functools
import mmap
import os
import re
from pathlib import Path

PAGE_BITS = 12
PAGE = 1 << PAGE_BITS
READ, WRITE = 1, 2
# Registers: STRTAB_BASE and STRTAB_BASE_CFG
BASE, BASE_CFG = 0x80, 0x88
# What a stream table entry lets a device do
ABORT, BYPASS, STAGE_1, STAGE_2, NESTED = 0, 4, 5, 6, 7


def _bits(value, last, first) -> int:
    return value >> first & (1 << last - first + 1) - 1


def _field(value, last, first) -> int:
    """An address, which is aligned by FIRST bits."""
    return _bits(value, last, first) << first


class Memory:
    """What the machine's memory holds."""

    def __init__(self):
        self._fd = os.open("/dev/mem", os.O_RDWR | os.O_SYNC)

    def words(self, address, count) -> array.array:
        """COUNT words of 64 bits of RAM."""
        data = array.array("Q")
        data.frombytes(os.pread(self._fd, 8 * count, address))
        return data

    def registers(self, address, *offsets) -> list[int]:
        """Registers of 64 bits in the page at ADDRESS."""
        with mmap.mmap(self._fd, PAGE, offset=address) as page:
            # as two accesses of 32 bits, which any device takes
            halves = (ctypes.c_uint32 * (PAGE // 4)).from_buffer(page)
            values = [halves[offset // 4] | halves[offset // 4 + 1] << 32
                      for offset in offsets]
            del halves
        return values


class Smmu:
    """The one SMMU of the machine."""

    def __init__(self):
        self.memory = Memory()
        found = re.search(r"^ *([0-9a-f]+)-.* : arm-smmu-v3",
                          Path("/proc/iomem").read_text(), re.M)
        if not found:
            raise OSError("this machine has no SMMUv3")
        self._registers = int(found.group(1), 16)
        self.memory.registers(self._registers, BASE)

    def stream(self, address) -> array.array:
        """The stream table entry of a PCI device, whose ID is its bus, slot
        and function; all 0 if there is none."""
        bus, slot, function = (int(word, 16) for word in
                               re.split("[:.]", address)[1:])
        stream = bus << 8 | slot << 3 | function
        base, config = self.memory.registers(self._registers, BASE, BASE_CFG)
        table = _field(base, 51, 6)
        split = 0
        if _bits(config, 17, 16):       # two levels
            split = _bits(config, 10, 6)
            first = self.memory.words(table + 8 * (stream >> split), 1)[0]
            span = _bits(first, 4, 0)
            table = _field(first, 51, 6)
            stream &= (1 << split) - 1
            if not span or stream >> span - 1:
                return array.array("Q", bytes(64))
        return self.memory.words(table + 64 * stream, 8)

    def context(self, entry) -> array.array:
        """The context descriptor of what is not tagged with a PASID."""
        where = _field(entry[0], 51, 6)
        if _bits(entry[0], 63, 59) and _bits(entry[0], 5, 4):
            where = _field(self.memory.words(where, 1)[0], 51, 12)
        return self.memory.words(where, 8)

    def walk(self, table, size, rights_of, top=None):
        """The entries below a table of 4 KiB pages for addresses of SIZE
        bits, as entries() has them.  TOP: the level it begins with."""
        if top is None:
            top = 4 - -(-(size - PAGE_BITS) // 9)
        # each: where it is, its level, its first page, how many entries
        left = [(table, top, 0, 1 << size - PAGE_BITS - 9 * (3 - top))]
        while left:
            table, level, first, count = left.pop()
            step = 1 << 9 * (3 - level)
            for i, entry in enumerate(self.memory.words(table, count)):
                if not entry & 1:
                    continue
                page = first + i * step
                where = _field(entry, 47, PAGE_BITS)
                if level < 3 and entry & 2:
                    left.append((where, level + 1, page, 512))
                else:
                    yield page, step, where >> PAGE_BITS, rights_of(entry)


@functools.cache
def _smmu() -> Smmu:
    return Smmu()


def _stage_1(entry) -> int:
    """Whoever may do anything may read."""
    return READ if entry & 1 << 7 else READ | WRITE


def _stage_2(entry) -> int:
    return (READ if entry & 1 << 6 else 0) | (WRITE if entry & 1 << 7 else 0)


def prepare() -> bool:
    """Whether the tables can be read."""
    try:
        _smmu()
    except OSError:
        return False
    return True


def _kind(entry) -> int:
    return _bits(entry[0], 3, 1) if entry[0] & 1 else ABORT


def none(address) -> bool:
    """Whether there is no table for the PCI device."""
    return _kind(_smmu().stream(address)) in (ABORT, BYPASS)


def guest_table(address):
    """The root of the guest's own table that the SMMU walks for the PCI
    device, its width and its memory attributes; None if it does not."""
    smmu = _smmu()
    entry = smmu.stream(address)
    if _kind(entry) != NESTED:
        return None
    where = _field(entry[0], 51, 6)     # as stage 2 translates it
    for page, count, frame, _ in entries(address):
        if page <= where >> PAGE_BITS < page + count:
            offset = where - (page << PAGE_BITS)
            context = smmu.memory.words((frame << PAGE_BITS) + offset, 8)
            return (_field(context[1], 51, 4), 64 - _bits(context[0], 5, 0),
                    context[3])
    raise ValueError(f"{address}: stage 2 has no {where:#x}")


def entries(address):
    """The table for the PCI device, of the stage that the host owns: the
    first page of each entry, how many pages it is for, where it leads, and
    its permissions."""
    smmu = _smmu()
    entry = smmu.stream(address)
    kind = _kind(entry)
    if kind == ABORT:
        return
    if kind == STAGE_1:
        context = smmu.context(entry)
        yield from smmu.walk(_field(context[1], 51, 4),
                             64 - _bits(context[0], 5, 0), _stage_1)
    elif kind in (STAGE_2, NESTED):
        yield from smmu.walk(_field(entry[3], 51, 4),
                             64 - _bits(entry[2], 37, 32), _stage_2,
                             2 - _bits(entry[2], 39, 38))
    else:
        raise ValueError(f"{address} is not translated: {entry[0]:#x}")
