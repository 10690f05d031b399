#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""An application that publishes through its sidecar and waits until the message comes to it, at the second attempt."""
import http.server
import json
import os
import sys
import threading
import urllib.request

came, seen = threading.Event(), []


class App(http.server.BaseHTTPRequestHandler):
    def answer(self, status):
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_GET(self):
        self.answer(404)

    def do_POST(self):
        event = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/orders" and event["data"] == {"item": "mouse"}:
            again = event["id"] in seen
            seen.append(event["id"])
            self.answer(200 if again else 500)  # what was not taken, the broker gives again
            if again:
                came.set()
        else:
            self.answer(404)

    def log_message(self, *args):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["APP_PORT"])), App)
threading.Thread(target=server.serve_forever, daemon=True).start()
url = "http://127.0.0.1:%s/v1.0/publish/broker/orders" % os.environ["DAPR_HTTP_PORT"]
for attempt in range(50):  # the sidecar subscribes once it has seen the application
    urllib.request.urlopen(urllib.request.Request(url, b'{"item": "mouse"}', {"Content-Type": "application/json"}))
    if came.wait(0.2):
        break
sys.exit(0 if came.is_set() else "the message has not come")
