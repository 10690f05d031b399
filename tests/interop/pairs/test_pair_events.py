# SPDX-License-Identifier: Apache-2.0
"""Events through Redis Streams that one publishes and the other delivers: what arrives is what arrives between two of Dapr's."""
import base64
import json
import os
import queue
import re
import time

import grpc
import pytest
from dapr.proto import api_v1

from redis_server import Redis
from sidecar import SLOW, component
from subscriber import GrpcApp, HttpApp, subscription

DAPR = os.environ["DAPRD"]
APPS = {"http": HttpApp, "grpc": GrpcApp}
TOPICS = {"plain": {}, "raw": {"metadata": {"rawPayload": "true"}}, "rules": {}, "bulk": {"bulkSubscribe": {"enabled": True, "maxMessagesCount": 3, "maxAwaitDurationMs": 300}}}
# Each event's own, and each sidecar's.
OWN = ("id", "time", "traceid", "traceparent", "expiration")
FRAMING = ("host", "content-length", "accept-encoding", "user-agent", "connection", "te", "grpc-accept-encoding", "traceparent",
           "tracestate", "grpc-trace-bin")


def topics():
    for name, more in TOPICS.items():
        rules = [{"match": "event.data.n > 10", "path": "/many"}, {"match": 'event.type == "odd"', "path": "/odd"}] if name == "rules" else []
        yield subscription(name, name, rules=rules, default="/" + name, **more) if rules else subscription(name, name, route="/" + name, **more)


def all_well(request):
    return json.dumps({"statuses": [{"entryId": e["entryId"], "status": "SUCCESS"} for e in request["entries"]]}).encode()


class Way:
    """From `source` by a stream of Redis to `app` behind `sink`."""

    def __init__(self, run, programs, folder, protocol):
        self.server, self.app, self.protocol = Redis(folder / "redis"), APPS[protocol](), protocol
        if protocol == "http":  # over gRPC its default is success for each
            self.app.answer("/bulk", *[(200, all_well)] * 100)
        bus = component("bus", "pubsub.redis", {"redisHost": self.server.host, "redeliverInterval": "500ms", "processingTimeout": "1s"})
        self.sink = run(programs[1], bus, *topics(), app_id="sink", flags={"app-port": self.app.port, "app-protocol": protocol})
        self.source = run(programs[0], bus, app_id="source")
        end = time.monotonic() + 20 * SLOW
        while any("sink" not in self.server.cli("xinfo", "groups", topic, check=False) for topic in TOPICS):
            assert time.monotonic() < end, self.sink.log()[-3000:]
            time.sleep(0.05)

    def stop(self):
        self.source.stop()
        self.sink.stop()
        self.app.stop()
        self.server.stop()


@pytest.fixture(scope="module", params=APPS)
def way(request, run, programs, tmp_path_factory):
    w = Way(run, programs, tmp_path_factory.mktemp("way"), request.param)
    yield w
    w.stop()


@pytest.fixture(scope="module")
def models(run, tmp_path_factory):
    """{protocol: the way between two of Dapr's}, each made when it is first asked for."""
    made = {}

    def of(way):
        if way.protocol not in made:
            made[way.protocol] = Way(run, (DAPR, DAPR), tmp_path_factory.mktemp("model"), way.protocol)
        return made[way.protocol]

    yield of
    for w in made.values():
        w.stop()


def event(e):
    """A CloudEvent of which only what is its own was replaced by its kind."""
    if not isinstance(e, dict):
        return e
    out = dict(e)
    for name in OWN:
        if name in out and not str(out[name]).startswith("mine"):
            out[name] = re.sub(r"[0-9a-f]", "x", re.sub(r"\.\d+|Z|[+-]\d\d:\d\d$", "", str(out[name])))
    return out


def came(way):
    got = way.app.receive(20)
    if way.protocol == "http":
        fields = sorted((k, v) for k, v in got.headers.items() if k not in FRAMING)
        body = got.json
        if "entries" in body:
            body["id"] = ""
            body["entries"] = [dict(i, entryId="", event=event(i["event"])) for i in body["entries"]]
        return got.path, fields, event(body)
    fields = sorted((k, v) for k, v in got.headers if k not in FRAMING)
    b = got.body
    if hasattr(b, "entries"):
        return got.path, fields, [(i.content_type, i.bytes, dict(i.metadata), shown(i.cloud_event)) for i in b.entries], b.topic, b.pubsub_name, b.type
    return got.path, fields, shown(b)


def shown(e):
    extensions = sorted((k, str(v)) for k, v in e.extensions.items() if k not in OWN)
    return (e.source, e.type, e.spec_version, e.data_content_type, e.data, getattr(e, "topic", ""), getattr(e, "pubsub_name", ""), extensions,
            bool(e.id), sorted(k for k in e.extensions if k in OWN))


def cloud_event(**more):
    return json.dumps(dict({"specversion": "1.0", "type": "odd", "source": "me", "id": "mine-1", "data": {"n": 1}}, **more))


# topic, body, content type, query
EVENTS = {
    "text": ("plain", "hello", "text/plain", ""), "json": ("plain", '{"a": [1, 2.5, -7, null]}', "application/json", ""),
    "no-json": ("plain", '{"a": ', "application/json", ""), "xml": ("plain", "<a/>", "application/xml", ""),
    "charset": ("plain", '{"a": 1}', "application/json; charset=utf-8", ""),
    "bytes": ("plain", bytes(range(256)), "application/octet-stream", ""), "image": ("plain", b"\x89PNG", "image/png", ""),
    "nothing": ("plain", "", "text/plain", ""), "utf8": ("plain", "caf\u00e9 \u20ac", "text/plain", ""),
    "fields": ("plain", "x", "text/plain", "?metadata.x-mine=7&metadata.partitionKey=p"),
    "time-to-live": ("plain", "x", "text/plain", "?metadata.ttlInSeconds=100"),
    "named": ("plain", "x", "text/plain", "?metadata.cloudevent.id=mine-7&metadata.cloudevent.source=s&metadata.cloudevent.type=t&metadata.cloudevent.subject=u"),
    "cloudevent": ("plain", cloud_event(subject="s", extra="e", datacontenttype="application/json"), "application/cloudevents+json", ""),
    "cloudevent-base64": ("plain", cloud_event(data_base64=base64.b64encode(b"\0\1").decode(), data=None), "application/cloudevents+json", ""),
    "cloudevent-short": ("plain", '{"id": "mine-2", "data": 5}', "application/cloudevents+json", ""),
    "raw-to-plain": ("plain", cloud_event(topic="t"), "application/json", "?metadata.rawPayload=true"),
    "raw": ("raw", "hello", "text/plain", "?metadata.rawPayload=true&metadata.x-mine=7"),
    "raw-bytes": ("raw", bytes(range(256)), "application/octet-stream", "?metadata.rawPayload=true"),
    "wrapped-to-raw": ("raw", "hello", "text/plain", ""),
    "rule": ("rules", '{"n": 11}', "application/json", ""), "rule-default": ("rules", '{"n": 1}', "application/json", ""),
    "rule-type": ("rules", '{"n": 1}', "application/json", "?metadata.cloudevent.type=odd"),
}


def masked(result):
    """Where raw events hold an envelope, its own values are within."""
    return re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}|\d{4}-\d\d-\d\dT[0-9:.]+(Z|[+-]\d\d:\d\d)|00-[0-9a-f]{32}-[0-9a-f]{16}", "*", repr(result))


def opened(result, protocol):
    """The envelope that a raw event holds, if it does."""
    data = result[2].get("data_base64") if protocol == "http" and isinstance(result[2], dict) else None
    if data:
        try:
            return result[:2], {**result[2], "data_base64": event(json.loads(base64.b64decode(data)))}
        except ValueError:
            pass
    return result


@pytest.mark.parametrize("name", EVENTS)
def test_event_published_over_http(way, models, name):
    topic, body, kind, query = EVENTS[name]

    def through(w):
        answer = w.source.post("/v1.0/publish/bus/%s%s" % (topic, query), body, headers={"content-type": kind})
        assert answer.status == 204, answer
        got = came(w)
        if name == "wrapped-to-raw" and w.protocol == "grpc":  # an envelope in bytes, in the order of its writer
            return got[0], got[1], event(json.loads(got[2][4]))
        return opened(got, w.protocol)

    assert masked(through(way)) == masked(through(models(way)))


@pytest.mark.parametrize("name", ["text", "json", "bytes", "image", "cloudevent", "raw", "rule"])
def test_event_published_over_grpc(way, models, name):
    topic, body, kind, query = EVENTS[name]
    metadata = dict(part.replace("metadata.", "").split("=") for part in query[1:].split("&") if part)
    data = body.encode() if isinstance(body, str) else body

    def through(w):
        w.source.rpc.PublishEvent(api_v1.PublishEventRequest(pubsub_name="bus", topic=topic, data=data, data_content_type=kind, metadata=metadata))
        return came(w)

    assert masked(through(way)) == masked(through(models(way)))


def entries(n):
    return [{"entryId": str(i), "event": {"n": i}, "contentType": "application/json", "metadata": {"x-n": str(i)}} for i in range(n)]


def test_events_in_bulk(way, models):
    def through(w):
        answer = w.source.post("/v1.0/publish/bulk/bus/plain", entries(5), headers={"content-type": "application/json"})
        assert answer.status == 204, answer
        return sorted((came(w) for _ in range(5)), key=lambda got: masked(got))

    assert masked(through(way)) == masked(through(models(way)))


def test_bulk_delivery(way, models):
    """By threes, or when the time is up: what is in them, whichever way they fall."""
    def through(w):
        w.source.post("/v1.0/publish/bulk/bus/bulk", entries(6), headers={"content-type": "application/json"})
        one = []
        while len(one) < 6:
            got = came(w)
            one += [(got[0], masked(e)) for e in (got[2]["entries"] if w.protocol == "http" else got[2])]
        return sorted(one)

    assert through(way) == through(models(way))


@pytest.mark.parametrize("answer", ["retry", "fail", "drop"])
def test_answer_of_the_application(way, answer):
    """One that is not done comes again; one that is dropped does not. (Dapr's sidecar acknowledges the former after all.)"""
    status = {"retry": (200, b'{"status": "RETRY"}'), "fail": (500, b""), "drop": (200, b'{"status": "DROP"}')}[answer]
    if way.protocol == "grpc":
        status = {"retry": 1, "fail": grpc.StatusCode.INTERNAL, "drop": 2}[answer]
    way.app.answer("/plain", status)
    way.source.post("/v1.0/publish/bus/plain", answer, headers={"content-type": "text/plain"})
    way.app.receive(20)
    if answer != "drop" and way.sink.program != DAPR:
        way.app.receive(20)
    assert way.app.nothing(1)


def test_two_of_one_group_share(run, programs, tmp_path):
    """Each of 200 events goes to one of the two, and what one has not done when it is killed, the other does."""
    server, apps = Redis(tmp_path / "redis"), [HttpApp(), HttpApp()]
    bus = component("bus", "pubsub.redis", {"redisHost": server.host, "redeliverInterval": "500ms", "processingTimeout": "2s",
                                            "consumerID": "group"})
    pair = [run(p, bus, subscription("s", "t", route="/in"), app_id="shared", expect=None, flags={"app-port": a.port})
            for p, a in zip(programs, apps)]
    end = time.monotonic() + 20 * SLOW
    while not all(a.came.qsize() for a in apps):
        for s in pair:
            s.post("/v1.0/publish/bus/t", "warm", headers={"content-type": "text/plain"})
        assert time.monotonic() < end
        time.sleep(0.1)
    for i in range(200):
        assert pair[i % 2].post("/v1.0/publish/bus/t", "n%d" % i, headers={"content-type": "text/plain"}).status == 204
    got = [taken(a, server) for a in apps]
    assert sorted(x for part in got for x in part) == sorted("n%d" % i for i in range(200)) and all(got)
    apps[0].hold()
    for i in range(20):
        pair[1].post("/v1.0/publish/bus/t", "m%d" % i, headers={"content-type": "text/plain"})
    time.sleep(0.5)
    held = taken(apps[0], None)
    pair[0].kill()
    end, again = time.monotonic() + 30 * SLOW, []
    while len(set(again)) < 20 and time.monotonic() < end:
        again += taken(apps[1], None)
        time.sleep(0.1)
    assert held and set(again) == {"m%d" % i for i in range(20)}
    pair[1].stop()
    for thing in (*apps, server):
        thing.stop()


def taken(app, server):
    """What has come so far, once nothing is pending."""
    end = time.monotonic() + 20 * SLOW
    while server is not None and (pending := server.cli("xpending", "t", "group").split("\n")[0]) != "0":
        assert time.monotonic() < end, pending
        time.sleep(0.1)
    found = []
    while True:
        try:
            found.append(app.came.get(timeout=0.3).json["data"])
        except queue.Empty:
            return [x for x in found if x != "warm"]
