# SPDX-License-Identifier: GPL-2.0-or-later
"""What the host has."""

import os
import resource
import subprocess
from pathlib import Path


class Host:
    """This one, or a tree that looks like it."""

    def __init__(self, root='/'):
        self.root = Path(root)

    def path(self, name):
        """Where a file of the host is."""
        return self.root / name.lstrip('/')

    def iommus(self):
        """The names of its IOMMUs."""
        folder = self.path('/sys/class/iommu')
        return sorted(os.listdir(folder)) if folder.is_dir() else []

    def _device(self, address):
        return self.path(f'/sys/bus/pci/devices/{address}')

    def has_device(self, address):
        """Whether there is such a PCI function."""
        return self._device(address).exists()

    def driver(self, address):
        """The driver of a function, or None."""
        link = self._device(address) / 'driver'
        return link.resolve().name if link.exists() else None

    def group(self, address):
        """The number of its IOMMU group, or None."""
        link = self._device(address) / 'iommu_group'
        return link.resolve().name if link.exists() else None

    def mates(self, address):
        """The other functions of its group that are no bridges."""
        folder = self._device(address) / 'iommu_group/devices'
        names = sorted(os.listdir(folder)) if folder.is_dir() else []
        return [name for name in names if name != address and not
                (folder / name / 'class').read_text().startswith('0x0604')]

    def node(self, address):
        """The name of its VFIO character device, or None."""
        folder = self._device(address) / 'vfio-dev'
        names = os.listdir(folder) if folder.is_dir() else []
        return f'/dev/vfio/devices/{names[0]}' if names else None

    def has(self, name):
        """Whether there is such a file."""
        return self.path(name).exists()

    def may_use(self, name):
        """Whether this user may read and write it."""
        return os.access(self.path(name), os.R_OK | os.W_OK)

    def memlock(self):
        """How much this user may lock, in bytes; None: any amount."""
        if os.geteuid() == 0:
            return None
        limit = resource.getrlimit(resource.RLIMIT_MEMLOCK)[1]
        return None if limit == resource.RLIM_INFINITY else limit


def load(emulator, plugin):
    """Have the emulator load the library and list what that can be told:
    whether that went well, and what was said."""
    try:
        done = subprocess.run(
            [emulator, '-M', 'none', '-plugin', f'{plugin},help'], text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return False, str(error)
    return done.returncode == 0, (done.stderr.strip() or done.stdout)


def files_of_initramfs(file):
    """The names in an initramfs, or None if nobody here can read it."""
    for command in (['lsinitramfs', file], ['lsinitrd', file]):
        try:
            done = subprocess.run(command, text=True, errors='replace',
                                  stdout=subprocess.PIPE,
                                  stderr=subprocess.DEVNULL, check=False)
        except OSError:
            continue
        if done.returncode == 0:
            return done.stdout
    return None
