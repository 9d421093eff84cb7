# SPDX-License-Identifier: GPL-2.0-or-later
"""The stock emulator, made able to run qtests with the library in it.

Distributions leave the qtest accelerator of QEMU before 11.0 out. It is built
here from QEMU's source as the module that the emulator would load, with the
stamp by which the emulator knows its own modules.
"""

import fcntl
import json
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import programs
from pvlab.wait import PATIENCE

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get('PVIOMMU_BUILD', ROOT / 'build')).resolve()
QEMU_SOURCE = Path(os.environ['QEMU_SOURCE'])
QEMU_BUILD = Path(os.environ['QEMU_BUILD'])
OUT = BUILD / 'qtest'
# What a sanitizer finds goes to files named so, one a process, unless the
# environment says otherwise
SANITIZER_LOG = OUT / 'sanitizer'
# The request queue in an IOThread, in each emulator
POLLED_ARGS = ('-object iothread,id=pviommu-io,poll-max-ns=1000000 '
               '-global pviommu-device.iothread=pviommu-io')


def emulators():
    """The emulators to test: a target's name and the file."""
    found = {'x86_64': os.environ.get('QEMU_X86_64'),
             'aarch64': os.environ.get('QEMU_AARCH64')}
    return {target: path for target, path in found.items() if path}


def run(*words, **more):
    """Run a program, with MORE in the environment: status, what it printed,
    what it said."""
    done = subprocess.run(words, text=True, timeout=PATIENCE,
                          env={**os.environ, **more},
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE)
    return done.returncode, done.stdout, done.stderr


def build(argv, **kwargs):
    """Run a build step; raise with what it said if it fails."""
    done = subprocess.run(argv, stdout=subprocess.PIPE, text=True,
                          stderr=subprocess.STDOUT, **kwargs)
    if done.returncode:
        raise RuntimeError(f'{shlex.join(map(str, argv))}:\n'
                           + done.stdout[-4000:])
    return done.stdout


def build_programs():
    """QEMU's libqtest and libqos, and the test programs that use them."""
    targets = build(['python3', ROOT / 'tests/qtest/link-flags.py',
                     QEMU_BUILD, '--targets']).split()
    build(['flock', QEMU_BUILD, 'ninja', '-C', QEMU_BUILD, *targets])
    # -k: one that does not compile is no reason not to run the others
    build(['ninja', '-k', '0', '-C', BUILD, 'qtests'])


def library():
    """What the file to load opens for the QEMU that this build is for."""
    return BUILD / f"pviommu/{os.environ['QEMU_SERIES']}.so"


def configure_variant(name, env, *options):
    """Another build folder, as this one but for ...: where it is."""
    folder = BUILD / name
    args = (BUILD / 'setup.args').read_text().split()
    mark = folder / 'setup.args'
    if not mark.exists() or mark.read_text().split() != args:
        shutil.rmtree(folder, ignore_errors=True)
        build(['meson', 'setup', folder, ROOT, *options, *args],
              env={**os.environ, **env})
        mark.write_text(' '.join(args))
    return folder


def build_variant(name, env, *options):
    """Another build of the library, as this one but for ...: where it is."""
    folder = configure_variant(name, env, *options)
    build(['ninja', '-C', folder, 'pviommu.so'])
    return folder / 'pviommu.so'


def build_sanitized():
    """The library with ASan and UBSan: where it is."""
    return build_variant('sanitized', {}, '-Db_sanitize=address,undefined')


def build_watched():
    """The library with TSan, which knows no fences: where it is."""
    return build_variant('threads', {}, '-Db_sanitize=thread',
                         '-Db_lundef=false', '-Dc_args=-Wno-error=tsan')


def compile_command(name, output, qemu_build):
    """How QEMU compiles a source: arguments without files, and where."""
    with open(qemu_build / 'compile_commands.json', encoding='utf-8') as f:
        for entry in json.load(f):
            if entry['file'].endswith(name) and output in entry['output']:
                break
        else:
            raise RuntimeError(f'{qemu_build} does not compile {name}')
    args, it = [], iter(shlex.split(entry['command']))
    for arg in it:
        if arg in ('-MQ', '-MF', '-o', '-c'):
            next(it)
        elif arg not in ('-MD', '-fPIE'):
            args.append(arg)
    return args, entry['directory']


def has_qtest(binary):
    """Whether an emulator has the accelerator, built in or as a module of its
    own, which "-accel help" would not name."""
    return subprocess.run([binary, '-accel', 'qtest', '-machine', 'none',
                           '-nodefaults', '-display', 'none', '-monitor',
                           'stdio'], input=b'quit\n',
                          stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL).returncode == 0


def module(target):
    """Where accel-qtest-TARGET.so is, for an emulator that has it not."""
    return OUT / f'modules-{target}/accel-qtest-{target}.so'


def build_accelerator(target, binary):
    """Build the module for an emulator, unless that has the accelerator."""
    path = module(target)
    path.parent.mkdir(parents=True, exist_ok=True)
    # More than one layer needs it
    with open(path.parent / 'lock', 'w', encoding='utf-8') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if has_qtest(binary):
            path.unlink(missing_ok=True)    # another emulator's
        else:
            compile_accelerator(target, binary, path)


def executable(binary):
    """The emulator itself, where BINARY is a script of write_wrapper() in
    scripts/qemu.sh."""
    found = re.search(rb'\$here/(\S*qemu-system-\w+)',
                      Path(binary).read_bytes())
    return Path(binary).resolve().parent / found.group(1).decode() \
        if found else Path(binary)


def compile_accelerator(target, binary, path, qemu_build=QEMU_BUILD):
    """The module to PATH, unless it is there."""
    folder = path.parent
    stamp = re.search(rb'qemu_stamp(_[0-9a-f]+)',
                      executable(binary).read_bytes())
    if not stamp:
        raise RuntimeError(f'{binary} takes no modules: no qtest for it')
    stamp = stamp.group(1).decode()
    mark = folder / 'built-for'
    key = f'{stamp} {qemu_build}'
    if path.exists() and mark.exists() and mark.read_text() == key:
        return

    text = (qemu_build / 'config-host.h').read_text()
    text = re.sub(r'^#\s*(define|undef) CONFIG_STAMP\b.*$', '', text,
                  flags=re.M)
    (folder / 'config-host.h').write_text(
        f'{text}\n#define CONFIG_STAMP {stamp}\n')
    args, where = compile_command('accel/qtest/qtest.c',
                                  f'libqemu-{target}-softmmu', qemu_build)
    args[1:1] = ['-iquote', str(folder)]
    build([*args, '-fPIC', '-shared', '-DBUILD_DSO', '-w', '-o', path,
           QEMU_SOURCE / 'accel/qtest/qtest.c',
           QEMU_SOURCE / 'module-common.c'], cwd=where)
    # or the emulator, if not installed, would look for those of another
    for own in executable(binary).parents[1].glob('lib/*/qemu/*.so'):
        if not (folder / own.name).exists():
            (folder / own.name).symlink_to(own)
    mark.write_text(key)


def preload(*names):
    """What a program that was built without sanitizers must load first."""
    return [os.path.realpath(build(['gcc', f'-print-file-name={name}']).strip())
            for name in names]


def write_wrapper(kind, target, binary, plugin, arguments='', debugger='',
                  folder=OUT):
    """A script named as libqtest wants an emulator named: its path."""
    path = folder / kind / f'qemu-system-{target}'
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = ['#!/bin/sh',
             '# The stock emulator with the library and the qtest module']
    if module(target).exists():
        lines += [f'export QEMU_MODULE_DIR={module(target).parent}']
    run = f'{shlex.quote(str(binary))} -plugin {shlex.quote(str(plugin))}'
    log = f'log_path=${{PVIOMMU_SANITIZER_LOG:-{SANITIZER_LOG}}}'
    under, loaded = '', []
    if kind == 'sanitized':
        # To look for the callers of an allocation takes most of the time
        asan = ('detect_leaks=1:fast_unwind_on_malloc=0:malloc_context_size='
                f'12:abort_on_error=0:exitcode=99:{log}')
        ubsan = f'print_stacktrace=1:halt_on_error=1:{log}'
        lines += [f'export ASAN_OPTIONS="{asan}"',
                  f'export UBSAN_OPTIONS="{ubsan}"',
                  "export LSAN_OPTIONS='exitcode=0:report_objects=0'"]
        loaded = preload('libasan.so', 'libubsan.so')
    elif kind == 'threads':
        # The emulator is no part of it; and what it cannot see is where the
        # emulator's coroutines jump to
        tsan = ('ignore_noninstrumented_modules=1:detect_deadlocks=0:'
                f'exitcode=0:{log}')
        lines += [f'export TSAN_OPTIONS="{tsan}"']
        under = ' '.join(programs.steady())
        loaded = [str(BUILD / 'tests/qtest/pviommu-jump.so'),
                  *preload('libtsan.so')]
    # What a test wants loaded first comes after the sanitizers
    loaded = ' '.join([*loaded, '${PVIOMMU_QTEST_PRELOAD:-}'])
    lines += [f'exec {under} {debugger} env LD_PRELOAD="{loaded}" {run} '
              f'{arguments} $PVIOMMU_QTEST_ARGS "$@"']
    path.write_text('\n'.join(lines) + '\n')
    path.chmod(0o755)
    return path


def clear_findings(log=SANITIZER_LOG):
    """Forget what sanitizers found so far."""
    for path in log.parent.glob(log.name + '.*'):
        path.unlink()


def findings(log=SANITIZER_LOG):
    """What sanitizers found since: errors anywhere, leaks of the library.

    The emulator itself frees little at its end, so a leak counts only if the
    library is among its callers.  (The cache, where an emulator may be, has a
    name like it.)
    """
    cache = os.environ.get('PVIOMMU_CACHE')
    found = []
    for path in sorted(log.parent.glob(log.name + '.*')):
        text = path.read_text(errors='replace')
        if cache:
            text = text.replace(f'{cache}/', '')
        for part in re.split(r'\n(?=Direct leak|Indirect leak|SUMMARY)|\n\n',
                             text):
            if part.startswith('Direct leak'):
                if 'pviommu' in part:
                    found.append(part)
            elif 'ERROR: AddressSanitizer' in part or \
                    'ThreadSanitizer' in part or 'runtime error:' in part:
                found.append(text)
                break
    return '\n'.join(found)
