#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Copy one QEMU header with the change that a test of the refusal needs.

Usage: overlay.py FAULT FOLDER OVERLAY. The header is the one in FOLDER, a
folder of headers, that declares the structure: where that is, and what the
structure is called, differs between versions of QEMU.
"""

import re
import sys
from pathlib import Path


# What lies between two members of one structure
BETWEEN = r'((?:(?!\n\}).)*?\n)'


def begins(structure):
    return rf'(\n(?:typedef )?struct {structure}\s*\{{)'


def gains(structure):
    """The structure has one more member, before all others."""
    return begins(structure), r'\1 void *shifted;'


def swaps(structure, first, second):
    """Two members of the structure have changed places."""
    return (rf'{begins(structure)}{BETWEEN}( +{first};){BETWEEN}( +{second};)',
            r'\1\2\5\4\3')


def moves(structure, last):
    """The structure has lost a member, and gained another before all."""
    return (rf'{begins(structure)}{BETWEEN}( +{last};)',
            r'\1 void *shifted;\2')


CHANGES = {
    # as if PCIDevice had gained a field in its middle
    'layout': (r'(\n    int32_t devfn;\n)', r'\n    uint64_t shifted;\1'),
    'version': (r'(#define QEMU_VERSION) "[^"]*"', r'\1 "9.99.0"'),
    'property-size': gains('PropertyInfo'),
    'reset-size': gains('ResettablePhases'),
    'reset-phases': swaps('ResettablePhases', 'ResettableEnterPhase enter',
                          'ResettableExitPhase exit'),
    'listener': moves('MemoryListener',
                      r'void \(\*log_global_after_sync\)[^;]*'),
    'space': swaps('AddressSpace', r'char \*name', r'MemoryRegion \*root'),
    'region': swaps('MemoryRegion', 'bool ram', 'bool readonly'),
    'section': swaps('MemoryRegionSection', 'hwaddr offset_within_region',
                     'hwaddr offset_within_address_space'),
    'discard': gains('RamDiscardListener'),
    'notifier': swaps('IOMMUNotifier', 'hwaddr start', 'hwaddr end'),
    'event': gains('IOMMUTLBEvent'),
    'iommu-class': moves('IOMMUMemoryRegionClass',
                         r'int \(\*num_indexes\)[^;]*'),
    'pci-ops': gains('PCIIOMMUOps'),
    'pci-bus': swaps('PCIBus', r'const PCIIOMMUOps \*iommu_ops',
                     r'void \*iommu_opaque'),
    'bus-child': gains('BusChild'),
    'device-listener': gains('DeviceListener'),
    'notify': swaps('Notifier', r'void \(\*notify\)[^;]*',
                    r'QLIST_ENTRY\(Notifier\) node'),
    'virtio-class': swaps('VirtioDeviceClass', r'void \(\*get_config\)[^;]*',
                          r'void \(\*set_config\)[^;]*'),
    'vfio-space': swaps('VFIOAddressSpace', r'AddressSpace \*as',
                        r'QLIST_HEAD\(, VFIOContainer(?:Base)?\) containers'),
    'vfio-container': swaps('VFIOContainer(?:Base)?',
                            r'QLIST_HEAD\(, VFIOGuestIOMMU\) giommu_list',
                            r'QLIST_HEAD\(, VFIORamDiscardListener\) '
                            'vrdl_list'),
    'vfio-guest': gains('VFIOGuestIOMMU'),
    'vfio-device': swaps('VFIODevice', r'char \*name', r'DeviceState \*dev'),
    'host-device': swaps('HostIOMMUDevice', r'char \*name',
                         r'void \*agent'),
    'iommufd': swaps('IOMMUFDBackend', 'int fd', 'uint32_t users'),
}


def main():
    fault, folder, overlay = sys.argv[1:]
    changed = []
    for header in sorted(Path(folder).rglob('*.h')):
        text, count = re.subn(*CHANGES[fault],
                              header.read_text(encoding='utf-8'), flags=re.S)
        if count:
            changed.append(header)
            target = overlay / header.relative_to(folder)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding='utf-8')
        if count > 1 or len(changed) > 1:
            sys.exit(f'{fault}: more than one thing to change: {changed}')
    if not changed:
        sys.exit(f'{fault}: nothing to change in {folder}')


main()
