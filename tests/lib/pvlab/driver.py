# SPDX-License-Identifier: GPL-2.0-or-later
"""The smallest driver of a virtio IOMMU: one request at a time, each waited
for, on a machine without a guest."""

import struct

from .qtest import Function, Qtest
from .virtio import Virtio

OK, IOERR, UNSUPP, DEVERR, INVAL, RANGE, NOENT, FAULT, NOMEM = range(9)
ATTACH, DETACH, MAP, UNMAP, PROBE, ATTACH_TABLE, INVALIDATE = range(1, 8)
READ, WRITE, MMIO = 1, 2, 4
BYPASS_DOMAIN = 1
RESV_MEM, TABLE_FORMAT = 1, 8
RESERVED, MSI = 0, 1
X86_64, ARM_LPAE = 1, 2
# Input range, domain range, MAP and UNMAP, PROBE, MMIO, bypass, guest's tables
FEATURES = sum(1 << bit for bit in (0, 1, 2, 4, 5, 6, 23))


class Iommu(Virtio):
    """The device, driven."""

    PROBE_SIZE, BYPASS = 32, 36

    def __init__(self, qtest: Qtest, slot, bar, ring):
        """BAR and RING are those of any virtio device."""
        super().__init__(Function(qtest, slot), bar, ring, FEATURES)

    def set_bypass(self, value):
        """Write the field "bypass"."""
        self.configure(self.BYPASS, value, 8)

    def request(self, kind, body: bytes, room=0) -> tuple[int, bytes]:
        """One request: its status, and ROOM bytes of answer before that."""
        data = self.exchange(0, struct.pack("<B3x", kind) + body, room + 4)
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

    def attach_table(self, domain, endpoint, table) -> int:
        """ATTACH_TABLE of a table (tables of lpae.py and others)."""
        return self.request(ATTACH_TABLE, struct.pack(
            "<IIIQQHH", domain, endpoint, 0, table.root, table.attributes,
            table.FORMAT, table.bits))[0]

    def invalidate(self, domain, first=0, last=(1 << 64) - 1) -> int:
        """INVALIDATE, of everything where nothing is said."""
        return self.request(INVALIDATE, struct.pack("<IQQ4x", domain, first,
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
