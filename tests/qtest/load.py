# SPDX-License-Identifier: GPL-2.0-or-later
"""Loading the library: into the right QEMU, and into no other."""

import json
import os
import re
import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path

import harness
import symbols
from pvlab.tap import Skip, check, same
from pvlab.wait import PATIENCE

# Types that are there once the library is loaded
TYPES = ('pviommu-pci', 'pviommu-device')

# Faults of hw/pviommu/fault/meson.build that change a structure, and what the
# refusal names
FAULTS = {
    'layout': 'pci-device',
    'property-size': 'PropertyInfo',
    'reset-size': 'resettable',
    'reset-phases': 'members of a class',
    'listener': 'MemoryListener',
    'space': 'AddressSpace',
    'region': 'MemoryRegion:',
    'section': 'MemoryRegionSection',
    'discard': 'RamDiscardListener',
    'notifier': 'IOMMUNotifier',
    'event': 'IOMMUTLBEvent',
    'iommu-class': 'IOMMUMemoryRegionClass',
    'pci-ops': 'PCIIOMMUOps',
    'pci-bus': 'PCIBus',
    'bus-child': 'BusChild',
    'device-listener': 'DeviceListener',
    'notify': 'Notifier:',
    'virtio-class': 'VirtioDeviceClass',
    'command': 'QmpCommand',
    'vfio-space': 'VFIOAddressSpace',
    'vfio-container': 'VFIOContainer',
    'vfio-guest': 'VFIOGuestIOMMU',
    'vfio-device': 'VFIODevice',
    'host-device': 'HostIOMMUDevice',
    'iommufd': 'IOMMUFDBackend',
}

# ASan says of every program that switches stacks that it may be wrong
SANITIZERS_OWN = re.compile(r'^(==\d+==WARNING: ASan|False positive|For '
                            r'details see).*\n', re.M)


def run(binary, *args, feed=''):
    """An emulator without a machine: its status, stdout and stderr."""
    done = subprocess.run(
        [str(binary), '-machine', 'none', '-display', 'none', '-nodefaults',
         *map(str, args)], input=feed, text=True, timeout=PATIENCE,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    return done.returncode, done.stdout, done.stderr


def qmp(binary, *args, commands=()):
    """Run QMP commands and quit: status, their returns, stderr."""
    names = ('qmp_capabilities', *commands, 'quit')
    feed = '\n'.join(command if command.startswith('{')
                     else json.dumps({'execute': command})
                     for command in names) + '\n'
    status, out, err = run(binary, '-qmp', 'stdio', *args, feed=feed)
    answers = [json.loads(line) for line in out.splitlines()]
    return status, [answer['return'] for answer in answers
                    if 'return' in answer], err


def loads(binary, *plugin):
    """PLUGIN is not given if BINARY is a script that adds it."""
    # a list of all types may be longer than what "quit" lets QEMU write
    status, answers, err = qmp(
        binary, *plugin,
        commands=[json.dumps({'execute': 'qom-list-types', 'arguments':
                              {'implements': name, 'abstract': True}})
                  for name in TYPES])
    err = re.sub(SANITIZERS_OWN, '', err)
    same(err, '', 'stderr')
    same(status, 0, 'status')
    for name, answer in zip(TYPES, answers[1:]):
        check(name in {entry['name'] for entry in answer},
              f'type {name} is not there')


def loads_under_kvm(binary, plugin):
    if not os.access('/dev/kvm', os.R_OK | os.W_OK):
        raise Skip('no /dev/kvm')
    status, _, err = qmp(binary, '-accel', 'kvm', '-plugin', plugin)
    if 'failed to initialize kvm' in err or 'Could not access KVM' in err:
        raise Skip('/dev/kvm is not usable')
    same((status, err), (0, ''), 'status and stderr')


def running_version(binary):
    text = harness.build([binary, '--version'])
    return text.split('version ')[1].split()[0]


def refuses(binary, plugin, *words):
    status, _, err = run(binary, '-plugin', plugin, '-S')
    same(status, 1, 'status')
    lines = err.splitlines()
    same(len(lines), 1, f'lines on stderr ({err!r})')
    for word in (running_version(binary), 'pviommu', 'scripts/setup',
                 '-Dqemu_source', *words):
        check(word in lines[0], f'no {word!r} in {lines[0]!r}')


def refuses_argument(binary, plugin):
    status, _, err = run(binary, '-plugin', f'{plugin},granule=4k')
    same(status, 1, 'status')
    same(len(err.splitlines()), 1, f'lines on stderr ({err!r})')
    check('-device pviommu-pci' in err, f'no advice in {err!r}')


def helps(binary, plugin):
    """It lists the properties that README.md describes, and ends."""
    status, out, err = run(binary, '-plugin', f'{plugin},help')
    same((status, err), (0, ''), 'status and stderr')
    table = (harness.ROOT / 'README.md').read_text().split('\n## Properties')[1]
    described = re.findall(r'^\| `([a-z-]+)` \|', table.split('\n## ')[0],
                           re.M)
    listed = re.findall(r'^  ([a-z-]+)=<', out, re.M)
    # that one is the PCI form's alone
    same(sorted([*listed, 'vectors']), sorted(described), 'properties')


def installed(folder, *libraries):
    """A copy of the file to load, with copies of the libraries given, by
    name: where it is."""
    (folder / 'pviommu').mkdir(parents=True)
    for name, library in libraries:
        shutil.copy(library, folder / 'pviommu' / name)
    return shutil.copy(harness.BUILD / 'pviommu.so', folder)


def refuses_second(binary, plugin):
    """One file by two paths, a link to it, a copy of all, the library."""
    with tempfile.TemporaryDirectory() as folder:
        link = Path(folder, 'link.so')
        link.symlink_to(plugin)
        library = harness.library()
        copy = installed(Path(folder, 'copy'), (library.name, library))
        detour = plugin.parent / '..' / plugin.parent.name / plugin.name
        for second in (detour, link, copy, library):
            status, _, err = run(binary, '-plugin', plugin, '-plugin', second)
            same(status, 1, f'status with {second}')
            same(len(err.splitlines()), 1, f'lines on stderr ({err!r})')
            for word in ('pviommu: the library is loaded already', 'once'):
                check(word in err, f'no {word!r} in {err!r}')
    loads(binary, '-plugin', plugin, '-plugin', plugin)


def unknown_without_plugin(binary):
    status, _, err = run(binary, '-device', 'pviommu-pci')
    same(status, 1, 'status')
    check("'pviommu-pci' is not a valid device model name" in err, err)


def exports_two_symbols(plugin):
    for file in plugin, harness.library():
        out = harness.build(['nm', '-D', '--defined-only', file])
        same(sorted(line.split()[-1] for line in out.splitlines()),
             ['qemu_plugin_install', 'qemu_plugin_version'], file.name)


def stops(binary, plugin, *words):
    """The file to load ends QEMU with one line that says what to do."""
    status, _, err = run(binary, '-plugin', plugin, '-S')
    same(status, 1, 'status')
    same(len(err.splitlines()), 1, f'lines on stderr ({err!r})')
    series = harness.library().stem
    for word in ('pviommu: ', running_version(binary),
                 f'scripts/setup --qemu {series}', *words):
        check(word in err, f'no {word!r} in {err!r}')


def front_alone(binary, folder):
    plugin = shutil.copy(harness.BUILD / 'pviommu.so', folder)
    stops(binary, plugin, f'{folder}/pviommu', 'QEMU: none')


def other_series(binary, folder):
    library = harness.library()
    plugin = installed(folder, ('9.9.so', library), ('10.99.so', library))
    stops(binary, plugin, 'QEMU: 10.99, 9.9')


def renamed(binary, folder):
    """A library for another series, under the name of this one."""
    fault = harness.BUILD / 'hw/pviommu/fault/pviommu-fault-version.so'
    refuses(binary, installed(folder, (harness.library().name, fault)),
            '9.99.0')


def truncated(binary, folder):
    library = harness.library()
    plugin = installed(folder, (library.name, library))
    copy = folder / 'pviommu' / library.name
    for size in 100000, 4096, 10, 0:
        os.truncate(copy, size)
        stops(binary, plugin, library.name, 'truncated')


def no_file(binary, folder):
    library = harness.library()
    plugin = installed(folder)
    path = folder / 'pviommu' / library.name
    path.mkdir()
    stops(binary, plugin, library.name, 'is no file')
    path.rmdir()
    os.mkfifo(path)
    stops(binary, plugin, library.name, 'is no file')


def unreadable(binary, folder):
    """By a link to itself, as root may read everything else."""
    path = folder / 'pviommu' / harness.library().name
    plugin = installed(folder)
    path.symlink_to(path)
    status, _, err = run(binary, '-plugin', plugin, '-S')
    same(status, 1, 'status')
    same(len(err.splitlines()), 1, f'lines on stderr ({err!r})')
    check(f'{path}, for this QEMU' in err and 'cannot be read: Too many' in err,
          err)


def other_machine(binary, folder):
    library = harness.library()
    plugin = installed(folder, (library.name, library))
    with open(folder / 'pviommu' / library.name, 'r+b') as file:
        file.seek(18)               # e_machine: IBM S/390
        file.write(b'\x16\x00')
    stops(binary, plugin, library.name, 'for another machine')


def no_library(binary, folder):
    library = harness.library()
    plugin = installed(folder, (library.name,
                                harness.BUILD / 'tests/qtest/'
                                'pviommu-preload.so'))
    stops(binary, plugin, library.name, 'not a library of pviommu')


def by_link(binary, folder):
    """The libraries are looked for where the file is, not the link."""
    link = folder / 'anything.so'
    link.symlink_to(harness.BUILD / 'pviommu.so')
    loads(binary, '-plugin', link)


def in_folder(function, binary):
    with tempfile.TemporaryDirectory() as folder:
        function(binary, Path(folder).resolve())


def every_fault_is_told():
    text = (harness.ROOT / 'hw/pviommu/fault/meson.build').read_text()
    faults = set(re.findall(r"^  '([\w-]+)': 'abi-", text, re.M))
    check(faults, 'no faults found')
    same(faults, set(FAULTS), 'libraries to refuse')


def needs_only_weak_symbols(library):
    out = harness.build(['nm', '-D', '--undefined-only', library])
    strong = [line for line in out.splitlines()
              if not re.match(r'\s+[wv] ', line)]
    same(strong, [], 'symbols that are not weak')


def refused_without_exports(plugin):
    """As by an emulator without modules: none is at hand, but what exports
    nothing is."""
    done = subprocess.run(['/bin/true'], stderr=subprocess.PIPE, text=True,
                          env={**os.environ, 'LD_PRELOAD': str(plugin)})
    same(done.returncode, 1, 'status')
    same(len(done.stderr.splitlines()), 1, 'lines on stderr')
    check('--enable-modules' in done.stderr, done.stderr)


def refused_by_other_kinds(plugin):
    """linux-user emulators may know -plugin, and nothing of devices."""
    for name in ('qemu-x86_64', 'qemu-x86_64-static'):
        for folder in os.environ['PATH'].split(':'):
            binary = os.path.join(folder, name)
            if not os.path.exists(binary):
                continue
            done = subprocess.run([binary, '-plugin', plugin, '/bin/true'],
                                  stderr=subprocess.PIPE, text=True)
            if "unknown option 'plugin'" in done.stderr:
                raise Skip(f'{binary} takes no plugins')
            same(done.returncode, 1, f'status of {shlex.quote(binary)}')
            check('pviommu' in done.stderr, done.stderr)
            return
    raise Skip('no qemu-x86_64 (package qemu-user)')


# What the file to load may find beside it
FRONT = {
    'no folder': front_alone,
    'no library for this series': other_series,
    'a library for another series, renamed': renamed,
    'a truncated library': truncated,
    'a folder or a FIFO for a library': no_file,
    'a library that cannot be read': unreadable,
    'a library for another machine': other_machine,
    'something else': no_library,
    'by a link': by_link,
}


def cases(tap, sanitized):
    """All cases, for every emulator."""
    plugin = harness.BUILD / 'pviommu.so'
    faulty = harness.BUILD / 'hw/pviommu/fault'
    tap.case('load: exports nothing but the two entry points',
             exports_two_symbols, plugin)
    tap.case('load: needs no symbol that would stop it from loading',
             needs_only_weak_symbols, harness.library())
    symbols.cases(tap)
    tap.case('refuse: each layout that a library is built for',
             every_fault_is_told)
    for target, binary in harness.emulators().items():
        tap.case(f'load: {target}: registers its types', loads, binary,
                 '-plugin', plugin)
        if sanitized[target]:
            tap.case(f'load: {target}: with sanitizers', loads,
                     sanitized[target])
        tap.case(f'load: {target}: without it, the device is unknown',
                 unknown_without_plugin, binary)
        tap.case(f'load: {target}: refuses arguments', refuses_argument,
                 binary, plugin)
        tap.case(f'load: {target}: prints its properties', helps,
                 binary, plugin)
        tap.case(f'load: {target}: refuses to be loaded by two names',
                 refuses_second, binary, plugin)
        for name, function in FRONT.items():
            tap.case(f'front: {target}: {name}', in_folder, function, binary)
        tap.case(f'refuse: {target}: another version', refuses, binary,
                 faulty / 'pviommu-fault-version.so', '9.99.0')
        for fault, word in FAULTS.items():
            tap.case(f'refuse: {target}: another layout: {fault}', refuses,
                     binary, faulty / f'pviommu-fault-{fault}.so', word)
        tap.case(f'refuse: {target}: a symbol that is not there', refuses,
                 binary, faulty / 'pviommu-fault-symbol.so',
                 'pviommu_no_such_qemu_function')
    tap.case('load: x86_64: under KVM', loads_under_kvm,
             harness.emulators()['x86_64'], plugin)
    tap.case('refuse: a program that exports no symbols',
             refused_without_exports, plugin)
    tap.case('refuse: a user-mode emulator', refused_by_other_kinds, plugin)
