# SPDX-License-Identifier: GPL-2.0-or-later
"""Random reads of an NVMe disk that is passed through to a Linux guest."""

import os
import time
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from emulator import KINDS, THREADED, WALKED
from pvlab import board, guest, host
from pvlab.device import Device
from pvlab.machine import Machine
from pvlab.tap import same

FOLDER = Path(host.SHARE)
MEMORY = "256M"
SLOT = 5
DISK = f"0000:00:{SLOT:02x}.0"
# The names that Linux has for the types of a group, and ours
TYPES = {"DMA": "strict", "DMA-FQ": "lazy", "identity": "identity"}
DEPTHS = (1, 32)
SIZES_KIB = (4, 1024)
# Of a guest that does nothing
IDLE_SECONDS = 5
# Short turns, and many: others may use the processor meanwhile
MILLISECONDS, TURNS = 200, 8


class Reader:
    """A guest with one disk, stopped but when it is asked for something."""

    def __init__(self, kind, address, linux):
        """KIND: of the IOMMU.  ADDRESS: the host's, of the disk."""
        where = board.here()
        self.kind = kind
        self.machine = Machine(
            kind.name.replace(", ", "-").replace(" ", "-"), FOLDER, [
                "-accel", "kvm", *where.words, "-cpu", "host",
                *kind.words(), *kind.passed(address, SLOT),
                *guest.arguments(linux, FOLDER / linux.initrd,
                                 memory=MEMORY, board=where)])
        self.linux = guest.Linux(self.machine)

    def boot(self):
        """Wait for it, and stop it."""
        self.machine.boot()
        self.linux.wait_block("nvme0n1")
        self.machine.qmp("stop")

    def set_type(self, wanted):
        """Change the type of the disk's group."""
        self.machine.qmp("cont")
        self.linux.set_type(DISK, "nvme", wanted)
        self.linux.wait_block("nvme0n1")
        same(self.linux.group_type(DISK), wanted, "type of the disk's group")
        self.machine.qmp("stop")

    def _reads(self, depth, milliseconds, kib=4) -> tuple[int, float]:
        done, nanoseconds = map(int, self.linux.run(
            f"/bin/reads /dev/nvme0n1 {depth} {milliseconds} {kib}").split())
        return done, nanoseconds / 1e9

    def read(self, depth, milliseconds) -> tuple[int, float]:
        """Read 4 KiB at random: how many, and in how many seconds."""
        self.machine.qmp("cont")
        found = self._reads(depth, milliseconds)
        self.machine.qmp("stop")
        return found

    def read_alone(self, milliseconds, kib) -> tuple[float, float, float]:
        """Read one at a time: seconds, requests and kicks of a read.

        A thread learns anew how long to poll when the guest goes on, so this
        begins with some reads that do not count."""
        self.machine.qmp("cont")
        self._reads(1, milliseconds // 4, kib)
        before = self._counts()
        done, seconds = self._reads(1, milliseconds, kib)
        after = self._counts()
        self.machine.qmp("stop")
        return tuple(total / done for total in (
            seconds, after[0] - before[0], after[1] - before[1]))

    def _counts(self) -> tuple[int, int]:
        """How many requests there were, and kicks for them; 0 if the IOMMU
        does not tell."""
        if not self.kind.device or not self.kind.subject().ours:
            return 0, 0
        device = Device(self.machine)
        return sum(device.requests().values()), device.get("kicks")

    def _processor(self) -> float:
        """Seconds of processor time that the emulator has had."""
        stat = Path(f"/proc/{self.machine.pid}/stat").read_text()
        fields = stat.rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def idle(self) -> float:
        """The share of a processor that it takes when nothing is done."""
        self.machine.qmp("cont")
        before, start = self._processor(), time.monotonic()
        time.sleep(IDLE_SECONDS)
        share = (self._processor() - before) / (time.monotonic() - start)
        self.machine.qmp("stop")
        return share


@contextmanager
def guests(kinds, addresses, linux, say):
    """A guest of each kind, booted: a list of Reader."""
    with ExitStack() as running:
        readers = []
        for kind, address in zip(kinds, addresses):
            say(f"a guest boots: {kind.name}")
            readers.append(Reader(kind, address, linux))
            running.callback(readers[-1].machine.stop)
            readers[-1].boot()
        yield readers


def measure(addresses, linux, tell, say, rounds):
    """Have guests of all kinds read in turns."""
    kinds = [kind for kind in KINDS.values() if "container" not in kind.name]
    with guests(kinds, addresses, linux, say) as readers:
        for wanted, name in TYPES.items():
            say(f"the disk is read, {name}")
            for reader in readers:
                reader.set_type(wanted)
            for number in range(rounds * TURNS):
                for depth in DEPTHS:
                    readers = readers[1:] + readers[:1]
                    for reader in readers:
                        done, seconds = reader.read(depth, MILLISECONDS)
                        tell(what="read", kind=reader.kind.name, type=name,
                             depth=depth, round=number, rate=done / seconds)


def _read_alone(readers, sizes, tell, say, turns, milliseconds=MILLISECONDS):
    """One read at a time, of SIZES in KiB."""
    for wanted in ("DMA", "DMA-FQ"):
        say(f"the disk is read, {TYPES[wanted]}")
        for reader in readers:
            if reader.kind.device:
                reader.set_type(wanted)
        for number in range(turns):
            for kib in sizes:
                readers = readers[1:] + readers[:1]
                for reader in readers:
                    seconds, requests, kicks = reader.read_alone(milliseconds,
                                                                 kib)
                    tell(kind=reader.kind.name, type=TYPES[wanted], kib=kib,
                         round=number, time=seconds * 1e6,
                         requests=requests, kicks=kicks)


def measure_tables(addresses, linux, tell, say, rounds):
    """The same of guests that have tables of their own and others."""
    with guests(WALKED, addresses, linux, say) as readers:
        _read_alone(readers, SIZES_KIB, partial(tell, what="walked"), say,
                    rounds * TURNS)


def measure_thread(addresses, linux, tell, say, rounds):
    """The same of guests whose requests a thread polls for and others."""
    with guests(THREADED, addresses, linux, say) as readers:
        say("they do nothing")
        for number in range(rounds):
            for reader in readers:
                tell(what="idle", kind=reader.kind.name, round=number,
                     share=reader.idle())
        # Long turns, as each begins with a pause, after which there is a kick
        _read_alone(readers, SIZES_KIB[:1], partial(tell, what="polled"),
                    say, rounds * 2, 4 * MILLISECONDS)
