# SPDX-License-Identifier: GPL-2.0-or-later
"""A Linux guest that is treated roughly.  Whatever it does and however it
ends, the host logs no fault and gets all of its memory back."""

import signal
from pathlib import Path

from cases import LAZY
from pvlab import vfio
from pvlab.passed import DISK
from pvlab.tap import check, same
from pvlab.wait import Lost, until

ROUNDS = 10
NAMES = ("identity-and-dma", "unbind-and-bind", "resets", "reboot", "panic",
         "poweroff", "no-fault-on-the-host", "nothing-left-on-the-host")
# By a node of its own: where /dev has none, dd would make a file
LOAD = """
    for i in 1 2; do
        touch /tmp/load$i
        (while [ ! -e /tmp/stop ]; do
            rm -f /tmp/disk$i
            mknod /tmp/disk$i b $(tr : ' ' </sys/block/nvme0n1/dev) || sleep 0.1
            [ -b /tmp/disk$i ] || continue
            dd if=/tmp/disk$i of=/dev/null bs=256k count=16 iflag=direct
            dd if=/dev/zero of=/tmp/disk$i bs=64k count=16 seek=128 \
                oflag=direct conv=notrunc
        done; rm /tmp/load$i) >/dev/null 2>&1 &
    done"""


def vmstat() -> dict:
    """Pages that the host's IOMMU has for its tables, and pages that are
    pinned."""
    # Each CPU keeps a part of the figures to itself until this is read
    Path("/proc/sys/vm/stat_refresh").read_bytes()
    figures = {}
    for line in Path("/proc/vmstat").read_text().splitlines():
        name, value = line.split()
        figures[name] = int(value)
    return {"tables": figures["nr_iommu_pages"],
            "pinned": (figures["nr_foll_pin_acquired"] -
                       figures["nr_foll_pin_released"])}


def dmar_faults() -> list[str]:
    """What the host has logged of blocked accesses."""
    return [line for line in vfio.log() if "DMAR:" in line and
            ("fault" in line or "Request" in line)]


class Lifecycle:
    """The cases of one running guest."""

    def __init__(self, lab, running):
        self.lab = lab
        self.guest = running
        self.linux = running.linux
        self.machine = running.machine

    def boot(self):
        """The guest is up, and its disk is behind the IOMMU."""
        spent = self.machine.boot()
        self.lab.results.say(f"the guest is up after {spent:.1f} s")
        same(self.linux.group_type(DISK), LAZY, "type of the disk's group")
        self.read()

    def read(self):
        """What the guest reads is what is on the image outside."""
        self.linux.wait_block("nvme0n1")
        same(self.linux.read_sum("nvme0n1", 1), self.lab.outside.disk_sum(1),
             "1 MiB as the guest reads it")

    def load(self):
        """Reads and writes that go on, whatever happens to the disk."""
        self.linux.run("rm -f /tmp/stop; cat /sys/block/nvme0n1/stat "
                       ">/tmp/stat" + LOAD)
        self.linux.until("! cmp -s /tmp/stat /sys/block/nvme0n1/stat",
                         "the disk is busy")

    def still(self):
        """End the load."""
        self.linux.run("touch /tmp/stop")
        self.linux.until("! ls /tmp/load*", "the load has ended")

    def identity_and_dma(self):
        """Translation off and on, ten times, under load."""
        self.load()
        for step in range(ROUNDS):
            wanted = LAZY if step % 2 else "identity"
            status, out = self.linux.set_type(DISK, "nvme", wanted)
            same(status, 0, f"round {step}: writing {wanted}: {out}; status")
            same(self.linux.group_type(DISK), wanted, "type")
        self.still()
        self.read()

    def unbind_and_bind(self):
        """The driver leaves and comes back, under load."""
        self.load()
        for _ in range(ROUNDS):
            self.linux.unbind(DISK)
            self.linux.bind(DISK, "nvme")
        self.still()
        self.read()

    def resets(self):
        """Ten resets, each at another stage of the boot before, then a
        boot."""
        def translated():
            return device.endpoint("disk")["state"] == "translated"

        def mapped():
            return device.mappings() > 0

        device = self.guest.device
        stages = ((lambda: True, "at once"),
                  (translated, "the guest has taken the disk"),
                  (mapped, "the disk's driver has mappings"),
                  # which stays unread
                  (self.machine.agent.has_word, "the guest is ready"))
        self.load()
        for step in range(ROUNDS):
            until(*stages[step % len(stages)])
            self.machine.reset()
        self.machine.restart()
        self.boot()

    def again(self, command):
        """The guest starts again by itself, its disk busy."""
        self.load()
        self.machine.agent.send(command)
        self.boot()

    def poweroff(self):
        """The guest powers off, its disk busy: QEMU ends well, and has
        said nothing but VFIO's word on a device that has no reset."""
        self.load()
        self.machine.agent.send("poweroff -f")
        same(self.machine.wait(), 0, "QEMU's status")
        said = [line for line in self.machine.stderr().splitlines()
                if "Cannot reset device" not in line]
        same(said, [], "what QEMU printed")


def settle(before):
    """The host has got everything back."""
    try:
        until(lambda: vmstat() == before, "the host has everything back")
    except Lost:
        same(vmstat(), before, "the host's counters")


def cases(lab, backend):
    """All cases over one kind of container."""
    def case(name, function, *words):
        return lab.results.case(f"{backend}/lifecycle/{name}", function,
                                *words)

    def no_fault():
        same(dmar_faults()[faults:], [], "faults in the host's log")

    def kill(reach, properties):
        name = f"{backend}-killed-{reach.__name__}"
        with lab.start(name, properties=properties, iommufd=iommufd,
                       more=("-S",) if reach in (blocked, bypass) else ()
                       ) as running:
            reach(Lifecycle(lab, running))
            check(vmstat() != before, "the guest has taken nothing")
            running.machine.process.send_signal(signal.SIGKILL)
            running.machine.wait()
        settle(before)
        no_fault()

    iommufd = backend == "iommufd"
    before, faults = vmstat(), len(dmar_faults())
    if lab.wanted(*(f"{backend}/lifecycle/{name}" for name in NAMES)):
        with lab.start(f"{backend}-lifecycle", engine=True,
                       iommufd=iommufd) as running:
            guest = Lifecycle(lab, running)
            guest.boot()
            case(NAMES[0], guest.identity_and_dma)
            case(NAMES[1], guest.unbind_and_bind)
            case(NAMES[2], guest.resets)
            case(NAMES[3], guest.again, "reboot -f")
            case(NAMES[4], guest.again, "echo c >/proc/sysrq-trigger")
            case(NAMES[5], guest.poweroff)
            case(NAMES[6], no_fault)
        case(NAMES[7], settle, before)
    for reach in (blocked, bypass, busy, identity, switching):
        case(f"killed-{reach.__name__}", kill, reach,
             "boot-bypass=off" if reach is blocked else "")


def blocked(cases):
    """Nothing of the guest runs yet."""
    cases.machine.qmp("query-status")
    same(cases.guest.device.endpoint("disk")["state"], "blocked", "state")


def bypass(cases):
    """The same where all of memory is open."""
    cases.machine.qmp("query-status")
    same(cases.guest.device.endpoint("disk")["state"], "bypass", "state")


def busy(cases):
    """Translated, with transfers under way."""
    cases.boot()
    cases.load()
    same(cases.guest.device.endpoint("disk")["state"], "translated", "state")


def identity(cases):
    """All of memory open by the guest's own wish, and busy."""
    cases.boot()
    same(cases.linux.set_type(DISK, "nvme", "identity")[0], 0, "status")
    cases.load()
    same(cases.guest.device.endpoint("disk")["state"], "bypass", "state")


def switching(cases):
    """Between the two."""
    cases.boot()
    device = cases.guest.device
    group = cases.linux.group(DISK)
    cases.linux.unbind(DISK)
    before = device.requests()["ATTACH"]
    cases.machine.agent.send(f"""
        while :; do for type in identity DMA-FQ; do
            echo $type >/sys/kernel/iommu_groups/{group}/type
        done; done""")
    until(lambda: device.requests()["ATTACH"] > before + 4,
          "the type changes and changes")
