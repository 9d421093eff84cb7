# SPDX-License-Identifier: GPL-2.0-or-later
"""The smallest driver of a virtio IOMMU: one request at a time, each waited
for, on a machine without a guest."""

import struct
import time

from .agent import Lost
from .qtest import Function, Qtest

OK, IOERR, UNSUPP, DEVERR, INVAL, RANGE, NOENT, FAULT, NOMEM = range(9)
ATTACH, DETACH, MAP, UNMAP, PROBE = range(1, 6)
READ, WRITE, MMIO = 1, 2, 4
BYPASS_DOMAIN = 1
# Input range, domain range, MAP and UNMAP, PROBE, MMIO, bypass; version 1
FEATURES = 1 << 0 | 1 << 1 | 1 << 2 | 1 << 4 | 1 << 5 | 1 << 6 | 1 << 32
# Capabilities of virtio-pci
COMMON, NOTIFY, DEVICE = 1, 2, 4
ENTRIES = 16


class Iommu:
    """The device, driven; RING is guest memory that the driver owns."""

    PROBE_SIZE, BYPASS = 32, 36

    def __init__(self, qtest: Qtest, slot, bar, ring):
        """BAR: where to put its registers.  RING: the address of 8 KiB."""
        self.qtest = qtest
        self.pci = Function(qtest, slot)
        self._bar = bar
        self._ring = ring
        self.start()

    def start(self):
        """Bring the device up, also after a reset of any kind."""
        self.pci.place(4, self._bar)
        self.pci.enable()
        self._where = {}
        for offset in self.pci.capabilities(9):
            kind = self.pci.get(offset + 3, 8)
            where = self._bar + self.pci.get(offset + 8)
            self._where.setdefault(kind, where)
            if kind == NOTIFY:
                self._step = self.pci.get(offset + 16)
        self.reset()
        common = self._where[COMMON]
        poke, peek = self.qtest.poke, self.qtest.peek
        poke(common + 20, 0x3, 8)               # acknowledge, driver
        for half in (0, 1):
            poke(common + 0, half)
            offered = peek(common + 4)
            poke(common + 8, half)
            poke(common + 12, offered & FEATURES >> 32 * half & 0xFFFFFFFF)
        poke(common + 20, 0xB, 8)               # features ok
        self.qtest.write(self._ring, bytes(0x2000))
        poke(common + 22, 0, 16)                # the request queue
        poke(common + 24, ENTRIES, 16)
        for offset, part in ((32, 0), (40, 0x400), (48, 0x800)):
            poke(common + offset, self._ring + part)
            poke(common + offset + 4, 0)
        self._bell = (self._where[NOTIFY] +
                      self._step * peek(common + 30, 16))
        poke(common + 28, 1, 16)
        poke(common + 20, 0xF, 8)               # driver ok
        self._count = 0

    def reset(self):
        """Reset the device, as a driver that goes away does."""
        self.qtest.poke(self._where[COMMON] + 20, 0, 8)

    def config(self, offset, bits=32) -> int:
        """A field of the device's configuration."""
        return self.qtest.peek(self._where[DEVICE] + offset, bits)

    def set_bypass(self, value):
        """Write the field "bypass"."""
        self.qtest.poke(self._where[DEVICE] + self.BYPASS, value, 8)

    def request(self, kind, body: bytes, room=0) -> tuple[int, bytes]:
        """One request: its status, and ROOM bytes of answer before that."""
        head = struct.pack("<B3x", kind) + body
        where, answer = self._ring + 0x1000, self._ring + 0x1100
        self.qtest.write(where, head)
        self.qtest.write(answer, b"\xff" * (room + 4))
        self.qtest.write(self._ring, struct.pack(
            "<QIHHQIHH", where, len(head), 1, 1, answer, room + 4, 2, 0))
        self._count += 1
        self.qtest.write(self._ring + 0x400, struct.pack(
            "<HH", 0, self._count & 0xFFFF))    # each slot holds chain 0
        self.qtest.poke(self._bell, 0, 16)
        deadline = time.monotonic() + 60
        while self.qtest.peek(self._ring + 0x802, 16) != \
                self._count & 0xFFFF:
            if time.monotonic() > deadline:
                raise Lost(f"request {kind} was not answered")
        data = self.qtest.read(answer, room + 4)
        return data[room], data[:room]

    def attach(self, domain, endpoint, flags=0) -> int:
        """ATTACH: the status; so for all that follow."""
        return self.request(ATTACH, struct.pack("<III4x", domain, endpoint,
                                                flags))[0]

    def detach(self, domain, endpoint) -> int:
        """DETACH."""
        return self.request(DETACH, struct.pack("<II8x", domain,
                                                endpoint))[0]

    def map(self, domain, first, last, phys, flags) -> int:
        """MAP."""
        return self.request(MAP, struct.pack("<IQQQI", domain, first, last,
                                             phys, flags))[0]

    def unmap(self, domain, first, last) -> int:
        """UNMAP."""
        return self.request(UNMAP, struct.pack("<IQQ4x", domain, first,
                                               last))[0]

    def probe(self, endpoint) -> tuple[int, list[tuple[int, bytes]]]:
        """PROBE: the status, and the properties as (type, body)."""
        status, data = self.request(PROBE, struct.pack("<I64x", endpoint),
                                    self.config(self.PROBE_SIZE))
        properties = []
        while len(data) >= 4:
            kind, length = struct.unpack_from("<HH", data)
            if kind == 0:
                break
            properties.append((kind, data[4:4 + length]))
            data = data[4 + length:]
        return status, properties
