# SPDX-License-Identifier: Apache-2.0
"""For n = 1 until an operation ends without reaching n: the n-th allocation, read, write or open fails during it.

No crash, no half answer: what was acknowledged is there, what was refused left all as it was or went through whole; the
next call works. How many n there were is printed. FAULT_STRIDE takes every so-many-th (make fault: each).
"""
import http.client
import os
import subprocess
import time

import grpc
import pytest
from dapr.proto import api_v1, common_v1

from fault_control import KINDS, MOST, SHIM, STRIDE, Control
from sidecar import Sidecar, component, quote

pytestmark = [pytest.mark.plain, pytest.mark.ours]
OLD, NEW = b'"old"', b'"new"'
Item, Operation = common_v1.StateItem, api_v1.TransactionalStateOperation


class Http:
    """Statuses as numbers, 0: no answer came."""

    def __init__(self, s):
        self.s, self.c = s, None

    def ask(self, method, path, body=None):
        if self.c is None:
            self.c = self.s.connect()
            self.c.timeout = 10
        try:
            r = self.s.request(method, path, body, connection=self.c)
            return r.status, r.body
        except (OSError, http.client.HTTPException):
            self.c.close()
            self.c = None
            return 0, b""

    def get(self, key):
        status, body = self.ask("GET", "/v1.0/state/store/" + quote(key))
        return {200: body, 204: b""}.get(status), status

    def save(self, key, value):
        return self.ask("POST", "/v1.0/state/store", b'[{"key":"%s","value":%s}]' % (key.encode(), value))[0] == 204

    def transaction(self, writes, deletes):
        operations = [b'{"operation":"upsert","request":{"key":"%s","value":%s}}' % (k.encode(), v) for k, v in writes]
        operations += [b'{"operation":"delete","request":{"key":"%s"}}' % k.encode() for k in deletes]
        return self.ask("POST", "/v1.0/state/store/transaction", b'{"operations":[' + b",".join(operations) + b"]}")[0] == 204

    def close(self):
        if self.c:
            self.c.close()


class Grpc:
    def __init__(self, s):
        self.s = s

    def call(self, method, request):
        try:
            return getattr(self.s.rpc, method)(request, timeout=10, wait_for_ready=True)
        except grpc.RpcError as e:
            assert e.code() != grpc.StatusCode.DEADLINE_EXCEEDED, method + " got no answer"
            return None

    def get(self, key):
        r = self.call("GetState", api_v1.GetStateRequest(store_name="store", key=key))
        return (None if r is None else r.data), None

    def save(self, key, value):
        return self.call("SaveState", api_v1.SaveStateRequest(store_name="store", states=[Item(key=key, value=value)])) is not None

    def transaction(self, writes, deletes):
        operations = [Operation(operationType="upsert", request=Item(key=k, value=v)) for k, v in writes]
        operations += [Operation(operationType="delete", request=Item(key=k)) for k in deletes]
        return self.call("ExecuteStateTransaction",
                         api_v1.ExecuteStateTransactionRequest(storeName="store", operations=operations)) is not None

    def close(self):
        pass


def surely(what, *args):
    """An operation with nothing armed: has to go well, at most after one try on a connection that a fault broke."""
    end = time.monotonic() + 10
    while True:
        got = what(*args)
        if got not in (False, (None, 0), (None, None)):
            return got
        assert time.monotonic() < end, "%r does not work any more" % (what,)
        time.sleep(0.01)


def value(wire, key):
    got, status = surely(wire.get, key)
    assert got is not None, status
    return got


def prepare(wire):
    surely(wire.save, "a", OLD)
    surely(wire.save, "b", OLD)
    surely(wire.transaction, [("d", OLD)], ["c"])


def get_under(wire):
    got, _ = wire.get("a")
    return lambda: None if got is None else got == OLD


def save_under(wire):
    done = wire.save("a", NEW)

    def judge():
        now = value(wire, "a")
        return now == NEW if done else now in (OLD, NEW)
    return judge


def transaction_under(wire):
    done = wire.transaction([("a", NEW), ("c", NEW)], ["d"])

    def judge():
        now = tuple(value(wire, k) for k in "acd")
        return now == (NEW, NEW, b"") or (not done and now == (OLD, b"", OLD))
    return judge


OPERATIONS = {"get": get_under, "save": save_under, "transaction": transaction_under}


@pytest.fixture(scope="module", params=["state.in-memory", "state.sqlite"])
def faulty(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("fault")
    control = Control(folder / "control")
    metadata = {"connectionString": "file:%s/state.db" % folder} if request.param == "state.sqlite" else {}
    s = Sidecar(folder / "run", component("store", request.param, metadata), loops=1, flags={"log-level": "error"},
                env={"LD_PRELOAD": SHIM, "FAULT_CONTROL": str(folder / "control")})
    s.start()
    yield s, control
    s.stop()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("wire", [Http, Grpc])
def test_the_nth_one_fails(faulty, wire, operation, kind):
    s, control = faulty
    wire = wire(s)
    live = []
    for _ in range(2 if kind == "memory" else 1):  # the first time fills what is kept for later
        tripped, n = 0, 1
        while n < MOST:
            prepare(wire)
            control.arm(kind, n)
            judge = OPERATIONS[operation](wire)
            hit = control.disarm()
            assert s.process.poll() is None, "n = %d ended the sidecar: %d\n%s" % (n, s.process.returncode, s.log()[-3000:])
            assert judge() is not False, "n = %d: an answer that does not hold" % n
            if not hit:
                break
            tripped += 1
            n += STRIDE
        prepare(wire)
        assert n < MOST
        live.append(control.live())
    assert live[-1] - live[0] < 32 + tripped / 2, "what failed was not given back"
    wire.close()
    print("%d faults of %s in %s" % (tripped, kind, operation))


@pytest.mark.parametrize("kind", ["memory", "read", "open"])
@pytest.mark.parametrize("store", ["state.in-memory", "state.sqlite", "pubsub.sqlite"])
def test_the_nth_one_fails_while_it_starts(tmp_path, store, kind):
    """It gets ready all the same, or ends with 1 and says why."""
    tripped, n, ready, ended = 0, 1, 0, 0
    step = {"memory": 97 * STRIDE, "read": STRIDE, "open": STRIDE}[kind] if STRIDE > 1 or kind == "memory" else 1
    while n < 100000:
        folder = tmp_path / str(n)
        folder.mkdir()
        control = Control(folder / "control")
        control.arm(kind, n)
        metadata = {"connectionString": "file:%s/state.db" % folder} if store.endswith(".sqlite") else {}
        s = Sidecar(folder / "run", component("store", store, metadata), loops=1, expect=None,
                    env={"LD_PRELOAD": SHIM, "FAULT_CONTROL": str(folder / "control")})
        s.spawn()
        end = time.monotonic() + 20
        while s.process.poll() is None and "dapr initialized. Status: Running" not in s.log():
            assert time.monotonic() < end, "n = %d: neither ready nor ended\n%s" % (n, s.log()[-3000:])
            time.sleep(0.005)
        hit = control.disarm()
        code = s.process.poll()
        if code is None:
            ready += 1
            code = s.stop()
            assert code == 0, "n = %d: ended with %d\n%s" % (n, code, s.log()[-3000:])
        else:
            ended += 1
            assert kind == "memory" or "level=fatal" in s.log(), "n = %d: ended without a word" % n
            assert code == 1, "n = %d: ended with %d\n%s" % (n, code, s.log()[-3000:])
        if not hit:
            break
        tripped += 1
        n += step
    print("%d faults of %s while starting: %d ready all the same, %d ended with 1" % (tripped, kind, ready, ended))


@pytest.mark.parametrize("shift", [-3600, -86400 * 400])
def test_a_clock_that_jumps_back(faulty, shift):
    s, control = faulty
    s.save("plain", 1)
    s.save("short", 1, metadata={"ttlInSeconds": "2"})
    s.save("long", 1, metadata={"ttlInSeconds": "100000000"})
    try:
        control.shift_clock(shift)
        assert [s.read(k).status for k in ("plain", "short", "long")] == [200, 200, 200]
        begin = time.monotonic()
        assert s.save("after", 2, metadata={"ttlInSeconds": "1"}).status == 204
        assert s.read("after").json == 2
        while s.read("after").status == 200:
            assert time.monotonic() - begin < 5
            time.sleep(0.05)
        assert time.monotonic() - begin < 3  # a second of that clock, not an hour
        assert s.rpc.GetState(api_v1.GetStateRequest(store_name="store", key="plain"), timeout=5).data == b"1"
    finally:
        control.shift_clock(0)
    end = time.monotonic() + 10
    while s.read("short").status == 200:
        assert time.monotonic() < end
        time.sleep(0.05)
    assert [s.read(k).status for k in ("plain", "long")] == [200, 200]
    assert s.get("/v1.0/healthz").status == 204


def test_the_shim_is_there():
    assert subprocess.run(["true"], env=dict(os.environ, LD_PRELOAD=SHIM), capture_output=True, check=True).stderr == b""
