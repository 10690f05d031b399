# SPDX-License-Identifier: Apache-2.0
"""pubsub.sqlite from one sidecar to another, each message on the disk before its publisher is answered: 1 KB in batches of a
hundred as fast as it goes, published and received; then one by one at 100 a second, from the request to the application."""
import http.client
import json
import os
import subprocess
import sys
import tempfile
import time

from machine import SECONDS, BenchError, cpu, free_port, heading, row
from servers import Sidecar, pair

HERE = os.path.dirname(os.path.abspath(__file__))
SUBSCRIPTION = """apiVersion: dapr.io/v1alpha1
kind: Subscription
metadata:
  name: s
spec:
  pubsubname: bus
  topic: t
  route: /in
%s
"""
BULK = "  bulkSubscribe: {enabled: true, maxMessagesCount: 100, maxAwaitDurationMs: 20}"
BATCH = 100
AIM = 20000


class Link:
    """A publisher's sidecar, a subscriber's, and the application."""

    def __init__(self, scratch, options):
        folder = tempfile.mkdtemp(dir=scratch)
        os.mkdir(folder + "/subscription")
        with open(folder + "/subscription/s.yaml", "w", encoding="utf-8") as f:
            f.write(SUBSCRIPTION % options)
        self.port = free_port()
        self.app = subprocess.Popen([sys.executable, HERE + "/events.py", str(self.port)])
        program, bus = self.program, [("bus", "pubsub.sqlite", pair("connectionString", "file:%s/bus.db" % folder))]
        self.reader = Sidecar(program, folder + "/reader", bus,
                              ["--resources-path=%s/subscription" % folder, "--app-port=%d" % self.port, "--loops=1"])
        self.writer = Sidecar(program, folder + "/writer", bus, ["--loops=1"])
        self.connection = http.client.HTTPConnection("127.0.0.1", self.writer.http, timeout=30)

    def post(self, path, body, kind="application/json"):
        self.connection.request("POST", path, body, {"Content-Type": kind})
        r = self.connection.getresponse()
        r.read()
        if r.status != 204:
            raise BenchError("publishing answers %d" % r.status)

    def came(self):
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            c.request("GET", "/came")
            return json.loads(c.getresponse().read())
        finally:
            c.close()

    def stop(self):
        self.connection.close()
        for s in (self.writer, self.reader):
            s.stop()
        self.app.kill()
        self.app.wait()


def in_batches(link):
    """(published a second, received a second, messages per CPU-second of both sidecars)"""
    body = json.dumps([{"entryId": str(i), "event": "x" * 1000, "contentType": "text/plain"} for i in range(BATCH)])
    pids = (link.writer.pid, link.reader.pid)
    link.post("/v1.0/publish/bulk/bus/t", body)
    time.sleep(1)
    link.came()
    before, begin, sent, got = cpu(*pids), time.monotonic(), 0, 0
    while time.monotonic() < begin + SECONDS:
        link.post("/v1.0/publish/bulk/bus/t", body)
        sent += BATCH
    published = sent / (time.monotonic() - begin)
    while got < sent:
        got += link.came()["count"]
        if time.monotonic() > begin + 10 * SECONDS:
            raise BenchError("%d of %d came" % (got, sent))
        time.sleep(0.005)
    return published, sent / (time.monotonic() - begin), sent / max(cpu(*pids) - before, 0.01)


def one_by_one(link):
    """Microseconds, sorted."""
    link.came()
    begin = time.monotonic()
    for i in range(100 * SECONDS):
        time.sleep(max(0, begin + i / 100 - time.monotonic()))
        link.post("/v1.0/publish/bus/t", b"sent:%d %s" % (time.monotonic_ns(), b"x" * 1000), "text/plain")
    time.sleep(1)
    took = sorted(link.came()["took"])
    if len(took) < 100 * SECONDS:
        raise BenchError("%d of %d came" % (len(took), 100 * SECONDS))
    return took


def run(bench):
    Link.program = bench.programs[0][1]
    with bench.row("pubsub.sqlite", "davitd"):
        link = Link(bench.scratch, BULK)
        try:
            published, received, per_cpu = in_batches(link)
        finally:
            link.stop()
        heading("pubsub.sqlite, two sidecars", "published /s", "received /s", "of the aim", "per CPU-s")
        row("1 KB, batches of 100", published, received, "%.2f" % (received / AIM), per_cpu)
        bench.note(program="davitd", store="pubsub.sqlite", operation="batches", per_second=received, per_cpu_second=per_cpu)
        link = Link(bench.scratch, "")
        try:
            took = one_by_one(link)
        finally:
            link.stop()
        heading("", "p50 ms", "p99 ms", "most ms")
        p50, p99 = took[len(took) // 2] / 1000, took[len(took) * 99 // 100] / 1000
        row("1 KB, one by one at 100/s", p50, p99, took[-1] / 1000)
        bench.note(program="davitd", store="pubsub.sqlite", operation="single", p50_ms=p50, p99_ms=p99)
