# SPDX-License-Identifier: GPL-2.0-or-later
"""Two functions that share an IOMMU group of the host, the second of which
is plugged while the first is in use: they are in one state, whatever the
guest asks for, and the host's tables of both say so."""

import os
from pathlib import Path

from driven import A, ALL, B, BLOCKED, BYPASS, BYPASS_DOMAIN, PORT_BUS, \
    Driven, Endpoint
from pvlab import driver, host, vfio
from pvlab.tap import check, same
from replay import MIB, OWN, fill, name_of

STATES = (BLOCKED, BYPASS, BYPASS_DOMAIN, A, B, OWN)


class Grouped:
    """The cases of one machine."""

    def __init__(self, guest: Driven, by_fd):
        """BY_FD: pass open files."""
        self.guest = guest
        self.left, self.right = (
            Endpoint(PORT_BUS << 8 | function, address, bus="rp0",
                     addr=f"0.{function}")
            for function, address in zip((2, 3), host.SIBLINGS))
        self.left.mates, self.right.mates = (self.right,), (self.left,)
        for endpoint in (self.left, self.right):
            group = vfio.bind(endpoint.address)
            if by_fd:
                endpoint.node = node_of(endpoint.address)
        same(vfio.bind(self.left.address), group, "their groups")
        guest.start()
        guest.go(BLOCKED)
        fill(guest)
        guest.plug("left", self.left)

    def take(self, state):
        """Take the first to a state, which the second follows."""
        guest = self.guest
        guest.set_bypass(state == BYPASS)
        if state == BYPASS_DOMAIN:
            guest.attach(self.left, ALL, driver.BYPASS_DOMAIN)
        elif state not in (BLOCKED, BYPASS):
            guest.attach(self.left, state)
        elif self.left.domain is not None:
            guest.detach(self.left)
        if state == OWN:
            guest.map(OWN, MIB, 8 * MIB, 4 * MIB)

    def both(self, state):
        """Both are in this state."""
        guest = self.guest
        guest.compare()
        for name, endpoint in (("left", self.left), ("right", self.right)):
            if name in guest.passed:
                same(bool(guest.wanted(endpoint)), state != BLOCKED,
                     f"whether the model has pages of the {name} one")

    def joins(self, state):
        """The second is plugged while the first is in a state, and follows
        it to others; leaves, and the first stays."""
        guest = self.guest
        self.take(state)
        self.both(state)
        guest.plug("right", self.right)
        self.both(state)
        if self.left.domain is not None:
            guest.attach(self.right, self.left.domain,
                         driver.BYPASS_DOMAIN if state == BYPASS_DOMAIN
                         else 0)
            self.both(state)
            guest.detach(self.right)
            self.both(state)
        for after in (BYPASS, B):
            self.take(after)
            self.both(after)
        self.take(state)
        guest.unplug("right")
        self.both(state)

    def elsewhere(self):
        """One of them cannot go where the other is not."""
        guest, iommu = self.guest, self.guest.iommu
        guest.plug("right", self.right)
        self.take(A)
        for domain, flags in ((B, 0), (OWN, 0),
                              (ALL, driver.BYPASS_DOMAIN)):
            same(iommu.attach(domain, self.right.id, flags), driver.UNSUPP,
                 f"ATTACH to {domain}: status")
            self.both(A)
        guest.attach(self.right, A)
        same(iommu.attach(B, self.left.id), driver.UNSUPP, "ATTACH: status")
        self.both(A)
        guest.detach(self.left)     # the other is still in A
        self.both(A)
        guest.detach(self.right)
        self.both(BLOCKED)
        guest.unplug("right")

    def first_leaves(self):
        """The one that was first leaves, and comes back to the other."""
        guest = self.guest
        self.take(A)
        guest.plug("right", self.right)
        guest.attach(self.right, A)
        guest.unplug("left")
        self.both(A)
        guest.attach(self.right, B)
        self.both(B)
        guest.plug("left", self.left)
        self.both(B)
        guest.unplug("right")
        self.both(BLOCKED)

    def reset(self):
        """A reset of the machine takes both back to the start."""
        guest = self.guest
        guest.plug("right", self.right)
        self.take(A)
        guest.reset_machine()
        self.both(BYPASS)
        guest.start()
        for what in ("left", "right"):
            guest.unplug(what)
            guest.compare()
        same(guest.device.refusals(), 0, "host-refusals")
        guest.said_nothing()


def node_of(address) -> str:
    """The file of a device that vfio-pci has."""
    folder = Path(f"/sys/bus/pci/devices/{address}/vfio-dev")
    check(folder.is_dir(), "the host's kernel has no files of devices")
    return f"/dev/vfio/devices/{os.listdir(folder)[0]}"


CASES = [
    *((f"joins-{'own-domain' if state == OWN else name_of(state)}",
       Grouped.joins, state) for state in STATES),
    ("elsewhere-is-unsupp", Grouped.elsewhere),
    ("first-leaves", Grouped.first_leaves),
    ("system-reset", Grouped.reset)]
# How the host group is found, and that it is the same one
BY_FD = [row for row in CASES if row[0] in
         ("joins-A", "elsewhere-is-unsupp", "first-leaves", "system-reset")]


def cases(lab, backend):
    """All cases over one kind of container, and with files over iommufd."""
    for kind, rows in (("siblings", CASES), ("siblings-by-fd", BY_FD)):
        names = [f"{backend}/{kind}/{row[0]}" for row in rows]
        if not lab.wanted(*names) or rows is BY_FD and backend != "iommufd":
            continue
        with Driven(f"{backend}-{kind}", lab.iommu, backend,
                    port=True) as guest:
            grouped = Grouped(guest, rows is BY_FD)
            for name, (_, function, *words) in zip(names, rows):
                lab.results.case(name, function, grouped, *words)
