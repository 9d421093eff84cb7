# SPDX-License-Identifier: GPL-2.0-or-later
"""Interrupts of a passed-through device in each state, on a machine without
KVM: QEMU takes them from VFIO and stores them to the device's address space,
of which the interrupt controller is a part in every state."""

from pathlib import Path

from driven import A, BLOCKED, BYPASS, BYPASS_DOMAIN, Driven
from pvlab.wait import until
from replay import name_of

STATES = (BLOCKED, BYPASS, BYPASS_DOMAIN, A)
# The capability, and its fields in a device of 64-bit addresses
MSI, CONTROL, ADDRESS, ADDRESS_HIGH, DATA = 5, 2, 4, 8, 12
LAPIC, VECTOR = 0xFEE00000, 0x41
# The engine's registers
RAISE, ACKNOWLEDGE = 0x60, 0x64
# What QEMU tells of an interrupt: that it took it, and that it arrived
TAKEN, ARRIVED = "vfio_msi_interrupt", "apic_deliver_irq"


class Interrupts:
    """The cases of one machine."""

    def __init__(self, guest: Driven, trace):
        """TRACE: where QEMU tells of interrupts."""
        self.guest = guest
        self.trace = trace
        guest.start()
        guest.attach(guest.keeper, A)
        pci = guest.engine_pci
        base, = pci.capabilities(MSI)
        pci.set(base + ADDRESS, LAPIC)
        pci.set(base + ADDRESS_HIGH, 0)
        pci.set(base + DATA, VECTOR, 16)
        pci.set(base + CONTROL, 1, 16)

    def count(self) -> tuple[int, int]:
        """Interrupts of the engine: taken, and arrived."""
        lines = self.trace.read_text().splitlines()
        return (sum(TAKEN in line for line in lines),
                sum(ARRIVED in line and f"vector {VECTOR} " in line
                    for line in lines))

    def arrives(self, state):
        """Three interrupts arrive, one by one."""
        self.guest.go(state)
        base = self.guest.engine_pci.bars[0]
        taken, arrived = self.count()
        for i in range(1, 4):
            self.guest.qtest.poke(base + RAISE, 1)
            wanted = (taken + i, arrived + i)
            until(lambda: self.count() == wanted,
                  f"{wanted} interrupts in all were taken and arrived")
            self.guest.qtest.poke(base + ACKNOWLEDGE, 1)


CASES = [(f"msi/{name_of(state)}", state) for state in STATES]


def cases(lab, backend):
    """All cases over one kind of container."""
    names = [f"{backend}/{row[0]}" for row in CASES]
    if not lab.wanted(*names):
        return
    trace = Path(f"/run/{backend}-interrupts.trace")
    with Driven(f"{backend}-interrupts", lab.iommu, backend, more=(
            "-trace", TAKEN, "-trace", ARRIVED, "-D", trace)) as guest:
        interrupts = Interrupts(guest, trace)
        for name, (_, state) in zip(names, CASES):
            lab.results.case(name, interrupts.arrives, state)
