# SPDX-License-Identifier: Apache-2.0
"""Messages through Kafka: published over HTTP from 32 connections, delivered over HTTP and committed, beside the client
library that produces and consumes by itself. One broker, a topic of 12 partitions, each message acknowledged by all replicas."""
import subprocess
import tempfile
import time

from load import wrk
from machine import BUILD, SECONDS, BenchError, cpu, heading, row
from servers import Bare, KafkaServer, Sidecar, delivered, pair

BODY = '{"value":"0123456789abcdef"}'
SIZE = 280  # of an event with that
PARTITIONS = 12
SUBSCRIPTION = """apiVersion: dapr.io/v1alpha1
kind: Subscription
metadata: {name: s}
spec: {pubsubname: bus, topic: %s, route: /in}
"""


def bound(server):
    """(messages per CPU-second, per second)"""
    topic = server.topic(PARTITIONS)
    out = subprocess.run([BUILD + "/tests/bare_kafka", server.brokers, topic, str(SECONDS), str(SIZE)], capture_output=True, text=True,
                         check=True).stdout.replace(",", "").split()
    return int(out[1]) / float(out[4]), int(out[1]) / float(out[3])


def through(program, folder, server):
    app, topic = Bare("bare_mhd", ""), server.topic(PARTITIONS)
    metadata = ",".join(pair(*p) for p in (("brokers", server.brokers), ("authType", "none"), ("consumerGroup", topic),
                                           ("initialOffset", "oldest")))
    with open(folder + "/s.yaml", "w", encoding="utf-8") as f:
        f.write(SUBSCRIPTION % topic)
    s = Sidecar(program, folder + "/s", [("bus", "pubsub.kafka", metadata)], ["--app-port=%d" % app.http, "--resources-path=" + folder])
    try:
        s.ask("POST", "/v1.0/publish/bus/" + topic, BODY)
        delivered(s, 1)
        before, begin = cpu(s.pid), time.monotonic()
        n = wrk(s.http, "/v1.0/publish/bus/" + topic, folder, BODY)
        delivered(s, n + 1)
        return n / (cpu(s.pid) - before), n / (time.monotonic() - begin)
    finally:
        s.stop()
        app.stop()


def run(bench):
    heading("messages through Kafka", "per CPU-s", "of the bound", "per second", "of the bound")
    try:
        server = KafkaServer(bench.scratch)
    except BenchError as e:
        print("not measured: %s" % e)
        return
    try:
        per_cpu_bound, limit = bound(server)
        row("librdkafka alone", per_cpu_bound, "1.00", limit, "1.00")
        for name, program in bench.programs:
            with bench.row("  publish to delivery, %s" % name, name):
                per_cpu, per_second = through(program, tempfile.mkdtemp(dir=bench.scratch), server)
                row("  publish to delivery, %s" % name, per_cpu, "%.2f" % (per_cpu / per_cpu_bound), per_second,
                    "%.2f" % (per_second / limit))
                bench.note(program=name, component="pubsub.kafka", per_cpu_second=per_cpu, per_second=per_second,
                           bound_per_cpu_second=per_cpu_bound, bound_per_second=limit)
    finally:
        server.stop()
