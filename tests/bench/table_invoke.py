# SPDX-License-Identifier: Apache-2.0
"""Invocation of 1 KB, answered with 1 KB, through two sidecars: over HTTP, and over gRPC by proxying, as fast as it goes for
requests per CPU-second of the pair, and 1,000 a second for what it adds to the application's own time."""
import os
import statistics
import tempfile
import time

from load import framed, h2load, message_file, paced, wrk
from machine import SECONDS, BenchError, heading, rate, row
from servers import Bare, Sidecar

ROUNDS = 3  # the pairs in turn: a machine is not as fast at one time as at another
AIM = 6
KILOBYTE = "0123456789abcdef" * 64
METHOD = "/bench.Echo/Unary"
CALLEE = "callee-%d" % os.getpid()  # by mDNS the whole network hears it
PATH = "/v1.0/invoke/%s/method/m" % CALLEE
CONFIGURATION = """apiVersion: dapr.io/v1alpha1
kind: Configuration
metadata: {name: names}
spec: {nameResolution: {component: sqlite, version: v1, configuration: {connectionString: "%s/names.db"}}}
"""
NO_SQLITE = "couldn't find name resolver"


def each_second(wire, port, path, folder, n, seconds):
    """Latencies at n requests a second."""
    if wire == "HTTP":
        return paced("paced", "-d", message_file(folder, KILOBYTE.encode()), "http://127.0.0.1:%d%s" % (port, path), n, seconds, 32)
    return paced("paced_h2", port, METHOD, message_file(folder, framed(KILOBYTE.encode())), n, seconds, 8, "dapr-app-id", CALLEE)


class Direct:
    """The application alone."""

    def __init__(self, app):
        self.port, self.pids = app.http, [app.pid]

    def stop(self):
        pass


class Pair:
    """caller before callee before the application. By mDNS where the program was built without the other resolution."""

    def __init__(self, program, scratch, wire, app):
        self.sidecars = []
        try:
            self.start(program, tempfile.mkdtemp(dir=scratch), wire, app, True)
        except BenchError as e:
            self.stop()
            if NO_SQLITE not in str(e):
                raise
            self.start(program, tempfile.mkdtemp(dir=scratch), wire, app, False)
        self.port = self.sidecars[0].http if wire == "HTTP" else self.sidecars[0].grpc
        self.pids = [s.pid for s in self.sidecars]

    def start(self, program, folder, wire, app, sqlite):
        with open(folder + "/names.yaml", "w", encoding="utf-8") as f:
            f.write(CONFIGURATION % folder)
        config = ["--config=%s/names.yaml" % folder] if sqlite else []
        protocol = "http" if wire == "HTTP" else "grpc"
        callee = Sidecar(program, folder + "/callee", [], config + ["--app-port=%d" % app.http, "--app-protocol=" + protocol], CALLEE)
        self.sidecars = [callee]
        self.sidecars.insert(0, Sidecar(program, folder + "/caller", [], config, "caller"))
        port = self.sidecars[0].http if wire == "HTTP" else self.sidecars[0].grpc
        end = time.monotonic() + 15
        while not self.invoked(wire, port, folder):
            with open(folder + "/caller/log", encoding="utf-8", errors="replace") as f:
                log = f.read()
            if NO_SQLITE in log:
                raise BenchError(NO_SQLITE)
            if time.monotonic() > end:
                raise BenchError("nobody is invoked:\n" + log[-2000:])
            time.sleep(0.1)

    @staticmethod
    def invoked(wire, port, folder):
        try:
            each_second(wire, port, PATH, folder, 100, 0.1)
            return True
        except BenchError:
            return False

    def stop(self):
        for s in self.sidecars:
            s.stop()
        self.sidecars = []


class Row:
    def __init__(self, label, program, server, path):
        self.label, self.program, self.server, self.path = label, program, server, path
        self.rates, self.latencies = [], []

    def measure(self, wire, folder):
        port = self.server.port
        if wire == "HTTP":
            self.rates.append(rate(self.server.pids, lambda: wrk(port, self.path, folder, KILOBYTE)))
        else:
            named = ["dapr-app-id: " + CALLEE]
            self.rates.append(rate(self.server.pids, lambda: h2load(port, METHOD, folder, framed(KILOBYTE.encode()), fields=named)))
        self.latencies.append(each_second(wire, port, self.path, folder, 1000, SECONDS))

    def median(self, what):
        return statistics.median(latency[what] for latency in self.latencies)

    def per_cpu(self):
        return statistics.median(r[0] for r in self.rates)

    def show(self, bench, wire, direct, others):
        added = [self.median(what) - direct.median(what) for what in ("mean", "p50", "p99")]
        if self is direct:
            added = [self.median(what) for what in ("mean", "p50", "p99")]
        ratio = "" if self is direct or not others else "%.1f" % (self.per_cpu() / others[0].per_cpu())
        row(self.label, self.per_cpu(), ratio, statistics.median(r[1] for r in self.rates), *added)
        bench.note(program=self.program, wire=wire, load="invoke", per_cpu_second=self.per_cpu(), aim=AIM, latency=self.latencies,
                   times_daprs=ratio)


def load(bench, wire):
    app = Bare("bare_mhd", KILOBYTE, "post") if wire == "HTTP" else Bare("bare_nghttp2", KILOBYTE.encode().hex())
    rows = [Row("%s, the application" % wire, "bound", Direct(app), "/m")]
    try:
        for name, program in bench.programs:
            with bench.row("  through two of %s" % name, name):
                rows.append(Row("  through two of %s" % name, name, Pair(program, bench.scratch, wire, app), PATH))
        for _ in range(ROUNDS):
            for r in rows:
                with bench.row(r.label, r.program):
                    r.measure(wire, bench.scratch)
        for r in rows:
            if len(r.rates) == ROUNDS:
                r.show(bench, wire, rows[0], [o for o in rows if o.program == "daprd" and o is not r and len(o.rates) == ROUNDS])
    finally:
        for r in rows:
            with bench.row(r.label, r.program):
                r.server.stop()
        app.stop()


def run(bench):
    heading("1 KB through two sidecars", "per CPU-s", "of Dapr's", "per second", "1,000/s: mean", "p50", "p99 us")
    for wire in ("HTTP", "gRPC"):
        load(bench, wire)
    print("the pair's requests per CPU-second beside those of a pair of Dapr's (aim: %d); of the pairs what is added to the application" % AIM)
