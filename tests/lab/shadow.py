# SPDX-License-Identifier: GPL-2.0-or-later
"""Tables of the guest's on a host that has to be told of them: after each
announcement the host's own page tables hold what the guest's table did."""

import os
import random
import re
import struct

import disks
import owned
from cases import LAZY, STRICT
from driven import A, BLOCKED
from owned import STATES, T1, T2, word
from pvlab import driver, host, kernel, qtest, tables, x86
from pvlab.passed import DISK, FOLDER
from pvlab.paths import Missing
from pvlab.tap import Skip, check, same
from replay import MIB, PAGE, tour

RAM = qtest.LAYOUT.ram
ROOTS = {T1: RAM + 24 * MIB, T2: RAM + 26 * MIB}
EVERYTHING = 1 << 40    # more than any of these tables maps
OPERATIONS = 150


class Announced(tables.Domain):
    """What hosts are to hold: pages as the guest announced them last."""

    def announce(self, entries, first, last):
        """ENTRIES: {page: (guest address, flags)}, of which those between
        the addresses are announced."""
        for page in [page for page in self.mappings
                     if first <= page <= last]:
            del self.mappings[page]
        for page, (phys, flags) in entries.items():
            if first <= page <= last:
                self.map(page, page + PAGE - 1, phys, flags)


class Guest(owned.Owner):
    """The machine, on a host that is told of its tables."""

    def __init__(self, *words, **more):
        self.entries = {}
        super().__init__(*words, **more)

    def tables_anew(self):
        """Empty tables."""
        self.tables = {domain: x86.Table(self.qtest, root)
                       for domain, root in ROOTS.items()}
        self.entries = {domain: {} for domain in ROOTS}

    def store(self, domain, first, pages, phys, flags=3):
        """Entries become present, or lead elsewhere, without a word."""
        self.tables[domain].map(first, RAM + phys, pages, x86.Table.LEAF
                                if flags & 2 else x86.READ_ONLY)
        for i in range(pages):
            self.entries[domain][first + i * PAGE] = (
                RAM + phys + i * PAGE, flags)

    def erase(self, domain, first, pages):
        """Entries are there no more, without a word."""
        self.tables[domain].unmap(first, pages)
        for i in range(pages):
            self.entries[domain].pop(first + i * PAGE, None)

    def announce(self, domain, first=0, size=EVERYTHING):
        """INVALIDATE."""
        last = first + size - 1
        same(self.iommu.invalidate(domain, first, last), driver.OK,
             f"INVALIDATE of {size:#x} at {first:#x}: status")
        self.domains[domain].announce(self.entries[domain], first, last)

    def attach_table(self, endpoint, domain, table=None, held=None):
        """All is announced by that."""
        super().attach_table(endpoint, domain, table or self.tables[domain],
                             held or Announced())
        self.domains[domain].announce(self.entries[domain], 0, EVERYTHING)


class Shadow:
    """The cases of one machine."""

    def __init__(self, guest: Guest, results):
        self.guest = guest
        self.results = results
        self.seed = int(os.environ.get("PVIOMMU_SEED",
                                       random.randrange(1 << 32)))

    def set_up(self):
        """A domain with mappings beside those with tables, which have some
        entries."""
        guest = self.guest
        guest.start()
        guest.tables_anew()
        guest.attach(guest.keeper, A)
        guest.map(A, 2 * MIB, 16 * PAGE, 4 * MIB)
        guest.store(T1, MIB, 16, 5 * MIB)
        guest.store(T1, 3 * MIB, 4, 6 * MIB, driver.READ)
        guest.store(T2, MIB, 8, 7 * MIB)

    def offered(self):
        """Both formats, of which the guest has to announce new entries."""
        status, properties = self.guest.iommu.probe(self.guest.engine.id)
        same(status, driver.OK, "PROBE: status")
        same([struct.unpack_from("<HH", body) for kind, body in properties
              if kind == driver.TABLE_FORMAT],
             [(driver.X86_64, 1), (driver.ARM_LPAE, 1)],
             "formats and their flags")

    def switch(self, before, after):
        """The engine goes from one state to another."""
        guest = self.guest
        if guest.state != before:
            guest.go(before)
        guest.compare()
        guest.go(after)
        guest.compare()

    def announced(self):
        """A store is not seen, what one request announces is."""
        guest = self.guest
        guest.go(T1)
        count = guest.compare()
        guest.store(T1, 8 * MIB, 256, 8 * MIB)
        guest.erase(T1, MIB, 2)
        guest.store(T1, 3 * MIB, 4, 12 * MIB)
        same(guest.compare(), count, "pages on the host, without a word")
        before = guest.device.requests().get("INVALIDATE", 0)
        guest.announce(T1, 8 * MIB, 256 * PAGE)
        same(guest.compare(), count + 256, "pages on the host")
        guest.announce(T1, MIB, 2 * PAGE)
        guest.announce(T1, 3 * MIB, 4 * PAGE)
        same(guest.compare(), count + 254, "pages on the host")
        same(guest.device.requests()["INVALIDATE"], before + 3, "requests")

    def cut(self):
        """Parts of what was announced as one go, and come back."""
        guest = self.guest
        guest.go(T1)
        guest.store(T1, 16 * MIB, 512, 8 * MIB)     # one large page, perhaps
        guest.announce(T1, 16 * MIB, 2 * MIB)
        guest.compare()
        for page in (0, 1, 511, 100):
            guest.erase(T1, 16 * MIB + page * PAGE, 1)
            guest.announce(T1, 16 * MIB + page * PAGE, PAGE)
            guest.compare()
        guest.store(T1, 16 * MIB, 512, 8 * MIB)
        guest.announce(T1)
        guest.compare()
        guest.erase(T1, 16 * MIB, 512)
        guest.announce(T1, 16 * MIB, 2 * MIB)
        guest.compare()

    def two_devices(self):
        """The disk is in the domain as well, comes and leaves."""
        guest = self.guest
        guest.go(T1)
        guest.attach_table(guest.disk, T1)
        guest.compare()
        guest.store(T1, 20 * MIB, 8, 14 * MIB)
        guest.announce(T1, 20 * MIB, 8 * PAGE)
        guest.compare()
        guest.go(T2)
        guest.compare()
        guest.erase(T1, 20 * MIB, 8)
        guest.announce(T1)
        guest.compare()
        guest.go(T1)
        guest.compare()
        guest.detach(guest.disk)
        guest.compare()

    def with_emulated(self):
        """So is one that QEMU emulates, which keeps the domain alive."""
        guest = self.guest
        guest.go(T1)
        guest.attach_table(guest.keeper, T1)
        guest.compare()
        guest.go(BLOCKED)
        same(guest.device.get("mappings"), 0, "mappings")
        # the host keeps no table for it, if it has one for each domain
        guest.tabled.discard(T1)
        guest.compare()
        guest.go(T1)
        guest.compare()
        guest.attach(guest.keeper, A)
        guest.compare()

    def random_operations(self):
        """Entries, announcements and switches, as chance has it."""
        guest, chance = self.guest, random.Random(self.seed)
        self.results.note(f"PVIOMMU_SEED={self.seed}")
        guest.go(T1)
        for step in range(OPERATIONS):
            domain = chance.choice((T1, T2))
            first = 32 * MIB + chance.randrange(64) * PAGE
            pages = chance.randrange(1, 16)
            kind = chance.random()
            if kind < 0.5:
                guest.store(domain, first, pages,
                            chance.randrange(20 * MIB // PAGE) * PAGE,
                            chance.choice((1, 3)))
            elif kind < 0.9:
                guest.erase(domain, first, pages)
            else:
                guest.go(chance.choice(STATES))
            if domain in guest.domains:
                if chance.random() < 0.2:
                    guest.announce(domain)
                else:
                    guest.announce(domain, first, pages * PAGE)
            try:
                guest.compare()
            except AssertionError as error:
                raise AssertionError(f"PVIOMMU_SEED={self.seed} step {step}: "
                                     f"{error}") from error

    def scattered(self):
        """A table of a thousand scattered pages, joined and left."""
        guest = self.guest
        guest.go(BLOCKED)
        for i in range(1000):
            guest.store(T2, 64 * MIB + i * 2 * PAGE, 1,
                        2 * MIB + (i * 331 % 5000) * PAGE)
        guest.go(T2)
        guest.compare()
        for i in range(0, 1000, 3):
            guest.erase(T2, 64 * MIB + i * 2 * PAGE, 1)
        guest.announce(T2)
        guest.compare()
        guest.go(T1)
        guest.compare()

    def hostile(self):
        """Tables without end and tables nowhere: nothing is reached but what
        they say, and the host is as before afterwards."""
        guest = self.guest
        guest.go(T1)
        endless = x86.Table(guest.qtest, RAM + 28 * MIB)
        for i in range(512):
            endless.store(endless.root + 8 * i,
                          endless.root | x86.Table.LEAF)
        same(guest.iommu.attach_table(13, guest.engine.id, endless),
             driver.NOMEM, "ATTACH_TABLE of a table without end: status")
        guest.compare()
        nowhere = x86.Table(guest.qtest, RAM + 28 * MIB)
        for root in (guest.engine_pci.bars[0], (1 << 51) - PAGE,
                     RAM + 512 * MIB):
            nowhere.root = root
            guest.entries[13] = {}
            guest.attach_table(guest.engine, 13, nowhere)
            guest.announce(13)
            guest.compare()
            guest.go(T1)        # the domain ends
            guest.compare()

    def reset(self, how):
        """A reset leaves no table, and opens what bypass opens."""
        guest = self.guest
        for bypass in (False, True):
            guest.go(T1)
            guest.compare()
            guest.set_bypass(bypass)
            guest.reset(how)
            guest.compare()
            self.set_up()

    def quiet(self):
        """The host refused nothing."""
        same(self.guest.device.refusals(), 0, "host-refusals")


CASES = [
    ("offered", Shadow.offered),
    *((f"{word(before)}-to-{word(after)}", Shadow.switch, before, after)
      for before, after in tour(STATES)),
    ("announced", Shadow.announced),
    ("cut", Shadow.cut),
    ("two-devices", Shadow.two_devices),
    ("with-emulated", Shadow.with_emulated),
    ("random-operations", Shadow.random_operations),
    ("scattered", Shadow.scattered),
    ("hostile", Shadow.hostile),
    ("device-reset", Shadow.reset, "device"),
    ("system-reset", Shadow.reset, "system"),
    ("quiet", Shadow.quiet)]


class Linux(owned.Linux):
    """Cases of Linux on a host that is told of its tables."""

    KNOWN = (*owned.Linux.KNOWN,
             "the guest is to announce what its tables map")

    def no_maps(self):
        """Also, its domain has what was announced."""
        super().no_maps()
        device = self.guest.device
        disk = device.endpoint("disk")
        for domain in device.get("domains"):
            if domain["id"] == disk["domain"]:
                same(domain["kind"], "table", "the disk's domain")
                check(domain["mappings"] > 0, "no mappings in its domain")

    def host_holds(self):
        """The host's page tables hold for the disk what Linux's own table
        maps, page by page, and no more: how many pages.  Between them is what
        a lazy guest has taken out and not yet said."""
        disk = self.guest.device.endpoint("disk")
        memory = tables.GuestMemory(self.machine, lambda *_: None)
        memory.look()
        if disk["state"] == "bypass":
            got = tables.of_host(host.NVME)
            same(tables.difference(got, memory.everything()), "",
                 "the host's table in bypass")
            return len(got)
        dump = FOLDER / "table.page"

        def read(address):
            self.machine.qmp("pmemsave", val=address, size=PAGE,
                             filename=str(dump))
            return dump.read_bytes()

        while True:
            before = self.guest.requests()
            root = [line for line in before if f" domain={disk['domain']} " in
                    line and line.startswith("ATTACH_TABLE ")][-1]
            root = int(re.search(r" root=(0x[0-9a-f]+)", root).group(1), 0)
            linux = tables.Domain()
            for first, size, phys, flags in x86.walk(read, root):
                linux.map(first, first + size - 1, phys, flags)
            memory.refresh()
            got = tables.of_host(host.NVME)
            if self.guest.requests() == before:     # nothing came between
                break
        wanted = linux.pages(memory)
        if self.linux.group_type(DISK) == LAZY:
            same({page: got.get(page) for page in wanted}, wanted,
                 "what Linux maps, on the host")
        else:
            same(tables.difference(got, wanted), "", "the host's table")
        check(got, "the host has no table for the disk")
        return len(got)


def linux_guest(lab, way):
    """Linux as the guest, with the disk, by type1 or iommufd."""
    try:
        linux = kernel.patched()
    except Missing as reason:
        raise Skip(str(reason)) from reason
    for mode, append in ((LAZY, "iommu.strict=0"), (STRICT, "iommu.strict=1")):
        name = f"shadow-{way}-{'lazy' if mode == LAZY else 'strict'}"
        rows = [("type", Linux.type_is, mode), ("no-maps", Linux.no_maps),
                *disks.tables(lab, Linux), ("clean", Linux.clean)]
        if mode == LAZY:
            rows += [("identity-and-back", Linux.identity_and_back, mode),
                     ("stray-dma-of-disk-is-in-host-log", Linux.stray_disk),
                     ("reboot", Linux.reboot, mode),
                     ("no-maps-again", Linux.no_maps),
                     ("poweroff", Linux.poweroff)]
        disks.run(lab, name, rows, append, kind=Linux, linux=linux,
                  iommufd=way == "iommufd",
                  properties="guest-tables=on,keep-bypass=off")


def shadow(lab):
    """Over VFIO's type1, as Debian's kernel has it."""
    linux_guest(lab, "type1")


def cases(lab, backend):
    """All cases over one kind of container."""
    names = [f"{backend}/shadow/{row[0]}" for row in CASES]
    if not lab.wanted(*names):
        return
    with Guest(f"{backend}-shadow", lab.iommu, backend,
               "guest-tables=on") as guest:
        cases_of = Shadow(guest, lab.results)
        cases_of.set_up()
        guest.go(BLOCKED)
        for name, (_, function, *words) in zip(names, CASES):
            lab.results.case(name, function, cases_of, *words)


def linux_cases(lab):
    """Linux over host page tables of our own, where the host's can be seen."""
    linux_guest(lab, "iommufd")
