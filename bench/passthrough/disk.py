# SPDX-License-Identifier: GPL-2.0-or-later
"""Random reads of an NVMe disk that is passed through to a Linux guest."""

from contextlib import ExitStack, contextmanager
from pathlib import Path

from emulator import KINDS, WALKED
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

    def read(self, depth, milliseconds, kib=4) -> tuple[int, float]:
        """Read at random: how many, and in how many seconds."""
        self.machine.qmp("cont")
        done, nanoseconds = map(int, self.linux.run(
            f"/bin/reads /dev/nvme0n1 {depth} {milliseconds} {kib}").split())
        self.machine.qmp("stop")
        return done, nanoseconds / 1e9

    def requests(self) -> int:
        """How many there were; 0 if the IOMMU does not tell."""
        if not self.kind.device or not self.kind.subject().ours:
            return 0
        return sum(Device(self.machine).requests().values())


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


def measure_tables(addresses, linux, tell, say, rounds):
    """The same, one read at a time, of guests that have tables of their own
    and others."""
    with guests(WALKED, addresses, linux, say) as readers:
        for wanted in ("DMA", "DMA-FQ"):
            say(f"the disk is read, {TYPES[wanted]}")
            for reader in readers:
                if reader.kind.device:
                    reader.set_type(wanted)
            for number in range(rounds * TURNS):
                for kib in SIZES_KIB:
                    readers = readers[1:] + readers[:1]
                    for reader in readers:
                        before = reader.requests()
                        done, seconds = reader.read(1, MILLISECONDS, kib)
                        tell(what="walked", kind=reader.kind.name,
                             type=TYPES[wanted], kib=kib, round=number,
                             time=seconds / done * 1e6,
                             requests=(reader.requests() - before) / done)
