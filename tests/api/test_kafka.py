# SPDX-License-Identifier: Apache-2.0
"""pubsub.kafka on a real broker: what is written and read, groups, order, what is given again, and what is committed."""
import base64
import json
import os
import shutil
import subprocess
import threading
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


def offset(entry):
    return int(entry["metadata"]["__offset"])


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
    assert (r.status, r.code) == (500, "ERR_PUBSUB_PUBLISH_MESSAGE") and "larger than" in r.message


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


@pytest.mark.ours
def test_avro_is_not_there_yet(bus, start, topic):
    """Dapr asks a schema registry."""
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


@pytest.mark.ours
def test_a_bulk_is_delivered(kafka, bus, serve, topic):
    """Several at once; what of them was not taken comes again, and what is behind waits for it. Dapr gives the whole batch again."""
    app = HttpApp()
    kafka.send(topic, *[b"%d" % i for i in range(10)], partition=1)

    def answer(*refused):
        return 200, lambda body: json.dumps({"statuses": [
            {"entryId": e["entryId"], "status": "RETRY" if offset(e) in refused else "SUCCESS"} for e in body["entries"]]}).encode()
    app.answer("/in", answer(3), *[answer()] * 9)
    serve(app, bus(), subscription("s", topic, route="/in", metadata=RAW,
                                   bulkSubscribe={"enabled": True, "maxMessagesCount": 5, "maxAwaitDurationMs": 200}))
    came = []
    while len(came) < 11:
        entries = app.receive(20).json["entries"]
        assert len(entries) <= 5
        came += [offset(e) for e in entries]
    assert sorted(came) == [0, 1, 2, 3, 3, 4, 5, 6, 7, 8, 9] and came.index(3, came.index(3) + 1) > 4
    eventually(lambda: kafka.committed(topic, topic).get(1) == 10)


# -- groups, and the ends of their members

def test_each_group_gets_all(kafka, bus, serve, topic):
    apps = [HttpApp(), HttpApp()]
    sidecars = [serve(app, bus(consumerGroup=topic + str(i)), subscription("s", topic, route="/in", metadata=RAW))
                for i, app in enumerate(apps)]
    for i in range(20):
        raw(sidecars[0], topic, str(i))
    for app in apps:
        assert sorted(int(data(app.receive(20))) for _ in range(20)) == list(range(20))
        assert app.nothing()


@pytest.mark.ours
@pytest.mark.parametrize("strategy", ["range", "roundrobin"])
def test_two_sidecars_share_a_group(kafka, bus, serve, topic, strategy):
    """The second takes over partitions while messages are under way, then all when the first is stopped. The log tells when."""
    apps = [HttpApp(), HttpApp()]
    kafka.make_topic(topic, 4)
    given = [bus(consumerGroupRebalanceStrategy=strategy), subscription("s", topic, route="/in", metadata=RAW)]
    first = serve(apps[0], *given)
    for i in range(100):
        raw(first, topic, str(i), "&metadata.partitionNumber=%d" % (i % 4))
    second = serve(apps[1], *given)
    eventually(lambda: "2 partitions were assigned" in first.log() and "2 partitions were assigned" in second.log(), 40)
    for i in range(100, 200):
        raw(second, topic, str(i), "&metadata.partitionNumber=%d" % (i % 4))
    eventually(lambda: sum(kafka.committed(topic, topic).values()) == 200)
    first.stop()
    for i in range(200, 240):
        raw(second, topic, str(i), "&metadata.partitionNumber=%d" % (i % 4))
    eventually(lambda: sum(kafka.committed(topic, topic).values()) == 240)
    numbers = [[int(data(app.came.get())) for _ in range(app.came.qsize())] for app in apps]
    assert set(numbers[0] + numbers[1]) == set(range(240))
    assert len([n for n in numbers[1] if 100 <= n < 200]) >= 40 and set(numbers[1]) >= set(range(200, 240))


def test_what_is_under_way_when_the_process_is_killed(kafka, bus, serve, topic):
    """Nothing beyond what is unsettled was committed, and what was is not given again."""
    app, gate = HttpApp(), threading.Event()
    kafka.send(topic, *[b"0%d" % i for i in range(5)], partition=0)
    kafka.send(topic, *[b"1%d" % i for i in range(5)], partition=1)

    def third_of_first_waits(body):
        if base64.b64decode(body["data_base64"]) == b"02":
            gate.wait(60)
        return b""
    app.answer("/in", *[(200, third_of_first_waits)] * 10)
    given = [bus(), subscription("s", topic, route="/in", metadata=RAW)]
    s = serve(app, *given, expect=None)
    eventually(lambda: kafka.committed(topic, topic) == {0: 2, 1: 5, 2: 0})
    s.kill()
    assert {data(app.came.get()) for _ in range(app.came.qsize())} == {"00", "01", "02", "10", "11", "12", "13", "14"}
    gate.set()
    serve(app, *given)
    assert [data(app.receive(30)) for _ in range(3)] == ["02", "03", "04"] and app.nothing()


def test_stopping_lets_go_out_what_is_under_way_and_commits_it(kafka, bus, serve, topic):
    app = HttpApp()
    s = serve(app, bus(), subscription("s", topic, route="/in", metadata=RAW))
    for i in range(300):
        raw(s, topic, str(i))
    app.receive(20)
    s.stop()
    received = 1 + app.came.qsize()
    assert sum(kafka.committed(topic, topic).values()) == received
    s = serve(app, bus(), subscription("s", topic, route="/in", metadata=RAW))
    eventually(lambda: 1 + app.came.qsize() == 300)
    assert app.nothing(0.3) if app.came.empty() else app.came.qsize() == 299


@pytest.mark.ours
def test_a_new_group_begins_at_the_end_and_misses_nothing_after(kafka, bus, serve, topic):
    """Dapr's begins at the end once more, until it has settled a first message of each partition."""
    app = HttpApp()
    kafka.send(topic, *[b"old"] * 5)
    given = [bus(initialOffset="newest"), subscription("s", topic, route="/in", metadata=RAW)]
    s = serve(app, *given)
    s.wait_log("partitions were assigned", 30)
    raw(s, topic, "new")
    assert data(app.receive(20)) == "new"
    s.stop()
    kafka.send(topic, b"meanwhile", partition=2)
    serve(app, *given)
    assert data(app.receive(20)) == "meanwhile"


def test_streams_on_one_topic_share_it(kafka, bus, start, topic):
    s = start(bus())
    kafka.make_topic(topic, 4)
    first = s.rpc.SubscribeTopicEventsAlpha1(iter_of(topic))
    assert next(first).HasField("initial_response")
    raw(s, topic, "1")
    assert next(first).event_message.topic == topic
    first.cancel()


def iter_of(topic):
    yield api_v1.SubscribeTopicEventsRequestAlpha1(initial_request=api_v1.SubscribeTopicEventsRequestInitialAlpha1(
        pubsub_name="bus", topic=topic, metadata=RAW))
    time.sleep(30)


@pytest.mark.plain
def test_a_subscriber_that_stands_still(kafka, bus, serve, topic):
    """The sidecar holds no more than its credit, and what it has fetched is let go of."""
    app = HttpApp()
    app.hold()
    s = serve(app, bus(), subscription("s", topic, route="/in", metadata=RAW))

    def resident():
        with open("/proc/%d/status" % s.process.pid, encoding="utf-8") as f:
            return int(next(line for line in f if line.startswith("VmRSS")).split()[1])
    kafka.send(topic, *[os.urandom(1000) for _ in range(1000)])
    eventually(lambda: app.inside >= 3)
    time.sleep(4)
    before = resident()
    for _ in range(5):
        kafka.send(topic, *[os.urandom(1000) for _ in range(6000)])
    time.sleep(5)
    assert resident() - before < 16 << 10, (before, resident())
    app.let_go()
    eventually(lambda: sum(kafka.committed(topic, topic).values()) == 31000, 120)
    assert app.came.qsize() == 31000


# -- brokers that are not there, or do not want us

def test_nobody_listens(tmp_path):
    from sidecar import Sidecar, free_port
    s = Sidecar(tmp_path / "s", component("bus", "pubsub.kafka", {"brokers": "127.0.0.1:%d" % free_port(), "authType": "none"}))
    code, log = s.run(40)
    assert code == 1 and "client has run out of available brokers to talk to" in log


@pytest.mark.parametrize("mechanism", ["PLAINTEXT", "SHA-256"])
def test_a_wrong_password(kafka, tmp_path, mechanism):
    from sidecar import Sidecar
    s = Sidecar(tmp_path / "s", component("bus", "pubsub.kafka", {
        "brokers": kafka.sasl, "authType": "password", "saslUsername": "alice", "saslPassword": "planted-secret",
        "saslMechanism": mechanism, "disableTls": "true"}))
    code, log = s.run(40)
    assert code == 1 and "initialization error occurred for bus (pubsub.kafka/v1)" in log and "planted" not in log


def test_certificates_both_ways(kafka, bus, serve, topic):
    from redis_server import Certificates
    app = HttpApp()
    text, made = Certificates.text, kafka.certificates
    s = serve(app, bus(brokers=kafka.tls, authType="mtls", caCert=text(made["ca"]), clientCert=text(made["client"][0]),
                       clientKey=text(made["client"][1])), subscription("s", topic, route="/in", metadata=RAW))
    raw(s, topic, "1")
    assert data(app.receive(20)) == "1"


def test_a_certificate_with_those_that_lead_to_it(kafka, bus, serve, topic, tmp_path):
    from redis_server import Certificates
    made, text = kafka.certificates, Certificates.text
    folder = os.path.dirname(made["ca"])

    def sign(name, by, key, extensions):
        (tmp_path / (name + ".ext")).write_text(extensions)
        for words in (["req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", name + ".key", "-out",
                       name + ".csr", "-subj", "/CN=" + name],
                      ["x509", "-req", "-in", name + ".csr", "-CA", by, "-CAkey", key, "-CAcreateserial", "-out", name + ".pem",
                       "-days", "30", "-extfile", name + ".ext"]):
            subprocess.run(["openssl", *words], cwd=tmp_path, check=True, stderr=subprocess.DEVNULL)
    for source in ("ca.pem", "ca.key"):
        shutil.copy(os.path.join(folder, source), tmp_path)
    sign("between", "ca.pem", "ca.key", "basicConstraints=critical,CA:TRUE\n")
    sign("leaf", "between.pem", "between.key", "basicConstraints=CA:FALSE\n")
    app = HttpApp()
    s = serve(app, bus(brokers=kafka.tls, authType="mtls", caCert=text(made["ca"]),
                       clientCert=text(tmp_path / "leaf.pem") + text(tmp_path / "between.pem"),
                       clientKey=text(tmp_path / "leaf.key")), subscription("s", topic, route="/in", metadata=RAW))
    raw(s, topic, "1")
    assert data(app.receive(20)) == "1"


def test_whoever_answers_is_believed(kafka, bus, serve, topic):
    app = HttpApp()
    s = serve(app, bus(brokers=kafka.sasl_tls.replace("127.0.0.1", "localhost"), authType="password", saslUsername="alice",
                       saslPassword="alice-secret", skipVerify="true"), subscription("s", topic, route="/in", metadata=RAW))
    raw(s, topic, "1")
    assert data(app.receive(20)) == "1"
