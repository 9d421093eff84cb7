# SPDX-License-Identifier: GPL-2.0-or-later
"""Large mappings of the guest make large entries in the host's table, where
QEMU's pages lie so that they can: judged by the kernel's own map of them."""

from pathlib import Path

from driven import A, BYPASS, Driven
from pvlab import tables
from pvlab.tap import Skip, check, same
from replay import MIB, PAGE

LARGE = 2 * MIB
PAGES = LARGE // PAGE
IOVA = 64 * MIB
PHYS = 6 * MIB
HUGE = Path("/sys/kernel/mm/transparent_hugepage")


def want_huge_pages():
    """Have the kernel give huge pages wherever it can."""
    (HUGE / "enabled").write_text("always")
    (HUGE / "defrag").write_text("always")
    Path("/proc/sys/vm/compact_memory").write_text("1")


class Large:
    """The cases of one machine."""

    def __init__(self, guest: Driven):
        self.guest = guest
        guest.start()
        guest.attach(guest.keeper, A)
        guest.go(A)

    def check_huge(self):
        """The pages at PHYS and after lie so that it can be shown."""
        self.guest.qtest.write(PHYS, bytes([1]))
        self.guest.qtest.write(PHYS + LARGE, bytes([1]))
        self.guest.memory.refresh()
        pages = self.guest.memory.pages(PHYS // PAGE,
                                        (PHYS + 2 * LARGE) // PAGE - 1)
        if not all(is_large(pages, first)
                   for first in (PHYS // PAGE, PHYS // PAGE + PAGES)):
            raise Skip("the kernel has given QEMU no huge pages")

    def entries(self, *spans, large=None):
        """The host has, for each of SPANS (first byte, last byte), mapped as
        one, the largest entries that go; LARGE: how many large ones."""
        guest = self.guest
        guest.compare()
        pages = guest.wanted(guest.engine)
        wanted = {}
        for start, end in spans:
            page, last = start // PAGE, end // PAGE
            while page <= last:
                count = PAGES if page + PAGES - 1 <= last and \
                    is_large(pages, page) else 1
                wanted[page] = count
                page += count
        got = tables.sizes_of_host(guest.engine.address)
        for first in sorted({*got, *wanted}):
            same(got.get(first), wanted.get(first),
                 f"pages in the host's entry at {first * PAGE:#x}")
        found = sum(1 for count in wanted.values() if count == PAGES)
        if large is None:
            check(found, "no entry could be large")
        else:
            same(found, large, "large entries")

    def mapped(self, *maps, large):
        """The entries for MAPs, each (IOVA, size, guest address); then none
        after UNMAP."""
        self.check_huge()
        for iova, size, phys in maps:
            self.guest.map(A, iova, size, phys)
        self.entries(*((iova, iova + size - 1) for iova, size, _ in maps),
                     large=large)
        self.guest.unmap(A, 0, 1 << 40)
        self.entries(large=0)

    def after_small(self):
        """Where small ones were before."""
        self.check_huge()
        for i in range(3):
            self.guest.map(A, IOVA + i * 8 * PAGE, PAGE, PHYS)
        self.guest.unmap(A, 0, 1 << 40)
        self.mapped((IOVA, LARGE, PHYS), large=1)

    def bypass(self):
        """All of memory: in runs, as QEMU has it."""
        self.check_huge()
        guest = self.guest
        guest.go(BYPASS)
        self.entries(*guest.memory.runs())
        guest.go(A)
        self.entries(large=0)


def is_large(pages, first) -> bool:
    """Whether the pages from FIRST on can be one entry."""
    frame, rights = pages.get(first, (None, 0))
    return (first % PAGES == 0 and frame is not None and
            frame % PAGES == 0 and all(
                pages.get(first + i) == (frame + i, rights)
                for i in range(PAGES)))


CASES = (
    ("one", Large.mapped, {"large": 1}, (IOVA, LARGE, PHYS)),
    ("two", Large.mapped, {"large": 2}, (IOVA, 2 * LARGE, PHYS)),
    ("with-edges", Large.mapped, {"large": 1},
     (IOVA - 3 * PAGE, LARGE + 8 * PAGE, PHYS - 3 * PAGE)),
    ("too-small", Large.mapped, {"large": 0}, (IOVA, LARGE - PAGE, PHYS)),
    ("elsewhere-in-its-page", Large.mapped, {"large": 0},
     (IOVA + PAGE, 2 * LARGE - PAGE, PHYS)),
    ("two-halves", Large.mapped, {"large": 0}, (IOVA, LARGE // 2, PHYS),
     (IOVA + LARGE // 2, LARGE // 2, PHYS + LARGE // 2)),
    ("after-small", Large.after_small, {}),
    ("bypass", Large.bypass, {}))


def cases(lab, backend):
    """All cases over one kind of container."""
    names = [f"{backend}/large/{row[0]}" for row in CASES]
    if not lab.wanted(*names):
        return
    want_huge_pages()
    with Driven(f"{backend}-large", lab.iommu, backend) as guest:
        large = Large(guest)
        for name, (_, function, how, *maps) in zip(names, CASES):
            lab.results.case(name, lambda: function(large, *maps, **how))
