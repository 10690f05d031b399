# SPDX-License-Identifier: Apache-2.0
"""Service invocation: from a client through two sidecars to an application, by HTTP and gRPC."""
import base64
import hashlib
import http.client
import json
import os
import re
import socket
import threading
import time

import grpc
import pytest
from dapr.proto import api_v1, common_v1

from invoked import GrpcApp, HttpApp, Pair, ask
from sidecar import LOOPS, SLOW, Sidecar, details, refused

MIB = 1 << 20


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


@pytest.mark.parametrize("status", [101, 201, 204, 302, 400, 404, 418, 500, 503])
def test_status_is_the_applications(pair, status):
    got, headers, body = ask(pair.near.http, "POST", "/v1.0/invoke/far/method/status", str(status).encode())
    assert (got, headers["x-reason"]) == (status, "asked")
    assert body == (b"" if status in (101, 204) else b"as asked")


@pytest.mark.parametrize("path,seen", [("a/../b", "/b"), ("a//b", "/a/b"), ("../../x", "/x"), ("a%20b", "/a%20b"),
                                       ("a%2Fb", "/a/b"), ("", "/")])
def test_path_is_made_canonical_once(pair, path, seen):
    assert json.loads(ask(pair.near.http, "GET", "/v1.0/invoke/far/method/" + path)[2])["path"] == seen


@pytest.mark.parametrize("path", ["a%23b", "a%3Fb", "a%00b", "a%0Ab"])
def test_forbidden_characters_are_refused(pair, path):
    status, _, body = ask(pair.near.http, "GET", "/v1.0/invoke/far/method/" + path)
    assert status == 500 and json.loads(body)["errorCode"] == "ERR_DIRECT_INVOKE"
    assert "code = InvalidArgument desc = invalid method: method contains" in json.loads(body)["message"]


@pytest.mark.parametrize("path", ["/v1.0/invoke/far/method/a%zz", "/a%"])
def test_broken_escape_is_refused(pair, path):
    assert ask(pair.near.http, "GET", path)[0] == 400


@pytest.mark.parametrize("status,body,kind", [
    (200, b"text", "text/plain; charset=utf-8"), (200, b" <HTML >", "text/html; charset=utf-8"), (200, b"<?xml ", "text/xml; charset=utf-8"),
    (200, b"{}", "text/plain; charset=utf-8"), (201, b"\0\1", "application/octet-stream"), (302, b"GIF89a", "image/gif"),
    (200, b"RIFF1234WAVE", "audio/wave"), (200, b"<p", "text/plain; charset=utf-8"), (200, b"", None), (404, b"x", "application/json"),
    (500, b"", "application/json")])
def test_kind_that_the_application_does_not_say(pair, status, body, kind):
    for port in (pair.near.http, pair.far.http):
        got, headers, came = ask(port, "POST", "/v1.0/invoke/far/method/untold?%d" % status, body)
        assert (got, headers.get("content-type"), came) == (status, kind, body)
        assert body or kind or headers["content-length"] == "0"


@pytest.mark.parametrize("port,before", [("near", "rpc error: code = Internal desc = error invoking app channel: "), ("far", "")])
def test_connection_that_the_application_closes(pair, port, before):
    status, _, body = ask(getattr(pair, port).http, "POST", "/v1.0/invoke/far/method/close", b"x")
    assert status == 500
    assert json.loads(body)["message"] == 'failed to invoke, id: far, err: %sPost "http://127.0.0.1:%d/close": EOF' % (
        before, pair.app.port)


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


def far_again(pair, app, folder, protocol="http"):
    os.makedirs(folder)
    names_of_pair = pair.near.flags["config"][0]
    return Sidecar(folder, app_id="far", flags={"app-port": app.port, "app-protocol": protocol, "config": names_of_pair}).start()


def test_sidecar_that_moves_is_found_again(tmp_path):
    """Its address was learnt a moment ago, and nobody is there any more."""
    p = Pair(tmp_path, GrpcApp(), protocol="grpc")
    channel, metadata = proxied(p.near)
    with channel:
        unary = channel.unary_unary("/test.Echo/Unary")
        for i in range(3):
            assert unary(b"ab", metadata=metadata, timeout=20) == b"ba"
            moved = far_again(p, p.app, tmp_path / str(i), protocol="grpc")
            p.far.stop()
            p.far = moved
        assert unary(b"ab", metadata=metadata, timeout=20) == b"ba"
        p.far.stop()
        p.far = far_again(p, p.app, tmp_path / "last", protocol="grpc")
        assert ask(p.near.http, "GET", "/v1.0/invoke/far/method/do")[0] == 200
    p.stop()


def test_two_sidecars_of_a_name_share_its_calls(tmp_path):
    apps = [HttpApp(), HttpApp()]
    p = Pair(tmp_path, apps[0])
    other = far_again(p, apps[1], tmp_path / "other")
    for a in apps:
        a.arrived.clear()
    end = time.monotonic() + 20 * SLOW
    while not all(a.arrived.is_set() for a in apps):
        assert ask(p.near.http, "GET", "/v1.0/invoke/far/method/a")[0] == 200
        assert time.monotonic() < end
    other.stop()
    apps[1].stop()
    p.stop()


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


DETAILS = [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "BUSY", "domain": "test", "metadata": {"until": "noon"}},
           {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "3.250s"},
           {"@type": "type.googleapis.com/google.rpc.BadRequest",
            "fieldViolations": [{"field": "a", "description": '"b"'}, {"field": "c"}]},
           {"@type": "type.googleapis.com/google.rpc.DebugInfo", "stackEntries": ["x", "y"], "detail": "z"}]


@pytest.mark.parametrize("which", ["near", "far"])
def test_details_of_a_refusal_arrive(grpc_pair, which):
    sidecar = getattr(grpc_pair, which)
    status, headers, body = ask(sidecar.http, "POST", "/v1.0/invoke/far/method/explain")
    assert (status, headers["content-type"]) == (409, "text/plain; charset=utf-8")
    assert json.loads(body) == {"code": 10, "message": "see the detail", "details": DETAILS}
    e = refused(sidecar.rpc.InvokeService, api_v1.InvokeServiceRequest(id="far", message=common_v1.InvokeRequest(method="explain")))
    assert (e.code(), e.details()) == (grpc.StatusCode.ABORTED, "see the detail")
    found = details(e)
    assert found["ErrorInfo"].metadata == {"until": "noon"} and found["RetryInfo"].retry_delay.seconds == 3
    assert [v.field for v in found["BadRequest"].field_violations] == ["a", "c"]


def test_trailers_of_a_refusal_are_no_headers(grpc_pair):
    assert "why" not in ask(grpc_pair.near.http, "POST", "/v1.0/invoke/far/method/refuse")[1]


def test_state_of_the_trace_arrives_at_a_grpc_application(grpc_pair):
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    body = ask(grpc_pair.near.http, "GET", "/v1.0/invoke/far/method/do", headers={"traceparent": parent, "tracestate": "a=b"})[2]
    assert json.loads(body.split(b"\n")[0])["metadata"]["tracestate"] == "a=b"


@pytest.mark.parametrize("which", ["near", "far"])
def test_stream_without_a_message_keeps_its_trailers(grpc_pair, which):
    """Its answer is one block of fields, which are trailers."""
    channel, metadata = proxied(getattr(grpc_pair, which))
    with channel:
        call = channel.unary_stream("/test.Echo/Down")(b"0", metadata=metadata, timeout=20)
        assert list(call) == [] and ("sum", "0") in list(call.trailing_metadata())


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
        trace = (("traceparent", "00-11f7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"), ("tracestate", "a=b"))
        seen = json.loads(dict(unary.with_call(b"abc", metadata=metadata + trace, timeout=20)[1].initial_metadata())["seen"])
        assert seen.count("tracestate") == 1
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
