# SPDX-License-Identifier: Apache-2.0
"""pubsub.kafka on a real broker: what is written and read, groups, order, what is given again, and what is committed."""
import base64
import json
import os
import time

import pytest
from dapr.proto import api_v1

from kafka_server import shared
from sidecar import SLOW, component, refused
from subscriber import HttpApp, subscription


@pytest.fixture(scope="module")
def kafka():
    return shared()


@pytest.fixture
def topic():
    return "t" + os.urandom(6).hex()


@pytest.fixture
def bus(kafka, topic):
    """bus(...) -> the component, in a group that is named as the topic."""
    def make(name="bus", **more):
        return component(name, "pubsub.kafka", dict({
            "brokers": kafka.plain, "authType": "none", "consumerGroup": topic, "initialOffset": "oldest",
            "backOffDuration": "100ms", "sessionTimeout": "6s", "heartbeatInterval": "1s"}, **more))
    return make


@pytest.fixture
def serve(start):
    """serve(app, *resources, **options) -> the sidecar of this application; both end with the test."""
    apps = []

    def begin(app, *resources, flags=None, **options):
        apps.append(app)
        given = {"app-port": app.port, "app-protocol": app.protocol}
        given.update(flags or {})
        return start(*resources, flags=given, **options)

    yield begin
    for app in apps:
        app.stop()


def publish(s, topic, body="x", query="", content_type="text/plain"):
    r = s.post("/v1.0/publish/bus/%s%s" % (topic, query), body, headers={"Content-Type": content_type})
    assert r.status == 204, r


def raw(s, topic, body, query=""):
    publish(s, topic, body, "?metadata.rawPayload=true" + query, "application/octet-stream")


def eventually(wanted, seconds=20):
    end = time.monotonic() + seconds * SLOW
    while not wanted():
        assert time.monotonic() < end
        time.sleep(0.05)


def data(came):
    """Of an event that was published raw."""
    return base64.b64decode(came.json["data_base64"]).decode()


RAW = {"rawPayload": "true"}


# -- what is written and read

def test_an_event_goes_round(kafka, bus, serve, topic):
    app = HttpApp()
    s = serve(app, bus(), subscription("s", topic, route="/in"))
    publish(s, topic, '{"a": 1}', "?metadata.partitionKey=k%201&metadata.x-mine=7", "application/json")
    got = app.receive(20)
    assert (got.json["data"], got.json["topic"], got.json["pubsubname"]) == ({"a": 1}, topic, "bus")
    assert (got.headers["__key"], got.headers["__topic"], got.headers["__offset"]) == ("k 1", topic, "0")
    assert got.headers["x-mine"] == "7" and got.headers["partitionkey"] == "k 1"
    assert abs(int(got.headers["__timestamp"]) / 1000 - time.time()) < 60
    message, = kafka.read(topic, 1)
    assert message.key() == b"k 1" and json.loads(message.value())["data"] == {"a": 1}
    assert dict(message.headers()) == {"partitionKey": b"k 1", "x-mine": b"7"}
    assert message.partition() == int(got.headers["__partition"])


def test_what_another_client_wrote(kafka, bus, serve, topic):
    app = HttpApp()
    serve(app, bus(), subscription("s", topic, route="/in", metadata=RAW))
    kafka.send(topic, {"value": b"plain", "key": b"a/b", "headers": [("one", b"1"), ("two", b"x y"), ("one", b"3")]},
               {"value": b"", "headers": []}, {"value": None, "key": b"gone"}, partition=0)
    first, second, third = (app.receive(20) for _ in range(3))
    assert data(first) == "plain"
    assert (first.headers["__key"], first.headers["one"], first.headers["two"]) == ("a/b", "3", "x y")
    assert data(second) == "" and "__key" not in second.headers
    assert data(third) == "null" and third.headers["__key"] == "gone"  # a tombstone


def test_headers_escaped_and_left_out(kafka, bus, serve, topic):
    app = HttpApp()
    s = serve(app, bus(escapeHeaders="true", excludeHeaderMetaRegex="^(secret.*|rawPayload)$"),
              subscription("s", topic, route="/in", metadata=RAW))
    raw(s, topic, "1", "&metadata.secret1=s&metadata.open=%C3%BC%20b/c")
    got = app.receive(20)
    assert got.headers["open"] == "%C3%BC+b%2Fc" and "secret1" not in got.headers
    message, = kafka.read(topic, 1)
    assert dict(message.headers()) == {"open": "ü b/c".encode()}
    kafka.send(topic, {"value": b"2", "key": b"a b", "headers": [("secret2", b"x"), ("fine", b"\x00\x01")]})
    got = app.receive(20)
    assert (got.headers["__key"], got.headers["fine"]) == ("a+b", "%00%01") and "secret2" not in got.headers


def test_a_partition_is_named(kafka, bus, start, topic):
    s = start(bus())
    kafka.make_topic(topic, 3)
    for p in (2, 0):
        raw(s, topic, "x", "&metadata.partitionNumber=%d" % p)
    assert sorted(m.partition() for m in kafka.read(topic, 2)) == [0, 2]
    for value, why in (("-1", "partitionNumber must be non-negative, got -1"), ("x", "invalid partitionNumber metadata value \"x\""),
                       ("9", "partition")):
        r = s.post("/v1.0/publish/bus/%s?metadata.partitionNumber=%s" % (topic, value), "x")
        assert (r.status, r.code) == (500, "ERR_PUBSUB_PUBLISH_MESSAGE") and why in r.message, r


def test_keys_go_where_dapr_puts_them(kafka, bus, start, topic):
    """FNV-1a, as a signed number without its sign."""
    s = start(bus())
    kafka.make_topic(topic, 7)
    for i in range(30):
        raw(s, topic, "x", "&metadata.partitionKey=key%d" % i)

    def place(key):
        h = 0x811c9dc5
        for c in key:
            h = (h ^ c) * 0x01000193 & 0xffffffff
        return abs(h - (1 << 32) if h >> 31 else h) % 7
    for m in kafka.read(topic, 30):
        assert m.partition() == place(m.key())


def test_a_message_too_large(bus, start, topic):
    s = start(bus(maxMessageBytes="2000"))
    raw(s, topic, "x" * 1900)
    r = s.post("/v1.0/publish/bus/%s?metadata.rawPayload=true" % topic, "x" * 2100)
    assert (r.status, r.code) == (500, "ERR_PUBSUB_PUBLISH_MESSAGE") and "maxMessageBytes" in r.message or "large" in r.message


@pytest.mark.parametrize("name", ["a b", "a/b", "x" * 300])
def test_a_topic_that_kafka_does_not_allow(bus, start, name):
    s = start(bus())
    r = s.post("/v1.0/publish/bus/" + name.replace(" ", "%20").replace("/", "%2F"), "x")
    assert (r.status, r.code) == (500, "ERR_PUBSUB_PUBLISH_MESSAGE"), r


def test_a_bulk(kafka, bus, start, topic):
    s = start(bus())
    kafka.make_topic(topic, 3)
    entries = [{"entryId": str(i), "event": "e%d" % i, "contentType": "text/plain",
                "metadata": {"partitionNumber": "9" if i in (3, 7) else str(i % 3), "own": str(i)}} for i in range(10)]
    r = s.post("/v1.0/publish/bulk/bus/%s?metadata.rawPayload=true&metadata.all=1" % topic, entries,
               headers={"Content-Type": "application/json"})
    assert r.status == 500 and r.code == "ERR_PUBSUB_PUBLISH_MESSAGE", r
    if r.json.get("failedEntries"):
        assert sorted(f["entryId"] for f in r.json["failedEntries"]) == ["3", "7"]
    found = kafka.read(topic, 8)
    assert sorted(m.value() for m in found) == sorted(b"e%d" % i for i in range(10) if i not in (3, 7))
    for m in found:
        headers = dict(m.headers())
        assert headers["all"] == b"1" and m.partition() == int(headers["partitionNumber"])


def test_a_bulk_over_grpc(kafka, bus, start, topic):
    s = start(bus())
    got = s.rpc.BulkPublishEvent(api_v1.BulkPublishRequest(pubsub_name="bus", topic=topic, entries=[
        api_v1.BulkPublishRequestEntry(entry_id=str(i), event=b"%d" % i, content_type="text/plain") for i in range(100)]))
    assert not got.failedEntries
    assert sorted(int(json.loads(m.value())["data"]) for m in kafka.read(topic, 100)) == list(range(100))
    e = refused(s.rpc.PublishEvent, api_v1.PublishEventRequest(pubsub_name="bus", topic=topic, data=b"x",
                                                               metadata={"partitionNumber": "-3"}))
    assert "non-negative" in e.details()


def test_avro_is_not_there_yet(bus, start, topic):
    s = start(bus())
    r = s.post("/v1.0/publish/bus/%s?metadata.valueSchemaType=Avro" % topic, "x")
    assert r.status == 500 and "Avro" in r.message
    r = s.post("/v1.0/publish/bus/%s?metadata.valueSchemaType=xml" % topic, "x")
    assert r.status == 500 and "error parsing schema type. 'xml' is not a supported value" in r.message


# -- order, what is given again, what is committed

def test_order_in_a_partition(kafka, bus, serve, topic):
    """One after another, whatever is in front; across partitions side by side."""
    app = HttpApp()
    s = serve(app, bus(), subscription("s", topic, route="/in", metadata=RAW))
    for i in range(90):
        raw(s, topic, str(i), "&metadata.partitionNumber=%d" % (i % 3) if i > 2 else "")
    seen = {}
    for _ in range(90):
        got = app.receive(20)
        seen.setdefault(got.headers["__partition"], []).append((int(got.headers["__offset"])))
    assert all(offsets == list(range(len(offsets))) for offsets in seen.values())
    assert app.most <= 3
    eventually(lambda: sum(kafka.committed(topic, topic).values()) == 90)


def test_what_was_not_taken_holds_its_partition(kafka, bus, serve, topic):
    app = HttpApp()
    kafka.send(topic, *[b"%d" % i for i in range(6)], partition=1)
    app.answer("/in", (200, b""), (200, b'{"status": "RETRY"}'), (500, b""), (200, b'{"status": "SUCCESS"}'))
    serve(app, bus(), subscription("s", topic, route="/in", metadata=RAW))
    assert [data(app.receive(20)) for _ in range(8)] == ["0", "1", "1", "1", "2", "3", "4", "5"]
    assert app.nothing()
    eventually(lambda: kafka.committed(topic, topic).get(1) == 6)


def test_a_message_is_left_behind_after_its_tries(kafka, bus, serve, topic):
    app = HttpApp()
    kafka.send(topic, b"0", b"1", b"2", partition=1)
    app.answer("/in", (200, b""), (500, b""), (500, b""), (500, b""))
    s = serve(app, bus(backOffMaxRetries="2"), subscription("s", topic, route="/in", metadata=RAW))
    assert [data(app.receive(20)) for _ in range(5)] == ["0", "1", "1", "1", "2"]
    s.wait_log("Too many failed attempts at processing Kafka message: %s/1/1" % topic)
    eventually(lambda: kafka.committed(topic, topic).get(1) == 3)


def test_without_retry_there_is_one_try(kafka, bus, serve, topic):
    app = HttpApp()
    kafka.send(topic, *[b"%d" % i for i in range(4)], partition=1)
    app.answer("/in", (200, b""), (500, b""))
    serve(app, bus(consumeRetryEnabled="false"), subscription("s", topic, route="/in", metadata=RAW))
    assert [data(app.receive(20)) for _ in range(4)] == ["0", "1", "2", "3"]
    eventually(lambda: kafka.committed(topic, topic).get(1) == 4)


def test_dropped_and_dead(kafka, bus, serve, topic):
    app = HttpApp()
    kafka.send(topic, b"0", b"1", partition=1)
    app.answer("/in", (200, b'{"status": "DROP"}'), (500, b""))
    serve(app, bus(), subscription("s", topic, route="/in", metadata=RAW, deadLetterTopic=topic + "-dead"))
    assert [data(app.receive(20)) for _ in range(2)] == ["0", "1"]
    assert app.nothing()
    assert sorted(m.value() for m in kafka.read(topic + "-dead", 2)) == [b"0", b"1"]
    eventually(lambda: kafka.committed(topic, topic).get(1) == 2)
