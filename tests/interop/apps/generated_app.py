# SPDX-License-Identifier: Apache-2.0
"""A shop whose gRPC code is generated from the .proto files, Dapr's AppCallback and a service of its own, without any SDK:
generated_app.py PORT, with the generated code on PYTHONPATH."""
import json
import sys
from concurrent import futures

import grpc
import stock_pb2
import stock_pb2_grpc
from dapr.proto.common.v1 import common_pb2
from dapr.proto.runtime.v1 import appcallback_pb2, appcallback_pb2_grpc

from shop import Shop

shop = Shop()
Status = appcallback_pb2.TopicEventResponse.TopicEventResponseStatus


class Callback(appcallback_pb2_grpc.AppCallbackServicer):
    def ListTopicSubscriptions(self, request, context):
        of = appcallback_pb2.TopicSubscription
        return appcallback_pb2.ListTopicSubscriptionsResponse(subscriptions=[of(pubsub_name="bus", topic="orders")])

    def ListInputBindings(self, request, context):
        return appcallback_pb2.ListInputBindingsResponse()

    def OnTopicEvent(self, request, context):
        return appcallback_pb2.TopicEventResponse(status=Status.Value(shop.take(json.loads(request.data))))

    def OnInvoke(self, request, context):
        verb = common_pb2.HTTPExtension.Verb.Name(request.http_extension.verb)
        mine = dict(context.invocation_metadata()).get("x-mine")
        told = shop.came if request.method == "came" else {"method": verb, "query": {}, "mine": mine, "body": request.data.value.decode()}
        reply = common_pb2.InvokeResponse(content_type="application/json")
        reply.data.value = json.dumps(told).encode()
        return reply


class Stock(stock_pb2_grpc.StockServicer):
    def Reserve(self, request, context):
        if request.amount < 1:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "nothing to reserve")
        return stock_pb2.Reservation(item=request.item, left=10 - request.amount)

    def Watch(self, request, context):
        for left in range(request.amount, -1, -1):
            yield stock_pb2.Reservation(item=request.item, left=left)

    def Deliver(self, requests, context):
        return stock_pb2.Reservation(item="all", left=sum(r.amount for r in requests))

    def Talk(self, requests, context):
        for r in requests:
            yield stock_pb2.Reservation(item=r.item, left=r.amount)


server = grpc.server(futures.ThreadPoolExecutor(8))
appcallback_pb2_grpc.add_AppCallbackServicer_to_server(Callback(), server)
stock_pb2_grpc.add_StockServicer_to_server(Stock(), server)
server.add_insecure_port("127.0.0.1:" + sys.argv[1])
server.start()
server.wait_for_termination()
