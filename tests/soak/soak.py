#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`make soak`: what was acknowledged to a publisher reaches every group at least once, whoever is killed or frozen meanwhile.

	soak.py [--broker sqlite|redis|kafka] [--messages 100000] [--rate 500] [--seed N] [--calm]
	soak.py --component FILE [--server COMMAND] [--no-order] ...

Two publishers, each with a sidecar of its own; a group of one subscriber, in which each publisher's order must hold, and a
group of two that share. A message is published again until it is acknowledged. Meanwhile sidecars and applications, and the
broker if there is a process of it, get SIGKILL and start anew, or SIGSTOP for a while. At the end each group must have each
message; those that came more than once are counted.

The broker is one that is named here, or what the Component in FILE says: {group} in it stands for the group, and each message
has the metadata partitionKey. COMMAND starts its server, which is then killed and frozen too; it must keep what it
acknowledged. Where the broker keeps an order, the first appearances of a publisher's messages must be in order in the group
of one (not with --no-order).
"""
import argparse
import http.client
import json
import os
import random
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))

from sidecar import Sidecar, component, free_port  # noqa: E402
from subscriber import subscription  # noqa: E402

QUIET_S = 120  # after the last that came, everything that is missing is lost
RANDOM = random.Random()


class Broker:
    """text: the Component, with {group}; start: its server's process, or None; ordered: in a partition."""

    def __init__(self, text, start=None, ordered=True):
        self.text, self.start, self.ordered = text, start, ordered


def quiet(command):
    return lambda: subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)


def sqlite(folder):
    return Broker(component("bus", "pubsub.sqlite", {
        "connectionString": "file:%s/bus.db" % folder, "consumerID": "{group}", "redeliverInterval": "200ms",
        "processingTimeout": "2s", "cleanupInterval": "5s"}))


def redis(folder):
    port = free_port()
    os.mkdir(folder + "/redis")
    return Broker(component("bus", "pubsub.redis", {
        "redisHost": "127.0.0.1:%d" % port, "consumerID": "{group}", "redeliverInterval": "500ms", "processingTimeout": "2s"}),
        quiet(["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--dir", folder + "/redis", "--save", "",
               "--appendonly", "yes", "--appendfsync", "always"]), ordered=False)


def kafka(folder):
    from kafka_server import Kafka
    k = Kafka(folder + "/kafka")
    k.start()
    k.make_topic("soak", 3)
    k.kill()
    return Broker(component("bus", "pubsub.kafka", {
        "brokers": k.plain, "authType": "none", "consumerGroup": "{group}", "initialOffset": "oldest"}),
        quiet(k.command("kafka.Kafka", k.path("server.properties"))))


def given(args):
    with open(args.component, encoding="utf-8") as f:
        return Broker(f.read(), quiet(shlex.split(args.server)) if args.server else None)


BROKERS = {"sqlite": sqlite, "redis": redis, "kafka": kafka}


def reserved_port():
    """(a port, the socket that keeps it ours while the application is down): who took it would be given its messages."""
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    s.bind(("127.0.0.1", 0))
    return s.getsockname()[1], s


class Victim:
    """A process that is killed and started anew, or frozen. log: what it says, or None."""

    def __init__(self, name, start, log=None):
        self.name, self.start, self.log = name, start, log
        self.lock = threading.Lock()
        self.process = start()

    def kill(self):
        with self.lock:
            self.process.kill()
            self.process.wait()
            self.process = self.start()

    def freeze(self, seconds):
        with self.lock:
            self.process.send_signal(signal.SIGSTOP)
            time.sleep(seconds)
            self.process.send_signal(signal.SIGCONT)

    def look_after(self):
        """One that ended by itself is started anew: (its exit code, what to say of it); (None, "")."""
        with self.lock:
            code = self.process.poll()
            if code is None:
                return None, ""
            last = ""
            if self.log is not None:
                with open(self.log, encoding="utf-8", errors="replace") as f:
                    last = ": " + " | ".join(f.read().splitlines()[-3:])
            self.process = self.start()
            return code, "%s ended by itself with %d%s" % (self.name, code, last)

    def stop(self):
        """The exit code."""
        with self.lock:
            self.process.send_signal(signal.SIGINT)
            try:
                return self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                return self.process.wait()


def is_ready(sidecar):
    try:
        return sidecar.get("/v1.0/healthz").status == 204
    except (OSError, http.client.HTTPException):
        sidecar.connection = None
        return False


class Rig:
    def __init__(self, folder, args):
        self.folder, self.args = folder, args
        self.victims, self.publishers, self.groups, self.sidecars, self.reserved = [], [], {}, [], []
        self.kills = self.freezes = self.refusals = 0
        self.over, self.faults = threading.Event(), []
        self.broker = given(args) if args.component else BROKERS[args.broker](folder)
        if self.broker.start:
            self.add("server", self.broker.start)
        for p in range(2):
            self.publishers.append(Publisher(self, p, self.sidecar("publisher%d" % p, "publishers")))
        self.subscriber("one", "one")
        self.subscriber("two-a", "two", bulkSubscribe={"enabled": True, "maxMessagesCount": 50, "maxAwaitDurationMs": 50})
        self.subscriber("two-b", "two")

    def add(self, name, start, log=None):
        self.victims.append(Victim(name, start, log))

    def sidecar(self, name, group, *resources, **flags):
        s = Sidecar(os.path.join(self.folder, name), self.broker.text.replace("{group}", group), *resources, app_id=name, loops=1,
                    flags=dict({"log-level": "warn"}, **flags))

        def start():
            s.spawn()
            return s.process
        self.add(name, start, s.log_path)
        self.sidecars.append(s)
        return s

    def wait_ready(self):
        """The groups are there: what is published from now on is theirs."""
        end = time.monotonic() + 120
        for s in self.sidecars:
            while not is_ready(s):
                if time.monotonic() > end:
                    raise AssertionError("%s is not ready: %s" % (s.app_id, s.log()[-3000:]))
                time.sleep(0.1)

    def subscriber(self, name, group, **options):
        log = os.path.join(self.folder, name + ".came")
        port, keeper = reserved_port()
        self.reserved.append(keeper)
        self.groups.setdefault(group, []).append(log)
        self.add("app-" + name, lambda: subprocess.Popen([sys.executable, HERE + "/app.py", str(port), log],
                                                         stdin=subprocess.DEVNULL))
        self.sidecar(name, group, subscription("s", "soak", route="/in", **options), **{"app-port": port})

    def trouble(self):
        """Somebody is killed or frozen, until the publishers are done."""
        while not self.over.wait(RANDOM.uniform(0.05, self.args.pause)):
            v = RANDOM.choice(self.victims)
            if RANDOM.random() < 0.6:
                self.kills += 1
                v.kill()
            else:
                self.freezes += 1
                v.freeze(RANDOM.choice((0.05, 0.3, 1, 3)) * self.args.pause)

    def watch(self):
        while not self.over.wait(1 if self.broker.start else 0.2):
            for v in self.victims:
                code, fault = v.look_after()
                # Without its broker a sidecar may refuse to start.
                if code == 1 and v.log is not None and self.broker.start:
                    self.refusals += 1
                elif code is not None:
                    self.faults.append(fault)


class Publisher(threading.Thread):
    def __init__(self, rig, number, sidecar):
        super().__init__(daemon=True)
        self.rig, self.number, self.sidecar = rig, number, sidecar
        self.acknowledged = self.again = 0
        self.connection = None

    def post(self, path, body):
        try:
            if self.connection is None:
                self.connection = http.client.HTTPConnection("127.0.0.1", self.sidecar.http, timeout=20)
            self.connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
            r = self.connection.getresponse()
            r.read()
            return r.status
        except (OSError, http.client.HTTPException):
            if self.connection is not None:
                self.connection.close()
            self.connection = None
            return 0

    def publish(self, first, n):
        key, pad = str(self.number), "x" * RANDOM.choice((10, 100, 1000))
        if n == 1:
            return self.post("/v1.0/publish/bus/soak?metadata.partitionKey=" + key, [self.number, first, pad])
        return self.post("/v1.0/publish/bulk/bus/soak", [
            {"entryId": str(i), "event": [self.number, i, pad], "contentType": "application/json",
             "metadata": {"partitionKey": key}} for i in range(first, first + n)])

    def run(self):
        while self.acknowledged < self.rig.args.messages // 2:
            n = min(RANDOM.choice((1, 1, 1, 5, 20, 100)), self.rig.args.messages // 2 - self.acknowledged)
            while self.publish(self.acknowledged, n) != 204:
                self.again += 1
                time.sleep(0.02)
            self.acknowledged += n
            if not self.rig.args.calm:
                time.sleep(RANDOM.uniform(0, 4 * n / self.rig.args.rate))


class Group:
    """What has come, read from the applications' files."""

    def __init__(self, logs):
        self.logs, self.at = logs, [0] * len(logs)
        self.seen, self.duplicates, self.out_of_order, self.highest = set(), 0, 0, {}

    def read(self):
        """How many are new."""
        before = len(self.seen)
        for i, log in enumerate(self.logs):
            if not os.path.exists(log):
                continue
            with open(log, "rb") as f:
                f.seek(self.at[i])
                text = f.read()
            text = text[:text.rfind(b"\n") + 1]
            self.at[i] += len(text)
            for line in text.splitlines():
                self.take(tuple(int(w) for w in line.split()))
        return len(self.seen) - before

    def take(self, message):
        if message in self.seen:
            self.duplicates += 1
            return
        self.seen.add(message)
        self.out_of_order += message[1] < self.highest.get(message[0], -1)
        self.highest[message[0]] = max(message[1], self.highest.get(message[0], -1))


def wait_for_all(rig, groups, total):
    last = time.monotonic()
    while any(len(g.seen) < total for g in groups.values()) and time.monotonic() - last < QUIET_S:
        if sum(g.read() for g in groups.values()) > 0 or any(p.is_alive() for p in rig.publishers):
            last = time.monotonic()
        if not any(p.is_alive() for p in rig.publishers):
            rig.over.set()
        time.sleep(0.1)


def soak(folder, args):
    """(what went wrong, the report's lines)"""
    start = time.monotonic()
    rig = Rig(folder, args)
    groups = {name: Group(logs) for name, logs in rig.groups.items()}
    threads = [threading.Thread(target=rig.watch, daemon=True)]
    threads[0].start()
    try:
        rig.wait_ready()
        for p in rig.publishers:
            p.start()
        if not args.calm:  # two at a time
            threads += [threading.Thread(target=rig.trouble, daemon=True) for _ in range(2)]
        for t in threads[1:]:
            t.start()
        wait_for_all(rig, groups, args.messages // 2 * 2)
        rig.over.set()
        for t in threads:
            t.join()
    finally:
        rig.over.set()
        for v in reversed(rig.victims):
            code = v.stop()
            if v.log is not None and code != 0:
                rig.faults.append("%s ended with %d when it was told to" % (v.name, code))
        for s in rig.reserved:
            s.close()
    return judge(rig, groups, time.monotonic() - start)


def judge(rig, groups, seconds):
    wrong, total = list(rig.faults), sum(p.acknowledged for p in rig.publishers)
    report = ["%d messages acknowledged in %.0f s, %d requests made again, %d kills, %d freezes, %d starts refused"
              % (total, seconds, sum(p.again for p in rig.publishers), rig.kills, rig.freezes, rig.refusals)]
    for name, g in groups.items():
        g.read()
        lost = [(p.number, n) for p in rig.publishers for n in range(p.acknowledged) if (p.number, n) not in g.seen]
        report.append("group %s: %d came, %d lost, %d duplicates, %d out of order" % (name, len(g.seen), len(lost), g.duplicates,
                                                                                      g.out_of_order))
        if lost:
            wrong.append("group %s lost %d messages, such as %s" % (name, len(lost), lost[:5]))
        if g.out_of_order and len(g.logs) == 1 and rig.broker.ordered and not rig.args.no_order:
            wrong.append("group %s: %d messages came before their predecessors" % (name, g.out_of_order))
    return wrong, report


def arguments(words=None):
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--messages", type=int, default=100000)
    a.add_argument("--seed", type=int, default=None)
    a.add_argument("--pause", type=float, default=1.5, help="most seconds between two troubles")
    a.add_argument("--rate", type=float, default=500, help="messages a second, about, so that there is time for trouble")
    a.add_argument("--broker", choices=BROKERS, default="sqlite")
    a.add_argument("--component")
    a.add_argument("--server")
    a.add_argument("--no-order", action="store_true")
    a.add_argument("--calm", action="store_true", help="no trouble: how fast it is")
    return a.parse_args(words)


def main():
    args = arguments()
    seed = args.seed if args.seed is not None else random.randrange(1 << 30)
    RANDOM.seed(seed)
    with tempfile.TemporaryDirectory(prefix="davit-soak-") as folder:
        wrong, report = soak(folder, args)
    print("\n".join(report + ["FAIL " + w for w in wrong] + ["seed %d" % seed]), flush=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
