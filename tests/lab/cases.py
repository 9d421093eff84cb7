# SPDX-License-Identifier: GPL-2.0-or-later
"""What the lab's guests have in common: the cases that any of them runs."""

import re

from pvlab import board, host, kernel, relay, subject, tables, tap
from pvlab.passed import DISK, ENGINE, MEMORY_MIB, PassedGuest, \
    await_host_fault
from pvlab.tap import check, same

LAZY, STRICT = "DMA-FQ", "DMA"
# Locked memory that a translated guest may have at rest, in MiB
REST_MIB = 64


class Lab:
    """What all guests share."""

    def __init__(self, options, prefix=""):
        """PREFIX: what the name of every case begins with."""
        self.outside = relay.Outside()
        self.results = tap.Tap(only=options.only, say=self.outside.say,
                               done=options.done.split(","), prefix=prefix)
        self.shows_tables = tables.prepare()
        self.iommu = subject.Subject(options.device, options.plugin)
        self.kernel = kernel.debian(board.here().architecture)
        self.case = self.results.case

    def wanted(self, *names):
        """Whether any of these cases was asked for."""
        return any(map(self.results.wanted, names))

    def start(self, name, append="", linux=None, **how) -> PassedGuest:
        """A guest with the disk, not waited for.  LINUX: its kernel, if not
        the distribution's."""
        return PassedGuest(name, linux or self.kernel, self.iommu,
                           append=append, **how)

    def boot(self, running, kind=None) -> "Cases":
        """Wait for a guest; the boot is itself a case.  KIND: of cases, if
        not the usual."""
        name = running.machine.name
        spent = running.machine.boot()
        self.results.say(f"{name}: the guest is up after {spent:.1f} s")
        self.results.result(True, f"{name}/boot")
        return (kind or Cases)(self, running)


def requested(log) -> dict:
    """What the domains hold after the requests of a log."""
    domains, at = {}, {}
    for line in log:
        if " status=OK " not in line:
            continue
        kind = line.split()[0]
        value = {name: int(number, 0) for name, number in
                 re.findall(r"(\w+)=(0x[0-9a-f]+|[0-9]+)", line)}
        if kind in ("ATTACH", "DETACH"):
            left = at.pop(value["endpoint"], None)
            if kind == "ATTACH":
                at[value["endpoint"]] = value["domain"]
                domains.setdefault(value["domain"], tables.Domain())
            # its last endpoint takes a domain along
            if left not in at.values():
                domains.pop(left, None)
        elif kind == "MAP":
            domains[value["domain"]].map(*(value[name] for name in (
                "first", "last", "phys", "flags")))
        elif kind == "UNMAP":
            domains[value["domain"]].unmap(value["first"], value["last"])
    return domains


class Cases:
    """Cases of one running guest."""

    # VFIO's word on a device that has no reset is not ours to judge
    KNOWN = ("Cannot reset device",)

    def __init__(self, lab, running):
        self.lab = lab
        self.guest = running
        self.linux = running.linux
        self.machine = running.machine

    def type_is(self, wanted):
        """The IOMMU has its driver, the disk its group and driver."""
        check(self.linux.iommu_driver(), "virtio_iommu is bound to nothing")
        same(self.linux.driver(DISK), "nvme", "the disk's driver")
        same(self.linux.group_type(DISK), wanted, "type of the disk's group")

    def read(self):
        """What the guest reads is what is on the image outside."""
        self.linux.wait_block("nvme0n1")
        same(self.linux.read_sum("nvme0n1", 4), self.lab.outside.disk_sum(4),
             "first 4 MiB as the guest reads them")

    def write(self):
        """What the guest writes gets to the image outside."""
        wrote = self.linux.write_random("nvme0n1", 3, seek=5)
        same(self.lab.outside.disk_sum(3, 5), wrote, "3 MiB on the image")
        same(self.linux.read_sum("nvme0n1", 3, 5), wrote, "3 MiB read again")

    def host_holds(self):
        """The host's page tables hold for the disk what the guest asked for,
        page by page, and no more: how many pages."""
        memory = tables.GuestMemory(self.machine, lambda *_: None)
        memory.look()
        while True:
            before = self.guest.requests()
            memory.refresh()
            got = tables.of_host(host.NVME)
            if self.guest.requests() == before:     # nothing came between
                break
        got = {page: entry for page, entry in got.items()
               if page not in tables.DOORBELLS}
        disk = self.guest.device.endpoint("disk")
        wanted = memory.everything() if disk["state"] == "bypass" else \
            requested(before)[disk["domain"]].pages(memory)
        same(tables.difference(got, wanted), "", "the host's table")
        check(got, "the host has no table for the disk")
        return len(got)

    def figures(self, when):
        """Mappings and locked memory now, also noted."""
        if self.lab.shows_tables and self.guest.device:
            self.lab.results.note(f"{when}: {self.host_holds()} pages in the "
                                  "host's table, and they are right")
        mappings, locked = self.guest.mappings(), self.guest.locked_mib()
        self.lab.results.note(f"{when}: {mappings} mappings, "
                              f"{locked:.1f} MiB locked")
        return mappings, locked

    def change_type(self, wanted):
        """Change the type of the disk's group, and use the disk."""
        status, out = self.linux.set_type(DISK, "nvme", wanted)
        same(status, 0, f"writing {wanted}: {out}; status")
        same(self.linux.group_type(DISK), wanted, "type of the disk's group")
        self.read()
        self.write()

    def identity_and_back(self, back):
        """Translation off maps all of the guest's memory, on again only
        what the driver maps."""
        mappings, locked = self.figures("translated")
        check(locked < REST_MIB, f"{locked} MiB locked while translated")
        self.change_type("identity")
        none, all_locked = self.figures("identity")
        check(all_locked >= MEMORY_MIB, f"{all_locked} MiB locked in identity")
        self.change_type(back)
        again, locked = self.figures("translated again")
        check(locked < REST_MIB, f"{locked} MiB locked, translated again")
        if mappings is not None:
            check(mappings > 0 and again > 0, "no mappings while translated")
            same(none, 0, "mappings in identity")

    def device_agrees(self):
        """Our device tells the same of it, and nothing went wrong."""
        self.lab.iommu.require_ours("counters")
        device = self.guest.device
        way = "iommufd" if self.guest.iommufd else "container"
        disk = device.endpoint("disk")
        for key, value in (("state", "translated"), ("host-path", way),
                           ("host-device", host.NVME), ("fenced", False)):
            same(disk[key], value, f"the disk's {key}")
        for domain in device.get("domains"):
            if domain["id"] == disk["domain"]:
                same(domain["kind"], "paging", "the disk's domain")
                check(domain["mappings"] > 0, "no mappings in its domain")
        same(device.refusals(), 0, "host-refusals")
        same(device.mistakes(), {}, "the guest's mistakes")
        same(device.refused(), {}, "statuses other than OK")
        same(self.linux.splats(), [], "warnings in the guest's log")

    def stray_disk(self):
        """The disk fetches from an address that is not mapped: the host
        blocks it, and its log says so."""
        iova = 0x5BAD1000
        self.guest.stray_disk(iova)
        self.lab.results.note(await_host_fault(host.NVME, iova))
        self.linux.bind(DISK, "nvme")
        self.read()

    def stray_engine(self):
        """So does a second device, which has an empty domain."""
        iova = 0xBAD2000
        self.guest.stray_engine(iova)
        same(self.linux.group_type(ENGINE), STRICT, "type of its group")
        self.lab.results.note(await_host_fault(host.EDU, iova))

    def reboot(self, wanted):
        """The guest reboots and has its disk again."""
        self.machine.agent.send("reboot -f")
        self.machine.boot()
        self.type_is(wanted)
        self.read()
        self.write()

    def poweroff(self):
        """The guest powers off; QEMU ends well and has said nothing."""
        self.machine.agent.send("poweroff -f")
        same(self.machine.wait(), 0, "QEMU's status")
        if self.guest.iommu.ours:
            said = [line for line in self.machine.stderr().splitlines()
                    if not any(word in line for word in self.KNOWN)]
            same(said, [], "what QEMU printed")
