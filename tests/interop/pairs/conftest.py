# SPDX-License-Identifier: Apache-2.0
"""Davit's sidecar beside Dapr's own, whose path is in DAPRD (`make interop DAPRD=path`): who plays which part, in both directions."""
import os
import time

import pytest

from invoked import GrpcApp, HttpApp, Pair, ask, names
from sidecar import DAVITD, SLOW, Sidecar, configuration

DAPR = os.environ.get("DAPRD", "")
PROGRAMS = {"davit": DAVITD, "dapr": DAPR}
BOTH = [("davit", "dapr"), ("dapr", "davit")]
APPS = {"http": HttpApp, "grpc": GrpcApp}


def named(pair):
    return "%s-%s" % pair


def pytest_collection_modifyitems(config, items):
    if not DAPR:
        raise pytest.UsageError("DAPRD names Dapr's own sidecar: make interop DAPRD=path")


@pytest.fixture(scope="module", params=BOTH, ids=named)
def programs(request):
    """(of the one that calls, writes, publishes; of the other)."""
    return tuple(PROGRAMS[name] for name in request.param)


@pytest.fixture(scope="session")
def mdns(tmp_path_factory):
    """Names are in an SQLite file where that program of Dapr's can read it, which needs all of its components."""
    folder = tmp_path_factory.mktemp("names")
    s = Sidecar(folder / "s", config=[names(folder)], program=DAPR, expect=None).start()
    s.stop()
    return "couldn't find name resolver sqlite" in s.log()


def connected(folder, protocol, programs, mdns):
    """Dapr's sidecar is ready before it knows its application, and before it has told its name. On mDNS each has a name of its own."""
    mark = os.urandom(3).hex()
    p = Pair(folder, APPS[protocol](), protocol=protocol, programs=programs, ids=("near-" + mark, "far-" + mark), mdns=mdns,
             config=[configuration({"tracing": {"samplingRate": "1"}}, name="traces")])
    end = time.monotonic() + 20 * SLOW
    while (answer := ask(p.near.http, "POST", "/v1.0/invoke/far-%s/method/ready" % mark))[0] != 200:
        assert time.monotonic() < end, answer
        time.sleep(0.05)
    return p


@pytest.fixture
def lonely(programs, tmp_path, request, mdns):
    """Such a pair, and one of Dapr's alone, whose application is gone."""
    pairs = []
    for i, who in enumerate((programs, (DAPR, DAPR))):
        p = connected(tmp_path / str(i), request.module.PROTOCOL, who, mdns)
        p.app.stop()
        p.app.stop = lambda: None
        pairs.append(p)
    yield pairs
    for p in pairs:
        p.stop()


@pytest.fixture(scope="module")
def pair(programs, tmp_path_factory, request, mdns):
    """near, which is asked, and far before an application; PROTOCOL is the module's."""
    p = connected(tmp_path_factory.mktemp("pair"), request.module.PROTOCOL, programs, mdns)
    yield p
    p.stop()


@pytest.fixture(scope="module")
def model(tmp_path_factory, request, mdns):
    """The same with Dapr's sidecar as both: how it has to be."""
    p = connected(tmp_path_factory.mktemp("model"), request.module.PROTOCOL, (DAPR, DAPR), mdns)
    yield p
    p.stop()


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """run(program, *resources, **options) -> a Sidecar that is ready and ends with the file of tests."""
    running = []

    def begin(program, *resources, **options):
        running.append(Sidecar(tmp_path_factory.mktemp("side") / "s", *resources, program=program, **options))
        return running[-1].start()

    yield begin
    for s in reversed(running):
        s.stop()
