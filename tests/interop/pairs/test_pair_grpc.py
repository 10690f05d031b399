# SPDX-License-Identifier: Apache-2.0
"""A gRPC application behind the other sidecar: by HTTP, by InvokeService, and any service of its own."""
import hashlib
import json
import os
import threading
import time

import grpc
import pytest
from dapr.proto import api_v1, common_v1

from invoked import ask, neutral, settled
from sidecar import SLOW, details, refused

PROTOCOL = "grpc"
INVOKE = "/v1.0/invoke/%s/method/"
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def told(pair, text):
    head, newline, rest = text.partition(b"\n")
    if not newline:
        return json.loads(neutral(pair, text))
    seen = json.loads(head)
    seen["metadata"] = settled(pair, seen["metadata"].items())
    return seen, rest


def over_http(pair, method, path, body=None, headers=None):
    status, fields, text = ask(pair.near.http, method, INVOKE % pair.far.app_id + path, body, headers)
    return status, settled(pair, fields.items()), told(pair, text)


REQUESTS = {
    "get": ("GET", "do?x=1&y=%20z", None, {"x-mine": "1", "X-Mixed-Case": "Yes"}),
    "post": ("POST", "do", b"hello", {"content-type": "text/plain"}),
    "json": ("POST", "do", b'{"a": 1}', {"content-type": "application/json", "user-agent": "me/1", "accept": "a/b", "cookie": "c=d"}),
    "bytes": ("PUT", "do/a/b", bytes(range(256)), {"content-type": "application/octet-stream"}),
    "trace": ("GET", "do", None, {"traceparent": PARENT, "tracestate": "a=b", "baggage": "k=v"}),
    "refused": ("POST", "refuse", None, {}),
    "explained": ("POST", "explain", None, {}),
    "path": ("GET", "a/../b//c%20d", None, {}),
    "nobody": ("GET", "../../nobody/method/a", None, {}),
}


@pytest.mark.parametrize("name", REQUESTS)
def test_over_http(pair, model, name):
    method, path, *rest = REQUESTS[name]
    assert over_http(pair, method, path, *rest) == over_http(model, method, path, *rest)


def outcome(pair, call, *args, **kw):
    """Everything a caller of gRPC gets."""
    try:
        reply, rpc = call.with_call(*args, timeout=30, **kw)
    except grpc.RpcError as e:
        return (e.code(), neutral(pair, e.details()), {k: neutral(pair, str(d)) for k, d in details(e).items()},
                settled(pair, e.initial_metadata() or ()), settled(pair, ((k, v) for k, v in e.trailing_metadata() if k != "grpc-status-details-bin")))
    return reply, settled(pair, rpc.initial_metadata()), settled(pair, rpc.trailing_metadata())


def invoke(pair, method, body=b"", metadata=(), **http_extension):
    message = common_v1.InvokeRequest(method=method, content_type="text/plain")
    if http_extension:
        message.http_extension.CopyFrom(common_v1.HTTPExtension(**http_extension))
    message.data.value = body
    got = outcome(pair, pair.near.rpc.InvokeService, api_v1.InvokeServiceRequest(id=pair.far.app_id, message=message), metadata=metadata)
    return (got[0].content_type, told(pair, got[0].data.value), *got[1:]) if len(got) == 3 else got


@pytest.mark.parametrize("name", ["plain", "verb", "metadata", "refused", "explained"])
def test_invoke_service(pair, model, name):
    sent = (("x-mine", "1"), ("x-mine", "2"), ("x-bytes-bin", b"\0\1\xff"), ("traceparent", PARENT), ("tracestate", "a=b"))
    arguments, more = {"plain": (("do", b"body"), {}), "verb": (("do", b"body"), {"verb": "PUT", "querystring": "a=b&c=%20"}),
                       "metadata": (("do", b"", sent), {}), "refused": (("refuse",), {}), "explained": (("explain",), {})}[name]
    assert invoke(pair, *arguments, **more) == invoke(model, *arguments, **more)


def proxied(pair, kind, method, **kw):
    return getattr(pair.near.channel(), kind)("/test.Echo/" + method, **kw)


def named(pair):
    return (("dapr-app-id", pair.far.app_id),)


@pytest.mark.parametrize("metadata", [(), (("x-mine", "1"), ("x-mine", "2")), (("x-bytes-bin", b"\0\1\xff"),),
                                      (("traceparent", PARENT), ("tracestate", "a=b"), ("baggage", "k=v"))],
                         ids=["none", "twice", "bytes", "trace"])
def test_unary_is_proxied(pair, model, metadata):
    def both(p):
        reply, first, last = outcome(p, proxied(p, "unary_unary", "Unary"), b"abc", metadata=named(p) + metadata)
        seen = [sorted(set(json.loads(v)) - {"tracestate"}) for k, v in first if k == "seen"]
        return reply, seen, [f for f in first if f[0] != "seen"], last
    assert both(pair) == both(model)


def test_refusal_is_passed_on(pair, model):
    for method, body in (("Unary", b"refuse"), ("Explain", b""), ("Nothing", b"")):
        got = outcome(pair, proxied(pair, "unary_unary", method), body, metadata=named(pair))
        assert got == outcome(model, proxied(model, "unary_unary", method), body, metadata=named(model))
        assert isinstance(got[0], grpc.StatusCode)


def test_nobody_and_nothing(pair, model):
    for metadata in ((("dapr-app-id", "nobody"),), ()):  # in words of the name resolution, and of the tracing
        assert refused(proxied(pair, "unary_unary", "Unary"), b"", metadata=metadata, timeout=30).code() \
            == refused(proxied(model, "unary_unary", "Unary"), b"", metadata=metadata, timeout=30).code()
    metadata = (("dapr-app-id", "a.b.c"),)
    assert outcome(pair, proxied(pair, "unary_unary", "Unary"), b"", metadata=metadata) \
        == outcome(model, proxied(model, "unary_unary", "Unary"), b"", metadata=metadata)


def test_stream_down(pair):
    rpc = proxied(pair, "unary_stream", "Down")(b"1000", metadata=named(pair), timeout=30)
    assert list(rpc) == [b"%d" % i for i in range(1000)]
    assert dict(rpc.trailing_metadata())["sum"] == "1000"
    rpc = proxied(pair, "unary_stream", "Down")(b"0", metadata=named(pair), timeout=30)
    assert list(rpc) == [] and dict(rpc.trailing_metadata())["sum"] == "0"


def test_stream_up(pair):
    words = [b"%d" % i for i in range(1000)]
    assert proxied(pair, "stream_unary", "Up")(iter(words), metadata=named(pair), timeout=30) == b",".join(words)
    assert proxied(pair, "stream_unary", "Up")(iter(()), metadata=named(pair), timeout=30) == b""


def test_stream_both_ways_message_by_message(pair):
    seen = threading.Semaphore(1)

    def requests():
        for i in range(50):
            assert seen.acquire(timeout=20)
            yield b"x%d" % i

    for i, reply in enumerate(proxied(pair, "stream_stream", "Each")(requests(), metadata=named(pair), timeout=30)):
        assert reply == b"X%d" % i
        seen.release()
    assert i == 49


def test_large_messages(pair):
    body = os.urandom(8 << 20)
    assert proxied(pair, "unary_unary", "Unary")(body, metadata=named(pair), timeout=60) == body[::-1]
    pieces = [os.urandom(1 << 20) for _ in range(24)]
    whole = proxied(pair, "stream_unary", "Up")(iter(pieces), metadata=named(pair), timeout=60)
    assert hashlib.sha256(whole).digest() == hashlib.sha256(b",".join(pieces)).digest()


def left(pair):
    end = time.monotonic() + 20 * SLOW
    while not pair.app.anything.left:
        assert time.monotonic() < end
        time.sleep(0.02)
    return pair.app.anything.left.pop()


def test_deadline_and_cancel_arrive(pair):
    anything = pair.app.anything
    call = proxied(pair, "unary_unary", "Hang")
    assert refused(call, b"", metadata=named(pair), timeout=1).code() == grpc.StatusCode.DEADLINE_EXCEEDED
    assert left(pair)[0]
    anything.hanging.clear()
    rpc = call.future(b"", metadata=named(pair), timeout=30)
    assert anything.hanging.wait(10 * SLOW)
    rpc.cancel()
    assert left(pair)[0]


def test_application_that_is_gone(lonely):
    pair, model = lonely
    method, path, *rest = REQUESTS["get"]
    assert over_http(pair, method, path, *rest)[0] == over_http(model, method, path, *rest)[0]
    assert invoke(pair, "a")[0] == invoke(model, "a")[0]
    assert outcome(pair, proxied(pair, "unary_unary", "Unary"), b"", metadata=named(pair))[0] \
        == outcome(model, proxied(model, "unary_unary", "Unary"), b"", metadata=named(model))[0]
