# SPDX-License-Identifier: Apache-2.0
"""state.redis through davit-bench: its suite on each kind of server, and the layout of what it writes and reads."""
import base64
import os
import subprocess
import sys
import time

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))

from redis_server import Certificates, Cluster, Redis, Watched  # noqa: E402

BUILD = os.environ.get("BUILD", "build")
BENCH = os.path.join(BUILD, "bin", "davit-bench")
TYPE = "state.redis"


def plugin():
    folder = os.path.join(BUILD, "lib", "davit", "plugins", TYPE)
    version = sorted(os.listdir(folder))[-1]
    return os.path.join(folder, version, TYPE + ".so")


def arguments(props, *words):
    given = [BENCH, "-n", *words]
    for name, value in props.items():
        given += ["-p", f"{name}={value}"]
    return given + [plugin()]


def bench(props, *words, env=None):
    """The whole suite; the output of a run without a failure."""
    p = subprocess.run(arguments(props, *words), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
                       errors="replace", timeout=240, env=dict(os.environ, **(env or {})))
    assert p.returncode == 0 and " 0 failed" in p.stdout, p.stdout[-6000:]
    return p.stdout


class Store:
    """A component that does what it is told, line by line (sdk/bench/dialogue.c)."""

    def __init__(self, **props):
        self.process = subprocess.Popen(arguments(props, "-i"), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL, text=True)
        line = self.process.stdout.readline()
        while line.startswith("#"):
            line = self.process.stdout.readline()
        assert line.startswith("ok 1 "), line + self.process.stdout.readline()

    def say(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().rstrip("\n")

    def close(self):
        self.process.stdin.close()
        self.process.stdout.read()
        assert self.process.wait(20) == 0


# -- the suite, on each kind of server

def test_one_server(tmp_path):
    server = Redis(tmp_path)
    bench({"redisHost": server.host})
    server.stop()


def test_a_password_and_a_database(tmp_path):
    server = Redis(tmp_path, password="secret")
    bench({"redisHost": "127.0.0.1", "redisPort": server.port, "redisPassword": "secret", "redisDB": 3}, "-q")
    assert server.cli("-n", "3", "dbsize").strip() != "0" and server.cli("-n", "0", "dbsize").strip() == "0"
    server.stop()


def test_a_password_that_the_server_does_not_ask_for(tmp_path):
    """As Dapr's client, which tells it with HELLO, where a default user without a password takes any."""
    server = Redis(tmp_path)
    bench({"redisHost": server.host, "redisPassword": "of-before"}, "-q")
    bench({"redisHost": server.host, "redisUsername": "nobody", "redisPassword": "of-before"}, "-f", "AUTH: WRONGPASS")
    server.stop()


def test_what_is_without_effect_is_said(tmp_path):
    server = Redis(tmp_path)
    out = bench({"redisHost": server.host, "redisType": "standalone", "queryIndexes": "[]"}, "-q", "-v")
    assert 'redisType "standalone" is neither node nor cluster' in out and "queryIndexes is of no effect" in out
    server.stop()


def test_a_user_with_few_rights(tmp_path):
    """What the store needs and nothing else; the text of a script each time where EVALSHA is not among it."""
    server = Redis(tmp_path, ("user", "dapr", "on", ">pw", "~*", "+hgetall", "+get", "+eval", "+hget", "+hset", "+hincrby", "+hmget",
                              "+del", "+expire", "+persist", "+scan", "+ping"))
    props = {"redisHost": server.host, "redisUsername": "dapr", "redisPassword": "pw"}
    bench(props, "-q")
    server.cli("acl", "setuser", "dapr", "+evalsha", "+script")
    bench(props, "-q", "-k", "more")
    server.stop()


@pytest.mark.parametrize("ask", [False, True], ids=["tls", "client-certificate"])
def test_tls(tmp_path, ask):
    made = Certificates(tmp_path / "certificates", ask=ask)
    server = Redis(tmp_path / "redis", password="secret", tls=made)
    props = {"redisHost": server.host, "redisPassword": "secret", "enableTLS": "true"}
    if ask:
        props.update(clientCert=made.text(made.client[0]), clientKey=made.text(made.client[1]))
    bench(props, "-q", env={"SSL_CERT_FILE": made.ca})
    bench(dict(props, insecureSkipTLSVerify="true"), "-q", "-k", "insecure")
    bench(props, "-f", "certificate")  # an authority that nobody trusts
    server.stop()


def test_a_cluster_of_three(tmp_path):
    cluster = Cluster(tmp_path, password="secret")
    props = {"redisHost": cluster.host, "redisType": "cluster", "redisPassword": "secret"}
    # Transactions keep together what is in one slot.
    bench(props, "-k", "{one}")
    assert all(int(n.cli("dbsize")) > 0 for n in cluster.nodes if n is cluster.owner("{one}"))
    # And what is in many, as long as nobody else writes: the servers have a part of the keys each.
    store = Store(**props)
    for i in range(60):
        assert store.say("set k%d %d" % (i, i)) == "ok"
    for i in range(60):
        assert store.say("get k%d" % i) == "ok %d 1" % i
        assert cluster.owner("k%d" % i).hash("k%d" % i) == {"data": str(i), "version": "1"}
    store.close()
    cluster.stop()


def test_a_slot_on_its_way_to_another_server(tmp_path):
    """ASK and TRYAGAIN while it goes, MOVED when it has gone."""
    cluster = Cluster(tmp_path)
    store = Store(redisHost=cluster.host, redisType="cluster")
    keys = ["{tag}%d" % i for i in range(20)]
    for key in keys[:10]:
        assert store.say("set %s 1" % key) == "ok"
    source = cluster.owner("{tag}")
    target = next(n for n in cluster.nodes if n is not source)
    slot, ids = source.cli("cluster", "keyslot", "{tag}").strip(), {}
    for n in cluster.nodes:
        ids[n] = n.cli("cluster", "myid").strip()
    target.cli("cluster", "setslot", slot, "importing", ids[source])
    source.cli("cluster", "setslot", slot, "migrating", ids[target])
    for key in keys[:5]:
        source.cli("migrate", "127.0.0.1", str(target.port), key, "0", "1000")
    for key in keys[:10]:
        assert store.say("get %s" % key) == "ok 1 1"
        assert store.say("set %s 2" % key) == "ok"
    for key in keys[10:]:
        assert store.say("set %s 2" % key) == "ok"  # new ones are born at the target
        assert store.say("get %s" % key) == "ok 2 1"
    for key in keys[5:10]:
        source.cli("migrate", "127.0.0.1", str(target.port), key, "0", "1000")
    for n in cluster.nodes:
        n.cli("cluster", "setslot", slot, "node", ids[target])
    for key in keys[:10]:
        assert store.say("get %s" % key) == "ok 2 2"
        assert target.hash(key)["version"] == "2"
    store.close()
    cluster.stop()


def test_sentinels(tmp_path):
    watched = Watched(tmp_path, password="secret", sentinel_password="watch")
    props = {"redisHost": watched.host, "failover": "true", "sentinelMasterName": "mymaster", "redisPassword": "secret",
             "sentinelPassword": "watch"}
    bench(props, "-q")
    assert int(watched.master.cli("dbsize")) > 0
    bench(dict(props, sentinelMasterName="another"), "-f", 'knows no master named "another"')
    bench(dict(props, sentinelPassword="wrong"), "-f", "AUTH: WRONGPASS")
    watched.stop()


# -- what is refused at the opening

@pytest.mark.parametrize("props, text", [
    ({"redisHost": "127.0.0.1:1", "redisMaxRetries": -1}, "redis store: error connecting to redis at 127.0.0.1:1: dial"),
    ({"redisHost": "localhost:7", "redisPort": 8}, "already contains port 7, but redisPort is set to 8"),
    ({"redisHost": "127.0.0.1:1", "redisDB": "x"}, 'invalid int "x" for redisDB'),
    ({"redisHost": "127.0.0.1:1", "enableTLS": "perhaps"}, 'invalid bool "perhaps" for enableTLS'),
    ({"redisHost": "127.0.0.1:1", "readTimeout": "soon"}, 'invalid Duration "soon" for readTimeout'),
    ({"redisHost": "a:1,b:1"}, 'several hosts need redisType "cluster" or failover'),
    ({"redisHost": "a:1", "failover": "true"}, "failover needs sentinelMasterName"),
    ({"redisHost": "a:b"}, "invalid address"),
    ({"redisHost": ""}, "redisHost is not set"),
    ({"redisHost": "a:1", "useEntraID": "true"}, "is not offered yet"),
    ({"redisHost": "127.0.0.1:1", "enableTLS": "true", "clientCert": "x", "clientKey": "secret"}, "redis store: error connecting"),
])
def test_opening_fails_with_a_reason(props, text):
    out = bench(props, "-f", text)
    assert "secret" not in out


def test_a_wrong_password_is_said_and_not_shown(tmp_path):
    server = Redis(tmp_path, password="right")
    began = time.monotonic()
    out = bench({"redisHost": server.host, "redisPassword": "quite-wrong"}, "-v", "-f", "AUTH: WRONGPASS")
    assert "quite-wrong" not in out and time.monotonic() - began < 5
    bench({"redisHost": server.host}, "-f", "NOAUTH")
    server.stop()


# -- the layout

@pytest.fixture(scope="module")
def server(tmp_path_factory):
    s = Redis(tmp_path_factory.mktemp("redis"))
    yield s
    s.stop()


@pytest.fixture
def store(server):
    server.cli("flushall")
    s = Store(redisHost=server.host)
    yield s
    s.close()


def test_what_is_written_field_by_field(server, store):
    assert store.say('set k {"a": 1}') == "ok"
    assert server.hash("k") == {"data": '{"a": 1}', "version": "1"}
    assert server.cli("type", "k").strip() == "hash" and server.cli("ttl", "k").strip() == "-1"
    store.say("set k 2")
    assert server.hash("k") == {"data": "2", "version": "2"}
    assert store.say("etag k 2 3") == "ok" and server.hash("k") == {"data": "3", "version": "3"}
    store.say("first f 1")
    assert server.hash("f") == {"data": "1", "version": "1", "first-write": "0"}
    assert store.say("etag f 1 2") == "ok" and server.hash("f") == {"data": "2", "version": "2", "first-write": "0"}
    store.say("del k")
    assert server.cli("exists", "k").strip() == "0"


def test_what_is_by_hand_is_read(server, store):
    server.cli("hset", "k", "data", "by hand", "version", "41")
    assert store.say("get k") == "ok by hand 41"
    server.cli("set", "plain", "text without a version")
    assert store.say("get plain") == "ok text without a version -"
    server.cli("hset", "odd", "data", "x")
    assert "required hash field 'data' or 'version' was not found" in store.say("get odd")
    server.cli("rpush", "list", "x")
    assert "WRONGTYPE" in store.say("get list")
    assert store.say("set list 1") == "ok" and server.hash("list") == {"data": "1", "version": "1"}
    assert store.say("set plain 1") == "ok" and server.hash("plain") == {"data": "1", "version": "1"}


def test_the_time_to_live(server, store):
    store.say("ttl k 100 1")
    assert 95 <= int(server.cli("ttl", "k")) <= 100
    store.say("set k 2")  # leaves it, as Dapr does
    assert 95 <= int(server.cli("ttl", "k")) <= 100
    store.say("ttl k -1 3")
    assert server.cli("ttl", "k").strip() == "-1"
    other = Store(redisHost=server.host, ttlInSeconds=50)
    other.say("set d 1")
    assert 45 <= int(server.cli("ttl", "d")) <= 50
    other.say("ttl d 500 1")
    assert 495 <= int(server.cli("ttl", "d")) <= 500
    other.close()


def test_first_write_is_kept_from_plain_saves(server, store):
    assert store.say("first k 1") == "ok"
    answer = store.say("set k 2")
    assert answer.startswith("fail 9 - failed to set key k")  # as Dapr: not a mismatch of ETags
    assert server.hash("k")["data"] == "1"
    assert store.say("first k 2").startswith("fail 10 ETAG_MISMATCH")
    assert store.say("etag k 1 2") == "ok"


def test_bytes_of_any_kind(server, store):
    value = base64.b64encode(bytes(range(256)) * 40).decode()
    assert store.say("setb b " + value) == "ok"
    assert server.hash("b")["data"] == value


def test_a_strong_write_waits_for_the_replica(tmp_path, server):
    replica = Redis(tmp_path, ("replicaof", "127.0.0.1", str(server.port)))
    replica.await_answer("info replication", "master_link_status:up")
    strong = Store(redisHost=server.host)
    assert strong.say("strong s 1") == "ok" and replica.hash("s") == {"data": "1", "version": "1"}
    replica.freeze()
    began = time.monotonic()
    assert strong.say("strong s 2") == "ok"  # after a second, as Dapr does
    assert 0.9 < time.monotonic() - began < 3
    replica.stop()
    strong.close()
