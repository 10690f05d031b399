# SPDX-License-Identifier: Apache-2.0
"""What both sample applications need: their sidecar's HTTP API, and a server of their own. Nothing but Python."""
import http.client
import http.server
import json
import os
import signal
import sys
import threading
import time


def call(method, path, body=None, headers=None):
    """(status, headers, body) of the sidecar's answer."""
    c = http.client.HTTPConnection("127.0.0.1", int(os.environ["DAPR_HTTP_PORT"]), timeout=10)
    try:
        c.request(method, path, None if body is None else json.dumps(body), headers or {})
        r = c.getresponse()
        return r.status, r.headers, r.read().decode()
    finally:
        c.close()


def say(step, text):
    print("%-24s %s" % (step, text), flush=True)


def expect(got, want, what):
    if got != want:
        sys.exit("%s: %s: expected %r, got %r" % (os.environ["APP_ID"], what, want, got))


def trace_of(headers):
    """(the header to hand on, the trace's id)."""
    parent = headers.get("traceparent", "")
    return parent, parent.split("-")[1] if parent.count("-") == 3 else "none"


class Handler(http.server.BaseHTTPRequestHandler):
    """get and post answer (status, value) for a path; what is sent as JSON comes as a value."""

    def answer(self, status, value):
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        if self.path == "/dapr/subscribe":
            return self.answer(200, self.subscriptions)
        if self.path == "/dapr/config":
            return self.answer(200, {})
        return self.answer(*self.get(self.path))

    def do_POST(self):
        sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            value = json.loads(sent)
        except ValueError:
            return self.answer(400, "JSON is wanted")
        return self.answer(*self.post(self.path, value))

    def log_message(self, *args):
        pass


def serve(handler):
    """Listens, then waits until the sidecar has found that and subscribed."""
    for sig in (signal.SIGINT, signal.SIGTERM):
        signal.signal(sig, lambda *_: sys.exit(0))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["APP_PORT"])), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    end = time.monotonic() + 30
    while call("GET", "/v1.0/healthz")[0] != 204:
        if time.monotonic() > end:
            sys.exit("%s: the sidecar is not ready" % os.environ["APP_ID"])
        time.sleep(0.02)


def stay():
    while True:
        signal.pause()
