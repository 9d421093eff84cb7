# SPDX-License-Identifier: GPL-2.0-or-later
"""Guests whose devices come and go: at the start, where the guest has done
nothing yet, and in a hot-plug slot."""

import time

from cases import LAZY
from pvlab import host
from pvlab.passed import MEMORY_MIB, PORT_DISK
from pvlab.tap import check, same


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
            same(running.machine.wait(30), 1, "QEMU's status")
            text = running.machine.stderr()
        lab.results.note(text)
        check("early" in text and "before" in text,
              "the message does not say what is wrong")

    lab.case("start/bypass-locks-guest-memory", bypass)
    lab.case("start/blocked-locks-nothing", blocked)
    lab.case("start/vfio-before-iommu-is-refused", order)


def hot_plug(lab):
    """The disk leaves the running guest and comes back."""
    names = [f"hot-plug/{name}" for name in (
        "read-equals-image", "removed-lets-memory-go", "added-again",
        "poweroff")]
    if not lab.wanted(*names):
        return

    def first():
        cases.read()
        same(linux.group_type(PORT_DISK), LAZY, "type of the disk's group")

    def removed():
        running.machine.qmp("device_del", id="disk")
        deadline = time.monotonic() + 60
        while linux.ask(f"test -e /sys/bus/pci/devices/{PORT_DISK}"
                        )[0] == 0 or has_disk():
            check(time.monotonic() < deadline, "the disk did not leave")
            time.sleep(0.5)
        check(running.locked_mib() < 1,
              f"{running.locked_mib():.1f} MiB are locked without a device")
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

    with lab.start("hot-plug", port=True) as running:
        cases = lab.boot(running)
        linux = running.linux
        lab.case(names[0], first)
        lab.case(names[1], removed)
        lab.case(names[2], added)
        lab.case(names[3], cases.poweroff)


GUESTS = (starts, hot_plug)
