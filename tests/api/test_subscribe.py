# SPDX-License-Identifier: Apache-2.0
"""Subscriptions: of resources, of the application, of streams; what is delivered, and what an answer makes of it."""
import base64
import json
import queue
import threading
import time

import grpc
import pytest
from dapr.clients import DaprClient
from dapr.clients.grpc._response import TopicEventResponse
from dapr.conf import settings
from dapr.proto import api_v1, appcallback_service_v1, appcallback_v1

from sidecar import COMPARE, LOOPS, SLOW, component
from subscriber import DROP, RETRY, Callback, GrpcApp, HttpApp, subscription

CE = "application/cloudevents+json"
BUS = component("bus", "pubsub.in-memory")
Code = grpc.StatusCode
# What the broker has no part in is tried with the one in memory alone.
EACH_BROKER = pytest.mark.parametrize("bus", ["in-memory", "redis"] if COMPARE else ["in-memory", "sqlite", "redis"], indirect=True)


@pytest.fixture(scope="module")
def redis_server(tmp_path_factory):
    from redis_server import Redis
    r = Redis(tmp_path_factory.mktemp("redis"))
    yield r
    r.kill()


@pytest.fixture
def bus(request, tmp_path):
    """The component of the broker that a test is for."""
    kind, metadata = getattr(request, "param", "in-memory"), {}
    if kind == "sqlite":
        metadata = {"connectionString": "file:%s/bus.db" % tmp_path}
    elif kind == "redis":
        server = request.getfixturevalue("redis_server")
        server.cli("flushall")
        metadata = {"redisHost": server.host, "consumerID": "testapp"}
    return component("bus", "pubsub." + kind, metadata)


@pytest.fixture
def serve(start, bus):
    """serve(app, *resources, **options) -> the sidecar of this application; both end with the test."""
    apps = []

    def begin(app, *resources, flags=None, **options):
        apps.append(app)
        given = {"app-port": app.port, "app-protocol": app.protocol}
        given.update(flags or {})
        return start(bus, *resources, flags=given, **options)

    yield begin
    for app in apps:
        app.stop()


def publish(s, topic, body="x", content_type="text/plain", query="", **headers):
    headers["Content-Type"] = content_type
    r = s.post("/v1.0/publish/bus/%s%s" % (topic, query), body, headers=headers)
    assert r.status == 204, r


def bulk(s, topic, *bodies):
    entries = [{"entryId": str(i), "event": b, "contentType": "text/plain"} for i, b in enumerate(bodies)]
    r = s.post("/v1.0/publish/bulk/bus/" + topic, entries, headers={"Content-Type": "application/json"})
    assert r.status == 204, r


def shown(s):
    return s.get("/v1.0/metadata").json.get("subscriptions", [])


def ingress(s, topic):
    """{(process_status, status): count} of what came for a topic."""
    found = {}
    for labels, value in s.series("dapr_component_pubsub_ingress_count").items():
        labels = dict(labels)
        if labels["topic"] == topic:
            found[labels["process_status"], labels["status"]] = value
    return found


def eventually(wanted, seconds=10):
    end = time.monotonic() + seconds * SLOW
    while not wanted():
        assert time.monotonic() < end
        time.sleep(0.02)


# -- what is delivered over HTTP

@EACH_BROKER
@pytest.mark.parametrize("loops", LOOPS)
def test_an_event_over_http(serve, loops):
    app = HttpApp()
    s = serve(app, subscription("s", "t", route="/in"), loops=loops, env={"APP_API_TOKEN": "secret"})
    publish(s, "t", '{"a": 1}', "application/json", query="?metadata.x-mine=7")
    got = app.receive()
    assert got.path == "/in"
    assert got.headers["content-type"] == CE
    assert got.headers["dapr-api-token"] == "secret"
    assert got.headers["pubsubname"] == "bus"
    assert got.headers["x-mine"] == "7"
    assert got.headers["content-length"] == str(len(got.body))
    event = got.json
    assert (event["data"], event["datacontenttype"]) == ({"a": 1}, "application/json")
    assert (event["topic"], event["pubsubname"], event["source"]) == ("t", "bus", "testapp")
    eventually(lambda: ingress(s, "t") == {("success", "success"): 1})


@EACH_BROKER
def test_a_raw_payload_gets_an_envelope(serve):
    app = HttpApp()
    s = serve(app, subscription("s", "t", route="/in", metadata={"rawPayload": "true"}))
    publish(s, "t", b"\x00\xff", "application/octet-stream", query="?metadata.rawPayload=true")
    event = app.receive().json
    assert base64.b64decode(event["data_base64"]) == b"\x00\xff"
    assert (event["datacontenttype"], event["source"], event["type"]) == ("application/octet-stream", "Dapr", "com.dapr.event.sent")
    assert (event["topic"], event["pubsubname"]) == ("t", "bus")


@EACH_BROKER
def test_a_trace_goes_on(serve):
    app = HttpApp()
    s = serve(app, subscription("s", "t", route="/in"))
    parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    publish(s, "t", traceparent=parent)
    got = app.receive()
    assert got.headers["traceparent"] == parent
    assert got.json["traceparent"] == parent


@pytest.mark.parametrize("route,path", [("in", "/in"), ("/a/../b", "/b"), ("/a b", "/a%20b"), ("/q?x=1", "/q?x=1"), ("//a//", "/a")])
def test_a_route_is_a_path_of_the_application(serve, route, path):
    app = HttpApp()
    s = serve(app, subscription("s", "t", route=route))
    publish(s, "t")
    assert app.receive().path == path


# -- what an answer makes of it

@pytest.mark.parametrize("status,body,process", [
    (200, b"", ("success", "success")), (201, b"hello", ("success", "success")), (200, b'{"status":"SUCCESS"}', ("success", "success")),
    (200, b'{"status":"RETRY"}', ("retry", "retry")), (200, b'{"status":"DROP"}', ("drop", "success")),
    (200, b'{"status":"what"}', ("retry", "retry")), (404, b"", ("drop", "drop")), (500, b"oh", ("retry", "retry")),
])
def test_an_answer_is_counted(serve, status, body, process):
    app = HttpApp()
    app.answer("/in", (status, body))
    s = serve(app, subscription("s", "t", route="/in"))
    publish(s, "t")
    app.receive()
    eventually(lambda: process in ingress(s, "t"))


@EACH_BROKER
@pytest.mark.parametrize("status,body,dead", [(200, b'{"status":"DROP"}', True), (404, b"", True), (500, b"", True),
                                              (200, b'{"status":"RETRY"}', True), (200, b"", False)])
def test_what_nobody_takes_becomes_a_dead_letter(serve, status, body, dead):
    app = HttpApp()
    app.answer("/in", (status, body))
    s = serve(app, subscription("s", "t", route="/in", deadLetterTopic="dead"), subscription("d", "dead", route="/dead"))
    publish(s, "t", "mine")
    first = app.receive()
    if dead:
        letter = app.receive()
        assert letter.path == "/dead" and letter.body == first.body
    assert app.nothing()


def test_a_dead_letter_topic_that_may_not_be_published_to_gets_none(start):
    app = HttpApp()
    app.answer("/in", (500, b""))
    scoped = component("bus", "pubsub.in-memory", {"publishingScopes": "testapp=t"})
    s = start(scoped, subscription("s", "t", route="/in", deadLetterTopic="dead"), subscription("d", "dead", route="/dead"),
              flags={"app-port": app.port})
    publish(s, "t")
    assert app.receive().path == "/in"
    assert app.nothing()
    s.wait_log("error sending message to dead letter")
    app.stop()


@EACH_BROKER
def test_an_expired_event_is_dropped(serve):
    app = HttpApp()
    s = serve(app, subscription("s", "t", route="/in", deadLetterTopic="dead"), subscription("d", "dead", route="/dead"))
    old = {"specversion": "1.0", "id": "1", "source": "a", "type": "b", "data": "c", "expiration": "2020-01-01T00:00:00Z"}
    publish(s, "t", json.dumps(old), CE)
    eventually(lambda: ingress(s, "t").get(("drop", "drop")) == 1)
    # Its dead letter has expired as well.
    eventually(lambda: ingress(s, "dead").get(("drop", "drop")) == 1)
    publish(s, "t", json.dumps(dict(old, expiration="2999-01-01T00:00:00+02:00")), CE)
    assert app.receive().path == "/in"


def test_a_life_of_no_seconds_is_over_at_once(serve):
    app = HttpApp()
    s = serve(app, subscription("s", "t", route="/in"))
    publish(s, "t", query="?metadata.ttlInSeconds=0")
    eventually(lambda: ingress(s, "t").get(("drop", "drop")) == 1)
    assert app.nothing(0.1)


def test_a_subscription_is_raw_in_one_spelling(serve):
    app = HttpApp()
    s = serve(app, subscription("s", "t", route="/in", metadata={"RawPayload": "true"}))
    publish(s, "t", "one")
    assert app.receive().json["data"] == "one"


@EACH_BROKER
def test_what_is_no_event_becomes_a_dead_letter(serve):
    app = HttpApp()
    s = serve(app, subscription("s", "t", route="/in", deadLetterTopic="dead"),
              subscription("d", "dead", route="/dead", metadata={"rawPayload": "true"}))
    publish(s, "t", "no JSON", query="?metadata.rawPayload=true")
    letter = app.receive()
    assert letter.path == "/dead" and base64.b64decode(letter.json["data_base64"]) == b"no JSON"
    assert app.nothing(0.1)


# -- rules

@EACH_BROKER
def test_rules_are_tried_in_their_order(serve):
    app = HttpApp()
    rules = [{"match": 'event.type == "a"', "path": "/a"}, {"match": 'has(event.data.n) && event.data.n > 5.0', "path": "/big"}]
    s = serve(app, subscription("s", "t", rules=rules, default="/rest"))
    for event, path in [({"type": "a", "data": {"n": 9}}, "/a"), ({"type": "b", "data": {"n": 9}}, "/big"),
                        ({"type": "b", "data": {"n": 1}}, "/rest")]:
        publish(s, "t", json.dumps(dict(event, id="1", source="s", specversion="1.0")), CE)
        assert app.receive().path == path


@EACH_BROKER
def test_what_no_rule_takes_is_dropped(serve):
    app = HttpApp()
    s = serve(app, subscription("s", "t", rules=[{"match": 'event.type == "a"', "path": "/a"}], deadLetterTopic="dead"),
              subscription("d", "dead", route="/dead"))
    publish(s, "t")
    assert app.receive().path == "/dead"
    assert ingress(s, "t") == {("drop", "success"): 1}


def test_a_rule_that_cannot_be_asked_fails_the_event(serve):
    app = HttpApp()
    s = serve(app, subscription("s", "t", rules=[{"match": "event.nope == 1", "path": "/a"}], default="/b"))
    publish(s, "t")
    assert app.nothing()
    assert ingress(s, "t") == {("retry", "retry"): 1}
    s.wait_log("error finding matching route for event")


def test_a_rule_that_is_none_ends_the_start(start, tmp_path):
    from sidecar import Sidecar
    s = Sidecar(tmp_path / "x", BUS, subscription("s", "t", rules=[{"match": "event.type ==", "path": "/a"}]))
    code, log = s.run()
    assert code == 1
    assert "failed to load declarative subscriptions" in log
    assert "1.yaml:" in log and "of Subscription s" in log


# -- where subscriptions come from

@EACH_BROKER
def test_the_application_says_what_it_wants(serve):
    app = HttpApp({"pubsubname": "bus", "topic": "a", "route": "/a", "metadata": {"k": "v"}},
                  {"pubsubname": "bus", "topic": "b", "routes": {"rules": [{"match": " event.type == 'x' ", "path": "/x"}], "default": "/b"},
                   "deadLetterTopic": "dead"},
                  {"pubsubname": "bus", "topic": "none"}, {"pubsubname": "other", "topic": "a", "route": "/o"})
    s = serve(app, subscription("s", "c", route="/c"), subscription("s2", "c", route="/late"))
    asked = [h for p, h in app.asked if p == "/dapr/subscribe"]
    assert len(asked) == 1 and asked[0]["dapr-app-id"] == "testapp"
    want = [{"pubsubname": "bus", "topic": "c", "rules": [{"path": "/c"}], "deadLetterTopic": "", "type": "DECLARATIVE"},
            {"pubsubname": "bus", "topic": "a", "metadata": {"k": "v"}, "rules": [{"path": "/a"}], "deadLetterTopic": "",
             "type": "PROGRAMMATIC"},
            {"pubsubname": "bus", "topic": "b", "rules": [{"match": "event.type == 'x'", "path": "/x"}, {"path": "/b"}],
             "deadLetterTopic": "dead", "type": "PROGRAMMATIC"},
            {"pubsubname": "other", "topic": "a", "rules": [{"path": "/o"}], "deadLetterTopic": "", "type": "PROGRAMMATIC"}]
    assert shown(s) == want
    over_grpc = s.rpc.GetMetadata(api_v1.GetMetadataRequest()).subscriptions
    assert [(x.topic, [(r.match, r.path) for r in x.rules.rules], x.dead_letter_topic, dict(x.metadata), x.type) for x in over_grpc] == [
        ("c", [("", "/c")], "", {}, 1), ("a", [("", "/a")], "", {"k": "v"}, 2),
        ("b", [("event.type == 'x'", "/x"), ("", "/b")], "dead", {}, 2), ("a", [("", "/o")], "", {}, 2)]
    for topic in "abc":
        publish(s, topic)
        assert app.receive().path == "/" + topic


def test_what_the_application_says_takes_a_resources_place(serve):
    app = HttpApp({"pubsubname": "bus", "topic": "t", "route": "/mine"})
    s = serve(app, subscription("s", "t", route="/theirs"))
    publish(s, "t")
    assert app.receive().path == "/mine"
    assert app.nothing(0.1)


def test_of_two_resources_the_first_counts_and_scopes_are_kept(serve):
    app = HttpApp()
    s = serve(app, subscription("a", "t", route="/other", scopes=["otherapp"]), subscription("b", "t", route="/first"),
              subscription("c", "t", route="/second"))
    publish(s, "t")
    assert app.receive().path == "/first"
    assert app.nothing(0.1)


@pytest.mark.parametrize("status,body", [(500, b""), (200, b"{}"), (200, b""), (200, b"hello"), (404, b"")])
def test_an_answer_that_is_no_list_costs_only_itself(serve, status, body):
    app = HttpApp()
    app.answer("/dapr/subscribe", (status, body))
    s = serve(app, subscription("s", "t", route="/in"))
    publish(s, "t")
    assert app.receive().path == "/in"


def test_the_application_is_not_asked_where_that_is_off(serve):
    app = HttpApp({"pubsubname": "bus", "topic": "a", "route": "/a"})
    s = serve(app, flags={"disable-init-endpoints": "subscribe"})
    s.wait_log("Skipping programmatic subscription loading")
    assert not [p for p, _ in app.asked if p == "/dapr/subscribe"]
    assert shown(s) == []


def test_a_subscription_beyond_the_scopes_is_not_started(start):
    app = HttpApp()
    s = start(component("bus", "pubsub.in-memory", {"subscriptionScopes": "testapp=a"}), subscription("a", "a", route="/a"),
              subscription("b", "b", route="/b"), flags={"app-port": app.port})
    publish(s, "b")
    publish(s, "a")
    assert app.receive().path == "/a"
    assert app.nothing(0.1)
    s.wait_log("subscription to topic 'b' on pubsub 'bus' is not allowed")
    app.stop()


# -- over gRPC

@EACH_BROKER
def test_an_event_over_grpc(serve):
    app = GrpcApp()
    s = serve(app, subscription("s", "t", route="/in"), env={"APP_API_TOKEN": "secret"})
    parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    publish(s, "t", '{"a": [1, "b c"]}', "application/json", query="?metadata.x-mine=7", traceparent=parent)
    got = app.receive()
    event, headers = got.body, dict(got.headers)
    assert (event.topic, event.pubsub_name, event.path) == ("t", "bus", "/in")
    assert (event.source, event.type, event.spec_version, event.data_content_type) == ("testapp", "com.dapr.event.sent", "1.0",
                                                                                       "application/json")
    assert json.loads(event.data) == {"a": [1, "b c"]}
    assert dict(event.extensions)["traceparent"] == parent
    assert "data" not in dict(event.extensions)
    assert (headers["dapr-api-token"], headers["x-mine"], headers["traceparent"]) == ("secret", "7", parent)


@EACH_BROKER
def test_the_grpc_application_says_what_it_wants(serve):
    app = GrpcApp(appcallback_v1.TopicSubscription(pubsub_name="bus", topic="a"),
                  appcallback_v1.TopicSubscription(pubsub_name="bus", topic="b", routes=appcallback_v1.TopicRoutes(
                      rules=[appcallback_v1.TopicRule(match="event.type == 'x'", path="/x")], default="/b")))
    s = serve(app)
    publish(s, "a")
    assert app.receive().body.path == ""
    publish(s, "b")
    assert app.receive().body.path == "/b"


@EACH_BROKER
@pytest.mark.parametrize("status,dead,process", [
    (RETRY, True, ("retry", "retry")), (DROP, True, ("drop", "success")), (Code.UNAVAILABLE, True, ("retry", "retry")),
    (Code.UNIMPLEMENTED, False, ("drop", "drop")), (7, True, ("retry", "retry"))])
def test_grpc_answers(serve, status, dead, process):
    app = GrpcApp()
    app.answer("/in", status)
    s = serve(app, subscription("s", "t", route="/in", deadLetterTopic="dead"), subscription("d", "dead", route="/dead"))
    publish(s, "t")
    assert app.receive().path == "/in"
    if dead:
        assert app.receive().path == "/dead"
    else:
        assert app.nothing()
    eventually(lambda: process in ingress(s, "t"))


# -- in bulk

BULK = {"enabled": True, "maxMessagesCount": 10, "maxAwaitDurationMs": 100}


def statuses(*wanted):
    def answer(request):
        return json.dumps({"statuses": [{"entryId": e["entryId"], "status": w} for e, w in zip(request["entries"], wanted)]}).encode()
    return answer


@EACH_BROKER
def test_a_batch_over_http(serve):
    app = HttpApp()
    app.answer("/in", (200, statuses("SUCCESS")))
    s = serve(app, subscription("s", "t", route="/in", bulkSubscribe=BULK))
    began = time.monotonic()
    publish(s, "t", "one")
    got = app.receive()
    assert time.monotonic() - began > 0.09
    assert got.headers["content-type"] == "application/json"
    batch = got.json
    assert (batch["topic"], batch["pubsubname"], batch["type"]) == ("t", "bus", "com.dapr.event.sent.bulk")
    assert batch["metadata"] == {"pubsubName": "bus"}
    assert len(batch["id"]) == 36 and len(batch["entries"]) == 1
    entry = batch["entries"][0]
    assert (entry["event"]["data"], entry["contentType"], len(entry["entryId"])) == ("one", CE, 36)
    assert app.nothing(0.2)


@EACH_BROKER
@pytest.mark.parametrize("status,body,letters", [
    (200, statuses("DROP"), 1), (200, statuses("RETRY"), 1), (200, statuses(""), 1), (200, b'{"statuses":[]}', 1), (200, b"", 1),
    (200, b"no", 1), (503, b"", 1), (404, b"", 0), (200, statuses("SUCCESS"), 0)])
def test_answers_to_a_batch(serve, status, body, letters):
    app = HttpApp()
    app.answer("/in", (status, body))
    s = serve(app, subscription("s", "t", route="/in", bulkSubscribe=BULK, deadLetterTopic="dead"),
              subscription("d", "dead", route="/dead"))
    publish(s, "t", "one")
    assert app.receive().path == "/in"
    for _ in range(letters):
        assert app.receive().json["data"] == "one"
    assert app.nothing(0.3)


def test_of_two_words_about_an_entry_the_failure_counts(serve):
    # Dapr takes the last.
    for words in [("SUCCESS", "RETRY")] + ([] if COMPARE else [("RETRY", "SUCCESS")]):
        app = HttpApp()
        app.answer("/in", (200, lambda came: json.dumps({"statuses": [
            {"entryId": came["entries"][0]["entryId"], "status": w} for w in words]}).encode()))
        s = serve(app, subscription("s", "t", route="/in", bulkSubscribe=BULK, deadLetterTopic="dead"),
                  subscription("d", "dead", route="/dead"))
        publish(s, "t", "one")
        assert app.receive().json["entries"][0]["metadata"] == {}
        assert app.receive().path == "/dead"


@EACH_BROKER
def test_a_raw_batch(serve):
    app = HttpApp()
    app.answer("/in", (200, statuses("SUCCESS")))
    s = serve(app, subscription("s", "t", route="/in", bulkSubscribe=BULK, metadata={"rawPayload": "true"}))
    publish(s, "t", b"\x00\x01", query="?metadata.rawPayload=true")
    entry = app.receive().json["entries"][0]
    assert base64.b64decode(entry["event"]) == b"\x00\x01"
    assert entry["contentType"] == "application/octet-stream"


@EACH_BROKER
def test_a_batch_over_grpc(serve):
    app = GrpcApp()
    s = serve(app, subscription("s", "t", route="/in", bulkSubscribe=BULK))
    publish(s, "t", "one")
    batch = app.receive().body
    assert (batch.topic, batch.pubsub_name, batch.type, batch.path) == ("t", "bus", "com.dapr.event.sent.bulk", "/in")
    assert batch.entries[0].cloud_event.data == b"one"
    assert batch.entries[0].content_type == ""


class Alpha(Callback, appcallback_service_v1.AppCallbackAlphaServicer):
    def OnBulkTopicEvent(self, request, context):
        context.abort(Code.UNIMPLEMENTED, "old")

    def OnBulkTopicEventAlpha1(self, request, context):
        return super().OnBulkTopicEvent(request, context)


def test_an_application_of_before_gets_batches(serve):
    app = GrpcApp(callback=Alpha)
    s = serve(app, subscription("s", "t", route="/in", bulkSubscribe=BULK))
    publish(s, "t", "one")
    assert app.receive().body.entries[0].cloud_event.data == b"one"


# -- life

@EACH_BROKER
@pytest.mark.parametrize("protocol", [HttpApp, GrpcApp])
def test_an_ill_application_gets_nothing(serve, protocol):
    app = protocol()
    app.healthy = False
    s = serve(app, subscription("s", "t", route="/in"), flags={"enable-app-health-check": "true", "app-health-probe-interval": 1,
                                                              "app-health-threshold": 1})
    publish(s, "t")
    assert app.nothing(0.5)
    app.healthy = True
    s.wait_log("App entered healthy status")

    def delivered():
        publish(s, "t", "now")
        try:
            return app.came.get(timeout=0.2)
        except queue.Empty:
            return None

    eventually(delivered)
    app.healthy = False
    s.wait_log("App entered un-healthy status")
    time.sleep(0.3)
    while not app.came.empty():
        app.came.get()
    publish(s, "t")
    assert app.nothing(0.5)


@EACH_BROKER
def test_no_more_at_once_than_the_application_wants(serve):
    app = HttpApp()
    app.hold()
    topics = ["t%d" % i for i in range(8)]
    s = serve(app, *[subscription(t, t, route="/in") for t in topics], flags={"app-max-concurrency": 2})
    for t in topics:
        publish(s, t)
    app.receive(), app.receive()
    assert app.nothing(0.3)
    app.let_go()
    for _ in topics[2:]:
        app.receive()
    assert app.most == 2


@EACH_BROKER
def test_an_event_on_its_way_is_waited_for_at_the_end(serve):
    app = HttpApp()
    s = serve(app, subscription("s", "t", route="/in"))
    app.hold()
    publish(s, "t")
    app.receive()
    threading.Timer(0.5, app.let_go).start()
    began = time.monotonic()
    s.stop()
    assert 0.4 < time.monotonic() - began < 4 * SLOW


def test_an_application_that_stands_still_does_not_hold_up_the_end(serve):
    app = HttpApp()
    s = serve(app, subscription("s", "t", route="/in"), flags={"dapr-graceful-shutdown-seconds": 1}, expect=None)
    app.hold()
    publish(s, "t")
    app.receive()
    began = time.monotonic()
    s.stop()
    assert time.monotonic() - began < 8 * SLOW


@pytest.mark.plain
def test_a_subscriber_that_stands_still_leaves_the_memory_flat(serve):
    app = HttpApp()
    s = serve(app, subscription("s", "t", route="/in"))
    app.hold()

    def resident():
        with open("/proc/%d/status" % s.process.pid, encoding="ascii") as f:
            return next(int(line.split()[1]) for line in f if line.startswith("VmRSS"))

    def push(n):
        refused = 0
        for _ in range(n):
            refused += s.post("/v1.0/publish/bus/t", b"x" * 1000, headers={"Content-Type": "text/plain"}).status != 204
        return refused

    assert push(3000) > 0  # what the broker cannot hold, the publisher is told
    before = resident()
    push(6000)
    assert resident() - before < 2048
    app.let_go()


# -- streams

class Stream:
    """A client of SubscribeTopicEventsAlpha1."""

    def __init__(self, s, topic=None, pubsub="bus", dead=None, metadata=None):
        self.out = queue.Queue()
        self.call = s.rpc.SubscribeTopicEventsAlpha1(iter(self.out.get, None))
        if topic is not None:
            initial = api_v1.SubscribeTopicEventsRequestInitialAlpha1(pubsub_name=pubsub, topic=topic, metadata=metadata,
                                                                      dead_letter_topic=dead)
            self.out.put(api_v1.SubscribeTopicEventsRequestAlpha1(initial_request=initial))

    def opened(self):
        assert next(self.call).HasField("initial_response")
        return self

    def event(self):
        return next(self.call).event_message

    def answer(self, event, status=0):
        processed = api_v1.SubscribeTopicEventsRequestProcessedAlpha1(
            id=event.id, status=appcallback_v1.TopicEventResponse(status=status))
        self.out.put(api_v1.SubscribeTopicEventsRequestAlpha1(event_processed=processed))

    def close(self):
        self.out.put(None)

    def error(self):
        try:
            while True:
                next(self.call)
        except grpc.RpcError as e:
            return e
        except StopIteration:
            return None


@EACH_BROKER
@pytest.mark.parametrize("loops", LOOPS)
def test_a_stream(start, bus, loops):
    s = start(bus, loops=loops)
    stream = Stream(s, "t", metadata={"k": "v"}).opened()
    assert shown(s) == [{"pubsubname": "bus", "topic": "t", "metadata": {"k": "v"}, "rules": [{"path": "/"}], "deadLetterTopic": "",
                         "type": "STREAMING"}]
    for i in range(50):
        publish(s, "t", "e%d" % i)
    for i in range(50):
        e = stream.event()
        assert (e.data, e.path, e.topic, e.pubsub_name) == (b"e%d" % i, "/", "t", "bus")
        stream.answer(e)
    stream.close()
    assert stream.error() is None
    eventually(lambda: shown(s) == [])


@EACH_BROKER
def test_a_stream_with_a_dead_letter(start, bus):
    s = start(bus)
    stream, dead = Stream(s, "t", dead="dead").opened(), Stream(s, "dead").opened()
    publish(s, "t", "mine")
    stream.answer(stream.event(), DROP)
    assert dead.event().data == b"mine"
    stream.close()
    dead.close()


def test_what_a_client_that_left_had_not_answered_is_no_dead_letter(start):
    s = start(BUS)
    stream, dead = Stream(s, "t", dead="dead").opened(), Stream(s, "dead").opened()
    publish(s, "t")
    stream.event()
    stream.call.cancel()
    eventually(lambda: len(shown(s)) == 1)
    publish(s, "dead", "other")
    assert dead.event().data == b"other"
    dead.close()


def test_streams_of_one_topic_get_each_event(start):
    s = start(BUS)
    streams = [Stream(s, "t").opened() for _ in range(3)]
    publish(s, "t", "all")
    for stream in streams:
        e = stream.event()
        assert e.data == b"all"
        stream.answer(e)
        stream.close()


@pytest.mark.parametrize("topic,pubsub,code,message", [
    ("", "bus", Code.UNKNOWN, "topic is required"), ("t", "", Code.UNKNOWN, "pubsubName is required"),
    ("t", "nope", Code.INVALID_ARGUMENT, "pubsub nope is not found")])
def test_what_a_stream_must_say(start, topic, pubsub, code, message):
    s = start(BUS)
    e = Stream(s, topic, pubsub).error()
    assert (e.code(), e.details()) == (code, message)


def test_a_stream_is_opened_once(start):
    s = start(BUS)
    stream = Stream(s, "t").opened()
    initial = api_v1.SubscribeTopicEventsRequestInitialAlpha1(pubsub_name="bus", topic="t")
    stream.out.put(api_v1.SubscribeTopicEventsRequestAlpha1(initial_request=initial))
    e = stream.error()
    assert (e.code(), e.details()) == (Code.UNKNOWN, "duplicate initial request received")


def test_a_stream_that_opens_with_an_answer(start):
    s = start(BUS)
    stream = Stream(s)
    stream.out.put(api_v1.SubscribeTopicEventsRequestAlpha1(event_processed=api_v1.SubscribeTopicEventsRequestProcessedAlpha1(id="1")))
    assert stream.error().details() == "initial request is required"


def test_the_end_is_told_to_streams(start):
    s = start(BUS)
    silent, idle, busy = Stream(s), Stream(s, "a").opened(), Stream(s, "b").opened()
    publish(s, "b")
    e = busy.event()
    threading.Timer(0.5, busy.answer, [e]).start()
    began = time.monotonic()
    channel = s.stubs.pop("127.0.0.1:%d" % s.grpc_port)  # the clients stay where they are
    s.stop()
    assert time.monotonic() - began < 4 * SLOW
    for stream in (silent, idle, busy):
        assert stream.error().code() in (Code.UNAVAILABLE, Code.CANCELLED)
    channel.close()


@pytest.fixture
def client(start, bus, monkeypatch):
    s = start(bus)
    monkeypatch.setattr(settings, "DAPR_HTTP_PORT", s.http)
    with DaprClient("127.0.0.1:%d" % s.grpc_port) as c:
        yield s, c


@EACH_BROKER
def test_the_official_client_streams(client):
    s, dapr = client
    sub = dapr.subscribe(pubsub_name="bus", topic="t", metadata={}, dead_letter_topic="dead")
    dapr.publish_event("bus", "t", json.dumps({"n": 1}), data_content_type="application/json")
    message = sub.next_message()
    assert message.data() == {"n": 1}
    sub.respond_success(message)
    dapr.publish_event("bus", "t", "text", data_content_type="text/plain")
    message = sub.next_message()
    assert message.data() == "text"
    sub.respond_drop(message)
    sub.close()
    eventually(lambda: shown(s) == [])


@EACH_BROKER
def test_the_official_client_with_a_handler(client):
    s, dapr = client
    got = queue.Queue()

    def handle(message):
        got.put(message.data())
        return TopicEventResponse("success")

    close = dapr.subscribe_with_handler(pubsub_name="bus", topic="t", handler_fn=handle)
    eventually(lambda: shown(s) != [])
    for i in range(20):
        dapr.publish_event("bus", "t", str(i), data_content_type="text/plain")
    assert [got.get(timeout=10 * SLOW) for _ in range(20)] == [str(i) for i in range(20)]
    close()
