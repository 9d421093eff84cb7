# SPDX-License-Identifier: GPL-2.0-or-later
"""One QEMU: started, talked to by QMP, its guest by its serial ports."""

import ctypes
import os
import signal
import socket
import subprocess
import time
from pathlib import Path

from . import paths
from .agent import Agent
from .wait import Lost, in_vain, patience


PR_SET_PDEATHSIG = 1
_PRCTL = ctypes.CDLL(None).prctl


def _die_with_parent():
    """Leave no emulator behind, however the test ends."""
    _PRCTL(PR_SET_PDEATHSIG, signal.SIGKILL)


class Machine:
    """A running emulator.  Its console goes to FOLDER/NAME.console, what
    the emulator prints to FOLDER/NAME.stderr."""

    def __init__(self, name: str, folder: Path, args, wrapper=(), env=None,
                 emulator=None):
        """ARGS: the command line but for the emulator, the serial ports,
        QMP and what a test never wants.  WRAPPER: words before the
        emulator's name, such as prlimit and its options.  EMULATOR: another
        than that of a PC."""
        folder.mkdir(parents=True, exist_ok=True)
        self.name = name
        self.console_path = folder / f"{name}.console"
        self.stderr_path = folder / f"{name}.stderr"
        self._qmp_near, qmp_far = socket.socketpair()
        self._qmp = None
        self.agent = Agent(self._check)
        fds = (qmp_far.fileno(), self.agent.far.fileno())
        self.command = [
            *wrapper, emulator or paths.emulator(), "-nodefaults", "-no-user-config",
            "-display", "none",
            "-chardev", f"file,id=console,path={self.console_path}",
            "-serial", "chardev:console",
            "-chardev", f"socket,id=agent,fd={fds[1]}",
            "-serial", "chardev:agent",
            "-chardev", f"socket,id=qmp,fd={fds[0]}",
            "-qmp", "chardev:qmp", *map(str, args)]
        (folder / f"{name}.command").write_text(
            " \\\n    ".join(self.command) + "\n")
        self.started = time.monotonic()
        with open(self.stderr_path, "wb") as stderr:
            self.process = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=stderr,
                stderr=stderr, pass_fds=fds, env=env,
                preexec_fn=_die_with_parent)
        qmp_far.close()
        self.agent.far.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    @property
    def pid(self) -> int:
        """The process (the wrapper's, which must exec the emulator)."""
        return self.process.pid

    def _check(self):
        status = self.process.poll()
        if status is not None:
            said = "\n".join(line for line in self.stderr().splitlines()
                             if "TCG doesn't support" not in line)
            raise Lost(f"{self.name}: QEMU ended with status {status}: "
                       + (said[-600:].strip() or "no message"))

    def alive(self) -> bool:
        """Whether the emulator still runs."""
        return self.process.poll() is None

    def stderr(self) -> str:
        """What the emulator has printed so far, but for what QEMU 11.0 and
        later say, once, on a kernel without VFIO_DEVICE_FEATURE_DMA_BUF."""
        text = self.stderr_path.read_text(errors="replace")
        return "".join(line for line in text.splitlines(keepends=True)
                       if "VFIO dma-buf not supported in kernel" not in line)

    def console(self) -> str:
        """What the guest's console has shown so far."""
        if not self.console_path.exists():      # QEMU has just been started
            return ""
        return self.console_path.read_text(errors="replace")

    def boot(self) -> float:
        """Wait for the guest's agent: the seconds since the start."""
        try:
            self.agent.wait_ready()
        except Lost as error:
            last = self.console().strip().splitlines()[-3:]
            raise Lost(f"{error}; the console is in "
                       f"{paths.shown(self.console_path)}, its end: "
                       + (" / ".join(last) or "nothing")) from error
        return time.monotonic() - self.started

    def run(self, script) -> str:
        """Run SCRIPT in the guest; it must succeed."""
        return self.agent.run(script)

    def ask(self, script):
        """Run SCRIPT in the guest: status and output."""
        return self.agent.ask(script)

    def qmp(self, command, **arguments):
        """One QMP command: what it returned."""
        if self._qmp is None:
            self._qmp = paths.qmp_class()(self._qmp_near)
            self._qmp.settimeout(patience())
            self._qmp.connect()
        return self._qmp.cmd(command, **arguments)

    def pass_file(self, name, path):
        """Give QEMU an open file, by the name NAME."""
        self.qmp("query-version")       # be connected
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            self._qmp.send_fd_scm(fd)
            self.qmp("getfd", fdname=name)
        finally:
            os.close(fd)

    def wait_event(self, name, **data):
        """Wait for an event of this name, with these data, that came after
        the first command or will yet come."""
        while True:
            event = self._qmp.pull_event(wait=float(patience()))
            if event["event"] == name and \
                    data.items() <= event.get("data", {}).items():
                return

    def reset(self):
        """Reset the machine, and wait until that is done."""
        self.qmp("system_reset")
        self.wait_event("RESET", reason="host-qmp-system-reset")

    def restart(self):
        """Reset it so that the guest's next READY is that of the boot which
        follows.  Those of the boots before, which no one may have waited for,
        are dropped while nothing runs that could add to them."""
        self.qmp("stop")
        self.reset()
        self.agent.forget()
        self.qmp("cont")

    def get(self, device, name):
        """The property NAME of the device with the id DEVICE."""
        return self.qmp("qom-get", path=f"/machine/peripheral/{device}",
                        property=name)

    def status_kib(self, field) -> int:
        """A figure of /proc/PID/status in KiB, such as VmLck."""
        text = Path(f"/proc/{self.pid}/status").read_text()
        for line in text.splitlines():
            if line.startswith(field + ":"):
                return int(line.split()[1])
        raise KeyError(field)

    def wait(self) -> int:
        """Wait for the emulator's end: its status."""
        try:
            return self.process.wait(patience())
        except subprocess.TimeoutExpired as error:
            raise in_vain(f"{self.name} ends") from error

    def stop(self):
        """End the emulator, if it still runs, and wait for that."""
        if self._qmp is not None:
            try:
                self._qmp.close()
            except Exception:  # the socket may have gone with the emulator
                pass
            self._qmp = None
        self._qmp_near.close()
        self.agent.close()
        if self.alive():
            self.process.terminate()
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
