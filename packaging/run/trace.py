# SPDX-License-Identifier: Apache-2.0
"""Takes the spans of the sidecars, as a Zipkin would, and shows one trace as a tree."""
import http.server
import json
import threading
import time


class Spans:
    """Listens on a port of its own; endpoint is what a Configuration names."""

    def __init__(self):
        self.lock, self.by_trace = threading.Lock(), {}
        spans = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                try:
                    spans.take(json.loads(sent))
                    self.send_response(202)
                except (ValueError, TypeError, KeyError):
                    self.send_response(400)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.endpoint = "http://127.0.0.1:%d/api/v2/spans" % self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def take(self, batch):
        with self.lock:
            for s in batch:
                self.by_trace.setdefault(s["traceId"], {})[s["id"]] = s

    def wait_for(self, trace, services, seconds=10):
        """Its spans, when each service has one and there is one of a delivery; or what there is then."""
        end = time.monotonic() + seconds
        while True:
            with self.lock:
                found = list(self.by_trace.get(trace, {}).values())
            if {service(s) for s in found} >= set(services) and any(s.get("name", "").startswith("pubsub/") for s in found) or \
                    time.monotonic() > end:
                return found
            time.sleep(0.05)

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


def service(span):
    return span.get("localEndpoint", {}).get("serviceName", "")


def tree(spans):
    """Lines: what, by which sidecar, how long; below each what it caused."""
    ids, lines = {s["id"] for s in spans}, []

    def show(parent, depth):
        for s in sorted((s for s in spans if (s.get("parentId") if s.get("parentId") in ids else None) == parent),
                        key=lambda s: s.get("timestamp", 0)):
            lines.append("  %-56s %-8s %-9s %7.2f ms" % ("  " * depth + s.get("name", ""), service(s), s.get("kind", "").lower(),
                                                         s.get("duration", 0) / 1000))
            show(s["id"], depth + 1)

    show(None, 0)
    return lines
