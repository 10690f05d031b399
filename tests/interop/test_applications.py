# SPDX-License-Identifier: Apache-2.0
"""Applications (apps/) behind a sidecar, each a process of its own: they subscribe, answer SUCCESS, RETRY and DROP, and are invoked
through another sidecar. And the official SDKs as their callers."""
import collections
import importlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time

import grpc
import pytest
from dapr.aio.clients import DaprClient as AsyncClient
from dapr.clients import DaprClient
from dapr.clients.grpc._response import TopicEventResponse
from dapr.conf import settings
from dapr.proto import api_v1, common_v1

from invoked import names
from sidecar import SLOW, Sidecar, component, free_port
from subscriber import subscription

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "apps")
NODE = os.path.abspath("build/node")
# Of each: its program, the protocol, whether a file subscribes it to a topic more.
Kind = collections.namedtuple("Kind", "words protocol declared")
KINDS = {
    "flask": Kind([sys.executable, "flask_app.py"], "http", True),
    "fastapi": Kind([sys.executable, "fastapi_app.py"], "http", True),
    "grpc-extension": Kind([sys.executable, "grpc_extension_app.py"], "grpc", False),
    "generated": Kind([sys.executable, "generated_app.py"], "grpc", True),
    "express": Kind(["node", "express_app.mjs", NODE], "http", True),
    "javascript-http": Kind(["node", "sdk_app.mjs", NODE, "http"], "http", False),
    "javascript-grpc": Kind(["node", "sdk_app.mjs", NODE, "grpc"], "grpc", False),
}


def generate(folder):
    """Python from Dapr's .proto files and the application's own, as its author would."""
    from grpc_tools import protoc
    proto, include = os.path.abspath("kernel/proto"), os.path.join(os.path.dirname(importlib.import_module("grpc_tools").__file__), "_proto")
    wanted = ["dapr/proto/common/v1/common.proto", "dapr/proto/runtime/v1/appcallback.proto"]
    for root, files in ((proto, [os.path.join(proto, name) for name in wanted]), (HERE, [HERE + "/stock.proto"])):
        assert protoc.main(["protoc", "-I" + root, "-I" + include, "--python_out=" + folder, "--grpc_python_out=" + folder, *files]) == 0
    return folder


class Shop:
    """far before the application, near without one, a bus for both."""

    def __init__(self, folder, name, kind):
        self.name, self.kind, self.port = name, kind, free_port()
        bus = component("bus", "pubsub.sqlite", {"connectionString": "file:%s/bus.db" % folder, "redeliverInterval": "300ms"})
        declared = [subscription("declared", "declared", route="/declared", scopes=["shop"])] if kind.declared else []
        self.far = Sidecar(folder / "far", bus, *declared, config=[names(folder)], app_id="shop",
                           flags={"app-port": self.port, "app-protocol": kind.protocol})
        self.near = Sidecar(folder / "near", bus, config=[names(folder)], app_id="near")
        words = [*kind.words, str(self.port)] + ([str(self.far.http if kind.protocol == "http" else self.far.grpc_port)]
                                                 if name.startswith("javascript") else [])
        env = dict(os.environ, LD_PRELOAD="")
        if name == "generated":
            os.makedirs(folder / "generated")
            env["PYTHONPATH"] = generate(str(folder / "generated"))
        self.log = open(folder / "log", "wb")
        self.process = subprocess.Popen(words, cwd=HERE, env=env, stdout=self.log, stderr=self.log, stdin=subprocess.DEVNULL)
        try:
            self.await_port(str(folder / "log"))
            self.far.start()
            self.near.start()
            self.far.wait_log("app is subscribed to the following topics", 20)
        except BaseException:
            self.stop()
            raise

    def await_port(self, log):
        end = time.monotonic() + 40 * SLOW
        while True:
            try:
                return socket.create_connection(("127.0.0.1", self.port), 1).close()
            except OSError:
                if self.process.poll() is not None or time.monotonic() > end:
                    with open(log, encoding="utf-8", errors="replace") as f:
                        raise AssertionError(f.read()) from None
                time.sleep(0.05)

    def said(self, body):
        """The text that the application was sent; the JavaScript SDK's server hands on JSON of it."""
        return json.loads(body) if self.name == "javascript-http" else body

    def came(self):
        answer = self.near.get("/v1.0/invoke/shop/method/came")
        assert answer.status == 200, answer
        return collections.Counter(answer.json)

    def publish(self, n, topic="orders", **more):
        assert self.near.post("/v1.0/publish/bus/" + topic, dict(more, n=n), headers={"content-type": "application/json"}).status == 204

    def await_orders(self, wanted, seconds=20):
        end = time.monotonic() + seconds * SLOW
        while True:
            came = self.came()
            if all(came[n] >= times for n, times in wanted.items()) or time.monotonic() > end:
                assert {n: came[n] for n in wanted} == wanted
                return
            time.sleep(0.05)

    def stop(self):
        for s in (self.near, self.far):
            s.stop()
        self.process.kill()
        self.process.wait()
        self.log.close()


@pytest.fixture(scope="module", params=KINDS)
def shop(request, tmp_path_factory):
    kind = KINDS[request.param]
    if kind.words[0] == "node" and (shutil.which("node") is None or not os.path.isdir(NODE + "/node_modules/@dapr/dapr")):
        pytest.skip("node or @dapr/dapr is not installed (make check installs both)")
    s = Shop(tmp_path_factory.mktemp(request.param), request.param, kind)
    yield s
    s.stop()


def test_orders_are_taken_retried_and_dropped(shop):
    shop.publish(1)
    shop.publish(2, answer="retry")
    shop.publish(3, answer="drop")
    shop.await_orders({1: 1, 2: 2, 3: 1})
    time.sleep(0.7)  # longer than it takes to come again
    shop.await_orders({1: 1, 2: 2, 3: 1})


def test_orders_over_grpc_and_in_bulk(shop):
    shop.near.rpc.PublishEvent(api_v1.PublishEventRequest(pubsub_name="bus", topic="orders", data=b'{"n": 11}',
                                                          data_content_type="application/json"))
    entries = [{"entryId": str(n), "event": {"n": n}, "contentType": "application/json"} for n in (12, 13)]
    assert shop.near.post("/v1.0/publish/bulk/bus/orders", entries, headers={"content-type": "application/json"}).status == 204
    shop.await_orders({11: 1, 12: 1, 13: 1})


def test_topic_that_a_file_declares(shop):
    if shop.kind.declared:
        shop.publish(21, topic="declared")
        shop.publish(22, topic="declared", answer="retry")
        shop.await_orders({21: 1, 22: 2})


def test_invoked_over_http(shop):
    for method in ("GET", "POST", "PUT", "DELETE") if shop.kind.protocol == "http" and not shop.name.startswith("javascript") else ("POST",):
        answer = shop.near.request(method, "/v1.0/invoke/shop/method/echo?a=1&b=%20c", b"hello" if method != "GET" else None,
                                   headers={"x-mine": "7", "content-type": "text/plain"})
        assert answer.status == 200, answer
        told = answer.json
        assert told["method"] == method and (method == "GET" or shop.said(told["body"]) == "hello")
        if shop.kind.protocol == "http" and not shop.name.startswith("javascript"):
            assert told["query"] == {"a": "1", "b": " c"}
        if shop.name != "javascript-grpc":  # which hands on no metadata
            assert told["mine"] == "7"


def test_invoked_over_grpc(shop):
    message = common_v1.InvokeRequest(method="echo", content_type="text/plain", http_extension=common_v1.HTTPExtension(verb="POST"))
    message.data.value = b"hello"
    reply = shop.near.rpc.InvokeService(api_v1.InvokeServiceRequest(id="shop", message=message))
    assert shop.said(json.loads(reply.data.value)["body"]) == "hello"


def test_refusal_keeps_its_status(shop):
    if shop.name in ("flask", "fastapi", "express"):
        answer = shop.near.get("/v1.0/invoke/shop/method/refuse")
        assert (answer.status, answer.body) == (418, b"not today")


def test_generated_service_is_passed_on(shop):
    if shop.name != "generated":
        return

    def wish(item, amount):  # of stock.proto: 1 is a string, 2 an int32
        return b"\x0a" + bytes([len(item)]) + item + b"\x10" + bytes([amount])
    channel, to = shop.near.channel(), {"metadata": (("dapr-app-id", "shop"),), "timeout": 20}
    reserve = channel.unary_unary("/stock.Stock/Reserve")
    assert reserve(wish(b"mouse", 3), **to) == wish(b"mouse", 7)
    with pytest.raises(grpc.RpcError) as e:
        reserve(b"", **to)
    assert (e.value.code(), e.value.details()) == (grpc.StatusCode.INVALID_ARGUMENT, "nothing to reserve")
    assert list(channel.unary_stream("/stock.Stock/Watch")(wish(b"m", 2), **to)) == [wish(b"m", 2), wish(b"m", 1), b"\x0a\x01m"]
    assert channel.stream_unary("/stock.Stock/Deliver")((wish(b"a", i) for i in range(1, 5)), **to) == wish(b"all", 10)
    assert list(channel.stream_stream("/stock.Stock/Talk")((wish(b"a", i) for i in range(1, 5)), **to)) == [wish(b"a", i) for i in range(1, 5)]


# ---- The SDKs as callers ----


@pytest.fixture
def client(shop, monkeypatch):
    monkeypatch.setattr(settings, "DAPR_HTTP_PORT", shop.near.http)
    monkeypatch.setattr(settings, "DAPR_RUNTIME_HOST", "127.0.0.1")
    with DaprClient("127.0.0.1:%d" % shop.near.grpc_port) as c:
        yield c


def test_python_sdk_publishes(shop, client):
    client.publish_event("bus", "orders", json.dumps({"n": 31}), data_content_type="application/json")
    client.publish_event("bus", "orders", json.dumps({"n": 32, "answer": "retry"}), data_content_type="application/json",
                         publish_metadata={"x-mine": "1"})
    answer = client.publish_events("bus", "orders", [json.dumps({"n": n}) for n in (33, 34)], data_content_type="application/json")
    assert not answer.failed_entries
    shop.await_orders({31: 1, 32: 2, 33: 1, 34: 1})


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_python_sdk_invokes(shop, protocol, monkeypatch):
    monkeypatch.setattr(settings, "DAPR_API_METHOD_INVOCATION_PROTOCOL", protocol)
    monkeypatch.setattr(settings, "DAPR_HTTP_PORT", shop.near.http)
    monkeypatch.setattr(settings, "DAPR_RUNTIME_HOST", "127.0.0.1")
    with DaprClient("127.0.0.1:%d" % shop.near.grpc_port) as c:
        answer = c.invoke_method("shop", "echo", "hello", content_type="text/plain", http_verb="POST")
    assert shop.said(json.loads(answer.data)["body"]) == "hello"


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_javascript_sdk_publishes_and_invokes(shop, protocol):
    if shutil.which("node") is None or not os.path.isdir(NODE + "/node_modules/@dapr/dapr"):
        pytest.skip("node or @dapr/dapr is not installed (make check installs both)")
    if shop.name not in ("express", "javascript-http", "javascript-grpc", "generated"):
        return
    first = 100 if protocol == "http" else 200
    port = shop.near.http if protocol == "http" else shop.near.grpc_port
    p = subprocess.run(["node", "sdk_client.mjs", NODE, protocol, str(port), str(first)], cwd=HERE, capture_output=True, text=True,
                       timeout=60 * SLOW, check=False)
    assert p.returncode == 0, p.stdout + p.stderr
    shop.await_orders({first: 1, first + 1: 2, first + 2: 1, first + 3: 1, first + 4: 1})


# ---- Streams of Dapr's Python SDK, which need no application ----


@pytest.fixture
def alone(tmp_path, monkeypatch):
    s = Sidecar(tmp_path / "s", component("bus", "pubsub.sqlite", {"connectionString": "file:%s/bus.db" % tmp_path,
                                                                   "redeliverInterval": "300ms"})).start()
    monkeypatch.setattr(settings, "DAPR_HTTP_PORT", s.http)
    monkeypatch.setattr(settings, "DAPR_RUNTIME_HOST", "127.0.0.1")
    yield s
    s.stop()


def test_python_sdk_subscribes_by_a_stream(alone):
    with DaprClient("127.0.0.1:%d" % alone.grpc_port) as c:
        stream = c.subscribe("bus", "t")
        for n in range(3):
            c.publish_event("bus", "t", json.dumps({"n": n}), data_content_type="application/json")
        came = []
        while sorted(set(came)) != [0, 1, 2] or len(came) < 4:
            message = stream.next_message()
            came.append(message.data()["n"])
            assert (message.topic(), message.pubsub_name()) == ("t", "bus")
            if message.data()["n"] == 1 and came.count(1) == 1:
                stream.respond_retry(message)
            elif message.data()["n"] == 2:
                stream.respond_drop(message)
            else:
                stream.respond_success(message)
        assert sorted(came) == [0, 1, 1, 2]
        stream.close()


def test_python_sdk_subscribes_with_a_handler(alone):
    came = []

    def handle(message):
        came.append(message.data()["n"])
        return TopicEventResponse("retry" if came.count(1) == 1 and came[-1] == 1 else "success")

    with DaprClient("127.0.0.1:%d" % alone.grpc_port) as c:
        close = c.subscribe_with_handler("bus", "t", handle)
        for n in range(3):
            c.publish_event("bus", "t", json.dumps({"n": n}), data_content_type="application/json")
        end = time.monotonic() + 20 * SLOW
        while len(came) < 4 and time.monotonic() < end:
            time.sleep(0.05)
        assert sorted(came) == [0, 1, 1, 2]
        close()


def test_python_sdk_subscribes_asynchronously(alone):
    import asyncio

    async def run():
        async with AsyncClient("127.0.0.1:%d" % alone.grpc_port) as c:
            stream = await c.subscribe("bus", "t")
            await c.publish_event("bus", "t", json.dumps({"n": 7}), data_content_type="application/json")
            message = await asyncio.wait_for(stream.next_message(), 20 * SLOW)
            await stream.respond_success(message)
            await stream.close()
            return message.data()

    assert asyncio.run(run()) == {"n": 7}
