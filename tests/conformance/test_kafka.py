# SPDX-License-Identifier: Apache-2.0
"""pubsub.kafka through davit-bench: its suite on a real broker, and everything that opening refuses, with its sentence."""
import os
import subprocess
import sys

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))

from kafka_server import shared  # noqa: E402
from sidecar import free_port  # noqa: E402

BUILD = os.environ.get("BUILD", "build")
BENCH = os.path.join(BUILD, "bin", "davit-bench")
TYPE = "pubsub.kafka"


@pytest.fixture(scope="module")
def kafka():
    return shared()


def bench(props, *words):
    folder = os.path.join(BUILD, "lib", "davit", "plugins", TYPE)
    plugin = os.path.join(folder, sorted(os.listdir(folder))[-1], TYPE + ".so")
    given = [w for name, value in props.items() for w in ("-p", "%s=%s" % (name, value))]
    p = subprocess.run([BENCH, *words, *given, plugin], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
                       errors="replace", timeout=240)
    assert p.returncode == 0 and " 0 failed" in p.stdout, p.stdout[-6000:]
    return p.stdout


def test_the_suite(kafka):
    bench({"brokers": kafka.plain, "authType": "none", "consumerGroup": "suite", "backOffDuration": "200ms"})


def test_the_suite_with_a_password_and_tls(kafka):
    with open(kafka.certificates["ca"], encoding="utf-8") as f:
        authority = f.read()
    bench({"brokers": kafka.sasl_tls, "authType": "password", "saslUsername": "alice", "saslPassword": "alice-secret",
           "caCert": authority, "consumerID": "secure", "backOffDuration": "200ms", "compression": "zstd",
           "consumerGroupRebalanceStrategy": "roundrobin"})


PEM = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"


@pytest.mark.parametrize("props,text", [
    ({"brokers": ""}, "kafka error: missing 'brokers' attribute"),
    ({"authType": ""}, "kafka error: 'authType' attribute was missing or empty"),
    ({"authType": "kerberos"}, "kafka error: invalid value for 'authType' attribute"),
    ({"authType": "", "authRequired": "perhaps"}, "kafka error: invalid value for 'authRequired' attribute"),
    ({"authType": "", "authRequired": "true", "saslPassword": "x"}, "missing SASL Username for authType 'password'"),
    ({"authType": "", "authRequired": "true"}, "clientCert and clientKey are not set"),
    ({"authType": "password"}, "kafka error: missing SASL Username for authType 'password'"),
    ({"authType": "password", "saslUsername": "a"}, "kafka error: missing SASL Password for authType 'password'"),
    ({"authType": "mtls", "clientCert": "x"}, "kafka error: invalid client certificate"),
    ({"authType": "mtls", "clientKey": "x"}, "kafka error: invalid client key"),
    ({"authType": "mtls", "clientCert": PEM}, "kafka error: clientKey or clientCert is missing"),
    ({"authType": "mtls", "disableTls": "true"}, "cannot configure mTLS authentication when TLSDisable is 'true'"),
    ({"authType": "mtls", "clientCert": PEM, "clientKey": PEM}, "kafka error: ssl.certificate.pem failed"),
    ({"authType": "certificate"}, "missing CA certificate property 'caCert' for authType 'certificate'"),
    ({"caCert": "x"}, "kafka error: invalid ca certificate"),
    ({"authType": "certificate", "caCert": PEM}, "kafka error: "),
    ({"authType": "oidc"}, "authType 'oidc' is not offered by this component yet"),
    ({"authType": "oidc_private_key_jwt"}, "authType 'oidc_private_key_jwt' is not offered by this component yet"),
    ({"authType": "awsiam"}, "authType 'awsiam' is not offered by this component yet"),
    ({"version": "x.y.z"}, "kafka error: invalid kafka version"),
    ({"version": "2.0"}, "kafka error: invalid kafka version"),
    ({"initialOffset": "first"}, "kafka error: invalid initialOffset: first"),
    ({"compression": "rar"}, "kafka error: invalid compression: rar"),
    ({"producerRequiredAcks": "2"}, "kafka error: invalid value for 'producerRequiredAcks': \"2\""),
    ({"producerRetryMax": "-1"}, "kafka error: invalid value for 'producerRetryMax' attribute"),
    ({"maxMessageBytes": "many"}, "kafka error: invalid value for 'maxMessageBytes' attribute"),
    ({"consumerFetchMin": "x"}, "kafka error: invalid value for 'consumerFetchMin' attribute"),
    ({"consumeRetryInterval": "soon"}, "kafka error: invalid value for 'consumeRetryInterval' attribute"),
    ({"sessionTimeout": "long"}, "kafka error: invalid value for 'sessionTimeout' attribute"),
    ({"backOffPolicy": "never"}, "kafka error: invalid value for 'backOffPolicy' attribute"),
    ({"backOffMaxRetries": "x"}, "kafka error: invalid value for 'backOffMaxRetries' attribute"),
    ({"excludeHeaderMetaRegex": "(a"}, "kafka error: invalid value for 'excludeHeaderMetaRegex'"),
    ({"excludeHeaderMetaRegex": "(?P<x>a)"}, "kafka error: invalid value for 'excludeHeaderMetaRegex'"),
], ids=lambda p: "-".join(p) if isinstance(p, dict) else "")
def test_what_opening_refuses(props, text):
    given = dict({"brokers": "127.0.0.1:1", "authType": "none", "consumerID": "x"}, **props)
    bench(given, "-f", text)


def test_no_password_is_told():
    out = bench({"brokers": "127.0.0.1:1", "authType": "password", "saslUsername": "a", "saslPassword": "planted-secret",
                 "clientKey": "planted-key", "dialTimeout": "2s"}, "-v", "-f", "")
    assert "planted" not in out


def test_nobody_listens():
    bench({"brokers": "127.0.0.1:%d" % free_port(), "authType": "none", "consumerID": "x"}, "-f",
          "client has run out of available brokers to talk to: ")


def test_a_wrong_password(kafka):
    for mechanism in ("PLAINTEXT", "SHA-256", "SHA-512"):
        bench({"brokers": kafka.sasl, "authType": "password", "saslUsername": "alice", "saslPassword": "wrong",
               "saslMechanism": mechanism, "disableTls": "true", "consumerID": "x"}, "-f", "uthentication failed")


def test_an_authority_that_nobody_trusts(kafka):
    bench({"brokers": kafka.sasl_tls, "authType": "password", "saslUsername": "alice", "saslPassword": "alice-secret",
           "consumerID": "x"}, "-f", "certificate verify failed")
