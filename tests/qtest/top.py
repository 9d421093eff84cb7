# SPDX-License-Identifier: GPL-2.0-or-later
"""tools/pviommu-top and pviommu-draw: what they show, and what they say when
they are misused."""

import fcntl
import json
import os
import pty
import shutil
import socket
import struct
import subprocess
import tempfile
import termios
from contextlib import contextmanager
from pathlib import Path

import harness
from pvlab.tap import Skip, check, same
from pvlab.wait import PATIENCE, until
from pviommu_top import monitor, text

TOP = harness.ROOT / 'tools/pviommu-top'
DRAW = harness.ROOT / 'tools/pviommu-draw'
ENDPOINT = 4 << 3


def listens(path):
    """Whether somebody does; a socket is there a moment earlier."""
    with socket.socket(socket.AF_UNIX) as caller:
        try:
            caller.connect(str(path))
        except OSError:
            return False
    return True


@contextmanager
def emulator(*args):
    """One that waits, with ARGS: the socket of its monitor."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / 'qmp'
        process = subprocess.Popen(
            [harness.emulators()['x86_64'], '-S', '-M', 'q35', '-nodefaults',
             '-display', 'none', '-qmp', f'unix:{path},server=on,wait=off',
             *args], stdin=subprocess.DEVNULL)
        try:
            until(lambda: listens(path) or process.poll() is not None,
                  'the monitor')
            yield str(path)
        finally:
            process.kill()
            process.wait()


def with_iommu():
    """With an IOMMU and something behind it."""
    return emulator('-plugin', str(harness.BUILD / 'pviommu.so'),
                    '-device', 'pviommu-pci,id=iommu',
                    '-device', 'edu,id=edu0,addr=4')


def top(*words):
    """Run it, as harness.run() does."""
    return harness.run(TOP, *words)


def once():
    """One sample for a person, and for a script, which a file keeps."""
    with with_iommu() as path, tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / 'log'
        status, printed, said = top('--once', '--spaces', path)
        same((status, said), (0, ''), 'status and messages')
        line = next(line for line in printed.splitlines() if 'edu0' in line)
        same(line.split()[:6], ['00:04.0', 'edu0', 'edu', 'bypass', '-', '-'],
             'the endpoint')
        status, printed, said = top('--once', '--json', '--record', log, path)
        same((status, said), (0, ''), 'status and messages')
        sample = json.loads(printed)
        same(sample, json.loads(log.read_text()), 'what is kept')
        iommu, = sample['pviommu']['instances']
        same(iommu['path'], '/machine/peripheral/iommu', 'the IOMMU')
        check(ENDPOINT in [e['id'] for e in iommu['endpoints']], iommu)


def view():
    """In a terminal, until q is pressed."""
    with with_iommu() as path:
        child, terminal = pty.fork()
        if not child:
            os.execve(TOP, [TOP, path], {**os.environ, 'TERM': 'xterm'})
        shown = b''
        pressed = False
        fcntl.ioctl(terminal, termios.TIOCSWINSZ,
                    struct.pack('HHHH', 30, 120, 0, 0))
        while True:
            try:
                part = os.read(terminal, 4096)
            except OSError:         # it has gone
                break
            shown += part
            if b'edu0' in shown and not pressed:
                os.write(terminal, b'mq')
                pressed = True
            if not part:
                break
        same(os.waitpid(child, 0)[1], 0, f'status ({shown!r})')
        check(b'ENDPOINT' in shown, repr(shown))


def misuse():
    """Each says what to do."""
    status, _, said = top('--once', '/no/such/socket')
    same(status, 1, 'status')
    check('-qmp unix:FILE' in said, said)
    same(said.count('\n'), 1, 'lines')
    same(top('--interval', '0', '/no/such/socket')[0], 2, 'status')
    with emulator() as path:
        status, _, said = top('--once', path)
        same(status, 1, 'status')
        check('-plugin pviommu.so' in said, said)
    with with_iommu() as path:
        other = socket.socket(socket.AF_UNIX)
        other.connect(path)
        check(other.recv(4096), 'the monitor greets')
        patience, monitor.PATIENCE = monitor.PATIENCE, 1
        try:
            monitor.Monitor(path)
        except monitor.Failed as error:
            check('one client' in str(error), str(error))
        else:
            check(False, 'the monitor serves two')
        finally:
            monitor.PATIENCE = patience
            other.close()


def gone():
    """QEMU ends while somebody looks."""
    with with_iommu() as path:
        looking = subprocess.Popen(
            [TOP, '--json', '--interval', '0.1', path], text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE)
        check(looking.stdout.readline(), 'a sample')
    said = looking.communicate(timeout=PATIENCE)[1]
    same(looking.returncode, 1, 'status')
    check('does not answer' in said, said)
    same(said.count('\n'), 1, f'lines ({said})')


def mapping(first, last):
    """As query-pviommu-mappings tells one."""
    return {'first': first, 'last': last}


def drawn():
    """Address spaces to scale, numbers as people read them."""
    same(text.scale([mapping(0, 4095)], 4), ('####', 0, 4095), 'all')
    same(text.scale([mapping(0, 0), mapping(99, 99)], 10)[0],
         '.        .', 'the two ends')
    same(text.scale([mapping(100, 104), mapping(110, 119)], 2)[0], '+#',
         'a half')
    same(text.scale([mapping(0, 2 ** 64 - 1)], 3)[0], '###', 'everything')
    same(text.scale([mapping(7, 7)], 3)[0].strip(), '#', 'one byte')
    same([text.size(n) for n in (0, 4096, 4097, 1 << 30, 10241)],
         ['0 B', '4 KiB', '4097 B', '1 GiB', '10.0 KiB'], 'sizes')
    same([text.place(n) for n in (ENDPOINT, 0x1fd, 0x80050005)],
         ['00:04.0', '01:1f.5', 'mmio@a000a00'], 'places')


def sample(time, maps, kicks):
    """As monitor.Monitor takes one, of an IOMMU with these counters."""
    return {'time': time, 'qemu': '10.0.0', 'pviommu': {
        'version': '0', 'instances': [{
            'path': '/iommu', 'transport': 'mmio', 'driver-ok': True,
            'bypass': False, 'granule-bytes': 4096, 'address-bits': 64,
            'mapped-bytes': 0, 'mappings': 0, 'statuses': {},
            'requests': {'MAP': maps, 'PROBE': 1}, 'kicks': kicks,
            'host-refusals': 0, 'faults-reported': 0, 'faults-dropped': 0,
            'mistakes': {'overlap': 2}, 'domains': [], 'endpoints': []}]}}


def rates():
    """What came in a second is of the time between two samples."""
    before, now = sample(10, 100, 5), sample(12, 300, 6)
    lines = text.lines(now, before, 200)
    check('requests: MAP 300, PROBE 1; kicks: 6; now MAP 100/s; kicks 0/s'
          in lines, lines)
    check('requests: MAP 300, PROBE 1; kicks: 6' in text.lines(now, None, 200),
          'without another')
    check('; now ' not in '\n'.join(text.lines(now, now, 200)),
          'in no time')
    check('guest mistakes: overlap 2' in lines[-2], lines)
    same(max(map(len, text.lines(now, before, 20))), 20, 'width')


def recorded(folder):
    """A recording in which a disk goes from bypass to a domain, of which one
    half is mapped, then all: its file."""
    def at(time, state, *mappings):
        taken = sample(time, time, 1)
        iommu, = taken['pviommu']['instances']
        iommu['endpoints'] = [{'id': ENDPOINT, 'device': '/machine/<disk>',
                               'type': 'nvme', 'state': state, 'domain': 1}]
        taken['spaces'] = [{'path': '/iommu', 'domain': 1, 'complete': True,
                            'mappings': list(mappings)}]
        return json.dumps(taken) + '\n'

    path = Path(folder) / 'recording'
    path.write_text(at(0, 'bypass') +
                    at(1, 'translated', mapping(0, 4095)) +
                    at(2, 'translated', mapping(0, 8191)))
    return path


# A bar for each sample of the endpoint, and of the 64 parts of the domain 32,
# then all
BARS = 3 + 32 + 64


def page():
    """A recording is drawn; what is none is refused."""
    with tempfile.TemporaryDirectory() as folder:
        path = recorded(folder)
        status, printed, said = harness.run(DRAW, path)
        same((status, said), (0, ''), 'status and messages')
        same(printed.count('<rect '), BARS, 'bars')
        for words in ('00:04.0 &lt;disk&gt;', '<h3>Domain 1</h3>', '0x1fff',
                      ': translated, domain 1<'):
            check(words in printed, f'no {words} in {printed}')
        check('http' not in printed, 'it needs nothing else')
        path.write_text('{}\n')
        status, _, said = harness.run(DRAW, path)
        same((status, said.count('\n')), (1, 1), 'status and lines')
        check('--record' in said, said)


def browser():
    """What a browser makes of it."""
    program = shutil.which('chromium')
    if not program:
        raise Skip('no chromium (package chromium)')
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / 'page.html'
        file.write_text(harness.run(DRAW, recorded(folder))[1])
        status, printed, _ = harness.run(
            program, '--headless', '--no-sandbox', '--disable-gpu',
            '--no-first-run', '--disable-background-networking',
            '--disable-component-update', '--disable-sync',
            f'--user-data-dir={folder}/profile', '--dump-dom',
            f'file://{file}')
        same(status, 0, 'status')
        same(printed.count('<rect '), BARS, 'bars')


def cases(tap):
    """All of this."""
    for test in (once, view, misuse, gone, drawn, rates, page, browser):
        tap.case(f'pviommu-top: {test.__name__}', test)
