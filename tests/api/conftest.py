# SPDX-License-Identifier: Apache-2.0
"""A sidecar under test, and what reads its answers.

DAVITD names the program (default: BUILD/bin/davitd). With DAPRD_COMPARE=path that one, Dapr's own, takes its place: what
fails then is an expectation of ours that Dapr does not meet. Tests of what is ours alone carry the mark `ours`, and are left
out by DAPRD_COMPARE; those that have no place under a sanitizer carry `plain`.
"""
import os
import sys

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))

from sidecar import COMPARE, LOOPS, Sidecar, component  # noqa: E402


def pytest_configure(config):
    config.addinivalue_line("markers", "ours: Dapr's sidecar answers otherwise or not at all, and why is said in the test")
    config.addinivalue_line("markers", "plain: measures time or memory, or needs an allocator of its own: not under sanitizers")


def pytest_collection_modifyitems(config, items):
    if COMPARE:
        out = [i for i in items if i.get_closest_marker("ours")]
        config.hook.pytest_deselected(items=out)
        items[:] = [i for i in items if i not in out]


@pytest.fixture
def start(tmp_path):
    """start(*resources, **options) -> a Sidecar that is ready; all end with the test, each with exit code 0 if not told otherwise."""
    running = []

    def begin(*resources, **options):
        s = Sidecar(tmp_path / ("s%d" % len(running)), *resources, **options)
        running.append(s)
        s.start()
        return s

    yield begin
    for s in running:
        s.stop()


def redis(scratch):
    from redis_server import Redis
    return {"redisHost": Redis(scratch / "redis").host}


made = []  # servers of the sidecar that is being made: they end with it, since a worker of pytest leaves without its clean-up


def postgresql(scratch):
    from postgresql_server import Postgres
    made.append(Postgres())
    return {"connectionString": made[-1].url}


# A type, and a version behind a slash if it is not v1. Those that need a server start it; it ends with this process.
STORES = {
    "state.in-memory": lambda scratch: {},
    "state.sqlite": lambda scratch: {"connectionString": "file:%s/state.db" % scratch},
    "state.redis": redis,
    "state.postgresql": postgresql,
    "state.postgresql/v2": postgresql,
}
# Dapr's Redis does not tell when a value expires, keeps the time to live of what is saved without one, and has its own words
# for a query: tests/api/test_redis.py. PostgreSQL's v1 keeps JSON parsed, and answers queries: tests/api/test_postgresql.py.
LIKE_OTHERS = [k for k in STORES if k not in ("state.redis", "state.postgresql")]


def shared(tmp_path_factory, kind, loops):
    scratch = tmp_path_factory.mktemp("store")
    s = Sidecar(scratch / "run", component("store", kind.split("/")[0], STORES[kind](scratch),
                                           version="v2" if kind.endswith("/v2") else "v1"), loops=loops)
    s.servers = [made.pop() for _ in range(len(made))]
    s.start()
    return s


def each(kinds):
    return {"params": [(k, n) for k in kinds for n in LOOPS], "ids": lambda p: "%s-%dloops" % p}


@pytest.fixture(scope="module", **each(STORES))
def store(request, tmp_path_factory):
    """One sidecar for a file of tests, with one state store named `store`; of each kind, at 1 and at 2 loops."""
    s = shared(tmp_path_factory, *request.param)
    s.kind = request.param[0]
    yield s
    s.stop()
    for server in s.servers:
        server.remove()


@pytest.fixture(scope="module", **each(LIKE_OTHERS))
def common(request, tmp_path_factory):
    """The same, of those kinds that do what most do."""
    s = shared(tmp_path_factory, *request.param)
    s.kind = request.param[0]
    yield s
    s.stop()
    for server in s.servers:
        server.remove()


@pytest.fixture
def key(request):
    """A key of this test's own."""
    return "k-%s" % abs(hash(request.node.nodeid + os.urandom(4).hex()))
