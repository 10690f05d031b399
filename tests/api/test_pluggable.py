# SPDX-License-Identifier: Apache-2.0
"""Components of other processes, over Dapr's pluggable component protocol: the example in Python is the other side."""
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time

import grpc
import pytest

import subscriber
from sidecar import COMPARE, LOOPS, SLOW, component, details, quote, refused, api_v1

PEER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "data/pluggable_peer.py")


class Peer:
    """A component in a process of its own."""

    def __init__(self, folder, name="memory", **options):
        os.makedirs(folder, exist_ok=True)
        self.socket = os.path.join(folder, name + ".sock")
        self.options = dict({"calls": os.path.join(folder, name + ".calls")}, **options)
        self.process = None

    def start(self):
        self.process = subprocess.Popen([sys.executable, PEER, self.socket, json.dumps(self.options)], stdout=subprocess.PIPE)
        assert self.process.stdout.readline() == b"serves\n"
        return self

    def kill(self):
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process.stdout.close()
            self.process = None

    def calls(self):
        try:
            with open(self.options["calls"], encoding="utf-8") as f:
                return f.read().splitlines()
        except FileNotFoundError:
            return []

    def inits(self):
        return [c for c in self.calls() if c.startswith("Init ")]


@pytest.fixture
def sockets(tmp_path):
    # A socket's path is short; pytest's folders are not always.
    folder = "/tmp/davit-%d-%d" % (os.getpid(), time.monotonic_ns() % 1000000)
    os.mkdir(folder)
    yield folder
    for f in os.listdir(folder):
        os.unlink(os.path.join(folder, f))
    os.rmdir(folder)


@pytest.fixture
def peer(sockets):
    made = []

    def make(name="memory", running=True, **options):
        made.append(Peer(sockets, name, **options))
        return made[-1].start() if running else made[-1]

    yield make
    for p in made:
        p.kill()


@pytest.fixture
def begin(start, sockets):
    def go(*resources, **options):
        return start(*resources, env={"DAPR_COMPONENTS_SOCKETS_FOLDER": sockets}, **options)

    return go


def store(kind="memory", name="store", metadata=None, **more):
    return component(name, "state." + kind, metadata, **more)


def eventually(check, seconds=10):
    end = time.monotonic() + seconds * SLOW
    while True:
        try:
            return check()
        except (AssertionError, OSError, http.client.HTTPException):
            if time.monotonic() > end:
                raise
            time.sleep(0.02)


def asked(p):
    assert "slow" in p.calls()


# -- state

@pytest.mark.parametrize("loops", LOOPS)
def test_state_over_http(begin, peer, loops):
    peer(features=["ETAG", "TRANSACTIONAL", "TTL", "QUERY_API"])
    s = begin(store(), loops=loops)
    assert s.read("none").status == 204
    assert s.save("a", {"n": 1}, metadata={"ttlInSeconds": "100"}).status == 204
    r = s.read("a")
    assert r.status == 200 and r.json == {"n": 1} and r.header("etag") == "1"
    assert r.header("metadata.ttlexpiretime")
    r = s.save("a", "other", etag="7")
    assert (r.status, r.code) == (409, "ERR_STATE_SAVE")
    assert r.message == ("failed saving state in state store store: possible etag mismatch. error from state store: "
                         "the ETag of testapp||a is another one")
    assert s.save("a", "again", options={"concurrency": "first-write"}).status == 409
    assert s.save("b", "first", options={"concurrency": "first-write"}).status == 204
    assert s.post("/v1.0/state/store", [{"key": k, "value": k} for k in "cde"]).status == 204
    r = s.post("/v1.0/state/store/bulk", {"keys": ["e", "none", "c"]})
    assert [(i["key"], i.get("data")) for i in r.json] == [("e", "e"), ("none", None), ("c", "c")]
    assert s.delete("/v1.0/state/store/e", headers={"If-Match": "99"}).status == 409
    assert s.delete("/v1.0/state/store/e").status == 204 and s.read("e").status == 204
    ops = [{"operation": "upsert", "request": {"key": "f", "value": 1}}, {"operation": "delete", "request": {"key": "c"}}]
    assert s.post("/v1.0/state/store/transaction", {"operations": ops}).status == 204
    assert s.read("f").json == 1 and s.read("c").status == 204
    big = "x" * 3000000
    assert s.save("big", big).status == 204 and s.read("big").json == big


@pytest.mark.parametrize("loops", LOOPS)
def test_state_over_grpc(begin, peer, loops):
    peer()
    s = begin(store(), loops=loops)
    s.rpc.SaveState(api_v1.SaveStateRequest(store_name="store", states=[{"key": k, "value": b"\0" + k.encode()} for k in "ab"]))
    r = s.rpc.GetState(api_v1.GetStateRequest(store_name="store", key="b"))
    assert r.data == b"\0b" and r.etag == "2"
    r = s.rpc.GetBulkState(api_v1.GetBulkStateRequest(store_name="store", keys=["b", "x", "a"], parallelism=2))
    assert [(i.key, i.data) for i in r.items] == [("b", b"\0b"), ("x", b""), ("a", b"\0a")]
    e = refused(s.rpc.DeleteState, api_v1.DeleteStateRequest(store_name="store", key="a", etag={"value": "9"}))
    assert e.code() == grpc.StatusCode.ABORTED
    s.rpc.DeleteBulkState(api_v1.DeleteBulkStateRequest(store_name="store", states=[{"key": "a"}, {"key": "b"}]))
    assert s.rpc.GetState(api_v1.GetStateRequest(store_name="store", key="b")).data == b""


def test_queries(begin, peer):
    peer()
    s = begin(store())
    for i in range(5):
        assert s.save("k%d" % i, {"city": "Bonn" if i < 4 else "Kiel", "n": i}).status == 204
    query = {"filter": {"EQ": {"city": "Bonn"}}, "sort": [{"key": "n", "order": "DESC"}], "page": {"limit": 3}}
    r = s.post("/v1.0-alpha1/state/store/query", query)
    assert [i["data"]["n"] for i in r.json["results"]] == [3, 2, 1] and r.json["token"] == "3"
    assert r.json["results"][0]["key"] == "k3"
    query["page"]["token"] = r.json["token"]
    r = s.rpc.QueryStateAlpha1(api_v1.QueryStateRequest(store_name="store", query=json.dumps(query)))
    assert [json.loads(i.data)["n"] for i in r.results] == [0] and r.token == ""
    r = s.post("/v1.0-alpha1/state/store/query", {"filter": ["no"]})
    assert (r.status, r.code) == (500, "ERR_STATE_QUERY")


def test_what_init_tells_and_how_instances_are_told_apart(begin, peer):
    p = peer()
    s = begin(store(metadata={"Some": "value", "other": "ä"}), store(name="second"))
    assert sorted(p.inits()) == ["Init second {}", 'Init store {"Some": "value", "other": "\\u00e4"}']
    assert s.save("k", 1).status == 204
    assert s.read("k", store="second").status == 204
    found = {c["name"]: c for c in s.get("/v1.0/metadata").json["components"]}
    assert found["store"]["type"] == "state.memory" and found["store"]["version"] == "v1"
    assert found["store"]["capabilities"] == ["ETAG", "TRANSACTIONAL", "TTL", "ACTOR"]


@pytest.mark.ours  # Dapr tells every loop's connection once, having no loops; and never a process that came later
def test_init_is_told_once_for_all_loops(begin, peer):
    p = peer()
    s = begin(store(), loops=2)
    for i in range(20):  # connections of their own, so that both loops take some
        assert s.request("GET", "/v1.0/state/store/k%d" % i, connection=s.connect()).status == 204
    assert len(p.inits()) == 1


def test_no_etags_no_transactions(begin, peer):
    peer(features=[])
    s = begin(store())
    assert s.save("k", 1).status == 204
    ops = [{"operation": "delete", "request": {"key": "c"}}]
    r = s.post("/v1.0/state/store/transaction", {"operations": ops})
    assert (r.status, r.code) == (500, "ERR_STATE_STORE_NOT_SUPPORTED")


def test_most_operations_of_a_transaction(begin, peer):
    p = peer(max_size=2)
    s = begin(store())
    ops = [{"operation": "upsert", "request": {"key": "k%d" % i, "value": i}} for i in range(3)]
    r = s.post("/v1.0/state/store/transaction", {"operations": ops})
    assert (r.status, r.code) == (400, "ERR_STATE_STORE_TOO_MANY_TRANSACTIONS")
    assert r.message == "the transaction contains 3 operations, which is more than what the state store supports: 2"
    assert s.post("/v1.0/state/store/transaction", {"operations": ops[:2]}).status == 204
    assert len([c for c in p.calls() if c.startswith("MultiMaxSize")]) == 1 and s.read("k1").json == 1


@pytest.mark.ours  # Dapr's sends the text up to its NUL… to nobody: its own stores would take it
def test_a_key_with_nul_is_not_cut(begin, peer):
    p = peer()
    s = begin(store())
    assert s.save("a", "good").status == 204
    r = s.post("/v1.0/state/store", '[{"key":"a\\u0000b","value":"bad"}]')
    assert r.status >= 400 and s.read("a").json == "good"
    assert len([c for c in p.calls() if c.startswith("Set")]) == 1


# -- errors

def test_errors_of_the_kit(begin, peer):
    peer()
    s = begin(store())
    api = "api error: code = DataLoss desc = of the kit"
    save = "failed saving state in state store store: " + api
    for r, code, message in [(s.read("kit"), "ERR_STATE_GET", "fail to get kit from state store store: " + api),
                             (s.save("kit", 1), "ERR_STATE_SAVE", save),
                             (s.post("/v1.0/state/store", [{"key": "kit"}, {"key": "b"}]), "ERR_STATE_SAVE", None),
                             (s.post("/v1.0/state/store", [{"key": "kit", "value": 1}, {"key": "b", "value": 1}]), "ERR_STATE_SAVE", save),
                             (s.delete("/v1.0/state/store/kit"), "ERR_STATE_DELETE", "failed deleting state with key kit: " + api),
                             (s.post("/v1.0/state/store/bulk", {"keys": ["kit"]}), "ERR_STATE_BULK_GET", api)]:
        if message is None:
            assert r.status == 500 and "nil value" in r.message
            continue
        assert (r.status, r.code, r.message) == (506, code, message)
        assert "details" not in r.json
    r = s.post("/v1.0-alpha1/state/store/query", {"filter": {"EQ": {"kit": 1}}})
    assert (r.status, r.code, r.message) == (506, "KIT_TAG", "of the kit")
    assert r.detail("ErrorInfo") == {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "domain": "kit.domain",
                                     "metadata": None, "reason": "KIT_REASON"}
    ops = [{"operation": "upsert", "request": {"key": "kit", "value": 1}}]
    r = s.post("/v1.0/state/store/transaction", {"operations": ops})
    assert (r.status, r.code) == (500, "ERR_STATE_TRANSACTION") and r.message.endswith(api)
    item = {"key": "kit", "value": b"1"}
    for call, request in [(s.rpc.GetState, api_v1.GetStateRequest(store_name="store", key="kit")),
                          (s.rpc.GetBulkState, api_v1.GetBulkStateRequest(store_name="store", keys=["kit"])),
                          (s.rpc.SaveState, api_v1.SaveStateRequest(store_name="store", states=[item])),
                          (s.rpc.SaveState, api_v1.SaveStateRequest(store_name="store", states=[item, item])),
                          (s.rpc.DeleteState, api_v1.DeleteStateRequest(store_name="store", key="kit")),
                          (s.rpc.DeleteBulkState, api_v1.DeleteBulkStateRequest(store_name="store", states=[item, item])),
                          (s.rpc.QueryStateAlpha1, api_v1.QueryStateRequest(store_name="store", query='{"filter":{"EQ":{"kit":1}}}'))]:
        e = refused(call, request)
        assert (e.code(), e.details()) == (grpc.StatusCode.DATA_LOSS, "of the kit")
        found = details(e)
        assert list(found) == ["ErrorInfo"]
        assert found["ErrorInfo"].reason == "KIT_REASON" and found["ErrorInfo"].domain == "kit.domain"
        assert not found["ErrorInfo"].metadata


def test_other_statuses(begin, peer):
    peer()
    s = begin(store())
    text = "rpc error: code = ResourceExhausted desc = as it was asked for"
    r = s.read("code-RESOURCE_EXHAUSTED")
    assert (r.status, r.code) == (500, "ERR_STATE_GET") and r.message.endswith(": " + text)
    e = refused(s.rpc.GetState, api_v1.GetStateRequest(store_name="store", key="code-RESOURCE_EXHAUSTED"))
    assert e.code() == grpc.StatusCode.INTERNAL and e.details().endswith(": " + text)
    e = refused(s.rpc.GetBulkState, api_v1.GetBulkStateRequest(store_name="store", keys=["code-NOT_FOUND"]))
    assert (e.code(), e.details()) == (grpc.StatusCode.NOT_FOUND, "as it was asked for")
    r = s.post("/v1.0-alpha1/state/store/query", {"filter": {"EQ": {"code-INTERNAL": 1}}})
    assert (r.status, r.code) == (500, "ERR_STATE_QUERY")
    assert r.message == "state store store query failed: rpc error: code = Internal desc = as it was asked for"
    r = s.save("invalid", 1)
    assert r.status == 400 and r.message.endswith("invalid etag value: no number")
    rows = [{"key": "rows1"}, {"key": "b"}]
    e = refused(s.rpc.DeleteBulkState, api_v1.DeleteBulkStateRequest(store_name="store", states=rows))
    assert e.code() == grpc.StatusCode.INTERNAL and e.details().endswith("delete affected only 1 rows, expected 3")
    assert s.save("fine", 1).status == 204


# -- secrets

def test_secrets(begin, peer):
    peer(name="vault")
    vault = component("vault", "secretstores.vault", {"plain": "p", "multi.user": "u", "multi.password": "w"})
    s = begin(vault)
    assert s.get("/v1.0/secrets/vault/plain").json == {"plain": "p"}
    assert s.get("/v1.0/secrets/vault/multi").json == {"user": "u", "password": "w"}
    assert s.get("/v1.0/secrets/vault/bulk").json == {"plain": {"plain": "p"}, "multi": {"user": "u", "password": "w"}}
    r = s.get("/v1.0/secrets/vault/none")
    assert (r.status, r.code) == (500, "ERR_SECRET_GET")
    assert r.message == ("failed getting secret with key none from secret store vault: rpc error: code = NotFound desc = "
                         "secret none not found")
    r = s.rpc.GetBulkSecret(api_v1.GetBulkSecretRequest(store_name="vault"))
    assert dict(r.data["multi"].secrets) == {"user": "u", "password": "w"}
    assert s.get("/v1.0/metadata").json["components"][0]["capabilities"] == ["MULTIPLE_KEY_VALUES_PER_SECRET"]


def test_a_secret_of_one_process_for_the_component_of_another(begin, peer):
    peer(name="vault", services=["secrets"])
    p = peer(services=["state"])
    begin(store(metadata={"password": {"secretKeyRef": {"name": "multi", "key": "b"}}}, secret_store="vault"),
          component("vault", "secretstores.vault", {"multi.a": "1", "multi.b": "2"}))
    assert p.inits() == ['Init store {"password": "2"}']


# -- what is found, and when

@pytest.mark.ours  # Dapr looks once, at its start
def test_a_socket_that_comes_late(begin, peer):
    p = peer(running=False)
    late = threading.Timer(0.7, p.start)
    late.start()
    s = begin(store())
    late.join()
    assert s.save("k", 1).status == 204 and s.read("k").json == 1
    assert "Waiting for the socket of state.memory" in s.log()


@pytest.mark.ours  # Dapr waits for ever
def test_a_socket_left_behind_and_taken_again(begin, peer):
    p = peer()
    p.kill()
    assert os.path.exists(p.socket)
    late = threading.Timer(0.7, p.start)
    late.start()
    s = begin(store())
    late.join()
    assert s.save("k", 1).status == 204


@pytest.mark.ours
def test_a_socket_that_never_comes(begin, tmp_path, sockets):
    from sidecar import Sidecar
    began = time.monotonic()
    code, log = Sidecar(tmp_path / "x", store(initTimeout="500ms"), env={"DAPR_COMPONENTS_SOCKETS_FOLDER": sockets}).run()
    assert code == 1 and 0.4 < time.monotonic() - began < 5 * SLOW
    assert "couldn't find state store state.memory/v1: no plugin of this type was found" in log
    assert "no socket memory.* is in " + sockets in log


@pytest.mark.ours
@pytest.mark.parametrize("what", ["file", "other service", "no gRPC", "version", "tier", "init"])
def test_what_cannot_be_opened(tmp_path, sockets, peer, what):
    from sidecar import Sidecar
    env = {"DAPR_COMPONENTS_SOCKETS_FOLDER": sockets}
    path = os.path.join(sockets, "memory.sock")
    flags, version, listener = {}, "v1", None
    if what == "file":
        with open(path, "w", encoding="utf-8"):
            pass
        expected = path + " is no socket"
    elif what == "other service":
        peer(services=["secrets"])
        expected = path + " does not serve dapr.proto.components.v1.StateStore"
    elif what == "no gRPC":
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)
        listener.listen(10)
        expected = "cannot be asked by gRPC reflection what it serves"

        def answer():
            try:
                while True:
                    c, _ = listener.accept()
                    c.recv(10)
                    c.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                    c.close()
            except OSError:
                pass

        threading.Thread(target=answer, daemon=True).start()
    elif what == "version":
        peer()
        version, expected = "v2", "couldn't find state store state.memory/v2"
    elif what == "tier":
        peer()
        flags["min-tier"], expected = "standard", "its tier is community and --min-tier asks for standard"
    else:
        peer(init="UNAVAILABLE")
        expected = "rpc error: code = Unavailable desc = it will not start"
    code, log = Sidecar(tmp_path / "x", store(version=version, initTimeout="1s"), env=env, flags=flags).run()
    if listener:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
    assert code == 1 and expected in log


@pytest.mark.ours  # Dapr's registry lets the socket win where a type has no versions, and not elsewhere
def test_a_plugin_is_not_pushed_aside_by_a_socket(begin, peer):
    p = peer(name="in-memory")
    s = begin(store("in-memory"))
    assert s.save("k", 1).status == 204 and p.calls() == []


@pytest.mark.ours  # what the injector sets
def test_the_injectors_name_of_the_folder(start, peer, sockets):
    peer()
    s = start(store(), env={"DAPR_COMPONENT_SOCKETS_FOLDER": sockets})
    assert s.save("k", 1).status == 204


# -- what goes away

@pytest.mark.ours  # Dapr does not tell Init again: the component stays without
@pytest.mark.parametrize("loops", LOOPS)
def test_killed_and_started_anew(begin, peer, loops):
    p = peer()
    other = peer(name="other")
    s = begin(store(), store("other", "calm"), loops=loops)
    assert s.save("k", 1).status == 204
    for life in range(3):
        p.kill()
        r = s.read("k")
        assert (r.status, r.code) == (500, "ERR_STATE_GET")
        e = eventually(lambda: refused(s.rpc.GetState, api_v1.GetStateRequest(store_name="store", key="k")))
        assert e.code() == grpc.StatusCode.UNAVAILABLE
        os.unlink(p.socket)
        r = s.save("k", 1)
        assert r.status == 500 and "dial unix " + p.socket + ": connect: no such file or directory" in r.message
        e = refused(s.rpc.QueryStateAlpha1, api_v1.QueryStateRequest(store_name="store", query="{}"))
        assert e.code() == grpc.StatusCode.UNAVAILABLE
        assert s.save("k", life, store="calm").status == 204
        p.start()
        assert s.save("k", life).status == 204, s.log()[-2000:]
        assert s.read("k").json == life
    assert len(other.inits()) == 1 and len(p.inits()) >= 4


def worker(s, stop, counts, wrong, n):
    connection = http.client.HTTPConnection("127.0.0.1", s.http, timeout=30)
    i = 0
    while not stop.is_set():
        i += 1
        key = "w%d-%d" % (n, i % 7)
        body = json.dumps([{"key": key, "value": i}])
        for method, path, sent in (("POST", "/v1.0/state/store", body), ("GET", "/v1.0/state/store/" + quote(key), None)):
            connection.request(method, path, sent)
            r = connection.getresponse()
            answer = r.read()
            counts[r.status] = counts.get(r.status, 0) + 1
            if r.status == 500 and b"code = Unavailable" not in answer:
                wrong.append(answer)
            if r.status == 200 and json.loads(answer) > i:
                wrong.append(answer)
    connection.close()


@pytest.mark.ours
@pytest.mark.parametrize("loops", LOOPS)
def test_killed_and_started_anew_under_load(begin, peer, loops):
    p = peer()
    s = begin(store(), loops=loops)
    stop, counts, wrong = threading.Event(), {}, []
    threads = [threading.Thread(target=worker, args=(s, stop, counts, wrong, n)) for n in range(8)]
    for t in threads:
        t.start()
    for _ in range(3):
        time.sleep(0.5)
        p.kill()
        time.sleep(0.3)
        p.start()
    before = dict(counts)
    time.sleep(1)
    stop.set()
    for t in threads:
        t.join(30)
    assert wrong == []
    assert set(counts) <= {200, 204, 500} and counts[500] > 0
    assert counts[204] > before[204] and s.read("w0-1").status == 200
    assert s.save("after", 1).status == 204


def test_frozen(begin, peer):
    p = peer()
    peer(name="other")
    s = begin(store(), store("other", "calm"))
    assert s.save("k", 1).status == 204
    p.process.send_signal(signal.SIGSTOP)
    began = time.monotonic()
    e = refused(s.rpc.GetState, api_v1.GetStateRequest(store_name="store", key="k"), timeout=0.5)
    assert e.code() == grpc.StatusCode.DEADLINE_EXCEEDED and time.monotonic() - began < 5 * SLOW
    assert s.save("k", 1, store="calm").status == 204
    p.process.send_signal(signal.SIGCONT)
    assert eventually(lambda: s.read("k")).json == 1


def test_who_leaves_is_not_waited_for(begin, peer):
    p = peer()
    s = begin(store())
    c = s.connect()
    c.request("GET", "/v1.0/state/store/slow")
    eventually(lambda: asked(p))
    c.close()

    def gone():
        assert "gone" in p.calls()

    eventually(gone)
    e = refused(s.rpc.GetState, api_v1.GetStateRequest(store_name="store", key="slow"), timeout=0.5)
    # The sidecar's own clock may be the first: then it answers that the store did not.
    assert e.code() in (grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.INTERNAL)

    def gone_twice():
        assert p.calls().count("gone") == 2

    eventually(gone_twice)
    assert s.save("k", 1).status == 204


def test_the_sidecar_ends_while_the_component_is_asked(begin, peer):
    p = peer()
    s = begin(store(), flags={"dapr-graceful-shutdown-seconds": "2"}, expect=None if COMPARE else 0)
    c = s.connect()
    c.request("GET", "/v1.0/state/store/slow")
    eventually(lambda: asked(p))
    began = time.monotonic()
    s.stop()
    assert time.monotonic() - began < 8 * SLOW
    c.close()


# -- brokers

@pytest.fixture
def broker(begin, peer):
    """broker(*resources, features=…) -> (sidecar, peer, application)."""
    apps = []

    def go(*resources, features=(), loops=None):
        p = peer("queue", services=["pubsub"], features=list(features))
        apps.append(subscriber.HttpApp())
        s = begin(component("bus", "pubsub.queue", {"a": "b"}), *resources, flags={"app-port": apps[-1].port}, loops=loops)
        if resources:
            pulled(p, 1)
        return s, p, apps[-1]

    yield go
    for app in apps:
        app.stop()


def pulled(p, times):
    """What is published before the broker knows its subscribers is lost, since it keeps nothing."""
    def check():
        assert sum(c.startswith("pull ") for c in p.calls()) >= times
    eventually(check)


def publish(s, topic, body="x"):
    r = s.post("/v1.0/publish/bus/" + topic, body, headers={"Content-Type": "text/plain"})
    assert r.status == 204, r


def noted(p, line):
    assert line in p.calls(), p.calls()


@pytest.mark.parametrize("loops", LOOPS)
def test_events_go_through_a_broker_of_another_process(broker, loops):
    s, p, app = broker(subscriber.subscription("s", "t", route="/in", metadata={"k": "v"}), features=["MESSAGE_TTL"], loops=loops)
    assert s.get("/v1.0/metadata").json["components"][0]["capabilities"] == ["MESSAGE_TTL"]
    for i in range(20):
        publish(s, "t", str(i))
    assert [app.receive().json["data"] for _ in range(20)] == [str(i) for i in range(20)]
    eventually(lambda: noted(p, "ack 20"))
    noted(p, 'pull t {"k": "v"}')
    assert [c for c in p.inits() if "bus" in c] == ['Init bus {"a": "b", "consumerID": "testapp"}']


def test_what_the_application_refuses_is_refused(broker):
    s, p, app = broker(subscriber.subscription("s", "t", route="/in"))
    app.answer("/in", (500, b""), (404, b""))
    publish(s, "t")
    first, second = app.receive(), app.receive()
    assert first.body == second.body
    eventually(lambda: noted(p, "nack 1"))
    eventually(lambda: noted(p, "ack 1"))


def test_many_at_once_to_a_broker_that_takes_them(broker):
    s, _, app = broker(subscriber.subscription("s", "t", route="/in"), features=["BULK_PUBSUB"])
    entries = [{"entryId": str(i), "event": e, "contentType": "text/plain"} for i, e in enumerate(["one", "fail", "two"])]
    r = s.post("/v1.0/publish/bulk/bus/t", entries, headers={"Content-Type": "application/json"})
    assert r.status == 500
    assert r.json["failedEntries"] == [{"entryId": "1", "error": "as it was asked for"}]
    assert [app.receive().json["data"] for _ in range(2)] == ["one", "two"]


def test_a_broker_that_comes_back_is_subscribed_to_again(broker):
    s, p, app = broker(subscriber.subscription("s", "t", route="/in"))
    publish(s, "t", "before")
    assert app.receive().json["data"] == "before"
    p.kill()
    s.wait_log("was ended by its component")
    p.start()
    s.wait_log("Successfully started subscription after retry")
    pulled(p, 2)
    publish(s, "t", "after")
    assert app.receive().json["data"] == "after"


def test_at_the_end_what_is_not_taken_is_not_refused(broker):
    s, p, app = broker(subscriber.subscription("s", "t", route="/in"))
    app.hold()
    for _ in range(5):
        publish(s, "t")
    app.receive()
    threading.Timer(0.5, app.let_go).start()
    s.stop()
    assert "ack 1" in p.calls()
    assert not [c for c in p.calls() if c.startswith("nack")]
    assert [c for c in p.calls() if c.startswith("Pause")]
    eventually(lambda: noted(p, "end t"))


def test_an_application_that_is_slow_holds_the_broker_up(broker):
    s, p, app = broker(subscriber.subscription("s", "t", route="/in"))
    app.hold()
    for i in range(500):
        publish(s, "t", str(i))
    app.receive()
    app.let_go()
    assert [app.receive().json["data"] for _ in range(499)] == [str(i) for i in range(1, 500)]
