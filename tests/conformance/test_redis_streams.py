# SPDX-License-Identifier: Apache-2.0
"""pubsub.redis through davit-bench: its suite on each kind of server, and what is refused at the opening."""
import os
import subprocess
import sys
import time

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))

from redis_server import Certificates, Cluster, Redis, Watched  # noqa: E402

BUILD = os.environ.get("BUILD", "build")
TYPE = "pubsub.redis"
SOON = {"processingTimeout": "400ms", "redeliverInterval": "100"}  # a whole number is milliseconds


def plugin():
    folder = os.path.join(BUILD, "lib", "davit", "plugins", TYPE)
    return os.path.join(folder, sorted(os.listdir(folder))[-1], TYPE + ".so")


def bench(props, *words, env=None):
    """The whole suite; the output of a run without a failure."""
    command = [os.path.join(BUILD, "bin", "davit-bench"), *words]
    for name, value in dict(SOON, **props).items():
        command += ["-p", "%s=%s" % (name, value)]
    p = subprocess.run(command + [plugin()], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, errors="replace",
                       timeout=240, env=dict(os.environ, **(env or {})))
    assert p.returncode == 0 and " 0 failed" in p.stdout, p.stdout[-6000:]
    return p.stdout


def nothing_pending(server):
    """Of all groups of all streams, but for those of which the suite leaves some on purpose."""
    for topic in server.cli("keys", "*").split():
        if not topic.endswith(("-nobody", "-still", "-probe")):
            assert server.cli("xpending", topic, "bench").split("\n")[0] == "0", topic


def test_one_server(tmp_path):
    server = Redis(tmp_path)
    bench({"redisHost": server.host})
    nothing_pending(server)
    server.stop()


# The suite holds five, so that it needs as many.
@pytest.mark.parametrize("props", [{"queueDepth": 0}, {"queueDepth": 1000, "concurrency": 200}, {"concurrency": 5}], ids=str)
def test_however_many_at_once(tmp_path, props):
    server = Redis(tmp_path)
    bench(dict(props, redisHost=server.host))
    nothing_pending(server)
    server.stop()


def test_a_password_and_a_database(tmp_path):
    server = Redis(tmp_path, password="secret")
    bench({"redisHost": "127.0.0.1", "redisPort": server.port, "redisPassword": "secret", "redisDB": 3})
    assert server.cli("-n", "3", "dbsize").strip() != "0" and server.cli("-n", "0", "dbsize").strip() == "0"
    server.stop()


def test_a_user_with_few_rights(tmp_path):
    server = Redis(tmp_path, ("user", "dapr", "on", ">pw", "~bench-*", "+xadd", "+xreadgroup", "+xack", "+xpending", "+xclaim",
                              "+xgroup|create"))
    bench({"redisHost": server.host, "redisUsername": "dapr", "redisPassword": "pw"})
    server.stop()


@pytest.mark.parametrize("ask", [False, True], ids=["tls", "client-certificate"])
def test_tls(tmp_path, ask):
    made = Certificates(tmp_path / "certificates", ask=ask)
    server = Redis(tmp_path / "redis", password="secret", tls=made)
    props = {"redisHost": server.host, "redisPassword": "secret", "enableTLS": "true"}
    if ask:
        props.update(clientCert=made.text(made.client[0]), clientKey=made.text(made.client[1]))
    bench(props, env={"SSL_CERT_FILE": made.ca})
    bench(props, "-f", "certificate")  # an authority that nobody trusts
    server.stop()


def test_a_cluster_of_three(tmp_path):
    cluster = Cluster(tmp_path, password="secret")
    bench({"redisHost": cluster.host, "redisType": "cluster", "redisPassword": "secret"})
    assert sum(int(n.cli("dbsize")) > 0 for n in cluster.nodes) > 1  # the topics are not all with one
    cluster.stop()


def test_sentinels(tmp_path):
    watched = Watched(tmp_path, password="secret", sentinel_password="watch")
    props = {"redisHost": watched.host, "failover": "true", "sentinelMasterName": "mymaster", "redisPassword": "secret",
             "sentinelPassword": "watch"}
    bench(props)
    bench(dict(props, sentinelMasterName="another"), "-f", 'knows no master named "another"')
    watched.stop()


@pytest.mark.parametrize("props, text", [
    ({"redisHost": "127.0.0.1:1", "redisMaxRetries": -1}, "redis streams: error connecting to redis at 127.0.0.1:1: dial"),
    ({"redisHost": "127.0.0.1:1", "processingTimeout": "soon"}, 'invalid duration "soon" for processingTimeout'),
    ({"redisHost": "127.0.0.1:1", "redeliverInterval": "-5s"}, 'invalid duration "-5s" for redeliverInterval'),
    ({"redisHost": "127.0.0.1:1", "streamTTL": "99999999999999999999"}, "for streamTTL"),
    ({"redisHost": "127.0.0.1:1", "queueDepth": "x"}, 'invalid int "x" for queueDepth'),
    ({"redisHost": "127.0.0.1:1", "concurrency": "0"}, 'invalid int "0" for concurrency'),
    ({"redisHost": "127.0.0.1:1", "maxLenApprox": "-1"}, 'invalid int "-1" for maxLenApprox'),
    ({"redisHost": "a:1", "failover": "true"}, "failover needs sentinelMasterName"),
    ({"redisHost": "a:1", "useEntraID": "true"}, "is not offered yet"),
])
def test_opening_fails_with_a_reason(props, text):
    bench(props, "-f", text)


def test_a_wrong_password_is_said_and_not_shown(tmp_path):
    server = Redis(tmp_path, password="right")
    began = time.monotonic()
    out = bench({"redisHost": server.host, "redisPassword": "quite-wrong"}, "-v", "-f", "AUTH: WRONGPASS")
    assert "quite-wrong" not in out and time.monotonic() - began < 5
    server.stop()
