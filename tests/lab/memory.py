# SPDX-License-Identifier: GPL-2.0-or-later
"""Guest memory that changes under mappings: the host's tables follow, for a
device in bypass and for one that is translated."""

from driven import A, BYPASS, Driven
from pvlab import driver, qtest
from pvlab.tap import same

KIB, MIB = 1 << 10, 1 << 20
BAR = 0xE0100000
# What 4 bits of a PAM register say: RAM, read-only, write-only, none
PAM = (0x33, 0x11, 0x22, 0x00)
PAM_FIRST, PAM_LAST = 0x90, 0x96


class Changes:
    """The cases of one machine: the disk in bypass, the engine in A."""

    def __init__(self, guest: Driven):
        self.guest = guest
        guest.start()
        guest.attach(guest.keeper, A)
        guest.go(BYPASS)
        guest.go(A)

    def compare(self):
        """What the host holds, after memory has changed."""
        self.guest.memory.look()
        self.guest.compare()

    def each_made_anew(self, first):
        """A mapping over memory as it is now holds the same."""
        last, phys, flags = self.guest.domains[A].mappings[first]
        self.guest.unmap(A, first, last - first + 1)
        self.compare()
        self.guest.map(A, first, last - first + 1, phys, flags)
        self.compare()

    def pam(self):
        """ROM, read-only RAM and RAM, below 1 MiB."""
        guest = self.guest
        bridge = qtest.Function(guest.qtest, 0)
        guest.map(A, 6 * MIB, MIB, 512 * KIB)
        guest.map(A, 8 * MIB, 256 * KIB, 768 * KIB, driver.READ)
        for register in range(PAM_FIRST, PAM_LAST + 1):
            for value in PAM:
                bridge.set(register, value, 8)
                self.compare()
        self.each_made_anew(6 * MIB)
        guest.unmap(A, 0, 1 << 40)
        self.compare()

    def bar(self):
        """A BAR of the passed-through device itself moves under a mapping,
        leaves and comes back."""
        guest, pci = self.guest, self.guest.engine_pci
        guest.map(A, 64 * MIB, 4 * MIB, BAR)
        self.compare()
        for address in (BAR + MIB, BAR + 3 * MIB, BAR + 8 * MIB, BAR):
            pci.disable()
            self.compare()
            pci.place(0, address)
            pci.enable()
            self.compare()
        self.each_made_anew(64 * MIB)
        guest.unmap(A, 0, 1 << 40)
        self.compare()

    def mmio(self):
        """The flag MMIO over that BAR: mapped where the host can, refused
        where it cannot."""
        guest = self.guest
        flags = driver.READ | driver.WRITE | driver.MMIO
        if guest.backend == "type1":
            guest.map(A, 64 * MIB, MIB, BAR, flags)
            same(len(guest.wanted(guest.engine)), MIB // 4096,
                 "pages of the BAR in the model")
            self.compare()
            guest.unmap(A, 64 * MIB, MIB)
        else:
            same(guest.iommu.map(A, 64 * MIB, 65 * MIB - 1, BAR, flags),
                 driver.DEVERR, "MAP of a BAR: status")
        self.compare()


CASES = (("pam", Changes.pam), ("bar", Changes.bar), ("mmio", Changes.mmio))


def cases(lab, backend):
    """All cases over one kind of container."""
    names = [f"{backend}/memory/{row[0]}" for row in CASES]
    if not lab.wanted(*names):
        return
    with Driven(f"{backend}-memory", lab.iommu, backend) as guest:
        changes = Changes(guest)
        for name, (_, function) in zip(names, CASES):
            lab.results.case(name, function, changes)
