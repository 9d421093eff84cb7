# SPDX-License-Identifier: GPL-2.0-or-later
"""Devices that cannot be on page tables of our own: what the operator is
told of it before QEMU ends, and what to do."""

import contextlib
import os
from pathlib import Path

from pvlab import host, paths
from pvlab.tap import check, same

NODE = Path("/dev/iommu")
# Root without its rights over files of others is a user like any other
NO_RIGHTS = ("setpriv", "--bounding-set=-dac_override,-dac_read_search")


class Unavailable:
    """Starts of QEMU that fail."""

    def __init__(self, lab, name, wrapper=()):
        """WRAPPER: words before the emulator's name."""
        self.lab = lab
        self.name = name
        self.wrapper = wrapper

    def ends(self, host_path, iommufd) -> list[str]:
        """What QEMU says as it ends."""
        with self.lab.start(self.name, properties=f"host-path={host_path}",
                            iommufd=iommufd, engine=True, more=("-S",),
                            wrapper=self.wrapper) as running:
            status = running.machine.wait()
            text = running.machine.stderr()
        self.lab.results.note(text)
        same(status, 1, "QEMU's status")
        return text.splitlines()

    def told(self, said, *words):
        """One line, and no more, has the first of WORDS; the others are in
        it or in its hint; before it, VFIO has said nothing."""
        lines = [i for i, line in enumerate(said) if words[0] in line]
        same(len(lines), 1, f"lines with '{words[0]}' in {said}; number")
        text = "\n".join(said[lines[0]:lines[0] + 2])
        for word in words:
            check(word in text, f"nothing about '{word}': {text}")
        check(not any(f"vfio {host.NVME}:" in line
                      for line in said[:lines[0]]), f"VFIO was first: {said}")

    def refused(self, host_path, *words):
        """The device has an iommufd object.  Without the file, QEMU 11.0 and
        later take no such object, and say the same themselves."""
        said = self.ends(host_path, True)
        if not NODE.exists() and any(f"{NODE} does not exist" in line
                                     for line in said):
            same(len(said), 1, f"lines in {said}; number")
            check("CONFIG_IOMMUFD" in said[0], f"no advice: {said}")
            return
        self.told(said, f"host-path={host_path}", *words)

    def auto(self, *words):
        """The way is ours to choose."""
        self.refused("auto", *words)

    def asked(self, *words):
        """No other way is wanted."""
        self.refused("iommufd", *words)

    def type1(self):
        """The device has no such object."""
        self.told(self.ends("iommufd", False), "host-path=iommufd",
                  "has no iommufd object", "-object iommufd")

    def old_kernel(self):
        """QEMU 10.2 would crash: it is told of instead."""
        self.lab.iommu.require_ours("refusal of its own")
        said = self.ends("auto", True)
        lines = [i for i, line in enumerate(said)
                 if "cannot use iommufd with this kernel" in line]
        same(len(lines), 1, f"lines of that in {said}; number")
        check("6.13" in said[lines[0] + 1], f"no advice: {said}")


@contextlib.contextmanager
def mode(path, value):
    """A file with another mode for a while."""
    before = path.stat().st_mode & 0o7777
    path.chmod(value)
    try:
        yield
    finally:
        path.chmod(before)


def without_iommufd(lab):
    """A host whose kernel has no iommufd."""
    lab.iommu.require_ours("way to choose")
    guest = Unavailable(lab, "unavailable")
    words = (str(NODE), "No such file", "CONFIG_IOMMUFD")
    lab.case("unavailable/no-iommufd-auto", guest.auto, *words)
    lab.case("unavailable/no-iommufd-asked", guest.asked, *words)
    lab.case("unavailable/no-object-asked", guest.type1)


def kernel_is_too_old():
    """Whether QEMU cannot use the iommufd of this kernel: see
    hw/pviommu/guard.c."""
    linux = tuple(map(int, os.uname().release.split(".")[:2]))
    return linux < (6, 13) and \
        paths.emulator_version(paths.emulator()).startswith("10.2.")


def with_old_kernel(lab):
    """Such a kernel."""
    lab.case("unavailable/old-kernel",
             Unavailable(lab, "unavailable").old_kernel)


def cases(lab, backend):
    """A host that has it, and does not let QEMU use it."""
    lab.iommu.require_ours("way to choose")
    guest = Unavailable(lab, f"{backend}-unavailable", NO_RIGHTS)
    words = (str(NODE), "Permission denied", "access")
    with mode(NODE, 0):
        for name, case in (("auto", guest.auto), ("asked", guest.asked)):
            lab.case(f"{backend}/unavailable/no-permission-{name}", case,
                     *words)


GUESTS = (without_iommufd,)
