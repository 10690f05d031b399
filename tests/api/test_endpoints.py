# SPDX-License-Identifier: Apache-2.0
"""Servers outside, invoked by URL and by HTTPEndpoint: paths, headers, secrets, certificates, large bodies, failures."""
import json
import socket
import ssl
import threading
import urllib.parse

import grpc
import pytest
import yaml
from dapr.proto import api_v1, common_v1
from invoked import HttpApp, ask
from redis_server import Certificates
from sidecar import LOOPS, Sidecar, component


def endpoint(name, url, headers=None, tls=None, store=None, **more):
    spec = {"version": "v1alpha1", "baseUrl": url}
    if headers:
        spec["headers"] = headers
    if tls:
        spec["clientTLS"] = tls
    e = {"apiVersion": "dapr.io/v1alpha1", "kind": "HTTPEndpoint", "metadata": {"name": name}, "spec": spec}
    if store:
        e["auth"] = {"secretStore": store}
    return yaml.safe_dump(dict(e, **more))


class SecureApp(HttpApp):
    """By TLS, for those who show a certificate of its authority."""

    def __init__(self, certificates):
        super().__init__()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificates.server)
        context.load_verify_locations(certificates.ca)
        context.verify_mode = ssl.CERT_REQUIRED
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)


@pytest.fixture
def app():
    a = HttpApp()
    yield a
    a.stop()


@pytest.fixture(params=LOOPS)
def loops(request):
    return request.param


def test_by_name_and_by_url(tmp_path, app, loops):
    url = "http://127.0.0.1:%d" % app.port
    s = Sidecar(tmp_path / "run", endpoint("web", url, [{"name": "X-Key", "value": "fixed"}, {"name": "x-number", "value": 5}]),
                endpoint("below", url + "/deep/er"), endpoint("others", url, scopes=["another"]), loops=loops).start()
    status, headers, body = ask(s.http, "POST", "/v1.0/invoke/web/method/a/b?x=1&y=%20", b"hello", {"x-key": "mine", "x-own": "1"})
    seen = json.loads(body)
    assert status == 200 and headers["x-app"] == "yes"
    assert seen["method"] == "POST" and seen["path"] == "/a/b?x=1&y=%20" and seen["body"] == "aGVsbG8="
    got = dict(seen["headers"])
    assert got["x-key"] == "fixed" and got["x-number"] == "5" and got["x-own"] == "1" and got["host"] == "127.0.0.1:%d" % app.port
    assert "dapr-caller-app-id" not in got and "traceparent" in got
    assert json.loads(ask(s.http, "GET", "/v1.0/invoke/below/method/a")[2])["path"] == "/deep/er/a"
    for target in (url, urllib.parse.quote(url, safe="")):
        status, _, body = ask(s.http, "GET", "/v1.0/invoke/%s/method/x/../y?q" % target)
        assert status == 200 and json.loads(body)["path"] == "/y?q"
    status, _, body = ask(s.http, "GET", "/z", headers={"dapr-app-id": url})
    assert status == 200 and json.loads(body)["path"] == "/z"
    shown = s.get("/v1.0/metadata").json["httpEndpoints"]
    assert sorted(e["name"] for e in shown) == ["below", "web"]
    listed = s.rpc.GetMetadata(api_v1.GetMetadataRequest())
    assert sorted(e.name for e in listed.http_endpoints) == ["below", "web"]
    s.stop()


def test_by_grpc(tmp_path, app):
    s = Sidecar(tmp_path / "run", endpoint("web", "http://127.0.0.1:%d" % app.port)).start()
    message = common_v1.InvokeRequest(method="m", http_extension=common_v1.HTTPExtension(verb=common_v1.HTTPExtension.PUT, querystring="a=b"))
    message.data.value = b"hello"
    reply = s.rpc.InvokeService(api_v1.InvokeServiceRequest(id="web", message=message))
    seen = json.loads(reply.data.value)
    assert seen["method"] == "PUT" and seen["path"] == "/m?a=b" and reply.content_type == "application/json"
    s.stop()


def test_statuses_and_large_bodies(tmp_path, app, loops):
    url = "http://127.0.0.1:%d" % app.port
    s = Sidecar(tmp_path / "run", endpoint("web", url), loops=loops, flags={"max-body-size": "1Gi"}).start()
    for code in (201, 302, 404, 500, 503):
        status, headers, body = ask(s.http, "POST", "/v1.0/invoke/web/method/status", b"%d" % code)
        assert (status, body, headers["x-reason"]) == (code, b"as asked", "asked")
    status, _, body = ask(s.http, "POST", "/v1.0/invoke/web/method/count", bytes(50 << 20))
    assert status == 200 and body.startswith(b"%d " % (50 << 20))
    status, _, body = ask(s.http, "POST", "/v1.0/invoke/web/method/make", b"50")
    assert status == 200 and len(body) == 50 << 20
    s.stop()


def test_certificates_of_both_sides(tmp_path, loops):
    good, bad = Certificates(tmp_path / "good"), Certificates(tmp_path / "bad")
    app = SecureApp(good)
    (tmp_path / "secrets.json").write_text(json.dumps({"ca": good.text(good.ca), "key": good.text(good.client[1]), "word": "hush"}))

    def tls(ca, pair):
        return {"rootCA": {"value": ca.text(ca.ca)}, "certificate": {"value": pair.text(pair.client[0])},
                "privateKey": {"value": pair.text(pair.client[1])}}

    url = "https://localhost:%d" % app.port
    secret = {"rootCA": {"secretKeyRef": {"name": "ca", "key": "ca"}}, "certificate": {"value": good.text(good.client[0])},
              "privateKey": {"secretKeyRef": {"name": "key", "key": "key"}}}
    s = Sidecar(tmp_path / "run", endpoint("fine", url, tls=tls(good, good)), endpoint("stranger", url, tls=tls(good, bad)),
                endpoint("mistrust", url, tls=tls(bad, good)),
                endpoint("secret", url, [{"name": "x-word", "secretKeyRef": {"name": "word", "key": "word"}}], secret, store="vault"),
                component("vault", "secretstores.local.file", {"secretsFile": str(tmp_path / "secrets.json")}), loops=loops).start()
    for name in ("fine", "secret"):
        for _ in range(3):
            status, _, body = ask(s.http, "POST", "/v1.0/invoke/%s/method/a" % name, b"hello")
            assert status == 200, body
    assert ["x-word", "hush"] in json.loads(body)["headers"]
    for name, why in (("stranger", ""), ("mistrust", "certificate")):
        status, _, body = ask(s.http, "GET", "/v1.0/invoke/%s/method/a" % name)
        assert status == 500 and json.loads(body)["errorCode"] == "ERR_DIRECT_INVOKE"
        assert ("failed to invoke, id: %s, err: Get \"https://localhost:%d/a\": " % (name, app.port)) in json.loads(body)["message"]
        assert why in json.loads(body)["message"]
    # A URL is asked with the system's trust anchors.
    status, _, body = ask(s.http, "GET", "/v1.0/invoke/%s/method/a" % url)
    assert status == 500 and "certificate" in json.loads(body)["message"]
    s.stop()
    app.stop()


@pytest.mark.ours
def test_failures_are_sentences(tmp_path):
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        port = nobody.getsockname()[1]
        s = Sidecar(tmp_path / "run", endpoint("gone", "http://127.0.0.1:%d" % port), endpoint("odd", "ftp://host"),
                    endpoint("none", "")).start()
        status, _, body = ask(s.http, "GET", "/v1.0/invoke/gone/method/a")
        assert status == 500 and json.loads(body)["message"] == (
            'failed to invoke, id: gone, err: Get "http://127.0.0.1:%d/a": dial tcp 127.0.0.1:%d: connect: connection refused' % (port, port))
        status, _, body = ask(s.http, "GET", "/v1.0/invoke/odd/method/a")
        assert status == 500 and "begins neither with http://" in json.loads(body)["message"]
        s.wait_log("spec.baseUrl")
        with pytest.raises(grpc.RpcError) as e:
            s.rpc.InvokeService(api_v1.InvokeServiceRequest(id="gone", message=common_v1.InvokeRequest(
                method="m", http_extension=common_v1.HTTPExtension(verb=common_v1.HTTPExtension.GET))))
        assert "connection refused" in e.value.details()
        s.stop()


@pytest.mark.ours
def test_the_applications_token_stays_here(tmp_path, app):
    """Dapr sends APP_API_TOKEN to any URL."""
    s = Sidecar(tmp_path / "run", env={"APP_API_TOKEN": "secret"}).start()
    _, _, body = ask(s.http, "GET", "/v1.0/invoke/http://127.0.0.1:%d/method/a" % app.port)
    assert b"secret" not in body
    s.stop()



def chunked(port, target, host="x"):
    """What comes back for a chunked POST with a trailer: the raw text of the answer."""
    with socket.create_connection(("127.0.0.1", port), 20) as c:
        c.sendall(("POST %s HTTP/1.1\r\nHost: %s\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n5\r\nhello\r\n0\r\n"
                   "X-Behind: mine\r\nDapr-Api-Token: no\r\n\r\n" % (target, host)).encode())
        text = b""
        while piece := c.recv(65536):
            text += piece
        return text


@pytest.mark.ours
def test_trailers_both_ways(tmp_path):
    """To one's own application and to servers outside; Dapr drops them."""
    heard = []

    def serve(listener):
        while True:
            try:
                c, _ = listener.accept()
            except OSError:
                return
            with c:
                text = b""
                while b"\r\n0\r\n" not in text or not text.endswith(b"\r\n\r\n"):
                    piece = c.recv(65536)
                    if not piece:
                        break
                    text += piece
                if b"hello" in text:
                    heard.append(text)
                    c.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 42\r\nContent-Length: 7\r\n\r\n")
                else:
                    c.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, args=(listener,), daemon=True).start()
        port = listener.getsockname()[1]
        s = Sidecar(tmp_path / "run", endpoint("web", "http://127.0.0.1:%d" % port), flags={
            "app-port": port, "disable-init-endpoints": "config,subscribe"}).start()
        for name in ("testapp", "web"):
            got = chunked(s.http, "/v1.0/invoke/%s/method/m" % name)
            assert got.startswith(b"HTTP/1.1 200 OK\r\n") and got.lower().endswith(b"2\r\nok\r\n0\r\nx-sum: 42\r\n\r\n"), got
            assert heard[-1].endswith(b"0\r\nX-Behind: mine\r\n\r\n"), heard[-1]
        s.stop()
