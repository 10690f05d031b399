# SPDX-License-Identifier: Apache-2.0
"""davit-bench's other suites, on our plugins and on ones that misbehave: it passes who behaves and finds who does not."""
import glob
import hashlib
import json
import os
import re
import subprocess
import sys

import pytest
import yaml

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from rogue import cc  # noqa: E402
from sidecar import BUILD  # noqa: E402
from store_servers import StoreServer  # noqa: E402

pytestmark = [pytest.mark.ours, pytest.mark.plain]


def bench(*words):
    p = subprocess.run([os.path.join(BUILD, "bin/davit-bench"), *map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                       text=True, timeout=300, check=False, stdin=subprocess.DEVNULL)
    return p.returncode, p.stdout


def plugin(kind):
    return sorted(glob.glob(os.path.join(BUILD, "lib/davit/plugins", kind, "*", kind + ".so")))[-1]


@pytest.mark.parametrize("kind, words", [
    ("state.in-memory", []), ("state.sqlite", ["-p", "connectionString=:memory:"]), ("pubsub.in-memory", []),
    ("secretstores.local.env", []), ("secretstores.local.file", ["-p", "secretsFile=tests/conformance/secretstores.local.file.files/secrets.json"]),
    ("nameresolution.mdns", []),
])
def test_ours_behave(tmp_path, kind, words):
    report = tmp_path / "report.json"
    code, out = bench("-S", "fault,leak,stack", "-o", report, *words, plugin(kind))
    assert code == 0, out
    told = json.loads(report.read_text())
    assert told["plugin"]["name"] == kind and told["failed"] == 0 and told["failures"] == []
    with open(plugin(kind), "rb") as f:
        assert told["plugin"]["sha256"] == hashlib.sha256(f.read()).hexdigest()
    assert [s["name"] for s in told["suites"]] == ["conformance", "fault", "stack", "leak"]
    assert sum(s["passed"] for s in told["suites"]) == told["passed"] == int(out.split("\n")[-2].split()[0])
    assert 0 < told["figures"]["stack"]["value"] < told["figures"]["stackLimit"]["value"]


@pytest.mark.parametrize("kind, version, more", [("redis", "v1", {}), ("postgresql", "v1", {"timeout": "20s"}),
                                                 ("postgresql", "v2", {"timeout": "20s"}), ("azure", "v2", {})])
def test_ours_behave_on_servers(tmp_path, kind, version, more):
    server = StoreServer(kind, tmp_path)
    try:
        spec = yaml.safe_load(server.component("127.0.0.1", server.port, **more))["spec"]
        words = [w for m in spec["metadata"] for w in ("-p", "%s=%s" % (m["name"], m["value"]))]
        # Azurite takes half a minute for the first suite, which test_blobstorage.py runs.
        suites = "fault,leak,stack" if kind == "azure" else "all"
        code, out = bench("-S", suites, "-q", "-t", spec["type"] + "/" + version, *words, plugin(spec["type"]))
    finally:
        server.stop()
    assert code == 0 and " 0 failed" in out, out
    assert [name for name in ("fault", "stack", "leak") if "# suite " + name not in out] == []


@pytest.fixture(scope="module")
def rogue(tmp_path_factory):
    file = tmp_path_factory.mktemp("rogue") / "bench.so"
    cc(file, '-DPLUGIN_NAME="state.rogue"', '-DPLUGIN_VERSION="1.0.0"', "-DROGUE_FLAGS=DAVIT_LOOP")
    return file


@pytest.mark.parametrize("how, suite, says", [
    ("twice", "fault", "get: it is completed twice"), ("final", "fault", "get: it is completed twice"),
    ("kind", "fault", "get: it emits a record of the unknown kind 987654"), ("leak", "leak", "leave no memory behind"),
    ("deep", "stack", "bytes of stack"), ("deaf", "fault", "a record that was refused is a failure of the call"),
    ("open-leak", "leak", "openings leave no memory behind"), ("after", "fault", "get: it emits a record for a call that is over"),
    ("flood", "fault", "get: it emits without end"), ("exit", "fault", "get: it ends the process by exit()"),
    ("abort", "fault", "get: it aborts"), ("crash", "fault", "get: it crashes"), ("overflow", "fault", "get: it crashes"),
    ("never", "fault", "get: memory is refused, and it has not ended"), ("stubborn", "fault", "get: cancelled, it goes on for 1"),
    ("sleep", "conformance", "get: does not block the loop"), ("open-crash", "fault", "open: it crashes"),
    ("keep", "fault", "get: it uses what an earlier call was given"),
])
def test_it_finds_who_misbehaves(rogue, tmp_path, how, suite, says):
    report = tmp_path / "report.json"
    code, out = bench("-S", suite, "-o", report, "-p", "how=" + how, rogue)
    if os.environ.get("SANITIZE") and how in ("crash", "abort", "overflow", "keep", "open-crash"):
        assert code != 0  # the sanitizer tells of it
        return
    assert code != 0 and any(line.startswith("not ok") and says in line for line in out.split("\n")), out
    told = json.loads(report.read_text())  # whatever it came to
    assert told["failed"] == int(re.findall(r", (\d+) failed\n", out)[-1]) > 0
    assert any(says in line for line in told["failures"])


def test_it_says_which_operation_leaks(rogue):
    if os.environ.get("SANITIZE"):
        pytest.skip("memory is not counted under a sanitizer")
    _, out = bench("-S", "leak", "-p", "how=leak", rogue)
    stays = {name: int(n) for name, n in re.findall(r"# of 2000 times (\w+) stay (-?\d+) bytes", out)}
    assert stays["get"] > 200000 > 1000 > max(stays["set"], stays["del"])


@pytest.mark.parametrize("change, says", [
    ({"operations": ["get", "set", "del", "query"]}, 'the manifest\'s operation "query" is in the component\'s table'),
    ({"capabilities": ["ETAG", "TTL"]}, "the manifest's capability TTL is a feature"),
    ({"metadata": []}, "the property how is in the manifest's metadata"),
    ({"version": "v9"}, "the manifest has the component, by type and version"),
])
def test_it_holds_the_manifest_against_the_table(tmp_path, change, says):
    file = tmp_path / "state.rogue.so"
    cc(file, '-DPLUGIN_NAME="state.rogue"', '-DPLUGIN_VERSION="1.0.0"')
    entry = {"type": "state.rogue", "version": "v1", "operations": ["get", "set", "del"], "capabilities": [],
             "metadata": [{"name": "How", "type": "string"}]}
    for told, found in (({}, False), (change, True)):
        (tmp_path / "state.rogue.json").write_text(json.dumps({"components": [dict(entry, **told)]}))
        _, out = bench("-q", "-p", "how=well", file)
        assert any(line.startswith("not ok") and says in line for line in out.split("\n")) == found, out

def test_a_suite_that_there_is_not(rogue):
    code, out = bench("-S", "fault,speed", rogue)
    assert code == 2 and "usage" in out
