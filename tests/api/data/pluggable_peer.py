#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The example's component with faults on demand: pluggable_peer.py SOCKET [OPTIONS as JSON]

Options: features (list), max_size, services ("state", "secrets"), init (a code with which Init fails), calls (a file that gets a
line for each call: method, instance, and for Init the properties).

A key that holds one of these words has its operation fail or wait: kit (an error of Dapr's own), code-NAME (a plain status),
invalid (an ETag that is none), rows (a bulk delete of too few), slow (waits until the caller has gone).
"""
import json
import os
import re
import sys
import time

import grpc
from google.rpc import error_details_pb2

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../../packaging/examples/pluggable"))

import memory  # noqa: E402

KIT = {"kit_error": "true", "http_code": "506", "tag": "KIT_TAG"}


def word_of(request):
    if hasattr(request, "key"):
        return request.key
    if hasattr(request, "operations"):
        return "".join(op.set.key + op.delete.key for op in request.operations)
    if hasattr(request, "items"):
        return "".join(r.key for r in request.items)
    return request.query.filter["EQ"].value.decode() if hasattr(request, "query") else ""


def disturb(word, context, note):
    info = error_details_pb2.ErrorInfo
    if "kit" in word:
        memory.fail(context, grpc.StatusCode.DATA_LOSS, "of the kit", info(reason="KIT_REASON", domain="kit.domain", metadata=KIT))
    if "invalid" in word:
        violation = error_details_pb2.BadRequest.FieldViolation(field="etag", description="no number")
        memory.fail(context, grpc.StatusCode.INVALID_ARGUMENT, "no", error_details_pb2.BadRequest(field_violations=[violation]))
    if "rows" in word:
        memory.fail(context, grpc.StatusCode.INTERNAL, "no", info(metadata={"expected": "3", "affected": "1"}))
    code = re.search("code-([A-Z_]+)", word)
    if code:
        context.abort(getattr(grpc.StatusCode, code[1]), "as it was asked for")
    if "slow" in word:
        note("slow")
        while context.is_active():
            time.sleep(0.01)
        note("gone")


class Watch(grpc.ServerInterceptor):
    def __init__(self, options):
        self.options = options

    def note(self, line):
        if "calls" in self.options:
            with open(self.options["calls"], "a", encoding="utf-8") as f:
                f.write(line + "\n")

    def intercept_service(self, continuation, details):
        found = continuation(details)
        if found is None or found.unary_unary is None:
            return found

        def call(request, context):
            method = details.method.rsplit("/", 1)[1]
            line = "%s %s" % (method, memory.Instances.name(context))
            if method == "Init":
                line += " " + json.dumps(dict(request.metadata.properties), sort_keys=True)
                if "init" in self.options:
                    context.abort(getattr(grpc.StatusCode, self.options["init"]), "it will not start")
            self.note(line)
            disturb(word_of(request), context, self.note)
            return found.unary_unary(request, context)

        return grpc.unary_unary_rpc_method_handler(call, found.request_deserializer, found.response_serializer)


def main():
    options = json.loads(sys.argv[2]) if len(sys.argv) > 2 else {}
    services = options.get("services", ["state", "secrets"])
    state = memory.StateStore(options.get("features", ["ETAG", "TRANSACTIONAL", "TTL"]), options.get("max_size", 0))
    server = memory.serve(sys.argv[1], state if "state" in services else None,
                          memory.SecretStore() if "secrets" in services else None, [Watch(options)])
    print("serves", flush=True)
    server.wait_for_termination()


if __name__ == "__main__":
    main()
