# SPDX-License-Identifier: GPL-2.0-or-later
"""The machines that guests run on, and what Linux calls things there."""

import os
import shutil
from dataclasses import dataclass

from . import paths


@dataclass(frozen=True)
class Board:
    """TARGET: QEMU's name for the architecture, ARCHITECTURE: Debian's.
    CONSOLE and PORT: the serial ports of the console and of the agent.
    WORDS: options for QEMU, KERNEL: for the kernel."""
    target: str
    architecture: str
    console: str
    port: str
    words: tuple[str, ...]
    kernel: str

    def emulator(self) -> str:
        """The emulator to run."""
        binary = paths.emulator(self.target)
        if not shutil.which(binary):
            raise paths.Missing(f"no {binary}; scripts/setup installs it")
        return binary


PC = Board("x86_64", "amd64", "ttyS0", "/dev/ttyS1", ("-machine", "q35"),
           "no_timer_check tsc=unstable")
# without a clock that Linux trusts, and with one serial port of its own
MICROVM = Board("x86_64", "amd64", "ttyS0", "/dev/ttyS1",
                ("-machine", "microvm,pcie=on,ioapic2=on,rtc=on",
                 "-cpu", "max", "-device", "isa-serial,chardev=agent,index=1"),
                "no_timer_check tsc=unstable lpj=1000000 "
                "tsc_early_khz=1000000")
# the two kinds of interrupt controller that take interrupts of PCI devices
VIRT = Board("aarch64", "arm64", "ttyAMA0", "/dev/ttyAMA1",
             ("-machine", "virt,gic-version=2", "-cpu", "cortex-a57"), "")
VIRT_ITS = Board("aarch64", "arm64", "ttyAMA0", "/dev/ttyAMA1",
                 ("-machine", "virt,gic-version=3", "-cpu", "cortex-a57"), "")


def here() -> Board:
    """The board of guests that run by KVM on this machine."""
    return VIRT_ITS if os.uname().machine == VIRT_ITS.target else PC
