# SPDX-License-Identifier: Apache-2.0
"""Stores behind a server: the n-th allocation, read, write, open or connect fails while a value is got or saved, on connections
that are there and on ones made for it, and while the component opens.

No crash, no hang, no half answer: what was acknowledged is there, what was not is old or new, the next calls work. How many n
there were is printed. Here every few n are taken (STEPS), by `make fault` each.
"""
import http.client
import os
import sys
import time

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from fault_control import CONNECT, KINDS, MOST, SHIM, Control  # noqa: E402
from sidecar import Sidecar  # noqa: E402
from store_servers import SERVERS, StoreServer  # noqa: E402
from test_faults import Http, surely  # noqa: E402
from trouble import Proxy  # noqa: E402

pytestmark = [pytest.mark.plain, pytest.mark.ours]
EACH = "FAULT_STRIDE" in os.environ
ALL = list(KINDS) + list(CONNECT)
STEPS = {("anew", "memory"): 3}
PATIENCE = 8  # s; an operation that takes longer hangs
QUIET = 3     # runs in a row without a fault: there are no more


class Backend:
    """A server, with a proxy in front of it, and the component that goes through it."""

    def __init__(self, kind, folder):
        self.server, self.transactions = StoreServer(kind, folder), kind != "azure"
        self.proxy = Proxy(self.server.port)

    def component(self):
        return self.server.component(self.proxy.address, self.proxy.port)

    def stop(self):
        self.proxy.stop()
        self.server.stop()


@pytest.fixture(scope="module", params=SERVERS)
def backend(request, tmp_path_factory):
    b = Backend(request.param, tmp_path_factory.mktemp(request.param))
    yield b
    b.stop()


class Rig:
    def __init__(self, backend, folder):
        self.backend, self.control, self.last = backend, Control(folder / "control"), 0
        self.s = Sidecar(folder / "run", backend.component(), loops=1, flags={"log-level": "error"},
                         env={"LD_PRELOAD": SHIM, "FAULT_CONTROL": str(folder / "control")})
        self.s.start()
        self.wire = Http(self.s)
        self.save()

    def save(self):
        self.last += 1
        surely(self.wire.save, "a", b"%d" % self.last)

    def value(self):
        got, status = surely(self.wire.get, "a")
        assert got is not None, status
        return int(got)

    def stop(self):
        self.wire.close()
        self.s.stop()


@pytest.fixture(scope="module")
def rig(backend, tmp_path_factory):
    r = Rig(backend, tmp_path_factory.mktemp("rig"))
    yield r
    r.stop()


def get_under(rig):
    got, _ = rig.wire.get("a")
    return lambda: got is None or int(got) == rig.last


def save_under(rig):
    new = rig.last + 1
    done = rig.wire.save("a", b"%d" % new)

    def judge():
        now = rig.value()
        good = now == new if done else now in (rig.last, new)
        rig.last = now
        return good
    return judge


def transaction_under(rig):
    """Of two keys that are always the same. Where there are none it is refused."""
    new = rig.last + 1
    done = rig.wire.transaction([("a", b"%d" % new), ("b", b"%d" % new)], ["c"])
    if not rig.backend.transactions:
        return lambda: not done and rig.value() == rig.last

    def judge():
        now, (other, _) = rig.value(), surely(rig.wire.get, "b")
        good = now == int(other) and (now == new if done else now in (rig.last, new))
        rig.last = now
        return good
    return judge


OPERATIONS = {"get": get_under, "save": save_under, "transaction": transaction_under}


def round_of(rig, connections, operation, kind):
    """How many n failed."""
    tripped, n, quiet = 0, 1, 0
    if operation == "transaction" and rig.backend.transactions:
        surely(rig.wire.transaction, [("a", b"%d" % rig.last), ("b", b"%d" % rig.last)], [])
    while quiet < QUIET:
        assert n < MOST
        if connections == "anew":
            rig.backend.proxy.drop()
        rig.control.arm(kind, n)
        began = time.monotonic()
        judge = OPERATIONS[operation](rig)
        took = time.monotonic() - began
        hit = rig.control.disarm()
        assert rig.s.process.poll() is None, "n = %d ended the sidecar: %d\n%s" % (n, rig.s.process.returncode, rig.s.log()[-3000:])
        assert took < PATIENCE, "n = %d: no answer for %.1f s" % (n, took)
        assert judge(), "n = %d: an answer that does not hold" % n
        quiet = 0 if hit else quiet + 1
        tripped += hit
        n += 1 if EACH else STEPS.get((connections, kind), 1)
    rig.save()
    return tripped


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("connections", ["kept", "anew"])
def test_the_nth_one_fails(rig, connections, operation, kind):
    live, rounds = [], 8 if kind == "memory" else 1
    # What is kept for later grows in the first rounds, a leak in each.
    while len(live) < rounds and (len(live) < 2 or live[-1] - live[-2] >= 4):
        tripped = round_of(rig, connections, operation, kind)
        live.append(rig.control.live())
    assert len(live) < 8, "what failed was not given back: %r" % live
    print("%d faults of %s in %s, connections %s" % (tripped, kind, operation, connections))


def answers(s):
    try:
        return s.get("/v1.0/healthz").status == 204
    except (OSError, http.client.HTTPException):
        s.connection = None
        return False


def run_once(backend, folder, kind, n, from_first_connection):
    """0: n was not reached; 1: ready all the same; 2: it ended with 1."""
    folder.mkdir()
    control = Control(folder / "control")
    s = Sidecar(folder / "run", backend.component(), loops=1, expect=None,
                env={"LD_PRELOAD": SHIM, "FAULT_CONTROL": str(folder / "control")})

    def arm():
        backend.proxy.came = None
        control.arm(kind, n)

    if from_first_connection:
        backend.proxy.came = arm
    else:
        arm()
    s.spawn()
    end = time.monotonic() + 30
    while s.process.poll() is None and not answers(s):
        assert time.monotonic() < end, "n = %d: neither ready nor ended\n%s" % (n, s.log()[-3000:])
        time.sleep(0.005)
    hit = control.disarm()
    backend.proxy.came = None
    code = s.process.poll()
    if code is not None:
        assert code == 1 and (kind == "memory" or "level=fatal" in s.log()), "n = %d: ended with %d\n%s" % (n, code, s.log()[-3000:])
        return 2 if hit else 0
    wire = Http(s)
    surely(wire.save, "a", b'"ready"')
    assert surely(wire.get, "a")[0] == b'"ready"'
    wire.close()
    code = s.stop()
    assert code == 0, "n = %d: ended with %d\n%s" % (n, code, s.log()[-3000:])
    return 1 if hit else 0


OPEN = {("memory", True): (1, 7), ("memory", False): (97, 997), ("read", True): (1, 1), ("write", True): (1, 1), ("connect", False): (1, 1)}


@pytest.mark.parametrize("kind, from_first_connection", OPEN)
def test_the_nth_one_fails_while_it_opens(backend, tmp_path, kind, from_first_connection):
    """It gets ready all the same, or ends with 1 and says why. Counted from the first connection, or from the start."""
    each, here = OPEN[kind, from_first_connection]
    n, ends = 1, [0, 0, 0]
    while ends[0] < QUIET:
        assert n < 100000
        ends[run_once(backend, tmp_path / str(n), kind, n, from_first_connection)] += 1
        n += each if EACH else here
    print("%d faults of %s while opening: %d ready all the same, %d ended with 1" % (sum(ends[1:]), kind, ends[1], ends[2]))
