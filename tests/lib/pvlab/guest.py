# SPDX-License-Identifier: GPL-2.0-or-later
"""The Linux guest that the tests drive: its initramfs, command line, and
what is asked of it by way of its agent."""

from pathlib import Path

from . import agent, initramfs
from .board import PC
from .kernel import Kernel
from .wait import until

MODULES = ("virtio_iommu", "virtio_mmio", "virtio_pci", "virtio_blk", "nvme",
           "e1000e", "af_packet", "pci_stub")

INIT = """#!/bin/busybox sh
# SPDX-License-Identifier: GPL-2.0-or-later
/bin/busybox --install -s /bin
mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t tmpfs tmp /tmp
while read -r module; do
    insmod "/modules/$module" || echo "init: $module was not inserted"
done </modules/list
(
%s
) &
wait
"""


def initrd(kernel: Kernel, target: Path, board=PC, without=(), files=None):
    """Write the guest's initramfs to TARGET, but for modules WITHOUT.
    FILES: more of them, as initramfs.build() takes them."""
    modules = [name for name in MODULES if name not in without]
    initramfs.build(target, kernel, modules if kernel.has_modules else (),
                    INIT % agent.loop(board.port), files)


def arguments(kernel: Kernel, initrd_path: Path, append="", memory="256M",
              board=PC):
    """The part of QEMU's command line that boots the guest."""
    # What Linux calls a lockup must be one on a slow and busy machine, too
    words = (f"console={board.console} loglevel=4 panic=-1 nokaslr nohz=off "
             "highres=off watchdog_thresh=60 "
             "sysctl.kernel.hung_task_timeout_secs=600 "
             f"{board.kernel} random.trust_cpu=on {append}")
    return ["-m", memory, "-kernel", kernel.image, "-initrd", initrd_path,
            "-append", words.strip()]


class Linux:
    """Questions and orders that read better as words than as sysfs."""

    def __init__(self, machine):
        self.machine = machine
        self.run = machine.run
        self.ask = machine.ask

    def device(self, vendor, device) -> str:
        """The PCI address of the first device with these ids (hex)."""
        return self.run(f"""
            for d in /sys/bus/pci/devices/*; do
                if [ "$(cat $d/vendor)" = 0x{vendor} ] &&
                   [ "$(cat $d/device)" = 0x{device} ]; then
                    echo ${{d##*/}}; exit 0
                fi
            done
            echo "no PCI device {vendor}:{device}"; exit 1""")

    @staticmethod
    def bus(address) -> str:
        """The bus in sysfs of a PCI address, or of a virtio-mmio slot."""
        return ("/sys/bus/platform" if address.startswith("LNRO0005:") or
                address.endswith(".virtio_mmio") else "/sys/bus/pci")

    def path(self, address) -> str:
        """The device in sysfs."""
        return f"{self.bus(address)}/devices/{address}"

    def group(self, address) -> str | None:
        """The IOMMU group of a device, or None."""
        status, out = self.ask(f"readlink {self.path(address)}/iommu_group")
        return out.strip().rsplit("/", 1)[-1] if status == 0 else None

    def group_type(self, address) -> str | None:
        """The domain type of the device's group: DMA, DMA-FQ, identity."""
        group = self.group(address)
        if group is None:
            return None
        return self.run(f"cat /sys/kernel/iommu_groups/{group}/type")

    def driver(self, address) -> str | None:
        """The driver that a device is bound to."""
        status, out = self.ask(f"readlink {self.path(address)}/driver")
        return out.strip().rsplit("/", 1)[-1] if status == 0 else None

    def iommu_driver(self) -> str | None:
        """The virtio device of id 23 that the virtio_iommu driver holds."""
        status, out = self.ask(
            "ls -d /sys/bus/virtio/drivers/virtio_iommu/virtio*")
        return out.strip().rsplit("/", 1)[-1] if status == 0 else None

    def unbind(self, address):
        """Take the driver off a device."""
        self.run(f"echo {address} >{self.path(address)}/driver/unbind")

    def bind(self, address, driver):
        """Bind a driver to a device."""
        self.run(f"echo {address} >{self.bus(address)}/drivers/{driver}/bind")

    def set_type(self, address, driver, wanted):
        """Change the domain type of the device's group, as root would:
        driver off, type, driver on."""
        group = self.group(address)
        self.unbind(address)
        status, out = self.ask(
            f"echo {wanted} >/sys/kernel/iommu_groups/{group}/type")
        self.bind(address, driver)
        return status, out.strip()

    def disk(self, serial) -> str:
        """The name of the virtio disk with this serial number."""
        return self.run(f"""
            for d in /sys/block/vd*; do
                [ "$(cat $d/serial)" = {serial} ] && echo ${{d##*/}} && exit 0
            done
            echo "no disk {serial}"; exit 1""")

    def until(self, script, what, prompt=None) -> str:
        """Run SCRIPT again and again until it succeeds: what it printed.
        WHAT and PROMPT are those of wait.until()."""
        return until(lambda: [out for status, out in [self.ask(script)]
                              if status == 0], what, prompt)[0].strip()

    def wait_block(self, name):
        """Wait for a block device to have its size."""
        self.until(f'[ "$(cat /sys/block/{name}/size || echo 0)" != 0 ]',
                   f"{name} in the guest")

    def read_sum(self, name, mib, skip=0, block_kib=1024) -> str:
        """The SHA-256 of MIB MiB of a block device, read past the cache in
        blocks of BLOCK_KIB KiB."""
        each = 1024 // block_kib
        out = self.run(f"dd if=/dev/{name} bs={block_kib}k "
                       f"count={mib * each} skip={skip * each} "
                       "iflag=direct 2>/dev/null | sha256sum")
        return out.split()[0]

    def write_random(self, name, mib, seek=0) -> str:
        """Write MIB MiB of fresh noise past the cache: its SHA-256."""
        out = self.run(f"""
            dd if=/dev/urandom of=/tmp/noise bs=1M count={mib} 2>/dev/null
            dd if=/tmp/noise of=/dev/{name} bs=1M seek={seek} \
                oflag=direct conv=fsync,notrunc 2>/dev/null || exit 1
            sync
            sha256sum </tmp/noise; rm /tmp/noise""")
        return out.split()[0]

    def register(self, address, resource, offset, value=None, bits=32):
        """Read or write a register of a PCI device's BAR by /dev/mem."""
        line = self.run(
            f"sed -n {resource + 1}p /sys/bus/pci/devices/{address}/resource")
        base = int(line.split()[0], 16)
        extra = "" if value is None else f" {value:#x}"
        out = self.run(f"devmem {base + offset:#x} {bits}{extra}")
        return int(out, 16) if value is None else None

    def adopt(self, address):
        """Bring a PCI device that has no driver behind the IOMMU, which
        Linux does as it binds one, and enable it for DMA."""
        self.run(f"echo pci-stub >"
                 f"/sys/bus/pci/devices/{address}/driver_override")
        self.run(f"echo {address} >/sys/bus/pci/drivers_probe")
        self.bus_master(address)

    def bus_master(self, address):
        """Enable a PCI device: memory space and bus mastering."""
        self.run(f"printf '\\006' | dd conv=notrunc bs=1 seek=4 count=1 "
                 f"of=/sys/bus/pci/devices/{address}/config 2>/dev/null")

    def log_lines(self, pattern) -> list[str]:
        """Lines of the guest's kernel log that match, by grep -E.  (All of
        it takes seconds to come through a serial port.)"""
        return self.run(f"dmesg | grep -iE '{pattern}' || true").splitlines()

    def faults(self) -> list[str]:
        """The fault reports that virtio-iommu printed in the guest."""
        return self.log_lines("virtio_iommu.*fault")

    def splats(self) -> list[str]:
        """What the guest's kernel holds to be a bug."""
        return self.log_lines("WARNING: CPU|BUG:|Oops|soft lockup|hung task")
