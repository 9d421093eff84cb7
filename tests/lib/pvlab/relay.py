# SPDX-License-Identifier: GPL-2.0-or-later
"""The line between a program in the host and the one that started it.

What the program prints is passed on, but for two kinds of line: "~ TEXT" is
progress, and "? WORDS" a question about what only the outside can see, which
is answered with one line on the program's standard input."""

import sys

from . import files


class Outside:
    """The program's end."""

    def __init__(self):
        self._asked = False

    def say(self, text):
        """Tell the person who waits."""
        print(f"~ {text}", flush=True)

    def disk_sum(self, mib, skip=0) -> str:
        """The SHA-256 of a part of the disk's image, read outside."""
        print(f"? sum {mib} {skip}", flush=True)
        answer = sys.stdin.readline().strip()
        if len(answer) != 64:
            raise ValueError(f"the outside answered {answer!r}")
        return answer


def relay(host, disk, show, say):
    """The outer end: hand the program's lines to SHOW and its progress to
    SAY, and answer it about the image DISK, until it ends."""
    for line in host.lines():
        if line.startswith("~ "):
            say(line[2:])
        elif line.startswith("? sum "):
            mib, skip = (int(word) for word in line.split()[2:])
            host.machine.agent.write_line(files.read_sum(disk, mib, skip))
        else:
            show(line)
