# SPDX-License-Identifier: GPL-2.0-or-later
"""Interrupts that do not go from the kernel to the kernel: with x-no-kvm-msix
QEMU takes each from VFIO and stores it to the disk's address space, in
whatever state that is."""

from pathlib import Path

from cases import LAZY
from pvlab.passed import DISK
from pvlab.tap import check, same

EVENT = "vfio_msi_interrupt"


class Stores:
    """The cases of one guest."""

    def __init__(self, lab, running, trace):
        """TRACE: where QEMU tells of each interrupt that it takes."""
        self.cases = lab.boot(running)
        self.guest = running
        self.trace = trace

    def arrive(self, state):
        """The disk works in a state, by interrupts that QEMU took."""
        same(self.guest.device.endpoint("disk")["state"], state,
             "the disk's state")
        before = self.taken()
        self.cases.read()
        self.cases.write()
        check(self.taken() > before, "QEMU has taken no interrupt")

    def taken(self) -> int:
        """How many interrupts QEMU has taken itself."""
        return self.trace.read_text().count(EVENT)

    def switched(self, wanted, state):
        """The same after a switch."""
        status, out = self.cases.linux.set_type(DISK, "nvme", wanted)
        same(status, 0, f"writing {wanted}: {out}; status")
        self.arrive(state)


def cases(lab, backend):
    """All cases over one kind of container."""
    names = [f"{backend}/msi-by-stores/{name}" for name in (
        "translated", "identity", "translated-again", "poweroff")]
    if not lab.wanted(*names):
        return
    lab.iommu.require_ours("state to ask for")
    name = f"{backend}-msi"
    trace = Path(f"/run/{name}.trace")
    with lab.start(name, iommufd=backend != "type1",
                   disk=",x-no-kvm-msix=on",
                   more=("-trace", EVENT, "-D", trace)) as running:
        stores = Stores(lab, running, trace)
        lab.case(names[0], stores.arrive, "translated")
        lab.case(names[1], stores.switched, "identity", "bypass")
        lab.case(names[2], stores.switched, LAZY, "translated")
        lab.case(names[3], stores.cases.poweroff)
