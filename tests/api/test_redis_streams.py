# SPDX-License-Identifier: Apache-2.0
"""pubsub.redis on real servers: what is delivered, to whom, how often, and what survives."""
import json
import queue
import threading
import time

import pytest
from dapr.proto import api_v1

from redis_server import Certificates, Cluster, Redis, Watched
from sidecar import COMPARE, LOOPS, SLOW, component
from subscriber import DROP, GrpcApp, HttpApp, subscription

DURABLE = (("appendonly", "yes"), ("appendfsync", "always"))


@pytest.fixture
def made():
    """What a test starts and is to be stopped with it."""
    running = []
    yield lambda thing: running.append(thing) or thing
    for thing in reversed(running):
        thing.stop()


@pytest.fixture
def server(made, tmp_path):
    return made(Redis(tmp_path / "redis", *DURABLE))


@pytest.fixture
def serve(start):
    """serve(app, server, *subscriptions, **metadata of the component) -> the sidecar of this application."""
    apps = []

    def begin(app, server, *resources, options=None, **metadata):
        apps.append(app)
        given = dict(options or {})
        given["flags"] = dict({"app-port": app.port, "app-protocol": app.protocol}, **given.get("flags", {}))
        return start(bus(server, **metadata), *resources, **given)

    yield begin
    for app in apps:
        app.stop()


def bus(server, **metadata):
    return component("bus", "pubsub.redis", dict({"redisHost": server.host}, **metadata))


def publish(s, topic, body="x", content_type="text/plain", query=""):
    return s.post("/v1.0/publish/bus/%s%s" % (topic, query), body, headers={"Content-Type": content_type})


def pending(server, topic, group="testapp"):
    return int(server.cli("xpending", topic, group).split("\n")[0])


def eventually(wanted, seconds=10):
    end = time.monotonic() + seconds * SLOW
    while not wanted():
        assert time.monotonic() < end
        time.sleep(0.02)


def everything(app, n, seconds=20):
    """The data of deliveries until there are n different ones."""
    came, end = [], time.monotonic() + seconds * SLOW
    while len(set(came)) < n:
        try:
            came.append(app.came.get(timeout=max(end - time.monotonic(), 0.01)).json["data"])
        except queue.Empty:
            raise AssertionError("%d of %d came" % (len(set(came)), n)) from None
    return came


@pytest.mark.parametrize("loops", LOOPS)
def test_an_event_over_http(serve, server, loops):
    app = HttpApp()
    s = serve(app, server, subscription("s", "t", route="/in"), options={"loops": loops})
    assert publish(s, "t", '{"a": 1}', "application/json", query="?metadata.x-mine=7").status == 204
    got = app.receive()
    assert (got.path, got.json["data"], got.json["topic"], got.json["pubsubname"]) == ("/in", {"a": 1}, "t", "bus")
    assert got.headers["x-mine"] == "7"
    eventually(lambda: pending(server, "t") == 0)
    assert server.cli("xlen", "t").strip() == "1"
