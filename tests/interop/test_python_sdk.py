# SPDX-License-Identifier: Apache-2.0
"""Every method of Dapr's Python SDK for state, secrets, metadata and the sidecar's life."""
import asyncio
import time
import uuid

import grpc
import pytest
from dapr.aio.clients import DaprClient as AsyncClient
from dapr.clients import DaprClient
from dapr.clients.grpc._request import TransactionalStateOperation, TransactionOperationType
from dapr.clients.grpc._state import Concurrency, Consistency, StateItem, StateOptions
from dapr.conf import settings

from sidecar import Sidecar, component


@pytest.fixture
def client(sidecar):
    settings.DAPR_HTTP_PORT = sidecar.http  # what wait() and the SDK's own health check ask
    settings.DAPR_RUNTIME_HOST = "127.0.0.1"
    with DaprClient("127.0.0.1:%d" % sidecar.grpc_port) as c:
        yield c


@pytest.fixture
def key():
    return "sdk-" + uuid.uuid4().hex


def failed(call, *args, **kw):
    with pytest.raises(grpc.RpcError) as caught:
        call(*args, **kw)
    return caught.value.code()


def test_save_and_get(client, key):
    client.save_state("store", key, "value")
    r = client.get_state("store", key)
    assert (r.data, r.text()) == (b"value", "value")
    assert r.etag
    client.save_state("store", key, b"\x00\xff")
    assert client.get_state("store", key).data == b"\x00\xff"
    client.save_state("store", key, '{"a": 1}')
    assert client.get_state("store", key).json() == {"a": 1}
    assert client.get_state("store", key + "-missing").data == b""


def test_options_and_etag(client, key):
    first = StateOptions(concurrency=Concurrency.first_write, consistency=Consistency.strong)
    client.save_state("store", key, "1", options=first)
    old = client.get_state("store", key).etag
    client.save_state("store", key, "2", etag=old, options=first)
    assert failed(client.save_state, "store", key, "3", etag=old) == grpc.StatusCode.ABORTED
    last = StateOptions(concurrency=Concurrency.last_write, consistency=Consistency.eventual)
    client.save_state("store", key, "4", options=last)
    assert client.get_state("store", key, state_metadata={"partitionKey": "p"}).data == b"4"


def test_ttl(client, key):
    client.save_state("store", key, "1", state_metadata={"ttlInSeconds": "3"})
    assert client.get_state("store", key).data == b"1"
    end = time.monotonic() + 15
    while client.get_state("store", key).data:
        assert time.monotonic() < end
        time.sleep(0.1)


def test_bulk(client, key):
    client.save_bulk_state("store", [StateItem(key=key + str(i), value="v%d" % i, metadata={"ttlInSeconds": "100"}) for i in range(12)])
    r = client.get_bulk_state("store", [key + str(i) for i in range(13)], parallelism=3)
    found = {i.key: i for i in r.items}
    assert len(found) == 13
    assert [found[key + str(i)].data for i in range(13)] == [b"v%d" % i for i in range(12)] + [b""]
    assert all(found[key + str(i)].etag and not found[key + str(i)].error for i in range(12))


def test_transaction(client, key):
    client.save_state("store", key + "old", "1")
    client.execute_state_transaction("store", [
        TransactionalStateOperation(operation_type=TransactionOperationType.upsert, key=key, data="new"),
        TransactionalStateOperation(operation_type=TransactionOperationType.delete, key=key + "old")],
        transactional_metadata={"partitionKey": "p"})
    assert client.get_state("store", key).data == b"new"
    assert client.get_state("store", key + "old").data == b""
    stale = TransactionalStateOperation(operation_type=TransactionOperationType.upsert, key=key, data="lost", etag=str(uuid.uuid4()))
    other = TransactionalStateOperation(operation_type=TransactionOperationType.upsert, key=key + "b", data="lost")
    failed(client.execute_state_transaction, "store", [other, stale])
    assert client.get_state("store", key).data == b"new"
    assert client.get_state("store", key + "b").data == b""


def test_delete(client, key):
    client.save_state("store", key, "1")
    assert failed(client.delete_state, "store", key, etag=str(uuid.uuid4())) == grpc.StatusCode.ABORTED
    client.delete_state("store", key, etag=client.get_state("store", key).etag,
                        options=StateOptions(concurrency=Concurrency.first_write), state_metadata={"partitionKey": "p"})
    assert client.get_state("store", key).data == b""


def test_query_is_not_supported_by_these_stores(client):
    assert failed(client.query_state, "store", "{}") == grpc.StatusCode.INTERNAL


def test_unknown_store(client):
    assert failed(client.get_state, "nope", "k") == grpc.StatusCode.INVALID_ARGUMENT


def test_secrets(client):
    assert client.get_secret("vault", "plain", secret_metadata={"a": "b"}).secret == {"plain": "v1"}
    assert client.get_secret("vault", "db:user").secret == {"db:user": "root"}
    assert client.get_bulk_secret("vault").secrets == {"plain": {"plain": "v1"}, "db:user": {"db:user": "root"}}
    assert failed(client.get_secret, "vault", "closed") == grpc.StatusCode.PERMISSION_DENIED
    assert failed(client.get_secret, "vault", "nope") == grpc.StatusCode.INTERNAL


def test_metadata(client):
    client.set_metadata("who", "python")
    m = client.get_metadata()
    assert m.application_id == "testapp"
    assert m.extended_metadata["who"] == "python"
    assert sorted((c.name, c.version) for c in m.registered_components) == [("store", "v1"), ("vault", "v1")]
    assert "ETAG" in next(c for c in m.registered_components if c.name == "store").capabilities


def test_wait(client):
    client.wait(5)


def test_the_asynchronous_client(sidecar, key):
    settings.DAPR_HTTP_PORT = sidecar.http

    async def run():
        async with AsyncClient("127.0.0.1:%d" % sidecar.grpc_port) as c:
            await c.wait(5)
            await asyncio.gather(*[c.save_state("store", "%s-%d" % (key, i), str(i)) for i in range(50)])
            found = await asyncio.gather(*[c.get_state("store", "%s-%d" % (key, i)) for i in range(50)])
            assert [f.data for f in found] == [b"%d" % i for i in range(50)]
            r = await c.get_bulk_state("store", [key + "-0", key + "-1"])
            assert len(r.items) == 2
            await c.delete_state("store", key + "-0")
            await c.execute_state_transaction("store", [TransactionalStateOperation(
                operation_type=TransactionOperationType.upsert, key=key, data="tx")])
            assert (await c.get_state("store", key)).data == b"tx"
            assert (await c.get_secret("vault", "plain")).secret == {"plain": "v1"}
            assert set((await c.get_bulk_secret("vault")).secrets) == {"plain", "db:user"}
            assert (await c.get_metadata()).application_id == "testapp"

    asyncio.run(run())


def test_a_token(start_one, monkeypatch):
    s = start_one(env={"DAPR_API_TOKEN": "s3cret"})
    monkeypatch.setattr(settings, "DAPR_HTTP_PORT", s.http)
    monkeypatch.setattr(settings, "DAPR_API_TOKEN", "s3cret")
    with DaprClient("127.0.0.1:%d" % s.grpc_port) as c:
        c.save_state("store", "k", "v")
        assert c.get_state("store", "k").data == b"v"


def test_shutdown(start_one, monkeypatch):
    s = start_one()
    monkeypatch.setattr(settings, "DAPR_HTTP_PORT", s.http)
    with DaprClient("127.0.0.1:%d" % s.grpc_port) as c:
        c.shutdown()
    assert s.exit_code() == 0


@pytest.fixture
def start_one(tmp_path):
    running = []

    def begin(**options):
        s = Sidecar(tmp_path / "s", component("store", "state.in-memory"), **options)
        running.append(s)
        return s.start()

    yield begin
    for s in running:
        s.stop()
