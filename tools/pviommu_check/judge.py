# SPDX-License-Identifier: GPL-2.0-or-later
"""What of a machine does not fit the host, or itself, and what to type."""

from . import host as hosts
from .machine import OWN

MIB = 1 << 20
MORE = 32 * MIB         # for ROMs, as the library reckons
OTHERS = ('intel-iommu', 'amd-iommu', 'virtio-iommu-pci')


class Verdict:
    """Lines for the person, and whether all is well."""

    def __init__(self):
        self.lines = []
        self.bad = False

    def ok(self, text):
        """As it should be."""
        self.lines.append(f'ok    {text}')

    def note(self, text):
        """Perhaps not what is meant."""
        self.lines.append(f'note  {text}')

    def fix(self, text, *commands):
        """It will not work; COMMANDS: what to type."""
        self.bad = True
        self.lines.append(f'FIX   {text}')
        self.lines += [f'        {command}' for command in commands]


def passed(machine):
    """The devices that are passed through."""
    return [device for device in machine.devices
            if device.driver == 'vfio-pci']


def _library(verdict, machine, load):
    if not machine.plugins:
        verdict.fix('no -plugin: QEMU does not know pviommu-pci',
                    '-plugin .../pviommu.so')
        return
    for plugin in machine.plugins:
        well, said = load(machine.emulator, plugin)
        if well and said.startswith('pviommu '):
            verdict.ok(f"{plugin}: {said.split(':')[0]}, and "
                       f'{machine.emulator} loads it')
        elif well:
            verdict.note(f'{plugin} is loaded, and is not pviommu')
        else:
            verdict.fix(f'{machine.emulator} does not load {plugin}: {said}')


def _devices(verdict, machine):
    drivers = [device.driver for device in machine.devices]
    own = next((i for i, driver in enumerate(drivers) if driver in OWN), None)
    if own is None:
        verdict.fix('no IOMMU is asked for', '-device pviommu-pci,id=iommu')
        return
    early = [device.name for device in passed(machine)
             if machine.devices.index(device) < own]
    if early:
        verdict.fix(f'{", ".join(early)} is created before the IOMMU: put '
                    f'-device {drivers[own]} before every -device vfio-pci'
                    + (', and write it with commas, not as JSON'
                       if machine.devices[own].is_json else ''))
    else:
        verdict.ok('the IOMMU is created before what is passed through')
    for other in OTHERS:
        if other in drivers:
            verdict.fix(f'{other} is asked for, too: leave it out')
    loose = [device.name for device in machine.devices
             if device.driver.startswith('virtio-')
             and device.driver not in OTHERS
             and not device.on('iommu_platform')]
    if loose:
        verdict.note(f'not behind the IOMMU, and reaching all memory: '
                     f'{", ".join(loose)}. For each that is to be: '
                     + ("<driver iommu='on'/>" if machine.by_libvirt else
                        'iommu_platform=on,disable-legacy=on'))


def _address(device):
    """A full address; QEMU takes one without the domain, too."""
    address = device.get('host') or ''
    return address if address.count(':') == 2 else f'0000:{address}'


def _function(verdict, host, machine, device):
    """One that is passed through; False if no more can be said of it."""
    address = _address(device)
    if not host.has_device(address):
        verdict.fix(f'{address}: there is no such device',
                    'lspci -D')
        return False
    if host.group(address) is None:
        verdict.fix(f'{address} is behind no IOMMU of the host')
        return False
    if host.driver(address) == 'vfio-pci':
        verdict.ok(f'{address} is in IOMMU group {host.group(address)} and '
                   'has vfio-pci')
    elif device.get('managed') == 'yes':
        verdict.ok(f'{address} is in IOMMU group {host.group(address)}; '
                   'libvirt gives it to vfio-pci')
    else:
        verdict.fix(
            f'{address} has the driver {host.driver(address) or "none"}',
            f'echo vfio-pci > /sys/bus/pci/devices/{address}/driver_override',
            *([f'echo {address} > /sys/bus/pci/devices/{address}/driver/unbind']
              if host.driver(address) else []),
            f'echo {address} > /sys/bus/pci/drivers_probe')
    named = {_address(other) for other in passed(machine)}
    for mate in host.mates(address):
        driver = host.driver(mate)
        if driver not in (None, 'vfio-pci') and mate not in named:
            verdict.fix(f'{mate}, of the same group, has the driver {driver}: '
                        'no device of the group can be passed through',
                        f'echo {mate} > '
                        f'/sys/bus/pci/devices/{mate}/driver/unbind')
    return True


def _reach(verdict, host, machine):
    """Whether QEMU may open what it needs."""
    needed = set()
    for device in passed(machine):
        address = _address(device)
        if device.get('iommufd'):
            needed |= {'/dev/iommu', host.node(address)}
        else:
            needed |= {'/dev/vfio/vfio', f'/dev/vfio/{host.group(address)}'}
    for name in sorted(needed - {None}):
        if not host.has(name):
            if name == '/dev/iommu':
                verdict.fix('/dev/iommu is not there: the kernel has no '
                            'iommufd, or it is not loaded', 'modprobe iommufd')
            elif name == '/dev/vfio/vfio':
                verdict.fix(f'{name} is not there', 'modprobe vfio-pci')
        elif machine.by_libvirt:
            verdict.ok(f'{name} is there')
        elif host.may_use(name):
            verdict.ok(f'{name} can be opened')
        else:
            verdict.fix(f'{name} cannot be opened by this user',
                        f'chown $USER {name}')
    plain = [device for device in passed(machine) if not device.get('iommufd')]
    if plain and host.has('/dev/iommu') and not machine.by_libvirt:
        verdict.note('the host has iommufd, with which switching translation '
                     'costs less: -object iommufd,id=fd0 and iommufd=fd0 for '
                     'each vfio-pci')


def _memory(verdict, host, machine):
    groups = {host.group(_address(device)) for device in passed(machine)
              if not device.get('iommufd')}
    count = len(groups) + any(device.get('iommufd')
                              for device in passed(machine))
    need = count * (machine.memory + MORE)
    limit = machine.hard_limit if machine.by_libvirt else host.memlock()
    told = f'{need // MIB} MiB of memory may be locked, besides video memory'
    if limit is not None and limit < need:
        verdict.fix(f'{told}; the limit is {limit // MIB} MiB',
                    f"<hard_limit unit='KiB'>{need // 1024}</hard_limit>, and "
                    'what QEMU itself uses' if machine.by_libvirt else
                    f'ulimit -l {need // 1024}')
    elif limit is None and machine.by_libvirt:
        verdict.fix(f'{told}: libvirt does not know that, without',
                    f"<memtune><hard_limit unit='KiB'>{need // 1024}"
                    '</hard_limit></memtune>, and what QEMU itself uses')
    else:
        verdict.ok(f'{told}: allowed')


def _initramfs(verdict, file, files):
    if not file:
        verdict.note("the guest's initramfs must hold virtio_iommu if its boot "
                     'disk is behind the IOMMU: --initramfs FILE looks')
        return
    names = files(file)
    if names is None:
        verdict.note(f'{file} cannot be read here (lsinitramfs, lsinitrd)')
    elif 'virtio-iommu' in names or 'virtio_iommu' in names:
        verdict.ok(f'{file} holds virtio_iommu')
    else:
        verdict.fix(f'{file} holds no virtio_iommu, unless the kernel has it '
                    'built in. In the guest:',
                    'echo virtio_iommu >> /etc/initramfs-tools/modules',
                    'update-initramfs -u')


def judge(machine, host, initramfs=None, load=hosts.load,
          files=hosts.files_of_initramfs):
    """All of it: the verdict."""
    verdict = Verdict()
    _library(verdict, machine, load)
    _devices(verdict, machine)
    if passed(machine):
        names = host.iommus()
        if names:
            verdict.ok(f"the host's IOMMU is on: {' '.join(names)}")
        else:
            verdict.fix("the host's IOMMU is off: turn it on in the firmware "
                        '(VT-d, AMD-Vi, SMMU), and for Intel in the '
                        "kernel's command line", 'intel_iommu=on')
        if all([_function(verdict, host, machine, device)
                for device in passed(machine)]):
            _reach(verdict, host, machine)
            _memory(verdict, host, machine)
    _initramfs(verdict, initramfs or machine.initrd, files)
    return verdict
