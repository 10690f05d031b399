# SPDX-License-Identifier: Apache-2.0
"""What a bench asks of the machine, and how a row is printed."""
import os
import re
import socket
import time

TICK = os.sysconf("SC_CLK_TCK")
SECONDS = int(os.environ.get("BENCH_SECONDS", "5"))
BUILD = os.path.abspath(os.environ.get("BUILD", "build"))


class BenchError(Exception):
    """A figure could not be taken; the other rows go on."""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def cpu(*pids):
    """CPU-seconds of the processes so far, their threads included."""
    total = 0
    for pid in pids:
        with open("/proc/%d/stat" % pid, encoding="ascii") as f:
            fields = f.read().rsplit(") ", 1)[1].split()
        total += int(fields[11]) + int(fields[12])
    return total / TICK


def memory(pid):
    """Resident and private KiB."""
    with open("/proc/%d/smaps_rollup" % pid, encoding="ascii") as f:
        found = dict(re.findall(r"^(\w+):\s+(\d+) kB", f.read(), re.M))
    return int(found["Rss"]), int(found["Private_Clean"]) + int(found["Private_Dirty"])


def rate(pids, load):
    """(requests per CPU-second of the processes, requests per second, requests); load() answers how many it did."""
    before, begin = cpu(*pids), time.monotonic()
    n = load()
    return n / max(cpu(*pids) - before, 1 / TICK), n / (time.monotonic() - begin), n


def heading(title, *columns):
    print("\n%-32s" % title + "".join("%14s" % c for c in columns), flush=True)


def row(name, *values):
    print("%-32s" % name + "".join("%14s" % (v if isinstance(v, str) else "%.0f" % v if v >= 100 else "%.2f" % v) for v in values),
          flush=True)
