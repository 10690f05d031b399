# SPDX-License-Identifier: Apache-2.0
"""A sidecar as a process of its own: its resources, ports, log, and its two APIs."""
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import time
import urllib.parse

import grpc
import yaml
from dapr.proto import api_service_v1, api_v1

BUILD = os.path.abspath(os.environ.get("BUILD", "build"))
COMPARE = os.environ.get("DAPRD_COMPARE", "")
DAVITD = COMPARE or os.environ.get("DAVITD", os.path.join(BUILD, "bin/davitd"))
LOOPS = [1] if COMPARE else [1, 2]
SLOW = 5 if os.environ.get("SANITIZE") else 1  # how much longer anything may take

# What a sidecar must not inherit from whoever runs the tests.
KEPT = ("PATH", "HOME", "LANG", "TMPDIR", "ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS")


def component(name, kind, metadata=None, version="v1", namespace=None, scopes=None, secret_store=None, **spec):
    """A Component as YAML. A value of metadata that is a dict is taken as its whole entry: {"secretKeyRef": {...}}."""
    items = []
    for key, value in (metadata or {}).items():
        items.append(dict(value, name=key) if isinstance(value, dict) else {"name": key, "value": value})
    c = {"apiVersion": "dapr.io/v1alpha1", "kind": "Component", "metadata": {"name": name},
         "spec": dict({"type": kind, "version": version, "metadata": items}, **spec)}
    if namespace:
        c["metadata"]["namespace"] = namespace
    if scopes:
        c["scopes"] = scopes
    if secret_store:
        c["auth"] = {"secretStore": secret_store}
    return yaml.safe_dump(c, allow_unicode=True)


def configuration(spec, name="config"):
    return yaml.safe_dump({"apiVersion": "dapr.io/v1alpha1", "kind": "Configuration", "metadata": {"name": name}, "spec": spec})


PORTS = threading.Lock()
# Each process of a run has a range of its own, below that from which the kernel picks ports for clients, and goes round in it.
RANGE = 2500
WORKER = int(re.sub(r"\D", "", os.environ.get("PYTEST_XDIST_WORKER", "")) or os.getpid()) % 8
NEXT = [os.getpid() * 131 % RANGE]


def free_port():
    """A port that nobody holds now, and that this process has not given out lately."""
    with PORTS:
        for _ in range(RANGE):
            NEXT[0] = (NEXT[0] + 1) % RANGE
            port = 10000 + WORKER * RANGE + NEXT[0]
            with socket.socket() as s:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    s.bind(("127.0.0.1", port))
                except OSError:
                    continue
            return port
    raise RuntimeError("no free port")


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def code(self):
        return self.json.get("errorCode")

    @property
    def message(self):
        return self.json.get("message")

    def detail(self, kind):
        """The one detail of this kind, or None."""
        found = [d for d in self.json.get("details", []) if d["@type"] == "type.googleapis.com/google.rpc." + kind]
        assert len(found) < 2
        return found[0] if found else None

    def header(self, name):
        for k, v in self.headers:
            if k.lower() == name.lower():
                return v
        return None

    def __repr__(self):
        return "%d %r" % (self.status, self.body[:500])


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=30)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.path)


class Sidecar:
    """Sidecar(folder, *resources, ...): resources are YAML texts, each a file of its own.

    config      texts of Configurations, each given with --config
    flags       further flags; one of the defaults' names replaces that default, a value of None removes it
    env         further environment
    loops       --loops
    expect      the exit code of stop(); None: any
    """

    def __init__(self, folder, *resources, config=(), flags=None, env=None, loops=None, expect=0, app_id="testapp", program=None,
                 paths=None):
        self.folder, self.expect, self.app_id = str(folder), expect, app_id
        self.program = program or DAVITD
        self.resources = os.path.join(self.folder, "resources")
        os.makedirs(self.resources)
        for i, text in enumerate(resources):
            self.write("resources/%d.yaml" % i, text)
        self.http, self.grpc_port, self.metrics = free_port(), free_port(), free_port()
        self.internal = free_port()
        given = {"app-id": app_id, "dapr-http-port": self.http, "dapr-grpc-port": self.grpc_port, "metrics-port": self.metrics,
                 "dapr-internal-grpc-port": self.internal, "dapr-listen-addresses": "127.0.0.1",
                 "dapr-internal-grpc-listen-address": "127.0.0.1", "metrics-listen-address": "127.0.0.1",
                 "log-level": "debug", "resources-path": paths or [self.resources]}
        given["config"] = [self.write("config%d.yaml" % i, text) for i, text in enumerate(config)]
        if loops and not COMPARE:
            given["loops"] = loops
        given.update(flags or {})
        self.flags = given
        self.argv = [self.program]
        for name, value in given.items():
            for one in value if isinstance(value, list) else [value]:
                if one is not None:
                    self.argv.append("--%s=%s" % (name, one))
        self.env = {k: os.environ[k] for k in KEPT if k in os.environ}
        self.env.update(env or {})
        self.process, self.log_path = None, os.path.join(self.folder, "log")
        self.stubs, self.connection = {}, None
        self.http_channel = None

    def write(self, name, text):
        path = os.path.join(self.folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as f:
            f.write(text.encode() if isinstance(text, str) else text)
        return path

    # -- life

    def spawn(self):
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(self.argv, stdout=log, stderr=subprocess.STDOUT, env=self.env, cwd=self.folder,
                                            stdin=subprocess.DEVNULL)

    def start(self, seconds=20):
        self.spawn()
        self.wait_ready(seconds)
        return self

    def wait_ready(self, seconds=20):
        end = time.monotonic() + seconds * SLOW
        while time.monotonic() < end:
            if self.process.poll() is not None:
                raise AssertionError("ended with %d:\n%s" % (self.process.returncode, self.log()))
            try:
                if self.get("/v1.0/healthz").status == 204:
                    return
            except OSError:
                self.connection = None
            time.sleep(0.01)
        self.process.kill()
        self.process.wait()
        raise AssertionError("not ready in %d s:\n%s" % (seconds, self.log()))

    def stop(self, sig=signal.SIGINT):
        """Ends it as Dapr's harness does, and sees that it ends well."""
        for channel in self.stubs.values():
            channel.close()
        self.stubs = {}
        if self.connection:
            self.connection.close()
            self.connection = None
        if self.process is None:
            return None
        if self.process.poll() is None:
            self.process.send_signal(sig)
        code = self.exit_code()
        self.process = None
        if self.expect is not None:
            assert code == self.expect, "exit code %d, not %d:\n%s" % (code, self.expect, self.log()[-4000:])
        return code

    def exit_code(self, seconds=20):
        try:
            return self.process.wait(seconds * SLOW)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError("did not end in %d s:\n%s" % (seconds, self.log()[-4000:])) from None

    def run(self, seconds=20):
        """Starts it where it is to end by itself: (exit code, log)."""
        self.spawn()
        code = self.exit_code(seconds)
        self.process = None
        return code, self.log()

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process, self.connection = None, None
        for channel in self.stubs.values():
            channel.close()
        self.stubs = {}

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as f:
            return f.read()

    def wait_log(self, text, seconds=10):
        end = time.monotonic() + seconds * SLOW
        while text not in self.log():
            assert time.monotonic() < end, "no line with %r:\n%s" % (text, self.log()[-4000:])
            time.sleep(0.02)

    # -- HTTP

    def connect(self, port=None):
        return http.client.HTTPConnection("127.0.0.1", port or self.http, timeout=30)

    def request(self, method, path, body=None, headers=None, port=None, connection=None):
        """One request on a kept connection (anew once, if the sidecar has closed it meanwhile)."""
        if body is not None and not isinstance(body, (bytes, str)):
            body = json.dumps(body)
        if isinstance(body, str):
            body = body.encode()
        own = connection is None and port is None
        for attempt in (1, 2):
            c = connection or (self.connection if own else None) or self.connect(port)
            try:
                c.request(method, path, body, headers or {})
                r = c.getresponse()
                answer = Answer(r.status, r.getheaders(), r.read())
            except (ConnectionError, http.client.HTTPException):
                c.close()
                if own:
                    fresh, self.connection = self.connection is None, None
                if not own or fresh or attempt == 2:
                    raise
                continue
            if own:
                self.connection = c
            elif connection is None:
                c.close()
            return answer
        return None

    def get(self, path, **kw):
        return self.request("GET", path, **kw)

    def post(self, path, body=None, **kw):
        return self.request("POST", path, body, **kw)

    def put(self, path, body=None, **kw):
        return self.request("PUT", path, body, **kw)

    def delete(self, path, **kw):
        return self.request("DELETE", path, **kw)

    def raw(self, data, port=None, seconds=3, half_close=False):
        """These bytes on a new connection; all bytes that come back until it closes or is silent for the time."""
        with socket.create_connection(("127.0.0.1", port or self.http), timeout=10) as s:
            s.sendall(data)
            if half_close:
                s.shutdown(socket.SHUT_WR)
            s.settimeout(seconds)
            out = b""
            try:
                while True:
                    piece = s.recv(65536)
                    if not piece:
                        return out
                    out += piece
            except (socket.timeout, ConnectionError):
                return out

    # -- state and secrets, over HTTP

    def save(self, key, value, store="store", **more):
        return self.post("/v1.0/state/" + store, [dict({"key": key, "value": value}, **more)])

    def read(self, key, store="store"):
        return self.get("/v1.0/state/%s/%s" % (store, quote(key)))

    # -- gRPC

    def channel(self, target=None):
        target = target or "127.0.0.1:%d" % self.grpc_port
        if target not in self.stubs:
            self.stubs[target] = grpc.insecure_channel(target, [("grpc.enable_http_proxy", 0),
                                                                ("grpc.max_receive_message_length", -1),
                                                                ("grpc.max_send_message_length", -1)])
        return self.stubs[target]

    @property
    def rpc(self):
        return api_service_v1.DaprStub(self.channel())

    # -- metrics

    def series(self, name):
        """{labels as a tuple of pairs: value} of all series of this metric."""
        r = self.request("GET", "/metrics", port=self.metrics)
        assert r.status == 200
        found = {}
        for line in r.body.decode().split("\n"):
            m = re.match(r"^%s(?:\{(.*)\})? (\S+)$" % re.escape(name), line)
            if m:
                labels = tuple(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', m.group(1) or ""))
                found[labels] = float(m.group(2))
        return found

    def counted(self, name, /, **labels):
        return sum(v for k, v in self.series(name).items() if set(labels.items()) <= set(k))


def quote(text):
    return urllib.parse.quote(text, safe="")


def refused(call, *args, **kw):
    """The RpcError of a call that must fail."""
    try:
        answer = call(*args, **kw)
    except grpc.RpcError as e:
        return e
    raise AssertionError("answered %r" % (answer,))


def details(error):
    """{kind: detail} of a failed gRPC call."""
    from google.rpc import error_details_pb2
    from grpc_status import rpc_status
    status = rpc_status.from_call(error)
    found = {}
    for any_ in status.details if status else []:
        kind = any_.type_url.rsplit(".", 1)[-1]
        message = getattr(error_details_pb2, kind)()
        assert any_.Unpack(message) and kind not in found
        found[kind] = message
    return found


__all__ = ["Answer", "Sidecar", "UnixConnection", "api_v1", "component", "configuration", "details", "free_port", "quote",
           "refused", "shutil"]
