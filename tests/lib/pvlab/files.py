# SPDX-License-Identifier: GPL-2.0-or-later
"""Disk images, and a peer on the network, as seen from outside a guest."""

import hashlib
import os
import socket
import threading
from pathlib import Path

from .wait import patience

MIB = 1 << 20


def noise(path: Path, mib: int) -> Path:
    """Fill an image with MIB MiB that no one can guess."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "wb") as image:
        for _ in range(mib):
            image.write(os.urandom(MIB))
    return path


def read_sum(path: Path, mib: int, skip=0) -> str:
    """The SHA-256 of MIB MiB of an image."""
    with open(path, "rb") as image:
        image.seek(skip * MIB)
        return hashlib.sha256(image.read(mib * MIB)).hexdigest()


class Peer:
    """A TCP peer on the loopback, which a guest reaches by user networking.
    It takes SIZE bytes, gives SIZE other bytes, and keeps both sums."""

    def __init__(self, size=MIB):
        self.size = size
        self.given = os.urandom(size)
        self.taken_sum = None
        self.given_sum = hashlib.sha256(self.given).hexdigest()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(patience())
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self):
        try:
            line, _ = self._listener.accept()
            with line:
                line.settimeout(patience())
                digest, left = hashlib.sha256(), self.size
                while left:
                    data = line.recv(min(left, 65536))
                    if not data:
                        return
                    digest.update(data)
                    left -= len(data)
                self.taken_sum = digest.hexdigest()
                line.sendall(self.given)
        except OSError:
            pass  # the guest's sums tell
        finally:
            self._listener.close()

    def wait(self):
        """Wait for the exchange to end."""
        self._thread.join(patience())
