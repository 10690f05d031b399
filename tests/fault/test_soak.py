# SPDX-License-Identifier: Apache-2.0
"""The short form of `make soak`: what was acknowledged reaches every group while everybody is killed and frozen at random."""
import os
import random
import sys

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "soak"))

import soak  # noqa: E402
import still  # noqa: E402

pytestmark = pytest.mark.ours


def run(folder, *words):
    seed = random.randrange(1 << 30)
    soak.RANDOM.seed(seed)
    wrong, report = soak.soak(str(folder), soak.arguments(["--pause", "0.3", *words]))
    print("\n".join(report + ["seed %d" % seed]))
    assert wrong == [], report


def test_what_was_acknowledged_reaches_every_group(tmp_path):
    run(tmp_path, "--messages", "4000", "--rate", "400")


def test_the_same_on_kafka(tmp_path):
    """Its broker is shared with other tests, and left alone here: tests/api/test_kafka_faults.py kills one."""
    from kafka_server import shared
    from sidecar import component
    path = tmp_path / "kafka.yaml"
    path.write_text(component("bus", "pubsub.kafka", {
        "brokers": shared().plain, "authType": "none", "consumerGroup": "soak-{group}", "initialOffset": "oldest",
        "backOffDuration": "200ms", "sessionTimeout": "6s", "heartbeatInterval": "1s"}), encoding="utf-8")
    run(tmp_path / "run", "--messages", "2000", "--rate", "300", "--component", str(path))


@pytest.mark.plain
@pytest.mark.parametrize("broker,wire", [("in-memory", "http"), ("in-memory", "grpc"), ("in-memory", "stream"), ("sqlite", "http"),
                                         ("sqlite", "stream"), ("redis", "http"), ("kafka", "grpc")])
def test_a_subscriber_that_stands_still(tmp_path, broker, wire):
    """The sidecar's memory stays flat, and nothing is lost of what comes meanwhile."""
    kafka = None
    if broker == "kafka":
        from kafka_server import shared
        kafka = shared()
    elif broker == "redis":
        import redis_server  # noqa: F401 (or the test is skipped)
    wrong, line = still.still(str(tmp_path), broker, wire, 8, 500, kafka)
    print(line)
    assert wrong == []
