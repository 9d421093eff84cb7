# SPDX-License-Identifier: GPL-2.0-or-later
"""What requests cost, and what is pinned, without a guest."""

import os
import statistics
import subprocess
import time

from emulator import (BATCH, DATA, KIB, KINDS, MIB, PAGE, READ_WRITE, Cost,
                      Emulator, request)
from pvlab import driver, paths, vfio

# Pairs of requests: as many as this, or as take that many seconds, but some
MOST, SECONDS, LEAST = 160, 1, 3
SIZES = (4 * KIB, 64 * KIB, 2 * MIB)
BASE = 512              # MiB of guest memory where that is not varied
MEMORY = (512, 1024, 1536, 2048)
DEVICES = (1, 2, 4)
MANY = (200, 1000, 10000)
OURS = "ours, iommufd"
MAPPED = 64             # MiB that are mapped where all is blocked at start


def middle(costs) -> Cost:
    """The median of each part."""
    return Cost(*map(statistics.median, zip(*costs)))


def repeat(pair, probe=None) -> Cost:
    """Repeat a pair of requests: the median cost.  What takes seconds is
    done once, all else once more than is counted.  PROBE is made as often,
    in between, and the round trips of as many are taken off as NET."""
    def sample():
        cost = pair()
        probes = sum(probe().kick for _ in range(cost.requests)) \
            if probe else 0
        return cost._replace(net=cost.kick - probes)

    start = time.monotonic()
    once = sample()
    if time.monotonic() > start + SECONDS:
        return once
    costs = []
    while len(costs) < LEAST or (
            len(costs) < MOST and time.monotonic() < start + SECONDS):
        costs.append(sample())
    return middle(costs)


def node(address) -> str:
    """The file by which iommufd's users open a device that vfio-pci has."""
    name, = os.listdir(vfio.DEVICES / address / "vfio-dev")
    return f"/dev/vfio/devices/{name}"


def scattered(i) -> bytes:
    """The request that makes one of many mappings."""
    iova = 256 * MIB + 2 * i * PAGE
    return request(driver.MAP, iova, iova + PAGE - 1, DATA + i % 4096 * PAGE,
                   READ_WRITE)


def in_a_row(emulator, pair) -> float:
    """The median cost of a pair of requests, from pop to push, where one
    comes right after the other."""
    batch = list(pair) * (BATCH // 2)
    costs = emulator.iommu.batches([batch] * (MOST // BATCH))
    return statistics.median(
        cost[i] + cost[i + 1] for cost in costs
        for i in range(2, BATCH, 2))        # what comes first is woken up


class Timings:
    """All measurements that need no guest."""

    def __init__(self, addresses, tell, say):
        """ADDRESSES: the host's of the devices.  TELL: where a result goes,
        a dictionary.  SAY: where progress goes."""
        self.addresses = addresses
        self.tell = tell
        self.say = say

    def round(self, number, quick):
        """One round of all; the kinds take turns in another order each time.
        QUICK: the smallest machines only."""
        shapes = [(mib, 1) for mib in MEMORY] + \
            [(BASE, devices) for devices in DEVICES[1:]]
        if quick:
            shapes = [(BASE, devices) for devices in DEVICES[:2]]
        kinds = list(KINDS.values())
        for mib, devices in shapes:
            kinds = kinds[1:] + kinds[:1]
            if devices == 1:
                self.bare(number, mib)
            for kind in kinds:
                self.say(f"round {number}: {kind.name}, {devices} devices, "
                         f"{mib} MiB")
                self.visit(number, kind, mib, devices)

    def bare(self, number, mib):
        """The ioctls alone."""
        address = self.addresses[0]
        done = subprocess.run(
            [paths.BUILD / "bench/bench-bare", node(address), str(mib),
             str(MOST)], check=True, stdout=subprocess.PIPE, text=True)
        found = {}
        for line in done.stdout.splitlines():
            name, _, value = line.rpartition(" ")
            found.setdefault(name, []).append(int(value) / 1e3)
        for name, values in found.items():
            how, what, *size = name.split()
            self.tell(what=f"bare {what} {how}", round=number, mib=mib,
                      size=int(size[0]) if size else 0,
                      us=statistics.median(values))

    def visit(self, number, kind, mib, devices):
        """One machine and what is measured in it."""
        words = {"round": number, "kind": kind.name, "mib": mib,
                 "devices": devices}
        addresses = self.addresses[:devices]
        with Emulator(kind, addresses, mib) as emulator:
            self.pinned(emulator, words)
            self.alone(emulator, words)
            emulator.keep()
            self.idle(emulator, words)
            self.switches(emulator, words)
            if mib == BASE:
                self.maps(emulator, words)
            if devices == 2 and not number:
                self.many(emulator, words)      # this takes a while
        if mib == BASE and not number:
            with Emulator(kind, addresses, mib, bypass=False) as emulator:
                self.blocked(emulator, words)

    def result(self, what, cost, words, **more):
        """Tell of a cost."""
        self.tell(what=what, **words, **more, **cost._asdict())

    def pinned(self, emulator, words):
        """What the host has pinned of a guest in bypass."""
        self.tell(what="pinned", **words, **{
            field: emulator.machine.status_kib(field)
            for field in ("VmPin", "VmLck")})

    def blocked(self, emulator, words):
        """What it has pinned of one that maps some of its memory."""
        for endpoint in emulator.endpoints:
            emulator.attach(endpoint)
        emulator.map(DATA, MAPPED * MIB)
        self.tell(what="pinned, mapped", **words, **{
            field: emulator.machine.status_kib(field)
            for field in ("VmPin", "VmLck")})

    def idle(self, emulator, words):
        """What is there in each measurement: the way to the device and back,
        alone and with a request that changes nothing."""
        self.result("nothing", repeat(emulator.iommu.nothing), words)
        self.result("probe", repeat(emulator.probe), words)

    def alone(self, emulator, words):
        """Switch one device to a domain that is made and ends with that."""
        endpoint = emulator.endpoints[0]

        def pair():
            return emulator.attach(endpoint) + emulator.detach(endpoint)

        self.result("switch, new domain", repeat(pair, emulator.probe),
                    words)

    def switches(self, emulator, words):
        """Switch all devices to the domain and back to bypass."""
        def pair():
            total = Cost()
            for endpoint in emulator.endpoints:
                total += emulator.attach(endpoint)
            for endpoint in emulator.endpoints:
                total += emulator.detach(endpoint)
            return total

        self.result("switch", repeat(pair, emulator.probe), words)
        if words["kind"] == OURS and words["devices"] == 1:
            endpoint, = emulator.endpoints
            self.tell(what="switch in a row", **words, us=in_a_row(emulator, (
                request(driver.ATTACH, endpoint, 0),
                request(driver.DETACH, endpoint))))

    def maps(self, emulator, words):
        """Map and unmap with all devices in the domain."""
        for endpoint in emulator.endpoints:
            emulator.attach(endpoint)
        for size in SIZES:
            def pair(size=size):
                return emulator.map(128 * MIB, size, DATA + 4 * MIB) + \
                    emulator.unmap(128 * MIB, size)

            self.result("map", repeat(pair), words, size=size)
            if words["kind"] == OURS:
                first, last = 128 * MIB, 128 * MIB + size - 1
                self.tell(what="map in a row", **words, size=size,
                          us=in_a_row(emulator, (
                              request(driver.MAP, first, last,
                                      DATA + 4 * MIB, READ_WRITE),
                              request(driver.UNMAP, first, last))))
        for endpoint in emulator.endpoints:
            emulator.detach(endpoint)

    def many(self, emulator, words):
        """Switch a device to a domain of many mappings, in which another
        device is."""
        first, second = emulator.endpoints
        made = 0

        def pair():
            return emulator.attach(second) + emulator.detach(second)

        for count in MANY:
            wanted = [scattered(i) for i in range(made, count)]
            emulator.iommu.batches([wanted[i:i + BATCH] for i in
                                    range(0, len(wanted), BATCH)])
            made = count
            emulator.attach(first)
            self.result("switch, many", repeat(pair, emulator.probe), words,
                        mappings=count)
            emulator.detach(first)
