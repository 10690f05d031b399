# SPDX-License-Identifier: Apache-2.0
"""State over gRPC: every method, each on both embedded stores."""
import json
import time
import uuid

import grpc
import pytest
from dapr.proto import api_v1, common_v1

from sidecar import details, refused

Code = grpc.StatusCode
Item, Options, Etag = common_v1.StateItem, common_v1.StateOptions, common_v1.Etag


def save(s, *items, store="store"):
    return s.rpc.SaveState(api_v1.SaveStateRequest(store_name=store, states=items))


def get(s, key, **more):
    return s.rpc.GetState(api_v1.GetStateRequest(store_name="store", key=key, **more))


def write(s, key, value, **more):
    return save(s, Item(key=key, value=value, **more))


def upsert(key, value=b"", **more):
    return api_v1.TransactionalStateOperation(operationType="upsert", request=Item(key=key, value=value, **more))


def delete(key, **more):
    return api_v1.TransactionalStateOperation(operationType="delete", request=Item(key=key, **more))


def transact(s, *operations, store="store", **more):
    return s.rpc.ExecuteStateTransaction(api_v1.ExecuteStateTransactionRequest(storeName=store, operations=operations, **more))


@pytest.mark.parametrize("value", [b"text", b'{"a": 1}', b"\x00\xff\xfe", bytes(range(256)), b"x" * (1 << 20), "ü☃".encode()],
                         ids=["text", "json", "bytes", "all-bytes", "a-megabyte", "utf-8"])
def test_a_value_comes_back_as_it_was(store, key, value):
    write(store, key, value)
    r = get(store, key)
    assert r.data == value and r.etag


def test_a_missing_key_is_empty(store, key):
    r = get(store, key)
    assert (r.data, r.etag) == (b"", "")


def test_an_empty_value(store, key):
    write(store, key, b"")
    assert get(store, key).data == b""


def test_nothing_to_save(store):
    save(store)


@pytest.mark.parametrize("consistency", ["CONSISTENCY_STRONG", "CONSISTENCY_EVENTUAL", "CONSISTENCY_UNSPECIFIED"])
def test_consistency_is_taken(store, key, consistency):
    number = Options.StateConsistency.Value(consistency)
    write(store, key, b"1", options=Options(consistency=number))
    assert get(store, key, consistency=number).data == b"1"


def test_etags(store, key):
    write(store, key, b"1")
    old = get(store, key).etag
    write(store, key, b"2", etag=Etag(value=old))
    e = refused(write, store, key, b"3", etag=Etag(value=old))
    assert e.code() == Code.ABORTED
    assert "failed saving state in state store store" in e.details()
    assert get(store, key).data == b"2"


def test_first_write_only_creates(store, key):
    first = Options(concurrency=Options.CONCURRENCY_FIRST_WRITE)
    write(store, key, b"1", options=first)
    assert refused(write, store, key, b"2", options=first).code() == Code.ABORTED
    assert get(store, key).data == b"1"


def test_several_items_one_of_them_stale(store, key):
    write(store, key, b"1")
    e = refused(save, store, Item(key=key + "b", value=b"1"), Item(key=key, value=b"2", etag=Etag(value="987654321")))
    assert e.code() == Code.ABORTED
    assert get(store, key).data == b"1"


def test_delete(store, key):
    write(store, key, b"1")
    old = get(store, key).etag
    write(store, key, b"2")
    request = api_v1.DeleteStateRequest(store_name="store", key=key, etag=Etag(value=old))
    e = refused(store.rpc.DeleteState, request)
    assert e.code() == Code.ABORTED
    assert get(store, key).data == b"2"
    request.etag.value = get(store, key).etag
    store.rpc.DeleteState(request)
    assert get(store, key).data == b""
    store.rpc.DeleteState(api_v1.DeleteStateRequest(store_name="store", key=key))


def test_delete_in_bulk(store, key):
    save(store, *[Item(key=key + str(i), value=b"1") for i in range(5)])
    store.rpc.DeleteBulkState(api_v1.DeleteBulkStateRequest(store_name="store", states=[Item(key=key + str(i)) for i in range(4)]))
    assert [get(store, key + str(i)).data for i in range(5)] == [b"", b"", b"", b"", b"1"]


def test_delete_in_bulk_with_a_stale_etag(store, key):
    write(store, key, b"1")
    request = api_v1.DeleteBulkStateRequest(store_name="store", states=[Item(key=key, etag=Etag(value="1234567")), Item(key=key + "b")])
    assert refused(store.rpc.DeleteBulkState, request).code() == Code.ABORTED
    assert get(store, key).data == b"1"


def test_bulk_get(store, key):
    save(store, *[Item(key=key + str(i), value=b"v%d" % i) for i in range(30)])
    keys = [key + str(i) for i in range(31)]
    r = store.rpc.GetBulkState(api_v1.GetBulkStateRequest(store_name="store", keys=keys, parallelism=7))
    found = {i.key: i for i in r.items}
    assert len(r.items) == len(found) == 31
    for i in range(30):
        assert found[key + str(i)].data == b"v%d" % i and found[key + str(i)].etag
    missing = found[key + "30"]
    assert (missing.data, missing.etag, missing.error) == (b"", "", "")
    assert len(store.rpc.GetBulkState(api_v1.GetBulkStateRequest(store_name="store")).items) == 0


def test_ttl(common, key):
    write(common, key, b"1", metadata={"ttlInSeconds": "2"})
    r = get(common, key)
    assert r.data == b"1" and r.metadata["ttlExpireTime"].endswith("Z")
    end = time.monotonic() + 5
    while get(common, key).data:
        assert time.monotonic() < end
        time.sleep(0.1)


def test_a_ttl_that_is_no_number(store, key):
    e = refused(write, store, key, b"1", metadata={"ttlInSeconds": "soon"})
    assert e.code() == Code.INTERNAL
    assert get(store, key).data == b""


def test_a_transaction(store, key):
    write(store, key + "old", b"1")
    transact(store, upsert(key, b"\x00bin"), delete(key + "old"), metadata={"partitionKey": "p"})
    assert get(store, key).data == b"\x00bin"
    assert get(store, key + "old").data == b""
    transact(store)


def test_a_transaction_is_all_or_nothing(store, key):
    write(store, key, b"1")
    e = refused(transact, store, upsert(key + "b", b"1"), upsert(key, b"2", etag=Etag(value=str(uuid.uuid4()))))
    assert e.code() in (Code.INTERNAL, Code.ABORTED)
    assert get(store, key).data == b"1"
    assert get(store, key + "b").data == b""


def test_an_unknown_operation(store, key):
    operation = api_v1.TransactionalStateOperation(operationType="swap", request=Item(key=key))
    e = refused(transact, store, operation)
    assert e.code() == Code.UNIMPLEMENTED
    assert "swap" in e.details()


def test_the_key_is_told_before_an_unknown_operation(store):
    e = refused(transact, store, api_v1.TransactionalStateOperation(operationType="swap", request=Item(key="a||b")))
    assert e.code() == Code.INVALID_ARGUMENT
    assert details(e)["ErrorInfo"].reason == "DAPR_STATE_ILLEGAL_KEY"


JSON = {"contentType": "application/json"}


@pytest.mark.parametrize("value", [b"abc", b"\xff", b"", b"{", b"[1,]"])
def test_what_is_said_to_be_json_has_to_be(store, key, value):
    e = refused(write, store, key, value, metadata=JSON)
    assert e.code() == Code.UNKNOWN
    assert get(store, key).data == b""


def test_json_is_stored_without_white_space(store, key):
    write(store, key, b'{ "a" : [1, 2] }', metadata=JSON)
    assert get(store, key).data in (b'{"a":[1,2]}', b'{"a": [1, 2]}')  # the second is PostgreSQL's own form


@pytest.mark.ours  # Dapr's Redis store wants RedisJSON for it; the others are as this
def test_a_transaction_keeps_bytes_that_are_no_json(store, key):
    transact(store, upsert(key, b"\xff no JSON", metadata=JSON))
    assert get(store, key).data == b"\xff no JSON"


CALLS = {
    "GetState": lambda n: api_v1.GetStateRequest(store_name=n, key="k"),
    "SaveState": lambda n: api_v1.SaveStateRequest(store_name=n, states=[Item(key="k")]),
    "DeleteState": lambda n: api_v1.DeleteStateRequest(store_name=n, key="k"),
    "DeleteBulkState": lambda n: api_v1.DeleteBulkStateRequest(store_name=n, states=[Item(key="k")]),
    "GetBulkState": lambda n: api_v1.GetBulkStateRequest(store_name=n, keys=["k"]),
    "ExecuteStateTransaction": lambda n: api_v1.ExecuteStateTransactionRequest(storeName=n, operations=[upsert("k")]),
    "QueryStateAlpha1": lambda n: api_v1.QueryStateRequest(store_name=n, query="{}"),
}


@pytest.mark.parametrize("method", CALLS)
def test_an_unknown_store(store, method):
    e = refused(getattr(store.rpc, method), CALLS[method]("nope"))
    assert e.code() == Code.INVALID_ARGUMENT
    assert e.details() == "state store nope is not found"
    found = details(e)
    assert set(found) == {"ErrorInfo"}
    assert (found["ErrorInfo"].reason, found["ErrorInfo"].domain) == ("DAPR_STATE_NOT_FOUND", "dapr.io")


@pytest.mark.parametrize("method", ["SaveState", "GetState", "DeleteState"])
def test_a_key_with_the_separator(store, method):
    request = CALLS[method]("store")
    if method == "SaveState":
        request.states[0].key = "a||b"
    else:
        request.key = "a||b"
    e = refused(getattr(store.rpc, method), request)
    assert e.code() == Code.INVALID_ARGUMENT
    assert "input key/keyPrefix 'a||b' can't contain '||'" in e.details()
    found = details(e)
    assert found["ErrorInfo"].reason == "DAPR_STATE_ILLEGAL_KEY"


def test_an_empty_key_is_not_saved(store):
    e = refused(write, store, "", b"1")
    assert e.code() in (Code.INTERNAL, Code.INVALID_ARGUMENT)


def test_query_is_not_supported(common):
    e = refused(common.rpc.QueryStateAlpha1, CALLS["QueryStateAlpha1"]("store"))
    assert (e.code(), e.details()) == (Code.INTERNAL, "state store does not support querying")
    found = details(e)
    assert found["ErrorInfo"].reason == "DAPR_STATE_QUERYING_NOT_SUPPORTED"
    assert (found["ResourceInfo"].resource_type, found["ResourceInfo"].resource_name) == ("state", "store")


def test_what_http_wrote_grpc_reads(store, key):
    store.save(key, {"a": "ü"})
    assert json.loads(get(store, key).data) == {"a": "ü"}
    write(store, key, b'{"b":2}')
    assert store.read(key).json == {"b": 2}
    # Bytes that are no JSON pass through HTTP as they are.
    write(store, key, b"\x00\x01\xff")
    assert store.read(key).body == b"\x00\x01\xff"


@pytest.mark.ours  # Dapr answers 200 with an empty body
def test_bytes_that_are_no_json_in_bulk_over_http(store, key):
    save(store, Item(key=key, value=b"\x00\x01\xff"), Item(key=key + "b", value=b"1"))
    r = store.post("/v1.0/state/store/bulk", {"keys": [key, key + "b"]})
    assert r.status == 200
    found = {i["key"]: i for i in r.json}
    assert found[key + "b"]["data"] == 1
    assert "error" in found[key] or "data" in found[key]
