# SPDX-License-Identifier: Apache-2.0
"""pubsub.sqlite: what is shared by the sidecars of a host, who gets it, when it comes again, and what a kill leaves."""
import collections
import glob
import json
import os
import signal
import sqlite3
import subprocess
import time

import pytest

from sidecar import SLOW, Sidecar, component
from subscriber import HttpApp, subscription

pytestmark = pytest.mark.ours


@pytest.fixture
def host(tmp_path):
    """host(app, *subscriptions, **metadata) -> a sidecar on the file of this test; app None: it only publishes."""
    running, apps = [], []

    def begin(app=None, *subs, app_id="testapp", loops=1, flags=None, expect=0, **metadata):
        metadata = dict({"connectionString": "file:%s/bus.db" % tmp_path, "redeliverInterval": "300ms"}, **metadata)
        given = dict(flags or {})
        if app is not None:
            given["app-port"] = app.port
            if app not in apps:
                apps.append(app)
        s = Sidecar(tmp_path / ("s%d" % len(running)), component("bus", "pubsub.sqlite", metadata), *subs, flags=given,
                    loops=loops, app_id=app_id, expect=expect)
        running.append(s)
        return s.start()

    yield begin
    for s in running:
        if s.process is not None and s.process.poll() is None:
            s.stop()
    for app in apps:
        app.stop()


@pytest.fixture
def db(tmp_path):
    """db(question, ...) -> the rows."""
    def ask(question, *values):
        c = sqlite3.connect(tmp_path / "bus.db", timeout=20)
        try:
            rows = c.execute(question, values).fetchall()
            c.commit()
            return rows
        finally:
            c.close()
    return ask


IN = subscription("s", "t", route="/in")


def publish(s, topic, data, query=""):
    r = s.post("/v1.0/publish/bus/%s%s" % (topic, query), json.dumps(data), headers={"Content-Type": "application/json"})
    assert r.status == 204, r


def bulk(s, topic, items):
    entries = [{"entryId": str(i), "event": d, "contentType": "application/json"} for i, d in enumerate(items)]
    r = s.post("/v1.0/publish/bulk/bus/" + topic, json.dumps(entries), headers={"Content-Type": "application/json"})
    assert r.status == 204, r


def data(came):
    return came.json["data"]


def all_taken(request):
    return json.dumps({"statuses": [{"entryId": e["entryId"], "status": "SUCCESS"} for e in request["entries"]]}).encode()


def eventually(wanted, seconds=10):
    end = time.monotonic() + seconds * SLOW
    while not wanted():
        assert time.monotonic() < end
        time.sleep(0.02)


def kill(s):
    s.process.send_signal(signal.SIGKILL)
    s.process.wait()
    s.process = None


# -- who gets it

@pytest.mark.parametrize("loops", [1, 2])
def test_another_process_gets_what_this_one_publishes_and_at_once(host, loops):
    app = HttpApp()
    host(app, IN, app_id="reader", loops=loops)
    s = host(app_id="writer", loops=loops)
    for i in range(20):
        start = time.monotonic()
        publish(s, "t", i)
        assert data(app.receive(2)) == i  # a slow look comes every 5 s only
        assert time.monotonic() - start < 2 * SLOW


def test_each_group_gets_all_and_its_members_share(host):
    one, two, other = HttpApp(), HttpApp(), HttpApp()
    a = host(one, IN, app_id="a", consumerID="readers", concurrencyMode="parallel")
    host(two, IN, app_id="b", consumerID="readers", concurrencyMode="parallel")
    host(other, IN, app_id="c")
    one.hold()
    two.hold()
    for i in range(4):
        bulk(a, "t", range(i * 100, i * 100 + 100))
    seen = collections.Counter(data(other.receive()) for _ in range(400))
    assert seen == collections.Counter(range(400))
    eventually(lambda: one.came.qsize() >= 100 and two.came.qsize() >= 100)  # each is full: the rest waits in the file
    one.let_go()
    two.let_go()
    eventually(lambda: one.came.qsize() + two.came.qsize() >= 400)
    shared = collections.Counter(data(app.receive()) for app in (one, two) for _ in range(app.came.qsize()))
    assert shared == collections.Counter(range(400))


def test_what_came_before_the_first_subscriber_is_kept_for_it(host):
    s = host(app_id="writer")
    for i in range(3):
        publish(s, "t", i)
    s.stop()
    app = HttpApp()
    host(app, IN)
    assert [data(app.receive()) for _ in range(3)] == [0, 1, 2]
    assert app.nothing()


def test_topics_are_apart_and_metadata_arrives(host):
    app = HttpApp()
    s = host(app, IN, subscription("u", "u/ü", route="/u"))
    publish(s, "u%2F%C3%BC", "x", "?metadata.x-mine=7")
    publish(s, "other", "y")
    publish(s, "t", "z")
    found = {c.path: c for c in (app.receive(), app.receive())}
    assert data(found["/u"]) == "x" and found["/u"].headers["x-mine"] == "7"
    assert data(found["/in"]) == "z"
    assert app.nothing()


def test_order_is_held_in_one_subscriber(host):
    app = HttpApp()
    s = host(app, IN)
    for i in range(0, 300, 3):
        publish(s, "t", i)
        bulk(s, "t", [i + 1, i + 2])
    assert [data(app.receive()) for _ in range(300)] == list(range(300))
    assert app.most == 1


def test_in_parallel_many_are_on_their_way(host):
    app = HttpApp()
    app.hold()
    s = host(app, IN, concurrencyMode="parallel")
    bulk(s, "t", range(50))
    eventually(lambda: app.most == 50)
    app.let_go()
    assert sorted(data(app.receive()) for _ in range(50)) == list(range(50))


def test_a_bulk_subscription_gets_batches(host):
    app = HttpApp()
    app.answer("/in", *[(200, all_taken)] * 9)
    s = host(app, subscription("s", "t", route="/in", bulkSubscribe={"enabled": True, "maxMessagesCount": 50, "maxAwaitDurationMs": 200}))
    bulk(s, "t", range(120))
    got = []
    while len(got) < 120:
        entries = app.receive().json["entries"]
        assert len(entries) <= 50
        got += [e["event"]["data"] for e in entries]
    assert got == list(range(120))


# -- when it comes again

def test_what_is_not_taken_comes_again_and_holds_up_the_rest(host, db):
    app = HttpApp()
    app.answer("/in", (200, b""), (500, b""), (200, b'{"status":"RETRY"}'), (200, b""))
    s = host(app, IN)
    bulk(s, "t", range(5))
    assert [data(app.receive()) for _ in range(7)] == [0, 1, 1, 1, 2, 3, 4]
    assert app.nothing()
    eventually(lambda: db("SELECT count(*) FROM pubsub_pending") == [(0,)])


def test_in_parallel_it_holds_up_nobody(host):
    app = HttpApp()
    app.answer("/in", *[(500, b"")] * 10)
    s = host(app, IN, concurrencyMode="parallel")
    bulk(s, "t", range(10))
    assert sorted(data(app.receive()) for _ in range(20)) == sorted(list(range(10)) * 2)
    assert app.nothing()


def test_drop_is_the_end_of_it(host, db):
    app = HttpApp()
    app.answer("/in", (200, b'{"status":"DROP"}'), (404, b""))
    s = host(app, IN)
    bulk(s, "t", range(3))
    assert [data(app.receive()) for _ in range(3)] == [0, 1, 2]
    assert app.nothing(0.8)
    eventually(lambda: db("SELECT count(*) FROM pubsub_pending") == [(0,)])


def test_after_so_many_deliveries_it_goes_to_the_dead_letters(host):
    app = HttpApp()
    app.answer("/in", *[(500, b"")] * 3)
    s = host(app, IN, subscription("d", "dead", route="/dead"), maxDeliveries="3", deadLetterTopic="dead", redeliverInterval="50ms")
    bulk(s, "t", range(3))
    came = [app.receive() for _ in range(6)]
    assert [data(c) for c in came if c.path == "/in"] == [0, 0, 0, 1, 2]
    assert [data(c) for c in came if c.path == "/dead"] == [0]
    assert app.nothing()


def test_without_a_place_for_dead_letters_it_is_dropped_and_said(host):
    app = HttpApp()
    app.answer("/in", *[(500, b"")] * 2)
    s = host(app, IN, maxDeliveries="2", redeliverInterval="50ms")
    bulk(s, "t", range(2))
    assert [data(app.receive()) for _ in range(3)] == [0, 0, 1]
    s.wait_log("was not taken in 2 deliveries: it is dropped")


def test_a_subscriptions_own_dead_letter_topic(host):
    app = HttpApp()
    app.answer("/in", (500, b""))
    s = host(app, subscription("s", "t", route="/in", deadLetterTopic="mine"), subscription("d", "mine", route="/mine"))
    publish(s, "t", "x")
    assert [(c.path, data(c)) for c in (app.receive(), app.receive())] == [("/in", "x"), ("/mine", "x")]


# -- when a sidecar dies, or does not answer

def test_what_a_killed_sidecar_held_comes_first_when_it_is_back(host):
    app = HttpApp()
    app.hold()
    s = host(app, IN)
    writer = host(app_id="writer")
    bulk(writer, "t", range(10))
    assert data(app.receive()) == 0
    kill(s)
    bulk(writer, "t", range(10, 20))
    app.let_go()
    host(app, IN)
    assert [data(app.receive()) for _ in range(20)] == list(range(20))


def test_a_member_of_its_group_takes_over_what_a_killed_one_held(host):
    held, other = HttpApp(), HttpApp()
    held.hold()
    s = host(held, IN, app_id="a", consumerID="g", processingTimeout="1h")
    bulk(s, "t", range(30))
    assert data(held.receive()) == 0
    writer = host(other, IN, app_id="b", consumerID="g", processingTimeout="1h")
    assert other.nothing()
    kill(s)
    publish(writer, "t", 30)
    assert sorted(data(other.receive()) for _ in range(31)) == list(range(31))
    held.let_go()


def test_a_frozen_sidecar_loses_what_it_holds_in_time_and_goes_on_afterwards(host):
    frozen, other = HttpApp(), HttpApp()
    frozen.hold()
    a = host(frozen, IN, app_id="a", consumerID="g", processingTimeout="1s")
    bulk(a, "t", range(3))
    assert data(frozen.receive()) == 0
    host(other, IN, app_id="b", consumerID="g", processingTimeout="1s")
    a.process.send_signal(signal.SIGSTOP)
    assert sorted(data(other.receive(20)) for _ in range(3)) == [0, 1, 2]
    a.process.send_signal(signal.SIGCONT)
    frozen.let_go()
    eventually(lambda: frozen.came.empty() or frozen.came.get())
    seen = set()
    for i in range(3, 203):
        publish(a, "t", i)
    while len(seen) < 200:
        for app in (frozen, other):
            while not app.came.empty():
                seen.add(data(app.receive()))
        time.sleep(0.01)
        seen -= {0, 1, 2}
    assert seen == set(range(3, 203))


def test_a_slow_application_keeps_what_it_has(host):
    slow, other = HttpApp(), HttpApp()
    slow.hold()
    a = host(slow, IN, app_id="a", consumerID="g", processingTimeout="1s")
    publish(a, "t", "x")
    assert data(slow.receive()) == "x"
    host(other, IN, app_id="b", consumerID="g", processingTimeout="1s")
    assert other.nothing(3)
    slow.let_go()


def test_a_sidecar_that_ends_well_leaves_what_it_did_not_take_to_others(host, db, tmp_path):
    slow, other = HttpApp(), HttpApp()
    a = host(slow, IN, app_id="a", consumerID="g")
    slow.hold()
    bulk(a, "t", range(10))
    assert data(slow.receive()) == 0
    b = host(other, IN, app_id="b", consumerID="g")
    slow.let_go()
    a.stop()
    seen = [data(app.receive()) for app in (slow, other) for _ in range(app.came.qsize())]
    while len(seen) < 9:
        seen.append(data(other.receive()))
    assert sorted(seen) == list(range(1, 10))
    b.stop()
    assert db("SELECT count(*) FROM pubsub_peer") == [(0,)]
    assert glob.glob("%s/bus.db-peers/*" % tmp_path) == []


def test_what_was_acknowledged_survives_kills_of_the_publisher(host):
    app = HttpApp()
    host(app, IN, app_id="reader")
    acknowledged = 0
    for life in range(4):
        s = host(app_id="writer", expect=None)
        end = time.monotonic() + 0.3
        while time.monotonic() < end:
            publish(s, "t", acknowledged)
            acknowledged += 1
        kill(s)
    assert acknowledged > 20
    assert [data(app.receive()) for _ in range(acknowledged)] == list(range(acknowledged))


# -- what is deleted

def test_what_all_have_taken_goes(host, db):
    app = HttpApp()
    s = host(app, IN)
    bulk(s, "t", range(2000))
    for _ in range(2000):
        app.receive()
    eventually(lambda: db("SELECT count(*) FROM pubsub_message") == [(0,)])
    publish(s, "t", "still")
    assert data(app.receive()) == "still"


def test_what_some_group_has_not_taken_stays(host, db):
    app, other = HttpApp(), HttpApp()
    s = host(app, IN)
    late = host(other, IN, app_id="late")
    late.stop()
    bulk(s, "t", range(100))
    for _ in range(100):
        app.receive()
    time.sleep(1.5)
    assert db("SELECT count(*) FROM pubsub_message") == [(100,)]
    host(other, IN, app_id="late")
    assert [data(other.receive()) for _ in range(100)] == list(range(100))
    eventually(lambda: db("SELECT count(*) FROM pubsub_message") == [(0,)])


def test_retention_ends_what_nobody_takes(host, db):
    s = host(retention="1s", cleanupInterval="300ms")
    bulk(s, "t", range(3000))
    assert db("SELECT count(*) FROM pubsub_message") == [(3000,)]
    eventually(lambda: db("SELECT count(*) FROM pubsub_message") == [(0,)])
    eventually(lambda: db("SELECT count(*) FROM pubsub_topic") == [(0,)])
    s.wait_log("were older than retention and are gone")
    publish(s, "t", "again")
    assert db("SELECT count(*) FROM pubsub_message") == [(1,)]


def test_a_group_that_is_gone_for_as_long_is_forgotten(host, db):
    app = HttpApp()
    gone = host(app, IN, app_id="gone", retention="1s", cleanupInterval="200ms")
    gone.stop()
    host(retention="1s", cleanupInterval="200ms")
    eventually(lambda: db("SELECT count(*) FROM pubsub_group") == [(0,)])


def test_what_has_expired_is_not_delivered(host, db):
    s = host(app_id="writer", cleanupInterval="200ms")
    publish(s, "t", "short", "?metadata.ttlInSeconds=1")
    publish(s, "t", "long", "?metadata.ttlInSeconds=1000")
    eventually(lambda: db("SELECT count(*) FROM pubsub_message") == [(1,)])
    app = HttpApp()
    host(app, IN)
    assert data(app.receive()) == "long"
    assert app.nothing()


# -- bad company

def test_a_full_file_refuses_and_loses_nothing(host):
    app = HttpApp()
    app.hold()
    s = host(app, IN, connectionString="file:%s?_pragma=max_page_count(100)" % os.path.join("full.db"))
    sent = 0
    while sent < 1000:
        r = s.post("/v1.0/publish/bus/t", json.dumps("x" * 3000 + str(sent)), headers={"Content-Type": "application/json"})
        if r.status != 204:
            break
        sent += 1
    assert r.status == 500 and "full" in r.message and "free some space" in r.message
    assert sent > 10
    app.let_go()
    assert [data(app.receive())[3000:] for _ in range(sent)] == [str(i) for i in range(sent)]
    eventually(lambda: s.post("/v1.0/publish/bus/t", '"room"', headers={"Content-Type": "application/json"}).status == 204)
    assert data(app.receive()) == "room"


def test_a_locked_file_is_waited_for_and_then_refused(host, tmp_path):
    s = host(busyTimeout="500ms")
    c = sqlite3.connect(tmp_path / "bus.db", isolation_level=None)
    c.execute("BEGIN IMMEDIATE")
    r = s.post("/v1.0/publish/bus/t", "x")
    assert r.status == 500 and "database is locked" in r.message
    c.execute("COMMIT")
    publish(s, "t", "y")
    assert c.execute("SELECT count(*) FROM pubsub_message").fetchall() == [(1,)]
    c.close()


@pytest.mark.parametrize("metadata,why", [
    ({"connectionString": ""}, "missing connection string"),
    ({"connectionString": ":memory:"}, "nothing would outlast the sidecar"),
    ({"connectionString": "file:x.db?mode=ro"}, "a file that may only be read takes no messages"),
    ({"connectionString": "/nowhere/at/all/x.db"}, "its folder must exist"),
    ({"connectionString": "text"}, "file is not a database"),
    ({"concurrencyMode": "both"}, "concurrencyMode"),
    ({"maxDeliveries": "-1"}, "maxDeliveries"),
    ({"processingTimeout": "10ms"}, "processingTimeout"),
    ({"redeliverInterval": "soon"}, "redeliverInterval"),
])
def test_what_it_does_not_open_on(tmp_path, metadata, why):
    given = dict({"connectionString": "file:y.db"}, **metadata)
    s = Sidecar(tmp_path / "s", component("bus", "pubsub.sqlite", given), expect=None)
    s.write("text", "no database, just some text that is long enough to be read as a page of one, or of several " * 20)
    code, log = s.run()
    assert code == 1 and why in log


def test_a_damaged_file_says_so(host, tmp_path):
    s = host(app_id="writer")
    for i in range(50):
        publish(s, "t", "x" * 3000)
    s.stop()
    with open(tmp_path / "bus.db", "r+b") as f:
        size = f.seek(0, os.SEEK_END)
        f.seek(4096 * 3)
        f.write(os.urandom(size - 4096 * 3))
    damaged = Sidecar(tmp_path / "damaged", component("bus", "pubsub.sqlite", {"connectionString": "file:%s/bus.db" % tmp_path}),
                      expect=None)
    damaged.spawn()
    end = time.monotonic() + 20
    while damaged.process.poll() is None and time.monotonic() < end:
        try:
            r = damaged.post("/v1.0/publish/bus/t", "x")
            assert r.status == 500 and "malformed" in r.message, r
            break
        except OSError:
            damaged.connection = None
            time.sleep(0.05)
    assert "malformed" in damaged.log() or r.status == 500
    damaged.process.kill()
    damaged.process.wait()
    damaged.process = None


def test_without_the_sockets_it_is_slower_and_no_more(host, tmp_path):
    app = HttpApp()
    host(app, IN, app_id="reader")
    s = host(app_id="writer")
    subprocess.run(["rm", "-rf", "%s/bus.db-peers" % tmp_path], check=True)
    publish(s, "t", "x")
    assert data(app.receive(12)) == "x"


def test_removed_sockets_are_made_anew(host, tmp_path):
    app = HttpApp()
    host(app, IN, app_id="reader", processingTimeout="1s", cleanupInterval="300ms")
    s = host(app_id="writer", cleanupInterval="300ms")
    subprocess.run(["rm", "-rf", "%s/bus.db-peers" % tmp_path], check=True)
    eventually(lambda: glob.glob("%s/bus.db-peers/*" % tmp_path))
    time.sleep(0.5)
    for i in range(20):
        publish(s, "t", i)
        assert data(app.receive(4)) == i


def test_it_says_what_it_can(host):
    s = host()
    found = [c for c in s.get("/v1.0/metadata").json["components"] if c["name"] == "bus"][0]
    assert (found["type"], found["version"]) == ("pubsub.sqlite", "v1")
    assert sorted(found["capabilities"]) == ["BULK_PUBSUB", "MESSAGE_TTL"]


@pytest.fixture
def disk(tmp_path):
    """A file system of 6 MiB, for which one has to be root."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", folder], check=False, capture_output=True).returncode != 0:
        pytest.skip("mount is not allowed here")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def fill(folder):
    with open(folder / "others", "wb", buffering=0) as f:
        with pytest.raises(OSError):
            while f.write(b"z" * 4096):
                pass


def test_a_disk_that_others_filled_refuses_and_loses_nothing(host, disk):
    app = HttpApp()
    app.hold()
    s = host(app, IN, connectionString="file:%s/bus.db" % disk)
    for i in range(50):
        publish(s, "t", i)
    fill(disk)
    r = s.post("/v1.0/publish/bus/t", "x" * 2000000)
    assert r.status == 500 and "full" in r.message
    app.let_go()
    assert [data(app.receive()) for _ in range(50)] == list(range(50))
    os.unlink(disk / "others")
    publish(s, "t", "again")
    while True:  # what could not be noted as taken comes again, at most
        came = data(app.receive())
        if came == "again":
            break
        assert came in range(50)
    s.stop()
    c = sqlite3.connect(disk / "bus.db")
    eventually(lambda: c.execute("SELECT count(*) FROM pubsub_pending").fetchall() == [(0,)])
    c.close()


def test_a_disk_that_may_only_be_read_says_so_and_is_used_again_afterwards(host, disk):
    app = HttpApp()
    s = host(app, IN, connectionString="file:%s/bus.db" % disk)
    publish(s, "t", 1)
    assert data(app.receive()) == 1
    s.stop()
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    closed = Sidecar(disk.parent / "closed", component("bus", "pubsub.sqlite", {"connectionString": "file:%s/bus.db" % disk}), expect=None)
    code, log = closed.run()
    assert code == 1 and ("readonly" in log or "unable to open" in log) and "let this user" in log or "allowed to write" in log
    subprocess.run(["mount", "-o", "remount,rw", disk], check=True)
    s = host(app, IN, connectionString="file:%s/bus.db" % disk)
    publish(s, "t", 2)
    assert data(app.receive()) == 2
