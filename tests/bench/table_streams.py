# SPDX-License-Identifier: Apache-2.0
"""Messages through Redis Streams: published over HTTP from 32 connections, one by one or a hundred at once, delivered over HTTP
one by one and acknowledged, beside the client library that publishes and reads by itself."""
import json
import subprocess
import tempfile
import time

from load import wrk
from machine import BUILD, SECONDS, BenchError, cpu, heading, row
from servers import Bare, RedisServer, Sidecar, pair

BODY = '{"value":"0123456789abcdef"}'
BATCH = 100
WAYS = {
    "one by one": ("/v1.0/publish/bus/t", BODY, 1),
    "by hundreds": ("/v1.0-alpha1/publish/bulk/bus/t",
                    json.dumps([{"entryId": str(i), "event": json.loads(BODY), "contentType": "application/json"} for i in range(BATCH)]), BATCH),
}
SUBSCRIPTION = """apiVersion: dapr.io/v1alpha1
kind: Subscription
metadata: {name: s}
spec: {pubsubname: bus, topic: t, route: /in}
"""


def told(server, *words):
    return subprocess.run(["redis-cli", "-p", str(server.port), *words], capture_output=True, text=True, check=True).stdout.split("\n")


def bound(server, size):
    out = subprocess.run([BUILD + "/tests/bare_streams", str(server.port), str(SECONDS), str(size)], capture_output=True, text=True,
                         check=True).stdout.split()
    return int(out[1]) / float(out[3])


def settled(server):
    """Nothing is pending, and the group has read to the end."""
    info = dict(zip(*[iter(told(server, "xinfo", "groups", "t")[:-1])] * 2))
    return info["pending"] == "0" and info["last-delivered-id"] == told(server, "xrevrange", "t", "+", "-", "count", "1")[0]


def through(program, folder, server, way):
    """(messages per CPU-second of the sidecar, per second), from the first published to the last acknowledged."""
    path, body, at_once = WAYS[way]
    app = Bare("bare_mhd", "")
    metadata = pair("redisHost", "127.0.0.1:%d" % server.port)
    with open(folder + "/s.yaml", "w", encoding="utf-8") as f:
        f.write(SUBSCRIPTION)
    s = Sidecar(program, folder + "/s", [("bus", "pubsub.redis", metadata)], ["--app-port=%d" % app.http, "--resources-path=" + folder])
    try:
        before, begin = cpu(s.pid), time.monotonic()
        n = at_once * wrk(s.http, path, folder, body)
        end = time.monotonic() + 60
        while not settled(server):
            if time.monotonic() > end:
                raise BenchError("not all is delivered")
            time.sleep(0.02)
        took = time.monotonic() - begin
        if int(told(server, "xlen", "t")[0]) < n:
            raise BenchError("not all is in the stream")
        return n / (cpu(s.pid) - before), n / took
    finally:
        s.stop()
        app.stop()


def run(bench):
    heading("messages through Redis Streams", "per CPU-s", "of the bound", "per second")
    server = RedisServer(bench.scratch)
    try:
        limit = bound(server, 280)
        row("hiredis alone", "", "1.00", limit)
        for way in WAYS:
            for name, program in bench.programs:
                label = "  %s, %s" % (way, name)
                with bench.row(label, name):
                    told(server, "flushall")
                    per_cpu, per_second = through(program, tempfile.mkdtemp(dir=bench.scratch), server, way)
                    row(label, per_cpu, "%.2f" % (per_second / limit), per_second)
                    bench.note(program=name, component="pubsub.redis", way=way, per_cpu_second=per_cpu, per_second=per_second,
                               bound_per_second=limit)
    finally:
        server.stop()
