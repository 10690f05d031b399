# SPDX-License-Identifier: Apache-2.0
"""State in memory and on SQLite, each beside a server on the same library with nothing behind it."""
import tempfile

from load import GET_ANSWER, SAVE_BODY, VALUE, state_paced, state_rate
from machine import BenchError, heading, row
from servers import Bare, Sidecar, pair

STORES = {"state.in-memory": lambda folder: "", "state.sqlite": lambda folder: pair("connectionString", "file:%s/state.db" % folder)}


def bound(wire, operation, folder):
    answer = VALUE if wire == "HTTP" else GET_ANSWER.hex() if operation == "get" else ""
    server = Bare("bare_mhd" if wire == "HTTP" else "bare_nghttp2", answer)
    try:
        return (*state_rate(server, wire, operation, folder, check=False), state_paced(server, wire, operation, folder))
    finally:
        server.stop()


def one(program, kind, wire, operation, scratch):
    folder = tempfile.mkdtemp(dir=scratch)
    s = Sidecar(program, folder + "/s", [("store", kind, STORES[kind](folder))])
    try:
        if s.ask("POST", "/v1.0/state/store", SAVE_BODY) != 204:
            raise BenchError(kind + " does not save")
        return (*state_rate(s, wire, operation, folder), state_paced(s, wire, operation, folder))
    finally:
        s.stop()


def run(bench):
    heading("state", "per CPU-s", "of the bound", "per second", "1,000/s: p50", "p99 us")
    for wire in ("HTTP", "gRPC"):
        for operation in ("get", "save"):
            limit, per_second, latency = bound(wire, operation, bench.scratch)
            row("%s %s, bound" % (wire, operation), limit, "1.00", per_second, latency["p50"], latency["p99"])
            for name, program in bench.programs:
                for kind in STORES:
                    with bench.row("  %s, %s" % (kind[6:], name), name):
                        per_cpu, per_second, latency = one(program, kind, wire, operation, bench.scratch)
                        row("  %s, %s" % (kind[6:], name), per_cpu, "%.2f" % (per_cpu / limit), per_second, latency["p50"], latency["p99"])
                        bench.note(program=name, wire=wire, operation=operation, store=kind, per_cpu_second=per_cpu, bound=limit,
                                   per_second=per_second, paced=latency)
