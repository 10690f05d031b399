# SPDX-License-Identifier: Apache-2.0
"""A shop on Flask with Dapr's extension: flask_app.py PORT."""
import sys

from flask import Flask, jsonify, request
from flask_dapr import DaprApp

from shop import Shop

app, shop = Flask("shop"), Shop()
dapr = DaprApp(app)


@dapr.subscribe(pubsub="bus", topic="orders", route="/orders")
def orders():
    return jsonify(status=shop.take(request.get_json(force=True)["data"]))


@app.post("/declared")  # which the extension does not know of
def declared():
    return jsonify(status=shop.take(request.get_json(force=True)["data"]))


@app.route("/echo", methods=["GET", "POST", "PUT", "DELETE"])
def echo():
    return {"method": request.method, "query": request.args.to_dict(), "mine": request.headers.get("x-mine"), "body": request.get_data(as_text=True)}


@app.get("/refuse")
def refuse():
    return "not today", 418


@app.get("/came")
def came():
    return jsonify(shop.came)


app.run("127.0.0.1", int(sys.argv[1]), threaded=True)
