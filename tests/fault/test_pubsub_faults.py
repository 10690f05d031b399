# SPDX-License-Identifier: Apache-2.0
"""The n-th allocation, read, write or open fails while an event is published, stored, handed out, delivered or settled, for
every n. What was acknowledged is delivered, in its order, and the next event goes as if nothing had been."""
import json
import os
import time

import pytest

from sidecar import Sidecar, component
from subscriber import HttpApp, subscription
from fault_control import KINDS, MOST, SHIM, STRIDE, Control

pytestmark = [pytest.mark.plain, pytest.mark.ours]


class Bus:
    def __init__(self, folder):
        self.app, self.control = HttpApp(), Control(folder / "control")
        self.s = Sidecar(folder / "run", component("bus", "pubsub.sqlite", {
            "connectionString": "file:%s/bus.db" % folder, "redeliverInterval": "20ms"}),
            subscription("s", "t", route="/in"), loops=1, flags={"log-level": "error", "app-port": self.app.port},
            env={"LD_PRELOAD": SHIM, "FAULT_CONTROL": str(folder / "control")})
        self.s.start()
        self.next, self.seen = 0, []

    def publish(self):
        """The number that was acknowledged, or None."""
        number, self.next = self.next, self.next + 1
        try:
            r = self.s.post("/v1.0/publish/bus/t", json.dumps(number), headers={"Content-Type": "application/json"})
            return number if r.status == 204 else None
        except OSError:
            self.s.connection = None
            return None
        except Exception:  # half an answer
            self.s.connection = None
            return None

    def wait_for(self, number):
        end = time.monotonic() + 20
        while number not in self.seen:
            assert self.s.process.poll() is None, self.s.log()[-3000:]
            assert time.monotonic() < end, "%d was acknowledged and did not come" % number
            try:
                self.seen.append(self.app.receive(0.1).json["data"])
            except Exception:  # nothing yet
                pass

    def surely(self):
        end = time.monotonic() + 20
        while True:
            number = self.publish()
            if number is not None:
                return self.wait_for(number)
            assert time.monotonic() < end, "publishing does not work any more"
            time.sleep(0.01)


@pytest.fixture(scope="module")
def bus(tmp_path_factory):
    b = Bus(tmp_path_factory.mktemp("bus"))
    yield b
    b.s.stop()
    b.app.stop()


@pytest.mark.parametrize("kind", KINDS)
def test_the_nth_one_fails(bus, kind):
    tripped, n = 0, 1
    while n < MOST:
        bus.surely()
        bus.control.arm(kind, n)
        number = bus.publish()
        if number is not None:
            bus.wait_for(number)
            time.sleep(0.005)  # it is settled and perhaps deleted meanwhile
        hit = bus.control.disarm()
        assert bus.s.process.poll() is None, "n = %d ended the sidecar\n%s" % (n, bus.s.log()[-3000:])
        if number is None:
            bus.surely()
        if not hit:
            break
        tripped += 1
        n += STRIDE
    assert n < MOST
    bus.surely()
    first = list(dict.fromkeys(bus.seen))
    assert first == sorted(first), "out of order"
    print("%d faults of %s" % (tripped, kind))


def test_the_file_is_whole_afterwards(bus):
    import sqlite3
    c = sqlite3.connect(os.path.join(os.path.dirname(bus.s.folder), "bus.db"), timeout=20)
    assert c.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    c.close()
