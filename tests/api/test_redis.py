# SPDX-License-Identifier: Apache-2.0
"""A sidecar whose store is Redis, and Redis killed, frozen, started anew, slow, half way through an answer; and what is said of it."""
import http.client
import threading
import time

import pytest
from redis_server import Certificates, Cluster, Redis, Watched
from sidecar import LOOPS, SLOW, component
from trouble import Load, Proxy, works

pytestmark = pytest.mark.ours


@pytest.fixture
def made():
    """What a test starts and is to be stopped with it."""
    running = []
    yield lambda thing: running.append(thing) or thing
    for thing in reversed(running):
        thing.stop()


def redis_component(server, name="store", **more):
    return component(name, "state.redis", dict({"redisHost": server.host}, **more))


@pytest.mark.parametrize("loops", LOOPS)
@pytest.mark.parametrize("how", ["killed", "ended"])
def test_a_restart_under_load_loses_nothing_acknowledged(start, made, tmp_path, how, loops):
    server = made(Redis(tmp_path / "redis", ("appendonly", "yes"), ("appendfsync", "always")))
    s = start(redis_component(server), component("other", "state.in-memory"), loops=loops)
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
    assert load.failed > 0 and len(load.acknowledged) >= 100
    load.check()


@pytest.mark.parametrize("loops", LOOPS)
def test_a_frozen_server_is_an_error_in_time(start, made, tmp_path, loops):
    server = made(Redis(tmp_path / "redis"))
    s = start(redis_component(server, readTimeout="500ms", redisMaxRetries="1", redisMaxRetryInterval="50ms"),
              component("other", "state.in-memory"), loops=loops)
    s.save("k", 1)
    load = Load(s)
    time.sleep(0.3)
    server.freeze()
    began = time.monotonic()
    r = s.read("k")
    assert r.status == 500 and "did not reply in time" in r.message and time.monotonic() - began < 5 * SLOW
    r = s.save("k", 2)
    assert r.status == 500 and "whether the change was made is not known" in r.message
    assert s.save("k", 1, store="other").status == 204
    server.thaw()
    works(s)
    load.stop()
    assert load.slowest < 8 * SLOW
    load.check()


def test_a_deadline_of_the_caller_ends_a_call(start, made, tmp_path):
    from dapr.proto import api_v1
    import grpc
    server = made(Redis(tmp_path / "redis"))
    s = start(redis_component(server))
    server.freeze()
    began = time.monotonic()
    with pytest.raises(grpc.RpcError) as e:
        s.rpc.GetState(api_v1.GetStateRequest(store_name="store", key="k"), timeout=0.3)
    assert e.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED and time.monotonic() - began < 2 * SLOW
    server.thaw()
    works(s)


@pytest.mark.parametrize("cut", [0, 1, 3, 15])
@pytest.mark.parametrize("reset", [False, True], ids=["ended", "reset"])
def test_half_an_answer(start, made, tmp_path, cut, reset):
    server = made(Redis(tmp_path / "redis"))
    proxy = made(Proxy(server.port))
    s = start(redis_component(proxy))
    s.save("k", "x" * 100)
    proxy.cut, proxy.reset = cut, reset
    assert s.read("k").json == "x" * 100  # reading is tried again
    proxy.cut, proxy.reset = min(cut, 1), reset
    r = s.save("k", 2)
    assert r.status == 500 and "whether the change was made is not known" in r.message
    assert s.read("k").json == 2  # it was


@pytest.mark.parametrize("garbage", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"$999999999999999999999\r\n", b"*-7\r\n", b"\0\0\0", b":12x\r\n",
                                     b"*2\r\n$1\r\na\r\n$-5\r\n"])
def test_an_answer_that_is_none(start, made, tmp_path, garbage):
    server = made(Redis(tmp_path / "redis"))
    proxy = made(Proxy(server.port))
    s = start(redis_component(proxy))
    s.save("k", 1)
    proxy.garbage = garbage
    assert s.save("k", 2).status in (204, 500)
    works(s)
    assert s.read("k").json in (1, 2)


def test_more_answers_than_questions(start, made, tmp_path):
    server = made(Redis(tmp_path / "redis"))
    proxy = made(Proxy(server.port))
    s = start(redis_component(proxy))
    proxy.garbage = b":1\r\n:1\r\n"
    s.save("k", 1)
    works(s)
    s.save("k", 3)
    assert s.read("k").json == 3  # nobody got another one's answer


def test_a_slow_server_slows_nobody_else(start, made, tmp_path):
    server = made(Redis(tmp_path / "redis"))
    proxy = made(Proxy(server.port))
    s = start(redis_component(proxy), redis_component(server, name="fast"), component("other", "state.in-memory"))
    proxy.delay = 0.4
    slow = threading.Thread(target=s.connect().request, args=("GET", "/v1.0/state/store/k"))
    slow.start()
    began = time.monotonic()
    for i in range(20):
        assert s.save("k", i, store="fast").status == 204 and s.save("k", i, store="other").status == 204
    assert time.monotonic() - began < 0.4 * SLOW
    slow.join()


@pytest.mark.parametrize("loops", LOOPS)
def test_failover_by_sentinels_under_load(start, made, tmp_path, loops):
    watched = made(Watched(tmp_path / "redis", password="secret"))
    s = start(redis_component(watched, failover="true", sentinelMasterName="mymaster", redisPassword="secret"), loops=loops)
    works(s)
    load = Load(s, threads=4)
    time.sleep(0.5)
    watched.sentinels[0].cli("sentinel", "failover", "mymaster")
    time.sleep(1)
    works(s, 30)
    assert watched.replica.cli("role").startswith("master")
    at = watched.replica.cli("dbsize")
    watched.replica.kill()  # the new master: the old one, a replica now, takes over
    works(s, 40)
    load.stop()
    assert int(at) > 0
    assert watched.master.cli("role").startswith("master")
    assert s.save("after", 1).status == 204 and watched.master.hash("testapp||after")["data"] == "1"


def test_a_node_of_a_cluster_ends_and_comes_back(start, made, tmp_path):
    cluster = made(Cluster(tmp_path / "redis"))
    s = start(redis_component(cluster, redisType="cluster", redisMaxRetries="1", redisMaxRetryInterval="50ms"))
    keys = ["k%d" % i for i in range(30)]
    for key in keys:
        assert s.save(key, key).status == 204
    victim = cluster.nodes[1]
    victim.kill()
    answers = [s.read(key).status for key in keys]
    assert 500 in answers and 200 in answers  # a part is away; until the cluster is told so, the rest serves
    victim.start()
    for n in cluster.nodes:
        n.await_answer("cluster info", "cluster_state:ok")
    works(s)
    for key in keys:
        assert s.save(key, 2).status == 204 and s.read(key).json == 2


def test_a_certificate_runs_out(start, made, tmp_path):
    """Those that are connected stay so; who connects anew is refused, until there is a new one."""
    ours = Certificates(tmp_path / "certificates")
    server = made(Redis(tmp_path / "redis", tls=ours))
    s = start(redis_component(server, enableTLS="true", redisMaxRetries="1", redisMaxRetryInterval="20ms"), env={"SSL_CERT_FILE": ours.ca})
    works(s)
    expired = ours.make("expired", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-days", "-1")
    server.session("config set tls-cert-file %s tls-key-file %s" % expired)
    assert s.save("k", 1).status == 204
    server.kill()
    server.write_tls(expired)
    server.spawn()
    time.sleep(0.3)
    r = s.save("k", 2)
    assert r.status == 500 and "certificate has expired" in r.message, r
    server.kill()
    server.write_tls(ours.server)
    server.start()
    works(s)


def test_what_cannot_be_reached_says_where(tmp_path):
    from sidecar import Sidecar
    s = Sidecar(tmp_path / "s", component("store", "state.redis", {"redisHost": "127.0.0.1:1", "redisPassword": "quite-secret",
                                                                    "redisMaxRetries": "-1"}), expect=None)
    code, log = s.run()
    assert code != 0 and "redis store: error connecting to redis at 127.0.0.1:1: dial tcp 127.0.0.1:1: connect: connection refused" in log
    assert "quite-secret" not in log


def test_a_password_is_in_no_log(start, made, tmp_path):
    server = made(Redis(tmp_path / "redis", password="quite-secret"))
    s = start(redis_component(server, redisPassword="quite-secret"))
    works(s)
    server.session("config set requirepass brand-new", "client kill type normal skipme yes")
    server.password = "brand-new"
    r = s.read("k")
    assert r.status == 500 and "WRONGPASS" in r.message
    s.get("/v1.0/metadata")
    assert "quite-secret" not in s.log() and "brand-new" not in s.log()


def test_ttl_query_and_first_write_as_dapr_has_them(start, made, tmp_path):
    server = made(Redis(tmp_path / "redis"))
    s = start(redis_component(server, ttlInSeconds="100"))
    s.save("k", 1)
    assert 95 <= int(server.cli("ttl", "testapp||k")) <= 100
    r = s.read("k")
    assert r.header("metadata.ttlExpireTime") is None and r.header("ETag") == "1"
    assert s.save("k", 2, metadata={"ttlInSeconds": "1"}).status == 204
    time.sleep(1.3)
    assert s.read("k").status == 204
    r = s.post("/v1.0-alpha1/state/store/query", {"filter": {"EQ": {"a": "b"}}})
    assert (r.status, r.code) == (500, "ERR_STATE_QUERY")
    assert r.message == "state store store query failed: redis-json server support is required for query capability"
    r = s.save("k", 3, etag="no number")
    assert (r.status, r.code) == (400, "ERR_STATE_SAVE") and "invalid etag value" in r.message
    caps = {c["name"]: c["capabilities"] for c in s.get("/v1.0/metadata").json["components"]}
    assert sorted(caps["store"]) == ["ACTOR", "ETAG", "KEYS_LIKE", "TRANSACTIONAL", "TTL"]


@pytest.mark.parametrize("etag", ["99999999999999999999", "-99999999999999999999", "x", "1x", "1.0"])
def test_an_etag_that_no_version_can_be(start, made, tmp_path, etag):
    s = start(redis_component(made(Redis(tmp_path / "redis"))))
    r = s.save("k", 1, etag=etag)
    assert (r.status, r.code) == (400, "ERR_STATE_SAVE") and "invalid etag value" in r.message
    assert s.read("k").status == 204


def test_many_clients_share_one_connection_a_loop(start, made, tmp_path):
    server = made(Redis(tmp_path / "redis"))
    s = start(redis_component(server), loops=2)
    load = Load(s, threads=16)
    time.sleep(0.5)
    clients = server.clients()
    load.stop()
    assert clients <= 2 and load.failed == 0
    load.check()


def test_an_idle_connection_is_closed_and_made_again(start, made, tmp_path):
    server = made(Redis(tmp_path / "redis"))
    s = start(redis_component(server, idleTimeout="300ms"), loops=1)
    s.save("k", 1)
    assert server.clients() == 1
    end = time.monotonic() + 5 * SLOW
    while server.clients() > 0:
        assert time.monotonic() < end
        time.sleep(0.05)
    assert s.save("k", 2).status == 204 and server.clients() == 1


def test_an_old_connection_is_replaced_under_load(start, made, tmp_path):
    server = made(Redis(tmp_path / "redis"))
    s = start(redis_component(server, maxConnAge="100ms"))
    load = Load(s)
    time.sleep(1)
    load.stop()
    assert load.failed == 0
    load.check()
    assert int(dict(line.split(":", 1) for line in server.cli("info", "stats").split("\r\n") if ":" in line)
               ["total_connections_received"]) > 5


def test_stopping_while_the_server_is_frozen(start, made, tmp_path):
    server = made(Redis(tmp_path / "redis"))
    s = start(redis_component(server))
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
