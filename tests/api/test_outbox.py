# SPDX-License-Identifier: Apache-2.0
"""The transactional outbox: what a transaction writes is published, what it does not write is not."""
import json
import time

import grpc
import pytest
from dapr.proto import api_v1, common_v1

import subscriber
from sidecar import LOOPS, SLOW, component, refused


@pytest.fixture
def app():
    a = subscriber.HttpApp()
    yield a
    a.stop()


def store(name="store", **more):
    metadata = dict({"outboxPublishPubsub": "bus", "outboxPublishTopic": "orders", "keyPrefix": "none"}, **more)
    return component(name, "state.in-memory", metadata)


def begin(start, app, *resources, **options):
    return start(component("bus", "pubsub.in-memory"), subscriber.subscription("s", "orders", route="/orders"), *resources,
                 flags={"app-port": app.port}, **options)


def upsert(key, value, **more):
    return {"operation": "upsert", "request": dict({"key": key, "value": value}, **more)}


def transact(s, *operations):
    return s.post("/v1.0/state/store/transaction", {"operations": list(operations)})


@pytest.mark.parametrize("loops", LOOPS)
def test_what_is_written_is_published(start, app, loops):
    s = begin(start, app, store(), loops=loops)
    r = transact(s, upsert("a", {"n": 1}, metadata={"contentType": "application/json", "tenant": "x", "id": "no", "data": "no"}),
                 upsert("b", "text"), {"operation": "delete", "request": {"key": "c"}})
    assert r.status == 204, r
    came = sorted((app.receive(20).json for _ in range(2)), key=lambda e: e["datacontenttype"])
    assert (came[0]["data"], came[0]["tenant"], came[0]["datacontenttype"]) == ({"n": 1}, "x", "application/json")
    assert (came[1]["data"], came[1]["datacontenttype"]) == ("text", "text/plain")
    for e in came:
        assert e["id"].startswith("outbox-") and (e["source"], e["topic"], e["pubsubname"]) == ("testapp", "orders", "bus")
    assert s.read("a").json == {"n": 1} and s.read("b").json == "text"
    end = time.monotonic() + 10 * SLOW
    while any(s.read(e["id"]).status != 204 for e in came):
        assert time.monotonic() < end, "the markers are left behind"
        time.sleep(0.02)
    assert app.nothing()
    assert [x["topic"] for x in s.get("/v1.0/metadata").json["subscriptions"]] == ["orders"]


def test_over_grpc_bytes_are_published(start, app):
    s = begin(start, app, store())
    item = common_v1.StateItem(key="a", value=b"bytes", metadata={"more": "here"})
    s.rpc.ExecuteStateTransaction(api_v1.ExecuteStateTransactionRequest(
        storeName="store", operations=[api_v1.TransactionalStateOperation(operationType="upsert", request=item)]))
    e = app.receive(20).json
    assert (e["data"], e["more"]) == ("bytes", "here")


def test_something_else_is_published(start, app):
    s = begin(start, app, store())
    assert transact(s, upsert("a", "kept"), upsert("a", "shown", metadata={"outbox.projection": "true"})).status == 204
    assert app.receive(20).json["data"] == "shown"
    assert s.read("a").json == "kept"
    assert app.nothing()


def test_what_is_not_written_is_not_published(start, app):
    s = begin(start, app, store(outboxDiscardWhenMissingState="true"))
    assert transact(s, upsert("a", 1, etag="99")).status == 500
    s.wait_log("outbox state not found, discarding message", 30)
    assert app.nothing() and s.read("a").status == 204


def test_what_cannot_be_published_is_not_written(start, app):
    s = begin(start, app, store(outboxPublishPubsub="nowhere"))
    r = transact(s, upsert("a", 1))
    assert (r.status, r.code) == (500, "ERR_PUBLISH_OUTBOX")
    assert r.message.startswith("error while publishing outbox message: ")
    assert r.detail("ErrorInfo")["reason"] == "DAPR_PUBSUB_OUTBOX"
    item = common_v1.StateItem(key="a", value=b"1")
    e = refused(s.rpc.ExecuteStateTransaction, api_v1.ExecuteStateTransactionRequest(
        storeName="store", operations=[api_v1.TransactionalStateOperation(operationType="upsert", request=item)]))
    assert e.code() == grpc.StatusCode.INTERNAL
    assert s.read("a").status == 204


def test_plain_saves_are_not_published(start, app):
    s = begin(start, app, store())
    assert s.save("a", json.loads("1")).status == 204
    assert app.nothing(1.5)
