# SPDX-License-Identifier: Apache-2.0
"""A sidecar whose store is Azure Blob Storage, and the service killed, frozen, started anew, slow, half way through an answer,
with a certificate that has run out; and what is said of it. Azurite forgets what it acknowledged when it is killed, so that
nothing acknowledged is lost is looked at where it ends by itself, and where only the way to it breaks."""
import http.client
import os
import shutil
import threading
import time

import grpc
import pytest
from azure_server import KEY, Azurite
from certificates import Certificates
from dapr.proto import api_v1
from sidecar import LOOPS, SLOW, component
from store_servers import StoreServer
from trouble import Load, Proxy, works

pytestmark = pytest.mark.ours
OTHER = component("other", "state.in-memory")


@pytest.fixture
def made():
    """What a test starts and is to be stopped with it."""
    running = []
    yield lambda thing: running.append(thing) or thing
    for thing in reversed(running):
        thing.stop()


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """A server for who only breaks the way to it."""
    s = StoreServer("azure", tmp_path_factory.mktemp("azure"))
    yield s
    s.stop()


def written_down(folder):
    """Azurite, which writes every few seconds, has the container on its disk."""
    end = time.monotonic() + 30 * SLOW
    while not any(b'"container"' in path.read_bytes() for path in folder.glob("*.json")):
        assert time.monotonic() < end
        time.sleep(0.1)


@pytest.mark.parametrize("how", ["killed", "ended"])
def test_a_restart_under_load(start, made, tmp_path, how):
    backend = made(StoreServer("azure", tmp_path))
    s = start(backend.component("127.0.0.1", backend.port), OTHER)
    if how == "killed":
        written_down(tmp_path / "azurite")
    load = Load(s, threads=4)
    for _ in range(1 if how == "killed" else 2):
        time.sleep(0.5)
        backend.server.kill() if how == "killed" else backend.server.stop()
        assert s.save("k", 1).status == 500
        assert s.save("k", 1, store="other").status == 204  # others do not notice
        backend.server.start()
        works(s)
    load.stop()
    assert load.failed > 0 and len(load.acknowledged) >= 20
    if how == "ended":
        load.check()


@pytest.mark.parametrize("loops", LOOPS)
def test_a_way_that_breaks_under_load_loses_nothing_acknowledged(start, made, shared, loops):
    proxy = made(Proxy(shared.port))
    s = start(shared.component(proxy.address, proxy.port), OTHER, loops=loops)
    load = Load(s, threads=4)
    for cut in (None, 0, 20, 200):
        time.sleep(0.3)
        proxy.cut, proxy.reset = cut, True
        time.sleep(0.2)
        proxy.drop()
        works(s)
    load.stop()
    assert len(load.acknowledged) >= 20
    load.check()


def test_a_frozen_service_is_an_error_in_time(start, made, tmp_path):
    backend = made(StoreServer("azure", tmp_path))
    s = start(backend.component("127.0.0.1", backend.port), OTHER)
    s.save("k", 1)
    backend.server.freeze()
    for ask in (lambda: s.rpc.GetState(api_v1.GetStateRequest(store_name="store", key="k"), timeout=0.3),
                lambda: s.rpc.DeleteState(api_v1.DeleteStateRequest(store_name="store", key="other"), timeout=0.3)):
        began = time.monotonic()
        with pytest.raises(grpc.RpcError) as e:
            ask()
        assert e.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED and time.monotonic() - began < 2 * SLOW
    assert s.save("k", 1, store="other").status == 204
    backend.server.thaw()
    works(s)
    assert s.read("k").json == 1


def test_stopping_while_the_service_is_frozen(start, made, tmp_path):
    backend = made(StoreServer("azure", tmp_path))
    s = start(backend.component("127.0.0.1", backend.port))
    s.save("k", 1)
    backend.server.freeze()
    connection = s.connect()
    connection.request("GET", "/v1.0/state/store/k")
    time.sleep(0.1)
    began = time.monotonic()
    s.stop()
    assert time.monotonic() - began < 10 * SLOW
    try:
        connection.getresponse().read()
    except (OSError, http.client.HTTPException):
        pass
    backend.server.thaw()


@pytest.mark.parametrize("cut", [0, 15, 300])
@pytest.mark.parametrize("reset", [False, True], ids=["ended", "reset"])
def test_half_an_answer(start, made, shared, cut, reset):
    proxy = made(Proxy(shared.port))
    s = start(shared.component(proxy.address, proxy.port, retryCount="1"))
    s.save("k", "x" * 400)
    s.read("k")
    proxy.cut, proxy.reset = cut, reset
    assert s.read("k").json == "x" * 400  # tried again, by the service's rules
    proxy.cut, proxy.reset = cut, reset
    assert s.save("k", 2).status == 204
    assert s.read("k").json == 2
    proxy.cut, proxy.reset = cut, reset
    assert s.delete("/v1.0/state/store/k").status == 204
    assert s.read("k").status == 204


@pytest.mark.parametrize("garbage", [b"", b"\0\0\0", b"HTTP/1.1 999 \r\nContent-Length: 0\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
                                     b"HTTP/1.1 200 OK\r\nContent-Length: 9999999999999999999999\r\n\r\n", b"$3\r\nabc\r\n",
                                     b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
                                     b"HTTP/1.1 403 Forbidden\r\nContent-Length: 25\r\n\r\n<Error><Code>\xff</Code><Mes",
                                     b"HTTP/1.1 404 Not Found\r\nx-ms-error-code: BlobNotFound\r\nx-ms-error-code: X\r\nContent-Length: 0\r\n\r\n"])
def test_an_answer_that_is_none(start, made, shared, garbage):
    proxy = made(Proxy(shared.port))
    s = start(shared.component(proxy.address, proxy.port))
    s.save("k", 1)
    for what in (lambda: s.save("k", 2), lambda: s.read("k")):
        proxy.garbage, proxy.cut = (garbage, None) if garbage else (None, 0)
        r = what()
        assert r.status in (200, 204, 500), r
        proxy.garbage = proxy.cut = None
        works(s)
    assert s.read("k").json in (1, 2)


def test_a_slow_service_slows_nobody_else(start, made, shared):
    proxy = made(Proxy(shared.port))
    s = start(shared.component(proxy.address, proxy.port), shared.component("127.0.0.1", shared.port, name="fast", containerName="fast"), OTHER)
    s.save("k", 1, store="fast")
    proxy.delay = 1.5
    slow = threading.Thread(target=s.connect().request, args=("GET", "/v1.0/state/store/k"))
    slow.start()
    began = time.monotonic()
    for i in range(5):
        assert s.save("k", i, store="fast").status == 204 and s.save("k", i, store="other").status == 204
    assert time.monotonic() - began < 1.4 * SLOW
    slow.join()


def test_a_certificate_runs_out(start, made, tmp_path):
    """Who connects while it is no good is refused with the reason, until there is a new one."""
    ours = Certificates(tmp_path / "certificates")
    expired = ours.make("expired", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-days", "-1")
    pair = [str(tmp_path / name) for name in ("crt", "key")]

    def use(certificate):
        for source, to in zip(certificate, pair):
            shutil.copy(source, to)

    use(ours.server)
    server = made(Azurite(tmp_path / "azurite", pair))
    s = start(component("store", "state.azure.blobstorage", dict(server.by_key("container"), retryCount="0"), version="v2"),
              env={"SSL_CERT_FILE": os.path.abspath(ours.ca)})
    assert s.save("k", 1).status == 204
    use(expired)
    server.stop()
    server.start()
    r = s.read("k")
    assert r.status == 500 and "certificate" in r.message and "expired" in r.message, r
    use(ours.server)
    server.stop()
    server.start()
    works(s)
    assert s.read("k").json == 1


def test_too_many_requests_are_tried_again_when_the_service_says(start, made, shared):
    proxy = made(Proxy(shared.port))
    s = start(shared.component(proxy.address, proxy.port, retryCount="2"))
    s.save("k", 1)
    proxy.garbage = b"HTTP/1.1 429 Busy\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n"
    began = time.monotonic()
    assert s.read("k").json == 1
    assert time.monotonic() - began > 0.9  # not sooner than it asked


def test_a_key_is_in_no_log(start, made, shared):
    s = start(shared.component("127.0.0.1", shared.port))
    works(s)
    s.get("/v1.0/metadata")
    assert KEY not in s.log() and "SharedKey devstoreaccount1:" not in s.log()
