# SPDX-License-Identifier: GPL-2.0-or-later
"""The host's SMMU walks tables of the guest's, which is the test itself: what
a DMA engine reaches, and what the host holds."""

import struct

import disks
import owned
from cases import LAZY, STRICT, Cases
from driven import A, BLOCKED
from engine import Engine, Reach
from owned import STATES, T1, T2, word
from pvlab import driver, host, kernel, lpae, qtest, smmu, tables
from pvlab.passed import DISK, host_faults
from pvlab.tap import check, same
from pvlab.wait import until
from replay import KIB, MIB, PAGE, tour

RAM = qtest.LAYOUT.ram
OTHER = 13              # one more domain that is a table
IOVA = 2 * MIB
PLACES = {A: RAM + 4 * MIB, T1: RAM + 5 * MIB, T2: RAM + 6 * MIB}
ROOTS = {T1: RAM + 16 * MIB, T2: RAM + 18 * MIB, OTHER: RAM + 20 * MIB}
# Of context descriptors, at the end of what stage 2 translates
DESCRIPTORS = 4
HIGH = 1 << 30          # pages from here on are none of the guest's
MSI = (0x8000000, 0x80FFFFF)


class Watched(Engine):
    """An engine whose faults the guest is told of, not the host."""

    def faults(self, iova) -> int:
        """How many the guest was told of, or would have been with buffers."""
        device = self.guest.device
        return device.get("faults-reported") + device.get("faults-dropped")


class Guest(owned.Owner):
    """The machine, on a host that walks its tables."""

    nests = False           # whether there was one

    def tables_anew(self):
        """Each with one page."""
        for domain, root in ROOTS.items():
            self.tables[domain] = lpae.Table(self.qtest, root)
        for domain in (T1, T2):
            self.tables[domain].map(IOVA, PLACES[domain])

    def attach_table(self, endpoint, domain, table=None, held=None):
        """Also, the SMMU has it then."""
        table = table or self.tables[domain]
        super().attach_table(endpoint, domain, table, held)
        self.nests = True
        if endpoint.address:
            same(smmu.guest_table(endpoint.address),
                 (table.root, table.bits, table.attributes),
                 "the table that the SMMU walks")

    def held(self, endpoint):
        """All but context descriptors, and doorbells."""
        return {page: entry
                for page, entry in super().held(endpoint).items()
                if page < HIGH and page not in tables.DOORBELLS}

    def own_pages(self):
        """The context descriptors, as long as there is what they are in."""
        return DESCRIPTORS if self.nests else 0


class Nested(Reach):
    """The cases of one machine."""

    def __init__(self, guest: Guest):
        super().__init__(guest, Watched(guest, guest.engine_pci, host.EDU))

    def set_up(self):
        """A domain with mappings beside those with tables."""
        guest = self.guest
        guest.start()
        guest.tables_anew()
        self.set_keeper()

    def offered(self):
        """One format, without a word on new entries, and where the table
        has to lead for interrupts."""
        guest = self.guest
        status, properties = guest.iommu.probe(guest.engine.id)
        same(status, driver.OK, "PROBE: status")
        formats = [struct.unpack("<HHQQ", body) for kind, body in properties
                   if kind == driver.TABLE_FORMAT]
        same([each[:2] for each in formats], [(driver.ARM_LPAE, 0)],
             "formats and their flags")
        regions = sorted(
            struct.unpack("<B3xQQ", body) for kind, body in properties
            if kind == driver.RESV_MEM)
        covered = MSI[0]
        for kind, first, last in regions:
            if kind == driver.MSI and first == covered:
                covered = last + 1
        same(covered, MSI[1] + 1, f"end of what is MSI in {regions}")

    def switch(self, before, after):
        """A switch: the old place is out of reach, the new one is not."""
        guest = self.guest
        if guest.state != before:
            guest.go(before)
        guest.compare()
        if before in PLACES:
            self.reaches(IOVA, PLACES[before])
        guest.go(after)
        guest.compare()
        others = [place for state, place in PLACES.items() if state != after]
        if after in PLACES:
            marks = [self.mark(place) for place in others]
            self.reaches(IOVA, PLACES[after])
        else:           # the engine's addresses do not reach RAM
            marks = [self.mark(place) for place in others]
            self.engine.store(IOVA)
        for place, mark in zip(others, marks):
            check(self.page(place) == mark,
                  f"{place:#x} was written in state {word(after)}")

    def without_request(self):
        """An entry that becomes present needs none."""
        guest, table = self.guest, self.guest.tables[T1]
        guest.go(T1)
        self.misses(7 * MIB, [RAM + 7 * MIB])
        before = guest.device.requests()
        table.map(7 * MIB, RAM + 7 * MIB)
        self.reaches(7 * MIB, RAM + 7 * MIB)
        same(guest.device.requests(), before, "requests")
        table.unmap(7 * MIB)
        self.invalidate(7 * MIB, PAGE)
        self.misses(7 * MIB, [RAM + 7 * MIB])

    def invalidate(self, first, size):
        """INVALIDATE for T1."""
        same(self.guest.iommu.invalidate(T1, first, first + size - 1),
             driver.OK, "INVALIDATE: status")

    def invalidated(self, pages):
        """What led to one place leads to another, or nowhere, in one
        request."""
        guest, table = self.guest, self.guest.tables[T1]
        iova, old, new = 8 * MIB, RAM + 8 * MIB, RAM + 10 * MIB
        last = (pages - 1) * PAGE
        guest.go(T1)
        table.map(iova, old, pages)
        for offset in {0, last}:
            self.reaches(iova + offset, old + offset)
        table.map(iova, new, pages)
        self.invalidate(iova, pages * PAGE)
        for offset in {0, last}:
            self.reaches(iova + offset, new + offset)
        table.unmap(iova, pages)
        self.invalidate(iova, pages * PAGE)
        for offset in {0, last}:
            self.misses(iova + offset, [old + offset, new + offset])

    def all_invalidated(self):
        """Everything, in one request."""
        guest, table = self.guest, self.guest.tables[T1]
        guest.go(T1)
        table.map(9 * MIB, RAM + 9 * MIB)
        self.reaches(9 * MIB, RAM + 9 * MIB)
        table.unmap(9 * MIB)
        same(guest.iommu.invalidate(T1), driver.OK, "INVALIDATE: status")
        self.misses(9 * MIB, [RAM + 9 * MIB])
        self.reaches(IOVA, PLACES[T1])

    def read_only(self):
        """What may be read cannot be written."""
        guest, table = self.guest, self.guest.tables[T1]
        iova, place = 11 * MIB, RAM + 11 * MIB
        guest.go(T1)
        table.map(iova, place, flags=lpae.LEAF | lpae.READ_ONLY)
        wanted = self.misses(iova, [place], read=False)[0]
        self.engine.fetch(iova)
        self.mark(PLACES[T1])
        self.engine.store(IOVA)
        check(self.page(PLACES[T1]) == wanted, "it cannot be read")
        table.unmap(iova)
        self.invalidate(iova, PAGE)

    def big_page(self):
        """2 MiB by one entry."""
        guest, table = self.guest, self.guest.tables[T1]
        iova, place = 12 * MIB, RAM + 12 * MIB
        guest.go(T1)
        where = table.entry(iova, 2)
        table.store(where, place | lpae.LEAF)
        self.reaches(iova, place)
        self.reaches(iova + 2 * MIB - PAGE, place + 2 * MIB - PAGE)
        table.store(where, 0)
        self.invalidate(iova, 2 * MIB)
        self.misses(iova, [place])

    def widths(self):
        """Each width: the last address is reached, if the engine has it."""
        guest = self.guest
        for bits in range(39, 49):
            table = lpae.Table(guest.qtest, ROOTS[OTHER], bits)
            table.map(IOVA, RAM + 7 * MIB)
            guest.attach_table(guest.engine, OTHER, table)
            self.reaches(IOVA, RAM + 7 * MIB)
            guest.detach(guest.engine)
            guest.state = None

    def two_devices(self):
        """Both on one table, then each on its own."""
        guest = self.guest
        guest.go(T1)
        guest.attach_table(guest.disk, T1)
        guest.compare()
        self.reaches(IOVA, PLACES[T1])
        guest.attach_table(guest.disk, T2)
        guest.compare()
        self.reaches(IOVA, PLACES[T1])
        guest.go(T2)
        self.reaches(IOVA, PLACES[T2])
        guest.detach(guest.disk)
        guest.compare()

    def with_emulated(self):
        """A device that QEMU translates for, in the same domain."""
        guest = self.guest
        guest.go(T1)
        guest.attach_table(guest.keeper, T1)
        self.reaches(IOVA, PLACES[T1])
        self.invalidated(1)
        self.set_keeper()

    def set_keeper(self):
        """The emulated device back where it was."""
        guest = self.guest
        guest.attach(guest.keeper, A)
        guest.map(A, IOVA, PAGE, PLACES[A] - RAM)

    def refused(self):
        """Requests that the SMMU need not be asked about leave all as it
        was."""
        guest, iommu = self.guest, self.guest.iommu
        guest.go(T1)
        wrong = lpae.Table(guest.qtest, ROOTS[OTHER])
        wrong.FORMAT = driver.X86_64
        wrong.attributes = 0
        same(iommu.attach_table(OTHER, guest.engine.id, wrong), driver.UNSUPP,
             "a format that it has not: status")
        same(iommu.attach_table(T1, guest.engine.id, guest.tables[T2]),
             driver.INVAL, "another root for a domain: status")
        same(iommu.map(T1, 0, PAGE - 1, RAM, driver.READ), driver.INVAL,
             "MAP: status")
        same(iommu.invalidate(T1, 0, 2 * KIB - 1), driver.RANGE,
             "half a page: status")
        same(iommu.invalidate(A), driver.INVAL, "a domain with mappings: "
             "status")
        guest.compare()
        self.reaches(IOVA, PLACES[T1])

    def hostile(self):
        """Roots and entries that lead where no RAM is: nothing is reached,
        and nobody else is hurt."""
        guest, table = self.guest, self.guest.tables[T1]
        engine = guest.engine_pci.bars[0]
        for root in (0, engine, (1 << 48) - PAGE, RAM + 512 * MIB):
            bad = lpae.Table(guest.qtest, ROOTS[OTHER])
            bad.root = root
            guest.attach_table(guest.engine, OTHER, bad)
            marks = [self.mark(place) for place in PLACES.values()]
            self.engine.store(IOVA)
            same([self.page(place) for place in PLACES.values()], marks,
                 "what is in memory")
            guest.detach(guest.engine)
        guest.go(T1)
        for entry in (RAM + 512 * MIB, engine, (1 << 48) - PAGE, RAM | 3 << 48,
                      (1 << 64) - PAGE):
            table.store(table.entry(13 * MIB),
                        entry | lpae.LEAF | lpae.TABLE)
            self.invalidate(13 * MIB, PAGE)
            self.engine.store(13 * MIB)
        # to itself, at every level
        table.store(table.entry(1 << 27, 0) & ~0xFFF | 8,
                    table.root | lpae.TABLE | lpae.VALID)
        table.unmap(13 * MIB)
        self.invalidate(13 * MIB, PAGE)
        guest.compare()
        self.reaches(IOVA, PLACES[T1])

    def descriptors(self):
        """The context descriptors can be read by the device, as the guest
        may place them in its table, and not written."""
        guest, table = self.guest, self.guest.tables[T1]
        guest.go(T1)
        before = smmu.guest_table(host.EDU)
        own = [page for page in tables.of_host(host.EDU) if page >= HIGH]
        same(len(own), DESCRIPTORS, "pages that are not the guest's")
        for page in own:
            table.map(14 * MIB, page << 12)
            self.invalidate(14 * MIB, PAGE)
            self.engine.store(14 * MIB)
        same(smmu.guest_table(host.EDU), before, "the table of the engine")
        self.reaches(IOVA, PLACES[T1])
        table.unmap(14 * MIB)
        self.invalidate(14 * MIB, PAGE)

    def reset(self, how):
        """A reset leaves no table, and opens what bypass opens."""
        guest = self.guest
        for bypass in (False, True):
            guest.go(T1)
            self.reaches(IOVA, PLACES[T1])
            guest.set_bypass(bypass)
            guest.reset(how)
            guest.compare()
            same(smmu.guest_table(host.EDU), None, "the table that is walked")
            self.set_up()

    def quiet(self):
        """Nobody had to say anything of all that."""
        same(self.guest.device.refusals(), 0, "host-refusals")
        self.guest.said_nothing()


CASES = [
    ("offered", Nested.offered),
    *((f"{word(before)}-to-{word(after)}", Nested.switch, before, after)
      for before, after in tour(STATES)),
    ("new-entries-need-no-request", Nested.without_request),
    ("invalidate-a-page", Nested.invalidated, 1),
    ("invalidate-64-pages", Nested.invalidated, 64),
    ("invalidate-65-pages", Nested.invalidated, 65),
    ("invalidate-all", Nested.all_invalidated),
    ("read-only", Nested.read_only),
    ("big-page", Nested.big_page),
    ("widths", Nested.widths),
    ("two-devices", Nested.two_devices),
    ("with-emulated", Nested.with_emulated),
    ("refused", Nested.refused),
    ("hostile", Nested.hostile),
    ("descriptors", Nested.descriptors),
    ("device-reset", Nested.reset, "device"),
    ("system-reset", Nested.reset, "system"),
    ("quiet", Nested.quiet)]


class Linux(owned.Linux):
    """Cases of Linux on a host that walks its tables."""

    def has_table(self):
        """The SMMU walks a table in the guest's memory."""
        check(smmu.guest_table(host.NVME), "the SMMU has no table of it")
        same(self.guest.device.endpoint("disk")["state"], "translated",
             "the disk's state")

    def identity_and_back(self, back):
        """Translation off, by the same host page table, and on again."""
        self.change_type("identity")
        same(smmu.guest_table(host.NVME), None, "the table that is walked")
        self.change_type(back)
        self.has_table()

    def stray_disk(self):
        """The disk fetches from an address that is not mapped: the guest is
        told, and the host's log is not filled by it."""
        iova = 0x5BAD1000
        self.guest.stray_disk(iova)
        until(self.linux.faults, "a fault report in the guest's log")
        same(host_faults(host.NVME, iova), [], "faults in the host's log")
        self.linux.bind(DISK, "nvme")
        self.read()


def linux_guest(lab):
    """Linux as the guest, with the disk."""
    for name, append, mode in (("nested-lazy", "iommu.strict=0", LAZY),
                               ("nested-strict", "iommu.strict=1", STRICT)):
        rows = [("type", Linux.type_is, mode), ("has-table", Linux.has_table),
                ("no-requests", Linux.no_maps), ("clean", Linux.clean),
                ("identity-and-back", Linux.identity_and_back, mode),
                ("stray-dma-is-told", Linux.stray_disk),
                ("reboot", Linux.reboot, mode),
                ("has-table-again", Linux.has_table),
                ("poweroff", Linux.poweroff)]
        disks.run(lab, name, rows if mode == LAZY else rows[:4], append,
                  kind=Linux, linux=kernel.patched("arm64"), iommufd=True,
                  properties="guest-tables=on")
    disks.run(lab, "nested-unpatched", [
        ("type", Cases.type_is, LAZY), ("read-equals-image", Cases.read),
        ("write-reaches-image", Cases.write),
        ("poweroff", Cases.poweroff)], "iommu.strict=0", iommufd=True,
        properties="guest-tables=on")


def cases(lab):
    """All cases."""
    names = [f"nested/{row[0]}" for row in CASES]
    if not lab.wanted(*names):
        return
    with Guest("nested", lab.iommu, "iommufd", "guest-tables=on") as guest:
        nested = Nested(guest)
        nested.set_up()
        guest.go(BLOCKED)
        for name, (_, function, *words) in zip(names, CASES):
            lab.results.case(name, function, nested, *words)
