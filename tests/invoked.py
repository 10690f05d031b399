# SPDX-License-Identifier: Apache-2.0
"""Applications that are invoked, over HTTP and over gRPC, and how their sidecars find each other."""
import base64
import hashlib
import http.client
import http.server
import json
import os
import re
import threading
from concurrent import futures

import grpc
from dapr.proto import appcallback_service_v1, common_v1
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from sidecar import Sidecar, configuration, free_port


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
        if status in (101, 204, 304):
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
            return self.reply(int(body), b"as asked", x_reason="asked", content_type="text/plain")
        if path == "/untold":
            return self.reply(int(self.path.split("?")[1]), body)
        if path == "/close":
            self.close_connection = True
            return None
        if path == "/fields":
            self.send_response(200)
            for name, value in (("set-cookie", "a=1"), ("set-cookie", "b=2"), ("x-empty", ""), ("x-list", "1, 2"), ("etag", 'W/"7"'),
                                ("cache-control", "no-store"), ("content-type", "text/plain; charset=utf-8")):
                self.send_header(name, value)
            self.send_header("content-length", "2")
            self.end_headers()
            return self.wfile.write(b"ok")
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


def explained():
    """A refusal with a detail, as grpc_status makes it."""
    status = status_pb2.Status(code=grpc.StatusCode.ABORTED.value[0], message="see the detail")
    status.details.add().Pack(error_details_pb2.ErrorInfo(reason="BUSY", domain="test", metadata={"until": "noon"}))
    status.details.add().Pack(error_details_pb2.RetryInfo(retry_delay={"seconds": 3, "nanos": 250000000}))
    status.details.add().Pack(error_details_pb2.BadRequest(field_violations=[{"field": "a", "description": "\"b\""}, {"field": "c"}]))
    status.details.add().Pack(error_details_pb2.DebugInfo(stack_entries=["x", "y"], detail="z"))
    return rpc_status.to_status(status)


class Callback(appcallback_service_v1.AppCallbackServicer):
    def OnInvoke(self, request, context):
        if request.method == "refuse":
            context.set_trailing_metadata((("why", "so"),))
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, "not today")
        if request.method == "explain":
            context.abort_with_status(explained())
        seen = {k: v for k, v in context.invocation_metadata() if isinstance(v, str)}
        answer = {"method": request.method, "verb": request.http_extension.verb, "query": request.http_extension.querystring,
                  "type": request.content_type, "metadata": seen}
        context.send_initial_metadata((("x-app", "yes"),))
        reply = common_v1.InvokeResponse(content_type="application/json")
        reply.data.value = json.dumps(answer).encode() + b"\n" + request.data.value
        return reply


class Anything(grpc.GenericRpcHandler):
    """test.Echo: messages are bytes. left: of each call to Hang whether its caller went, and the time it still had."""

    def __init__(self):
        self.hanging, self.left = threading.Event(), []

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

        def down(request, context):
            for i in range(int(request)):
                yield b"%d" % i
            context.set_trailing_metadata((("sum", str(int(request))),))

        def up(requests, context):
            return b",".join(requests)

        def hang(request, context):
            self.hanging.set()
            gone = threading.Event()
            context.add_callback(gone.set)
            self.left.append((gone.wait(20), context.time_remaining()))
            return b""

        def explain(request, context):
            context.abort_with_status(explained())

        kinds = {"/test.Echo/Unary": grpc.unary_unary_rpc_method_handler(unary),
                 "/test.Echo/Each": grpc.stream_stream_rpc_method_handler(each),
                 "/test.Echo/Down": grpc.unary_stream_rpc_method_handler(down),
                 "/test.Echo/Up": grpc.stream_unary_rpc_method_handler(up),
                 "/test.Echo/Hang": grpc.unary_unary_rpc_method_handler(hang),
                 "/test.Echo/Explain": grpc.unary_unary_rpc_method_handler(explain),
                 "/grpc.health.v1.Health/Check": grpc.unary_unary_rpc_method_handler(lambda r, c: b"\x08\x01")}
        return kinds.get(details.method)


class GrpcApp:
    def __init__(self):
        self.port = free_port()
        self.server = grpc.server(futures.ThreadPoolExecutor(16), options=[("grpc.max_receive_message_length", -1),
                                                                           ("grpc.max_send_message_length", -1)])
        appcallback_service_v1.add_AppCallbackServicer_to_server(Callback(), self.server)
        self.anything = Anything()
        self.server.add_generic_rpc_handlers((self.anything,))
        self.server.add_insecure_port("127.0.0.1:%d" % self.port)
        self.server.start()

    def stop(self):
        self.server.stop(None)


def names(folder):
    return configuration({"nameResolution": {"component": "sqlite", "version": "v1",
                                             "configuration": {"connectionString": os.path.join(str(folder), "names.db")}}})


class Pair:
    """A sidecar without an application, `near`, and `far` before `app`.

    programs    of each, where it is not DAVITD
    ids         of each
    mdns        they find each other by mDNS, else in a file
    config      further Configurations
    """

    def __init__(self, folder, app, protocol="http", loops=None, env=None, near=None, far=None, programs=(None, None),
                 ids=("near", "far"), mdns=False, config=()):
        self.app = app
        os.makedirs(folder / "near")
        os.makedirs(folder / "far")
        large, config = {"max-body-size": "2Gi"}, [*config] if mdns else [names(folder), *config]
        self.near = Sidecar(folder / "near", config=config, app_id=ids[0], loops=loops, flags=dict(large, **(near or {})),
                            program=programs[0])
        self.far = Sidecar(folder / "far", config=config, app_id=ids[1], loops=loops, env=env, program=programs[1],
                           flags=dict(large, **{"app-port": app.port, "app-protocol": protocol}, **(far or {})))
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


# What each of a call's two ends has to itself: framing, clock. What the trace carries is looked at by itself.
FRAMING = ("content-length", "transfer-encoding", "connection", "date", "host", ":authority", "server", "keep-alive", "tracestate")


# What an HTTP client says of its own account.
OWN_ACCOUNT = re.compile(r"user-agent: (Go-http-client|grpc-go|grpc-c-davit)|accept-encoding: gzip$")


def neutral(pair, value):
    """Text without what is another one in each pair: ids, ports, traces."""
    if isinstance(value, bytes):
        return neutral(pair, value.decode("latin-1")).encode("latin-1")
    user = base64.b64encode(b"dapr-app-id:" + pair.far.app_id.encode()).decode()
    value = re.sub(r"\b00-[0-9a-f]{32}-[0-9a-f]{16}", "00-T-S", value).replace(user, "USER").replace(pair.far.app_id, "FAR").replace(pair.near.app_id, "NEAR")
    return re.sub(r"(127\.0\.0\.1|localhost):\d+", r"\1:P", value)


def settled(pair, fields):
    """Fields in order of their names, each pair once, neutral; of a trace in binary only that there is one."""
    kept = []
    for name, value in fields:
        if name.lower() == "dapr-date":
            value = "now"
        if OWN_ACCOUNT.match("%s: %s" % (name.lower(), value)):
            continue
        if name.lower() == "grpc-trace-bin":
            value = "%d bytes" % len(value)
        if name.lower() not in FRAMING:
            kept.append((name.lower(), neutral(pair, value)))
    return sorted(set(kept), key=str)
