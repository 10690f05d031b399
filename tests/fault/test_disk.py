# SPDX-License-Identifier: Apache-2.0
"""What was acknowledged is there: after SIGKILL at random under load, on a full disk, with a database that is read-only."""
import os
import random
import resource
import shutil
import sqlite3
import subprocess
import threading
import time

import grpc
import pytest
from dapr.proto import api_v1, common_v1

from sidecar import SLOW, Sidecar, component

pytestmark = pytest.mark.ours
ROUNDS = int(os.environ.get("FAULT_ROUNDS", "6"))


def sqlite_store(path):
    return component("store", "state.sqlite", {"connectionString": "file:%s" % path})


class Writer(threading.Thread):
    """Writes until it is told to stop or nobody answers; knows what was acknowledged and what may have happened."""

    def __init__(self, s, number, over_grpc):
        super().__init__()
        self.s, self.number, self.over_grpc = s, number, over_grpc
        self.acked, self.unsure = {}, {}
        self.pairs = 0
        self.maybe_pair = 0

    def over(self, key, value):
        if self.over_grpc:
            self.stub.SaveState(api_v1.SaveStateRequest(store_name="store", states=[common_v1.StateItem(key=key, value=b"%d" % value)]), timeout=10)
        else:
            r = self.s.request("POST", "/v1.0/state/store", [{"key": key, "value": value}], connection=self.connection)
            assert r.status == 204, r

    def pair(self, n):
        """Both keys or none."""
        body = {"operations": [{"operation": "upsert", "request": {"key": "p%d-%s" % (self.number, side), "value": n}} for side in "lr"]}
        if self.over_grpc:
            self.stub.ExecuteStateTransaction(api_v1.ExecuteStateTransactionRequest(storeName="store", operations=[
                api_v1.TransactionalStateOperation(operationType="upsert", request=common_v1.StateItem(key=o["request"]["key"], value=b"%d" % n))
                for o in body["operations"]]), timeout=10)
        else:
            r = self.s.request("POST", "/v1.0/state/store/transaction", body, connection=self.connection)
            assert r.status == 204, r

    def run(self):
        self.connection = self.s.connect()
        channel = grpc.insecure_channel("127.0.0.1:%d" % self.s.grpc_port)
        from dapr.proto import api_service_v1
        self.stub = api_service_v1.DaprStub(channel)
        n = 0
        try:
            while n < 100000:
                n += 1
                key = "w%d-%d" % (self.number, n % 50)
                self.unsure = {key: n}
                self.over(key, n)
                self.acked[key] = n
                self.unsure = {}
                if n % 5 == 0:
                    self.maybe_pair = n
                    self.pair(n)
                    self.pairs = n
        except (OSError, grpc.RpcError, AssertionError):
            pass
        finally:
            self.connection.close()
            channel.close()


@pytest.mark.plain
def test_sigkill_at_random_loses_nothing_acknowledged(tmp_path):
    total = 0
    for turn in range(ROUNDS):
        s = Sidecar(tmp_path / ("s%d" % turn), sqlite_store(tmp_path / "state.db"), expect=None)
        s.start()
        writers = [Writer(s, turn * 10 + i, i % 2 == 1) for i in range(4)]
        for w in writers:
            w.start()
        time.sleep(random.uniform(0.1, 0.6))
        s.kill()
        for w in writers:
            w.join()
        s = Sidecar(tmp_path / ("t%d" % turn), sqlite_store(tmp_path / "state.db"))
        s.start()
        for w in writers:
            for key, n in w.acked.items():
                assert s.read(key).json in (n, w.unsure.get(key)), key
            left, right = (s.read("p%d-%s" % (w.number, side)) for side in "lr")
            assert left.status == right.status
            if left.status == 200:
                assert left.json == right.json and left.json in (w.pairs, w.maybe_pair)
            else:
                assert w.pairs == 0
            total += len(w.acked)
        s.stop()
        with sqlite3.connect(str(tmp_path / "state.db")) as db:
            assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert total > 0
    print("%d keys acknowledged, each is there" % total)


@pytest.fixture
def small_disk(tmp_path):
    """(a folder, how it is full): a small tmpfs, or where that may not be mounted a limit on the size of files."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], capture_output=True, check=False).returncode == 0:
        yield folder, None
        subprocess.run(["umount", "-l", folder], check=True)
    else:
        yield folder, 1 << 20


def test_a_full_disk(small_disk, tmp_path):
    folder, limit = small_disk
    s = Sidecar(tmp_path / "s", sqlite_store(folder / "state.db"))
    s.start()
    if limit:
        resource.prlimit(s.process.pid, resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    value, acked = "x" * 20000, 0
    for i in range(200):
        r = s.save("k%d" % i, value)
        if r.status != 204:
            break
        acked += 1
    assert (r.status, r.code) == (500, "ERR_STATE_SAVE"), r
    assert acked > 3
    assert s.process.poll() is None
    e = None
    try:
        s.rpc.SaveState(api_v1.SaveStateRequest(store_name="store", states=[common_v1.StateItem(key="g", value=b"x" * 50000)]))
    except grpc.RpcError as caught:
        e = caught
    assert e is None or e.code() in (grpc.StatusCode.INTERNAL, grpc.StatusCode.RESOURCE_EXHAUSTED)
    r = s.post("/v1.0/state/store/transaction", {"operations": [{"operation": "upsert", "request": {"key": "t%d" % i, "value": value}} for i in range(40)]})
    assert r.status == 500
    assert [s.read("t%d" % i).status for i in (0, 20, 39)] == [204] * 3
    for i in range(acked):
        assert s.read("k%d" % i).json == value
    if limit:
        resource.prlimit(s.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    else:
        subprocess.run(["mount", "-o", "remount,size=20m", folder], check=True)
    end = time.monotonic() + 10 * SLOW
    while s.save("again", value).status != 204:
        assert time.monotonic() < end
        time.sleep(0.1)
    s.stop()


def test_a_read_only_database(tmp_path):
    s = Sidecar(tmp_path / "a", sqlite_store(tmp_path / "state.db"))
    s.start()
    s.save("k", "kept")
    s.stop()
    # A database in WAL mode wants to write beside itself, so it is brought back from it first.
    with sqlite3.connect(str(tmp_path / "state.db")) as db:
        db.execute("PRAGMA journal_mode=DELETE")
    before = (tmp_path / "state.db").read_bytes()
    s = Sidecar(tmp_path / "b", component("store", "state.sqlite", {"connectionString": "file:%s?mode=ro" % (tmp_path / "state.db"), "disableWAL": "true"}),
                expect=None)
    s.spawn()
    end = time.monotonic() + 20 * SLOW
    while s.process.poll() is None and "dapr initialized. Status: Running" not in s.log():
        assert time.monotonic() < end
        time.sleep(0.01)
    if s.process.poll() is None:
        assert s.read("k").json == "kept"
        r = s.save("k", "lost")
        assert (r.status, r.code) == (500, "ERR_STATE_SAVE")
        r = s.post("/v1.0/state/store/transaction", {"operations": [{"operation": "upsert", "request": {"key": "k", "value": "lost"}}]})
        assert (r.status, r.code) == (500, "ERR_STATE_TRANSACTION")
        assert s.delete("/v1.0/state/store/k").status == 500
        assert s.read("k").json == "kept"
    else:  # Dapr wants to make its tables
        assert s.process.returncode == 1 and "readonly" in s.log().replace("-", "").replace(" ", "").lower()
    s.stop()
    assert (tmp_path / "state.db").read_bytes() == before


def test_a_database_that_is_gone_while_it_serves(tmp_path):
    folder = tmp_path / "db"
    folder.mkdir()
    s = Sidecar(tmp_path / "s", sqlite_store(folder / "state.db"), expect=None)
    s.start()
    s.save("k", 1)
    shutil.rmtree(folder)
    for _ in range(20):
        assert s.save("k", 2).status in (204, 500)
        assert s.read("k").status in (200, 204, 500)
    assert s.get("/v1.0/healthz").status == 204
    assert s.stop() == 0
