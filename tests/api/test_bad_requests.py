# SPDX-License-Identifier: Apache-2.0
"""Bad input gets a clear answer and loses nothing: tests/api/data/bad_requests.yaml, entry by entry."""
import collections
import os

import pytest
import yaml

from badinput import answer, nothing_is_lost, serving
from sidecar import COMPARE, LOOPS

with open(os.path.join(os.path.dirname(__file__), "data", "bad_requests.yaml"), encoding="utf-8") as f:
    ENTRIES = yaml.safe_load(f)
REQUESTS = [e for e in ENTRIES if "http" in e or "grpc" in e]
STARTS = [e for e in ENTRIES if e not in REQUESTS]


def name(entry):
    kind = next(k for k in ("http", "grpc", "resource", "configuration", "flags") if k in entry)
    return "%s-%d" % (entry["rule"], [e for e in ENTRIES if e["rule"] == entry["rule"]].index(entry)) if kind else None


@pytest.fixture(scope="module")
def sidecar(tmp_path_factory):
    s = serving(str(tmp_path_factory.mktemp("bad") / "s"))
    yield s
    nothing_is_lost(s)
    s.stop()


def judge(entry, got):
    want = {k: entry[k] for k in ("status", "code", "part") if k in entry}
    if COMPARE and "dapr" in entry:
        if "status" in entry["dapr"]:
            want = {}
        want.update(entry["dapr"])
    assert got["status"] == want["status"], got
    assert got.get("code") == want.get("code"), got
    # In a log a text stands in quotes, with its own escaped.
    text = got["text"].replace('\\"', '"').replace("\\\\", "\\")
    assert want.get("part", "") in text, got["text"][-3000:]


@pytest.mark.parametrize("entry", REQUESTS, ids=name)
def test_a_bad_request(sidecar, entry):
    judge(entry, answer(entry, sidecar, None))
    nothing_is_lost(sidecar)


@pytest.mark.parametrize("entry", STARTS, ids=name)
def test_a_bad_start(tmp_path, entry):
    judge(entry, answer(entry, None, tmp_path / "s"))


def test_there_are_enough_of_them_and_not_many_of_one_rule():
    rules = collections.Counter(e["rule"] for e in ENTRIES)
    assert sum(rules.values()) >= 150
    assert max(rules.values()) <= 5
    assert LOOPS
