# SPDX-License-Identifier: GPL-2.0-or-later
"""The smallest driver of a virtio PCI device, on a machine without a guest:
split rings, one chain at a time in each queue."""

import struct

from .qtest import Function
from .tap import check
from .wait import until

# Capabilities of virtio-pci, by what they lead to
COMMON, NOTIFY, DEVICE = 1, 2, 4
VENDOR_CAPABILITY = 9
VERSION_1 = 1 << 32
ENTRIES = 16
# Of each queue's memory: descriptors, the two rings, the rest is for requests
SIZE, AVAIL, USED, BUFFERS = 0x2000, 0x400, 0x800, 0x1000
NEXT, WRITE = 1, 2


class Virtio:
    """A device, driven; RING is guest memory that the driver owns."""

    def __init__(self, pci: Function, bar, ring, features, queues=1):
        """BAR: where to put its registers.  RING: the address of 8 KiB for
        each queue.  FEATURES: those to accept where offered."""
        self.qtest = pci.qtest
        self.pci = pci
        self.ring = ring
        self._bar = bar
        self._features = VERSION_1 | features
        self._queues = queues
        self.start()

    def start(self):
        """Bring the device up, also after a reset of any kind."""
        self.pci.place(4, self._bar)
        self.pci.enable()
        self._where = {}
        for offset in self.pci.capabilities(VENDOR_CAPABILITY):
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
            poke(common + 12,
                 offered & self._features >> 32 * half & 0xFFFFFFFF)
        poke(common + 20, 0xB, 8)               # features ok
        check(peek(common + 20, 8) & 8, "the device refuses the features")
        self._bells = []
        self._counts = [0] * self._queues
        for queue in range(self._queues):
            ring = self.memory(queue)
            self.qtest.write(ring, bytes(SIZE))
            poke(common + 22, queue, 16)
            poke(common + 24, ENTRIES, 16)
            for offset, part in ((32, 0), (40, AVAIL), (48, USED)):
                poke(common + offset, ring + part)
                poke(common + offset + 4, 0)
            self._bells.append(self._where[NOTIFY] +
                               self._step * peek(common + 30, 16))
            poke(common + 28, 1, 16)
        poke(common + 20, 0xF, 8)               # driver ok

    def reset(self):
        """Reset the device, as a driver that goes away does."""
        self.qtest.poke(self._where[COMMON] + 20, 0, 8)

    def memory(self, queue) -> int:
        """Where the memory of a queue begins."""
        return self.ring + queue * SIZE

    def config(self, offset, bits=32) -> int:
        """A field of the device's configuration."""
        return self.qtest.peek(self._where[DEVICE] + offset, bits)

    def configure(self, offset, value, bits):
        """Write one."""
        self.qtest.poke(self._where[DEVICE] + offset, value, bits)

    def offer(self, queue, *parts):
        """Make a chain of PARTS available, each (address, size, flags): the
        only one in this queue."""
        ring = self.memory(queue)
        last = len(parts) - 1
        self.qtest.write(ring, b"".join(
            struct.pack("<QIHH", address, size,
                        flags | (NEXT if i < last else 0), i + 1)
            for i, (address, size, flags) in enumerate(parts)))
        self._counts[queue] += 1
        # each slot of the ring holds chain 0
        self.qtest.write(ring + AVAIL, struct.pack(
            "<HH", 0, self._counts[queue] & 0xFFFF))
        self.kick(queue)

    def kick(self, queue):
        """Have the device look at a queue."""
        self.qtest.poke(self._bells[queue], queue, 16)

    def done(self, queue) -> bool:
        """Whether the device has used what was offered."""
        return (self.qtest.peek(self.memory(queue) + USED + 2, 16) ==
                self._counts[queue] & 0xFFFF)

    def wait(self, queue):
        """Wait for that."""
        until(lambda: self.done(queue), f"queue {queue} of the device in slot "
              f"{self.pci.devfn >> 3} goes on")

    def exchange(self, queue, request: bytes, room) -> bytes:
        """A request, waited for: ROOM bytes of answer."""
        where = self.memory(queue) + BUFFERS
        answer = where + len(request)
        self.qtest.write(where, request + b"\xff" * room)
        self.offer(queue, (where, len(request), 0), (answer, room, WRITE))
        self.wait(queue)
        return self.qtest.read(answer, room)
