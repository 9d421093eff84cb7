# SPDX-License-Identifier: GPL-2.0-or-later
"""Guest memory that changes under mappings: the host's tables follow, for a
device in bypass and for one that is translated."""

from driven import A, BLOCKED, BYPASS, RING, Driven
from pvlab import driver, qtest, virtio, vmem
from pvlab.tap import same

KIB, MIB = 1 << 10, 1 << 20
PAGE = 4 * KIB
BAR = 0xE0100000
# What 4 bits of a PAM register say: RAM, read-only, write-only, none
PAM = (0x33, 0x11, 0x22, 0x00)
PAM_FIRST, PAM_LAST = 0x90, 0x96
# Where memory is plugged, and the one MAP over all of that
PLUGGED, PLUGGED_SIZE = 1 << 32, 64 * MIB
IOVA = 1 << 33
DIMM_MIB = 8
WORDS = ("-m", "32M,slots=2,maxmem=1G",
         "-object", "memory-backend-ram,id=vmem,size=32M",
         "-device", "virtio-mem-pci,id=vm0,memdev=vmem,block-size=2M,"
                    "requested-size=0,addr=9")
# ACPI's registers of memory slots: which one, and what to do with it
SLOT, CONTROL, EJECT = 0xA00, 0xA14, 8


class Changes:
    """The cases of one machine: the disk in bypass, the engine in A."""

    def __init__(self, guest: Driven):
        self.guest = guest
        guest.start()
        guest.attach(guest.keeper, A)
        guest.go(BYPASS)
        guest.go(A)
        self.vmem = guest.memory.vmem = vmem.VirtioMem(
            guest.qtest, 9, 0xE0200000, RING - virtio.SIZE)

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

    def in_each_state(self, change):
        """Memory changes under the MAP; the same MAP is made anew over what
        is there now; and the engine sees it in other states."""
        guest = self.guest
        change()
        self.compare()
        self.each_made_anew(IOVA)
        for state in (BLOCKED, BYPASS, A):
            guest.go(state)
            self.compare()

    def plugged(self, changes):
        """Each of CHANGES happens, after which the MAP must lead to so many
        MiB of memory."""
        guest = self.guest
        guest.map(A, IOVA, PLUGGED_SIZE, PLUGGED)
        self.compare()
        for change, mib in changes:
            self.in_each_state(change)
            same(len(guest.wanted(guest.engine)) * PAGE, mib * MIB,
                 "bytes that are mapped, by the model")
        guest.unmap(A, 0, 1 << 40)
        self.compare()

    def dimm(self):
        """A DIMM is plugged, unplugged, and another plugged."""
        self.plugged(((self.plug_dimm, DIMM_MIB), (self.unplug_dimm, 0),
                      (self.plug_dimm, DIMM_MIB), (self.unplug_dimm, 0)))

    def plug_dimm(self):
        """With a backend of its own."""
        machine = self.guest.machine
        machine.qmp("object-add", **{
            "qom-type": "memory-backend-ram", "id": "memory",
            "size": DIMM_MIB * MIB})
        machine.qmp("device_add", driver="pc-dimm", id="dimm",
                    memdev="memory")

    def unplug_dimm(self):
        """It is asked for, and done as the guest's firmware does it."""
        machine, order = self.guest.machine, self.guest.qtest.order
        machine.qmp("device_del", id="dimm")
        order("outl", SLOT, 0)
        order("outb", CONTROL, EJECT)
        machine.wait_event("DEVICE_DELETED", device="dimm")
        machine.qmp("object-del", id="memory")

    def want(self, mib):
        """The operator's wish, beyond which virtio-mem plugs nothing."""
        self.guest.machine.qmp("qom-set", path="vm0",
                               property="requested-size", value=mib * MIB)

    def virtio_mem(self):
        """Blocks are plugged, some unplugged out of the middle, then all."""
        self.want(32)
        self.plugged(((lambda: self.vmem.plug(1, 6), 12),
                      (lambda: self.vmem.plug(9, 1), 14),
                      (lambda: self.vmem.unplug(3, 2), 10),
                      (self.vmem.unplug_all, 0)))


CASES = (("pam", Changes.pam), ("bar", Changes.bar), ("mmio", Changes.mmio),
         ("dimm", Changes.dimm), ("virtio-mem", Changes.virtio_mem))


def cases(lab, backend):
    """All cases over one kind of container."""
    names = [f"{backend}/memory/{row[0]}" for row in CASES]
    if not lab.wanted(*names):
        return
    with Driven(f"{backend}-memory", lab.iommu, backend,
                more=WORDS) as guest:
        changes = Changes(guest)
        for name, (_, function) in zip(names, CASES):
            lab.results.case(name, function, changes)
