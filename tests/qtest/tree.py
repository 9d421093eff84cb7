# SPDX-License-Identifier: GPL-2.0-or-later
"""The device tree that Arm's virt board hands to the guest, as QEMU dumps it.

Checked against Linux's bindings, Documentation/devicetree/bindings:
virtio/pci-iommu.yaml, virtio/mmio.yaml, pci/pci-iommu.txt, iommu/iommu.txt.
"""

import os
import shutil
import subprocess

import harness
from pvlab.tap import Skip, check, same
from pvlab.wait import PATIENCE

BRIDGE = '/pcie@10000000'
# slots are filled from the last one down
SLOTS = [f'/virtio_mmio@{0xa003e00 - i * 0x200:x}' for i in range(3)]
PLATFORM = ('-global', 'virtio-mmio.force-legacy=off',
            '-device', 'pviommu-device',
            '-device', 'virtio-rng-device,iommu_platform=on',
            '-device', 'virtio-rng-device')
NAME = 'virt-tree'
OWN = 0x18


def dump(binary, *args):
    """The board's tree with ARGS on the command line: its file."""
    path = harness.OUT / f'{NAME}.dtb'
    done = subprocess.run(
        [binary, '-machine', f'virt,dumpdtb={path}', '-cpu', 'cortex-a57',
         '-display', 'none', '-nodefaults', *args],
        text=True, timeout=PATIENCE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    same(done.returncode, 0, f'status ({done.stderr})')
    return path


class Tree:
    """A dumped tree, read by the tools that come with dtc."""

    def __init__(self, path):
        self.path = path

    def _get(self, *args):
        done = subprocess.run(['fdtget', *args[:-2], self.path, *args[-2:]],
                              text=True, stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL)
        return done.stdout.split() if done.returncode == 0 else None

    def cells(self, node, name):
        """A property as numbers, or None if it is not there."""
        words = self._get('-t', 'x', node, name)
        return None if words is None else [int(word, 16) for word in words]

    def words(self, node, name):
        """A property as strings, or None."""
        return self._get(node, name)

    def children(self, node):
        """Names of the nodes below a node."""
        done = subprocess.run(['fdtget', '-l', self.path, node], text=True,
                              check=True, stdout=subprocess.PIPE)
        return done.stdout.split()

    def complaints(self):
        """What dtc says of it."""
        done = subprocess.run(['dtc', '-I', 'dtb', '-O', 'dtb', '-o',
                               harness.OUT / f'{NAME}-again.dtb', self.path],
                              text=True, stderr=subprocess.PIPE)
        same(done.returncode, 0, f'status of dtc ({done.stderr})')
        return done.stderr.splitlines()


def need_dtc():
    """Skip the case where the tools are missing."""
    for tool in ('dtc', 'fdtget'):
        if not shutil.which(tool):
            raise Skip(f'no {tool} (package device-tree-compiler)')


def requesters(tree, phandle):
    """The requester ids that the bridge's iommu-map sends to the IOMMU, each
    by its own number, as PCI endpoints are known."""
    cells = tree.cells(BRIDGE, 'iommu-map') or []
    same(len(cells) % 4, 0, 'cells of iommu-map beyond entries')
    ids = []
    for i in range(0, len(cells), 4):
        first, target, base, count = cells[i:i + 4]
        same(target, phandle, 'phandle in iommu-map')
        same(base, first, 'endpoint of the first requester')
        ids += range(first, first + count)
    same(len(ids), len(set(ids)), 'requesters, each once')
    return set(ids)


def pci_form(binary, plugin):
    need_dtc()
    plain = Tree(dump(binary)).complaints()
    tree = Tree(dump(binary, '-plugin', plugin,
                     '-device', 'pviommu-pci,addr=3.0'))
    node = f'{BRIDGE}/iommu@3,0'
    same(tree.words(node, 'compatible'), ['virtio,pci-iommu', 'pci1af4,1057'],
         'compatible')
    same(tree.cells(node, 'reg'), [OWN << 8, 0, 0, 0, 0], 'reg')
    same(tree.cells(node, '#iommu-cells'), [1], '#iommu-cells')
    phandle, = tree.cells(node, 'phandle')
    same(requesters(tree, phandle), set(range(0x10000)) - {OWN},
         'requesters behind the IOMMU')
    same(tree.complaints(), plain, 'what dtc says')


def last_function(binary, plugin):
    """The IOMMU where a bus has its last function."""
    need_dtc()
    tree = Tree(dump(binary, '-plugin', plugin,
                     '-device', 'pviommu-pci,addr=1f.7'))
    phandle, = tree.cells(f'{BRIDGE}/iommu@1f,7', 'phandle')
    same(requesters(tree, phandle), set(range(0x10000)) - {0xff},
         'requesters behind the IOMMU')


def bus_that_bypasses(binary, plugin):
    need_dtc()
    tree = Tree(dump(binary, '-machine', 'default-bus-bypass-iommu=on',
                     '-plugin', plugin, '-device', 'pviommu-pci,addr=3.0'))
    check('iommu@3,0' in tree.children(BRIDGE), 'no node')
    same(tree.cells(BRIDGE, 'iommu-map'), None, 'iommu-map')


def platform_form(binary, plugin):
    """The IOMMU in the last slot, an endpoint in the one before, and a disk
    that asked for no IOMMU in the one before that."""
    need_dtc()
    plain = Tree(dump(binary)).complaints()
    tree = Tree(dump(binary, '-plugin', plugin, *PLATFORM))
    same(tree.cells(SLOTS[0], '#iommu-cells'), [1], '#iommu-cells')
    phandle, = tree.cells(SLOTS[0], 'phandle')
    same(tree.cells(SLOTS[1], 'iommus'), [phandle, 0x8005001e], 'iommus')
    for slot, name in ((SLOTS[0], 'iommus'), (SLOTS[1], '#iommu-cells'),
                       (SLOTS[2], 'iommus'), (SLOTS[2], '#iommu-cells')):
        same(tree.cells(slot, name), None, f'{name} of {slot}')
    for slot in SLOTS:
        same(tree.words(slot, 'compatible'), ['virtio,mmio'], 'compatible')
    same(requesters(tree, phandle), set(range(0x10000)),
         'requesters behind the IOMMU')
    same([name for name in tree.children(BRIDGE) if 'iommu' in name], [],
         'nodes below the bridge')
    same(tree.complaints(), plain, 'what dtc says')


def slot_behind_function(binary, plugin):
    """A virtio-mmio device behind the PCI form."""
    need_dtc()
    tree = Tree(dump(binary, '-plugin', plugin,
                     '-device', 'pviommu-pci,addr=3.0',
                     '-device', 'virtio-rng-device,iommu_platform=on'))
    phandle, = tree.cells(f'{BRIDGE}/iommu@3,0', 'phandle')
    same(tree.cells(SLOTS[0], 'iommus'), [phandle, 0x8005001f], 'iommus')


def both_forms(binary, plugin):
    """PCI functions behind the one, virtio-mmio devices behind the other."""
    need_dtc()
    tree = Tree(dump(binary, '-plugin', plugin,
                     '-device', 'pviommu-pci,addr=3.0', *PLATFORM))
    function, = tree.cells(f'{BRIDGE}/iommu@3,0', 'phandle')
    slot, = tree.cells(SLOTS[0], 'phandle')
    check(function != slot, 'one phandle for two nodes')
    same(tree.cells(SLOTS[1], 'iommus'), [slot, 0x8005001e], 'iommus')
    same(requesters(tree, function), set(range(0x10000)) - {OWN},
         'requesters behind the IOMMU')


def validates(binary, plugin, *args):
    """All of the tree, by the schemas of the bindings themselves."""
    schemas = os.environ.get('PVIOMMU_BINDINGS')
    if not shutil.which('dt-validate') or not schemas:
        raise Skip('no dt-validate (package dt-schema), or PVIOMMU_BINDINGS '
                   'does not name Documentation/devicetree/bindings in the '
                   'source of Linux')
    told = []
    for more in ((), ('-plugin', plugin, *args)):
        done = subprocess.run(['dt-validate', '-s', schemas,
                               dump(binary, *more)], text=True,
                              stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT)
        told.append(set(done.stdout.splitlines()))
    same(told[1] - told[0], set(), 'what dt-validate says of it')


def cases(tap, plugin):
    """All cases, on the emulator of Arm."""
    binary = harness.emulators().get('aarch64')
    if not binary:
        tap.skip('tree/all', 'no qemu-system-aarch64')
        return
    tap.case('tree/pci-form', pci_form, binary, plugin)
    tap.case('tree/last-function', last_function, binary, plugin)
    tap.case('tree/bus-that-bypasses', bus_that_bypasses, binary, plugin)
    tap.case('tree/platform-form', platform_form, binary, plugin)
    tap.case('tree/slot-behind-function', slot_behind_function, binary,
             plugin)
    tap.case('tree/both-forms', both_forms, binary, plugin)
    tap.case('tree/pci-form-validates', validates, binary, plugin,
             '-device', 'pviommu-pci,addr=3.0')
    tap.case('tree/platform-form-validates', validates, binary, plugin,
             *PLATFORM)
