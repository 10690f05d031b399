# SPDX-License-Identifier: Apache-2.0
"""A collector of spans: OTLP over HTTP and gRPC, decoded by OpenTelemetry's own package, and Zipkin's JSON. With OTELCOL=path
OpenTelemetry's collector stands in front and passes on what it takes."""
import collections
import gzip
import http.server
import json
import os
import socket
import ssl
import subprocess
import threading
import time
from concurrent import futures

import grpc
import yaml
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from opentelemetry.proto.trace.v1 import trace_pb2

from sidecar import SLOW, free_port

OTELCOL = os.environ.get("OTELCOL", "")

Span = collections.namedtuple("Span", "service resource scope trace id parent name kind state attributes events error message "
                                      "start end")


def value(v):
    return getattr(v, v.WhichOneof("value")) if v.WhichOneof("value") else None


def pairs(attributes):
    found = {a.key: value(a.value) for a in attributes}
    assert len(found) == len(attributes), "a key twice"
    return found


def decode(request):
    for group in request.resource_spans:
        resource = pairs(group.resource.attributes)
        for scope in group.scope_spans:
            for s in scope.spans:
                assert len(s.trace_id) == 16 and len(s.span_id) == 8 and len(s.parent_span_id) in (0, 8)
                yield Span(resource.get("service.name"), resource, scope.scope.name, s.trace_id.hex(), s.span_id.hex(),
                           s.parent_span_id.hex(), s.name, trace_pb2.Span.SpanKind.Name(s.kind)[10:], s.trace_state,
                           pairs(s.attributes), [e.name for e in s.events], s.status.code == 2, s.status.message,
                           s.start_time_unix_nano, s.end_time_unix_nano)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def do_POST(self):
        home = self.server.home
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        status = home.answers.pop(0) if home.answers else 200
        home.gate.wait(60)
        with home.lock:
            home.requests.append((self.path, {k.lower(): v for k, v in self.headers.items()}, status))
        if status == 200 and self.headers["content-type"] == "application/x-protobuf":
            home.take(trace_service_pb2.ExportTraceServiceRequest.FromString(body))
        elif status == 200:
            with home.lock:
                home.zipkin.extend(json.loads(body))
        self.send_response(status)
        self.send_header("content-length", "0")
        self.end_headers()


class Service(trace_service_pb2_grpc.TraceServiceServicer):
    def __init__(self, home):
        self.home = home

    def Export(self, request, context):
        with self.home.lock:
            self.home.requests.append(("Export", dict(context.invocation_metadata()), 0))
        self.home.take(request)
        return trace_service_pb2.ExportTraceServiceResponse()


class Collector:
    """http, grpc: ports that take spans. answers: statuses of the next HTTP requests; gate: they wait while it is clear.

    tls     (certificate, key), paths: both ports take TLS only, and nothing stands in front
    """

    def __init__(self, folder, otelcol=OTELCOL, tls=None):
        self.http = self.own = free_port()
        self.grpc = free_port()
        self.lock, self.gate, self.process = threading.Lock(), threading.Event(), None
        self.spans, self.zipkin, self.requests, self.answers = [], [], [], []
        self.gate.set()
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", self.own), Handler)
        self.server.daemon_threads = True
        self.server.home = self
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*tls)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.rpc = grpc.server(futures.ThreadPoolExecutor(4))
        trace_service_pb2_grpc.add_TraceServiceServicer_to_server(Service(self), self.rpc)
        if tls:
            certificate, key = (open(path, "rb").read() for path in tls)
            self.rpc.add_secure_port("127.0.0.1:%d" % self.grpc, grpc.ssl_server_credentials([(key, certificate)]))
        elif otelcol:
            self.put_in_front(otelcol, str(folder))
        else:
            self.rpc.add_insecure_port("127.0.0.1:%d" % self.grpc)
        self.rpc.start()

    def put_in_front(self, program, folder):
        self.http = free_port()
        config = {"receivers": {"otlp": {"protocols": {"grpc": {"endpoint": "127.0.0.1:%d" % self.grpc},
                                                       "http": {"endpoint": "127.0.0.1:%d" % self.http}}}},
                  "exporters": {"otlphttp": {"endpoint": "http://127.0.0.1:%d" % self.own}},
                  "service": {"telemetry": {"metrics": {"level": "none"}},
                              "pipelines": {"traces": {"receivers": ["otlp"], "exporters": ["otlphttp"]}}}}
        path = os.path.join(folder, "otelcol.yaml")
        with open(path, "w", encoding="utf-8") as f:
            yaml.safe_dump(config, f)
        with open(os.path.join(folder, "otelcol.log"), "wb") as log:
            self.process = subprocess.Popen([program, "--config", path], stdout=log, stderr=log)
        until = time.monotonic() + 20 * SLOW
        while time.monotonic() < until:
            try:
                socket.create_connection(("127.0.0.1", self.http), 1).close()
                return
            except OSError:
                time.sleep(0.05)
        raise RuntimeError("the collector does not listen")

    def take(self, request):
        with self.lock:
            self.spans.extend(decode(request))

    def wait(self, fits, seconds=20):
        """fits(spans) as soon as it is true."""
        until = time.monotonic() + seconds * SLOW
        while True:
            with self.lock:
                spans = list(self.spans)
            found = fits(spans)
            if found or time.monotonic() > until:
                assert found, "\n".join(map(str, spans)) or "no span came"
                return found
            time.sleep(0.02)

    def trace(self, trace_id, n):
        """The n spans of this trace, by id; no more have come."""
        self.wait(lambda spans: len([s for s in spans if s.trace == trace_id]) >= n)
        found = {s.id: s for s in self.spans if s.trace == trace_id}
        assert len(found) == n, found.values()
        return found

    def stop(self):
        self.gate.set()
        if self.process:
            self.process.terminate()
            self.process.wait(20)
        self.rpc.stop(None)
        self.server.shutdown()
        self.server.server_close()
