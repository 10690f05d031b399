#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""An application that takes events, one by one or in bulk, and counts them: events.py PORT. GET /came tells how many, and of
those that carry a time (nanoseconds of the monotonic clock) how long each took, in microseconds."""
import asyncio
import json
import re
import sys
import time

ENTRY = re.compile(rb'"entryId" ?: ?"([^"]*)"')
SENT = re.compile(rb"sent:(\d+)")


class Connection(asyncio.Protocol):
    count, took = 0, []

    def connection_made(self, transport):
        self.transport, self.buffer = transport, bytearray()

    def data_received(self, data):
        self.buffer += data
        while True:
            end = self.buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            head = bytes(self.buffer[:end])
            length = re.search(rb"\r\ncontent-length: *(\d+)", head, re.I)
            total = end + 4 + (int(length.group(1)) if length else 0)
            if len(self.buffer) < total:
                return
            body = bytes(self.buffer[end + 4:total])
            del self.buffer[:total]
            answer = self.answer(head, body)
            self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
                                 % (len(answer), answer))

    @staticmethod
    def answer(head, body):
        if head.startswith(b"GET /came"):
            told = json.dumps({"count": Connection.count, "took": Connection.took}).encode()
            Connection.count, Connection.took = 0, []
            return told
        if not head.startswith(b"POST"):
            return b"[]"
        sent = SENT.search(body)
        if sent:
            Connection.took.append((time.monotonic_ns() - int(sent.group(1))) // 1000)
        entries = ENTRY.findall(body)
        Connection.count += len(entries) or 1
        return b'{"statuses":[%s]}' % b",".join(b'{"entryId":"%s","status":"SUCCESS"}' % e for e in entries) if entries else b"{}"


async def main():
    server = await asyncio.get_running_loop().create_server(Connection, "127.0.0.1", int(sys.argv[1]))
    await server.serve_forever()


asyncio.run(main())
