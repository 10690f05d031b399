#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The example's component with faults on demand: pluggable_peer.py SOCKET [OPTIONS as JSON]

Options: features (list), max_size, services ("state", "secrets", "pubsub"), init (a code with which Init fails), calls (a file that gets a
line for each call: method, instance, and for Init the properties).

A key that holds one of these words has its operation fail or wait: kit (an error of Dapr's own), code-NAME (a plain status),
invalid (an ETag that is none), rows (a bulk delete of too few), slow (waits until the caller has gone).
"""
import json
import os
import queue
import re
import sys
import threading
import time

import grpc
from google.rpc import error_details_pb2

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../../packaging/examples/pluggable"))

import memory  # noqa: E402
from protocol import message  # noqa: E402

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


class PubSub:
    """A broker: what is published goes to all who pull its topic, what is refused comes once more. Its calls are noted as
    "ack ID", "nack ID", "pull TOPIC METADATA"."""

    def __init__(self, features, note):
        self.feature_list, self.note, self.lock, self.pulls, self.last = features, note, threading.Lock(), [], 0

    def init(self, request, context):
        return message("PubSubInitResponse")()

    def features(self, request, context):
        return message("FeaturesResponse")(features=self.feature_list)

    def ping(self, request, context):
        return message("PingResponse")()

    def pause(self, request, context):
        return message("PauseResponse")()

    def resume(self, request, context):
        return message("ResumeResponse")()

    def put(self, topic, data, content_type, metadata):
        with self.lock:
            self.last += 1
            m = message("PullMessagesResponse")(data=data, topic_name=topic, content_type=content_type, metadata=metadata,
                                                id=str(self.last))
            for wanted, out in self.pulls:
                if wanted == topic:
                    out.put(m)

    def publish(self, request, context):
        self.put(request.topic, request.data, request.content_type, request.metadata)
        return message("PublishResponse")()

    def bulk_publish(self, request, context):
        failed = []
        for e in request.entries:
            if b"fail" in e.event:
                failed.append(message("BulkPublishResponseFailedEntry")(entry_id=e.entry_id, error="as it was asked for"))
            else:
                self.put(request.topic, e.event, e.content_type, e.metadata)
        return message("BulkPublishResponse")(failed_entries=failed)

    def pull_messages(self, requests, context):
        out, unsettled = queue.Queue(), {}
        topic = next(requests).topic

        def listen():
            try:
                for r in requests:
                    m = unsettled.pop(r.ack_message_id)
                    self.note("%s %s" % ("nack" if r.HasField("ack_error") else "ack", m.id))
                    if r.HasField("ack_error"):
                        out.put(m)
            except grpc.RpcError:
                pass
            out.put(None)

        with self.lock:
            self.pulls.append((topic.name, out))
        self.note("pull %s %s" % (topic.name, json.dumps(dict(topic.metadata))))
        threading.Thread(target=listen, daemon=True).start()
        context.add_callback(lambda: out.put(None))
        for m in iter(out.get, None):
            unsettled[m.id] = m
            yield m
        with self.lock:
            self.pulls.remove((topic.name, out))
        self.note("end %s" % topic.name)


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
    watch = Watch(options)
    more = {"PubSub": PubSub(options.get("features", []), watch.note)} if "pubsub" in services else {}
    server = memory.serve(sys.argv[1], state if "state" in services else None,
                          memory.SecretStore() if "secrets" in services else None, [watch], more)
    print("serves", flush=True)
    server.wait_for_termination()


if __name__ == "__main__":
    main()
