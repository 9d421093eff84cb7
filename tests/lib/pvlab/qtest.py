# SPDX-License-Identifier: GPL-2.0-or-later
"""A machine without a guest: the test itself reads and writes guest memory,
ports and PCI, by QEMU's qtest protocol (lines of text on a socket; see
system/qtest.c in QEMU's source)."""

import os
import socket
import time
from dataclasses import dataclass
from pathlib import Path

from . import board, paths
from .machine import Machine
from .wait import Lost, patience, until


@dataclass(frozen=True)
class Layout:
    """A machine, by its WORDS for QEMU, and where it has things: RAM, space
    for BARs, and the configuration space of PCI, if not behind ports."""
    words: tuple[str, ...]
    ram: int
    bars: int
    config: int | None = None


TARGET = board.here().target
# hw/arm/virt.c in QEMU's source has the addresses
LAYOUT = Layout(board.PC.words, 0, 0xE0000000) if TARGET == "x86_64" else \
    Layout(board.VIRT_ITS.words, 0x40000000, 0x10000000, 0x4010000000)


def environment() -> dict:
    """The environment for an emulator that is to be driven: it names the
    module that tests/qtest/harness.py built for it, if it needs one."""
    folder = paths.BUILD / f"qtest/modules-{TARGET}"
    built = any(folder.glob("accel-qtest-*.so"))
    return {**os.environ, **({"QEMU_MODULE_DIR": str(folder)} if built
                             else {})}


class Qtest:
    """A running emulator that waits for orders."""

    def __init__(self, name, folder: Path, args, wrapper=()):
        """ARGS: the command line but for the accelerator.  The rest is as
        Machine has it."""
        path = f"/run/{name}.{os.getpid()}.qtest"
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)
        listener.listen(1)
        listener.settimeout(1)
        self.machine = Machine(
            name, folder, ["-accel", "qtest", "-qtest", f"unix:{path}",
                           "-qtest-log", "none", *args], wrapper,
            environment())
        try:
            self._line = self._accept(listener)
        except BaseException:
            self.machine.stop()
            raise
        finally:
            listener.close()
            os.unlink(path)
        self._file = self._line.makefile("rw", encoding="ascii")

    def _accept(self, listener):
        def connected():
            try:
                return listener.accept()[0]
            except TimeoutError:
                if not self.machine.alive():
                    raise self._lost("it ended before a test began") from None
                return None

        line = until(connected, f"{self.machine.name} connects to its test")
        line.settimeout(patience())
        return line

    def _lost(self, what) -> Lost:
        said = self.machine.stderr()[-600:].strip() or "no message"
        return Lost(f"{self.machine.name}: {what}; QEMU: {said}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """End the emulator."""
        self.machine.stop()
        self._line.close()

    @staticmethod
    def _command(words) -> str:
        return " ".join(f"{word:#x}" if isinstance(word, int) else word
                        for word in words) + "\n"

    def time(self, *words) -> int:
        """One command that answers no more than OK: how many nanoseconds
        that took."""
        command = self._command(words).encode()
        start = time.perf_counter_ns()
        self._line.sendall(command)
        answer = self._line.recv(64)
        end = time.perf_counter_ns()
        if answer != b"OK\n":
            raise self._lost(f"{words}: {answer}")
        return end - start

    def order(self, *words) -> str:
        """One command: what follows the OK."""
        self._file.write(self._command(words))
        self._file.flush()
        while True:
            line = self._file.readline()
            if not line:
                raise self._lost(f"{words[0]} was not answered")
            if line.startswith("OK"):
                return line[3:].strip()
            if not line.startswith("IRQ "):
                raise ValueError(f"{words}: {line.strip()}")

    def read(self, address, size) -> bytes:
        """Guest memory."""
        return bytes.fromhex(self.order("read", address, size)[2:])

    def write(self, address, data: bytes):
        """Write guest memory."""
        self.order("write", address, len(data), "0x" + data.hex())

    def peek(self, address, bits=32) -> int:
        """A register in memory space."""
        return int(self.order({8: "readb", 16: "readw", 32: "readl",
                               64: "readq"}[bits], address), 16)

    def poke(self, address, value, bits=32):
        """Write a register in memory space."""
        self.order({8: "writeb", 16: "writew", 32: "writel",
                    64: "writeq"}[bits], address, value)


class Function:
    """A PCI function: by ports 0xcf8 and 0xcfc of a PC, or in memory."""

    COMMAND, BAR = 0x04, 0x10

    def __init__(self, qtest: Qtest, slot, function=0, bus=0):
        self.qtest = qtest
        self.bus = bus
        self.devfn = slot << 3 | function
        self.bars = {}

    def _where(self, offset) -> int:
        return LAYOUT.config + (self.bus << 20 | self.devfn << 12 | offset)

    def _select(self, offset) -> int:
        self.qtest.order("outl", 0xCF8, 1 << 31 | self.bus << 16 |
                         self.devfn << 8 | offset & 0xFC)
        return 0xCFC + (offset & 3)

    def get(self, offset, bits=32) -> int:
        """Read configuration space."""
        if LAYOUT.config:
            return self.qtest.peek(self._where(offset), bits)
        port = self._select(offset)
        return int(self.qtest.order(
            {8: "inb", 16: "inw", 32: "inl"}[bits], port), 16)

    def set(self, offset, value, bits=32):
        """Write configuration space."""
        if LAYOUT.config:
            self.qtest.poke(self._where(offset), value, bits)
            return
        port = self._select(offset)
        self.qtest.order({8: "outb", 16: "outw", 32: "outl"}[bits], port,
                         value)

    def place(self, bar, address):
        """Put a memory BAR at ADDRESS, which is below 4 GiB."""
        offset = self.BAR + 4 * bar
        wide = self.get(offset) & 4
        self.set(offset, address)
        if wide:
            self.set(offset + 4, 0)
        self.bars[bar] = address

    def enable(self):
        """Memory space and bus mastering on."""
        self.set(self.COMMAND, 0x6, 16)

    def disable(self):
        """Both off."""
        self.set(self.COMMAND, 0, 16)

    def capabilities(self, wanted):
        """Offsets of the capabilities with this id."""
        offset = self.get(0x34, 8)
        while offset:
            if self.get(offset, 8) == wanted:
                yield offset
            offset = self.get(offset + 1, 8)


class Port(Function):
    """A root port."""

    BUSES, WINDOW = 0x18, 0x20

    def open(self, bus, window=None):
        """Give the bus behind it a number and, if told, 1 MiB of memory
        space at WINDOW."""
        self.set(self.BUSES, bus << 16 | bus << 8 | self.bus)
        if window is not None:
            self.set(self.WINDOW, window | window >> 16)
        self.enable()
