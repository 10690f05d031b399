# SPDX-License-Identifier: Apache-2.0
"""Making the n-th allocation, read, write, open or connect of a process fail: tests/fault/shim.c, and the page it is told by."""
import mmap
import os
import struct

from sidecar import BUILD

STRIDE = int(os.environ.get("FAULT_STRIDE", "1"))
SHIM = os.path.join(BUILD, "tests/fault.so")
KINDS = {"memory": 1, "read": 2, "write": 3, "open": 4}
CONNECT = {"connect": 5}  # for who connects to somebody
MOST = 20000


class Control:
    """The page that tests/fault/shim.c reads."""

    def __init__(self, path):
        with open(path, "wb") as f:
            f.write(b"\0" * 4096)
        with open(path, "r+b") as f:
            self.page = mmap.mmap(f.fileno(), 4096)

    def arm(self, kind, n):
        self.page[4:8] = struct.pack("i", 0)
        self.page[8:24] = struct.pack("qq", n - 1, 0)
        self.page[0:4] = struct.pack("i", {**KINDS, **CONNECT}[kind])

    def disarm(self):
        """1 if it has failed."""
        self.page[0:4] = struct.pack("i", 0)
        return struct.unpack("i", self.page[4:8])[0]

    def shift_clock(self, seconds):
        self.page[32:40] = struct.pack("q", seconds)

    def live(self):
        return struct.unpack("q", self.page[24:32])[0]
