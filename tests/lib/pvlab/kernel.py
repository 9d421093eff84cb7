# SPDX-License-Identifier: GPL-2.0-or-later
"""The kernels that guests and hosts boot, with their modules."""

import functools
import lzma
import os
import re
import subprocess
from pathlib import Path

from . import paths


class Kernel:
    """A kernel image and the folder of its modules."""

    def __init__(self, folder: Path):
        self.folder = folder
        images = sorted((folder / "boot").glob("vmlinuz-*"))
        if not images:
            raise paths.Missing(f"no boot/vmlinuz-* in {folder}")
        self.image = images[0]
        self.release = self.image.name[len("vmlinuz-"):]
        # the file, in a folder of initramfs for several
        self.initrd = f"guest-{self.release}.initrd"
        for top in ("lib/modules", "usr/lib/modules"):
            self.modules = folder / top / self.release
            if self.modules.is_dir():
                break
        self._index = None
        # a kernel of another architecture has its own beside it
        own = [path for path in (folder / "bin/busybox",
                                 folder / "usr/bin/busybox") if path.exists()]
        self.busybox = own[0] if own else paths.busybox()
        # a kernel without any has built in what it is for
        self.has_modules = (self.modules / "kernel").is_dir()

    def _find(self, name: str) -> Path | None:
        if self._index is None:
            self._index = {}
            for path in self.modules.rglob("*.ko*"):
                plain = path.name.split(".ko")[0].replace("-", "_")
                self._index[plain] = path
        return self._index.get(name.replace("-", "_"))

    def _built_in(self, name: str) -> bool:
        listed = (self.modules / "modules.builtin").read_text()
        pattern = name.replace("-", "_").replace("_", "[-_]")
        return re.search(rf"/{pattern}\.ko$", listed, re.M) is not None

    def closure(self, names) -> dict[str, bytes]:
        """The modules NAMES and all they depend on, ready to insert in the
        order of the dictionary: file name -> uncompressed content."""
        done: dict[str, bytes] = {}

        def add(name):
            path = self._find(name)
            if path is None:
                if self._built_in(name):
                    return
                raise paths.Missing(f"{self.release} has no module {name}")
            key = path.name.split(".ko")[0].replace("-", "_") + ".ko"
            if key in done:
                return
            data = path.read_bytes()
            if path.name.endswith(".xz"):
                data = lzma.decompress(data)
            elif not path.name.endswith(".ko"):
                raise paths.Missing(f"{path.name}: compressed in a way that "
                                    "is not known here")
            depends = re.search(rb"\0depends=([^\0]*)\0", data)
            if depends and depends.group(1):
                for other in depends.group(1).decode().split(","):
                    add(other)
            done[key] = data

        for name in names:
            add(name)
        return done


class Broken(Exception):
    """What could be had does not build: a failure, and no reason to skip."""


def _find(variable, script, *arguments) -> Path:
    given = os.environ.get(variable)
    if not given:
        done = subprocess.run([paths.ROOT / "scripts" / script, *arguments],
                              text=True, stdout=subprocess.PIPE, check=False)
        given = done.stdout.strip()
        if done.returncode == 3:
            raise Broken(f"scripts/{script}: what it fetched does not build")
        if done.returncode != 0 or not given:
            raise paths.Missing(f"{variable} names none; see scripts/{script}")
    return Path(given)


def _variable(name, architecture) -> str:
    return name + ("" if architecture == "amd64" else
                   "_" + architecture.upper())


def debian(architecture="amd64") -> Kernel:
    """Debian's kernel: the folder that PVIOMMU_KERNEL names, or for another
    architecture than amd64 PVIOMMU_KERNEL_ARM64, or that scripts/fetch-kernel
    keeps in the cache."""
    return Kernel(_find(_variable("PVIOMMU_KERNEL", architecture),
                        "fetch-kernel", architecture))


def lab(architecture="amd64", build=True) -> Kernel:
    """The lab's own kernel, with iommufd, and a look into the host's tables:
    the folder that PVIOMMU_LAB_KERNEL names, or for another architecture than
    amd64 PVIOMMU_LAB_KERNEL_ARM64, or that scripts/build-lab-kernel keeps in
    the cache.  BUILD: make it if it is not there."""
    own = Kernel(_find(_variable("PVIOMMU_LAB_KERNEL", architecture),
                       "build-lab-kernel", *(() if build else ("--cached",)),
                       architecture))
    if architecture != "amd64":
        own.busybox = debian(architecture).busybox
    return own


@functools.cache
def userland() -> Path:
    """The programs of an arm64 host, with the emulator for which the library
    is built: the folder that PVIOMMU_USERLAND names, or that
    scripts/fetch-userland keeps in the cache."""
    return _find("PVIOMMU_USERLAND", "fetch-userland",
                 os.environ["QEMU_SERIES"])


@functools.cache
def cross_library() -> Path:
    """The library for that emulator: in the folder that PVIOMMU_CROSS names,
    or that scripts/build-cross makes."""
    return _find("PVIOMMU_CROSS", "build-cross") / "pviommu.so"


def patched(architecture="amd64") -> Kernel:
    """A newer kernel of Debian whose virtio-iommu driver has the patches of
    guest/linux: the folder that PVIOMMU_PATCHED_KERNEL names, or for another
    architecture than amd64 PVIOMMU_PATCHED_KERNEL_ARM64, or that
    scripts/build-patched-kernel keeps in the cache."""
    return Kernel(_find(_variable("PVIOMMU_PATCHED_KERNEL", architecture),
                        "build-patched-kernel", architecture))


def firmware() -> Path:
    """UEFI for arm64 guests: the file that PVIOMMU_FIRMWARE names, or that
    scripts/fetch-firmware keeps in the cache."""
    return _find("PVIOMMU_FIRMWARE", "fetch-firmware")
