# SPDX-License-Identifier: GPL-2.0-or-later
"""Two functions that share an IOMMU group of the host: VFIO wants them in one
address space, so they move together and are locked for once."""

from pvlab import host, vfio
from pvlab.passed import MEMORY_MIB
from pvlab.tap import check, same

# Where the guest finds them: functions of one device there too
SLOTS = ("0000:00:07.0", "0000:00:07.1")


def siblings(lab):
    """A guest with the disk and both functions."""
    names = [f"siblings/{name}" for name in (
        "one-group-of-the-host", "locked-once", "translated-together",
        "poweroff")]
    if not lab.wanted(*names):
        return
    lab.iommu.require_ours("address space for a group of the host")
    nodes = [vfio.bind(address) for address in host.SIBLINGS]

    def one_group():
        same(nodes[0], nodes[1], "the functions' groups")
        for device in ("left", "right"):
            same(running.device.endpoint(device)["state"], "bypass",
                 f"state of {device}")

    def locked_once():
        # The disk's address space, and one for both functions
        locked = running.locked_mib()
        check(2 * MEMORY_MIB <= locked < 3 * MEMORY_MIB,
              f"{locked:.1f} MiB locked")

    def together():
        linux = running.linux
        for slot in SLOTS:
            linux.adopt(slot)
        domains = {running.device.endpoint(device).get("domain")
                   for device in ("left", "right")}
        check(len(domains) == 1 and None not in domains,
              f"they are in the domains {domains}")
        for device in ("left", "right"):
            same(running.device.endpoint(device)["state"], "translated",
                 f"state of {device}")
        same(running.device.refused(), {}, "statuses other than OK")
        check(running.locked_mib() < MEMORY_MIB,
              f"{running.locked_mib():.1f} MiB locked when translated")
        cases.read()

    after = ["-device", f"vfio-pci,host={host.SIBLINGS[0]},id=left,"
                        f"addr={SLOTS[0][-4:]},multifunction=on",
             "-device", f"vfio-pci,host={host.SIBLINGS[1]},id=right,"
                        f"addr={SLOTS[1][-4:]}"]
    with lab.start("siblings-start", more=("-S",), after=after) as running:
        running.machine.qmp("query-status")
        lab.case(names[0], one_group)
        lab.case(names[1], locked_once)
    with lab.start("siblings", after=after) as running:
        cases = lab.boot(running)
        lab.case(names[2], together)
        lab.case(names[3], cases.poweroff)


GUESTS = (siblings,)
