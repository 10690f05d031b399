# SPDX-License-Identifier: Apache-2.0
"""What a Component's metadata changes about state: key prefixes, encryption, and how it lies in the database."""
import base64
import json
import sqlite3

import grpc
import pytest
from dapr.proto import api_v1, common_v1

from sidecar import Sidecar, component, refused

KEY_A, KEY_B, KEY_C = ("%064x" % n for n in (0xa1, 0xb2, 0xc3))


def sqlite_store(folder, name="store", **metadata):
    return component(name, "state.sqlite", dict({"connectionString": "file:%s/state.db" % folder}, **metadata))


def rows(folder, table="state"):
    with sqlite3.connect("%s/state.db" % folder) as db:
        return {r[0]: r[1:] for r in db.execute('SELECT key, value, is_binary, etag, expiration_time FROM "%s"' % table)}


@pytest.mark.parametrize("strategy,env,prefix", [
    (None, {}, "testapp||"), ("appid", {}, "testapp||"), ("name", {}, "store||"), ("none", {}, ""), ("fixed", {}, "fixed||"),
    ("namespace", {"NAMESPACE": "ns1"}, "ns1.testapp||"), ("namespace", {}, "testapp||"), ("MyShop", {}, "myshop||"), ("", {}, "||"),
])
def test_key_prefixes(start, tmp_path, strategy, env, prefix):
    s = start(sqlite_store(tmp_path, **({} if strategy is None else {"keyPrefix": strategy})), env=env)
    assert s.save("k", 1).status == 204
    assert s.read("k").json == 1
    assert s.post("/v1.0/state/store/bulk", {"keys": ["k"]}).json[0]["key"] == "k"
    assert s.post("/v1.0/state/store/transaction", {"operations": [{"operation": "upsert", "request": {"key": "t", "value": 2}}]}).status == 204
    s.stop()
    assert set(rows(tmp_path)) == {prefix + "k", prefix + "t"}


def test_a_prefix_with_the_separator_ends_the_start(tmp_path):
    code, log = Sidecar(tmp_path / "run", sqlite_store(tmp_path, keyPrefix="a||b")).run()
    assert code == 1
    assert "can't contain '||'" in log


def test_two_applications_do_not_see_each_other(start, tmp_path):
    a, b = start(sqlite_store(tmp_path), app_id="one"), start(sqlite_store(tmp_path), app_id="two")
    a.save("k", 1)
    assert b.read("k").status == 204
    b.save("k", 2)
    assert a.read("k").json == 1


def test_two_sidecars_of_one_application_share(start, tmp_path):
    a, b = start(sqlite_store(tmp_path)), start(sqlite_store(tmp_path))
    a.save("k", 1)
    tag = b.read("k").header("ETag")
    assert b.save("k", 2, etag=tag).status == 204
    assert a.save("k", 3, etag=tag).status == 409
    assert a.read("k").json == 2


# -- how it lies in the database

def test_rows_are_in_daprs_layout(start, tmp_path):
    s = start(sqlite_store(tmp_path))
    s.save("json", {"a": [1, "ü"]})
    s.save("ttl", 1, metadata={"ttlInSeconds": "1000"})
    s.rpc.SaveState(api_v1.SaveStateRequest(store_name="store", states=[common_v1.StateItem(key="bytes", value=b"\x00\xff")]))
    s.stop()
    found = rows(tmp_path)
    assert json.loads(found["testapp||json"][0]) == {"a": [1, "ü"]} and found["testapp||json"][1] == 0
    assert found["testapp||json"][3] is None
    assert found["testapp||ttl"][3] is not None
    value, binary = found["testapp||bytes"][:2]
    assert binary == 1 and base64.b64decode(value) == b"\x00\xff"


def test_rows_by_hand_are_read(start, tmp_path):
    s = start(sqlite_store(tmp_path))
    s.save("made", 0)
    with sqlite3.connect("%s/state.db" % tmp_path) as db:
        db.execute("INSERT INTO state (key, value, is_binary, etag) VALUES ('testapp||text', '{\"by\": \"hand\"}', 0, 'e1')")
        db.execute("INSERT INTO state (key, value, is_binary, etag) VALUES ('testapp||bin', ?, 1, 'e2')",
                   (base64.b64encode(b"\x01\x02").decode(),))
        db.execute("INSERT INTO state (key, value, is_binary, etag, expiration_time) VALUES "
                   "('testapp||gone', '1', 0, 'e3', datetime('now', '-1 minute'))")
    assert s.read("text").json == {"by": "hand"}
    assert s.rpc.GetState(api_v1.GetStateRequest(store_name="store", key="bin")).data == b"\x01\x02"
    assert s.read("gone").status == 204
    tag = s.read("text").header("ETag")
    assert tag == "e1"
    assert s.save("text", 2, etag="e1").status == 204


def test_state_outlives_the_sidecar(start, tmp_path):
    s = start(sqlite_store(tmp_path))
    s.save("k", "kept")
    tag = s.read("k").header("ETag")
    s.stop()
    s = start(sqlite_store(tmp_path))
    assert s.read("k").json == "kept" and s.read("k").header("ETag") == tag


def test_in_memory_state_does_not(start):
    s = start(component("store", "state.in-memory"))
    s.save("k", 1)
    s.stop()
    s = start(component("store", "state.in-memory"))
    assert s.read("k").status == 204


def test_another_table(start, tmp_path):
    s = start(sqlite_store(tmp_path, tableName="mine", metadataTableName="notes"))
    s.save("k", 1)
    s.stop()
    assert set(rows(tmp_path, "mine")) == {"testapp||k"}


# -- encryption

def encrypted(folder, primary=KEY_A, secondary=None, kind="state.sqlite"):
    keys = {"a": KEY_A, "b": KEY_B, "c": KEY_C}
    (folder / "keys.json").write_text(json.dumps(keys))
    name = {v: k for k, v in keys.items()}
    metadata = {"connectionString": "file:%s/state.db" % folder} if kind == "state.sqlite" else {}
    for field, key in (("primaryEncryptionKey", primary), ("secondaryEncryptionKey", secondary)):
        if key:
            metadata[field] = {"secretKeyRef": {"name": name[key], "key": name[key]}}
    return (component("vault", "secretstores.local.file", {"secretsFile": str(folder / "keys.json")}),
            component("store", kind, metadata, secret_store="vault"))


@pytest.mark.parametrize("kind", ["state.sqlite", "state.in-memory"])
def test_encrypted_state_comes_back(start, tmp_path, kind):
    s = start(*encrypted(tmp_path, kind=kind))
    assert s.save("k", "plain words").status == 204
    assert s.read("k").body == b"plain words"  # the text itself: Dapr's form for encrypted stores
    s.rpc.SaveState(api_v1.SaveStateRequest(store_name="store", states=[common_v1.StateItem(key="b", value=b'{"x":1}')]))
    assert s.rpc.GetState(api_v1.GetStateRequest(store_name="store", key="b")).data == b'{"x":1}'
    r = s.post("/v1.0/state/store/transaction", {"operations": [{"operation": "upsert", "request": {"key": "t", "value": "tx words"}}]})
    assert r.status == 204
    assert s.read("t").body == b"tx words"
    assert s.delete("/v1.0/state/store/k").status == 204
    assert s.read("k").status == 204


def test_what_is_encrypted_is_not_to_be_read_in_the_file(start, tmp_path):
    s = start(*encrypted(tmp_path))
    s.save("k", "plain words")
    s.save("k2", "plain words")
    s.stop()
    found = rows(tmp_path)
    assert "plain words" not in str(found)
    assert found["testapp||k"][0] != found["testapp||k2"][0]
    everything = b"".join(p.read_bytes() for p in tmp_path.glob("state.db*"))
    assert b"plain words" not in everything


def test_keys_are_changed_by_way_of_the_secondary(start, tmp_path):
    s = start(*encrypted(tmp_path, KEY_A))
    s.save("k", "old")
    s.stop()
    s = start(*encrypted(tmp_path, KEY_B, KEY_A))
    assert s.read("k").body == b"old"
    s.save("k2", "new")
    s.stop()
    s = start(*encrypted(tmp_path, KEY_B))
    assert s.read("k2").body == b"new"


@pytest.mark.ours  # Dapr's handler panics and closes the connection
def test_a_value_whose_key_is_gone_is_an_error(start, tmp_path):
    s = start(*encrypted(tmp_path, KEY_A))
    s.save("k", "old")
    s.stop()
    s = start(*encrypted(tmp_path, KEY_B))
    r = s.read("k")
    assert (r.status, r.code) == (500, "ERR_STATE_GET")
    assert b"old" not in r.body
    e = refused(s.rpc.GetState, api_v1.GetStateRequest(store_name="store", key="k"))
    assert e.code() == grpc.StatusCode.INTERNAL


def test_query_of_an_encrypted_store(start, tmp_path):
    s = start(*encrypted(tmp_path))
    assert s.post("/v1.0-alpha1/state/store/query", {}).status == 500


@pytest.mark.parametrize("key", ["not hex", "abcd1234", "", "0" * 63])
def test_a_key_that_is_no_key(tmp_path, key):
    (tmp_path / "keys.json").write_text(json.dumps({"a": key}))
    code, log = Sidecar(tmp_path / "run", component("vault", "secretstores.local.file", {"secretsFile": str(tmp_path / "keys.json")}),
                        component("store", "state.in-memory", {"primaryEncryptionKey": {"secretKeyRef": {"name": "a", "key": "a"}}},
                                  secret_store="vault")).run()
    assert code == 1
    assert "Failed to init component store (state.in-memory/v1)" in log
    assert not key or "\"%s" % key not in log
