# SPDX-License-Identifier: GPL-2.0-or-later
"""After each switch, MAP and UNMAP the host's own page tables hold exactly
what the guest asked for, page by page."""

import os
import random

from driven import A, B, BLOCKED, BYPASS, BYPASS_DOMAIN, Driven
from pvlab import driver
from pvlab.tap import check, same

KIB, MIB = 1 << 10, 1 << 20
PAGE = 4 * KIB
RW, RO, WO = 3, driver.READ, driver.WRITE
STATES = (BLOCKED, BYPASS, BYPASS_DOMAIN, A, B)
OWN = 3         # a domain that only the engine is ever in
NAMES = {A: "A", B: "B"}
# IOVA, bytes, guest address in A, flags; in B they are elsewhere
SHAPES = ((1 * MIB, PAGE, 4 * MIB, RW),
          (2 * MIB, 2 * MIB, 6 * MIB, RW),      # can be one large page
          (5 * MIB, 7 * PAGE, 2 * MIB + 3 * PAGE, RW),
          (5 * MIB + 7 * PAGE, PAGE, 9 * MIB, RW),      # its neighbour
          (5 * MIB + 8 * PAGE, PAGE, 9 * MIB + PAGE, RO),
          (5 * MIB + 9 * PAGE, 2 * PAGE, 9 * MIB + 2 * PAGE, WO),
          (0, PAGE, 10 * MIB, RW),                      # the first page
          (6 * MIB, MIB, 0x80000, RW),      # RAM, a hole (VGA), ROM
          (8 * MIB, 8 * PAGE, 0xdc000, WO),             # ROM, not to write
          (1 << 33, 64 * KIB, 11 * MIB, RW))
ELSEWHERE = 10 * MIB
RAM_PAGES = 30 * MIB // PAGE
OPERATIONS = 150


def name_of(state) -> str:
    """A state in the name of a case."""
    return NAMES.get(state, state)


def tour(states):
    """All switches from one state to another, each starting where the one
    before has ended (an Euler circuit)."""
    left = {state: [other for other in states if other != state]
            for state in states}
    stack, circuit = [states[0]], []
    while stack:
        if left[stack[-1]]:
            stack.append(left[stack[-1]].pop())
        else:
            circuit.append(stack.pop())
    circuit.reverse()
    return list(zip(circuit, circuit[1:]))


def fill(guest: Driven):
    """Both domains with their mappings, each kept alive by another device
    than the engine."""
    guest.attach(guest.keeper, A)
    guest.attach(guest.disk, B)
    for first, size, phys, flags in SHAPES:
        guest.map(A, first, size, phys, flags)
        guest.map(B, first, size, phys + ELSEWHERE
                  if phys >= MIB else phys, flags)


class Replay:
    """The cases of one machine."""

    def __init__(self, guest: Driven, results):
        self.guest = guest
        self.results = results
        self.seed = int(os.environ.get("PVIOMMU_SEED",
                                       random.randrange(1 << 32)))

    def boot_bypass(self):
        """At start all of guest memory, or nothing."""
        count = self.guest.compare()
        if self.guest.bypass:
            check(count > RAM_PAGES, f"the host holds {count} pages")
        else:
            same(count, 0, "pages that the host holds")
        self.guest.start()
        self.guest.compare()

    def switch(self, before, after):
        """The engine goes from one state to another."""
        guest = self.guest
        if guest.state != before:
            guest.go(before)
        guest.compare()
        guest.go(after)
        guest.compare()
        same(bool(guest.wanted(guest.engine)), after != BLOCKED,
             "whether the model has pages")

    def each_map(self):
        """Each kind of mapping, made while attached and then removed."""
        guest = self.guest
        guest.go(A)
        top = guest.iommu.config(16, 64)        # the last input address
        guest.unmap(A, 0, 1 << 40)
        guest.compare()
        for first, size, phys, flags in (
                *SHAPES, (top - PAGE + 1, PAGE, 12 * MIB, RW)):
            guest.map(A, first, size, phys, flags)
            guest.compare()
        for first, size, _, _ in SHAPES:
            guest.unmap(A, first, size)
            guest.compare()
        guest.unmap(A, top - PAGE + 1, PAGE)
        same(guest.wanted(guest.engine), {}, "the model, at the end")
        guest.compare()

    def refused(self):
        """What is refused changes nothing: overlaps, a split, and an address
        beyond the input range."""
        guest, iommu = self.guest, self.guest.iommu
        guest.go(A)
        guest.unmap(A, 0, 1 << 40)
        guest.map(A, MIB, 16 * PAGE, 4 * MIB)
        for request, wanted in (
                (lambda: iommu.map(A, MIB + 15 * PAGE, MIB + 17 * PAGE - 1,
                                   8 * MIB, RW), driver.INVAL),
                (lambda: iommu.unmap(A, MIB, MIB + PAGE - 1), driver.RANGE),
                (lambda: iommu.unmap(A, 0, MIB + PAGE - 1), driver.RANGE),
                (lambda: iommu.map(A, MIB + 1, 2 * MIB, 0, RW),
                 driver.RANGE)):
            same(request(), wanted, "status")
            guest.compare()
        guest.unmap(A, MIB, 16 * PAGE)
        guest.compare()

    def random_operations(self):
        """MAP, UNMAP and switches, as chance has it."""
        guest, chance = self.guest, random.Random(self.seed)
        self.results.note(f"PVIOMMU_SEED={self.seed}")
        for step in range(OPERATIONS):
            domain = chance.choice((A, B))
            first = chance.randrange(64) * PAGE
            size = chance.randrange(1, 16) * PAGE
            kind = chance.random()
            model = guest.domains[domain]
            if kind < 0.5:
                phys = chance.randrange(RAM_PAGES) * PAGE
                flags = chance.choice((RW, RO, WO))
                if model.overlaps(first, first + size - 1):
                    continue
                guest.map(domain, first, size, phys, flags)
            elif kind < 0.85:
                if model.splits(first, first + size - 1):
                    continue
                guest.unmap(domain, first, size)
            else:
                guest.go(chance.choice(STATES))
            try:
                guest.compare()
            except AssertionError as error:
                raise AssertionError(f"PVIOMMU_SEED={self.seed} step {step}: "
                                     f"{error}") from error

    def thousand(self):
        """A domain of a thousand scattered pages, joined and left."""
        guest = self.guest
        guest.go(BLOCKED)
        guest.unmap(A, 0, 1 << 40)
        for i in range(1000):
            guest.map(A, 64 * MIB + i * 2 * PAGE, PAGE,
                      2 * MIB + (i * 331 % 5000) * PAGE)
        guest.compare()
        guest.go(A)
        guest.compare()
        guest.go(B)
        guest.compare()
        guest.go(A)
        guest.unmap(A, 64 * MIB, 64 * MIB)
        guest.compare()

    def last_leaves(self):
        """The last detach ends a domain: attached again, it is empty."""
        guest = self.guest
        guest.go(OWN)
        guest.map(OWN, MIB, 8 * PAGE, 4 * MIB)
        guest.compare()
        guest.go(BLOCKED)
        guest.compare()
        guest.go(OWN)
        guest.compare()
        same(guest.wanted(guest.engine), {}, "the model")

    def device_reset(self):
        """A reset of the device ends all domains; "bypass" stays."""
        guest = self.guest
        for bypass in (False, True):
            guest.set_bypass(bypass)
            guest.go(OWN)
            guest.map(OWN, MIB, 8 * PAGE, 4 * MIB)
            guest.compare()
            guest.reset("device")
            guest.compare()
            guest.start()
            guest.compare()

    def system_reset(self):
        """A reset of the machine leads back to the start."""
        guest = self.guest
        for state in (OWN, BYPASS_DOMAIN, BLOCKED, BYPASS):
            guest.go(state)
            if state == OWN:
                guest.map(OWN, MIB, 8 * PAGE, 4 * MIB)
            guest.compare()
            guest.reset_machine()
            guest.compare()
            guest.start()
            guest.compare()

    def nothing_to_say(self):
        """The host refused nothing, and QEMU has said nothing."""
        same(self.guest.device.refusals(), 0, "host-refusals")
        self.guest.said_nothing()


SWITCHES = [(f"{name_of(before)}-to-{name_of(after)}", Replay.switch, before,
             after) for before, after in tour(STATES)]
IN_BYPASS = [
    *SWITCHES,
    ("each-map", Replay.each_map),
    ("refused-changes-nothing", Replay.refused),
    ("random-operations", Replay.random_operations),
    ("thousand-mappings", Replay.thousand),
    ("last-leaves", Replay.last_leaves),
    ("device-reset", Replay.device_reset),
    ("system-reset", Replay.system_reset),
    ("nothing-to-say", Replay.nothing_to_say)]
BLOCKED_AT_START = [
    ("start-blocked-then-A", Replay.switch, BLOCKED, A),
    ("start-blocked-system-reset", Replay.system_reset)]


def run(lab, backend, start, properties, rows):
    """One machine: its start, then the other cases."""
    names = [f"{backend}/{name}" for name in (start, *(
        row[0] for row in rows))]
    if not lab.wanted(*names):
        return
    with Driven(f"{backend}-{start}", lab.iommu, backend,
                properties) as guest:
        replay = Replay(guest, lab.results)
        lab.results.case(names[0], replay.boot_bypass)
        guest.start()
        guest.go(BLOCKED)
        fill(guest)
        for name, (_, function, *words) in zip(names[1:], rows):
            lab.results.case(name, function, replay, *words)


def cases(lab, backend):
    """All cases over one kind of container."""
    run(lab, backend, "start-in-bypass", "", IN_BYPASS)
    run(lab, backend, "start-blocked", "boot-bypass=off", BLOCKED_AT_START)
