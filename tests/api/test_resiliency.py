# SPDX-License-Identifier: Apache-2.0
"""Resiliency through real sidecars and applications: what is tried again, what is cut off, what a breaker keeps out."""
import http.server
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from concurrent import futures

import grpc
import pytest
import yaml
from dapr.proto import api_v1, common_v1

import subscriber
from sidecar import LOOPS, SLOW, Sidecar, component, configuration, free_port, refused


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def serve(self):
        app = self.server.app
        body = self.body()
        path = self.path.split("?")[0]
        if path.startswith("/dapr/"):
            return self.reply(404, b"")
        with app.lock:
            n = app.calls[path] = app.calls.get(path, 0) + 1
            app.bodies.append(body)
        plan = app.plans.get(path, [200])
        step = plan[min(n, len(plan)) - 1]
        if step == "hang":
            app.released.wait(20)
            step = 200
        return self.reply(step, b"%d" % n)

    def body(self):
        if self.headers.get("transfer-encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("content-length") or 0))
        got = b""
        while True:
            n = int(self.rfile.readline().split(b";")[0], 16)
            got += self.rfile.read(n)
            self.rfile.readline()
            if n == 0:
                return got

    def reply(self, status, body):
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_PUT = serve


class App:
    """plans: path to what each call is answered, the last for all that come after: a status, or "hang"."""

    def __init__(self):
        self.port = free_port()
        self.plans, self.calls, self.bodies = {}, {}, []
        self.lock, self.released = threading.Lock(), threading.Event()
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self.server.daemon_threads = True
        self.server.app = self
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.released.set()
        self.server.shutdown()
        self.server.server_close()


def resiliency(policies, targets=None, name="res", scopes=None):
    r = {"apiVersion": "dapr.io/v1alpha1", "kind": "Resiliency", "metadata": {"name": name},
         "spec": {"policies": policies, "targets": targets or {}}}
    if scopes:
        r["scopes"] = scopes
    return yaml.safe_dump(r)


def names(folder):
    return configuration({"nameResolution": {"component": "sqlite", "version": "v1",
                                             "configuration": {"connectionString": os.path.join(str(folder), "names.db")}}})


POLICIES = {
    "timeouts": {"quick": "300ms"},
    "retries": {"twice": {"duration": "10ms", "maxRetries": 2},
                "some": {"duration": "10ms", "maxRetries": 2, "matching": {"httpStatusCodes": "429,500-502"}},
                "grpcs": {"duration": "10ms", "maxRetries": 2, "matching": {"gRPCStatusCodes": "14-15"}},
                "slowly": {"duration": "60s", "maxRetries": 2}},
    "circuitBreakers": {"three": {"trip": "consecutiveFailures >= 3", "timeout": "1s"}},
}


class Near:
    """A sidecar with policies for the application `far`, which is before an App."""

    def __init__(self, folder, loops, far):
        for name in ("near", "far"):
            os.makedirs(folder / name)
        self.app = App()
        self.near = Sidecar(folder / "near", resiliency(POLICIES, {"apps": {"far": far}}), config=[names(folder)], app_id="near",
                            loops=loops)
        self.far = Sidecar(folder / "far", config=[names(folder)], app_id="far", loops=loops, flags={"app-port": self.app.port})
        self.far.start()
        self.near.start()

    def post(self, path, body=b"text", headers=None):
        return self.near.request("POST", "/v1.0/invoke/far/method" + path, body, headers)

    def stop(self):
        self.app.released.set()
        self.near.stop()
        self.far.stop()
        self.app.stop()


@pytest.fixture
def make(request, tmp_path):
    made = []

    def one(far, loops=1):
        made.append(Near(tmp_path, loops, far))
        return made[-1]
    yield one
    for m in made:
        m.stop()


@pytest.mark.parametrize("loops", LOOPS)
def test_failures_are_tried_again(make, loops):
    n = make({"retry": "twice"}, loops)
    n.app.plans = {"/a": [500, 503, 200], "/b": [404], "/c": [302]}
    a = n.post("/a", b"again and again")
    assert (a.status, a.body, n.app.calls["/a"]) == (200, b"3", 3)
    assert n.app.bodies == [b"again and again"] * 3
    a = n.post("/b")
    assert (a.status, a.body, n.app.calls["/b"]) == (404, b"3", 3), "the last answer is the answer"
    assert (n.post("/c").status, n.app.calls["/c"]) == (302, 1)
    assert "Error processing operation endpoint[far, far:a]. Retrying in 10ms" in n.near.log()
    assert "Recovered processing operation endpoint[far, far:a] after 3 attempts" in n.near.log()
    assert n.near.counted("dapr_resiliency_loaded", name="res") == 1
    assert n.near.counted("dapr_resiliency_count", policy="retry", target="app_far", flow_direction="outbound") == 3
    assert n.near.counted("dapr_resiliency_activations_total", policy="retry", target="app_far") == 2


def test_only_codes_that_match(make):
    n = make({"retry": "some"})
    n.app.plans = {"/a": [503], "/b": [429], "/c": [501]}
    assert (n.post("/a").status, n.app.calls["/a"]) == (503, 1)
    assert (n.post("/b").status, n.app.calls["/b"]) == (429, 3)
    assert (n.post("/c").status, n.app.calls["/c"]) == (501, 3)


def test_a_large_body_is_sent_again(make):
    n = make({"retry": "twice"})
    n.app.plans = {"/a": [500, 200]}
    body = os.urandom(1 << 20)
    assert n.post("/a", body).status == 200
    assert n.app.bodies == [body, body]


def test_an_endless_body_is_not_sent_again(make):
    n = make({"retry": "twice"})
    n.app.plans = {"/a": [500, 200]}
    got = n.near.raw(b"POST /v1.0/invoke/far/method/a HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
                     b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n", seconds=10)
    assert got.startswith(b"HTTP/1.1 500") and n.app.bodies == [b"onetwo"]


def test_a_try_that_takes_too_long_is_cut_off(make):
    n = make({"timeout": "quick"})
    n.app.plans = {"/a": ["hang"]}
    a = n.post("/a")
    assert (a.status, a.code) == (500, "ERR_DIRECT_INVOKE")
    assert a.message == "failed to invoke, id: far, err: context deadline exceeded"
    assert n.near.counted("dapr_resiliency_activations_total", policy="timeout", target="app_far") == 1


def test_a_try_that_takes_too_long_is_tried_again(make):
    n = make({"timeout": "quick", "retry": "twice"})
    n.app.plans = {"/a": ["hang", 200]}
    assert (n.post("/a").status, n.app.calls["/a"]) == (200, 2)


@pytest.mark.parametrize("loops", LOOPS)
def test_a_breaker_keeps_out_and_lets_in_again(make, loops):
    n = make({"circuitBreaker": "three"}, loops)
    n.app.plans = {"/a": [500, 500, 500, 200]}
    assert [n.post("/a").status for _ in range(3)] == [500] * 3
    a = n.post("/a")
    assert (a.status, a.message) == (500, "failed to invoke, id: far, err: circuit breaker is open")
    assert n.app.calls["/a"] == 3
    assert n.post("/other").status == 200, "each method has its own"
    assert n.near.counted("dapr_resiliency_activations_total", policy="circuitbreaker", status="open") == 1
    end = time.monotonic() + 20 * SLOW
    while n.post("/a").status != 200:
        assert time.monotonic() < end
        time.sleep(0.1)
    assert n.app.calls["/a"] == 4
    assert n.near.counted("dapr_resiliency_cb_state", status="closed", target="app_far") == 1
    assert n.near.counted("dapr_resiliency_cb_state", status="open", target="app_far") == 0


def test_who_leaves_is_waited_for_no_longer(make):
    n = make({"retry": "slowly"})
    n.app.plans = {"/a": [500]}
    with pytest.raises(OSError):
        urllib.request.urlopen(urllib.request.Request("http://127.0.0.1:%d/v1.0/invoke/far/method/a" % n.near.http, b"x"), timeout=2)
    assert n.app.calls["/a"] == 1
    n.near.stop()  # ends in time, and well, though the next try is a minute away


def test_invoke_service_has_the_same_policy(make):
    n = make({"retry": "twice", "timeout": "quick"})
    n.app.plans = {"/a": [500, 200], "/b": ["hang"], "/c": [404]}

    def invoke(method):
        q = api_v1.InvokeServiceRequest(id="far", message=common_v1.InvokeRequest(method=method))
        q.message.http_extension.verb = common_v1.HTTPExtension.POST
        return n.near.rpc.InvokeService.with_call(q)
    reply, call = invoke("a")
    assert reply.data.value == b"2"
    assert [v for k, v in call.initial_metadata() if k == "dapr-http-status"] == ["200"], "of the last try alone"
    with pytest.raises(grpc.RpcError) as e:
        invoke("b")
    assert (e.value.code(), e.value.details()) == (grpc.StatusCode.DEADLINE_EXCEEDED, "context deadline exceeded")
    with pytest.raises(grpc.RpcError) as e:
        invoke("c")
    assert e.value.code() == grpc.StatusCode.NOT_FOUND
    assert n.app.calls["/c"] == 3


def test_a_bad_resource_is_named_and_left_out(tmp_path):
    bad = resiliency({"retries": {"r": {"matching": {"httpStatusCodes": "11"}}}}, name="wrong")
    s = Sidecar(tmp_path, bad, resiliency({}, name="elsewhere", scopes=["another"])).start()
    log = s.log()
    assert "Could not read resiliency policy wrong: %s/0.yaml:" % s.resources in log
    assert "spec.policies.retries.r.matching.httpStatusCodes" in log
    assert "elsewhere" not in log
    s.stop()


# -- proxied gRPC

class Echo(grpc.GenericRpcHandler):
    """test.Echo: plan holds the code each call of a method ends with, OK when it is used up."""

    def __init__(self):
        self.plan, self.calls, self.lock = {}, [], threading.Lock()

    def service(self, details):
        def enter(request, context):
            with self.lock:
                self.calls.append(request)
                code = self.plan[details.method].pop(0) if self.plan.get(details.method) else None
            if code == "hang":
                while context.is_active():
                    time.sleep(0.01)
            elif code:
                context.set_trailing_metadata((("try", str(len(self.calls))),))
                context.abort(getattr(grpc.StatusCode, code), "as planned")

        def unary(request, context):
            enter(request, context)
            context.set_trailing_metadata((("try", str(len(self.calls))),))
            return request[::-1]

        def each(requests, context):
            for r in requests:
                enter(r, context)
                yield r.upper()

        kinds = {"/test.Echo/Unary": grpc.unary_unary_rpc_method_handler(unary),
                 "/test.Echo/Each": grpc.stream_stream_rpc_method_handler(each)}
        return kinds.get(details.method)


@pytest.fixture
def proxied(tmp_path):
    made = []

    def go(far, loops=1):
        for name in ("near", "far"):
            os.makedirs(tmp_path / name)
        echo, port = Echo(), free_port()
        server = grpc.server(futures.ThreadPoolExecutor(16))
        server.add_generic_rpc_handlers((echo,))
        server.add_insecure_port("127.0.0.1:%d" % port)
        server.start()
        near = Sidecar(tmp_path / "near", resiliency(POLICIES, {"apps": {"far": far}}), config=[names(tmp_path)], app_id="near",
                       loops=loops)
        beyond = Sidecar(tmp_path / "far", config=[names(tmp_path)], app_id="far", loops=loops,
                         flags={"app-port": port, "app-protocol": "grpc"})
        made.extend([near, beyond])
        beyond.start()
        near.start()
        made.append(server)
        return near, echo

    yield go
    for m in made:
        m.stop(*([None] if isinstance(m, grpc.Server) else []))


FAR = (("dapr-app-id", "far"),)


@pytest.mark.parametrize("loops", LOOPS)
def test_a_proxied_call_is_tried_again(proxied, loops):
    near, echo = proxied({"retry": "grpcs"}, loops)
    unary = near.channel().unary_unary("/test.Echo/Unary")
    echo.plan["/test.Echo/Unary"] = ["UNAVAILABLE", "DATA_LOSS"]
    big = os.urandom(1 << 20)
    reply, call = unary.with_call(big, metadata=FAR, timeout=20)
    assert reply == big[::-1] and echo.calls == [big] * 3
    assert [v for k, v in call.trailing_metadata() if k == "try"] == ["3"], "of the last try alone"
    del echo.calls[:]
    echo.plan["/test.Echo/Unary"] = ["NOT_FOUND", "NOT_FOUND"]
    e = refused(unary, b"x", metadata=FAR, timeout=20)
    assert (e.code(), e.details(), len(echo.calls)) == (grpc.StatusCode.NOT_FOUND, "as planned", 1)
    del echo.calls[:]
    echo.plan["/test.Echo/Unary"] = ["UNAVAILABLE"] * 9
    e = refused(unary, b"x", metadata=FAR, timeout=20)
    assert (e.code(), len(echo.calls)) == (grpc.StatusCode.UNAVAILABLE, 3)


def test_a_proxied_stream_cannot_be_tried_again(proxied):
    near, echo = proxied({"retry": "grpcs"})
    each = near.channel().stream_stream("/test.Echo/Each")
    e = refused(list, each(iter([b"a", b"b"]), metadata=FAR, timeout=20))
    assert (e.code(), e.details()) == (grpc.StatusCode.FAILED_PRECONDITION,
                                       "cannot use resiliency policies with retries on streaming RPCs")
    said = FAR + (("dapr-stream", "true"),)
    assert list(each(iter([b"a", b"b", b"c"]), metadata=said, timeout=20)) == [b"A", b"B", b"C"]


def test_a_proxied_call_is_cut_off(proxied):
    near, echo = proxied({"timeout": "quick", "retry": "grpcs"})
    unary = near.channel().unary_unary("/test.Echo/Unary")
    echo.plan["/test.Echo/Unary"] = ["hang"]
    assert unary(b"ab", metadata=FAR, timeout=20) == b"ba" and len(echo.calls) == 2
    echo.plan["/test.Echo/Unary"] = ["hang"] * 9
    e = refused(unary, b"x", metadata=FAR, timeout=20)
    assert (e.code(), e.details()) == (grpc.StatusCode.DEADLINE_EXCEEDED, "context deadline exceeded")


def test_a_breaker_keeps_proxied_calls_out(proxied):
    near, echo = proxied({"circuitBreaker": "three"})
    unary = near.channel().unary_unary("/test.Echo/Unary")
    echo.plan["/test.Echo/Unary"] = ["INTERNAL"] * 9
    for _ in range(3):
        assert refused(unary, b"x", metadata=FAR, timeout=20).code() == grpc.StatusCode.INTERNAL
    e = refused(unary, b"x", metadata=FAR, timeout=20)
    assert (e.code(), e.details(), len(echo.calls)) == (grpc.StatusCode.UNKNOWN, "circuit breaker is open", 3)


# -- components

COMPONENTS = {"components": {"store": {"outbound": {"retry": "twice"}}, "slow": {"outbound": {"timeout": "quick"}},
                             "shut": {"outbound": {"circuitBreaker": "three"}}, "bus": {"inbound": {"retry": "twice"}}}}


PEER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "data/pluggable_peer.py")


def store(name):
    return component(name, "state.memory")


@pytest.fixture
def peer(tmp_path):
    """A state store in a process of its own: (the folder of its socket, the file of its calls)."""
    folder = tempfile.mkdtemp(prefix="davit-", dir="/tmp")  # a socket's path is short
    calls = os.path.join(str(tmp_path), "calls")
    options = json.dumps({"features": ["ETAG"], "calls": calls})
    process = subprocess.Popen([sys.executable, PEER, os.path.join(folder, "memory.sock"), options], stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"serves\n"
    yield folder, calls
    process.kill()
    process.wait()
    process.stdout.close()
    shutil.rmtree(folder)


@pytest.fixture
def begin(start, peer):
    return lambda *resources, **options: start(*resources, env={"DAPR_COMPONENTS_SOCKETS_FOLDER": peer[0]}, **options)


@pytest.mark.parametrize("loops", LOOPS)
def test_operations_of_a_store(begin, peer, loops):
    s = begin(resiliency(POLICIES, COMPONENTS), store("store"), store("slow"), store("shut"), loops=loops)
    assert s.read("code-UNAVAILABLE", store="store").status == 500
    assert s.counted("dapr_resiliency_activations_total", policy="retry", target="Statestore_store") == 1
    assert s.save("k", 1).status == 204
    assert s.save("k", 2, etag="wrong").status == 409, "an ETag that does not fit stays so"
    assert s.counted("dapr_resiliency_activations_total", policy="retry", target="Statestore_store") == 1
    a = s.read("slow", store="slow")
    assert (a.status, a.code) == (500, "ERR_STATE_GET") and a.message.endswith("context deadline exceeded")
    end = time.monotonic() + 10 * SLOW
    while "gone\n" not in open(peer[1], encoding="utf-8").readlines():
        assert time.monotonic() < end, "the store was not told that nobody waits"
        time.sleep(0.02)
    for _ in range(3):
        s.read("code-INTERNAL", store="shut")
    a = s.read("k", store="shut")
    assert a.status == 500 and a.message.endswith("circuit breaker is open")
    assert s.get("/v1.0/metadata").json["resiliencies"] == [{"name": "res"}]
    assert [r.name for r in s.rpc.GetMetadata(api_v1.GetMetadataRequest()).resiliencies] == ["res"]


def test_many_keys_side_by_side(begin):
    s = begin(resiliency(POLICIES, {"components": {"store": {"outbound": {"retry": "twice", "timeout": "quick"}}}}), store("store"))
    for i in range(50):
        s.save("k%d" % i, i)
    keys = ["k%d" % i for i in range(50)]
    a = s.post("/v1.0/state/store/bulk", {"keys": keys, "parallelism": 50})
    assert sorted((v["key"], v["data"]) for v in a.json) == sorted(zip(keys, range(50)))


@pytest.mark.parametrize("bulk", [False, True])
def test_what_the_application_refuses_is_sent_again(start, bulk):
    app = subscriber.HttpApp()
    more = {"bulkSubscribe": {"enabled": True, "maxMessagesCount": 10, "maxAwaitDurationMs": 50}} if bulk else {}
    s = start(resiliency(POLICIES, COMPONENTS), component("bus", "pubsub.in-memory"),
              subscriber.subscription("s", "t", route="/in", deadLetterTopic="dead", **more),
              subscriber.subscription("d", "dead", route="/dead"), flags={"app-port": app.port})
    app.answer("/in", (500, b""), (503, b""))
    if bulk:
        app.answer("/in", (200, lambda came: json.dumps({"statuses": [{"entryId": e["entryId"], "status": "SUCCESS"}
                                                                      for e in came["entries"]]}).encode()))
    assert s.post("/v1.0/publish/bus/t", "one", headers={"content-type": "text/plain"}).status == 204
    assert [app.receive().path for _ in range(3)] == ["/in"] * 3
    assert app.nothing()
    app.answer("/in", *[(500, b"")] * 3)
    assert s.post("/v1.0/publish/bus/t", "two", headers={"content-type": "text/plain"}).status == 204
    assert [app.receive().path for _ in range(4)] == ["/in"] * 3 + ["/dead"]
    # What comes in is counted as it is subscribed to, not message by message.
    assert s.counted("dapr_resiliency_count", target="Pubsub_bus", flow_direction="inbound", policy="retry") == 2
    s.stop()
    app.stop()


def test_the_end_does_not_wait_for_the_next_try(start):
    app = subscriber.HttpApp()
    s = start(resiliency(POLICIES, {"components": {"bus": {"inbound": {"retry": "slowly"}}}}), component("bus", "pubsub.in-memory"),
              subscriber.subscription("s", "t", route="/in"), flags={"app-port": app.port, "dapr-graceful-shutdown-seconds": "2"})
    app.answer("/in", (500, b""))
    s.post("/v1.0/publish/bus/t", "one", headers={"content-type": "text/plain"})
    app.receive()
    s.wait_log("Retrying in 1m0s")
    s.stop()
    app.stop()
