#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A subscriber that stands still while 1,000 messages a second are published leaves the sidecar's memory flat.

	still.py [--broker in-memory|sqlite|redis|kafka]... [--wire http|grpc|stream]... [--seconds 60] [--rate 1000]

Messages of 1 KB are published to the very sidecar whose application (over HTTP, over gRPC, or a client's stream) takes what it
is given and never answers. What the sidecar holds is read from smaps_rollup; the growth from when its bounds have been
reached (SETTLED_S) until the end must stay below MOST_KB. When the application goes on, each message that was acknowledged
must come to it, unless --keep-still.
"""
import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))

from dapr.proto import api_v1, appcallback_v1  # noqa: E402
from sidecar import BUILD, Sidecar, component, free_port  # noqa: E402
from subscriber import GrpcApp, HttpApp, subscription  # noqa: E402

SETTLED_S = 5  # Kafka's client holds what it has fetched until a partition has stood still for 3 s
MOST_KB = 2048
QUIET_S = 30  # after the last that came, what is missing is lost


class Server:
    """What is behind a broker and ends with it. kafka: one that is there already."""

    def __init__(self, broker, folder, kafka=None):
        self.broker, self.process, self.owned = broker, None, None
        if broker == "in-memory":
            self.metadata = {}
        elif broker == "sqlite":
            self.metadata = {"connectionString": "file:%s/bus.db" % folder}
        elif broker == "redis":
            port = free_port()
            self.process = subprocess.Popen(["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", ""],
                                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
            self.metadata = {"redisHost": "127.0.0.1:%d" % port, "consumerID": "still"}
            time.sleep(0.5)
        else:
            if kafka is None:
                from kafka_server import Kafka
                kafka = self.owned = Kafka(folder + "/kafka").start()
            group = "still" + os.urandom(4).hex()
            kafka.make_topic(group, 3)
            self.metadata = {"brokers": kafka.plain, "authType": "none", "consumerGroup": group, "initialOffset": "oldest"}
        self.topic = self.metadata.get("consumerGroup", "still")

    def stop(self):
        if self.process:
            self.process.kill()
            self.process.wait()
        if self.owned:
            self.owned.stop()


class StreamApp:
    """A client's stream as an application: it takes what comes, and answers when it is let go."""

    port = protocol = None

    def __init__(self):
        self.gate, self.over, self.n, self.thread = threading.Event(), threading.Event(), 0, None

    def begin(self, s, topic):
        stands, answers, there = threading.Event(), [], threading.Condition()

        def wishes():
            yield api_v1.SubscribeTopicEventsRequestAlpha1(initial_request=api_v1.SubscribeTopicEventsRequestInitialAlpha1(
                pubsub_name="bus", topic=topic))
            self.gate.wait()
            while not self.over.is_set():
                with there:
                    while not answers and not self.over.is_set():
                        there.wait(0.1)
                    given, answers[:] = answers[:], []
                for id_ in given:
                    yield api_v1.SubscribeTopicEventsRequestAlpha1(
                        event_processed=api_v1.SubscribeTopicEventsRequestProcessedAlpha1(
                            id=id_, status=appcallback_v1.TopicEventResponse(status=0)))

        def read():
            try:
                for m in call:
                    if m.HasField("initial_response"):
                        stands.set()
                        continue
                    with there:
                        answers.append(m.event_message.id)
                        self.n += 1
                        there.notify()
            except Exception:  # pylint: disable=broad-except
                pass  # it was cancelled
        call = self.call = s.rpc.SubscribeTopicEventsAlpha1(wishes())
        self.thread = threading.Thread(target=read, daemon=True)
        self.thread.start()
        assert stands.wait(60), "the stream does not begin"

    def hold(self):
        pass

    def let_go(self):
        self.gate.set()

    def count(self):
        return self.n

    def stop(self):
        self.over.set()
        self.gate.set()
        self.call.cancel()
        self.thread.join()


def apps(wire):
    app = {"http": HttpApp, "grpc": GrpcApp, "stream": StreamApp}[wire]()
    if wire != "stream":
        app.begin = lambda s, topic: None
        app.count = app.came.qsize
    return app


def held_kb(pid):
    with open("/proc/%d/smaps_rollup" % pid, encoding="ascii") as f:
        found = dict(re.findall(r"^(\w+):\s+(\d+) kB", f.read(), re.M))
    return int(found["Rss"])


def come(app, wanted):
    """Waits for as many, as long as more come."""
    n, last = app.count(), time.monotonic()
    while n < wanted and time.monotonic() - last < QUIET_S:
        time.sleep(0.1)
        if app.count() > n:
            n, last = app.count(), time.monotonic()
    return n


def still(folder, broker, wire, seconds, rate, kafka=None, go_on=True):
    """(what went wrong, the report's line)"""
    server, app, wrong = Server(broker, folder, kafka), apps(wire), []
    app.hold()
    s = Sidecar(folder + "/run", component("bus", "pubsub." + broker, server.metadata),
                *([subscription("s", server.topic, route="/in")] if app.port else []), loops=1,
                flags={"log-level": "error", "app-port": app.port, "app-protocol": app.protocol})
    try:
        s.start(60)
        app.begin(s, server.topic)
        body = s.write("body", json.dumps("x" * 1000))
        load = subprocess.Popen([os.path.join(BUILD, "tests/paced"), "-d", body, "-H", "Content-Type: application/json",
                                 "http://127.0.0.1:%d/v1.0/publish/bus/%s" % (s.http, server.topic), str(rate), str(seconds), "16"],
                                stdout=subprocess.PIPE, text=True, env=dict(os.environ, LD_PRELOAD=""))
        time.sleep(min(SETTLED_S, seconds / 2))
        held = [held_kb(s.process.pid)]
        while load.poll() is None:
            time.sleep(0.5)
            held.append(held_kb(s.process.pid))
        published = json.loads(load.stdout.read())
        came = app.count()
        line = "%s, %s: %d acknowledged, %d refused, %d with the application; %d KB after %d s, at most %d, %d KB at the end" % (
            broker, wire, published["answered"], published["failed"], came, held[0], min(SETTLED_S, seconds / 2), max(held), held[-1])
        if held[-1] - held[0] >= MOST_KB:
            wrong.append("%s, %s: %d KB more" % (broker, wire, held[-1] - held[0]))
        if published["answered"] == 0 or came == 0:
            wrong.append("%s, %s: nothing was published, or nothing came" % (broker, wire))
        app.let_go()
        if go_on:
            came = come(app, published["answered"])
            line += "; %d came when it went on, %d KB" % (came, held_kb(s.process.pid))
            if came < published["answered"]:
                wrong.append("%s, %s: %d were lost" % (broker, wire, published["answered"] - came))
        app.stop()
        s.stop()
    finally:
        if s.process is not None:
            s.kill()
        server.stop()
    return wrong, line


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--broker", choices=("in-memory", "sqlite", "redis", "kafka"), action="append")
    a.add_argument("--wire", choices=("http", "grpc", "stream"), action="append")
    a.add_argument("--seconds", type=float, default=60)
    a.add_argument("--rate", type=int, default=1000)
    a.add_argument("--keep-still", action="store_true")
    args, bad = a.parse_args(), []
    for broker in args.broker or ("in-memory", "sqlite", "redis", "kafka"):
        for wire in args.wire or ("http", "grpc", "stream"):
            with tempfile.TemporaryDirectory(prefix="davit-still-") as folder:
                wrong, line = still(folder, broker, wire, args.seconds, args.rate, go_on=not args.keep_still)
            print("\n".join([line] + ["FAIL " + w for w in wrong]), flush=True)
            bad += wrong
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
