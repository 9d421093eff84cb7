# SPDX-License-Identifier: GPL-2.0-or-later
"""The IOMMU under test: ours, or for comparison another that QEMU has."""

import argparse

from . import paths
from .tap import Skip

OURS = "pviommu-pci"
# the same in a virtio-mmio slot
OURS_MMIO = "pviommu-device"


class Subject:
    """How the IOMMU gets on the command line.  Its id is "iommu"."""

    def __init__(self, device=OURS, plugin=None):
        """DEVICE: its type, with properties if wished.  PLUGIN: the library
        to load, by default ours with our device and none with another."""
        self.device = device
        self.ours = device.split(",")[0] in (OURS, OURS_MMIO)
        self.plugin = plugin
        if plugin is None and self.ours:
            self.plugin = str(paths.plugin())

    def arguments(self, extra="", plugin=True) -> list[str]:
        """Words for QEMU; EXTRA: more properties.  They come before any
        endpoint's."""
        words = []
        if self.plugin and plugin:
            words += ["-plugin", self.plugin]
        device = self.device + ",id=iommu" + ("," + extra if extra else "")
        return words + ["-device", device]

    def words(self) -> list[str]:
        """Options that make the same subject in another process."""
        words = ["--device", self.device]
        return words + (["--plugin", self.plugin] if self.plugin else [])

    def require_ours(self, what):
        """Skip a case that is about what only our device has."""
        if not self.ours:
            raise Skip(f"{self.device.split(',')[0]} has no {what}")


def parser(description) -> argparse.ArgumentParser:
    """Options that the programs which run guests have in common."""
    options = argparse.ArgumentParser(description=description)
    options.add_argument("--device", default=OURS,
                         help="the IOMMU: a QEMU device, with properties")
    options.add_argument("--plugin", help="the library that brings it")
    options.add_argument("only", nargs="*",
                         help="words: run the cases that hold one of them")
    return options
