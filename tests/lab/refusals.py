# SPDX-License-Identifier: GPL-2.0-or-later
"""Guests whose host refuses: too few mappings, too little locked memory.
Whatever it refuses, the guest is told, the operator reads one line, nothing
stays half done and QEMU goes on."""

import re
import subprocess

from cases import STRICT
from pvlab import host, vfio
from pvlab.passed import DISK, MEMORY_MIB
from pvlab.tap import Skip, check, same

KIB = 1024
# Enough for the disk's queues (6 mappings, 100 KiB), too little for what its
# driver maps for one read of 1 MiB (128 KiB at a time, in up to 32 pieces)
ENTRIES = 30
LOCKED_KIB = 160
# A MAP holds pages that touch.  Leave the guest free ones that touch none, so
# that each page of a read is a mapping: else it is chance how many there are.
SCATTER = """
    for i in $(seq 1024); do
        printf %4096s >>/tmp/kept
        printf %4096s >>/tmp/left
    done
    rm /tmp/left"""


def limited(kib):
    """Words before the emulator's: a limit of locked memory that holds."""
    return ("prlimit", f"--memlock={kib * KIB}",
            "setpriv", "--bounding-set=-ipc_lock")


class Refused:
    """Cases of a guest in a host with a limit."""

    def __init__(self, cases, wanted):
        """WANTED: what the operator's line must speak of."""
        self.cases = cases
        self.guest = cases.guest
        self.device = cases.guest.device
        self.linux = cases.linux
        self.machine = cases.machine
        self.wanted = wanted

    def small_reads(self):
        """Reads of 4 KiB need little, and come out right."""
        self.linux.wait_block("nvme0n1")
        same(self.linux.read_sum("nvme0n1", 1, block_kib=4),
             self.cases.lab.outside.disk_sum(1), "1 MiB in blocks of 4 KiB")

    def lines(self, word) -> list[str]:
        """The operator's lines that hold WORD."""
        return [line for line in self.machine.stderr().splitlines()
                if word in line]

    def running(self):
        """QEMU and its guest run."""
        same(self.machine.qmp("query-status")["status"], "running",
             "the machine's status")

    def map_refused(self):
        """Reads that need more than there is: MAP gets NOMEM, and after
        them the guest reads as before."""
        self.linux.run(SCATTER)
        self.linux.ask("""
            for i in 0 1 2 3 4 5 6 7; do
                dd if=/dev/nvme0n1 of=/dev/null bs=1M count=1 skip=$i \\
                    iflag=direct 2>/dev/null &
            done
            wait""")
        self.linux.run("rm /tmp/kept")
        self.running()
        check(self.device.answered("MAP", "NOMEM"), "no MAP got NOMEM")
        check(self.device.refusals() > 0, "host-refusals is 0")
        logged = [line for line in self.guest.requests()
                  if line.startswith("MAP") and "status=NOMEM" in line]
        check(logged and "host=-" in logged[0],
              "requests-log shows no MAP that the host refused")
        self.cases.lab.results.note(logged[0])
        same(self.device.endpoint("disk")["state"], "translated",
             "the disk's state")
        self.small_reads()

    def told_once(self):
        """However often the host refused, the operator reads one line that
        names the device, the error and what to raise."""
        lines = self.lines("refused")
        same(len(lines), 1, f"lines about refusals: {lines}; number")
        self.cases.lab.results.note(lines[0])
        check(host.NVME in lines[0], f"the disk is not named: {lines[0]}")
        check(re.search(self.wanted, lines[0]),
              f"nothing about {self.wanted}: {lines[0]}")

    def raise_limit(self, kib):
        """Do as the operator is told, while the guest runs."""
        subprocess.run(["prlimit", f"--memlock={kib * KIB}", "--pid",
                        str(self.machine.pid)], check=True)

    def set_type(self, wanted) -> int:
        """Write the type of the disk's group, its driver being off."""
        group = self.linux.group(DISK)
        return self.linux.ask(
            f"echo {wanted} >/sys/kernel/iommu_groups/{group}/type")[0]

    def bypass_refused(self):
        """Translation cannot be switched off; the disk stays as it was."""
        before = self.device.endpoint("disk")
        self.linux.unbind(DISK)
        check(self.set_type("identity") != 0,
              "the guest thinks that the switch worked")
        self.running()
        same(self.linux.group_type(DISK), STRICT, "type of the disk's group")
        check(self.device.answered("ATTACH", "NOMEM"), "no ATTACH got NOMEM")
        same(self.device.endpoint("disk"), before, "what is said of the disk")
        check(self.guest.locked_mib() * KIB <= LOCKED_KIB,
              f"{self.guest.locked_mib()} MiB are locked")

    def bypass_after_raise(self):
        """With the limit raised, off and on again.  (Before that, Linux 6.12
        sends no MAP for the disk: after a refused ATTACH it counts the
        endpoints of the old domain wrongly.)"""
        self.raise_limit((MEMORY_MIB + 64) * KIB)
        for wanted, state in (("identity", "bypass"), (STRICT, "translated")):
            if self.linux.driver(DISK):
                self.linux.unbind(DISK)
            same(self.set_type(wanted), 0, f"writing {wanted}: status")
            same(self.device.endpoint("disk")["state"], state,
                 "the disk's state")
            self.linux.bind(DISK, "nvme")
            self.small_reads()

    def poweroff(self):
        """The guest powers off and QEMU ends well."""
        self.machine.agent.send("poweroff -f")
        same(self.machine.wait(), 0, "QEMU's status")


def entry_limit(lab):
    """A host that takes few mappings."""
    names = [f"entry-limit/{name}" for name in (
        "small-reads", "map-gets-nomem", "operator-told-once", "poweroff")]
    if not lab.wanted(*names):
        return
    lab.iommu.require_ours("verdict of the host")
    before = vfio.entry_limit(ENTRIES)
    try:
        with lab.start("entry-limit", "iommu.strict=1",
                       properties="boot-bypass=off") as running:
            refused = Refused(lab.boot(running), "dma_entry_limit")
            lab.case(names[0], refused.small_reads)
            lab.case(names[1], refused.map_refused)
            lab.case(names[2], refused.told_once)
            lab.case(names[3], refused.poweroff)
    finally:
        vfio.entry_limit(before)


def named(backend, name) -> str:
    """The name of a case: type1 has no word for it."""
    return name if backend == "type1" else f"{backend}/{name}"


def memlock(lab, backend="type1"):
    """A host that locks little memory."""
    names = [named(backend, f"memlock/{name}") for name in (
        "small-reads", "map-gets-nomem", "operator-told-once",
        "bypass-refused-leaves-all-as-it-was", "bypass-after-raise",
        "poweroff")]
    if not lab.wanted(*names):
        return
    lab.iommu.require_ours("verdict of the host")
    with lab.start(f"{backend}-memlock", "iommu.strict=1",
                   properties="boot-bypass=off", iommufd=backend != "type1",
                   wrapper=limited(LOCKED_KIB)) as running:
        refused = Refused(lab.boot(running), "locked memory")
        lab.case(names[0], refused.small_reads)
        lab.case(names[1], refused.map_refused)
        lab.case(names[2], refused.told_once)
        lab.case(names[3], refused.bypass_refused)
        lab.case(names[4], refused.bypass_after_raise)
        lab.case(names[5], refused.poweroff)


def memlock_start(lab, backend="type1"):
    """Too little locked memory for the start itself."""
    told, enough = (named(backend, f"memlock-start/{name}")
                    for name in ("told", "figure-is-enough"))
    if not lab.wanted(told, enough):
        return
    lab.iommu.require_ours("word on locked memory at start")
    figures = []

    def too_little():
        with lab.start(f"{backend}-memlock-start",
                       iommufd=backend != "type1",
                       wrapper=limited(32 * KIB)) as running:
            status = running.machine.wait()
            text = running.machine.stderr()
            lab.results.note(text)
            same(status, 1, "QEMU's status")
            check("locked memory" in text, f"no word on locked memory: {text}")
            figures.extend(int(figure) for figure in
                           re.findall(r"need (\d+) KiB", text))
            check(figures and figures[0] >= MEMORY_MIB * KIB,
                  f"no figure that would do: {text}")
            for line in text.splitlines():
                check(host.NVME in line.partition("pviommu:")[2] or
                      "refused" not in line,
                      f"the disk is not named: {line}")

    def as_told():
        if not figures:
            raise Skip("no figure was told")
        with lab.start(f"{backend}-memlock-figure", "iommu.strict=1",
                       iommufd=backend != "type1",
                       wrapper=limited(figures[0])) as running:
            Refused(lab.boot(running), "").small_reads()
            same(running.machine.stderr(), "", "what QEMU printed")

    lab.case(told, too_little)
    lab.case(enough, as_told)


def memlock_reset(lab, backend="type1"):
    """The limit falls while the guest runs; a reset cannot be refused."""
    name = named(backend, "memlock-reset/blocked-until-attached")
    if not lab.wanted(name):
        return
    lab.iommu.require_ours("state for what the host cannot serve")

    def reset(cases):
        refused = Refused(cases, "locked memory")
        refused.small_reads()
        refused.raise_limit(LOCKED_KIB)  # that is, lower it
        cases.machine.agent.send("reboot -f")
        cases.machine.boot()
        refused.running()
        lines = refused.lines("blocked")
        same(len(lines), 1, f"lines about blocking: {lines}; number")
        lab.results.note(lines[0])
        refused.small_reads()

    with lab.start(f"{backend}-memlock-reset", "iommu.strict=1",
                   # else the table with all of memory is there already
                   properties="" if backend == "type1" else "keep-bypass=off",
                   iommufd=backend != "type1",
                   wrapper=limited((MEMORY_MIB + 64) * KIB)) as running:
        lab.case(name, reset, lab.boot(running))


def cases(lab, backend):
    """The cases of locked memory, over another kind of container."""
    for function in (memlock, memlock_start, memlock_reset):
        function(lab, backend)


GUESTS = (entry_limit, memlock, memlock_start, memlock_reset)
