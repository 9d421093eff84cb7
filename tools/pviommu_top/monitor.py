# SPDX-License-Identifier: GPL-2.0-or-later
"""Asks a QEMU that has pviommu.so, by the client of QEMU's own project."""

import asyncio
import logging
import os
import sys
import time
from pathlib import Path

# Seconds: QEMU's main loop may be busy, but a monitor that serves another
# client never answers
PATIENCE = 20
# Mappings in one answer, and of one domain at most: no request of the guest's
# is run while QEMU collects an answer
PART = 10000
MOST = 20 * PART


class Failed(Exception):
    """It cannot be asked; the text says why, and what to do."""


def qmp_path(source: Path):
    """Where a source tree of QEMU has the package qmp, if it has: in a folder,
    or since 11.0 in a wheel.  Of the package qemu around it nothing is needed,
    and Python finds none in a wheel."""
    python = source / 'python'
    if (python / 'qemu/qmp').is_dir():
        return python / 'qemu'
    wheel = next((python / 'wheels').glob('qemu_qmp-*.whl'), None)
    return wheel and wheel / 'qemu'


def cache() -> Path:
    """The folder that outlives checkouts (the one scripts/setup fills)."""
    base = os.environ.get('PVIOMMU_CACHE')
    if base:
        return Path(base).resolve()
    xdg = os.environ.get('XDG_CACHE_HOME') or str(Path.home() / '.cache')
    return Path(xdg).resolve() / 'pviommu'


def _cached():
    """The package that came with what scripts/setup fetched, or None."""
    found = (qmp_path(source)
             for source in sorted((cache() / 'qemu').glob('*/src')))
    return next(filter(None, found), None)


def _qmp():
    """QEMU's package qmp: installed, or else from the sources that
    scripts/setup fetched."""
    try:
        from qemu import qmp
    except ImportError:
        path = _cached()
        if not path:
            raise Failed(
                'the Python package qemu.qmp is missing: run scripts/setup, '
                'install it, or add the folder "python" of a source of QEMU '
                'to PYTHONPATH') from None
        sys.path.insert(0, str(path))
        import qmp
    return qmp


class Monitor:
    """A connection to one QEMU."""

    def __init__(self, address):
        """ADDRESS: path of a socket, or HOST:PORT."""
        self._package = _qmp()
        # It logs what it raises, too
        logging.getLogger(self._package.__name__).setLevel(
            logging.CRITICAL + 1)
        self._client = self._package.QMPClient('pviommu-top')
        self._loop = asyncio.new_event_loop()
        host, colon, port = address.rpartition(':')
        where = (host, int(port)) if colon and port.isdigit() else address
        try:
            self._wait(self._client.connect(where))
        except asyncio.TimeoutError:
            raise Failed(
                f'{address}: nobody answers. A monitor serves one client at a '
                'time: start QEMU with one more -qmp for this') from None
        except self._package.ConnectError as error:
            raise Failed(
                f'{address}: {_reason(error)}. Start QEMU with -qmp '
                'unix:FILE,server=on,wait=off and name that FILE') from None
        qemu = self._ask('query-version')['qemu']
        self.version = '{major}.{minor}.{micro}'.format(**qemu)

    def _wait(self, what):
        return self._loop.run_until_complete(
            asyncio.wait_for(what, PATIENCE))

    def _ask(self, command, **arguments):
        """Run a command: what it returns."""
        try:
            return self._wait(self._client.execute(command, arguments))
        except self._package.ExecuteError as error:
            if error.error_class == 'CommandNotFound':
                raise Failed(
                    f'QEMU knows no {command}: it runs without -plugin '
                    'pviommu.so, or with an older one') from None
            raise Failed(f'{command}: {error}') from None
        except (asyncio.TimeoutError, EOFError, self._package.QMPError) as error:
            raise Failed(f'QEMU does not answer any more: {_reason(error)}') \
                from None

    def sample(self, spaces):
        """What there is now: see take()."""
        return take(self._ask, self.version, spaces)

    def close(self):
        """Hang up, whoever did so first."""
        try:
            self._wait(self._client.disconnect())
        except (EOFError, OSError, self._package.QMPError):
            pass
        self._loop.close()


def take(ask, version, spaces):
    """What there is now, as a JSON object.  ASK: runs a command with these
    arguments.  VERSION: of QEMU.  SPACES: also what the domains map."""
    info = ask('query-pviommu')
    sample = {'time': time.time(), 'qemu': version, 'pviommu': info}
    if spaces:
        sample['spaces'] = [
            {'path': iommu['path'], 'domain': domain['id'],
             **_space(ask, iommu['path'], domain['id'])}
            for iommu in info['instances']
            for domain in iommu['domains'] if domain['kind'] != 'bypass']
    return sample


def _space(ask, device, domain):
    """A domain's mappings, or the first of them.  The guest may have given the
    domain up since."""
    space = {'mappings': [], 'complete': False}
    start = 0
    try:
        while start is not None and len(space['mappings']) < MOST:
            part = ask('query-pviommu-mappings', max=PART, device=device,
                       domain=domain, **{'from': start})
            space['mappings'] += part['mappings']
            start = part.get('next')
        space['complete'] = start is None
    except Failed as error:
        space['error'] = str(error)
    return space


def _reason(error):
    """In few words: what asyncio and qemu.qmp wrap is the cause."""
    while error.__cause__:
        error = error.__cause__
    return getattr(error, 'strerror', None) or str(error) \
        or type(error).__name__
