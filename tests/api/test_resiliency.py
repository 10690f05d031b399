# SPDX-License-Identifier: Apache-2.0
"""Resiliency through real sidecars and applications: what is tried again, what is cut off, what a breaker keeps out."""
import http.server
import os
import threading
import time
import urllib.request

import grpc
import pytest
import yaml
from dapr.proto import api_v1, common_v1

from sidecar import LOOPS, SLOW, Sidecar, configuration, free_port


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
