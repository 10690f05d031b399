# SPDX-License-Identifier: Apache-2.0
"""pubsub.redis: the n-th allocation, read or write fails while a message is published and delivered. What was acknowledged
arrives, what was taken is acknowledged to the broker in the end, and the sidecar lives on."""
import os
import queue
import sys
import time

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from redis_server import Redis  # noqa: E402
from sidecar import BUILD, Sidecar, component  # noqa: E402
from subscriber import HttpApp, subscription  # noqa: E402
from test_faults import SHIM, STRIDE, Control  # noqa: E402

pytestmark = [pytest.mark.plain, pytest.mark.ours]


class Flow:
    """A sidecar with a topic, its broker and its application."""

    def __init__(self, folder):
        self.broker, self.app, self.control = Redis(folder / "redis"), HttpApp(), Control(folder / "control")
        bus = component("bus", "pubsub.redis", {"redisHost": self.broker.host, "processingTimeout": "100ms", "redeliverInterval": "50ms"})
        self.sidecar = Sidecar(folder / "run", bus, subscription("s", "t", route="/in"), loops=1,
                               flags={"log-level": "error", "app-port": self.app.port},
                               env={"LD_PRELOAD": SHIM, "FAULT_CONTROL": str(folder / "control")})
        self.sidecar.start()
        self.n = 0
        self.play()  # the first subscribes, and fills what is kept for later
        self.play()

    def publish(self):
        """The message, if it was acknowledged."""
        self.n += 1
        try:
            r = self.sidecar.post("/v1.0/publish/bus/t", str(self.n), headers={"Content-Type": "text/plain"})
        except OSError:
            self.sidecar.connection = None
            return None
        return str(self.n) if r.status == 204 else None

    def arrives(self, message):
        end = time.monotonic() + 20
        while True:
            try:
                if self.app.came.get(timeout=max(end - time.monotonic(), 0.001)).json["data"] == message:
                    return
            except queue.Empty:
                raise AssertionError("%s was acknowledged and did not come\n%s" % (message, self.sidecar.log()[-3000:])) from None

    def play(self):
        message = self.publish()
        assert message, self.sidecar.log()[-3000:]
        self.arrives(message)

    def settled(self):
        end = time.monotonic() + 20
        while not self.broker.cli("xpending", "t", "testapp").startswith("0"):
            assert time.monotonic() < end, self.sidecar.log()[-3000:]
            time.sleep(0.02)

    def stop(self):
        self.sidecar.stop()
        self.app.stop()
        self.broker.stop()


@pytest.fixture
def flow(tmp_path):
    f = Flow(tmp_path)
    yield f
    f.stop()


@pytest.mark.parametrize("kind", ["memory", "read", "write"])
def test_the_nth_one_fails(flow, kind):
    tripped, n, quiet = 0, 1, 0
    while quiet < 3:  # what runs beside it (looking for what is pending) takes its share
        flow.control.arm(kind, n)
        message = flow.publish()
        if message:
            flow.arrives(message)
        hit = flow.control.disarm()
        assert flow.sidecar.process.poll() is None, "n = %d ended the sidecar\n%s" % (n, flow.sidecar.log()[-3000:])
        flow.play()
        quiet = 0 if hit else quiet + 1
        tripped += hit
        n += STRIDE
        assert n < 5000
    flow.settled()
    print("%d faults of %s" % (tripped, kind))
