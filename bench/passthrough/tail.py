# SPDX-License-Identifier: GPL-2.0-or-later
"""How long the slowest requests take while QEMU's main loop is busy.

A Linux guest of this machine's has vfio-pci for an emulated disk, and maps and
unmaps pages for it by iommufd, a request each."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import replace

from emulator import OURS, POLLED, STOCK, THREAD, Kind
from pvlab import board, guest, kernel, machine, paths

PAIRS, SIZE = 50000, 4096
DISK = "0000:00:05.0"
KINDS = (
    Kind("stock", STOCK, "", False),
    Kind("ours", OURS, "", False),
    Kind(POLLED, OURS, "iothread=io", False, THREAD))
# A clock that is read without the emulator's big lock
BOARD = replace(board.PC, kernel="no_timer_check tsc=reliable "
                                 "iommufd.allow_unsafe_interrupts=1")
BIND = f"""
    device=/sys/bus/pci/devices/{DISK}
    cat /sys/devices/system/clocksource/clocksource0/*_clocksource
    echo vfio-pci >$device/driver_override
    echo {DISK} >$device/driver/unbind
    echo {DISK} >/sys/bus/pci/drivers_probe
    ls $device/vfio-dev"""


# What else goes on: nothing, another process that takes a processor, or as much
# in QEMU's main loop
IDLE, BESIDE, BUSY = "idle", "beside", "busy"


@contextmanager
def _beside():
    """Something else runs."""
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as other:
        try:
            yield
        finally:
            other.kill()


class Mapper:
    """A guest that maps and unmaps."""

    def __init__(self, kind, out, linux, initrd):
        self.kind = kind
        words = kind.words()
        self.machine = machine.Machine(kind.name.replace(", ", "-"), out, [
            "-accel", "tcg", *BOARD.words, *words,
            "-blockdev", f"null-co,node-name=disk,size={1 << 30}",
            "-device", "nvme,serial=tail,drive=disk,addr=5",
            "-device", "VGA,addr=6",
            *guest.arguments(linux, initrd, board=BOARD)])
        self.node = None

    def boot(self):
        """Wait for the guest, and give the disk to vfio-pci."""
        self.machine.boot()
        self.node = self.machine.run(BIND).split()[-1]

    def costs(self, load, to) -> tuple[float, float]:
        """Microseconds of a pair: the median, and what all but one of 1000
        take at most.  LOAD: what else goes on; TO: where pictures of the
        screen go."""
        with _beside() if load == BESIDE else nullcontext():
            return self._costs(load == BUSY, to)

    def _costs(self, busy, to):
        self.machine.qmp("cont")
        with ThreadPoolExecutor(1) as other:
            done = other.submit(
                self.machine.run, f"/bin/bare /dev/vfio/devices/{self.node} "
                                  f"16 {PAIRS} {SIZE} >/tmp/pairs")
            while busy and not done.done():
                self.machine.qmp("human-monitor-command",
                                 **{"command-line": "info mtree -f"})
                self.machine.qmp("screendump", filename=str(to))
            done.result()
        middle, worst = self.machine.run(
            "sort -n -k 4 /tmp/pairs | "
            f"sed -n '{PAIRS // 2}p;{PAIRS - PAIRS // 1000}p'").splitlines()
        self.machine.qmp("stop")
        return tuple(int(line.split()[-1]) / 1e3 for line in (middle, worst))


def measure(out, tell, say, rounds):
    """Guests of all kinds map in turns, each with every load."""
    linux = kernel.lab()
    initrd = out / "tail.initrd"
    bare = paths.BUILD / "bench/bench-bare"
    guest.initrd(linux, initrd, BOARD, files={"bin/bare": bare.read_bytes()})
    with ExitStack() as running:
        mappers = []
        for kind in KINDS:
            say(f"a guest boots: {kind.name}")
            mappers.append(Mapper(kind, out, linux, initrd))
            running.callback(mappers[-1].machine.stop)
            mappers[-1].boot()
            mappers[-1].machine.qmp("stop")
        for number in range(rounds):
            say(f"they map: round {number + 1}")
            mappers = mappers[1:] + mappers[:1]
            for mapper in mappers:
                for load in (IDLE, BESIDE, BUSY):
                    middle, worst = mapper.costs(load, out / "tail.ppm")
                    tell(what="tail", kind=mapper.kind.name, load=load,
                         round=number, middle=middle, worst=worst)
