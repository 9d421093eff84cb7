# SPDX-License-Identifier: GPL-2.0-or-later
"""Commands in a guest, over its second serial port.

The guest runs loop() in busybox's shell.  It says READY, then for each line,
a shell script in base64, runs it and answers "=STATUS LENGTH" and that many
bytes of output."""

import base64
import select
import socket
import time

from .wait import Lost, in_vain, patience, until


def loop(port) -> str:
    """The guest's end of it, on a serial port of the guest."""
    return f"""
stty -F {port} raw -echo 115200
exec 3<>{port}
printf '\\nREADY\\n' >&3       # what the last boot began may have no end
while read -r line <&3; do
    echo "$line" | base64 -d >/tmp/agent.sh
    sh /tmp/agent.sh >/tmp/agent.out 2>&1 </dev/null 3>&-
    status=$?
    echo "=$status $(stat -c %s /tmp/agent.out)" >&3
    cat /tmp/agent.out >&3
done
"""


class Failed(Exception):
    """A command in the guest ended with a status other than 0."""


class Agent:
    """The far end of a guest's second serial port."""

    def __init__(self, alive):
        """ALIVE: a function that raises Lost when the machine has ended."""
        self.near, self.far = socket.socketpair()
        self._alive = alive
        self._pending = b""
        self._astray = ""       # why no answer can be told from the next

    def close(self):
        """Drop the line; nothing can be asked afterwards."""
        self.near.close()

    def _fill(self, deadline, what):
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                lost = in_vain(what)
                self._astray = str(lost)
                raise lost
            self._alive()
            self.near.settimeout(min(left, 1))
            try:
                data = self.near.recv(65536)
            except TimeoutError:
                continue
            if not data:
                # it ends, and says why
                until(self._alive, f"the machine hung up: {what}")
            self._pending += data
            return

    def read_line(self, deadline, what) -> str:
        """The next line, waited for until DEADLINE (of time.monotonic),
        or Lost, which says that WHAT was waited for."""
        while b"\n" not in self._pending:
            self._fill(deadline, what)
        line, _, self._pending = self._pending.partition(b"\n")
        return line.decode(errors="replace").rstrip()

    def wait_ready(self):
        """Wait until the guest has booted (again)."""
        deadline = time.monotonic() + patience()
        while self.read_line(deadline, "the guest's boot") != "READY":
            pass
        self._astray = ""

    def has_word(self) -> bool:
        """Whether the guest has said what was not read yet."""
        return bool(self._pending or
                    select.select([self.near], [], [], 0)[0])

    def forget(self):
        """Drop what was not read yet.  Only where the guest stands still is
        it certain which of its words that were."""
        self._pending = b""
        while self.has_word():
            if not self.near.recv(65536):
                break

    def write_line(self, line):
        """Send one line as it is."""
        self.near.settimeout(patience())
        self.near.sendall(line.encode() + b"\n")

    def send(self, script):
        """Start SCRIPT in the guest and do not wait for it."""
        self.write_line(base64.b64encode(script.encode()).decode())

    def ask(self, script) -> tuple[int, str]:
        """Run SCRIPT in the guest: its status, and what it printed."""
        if self._astray:
            raise Lost(f"no more is asked of the guest; {self._astray}")
        what = " ".join(script.split())[:70]
        deadline = time.monotonic() + patience()
        self.send(script)
        while True:
            line = self.read_line(deadline, what)
            if line.startswith("="):
                break
            if line == "READY":
                raise Lost(f"the guest rebooted: {what}")
        status, length = (int(word) for word in line[1:].split())
        while len(self._pending) < length:
            self._fill(deadline, what)
        out, self._pending = self._pending[:length], self._pending[length:]
        return status, out.decode(errors="replace")

    def run(self, script) -> str:
        """Run SCRIPT, which must succeed: what it printed, stripped."""
        status, out = self.ask(script)
        if status != 0:
            raise Failed(f"status {status} from: "
                         f"{' '.join(script.split())[:200]}\n{out.strip()}")
        return out.strip()
