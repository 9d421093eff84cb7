# SPDX-License-Identifier: GPL-2.0-or-later
"""Three passed-through devices in three states at once: in a bypass domain,
translated, and blocked, each in turn.  What one may reach opens nothing to
the others."""

import itertools

from driven import A, ALL, BLOCKED, BYPASS_DOMAIN, Driven, Endpoint
from engine import IOVA, PLACES, Engine, Reach
from pvlab import driver, host, qtest, vfio
from pvlab.tap import same
from replay import PAGE, name_of

STATES = (BYPASS_DOMAIN, A, BLOCKED)
SLOT, BAR = 8, 0xE0200000


class ThreeStates:
    """The cases of one machine: the disk and two engines."""

    def __init__(self, guest: Driven):
        self.guest = guest
        guest.start()
        guest.set_bypass(False)
        guest.attach(guest.keeper, A)
        guest.map(A, IOVA, PAGE, PLACES[A])
        second = guest.functions[host.SECOND_EDU] = qtest.Function(
            guest.qtest, SLOT)
        second.place(0, BAR)
        second.enable()
        guest.memory.look()
        self.reaches = {
            name: Reach(guest, Engine(guest, guest.functions[address],
                                      address))
            for name, address in (("engine", host.EDU),
                                  ("second", host.SECOND_EDU))}

    def take(self, endpoint, state):
        """Take one device to a state."""
        guest = self.guest
        if state == BYPASS_DOMAIN:
            guest.attach(endpoint, ALL, driver.BYPASS_DOMAIN)
        elif state == A:
            guest.attach(endpoint, A)
        elif endpoint.domain is not None:
            guest.detach(endpoint)

    def round(self, *states):
        """Each device in a state of its own."""
        guest = self.guest
        for (name, endpoint), state in zip(guest.passed.items(), states):
            self.take(endpoint, state)
            same(guest.device.endpoint(name)["state"],
                 {BYPASS_DOMAIN: "bypass", A: "translated"}.get(state, state),
                 f"state of the {name}")
        guest.compare()
        for (name, endpoint), state in zip(guest.passed.items(), states):
            same(bool(guest.wanted(endpoint)), state != BLOCKED,
                 "whether the model has pages")
            if name in self.reaches:
                self.look(self.reaches[name], endpoint, state)

    def look(self, reach, endpoint, state):
        """An engine reaches what its state gives it, and only that."""
        places = {IOVA, PLACES[A]}
        if state == BLOCKED:
            marks = reach.misses(IOVA, sorted(places))
            # what it has read, if anything, is written out here
            self.take(endpoint, A)
            reach.engine.store(IOVA)
            same(reach.page(PLACES[A]) in marks, False,
                 "whether it has read what it must not reach")
            self.take(endpoint, BLOCKED)
            return
        other, = places - {PLACES[state]}
        mark = reach.mark(other)
        reach.reaches(IOVA, PLACES[state])
        same(reach.page(other), mark, "what it must not reach")


CASES = [("three-states/" + "-".join(map(name_of, states)), states)
         for states in itertools.permutations(STATES)]


def cases(lab, backend):
    """All cases over one kind of container."""
    names = [f"{backend}/{row[0]}" for row in CASES]
    if not lab.wanted(*names):
        return
    vfio.bind(host.SECOND_EDU)
    with Driven(f"{backend}-three-states", lab.iommu, backend, also={
            "second": Endpoint(SLOT << 3, host.SECOND_EDU, addr=SLOT)
            }) as guest:
        three = ThreeStates(guest)
        for name, (_, states) in zip(names, CASES):
            lab.results.case(name, three.round, *states)
