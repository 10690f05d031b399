#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The application `orders`: an order that comes in by invocation is stored in a transaction and published."""
import json
import os
import urllib.parse

import sidecar
from sidecar import call, say

STORE = "/v1.0/state/statestore"


class Orders(sidecar.Handler):
    subscriptions = []

    def get(self, path):
        parts = path.split("/")
        if len(parts) == 3 and parts[1] == "orders":
            status, _, body = call("GET", "%s/order-%s" % (STORE, urllib.parse.quote(parts[2], safe="")))
            return (200, json.loads(body)) if status == 200 else (404, "no such order")
        return 404, "try /orders/44"

    def post(self, path, order):
        if path != "/orders" or not isinstance(order, dict) or "id" not in order:
            return 400, 'an order is {"id": 44, "item": "lamp", "amount": 1} to /orders'
        parent, trace = sidecar.trace_of(self.headers)
        goes_on = {"traceparent": parent} if parent else {}
        say("orders: invoked", "order-%s = %s" % (order["id"], json.dumps(order)))
        status, _, body = call("POST", STORE + "/transaction", {"operations": [
            {"operation": "upsert", "request": {"key": "order-%s" % order["id"], "value": order}},
            {"operation": "upsert", "request": {"key": "last", "value": order["id"]}}]}, goes_on)
        if status != 204:
            return 500, body
        say("orders: stored", "order-%s and last, both or none" % order["id"])
        status, _, body = call("POST", "/v1.0/publish/pubsub/orders", order,
                               dict(goes_on, **{"Content-Type": "application/json"}))
        if status != 204:
            return 500, body
        say("orders: published", "to topic orders of pubsub")
        return 200, {"stored": "order-%s" % order["id"], "trace": trace, "pid": os.getpid()}


def main():
    sidecar.serve(Orders)
    sidecar.stay()


if __name__ == "__main__":
    main()
