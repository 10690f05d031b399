# SPDX-License-Identifier: Apache-2.0
"""Through the sidecar to a server, beside the server's own benchmark with as many requests under way: by the clock, since both
share the machine with that server."""
import statistics
import tempfile

from load import SAVE_BODY, state_rate
from machine import BenchError, heading, row
from servers import Sidecar

ROUNDS = 3  # bound and sidecars in turn: a machine is not as fast at one time as at another
UNDER_WAY = 32


class Row:
    def __init__(self, bench, label, name, program, kind, metadata):
        self.label, self.program, self.rates = label, name, []
        self.s = Sidecar(program, tempfile.mkdtemp(dir=bench.scratch) + "/s", [("store", kind, metadata)])
        if self.s.ask("POST", "/v1.0/state/store", SAVE_BODY) != 204:
            self.s.stop()
            raise BenchError(kind + " does not save")


def load(bench, kind, metadata, wire, operation, bound, label):
    """bound(operation): requests per second without us."""
    limits, rows = [], []
    try:
        for name, program in bench.programs:
            with bench.row("  %s %s, %s" % (wire, operation, name), name):
                rows.append(Row(bench, "  %s %s, %s" % (wire, operation, name), name, program, kind, metadata))
        for _ in range(ROUNDS):
            limits.append(bound(operation))
            for r in rows:
                with bench.row(r.label, r.program):
                    r.rates.append(state_rate(r.s, wire, operation, bench.scratch, streams=UNDER_WAY // 8))
        row("%s, %s" % (label, operation), "", "1.00", statistics.median(limits))
        for r in rows:
            if len(r.rates) < ROUNDS:
                continue
            ratio = statistics.median(rate[1] / limit for rate, limit in zip(r.rates, limits))
            per_cpu, per_second = (statistics.median(x) for x in list(zip(*r.rates))[:2])
            row(r.label, per_cpu, "%.2f" % ratio, per_second)
            bench.note(program=r.program, wire=wire, operation=operation, store=kind, per_cpu_second=per_cpu, per_second=per_second,
                       of_the_bound=ratio, bound_per_second=statistics.median(limits))
    finally:
        for r in rows:
            with bench.row(r.label, r.program):
                r.s.stop()


def table(bench, title, kind, metadata, bound, label):
    heading(title, "per CPU-s", "of the bound", "per second")
    for wire in ("HTTP", "gRPC"):
        for operation in ("get", "save"):
            load(bench, kind, metadata, wire, operation, bound, label)
