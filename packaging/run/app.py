#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The sample application: everything it knows and keeps goes through its sidecar. Needs nothing but Python.

	DAPR_HTTP_PORT=3500 APP_PORT=8080 app.py [--once]

Takes the tour, printing each step, then answers /orders/{id} on APP_PORT from the sidecar's state until it is ended.
"""
import http.client
import http.server
import json
import os
import signal
import sys
import time
import urllib.parse

STORE, SECRETS = "statestore", "secretstore"


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
        sys.exit("app: %s: expected %r, got %r" % (what, want, got))


def tour():
    order = {"id": 42, "item": "keyboard", "amount": 1}
    status, _, _ = call("POST", "/v1.0/state/" + STORE, [{"key": "order-42", "value": order}])
    expect(status, 204, "saving")
    say("save", "order-42 = %s" % json.dumps(order))

    status, headers, body = call("GET", "/v1.0/state/%s/order-42" % STORE)
    expect((status, json.loads(body)), (200, order), "reading")
    first = headers["ETag"]
    say("read", "%s (ETag %s)" % (body, first))

    order["amount"] = 2
    status, _, _ = call("POST", "/v1.0/state/" + STORE, [{"key": "order-42", "value": order, "etag": first}])
    expect(status, 204, "writing with the ETag")
    say("write with that ETag", "amount is 2 now")

    order["amount"] = 3
    status, _, body = call("POST", "/v1.0/state/" + STORE, [{"key": "order-42", "value": order, "etag": first}])
    expect(status, 409, "writing with a stale ETag")
    say("write with it again", "refused: %d %s" % (status, json.loads(body)["errorCode"]))

    status, _, body = call("POST", "/v1.0/state/%s/transaction" % STORE, {"operations": [
        {"operation": "upsert", "request": {"key": "order-43", "value": {"id": 43, "item": "mouse"}}},
        {"operation": "upsert", "request": {"key": "stock-mouse", "value": 9}},
        {"operation": "delete", "request": {"key": "order-41"}}]})
    expect(status, 204, "a transaction")
    say("transaction", "order-43 and stock-mouse written, order-41 deleted, all or none")

    status, _, _ = call("POST", "/v1.0/state/" + STORE, [{"key": "cart", "value": "kept a second", "metadata": {"ttlInSeconds": "1"}}])
    expect(status, 204, "saving with a time to live")
    say("save for one second", "cart = %s" % call("GET", "/v1.0/state/%s/cart" % STORE)[2])
    end = time.monotonic() + 10
    while call("GET", "/v1.0/state/%s/cart" % STORE)[0] != 204:
        if time.monotonic() > end:
            sys.exit("app: what was to live for a second is there after ten")
        time.sleep(0.1)
    say("a second later", "cart is gone")

    status, _, body = call("GET", "/v1.0/secrets/%s/db-password" % SECRETS)
    expect(status, 200, "a secret")
    say("secret", "db-password has %d letters" % len(json.loads(body)["db-password"]))

    status, _, body = call("GET", "/v1.0/metadata")
    expect(status, 200, "metadata")
    found = json.loads(body)
    say("metadata", "%s on %s: %s" % (found["id"], found["runtimeVersion"],
                                      ", ".join("%s (%s/%s)" % (c["name"], c["type"], c["version"]) for c in found["components"])))


class Orders(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        parts = self.path.split("/")
        if len(parts) == 3 and parts[1] == "orders":
            status, _, body = call("GET", "/v1.0/state/%s/order-%s" % (STORE, urllib.parse.quote(parts[2], safe="")))
            status, body = (404, '"no such order"') if status == 204 else (status, body)
        elif self.path in ("/dapr/config", "/dapr/subscribe"):
            status, body = 200, "{}" if self.path.endswith("config") else "[]"
        else:
            status, body = 404, '"try /orders/42"'
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body.encode())))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *args):
        pass


def main():
    signal.signal(signal.SIGINT, lambda *_: sys.exit(0))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    tour()
    if "--once" not in sys.argv:
        http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["APP_PORT"])), Orders).serve_forever()


if __name__ == "__main__":
    main()
