# SPDX-License-Identifier: Apache-2.0
"""An HTTP application behind the other sidecar: what it sees, and what its caller gets, is what it is between two of Dapr's."""
import base64
import hashlib
import http.client
import json
import os
import socket
import time

import grpc
import pytest
from dapr.proto import api_v1, common_v1

from invoked import ask, neutral, settled
from sidecar import SLOW, details, refused

PROTOCOL = "http"
MIB = 1 << 20
INVOKE = "/v1.0/invoke/FAR/method/"
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

def at(pair, method):
    return INVOKE.replace("FAR", pair.far.app_id) + method


def over_http(pair, method, path, body=None, headers=None):
    c = http.client.HTTPConnection("127.0.0.1", pair.near.http, timeout=30)
    try:
        user = base64.b64encode(b"dapr-app-id:" + pair.far.app_id.encode()).decode()
        headers = {k: v.replace("FAR", pair.far.app_id).replace("USER", "Basic " + user) for k, v in (headers or {}).items()}
        c.request(method, path.replace("FAR", pair.far.app_id), body=body, headers=headers)
        r = c.getresponse()
        text = r.read()
        return r.status, settled(pair, r.getheaders()), told(pair, text)
    finally:
        c.close()


def told(pair, text):
    """What the application says it saw, or its bytes."""
    try:
        seen = json.loads(text)
        seen["headers"] = settled(pair, seen["headers"])
        return seen
    except (ValueError, KeyError, TypeError):
        return neutral(pair, text)


REQUESTS = {
    "get": ("GET", INVOKE + "a/b?x=1&y=%20z&x=2", None, {"x-mine": "1", "X-Mixed-Case": "Yes"}),
    "post": ("POST", INVOKE + "a", b"text", {"content-type": "text/plain; charset=utf-8"}),
    "post-json": ("POST", INVOKE + "a", b'{"a": [1, 2]}', {"content-type": "application/json"}),
    "post-bytes": ("POST", INVOKE + "a", bytes(range(256)), {"content-type": "application/octet-stream"}),
    "post-nothing": ("POST", INVOKE + "a", b"", {}),
    "put": ("PUT", INVOKE + "a", b"x", {"if-match": '"1"', "etag": "2"}),
    "delete": ("DELETE", INVOKE + "a", None, {}),
    "delete-body": ("DELETE", INVOKE + "a", b"x", {}),
    "patch": ("PATCH", INVOKE + "a", b"x", {"content-type": "application/merge-patch+json"}),
    "options": ("OPTIONS", INVOKE + "a", None, {}),
    "head": ("HEAD", INVOKE + "a", None, {}),
    "by-header": ("GET", "/some/path?q=1", None, {"dapr-app-id": "FAR"}),
    "by-user": ("GET", "/some/path", None, {"authorization": "USER"}),
    "fields": ("GET", INVOKE + "a", None, {"accept": "text/html, */*", "accept-encoding": "gzip", "authorization": "Bearer t",
                                           "cookie": "a=1; b=2", "user-agent": "me/1", "referer": "http://x/", "origin": "http://y",
                                           "x-request-id": "7", "dapr-mine": "8", "grpc-mine": "9", "x-forwarded-for": "10.0.0.1"}),
    "hop-by-hop": ("GET", INVOKE + "a", None, {"connection": "x-gone", "x-gone": "1", "te": "trailers", "proxy-authorization": "z"}),
    "text": ("GET", INVOKE + "a", None, {"x-text": "caf\u00e9".encode("utf-8").decode("latin-1")}),
    "many-fields": ("GET", INVOKE + "a", None, {"x-%d" % i: "v" * i for i in range(40)}),
    "trace": ("GET", INVOKE + "a", None, {"traceparent": PARENT, "tracestate": "a=b,c=d", "baggage": "k=v;p, l=w"}),
    "namespace": ("GET", "/v1.0/invoke/FAR.default/method/a", None, {}),
    "path-dots": ("GET", INVOKE + "a/../b/./c", None, {}),
    "path-slashes": ("GET", INVOKE + "a//b/", None, {}),
    "path-space": ("GET", INVOKE + "a%20b%2Bc+d", None, {}),
    "path-slash": ("GET", INVOKE + "a%2Fb", None, {}),
    "path-utf8": ("GET", INVOKE + "%C3%A4/%E2%82%AC", None, {}),
    "path-percent": ("GET", INVOKE + "a%2525b", None, {}),
    "path-none": ("GET", INVOKE, None, {}),
    "path-hash": ("GET", INVOKE + "a%23b", None, {}),
    "path-question": ("GET", INVOKE + "a%3Fb", None, {}),
    "query-odd": ("GET", INVOKE + "a?b=%3D%26&c&d=%C3%A4&=e", None, {}),
    "reply-fields": ("GET", INVOKE + "fields", None, {}),
    "nobody": ("GET", "/v1.0/invoke/nobody/method/a", None, {}),
}
REQUESTS.update(("status-%d" % n, ("POST", INVOKE + "status", b"%d" % n, {})) for n in
                (200, 201, 202, 204, 299, 301, 302, 304, 307, 400, 401, 403, 404, 409, 413, 418, 422, 429, 451, 500, 501, 502, 503, 504, 599))


@pytest.mark.parametrize("name", REQUESTS)
def test_over_http(pair, model, name):
    assert over_http(pair, *REQUESTS[name]) == over_http(model, *REQUESTS[name])


def test_caller_is_named_by_the_sidecar(pair):
    """Dapr's lets the application see what a caller said of itself as well."""
    seen = json.loads(ask(pair.near.http, "GET", at(pair, "a"), headers={"dapr-caller-app-id": "liar", "dapr-callee-app-id": "liar"})[2])
    fields = [tuple(h) for h in seen["headers"]]
    assert ("dapr-caller-app-id", pair.near.app_id) in fields and ("dapr-callee-app-id", pair.far.app_id) in fields


def invoke(pair, method, body=b"", metadata=(), **http_extension):
    request = api_v1.InvokeServiceRequest(id=pair.far.app_id, message=common_v1.InvokeRequest(
        method=method, content_type="text/plain", http_extension=common_v1.HTTPExtension(**http_extension)))
    request.message.data.value = body
    try:
        reply, call = pair.near.rpc.InvokeService.with_call(request, metadata=metadata, timeout=30)
    except grpc.RpcError as e:
        return e.code(), neutral(pair, e.details()), {k: neutral(pair, str(d)) for k, d in details(e).items()}
    return (reply.content_type, told(pair, reply.data.value), texts(pair, call.initial_metadata()), texts(pair, call.trailing_metadata()))


def texts(pair, metadata):
    return settled(pair, ((k, v) for k, v in metadata if not k.endswith("-bin")))


@pytest.mark.parametrize("verb", ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "NONE", "CONNECT"])
def test_invoke_service_verbs(pair, model, verb):
    assert invoke(pair, "a/b", b"body", verb=verb, querystring="q=1&r=%20") == invoke(model, "a/b", b"body", verb=verb, querystring="q=1&r=%20")


def test_invoke_service_metadata(pair, model):
    sent = (("x-mine", "1"), ("x-mine", "2"), ("x-bytes-bin", b"\0\1"), ("traceparent", PARENT), ("tracestate", "a=b"), ("baggage", "k=v"))
    assert invoke(pair, "a", metadata=sent, verb="GET") == invoke(model, "a", metadata=sent, verb="GET")


@pytest.mark.parametrize("status", [200, 204, 301, 400, 401, 403, 404, 408, 409, 412, 413, 418, 429, 499, 500, 501, 502, 503, 504])
def test_invoke_service_status(pair, model, status):
    assert invoke(pair, "status", b"%d" % status, verb="POST") == invoke(model, "status", b"%d" % status, verb="POST")


def test_invoke_service_reply_fields(pair, model):
    assert invoke(pair, "fields", verb="GET") == invoke(model, "fields", verb="GET")


@pytest.mark.parametrize("chunked", [False, True])
def test_large_request(pair, chunked):
    piece, n, digest = os.urandom(MIB), 48, hashlib.sha256()
    for _ in range(n):
        digest.update(piece)
    headers = {} if chunked else {"content-length": str(n * MIB)}
    status, _, body = ask(pair.near.http, "POST", at(pair, "count"), (piece for _ in range(n)), headers)
    assert (status, body.decode()) == (200, "%d %s" % (n * MIB, digest.hexdigest()))


def test_large_answer(pair):
    status, _, body = ask(pair.near.http, "POST", at(pair, "make"), b"48")
    assert (status, len(body)) == (200, 48 * MIB)


def test_large_body_over_grpc(pair):
    body = os.urandom(3 * MIB)
    _, text, *_ = invoke(pair, "count", body, verb="POST")
    assert text == ("%d %s" % (len(body), hashlib.sha256(body).hexdigest())).encode()


def test_events_arrive_as_they_are_written(pair):
    c = http.client.HTTPConnection("127.0.0.1", pair.near.http, timeout=20)
    c.request("GET", at(pair, "events"), headers={"accept": "text/event-stream"})
    r = c.getresponse()
    assert r.getheader("content-type") == "text/event-stream", (r.status, r.getheaders())
    for i in range(4):  # the application writes the next one only when this one has been seen
        assert r.readline() == b"data: %d\n" % i and r.readline() == b"\n"
        pair.app.step.release()
    assert r.read() == b""
    c.close()


def test_client_that_leaves_is_noticed_by_the_application(pair):
    pair.app.arrived.clear()
    pair.app.left.clear()
    c = socket.create_connection(("127.0.0.1", pair.near.http))
    c.sendall(b"GET " + at(pair, "hang").encode() + b" HTTP/1.1\r\nHost: x\r\n\r\n")
    assert pair.app.arrived.wait(10 * SLOW)
    time.sleep(0.2)
    c.close()
    end = time.time() + 10 * SLOW
    while not pair.app.left and time.time() < end:
        time.sleep(0.05)
    assert pair.app.left == [True]


def test_trace_is_one_over_both(pair):
    seen = json.loads(ask(pair.near.http, "GET", at(pair, "t"), headers={"traceparent": PARENT, "tracestate": "a=b", "baggage": "k=v"})[2])
    got = dict(seen["headers"])
    assert got["traceparent"].split("-")[1] == PARENT.split("-")[1] and got["traceparent"].split("-")[2] != PARENT.split("-")[2]
    assert (got["tracestate"], got["baggage"]) == ("a=b", "k=v")


def test_application_that_is_gone(lonely):
    pair, model = lonely
    for request in ("get", "post"):
        assert over_http(pair, *REQUESTS[request]) == over_http(model, *REQUESTS[request])
    assert invoke(pair, "a", verb="GET") == invoke(model, "a", verb="GET")
    assert refused(pair.near.rpc.InvokeService, api_v1.InvokeServiceRequest(
        id=pair.far.app_id, message=common_v1.InvokeRequest(method="a"))).code() != grpc.StatusCode.OK
