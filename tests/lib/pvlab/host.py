# SPDX-License-Identifier: GPL-2.0-or-later
"""A passthrough host made of TCG alone.

An emulated machine with an IOMMU and the means to virtualise boots a kernel;
what it finds there, hosts.py says.  In it a program (one of ours) binds
devices to vfio-pci and runs guests under KVM, which TCG carries.  What the
program prints is relayed as it comes."""

import os
import re
import shlex
import shutil
import time
from pathlib import Path

from . import hosts, initramfs, paths
from .kernel import Kernel
from .machine import Machine
from .wait import PATIENCE, Lost

SHARE = "/run/share"
# What UEFI says to a terminal, on every serial port
TERMINAL = re.compile(r"\x1b\[[0-9;=?]*[A-Za-z]")
# What a device that is to be passed through is called in the host: its slot.
NVME = "0000:00:08.0"
EDU = "0000:00:09.0"
SECOND_EDU = "0000:00:0b.0"
# Two functions without isolation between them: one IOMMU group of the host
SIBLINGS = ("0000:00:0a.0", "0000:00:0a.1")

INIT = """#!/bin/busybox sh
# SPDX-License-Identifier: GPL-2.0-or-later
/bin/busybox --install -s /bin
mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t sysfs sys /sys
while read -r module; do
    insmod "/modules/$module" || echo "init: $module was not inserted"
done </modules/list
options=trans=virtio,version=9p2000.L,msize=512000
mkdir /host
{root}
for kind in proc sys dev; do mount --move /$kind /host/$kind; done
mount -t tmpfs run /host/run
mkdir -m 1777 /host/run/share /host/run/shm /host/run/lock
mount -t 9p -o $options,rw,cache=none share /host/run/share
[ -d /host/dev/shm ] || mkdir -m 1777 /host/dev/shm
mount -t tmpfs shm /host/dev/shm
ip link set lo up
exec chroot /host /bin/sh /run/share/program
"""

PROGRAM = """# SPDX-License-Identifier: GPL-2.0-or-later
stty -F {port} raw -echo
{exports}
cd {cwd} || exit 1
{command} >{port} 2>/run/share/program.stderr <{port}
echo "EXIT $?" >{port}
sync
echo o >/proc/sysrq-trigger
sleep infinity
"""


def _exports(settings, share) -> str:
    """This process's own settings, with those of the host's KIND, for the
    program in the host."""
    chosen = {name: value for name, value in os.environ.items()
              if name.startswith("PVIOMMU_")}
    chosen.update({
        "PVIOMMU_CACHE": str(paths.cache()),
        "PVIOMMU_BUILD": str(paths.BUILD),
        "PVIOMMU_SHARE_INSIDE": SHARE, "PVIOMMU_SHARE_OUTSIDE": str(share),
        "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1",
        "HOME": "/run", "TMPDIR": "/run", "LC_ALL": "C.UTF-8",
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:"
                "/sbin:/bin", **settings})
    return "\n".join(f"export {name}={shlex.quote(value)}"
                     for name, value in sorted(chosen.items()))


class Stalled(Lost):
    """The host lost its clock.  The emulation does that at times, on a busy
    machine; nothing in the host moves on then, and it must start again."""


class _HostMachine(Machine):
    """Looks at the console for what else would be seen as a time-out."""

    def _check(self):
        super()._check()
        if "kthread timer wakeup didn't happen" in self.console():
            raise Stalled("the emulated host lost its clock")


class Host:
    """The host, booted to run one program of ours."""

    def __init__(self, folder: Path, kernel: Kernel, command, disk: Path,
                 memory="2500M", more=(), kind=None, cpus=1):
        """COMMAND: the program's words; it finds FOLDER/share, which it can
        write, as SHARE.  DISK: the image behind the NVMe disk at NVME.
        MORE: words for more devices.  KIND: one of hosts.py; an x86 host
        where nothing is said.  CPUS: how many the host has."""
        kind = kind or hosts.x86(kernel)
        self.folder = folder
        self.share = folder / "share"
        shutil.rmtree(self.share, ignore_errors=True)
        self.share.mkdir(parents=True)
        self.status = None
        initrd = folder / "host.initrd"
        initramfs.build(initrd, kernel, kind.modules,
                        INIT.format(root=kind.root), kind.files)
        (self.share / "program").write_text(PROGRAM.format(
            port=kind.board.port, exports=_exports(kind.settings, self.share),
            cwd=shlex.quote(str(paths.ROOT)),
            command=shlex.join([kind.python, *map(str, command)])))
        self.machine = _HostMachine("host", folder, [
            "-accel", "tcg,thread=multi", *kind.words, "-smp", str(cpus),
            "-m", memory, "-no-reboot",
            "-virtfs", "local,path=/,mount_tag=root,security_model=none,"
                       "readonly=on,multidevs=remap",
            "-virtfs", f"local,path={self.share},mount_tag=share,"
                       "security_model=none",
            "-drive", f"if=none,id=disk,format=raw,file={disk}",
            "-device", f"nvme,serial=lab,drive=disk,addr={NVME[-4:]}",
            "-device", f"edu,addr={EDU[-4:]}",
            "-device", f"edu,addr={SIBLINGS[0][-4:]},multifunction=on",
            "-device", f"edu,addr={SIBLINGS[1][-4:]}",
            "-device", f"edu,addr={SECOND_EDU[-4:]}", *more,
            "-kernel", kernel.image, "-initrd", initrd,
            "-append", f"console={kind.board.console} loglevel=5 panic=-1 "
                       f"nokaslr random.trust_cpu=on {kind.append}"],
            emulator=kind.board.emulator())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.machine.stop()

    def lines(self):
        """What the program prints, line by line, until it ends; then
        STATUS is its exit status."""
        agent = self.machine.agent
        while True:
            try:
                # what it waits for itself, it gives up before
                line = agent.read_line(time.monotonic() + 3 * PATIENCE,
                                       "the host's program")
            except Stalled:
                raise
            except Lost as error:
                raise Lost(f"{error}; see "
                           f"{paths.shown(self.folder)}/host.console and "
                           f"{paths.shown(self.share)}/program.stderr"
                           ) from error
            if line.startswith("EXIT "):
                self.status = int(line.split()[1])
                return
            yield TERMINAL.sub("", line)
