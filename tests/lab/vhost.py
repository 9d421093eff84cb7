# SPDX-License-Identifier: GPL-2.0-or-later
"""vhost-net of the host's kernel behind the IOMMU.  It keeps translations of
its own, so through every switch frames must come from, and get to, where
their addresses lead now."""

from pathlib import Path

from driven import A, B, BLOCKED, BYPASS, FOLDER
from pvlab import driver, net, qtest, virtio
from pvlab.device import Device
from pvlab.tap import Skip, check, same
from pvlab.wait import until
from replay import MIB, PAGE, name_of, tour

STATES = (BYPASS, A, B, BLOCKED)
# Frames go out of, and come in to, these addresses of the device
OUT, IN = 2 * MIB, 3 * MIB
# What is added to them, in a state, to get to guest memory
OFFSETS = {BYPASS: 0, A: 4 * MIB, B: 8 * MIB}
SIZE = len(net.frame(""))
IOMMU_RING, NET_RING = 0x1F00000, 0x1E00000
BUS, WINDOW, ECAM = 1, 0xE0100000, 0xB0000000
ENDPOINT = BUS << 8
KEEPERS = {A: 6 << 3, B: 7 << 3}
# The capability ATS in the extended configuration space, and its switch
EXTENDED, ATS, CONTROL, ENABLE = 0x100, 0x0F, 6, 1 << 15
EXTENDED_BASE = 0x60            # of the host bridge


class Vhost:
    """The cases of one machine."""

    def __init__(self, name, iommu, ats):
        """ATS: whether the device has a translation cache that the guest
        knows of and switches on."""
        self.qtest = qtest.Qtest(name, FOLDER, [
            "-machine", "q35", "-m", "32M", *iommu.arguments("addr=4"),
            "-device", "pcie-root-port,id=rp0,addr=5,chassis=1",
            "-netdev", f"tap,id=net0,ifname={name},vhost=on,script=no,"
                       "downscript=no",
            "-device", "virtio-net-pci,id=net,netdev=net0,bus=rp0,"
                       "disable-legacy=on,iommu_platform=on,"
                       f"ats={'on' if ats else 'off'}",
            "-device", "edu,addr=6", "-device", "edu,addr=7"])
        self.machine = self.qtest.machine
        self.device = Device(self.machine)
        self.iommu = driver.Iommu(self.qtest, 4, 0xE0000000, IOMMU_RING)
        self.wire = net.Wire(name)
        qtest.Port(self.qtest, 5).open(BUS, WINDOW)
        self.state = BYPASS
        self.frames = {}        # what is to be sent, in each state
        self.coming = None
        self.marks = 0
        for domain, keeper in KEEPERS.items():
            self.ok(self.iommu.attach(domain, keeper))
            # the rings stay where they are, the frames do not
            self.map(domain, NET_RING, 2 * virtio.SIZE, NET_RING)
            for iova in (OUT, IN):
                self.map(domain, iova, PAGE, iova + OFFSETS[domain])
        if ats:
            self.switch_ats(True)
        self.net = net.Net(qtest.Function(self.qtest, 0, bus=BUS), WINDOW,
                           NET_RING)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.wire.close()
        self.qtest.close()

    def ok(self, status):
        """Every request here is granted."""
        same(status, driver.OK, "status")

    def map(self, domain, first, size, phys):
        """MAP."""
        self.ok(self.iommu.map(domain, first, first + size - 1, phys,
                               driver.READ | driver.WRITE))

    def switch_ats(self, value):
        """The switch in the device's capability ATS."""
        bridge = qtest.Function(self.qtest, 0)
        bridge.set(EXTENDED_BASE + 4, 0)
        bridge.set(EXTENDED_BASE, ECAM | 1)
        base = ECAM + (BUS << 20)
        offset = EXTENDED
        while offset:
            head = self.qtest.peek(base + offset)
            if head & 0xFFFF == ATS:
                self.qtest.poke(base + offset + CONTROL,
                                ENABLE if value else 0, 16)
                return
            offset = head >> 20
        raise KeyError("no capability ATS")

    def go(self, state):
        """Take the device, which works on, to a state."""
        if state in (BYPASS, BLOCKED):
            self.iommu.set_bypass(int(state == BYPASS))
            if self.state in KEEPERS:
                self.ok(self.iommu.detach(self.state, ENDPOINT))
        else:
            self.ok(self.iommu.attach(state, ENDPOINT))
        self.state = state

    def offer(self):
        """One frame each way.  What is sent says from where it was taken."""
        for state, offset in OFFSETS.items():
            self.marks += 1
            self.frames[state] = net.frame(f"{state} {self.marks}")
            self.qtest.write(OUT + offset, self.frames[state])
            self.qtest.write(IN + offset, bytes(SIZE))
        self.coming = net.frame(f"coming {self.marks}")
        self.net.receive(IN, SIZE)
        self.net.send(OUT, SIZE)
        self.wire.send(self.coming)

    def received(self, place) -> bytes:
        """What came in there, after the header, which is vhost's."""
        start = len(net.HEADER)
        return self.qtest.read(IN + OFFSETS[place] + start, SIZE - start)

    def arrives(self, place):
        """Both frames get through, by way of this place alone."""
        for queue in (self.net.TX, self.net.RX):
            self.net.wait(queue)
        same(self.wire.take(), self.frames[place], "what was sent")
        blank = bytes(SIZE)
        for other in OFFSETS:
            wanted = self.coming if other == place else blank
            same(self.received(other), wanted[len(net.HEADER):],
                 f"what came to where it goes in the state {other}")

    def stays(self):
        """Neither gets through; the IOMMU has been asked."""
        for queue in (self.net.TX, self.net.RX):
            before = self.faults()
            self.net.kick(queue)
            until(lambda: self.faults() != before, "vhost asks")
            check(not self.net.done(queue), "it was blocked, and went on")
        # What it has asked for it has not taken
        same(self.wire.taken(), None, "what was sent")
        for place in OFFSETS:
            same(self.received(place).strip(bytes(1)), b"", "what came")

    def faults(self) -> int:
        """How many accesses the IOMMU has refused."""
        return self.device.get("faults-dropped")

    def exchange(self):
        """What is offered, or still waits, goes where the state leads."""
        if self.net.done(self.net.TX):
            self.offer()
        else:
            for queue in (self.net.TX, self.net.RX):
                self.net.kick(queue)
        if self.state == BLOCKED:
            self.stays()
        else:
            self.arrives(self.state)

    def wakes(self) -> int:
        """How often vhost's worker has gone to sleep.  QEMU 11.1 aborts when
        x-query-virtio-status is to tell whether vhost is started."""
        for task in Path(f"/proc/{self.machine.pid}/task").iterdir():
            if (task / "comm").read_text().startswith("vhost-"):
                words = (task / "status").read_text().split()
                return int(words[words.index("voluntary_ctxt_switches:") + 1])
        raise AssertionError("the host's kernel has no worker for it")

    def runs(self):
        """It is the host's kernel that moves the frames."""
        before = self.wakes()
        self.exchange()
        until(lambda: self.wakes() > before, "vhost's worker has worked")

    def switch(self, before, after):
        """After a switch frames go the new way, also those that were
        waiting for it."""
        if self.state != before:
            self.go(before)
        self.exchange()
        self.go(after)
        self.exchange()
        if before == BLOCKED:
            self.exchange()

    def remapped(self):
        """UNMAP, and a MAP to elsewhere."""
        self.go(A)
        self.exchange()
        for place in (B, A):
            for iova in (OUT, IN):
                self.ok(self.iommu.unmap(A, iova, iova + PAGE - 1))
                self.map(A, iova, PAGE, iova + OFFSETS[place])
            self.offer()
            self.arrives(place)

    def ats_switched(self):
        """The guest switches ATS off and on while frames pass."""
        for value in (False, True):
            self.switch_ats(value)
            for before, after in ((BYPASS, A), (A, B), (B, BYPASS)):
                self.switch(before, after)
            self.remapped()

    def nothing_to_say(self):
        """QEMU has not taken over from the kernel, nor complained."""
        self.runs()
        same(self.machine.stderr(), "", "what QEMU printed")


CASES = [
    ("runs", Vhost.runs),
    *((f"{name_of(before)}-to-{name_of(after)}", Vhost.switch, before, after)
      for before, after in tour(STATES)),
    ("remapped", Vhost.remapped)]
WITH_ATS = [*CASES, ("ats-switched", Vhost.ats_switched)]
LAST = ("nothing-to-say", Vhost.nothing_to_say)


def cases(lab):
    """All cases, without and with ATS."""
    for name, ats, rows in (("vhost", False, [*CASES, LAST]),
                            ("vhost-ats", True, [*WITH_ATS, LAST])):
        names = [f"{name}/{row[0]}" for row in rows]
        if not lab.wanted(*names):
            continue
        if not Path("/dev/vhost-net").exists():
            raise Skip("the host's kernel has no vhost-net")
        with Vhost(name, lab.iommu, ats) as vhost:
            for case, (_, function, *words) in zip(names, rows):
                lab.results.case(case, function, vhost, *words)
