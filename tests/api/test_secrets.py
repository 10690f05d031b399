# SPDX-License-Identifier: Apache-2.0
"""Secrets over both APIs, from a file and from the environment, and who may see which."""
import ipaddress
import json

import grpc
import pytest
from dapr.proto import api_v1

from sidecar import Sidecar, component, configuration, quote, refused

Code = grpc.StatusCode
FILE = {"plain": "v1", "empty": "", "ünï": "wärt", "a/b": "slash", "db": {"user": "root", "pass": {"new": "x"}}, "list": ["p", "q"],
        "open": "o", "closed": "c", "a b": "space"}


def file_store(folder, name="files", content=FILE, **metadata):
    path = folder / (name + ".json")
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return component(name, "secretstores.local.file", dict({"secretsFile": str(path)}, **metadata))


@pytest.fixture(scope="module")
def secrets(tmp_path_factory):
    folder = tmp_path_factory.mktemp("secrets")
    dots = file_store(folder, "dots", nestedSeparator=".")
    multi = file_store(folder, "multi", {"db": {"user": "root", "port": "5432"}, "one": "1"}, multiValued="true")
    s = Sidecar(folder / "run", file_store(folder), dots, multi, component("env", "secretstores.local.env"),
                component("prefixed", "secretstores.local.env", {"prefix": "PRE_"}),
                env={"DAVIT_TEST_SECRET": "from the environment", "PRE_FIX": "with prefix", "DAPR_API_TOKEN_X": "hidden",
                     "APP_API_TOKEN": "hidden too"})
    s.start()
    yield s
    s.stop()


@pytest.mark.parametrize("store,key,value", [
    ("files", "plain", {"plain": "v1"}), ("files", "empty", {"empty": ""}), ("files", "ünï", {"ünï": "wärt"}),
    ("files", "a/b", {"a/b": "slash"}), ("files", "db:user", {"db:user": "root"}), ("files", "db:pass:new", {"db:pass:new": "x"}),
    ("files", "list:0", {"list:0": "p"}), ("files", "list:1", {"list:1": "q"}),
    ("files", "a b", {"a b": "space"}), ("dots", "db.pass.new", {"db.pass.new": "x"}),
    ("multi", "db", {"user": "root", "port": "5432"}), ("multi", "one", {"one": "1"}),
    ("env", "DAVIT_TEST_SECRET", {"DAVIT_TEST_SECRET": "from the environment"}), ("prefixed", "FIX", {"FIX": "with prefix"}),
])
def test_a_secret(secrets, store, key, value):
    r = secrets.get("/v1.0/secrets/%s/%s" % (store, quote(key)))
    assert (r.status, r.json) == (200, value)
    assert r.header("Content-Type") == "application/json"
    r = secrets.rpc.GetSecret(api_v1.GetSecretRequest(store_name=store, key=key))
    assert dict(r.data) == value


@pytest.mark.ours  # Dapr answers such as %!s(float64=12)
@pytest.mark.parametrize("value,text", [(12, "12"), (1.5, "1.5"), (True, "true")])
def test_a_secret_that_is_no_text(start, tmp_path, value, text):
    s = start(file_store(tmp_path, content={"odd": value}))
    assert s.get("/v1.0/secrets/files/odd").json == {"odd": text}


@pytest.mark.parametrize("store,key", [("files", "nope"), ("files", "db"), ("multi", "db:user")])
def test_a_missing_secret(secrets, store, key):
    r = secrets.get("/v1.0/secrets/%s/%s" % (store, quote(key)))
    assert (r.status, r.code) == (500, "ERR_SECRET_GET")
    assert r.message == "failed getting secret with key %s from secret store %s: secret %s not found" % (key, store, key)
    e = refused(secrets.rpc.GetSecret, api_v1.GetSecretRequest(store_name=store, key=key))
    assert e.code() == Code.INTERNAL
    assert "failed getting secret with key %s from secret store %s" % (key, store) in e.details()


def test_a_variable_that_is_not_set_is_empty(secrets):
    r = secrets.get("/v1.0/secrets/env/DAVIT_TEST_NOT_SET")
    assert (r.status, r.json) == (200, {"DAVIT_TEST_NOT_SET": ""})


def test_what_dapr_sets_for_itself_is_there(secrets):
    found = secrets.get("/v1.0/secrets/env/bulk").json
    assert {"APP_ID", "APP_PORT", "HOST_ADDRESS"} <= set(found)
    assert ipaddress.ip_address(found["HOST_ADDRESS"]["HOST_ADDRESS"])


@pytest.mark.parametrize("name", ["DAPR_API_TOKEN_X", "APP_API_TOKEN"])
def test_the_sidecars_own_variables_are_not_for_reading(secrets, name):
    r = secrets.get("/v1.0/secrets/env/" + name)
    assert "hidden" not in r.body.decode()
    r = secrets.get("/v1.0/secrets/env/bulk")
    assert name not in r.json


def test_bulk(secrets):
    r = secrets.get("/v1.0/secrets/files/bulk")
    want = {k: {k: v} for k, v in FILE.items() if isinstance(v, str)}
    want.update({k: {k: v} for k, v in (("db:user", "root"), ("db:pass:new", "x"), ("list:0", "p"), ("list:1", "q"))})
    assert (r.status, r.json) == (200, want)
    r = secrets.rpc.GetBulkSecret(api_v1.GetBulkSecretRequest(store_name="files"))
    assert {k: dict(v.secrets) for k, v in r.data.items()} == want
    assert secrets.get("/v1.0/secrets/multi/bulk").json == {"db": {"user": "root", "port": "5432"}, "one": {"one": "1"}}
    found = secrets.get("/v1.0/secrets/env/bulk").json
    assert found["DAVIT_TEST_SECRET"] == {"DAVIT_TEST_SECRET": "from the environment"}


@pytest.mark.parametrize("path", ["nope/plain", "nope/bulk"])
def test_an_unknown_store(secrets, path):
    r = secrets.get("/v1.0/secrets/" + path)
    assert (r.status, r.code) == (401, "ERR_SECRET_STORE_NOT_FOUND")
    assert r.message == "failed finding secret store with key nope"


def test_an_unknown_store_over_grpc(secrets):
    e = refused(secrets.rpc.GetSecret, api_v1.GetSecretRequest(store_name="nope", key="k"))
    assert (e.code(), e.details()) == (Code.INVALID_ARGUMENT, "failed finding secret store with key nope")
    e = refused(secrets.rpc.GetBulkSecret, api_v1.GetBulkSecretRequest(store_name="nope"))
    assert (e.code(), e.details()) == (Code.INVALID_ARGUMENT, "failed finding secret store with key nope")


def test_no_store_at_all(start):
    s = start()
    r = s.get("/v1.0/secrets/nope/k")
    assert (r.status, r.code, r.message) == (500, "ERR_SECRET_STORES_NOT_CONFIGURED", "secret store is not configured")
    e = refused(s.rpc.GetSecret, api_v1.GetSecretRequest(store_name="nope", key="k"))
    assert e.code() == Code.FAILED_PRECONDITION


@pytest.mark.parametrize("method,path", [("POST", "/v1.0/secrets/files/plain"), ("GET", "/v1.0/secrets/files"), ("GET", "/v1.0/secrets/files/a/b"),
                                         ("DELETE", "/v1.0/secrets/files/plain"), ("GET", "/v1.0-alpha1/secrets/files/plain")])
def test_another_method_or_route(secrets, method, path):
    r = secrets.request(method, path)
    assert (r.status, r.code) == (404, "ERR_DIRECT_INVOKE")


# -- scopes

@pytest.mark.parametrize("scope,open_,closed", [
    ({"defaultAccess": "allow", "deniedSecrets": ["closed"]}, True, False),
    ({"defaultAccess": "deny", "allowedSecrets": ["open"]}, True, False),
    ({"defaultAccess": "deny"}, False, False),
    ({"defaultAccess": "allow"}, True, True),
    ({"allowedSecrets": ["open"]}, True, False),
    ({"defaultAccess": "allow", "allowedSecrets": ["open"], "deniedSecrets": ["open"]}, True, False),
    ({"deniedSecrets": ["closed"]}, True, False),
    ({}, True, True),
])
def test_scopes(start, tmp_path, scope, open_, closed):
    s = start(file_store(tmp_path, "files", {"open": "o", "closed": "c"}),
              config=[configuration({"secrets": {"scopes": [dict({"storeName": "files"}, **scope)]}})])
    seen = set()
    for key, may in (("open", open_), ("closed", closed)):
        r = s.get("/v1.0/secrets/files/" + key)
        request = api_v1.GetSecretRequest(store_name="files", key=key)
        if may:
            assert (r.status, r.json) == (200, {key: key[0]})
            assert dict(s.rpc.GetSecret(request).data) == {key: key[0]}
            seen.add(key)
        else:
            assert (r.status, r.code) == (403, "ERR_PERMISSION_DENIED")
            assert key in r.message and "files" in r.message
            assert refused(s.rpc.GetSecret, request).code() == Code.PERMISSION_DENIED
    assert set(s.get("/v1.0/secrets/files/bulk").json) == seen
    assert set(s.rpc.GetBulkSecret(api_v1.GetBulkSecretRequest(store_name="files")).data) == seen


def test_a_scope_of_one_store_leaves_the_others_open(start, tmp_path):
    s = start(file_store(tmp_path, "a"), file_store(tmp_path, "b"),
              config=[configuration({"secrets": {"scopes": [{"storeName": "a", "defaultAccess": "deny"}]}})])
    assert s.get("/v1.0/secrets/a/plain").status == 403
    assert s.get("/v1.0/secrets/b/plain").status == 200


def test_a_scope_of_a_store_that_is_not_there_is_said(start, tmp_path):
    s = start(config=[configuration({"secrets": {"scopes": [{"storeName": "gone", "defaultAccess": "allow"}]}})])
    s.wait_log("Secrets configuration added for 'gone', but no matching secret store was found")


# -- files that cannot be read

@pytest.mark.parametrize("content", ["{", "[1]", "", "{\"a\": \"b\"} x"])
def test_a_file_of_secrets_that_is_no_object(tmp_path, content):
    code, log = Sidecar(tmp_path / "run", file_store(tmp_path, "files", content)).run()
    assert code == 1
    assert "Failed to init component files (secretstores.local.file/v1)" in log


def test_a_file_of_secrets_that_is_not_there(tmp_path):
    s = Sidecar(tmp_path / "run", component("files", "secretstores.local.file", {"secretsFile": str(tmp_path / "gone.json")}))
    code, log = s.run()
    assert code == 1
    assert "Failed to init component files (secretstores.local.file/v1)" in log and "gone.json" in log


def test_a_store_without_its_file_name(tmp_path):
    code, log = Sidecar(tmp_path / "run", component("files", "secretstores.local.file")).run()
    assert code == 1
    assert "missing local secrets file in metadata" in log
