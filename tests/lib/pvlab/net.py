# SPDX-License-Identifier: GPL-2.0-or-later
"""A driver of virtio-net, one frame at a time, and the far end of its tap
device on the host."""

import fcntl
import socket
import struct

from .qtest import Function
from .virtio import WRITE, Virtio
from .wait import until

PLATFORM = 1 << 33              # its accesses go by the IOMMU
HEADER = bytes(12)
ETHERTYPE = 0x88B5              # for experiments: nothing else sends it
HEAD = b"\xff" * 6 + b"\x02" + bytes(5) + struct.pack(">H", ETHERTYPE)
SIOCSIFFLAGS, IFF_UP = 0x8914, 1


def frame(mark: str) -> bytes:
    """A frame that holds MARK, as it is in a buffer of virtio-net."""
    return HEADER + HEAD + mark.encode().ljust(64, b".")


class Net(Virtio):
    """The device, driven."""

    RX, TX = 0, 1

    def __init__(self, pci: Function, bar, ring):
        """BAR and RING are those of any virtio device."""
        super().__init__(pci, bar, ring, PLATFORM, queues=2)

    def send(self, iova, size):
        """Have it send what is there, header first."""
        self.offer(self.TX, (iova, size, 0))

    def receive(self, iova, size):
        """Have it put there what comes."""
        self.offer(self.RX, (iova, size, WRITE))


class Wire:
    """The other end: a tap device of the host, by name."""

    def __init__(self, name):
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW,
                                     socket.htons(ETHERTYPE))
        fcntl.ioctl(self._socket, SIOCSIFFLAGS,
                    struct.pack("16sH22x", name.encode(), IFF_UP))
        self._socket.bind((name, ETHERTYPE))

    def close(self):
        """Let go of it."""
        self._socket.close()

    def send(self, data):
        """Send a frame as it is in a buffer."""
        self._socket.send(data[len(HEADER):])

    def taken(self) -> bytes | None:
        """The next frame as it would be in a buffer; None if there is none
        yet."""
        try:
            return HEADER + self._socket.recv(2048, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return None

    def take(self) -> bytes:
        """The next frame, waited for."""
        return until(self.taken, "a frame comes out of the tap device")
