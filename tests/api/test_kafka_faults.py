# SPDX-License-Identifier: Apache-2.0
"""pubsub.kafka while its broker is killed, frozen and gone; and SCRAM, on a broker of the last version before 4."""
import base64
import os
import struct
import threading
import time

import pytest
from dapr.proto import api_v1

from kafka_server import OLDER, Kafka
from sidecar import SLOW, component
from subscriber import HttpApp, subscription
from trouble import Proxy

RAW = {"rawPayload": "true"}


class NoLeader(Proxy):
    """Who asks for offsets hears for so many seconds that the broker does not lead the partition: it does, but does not know yet."""

    LIST_OFFSETS, NOT_LEADER = 2, 6

    def __init__(self):
        super().__init__(0)
        self.seconds, self.since, self.asked = 0, None, {}

    def pump(self, source, sink, answers):
        read = source.makefile("rb")
        try:
            while len(head := read.read(4)) == 4:
                body = bytearray(read.read(struct.unpack(">i", head)[0]))
                if not answers:
                    key, version, id_ = struct.unpack_from(">hhi", body)
                    self.asked[sink, id_] = key, version
                elif self.asked.pop((source, struct.unpack_from(">i", body)[0]), None) == (self.LIST_OFFSETS, 2):
                    self.spoil(body)
                sink.sendall(head + body)
        except OSError:
            pass
        for s in (sink, source):
            s.close()

    def spoil(self, body):
        """One topic with one partition, as the plugin's library asks."""
        if not self.seconds:
            return
        self.since = self.since or time.monotonic()
        if time.monotonic() < self.since + self.seconds:
            name, = struct.unpack_from(">h", body, 12)
            struct.pack_into(">h", body, 14 + name + 8, self.NOT_LEADER)


@pytest.fixture(scope="module")
def broker(tmp_path_factory):
    between = NoLeader()
    k = Kafka(tmp_path_factory.mktemp("kafka"), OLDER, between=between).start()
    yield k
    k.stop()
    between.stop()


@pytest.fixture
def topic():
    return "t" + os.urandom(6).hex()


def bus(broker, topic, **more):
    return component("bus", "pubsub.kafka", dict({
        "brokers": broker.plain, "authType": "none", "consumerGroup": topic, "initialOffset": "oldest", "backOffDuration": "100ms",
        "sessionTimeout": "6s", "heartbeatInterval": "1s"}, **more))


def eventually(wanted, seconds):
    end = time.monotonic() + seconds * SLOW
    while not wanted():
        assert time.monotonic() < end
        time.sleep(0.1)


def long_lived(s):
    c = s.connect()
    c.timeout = 120
    return c


class Publishers:
    """Threads that publish numbers as fast as they are answered; `acknowledged` are those that were."""

    def __init__(self, sidecar, topic, n=4):
        self.sidecar, self.topic, self.over = sidecar, topic, False
        self.acknowledged, self.refused, self.lock = set(), [], threading.Lock()
        self.threads = [threading.Thread(target=self.publish, args=(i,), daemon=True) for i in range(n)]
        for t in self.threads:
            t.start()

    def publish(self, which):
        c, i = long_lived(self.sidecar), 0
        path = "/v1.0/publish/bus/%s?metadata.rawPayload=true&metadata.partitionKey=%d" % (self.topic, which)
        while not self.over:
            number, i = which * 1000000 + i, i + 1
            c.request("POST", path, b"%d" % number, {"Content-Type": "application/octet-stream"})
            r = c.getresponse()
            body = r.read()
            with self.lock:
                if r.status == 204:
                    self.acknowledged.add(number)
                else:
                    self.refused.append((number, body))

    def stop(self):
        self.over = True
        for t in self.threads:
            t.join(90)
            assert not t.is_alive()

    def wait_for_more(self, n=20, seconds=60):
        before = len(self.acknowledged)
        eventually(lambda: len(self.acknowledged) >= before + n, seconds)


def numbers(app):
    """In the order of their arrival, by who published them."""
    found = {}
    for _ in range(app.came.qsize()):
        n = int(base64.b64decode(app.came.get().json["data_base64"]))
        found.setdefault(n // 1000000, []).append(n)
    return found


def test_a_broker_that_is_killed_and_frozen(broker, topic, start):
    """What was acknowledged arrives, in order for the first time; neither side is started anew."""
    app = HttpApp()
    s = start(bus(broker, topic), subscription("s", topic, route="/in", metadata=RAW), flags={"app-port": app.port})
    p = Publishers(s, topic)
    p.wait_for_more()
    broker.kill()
    time.sleep(1)
    broker.start()
    p.wait_for_more()
    broker.freeze()
    time.sleep(3)
    broker.thaw()
    p.wait_for_more()
    p.stop()
    came = {}

    def all_came():
        for who, list_ in numbers(app).items():
            came.setdefault(who, []).extend(list_)
        return p.acknowledged <= {n for list_ in came.values() for n in list_}
    eventually(all_came, 60)
    for list_ in came.values():
        first = list(dict.fromkeys(list_))
        assert first == sorted(first)
    assert all(b"ERR_PUBSUB_PUBLISH_MESSAGE" in body for _, body in p.refused), p.refused[:3]
    app.stop()


@pytest.mark.parametrize("seconds", [0.5, 7])
def test_a_topic_whose_leader_does_not_know_yet(broker, topic, start, seconds):
    """What is published once a subscription stands arrives, though the broker at first did not tell where its end is."""
    broker.make_topic(topic, 2)
    s = start(bus(broker, topic, brokers=broker.between.host, initialOffset="newest"))
    broker.between.since, broker.between.seconds = None, seconds
    over = threading.Event()

    def wishes():
        yield api_v1.SubscribeTopicEventsRequestAlpha1(initial_request=api_v1.SubscribeTopicEventsRequestInitialAlpha1(
            pubsub_name="bus", topic=topic, metadata=RAW))
        over.wait(60)
    call = s.rpc.SubscribeTopicEventsAlpha1(wishes(), timeout=60)
    assert next(call).HasField("initial_response") and broker.between.since
    for i in range(4):
        r = s.post("/v1.0/publish/bus/%s?metadata.rawPayload=true&metadata.partitionNumber=%d" % (topic, i % 2), b"%d" % i)
        assert r.status == 204
    assert next(call).event_message.topic == topic
    over.set()
    call.cancel()
    broker.between.seconds = 0
    assert ("the group is joined again" in s.log()) == (seconds > 5)


def test_a_broker_that_is_away_for_long(broker, topic, start):
    """Publishing says so in time, and works again when it is back."""
    s = start(bus(broker, topic, readTimeout="3s"))
    assert s.post("/v1.0/publish/bus/" + topic, "1").status == 204
    broker.stop()
    r = s.post("/v1.0/publish/bus/" + topic, "2")
    assert (r.status, r.code) == (500, "ERR_PUBSUB_PUBLISH_MESSAGE") and "did not acknowledge the message in time" in r.message
    broker.start()
    eventually(lambda: s.post("/v1.0/publish/bus/" + topic, "3").status == 204, 60)


@pytest.mark.parametrize("mechanism,user", [("SHA-256", "bob"), ("SHA-512", "carol")])
def test_scram(broker, topic, start, mechanism, user):
    app = HttpApp()
    s = start(bus(broker, topic, brokers=broker.sasl, authType="password", saslUsername=user, saslPassword=user + "-secret",
                  saslMechanism=mechanism, disableTls="true"),
              subscription("s", topic, route="/in", metadata=RAW), flags={"app-port": app.port})
    assert s.post("/v1.0/publish/bus/%s?metadata.rawPayload=true" % topic, "1").status == 204
    assert base64.b64decode(app.receive(30).json["data_base64"]) == b"1"
    app.stop()
