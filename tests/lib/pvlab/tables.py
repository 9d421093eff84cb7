# SPDX-License-Identifier: GPL-2.0-or-later
"""What the host's IOMMU holds for a device, and what it should hold: both as
a dictionary from the number of an IOVA page to (host page, permissions).

The first is read from the kernel or from its memory (vtd.py, smmu.py), the
second worked out without the device under test: from QEMU's view of guest
memory, from the kernel's map of QEMU's pages, and from a model kept by the
test."""

import array
import os
import re

from . import smmu, vtd

PAGE_BITS = 12
PAGE = 1 << PAGE_BITS
READ, WRITE = 1, 2
PRESENT, PAGEMAP_FRAME = 1 << 63, (1 << 55) - 1
READER = smmu if os.uname().machine == "aarch64" else vtd
# Where an Arm host puts the page to which devices write interrupts
# (MSI_IOVA_BASE in drivers/iommu/arm/arm-smmu-v3/arm-smmu-v3.h)
DOORBELLS = range(0x8000, 0x8100) if READER is smmu else range(0)


def prepare() -> bool:
    """Make the host's tables readable: whether they are."""
    return READER.prepare()


def none_of_host(address) -> bool:
    """Whether the host lets its PCI device reach nothing by a table."""
    return READER.none(address)


def of_host(address) -> dict:
    """The host's table for its PCI device, page by page."""
    return {first + i: (frame + i, rights)
            for first, count, frame, rights in READER.entries(address)
            for i in range(count)}


def sizes_of_host(address) -> dict:
    """How many pages each of its entries is for, by the first page."""
    return {first: count for first, count, _, _ in READER.entries(address)}


class GuestMemory:
    """Guest-physical pages and the host pages behind them."""

    SECTION = re.compile(r"  ([0-9a-f]{16})-([0-9a-f]{16}) "
                         r"\(prio -?\d+, (ram|rom|ramd)\): (\S+)")

    def __init__(self, machine, bar_frame):
        """BAR_FRAME: a function from (device, BAR, guest address) to the
        host's page behind it, or None if the host cannot map BARs."""
        self._machine = machine
        self._bar_frame = bar_frame
        self._sections = []     # (first, count, rights, where QEMU has it)
        self._frames = []       # of each section, as the kernel's pagemap
        self.bar_frames = set()
        self.vmem = None        # the driver of virtio-mem, if there is one

    def _ask(self, command) -> str:
        return self._machine.qmp("human-monitor-command",
                                 **{"command-line": command})

    def look(self):
        """Look at the memory map, which has changed."""
        self._sections = []
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
                frames = self._bar(first, count, name, view)
                if frames:
                    self._sections.append((first, count, READ | WRITE, None,
                                           frames))
            elif self.vmem and first == self.vmem.address >> PAGE_BITS:
                size = self.vmem.block_size >> PAGE_BITS
                for block in self.vmem.plugged:
                    self._ram(first + block * size, size, READ | WRITE)
            else:
                self._ram(first, count,
                          READ if kind == "rom" else READ | WRITE)
        self.refresh()

    def _ram(self, first, count, rights):
        answer = self._ask(f"gpa2hva {first << PAGE_BITS:#x}")
        self._sections.append((first, count, rights,
                               int(answer.rsplit(" ", 1)[1], 16), []))

    def _bar(self, first, count, name, view) -> list:
        bar = int(re.search(re.escape(name) + r" BAR (\d)", view).group(1))
        frame = self._bar_frame(name, bar, first << PAGE_BITS)
        if frame is None:
            return []
        self.bar_frames.update(range(frame, frame + count))
        return [PRESENT | page for page in range(frame, frame + count)]

    def refresh(self):
        """See where the pages are now."""
        self._frames = []
        fd = os.open(f"/proc/{self._machine.pid}/pagemap", os.O_RDONLY)
        try:
            for _, count, _, where, frames in self._sections:
                if where is not None:
                    frames = array.array("Q")
                    frames.frombytes(os.pread(fd, 8 * count,
                                              where >> PAGE_BITS << 3))
                self._frames.append(frames)
        finally:
            os.close(fd)

    def pages(self, first, last, shift=0, allowed=READ | WRITE) -> dict:
        """What a host holds that maps these guest pages, each at its own
        number less SHIFT, with no more rights than ALLOWED.  All can be read
        on the host: QEMU's VFIO code asks for that, the kernel's driver sets
        the bit of reading in every entry of Intel's IOMMU (__domain_mapping()
        in drivers/iommu/intel/iommu.c), and stage 1 of Arm's has no word for
        anything else (drivers/iommu/io-pgtable-arm.c).  Where the guest
        may do nothing of what was asked for, nothing is mapped."""
        found = {}
        for (start, count, rights, _, _), frames in zip(self._sections,
                                                        self._frames):
            if not rights & allowed:
                continue        # to write ROM, or without any permission
            rights = READ | rights & allowed
            for page in range(max(first, start),
                              min(last + 1, start + count)):
                entry = frames[page - start]
                found[page - shift] = (
                    entry & PAGEMAP_FRAME if entry & PRESENT else None,
                    rights)
        return found

    def runs(self):
        """What QEMU maps at once of all memory: first and last byte."""
        for first, count, _, _, _ in self._sections:
            yield first << PAGE_BITS, ((first + count) << PAGE_BITS) - 1

    def everything(self) -> dict:
        """What a host holds of a device that is in bypass."""
        return self.pages(0, 1 << 52)


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
        """What a host must hold of it."""
        pages = {}
        for first, (last, phys, flags) in self.mappings.items():
            start, end = phys >> PAGE_BITS, phys + last - first >> PAGE_BITS
            pages.update(memory.pages(start, end,
                                      start - (first >> PAGE_BITS), flags))
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
