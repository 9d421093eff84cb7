# SPDX-License-Identifier: GPL-2.0-or-later
"""An initramfs of busybox, some modules and an init script, written as a
newc archive without leaving Python (so without root, for its nodes)."""

import stat
from pathlib import Path

from .kernel import Kernel

FOLDERS = ("bin", "dev", "proc", "sys", "run", "tmp", "modules", "root")


class Archive:
    """A cpio archive in the making."""

    def __init__(self):
        self._parts = []
        self._inode = 0

    def add(self, name, mode, data=b"", device=(0, 0)):
        """Add NAME, a path without a leading slash."""
        self._inode += 1
        path = name.encode() + b"\0"
        fields = (self._inode, mode, 0, 0, 1, 0, len(data), 0, 0,
                  *device, len(path), 0)
        head = b"070701" + b"".join(b"%08X" % field for field in fields)
        for part in (head + path, data):
            self._parts.append(part + b"\0" * (-len(part) % 4))

    def bytes(self) -> bytes:
        """The whole archive, closed."""
        self.add("TRAILER!!!", 0)
        return b"".join(self._parts)


def build(target: Path, kernel: Kernel, modules, init: str, files=None):
    """Write an initramfs to TARGET: busybox, MODULES of KERNEL with
    /modules/list in the order to insert them, INIT as /init, and FILES, a
    dictionary path -> content."""
    archive = Archive()
    for folder in FOLDERS:
        archive.add(folder, stat.S_IFDIR | 0o755)
    archive.add("dev/console", stat.S_IFCHR | 0o600, device=(5, 1))
    archive.add("dev/null", stat.S_IFCHR | 0o666, device=(1, 3))
    archive.add("bin/busybox", stat.S_IFREG | 0o755,
                kernel.busybox.read_bytes())
    archive.add("bin/sh", stat.S_IFLNK | 0o777, b"busybox")
    loaded = kernel.closure(modules)
    for name, data in loaded.items():
        archive.add(f"modules/{name}", stat.S_IFREG | 0o644, data)
    archive.add("modules/list", stat.S_IFREG | 0o644,
                "".join(name + "\n" for name in loaded).encode())
    archive.add("init", stat.S_IFREG | 0o755, init.encode())
    for name, data in (files or {}).items():
        archive.add(name.lstrip("/"), stat.S_IFREG | 0o755,
                    data if isinstance(data, bytes) else data.encode())
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(archive.bytes())
