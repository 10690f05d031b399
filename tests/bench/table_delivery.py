# SPDX-License-Identifier: Apache-2.0
"""An event from its publisher to the application, through the broker in memory, over HTTP and over gRPC: 2,000 a second, and
what that costs the sidecar. The bound is the bare server at the same rate, taken twice: a message is one request in and one out."""
import tempfile
import time

from load import field, framed, grpc_path, message_file, paced
from machine import SECONDS, BenchError, cpu, heading, row
from servers import Bare, Sidecar, delivered

BODY = '{"value":"0123456789abcdef"}'
RATE = 2000
EVENT = framed(field(1, "bus") + field(2, "t") + field(3, BODY) + field(4, "application/json"))
SUBSCRIPTION = """apiVersion: dapr.io/v1alpha1
kind: Subscription
metadata: {name: s}
spec: {pubsubname: bus, topic: t, route: /in}
"""


def load(wire, server, folder):
    if wire == "HTTP":
        return paced("paced", "-d", message_file(folder, BODY.encode()), "-H", "content-type: application/json",
                     "http://127.0.0.1:%d/v1.0/publish/bus/t" % server.http, RATE, SECONDS, 32)
    return paced("paced_h2", server.grpc, grpc_path("PublishEvent"), message_file(folder, EVENT), RATE, SECONDS, 8)


def bound(wire, folder):
    """Messages per CPU-second."""
    server = Bare("bare_mhd" if wire == "HTTP" else "bare_nghttp2", "")
    try:
        before = cpu(server.pid)
        found = load(wire, server, folder)
        return found["answered"] / max(cpu(server.pid) - before, 0.01) / 2
    finally:
        server.stop()


def through(program, wire, folder):
    app = Bare("bare_mhd" if wire == "HTTP" else "bare_nghttp2", "")
    with open(folder + "/s.yaml", "w", encoding="utf-8") as f:
        f.write(SUBSCRIPTION)
    s = Sidecar(program, folder + "/s", [("bus", "pubsub.in-memory", "")],
                ["--app-port=%d" % (app.http if wire == "HTTP" else app.grpc), "--app-protocol=" + wire.lower(), "--resources-path=" + folder])
    try:
        end = time.monotonic() + 20
        while delivered(s) == 0:  # the subscription stands
            s.ask("POST", "/v1.0/publish/bus/t", BODY)
            if time.monotonic() > end:
                raise BenchError("nothing is delivered")
            time.sleep(0.1)
        time.sleep(0.2)
        first, before = delivered(s), cpu(s.pid)
        found = load(wire, s, folder)
        delivered(s, first + found["answered"])
        return found["answered"] / max(cpu(s.pid) - before, 0.01), found
    finally:
        s.stop()
        app.stop()


def run(bench):
    heading("publish to delivery, in memory", "per CPU-s", "of the bound", "p50 us", "p99 us")
    for wire in ("HTTP", "gRPC"):
        with bench.row("bare server, " + wire, "bound"):
            limit = bound(wire, tempfile.mkdtemp(dir=bench.scratch))
            row("bare server twice, " + wire, limit, "1.00", "", "")
            for name, program in bench.programs:
                with bench.row("  " + name, name):
                    per_cpu, found = through(program, wire, tempfile.mkdtemp(dir=bench.scratch))
                    row("  " + name, per_cpu, "%.2f" % (per_cpu / limit), found["p50"], found["p99"])
                    bench.note(program=name, component="pubsub.in-memory", wire=wire, per_cpu_second=per_cpu, bound_per_cpu_second=limit,
                               p50_us=found["p50"], p99_us=found["p99"])
