# SPDX-License-Identifier: GPL-2.0-or-later
"""Guests whose devices come and go: at the start, where the guest has done
nothing yet, and in a hot-plug slot."""

from cases import LAZY
from pvlab import host
from pvlab.passed import MEMORY_MIB, PORT_DISK
from pvlab.tap import check, same
from pvlab.wait import until

# Where the guest finds an emulated device
PLAIN = "0000:00:07.0"


def locked_at_start(lab, properties) -> float:
    """The memory locked before the guest's first instruction, in MiB."""
    with lab.start("start", properties=properties, more=("-S",)) as running:
        running.machine.qmp("query-status")
        locked = running.locked_mib()
    lab.results.note(f"{properties}: {locked:.1f} MiB locked")
    return locked


def starts(lab):
    """What holds before the guest runs."""
    def bypass():
        check(locked_at_start(lab, "boot-bypass=on") >= MEMORY_MIB,
              "the guest's memory is not locked")

    def blocked():
        lab.iommu.require_ours("promise about it")
        check(locked_at_start(lab, "boot-bypass=off") < 1,
              "memory is locked that the guest did not map")

    def order():
        lab.iommu.require_ours("word on the order of devices")
        early = ("-device", f"vfio-pci,host={host.NVME},id=early")
        with lab.start("order", more=early) as running:
            same(running.machine.wait(), 1, "QEMU's status")
            text = running.machine.stderr()
        lab.results.note(text)
        check("early" in text and "before" in text,
              "the message does not say what is wrong")

    lab.case("start/bypass-locks-guest-memory", bypass)
    lab.case("start/blocked-locks-nothing", blocked)
    lab.case("start/vfio-before-iommu-is-refused", order)


def hot_plug(lab):
    """The disk leaves the running guest and comes back."""
    plugged(lab, "hot-plug", "")


def scope(lab):
    """The same, where only passed-through devices are behind the IOMMU."""
    if lab.iommu.ours:
        plugged(lab, "scope", "scope=passthrough")


def plugged(lab, name, properties):
    """The disk in a hot-plug slot, and an emulated device, PLAIN."""
    names = [f"{name}/{case}" for case in (
        "read-equals-image", "emulated-device", "removed-lets-memory-go",
        "added-again", "poweroff")]
    if not lab.wanted(*names):
        return

    def first():
        cases.read()
        same(linux.group_type(PORT_DISK), LAZY, "type of the disk's group")

    def emulated():
        linux.adopt(PLAIN)
        same(linux.group_type(PLAIN), None if properties else LAZY,
             "type of the emulated device's group")

    def removed():
        running.machine.qmp("device_del", id="disk")
        linux.until(f"[ ! -e /sys/bus/pci/devices/{PORT_DISK} ]",
                    "the disk leaves the guest")
        until(lambda: not has_disk(), "QEMU lets go of the disk")
        until(lambda: running.locked_mib() < 1,
              "without a device no memory is locked")
        same(linux.splats(), [], "warnings in the guest's log")

    def has_disk():
        return any(entry["name"] == "disk" for entry in running.machine.qmp(
            "qom-list", path="/machine/peripheral"))

    def added():
        running.machine.qmp("device_add", driver="vfio-pci", id="disk",
                            host=host.NVME, bus="rp0")
        cases.read()
        cases.write()
        same(linux.group_type(PORT_DISK), LAZY, "type of the disk's group")

    with lab.start(name, port=True, properties=properties,
                   after=("-device", f"edu,addr={PLAIN[-4:]}")) as running:
        cases = lab.boot(running)
        linux = running.linux
        for case, function in zip(names, (first, emulated, removed, added,
                                          cases.poweroff)):
            lab.case(case, function)


GUESTS = (starts, hot_plug, scope)
