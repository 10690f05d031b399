# SPDX-License-Identifier: Apache-2.0
"""Applications behind TLS (--app-protocol https, grpcs), whose certificates nobody vouches for, and one that takes few streams."""
import json
import ssl
import threading
import time
from concurrent import futures

import grpc
import pytest
from dapr.proto import api_v1, appcallback_service_v1, common_v1
from invoked import Callback, HttpApp, Pair, ask
from redis_server import Certificates
from sidecar import LOOPS, SLOW, Sidecar, free_port


class HttpsApp(HttpApp):
    def __init__(self, certificates):
        super().__init__()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificates.server)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)


class GrpcsApp:
    def __init__(self, certificates):
        self.port = free_port()
        self.server = grpc.server(futures.ThreadPoolExecutor(16))
        appcallback_service_v1.add_AppCallbackServicer_to_server(Callback(), self.server)
        certificate, key = (open(path, "rb").read() for path in certificates.server)
        self.server.add_secure_port("127.0.0.1:%d" % self.port, grpc.ssl_server_credentials([(key, certificate)]))
        self.server.start()

    def stop(self):
        self.server.stop(None)


@pytest.mark.parametrize("loops", LOOPS)
def test_an_https_application_is_called(tmp_path, loops):
    p = Pair(tmp_path, HttpsApp(Certificates(tmp_path / "tls")), "https", loops=loops)
    for _ in range(5):
        status, headers, body = ask(p.near.http, "POST", "/v1.0/invoke/far/method/a/b?x=1", b"hello")
        assert status == 200 and json.loads(body)["path"] == "/a/b?x=1" and headers["x-app"] == "yes"
    status, _, body = ask(p.near.http, "PUT", "/v1.0/invoke/far/method/count", bytes(3 << 20))
    assert status == 200 and body.startswith(b"%d " % (3 << 20))
    status, _, body = ask(p.near.http, "POST", "/v1.0/invoke/far/method/make", b"8")
    assert status == 200 and len(body) == 8 << 20
    p.stop()


@pytest.mark.parametrize("loops", LOOPS)
def test_a_grpcs_application_is_called(tmp_path, loops):
    p = Pair(tmp_path, GrpcsApp(Certificates(tmp_path / "tls")), "grpcs", loops=loops)
    status, headers, body = ask(p.near.http, "POST", "/v1.0/invoke/far/method/m?x=1", b"x" * 1000000)
    assert status == 200 and headers["x-app"] == "yes"
    answer, _, rest = body.partition(b"\n")
    assert json.loads(answer)["method"] == "m" and rest == b"x" * 1000000
    p.stop()


@pytest.mark.ours
def test_health_is_asked_by_tls(tmp_path):
    app = HttpsApp(Certificates(tmp_path / "tls"))
    s = Sidecar(tmp_path / "run", flags={"app-port": app.port, "app-protocol": "https", "enable-app-health-check": "true",
                                         "app-health-check-path": "/healthy", "app-health-probe-interval": "1"}).start()
    s.wait_log("App entered healthy status")
    s.stop()
    app.stop()


class Crowd(appcallback_service_v1.AppCallbackServicer):
    """Counts who is in it at once, and answers nobody until there were so many."""

    def __init__(self, enough):
        self.lock, self.inside, self.most, self.enough, self.met = threading.Lock(), 0, 0, enough, threading.Event()

    def OnInvoke(self, request, context):
        with self.lock:
            self.inside += 1
            self.most = max(self.most, self.inside)
            if self.inside >= self.enough:
                self.met.set()
        if self.enough:
            self.met.wait(20 * SLOW)
        else:
            time.sleep(0.05)
        with self.lock:
            self.inside -= 1
        return common_v1.InvokeResponse()


@pytest.mark.ours
@pytest.mark.parametrize("calls, enough", [(150, 0), (900, 80)], ids=["few wait their turn", "very many get another connection"])
def test_an_application_that_takes_few_streams(tmp_path, calls, enough):
    streams, port, crowd = 50, free_port(), Crowd(enough)
    server = grpc.server(futures.ThreadPoolExecutor(200), options=[("grpc.max_concurrent_streams", streams), ("grpc.so_reuseport", 0)])
    appcallback_service_v1.add_AppCallbackServicer_to_server(crowd, server)
    server.add_insecure_port("127.0.0.1:%d" % port)
    server.start()
    s = Sidecar(tmp_path / "run", flags={"app-port": port, "app-protocol": "grpc"}, loops=1).start()
    message = common_v1.InvokeRequest(method="m", http_extension=common_v1.HTTPExtension(verb=common_v1.HTTPExtension.POST))
    request = api_v1.InvokeServiceRequest(id="testapp", message=message)
    for answer in [s.rpc.InvokeService.future(request, timeout=40 * SLOW) for _ in range(calls)]:
        answer.result()
    assert crowd.most >= enough if enough else 1 < crowd.most <= streams
    s.stop()
    server.stop(None)
