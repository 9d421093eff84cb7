# SPDX-License-Identifier: GPL-2.0-or-later
"""A driver of virtio-mem, which plugs and unplugs blocks of guest memory."""

import struct

from .qtest import Function, Qtest
from .tap import same
from .virtio import Virtio

PLUG, UNPLUG, UNPLUG_ALL = range(3)
ACK = 0
INACCESSIBLE = 1 << 1           # what is unplugged cannot be read either


class VirtioMem(Virtio):
    """The device, driven; PLUGGED holds the numbers of its plugged blocks."""

    BLOCK_SIZE, ADDRESS = 0, 16

    def __init__(self, qtest: Qtest, slot, bar, ring):
        """BAR and RING are those of any virtio device."""
        super().__init__(Function(qtest, slot), bar, ring, INACCESSIBLE)
        self.block_size = self.config(self.BLOCK_SIZE, 64)
        self.address = self.config(self.ADDRESS, 64)
        self.plugged = set()

    def _request(self, kind, block=0, count=0):
        answer = self.exchange(0, struct.pack(
            "<H6xQH6x", kind, self.address + block * self.block_size, count),
            10)
        same(struct.unpack_from("<H", answer)[0], ACK,
             f"virtio-mem's answer to request {kind}")

    def plug(self, block, count):
        """Plug COUNT blocks from BLOCK on."""
        self._request(PLUG, block, count)
        self.plugged |= set(range(block, block + count))

    def unplug(self, block, count):
        """Unplug them."""
        self._request(UNPLUG, block, count)
        self.plugged -= set(range(block, block + count))

    def unplug_all(self):
        """Unplug what there is."""
        self._request(UNPLUG_ALL)
        self.plugged.clear()
