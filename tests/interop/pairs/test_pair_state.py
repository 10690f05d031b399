# SPDX-License-Identifier: Apache-2.0
"""State that one of the two has written and the other reads, changes and deletes: in a file and on real servers."""
import json
import os
import time

import grpc
import pytest
from dapr.proto import api_v1, common_v1

from postgresql_server import Postgres
from redis_server import Redis
from sidecar import SLOW, component, refused

DAPR = os.environ["DAPRD"]
KEY = "0123456789abcdef" * 4  # of AES-256, in hexadecimal
CIPHER = {"primaryEncryptionKey": {"secretKeyRef": {"name": "STATE_KEY", "key": "STATE_KEY"}}}


def postgresql(scratch, servers):
    servers.append(Postgres())
    return {"connectionString": servers[-1].url}


def redis(scratch, servers):
    servers.append(Redis(scratch / "redis"))
    return {"redisHost": servers[-1].host}


def sqlite(scratch, servers):
    return {"connectionString": "file:%s/state.db" % scratch}


STORES = {"sqlite": ("state.sqlite", "v1", sqlite, {}), "redis": ("state.redis", "v1", redis, {}),
          "postgresql": ("state.postgresql", "v1", postgresql, {}), "postgresql-v2": ("state.postgresql", "v2", postgresql, {}),
          "sqlite-encrypted": ("state.sqlite", "v1", sqlite, CIPHER), "redis-encrypted": ("state.redis", "v1", redis, CIPHER)}


class Both:
    """one writes what the other reads; both are sidecars of the same application. encrypted: so are the values."""

    def __init__(self, one, other, name):
        self.one, self.other, self.name = one, other, name
        self.encrypted = name.endswith("encrypted")


@pytest.fixture(scope="module", params=STORES)
def both(request, programs, run, tmp_path_factory):
    kind, version, backend, cipher = STORES[request.param]
    servers = []
    metadata = dict(backend(tmp_path_factory.mktemp("store"), servers), **cipher)
    made = component("store", kind, metadata, version=version, secret_store="env" if cipher else None)
    resources = [made] + ([component("env", "secretstores.local.env")] if cipher else [])
    one, other = (run(program, *resources, env={"STATE_KEY": KEY}) for program in programs)  # the first makes the tables
    yield Both(one, other, request.param)
    for s in (one, other):
        s.stop()
    for server in servers:
        server.remove() if hasattr(server, "remove") else server.stop()


VALUES = [None, True, 0, 7, -1.5, 12345678901234567890, "", "text", "caf\u00e9 \u20ac", "\"quoted\"\n", [], [1, [2, {}]], {}, {"a": {"b": None}},
          "x" * 100000]
BIG = 5  # Dapr's reads it as a float; where it encrypts it writes down how Go prints the value


@pytest.mark.parametrize("i", range(len(VALUES)))
def test_value_over_http(both, i):
    key = "value-%d" % i
    assert both.one.save(key, VALUES[i]).status == 204
    mine, got = both.one.read(key), both.other.read(key)
    assert (got.status, got.body, got.header("etag"), got.header("content-type")) == \
        (mine.status, mine.body, mine.header("etag"), mine.header("content-type"))
    if VALUES[i] is not None and not both.encrypted and not (i == BIG and both.one.program == DAPR):
        assert json.loads(got.body) == VALUES[i]


@pytest.mark.parametrize("value", [b"plain", b"\0\1\xff", b'{"a": 1}', b'  [1,2 ]', b'"s"', b"7", b"x" * 70000], ids=lambda v: repr(v[:8]))
def test_bytes_over_grpc(both, value):
    if value == b"\0\1\xff" and both.name == "postgresql":
        return  # a text column holds no NUL
    both.one.rpc.SaveState(api_v1.SaveStateRequest(store_name="store", states=[common_v1.StateItem(key="bytes", value=value)]))
    mine = both.one.rpc.GetState(api_v1.GetStateRequest(store_name="store", key="bytes"))
    got = both.other.rpc.GetState(api_v1.GetStateRequest(store_name="store", key="bytes"))
    assert got.data == mine.data and got.etag == mine.etag and got.data


def test_an_etag_of_one_is_one_of_the_other(both):
    both.one.save("etag", 1)
    etag = both.other.read("etag").header("etag")
    assert both.other.save("etag", 2, etag=etag, options={"concurrency": "first-write"}).status == 204
    assert both.one.save("etag", 3, etag=etag).status == 409
    assert both.one.read("etag").json == 2
    newer = both.one.read("etag").header("etag")
    assert both.other.delete("/v1.0/state/store/etag", headers={"if-match": etag}).status == 409
    assert both.other.delete("/v1.0/state/store/etag", headers={"if-match": newer}).status == 204
    assert both.one.read("etag").status == 204


def test_first_write_sees_what_the_other_wrote(both):
    if both.name.startswith("redis") and both.other.program == DAPR:
        return  # Dapr's takes one without an ETag for any write there
    both.one.save("first", 1)
    assert both.other.save("first", 2, options={"concurrency": "first-write"}).status in (409, 500)
    assert both.other.read("first").json == 1


def test_time_to_live(both):
    both.one.save("short", 1, metadata={"ttlInSeconds": "2"})
    both.one.save("long", 1, metadata={"ttlInSeconds": "1000"})
    mine, got = both.one.read("long"), both.other.read("long")
    assert got.header("metadata.ttlExpireTime") == mine.header("metadata.ttlExpireTime")
    end = time.monotonic() + 20 * SLOW
    while both.other.read("short").status != 204:
        assert time.monotonic() < end
        time.sleep(0.1)
    assert both.other.save("long", 2, metadata={"ttlInSeconds": "-1"}).status == 204
    assert both.one.read("long").json == 2 and not both.one.read("long").header("metadata.ttlExpireTime")


def test_transaction(both):
    both.one.save("t-old", 1)
    body = {"operations": [{"operation": "upsert", "request": {"key": "t-%d" % i, "value": {"n": i}}} for i in range(5)]
            + [{"operation": "delete", "request": {"key": "t-old"}}]}
    assert both.one.post("/v1.0/state/store/transaction", body).status == 204
    if both.encrypted and both.one.program == DAPR:
        return  # what Dapr's encrypts then is no JSON, and its own answer is none either
    keys = {"keys": ["t-%d" % i for i in range(5)] + ["t-old"]}
    mine, got = ({item["key"]: item for item in s.post("/v1.0/state/store/bulk", keys).json} for s in (both.one, both.other))
    assert got == mine and "data" not in got["t-old"] and all(got["t-%d" % i]["etag"] for i in range(5))
    if not both.encrypted:
        assert [got["t-%d" % i]["data"] for i in range(5)] == [{"n": i} for i in range(5)]


def test_a_stale_transaction_changes_nothing(both):
    both.one.save("s-a", 1)
    old = both.one.read("s-a").header("etag")
    both.other.save("s-a", 2)
    body = {"operations": [{"operation": "upsert", "request": {"key": "s-b", "value": 1}},
                           {"operation": "upsert", "request": {"key": "s-a", "value": 3, "etag": old}}]}
    assert both.one.post("/v1.0/state/store/transaction", body).status >= 400
    assert both.other.read("s-a").json == 2
    if not (both.name.startswith("redis") and both.one.program == DAPR):  # a MULTI of Redis does not roll back
        assert both.other.read("s-b").status == 204


def test_both_at_once(both):
    """Each adds to one number 20 times, by ETags."""
    both.one.save("sum", 0)
    done = {0: 0, 1: 0}
    for _ in range(400):
        for i, s in enumerate((both.one, both.other)):
            if done[i] == 20:
                continue
            r = s.read("sum")
            answer = s.save("sum", r.json + 1, etag=r.header("etag"), options={"concurrency": "first-write"})
            assert answer.status in (204, 409)
            done[i] += answer.status == 204
        if done == {0: 20, 1: 20}:
            break
    assert both.one.read("sum").json == both.other.read("sum").json == 40


def test_query(both):
    if both.name != "postgresql":
        e = refused(both.other.rpc.QueryStateAlpha1, api_v1.QueryStateRequest(store_name="store", query="{}"))
        assert e.code() in (grpc.StatusCode.INTERNAL, grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.INVALID_ARGUMENT)
        return
    for i in range(6):
        both.one.save("q-%d" % i, {"city": "ab"[i % 2], "n": i})
    query = json.dumps({"filter": {"EQ": {"city": "a"}}, "sort": [{"key": "n", "order": "DESC"}], "page": {"limit": 2}})
    mine, got = (s.post("/v1.0-alpha1/state/store/query", query, headers={"content-type": "application/json"}) for s in (both.one, both.other))
    assert (got.status, got.json) == (mine.status, mine.json) and [r["data"]["n"] for r in got.json["results"]] == [4, 2]
