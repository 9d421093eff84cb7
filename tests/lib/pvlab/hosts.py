# SPDX-License-Identifier: GPL-2.0-or-later
"""The kinds of passthrough host that TCG can be, and what each is made of."""

import shlex
import sys
from dataclasses import dataclass, field

from . import board, iort, kernel, paths

MODULES = ("9p", "9pnet_virtio", "vfio_iommu_type1", "vfio_pci")


@dataclass(frozen=True)
class Kind:
    """BOARD: its serial ports and its emulator.  WORDS: options for QEMU,
    APPEND: for the kernel, whose MODULES are loaded.  ROOT: a script that
    mounts at /host what the programs run in, with $options for 9p.  FILES:
    more of its initramfs.  PYTHON: the file there, SETTINGS: its
    environment."""
    board: board.Board
    words: tuple[str, ...]
    append: str
    modules: tuple[str, ...]
    root: str
    python: str
    settings: dict[str, str]
    files: dict[str, bytes] = field(default_factory=dict)


def x86(linux, patched=None) -> Kind:
    """With VT-d and SVM.  Its root is this machine's own, read-only over 9p,
    so it has the very emulator, library and checkout, and LINUX, the kernel
    that its guests boot as well, or PATCHED."""
    settings = {"PVIOMMU_KERNEL": str(linux.folder)}
    if patched:
        settings["PVIOMMU_PATCHED_KERNEL"] = str(patched.folder)
    return Kind(
        board.PC,
        ("-cpu", "EPYC-v4,+svm", "-machine", "q35,kernel-irqchip=split",
         "-device", "intel-iommu,intremap=on"),
        "nohz=off highres=off no_timer_check tsc=unstable intel_iommu=on "
        "iommu=pt mitigations=off",
        (*MODULES, "kvm_amd"),
        "mount -t 9p -o $options,ro,cache=loose root /host || poweroff -f",
        sys.executable, settings)


# Folders of this machine are in it by the names that they have here
ARM_ROOT = """
mount -t tmpfs host /host
cd /host
mkdir dev machine proc run sys tmp usr
ln -s usr/bin usr/lib usr/sbin .
mount -t 9p -o $options,ro,cache=loose usr usr || poweroff -f
mount -t 9p -o $options,ro,cache=loose root machine || poweroff -f
for folder in {folders}; do
    mkdir -p ".$folder"
    mount --bind "machine$folder" ".$folder" || poweroff -f
done
cd /"""


def arm(linux, patched) -> Kind:
    """With SMMUv3 of both stages and EL2.  Its programs are Debian's for
    arm64, its library is built for them.  LINUX and PATCHED: kernels of its
    guests."""
    usr = kernel.userland() / "usr"
    plugin = kernel.cross_library()
    folders = {str(path) for path in (
        paths.ROOT, paths.BUILD, paths.cache(), paths.qemu_source(),
        linux.folder, patched.folder, plugin.parent)}
    return Kind(
        board.VIRT_ITS,
        ("-cpu", "neoverse-n1",
         "-machine", "virt,virtualization=on,gic-version=3,iommu=smmuv3",
         "-global", "arm-smmuv3.stage=nested",
         "-bios", str(kernel.firmware()),
         "-virtfs", f"local,path={usr},mount_tag=usr,security_model=none,"
                    "readonly=on,multidevs=remap"),
        "iommu.passthrough=1", MODULES,
        ARM_ROOT.format(folders=" ".join(map(shlex.quote, sorted(folders)))),
        "/usr/bin/python3",
        {"PVIOMMU_QEMU": "/usr/bin/qemu-system-aarch64",
         "PVIOMMU_BUILD": str(plugin.parent),
         "PVIOMMU_PLUGIN": str(plugin),
         "PVIOMMU_QEMU_SOURCE": str(paths.qemu_source()),
         "PVIOMMU_KERNEL_ARM64": str(linux.folder),
         "PVIOMMU_PATCHED_KERNEL_ARM64": str(patched.folder)},
        {iort.NAME: iort.build()})
