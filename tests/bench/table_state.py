# SPDX-License-Identifier: Apache-2.0
"""State in memory and on SQLite, each beside a server on the same library with nothing behind it."""
import statistics
import tempfile

from load import GET_ANSWER, SAVE_BODY, VALUE, state_paced, state_rate
from machine import BenchError, heading, row
from servers import Bare, Sidecar, pair

STORES = {"state.in-memory": lambda folder: "", "state.sqlite": lambda folder: pair("connectionString", "file:%s/state.db" % folder)}


ROUNDS = 3  # bound and servers in turn: a machine is not as fast at one time as at another


def bound(wire, operation, folder):
    answer = VALUE if wire == "HTTP" else GET_ANSWER.hex() if operation == "get" else ""
    return Bare("bare_mhd" if wire == "HTTP" else "bare_nghttp2", answer)


def sidecar(program, kind, scratch):
    folder = tempfile.mkdtemp(dir=scratch)
    s = Sidecar(program, folder + "/s", [("store", kind, STORES[kind](folder))])
    if s.ask("POST", "/v1.0/state/store", SAVE_BODY) != 204:
        raise BenchError(kind + " does not save")
    return s


class Row:
    """One server under one load, measured once a round. It lives as long as the rounds do."""

    def __init__(self, label, program, kind, server):
        self.label, self.program, self.kind, self.server = label, program, kind, server
        self.rates, self.latency = [], None

    def measure(self, wire, operation, folder):
        self.rates.append(state_rate(self.server, wire, operation, folder, check=self.kind is not None))
        if self.latency is None:
            self.latency = state_paced(self.server, wire, operation, folder)

    def show(self, bench, wire, operation, limits):
        ratio = statistics.median(r[0] / l for r, l in zip(self.rates, limits))
        per_cpu, per_second = (statistics.median(x) for x in zip(*self.rates))
        row(self.label, per_cpu, "%.2f" % ratio, per_second, self.latency["p50"], self.latency["p99"])
        bench.note(program=self.program, wire=wire, operation=operation, store=self.kind, per_cpu_second=per_cpu, of_the_bound=ratio,
                   per_second=per_second, paced=self.latency)


def load(bench, wire, operation):
    first = Row("%s %s, bound" % (wire, operation), "bound", None, bound(wire, operation, bench.scratch))
    rows = [first]
    try:
        for name, program in bench.programs:
            for kind in STORES:
                label = "  %s, %s" % (kind[6:], name)
                with bench.row(label, name):
                    rows.append(Row(label, name, kind, sidecar(program, kind, bench.scratch)))
        for _ in range(ROUNDS):
            for r in list(rows):
                with bench.row(r.label, r.program):
                    r.measure(wire, operation, bench.scratch)
        for r in rows:
            if len(r.rates) == ROUNDS:
                r.show(bench, wire, operation, [rate[0] for rate in first.rates])
    finally:
        for r in rows:
            with bench.row(r.label, r.program):
                r.server.stop()


def run(bench):
    heading("state", "per CPU-s", "of the bound", "per second", "1,000/s: p50", "p99 us")
    for wire in ("HTTP", "gRPC"):
        for operation in ("get", "save"):
            load(bench, wire, operation)
