# SPDX-License-Identifier: GPL-2.0-or-later
"""The host's side of passthrough, seen from inside the host."""

import os
from pathlib import Path

DEVICES = Path("/sys/bus/pci/devices")


def bind(address: str) -> str:
    """Give the PCI device to vfio-pci: the path of its group's node."""
    device = DEVICES / address
    (device / "driver_override").write_text("vfio-pci\n")
    if (device / "driver").exists():
        (device / "driver/unbind").write_text(address)
    Path("/sys/bus/pci/drivers_probe").write_text(address)
    driver = os.path.basename(os.readlink(device / "driver"))
    if driver != "vfio-pci":
        raise OSError(f"{address} went to {driver}, not to vfio-pci")
    group = os.path.basename(os.readlink(device / "iommu_group"))
    return f"/dev/vfio/{group}"


def entry_limit(value=None) -> int:
    """How many mappings a new type1 container may hold; set it if told."""
    path = Path("/sys/module/vfio_iommu_type1/parameters/dma_entry_limit")
    before = int(path.read_text())
    if value is not None:
        path.write_text(f"{value}\n")
    return before


def log() -> list[str]:
    """The host's kernel log."""
    fd = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK)
    lines = []
    try:
        while True:
            try:
                record = os.read(fd, 8192)
            except BlockingIOError:
                return lines
            except BrokenPipeError:  # overwritten while it was read
                continue
            text = record.decode(errors="replace").partition(";")[2]
            lines.append(text.splitlines()[0] if text else "")
    finally:
        os.close(fd)
