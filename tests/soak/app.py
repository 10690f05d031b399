#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""An application that writes down what it receives before it answers: app.py PORT FILE. A line is `publisher number`; it is
in the file's page cache when the answer goes out, which a SIGKILL does not undo."""
import asyncio
import json
import os
import signal
import sys


class Connection(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport, self.buffer = transport, b""

    def data_received(self, data):
        self.buffer += data
        while True:
            head, found, rest = self.buffer.partition(b"\r\n\r\n")
            if not found:
                return
            length = 0
            for line in head.split(b"\r\n")[1:]:
                name, _, value = line.partition(b":")
                if name.lower() == b"content-length":
                    length = int(value)
            if len(rest) < length:
                return
            self.buffer = rest[length:]
            self.answer(head.split(b" ", 2), rest[:length])

    def answer(self, words, body):
        status, answer = "404 Not Found", b""
        if words[0] == b"GET" and words[1] == b"/dapr/subscribe":
            status, answer = "200 OK", b"[]"
        elif words[0] == b"POST":
            status, answer = "200 OK", take(json.loads(body))
        self.transport.write(b"HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
                             % (status.encode(), len(answer), answer))


def take(event):
    entries = event.get("entries")
    events = [e["event"] for e in entries] if entries is not None else [event]
    os.write(LOG, b"".join(b"%d %d\n" % tuple(e["data"][:2]) for e in events))
    if entries is None:
        return b""
    return json.dumps({"statuses": [{"entryId": e["entryId"], "status": "SUCCESS"} for e in entries]}).encode()


async def main():
    # The port is reserved by who started us: see soak.py.
    server = await asyncio.get_running_loop().create_server(Connection, "127.0.0.1", int(sys.argv[1]), reuse_port=True)
    await server.serve_forever()


signal.signal(signal.SIGINT, signal.SIG_DFL)
LOG = os.open(sys.argv[2], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
asyncio.run(main())
