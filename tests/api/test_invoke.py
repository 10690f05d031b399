# SPDX-License-Identifier: Apache-2.0
"""Service invocation: from a client through two sidecars to an application, by HTTP and gRPC."""
import base64
import hashlib
import http.client
import http.server
import json
import os
import re
import socket
import threading
import time
from concurrent import futures

import grpc
import pytest
from dapr.proto import api_v1, appcallback_service_v1, common_v1

from sidecar import LOOPS, SLOW, Sidecar, configuration, free_port

MIB = 1 << 20


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def pieces(self):
        if self.headers.get("transfer-encoding") == "chunked":
            while True:
                n = int(self.rfile.readline().split(b";")[0], 16)
                piece = self.rfile.read(n)
                self.rfile.readline()
                if n == 0:
                    return
                yield piece
        left = int(self.headers.get("content-length") or 0)
        while left > 0:
            piece = self.rfile.read(min(left, 65536))
            if not piece:
                return
            left -= len(piece)
            yield piece

    def reply(self, status, body, **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        if status == 204:
            return self.end_headers()
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
        return None

    def serve(self):
        app = self.server.app
        path = self.path.split("?")[0]
        if path.startswith("/dapr/"):
            return self.reply(404, b"")
        app.arrived.set()
        if path == "/count":
            total, digest = 0, hashlib.sha256()
            for piece in self.pieces():
                total += len(piece)
                digest.update(piece)
            return self.reply(200, ("%d %s" % (total, digest.hexdigest())).encode())
        if path == "/early":
            self.close_connection = True
            return self.reply(413, b"too much")
        body = b"".join(self.pieces())
        if path == "/status":
            return self.reply(int(body), b"as asked", x_reason="asked")
        if path == "/make":
            return self.stream(int(body))
        if path == "/events":
            return self.events()
        if path == "/hang":
            self.connection.settimeout(20)
            try:
                app.left.append(self.connection.recv(1) == b"")
            except OSError:
                app.left.append(False)
            self.close_connection = True
            return None
        text = json.dumps({"method": self.command, "path": self.path, "headers": [[k.lower(), v] for k, v in self.headers.items()],
                           "body": base64.b64encode(body).decode()}).encode()
        return self.reply(200, text, content_type="application/json", x_app="yes")

    def stream(self, mib):
        self.send_response(200)
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        piece = b"10000\r\n" + bytes(65536) + b"\r\n"
        for _ in range(mib * 16):
            self.wfile.write(piece)
        self.wfile.write(b"0\r\n\r\n")

    def events(self):
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for i in range(4):
            event = b"data: %d\n\n" % i
            self.wfile.write(b"%x\r\n%s\r\n" % (len(event), event))
            assert self.server.app.step.acquire(timeout=20)
        self.wfile.write(b"0\r\n\r\n")

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = do_HEAD = do_OPTIONS = serve


class HttpApp:
    def __init__(self):
        self.port = free_port()
        self.arrived, self.left, self.step = threading.Event(), [], threading.Semaphore(0)
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self.server.daemon_threads = True
        self.server.app = self
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


class Callback(appcallback_service_v1.AppCallbackServicer):
    def OnInvoke(self, request, context):
        if request.method == "refuse":
            context.set_trailing_metadata((("why", "so"),))
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, "not today")
        seen = {k: v for k, v in context.invocation_metadata() if isinstance(v, str)}
        answer = {"method": request.method, "verb": request.http_extension.verb, "query": request.http_extension.querystring,
                  "type": request.content_type, "metadata": seen}
        context.send_initial_metadata((("x-app", "yes"),))
        reply = common_v1.InvokeResponse(content_type="application/json")
        reply.data.value = json.dumps(answer).encode() + b"\n" + request.data.value
        return reply


class Anything(grpc.GenericRpcHandler):
    """test.Echo: messages are bytes."""

    def service(self, details):
        def unary(request, context):
            if request == b"refuse":
                context.set_trailing_metadata((("why", "so"), ("more-bin", b"\0\1")))
                context.abort(grpc.StatusCode.DATA_LOSS, "lost % and ü")
            context.send_initial_metadata((("seen", json.dumps([k for k, _ in context.invocation_metadata()])),))
            return request[::-1]

        def each(requests, context):
            for r in requests:
                yield r.upper()

        kinds = {"/test.Echo/Unary": grpc.unary_unary_rpc_method_handler(unary),
                 "/test.Echo/Each": grpc.stream_stream_rpc_method_handler(each),
                 "/grpc.health.v1.Health/Check": grpc.unary_unary_rpc_method_handler(lambda r, c: b"\x08\x01")}
        return kinds.get(details.method)


class GrpcApp:
    def __init__(self):
        self.port = free_port()
        self.server = grpc.server(futures.ThreadPoolExecutor(16))
        appcallback_service_v1.add_AppCallbackServicer_to_server(Callback(), self.server)
        self.server.add_generic_rpc_handlers((Anything(),))
        self.server.add_insecure_port("127.0.0.1:%d" % self.port)
        self.server.start()

    def stop(self):
        self.server.stop(None)


def names(folder):
    return configuration({"nameResolution": {"component": "sqlite", "version": "v1",
                                             "configuration": {"connectionString": os.path.join(str(folder), "names.db")}}})


class Pair:
    """A sidecar without an application and one before `app`."""

    def __init__(self, folder, app, protocol="http", loops=None, env=None, near=None, far=None):
        self.app = app
        os.makedirs(folder / "near")
        os.makedirs(folder / "far")
        self.near = Sidecar(folder / "near", config=[names(folder)], app_id="near", loops=loops, flags=dict({"max-body-size": "2Gi"}, **(near or {})))
        self.far = Sidecar(folder / "far", config=[names(folder)], app_id="far", loops=loops, env=env,
                           flags=dict({"app-port": app.port, "app-protocol": protocol, "max-body-size": "2Gi"}, **(far or {})))
        self.near.start()
        self.far.start()

    def stop(self):
        self.near.stop()
        self.far.stop()
        self.app.stop()


def ask(port, method, path, body=None, headers=None, timeout=30):
    c = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        c.request(method, path, body=body, headers=headers or {})
        r = c.getresponse()
        return r.status, {k.lower(): v for k, v in r.getheaders()}, r.read()
    finally:
        c.close()


@pytest.fixture(scope="module", params=LOOPS)
def pair(request, tmp_path_factory):
    p = Pair(tmp_path_factory.mktemp("invoke"), HttpApp(), loops=request.param)
    yield p
    p.stop()


@pytest.fixture(scope="module")
def grpc_pair(tmp_path_factory):
    p = Pair(tmp_path_factory.mktemp("invoke"), GrpcApp(), protocol="grpc", env={"APP_API_TOKEN": "secret"})
    yield p
    p.stop()


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_method_path_query_headers_and_status_arrive(pair, method):
    status, headers, body = ask(pair.near.http, method, "/v1.0/invoke/far/method/a/b?x=1&y=%20z", b"text", {"x-mine": "1"})
    seen = json.loads(body)
    assert (status, headers["x-app"], headers["content-type"]) == (200, "yes", "application/json")
    assert (seen["method"], seen["path"]) == (method, "/a/b?x=1&y=%20z")
    assert base64.b64decode(seen["body"]) == b"text"
    assert ["x-mine", "1"] in seen["headers"] and ["dapr-caller-app-id", "near"] in seen["headers"]
    assert ["dapr-callee-app-id", "far"] in seen["headers"]


def test_unknown_method_is_post(pair):
    assert json.loads(ask(pair.near.http, "PROPFIND", "/v1.0/invoke/far/method/a")[2])["method"] == "POST"


@pytest.mark.parametrize("headers", [{"dapr-app-id": "far"},
                                     {"authorization": "Basic " + base64.b64encode(b"dapr-app-id:far").decode()}])
def test_header_or_user_names_the_application(pair, headers):
    seen = json.loads(ask(pair.near.http, "GET", "/some/path", headers=headers)[2])
    assert seen["path"] == "/some/path"
    assert "dapr-app-id" not in [k for k, _ in seen["headers"]]


@pytest.mark.parametrize("status", [201, 204, 302, 400, 404, 418, 500, 503])
def test_status_is_the_applications(pair, status):
    got, headers, body = ask(pair.near.http, "POST", "/v1.0/invoke/far/method/status", str(status).encode())
    assert (got, headers["x-reason"]) == (status, "asked")
    assert body == (b"" if status == 204 else b"as asked")


@pytest.mark.parametrize("path,seen", [("a/../b", "/b"), ("a//b", "/a/b"), ("../../x", "/x"), ("a%20b", "/a%20b"),
                                       ("a%2Fb", "/a/b"), ("", "/")])
def test_path_is_made_canonical_once(pair, path, seen):
    assert json.loads(ask(pair.near.http, "GET", "/v1.0/invoke/far/method/" + path)[2])["path"] == seen


@pytest.mark.parametrize("path", ["a%23b", "a%3Fb", "a%00b", "a%0Ab"])
def test_forbidden_characters_are_refused(pair, path):
    status, _, body = ask(pair.near.http, "GET", "/v1.0/invoke/far/method/" + path)
    assert status == 500 and json.loads(body)["errorCode"] == "ERR_DIRECT_INVOKE"
    assert "code = InvalidArgument desc = invalid method: method contains" in json.loads(body)["message"]


def test_who_is_not_there(pair):
    status, _, body = ask(pair.near.http, "GET", "/v1.0/invoke/nobody/method/a")
    assert (status, json.loads(body)) == (500, {
        "errorCode": "ERR_DIRECT_INVOKE",
        "message": "failed to invoke, id: nobody, err: no host found with the given ID"})
    status, _, body = ask(pair.near.http, "GET", "/nothing")
    assert (status, json.loads(body)["errorCode"]) == (404, "ERR_DIRECT_INVOKE")


def test_own_application_is_called_without_another_sidecar(pair):
    seen = json.loads(ask(pair.far.http, "GET", "/v1.0/invoke/far/method/self", headers={"dapr-caller-app-id": "somebody"})[2])
    marks = dict(h for h in seen["headers"] if h[0].startswith("dapr-c"))
    assert marks["dapr-caller-app-id"] == marks["dapr-callee-app-id"] == "far"


def test_trace_and_baggage_go_along(pair):
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    seen = json.loads(ask(pair.near.http, "GET", "/v1.0/invoke/far/method/t",
                          headers={"traceparent": parent, "tracestate": "a=b", "baggage": "k=v"})[2])
    got = dict(seen["headers"])
    assert got["traceparent"].split("-")[1] == parent.split("-")[1]
    assert (got["tracestate"], got["baggage"]) == ("a=b", "k=v")


def rss(sidecar):
    with open("/proc/%d/status" % sidecar.process.pid) as f:
        return int(re.search(r"VmHWM:\s+(\d+)", f.read()).group(1)) / 1024


def test_large_bodies_stream_both_ways(pair):
    before = rss(pair.near), rss(pair.far)
    piece, n, digest = os.urandom(MIB), 64, hashlib.sha256()
    for _ in range(n):
        digest.update(piece)
    status, _, body = ask(pair.near.http, "POST", "/v1.0/invoke/far/method/count", (piece for _ in range(n)))
    assert (status, body.decode()) == (200, "%d %s" % (n * MIB, digest.hexdigest()))
    c = http.client.HTTPConnection("127.0.0.1", pair.near.http, timeout=60)
    c.request("POST", "/v1.0/invoke/far/method/make", body=b"64")
    r, total = c.getresponse(), 0
    while True:
        got = r.read(MIB)
        total += len(got)
        if not got:
            break
    c.close()
    assert total == 64 * MIB
    if not os.environ.get("SANITIZE"):
        assert rss(pair.near) - before[0] < 16 and rss(pair.far) - before[1] < 16


def test_answer_before_the_body_was_read(pair):
    c = socket.create_connection(("127.0.0.1", pair.near.http), timeout=20)
    c.sendall(b"POST /v1.0/invoke/far/method/early HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
    got = b""
    while b"too much" not in got:
        piece = c.recv(4096)
        assert piece, got
        got += piece
    assert got.startswith(b"HTTP/1.1 413")
    c.close()


def test_events_arrive_as_they_are_written(pair):
    c = http.client.HTTPConnection("127.0.0.1", pair.near.http, timeout=20)
    c.request("GET", "/v1.0/invoke/far/method/events", headers={"accept": "text/event-stream"})
    r = c.getresponse()
    assert r.getheader("content-type") == "text/event-stream"
    for i in range(4):  # the application writes the next one only when this one has been seen
        assert r.readline() == b"data: %d\n" % i and r.readline() == b"\n"
        pair.app.step.release()
    assert r.read() == b""
    c.close()


def test_client_that_leaves_is_noticed_by_the_application(pair):
    pair.app.arrived.clear()
    pair.app.left.clear()
    c = socket.create_connection(("127.0.0.1", pair.near.http))
    c.sendall(b"GET /v1.0/invoke/far/method/hang HTTP/1.1\r\nHost: x\r\n\r\n")
    assert pair.app.arrived.wait(10 * SLOW)
    time.sleep(0.2)
    c.close()
    end = time.time() + 10 * SLOW
    while not pair.app.left and time.time() < end:
        time.sleep(0.05)
    assert pair.app.left == [True]


def test_invoke_service_to_http(pair):
    request = api_v1.InvokeServiceRequest(id="far", message=common_v1.InvokeRequest(
        method="a", content_type="text/plain", http_extension=common_v1.HTTPExtension(verb="PUT", querystring="q=1")))
    request.message.data.value = b"body"
    with grpc.insecure_channel("127.0.0.1:%d" % pair.near.grpc_port) as channel:
        call = channel.unary_unary("/dapr.proto.runtime.v1.Dapr/InvokeService",
                                   request_serializer=api_v1.InvokeServiceRequest.SerializeToString,
                                   response_deserializer=common_v1.InvokeResponse.FromString)
        reply, rpc = call.with_call(request, timeout=20)
        seen = json.loads(reply.data.value)
        assert (seen["method"], seen["path"]) == ("PUT", "/a?q=1") and base64.b64decode(seen["body"]) == b"body"
        assert dict(rpc.initial_metadata())["dapr-http-status"] == "200"
        request.message.method, request.message.data.value = "status", b"404"
        with pytest.raises(grpc.RpcError) as e:
            call(request, timeout=20)
        assert (e.value.code(), e.value.details()) == (grpc.StatusCode.NOT_FOUND, "Not Found")


def test_metrics_count_both_sides(pair):
    ask(pair.near.http, "GET", "/v1.0/invoke/far/method/m")
    near, far = ask(pair.near.metrics, "GET", "/metrics")[2].decode(), ask(pair.far.metrics, "GET", "/metrics")[2].decode()
    assert re.search(r'dapr_runtime_service_invocation_req_sent_total\{app_id="near",dst_app_id="far",type="unary"\} \d', near)
    assert re.search(r'dapr_runtime_service_invocation_res_recv_total\{app_id="near",src_app_id="far",status="200",type="unary"\}',
                     near)
    assert re.search(r'dapr_runtime_service_invocation_req_recv_total\{app_id="far",src_app_id="near"\} \d', far)
    assert re.search(r'dapr_runtime_service_invocation_res_sent_total\{app_id="far",dst_app_id="near",status="200"\} \d', far)


# ---- A gRPC application ----


def test_http_to_grpc_application(grpc_pair):
    status, headers, body = ask(grpc_pair.near.http, "POST", "/v1.0/invoke/far/method/do?x=1", b"hello",
                                {"content-type": "text/plain", "x-mine": "1"})
    head, rest = body.split(b"\n", 1)
    seen = json.loads(head)
    assert (status, headers["content-type"], headers["x-app"], rest) == (200, "application/json", "yes", b"hello")
    assert (seen["method"], seen["verb"], seen["query"], seen["type"]) == ("do", 3, "x=1", "text/plain")
    assert seen["metadata"]["x-mine"] == "1" and seen["metadata"]["dapr-api-token"] == "secret"


def test_grpc_applications_refusal_over_http(grpc_pair):
    status, _, body = ask(grpc_pair.near.http, "POST", "/v1.0/invoke/far/method/refuse")
    assert (status, json.loads(body)) == (400, {"code": 9, "message": "not today"})


def proxied(sidecar, *more):
    return grpc.insecure_channel("127.0.0.1:%d" % sidecar.grpc_port), (("dapr-app-id", "far"),) + more


@pytest.mark.parametrize("which", ["near", "far"])
def test_any_service_is_proxied(grpc_pair, which):
    channel, metadata = proxied(getattr(grpc_pair, which), ("x-mine", "1"))
    with channel:
        unary = channel.unary_unary("/test.Echo/Unary")
        reply, rpc = unary.with_call(b"abc", metadata=metadata, timeout=20)
        assert reply == b"cba"
        seen = json.loads(dict(rpc.initial_metadata())["seen"])
        assert "x-mine" in seen and "dapr-api-token" in seen and "dapr-app-id" not in seen
        with pytest.raises(grpc.RpcError) as e:
            unary(b"refuse", metadata=metadata, timeout=20)
        assert (e.value.code(), e.value.details()) == (grpc.StatusCode.DATA_LOSS, "lost % and ü")
        trailers = dict(e.value.trailing_metadata())
        assert (trailers["why"], trailers["more-bin"]) == ("so", b"\0\1")
        each = channel.stream_stream("/test.Echo/Each")
        assert list(each((b"m%d" % i for i in range(500)), metadata=metadata, timeout=20)) == [b"M%d" % i for i in range(500)]
        health = channel.unary_unary("/grpc.health.v1.Health/Check")
        assert health(b"", metadata=metadata, timeout=20) == b"\x08\x01"


def test_proxied_stream_is_answered_message_by_message(grpc_pair):
    channel, metadata = proxied(grpc_pair.near)
    seen = threading.Semaphore(1)

    def requests():
        for i in range(5):
            assert seen.acquire(timeout=20)
            yield b"x%d" % i

    with channel:
        for i, reply in enumerate(channel.stream_stream("/test.Echo/Each")(requests(), metadata=metadata, timeout=30)):
            assert reply == b"X%d" % i
            seen.release()


def test_without_an_application_named_nothing_is_proxied(grpc_pair):
    with grpc.insecure_channel("127.0.0.1:%d" % grpc_pair.near.grpc_port) as channel, pytest.raises(grpc.RpcError) as e:
        channel.unary_unary("/test.Echo/Unary")(b"", timeout=20)
    assert "required metadata dapr-callee-app-id or dapr-app-id not found" in e.value.details()
