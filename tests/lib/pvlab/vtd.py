# SPDX-License-Identifier: GPL-2.0-or-later
"""The tables of Intel's IOMMU, as the kernel shows them
(CONFIG_INTEL_IOMMU_DEBUGFS)."""

import subprocess
from pathlib import Path

PAGE_BITS = 12
READ, WRITE = 1, 2
DEBUGFS = Path("/sys/kernel/debug")
FRAME = (1 << 52) - 1 >> PAGE_BITS << PAGE_BITS


def prepare() -> bool:
    """Make them readable: whether they are."""
    if not (DEBUGFS / "iommu").exists():
        subprocess.run(["mount", "-t", "debugfs", "debugfs", DEBUGFS],
                       check=False)
    return (DEBUGFS / "iommu/intel").exists()


def _dump(address) -> list:
    path = DEBUGFS / f"iommu/intel/{address}/domain_translation_struct"
    return path.read_text().splitlines()


def none(address) -> bool:
    """Whether there is no table for the PCI device, or one without an entry:
    where an IOMMU cannot pass accesses through (that of QEMU 11.0.0 does not
    say that it can: vtd_cap_init() in hw/i386/intel_iommu.c), Linux has one
    for a device that nobody uses."""
    return not any(_dump(address)[2:])


def entries(address):
    """The table for the PCI device: the first page of each entry, how many
    pages it is for, where it leads, and its permissions."""
    lines = _dump(address)
    if not lines or address not in lines[0]:
        raise ValueError(f"{address} has no table: {lines[:1]}")
    for line in lines[2:]:
        iova, _, path = line.partition("|")
        path_down = [int(word, 16) for word in path.split()]
        leaf = path_down[-1]
        rights = READ | WRITE
        for entry in path_down:
            # levels that this table does not have are shown as 0
            rights &= entry or rights
        # PML5E, PML4E, PDPE, PDE, PTE: a shorter line is a larger page
        count = 1 << 9 * (5 - len(path_down))
        yield int(iova, 16), count, (leaf & FRAME) >> PAGE_BITS, rights
