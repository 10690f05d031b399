#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A state store and a secret store in memory, served over Dapr's pluggable component protocol: memory.py SOCKET"""
import concurrent.futures
import datetime
import json
import os
import signal
import sys
import threading
import time

import grpc
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2
from grpc_reflection.v1alpha import reflection

from protocol import PACKAGE, handler, message

FIRST_WRITE = 1  # StateOptions.CONCURRENCY_FIRST_WRITE


def fail(context, code, text, *details):
    """Ends the call with a status and details, as google.rpc.Status carries them."""
    packed = []
    for d in details:
        packed.append(any_pb2.Any())
        packed[-1].Pack(d)
    full = status_pb2.Status(code=code.value[0], message=text, details=packed)
    context.set_trailing_metadata([("grpc-status-details-bin", full.SerializeToString())])
    context.abort(code, text)


def etag_mismatch(context, text):
    violation = error_details_pb2.BadRequest.FieldViolation(field="etag", description=text)
    fail(context, grpc.StatusCode.FAILED_PRECONDITION, text, error_details_pb2.BadRequest(field_violations=[violation]))


class Value:
    def __init__(self, data, etag, metadata, content_type):
        self.data, self.etag, self.content_type, self.expires = data, str(etag), content_type, None
        ttl = int(metadata.get("ttlInSeconds", "0"))
        if ttl > 0:
            self.expires = time.time() + ttl

    def metadata(self):
        if self.expires is None:
            return {}
        when = datetime.datetime.fromtimestamp(self.expires, datetime.timezone.utc)
        return {"ttlExpireTime": when.strftime("%Y-%m-%dT%H:%M:%SZ")}


class Instances:
    """What Init made, by the name of the component that asks. One that was not told Init is refused, as a store that has
    to connect somewhere would."""

    def __init__(self, make):
        self.make, self.all, self.lock = make, {}, threading.RLock()

    @staticmethod
    def name(context):
        return dict(context.invocation_metadata()).get("x-component-instance", "")

    def init(self, request, context):
        with self.lock:
            self.all[self.name(context)] = self.make(dict(request.metadata.properties))

    def of(self, context):
        found = self.all.get(self.name(context))
        if found is None:
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, "%s was not told Init" % self.name(context))
        return found


class Store:
    def __init__(self, properties):
        self.properties, self.values, self.etag, self.lock = properties, {}, 0, threading.RLock()

    def find(self, key):
        v = self.values.get(key)
        if v is not None and v.expires is not None and v.expires <= time.time():
            del self.values[key]
            return None
        return v

    def check(self, context, request):
        """The ETag of a Set or Delete, or that there is nothing yet for a first write."""
        there = self.find(request.key)
        if request.HasField("etag"):
            if there is None or there.etag != request.etag.value:
                etag_mismatch(context, "the ETag of %s is another one" % request.key)
        elif request.options.concurrency == FIRST_WRITE and there is not None:
            etag_mismatch(context, "%s has a value already" % request.key)

    def put(self, request):
        self.etag += 1
        self.values[request.key] = Value(request.value, self.etag, request.metadata, request.content_type)

    def drop(self, request):
        self.values.pop(request.key, None)


class StateStore:
    def __init__(self, features=("ETAG", "TRANSACTIONAL", "TTL", "QUERY_API"), max_size=0):
        self.stores, self.feature_list, self.max_size = Instances(Store), features, max_size

    def init(self, request, context):
        self.stores.init(request, context)
        return message("InitResponse")()

    def features(self, request, context):
        return message("FeaturesResponse")(features=self.feature_list)

    def ping(self, request, context):
        return message("PingResponse")()

    def get(self, request, context):
        store = self.stores.of(context)
        with store.lock:
            v = store.find(request.key)
        if v is None:
            return message("GetResponse")()
        return message("GetResponse")(data=v.data, etag={"value": v.etag}, metadata=v.metadata(), content_type=v.content_type)

    def set(self, request, context):
        store = self.stores.of(context)
        with store.lock:
            store.check(context, request)
            store.put(request)
        return message("SetResponse")()

    def delete(self, request, context):
        store = self.stores.of(context)
        with store.lock:
            store.check(context, request)
            store.drop(request)
        return message("DeleteResponse")()

    def bulk_get(self, request, context):
        store = self.stores.of(context)
        items = []
        with store.lock:
            for r in request.items:
                v = store.find(r.key)
                items.append(message("BulkStateItem")(key=r.key) if v is None else message("BulkStateItem")(
                    key=r.key, data=v.data, etag={"value": v.etag}, metadata=v.metadata(), content_type=v.content_type))
        return message("BulkGetResponse")(items=items)

    def bulk_set(self, request, context):
        store = self.stores.of(context)
        with store.lock:
            for r in request.items:
                store.check(context, r)
                store.put(r)
        return message("BulkSetResponse")()

    def bulk_delete(self, request, context):
        store = self.stores.of(context)
        with store.lock:
            for r in request.items:
                store.check(context, r)
                store.drop(r)
        return message("BulkDeleteResponse")()

    def transact(self, request, context):
        store = self.stores.of(context)
        with store.lock:
            for op in request.operations:
                store.check(context, op.set if op.HasField("set") else op.delete)
            for op in request.operations:
                if op.HasField("set"):
                    store.put(op.set)
                else:
                    store.drop(op.delete)
        return message("TransactionalStateResponse")()

    def multi_max_size(self, request, context):
        return message("MultiMaxSizeResponse")(max_size=self.max_size)

    def query(self, request, context):
        """Filters of EQ alone, values that are JSON objects; sorted by one member; pages by offset."""
        store = self.stores.of(context)
        found = []
        with store.lock:
            for key in sorted(store.values):
                v = store.find(key)
                if v is None:
                    continue
                try:
                    fields = json.loads(v.data)
                except ValueError:
                    continue
                wanted = [json.loads(f.value) for op, f in request.query.filter.items() if op == "EQ"]
                if isinstance(fields, dict) and all(fields.get(k) == w for eq in wanted for k, w in eq.items()):
                    found.append((fields, message("QueryItem")(key=key, data=v.data, etag={"value": v.etag})))
        for s in reversed(request.query.sort):
            found.sort(key=lambda f, k=s.key: f[0].get(k), reverse=s.order == 1)
        start = int(request.query.pagination.token or "0")
        end = start + request.query.pagination.limit if request.query.pagination.limit else len(found)
        return message("QueryResponse")(items=[item for _, item in found[start:end]],
                                        token=str(end) if end < len(found) else "")


class SecretStore:
    """The properties that it was given are its secrets: "a.b" is pair b of secret a."""

    def __init__(self):
        self.stores = Instances(self.read)

    @staticmethod
    def read(properties):
        secrets = {}
        for key, value in properties.items():
            name, _, part = key.partition(".")
            secrets.setdefault(name, {})[part or name] = value
        return secrets

    def init(self, request, context):
        self.stores.init(request, context)
        return message("SecretStoreInitResponse")()

    def features(self, request, context):
        return message("FeaturesResponse")(features=["MULTIPLE_KEY_VALUES_PER_SECRET"])

    def ping(self, request, context):
        return message("PingResponse")()

    def get(self, request, context):
        secret = self.stores.of(context).get(request.key)
        if secret is None:
            context.abort(grpc.StatusCode.NOT_FOUND, "secret %s not found" % request.key)
        return message("GetSecretResponse")(data=secret)

    def bulk_get(self, request, context):
        all_ = {name: message("SecretResponse")(secrets=s) for name, s in self.stores.of(context).items()}
        return message("BulkGetSecretResponse")(data=all_)


def serve(path, state, secrets, interceptors=(), more=()):
    """A server that listens at the socket; what another run left there is removed first. more: further services by name."""
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(16), interceptors=interceptors)
    names = [reflection.SERVICE_NAME]
    for service, implementation in (("StateStore", state), ("TransactionalStateStore", state),
                                    ("QueriableStateStore", state), ("TransactionalStoreMultiMaxSize", state),
                                    ("SecretStore", secrets), *dict(more).items()):
        if implementation is not None:
            server.add_generic_rpc_handlers([handler(service, implementation)])
            names.append(PACKAGE + service)
    reflection.enable_server_reflection(names, server)
    if os.path.exists(path):
        os.unlink(path)
    server.add_insecure_port("unix:" + path)
    server.start()
    return server


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    server = serve(sys.argv[1], StateStore(), SecretStore())
    for sig in (signal.SIGINT, signal.SIGTERM):
        signal.signal(sig, lambda *_: server.stop(1))
    server.wait_for_termination()


if __name__ == "__main__":
    main()
