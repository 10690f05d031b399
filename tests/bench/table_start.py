# SPDX-License-Identifier: Apache-2.0
"""Start to ready, with one component and with five, and memory when idle."""
import json
import statistics
import tempfile
import time

from machine import heading, memory, row
from servers import Sidecar, pair

STARTS = 9


def components(folder):
    with open(folder + "/secrets.json", "w", encoding="utf-8") as f:
        json.dump({"name": "value"}, f)
    return [("store", "state.in-memory", ""), ("file", "state.sqlite", pair("connectionString", "file:%s/state.db" % folder)),
            ("environment", "secretstores.local.env", ""), ("secrets", "secretstores.local.file", pair("secretsFile", folder + "/secrets.json")),
            ("broker", "pubsub.in-memory", "")]


def run(bench):
    heading("start and idle", "ready ms", "resident MB", "private MB")
    for name, program in bench.programs:
        for n in (1, 5):
            label = "%s, %d component%s" % (name, n, "s" if n > 1 else "")
            with bench.row(label, name):
                times, sizes = [], []
                for i in range(STARTS):
                    folder = tempfile.mkdtemp(dir=bench.scratch)
                    s = Sidecar(program, folder + "/s", components(folder)[:n])
                    times.append(s.ready_ms)
                    if i >= STARTS - 3:
                        time.sleep(2)
                        sizes.append(memory(s.pid))
                    s.stop()
                ready = statistics.median(times)
                rss, private = (statistics.median(x) / 1024 for x in zip(*sizes))
                row(label, ready, rss, private)
                bench.note(program=name, components=n, ready_ms=ready, resident_mb=rss, private_mb=private)
