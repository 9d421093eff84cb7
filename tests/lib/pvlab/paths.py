# SPDX-License-Identifier: GPL-2.0-or-later
"""Where things are: the checkout, what is built in it, and the cache."""

import os
import subprocess
import sys
from pathlib import Path

from pviommu_top.monitor import cache, qmp_path

ROOT = Path(__file__).resolve().parents[3]
BUILD = Path(os.environ.get("PVIOMMU_BUILD", ROOT / "build")).resolve()


class Missing(Exception):
    """Something this machine lacks; the text says what, and what to do."""


def emulator(target="x86_64") -> str:
    """The emulator to run: PVIOMMU_QEMU, or for another target than x86_64
    PVIOMMU_QEMU_AARCH64, or the distribution's."""
    suffix = "" if target == "x86_64" else "_" + target.upper()
    return os.environ.get("PVIOMMU_QEMU" + suffix) \
        or f"qemu-system-{target}"


def emulator_version(binary: str) -> str:
    """The upstream version that BINARY prints, such as 10.0.2."""
    try:
        text = subprocess.run([binary, "--version"], check=True, text=True,
                              capture_output=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        raise Missing(f"{binary} does not run ({error}); "
                      "scripts/setup installs it") from error
    return text.split("version", 1)[1].split()[0]


def qemu_source() -> Path:
    """QEMU's source: PVIOMMU_QEMU_SOURCE, or the cached one that matches."""
    given = os.environ.get("PVIOMMU_QEMU_SOURCE")
    if given:
        return Path(given)
    version = emulator_version(emulator())
    for folder in sorted((cache() / "qemu").glob("*")):
        plain = folder.name.split("+")[0]
        if plain == version and qmp_path(folder / "src"):
            return folder / "src"
    raise Missing(f"no source of QEMU {version} in {cache() / 'qemu'}; "
                  "scripts/setup puts it there")


def qmp_class():
    """QEMU's own QMP client, imported from its source tree."""
    path = qmp_path(qemu_source())
    if not path:
        raise Missing(f"no package qemu.qmp in {qemu_source()}/python")
    if str(path) not in sys.path:
        sys.path.insert(0, str(path))
    from qmp.legacy import QEMUMonitorProtocol
    return QEMUMonitorProtocol


def shown(path) -> str:
    """PATH as the person who reads a message finds it: outside of the host,
    and from the top of the checkout if it is below."""
    path = str(path)
    inside, outside = (os.environ.get(f"PVIOMMU_SHARE_{side}")
                       for side in ("INSIDE", "OUTSIDE"))
    if inside and outside and path.startswith(inside + "/"):
        path = outside + path[len(inside):]
    return path.removeprefix(f"{ROOT}/")


def plugin() -> Path:
    """build/pviommu.so, or the file that PVIOMMU_PLUGIN names."""
    path = Path(os.environ.get("PVIOMMU_PLUGIN", BUILD / "pviommu.so"))
    if not path.exists():
        raise Missing(f"{path} is not built; scripts/setup builds it")
    return path


def busybox() -> Path:
    """The static busybox that every guest's initramfs is made of."""
    for name in ("/bin/busybox", "/usr/bin/busybox"):
        if os.path.exists(name):
            return Path(name)
    raise Missing("no /bin/busybox; install the package busybox-static")
