# SPDX-License-Identifier: GPL-2.0-or-later
"""Random reads of an NVMe disk that is passed through to a Linux guest."""

from contextlib import ExitStack
from pathlib import Path

from emulator import KINDS
from pvlab import guest, host
from pvlab.machine import Machine
from pvlab.tap import same

FOLDER = Path(host.SHARE)
MEMORY = "256M"
SLOT = 5
DISK = f"0000:00:{SLOT:02x}.0"
# The names that Linux has for the types of a group, and ours
TYPES = {"DMA": "strict", "DMA-FQ": "lazy", "identity": "identity"}
DEPTHS = (1, 32)
# Short turns, and many: others may use the processor meanwhile
MILLISECONDS, TURNS = 200, 8


class Reader:
    """A guest with one disk, stopped but when it is asked for something."""

    def __init__(self, kind, address, linux):
        """KIND: of the IOMMU.  ADDRESS: the host's, of the disk."""
        self.kind = kind
        self.machine = Machine(
            kind.name.replace(", ", "-"), FOLDER, [
                "-accel", "kvm", "-cpu", "host", "-machine", "q35",
                *kind.words(), *kind.passed(address, SLOT),
                *guest.arguments(linux, FOLDER / "guest.initrd",
                                 memory=MEMORY)])
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

    def read(self, depth, milliseconds) -> float:
        """Read 4 KiB at random: how many a second."""
        self.machine.qmp("cont")
        done, nanoseconds = map(int, self.linux.run(
            f"/bin/reads /dev/nvme0n1 {depth} {milliseconds}").split())
        self.machine.qmp("stop")
        return done / nanoseconds * 1e9


def measure(addresses, linux, tell, say, rounds):
    """Boot a guest of each kind, and have them read in turns."""
    kinds = [kind for kind in KINDS.values() if "container" not in kind.name]
    with ExitStack() as running:
        readers = []
        for kind, address in zip(kinds, addresses):
            say(f"a guest boots: {kind.name}")
            readers.append(Reader(kind, address, linux))
            running.callback(readers[-1].machine.stop)
            readers[-1].boot()
        for wanted, name in TYPES.items():
            say(f"the disk is read, {name}")
            for reader in readers:
                reader.set_type(wanted)
            for number in range(rounds * TURNS):
                for depth in DEPTHS:
                    readers = readers[1:] + readers[:1]
                    for reader in readers:
                        tell(what="read", kind=reader.kind.name, type=name,
                             depth=depth, round=number,
                             rate=reader.read(depth, MILLISECONDS))
