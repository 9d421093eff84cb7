# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest that is the test itself: two devices passed through, our IOMMU,
and a model of what the host must hold for each."""

from pathlib import Path

from pvlab import driver, host, qtest, tables
from pvlab.device import Device
from pvlab.tap import check, same
from pvlab.wait import until

FOLDER = Path(host.SHARE)
RAM_MIB = 32
RING = 0x1F00000        # the driver's own; everything below is for the tests
PORT_BUS = 1            # behind the root port, if there is one
A, B = 1, 2             # domains, kept alive by the disk and an emulated one
BLOCKED, BYPASS, BYPASS_DOMAIN = "blocked", "bypass", "bypass-domain"
ALL = 7                 # the domain that only bypasses


class Endpoint:
    """A function behind the IOMMU."""

    def __init__(self, number, address=None, **how):
        """NUMBER: its id.  ADDRESS: the host's name of it; None if it is
        emulated.  HOW: properties that say where the guest finds it."""
        self.id = number
        self.address = address
        self.how = how
        self.node = None        # the file to pass instead of the address
        self.domain = None
        self.mates = ()         # others of its IOMMU group of the host


class Driven:
    """The machine, its devices and the model."""

    def __init__(self, name, subject, backend="type1", properties="", *,
                 port=False, more=(), also=None):
        """BACKEND: type1, iommufd, iothread: that, with the request queue in
        one, or container: that of QEMU's own code over iommufd.  PORT: the
        engine can be unplugged.  MORE: words for QEMU.  ALSO: further
        endpoints, by name, that are passed through."""
        self.backend = "iommufd" if backend == "iothread" else backend
        words = [*qtest.LAYOUT.words, "-m", f"{RAM_MIB}M", *more]
        own = {"container": "host-path=container", "iothread": "iothread=io"}
        properties = ",".join(filter(None, [properties, own.get(backend)]))
        if backend == "iothread":
            words += ["-object", "iothread,id=io,poll-max-ns=1000000"]
        if backend != "type1":
            words += ["-object", "iommufd,id=iommufd0"]
        words += subject.arguments(
            ",".join(filter(None, ["addr=4", properties])))
        self.disk = Endpoint(5 << 3, host.NVME, addr="5")
        self.engine = Endpoint(6 << 3, host.EDU, addr="6")
        self.keeper = Endpoint(7 << 3)
        if port:
            # without a function 0, the guest is not asked whether it leaves
            self.engine = Endpoint(PORT_BUS << 8 | 1, host.EDU, bus="rp0",
                                   addr="0.1")
            words += ["-global",
                      "ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off",
                      "-device", "pcie-root-port,id=rp0,addr=6,chassis=1"]
        self.passed = {"disk": self.disk, "engine": self.engine,
                       **(also or {})}
        self._endpoints = [*self.passed.values(), self.keeper]
        for what, endpoint in self.passed.items():
            words += ["-device", ",".join(
                f"{key}={value}"
                for key, value in self._description(what, endpoint).items())]
        words += ["-device", "edu,addr=7"]
        self.qtest = qtest.Qtest(name, FOLDER, words)
        self.machine = self.qtest.machine
        self.device = Device(self.machine)
        self.domains = {}
        # Tables that all devices share, kept when none is on them
        self.bypass_table = False
        self.tabled = set()     # domains that have one
        self.bypass_at_start = "boot-bypass=off" not in properties
        self.bypass = self.bypass_at_start
        self.state = None       # where the engine was taken last
        self.port = qtest.Port(self.qtest, 6) if port else None
        self.engine_pci = qtest.Function(
            self.qtest, self.engine.id >> 3 & 31, self.engine.id & 7,
            self.engine.id >> 8)
        self.functions = {host.EDU: self.engine_pci}    # that have BARs
        self.memory = tables.GuestMemory(self.machine, self._host_bar)
        self.iommu = None
        self.memory.look()
        self._note()

    def _description(self, what, endpoint) -> dict:
        """What makes a passed-through device."""
        description = {"driver": "vfio-pci", "id": what, **endpoint.how}
        if endpoint.node:
            description["fd"] = what
        else:
            description["host"] = endpoint.address
        if self.backend != "type1":
            description["iommufd"] = "iommufd0"
        return description

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.qtest.close()

    def start(self):
        """Bring the IOMMU's driver up, the engine's BAR and bus mastering."""
        if self.iommu:
            self.iommu.start()
        else:
            self.iommu = driver.Iommu(self.qtest, 4, qtest.LAYOUT.bars,
                                      qtest.LAYOUT.ram + RING)
        if self.port:
            self.port.open(PORT_BUS)
        self.engine_pci.place(0, qtest.LAYOUT.bars + 0x100000)
        self.engine_pci.enable()
        self.memory.look()

    def _host_bar(self, name, bar, address):
        """iommufd of Linux 6.12 maps no BARs."""
        if self.backend != "type1":
            return None
        base = self.functions[name].bars[bar]
        lines = Path(f"/sys/bus/pci/devices/{name}/resource").read_text()
        start = int(lines.splitlines()[bar].split()[0], 16)
        return start + (address - base) >> tables.PAGE_BITS

    def _note(self):
        """Devices have moved: remember which tables the host has now."""
        for endpoint in self.passed.values():
            domain = self._domain(endpoint)
            if domain is None:
                self.bypass_table |= self.bypass
            elif self.domains[domain] is None:
                self.bypass_table = True
            else:
                self.tabled.add(domain)
        self.tabled &= set(self.domains)

    def _domain(self, endpoint):
        """What is attached takes the others of its host group along."""
        for one in (endpoint, *endpoint.mates):
            if one.domain is not None:
                return one.domain
        return None

    # Requests, each also to the model

    def attach(self, endpoint, domain, flags=0):
        """Attach; a domain that is left by its last endpoint is gone."""
        same(self.iommu.attach(domain, endpoint.id, flags), driver.OK,
             f"ATTACH of {endpoint.id:#x} to {domain}: status")
        self._leave(endpoint)
        endpoint.domain = domain
        if flags:
            self.domains[domain] = None
        else:
            self.domains.setdefault(domain, tables.Domain())
        self._note()

    def attach_table(self, endpoint, domain, table, held=None):
        """Attach to a domain that is a table of the guest's.  HELD: what the
        host holds of one that is made by that; None if it walks the table,
        below which it has all of memory."""
        same(self.iommu.attach_table(domain, endpoint.id, table), driver.OK,
             f"ATTACH_TABLE of {endpoint.id:#x} to {domain}: status")
        self._leave(endpoint)
        endpoint.domain = domain
        self.domains.setdefault(domain, held)
        self._note()

    def detach(self, endpoint):
        """Detach."""
        same(self.iommu.detach(endpoint.domain, endpoint.id), driver.OK,
             f"DETACH of {endpoint.id:#x}: status")
        self._leave(endpoint)
        self._note()

    def _leave(self, endpoint):
        domain, endpoint.domain = endpoint.domain, None
        if domain is not None and not any(
                other.domain == domain for other in self._endpoints):
            del self.domains[domain]

    def map(self, domain, first, size, phys,
            flags=driver.READ | driver.WRITE):
        """Map SIZE bytes.  PHYS counts from where RAM begins."""
        last = first + size - 1
        phys += qtest.LAYOUT.ram
        same(self.iommu.map(domain, first, last, phys, flags), driver.OK,
             f"MAP at {first:#x}: status")
        self.domains[domain].map(first, last, phys, flags)

    def unmap(self, domain, first, size):
        """Unmap SIZE bytes."""
        last = first + size - 1
        same(self.iommu.unmap(domain, first, last), driver.OK,
             f"UNMAP at {first:#x}: status")
        self.domains[domain].unmap(first, last)

    def set_bypass(self, value):
        """What endpoints without a domain do."""
        self.iommu.set_bypass(int(value))
        self.bypass = value
        self._note()

    def go(self, state):
        """Take the engine to a state: one of the words above, or a domain."""
        self.state = state
        if state in (BLOCKED, BYPASS):
            if self.engine.domain is not None:
                self.set_bypass(state == BYPASS)
                self.detach(self.engine)
            else:
                self.set_bypass(state == BYPASS)
        elif state == BYPASS_DOMAIN:
            self.attach(self.engine, ALL, driver.BYPASS_DOMAIN)
        else:
            self.attach(self.engine, state)

    def forget(self):
        """After a reset: no domains."""
        self.state = None
        self.domains = {}
        for endpoint in self._endpoints:
            endpoint.domain = None
        self._note()

    def reset(self, how):
        """Reset the "device", as its driver does, or the "system"."""
        if how == "device":
            self.iommu.reset()
            self.forget()
        else:
            self.reset_machine()

    def reset_machine(self):
        """Reset all of it, and wait until that is done."""
        command = self.iommu.pci
        self.machine.reset()
        same(command.get(command.COMMAND, 16) & 6, 0,
             "the IOMMU's PCI command register after a reset")
        self.forget()
        self.bypass = self.bypass_at_start
        self._note()
        self.engine_pci.bars.clear()
        self.memory.look()

    # Devices come and go

    def unplug(self, what="engine"):
        """Take it out, and wait until QEMU has let it go."""
        self.machine.qmp("device_del", id=what)
        self.machine.wait_event("DEVICE_DELETED", device=what)
        endpoint = self.passed.pop(what)
        self._leave(endpoint)
        self._note()
        self.state = None
        if not any(mate in self.passed.values() for mate in endpoint.mates):
            # the event comes as it leaves QEMU's tree, the end when nobody
            # holds its memory any more
            until(lambda: tables.none_of_host(endpoint.address),
                  f"the host to hold nothing for the {what}")

    def plug(self, what="engine", endpoint=None):
        """Put it back, or another ENDPOINT."""
        endpoint = endpoint or self.engine
        if endpoint not in self._endpoints:
            self._endpoints.append(endpoint)
        if endpoint.node:
            self.machine.pass_file(what, endpoint.node)
        self.machine.qmp("device_add", **self._description(what, endpoint))
        self.passed[what] = endpoint
        self._note()

    # What the host holds

    def wanted(self, endpoint) -> dict:
        """What the host must hold for an endpoint."""
        domain = self._domain(endpoint)
        if domain is None and not self.bypass:
            return {}
        if domain is None or self.domains[domain] is None:
            return self.memory.everything()
        return self.domains[domain].pages(self.memory)

    def held(self, endpoint) -> dict:
        """What the host does hold for an endpoint."""
        return tables.of_host(endpoint.address)

    def locked_kib(self) -> int:
        """What the host's kernel has pinned for VFIO."""
        return self.machine.status_kib(
            "VmLck" if self.backend == "type1" else "VmPin")

    def own_pages(self) -> int:
        """How many pages of QEMU's own the host has pinned."""
        return 0

    def compare(self) -> int:
        """The host holds for all devices what the model says, and has pinned
        what that takes: how many pages it holds."""
        self.memory.refresh()
        count = pinned = 0
        mates = set()
        if self.backend == "iommufd":
            pinned = sum(len(self.domains[domain].pages(self.memory))
                         for domain in self.tabled)
            if self.bypass_table:
                pinned += len(self.memory.everything())
        for name, endpoint in self.passed.items():
            got = self.held(endpoint)
            wrong = tables.difference(got, self.wanted(endpoint))
            check(not wrong, f"the host's table of the {name}: {wrong}")
            count += len(got)
            # what is in one group is in one container
            if self.backend != "iommufd" and endpoint not in mates:
                mates.update(endpoint.mates)
                pinned += sum(1 for frame, _ in got.values()
                              if frame not in self.memory.bar_frames)
        same(self.locked_kib(),
             (pinned + self.own_pages()) * tables.PAGE // 1024, "KiB pinned")
        return count

    def said_nothing(self):
        """QEMU has printed nothing, but for VFIO's own words: on a device
        that has no reset, on one that leaves where there is no KVM, and, in
        its container over iommufd, on BARs; and for ours on a driver that
        has attached nothing before a reset, as the test's may have."""
        known = ["Cannot reset device", "KVM VFIO device isn't created",
                 "driver attached no device behind the IOMMU"]
        if self.backend == "container":
            known += ["PCI BAR?", "(Bad address)", "peer-to-peer"]
        said = [line for line in self.machine.stderr().splitlines()
                if not any(word in line for word in known)]
        same(said, [], "what QEMU printed")
