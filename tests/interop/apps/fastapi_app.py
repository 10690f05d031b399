# SPDX-License-Identifier: Apache-2.0
"""A shop on FastAPI with Dapr's extension: fastapi_app.py PORT."""
import sys

import uvicorn
from dapr.ext.fastapi import DaprApp
from fastapi import Body, FastAPI, Request
from fastapi.responses import PlainTextResponse

from shop import Shop

app, shop = FastAPI(), Shop()
dapr = DaprApp(app)


@dapr.subscribe(pubsub="bus", topic="orders", route="/orders")
def orders(event=Body()):
    return {"status": shop.take(event["data"])}


@app.post("/declared")
def declared(event=Body()):
    return {"status": shop.take(event["data"])}


@app.api_route("/echo", methods=["GET", "POST", "PUT", "DELETE"])
async def echo(request: Request):
    return {"method": request.method, "query": dict(request.query_params), "mine": request.headers.get("x-mine"),
            "body": (await request.body()).decode()}


@app.get("/refuse")
def refuse():
    return PlainTextResponse("not today", 418)


@app.get("/came")
def came():
    return shop.came


uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")
