# SPDX-License-Identifier: GPL-2.0-or-later
"""Boots of a Linux guest with two IOMMUs on two root buses, and of one that
has no driver for the IOMMU: called by tests/guest/run."""

# pylint: disable=import-error
from pvlab import files, guest, machine
from pvlab.device import Device
from pvlab.tap import check, same

LAZY = "DMA-FQ"
# Each root bus: the IOMMU's id, and of each kind a device with an id of its
# own, behind a root port or (virtio-blk on pcie.0) beside it
ROOTS = {"iommu": {"nvme": "nvme0", "virtio-pci": "block0", "edu": "edu0"},
         "second": {"nvme": "nvme1", "virtio-pci": "block1", "edu": "edu1"}}
EDU_BUFFER = 0x40000


def disk_arguments(kind, name, image, place):
    """A disk whose serial number is its id."""
    device = {"nvme": "nvme", "virtio-pci": "virtio-blk-pci,disable-legacy=on,"
                                            "iommu_platform=on"}[kind]
    return ["-drive", f"if=none,id=drive-{name},format=raw,file={image}",
            "-device", f"{device},id={name},serial={name},"
                       f"drive=drive-{name},{place}"]


def port(name, bus, slot, chassis):
    """A root port."""
    return ["-device", f"pcie-root-port,id={name},bus={bus},"
                       f"addr={slot}.0,chassis={chassis}"]


class Guest:
    """A running guest, and its devices by their ids."""

    def __init__(self, bench, folder, name, words, initrd=None, append=""):
        self.bench = bench
        self.machine = machine.Machine(name, folder, [
            "-accel", "tcg", *bench.board.words, "-boot", "strict=on", *words,
            *guest.arguments(bench.kernel, initrd or bench.initrd, append,
                             board=bench.board)], emulator=bench.emulator)
        self.linux = guest.Linux(self.machine)

    def block(self, name) -> str:
        """Wait for the block device with a serial number: its name."""
        return self.linux.until(f"""
            for d in /sys/block/*; do
                for f in $d/serial $d/device/serial; do
                    [ "$(cat $f 2>/dev/null | tr -d ' ')" = {name} ] &&
                        [ "$(cat $d/hidden)" = 0 ] &&
                        [ "$(cat $d/size)" != 0 ] &&
                        echo ${{d##*/}} && exit 0
                done
            done
            exit 1""", f"a disk {name} in the guest")

    def disk(self, name, image):
        """What the guest reads is on the image, what it writes gets there."""
        block = self.block(name)
        same(self.linux.read_sum(block, 2), files.read_sum(image, 2),
             f"first 2 MiB of {name}")
        wrote = self.linux.write_random(block, 1, seek=4)
        same(files.read_sum(image, 1, 4), wrote, f"1 MiB on {name}")
        same(self.linux.read_sum(block, 1, 4), wrote, f"1 MiB of {name} again")

    def poweroff(self):
        """The guest powers off and QEMU ends well, with nothing said."""
        self.machine.agent.send("poweroff -f")
        same(self.machine.wait(), 0, "QEMU's status")
        same(self.machine.stderr(), "", "what QEMU printed")


class TwoRoots(Guest):
    """Two IOMMUs, a disk of each kind and an edu behind each."""

    def __init__(self, bench, folder):
        self.images = {}
        words = [*bench.iommu.arguments("bus=pcie.0"),
                 "-device", "pxb-pcie,id=x,bus=pcie.0,bus_nr=64,addr=8.0",
                 "-device", f"{bench.iommu.device},id=second,bus=pcie.0,"
                            "primary-bus=x",
                 *port("p0", "pcie.0", 3, 1), *port("p1", "x", 1, 2),
                 *port("p2", "x", 2, 3), *port("p3", "x", 3, 4),
                 *port("hot0", "pcie.0", 4, 5), *port("hot1", "x", 4, 6),
                 "-device", "edu,id=edu0,bus=pcie.0,addr=6.0",
                 "-device", "edu,id=edu1,bus=p3"]
        places = {"nvme0": "bus=p0", "block0": "bus=pcie.0,addr=5.0",
                  "nvme1": "bus=p1", "block1": "bus=p2"}
        for devices in ROOTS.values():
            for kind in ("nvme", "virtio-pci"):
                name = devices[kind]
                self.images[name] = files.noise(folder / f"{name}.img", 8)
                words += disk_arguments(kind, name, self.images[name],
                                        places[name])
        super().__init__(bench, folder, "two-roots", words)
        self.iommus = {name: Device(self.machine, name) for name in ROOTS}

    def address(self, iommu, name) -> str:
        """Where the guest has a device, by what its IOMMU says."""
        number = self.iommus[iommu].endpoint(name)["id"]
        return (f"0000:{number >> 8:02x}:{number >> 3 & 31:02x}."
                f"{number & 7}")

    def types_are(self, wanted):
        """Both IOMMUs have the driver; each root's groups are of the type
        that WANTED has for it."""
        bound = self.linux.run(
            "ls -d /sys/bus/virtio/drivers/virtio_iommu/virtio*").split()
        same(len(bound), 2, "how many IOMMUs have the driver")
        for iommu, devices in ROOTS.items():
            for kind in ("nvme", "virtio-pci"):
                address = self.address(iommu, devices[kind])
                same(self.linux.driver(address), kind, f"driver of {address}")
                same(self.linux.group_type(address), wanted[iommu],
                     f"group type of {devices[kind]}")
                same(self.iommus[iommu].endpoint(devices[kind])["state"],
                     "bypass" if wanted[iommu] == "identity"
                     else "translated", f"state of {devices[kind]}")
            for other in set(ROOTS) - {iommu}:
                names = {entry["device"].rsplit("/", 1)[-1] for entry
                         in self.iommus[other].get("endpoints")}
                same(names & set(devices.values()), set(),
                     f"endpoints of {other} that are {iommu}'s")

    def lazy(self):
        """All are translated."""
        self.types_are({iommu: LAZY for iommu in ROOTS})

    def data(self):
        """All four disks."""
        for name, image in self.images.items():
            self.disk(name, image)

    def no_faults(self):
        """Nothing that the guest did on purpose faulted or was wrong."""
        same(self.linux.faults(), [], "fault reports in the guest's log")
        same(self.linux.splats(), [], "warnings in the guest's log")
        for name, iommu in self.iommus.items():
            same(iommu.mistakes(), {}, f"mistakes with {name}")
            same(iommu.refused(), {}, f"statuses of {name} other than OK")

    def identity_of_one(self):
        """One root's groups become identity, and DMA again, then the
        other's: the data is right all the time."""
        for iommu, devices in ROOTS.items():
            for kind in ("identity", LAZY):
                for driver in ("nvme", "virtio-pci"):
                    address = self.address(iommu, devices[driver])
                    status, out = self.linux.set_type(address, driver, kind)
                    same(status, 0, f"writing {kind}: {out}; status")
                self.types_are({each: kind if each == iommu else LAZY
                                for each in ROOTS})
                self.data()
        self.no_faults()

    def rebind(self):
        """Endpoints lose their driver and get it again."""
        for iommu, devices in ROOTS.items():
            for driver in ("nvme", "virtio-pci"):
                address = self.address(iommu, devices[driver])
                self.linux.unbind(address)
                same(self.linux.driver(address), None, f"driver of {address}")
                self.linux.bind(address, driver)
        self.data()
        self.no_faults()

    def hotplug(self):
        """A disk is plugged into a root port of each root, used, unplugged."""
        for iommu, bus in (("iommu", "hot0"), ("second", "hot1")):
            name = f"in-{bus}"      # QEMU lets go of the old one at leisure
            image = files.noise(
                self.machine.stderr_path.with_name(f"{name}.img"), 8)
            self.machine.qmp("blockdev-add", driver="raw", **{
                "node-name": name, "file": {"driver": "file",
                                            "filename": str(image)}})
            self.machine.qmp("device_add", driver="nvme", id=name, bus=bus,
                             drive=name, serial=name)
            self.disk(name, image)
            address = self.address(iommu, name)
            same(self.linux.group_type(address), LAZY, f"type of {name}")
            self.machine.qmp("device_del", id=name)
            self.linux.until(f"[ ! -e /sys/bus/pci/devices/{address} ]",
                             f"{name} leaves the guest")
        self.no_faults()

    def stray(self):
        """A stray access behind each root is in the guest's log with the
        number of the device."""
        for iommu, devices in ROOTS.items():
            address = self.address(iommu, devices["edu"])
            number = self.iommus[iommu].endpoint(devices["edu"])["id"]
            self.linux.adopt(address)
            for offset, value in ((0x80, 0xBAD1000), (0x88, EDU_BUFFER),
                                  (0x90, 64), (0x98, 1)):
                self.linux.register(address, 0, offset, value, 64)
            text = self.linux.until(
                f'dmesg | grep "EP {number} at 0xbad1000"',
                "the fault in the guest's log")
            check("virtio_iommu" in text, f"not its driver's: {text}")
            check(self.iommus[iommu].get("faults-reported") > 0,
                  f"{iommu} reported nothing")
        self.data()

    def reboot(self):
        """The guest reboots and finds everything as at first."""
        self.machine.agent.send("reboot -f")
        self.machine.boot()
        self.lazy()
        self.data()
        self.no_faults()


def two_roots(bench, folder):
    """The boot with two IOMMUs."""
    run(bench, lambda: TwoRoots(bench, folder), "two-roots", {
        "type": TwoRoots.lazy,
        "data": TwoRoots.data,
        "no-faults": TwoRoots.no_faults,
        "rebind": TwoRoots.rebind,
        "identity-of-one": TwoRoots.identity_of_one,
        "hotplug": TwoRoots.hotplug,
        "stray-dma-is-in-guest-log": TwoRoots.stray,
        "reboot": TwoRoots.reboot,
        "poweroff": TwoRoots.poweroff})


class NoDriver(Guest):
    """An initramfs without the IOMMU's driver.  The disk "root", behind a
    root port, is out of scope; "waits", beside it, and another root port may
    be in scope."""

    def __init__(self, bench, folder, name, scope):
        initrd = folder / "no-driver.initrd"
        guest.initrd(bench.kernel, initrd, without=("virtio_iommu",))
        self.images = {each: files.noise(folder / f"{each}.img", 8)
                       for each in ("root", "waits")}
        super().__init__(bench, folder, name, [
            *bench.iommu.arguments(f"scope={scope}"),
            *port("p", "pcie.0", 3, 1), *port("empty", "pcie.0", 4, 2),
            *disk_arguments("nvme", "root", self.images["root"], "bus=p"),
            *disk_arguments("virtio-pci", "waits", self.images["waits"],
                            "bus=pcie.0,addr=6.0")], initrd)

    def has_no_driver(self):
        """The test tests something."""
        same(self.linux.iommu_driver(), None, "the IOMMU's driver")

    def boot_disk(self):
        """The disk out of scope is there, with its data."""
        self.has_no_driver()
        self.disk("root", self.images["root"])

    def waiting(self):
        """The disk in scope is not: its driver waits for the IOMMU's."""
        same(self.linux.driver("0000:00:06.0"), None, "driver of the disk")

    def both(self):
        """No disk is in scope: both are there."""
        self.boot_disk()
        self.disk("waits", self.images["waits"])


def no_driver(bench, folder):
    """The boots without the driver."""
    run(bench, lambda: NoDriver(bench, folder, "no-driver", "4.0:6.0"),
        "no-driver", {
            "boot-disk": NoDriver.boot_disk,
            "disk-in-scope-waits": NoDriver.waiting,
            "poweroff": NoDriver.poweroff})
    run(bench, lambda: NoDriver(bench, folder, "no-driver-passthrough",
                                "passthrough"),
        "no-driver-passthrough", {"disks": NoDriver.both})


def run(bench, start, name, cases):
    """One boot and its cases."""
    names = {f"{name}/{key}": function for key, function in cases.items()}
    if not any(map(bench.results.wanted, names)):
        return
    if not bench.iommu.ours:
        bench.results.skip(f"{name}/all", "only our device can")
        return
    running = start()
    with running.machine:
        try:
            spent = running.machine.boot()
        except Exception as error:  # told as a failed case; others go on
            bench.results.result(False, f"{name}/boot", str(error))
            return
        bench.results.say(f"{name}: the guest is up after {spent:.1f} s")
        bench.results.result(True, f"{name}/boot")
        for key, function in names.items():
            bench.results.case(key, function, running)
