# SPDX-License-Identifier: GPL-2.0-or-later
"""What a command line of QEMU, or a domain of libvirt, asks for."""

import json
import re
import xml.etree.ElementTree as ET

QEMU = 'http://libvirt.org/schemas/domain/qemu/1.0'
UNITS = {'': 20, 'K': 10, 'M': 20, 'G': 30, 'T': 40}
OWN = ('pviommu-pci', 'pviommu-device')
# options of QEMU without a value
FLAGS = ('-S', '-s', '-snapshot', '-nographic', '-nodefaults', '-no-user-config',
         '-no-reboot', '-no-shutdown', '-daemonize', '-enable-kvm', '-usb',
         '-full-screen', '-no-fd-bootchk', '-preconfig', '-only-migratable',
         '-mem-prealloc', '-singlestep', '-win2k-hack')


class Device:
    """One that is asked for."""

    def __init__(self, driver, properties, is_json=False):
        self.driver = driver
        self.properties = properties
        self.is_json = is_json

    def get(self, name):
        """A property, or None."""
        return self.properties.get(name)

    def on(self, name):
        """Whether a property is set to on."""
        return self.get(name) in ('on', 'true', 'yes', True)

    @property
    def name(self):
        """As a person calls it."""
        return self.get('id') or self.get('host') or self.driver


def _split(words):
    """ID=VALUE pairs with commas between; a comma in a value is doubled."""
    first, *rest = [part.replace('\0', ',') for part in
                    words.replace(',,', '\0').split(',')]
    return first, dict(part.split('=', 1) if '=' in part else (part, 'on')
                       for part in rest)


def _device(words):
    if words.startswith('{'):
        properties = json.loads(words)
        return Device(properties.pop('driver'), properties, True)
    driver, properties = _split(words)
    return Device(driver.removeprefix('driver='), properties)


def _size(words):
    """Bytes of -m."""
    first, properties = _split(words)
    number, unit = re.fullmatch(
        r'(\d+)([KMGT]?)i?B?', properties.get('size', first)
        .removeprefix('size=').upper()).groups()
    return int(number) << UNITS[unit]


class Machine:
    """What is asked for, whoever asks."""

    def __init__(self):
        self.emulator = 'qemu-system-x86_64'
        self.plugins = []
        self.devices = []       # in the order in which QEMU creates them
        self.memory = 128 << 20
        self.initrd = None
        self.by_libvirt = False
        self.hard_limit = None

    def add_option(self, option, value):
        """One word that begins with a dash, and the one behind it."""
        if option == '-plugin':
            self.plugins.append(_split(value)[0].removeprefix('file='))
        elif option == '-device':
            self.devices.append(_device(value))
        elif option == '-m':
            self.memory = _size(value)
        elif option == '-initrd':
            self.initrd = value

    def add_words(self, words):
        """More of a command line."""
        words = list(words)
        while words:
            option = words.pop(0)
            option = option[1:] if option.startswith('--') else option
            if option.startswith('-') and option not in FLAGS and words:
                self.add_option(option, words.pop(0))

    def in_order(self):
        """QEMU creates devices that are written as JSON after the others."""
        self.devices.sort(key=lambda device: device.is_json)
        return self


def from_words(words):
    """The machine of a command line, the emulator first."""
    machine = Machine()
    machine.emulator, *rest = words
    machine.add_words(rest)
    return machine.in_order()


def _address(element):
    place = element.find('./source/address')
    return '{:04x}:{:02x}:{:02x}.{:x}'.format(
        *(int(place.get(part), 0)
          for part in ('domain', 'bus', 'slot', 'function')))


def _bytes(element):
    unit = (element.get('unit') or 'KiB')[0].upper()
    return int(element.text) << UNITS[unit if unit in UNITS else '']


def from_xml(file):
    """The machine of a domain of libvirt."""
    root = ET.parse(file).getroot()
    machine = Machine()
    machine.by_libvirt = True
    machine.emulator = root.findtext('./devices/emulator') or machine.emulator
    for name, target in (('memory', 'memory'),
                         ('memtune/hard_limit', 'hard_limit')):
        element = root.find(name)
        if element is not None:
            setattr(machine, target, _bytes(element))
    machine.initrd = root.findtext('./os/initrd')
    for element in root.iterfind("./devices/hostdev[@type='pci']"):
        machine.devices.append(Device('vfio-pci', {
            'host': _address(element), 'managed': element.get('managed')},
            True))
    for kind in ('disk', 'interface', 'controller'):
        for element in root.iterfind(f'./devices/{kind}'):
            target = element.find('target')
            model = element.find('model')
            bus = (target is not None and target.get('bus')) or (
                model is not None and model.get('type')) or \
                element.get('model') or ''
            if bus.startswith('virtio'):
                driver = element.find('driver')
                machine.devices.append(Device(f'virtio-{kind}-pci', {
                    'iommu_platform': driver is not None and
                    driver.get('iommu') or 'off'}, True))
    machine.add_words(argument.get('value') for argument in root.iterfind(
        f'./{{{QEMU}}}commandline/{{{QEMU}}}arg'))
    return machine.in_order()
