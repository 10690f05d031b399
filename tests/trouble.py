# SPDX-License-Identifier: Apache-2.0
"""What makes trouble between a sidecar and its backend, and what sees whether anything acknowledged was lost."""
import json
import socket
import threading
import time

from sidecar import SLOW


class Proxy:
    """Stands between: passes all on, or does with what the server says as it is told. came() is called at each new connection
    before anything goes through it."""

    def __init__(self, port, address="127.0.0.1", own_port=0):
        self.to, self.address = port, address
        self.listener = socket.create_server((address, own_port))
        self.port = self.listener.getsockname()[1]
        self.delay, self.cut, self.reset, self.garbage = 0, None, False, None
        self.open, self.pairs, self.came = True, [], None
        threading.Thread(target=self.accept, daemon=True).start()

    host = property(lambda self: "%s:%d" % (self.address, self.port))

    def accept(self):
        while self.open:
            try:
                ours, _ = self.listener.accept()
                theirs = socket.create_connection(("127.0.0.1", self.to))
            except OSError:
                return
            self.pairs = [p for p in self.pairs if p[0].fileno() >= 0] + [(ours, theirs)]
            if self.came:
                self.came()
            threading.Thread(target=self.pump, args=(ours, theirs, False), daemon=True).start()
            threading.Thread(target=self.pump, args=(theirs, ours, True), daemon=True).start()

    def pump(self, source, sink, answers):
        try:
            while data := source.recv(65536):
                if answers and self.garbage:
                    data, self.garbage = self.garbage, None
                if answers and self.delay:
                    time.sleep(self.delay)
                if answers and self.cut is not None:
                    sink.sendall(data[:self.cut])
                    self.cut = None
                    if self.reset:
                        time.sleep(0.05)
                        sink.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                    break
                sink.sendall(data)
        except OSError:
            pass
        for s in (sink, source):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            s.close()

    def drop(self):
        """Resets what is connected."""
        for pair in self.pairs:
            for s in pair:
                try:
                    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                    s.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    def stop(self):
        self.open = False
        self.listener.close()


class Load:
    """Threads that save numbers, each into keys of its own, and note what was acknowledged."""

    def __init__(self, sidecar, threads=8):
        self.sidecar, self.going, self.acknowledged, self.failed, self.slowest = sidecar, True, {}, 0, 0
        self.threads = [threading.Thread(target=self.run, args=(i,)) for i in range(threads)]
        self.lock = threading.Lock()
        for t in self.threads:
            t.start()

    def run(self, i):
        connection, n = self.sidecar.connect(), 0
        while self.going:
            n += 1
            key, began = "t%d-%d" % (i, n % 50), time.monotonic()
            connection.request("POST", "/v1.0/state/store", json.dumps([{"key": key, "value": n}]),
                               {"Content-Type": "application/json"})
            r = connection.getresponse()
            r.read()
            with self.lock:
                self.slowest = max(self.slowest, time.monotonic() - began)
                if r.status == 204:
                    self.acknowledged[key] = n
                else:
                    self.failed += 1
            if r.status != 204:
                time.sleep(0.02)
        connection.close()

    def stop(self):
        self.going = False
        for t in self.threads:
            t.join()

    def check(self):
        """Each key has what was acknowledged last, or something that was tried after it."""
        for key, n in self.acknowledged.items():
            assert self.sidecar.read(key).json >= n, key


def works(sidecar, seconds=15):
    end = time.monotonic() + seconds * SLOW
    while sidecar.save("probe", 1).status != 204:
        assert time.monotonic() < end, sidecar.log()[-3000:]
        time.sleep(0.05)
