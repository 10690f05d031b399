# SPDX-License-Identifier: Apache-2.0
"""state.postgresql through davit-bench: its suite in both versions, ways to connect, and what lies in the tables."""
import os
import subprocess
import sys
import uuid

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))

from postgresql_server import Postgres  # noqa: E402

BUILD = os.environ.get("BUILD", "build")
BENCH = os.path.join(BUILD, "bin", "davit-bench")
TYPE = "state.postgresql"
VERSIONS = ["v1", "v2"]


def plugin():
    folder = os.path.join(BUILD, "lib", "davit", "plugins", TYPE)
    version = sorted(os.listdir(folder))[-1]
    return os.path.join(folder, version, TYPE + ".so")


def arguments(version, props, *words, kind=TYPE):
    given = [BENCH, "-t", kind + "/" + version, *words]
    for name, value in props.items():
        given += ["-p", f"{name}={value}"]
    return given + [plugin()]


def bench(version, props, *words, env=None, kind=TYPE):
    """The whole suite; the output of a run without a failure."""
    p = subprocess.run(arguments(version, props, *words, kind=kind), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                       check=False, errors="replace", timeout=240, env=dict(os.environ, **(env or {})))
    assert p.returncode == 0 and " 0 failed" in p.stdout, p.stdout[-6000:]
    return p.stdout


@pytest.fixture(scope="module")
def server():
    s = Postgres("deadlock_timeout=20ms")  # eight threads move things between two keys, either way
    yield s
    s.stop()


@pytest.fixture
def database(server):
    """A database of this test's own: its name, and how to reach it."""
    name = "d" + uuid.uuid4().hex[:12]
    server.query("CREATE DATABASE " + name)
    return name, server.url.replace("dbname=postgres", "dbname=" + name)


# -- the suite

@pytest.mark.parametrize("mode", ["cache_statement", "exec", "simple_protocol"])
@pytest.mark.parametrize("version", VERSIONS)
def test_the_suite(database, version, mode):
    bench(version, {"connectionString": database[1], "queryExecMode": mode}, *([] if mode == "cache_statement" else ["-q"]))
