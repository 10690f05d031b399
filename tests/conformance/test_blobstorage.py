# SPDX-License-Identifier: Apache-2.0
"""state.azure.blobstorage on Azurite: the suite, the ways in, and the layout beside Azure's own client."""
import base64
import http.server
import os
import subprocess
import sys
import threading
import uuid
from datetime import datetime, timedelta, timezone

import pytest
from azure.core.pipeline import PipelineContext, PipelineRequest
from azure.core.rest import HttpRequest
from azure.storage.blob import AccountSasPermissions, BlobServiceClient, ContentSettings, ResourceTypes, generate_account_sas
from azure.storage.blob._shared.authentication import SharedKeyCredentialPolicy

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))

from azure_server import ACCOUNT, KEY, Azurite  # noqa: E402
from certificates import Certificates  # noqa: E402
from sidecar import Sidecar, component, quote  # noqa: E402

BUILD = os.environ.get("BUILD", "build")
BENCH = os.path.join(BUILD, "bin", "davit-bench")
TYPE = "state.azure.blobstorage"


def plugin():
    folder = os.path.join(BUILD, "lib", "davit", "plugins", TYPE)
    version = sorted(os.listdir(folder))[-1]
    return os.path.join(folder, version, TYPE + ".so")


def bench(props, *words, env=None):
    """The whole suite; the output of a run without a failure. v1 cannot pass it: it drops what stands before a key's "||"."""
    argv = [BENCH, "-t", TYPE + "/v2", *words]
    for name, value in props.items():
        argv += ["-p", "%s=%s" % (name, value)]
    p = subprocess.run(argv + [plugin()], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, errors="replace",
                       timeout=240, env=dict(os.environ, **(env or {})))
    assert p.returncode == 0 and " 0 failed" in p.stdout, p.stdout[-6000:]
    return p.stdout


def speaks(props, env=None):
    """Opened, a few operations, closed: what differs between the ways in is only who may."""
    argv = [BENCH, "-t", TYPE + "/v2", "-i"]
    for name, value in props.items():
        argv += ["-p", "%s=%s" % (name, value)]
    lines = "".join(line + "\n" for line in ("set k 31", "get k", "del k"))
    p = subprocess.run(argv + [plugin()], input=lines, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
                       timeout=240, env=dict(os.environ, **(env or {})))
    assert p.returncode == 0 and "not ok" not in p.stdout and "\nfail" not in p.stdout and "\nok 31 " in p.stdout, p.stdout


@pytest.fixture(scope="module")
def azurite(tmp_path_factory):
    server = Azurite(tmp_path_factory.mktemp("azurite"))
    yield server
    server.stop()


@pytest.fixture(scope="module")
def client(azurite):
    return BlobServiceClient.from_connection_string(azurite.connection_string)


@pytest.fixture
def container():
    return "c" + uuid.uuid4().hex[:16]


@pytest.fixture
def sidecar(azurite, tmp_path, container):
    """Stores `one` (v1) and `two` (v2) on one container."""
    s = Sidecar(tmp_path, component("one", TYPE, azurite.by_key(container), version="v1"),
                component("two", TYPE, azurite.by_key(container), version="v2"))
    s.start()
    yield s
    s.stop()


# -- the suite, by each right

def test_by_account_key(azurite, container):
    bench(azurite.by_key(container))


def test_by_connection_string(azurite, container):
    speaks({"connectionString": azurite.connection_string, "containerName": container})


def test_by_shared_access_signature(azurite, container):
    sas = generate_account_sas(ACCOUNT, KEY, ResourceTypes(service=True, container=True, object=True),
                               AccountSasPermissions(read=True, write=True, delete=True, create=True, list=True, add=True),
                               datetime.now(timezone.utc) + timedelta(hours=1))
    speaks({"connectionString": "BlobEndpoint=%s/%s;SharedAccessSignature=%s" % (azurite.endpoint, ACCOUNT, sas),
            "containerName": container})


def test_over_https(tmp_path, container):
    certificates = Certificates(tmp_path / "ca")
    server = Azurite(tmp_path / "azurite", certificates.server)
    try:
        speaks(server.by_key(container), env={"SSL_CERT_FILE": certificates.ca})
    finally:
        server.stop()


@pytest.mark.parametrize("change, text", [
    ({"accountKey": base64.b64encode(b"another").decode()}, "AuthorizationFailure"),
    ({"accountKey": "not base64!"}, "not base64"),
    ({"accountName": ""}, "missing or empty accountName"),
    ({"endpoint": "localhost:1"}, "must be http:// or https://"),
    ({"endpoint": "http://127.0.0.1:1", "retryCount": "0"}, "127.0.0.1"),
    ({"retryCount": "many"}, "retryCount"),
    ({"azureEnvironment": "Moon"}, "invalid Azure cloud: Moon"),
    ({"containerName": "ab", "retryCount": "0"}, "failed to create Azure Storage container ab"),
    ({"accountName": "", "connectionString": "AccountName=a"}, "neither AccountKey nor SharedAccessSignature"),
    ({"accountName": "", "connectionString": "AccountKey=YQ=="}, "neither AccountName nor BlobEndpoint"),
])
def test_what_cannot_open_says_why(azurite, container, change, text):
    p = dict(azurite.by_key(container), **change)
    out = bench({k: v for k, v in p.items() if v}, "-f", text)
    assert KEY not in out


class Recorder:
    """A service that takes everything, and keeps what was asked: (method, path, fields)."""

    def __init__(self):
        asked = self.asked = []

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self):
                self.rfile.read(int(self.headers.get("content-length", 0)))
                asked.append((self.command, self.path, dict(self.headers.items())))
                self.send_response({"GET": 200, "PUT": 201, "DELETE": 202}[self.command])
                self.send_header("ETag", '"0x1"')
                self.send_header("Content-Length", "1")
                self.end_headers()
                self.wfile.write(b"1")

            do_GET = do_PUT = do_DELETE = answer

            def log_message(self, *args):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.endpoint = "http://127.0.0.1:%d" % self.server.server_address[1]

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


def test_signatures_are_those_of_azures_client(tmp_path, container):
    """The signature of each request that we sent, made once more by azure-storage-blob."""
    recorder = Recorder()
    props = {"accountName": ACCOUNT, "accountKey": KEY, "endpoint": recorder.endpoint, "containerName": container}
    s = Sidecar(tmp_path, component("one", TYPE, dict(props, publicAccessLevel="blob"), version="v1"),
                component("two", TYPE, props, version="v2"))
    s.start()
    try:
        for store in ("one", "two"):
            for key in ("plain", "a b", "a/b", "a+b", "100%", "q?x=1&y=2", "h#i", "Grüße", "~_.-!*'()", "a:b;c,d@e$f", "x" * 300, "[]{}|^`\\\""):
                assert s.post("/v1.0/state/" + store, [{"key": key, "value": "x" * len(key)}]).status == 204
                assert s.get("/v1.0/state/%s/%s" % (store, quote(key))).status == 200
                assert s.delete("/v1.0/state/%s/%s" % (store, quote(key))).status == 204
            for metadata in ({"contentType": "text/plain", "contentLanguage": "en", "contentEncoding": "gzip", "cacheControl": "no-cache"},
                             {"contentMD5": "1B2M2Y8AsgTpgAmY7PhCfg==", "contentDisposition": "attachment; filename=\"a b\""},
                             {"b": "2", "a": "1", "Z": "  blanks  between   ", "a-b": "x", "a_c": "y", "a1": "z", "0": "t\tab"}):
                for more in ({}, {"etag": '"0x1"'}, {"options": {"concurrency": "first-write"}}):
                    assert s.post("/v1.0/state/" + store, [dict({"key": "k", "value": {"a": 1}, "metadata": metadata}, **more)]).status == 204
            assert s.request("DELETE", "/v1.0/state/%s/k" % store, headers={"If-Match": "0x1"}).status == 204
    finally:
        s.stop()
        recorder.stop()
    policy = SharedKeyCredentialPolicy(ACCOUNT, KEY)
    for method, path, fields in recorder.asked:
        ours = {k: v for k, v in fields.items() if k.lower() != "authorization"}
        request = HttpRequest(method, recorder.endpoint + path, headers={k.lower(): v for k, v in ours.items()})
        policy.on_request(PipelineRequest(request, PipelineContext(None)))
        theirs = request.headers["Authorization"]
        assert {k.lower(): v for k, v in fields.items()}["authorization"] == theirs, (method, path, fields)
    assert len(recorder.asked) > 90


# -- what lies in the container

def test_names_of_both_versions(sidecar, client, container):
    sidecar.save("plain", 1, store="one")
    sidecar.save("plain", 2, store="two")
    sidecar.save("a/b c?d%e", 3, store="two")
    names = {b.name: client.get_blob_client(container, b.name).download_blob().readall()
             for b in client.get_container_client(container).list_blobs()}
    assert names == {"plain": b"1", "testapp||plain": b"2", "testapp||a/b c?d%e": b"3"}


def test_properties_and_metadata(sidecar, client, container):
    sidecar.post("/v1.0/state/two", [{"key": "k", "value": {"a": 1}, "metadata": {
        "contentType": "application/json", "ContentEncoding": "utf-8", "cachecontrol": "no-store", "contentLanguage": "en",
        "contentDisposition": "attachment", "my-Key_1": "Grüße\x07 you", "!!": "nothing left"}}])
    found = client.get_blob_client(container, "testapp||k").get_blob_properties()
    s = found.content_settings
    assert (s.content_type, s.content_encoding, s.cache_control, s.content_language, s.content_disposition) == (
        "application/json", "utf-8", "no-store", "en", "attachment")
    assert {k.lower(): v for k, v in found.metadata.items()} == {"mykey1": "Gre you"}


def test_a_wrong_md5_is_refused(sidecar):
    r = sidecar.post("/v1.0/state/two", [{"key": "k", "value": 1, "metadata": {"contentMD5": "abc"}}])
    assert r.status == 500 and "MD5" in r.message


def test_what_azures_client_wrote_is_read(sidecar, client, container):
    blob = client.get_blob_client(container, "testapp||theirs")
    etag = blob.upload_blob(b'{"x":1}', content_settings=ContentSettings(content_type="text/plain"))["etag"]
    r = sidecar.get("/v1.0/state/two/theirs")
    assert (r.status, r.json, r.header("etag").strip('"')) == (200, {"x": 1}, etag.strip('"'))
    assert r.header("content-type") == "application/json"  # as Dapr, whatever the blob's type


def test_our_etag_is_the_services(sidecar, client, container):
    sidecar.save("k", 1, store="two")
    etag = sidecar.get("/v1.0/state/two/k").header("etag")
    assert client.get_blob_client(container, "testapp||k").get_blob_properties().etag.strip('"') == etag.strip('"')
    client.get_blob_client(container, "testapp||k").upload_blob(b"2", overwrite=True)
    r = sidecar.post("/v1.0/state/two", [{"key": "k", "value": 3, "etag": etag}])
    assert r.status == 409, r


def test_no_container_is_made_where_it_is_not_ours(azurite, client, container, tmp_path):
    props = dict(azurite.by_key(container), disableEntityManagement="true")
    s = Sidecar(tmp_path, component("store", TYPE, props, version="v2"))
    s.start()
    try:
        assert s.post("/v1.0/state/store", [{"key": "k", "value": 1}]).status == 500
        client.create_container(container)
        assert s.post("/v1.0/state/store", [{"key": "k", "value": 1}]).status == 204
    finally:
        s.stop()


@pytest.mark.parametrize("level", ["none", "blob", "container"])
def test_public_access_of_a_new_container(azurite, client, container, level):
    speaks(dict(azurite.by_key(container), publicAccessLevel=level))
    found = client.get_container_client(container).get_container_properties().public_access
    assert found == (None if level == "none" else level)


def test_the_server_dies_and_comes_back(azurite, tmp_path, container):
    server = Azurite(tmp_path / "own")
    s = Sidecar(tmp_path / "run", component("store", TYPE, dict(server.by_key(container), retryCount="1"), version="v2"))
    s.start()
    try:
        assert s.post("/v1.0/state/store", [{"key": "k", "value": 1}]).status == 204
        server.stop()
        r = s.post("/v1.0/state/store", [{"key": "k", "value": 2}])
        assert r.status == 500 and "localhost" in r.message, r
        server.start()
        assert s.get("/v1.0/state/store/k").json == 1
        assert s.post("/v1.0/state/store", [{"key": "k", "value": 3}]).status == 204
    finally:
        s.stop()
        server.stop()
