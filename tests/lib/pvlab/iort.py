# SPDX-License-Identifier: GPL-2.0-or-later
"""The table by which ACPI tells a host of its SMMU (IORT, Arm's DEN0049 E.b).

QEMU's own says nothing of what Linux must read there before it offers nesting
(arm_smmu_get_viommu_size() in drivers/iommu/arm/arm-smmu-v3): that whatever the
SMMU's tables say, devices snoop the caches.  Linux takes this table instead,
from its initramfs (CONFIG_ACPI_TABLE_UPGRADE)."""

import struct

NAME = "kernel/firmware/acpi/iort.aml"
# The machine "virt" (hw/arm/virt.c): where its SMMU is, and its interrupts:
# events, PRI, errors, CMD_SYNC
SMMU = 0x09050000
INTERRUPTS = (106, 107, 109, 108)
ITS_GROUP, ROOT_COMPLEX, SMMU_V3 = 0, 2, 4
COHERENT = 1
# Of a root complex: the CPU's caches are snooped, always, and device memory
# is cacheable; so says revision 4
SNOOPED, CACHED, ALWAYS = 1 << 0, 1 << 1, 1 << 2
ALL_IDS = 0xFFFF                # one less than there are
# Newer than QEMU's, or Linux would not take it
REVISION = 2


def _node(kind, revision, number, data, target=None) -> bytes:
    """A node, and where its ids go: all to the node that begins at TARGET."""
    fixed = 16 + len(data)
    ids = b"" if target is None else struct.pack("<5I", 0, ALL_IDS, 0, target,
                                                 0)
    return struct.pack("<BHBIII", kind, fixed + len(ids), revision, number,
                       1 if ids else 0, fixed if ids else 0) + data + ids


def build() -> bytes:
    """The table: devices of PCI, whose DMA goes to the SMMU, whose interrupts
    go to the ITS."""
    first = 48
    its = _node(ITS_GROUP, 1, 0, struct.pack("<II", 1, 0))
    smmu = _node(SMMU_V3, 4, 1, struct.pack(
        "<QIIQIIIIIII", SMMU, COHERENT, 0, 0, 0, *INTERRUPTS, 0, 0),
        first)
    root = _node(ROOT_COMPLEX, 4, 2, struct.pack(
        "<IBHBIIBHB", COHERENT, 0, 0, SNOOPED | CACHED | ALWAYS, 0, 0, 64, 0,
        0), first + len(its))
    body = its + smmu + root
    table = struct.pack("<4sIBB6s8sI4sI", b"IORT", first + len(body), 3, 0,
                        b"BOCHS ", b"BXPC    ", REVISION, b"BXPC", 1) + \
        struct.pack("<III", 3, first, 0) + body
    return table[:9] + bytes([-sum(table) & 0xFF]) + table[10:]
