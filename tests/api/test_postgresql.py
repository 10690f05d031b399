# SPDX-License-Identifier: Apache-2.0
"""A sidecar whose store is PostgreSQL, and PostgreSQL killed, frozen, started anew, full, half way through an answer; and what
is said of it."""
import http.client
import json
import threading
import time

import pytest
from postgresql_server import Postgres
from redis_server import Certificates
from sidecar import LOOPS, SLOW, Sidecar, component
from trouble import Load, Proxy, works

pytestmark = pytest.mark.ours
VERSIONS = ["v1", "v2"]


@pytest.fixture
def made():
    """What a test starts and is to be stopped with it."""
    running = []
    yield lambda thing: running.append(thing) or thing
    for thing in reversed(running):
        thing.stop()


def store(server, name="store", version="v2", port=None, **more):
    url = "host=127.0.0.1 port=%d user=postgres password=pw dbname=postgres" % (port or server.port)
    return component(name, "state.postgresql", dict({"connectionString": url}, **more), version=version)


@pytest.mark.parametrize("loops", LOOPS)
@pytest.mark.parametrize("how", ["killed", "ended"])
def test_a_restart_under_load_loses_nothing_acknowledged(start, made, how, loops):
    server = made(Postgres(durable=True))
    s = start(store(server), component("other", "state.in-memory"), loops=loops)
    load = Load(s)
    for _ in range(2):
        time.sleep(0.5)
        if how == "killed":
            server.kill()
        else:
            server.stop()
        time.sleep(0.3)
        assert s.save("k", 1, store="other").status == 204  # others do not notice
        server.start()
        works(s)
    time.sleep(0.3)
    load.stop()
    assert load.failed > 0 and len(load.acknowledged) >= 20
    load.check()


@pytest.mark.parametrize("version", VERSIONS)
def test_a_frozen_server_is_an_error_in_time(start, made, version):
    server = made(Postgres())
    s = start(store(server, version=version, timeout="1s"), component("other", "state.in-memory"))
    s.save("k", 1)
    load = Load(s)
    time.sleep(0.3)
    server.freeze()
    began = time.monotonic()
    r = s.read("k")
    assert r.status == 500 and "in time" in r.message and time.monotonic() - began < 5 * SLOW, r
    r = s.save("k", 2)
    assert r.status == 500 and "in time" in r.message, r
    assert s.save("k", 1, store="other").status == 204
    server.thaw()
    works(s)
    load.stop()
    assert load.slowest < 8 * SLOW
    load.check()


def test_a_save_that_was_sent_and_not_answered_says_so(start, made):
    server = made(Postgres())
    s = start(store(server, timeout="1s"))
    s.save("k", 1)
    server.freeze()
    r = s.save("k", 2)
    assert r.status == 500 and "whether the change was made is not known" in r.message, r
    server.thaw()
    works(s)
    assert s.read("k").json in (1, 2)


def test_a_deadline_of_the_caller_ends_a_call(start, made):
    from dapr.proto import api_v1
    import grpc
    server = made(Postgres())
    s = start(store(server, timeout="2s"))
    server.freeze()
    began = time.monotonic()
    with pytest.raises(grpc.RpcError) as e:
        s.rpc.GetState(api_v1.GetStateRequest(store_name="store", key="k"), timeout=0.3)
    assert e.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED and time.monotonic() - began < 2 * SLOW
    server.thaw()
    works(s)


@pytest.mark.parametrize("cut", [0, 1, 5, 30])
@pytest.mark.parametrize("reset", [False, True], ids=["ended", "reset"])
def test_half_an_answer(start, made, cut, reset):
    server = made(Postgres())
    proxy = made(Proxy(server.port))
    s = start(store(server, port=proxy.port))
    s.save("k", "x" * 100)
    s.read("k")
    proxy.cut, proxy.reset = cut, reset
    assert s.read("k").json == "x" * 100  # reading is tried again
    works(s)
    proxy.cut, proxy.reset = min(cut, 4), reset
    r = s.save("k", 2)
    assert r.status == 500 and "whether the change was made is not known" in r.message, r
    end = time.monotonic() + 5 * SLOW
    while s.read("k").json != 2:  # it was
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.parametrize("garbage", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\0\0\0", b"D\xff\xff\xff\xff", b"T\0\0\0\x06\xff\xff", b"Z\0\0\0\x05I",
                                     b"E\0\0\0\x05\0", b"D\0\0\0\x08\0\x03\x7f\xff", b"C\x7f\xff\xff\xff"])
def test_an_answer_that_is_none(start, made, garbage):
    server = made(Postgres())
    proxy = made(Proxy(server.port))
    s = start(store(server, port=proxy.port, timeout="2s"))
    s.save("k", 1)
    for what in (lambda: s.save("k", 2), lambda: s.read("k")):
        proxy.garbage = garbage
        assert what().status in (200, 204, 500)
        proxy.garbage = None
        works(s)
    assert s.read("k").json in (1, 2)


def test_a_slow_server_slows_nobody_else(start, made):
    server = made(Postgres())
    proxy = made(Proxy(server.port))
    s = start(store(server, port=proxy.port), store(server, name="fast", tablePrefix="fast_"), component("other", "state.in-memory"))
    s.save("k", 1, store="fast")
    proxy.delay = 1.5
    slow = threading.Thread(target=s.connect().request, args=("GET", "/v1.0/state/store/k"))
    slow.start()
    began = time.monotonic()
    for i in range(10):
        assert s.save("k", i, store="fast").status == 204 and s.save("k", i, store="other").status == 204
    assert time.monotonic() - began < 1.4 * SLOW
    slow.join()


def test_a_locked_row_holds_up_its_own_writers_only(start, made):
    import subprocess
    server = made(Postgres())
    s = start(store(server, maxConns="4", timeout="1s"), loops=1)
    s.save("k", 1)
    s.save("free", 1)
    lock = subprocess.Popen(["psql", "-X", "-q", "-h", server.folder, "-p", str(server.port), "-U", "postgres"], stdin=subprocess.PIPE,
                            text=True, env={"PGPASSWORD": "pw", "PATH": "/usr/bin:/bin"})
    lock.stdin.write("BEGIN; SELECT * FROM state WHERE key = 'testapp||k' FOR UPDATE;\n")
    lock.stdin.flush()
    server.await_query("SELECT count(*) FROM pg_locks WHERE relation = 'state'::regclass AND mode = 'RowShareLock'", "1")
    waiting = threading.Thread(target=lambda: s.request("POST", "/v1.0/state/store", [{"key": "k", "value": 2}], connection=s.connect()))
    waiting.start()
    server.await_query("SELECT count(*) FROM pg_locks WHERE NOT granted", "1")
    assert s.read("k").json == 1 and s.save("free", 2).status == 204  # reading waits for nobody
    waiting.join()
    lock.communicate("ROLLBACK;\n", timeout=20 * SLOW)
    works(s)
    assert s.save("k", 3).status == 204 and s.read("k").json == 3


def test_a_certificate_runs_out(start, made, tmp_path):
    """Those that are connected stay so; who connects anew is refused, until there is a new one."""
    ours = Certificates(tmp_path / "certificates")
    server = made(Postgres(tls=ours))
    url = server.url.replace("127.0.0.1", "localhost") + " sslmode=verify-full"
    s = start(component("store", "state.postgresql", {"connectionString": url, "sslRootCert": ours.ca}))
    works(s)
    assert server.query("SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE client_addr IS NOT NULL") == "t"
    expired = ours.make("expired", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-days", "-1")
    server.write_tls(expired)
    server.reload()
    assert s.save("k", 1).status == 204
    server.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE client_addr IS NOT NULL")
    time.sleep(0.3)
    r = s.save("k", 2)
    assert r.status == 500 and "certificate verify failed" in r.message, r
    server.write_tls(ours.server)
    server.reload()
    time.sleep(0.3)
    works(s)


def test_a_password_that_changes_and_is_in_no_log(start, made):
    server = made(Postgres())
    s = start(store(server))
    works(s)
    server.query("ALTER USER postgres PASSWORD 'brand-new'")
    assert s.save("k", 1).status == 204  # who is in stays in
    server.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE client_addr IS NOT NULL", password="brand-new")
    time.sleep(0.3)
    r = s.read("k")
    assert r.status == 500 and "password authentication failed" in r.message and "28P01" in r.message, r
    server.query("ALTER USER postgres PASSWORD 'pw'", password="brand-new")
    works(s)
    s.get("/v1.0/metadata")
    assert "brand-new" not in s.log() and "password=pw" not in s.log()


def test_too_many_clients_make_do_with_what_there_is(start, made):
    server = made(Postgres("max_connections=7", "superuser_reserved_connections=3"))
    server.query("CREATE ROLE app LOGIN PASSWORD 'pw'; GRANT ALL ON SCHEMA public TO app")
    s = start(component("store", "state.postgresql", {"connectionString": server.url.replace("user=postgres", "user=app"),
                                                       "maxConns": "20"}, version="v2"), loops=1)
    load = Load(s, threads=12)
    time.sleep(1)
    load.stop()
    assert load.failed == 0 and load.acknowledged
    load.check()


def test_too_many_clients_are_said_and_got_over(start, made):
    import subprocess
    server = made(Postgres())
    server.query("CREATE ROLE app LOGIN PASSWORD 'pw' CONNECTION LIMIT 2; GRANT ALL ON SCHEMA public TO app")
    s = start(component("store", "state.postgresql", {"connectionString": server.url.replace("user=postgres", "user=app")}), loops=1)
    s.save("k", 1)
    server.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'app'")
    server.await_query("SELECT count(*) FROM pg_stat_activity WHERE usename = 'app'", "0")
    time.sleep(0.5)  # a slot is free a moment after its session is out of this view
    others = [subprocess.Popen(["psql", "-X", "-q", "-h", server.folder, "-p", str(server.port), "-U", "app", "-d", "postgres"],
                               stdin=subprocess.PIPE, text=True, env={"PGPASSWORD": "pw", "PATH": "/usr/bin:/bin"}) for _ in range(2)]
    server.await_query("SELECT count(*) FROM pg_stat_activity WHERE usename = 'app'", "2")
    r = s.read("k")
    assert r.status == 500 and "53300" in r.message, r
    for p in others:
        p.communicate("", timeout=20 * SLOW)
    works(s)
    assert s.read("k").json == 1


def test_connections_are_as_many_as_allowed_and_closed_when_idle(start, made):
    server = made(Postgres())
    s = start(store(server, maxConns="3", connectionMaxIdleTime="1s"), loops=2)
    load = Load(s, threads=12)
    time.sleep(0.5)
    assert 2 <= server.connections() <= 3
    load.stop()
    assert load.failed == 0
    load.check()
    end = time.monotonic() + 10 * SLOW
    while server.connections() > 0:
        assert time.monotonic() < end
        time.sleep(0.05)
    works(s)


def test_what_cannot_be_reached_says_where(tmp_path):
    s = Sidecar(tmp_path / "s", component("store", "state.postgresql", {"connectionString": "host=127.0.0.1 port=1 user=u "
                                                                         "password=quite-secret"}), expect=None)
    code, log = s.run()
    assert code != 0 and "failed to connect to the database: connection to server at \\\"127.0.0.1\\\", port 1 failed" in log, log[-2000:]
    assert "quite-secret" not in log


def test_stopping_while_the_server_is_frozen(start, made):
    server = made(Postgres())
    s = start(store(server))
    s.save("k", 1)
    server.freeze()
    connection = s.connect()
    connection.request("GET", "/v1.0/state/store/k")
    time.sleep(0.1)
    began = time.monotonic()
    s.stop()
    assert time.monotonic() - began < 10 * SLOW
    try:
        connection.getresponse().read()
    except (OSError, http.client.HTTPException):
        pass
    server.thaw()


def test_expired_rows_are_deleted_by_one_of_all(start, made):
    server = made(Postgres())
    metadata = {"cleanupIntervalInSeconds": "1"}
    s = start(store(server, **metadata), store(server, name="again", **metadata))
    assert s.save("short", 1, metadata={"ttlInSeconds": "1"}).status == 204
    s.save("long", 1)
    server.await_query("SELECT string_agg(key, ',') FROM state", "testapp||long")
    assert server.query("SELECT count(*) FROM dapr_metadata WHERE key = 'last-cleanup-state-v2-'") == "1"


def test_query_etags_and_first_write_as_dapr_has_them(start, made):
    server = made(Postgres())
    s = start(store(server, version="v1"))
    for i, city in enumerate(["Seattle", "Portland", "Seattle", "it's\\"]):
        s.save("p%d" % i, {"person": {"city": city, "age": i}, "n": 1234567 + i})
    s.save("gone", {"person": {"city": "Seattle"}}, metadata={"ttlInSeconds": "1"})

    def ask(**q):
        r = s.post("/v1.0-alpha1/state/store/query", q)
        assert r.status in (200, 204), r
        if r.status == 204:
            return [], None
        return [x["key"] for x in r.json["results"]], r.json.get("token")

    time.sleep(1.2)
    order = [{"key": "person.age", "order": "DESC"}]
    assert ask(filter={"EQ": {"person.city": "Seattle"}}, sort=order) == (["p2", "p0"], None)
    assert ask(filter={"NEQ": {"person.city": "Seattle"}}, sort=[{"key": "person.age"}])[0] == ["p1", "p3"]
    assert ask(filter={"EQ": {"person.city": "it's\\"}})[0] == ["p3"]
    assert ask(filter={"EQ": {"n": 1234567}})[0] == ["p0"]
    assert ask(filter={"IN": {"person.city": ["Portland", "Nowhere"]}})[0] == ["p1"]
    assert ask(filter={"AND": [{"GT": {"person.age": 0}}, {"LTE": {"person.age": 2}}]}, sort=order)[0] == ["p2", "p1"]
    assert ask(filter={"OR": [{"EQ": {"person.age": 0}}, {"EQ": {"person.age": 3}}]}, sort=order)[0] == ["p3", "p0"]
    assert ask(sort=order, page={"limit": 3}) == (["p3", "p2", "p1"], "3")
    assert ask(sort=order, page={"limit": 3, "token": "3"}) == (["p0"], "4")
    for bad in ({"filter": {"EQ": {"a": 1, "b": 2}}}, {"filter": {"LIKE": {"a": "b"}}}, {"filter": {"GT": {"a": "text"}}},
                {"filter": {"IN": {"a": []}}}, {"filter": {"AND": [{"EQ": {"a": 1}}]}}, {"sort": [{"key": "a", "order": "; DROP"}]}):
        r = s.post("/v1.0-alpha1/state/store/query", bad)
        assert r.status in (400, 500) and s.read("p0").status == 200, (bad, r)
    assert ask(filter={"EQ": {"a'; DROP TABLE state; --": "x"}})[0] == []
    r = s.save("p0", 3, etag="no number")
    assert (r.status, r.code) == (400, "ERR_STATE_SAVE") and "invalid etag value" in r.message
    r = s.post("/v1.0/state/store", [{"key": "p0", "value": 1, "options": {"concurrency": "first-write"}}])
    assert r.status == 409, r
    caps = {c["name"]: c["capabilities"] for c in s.get("/v1.0/metadata").json["components"]}
    assert sorted(caps["store"]) == ["ACTOR", "ETAG", "KEYS_LIKE", "QUERY_API", "TRANSACTIONAL", "TTL"]
    assert json.loads(s.read("p0").body)["n"] == 1234567


@pytest.mark.parametrize("version", VERSIONS)
def test_transactions_that_lock_each_other_go_through(start, made, version):
    server = made(Postgres("deadlock_timeout=50ms"))
    s = start(store(server, version=version), loops=2)
    failures = []

    def run(keys):
        c = s.connect()
        for i in range(20):
            body = {"operations": [{"operation": "upsert", "request": {"key": k, "value": i}} for k in keys]}
            r = s.request("POST", "/v1.0/state/store/transaction", body, connection=c)
            if r.status != 204:
                failures.append(r.message)

    threads = [threading.Thread(target=run, args=(k,)) for k in (["a", "b"], ["b", "a"]) * 2]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert all("deadlock" in f for f in failures) and len(failures) < 20, failures
    assert s.read("a").json == s.read("b").json or failures
