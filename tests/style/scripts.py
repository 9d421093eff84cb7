# SPDX-License-Identifier: GPL-2.0-or-later
"""What the scripts say of themselves, and what they remember: with folders of
their own, and tools that only pretend to be."""

import contextlib
import os
import re
import signal
import subprocess
import tempfile
from pathlib import Path

from pvlab.tap import Skip, check, same
from pvlab.wait import until

ROOT = Path(__file__).resolve().parents[2]
# An emulator, and the machine's own; what builds; no package is ever missing
PRETENDED = {'qemu': 'echo "QEMU emulator version 10.0.99"',
             'qemu-system-x86_64': 'echo "QEMU emulator version 10.0.98"',
             'meson': 'mkdir -p "$2"; echo "$@" >"$2/build.ninja"',
             'ninja': ':',
             'dpkg-query': 'echo "installed 1:99"', 'dpkg': ':',
             'apt-get': 'echo "nothing is to be fetched" >&2; exit 1'}


class Scripts:
    """The scripts, in a place where they can do no harm."""

    def __init__(self, folder):
        self.folder = folder
        self.cache, self.build = folder / 'cache', folder / 'build'
        self.tools, self.source = folder / 'tools', folder / 'source'
        for path in (self.tools, self.source):
            path.mkdir()
        for name in PRETENDED:
            self.pretend(name)
        self.put_source(self.source, '10.0.99')
        self.words = [f'-Dqemu_binary={self.tools}/qemu',
                      f'-Dqemu_source={self.source}',
                      f'-Dqemu_build={self.source}']

    def pretend(self, name):
        """Put a tool there."""
        path = self.tools / name
        path.write_text(f'#!/bin/sh\n{PRETENDED[name]}\n')
        path.chmod(0o755)

    @staticmethod
    def put_source(folder, version):
        """What looks like the source of a QEMU."""
        (folder / 'pc-bios').mkdir(parents=True)
        (folder / 'pc-bios/meson.build').touch()
        (folder / 'VERSION').write_text(f'{version}\n')
        (folder / 'configure').write_text('#!/bin/sh\n')
        (folder / 'configure').chmod(0o755)

    def environment(self):
        """With the folders and the tools."""
        return {**os.environ, 'PVIOMMU_CACHE': str(self.cache),
                'PVIOMMU_BUILD': str(self.build),
                'PATH': f'{self.tools}:{os.environ["PATH"]}'}

    def run(self, name, *args):
        """One of them: its status, what it printed, what it said."""
        done = subprocess.run(
            [ROOT / 'scripts' / name, *args], stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env=self.environment())
        return done.returncode, done.stdout, done.stderr

    def did_nothing(self):
        """Neither in the cache nor in the build folder."""
        same([path.name for path in (self.cache, self.build)
              if path.exists()], [], 'folders that were made')

    def set_up(self, *args):
        """A set-up that works: what it said, and what Meson was told."""
        status, _, said = self.run('setup', *args)
        same(status, 0, f'status ({said})')
        return said, (self.build / 'build.ninja').read_text().split()


def usage(name):
    """--help prints how it is called, another word is refused, and neither
    begins any work."""
    with tempfile.TemporaryDirectory() as folder:
        scripts = Scripts(Path(folder))
        for option in ('--help', '-h'):
            status, printed, said = scripts.run(name, option)
            same((status, said), (0, ''), f'{option}: status and messages')
            check(f'usage: scripts/{name}' in printed, printed)
            scripts.did_nothing()
        status, printed, said = scripts.run(name, '--no-such-option')
        same((status, printed), (2, ''), 'status and what was printed')
        check(f'usage: scripts/{name}' in said, said)
        scripts.did_nothing()


def no_kernel_yet():
    """To ask for what was not built yet is no failure."""
    with tempfile.TemporaryDirectory() as folder:
        scripts = Scripts(Path(folder))
        same(scripts.run('build-lab-kernel', '--cached'), (0, '', ''),
             'status, what was printed, messages')
        scripts.did_nothing()


def options_stay():
    """The options of a set-up hold for the next ones, which say so, until
    there are others."""
    with tempfile.TemporaryDirectory() as folder:
        scripts = Scripts(Path(folder))
        said, _ = scripts.set_up(*scripts.words, '-Dwerror=false')
        check('as set up before' not in said, said)
        said, told = scripts.set_up()
        for word in (*scripts.words, '-Dwerror=false'):
            check(word in said, f'not said: {word}: {said}')
            check(word in told, f'Meson is not told {word}: {told}')
        check(f'{scripts.tools}/qemu' in
              (scripts.build / 'setup.env').read_text(), 'another emulator')
        # others take their place, and Meson begins anew
        private = scripts.build / 'meson-private'
        private.mkdir()
        said, told = scripts.set_up(*scripts.words)
        check('werror' not in said and '-Dwerror=false' not in told,
              f'-Dwerror=false is still there: {said}, {told}')
        check(not private.exists(), 'Meson would keep it')
        # a set-up that fails on the way is no reason not to begin anew
        (scripts.build / 'build.ninja').write_text('old')
        (scripts.tools / 'meson').write_text('#!/bin/sh\nexit 1\n')
        same(scripts.run('setup', '-Dwerror=false', *scripts.words)[0], 1,
             'status where Meson fails')
        scripts.pretend('meson')
        _, told = scripts.set_up()
        check('old' not in told and scripts.words[0] in told,
              f'Meson was told {told}')


def no_options_stay():
    """Without options the next set-up is like the first."""
    with tempfile.TemporaryDirectory() as folder:
        scripts = Scripts(Path(folder))
        # as if it had been fetched
        scripts.put_source(scripts.cache / 'qemu/99/src', '10.0.98')
        for _ in range(2):
            said, _ = scripts.set_up()
            check('as set up before' not in said, said)


def default_forgets():
    """--default is the machine's own QEMU again; a set-up that fails, as this
    one does, leaves what was."""
    with tempfile.TemporaryDirectory() as folder:
        scripts = Scripts(Path(folder))
        scripts.set_up(*scripts.words)
        other = scripts.folder / 'other'
        scripts.put_source(other, '10.2.0')
        status, _, said = scripts.run('setup', '--default',
                                      f'-Dqemu_source={other}')
        check(status == 1 and '10.0.98' in said,
              f"not the machine's: {status}, {said}")
        said, _ = scripts.set_up()
        check(scripts.words[0] in said, f'not the one before: {said}')


# A mirror that lists the source of 11.1 and does not serve it, one that does,
# and one that is very slow
MIRROR = """case "$*" in
*indextargets*) echo "http://mirror bookworm main"
    echo "http://mirror trixie main" ;;
*--tar-only*) %s ;;
esac"""
SERVES = 'tar -C "$PVIOMMU_CACHE/../served" -cJf qemu_11.1.9.orig.tar.xz qemu'
WAITS = 'touch "$PVIOMMU_CACHE/waits"; exec sleep 600'
LISTED = """echo 'qemu | 1:11.1.9+ds-1 | http://mirror sid/main Sources'
echo 'qemu | 1:11.1.9+ds-1 | http://mirror sid/main amd64 Packages'"""


class OtherSeries(Scripts):
    """Where the machine's own QEMU is set up already."""

    def __init__(self, folder):
        super().__init__(folder)
        self.put_source(self.cache / 'qemu/99/src', '10.0.98')
        # as ninja would have left it
        (self.tools / 'ninja').write_text(
            '#!/bin/sh\nmkdir -p "$2/pviommu"; for s in 10.0 10.1 10.2 11.0 '
            '11.1; do : > "$2/pviommu/$s.so"; done\n')

    def has_mirror(self, serves='exit 1'):
        """One that serves nothing, or does what is said."""
        for name, does in (('apt-get', MIRROR % serves),
                           ('apt-cache', LISTED)):
            (self.tools / name).write_text(f'#!/bin/sh\n{does}\n')
            (self.tools / name).chmod(0o755)

    def refuses(self, *words, args):
        """With one sentence, at the end, that holds WORDS."""
        status, _, said = self.run('setup', *args)
        same(status, 1, f'status ({said})')
        for word in words:
            check(word in said.splitlines()[-1], f'no {word!r} in {said}')


def unknown_series():
    """Nothing begins for a series that the library does not know."""
    with tempfile.TemporaryDirectory() as folder:
        scripts = Scripts(Path(folder))
        for word in ('9.2', 'nonsense', '10', '10.0.2', '', '10.0 10.1',
                     '10.0\n'):
            for name in 'setup', 'check':
                status, _, said = scripts.run(name, '--qemu', word)
                check(status and ('10.0 10.1' in said or 'usage' in said),
                      f'{name} {word!r}: {status}, {said}')
                scripts.did_nothing()
        for words in ('--emulator',), ('--default', '--qemu', '10.1'):
            status, _, said = scripts.run('setup', *words)
            check(status == 2 and 'usage' in said, f'{words}: {status}, {said}')
            scripts.did_nothing()
        # these are for set-ups: there is not one emulator of all
        for word in 'all', 'newest':
            status, _, said = scripts.run('check', '--qemu', word)
            check(status == 1 and f"not for '{word}'" in said,
                  f'{word}: {status}, {said}')
            scripts.did_nothing()


def series_are_told():
    """README and the header that knows versions name the series that the
    scripts do."""
    text = (ROOT / 'scripts/qemu.sh').read_text()
    series = re.search(r'^SERIES=\((.*)\)$', text, re.M).group(1).split()
    readme = (ROOT / 'README.md').read_text()
    section = readme[readme.index('## Which QEMU'):]
    section = section[:section.index('\n## ')]
    same(re.findall(r'^\| (\d+\.\d+) \|', section, re.M), series,
         "rows of README's table")
    between = f'{series[0]} to {series[-1]}'
    for file in ('README.md', 'include/pviommu/compat.h'):
        check(between in ' '.join((ROOT / file).read_text().split()),
              f'{file} does not say {between}')


def source_not_served():
    """What no mirror gives is to be named, and what to type is said."""
    with tempfile.TemporaryDirectory() as folder:
        scripts = OtherSeries(Path(folder))
        scripts.refuses('no mirror', '11.1', '-Dqemu_source=DIR',
                        args=['--qemu', '11.1'])
        # apt-get update only warns where it reaches none, and the lists are
        # read anew when there is one
        scripts.has_mirror()
        (scripts.tools / 'apt-cache').write_text('#!/bin/sh\n')
        scripts.refuses('no mirror', '11.1', '-Dqemu_source=DIR',
                        args=['--qemu', '11.1'])
        check(not (scripts.cache / 'apt-suites/fresh').exists(), 'fresh')
        scripts.has_mirror()
        scripts.refuses('1:11.1.9+ds-1', 'does not serve',
                        '-Dqemu_source=DIR', args=['--qemu', '11.1'])
        scripts.refuses('no suite', '11.0', '-Dqemu_source=DIR',
                        args=['--qemu', '11.0'])
        same(sorted(path.name for path in (scripts.cache / 'qemu').iterdir()),
             ['99'], 'what is left in the cache')


def newest_is_skipped():
    """Where no newer emulator can be had with headers, the reason is kept for
    the tests to show, and nothing fails."""
    with tempfile.TemporaryDirectory() as folder:
        scripts = OtherSeries(Path(folder))
        scripts.set_up('--qemu', 'newest')
        reason = scripts.build / 'newest'
        check('skip: no mirror' in reason.read_text(), reason.read_text())
        scripts.has_mirror()
        scripts.set_up('--qemu', 'newest')
        check(re.match('skip: .*1:11.1.9.*does not serve',
                       reason.read_text()), reason.read_text())


def source_is_remembered():
    """A source that was named once does for the next time."""
    with tempfile.TemporaryDirectory() as folder:
        scripts = OtherSeries(Path(folder))
        other = scripts.folder / 'other'
        scripts.put_source(other, '11.1.7')
        words = [f'-Dqemu_source={other}', f'-Dqemu_build={other}']
        scripts.refuses('11.1.7', '11.0', args=['--qemu', '11.0', *words])
        said, _ = scripts.set_up('--qemu', '11.1', *words)
        check('pviommu/11.1.so is there' in said, said)
        said, _ = scripts.set_up('--qemu', '11.1')
        check('pviommu/11.1.so is there' in said, said)
        check((scripts.build / 'pviommu/11.1.so').exists(), 'no library')
        # but not when it is gone, as one in the cache may be
        other.rename(scripts.folder / 'moved')
        scripts.has_mirror()
        scripts.refuses('1:11.1.9+ds-1', 'does not serve',
                        args=['--qemu', '11.1'])


def source_is_fetched():
    """What one that was killed has left goes with the next."""
    with tempfile.TemporaryDirectory() as folder:
        scripts = OtherSeries(Path(folder))
        scripts.put_source(scripts.folder / 'served/qemu', '11.1.9')
        scripts.has_mirror(SERVES)
        place = scripts.cache / 'qemu/11.1.9+ds'
        (place / 'fetch.killed').mkdir(parents=True)
        scripts.set_up('--qemu', '11.1')
        same([path.name for path in place.iterdir()
              if not path.name.startswith('build-')], ['src'],
             'what is in the cache')


def interrupted():
    """By the key, which all processes see: nothing is said of the mirror."""
    with tempfile.TemporaryDirectory() as folder:
        scripts = OtherSeries(Path(folder))
        scripts.has_mirror(WAITS)
        with subprocess.Popen(
                # in the background of a script the key would be ignored
                ['env', '--default-signal=INT', ROOT / 'scripts/setup',
                 '--qemu', '11.1'],
                stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                start_new_session=True, env=scripts.environment()) as run:
            until((scripts.cache / 'waits').exists, 'apt-get to wait')
            os.killpg(run.pid, signal.SIGINT)
            status = run.wait()
            # apt-get may go on; or all are gone
            with contextlib.suppress(ProcessLookupError):
                os.killpg(run.pid, signal.SIGKILL)
            said = run.stderr.read()
        check(status in (-signal.SIGINT, 130), f'{status}: {said}')
        check('does not serve' not in said, said)


def other_series_are_installed():
    """What "meson install" runs: the libraries for other series are those of
    the build, whatever is installed; this one's, Meson has installed."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for place in 'build/pviommu', 'prefix/plugins':
            (folder / place).mkdir(parents=True)
        for series in '10.0', '10.2', '11.1':
            (folder / f'build/pviommu/{series}.so').write_text('new')
        for series in '10.0', '10.2':
            (folder / f'prefix/plugins/{series}.so').write_text('old')
        subprocess.run([ROOT / 'scripts/install-series.sh', 'plugins',
                        '10.0.so'], check=True,
                       env={**os.environ,
                            'MESON_BUILD_ROOT': str(folder / 'build'),
                            'MESON_INSTALL_DESTDIR_PREFIX':
                            str(folder / 'prefix')})
        same({path.name: path.read_text()
              for path in (folder / 'prefix/plugins').iterdir()},
             {'10.0.so': 'old', '10.2.so': 'new', '11.1.so': 'new'},
             'what is installed')


# What the scripts install, into a machine that has nothing, and only asked for
WHOLE_INSTALL = """set -eu
for name in common apt qemu; do . "$ROOT/scripts/$name.sh"; done
use_suites
private_apt -o Dir::State::status=/dev/null -s --no-install-recommends -t "$1" \
    install "${PACKAGES[@]}" "${NEWER[@]}" "${EMULATORS[@]}" \
    "${EMULATOR_NEEDS[@]}"
"""


def release_has_all():
    """Debian 13 has each package, and nothing comes from elsewhere."""
    if not (Path(os.environ['PVIOMMU_CACHE']) / 'apt-suites/fresh').exists():
        raise Skip('no lists of all suites (scripts/setup --qemu newest)')
    done = subprocess.run(['bash', '-c', WHOLE_INSTALL, 'bash', 'trixie'],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True,
                          env={**os.environ, 'ROOT': str(ROOT)})
    same(done.returncode, 0, f'status ({done.stdout[-2000:]})')
    chosen = re.findall(r'^Inst (\S+) \((.*)\)', done.stdout, re.M)
    check('qemu-system-x86' in dict(chosen), 'no emulator')
    same([where for where in chosen if ' Debian:13' not in where[1]], [],
         'from another release')


def cases(tap):
    """All of them."""
    for path in sorted((ROOT / 'scripts').iterdir()):
        if not path.suffix and os.access(path, os.X_OK):
            tap.case(f'scripts/{path.name}: says how it is called', usage,
                     path.name)
    tap.case('scripts/build-lab-kernel: nothing is built yet', no_kernel_yet)
    tap.case('scripts/setup: its options stay', options_stay)
    tap.case('scripts/setup: without options', no_options_stay)
    tap.case('scripts/setup: --default forgets them', default_forgets)
    tap.case('scripts/setup: a series that is not known', unknown_series)
    tap.case('scripts/setup: the series are told', series_are_told)
    tap.case('scripts/setup: a source that is not served', source_not_served)
    tap.case('scripts/setup: no newer emulator', newest_is_skipped)
    tap.case('scripts/setup: a source is remembered', source_is_remembered)
    tap.case('scripts/setup: a source is fetched', source_is_fetched)
    tap.case('scripts/setup: the interrupt key', interrupted)
    tap.case('scripts/setup: Debian 13 has what is installed',
             release_has_all)
    tap.case('scripts/install-series.sh: what the build has',
             other_series_are_installed)
