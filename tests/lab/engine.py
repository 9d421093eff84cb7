# SPDX-License-Identifier: GPL-2.0-or-later
"""A DMA engine, passed through, reaches what is mapped and nothing that was:
judged by the data in guest memory and by the host's log of faults."""

import itertools

from driven import A, B, BLOCKED, BYPASS, BYPASS_DOMAIN, Driven
from pvlab import driver, host
from pvlab.passed import host_faults
from pvlab.tap import check, same
from pvlab.wait import until
from replay import name_of, tour

MIB = 1 << 20
PAGE = 4096
STATES = (BLOCKED, BYPASS, BYPASS_DOMAIN, A, B)
IOVA = 2 * MIB
# Where IOVA leads to in a state; the engine takes addresses of 28 bits
PLACES = {BLOCKED: None, BYPASS: IOVA, BYPASS_DOMAIN: IOVA,
          A: 4 * MIB, B: 5 * MIB}
# Registers, and where the engine's own buffer is
SOURCE, TARGET, COUNT, COMMAND, BUFFER = 0x80, 0x88, 0x90, 0x98, 0x40000
START, TO_MEMORY = 1, 2


class Engine:
    """The engine's registers, by way of its BAR."""

    def __init__(self, guest: Driven, function, address):
        """FUNCTION: as the guest drives it.  ADDRESS: the host's name of
        it."""
        self.guest = guest
        self.address = address
        self._function = function

    def _transfer(self, source, target, size, command):
        base = self._function.bars[0]
        qtest = self.guest.qtest
        for offset, value in ((SOURCE, source), (TARGET, target),
                              (COUNT, size), (COMMAND, command)):
            qtest.poke(base + offset, value, 64)
        until(lambda: not qtest.peek(base + COMMAND, 64) & START,
              "the engine ends its transfer")

    def fetch(self, iova, size=PAGE):
        """Read memory to the engine's buffer."""
        self._transfer(iova, BUFFER, size, START)

    def store(self, iova, size=PAGE):
        """Write the engine's buffer to memory."""
        self._transfer(BUFFER, iova, size, START | TO_MEMORY)

    def faults(self, iova) -> int:
        """How many of its accesses to this page the host has logged."""
        return len(host_faults(self.address, iova))


class Reach:
    """The cases of one machine."""

    _marks = itertools.count(1)

    def __init__(self, guest: Driven, engine=None):
        """ENGINE: the one to look at, by default the first."""
        self.guest = guest
        self.engine = engine or Engine(guest, guest.engine_pci, host.EDU)

    def page(self, address) -> bytes:
        """A page of guest memory."""
        return self.guest.qtest.read(address, PAGE)

    def mark(self, address) -> bytes:
        """Fill a page with what is nowhere else: what that is."""
        data = f"mark {next(self._marks):06} ".encode().ljust(16, b".") * 256
        self.guest.qtest.write(address, data)
        return data

    def set_up(self):
        """Two domains that lead the same address to different pages."""
        guest = self.guest
        guest.start()
        guest.attach(guest.keeper, A)
        guest.attach(guest.disk, B)
        for domain in (A, B):
            guest.map(domain, IOVA, PAGE, PLACES[domain])

    def reaches(self, iova, address):
        """Reads and writes get to ADDRESS, and the host logs no fault."""
        before = self.engine.faults(iova)
        wanted = self.mark(address)
        self.engine.fetch(iova)
        self.mark(address)
        self.engine.store(iova)
        check(self.page(address) == wanted,
              f"{iova:#x} does not lead to {address:#x}")
        same(self.engine.faults(iova), before, "faults in the host's log")

    def misses(self, iova, addresses, read=True):
        """Neither reads nor writes get anywhere; the host logs a fault: what
        was there to be read."""
        before = self.engine.faults(iova)
        marks = [self.mark(address) for address in addresses]
        if read:
            self.engine.fetch(iova)

        def store():
            self.engine.store(iova)
            for address, wanted in zip(addresses, marks):
                check(self.page(address) == wanted,
                      f"{iova:#x} still leads to {address:#x}")

        # The host's log takes few faults at a time
        until(lambda: self.engine.faults(iova) > before,
              f"a fault at {iova:#x} in the host's log", prompt=store)
        return marks

    def knows_not(self, marks):
        """What the engine has fetched is none of these."""
        guest = self.guest
        guest.go(A)
        self.engine.store(IOVA)
        check(self.page(PLACES[A]) not in marks,
              "the engine has read memory that it must not reach")

    def switch(self, before, after):
        """A switch: the old place is out of reach, the new one is not."""
        guest = self.guest
        if guest.state != before:
            guest.go(before)
        old, new = PLACES[before], PLACES[after]
        others = sorted({place for place in PLACES.values()
                         if place not in (new, None)})
        if old is not None:
            self.reaches(IOVA, old)
        guest.go(after)
        if new is None:
            marks = self.misses(IOVA, others)
            self.knows_not(marks)
            guest.go(after)
        else:
            marks = [self.mark(place) for place in others]
            self.reaches(IOVA, new)
            for place, mark in zip(others, marks):
                check(self.page(place) == mark,
                      f"{place:#x} was written in state {after}")

    def unmapped(self):
        """MAP opens, UNMAP closes."""
        guest, iova, address = self.guest, 7 * MIB, 8 * MIB
        guest.go(A)
        self.misses(iova, [address])
        guest.map(A, iova, 2 * PAGE, address)
        self.reaches(iova, address)
        self.reaches(iova + PAGE, address + PAGE)
        guest.unmap(A, iova, 2 * PAGE)
        self.knows_not(self.misses(iova, [address]))
        self.knows_not(self.misses(iova + PAGE, [address + PAGE]))

    def neighbours(self):
        """The last byte is reached, the byte after it is not."""
        guest, iova, address = self.guest, 9 * MIB, 10 * MIB
        guest.go(A)
        guest.map(A, iova, PAGE, address)
        wanted = self.mark(address)
        before = self.engine.faults(iova)
        self.engine.fetch(iova + PAGE - 16, 16)
        self.engine.store(iova, 16)
        same(self.page(address)[:16], wanted[-16:], "bytes that were moved")
        same(self.engine.faults(iova), before, "faults in the host's log")
        self.misses(iova + PAGE, [address + PAGE])
        self.misses(iova - PAGE, [address - PAGE])

    def read_only(self):
        """What may only be read can be read, and not written.  (The write
        comes first: the emulated VT-d logs no fault for a page that it has
        in its IOTLB.)"""
        guest, iova, address = self.guest, 11 * MIB, 12 * MIB
        guest.go(A)
        guest.map(A, iova, PAGE, address, driver.READ)
        wanted = self.misses(iova, [address], read=False)[0]
        self.engine.fetch(iova)
        self.mark(PLACES[A])
        self.engine.store(IOVA)
        check(self.page(PLACES[A]) == wanted, "it cannot be read")

    def reset(self, how):
        """A reset closes what was open, and opens what bypass opens."""
        guest = self.guest
        for bypass in (False, True):
            guest.go(A)
            self.reaches(IOVA, PLACES[A])
            guest.set_bypass(bypass)
            guest.reset(how)
            if how == "system":
                guest.engine_pci.place(0, 0xE0100000)
                guest.engine_pci.enable()
            places = [PLACES[A], PLACES[B]]
            if guest.bypass:
                marks = [self.mark(place) for place in places]
                self.reaches(IOVA, IOVA)
                same([self.page(place) for place in places], marks,
                     "what the engine must not reach")
            else:
                self.misses(IOVA, places + [IOVA])
            self.set_up()


CASES = [
    *((f"{name_of(before)}-to-{name_of(after)}", Reach.switch, before, after)
      for before, after in tour(STATES)),
    ("unmapped", Reach.unmapped),
    ("neighbours", Reach.neighbours),
    ("read-only", Reach.read_only),
    ("device-reset", Reach.reset, "device"),
    ("system-reset", Reach.reset, "system")]


def cases(lab, backend):
    """All cases over one kind of container."""
    names = [f"{backend}/dma/{row[0]}" for row in CASES]
    if not lab.wanted(*names):
        return
    with Driven(f"{backend}-dma", lab.iommu, backend) as guest:
        reach = Reach(guest)
        reach.set_up()
        guest.go(BLOCKED)
        for name, (_, function, *words) in zip(names, CASES):
            lab.results.case(name, function, reach, *words)
