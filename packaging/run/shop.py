#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The application `shop`: everything it knows and keeps goes through its sidecar. It takes the tour, printing each step:
state, a secret, metadata; then it sends an order to the application `orders` and waits for the event that this causes.

	APP_ID=shop APP_PORT=8080 DAPR_HTTP_PORT=3500 shop.py [--once]

Without --once it then answers /orders/{id} from the sidecar's state, and prints what it receives, until it is ended.
"""
import json
import os
import queue
import sys
import threading
import time
import urllib.parse

import sidecar
from sidecar import call, expect, say

STORE, SECRETS = "statestore", "secretstore"
received, toured = queue.Queue(), threading.Event()


class Shop(sidecar.Handler):
    subscriptions = [{"pubsubname": "pubsub", "topic": "orders", "route": "/received"}]

    def get(self, path):
        parts = path.split("/")
        if len(parts) == 3 and parts[1] == "orders":
            status, _, body = call("GET", "/v1.0/state/%s/order-%s" % (STORE, urllib.parse.quote(parts[2], safe="")))
            return (200, json.loads(body)) if status == 200 else (404, "no such order")
        if path == "/toured":
            return (200, "yes") if toured.is_set() else (503, "not yet")
        return 404, "try /orders/42"

    def post(self, path, event):
        if path != "/received":
            return 404, "nothing is sent there"
        trace = sidecar.trace_of(self.headers)[1]
        say("shop: received", "%s, published by %s, trace %s" % (json.dumps(event["data"]), event["source"], trace))
        received.put((event, trace))
        return 200, {"status": "SUCCESS"}


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
            sys.exit("shop: what was to live for a second is there after ten")
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


def order():
    """From this application through two sidecars to the other, and back as an event; the trace is one all the way."""
    wanted = {"id": 44, "item": "lamp", "amount": 1}
    trace = os.environ["TRACE"]
    say("invoke", "POST /orders of orders, through both sidecars")
    status, _, body = call("POST", "/v1.0/invoke/orders/method/orders", wanted,
                           {"Content-Type": "application/json", "traceparent": "00-%s-00f067aa0ba902b7-01" % trace})
    expect(status, 200, "the invocation (%s)" % body)
    answer = json.loads(body)
    say("answer", "%s is stored, says process %d" % (answer["stored"], answer["pid"]))
    try:
        event, seen = received.get(timeout=15)
    except queue.Empty:
        sys.exit("shop: no event came")
    expect((event["data"], event["topic"], event["source"]), (wanted, "orders", "orders"), "the event")
    expect((answer["trace"], seen), (trace, trace), "the trace")
    say("trace", "%s: seen by orders when it was invoked and by shop when it received" % trace)


def main():
    sidecar.serve(Shop)
    tour()
    order()
    if "--once" not in sys.argv:
        toured.set()
        sidecar.stay()


if __name__ == "__main__":
    main()
