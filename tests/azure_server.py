# SPDX-License-Identifier: Apache-2.0
"""Azurite, Entra ID's token endpoint (entra.mjs), and the addresses where platforms give tokens to what runs on them."""
import atexit
import http.server
import json
import os
import signal
import subprocess
import threading
import time
import urllib.parse
import urllib.request

from sidecar import free_port

ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="  # the emulator's, the same for everybody
TENANT = "11111111-2222-3333-4444-555555555555"
MODULES = os.path.abspath(os.path.join("build", "node", "node_modules"))
SCOPE = "https://storage.azure.com"


class Program:
    """A process whose log says when it is ready."""

    def __init__(self, folder, argv, ready, env=None):
        os.makedirs(folder, exist_ok=True)
        self.path = os.path.join(folder, "log")
        self.argv, self.ready, self.env = argv, ready, dict(os.environ, LD_PRELOAD="", **(env or {}))
        self.process = None
        atexit.register(self.stop)
        self.start()

    def start(self):
        with open(self.path, "wb") as log:
            self.process = subprocess.Popen(self.argv, stdout=log, stderr=subprocess.STDOUT, env=self.env, stdin=subprocess.DEVNULL)
        end = time.monotonic() + 60
        while self.ready not in self.log():
            assert self.process.poll() is None and time.monotonic() < end, self.log()
            time.sleep(0.05)

    def log(self):
        with open(self.path, encoding="utf-8", errors="replace") as f:
            return f.read()

    def freeze(self):
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self):
        self.process.send_signal(signal.SIGCONT)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        if self.process is not None and self.process.poll() is None:
            self.thaw()
            self.process.terminate()  # Azurite writes down what it has
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


class Azurite(Program):
    """The blob service. certificate: (certificate, key), for HTTPS with tokens."""

    def __init__(self, folder, certificate=None):
        self.port, self.scheme = free_port(), "https" if certificate else "http"
        argv = [os.path.join(MODULES, ".bin", "azurite-blob"), "--location", str(folder), "--disableTelemetry", "--skipApiVersionCheck",
                "--disableProductStyleUrl",
                "--blobHost", "localhost", "--blobPort", str(self.port)]
        if certificate:
            argv += ["--cert", certificate[0], "--key", certificate[1], "--oauth", "basic"]
        super().__init__(str(folder), argv, "successfully listens on")

    @property
    def endpoint(self):
        return "%s://localhost:%d" % (self.scheme, self.port)

    @property
    def connection_string(self):
        return "DefaultEndpointsProtocol=%s;AccountName=%s;AccountKey=%s;BlobEndpoint=%s/%s;" % (
            self.scheme, ACCOUNT, KEY, self.endpoint, ACCOUNT)

    def by_key(self, container):
        return {"accountName": ACCOUNT, "accountKey": KEY, "endpoint": self.endpoint, "containerName": container}


class Entra(Program):
    def __init__(self, folder, certificate, assertion_certificate):
        self.port = free_port()
        script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "entra.mjs")
        super().__init__(str(folder), ["node", script], "ready\n",
                         {"PORT": str(self.port), "CERT": certificate[0], "KEY": certificate[1], "MODULES": MODULES,
                          "ASSERTION_CERT": assertion_certificate})

    @property
    def authority(self):
        return "https://localhost:%d" % self.port

    def asked(self):
        return self.log().count("\nasked ")


class Platform:
    """Gives tokens to whoever runs here: `form` "imds" or "app service". Strict, as the real ones: a request that lacks something
    gets 400, and no token. `source` makes the tokens."""

    def __init__(self, form, source, busy=0):
        self.form, self.source, self.busy, self.requests = form, source, busy, []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):  # noqa: N802
                code, body = outer.answer(self.path, self.headers)
                data = json.dumps(body).encode()
                self.send_response(code)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *args):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def env(self):
        host = "http://127.0.0.1:%d" % self.server.server_port
        if self.form == "imds":
            return {"AZURE_POD_IDENTITY_AUTHORITY_HOST": host}
        return {"IDENTITY_ENDPOINT": host + "/msi/token", "IDENTITY_HEADER": "853b9a84-5bfa-4b22-a3f3-0b9a43d9ad8a"}

    def answer(self, target, headers):
        path, _, query = target.partition("?")
        query = dict(urllib.parse.parse_qsl(query))
        self.requests.append(target)
        if self.busy > 0:
            self.busy -= 1
            return 503, {"error": "busy"}
        if self.form == "imds":
            good = path == "/metadata/identity/oauth2/token" and headers.get("metadata") == "true" and query.get("api-version") == "2018-02-01"
        else:
            good = path == "/msi/token" and headers.get("x-identity-header") == self.env["IDENTITY_HEADER"] and \
                query.get("api-version") == "2019-08-01"
        if not good or query.get("resource") != SCOPE or query.get("client_id", "mine") != "mine":
            return 400, {"error": "invalid_request", "error_description": "Identity not found"}
        soon = int(time.time()) + 86400
        return 200, {"access_token": self.source(), "expires_on": str(soon), "resource": SCOPE, "token_type": "Bearer",
                     **({"expires_in": "86400"} if self.form == "imds" else {})}

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
