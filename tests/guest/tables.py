# SPDX-License-Identifier: GPL-2.0-or-later
"""Boots of a Linux guest whose driver has the patches of guest/linux: with
page tables of its own, and with a device that refuses mappings, beside one
whose driver has them not.  Called by tests/guest/run."""

# pylint: disable=import-error
import roots
from pvlab import files
from pvlab.device import Device
from pvlab.tap import check, same
from pvlab.wait import until

LAZY, STRICT = "DMA-FQ", "DMA"
# The drivers, QEMU's ids, and where the devices are
DISKS = {"nvme": ("nvme0", "0000:00:05.0"),
         "virtio-pci": ("block0", "0000:00:06.0")}
EDU_SLOT = "0000:00:08.0"
EDU_BUFFER = 0x40000


class Disks(roots.Guest):
    """A disk of each kind, and an edu, behind the IOMMU."""

    def __init__(self, bench, folder, name, properties, append=""):
        self.images = {}
        words = bench.iommu.arguments(properties)
        for driver, (disk, address) in DISKS.items():
            self.images[disk] = files.noise(folder / f"{name}-{disk}.img", 8)
            words += roots.disk_arguments(driver, disk, self.images[disk],
                                          f"addr={address[-4:]}")
        words += ["-device", f"edu,addr={EDU_SLOT[-4:]}"]
        super().__init__(bench, folder, name, words, append=append)
        self.device = Device(self.machine)

    def data(self):
        """Both disks."""
        for name, image in self.images.items():
            self.disk(name, image)


class Tables(Disks):
    """The endpoints have tables."""

    def types_are(self, wanted):
        """Groups are of this type, and the device has each disk's table, or
        none."""
        check(self.linux.iommu_driver(), "virtio_iommu is bound to nothing")
        for driver, (disk, address) in DISKS.items():
            same(self.linux.driver(address), driver, f"driver of {address}")
            same(self.linux.group_type(address), wanted, f"type of {disk}")
            same(self.kind(disk),
                 "bypass" if wanted == "identity" else "table",
                 f"kind of the domain of {disk}")

    def kind(self, disk) -> str:
        """What the domain of a disk is, as the device tells."""
        number = self.device.endpoint(disk)["domain"]
        return next(domain["kind"] for domain in self.device.get("domains")
                    if domain["id"] == number)

    def no_requests(self):
        """Nothing was mapped by request, and nothing was wrong."""
        self.data()
        requests = self.device.requests()
        same([kind for kind in ("MAP", "UNMAP") if kind in requests], [],
             f"requests of tables that nobody needs, in {requests}")
        check(requests["INVALIDATE"] > 0, f"no INVALIDATE in {requests}")
        self.no_faults()

    def no_faults(self):
        """Nothing that the guest did on purpose faulted or was wrong."""
        same(self.linux.faults(), [], "fault reports in the guest's log")
        same(self.linux.splats(), [], "warnings in the guest's log")
        same(self.linux.log_lines("refused"), [], "what the driver prints")
        same(self.device.mistakes(), {}, "the guest's mistakes")
        same(self.device.refused(), {}, "statuses other than OK")

    def outlived(self):
        """Disks are linked to the IOMMU, so that they are shut down before
        it."""
        for driver, (disk, address) in DISKS.items():
            found = self.linux.run(f"ls /sys/bus/pci/devices/{address}/")
            check("supplier:virtio:virtio" in found,
                  f"{disk} ({driver}) has no link: {found}")

    def rebind(self):
        """Endpoints lose their driver and get it again."""
        for driver, (_, address) in DISKS.items():
            self.linux.unbind(address)
            same(self.linux.driver(address), None, f"driver of {address}")
            self.linux.bind(address, driver)
        self.data()
        self.no_faults()

    def switch(self, *types):
        """Change the type of both groups, and use the devices after it."""
        for wanted in types:
            for driver, (_, address) in DISKS.items():
                status, out = self.linux.set_type(address, driver, wanted)
                same(status, 0, f"writing {wanted}: {out}; status")
            self.types_are(wanted)
            self.data()
        self.no_faults()

    def stray(self):
        """An access that the table does not allow is in the guest's log, and
        all else goes on."""
        self.linux.adopt(EDU_SLOT)
        for offset, value in ((0x80, 0xBAD1000), (0x88, EDU_BUFFER),
                              (0x90, 64), (0x98, 1)):
            self.linux.register(EDU_SLOT, 0, offset, value, 64)
        text = self.linux.until("dmesg | grep -i fault | grep bad1000",
                                "the fault in the guest's log")
        check("virtio_iommu" in text and "[R" in text, f"reported so: {text}")
        self.data()

    def reboot(self, wanted):
        """The guest reboots and finds everything as at first."""
        self.machine.agent.send("reboot -f")
        self.machine.boot()
        self.types_are(wanted)
        self.no_requests()


def cases(wanted, more):
    """What is common to all boots with tables, and MORE."""
    return {"type": lambda guest: guest.types_are(wanted),
            "data-without-map": Tables.no_requests,
            "disks-are-shut-down-first": Tables.outlived,
            "identity-and-back":
                lambda guest: guest.switch("identity", wanted),
            **more, "poweroff": Tables.poweroff}


class Refused(Disks):
    """A device that has room for what the drivers hold and for one large
    read, and is asked for more of them at once."""

    def start_reads(self):
        """Read both disks four times at once.  Reads that are waiting must not
        become one: there would never be room for it."""
        for disk in self.images:
            block = self.block(disk)
            self.linux.run(f"""
                echo 256 >/sys/block/{block}/queue/max_sectors_kb
                for n in 1 2 3 4; do
                    (dd if=/dev/{block} bs=256k count=16 iflag=direct \\
                         2>/dev/null | sha256sum >/tmp/{disk}.$n.new
                     mv /tmp/{disk}.$n.new /tmp/{disk}.$n) &
                done""")

    def read_all(self) -> bool:
        """Check all reads: whether a MAP has been refused."""
        self.start_reads()
        for disk, image in self.images.items():
            for number in range(1, 5):
                out = self.linux.until(f"cat /tmp/{disk}.{number}",
                                       f"read {number} of {disk}")
                same(out.split()[0], files.read_sum(image, 4),
                     f"what read {number} of {disk} saw")
                self.linux.run(f"rm /tmp/{disk}.{number}")
        return self.device.answered("MAP", "NOMEM") > 0

    def waits(self):
        """The drivers were told, and tried again: the data is right, and no
        device reached for what is not mapped."""
        until(self.read_all, "a MAP to be refused")
        same(self.linux.faults(), [], "fault reports in the guest's log")
        same(self.linux.splats(), [], "warnings in the guest's log")

    def breaks(self):
        """Nobody was told: a device reaches for what is not mapped."""
        self.linux.until("dmesg | grep -i 'virtio_iommu.*fault'",
                         "a fault in the guest's log", self.start_reads)
        check(self.device.answered("MAP", "NOMEM") > 0, "no MAP was refused")


def all_cases(wanted):
    """Of a boot that has them all."""
    return cases(wanted, {"rebind": Tables.rebind,
                          "stray-dma-is-in-guest-log": Tables.stray,
                          "reboot": lambda guest: guest.reboot(wanted)})


def boots_on_arm(bench, folder):
    """Tables in the format of Arm's IOMMUs, which are strict there."""
    roots.run(bench, lambda: Tables(bench, folder, "arm64-tables",
                                    "guest-tables=on"), "arm64-tables",
              all_cases(STRICT))


def boots(patched, debian, folder):
    """PATCHED and DEBIAN: with and without the patches."""
    roots.run(patched, lambda: Tables(patched, folder, "tables",
                                      "guest-tables=on"), "tables",
              all_cases(LAZY))
    roots.run(patched, lambda: Tables(patched, folder, "tables-strict",
                                      "guest-tables=on", "iommu.strict=1"),
              "tables-strict", cases(STRICT, {}))
    few = "max-mappings=100"
    roots.run(patched, lambda: Refused(patched, folder, "refused", few),
              "refused", {"drivers-wait": Refused.waits})
    roots.run(debian, lambda: Refused(debian, folder, "refused-unpatched",
                                      few),
              "refused-unpatched", {"devices-fault": Refused.breaks})
