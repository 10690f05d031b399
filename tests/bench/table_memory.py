# SPDX-License-Identifier: Apache-2.0
"""Memory under 1,000 keep-alive connections that get 1 KB each, and what a million requests leave behind."""
import tempfile
import threading
import time

from load import wrk
from machine import BenchError, heading, memory, row
from servers import Sidecar

ONE_KB = '[{"key":"key","value":"%s"}]' % ("x" * 1022)


def under_connections(s, folder):
    """The most that was resident, in KiB."""
    most, over = 0, threading.Event()

    def watch():
        nonlocal most
        while not over.wait(0.1):
            most = max(most, memory(s.pid)[0])

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        wrk(s.http, "/v1.0/state/store/key", folder, connections=1000)
    finally:
        over.set()
        watcher.join()
    return most


def until(s, folder, count, at_most=300):
    """Gets until the store has done `count`; then what is resident, in KiB."""
    end = time.monotonic() + at_most
    while s.done("get") < count:
        if time.monotonic() > end:
            raise BenchError("%d requests took more than %d s" % (count, at_most))
        wrk(s.http, "/v1.0/state/store/key", folder, seconds=1)
    time.sleep(1)
    return memory(s.pid)[0]


def run(bench):
    heading("memory", "1,000 conn. MB", "100,000: MB", "1,000,000: +KB")
    for name, program in bench.programs:
        with bench.row(name, name):
            folder = tempfile.mkdtemp(dir=bench.scratch)
            s = Sidecar(program, folder + "/s", [("store", "state.in-memory", "")])
            try:
                if s.ask("POST", "/v1.0/state/store", ONE_KB) != 204:
                    raise BenchError("state.in-memory does not save")
                first = until(s, folder, 100_000)
                more = until(s, folder, 1_000_000) - first
                most = under_connections(s, folder)
            finally:
                s.stop()
            row(name, most / 1024, first / 1024, more)
            bench.note(program=name, connections_mb=most / 1024, after_100k_mb=first / 1024, after_1m_more_kb=more)
