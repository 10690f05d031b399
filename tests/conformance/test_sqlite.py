# SPDX-License-Identifier: Apache-2.0
"""state.sqlite in bad company: what others wrote, held, filled up or killed. Drives one plugin through davit-bench."""
import base64
import os
import random
import re
import signal
import sqlite3
import subprocess
import threading
import time

import pytest

BUILD = os.environ.get("BUILD", "build")
BENCH = os.path.join(BUILD, "bin", "davit-bench")
TYPE = "state.sqlite"
LAYOUT = [
    ("key", "TEXT", 1, None, 1),
    ("value", "TEXT", 1, None, 0),
    ("is_binary", "BOOLEAN", 1, None, 0),
    ("etag", "TEXT", 1, None, 0),
    ("expiration_time", "TIMESTAMP", 0, "NULL", 0),
    ("update_time", "TIMESTAMP", 1, "CURRENT_TIMESTAMP", 0),
]


def plugin():
    folder = os.path.join(BUILD, "lib", "davit", "plugins", TYPE)
    version = sorted(os.listdir(folder))[-1]
    return os.path.join(folder, version, TYPE + ".so")


class Store:
    def __init__(self, path, **props):
        props["connectionString"] = str(path)
        args = [BENCH, "-i", "-v"]
        for name, value in props.items():
            args += ["-p", f"{name}={value}"]
        self.process = subprocess.Popen(args + [plugin()], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL, text=True)
        line = self.process.stdout.readline()
        while line.startswith("#"):
            line = self.process.stdout.readline()
        assert line.startswith("ok 1 "), self.process.stdout.readline()

    def say(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().rstrip("\n")

    def close(self):
        self.process.stdin.close()
        self.process.stdout.read()
        assert self.process.wait(20) == 0


@pytest.fixture
def path(tmp_path):
    return tmp_path / "state.db"


def test_the_layout_is_daprs(path):
    Store(path).close()
    db = sqlite3.connect(path)
    assert [row[1:] for row in db.execute("PRAGMA table_info(state)")] == LAYOUT
    assert db.execute("SELECT key, value FROM metadata").fetchall() == [("migrations", "1")]
    assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_row_is_written_field_by_field(path):
    store = Store(path)
    assert store.say('set app||j {"a":"<&>"}') == "ok"
    assert store.say("setb app||b some bytes") == "ok"
    before = store.say("get app||j")
    db = sqlite3.connect(path)
    rows = {r[0]: r[1:] for r in db.execute("SELECT key, value, is_binary, etag, expiration_time, update_time FROM state")}
    assert rows["app||j"][:2] == ('{"a":"<&>"}', 0)
    assert rows["app||b"][:2] == (base64.b64encode(b"some bytes").decode(), 1)
    for value in rows.values():
        assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", value[2])
        assert value[3] is None
        assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", value[4])
    assert before == 'ok {"a":"<&>"} ' + rows["app||j"][2]
    store.close()


def test_rows_of_others_are_read(path):
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE mine (key TEXT NOT NULL PRIMARY KEY, value TEXT NOT NULL, is_binary BOOLEAN NOT NULL, "
               "etag TEXT NOT NULL, expiration_time TIMESTAMP DEFAULT NULL, "
               "update_time TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP)")
    db.execute("INSERT INTO mine (key, value, is_binary, etag) VALUES ('a', '\"x\"', FALSE, '1731000000')")
    db.execute("INSERT INTO mine (key, value, is_binary, etag) VALUES ('b', 'AGI=', TRUE, 'e')")
    db.execute("INSERT INTO mine (key, value, is_binary, etag) VALUES ('c', x'6869', 0, 'e')")
    db.execute("INSERT INTO mine (key, value, is_binary, etag) VALUES ('d', 'not base64!', 1, 'e')")
    db.execute("INSERT INTO mine VALUES ('e', '1', 0, 'e', DATETIME('now', '-1 second'), CURRENT_TIMESTAMP)")
    db.commit()
    store = Store(path, tableName="mine")
    assert store.say("get a") == 'ok "x" 1731000000'
    assert store.say("get b") == "ok \0b e"
    assert store.say("get c") == "ok hi e"
    assert store.say("get d").startswith("fail 15 - failed to decode binary data")
    assert store.say("get e") == "ok"
    assert store.say("etag a wrong 2") == "fail 10 ETAG_MISMATCH "
    assert store.say("etag a 1731000000 2") == "ok"
    store.close()


@pytest.mark.parametrize("wal", ["false", "true"])
def test_a_locked_file_is_waited_for_and_then_refused(path, wal):
    store = Store(path, busyTimeout="500ms", disableWAL=wal)
    assert store.say("set k 1") == "ok"
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("BEGIN EXCLUSIVE")
    start = time.monotonic()
    answer = store.say("set k 2")
    took = time.monotonic() - start
    assert answer.startswith("fail 14 - ") and "database is locked" in answer and str(path) in answer
    assert 0.4 < took < 3
    db.execute("COMMIT")
    assert store.say("set k 3") == "ok"
    store.close()


def test_a_lock_that_ends_in_time_is_no_failure(path):
    store = Store(path, busyTimeout="5s")
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    db.execute("BEGIN EXCLUSIVE")
    threading.Timer(0.4, lambda: db.execute("COMMIT")).start()
    start = time.monotonic()
    assert store.say("set k 1") == "ok"
    assert 0.3 < time.monotonic() - start < 4
    store.close()


def test_a_read_only_file_says_so(path):
    Store(path).close()
    store = Store(f"file:{path}?mode=ro")
    answer = store.say("set k 1")
    assert answer.startswith("fail 9 - ") and "readonly" in answer and str(path) in answer
    assert store.say("get k") == "ok"
    store.close()


def test_a_full_disk_says_so_and_loses_nothing(path):
    store = Store(f"{path}?_pragma=max_page_count(40)", disableWAL="true")
    kept = []
    for i in range(200):
        answer = store.say(f"set k{i} {'x' * 3000}")
        if answer != "ok":
            break
        kept.append(i)
    assert answer.startswith("fail 8 - ") and "full" in answer and str(path) in answer
    assert len(kept) > 10
    for i in kept:
        assert store.say(f"get k{i}").startswith("ok xxx")
    assert store.say("del k0") == "ok"
    assert store.say("set small 1") == "ok"
    store.close()


def test_a_disk_that_others_filled_still_takes_new_values_for_old_keys(tmp_path):
    """On a file system of 4 MiB, for which one has to be root. The log begins anew where it could grow no more."""
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", tmp_path], check=False).returncode != 0:
        return
    try:
        store = Store(tmp_path / "state.db")
        for i in range(100):
            assert store.say(f"set k{i} {'x' * 2000}") == "ok"
        store.close()
        store = Store(tmp_path / "state.db")
        for i in range(50):
            assert store.say(f"set k{i} {'y' * 2000}") == "ok"
        with open(tmp_path / "others", "wb", buffering=0) as f:
            with pytest.raises(OSError):
                while f.write(b"z" * 4096):
                    pass
        for i in range(100):
            assert store.say(f"set k{i} {'v' * 2000}") == "ok"
        answer = store.say(f"set new {'w' * 1000000}")
        assert answer.startswith("fail 8 - ") and "full" in answer
        assert [i for i in range(100) if not store.say(f"get k{i}").startswith("ok vvv")] == []
        os.unlink(tmp_path / "others")
        assert store.say(f"set new {'w' * 1000000}") == "ok"
        store.close()
    finally:
        subprocess.run(["umount", "-l", tmp_path], check=True)


def test_expired_rows_are_deleted_at_the_interval(path):
    store = Store(path, cleanupInterval="300ms")
    db = sqlite3.connect(path, isolation_level=None)
    for i in range(2500):
        db.execute("INSERT INTO state VALUES (?, '1', 0, 'e', DATETIME('now', '-10 seconds'), CURRENT_TIMESTAMP)", (f"k{i}",))
    db.execute("INSERT INTO state VALUES ('stays', '1', 0, 'e', DATETIME('now', '+1000 seconds'), CURRENT_TIMESTAMP)")
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and db.execute("SELECT COUNT(*) FROM state").fetchone()[0] != 1:
        time.sleep(0.1)
    assert db.execute("SELECT key FROM state").fetchall() == [("stays",)]
    assert db.execute("SELECT COUNT(*) FROM metadata WHERE key = 'last-cleanup'").fetchone() == (1,)
    store.close()


def test_two_stores_share_a_file(path):
    one, two = Store(path), Store(path)
    for i in range(50):
        assert one.say(f"set k{i} {i}") == "ok"
        assert two.say(f"get k{i}").startswith(f"ok {i} ")
        assert two.say(f"set k{i} {i + 1}") == "ok"
        assert one.say(f"get k{i}").startswith(f"ok {i + 1} ")
    one.close()
    two.close()


def test_what_was_acknowledged_survives_a_kill(path):
    seed = random.randrange(1 << 30)
    chance = random.Random(seed)
    acknowledged = {}
    for life in range(6):
        store = Store(path)
        timer = threading.Timer(chance.uniform(0.02, 0.3), lambda: store.process.send_signal(signal.SIGKILL))
        timer.start()
        try:
            for i in range(100000):
                if store.say(f"set k{life}-{i} {i}") != "ok":
                    break
                acknowledged[f"k{life}-{i}"] = i
        except BrokenPipeError:
            pass
        store.process.wait()
    store = Store(path)
    for key, value in acknowledged.items():
        assert store.say(f"get {key}").startswith(f"ok {value} "), f"{key} lost, seed {seed}"
    assert len(acknowledged) > 50
    store.close()
