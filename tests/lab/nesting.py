# SPDX-License-Identifier: GPL-2.0-or-later
"""Whether the host lets a guest own a page table of its IOMMU: that it can be
asked for what that takes."""

import fcntl
import os
import struct
from pathlib import Path

from pvlab import host
from pvlab.tap import check

# include/uapi/linux/iommufd.h and vfio.h
KIND = ord(";") << 8
IOAS_ALLOC, HWPT_ALLOC, VIOMMU_ALLOC = 0x81, 0x89, 0x90
BIND_IOMMUFD = 100 + 18
NEST_PARENT = 1
SMMU_V3 = 1


def _ask(fd, request, layout, *values) -> tuple:
    """One ioctl, whose structure begins with its size: what is in it then."""
    data = bytearray(struct.pack("<I" + layout, struct.calcsize(
        "<I" + layout), *values))
    fcntl.ioctl(fd, KIND | request, data)
    return struct.unpack("<I" + layout, data)[1:]


def _node(address) -> Path:
    """The file of a device that vfio-pci has."""
    folder = Path(f"/sys/bus/pci/devices/{address}/vfio-dev")
    return Path("/dev/vfio/devices") / next(folder.iterdir()).name


def offered():
    """A parent for nested tables, and the guest's view of the SMMU on it."""
    iommufd = os.open("/dev/iommu", os.O_RDWR)
    device = os.open(_node(host.NVME), os.O_RDWR)
    try:
        number = _ask(device, BIND_IOMMUFD, "IiI", 0, iommufd, 0)[2]
        space = _ask(iommufd, IOAS_ALLOC, "II", 0, 0)[1]
        parent = _ask(iommufd, HWPT_ALLOC, "IIIIIIIQII", NEST_PARENT, number,
                      space, 0, 0, 0, 0, 0, 0, 0)[3]
        viommu = _ask(iommufd, VIOMMU_ALLOC, "IIIIIIIQ", 0, SMMU_V3, number,
                      parent, 0, 0, 0, 0)[4]
        check(parent and viommu, f"objects {parent} and {viommu}")
    finally:
        os.close(device)
        os.close(iommufd)


def nesting(lab):
    """Of a host like this one."""
    lab.case("nesting/host-offers-it", offered)
