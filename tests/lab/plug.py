# SPDX-License-Identifier: GPL-2.0-or-later
"""A passed-through device is unplugged and plugged in each state: the host
lets go of all that it held for it, and of nothing else."""

from driven import A, B, BLOCKED, BYPASS, BYPASS_DOMAIN, Driven
from pvlab import driver
from pvlab.tap import same
from replay import MIB, OWN, PAGE, fill, name_of
from lifecycle import settle, vmstat

# The disk is in B, too
STATES = (BLOCKED, BYPASS, BYPASS_DOMAIN, B, OWN)
PLACE = 64 * MIB


class Plug:
    """The cases of one machine."""

    def __init__(self, guest: Driven):
        self.guest = guest
        guest.start()
        guest.go(BLOCKED)
        fill(guest)

    def round(self, state):
        """Out of a state and back, then to where others are and to its own
        domain, which has not lived on."""
        guest, iommu = self.guest, self.guest.iommu
        guest.go(state)
        if state == OWN:
            guest.map(OWN, MIB, 8 * MIB, 4 * MIB)
        guest.compare()
        same(bool(guest.wanted(guest.engine)), state != BLOCKED,
             "whether the model has pages")
        guest.unplug()
        guest.compare()
        same(iommu.attach(A, guest.engine.id), driver.NOENT,
             "ATTACH of what is not there: status")
        same(iommu.map(OWN, MIB, 2 * MIB - 1, 4 * MIB, driver.READ),
             driver.NOENT, "MAP in the domain that was its own: status")
        guest.plug()
        guest.compare()
        for after in (A, B, OWN, BYPASS_DOMAIN, BLOCKED):
            guest.go(after)
            guest.compare()

    def changes_meanwhile(self):
        """While it is away, its domain changes, and with that the disk's
        table."""
        guest = self.guest
        guest.go(B)
        guest.unplug()
        guest.map(B, PLACE, 4 * MIB, 4 * MIB)
        guest.compare()
        guest.unmap(B, MIB, PAGE)
        guest.compare()
        guest.plug()
        guest.go(B)
        guest.compare()
        guest.unmap(B, PLACE, 4 * MIB)
        guest.compare()

    def reset_meanwhile(self):
        """A reset of the machine while it is away."""
        guest = self.guest
        guest.go(B)
        guest.unplug()
        guest.reset_machine()
        guest.compare()
        guest.plug()
        guest.start()
        guest.compare()

    def leaks_nothing(self):
        """Three times through all states, out and back: while it is away,
        the host has each time what it had the first time."""
        guest, before = self.guest, None
        for _ in range(3):
            for state in STATES:
                guest.go(state)
            guest.unplug()
            before = before or vmstat()
            settle(before)
            guest.plug()
        same(guest.device.refusals(), 0, "host-refusals")
        guest.said_nothing()


CASES = [
    *((f"plug/{'own-domain' if state == OWN else name_of(state)}",
       Plug.round, state) for state in STATES),
    ("plug/changes-meanwhile", Plug.changes_meanwhile),
    ("plug/leaks-nothing", Plug.leaks_nothing),
    ("plug/reset-meanwhile", Plug.reset_meanwhile)]


def cases(lab, backend):
    """All cases over one kind of container."""
    names = [f"{backend}/{row[0]}" for row in CASES]
    if not lab.wanted(*names):
        return
    with Driven(f"{backend}-plug", lab.iommu, backend, port=True) as guest:
        plug = Plug(guest)
        for name, (_, function, *words) in zip(names, CASES):
            lab.results.case(name, function, plug, *words)
