# SPDX-License-Identifier: Apache-2.0
"""A shop on Dapr's extension for gRPC: grpc_extension_app.py PORT."""
import json
import sys

from dapr.clients.grpc._response import TopicEventResponse
from dapr.ext.grpc import App, InvokeMethodResponse

from shop import Shop

app, shop = App(), Shop()


@app.subscribe(pubsub_name="bus", topic="orders")
def orders(event):
    return TopicEventResponse(shop.take(json.loads(event.Data())).lower())


@app.subscribe(pubsub_name="bus", topic="declared")
def declared(event):
    return TopicEventResponse(shop.take(json.loads(event.Data())).lower())


@app.method("echo")
def echo(request):
    mine = request.metadata["x-mine"][0] if "x-mine" in request.metadata else None
    return InvokeMethodResponse(json.dumps({"method": "POST", "query": {}, "mine": mine, "body": request.text()}), "application/json")


@app.method("came")
def came(request):
    return InvokeMethodResponse(json.dumps(shop.came), "application/json")


app.register_health_check(lambda: None)
app.run(int(sys.argv[1]), listen_address="127.0.0.1")
