# SPDX-License-Identifier: Apache-2.0
"""A real Kafka as a process: one node that is broker and controller, from the packages that the project publishes.

They are fetched once, into BUILD/kafka/<version>. shared() is one broker for all tests of a run, whichever worker asks first;
it ends with the run. What kills or freezes a broker has one of its own.
"""
import atexit
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import pytest
from sidecar import BUILD, free_port

NEWEST, OLDER = "4.3.1", "3.7.1"  # SCRAM of Debian's librdkafka and of brokers since 4 do not understand each other

for tool in ("java", "mvn"):
    if shutil.which(tool) is None:
        pytest.skip("%s is not installed, which Kafka needs" % tool, allow_module_level=True)

POM = """<project><modelVersion>4.0.0</modelVersion>
<groupId>tests</groupId><artifactId>kafka-run</artifactId><version>1</version><dependencies>
<dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>%s</version></dependency>
<dependency><groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId><version>1.7.36</version></dependency>
</dependencies></project>
"""

# Ends what it started when the process that is named first is gone, however that ended.
KEEPER = """
import os, signal, subprocess, sys, time
p = subprocess.Popen(sys.argv[2:])
signal.signal(signal.SIGTERM, lambda *a: p.terminate())
while p.poll() is None:
    try:
        os.kill(int(sys.argv[1]), 0)
    except OSError:
        p.kill()
    time.sleep(0.3)
"""


def locked(path):
    f = open(path, "a+", encoding="utf-8")
    fcntl.flock(f, fcntl.LOCK_EX)
    return f


def jars(version):
    """The folder of a Kafka's libraries; skips where they cannot be had."""
    folder = os.path.join(BUILD, "kafka", version)
    os.makedirs(folder, exist_ok=True)
    with locked(os.path.join(folder, "lock")):
        if os.path.exists(os.path.join(folder, "whole")):
            return os.path.join(folder, "lib")
        with open(os.path.join(folder, "pom.xml"), "w", encoding="utf-8") as f:
            f.write(POM % version)
        p = subprocess.run(["mvn", "-q", "-B", "dependency:copy-dependencies", "-DoutputDirectory=lib",
                            "-DincludeScope=runtime"], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                           timeout=600, check=False, env=dict(os.environ, LD_PRELOAD=""))
        if p.returncode != 0:
            pytest.skip("Kafka %s could not be fetched: %s" % (version, p.stdout.strip()[-300:]))
        with open(os.path.join(folder, "whole"), "w", encoding="utf-8"):
            pass
    return os.path.join(folder, "lib")


class Kafka:
    """`plain`, `sasl` (PLAIN, SCRAM), `tls` (a client's certificate is asked for, not demanded), `sasl_tls`: "host:port".

    between: a proxy (trouble.Proxy); who comes by way of it is told to stay there.
    """

    USERS = {"alice": "alice-secret", "bob": "bob-secret", "carol": "carol-secret"}

    def __init__(self, folder, version=NEWEST, certificates=None, more=(), between=None):
        self.folder, self.version, self.certificates, self.process = str(folder), version, certificates, None
        self.between = between
        os.makedirs(self.folder, exist_ok=True)
        self.lib = jars(version)
        self.plain, self.sasl, self.tls, self.sasl_tls, self.controller = ("127.0.0.1:%d" % free_port() for _ in range(5))
        self.write(more)
        self.java("kafka.tools.StorageTool", "format", "-t", "AAAAAAAAAAAAAAAAAAAAAQ", "-c", self.path("server.properties"),
                  "--add-scram", "SCRAM-SHA-256=[name=bob,password=bob-secret]",
                  "--add-scram", "SCRAM-SHA-512=[name=carol,password=carol-secret]")

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, more):
        listeners = ["PLAIN://" + self.plain, "SASL://" + self.sasl]
        protocols = ["CONTROLLER:PLAINTEXT", "PLAIN:PLAINTEXT", "SASL:SASL_PLAINTEXT"]
        lines = ["process.roles=broker,controller", "node.id=1", "controller.quorum.voters=1@" + self.controller,
                 "controller.listener.names=CONTROLLER", "inter.broker.listener.name=PLAIN", "log.dirs=" + self.path("data"),
                 "num.partitions=3", "offsets.topic.num.partitions=3", "offsets.topic.replication.factor=1",
                 "transaction.state.log.replication.factor=1", "transaction.state.log.min.isr=1",
                 "group.initial.rebalance.delay.ms=0", "log.retention.check.interval.ms=86400000",
                 "sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512"]
        secured = ["sasl"]
        if self.certificates:
            listeners += ["TLS://" + self.tls, "SASLTLS://" + self.sasl_tls]
            protocols += ["TLS:SSL", "SASLTLS:SASL_SSL"]
            secured.append("sasltls")
            with open(self.path("server.pem"), "w", encoding="utf-8") as f:
                f.write(self.pkcs8(self.certificates.server[1]) + self.certificates.text(self.certificates.server[0]))
            lines += ["ssl.keystore.type=PEM", "ssl.keystore.location=" + self.path("server.pem"), "ssl.truststore.type=PEM",
                      "ssl.truststore.location=" + self.certificates.ca, "ssl.client.auth=requested"]
        module = "org.apache.kafka.common.security."
        for name in secured:
            lines.append("listener.name.%s.plain.sasl.jaas.config=%splain.PlainLoginModule required user_alice=\"alice-secret\";"
                         % (name, module))
            lines += ["listener.name.%s.scram-sha-%d.sasl.jaas.config=%sscram.ScramLoginModule required;" % (name, bits, module)
                      for bits in (256, 512)]
        advertised = list(listeners)
        if self.between:
            self.between.to = free_port()
            listeners.append("BEHIND://127.0.0.1:%d" % self.between.to)
            advertised.append("BEHIND://" + self.between.host)
            protocols.append("BEHIND:PLAINTEXT")
        lines += ["listeners=%s,CONTROLLER://%s" % (",".join(listeners), self.controller),
                  "advertised.listeners=" + ",".join(advertised), "listener.security.protocol.map=" + ",".join(protocols)]
        with open(self.path("server.properties"), "w", encoding="utf-8") as f:
            f.write("\n".join(lines + list(more)) + "\n")

    @staticmethod
    def pkcs8(path):
        return subprocess.run(["openssl", "pkcs8", "-topk8", "-nocrypt", "-in", path], stdout=subprocess.PIPE, check=True,
                              text=True, env=dict(os.environ, LD_PRELOAD="")).stdout

    def command(self, *words):
        return ["java", "-Xms64m", "-Xmx384m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC",
                "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", os.path.join(self.lib, "*"), *words]

    def java(self, *words):
        p = subprocess.run(self.command(*words), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120,
                           check=False, env=dict(os.environ, LD_PRELOAD=""))
        assert p.returncode == 0, p.stdout
        return p.stdout

    def start(self, keeper=None):
        """With a keeper it lives as long as that process, and belongs to whoever has its port."""
        words = self.command("kafka.Kafka", self.path("server.properties"))
        if keeper:
            words = [sys.executable, "-c", KEEPER, str(keeper)] + words
        with open(self.path("log"), "ab") as log:
            self.process = subprocess.Popen(words, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True,
                                            env=dict(os.environ, LD_PRELOAD=""))
        if not keeper:
            atexit.register(self.kill)
        self.await_ready()
        return self

    def await_ready(self, seconds=90):
        from confluent_kafka.admin import AdminClient
        end = time.monotonic() + seconds
        admin = AdminClient({"bootstrap.servers": self.plain, "log_level": 0})
        while True:
            try:
                if admin.list_topics(timeout=1).brokers:
                    return
            except Exception:  # pylint: disable=broad-except
                pass
            with open(self.path("log"), encoding="utf-8", errors="replace") as f:
                assert self.process.poll() is None and time.monotonic() < end, f.read()[-3000:]

    def freeze(self):
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self):
        self.process.send_signal(signal.SIGCONT)

    def kill(self):
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.kill()

    # -- looked at and written to by another client

    def client(self, **more):
        return dict({"bootstrap.servers": self.plain, "log_level": 0}, **more)

    def make_topic(self, name, partitions):
        from confluent_kafka.admin import AdminClient, NewTopic
        admin = AdminClient(self.client())
        admin.create_topics([NewTopic(name, partitions, 1)])[name].result(20)

    def send(self, topic, *values, **more):
        """Values as bytes, or as dicts of what produce() takes."""
        from confluent_kafka import Producer
        failed = []
        p = Producer(self.client())
        for v in values:
            given = dict({"value": v} if not isinstance(v, dict) else v, **more)
            p.produce(topic, on_delivery=lambda e, m: failed.append(e) if e else None, **given)
            p.poll(0)
        assert p.flush(30) == 0 and not failed, failed

    def read(self, topic, n=None, seconds=20):
        """All messages of a topic, of each partition in order; at least n of them."""
        from confluent_kafka import Consumer, TopicPartition
        c = Consumer(self.client(**{"group.id": "reader", "enable.auto.commit": False}))
        found, end = [], time.monotonic() + seconds
        partitions = []
        while not partitions and time.monotonic() < end:
            about = c.list_topics(topic, timeout=5).topics[topic]
            partitions = [] if about.error else list(about.partitions)
        ends = {p: c.get_watermark_offsets(TopicPartition(topic, p), timeout=5)[1] for p in partitions}
        c.assign([TopicPartition(topic, p, 0) for p in partitions])
        while (len(found) < n if n is not None else any(ends.values())) and time.monotonic() < end:
            m = c.poll(0.5)
            if m is None or m.error():
                if n is None and m is None and len(found) >= sum(ends.values()):
                    break
                continue
            found.append(m)
            if n is None and len(found) >= sum(ends.values()):
                break
        c.close()
        return found

    def committed(self, group, topic):
        """{partition: the next offset that the group reads}."""
        from confluent_kafka import ConsumerGroupTopicPartitions
        from confluent_kafka.admin import AdminClient
        admin = AdminClient(self.client())
        asked = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)])
        return {p.partition: p.offset for p in asked[group].result(20).topic_partitions if p.topic == topic}

    def ends(self, topic):
        from confluent_kafka import Consumer, TopicPartition
        c = Consumer(self.client(**{"group.id": "reader"}))
        partitions = list(c.list_topics(topic, timeout=10).topics[topic].partitions)
        found = {p: c.get_watermark_offsets(TopicPartition(topic, p), timeout=10)[1] for p in partitions}
        c.close()
        return found


class Shared(Kafka):
    """Of another process: it can be spoken to, not ended."""

    def __init__(self, about):  # pylint: disable=super-init-not-called
        self.__dict__.update(about)


def shared(version=NEWEST):
    from redis_server import Certificates
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID")
    keeper = os.getppid() if run else os.getpid()
    folder = os.path.join(tempfile.gettempdir(), "davit-kafka-%s-%s" % (run or os.getpid(), version))
    os.makedirs(folder, exist_ok=True)
    jars(version)
    with locked(os.path.join(folder, "lock")) as f:
        f.seek(0)
        about = f.read()
        if not about:
            made = Certificates(os.path.join(folder, "certificates"))
            k = Kafka(os.path.join(folder, "broker"), version, made).start(keeper)
            about = {name: getattr(k, name) for name in ("folder", "version", "lib", "plain", "sasl", "tls", "sasl_tls")}
            about["certificates"] = {"ca": made.ca, "client": made.client}
            f.write(json.dumps(about))
            f.flush()
        else:
            about = json.loads(about)
    return Shared(about)
