# SPDX-License-Identifier: GPL-2.0-or-later
"""What the host's IOMMU holds for a device, and what it should hold: both as
a dictionary from the number of an IOVA page to (host page, permissions).

The first is read from the kernel (CONFIG_INTEL_IOMMU_DEBUGFS), the second
worked out without the device under test: from QEMU's view of guest memory,
from the kernel's map of QEMU's pages, and from a model kept by the test."""

import array
import os
import re
import subprocess
from pathlib import Path

PAGE_BITS = 12
PAGE = 1 << PAGE_BITS
READ, WRITE = 1, 2
DEBUGFS = Path("/sys/kernel/debug")
FRAME = (1 << 52) - 1 >> PAGE_BITS << PAGE_BITS
PRESENT, PAGEMAP_FRAME = 1 << 63, (1 << 55) - 1


def mount_debugfs():
    """Make the kernel's tables readable."""
    if not (DEBUGFS / "iommu").exists():
        subprocess.run(["mount", "-t", "debugfs", "debugfs", DEBUGFS],
                       check=True)


def of_host(address) -> dict:
    """The host's table for its PCI device, read from the kernel."""
    path = DEBUGFS / f"iommu/intel/{address}/domain_translation_struct"
    lines = path.read_text().splitlines()
    if not lines or address not in lines[0]:
        raise ValueError(f"{address} has no table: {lines[:1]}")
    pages = {}
    for line in lines[2:]:
        iova, _, entries = line.partition("|")
        path_down = [int(word, 16) for word in entries.split()]
        leaf = path_down[-1]
        rights = READ | WRITE
        for entry in path_down:
            # levels that this table does not have are shown as 0
            rights &= entry or rights
        # PML5E, PML4E, PDPE, PDE, PTE: a shorter line is a larger page
        count = 1 << 9 * (5 - len(path_down))
        first, frame = int(iova, 16), (leaf & FRAME) >> PAGE_BITS
        for i in range(count):
            pages[first + i] = (frame + i, rights)
    return pages


class GuestMemory:
    """Guest-physical pages and the host pages behind them."""

    SECTION = re.compile(r"  ([0-9a-f]{16})-([0-9a-f]{16}) "
                         r"\(prio -?\d+, (ram|rom|ramd)\): (\S+)")

    def __init__(self, machine, bars):
        """BARS: a function from (device, BAR, address) to the page of the
        host's BAR behind a guest address, or None if hosts cannot map it."""
        self._machine = machine
        self._bars = bars
        self.pages = {}
        self.bar_frames = set()

    def _ask(self, command) -> str:
        return self._machine.qmp("human-monitor-command",
                                 **{"command-line": command})

    def refresh(self):
        """Look at the memory map anew, and where the pages are now."""
        self.pages = {}
        self.bar_frames = set()
        for view in self._ask("info mtree -f").split("FlatView #"):
            if ' AS "memory", root: system' in view:
                break
        for first, last, kind, name in self.SECTION.findall(view):
            first = -(-int(first, 16) // PAGE)
            count = (int(last, 16) + 1) // PAGE - first
            if count <= 0:
                continue
            if kind == "ramd":
                self._add_bar(first, count, name, view)
            else:
                self._add_ram(first, count, WRITE if kind == "ram" else 0)

    def _add_bar(self, first, count, name, view):
        bar = int(re.search(re.escape(name) + r" BAR (\d)", view).group(1))
        for page in range(first, first + count):
            frame = self._bars(name, bar, page << PAGE_BITS)
            if frame is not None:
                self.pages[page] = (frame, READ | WRITE)
                self.bar_frames.add(frame)

    def _add_ram(self, first, count, writable):
        answer = self._ask(f"gpa2hva {first << PAGE_BITS:#x}")
        where = int(answer.rsplit(" ", 1)[1], 16)
        entries = array.array("Q")
        fd = os.open(f"/proc/{self._machine.pid}/pagemap", os.O_RDONLY)
        try:
            entries.frombytes(os.pread(fd, 8 * count,
                                       where >> PAGE_BITS << 3))
        finally:
            os.close(fd)
        for i, entry in enumerate(entries):
            frame = entry & PAGEMAP_FRAME if entry & PRESENT else None
            self.pages[first + i] = (frame, READ | writable)


class Domain:
    """A guest domain as the test knows it."""

    def __init__(self):
        self.mappings = {}      # first -> (last, guest address, flags)

    def map(self, first, last, phys, flags):
        """As the request of that name, which must have been granted."""
        self.mappings[first] = (last, phys, flags)

    def unmap(self, first, last):
        """Likewise."""
        for start in [start for start, (end, _, _) in self.mappings.items()
                      if start >= first and end <= last]:
            del self.mappings[start]

    def overlaps(self, first, last) -> bool:
        """Whether a mapping holds an address in this range."""
        return any(start <= last and end >= first
                   for start, (end, _, _) in self.mappings.items())

    def splits(self, first, last) -> bool:
        """Whether a mapping is only partly in this range."""
        return any(start <= last and end >= first and
                   not (start >= first and end <= last)
                   for start, (end, _, _) in self.mappings.items())

    def pages(self, memory: GuestMemory) -> dict:
        """What a host must hold of it.  VFIO maps nothing that cannot be
        read, so a mapping that only allows writes can be read too."""
        pages = {}
        for first, (last, phys, flags) in self.mappings.items():
            shift = (phys >> PAGE_BITS) - (first >> PAGE_BITS)
            for page in range(first >> PAGE_BITS, (last >> PAGE_BITS) + 1):
                behind = memory.pages.get(page + shift)
                if behind:
                    frame, rights = behind
                    pages[page] = (frame, READ | rights & flags & WRITE)
        return pages


def difference(got, wanted) -> str:
    """In words, or "" if both tables are the same."""
    missing = sorted(set(wanted) - set(got))
    extra = sorted(set(got) - set(wanted))
    other = sorted(page for page in set(got) & set(wanted)
                   if got[page] != wanted[page])
    words = []
    for what, pages in (("missing", missing), ("too many", extra),
                        ("different", other)):
        if pages:
            page = pages[0]
            words.append(f"{len(pages)} pages {what}, the first at "
                         f"{page << PAGE_BITS:#x}: host {got.get(page)}, "
                         f"model {wanted.get(page)}")
    return "; ".join(words)
