# SPDX-License-Identifier: Apache-2.0
"""pubsub.redis on real servers: what is delivered, to whom, how often, and what survives."""
import http.client
import json
import queue
import threading
import time

import pytest
from dapr.proto import api_v1

from redis_server import Certificates, Cluster, Redis, Watched
from sidecar import COMPARE, LOOPS, SLOW, component
from subscriber import GrpcApp, HttpApp, subscription

DURABLE = (("appendonly", "yes"), ("appendfsync", "always"))


@pytest.fixture
def made():
    """What a test starts and is to be stopped with it."""
    running = []
    yield lambda thing: running.append(thing) or thing
    for thing in reversed(running):
        thing.stop()


@pytest.fixture
def server(made, tmp_path):
    return made(Redis(tmp_path / "redis", *DURABLE))


@pytest.fixture
def serve(start):
    """serve(app, server, *subscriptions, **metadata of the component) -> the sidecar of this application."""
    apps = []

    def begin(app, server, *resources, options=None, **metadata):
        apps.append(app)
        given = dict(options or {})
        given["flags"] = dict({"app-port": app.port, "app-protocol": app.protocol}, **given.get("flags", {}))
        return start(bus(server, **metadata), *resources, **given)

    yield begin
    for app in apps:
        app.stop()


def bus(server, **metadata):
    return component("bus", "pubsub.redis", dict({"redisHost": server.host}, **metadata))


def publish(s, topic, body="x", content_type="text/plain", query=""):
    return s.post("/v1.0/publish/bus/%s%s" % (topic, query), body, headers={"Content-Type": content_type})


def pending(server, topic, group="testapp"):
    return int(server.cli("xpending", topic, group).split("\n")[0])


def eventually(wanted, seconds=10):
    end = time.monotonic() + seconds * SLOW
    while not wanted():
        assert time.monotonic() < end
        time.sleep(0.02)


def everything(app, n, seconds=20):
    """The data of deliveries until there are n different ones."""
    came, end = [], time.monotonic() + seconds * SLOW
    while len(set(came)) < n:
        try:
            came.append(app.came.get(timeout=max(end - time.monotonic(), 0.01)).json["data"])
        except queue.Empty:
            raise AssertionError("%d of %d came" % (len(set(came)), n)) from None
    return came


@pytest.mark.parametrize("loops", LOOPS)
def test_an_event_over_http(serve, server, loops):
    app = HttpApp()
    s = serve(app, server, subscription("s", "t", route="/in"), options={"loops": loops})
    assert publish(s, "t", '{"a": 1}', "application/json", query="?metadata.x-mine=7").status == 204
    got = app.receive()
    assert (got.path, got.json["data"], got.json["topic"], got.json["pubsubname"]) == ("/in", {"a": 1}, "t", "bus")
    assert got.headers["x-mine"] == "7"
    eventually(lambda: pending(server, "t") == 0)
    assert server.cli("xlen", "t").strip() == "1"


# -- the layout

@pytest.mark.ours  # Dapr writes the same; which spaces its JSON has is its own
def test_what_lies_in_a_stream(start, server):
    s = start(bus(server))
    assert publish(s, "t", "hello", query="?metadata.rawPayload=true&metadata.quote=%22%5C%0a%C3%A4%ff").status == 204
    assert publish(s, "t", "{}", "application/json").status == 204
    raw, wrapped = entries(server, "t")
    assert raw["data"] == "hello"
    assert json.loads(raw["metadata"]) == {"rawPayload": "true", "quote": '"\\\n\u00e4\ufffd'}
    assert json.loads(wrapped["data"])["data"] == {} and list(wrapped)[0] == "data"


def entries(server, topic):
    """The fields of each entry of a stream."""
    found = []
    for line in server.cli("--json", "xrange", topic, "-", "+", raw=False).split("\n"):
        for _, fields in json.loads(line) if line else []:
            found.append(dict(zip(fields[::2], fields[1::2])))
    return found


def test_what_others_have_written(serve, server):
    """By Dapr's layout or nearly: the group begins with a stream's first message."""
    event = {"specversion": "1.0", "id": "1", "source": "s", "type": "t", "datacontenttype": "text/plain"}
    for i, more in enumerate([(), ("metadata", '{"x-one": "1"}'), ("metadata", "null"), ("metadata", "no JSON"),
                              ("metadata", '{"x-one": 1, "x-two": "2"}'), ("metadata", "[" * 3000), ("other", "field")]):
        server.cli("xadd", "t", "*", "data", json.dumps(dict(event, data=str(i))), *more)
    app = HttpApp()
    serve(app, server, subscription("s", "t", route="/in"))
    came = {(c := app.receive()).json["data"]: c.headers for _ in range(7)}
    assert sorted(came) == list("0123456")
    assert came["1"]["x-one"] == "1" and came["4"]["x-two"] == "2" and came["4"]["x-one"] == ""
    eventually(lambda: pending(server, "t") == 0)


@pytest.mark.parametrize("metadata, left", [({"maxLenApprox": "200"}, 300), ({"streamTTL": "1s"}, 300)], ids=str)
def test_a_stream_is_kept_short(start, server, metadata, left):
    s = start(bus(server, **metadata))
    for _ in range(5):
        r = s.post("/v1.0/publish/bulk/bus/t", [{"entryId": str(i), "event": "x", "contentType": "text/plain"} for i in range(100)])
        assert r.status == 204
    time.sleep(1.2)
    assert publish(s, "t").status == 204
    assert 1 <= int(server.cli("xlen", "t")) <= left


# -- who gets it

def test_many_at_once(serve, server):
    app = HttpApp()
    s = serve(app, server, subscription("s", "t", route="/in"))
    sent = ["%d" % i for i in range(500)]
    for at in range(0, 500, 100):
        r = s.post("/v1.0/publish/bulk/bus/t", [{"entryId": v, "event": v, "contentType": "text/plain"} for v in sent[at:at + 100]])
        assert r.status == 204
    assert sorted(everything(app, 500)) == sorted(sent)  # each once
    assert app.most <= 10
    eventually(lambda: pending(server, "t") == 0)


def test_one_at_a_time_keeps_the_order(serve, server):
    app = HttpApp()
    s = serve(app, server, subscription("s", "t", route="/in"), concurrency="1", queueDepth="7")
    for i in range(50):
        assert publish(s, "t", str(i)).status == 204
    assert everything(app, 50) == [str(i) for i in range(50)]
    assert app.most == 1


@pytest.mark.parametrize("loops", LOOPS)
def test_a_batch_over_grpc(serve, server, loops):
    app = GrpcApp()
    s = serve(app, server, subscription("s", "t", route="/in", bulkSubscribe={"enabled": True, "maxMessagesCount": 20,
                                                                              "maxAwaitDurationMs": 500}), options={"loops": loops})
    r = s.post("/v1.0/publish/bulk/bus/t", [{"entryId": str(i), "event": str(i), "contentType": "text/plain"} for i in range(40)])
    assert r.status == 204
    sizes, came = [], []
    while len(came) < 40:
        got = app.receive().body
        sizes.append(len(got.entries))
        came += [e.cloud_event.data for e in got.entries]
    assert sorted(came, key=int) == [str(i).encode() for i in range(40)] and max(sizes) > 1
    eventually(lambda: pending(server, "t") == 0)


def test_a_stream_of_a_client(start, server):
    """With a topic that was published to before."""
    s = start(bus(server))
    publish(s, "t", "before")
    asked = queue.Queue()
    asked.put(api_v1.SubscribeTopicEventsRequestAlpha1(
        initial_request=api_v1.SubscribeTopicEventsRequestInitialAlpha1(pubsub_name="bus", topic="t")))
    stream = s.rpc.SubscribeTopicEventsAlpha1(iter(asked.get, None))
    next(stream)
    publish(s, "t", "after")
    for expected in (b"before", b"after"):
        event = next(stream).event_message
        assert event.data == expected
        asked.put(api_v1.SubscribeTopicEventsRequestAlpha1(
            event_processed=api_v1.SubscribeTopicEventsRequestProcessedAlpha1(id=event.id, status={"status": 0})))
    eventually(lambda: pending(server, "t") == 0)
    asked.put(None)
    stream.cancel()


def test_each_group_gets_each_message(serve, server):
    apps = [HttpApp(), HttpApp(), HttpApp()]
    s = serve(apps[0], server, subscription("s", "t", route="/in"))
    serve(apps[1], server, subscription("s", "t", route="/in"), options={"app_id": "another"})
    serve(apps[2], server, subscription("s", "t", route="/in"), options={"app_id": "third"}, consumerID="named")
    for i in range(20):
        assert publish(s, "t", str(i)).status == 204
    for app in apps:
        assert sorted(everything(app, 20), key=int) == [str(i) for i in range(20)]
    groups = server.cli("xinfo", "groups", "t").split("\n")
    assert {"testapp", "another", "named"} <= set(groups) and "third" not in groups


def test_two_sidecars_share_a_group(serve, server):
    apps = [HttpApp(), HttpApp()]
    sidecars = [serve(app, server, subscription("s", "t", route="/in"), queueDepth="5") for app in apps]
    for i in range(300):
        assert publish(sidecars[i % 2], "t", str(i)).status == 204
    eventually(lambda: apps[0].came.qsize() + apps[1].came.qsize() >= 300)
    time.sleep(0.2)
    came = [c.json["data"] for app in apps for c in app.came.queue]
    assert sorted(came, key=int) == [str(i) for i in range(300)]  # each went to one of them
    assert all(app.came.qsize() > 0 for app in apps)


# -- what is not taken

@pytest.mark.ours  # Dapr acknowledges a message whose handler has failed
@pytest.mark.parametrize("loops", LOOPS)
def test_what_an_application_refuses_comes_again(serve, server, loops):
    app = HttpApp()
    app.answer("/in", (500, b""), (200, b'{"status":"RETRY"}'))
    s = serve(app, server, subscription("s", "t", route="/in"), options={"loops": loops}, processingTimeout="300ms",
              redeliverInterval="100")
    publish(s, "t", "1")
    began = time.monotonic()
    ids = {app.receive().json["id"] for _ in range(3)}
    assert len(ids) == 1 and time.monotonic() - began >= 0.6
    eventually(lambda: pending(server, "t") == 0)
    app.nothing(0.8)


@pytest.mark.ours
@pytest.mark.parametrize("off", [{"processingTimeout": "0"}, {"redeliverInterval": "0s"}], ids=str)
def test_without_redelivery_it_stays_pending(serve, server, off):
    app = HttpApp()
    app.answer("/in", (500, b""))
    s = serve(app, server, subscription("s", "t", route="/in"), **dict({"processingTimeout": "100", "redeliverInterval": "100"}, **off))
    publish(s, "t")
    app.receive()
    app.nothing(0.6)
    assert pending(server, "t") == 1


def test_what_takes_long_is_not_given_to_the_same_again(serve, server):
    app = HttpApp()
    app.hold()
    s = serve(app, server, subscription("s", "t", route="/in"), processingTimeout="10s" if COMPARE else "200ms", redeliverInterval="100")
    for i in range(15):
        publish(s, "t", str(i))
    eventually(lambda: app.came.qsize() == 10)
    time.sleep(1)
    assert app.came.qsize() == 10
    app.let_go()
    assert sorted(everything(app, 15), key=int) == [str(i) for i in range(15)]
    eventually(lambda: pending(server, "t") == 0)
    app.nothing()


@pytest.mark.parametrize("answer", [(500, b""), (200, b'{"status":"DROP"}')], ids=["fails", "drops"])
def test_a_dead_letter(serve, server, answer):
    app = HttpApp()
    app.answer("/in", answer)
    s = serve(app, server, subscription("s", "t", route="/in", deadLetterTopic="dead"), subscription("d", "dead", route="/dead"))
    publish(s, "t", "1")
    first, second = app.receive(), app.receive()
    assert (first.path, second.path) == ("/in", "/dead") and first.json["id"] == second.json["id"]
    eventually(lambda: pending(server, "t") == 0 and pending(server, "dead") == 0)


@pytest.mark.ours  # Dapr's sidecar, ended while a handler runs, leaves it to processingTimeout
@pytest.mark.parametrize("how", ["ended", "killed"])
def test_what_a_sidecar_leaves_goes_to_another(serve, server, how):
    leaving, staying = HttpApp(), HttpApp()
    leaving.hold()
    timing = {"redeliverInterval": "100", "processingTimeout": "30s" if how == "ended" else "500ms"}
    s = serve(leaving, server, subscription("s", "t", route="/in"), queueDepth="20", **timing,
              options={"flags": {"dapr-graceful-shutdown-seconds": "1"}, "expect": None})
    for i in range(20):
        publish(s, "t", str(i))
    eventually(lambda: leaving.came.qsize() == 10)  # the others are with its sidecar
    serve(staying, server, subscription("s", "t", route="/in"), **timing)
    if how == "killed":
        s.process.kill()
    else:
        s.stop()
    assert sorted(everything(staying, 20, 15), key=int) == [str(i) for i in range(20)]
    eventually(lambda: pending(server, "t") == 0)


# -- a broker that is away

class Publishers:
    """Threads that publish numbers and note which were acknowledged."""

    def __init__(self, sidecar, n=4):
        self.sidecar, self.going, self.acknowledged, self.failed, self.slowest = sidecar, True, [], 0, 0
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=self.run, args=(i,)) for i in range(n)]
        for t in self.threads:
            t.start()

    def run(self, at):
        connection, i = self.sidecar.connect(), 0
        while self.going:
            i += 1
            body, began = "%d-%d" % (at, i), time.monotonic()
            try:
                connection.request("POST", "/v1.0/publish/bus/t", body, {"Content-Type": "text/plain"})
                r = connection.getresponse()
                r.read()
            except (OSError, http.client.HTTPException):
                break  # the sidecar has ended
            with self.lock:
                self.slowest = max(self.slowest, time.monotonic() - began)
                if r.status == 204:
                    self.acknowledged.append(body)
                else:
                    self.failed += 1
            time.sleep(0.002 if r.status == 204 else 0.05)
        connection.close()

    def stop(self):
        self.going = False
        for t in self.threads:
            t.join()


@pytest.mark.ours
@pytest.mark.parametrize("loops", LOOPS)
@pytest.mark.parametrize("how", ["killed", "restarted", "frozen"])
def test_a_broker_away_while_messages_flow(serve, server, how, loops):
    app = HttpApp()
    app.answer("/in", *[(500, b"")] * 20)
    s = serve(app, server, subscription("s", "t", route="/in"), options={"loops": loops}, readTimeout="500ms", processingTimeout="2s",
              redeliverInterval="200")
    load = Publishers(s)
    for _ in range(2):
        time.sleep(0.7)
        if how == "frozen":
            server.freeze()
            time.sleep(1.5)
            server.thaw()
        else:
            server.kill() if how == "killed" else server.stop()
            time.sleep(0.3)
            server.start()
    time.sleep(0.7)
    load.stop()
    assert load.failed > 0 and len(load.acknowledged) > 100 and load.slowest < 5 * SLOW
    seen, end = set(), time.monotonic() + 40 * SLOW
    while set(load.acknowledged) - seen:
        try:
            seen.add(app.came.get(timeout=max(end - time.monotonic(), 0.01)).json["data"])
        except queue.Empty:
            raise AssertionError("lost: %r\n%s" % (sorted(set(load.acknowledged) - seen)[:20], s.log()[-3000:])) from None
    eventually(lambda: pending(server, "t") == 0, 40)


@pytest.mark.ours
def test_a_broker_that_forgets_everything(serve, made, tmp_path):
    """Its groups are gone too: they are made again, from the stream's beginning."""
    server = made(Redis(tmp_path / "redis"))
    app = HttpApp()
    s = serve(app, server, subscription("s", "t", route="/in"))
    publish(s, "t", "1")
    app.receive()
    server.cli("flushall")
    end = time.monotonic() + 10 * SLOW
    while "perhaps the server its data" not in s.log():
        assert time.monotonic() < end
        time.sleep(0.05)
    publish(s, "t", "2")
    assert app.receive().json["data"] == "2"


def test_a_failover_by_sentinels(serve, made, tmp_path):
    watched = made(Watched(tmp_path / "redis", password="quite-secret"))
    app = HttpApp()
    s = serve(app, watched, subscription("s", "t", route="/in"), failover="true", sentinelMasterName="mymaster",
              redisPassword="quite-secret")
    publish(s, "t", "1")
    app.receive()
    watched.sentinels[0].cli("sentinel", "failover", "mymaster")
    end = time.monotonic() + 30 * SLOW
    while not watched.replica.cli("role").startswith("master") or publish(s, "t", "2").status != 204:
        assert time.monotonic() < end
        time.sleep(0.1)
    while app.receive(30).json["data"] != "2":
        pass
    assert "quite-secret" not in s.log()


def test_a_cluster(serve, made, tmp_path):
    cluster = made(Cluster(tmp_path / "redis"))
    app = HttpApp()
    topics = ["t%d" % i for i in range(6)]
    s = serve(app, cluster, *[subscription("s" + t, t, route="/" + t) for t in topics], redisType="cluster")
    for t in topics:
        assert publish(s, t, t).status == 204
    assert sorted(everything(app, 6)) == topics
    assert len({cluster.owner(t) for t in topics}) > 1


def test_tls_and_a_user(serve, made, tmp_path):
    ours = Certificates(tmp_path / "certificates", ask=True)
    server = made(Redis(tmp_path / "redis", ("user", "dapr", "on", ">pw", "~*", "+@stream", "+ping", "+info"), tls=ours))
    app = HttpApp()
    s = serve(app, server, subscription("s", "t", route="/in"), enableTLS="true", redisUsername="dapr", redisPassword="pw",
              clientCert=ours.text(ours.client[0]), clientKey=ours.text(ours.client[1]), options={"env": {"SSL_CERT_FILE": ours.ca}})
    assert publish(s, "t", "1").status == 204
    assert app.receive().json["data"] == "1"


# -- what fails is said

def test_publishing_that_fails_says_why(start, server):
    s = start(bus(server))
    server.cli("set", "t", "a string")
    r = publish(s, "t")
    assert (r.status, r.code) == (500, "ERR_PUBSUB_PUBLISH_MESSAGE")
    assert "redis streams: error from publish: WRONGTYPE" in r.message


@pytest.mark.ours
@pytest.mark.parametrize("flowing", [False, True], ids=["quiet", "flowing"])
@pytest.mark.parametrize("how", ["killed", "frozen"])
def test_stopping_while_the_broker_is_away(serve, server, how, flowing):
    app = HttpApp()
    s = serve(app, server, subscription("s", "t", route="/in"))
    publish(s, "t")
    app.receive()
    load = Publishers(s) if flowing else None
    time.sleep(0.5)
    server.kill() if how == "killed" else server.freeze()
    if flowing:
        load.going = False
    s.stop()  # in time, so with 0
    if flowing:
        load.stop()
    server.thaw()
