# SPDX-License-Identifier: Apache-2.0
"""Applications that subscribe, over HTTP and over gRPC: what they say they want, what came, and what they answer."""
import http.server
import json
import queue
import threading
from concurrent import futures

import grpc
import yaml
from dapr.proto import appcallback_service_v1, appcallback_v1

from sidecar import SLOW, free_port

SUCCESS, RETRY, DROP = range(3)


def subscription(name, topic, route=None, rules=None, default=None, pubsub="bus", version=None, scopes=None, **spec):
    """A Subscription as YAML: v1alpha1 with a route, v2alpha1 with rules."""
    body = dict({"pubsubname": pubsub, "topic": topic}, **spec)
    if route is not None:
        version, body["route"] = version or "v1alpha1", route
    else:
        version, body["routes"] = version or "v2alpha1", {"rules": rules or [], "default": default or ""}
    s = {"apiVersion": "dapr.io/" + version, "kind": "Subscription", "metadata": {"name": name}, "spec": body}
    if scopes:
        s["scopes"] = scopes
    return yaml.safe_dump(s)


class Came:
    """One delivery."""

    def __init__(self, path, headers, body):
        self.path, self.headers, self.body = path, headers, body

    @property
    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return "%s %r" % (self.path, self.body[:300])


class App:
    """answers: what the next deliveries to a path get, oldest first; then it is success. hold(): deliveries wait from now on."""

    def __init__(self):
        self.port, self.came, self.answers = free_port(), queue.Queue(), {}
        self.lock, self.gate, self.healthy, self.asked = threading.Lock(), threading.Event(), True, []
        self.inside = self.most = 0
        self.gate.set()

    def hold(self):
        self.gate.clear()

    def let_go(self):
        self.gate.set()

    def answer(self, path, *answers):
        self.answers.setdefault(path, []).extend(answers)

    def next_answer(self, path):
        with self.lock:
            waiting = self.answers.get(path)
            return waiting.pop(0) if waiting else None

    def arrive(self, came):
        with self.lock:
            self.inside += 1
            self.most = max(self.most, self.inside)
        self.came.put(came)
        self.gate.wait(600)
        with self.lock:
            self.inside -= 1

    def receive(self, seconds=10):
        return self.came.get(timeout=seconds * SLOW)

    def nothing(self, seconds=0.3):
        try:
            came = self.came.get(timeout=seconds)
        except queue.Empty:
            return True
        raise AssertionError("unexpected: %r" % came)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def reply(self, status, body=b"", kind="application/json"):
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        app = self.server.app
        app.asked.append((self.path, {k.lower(): v for k, v in self.headers.items()}))
        if self.path == "/dapr/subscribe":
            failing = app.next_answer(self.path)
            return self.reply(*failing) if failing else self.reply(200, json.dumps(app.subscriptions).encode())
        if self.path == "/healthz":
            return self.reply(200 if app.healthy else 503)
        return self.reply(404)

    def do_POST(self):
        app = self.server.app
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        app.arrive(Came(self.path, {k.lower(): v for k, v in self.headers.items()}, body))
        status, answer = app.next_answer(self.path) or (200, b"")
        if callable(answer):
            answer = answer(json.loads(body))
        self.reply(status, answer)


class Server(http.server.ThreadingHTTPServer):
    daemon_threads, request_queue_size = True, 128


class HttpApp(App):
    """An answer is (status, body); the body may be a function of the request's JSON."""

    protocol = "http"

    def __init__(self, *subscriptions):
        super().__init__()
        self.subscriptions = list(subscriptions)
        self.server = Server(("127.0.0.1", self.port), Handler)
        self.server.app = self
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.gate.set()
        self.server.shutdown()
        self.server.server_close()


class Callback(appcallback_service_v1.AppCallbackServicer, appcallback_service_v1.AppCallbackHealthCheckServicer):
    def __init__(self, app):
        self.app = app

    def ListTopicSubscriptions(self, request, context):
        self.app.asked.append(("ListTopicSubscriptions", dict(context.invocation_metadata())))
        return appcallback_v1.ListTopicSubscriptionsResponse(subscriptions=self.app.subscriptions)

    def OnTopicEvent(self, request, context):
        self.app.arrive(Came(request.path, list(context.invocation_metadata()), request))
        status = self.app.next_answer(request.path)
        if isinstance(status, grpc.StatusCode):
            context.abort(status, "as asked")
        return appcallback_v1.TopicEventResponse(status=status or SUCCESS)

    def OnBulkTopicEvent(self, request, context):
        self.app.arrive(Came(request.path, list(context.invocation_metadata()), request))
        statuses = self.app.next_answer(request.path) or {}
        if isinstance(statuses, grpc.StatusCode):
            context.abort(statuses, "as asked")
        return appcallback_v1.TopicEventBulkResponse(statuses=[
            appcallback_v1.TopicEventBulkResponseEntry(entry_id=e.entry_id, status=statuses.get(i, SUCCESS))
            for i, e in enumerate(request.entries)])

    def HealthCheck(self, request, context):
        if not self.app.healthy:
            context.abort(grpc.StatusCode.UNAVAILABLE, "ill")
        return appcallback_v1.HealthCheckResponse()


class GrpcApp(App):
    """An answer is a status number, or a gRPC code to fail with; of a bulk {index: status}."""

    protocol = "grpc"

    def __init__(self, *subscriptions, callback=Callback):
        super().__init__()
        self.subscriptions = list(subscriptions)
        self.server = grpc.server(futures.ThreadPoolExecutor(64))
        service = callback(self)
        appcallback_service_v1.add_AppCallbackServicer_to_server(service, self.server)
        appcallback_service_v1.add_AppCallbackHealthCheckServicer_to_server(service, self.server)
        if hasattr(service, "OnBulkTopicEventAlpha1"):
            appcallback_service_v1.add_AppCallbackAlphaServicer_to_server(service, self.server)
        self.server.add_insecure_port("127.0.0.1:%d" % self.port)
        self.server.start()

    def stop(self):
        self.gate.set()
        self.server.stop(0)
