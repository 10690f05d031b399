# SPDX-License-Identifier: Apache-2.0
"""Spans: of each API, of both sides of an invocation and of a delivery; where they go, and what becomes of them when nobody
takes them. Applications use OpenTelemetry's SDK."""
import http.server
import os
import re
import threading
import time
from concurrent import futures

import grpc
import pytest
from dapr.proto import api_v1, common_v1
from opentelemetry import propagate, trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.trace import SpanKind

from collector import Collector
from redis_server import Certificates
from sidecar import COMPARE, LOOPS, SLOW, Sidecar, component, configuration, free_port, refused
from subscriber import subscription

SOON = {"OTEL_BSP_SCHEDULE_DELAY": "50"}
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
TRACE = PARENT.split("-")[1]
ours = pytest.mark.ours


def tracing(**spec):
    return configuration({"tracing": dict({"samplingRate": "1"}, **spec)})


def otlp(collector, protocol="http", **otel):
    port = collector.grpc if protocol == "grpc" else collector.http
    return dict({"endpointAddress": "127.0.0.1:%d" % port, "protocol": protocol, "isSecure": False}, **otel)


class App:
    """An application with spans of its own, on the same collector: it says what came, and calls `onward` within its span."""

    def __init__(self, name, collector):
        self.port, self.came = free_port(), []
        exporter = OTLPSpanExporter("http://127.0.0.1:%d/v1/traces" % collector.http)
        self.provider = TracerProvider(resource=Resource.create({"service.name": name}))
        self.provider.add_span_processor(SimpleSpanProcessor(exporter))
        self.tracer = self.provider.get_tracer(name)
        app = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args):
                pass

            def do(self):
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                if self.path.startswith("/dapr/") or self.path == "/":
                    return self.reply(404, b"")
                headers = {k.lower(): v for k, v in self.headers.items()}
                with app.tracer.start_as_current_span(self.path, context=propagate.extract(headers), kind=SpanKind.SERVER):
                    app.came.append((self.path, headers, body))
                return self.reply(500 if self.path == "/fail" else 200, b"{}")

            def reply(self, status, body):
                self.send_response(status)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = do_OPTIONS = do

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
        self.provider.shutdown()


def names(folder):
    return {"component": "sqlite", "version": "v1", "configuration": {"connectionString": os.path.join(str(folder), "names.db")}}


class World:
    """Two sidecars, `shop` with an application that subscribes, and one collector."""

    def __init__(self, folder, loops, protocol):
        self.collector = Collector(folder)
        self.client, self.app = App("client", self.collector), App("app", self.collector)
        spec = {"tracing": {"samplingRate": "1", "otel": otlp(self.collector, protocol)}}
        if not COMPARE:  # by mDNS, its default
            spec["nameResolution"] = names(folder)
        config = configuration(spec)
        os.makedirs(folder / "near")
        os.makedirs(folder / "far")
        host = [] if COMPARE else [component("host", "pubsub.sqlite", {"connectionString": "file:%s/host.db" % folder})]
        self.near = Sidecar(folder / "near", *host, config=[config], app_id="near", loops=loops, env=SOON)
        self.far = Sidecar(folder / "far", *host, subscription("h", "afar", "/afar", pubsub="host"), component("bus", "pubsub.in-memory"), component("store", "state.in-memory"),
                           component("env", "secretstores.local.env"), subscription("s", "orders", "/orders"),
                           subscription("r", "fails", "/fail"), config=[config], app_id="far", loops=loops,
                           env=dict(SOON, DAVIT_TEST="x"), flags={"app-port": self.app.port})
        self.near.start()
        self.far.start()

    def stop(self):
        for each in (self.near, self.far, self.client, self.app, self.collector):
            each.stop()


@pytest.fixture(scope="module", params=[(n, p) for n in LOOPS for p in ("http", "grpc")], ids=lambda p: "%d-%s" % p)
def world(request, tmp_path_factory):
    w = World(tmp_path_factory.mktemp("tracing"), *request.param)
    yield w
    w.stop()


def line(spans):
    """From the root down: each span has exactly one child, but for the last."""
    children = {}
    for s in spans.values():
        children.setdefault(s.parent if s.parent in spans else "", []).append(s)
    out, at = [], ""
    while at in children:
        assert len(children[at]) == 1, children[at]
        out.append(children[at][0])
        at = out[-1].id
    assert len(out) == len(spans), spans
    return out


def in_span(app, name, do):
    with app.tracer.start_as_current_span(name, kind=SpanKind.INTERNAL) as span:
        headers = {}
        propagate.inject(headers)
        return format(span.get_span_context().trace_id, "032x"), do(headers)


def test_invocation_is_one_tree(world):
    trace_id, r = in_span(world.client, "ask", lambda h: world.near.get("/v1.0/invoke/far/method/hello%20you?x=1", headers=h))
    assert r.status == 200
    root, near, far, app = line(world.collector.trace(trace_id, 4))
    assert [(s.service, s.name, s.kind) for s in (root, near, far, app)] == [
        ("client", "ask", "INTERNAL"), ("near", "CallLocal/far/hello you", "CLIENT"),
        ("far", "CallLocal/far/hello you", "SERVER"), ("app", "/hello%20you?x=1", "SERVER")]
    assert near.scope == far.scope == "dapr-diagnostics"
    assert root.start <= near.start <= far.start <= app.start <= app.end <= far.end <= near.end <= root.end
    want = {"dapr.protocol": "http", "dapr.status_code": "200", "http.request.method": "GET", "rpc.service": "ServiceInvocation",
            "net.peer.name": "far", "url.full": "/v1.0/invoke/far/method/hello%20you?x=1", "server.address": "127.0.0.1",
            "dapr.api": "GET /v1.0/invoke/far/method/hello you"}
    assert {k: near.attributes.get(k) for k in want} == want
    want = {"dapr.protocol": "grpc", "rpc.service": "ServiceInvocation",
            "dapr.api": "/dapr.proto.internals.v1.ServiceInvocation/CallLocalStream", "dapr.invoke_method": "hello you"}
    assert {k: far.attributes.get(k) for k in want} == want
    assert not near.error and not far.error


def test_invocation_over_grpc_is_one_tree(world):
    message = common_v1.InvokeRequest(method="hello", http_extension=common_v1.HTTPExtension(verb="GET"))
    trace_id, r = in_span(world.client, "ask", lambda h: world.near.rpc.InvokeService(
        api_v1.InvokeServiceRequest(id="far", message=message), metadata=list(h.items())))
    assert r.data.value == b"{}"
    root, near, far, app = line(world.collector.trace(trace_id, 4))
    assert [(s.service, s.name, s.kind) for s in (near, far, app)] == [
        ("near", "CallLocal/far/hello", "CLIENT"), ("far", "CallLocal/far/hello", "SERVER"), ("app", "/hello", "SERVER")]
    assert near.attributes["dapr.protocol"] == "grpc" and near.attributes["net.peer.name"] == "far"
    assert near.attributes["dapr.api"] == "/dapr.proto.runtime.v1.Dapr/InvokeService"
    assert root.service == "client"


def test_proxied_call_has_a_span_on_each_side(world):
    call = world.near.channel().unary_unary("/test.Echo/Unary")
    e = refused(call, b"x", metadata=[("dapr-app-id", "far"), ("traceparent", PARENT.replace(TRACE, "1" * 32))])
    assert e.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.UNKNOWN, grpc.StatusCode.INTERNAL)
    near, far = line(world.collector.trace("1" * 32, 2))
    assert [(s.service, s.name, s.kind, s.error) for s in (near, far)] == [
        ("near", "/test.Echo/Unary", "CLIENT", True), ("far", "/test.Echo/Unary", "SERVER", True)]
    assert near.attributes["dapr-app-id"] == "far"


@pytest.mark.parametrize("way", ["http", "grpc"])
def test_publish_and_delivery_are_one_tree(world, way):
    def publish(h):
        if way == "http":
            return world.far.post("/v1.0/publish/bus/orders", {"n": 1}, headers=dict(h, **{"content-type": "application/json"}))
        return world.far.rpc.PublishEvent(api_v1.PublishEventRequest(
            pubsub_name="bus", topic="orders", data=b"{}", data_content_type="application/json"), metadata=list(h.items()))

    trace_id, _ = in_span(world.client, "order", publish)
    root, published, delivered, app = line(world.collector.trace(trace_id, 4))
    name = "/v1.0/publish/bus/orders" if way == "http" else "/dapr.proto.runtime.v1.Dapr/PublishEvent"
    assert [(s.service, s.name, s.kind) for s in (root, published, delivered, app)] == [
        ("client", "order", "INTERNAL"), ("far", name, "CLIENT"), ("far", "pubsub/orders", "CLIENT"), ("app", "/orders", "SERVER")]
    for s in (published, delivered):
        assert s.attributes["messaging.system"] == "pubsub"
        if not COMPARE or s is delivered:  # Dapr's HTTP API looks for the topic under another name
            assert s.attributes["messaging.destination.name"] == "orders"


@ours  # its own broker
@pytest.mark.parametrize("way", ["http", "grpc"])
def test_publish_and_delivery_by_another_sidecar_are_one_tree(world, way):
    def publish(h):
        if way == "http":
            return world.near.post("/v1.0/publish/host/afar", {"n": 1}, headers=dict(h, **{"content-type": "application/json"}))
        return world.near.rpc.PublishEvent(api_v1.PublishEventRequest(
            pubsub_name="host", topic="afar", data=b"{}", data_content_type="application/json"), metadata=list(h.items()))

    trace_id, _ = in_span(world.client, "order", publish)
    spans = line(world.collector.trace(trace_id, 4))
    name = "/v1.0/publish/host/afar" if way == "http" else "/dapr.proto.runtime.v1.Dapr/PublishEvent"
    assert [(s.service, s.name) for s in spans] == [("client", "order"), ("near", name), ("far", "pubsub/afar"), ("app", "/afar")]


class Talker(grpc.GenericRpcHandler):
    """A gRPC application with spans of its own."""

    def __init__(self, collector):
        self.port = free_port()
        self.provider = TracerProvider(resource=Resource.create({"service.name": "talker"}))
        self.provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter("http://127.0.0.1:%d/v1/traces" % collector.http)))
        self.tracer = self.provider.get_tracer("talker")
        self.server = grpc.server(futures.ThreadPoolExecutor(4))
        self.server.add_generic_rpc_handlers((self,))
        self.server.add_insecure_port("127.0.0.1:%d" % self.port)
        self.server.start()

    def service(self, details):
        def answer(request, context):
            carrier = {k: v for k, v in context.invocation_metadata() if isinstance(v, str)}
            with self.tracer.start_as_current_span(details.method, context=propagate.extract(carrier), kind=SpanKind.SERVER):
                return request

        def each(requests, context):
            for request in requests:
                yield answer(request, context)

        return {"/test.Echo/Unary": grpc.unary_unary_rpc_method_handler(answer),
                "/test.Echo/Each": grpc.stream_stream_rpc_method_handler(each)}.get(details.method)

    def stop(self):
        self.server.stop(0)
        self.provider.shutdown()


@pytest.mark.parametrize("method", ["Unary", "Each"])
def test_proxied_call_is_one_tree_to_the_application(world, start, method):
    talker = Talker(world.collector)
    spec = {"tracing": {"samplingRate": "1", "otel": otlp(world.collector)}}
    if not COMPARE:
        spec["nameResolution"] = names(os.path.dirname(world.near.folder))
    s = start(config=[configuration(spec)], app_id="talks-" + method.lower(), env=SOON,
              flags={"app-port": talker.port, "app-protocol": "grpc"})

    def ask(h):
        metadata = [*h.items(), ("dapr-app-id", s.app_id)]
        if method == "Unary":
            return world.near.channel().unary_unary("/test.Echo/Unary")(b"x", metadata=metadata, timeout=20, wait_for_ready=True)
        return list(world.near.channel().stream_stream("/test.Echo/Each")(iter([b"x"]), metadata=metadata, timeout=20))

    trace_id, got = in_span(world.client, "ask", ask)
    assert got in (b"x", [b"x"])
    spans = line(world.collector.trace(trace_id, 4))
    name = "/test.Echo/" + method
    assert [(x.service, x.name, x.kind) for x in spans] == [("client", "ask", "INTERNAL"), ("near", name, "CLIENT"),
                                                            (s.app_id, name, "SERVER"), ("talker", name, "SERVER")]
    s.stop()
    talker.stop()


def test_bulk_publish_has_a_span_for_each_entry(world):
    entries = [{"entryId": str(i), "event": {"i": i}, "contentType": "application/json"} for i in range(3)]
    trace_id, r = in_span(world.client, "bulk", lambda h: world.far.post(
        "/v1.0/publish/bulk/bus/orders", entries, headers=dict(h, **{"content-type": "application/json"})))
    assert r.status == 204
    spans = world.collector.trace(trace_id, 2 + 3 * 3)
    call = [s for s in spans.values() if s.kind == "CLIENT" and s.name == "/v1.0/publish/bulk/bus/orders"]
    each = [s for s in spans.values() if s.kind == "PRODUCER"]
    delivered = [s for s in spans.values() if s.name == "pubsub/orders"]
    assert len(call) == 1 and {s.parent for s in each} == {call[0].id}
    assert sorted(s.parent for s in delivered) == sorted(s.id for s in each)


def test_failed_delivery_is_an_error(world):
    trace_id, _ = in_span(world.client, "order", lambda h: world.far.post("/v1.0/publish/bus/fails", "x", headers=h))
    found = world.collector.wait(lambda spans: [s for s in spans if s.trace == trace_id and s.name == "pubsub/fails"])
    assert found[0].error and found[0].message == "Code(500): Internal Server Error"


def one(world, parent, name):
    def fits(spans):
        return [s for s in spans if s.trace == parent.split("-")[1] and s.name == name]
    return world.collector.wait(fits)[0]


def context(i):
    return "00-%032x-b7ad6b7169203331-01" % (0xabc0000 + i)


def test_state_and_secrets_over_http(world):
    world.far.post("/v1.0/state/store", [{"key": "a b", "value": 1}], headers={"traceparent": context(1)})
    s = one(world, context(1), "/v1.0/state/store")
    assert (s.kind, s.parent, s.service) == ("CLIENT", "b7ad6b7169203331", "far")
    want = {"db.system": "state", "db.connection_string": "state", "db.name": "store", "db.statement": "POST /v1.0/state/store",
            "dapr.status_code": "204", "dapr.api": "POST /v1.0/state/store"}
    assert {k: s.attributes.get(k) for k in want} == want
    world.far.get("/v1.0/state/store/a%20b", headers={"traceparent": context(2), "dapr-mine": "yes", "dapr-api-token": "hush"})
    s = one(world, context(2), "/v1.0/state/store/a b")
    assert s.attributes["dapr.api"] == "GET /v1.0/state/store/a b" and s.attributes["dapr-mine"] == "yes"
    if not COMPARE:  # Dapr exports the token
        assert "hush" not in s.attributes.values()
    world.far.get("/v1.0/secrets/env/DAVIT_TEST", headers={"traceparent": context(3)})
    s = one(world, context(3), "/v1.0/secrets/env/DAVIT_TEST")
    assert (s.attributes["db.system"], s.attributes["db.name"]) == ("secrets", "env")


def test_state_and_secrets_over_grpc(world):
    world.far.rpc.GetState(api_v1.GetStateRequest(store_name="store", key="k"),
                           metadata=[("traceparent", context(11)), ("dapr-mine", "yes")])
    s = one(world, context(11), "/dapr.proto.runtime.v1.Dapr/GetState")
    want = {"db.system": "state", "db.connection_string": "state", "db.name": "store", "rpc.service": "Dapr",
            "db.statement": s.name, "dapr.api": s.name, "dapr.protocol": "grpc", "dapr-mine": "yes"}
    assert {k: s.attributes.get(k) for k in want} == want
    refused(world.far.rpc.GetSecret, api_v1.GetSecretRequest(store_name="nope", key="k"), metadata=[("traceparent", context(12))])
    s = one(world, context(12), "/dapr.proto.runtime.v1.Dapr/GetSecret")
    assert s.error and "nope" in s.message and s.attributes["db.system"] == "secrets"


def test_failed_call_is_an_error(world):
    r = world.far.get("/v1.0/state/nope/k", headers={"traceparent": context(21)})
    s = one(world, context(21), "/v1.0/state/nope/k")
    assert s.error and s.message.startswith("Code(%d): " % r.status) and s.attributes["dapr.status_code"] == str(r.status)


@ours  # Dapr loses the whole batch
def test_what_is_no_text_does_not_cost_the_batch(world):
    world.far.raw(b"GET /v1.0/state/store/k HTTP/1.1\r\nHost: x\r\nConnection: close\r\ntraceparent: %s\r\ndapr-mine: \xff\xfe\r\n\r\n"
                  % context(31).encode())
    assert one(world, context(31), "/v1.0/state/store/k").attributes["dapr-mine"] == "__"


def test_the_parent_decides(world):
    before = len(world.collector.spans)
    unsampled = context(41)[:-2] + "00"
    r = world.far.get("/v1.0/state/store/k", headers={"traceparent": unsampled})
    assert r.header("traceparent").split("-")[1] == unsampled.split("-")[1] and r.header("traceparent").endswith("-00")
    world.far.get("/v1.0/healthz", headers={"traceparent": context(42)})
    world.far.get("/v1.0/state/store/k", headers={"traceparent": context(43)})
    one(world, context(43), "/v1.0/state/store/k")
    seen = {s.trace for s in world.collector.spans[before:]}
    assert not seen & {unsampled.split("-")[1], context(42).split("-")[1]}


# ---- Where spans go ----


@pytest.fixture
def collector(tmp_path):
    c = Collector(tmp_path)
    yield c
    c.stop()


def call(sidecar, n=1):
    for i in range(n):
        sidecar.get("/v1.0/metadata", headers={"traceparent": context(1000 + i)})


def test_spans_in_the_log(start):
    s = start(config=[tracing(stdout=True)], env=SOON)
    s.get("/v1.0/metadata", headers={"traceparent": PARENT})
    s.wait_log("[/v1.0/metadata] Trace: %s " % TRACE)
    line = [l for l in s.log().split("\n") if TRACE in l][0]
    assert re.search(r"Span: b7ad6b7169203331/[0-9a-f]{16} Time: \[20\d\d-\d\d-\d\d [0-9:.]+ \+0000 UTC", line)
    assert "scope=dapr.runtime.trace" in line and "level=info" in line


def test_last_spans_leave_at_the_end(tmp_path, collector, start):
    s = start(config=[tracing(otel=otlp(collector))], env={"OTEL_BSP_SCHEDULE_DELAY": "3600000"})
    call(s, 5)
    s.stop()
    collector.wait(lambda spans: len(spans) == 5)


@ours  # Dapr sends to the path alone, without /v1/traces
def test_headers_and_path(collector, start):
    o = otlp(collector, headers=["x-api-key=abc=d", "X-More=1"])
    o["endpointAddress"] += "/prefix"
    s = start(config=[tracing(otel=o)], env=SOON)
    if collector.process is None:
        call(s)
        collector.wait(lambda spans: spans)
        path, headers, _ = collector.requests[0]
        assert path == "/prefix/v1/traces" and headers["content-type"] == "application/x-protobuf"
        assert headers["x-api-key"] == "abc=d" and headers["x-more"] == "1"


def test_environment_names_collector_and_resource(collector, start):
    s = start(env=dict(SOON, OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:%d" % collector.grpc, OTEL_EXPORTER_OTLP_INSECURE="true",
                      OTEL_EXPORTER_OTLP_HEADERS="x-mine=a%20b", OTEL_SERVICE_NAME="other",
                      OTEL_RESOURCE_ATTRIBUTES="service.namespace=p%20q,service.name=lost"))
    call(s)
    span = collector.wait(lambda spans: spans)[0]
    assert span.resource["service.name"] == "other" and span.resource["service.namespace"] == "p q"
    if collector.process is None:
        assert collector.requests[0][1]["x-mine"] == "a b"


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_collector_by_tls(tmp_path, start, protocol):
    ca = Certificates(tmp_path / "ca")
    c = Collector(tmp_path, tls=ca.server)
    o = otlp(c, protocol)
    del o["isSecure"]  # it is true unless told otherwise
    try:
        s = start(config=[tracing(otel=o)], env=dict(SOON, OTEL_EXPORTER_OTLP_CERTIFICATE=ca.ca))
        call(s)
        c.wait(lambda spans: spans)
        if COMPARE:
            return
        s = start(config=[tracing(otel=o)], env=dict(SOON, OTEL_BSP_EXPORT_TIMEOUT="1"))
        call(s)
        s.wait_log("were not exported to otlp_%s: " % protocol)
        assert "certificate" in [line for line in s.log().split("\n") if "were not exported" in line][0]
    finally:
        c.stop()


def test_zipkin(collector, start):
    s = start(config=[tracing(zipkin={"endpointAddress": "http://127.0.0.1:%d/api/v2/spans" % collector.own})], env=SOON)
    s.get("/v1.0/metadata", headers={"traceparent": PARENT})
    until = time.monotonic() + 20 * SLOW
    while not collector.zipkin and time.monotonic() < until:
        time.sleep(0.02)
    z = [z for z in collector.zipkin if z["traceId"] == TRACE][0]
    assert (z["parentId"], z["kind"], z["name"]) == ("b7ad6b7169203331", "CLIENT", "/v1.0/metadata")
    assert z["localEndpoint"]["serviceName"] == s.app_id and z["duration"] >= 1 and z["timestamp"] > 10**15
    assert z["tags"]["dapr.api"] == "GET /v1.0/metadata" and re.fullmatch("[0-9a-f]{16}", z["id"])


@ours
def test_busy_collector_is_asked_again(collector, start):
    if collector.process is not None:
        return
    collector.answers.append(503)
    s = start(config=[tracing(otel=otlp(collector))], env=SOON)
    call(s, 3)
    collector.wait(lambda spans: len(spans) == 3)
    assert [r[2] for r in collector.requests][:2] == [503, 200]
    assert s.counted("davit_trace_spans_dropped") == 0


@ours
def test_what_finds_no_room_is_counted(collector, start):
    collector.gate.clear()
    s = start(config=[tracing(otel=dict(otlp(collector), endpointAddress="127.0.0.1:%d" % collector.own, timeout="2s"))],
             env=dict(SOON, OTEL_BSP_MAX_QUEUE_SIZE="10", OTEL_BSP_MAX_EXPORT_BATCH_SIZE="5"))
    call(s, 50)
    assert s.counted("davit_trace_spans_dropped", reason="queue_full", exporter="otlp_http") == 40
    collector.gate.set()
    collector.wait(lambda spans: len(spans) >= 10)
    until = time.monotonic() + 20 * SLOW
    while s.counted("davit_trace_spans_exported", exporter="otlp_http") < 10 and time.monotonic() < until:
        time.sleep(0.05)
    assert s.counted("davit_trace_spans_exported", exporter="otlp_http") == 10


@ours
@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_nobody_listens(start, protocol):
    o = {"endpointAddress": "127.0.0.1:%d" % free_port(), "protocol": protocol, "isSecure": False}
    s = start(config=[tracing(otel=o)], env=dict(SOON, OTEL_BSP_EXPORT_TIMEOUT="1"))
    call(s, 3)
    s.wait_log("spans were not exported to otlp_%s: " % protocol)
    until = time.monotonic() + 20 * SLOW
    while s.counted("davit_trace_spans_dropped", reason="export_failed") < 3 and time.monotonic() < until:
        time.sleep(0.05)
    assert s.counted("davit_trace_spans_dropped", reason="export_failed") == 3


@ours
def test_collector_that_hangs_holds_the_end_up_no_longer_than_the_grace_time(collector, start):
    collector.gate.clear()
    o = dict(otlp(collector), endpointAddress="127.0.0.1:%d" % collector.own)
    s = start(config=[tracing(otel=o)], env=SOON, flags={"dapr-graceful-shutdown-seconds": 1})
    call(s, 3)
    s.stop()
    assert "3 spans were not exported to otlp_http" in s.log()


@ours
@pytest.mark.parametrize("spec,why", [
    ({"otel": {"endpointAddress": "127.0.0.1:1", "protocol": "smoke", "isSecure": False}},
     "failed to setup tracing: invalid protocol smoke provided for Otel endpoint"),
    ({"otel": {"endpointAddress": "http://x", "protocol": "http", "isSecure": False}}, "invalid Otel endpoint address"),
    ({"otel": {"endpointAddress": "x:0", "protocol": "grpc", "isSecure": False}}, "invalid Otel endpoint address"),
    ({"zipkin": {"endpointAddress": "127.0.0.1:9411"}}, "invalid collector URL")])
def test_what_cannot_be_is_refused_at_the_start(tmp_path, spec, why):
    s = Sidecar(tmp_path, config=[tracing(**spec)], expect=1)
    s.spawn()
    assert s.process.wait(20 * SLOW) == 1
    assert why in s.log()


def test_baggage_goes_back(start):
    s = start()
    assert s.get("/v1.0/metadata", headers={"baggage": "a=1;p,b=%20"}).header("baggage") == "a=1;p,b=%20"
    r = s.get("/v1.0/metadata", headers={"baggage": "nonsense"})
    assert r.status == 400 and r.body.startswith(b"invalid baggage header: ")
    e = refused(s.rpc.GetMetadata, api_v1.GetMetadataRequest(), metadata=[("baggage", "nonsense")])
    assert e.code() == grpc.StatusCode.INVALID_ARGUMENT and e.details().startswith("invalid baggage header: ")
    _, c = s.rpc.GetMetadata.with_call(api_v1.GetMetadataRequest(), metadata=[("baggage", "a=1")])
    assert ("baggage", "a=1") in list(c.initial_metadata())
