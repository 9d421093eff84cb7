# SPDX-License-Identifier: GPL-2.0-or-later
"""tools/pviommu-check: each thing that it looks for, on a host that is a tree
of files, and the library in the real emulator."""

import tempfile
from pathlib import Path

import harness
from pvlab.tap import check, same
from pviommu_check import host, judge, machine

CHECK = harness.ROOT / 'tools/pviommu-check'
EXAMPLE = harness.ROOT / 'docs/system/pviommu-libvirt.xml'
DISK, MATE, BRIDGE = '0000:01:00.0', '0000:01:00.1', '0000:00:01.0'
GOOD = ['qemu', '-m', '1G', '-plugin', 'pviommu.so', '-device', 'pviommu-pci']
PASSED = ['-device', f'vfio-pci,host={DISK}']


class Tree(host.Host):
    """A host with a disk in a group with another function and a bridge."""

    def __init__(self, folder, drivers, limit=None, off=()):
        super().__init__(folder)
        self.limit = limit
        self.make('/dev/vfio/vfio')
        self.make('/dev/vfio/7')
        self.make('/sys/class/iommu/dmar0/x')
        group = self.path('/sys/kernel/iommu_groups/7')
        (group / 'devices').mkdir(parents=True)
        for address in (DISK, MATE, BRIDGE):
            if address in off:
                continue
            device = self.path(f'/sys/bus/pci/devices/{address}')
            self.make(f'/sys/bus/pci/devices/{address}/class',
                      '0x060400\n' if address == BRIDGE else '0x010802\n')
            (device / 'iommu_group').symlink_to(group)
            (group / 'devices' / address).symlink_to(device)
            if drivers.get(address):
                driver = self.path(f'/sys/bus/pci/drivers/{drivers[address]}')
                driver.mkdir(parents=True, exist_ok=True)
                (device / 'driver').symlink_to(driver)

    def make(self, name, content=''):
        """A file."""
        path = self.path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)

    def memlock(self):
        return self.limit


def loads(*_):
    """The library, as it would answer."""
    return True, 'pviommu 0, built for QEMU 0:\n'


def found(words, drivers=None, names='virtio-iommu.ko', **more):
    """The lines for a command line, of a host where the disk has vfio-pci and
    a bridge its own driver, and whether there is something to fix."""
    with tempfile.TemporaryDirectory() as folder:
        tree = Tree(folder, drivers or {DISK: 'vfio-pci',
                                        BRIDGE: 'pcieport'}, **more)
        asked = words if isinstance(words, machine.Machine) else \
            machine.from_words(words)
        verdict = judge.judge(asked, tree, 'initrd', loads, lambda _: names)
        return '\n'.join(verdict.lines), verdict.bad


def fixed(words, *told, **more):
    """It is to be fixed, with these words."""
    lines, bad = found(words, **more)
    check(bad, f'nothing to fix in:\n{lines}')
    for word in told:
        check(word in lines, f'no {word!r} in:\n{lines}')


def well():
    """Nothing to say of what is right."""
    lines, bad = found(GOOD + PASSED)
    check(not bad, lines)
    same(lines.count('ok '), len(lines.splitlines()), f'lines ok of {lines}')
    lines, bad = found(['qemu', '-device', '{"driver": "vfio-pci", "host": "'
                        + DISK + '"}', *GOOD[1:], '-S'])
    check(not bad, f'JSON comes last:\n{lines}')
    lines, bad = found(GOOD + PASSED + ['-device', 'virtio-net-pci'])
    check(not bad and 'note  not behind' in lines, lines)


def command_lines():
    """What is wrong with the command line itself."""
    fixed(['qemu', *PASSED, *GOOD[1:]], 'created before', 'vfio-pci')
    fixed(['qemu', '-device', 'pviommu-pci'], 'no -plugin')
    fixed(GOOD[:5] + PASSED, 'no IOMMU is asked for')
    fixed(GOOD + ['-device', 'intel-iommu'], 'intel-iommu', 'leave it out')
    fixed(GOOD, 'update-initramfs', names='virtio-net.ko')


def hosts():
    """What is wrong with the host."""
    fixed(GOOD + PASSED, 'has the driver nvme', 'driver_override',
          f'echo {DISK} > /sys/bus/pci/devices/{DISK}/driver/unbind',
          drivers={DISK: 'nvme'})
    fixed(GOOD + PASSED, 'has the driver none', drivers={BRIDGE: 'pcieport'})
    fixed(GOOD + PASSED, f'{MATE}, of the same group', 'igb',
          drivers={DISK: 'vfio-pci', MATE: 'igb'})
    fixed(GOOD + PASSED, 'there is no such device', 'lspci', off=(DISK,))
    fixed(GOOD + PASSED, '1056 MiB', f'ulimit -l {1056 * 1024}',
          limit=1056 * 1024 * 1024 - 1)
    check(not found(GOOD + PASSED, limit=1056 * 1024 * 1024)[1], 'enough')
    fixed(GOOD + [PASSED[0], PASSED[1] + ',iommufd=fd0'], 'modprobe iommufd')


def libvirt():
    """The example, on a host that has its device and the library."""
    asked = machine.from_xml(EXAMPLE)
    lines, bad = found(asked, drivers={DISK: 'nvme'})
    check(not bad, lines)
    check('libvirt gives it to vfio-pci' in lines, lines)
    asked.hard_limit = None
    fixed(asked, '<hard_limit')


def command():
    """The tool with the emulator, and misused."""
    def run(*words):
        return harness.run(CHECK, *words)

    qemu = harness.emulators()['x86_64']
    status, printed, said = run('--', qemu, '-M', 'q35', '-plugin',
                                harness.BUILD / 'pviommu.so', '-device',
                                'pviommu-pci,id=iommu')
    same((status, said), (0, ''), f'status and messages ({printed})')
    check('loads it' in printed, printed)
    status, printed, _ = run(qemu, '-plugin', '/no/such/file')
    same(status, 1, 'status')
    check('does not load' in printed, printed)
    same(run()[0], 2, 'status')
    status, _, said = run('--libvirt', '/no/such/file')
    same((status, said.count('\n')), (1, 1), f'status and lines ({said})')
    status, _, said = run(qemu, '-m', 'much')
    same((status, said.count('\n')), (1, 1), f'status and lines ({said})')


def cases(tap):
    """All of this."""
    for test in (well, command_lines, hosts, libvirt, command):
        tap.case(f'pviommu-check: {test.__name__}', test)
