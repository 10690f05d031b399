# SPDX-License-Identifier: Apache-2.0
"""pubsub.kafka while its broker is killed, frozen and gone; and SCRAM, on a broker of the last version before 4."""
import base64
import os
import threading
import time

import pytest

from kafka_server import OLDER, Kafka
from sidecar import SLOW, component
from subscriber import HttpApp, subscription

RAW = {"rawPayload": "true"}


@pytest.fixture(scope="module")
def broker(tmp_path_factory):
    k = Kafka(tmp_path_factory.mktemp("kafka"), OLDER).start()
    yield k
    k.stop()


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
