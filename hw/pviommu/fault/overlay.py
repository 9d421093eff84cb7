#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Copy headers of QEMU with the changes that tests of the refusal need.

Usage: overlay.py FOLDER OVERLAY FAULT...: for each fault one header of FOLDER,
that which declares the structure, to OVERLAY/FAULT. Where that is, and what
the structure is called, differs between versions of QEMU.
"""

import re
import sys
from pathlib import Path


# What lies between two members of one structure
BETWEEN = r'((?:(?!\n\}).)*?\n)'


# Each returns what to look for first, the pattern, and what takes its place


def begins(structure):
    return rf'(\n(?:typedef )?struct {structure}\s*\{{)'


def word(structure):
    return re.match(r'\w+', structure).group()


def gains(structure):
    """The structure has one more member, before all others."""
    return word(structure), begins(structure), r'\1 void *shifted;'


def swaps(structure, first, second):
    """Two members of the structure have changed places."""
    return (word(structure), rf'{begins(structure)}{BETWEEN}( +{first};)'
            rf'{BETWEEN}( +{second};)', r'\1\2\5\4\3')


def moves(structure, last):
    """The structure has lost a member, and gained another before all."""
    return (word(structure), rf'{begins(structure)}{BETWEEN}( +{last};)',
            r'\1 void *shifted;\2')


CHANGES = {
    # as if PCIDevice had gained a field in its middle
    'layout': ('int32_t devfn', r'(\n    int32_t devfn;\n)',
               r'\n    uint64_t shifted;\1'),
    'version': ('QEMU_VERSION', r'(#define QEMU_VERSION) "[^"]*"',
                r'\1 "9.99.0"'),
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
    'command': gains('QmpCommand'),
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
    folder, overlay = map(Path, sys.argv[1:3])
    headers = [(path, path.read_text(encoding='utf-8'))
               for path in sorted(folder.rglob('*.h'))]
    for fault in sys.argv[3:]:
        name, pattern, changed = CHANGES[fault]
        found = [(path, *re.subn(pattern, changed, text, flags=re.S))
                 for path, text in headers if name in text]
        found = [entry for entry in found if entry[2]]
        if [count for _, _, count in found] != [1]:
            sys.exit(f'{fault}: not one thing to change in {folder}: {found}')
        target = overlay / fault / found[0][0].relative_to(folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(found[0][1], encoding='utf-8')


main()
