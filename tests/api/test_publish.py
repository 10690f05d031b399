# SPDX-License-Identifier: Apache-2.0
"""Publishing over HTTP and gRPC: what is taken, what is refused and how, what is counted. Delivery has tests of its own."""
import base64
import json

import grpc
import pytest
from dapr.proto import api_v1

from sidecar import COMPARE, LOOPS, Sidecar, component, configuration, details, refused

Code = grpc.StatusCode
CE = "application/cloudevents+json"


KINDS = [("in-memory", n) for n in LOOPS] + [("redis", 1)] + ([] if COMPARE else [("sqlite", 1)])


@pytest.fixture(scope="module", params=KINDS, ids=lambda p: "%s-%dloops" % p)
def bus(request, tmp_path_factory):
    (kind, loops), folder, server, metadata = request.param, tmp_path_factory.mktemp("publish"), None, {}
    if kind == "sqlite":
        metadata = {"connectionString": "file:%s/bus.db" % folder}
    elif kind == "redis":
        from redis_server import Redis
        server = Redis(folder / "redis")
        metadata = {"redisHost": server.host}
    kind = "pubsub." + kind
    s = Sidecar(folder / "run", component("bus", kind, metadata),
                component("scoped", kind, dict({
                    "allowedTopics": "a,b,c,d", "protectedTopics": "c, d", "publishingScopes": "testapp=b,c;other=a"}, **metadata)),
                component("shut", kind, dict({"PublishingScopes": "testapp="}, **metadata)),
                config=[configuration({"metric": {"enabled": True, "recordErrorCodes": True}})], loops=loops)
    s.kind = kind
    s.start()
    yield s
    s.stop()
    if server:
        server.kill()


def publish(s, topic, body=b"x", pubsub="bus", query="", content_type="text/plain", **kw):
    return s.post("/v1.0/publish/%s/%s%s" % (pubsub, topic, query), body, headers={"Content-Type": content_type}, **kw)


def bulk(s, entries, topic="t", pubsub="bus", query="", version="v1.0"):
    body = entries if isinstance(entries, (str, bytes)) else json.dumps(entries)
    return s.post("/%s/publish/bulk/%s/%s%s" % (version, pubsub, topic, query), body,
                  headers={"Content-Type": "application/json"})


def entry(i, event="x", content_type="text/plain", **more):
    return dict({"entryId": str(i), "event": event, "contentType": content_type}, **more)


# -- what is taken

@pytest.mark.parametrize("content_type,body", [
    ("text/plain", b"text"), ("application/json", b'{"a": [1, null]}'), ("application/json", b"{ broken"),
    ("application/octet-stream", b"\x00\xff"), (CE, b"{}"), (CE, b'{"id": "1", "data": {"a": 1}}'),
    ("application/x-protobuf", b"\x0a\x01i"), ("", b""), ("image/png", bytes(range(256))),
])
def test_bytes_of_any_kind_are_taken(bus, content_type, body):
    r = publish(bus, "t", body, content_type=content_type)
    assert (r.status, r.body) == (204, b"")


def test_put_publishes_as_post_does(bus):
    assert bus.put("/v1.0/publish/bus/t", "x").status == 204
    assert bus.get("/v1.0/publish/bus/t").status == 404
    assert bus.delete("/v1.0/publish/bus/t").status == 404


@pytest.mark.parametrize("topic", ["a/b/c", "a%2Fb", "a%20b", "%C3%BC", "bulk", "a.b-c_d"])
def test_a_topic_may_have_any_name(bus, topic):
    assert publish(bus, topic).status == 204


@pytest.mark.parametrize("value", ["true", "1", "t", "False", "0", ""])
def test_a_raw_payload_is_asked_for(bus, value):
    assert publish(bus, "t", b"\x00", query="?metadata.rawPayload=" + value).status == 204


def test_a_large_event(bus):
    assert publish(bus, "t", b"x" * (2 << 20)).status == 204


# -- what is refused

def test_an_unknown_pubsub(bus):
    r = publish(bus, "t", pubsub="nope")
    assert (r.status, r.code, r.message) == (404, "ERR_PUBSUB_NOT_FOUND", "pubsub nope is not found")
    assert r.detail("ErrorInfo")["reason"] == "DAPR_PUBSUB_NOT_FOUND"
    assert r.detail("ResourceInfo") is None


def test_a_raw_payload_that_is_neither(bus):
    r = publish(bus, "t", query="?metadata.rawPayload=maybe&metadata.x=y")
    assert (r.status, r.code) == (400, "ERR_PUBSUB_REQUEST_METADATA")
    assert r.message == ("failed deserializing metadata. Error: rawPayload value must be a valid boolean: actual is 'maybe'")
    assert r.detail("ErrorInfo")["reason"] == "DAPR_PUBSUB_METADATA_DESERIALIZATION"
    assert r.detail("ErrorInfo")["metadata"] == {"rawPayload": "maybe", "x": "y"}
    info = r.detail("ResourceInfo")
    assert (info["resource_type"], info["resource_name"], info["owner"]) == ("pubsub", "bus", "")
    assert info["description"] == r.message


@pytest.mark.parametrize("body,why", [
    (b"", "EOF"), (b'{"', "unexpected EOF"), (b"x", "invalid character 'x' looking for beginning of value"),
    (b"{'", "invalid character '\\'' looking for beginning of object key string"),
    (b"\xff", "invalid character '\u00ff' looking for beginning of value"), (b'{"a" 1', "invalid character '1' after object key"),
    (b'{"a":trux', "invalid character 'x' in literal true (expecting 'e')"), (b'{"a":1\0', "invalid character '\\x00' after object key:value pair"),
    (b"[]", "json: cannot unmarshal array into Go value of type map[string]interface {}"),
])
def test_what_is_no_cloudevent(bus, body, why):
    r = publish(bus, "t", body, content_type=CE)
    assert (r.status, r.code, r.message) == (500, "ERR_PUBSUB_CLOUD_EVENTS_SER", "cannot create cloudevent")
    assert r.detail("ErrorInfo")["reason"] == "DAPR_PUBSUB_CLOUD_EVENT_CREATION"
    assert r.detail("ErrorInfo")["metadata"] == {"appID": "testapp", "error": why}
    assert r.detail("ResourceInfo")["resource_name"] == "bus"


def test_raw_it_is_taken_all_the_same(bus):
    assert publish(bus, "t", b"[]", content_type=CE, query="?metadata.rawPayload=true").status == 204


def test_a_body_beyond_the_limit(start):
    s = start(component("bus", "pubsub.in-memory"), flags={"max-body-size": "1Ki"})
    r = publish(s, "t", b"x" * 2000)
    assert (r.status, r.code) == (500, "ERR_PUBSUB_PUBLISH_MESSAGE")
    assert r.message.startswith("error when publishing to topic t in pubsub bus: ")


def test_without_a_topic_nothing_is_meant(bus):
    r = bus.post("/v1.0/publish/bus/", "x")
    assert (r.status, r.code) == (404, "ERR_DIRECT_INVOKE")


# -- scopes

@pytest.mark.parametrize("topic,allowed", [("a", False), ("b", True), ("c", True), ("d", False), ("e", False)])
def test_scopes(bus, topic, allowed):
    r = publish(bus, topic, pubsub="scoped")
    b = bulk(bus, [entry(1)], topic, "scoped")
    if allowed:
        assert (r.status, b.status) == (204, 204)
        return
    for answer in (r, b):
        assert (answer.status, answer.code) == (403, "ERR_PUBSUB_FORBIDDEN")
        text = "topic %s is not allowed for app id testapp" % topic
        assert answer.message == text
        assert answer.detail("ErrorInfo")["reason"] == "DAPR_PUBSUB_FORBIDDEN"
        assert answer.detail("ErrorInfo")["metadata"] == {"topic": topic, "error": text}
    e = refused(bus.rpc.PublishEvent, api_v1.PublishEventRequest(pubsub_name="scoped", topic=topic, data=b"x"))
    assert (e.code(), e.details()) == (Code.PERMISSION_DENIED, text)


def test_an_empty_scope_shuts_all_out(bus):
    assert publish(bus, "any", pubsub="shut").status == 403


# -- bulk

@pytest.mark.parametrize("version", ["v1.0", "v1.0-alpha1"])
def test_a_bulk_of_all_kinds(bus, version):
    r = bulk(bus, [entry(1), entry(2, {"a": 1}, "application/json"), entry(3, None, "application/json; charset=utf-8"),
                   entry(4, base64.b64encode(b"\x00\xff").decode(), "application/octet-stream"),
                   entry(5, {"id": "x"}, CE), entry(6, "<a/>", "application/xml", metadata={"k": "v"})], version=version)
    assert (r.status, r.body) == (204, b"")


@pytest.mark.parametrize("body", ["[]", "null"])
def test_a_bulk_of_none(bus, body):
    assert bulk(bus, body).status == 204


def test_a_bulk_of_a_thousand(bus):
    assert bulk(bus, [entry(i) for i in range(1000)]).status == 204


@pytest.mark.parametrize("body,why", [
    ("", "EOF"), ('{"entryID": "}', "unexpected EOF"), ("[{", "unexpected EOF"),
    ('{"entryID": ""}', "json: cannot unmarshal object into Go value of type []http.bulkPublishMessageEntry"),
    ("[1]", "json: cannot unmarshal number into Go value of type http.bulkPublishMessageEntry"),
    ('[{"entryId": 1}]',
     "json: cannot unmarshal number into Go struct field bulkPublishMessageEntry.entryId of type string"),
    ('[{"metadata": "x"}]',
     "json: cannot unmarshal string into Go struct field bulkPublishMessageEntry.metadata of type map[string]string"),
])
def test_a_body_that_is_no_bulk(bus, body, why):
    r = bulk(bus, body)
    assert (r.status, r.code) == (400, "ERR_PUBSUB_EVENTS_SER")
    assert r.message == "error when unmarshaling the request for topic t pubsub bus: " + why
    assert r.detail("ErrorInfo")["reason"] == "DAPR_PUBSUB_UNMARSHAL_EVENTS"
    assert r.detail("ErrorInfo")["metadata"] == {"appID": "testapp"}


@pytest.mark.parametrize("event,content_type", [
    ({"a": 1}, "text/plain"), (1, "application/octet-stream"), ("x", "image/png"), ("x", ""), (None, "text/plain"),
])
def test_an_event_that_does_not_fit_its_content_type(bus, event, content_type):
    r = bulk(bus, [entry(1), entry(2, event, content_type)])
    why = "error: mismatch between contentType and event"
    assert (r.status, r.code) == (400, "ERR_PUBSUB_EVENTS_SER")
    assert r.message == "error when marshalling cloud event envelope for topic t pubsub bus: " + why
    assert r.detail("ErrorInfo")["reason"] == "DAPR_PUBSUB_MARSHAL_ENVELOPE"
    assert r.detail("ErrorInfo")["metadata"] == {"appID": "testapp", "error": why}


def test_bytes_that_are_no_base64(bus):
    for text, byte in (("%%%", 0), ("AAE", 0), ("AAECA", 4), ("A=", 1), ("AA=x", 2), ("AA==x", 4), ("AA=", 3), ("A\n%", 2), ("-_8=", 0)):
        r = bulk(bus, [entry(1, text, "application/octet-stream")])
        assert (r.status, r.code) == (400, "ERR_PUBSUB_EVENTS_SER")
        assert r.message.endswith("unable to decode base64 application/octect-stream data: "
                                  "illegal base64 data at input byte %d" % byte), (text, r.message)


@pytest.mark.parametrize("ids", [["1", "1"], [""], ["1", ""]])
def test_entry_ids_are_there_and_differ(bus, ids):
    r = bulk(bus, [entry(i) for i in ids])
    assert (r.status, r.code) == (400, "ERR_PUBSUB_EVENTS_SER")
    assert r.message == ("error marshaling events to bytes for topic t pubsub bus. error: "
                         "entryId is duplicated or not present for entry")
    assert r.detail("ErrorInfo")["reason"] == "DAPR_PUBSUB_MARSHAL_EVENTS"
    e = refused(bus.rpc.BulkPublishEvent, api_v1.BulkPublishRequest(
        pubsub_name="bus", topic="t", entries=[api_v1.BulkPublishRequestEntry(entry_id=i) for i in ids]))
    assert (e.code(), e.details()) == (Code.INVALID_ARGUMENT, r.message)


def test_a_bulk_takes_more_special_paths_first(bus):
    r = bus.post("/v1.0/publish/bulk/bus", "x")  # the pubsub "bulk", its topic "bus"
    assert (r.status, r.code, r.message) == (404, "ERR_PUBSUB_NOT_FOUND", "pubsub bulk is not found")


# -- gRPC

def test_publish_over_grpc(bus):
    bus.rpc.PublishEvent(api_v1.PublishEventRequest(pubsub_name="bus", topic="t", data=b"\x00", metadata={"rawPayload": "true"}))
    bus.rpc.PublishEvent(api_v1.PublishEventRequest(pubsub_name="bus", topic="t", data=b"{}", data_content_type=CE))
    bus.rpc.PublishEvent(api_v1.PublishEventRequest(pubsub_name="bus", topic="t"))


@pytest.mark.parametrize("method", ["BulkPublishEvent", "BulkPublishEventAlpha1"])
def test_bulk_publish_over_grpc(bus, method):
    r = getattr(bus.rpc, method)(api_v1.BulkPublishRequest(pubsub_name="bus", topic="t", entries=[
        api_v1.BulkPublishRequestEntry(entry_id=str(i), event=b"x", content_type="text/plain", metadata={"k": "v"})
        for i in range(200)], metadata={"k": "w"}))
    assert len(r.failedEntries) == 0


@pytest.mark.parametrize("request_,text,reason,resource", [
    (dict(pubsub_name="nope"), "pubsub nope is not found", "DAPR_PUBSUB_NOT_FOUND", None),
    (dict(), "pubsub name is empty", "DAPR_PUBSUB_NAME_EMPTY", ""),
    (dict(pubsub_name="bus"), "topic is empty in pubsub bus", "DAPR_PUBSUB_TOPIC_NAME_EMPTY", "bus"),
    (dict(pubsub_name="bus", topic="t", metadata={"rawPayload": "x"}),
     "failed deserializing metadata. Error: rawPayload value must be a valid boolean: actual is 'x'",
     "DAPR_PUBSUB_METADATA_DESERIALIZATION", "bus"),
    (dict(pubsub_name="bus", topic="t", data=b'{"', data_content_type=CE), "cannot create cloudevent",
     "DAPR_PUBSUB_CLOUD_EVENT_CREATION", "bus"),
], ids=["unknown", "no name", "no topic", "raw", "envelope"])
def test_refusals_over_grpc(bus, request_, text, reason, resource):
    e = refused(bus.rpc.PublishEvent, api_v1.PublishEventRequest(**request_))
    assert (e.code(), e.details()) == (Code.INVALID_ARGUMENT, text)
    found = details(e)
    assert found["ErrorInfo"].reason == reason
    assert found["ErrorInfo"].domain == "dapr.io"
    assert ("ResourceInfo" in found) == (resource is not None)
    if resource is not None:
        assert (found["ResourceInfo"].resource_type, found["ResourceInfo"].resource_name) == ("pubsub", resource)


# -- what is counted and shown

def test_publishing_is_counted(bus):
    def counts(topic):
        labels = dict(component="bus", topic=topic)
        return [bus.counted("dapr_component_pubsub_egress_" + n, success="true", **labels)
                for n in ("count", "latencies_count", "bulk_count", "bulk_latencies_count")]

    before = bus.counted("dapr_component_pubsub_egress_count", component="scoped", topic="e", success="false")
    assert counts("counted") == [0, 0, 0, 0]
    publish(bus, "counted")
    bus.rpc.PublishEvent(api_v1.PublishEventRequest(pubsub_name="bus", topic="counted"))
    bulk(bus, [entry(1), entry(2)], "counted")
    assert counts("counted") == [2, 2, 1, 1]
    publish(bus, "e", pubsub="scoped")
    assert bus.counted("dapr_component_pubsub_egress_count", component="scoped", topic="e", success="false") == before + 1


def test_errors_are_counted_by_code(bus):
    before = bus.counted("dapr_error_code_total", category="pubsub", error_code="ERR_PUBSUB_NOT_FOUND")
    publish(bus, "t", pubsub="nope")
    assert bus.counted("dapr_error_code_total", category="pubsub", error_code="ERR_PUBSUB_NOT_FOUND") == before + 1


def test_the_metadata_shows_what_it_can(bus):
    shown = {c["name"]: c for c in bus.get("/v1.0/metadata").json["components"]}
    assert shown["bus"]["type"] == bus.kind
    assert (shown["bus"].get("capabilities") == ["SUBSCRIBE_WILDCARDS"]) == (bus.kind == "pubsub.in-memory")


@pytest.mark.ours
def test_a_bulk_has_a_limit(bus):
    """Dapr takes as many as there is memory for."""
    r = bulk(bus, [entry(i) for i in range(10001)])
    assert (r.status, r.code) == (400, "ERR_PUBSUB_EVENTS_SER")
    assert "at most 10000" in r.message
    assert bulk(bus, [entry(i) for i in range(10000)]).status == 204


@pytest.mark.ours
def test_json_nested_too_deeply_is_refused_not_changed(bus):
    r = publish(bus, "t", b"[" * 300 + b"]" * 300, content_type="application/json")
    assert (r.status, r.code) == (500, "ERR_PUBSUB_CLOUD_EVENTS_SER")
    assert publish(bus, "t", b"[" * 300 + b"]" * 300).status == 204
