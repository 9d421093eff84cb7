# SPDX-License-Identifier: GPL-2.0-or-later
"""An emulator without a guest whose IOMMU is timed request by request."""

import os
import struct
from pathlib import Path
from typing import NamedTuple

from pvlab import driver, host, paths, qtest, virtio
from pvlab.subject import OURS, Subject
from pvlab.tap import same

KIB, MIB = 1 << 10, 1 << 20
PAGE = 4 * KIB
READ_WRITE = driver.READ | driver.WRITE
DOMAIN = 1
# In guest memory: the driver's own, and what is mapped
RING, DATA = 16 * MIB, 32 * MIB
# Where the passed-through devices are on the guest's bus, and one that is
# emulated and keeps the domain alive
SLOTS, KEEPER = (5, 6, 7, 8), 9
# Requests that are made at once: half of the queue, and CALLS_RECENT
BATCH = virtio.ENTRIES // 2
CALLS = struct.Struct(f"<{7 + BATCH}Q")
QUEUE_SELECT = 22


class Kind(NamedTuple):
    """An IOMMU, and the host's side of it."""
    name: str
    device: str
    properties: str
    iommufd: bool
    thread: str = ""

    def subject(self) -> Subject:
        """The IOMMU on the command line."""
        return Subject(self.device)

    def words(self, properties="") -> list[str]:
        """The words that bring it, if it is one, and the objects before
        it."""
        return ["-object", "iommufd,id=iommufd0"] * self.iommufd + \
            ["-object", self.thread] * bool(self.thread) + \
            (self.subject().arguments(",".join(filter(
                None, ["addr=4", self.properties, properties])))
             if self.device else [])

    def passed(self, address, slot) -> list[str]:
        """The words that pass a device of the host through."""
        return ["-device", f"vfio-pci,host={address},addr={slot}" +
                ",iommufd=iommufd0" * self.iommufd]


STOCK = "virtio-iommu-pci"
KINDS = {kind.name: kind for kind in (
    Kind("ours, iommufd", OURS, "", True),
    Kind("stock, iommufd", STOCK, "", True),
    Kind("ours, type1", OURS, "", False),
    Kind("stock, type1", STOCK, "", False),
    Kind("ours, container", OURS, "host-path=container", True))}
# A guest's tables on a host that walks them, and what it is measured beside
NONE, MAPPED, NESTED = "no IOMMU", "ours, MAP", "ours, nested"
WALKED = (
    Kind(NONE, "", "", True),
    Kind("stock, iommufd", STOCK, "", True),
    Kind(MAPPED, OURS, "", True),
    Kind(NESTED, OURS, "guest-tables=on", True))


# The request queue in a thread that polls, and what it is measured beside
THREAD = "iothread,id=io,poll-max-ns=4000000,poll-shrink=1"
ASKED, POLLED = "ours, iommufd", "ours, iothread"
THREADED = (
    Kind(NONE, "", "", True),
    Kind("stock, iommufd", STOCK, "", True),
    Kind(ASKED, OURS, "", True),
    Kind(POLLED, OURS, "iothread=io", True, THREAD))


class Cost(NamedTuple):
    """What one request took; times in microseconds."""
    kick: float = 0         # until the driver had the answer
    inside: float = 0       # of that, in the emulator
    handled: float = 0      # of that, from virtqueue_pop() to _push()
    calls: int = 0          # ioctls of VFIO and iommufd
    calls_inside: float = 0     # in those
    requests: int = 0
    net: float = 0          # of the first, without the way there and back

    def __add__(self, other):
        return Cost(*(a + b for a, b in zip(self, other)))


class Calls:
    """What bench/calls.c tells: struct Calls."""

    def __init__(self, path: Path):
        self._file = open(path, "rb", buffering=0)
        self._hz = self.read()[0]

    def read(self) -> tuple[int, ...]:
        """The struct as it is now."""
        return CALLS.unpack(os.pread(self._file.fileno(), CALLS.size, 0))

    def recent(self) -> list[float]:
        """Microseconds of each of the last BATCH requests, from pop to push;
        of an IOMMU that is not ours, zeros."""
        now = self.read()
        done, recent = now[6], now[7:]
        return [1e6 * recent[(done + i) % BATCH] / self._hz
                for i in range(BATCH)]

    def close(self):
        """It is of no more use."""
        self._file.close()

    def cost(self, before, nanoseconds) -> Cost:
        """What one command took since BEFORE was read."""
        now = self.read()
        same(now[1] - before[1], 1, "commands that were answered")
        inside, handled, calls, calls_inside = (
            new - old for new, old in zip(now[2:6], before[2:]))
        return Cost(nanoseconds / 1e3, 1e6 * inside / self._hz,
                    1e6 * handled / self._hz, calls,
                    1e6 * calls_inside / self._hz, 1)


def request(kind, *words) -> bytes:
    """A request on the domain, for Timed.batches()."""
    formats = {driver.ATTACH: "<B3xIII4x", driver.DETACH: "<B3xII8x",
               driver.MAP: "<B3xIQQQI", driver.UNMAP: "<B3xIQQ4x"}
    return struct.pack(formats[kind], kind, DOMAIN, *words)


class Timed(driver.Iommu):
    """The driver; it remembers what its last kick took."""

    def __init__(self, machine: qtest.Qtest, calls: Calls):
        self._calls = calls
        self.cost = None
        super().__init__(machine, 4, 0xE0000000, RING)

    def _timed(self, *command) -> Cost:
        before = self._calls.read()
        return self._calls.cost(before, self.qtest.time(*command))

    def kick(self, queue):
        """Neither device has an ioeventfd: the write is answered when all
        requests are."""
        self.cost = self._timed("writew", self._bells[queue], queue)

    def nothing(self) -> Cost:
        """A write to a register that asks for nothing."""
        return self._timed("writew",
                           self._where[virtio.COMMON] + QUEUE_SELECT, 0)

    def batches(self, batches) -> list[list[float]]:
        """Batches of BATCH requests, in bytes, each with one kick: of each
        batch the microseconds of its requests, from pop to push."""
        ring = self.memory(0)
        answers = ring + virtio.BUFFERS
        costs = []
        self._slots(2 * (slot % BATCH) for slot in range(virtio.ENTRIES))
        for requests in batches:
            where = answers + 4 * BATCH
            # In the order in which the next slots lead to the chains
            chains = [b""] * BATCH
            for i, request in enumerate(requests):
                chain = (self._counts[0] + i) % BATCH
                chains[chain] = struct.pack(
                    "<QIHHQIHH", where, len(request), virtio.NEXT,
                    2 * chain + 1, answers + 4 * chain, 4, virtio.WRITE, 0)
                where += len(request)
            self.qtest.write(answers,
                             b"\xff" * 4 * BATCH + b"".join(requests))
            self.qtest.write(ring, b"".join(chains))
            self._counts[0] += BATCH
            self.qtest.write(ring + virtio.AVAIL, struct.pack(
                "<HH", 0, self._counts[0] & 0xFFFF))
            self.kick(0)
            same(self.qtest.read(answers, 4 * BATCH)[::4], bytes(BATCH),
                 "statuses")
            costs.append(self._calls.recent())
        self._slots([0] * virtio.ENTRIES)       # as offer() has them
        return costs

    def _slots(self, chains):
        """What the slots of the ring hold."""
        self.qtest.write(self.memory(0) + virtio.AVAIL + 4, struct.pack(
            f"<{virtio.ENTRIES}H", *chains))


class Emulator:
    """The emulator, with COUNT devices behind its IOMMU."""

    def __init__(self, kind: Kind, addresses, mib, bypass=True):
        """ADDRESSES: the host's of the devices.  MIB: guest memory.
        BYPASS: whether endpoints start in bypass."""
        words = ["-machine", "q35", "-m", f"{mib}M"]
        words += kind.words("" if bypass else "boot-bypass=off")
        for address, slot in zip(addresses, SLOTS):
            words += kind.passed(address, slot)
        words += ["-device", f"edu,addr={KEEPER}"]
        told = Path("/run/bench.calls")
        told.unlink(missing_ok=True)
        self.qtest = qtest.Qtest(
            "bench", Path(host.SHARE), words,
            ("env", f"LD_AUDIT={paths.BUILD}/bench/bench-calls.so",
             f"BENCH_CALLS={told}"))
        self._calls = Calls(told)
        self.machine = self.qtest.machine
        self.iommu = Timed(self.qtest, self._calls)
        self.endpoints = [slot << 3 for slot in SLOTS[:len(addresses)]]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.qtest.close()
        self._calls.close()

    def ok(self, status) -> Cost:
        """The request that had this status was granted: its cost."""
        same(status, driver.OK, "status")
        return self.iommu.cost

    def attach(self, endpoint) -> Cost:
        """Attach to the domain."""
        return self.ok(self.iommu.attach(DOMAIN, endpoint))

    def detach(self, endpoint) -> Cost:
        """Detach from it."""
        return self.ok(self.iommu.detach(DOMAIN, endpoint))

    def map(self, first, size, phys=DATA) -> Cost:
        """Map in it."""
        return self.ok(self.iommu.map(DOMAIN, first, first + size - 1, phys,
                                      READ_WRITE))

    def unmap(self, first, size) -> Cost:
        """Unmap in it."""
        return self.ok(self.iommu.unmap(DOMAIN, first, first + size - 1))

    def probe(self) -> Cost:
        """PROBE, which changes nothing."""
        return self.ok(self.iommu.probe(self.endpoints[0])[0])

    def keep(self):
        """Have the emulated endpoint in the domain, with a few mappings."""
        self.attach(KEEPER << 3)
        for i in range(16):
            self.map(64 * MIB + i * PAGE, PAGE, DATA + i * PAGE)
