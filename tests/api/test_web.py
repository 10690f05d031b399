# SPDX-License-Identifier: Apache-2.0
"""The services davit.http/1 and davit.metrics/1 under a plugin made for it (data/web): on loops and workers, in the clear, by TLS,
through proxies, with a server that is slow, breaks off or goes away."""
import http.server
import os
import re
import select
import socket
import ssl
import subprocess
import threading
import time

import pytest
from kit import Kit
from redis_server import Certificates
from sidecar import BUILD, SLOW, Sidecar, component

pytestmark = pytest.mark.ours

SOURCES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "data", "web")


@pytest.fixture(scope="module")
def plugins(tmp_path_factory):
    """A plugin folder with state.web in it."""
    kit = Kit(tmp_path_factory.mktemp("kit"))
    folder = tmp_path_factory.mktemp("plugins") / "state.web" / "1.0.0"
    os.makedirs(folder)
    library = str(folder / "state.web.so")
    kit.compile(library, os.path.join(SOURCES, "web.c"), name="state.web")
    (folder / "state.web.json").write_text(kit.fill(os.path.join(SOURCES, "state.web.json"), "1.0.0", library))
    return str(folder.parent.parent)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, code, body=b""):
        self.send_response(code)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def handle_all(self):
        web = self.server.web
        web.seen.append((self.command, self.path, dict(self.headers)))
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = re.sub("^http://[^/]*", "", self.path)
        if web.delay:
            web.delay.wait(30)
        if web.cut:
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nha")
            self.close_connection = True
        elif self.command == "PUT":
            web.documents[path] = body
            self.answer(201)
        elif self.command == "DELETE":
            self.answer(200 if web.documents.pop(path, None) is not None else 404)
        else:
            found = web.documents.get(path)
            self.answer(404 if found is None else 200, found or b"")

    def do_CONNECT(self):
        self.server.web.seen.append((self.command, self.path, dict(self.headers)))
        there = socket.create_connection(("127.0.0.1", int(self.path.rpartition(":")[2])))
        self.send_response(200)
        self.end_headers()
        ends = {self.connection: there, there: self.connection}
        while True:
            for s in select.select(list(ends), [], [], 30)[0]:
                data = s.recv(65536)
                if not data:
                    there.close()
                    self.close_connection = True
                    return
                ends[s].sendall(data)

    do_GET = do_PUT = do_DELETE = handle_all


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 1024
    daemon_threads = True

    def handle_error(self, request, client_address):
        pass


class Web:
    def __init__(self, certificates=None):
        self.documents, self.seen, self.delay, self.cut = {}, [], None, False
        self.server = Server(("127.0.0.1", 0), Handler)
        self.server.web = self
        self.port = self.server.server_address[1]
        if certificates:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificates.server)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        self.scheme = "https" if certificates else "http"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    url = property(lambda self: "%s://127.0.0.1:%d" % (self.scheme, self.port))

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def made():
    running = []
    yield lambda thing: running.append(thing) or thing
    for thing in reversed(running):
        thing.stop()


@pytest.fixture(params=["v1", "v2"], ids=["loops", "workers"])
def version(request):
    return request.param


def sidecar(plugins, folder, web, version, ca=None, **more):
    metadata = {"url": web if isinstance(web, str) else web.url, "keyPrefix": "none"}
    if ca:
        metadata["caPEM"] = ca
    return Sidecar(folder / "run", component("store", "state.web", metadata, version=version),
                   flags={"plugins-path": [plugins]}, **more)


@pytest.mark.parametrize("tls", [False, True], ids=["clear", "tls"])
def test_documents_are_kept(plugins, tmp_path, made, version, tls):
    certificates = Certificates(tmp_path / "tls") if tls else None
    web = made(Web(certificates))
    s = made(sidecar(plugins, tmp_path, web, version, certificates.text(certificates.ca) if tls else None, loops=2).start())
    large = "x" * 1000000
    for key, value in (("one", {"a": 1}), ("a b/ü", [1, 2]), ("large", large)):
        assert s.save(key, value).status == 204
        assert s.read(key).json == value
    assert "/a%20b%2F%C3%BC" in web.documents
    assert s.read("nothing").status == 204
    assert s.delete("/v1.0/state/store/one").status == 204
    assert s.read("one").status == 204


def test_its_figures_are_in_the_metrics(plugins, tmp_path, made, version):
    web = made(Web())
    s = made(sidecar(plugins, tmp_path, web, version).start())
    s.save("k", "v")
    s.read("k")
    s.read("k")
    s.read("none")
    ours = {"component": "store", "type": "state.web", "app_id": "testapp"}
    requests = "davit_plugin_web_requests_total"
    assert s.counted(requests, code="200", method="GET", **ours) == 2
    assert s.counted(requests, code="404", method="GET", **ours) == 1
    assert s.counted(requests, code="201", method="PUT", **ours) == 1
    assert s.counted("davit_plugin_web_document_bytes_sum", **ours) == 6
    assert s.counted("davit_plugin_web_document_bytes_count", **ours) == 2
    text = s.get("/metrics", port=s.metrics).body.decode()
    assert "# HELP davit_plugin_web_requests_total Requests to the server.\n# TYPE davit_plugin_web_requests_total counter\n" in text
    assert "# TYPE davit_plugin_web_document_bytes histogram\n" in text


@pytest.mark.parametrize("tls", [False, True], ids=["clear", "tls"])
def test_through_a_proxy_of_the_environment(plugins, tmp_path, made, version, tls):
    certificates = Certificates(tmp_path / "tls") if tls else None
    web, proxy = made(Web(certificates)), made(Web())
    env = {"https_proxy" if tls else "http_proxy": "me:pw@127.0.0.1:%d" % proxy.port, "no_proxy": "example.com,10.0.0.0/8"}
    s = made(sidecar(plugins, tmp_path, web, version, certificates.text(certificates.ca) if tls else None, env=env).start())
    assert s.save("k", 1).status == 204
    assert s.read("k").json == 1
    method, path, fields = proxy.seen[0]
    assert fields["Proxy-Authorization"] == "Basic bWU6cHc="
    if tls:
        assert (method, path) == ("CONNECT", "127.0.0.1:%d" % web.port) and web.documents == {"/k": b"1"}
    else:
        assert (method, path) == ("PUT", web.url + "/k") and proxy.documents == {"/k": b"1"} and not web.seen


def test_no_proxy_is_heeded(plugins, tmp_path, made, version):
    web, proxy = made(Web()), made(Web())
    s = made(sidecar(plugins, tmp_path, web, version, env={"http_proxy": "http://127.0.0.1:%d" % proxy.port,
                                                           "no_proxy": "localhost, 127.0.0.0/8"}).start())
    assert s.save("k", 1).status == 204
    assert web.documents == {"/k": b"1"} and not proxy.seen


def test_failures_are_sentences(plugins, tmp_path, made, version):
    web = made(Web())
    s = made(sidecar(plugins, tmp_path, web, version).start())
    assert s.save("k", 1).status == 204
    web.cut = True
    got = s.read("k")
    assert got.status == 500 and ("GET %s/k: unexpected EOF" % web.url) in got.message
    web.cut = False
    assert s.read("k").json == 1
    web.stop()
    # What is kept may still be served by threads that live on; another server's port is nobody's.
    other = made(sidecar(plugins, tmp_path / "other", "http://127.0.0.1:1", version).start())
    got = other.read("k")
    assert got.status == 500 and "GET http://127.0.0.1:1/k: dial tcp 127.0.0.1:1: connect: connection refused" in got.message


def test_a_stranger_is_not_believed(plugins, tmp_path, made, version):
    web = made(Web(Certificates(tmp_path / "tls")))
    s = made(sidecar(plugins, tmp_path, web, version).start())
    got = s.read("k")
    assert got.status == 500 and "tls: failed to verify certificate: " in got.message


def test_many_wait_for_a_slow_server(plugins, tmp_path, made, version):
    web = made(Web())
    web.delay = threading.Event()
    s = made(sidecar(plugins, tmp_path, web, version, loops=1).start())
    results = []
    threads = [threading.Thread(target=lambda: results.append(s.get("/v1.0/state/store/k", port=s.http).status)) for _ in range(100)]
    for t in threads:
        t.start()
    deadline = time.monotonic() + 20 * SLOW
    while len(web.seen) < (100 if version == "v1" else 8) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert s.get("/v1.0/healthz").status == 204
    web.delay.set()
    for t in threads:
        t.join()
    assert results == [204] * 100


def test_the_bench_offers_the_services_too(plugins, tmp_path, made):
    certificates = Certificates(tmp_path / "tls")
    for web, more in ((made(Web()), []), (made(Web(certificates)), ["-p", "caPEM=" + certificates.text(certificates.ca)])):
        p = subprocess.run([os.path.join(BUILD, "bin", "davit-bench"), "-p", "url=" + web.url, *more,
                            os.path.join(plugins, "state.web", "1.0.0", "state.web.so")],
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, timeout=240)
        assert p.returncode == 0 and " 0 failed" in p.stdout, p.stdout[-3000:]
