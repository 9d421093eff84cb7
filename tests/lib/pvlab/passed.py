# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest in the host with devices passed through to it."""

import re
import shutil
from pathlib import Path

from . import board, guest, vfio
from .device import Device
from .host import EDU, NVME, SHARE
from .machine import Machine
from .wait import until

FOLDER = Path(SHARE)
MEMORY_MIB = 256
# Where the guest finds them
DISK = "0000:00:05.0"
ENGINE = "0000:00:06.0"
PORT_DISK = "0000:01:00.0"


class PassedGuest:
    """The guest: running from the start, booted when asked.  Its devices
    have the ids "disk" and, if ENGINE was asked for, "engine"."""

    def __init__(self, name, kernel, iommu, *, append="", properties="",
                 engine=False, port=False, iommufd=False, disk="",
                 wrapper=(), more=(), after=()):
        """IOMMU: the Subject, or None for none at all.  PROPERTIES: its
        properties.  IOMMUFD: not over type1.  PORT: the disk is in a
        hot-plug slot, with the address PORT_DISK in the guest.  DISK: more
        properties of it.  WRAPPER: words that come before the emulator's
        name.  MORE: words that come before the IOMMU.  AFTER: words that
        come last."""
        where = board.here()
        words = ["-accel", "kvm", *where.words, "-cpu", "host",
                 "-boot", "strict=on", *more]
        # Written one line a request: not on a file system that waits
        self._log = Path(f"/run/{name}.requests")
        self._kept_log = FOLDER / f"{name}.requests"
        if iommu:
            if iommu.ours:
                properties = ",".join(
                    filter(None, [properties, f"requests-log={self._log}"]))
            words += iommu.arguments(properties)
        by = ""
        self.iommufd = iommufd
        # What the kernel counts memory as that it pins for this guest
        self.counter = "VmPin" if iommufd else "VmLck"
        if iommufd:
            words += ["-object", "iommufd,id=iommufd0"]
            by = ",iommufd=iommufd0"
        if port:
            words += ["-device", f"pcie-root-port,id=rp0,addr={DISK[-4:]}"]
        words += ["-device", f"vfio-pci,host={NVME},id=disk," +
                  ("bus=rp0" if port else f"addr={DISK[-4:]}") + by + disk]
        if engine:
            words += ["-device",
                      f"vfio-pci,host={EDU},id=engine,addr={ENGINE[-4:]}{by}"]
        words += after
        self.iommu = iommu
        self.machine = Machine(name, FOLDER, words + guest.arguments(
            kernel, FOLDER / kernel.initrd, append, f"{MEMORY_MIB}M", where),
            wrapper)
        self.linux = guest.Linux(self.machine)
        self.device = Device(self.machine) if iommu and iommu.ours else None
        self.run = self.machine.run

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.machine.stop()
        if self._log.exists():
            shutil.copyfile(self._log, self._kept_log)

    def requests(self) -> list[str]:
        """The device's log of requests, so far."""
        return self._log.read_text().splitlines()

    def locked_mib(self) -> float:
        """The memory that the kernel holds locked for this guest."""
        return self.machine.status_kib(self.counter) / 1024

    def mappings(self) -> int | None:
        """How many mappings the IOMMU holds; None if it does not tell."""
        return self.device.mappings() if self.device else None

    def stray_disk(self, iova):
        """Have the disk itself fetch commands from where nothing is mapped:
        its driver is taken off, and the controller started by hand."""
        linux = self.linux
        linux.unbind(DISK)
        linux.bus_master(DISK)

        def poke(offset, value, bits=32):
            linux.register(DISK, 0, offset, value, bits)

        poke(0x14, 0)                       # CC: disable
        self._wait_ready(0)
        poke(0x24, 0x000F000F)              # AQA: 16 entries each
        poke(0x28, iova, 64)                # ASQ
        poke(0x30, iova + 0x1000, 64)       # ACQ
        poke(0x14, 0x00460001)              # CC: entry sizes, enable
        self._wait_ready(1)
        poke(0x1000, 1)                     # a command in the admin queue

    def _wait_ready(self, wanted):
        until(lambda: self.linux.register(DISK, 0, 0x1C) & 1 == wanted,
              f"the controller gets to CSTS.RDY {wanted}")

    def stray_engine(self, iova):
        """Have the DMA engine write where nothing is mapped."""
        linux = self.linux
        linux.adopt(ENGINE)
        for offset, value in ((0x80, 0x40000), (0x88, iova), (0x90, 64),
                              (0x98, 3)):
            linux.register(ENGINE, 0, offset, value, 64)


# What drivers of hosts' IOMMUs print of such an access
FAULT = re.compile(
    r"(?:DMAR: .*Request device \[|arm-smmu-v3.* event: F_.* client: )"
    r"([0-9a-f.:]+).* (?:fault addr|iova:) 0x([0-9a-f]+)")


def host_faults(address, iova) -> list[str]:
    """Lines of the host's log so far on a blocked access of the host's PCI
    device ADDRESS to the page of IOVA."""
    page = iova >> 12
    found = []
    for line in vfio.log():
        match = FAULT.search(line)
        if match and address.endswith(match.group(1)) and \
                int(match.group(2), 16) >> 12 == page:
            found.append(line)
    return found


def await_host_fault(address, iova) -> str:
    """Wait for such a line: the first."""
    return until(lambda: host_faults(address, iova),
                 f"a fault of {address} at {iova:#x} in the host's log")[0]
