# SPDX-License-Identifier: Apache-2.0
"""Runs one entry of tests/api/data/bad_requests.yaml against a sidecar and says what came of it.

An entry is of one kind:
	http        "METHOD target" with body, body_repeat [before, piece, times, after], headers
	grpc        a method with its request in protobuf's JSON form
	resource    a file beside the good ones, at the start; {folder} is the sidecar's own
	configuration  a file given with --config, at the start
	flags       arguments behind the good ones, at the start
"""
import json
import os
import time

import grpc
from dapr.proto import api_v1
from google.protobuf import json_format

from sidecar import SLOW, Sidecar, component, configuration

SECRETS = {"plain": "v", "closed": "c", "k0": "xyz", "k1": "abcd", "k2": "00112233445566778899aabbccddeef"}
SCOPES = configuration({"secrets": {"scopes": [{"storeName": "vault", "defaultAccess": "allow", "deniedSecrets": ["closed"]}]}})


def good(folder, **more):
    """A sidecar with a state store that holds the key `kept`, and a vault."""
    os.makedirs(folder)
    path = os.path.join(folder, "secrets.json")
    with open(path, "w", encoding="utf-8") as f:
        json.dump(SECRETS, f)
    s = Sidecar(os.path.join(folder, "run"), component("store", "state.in-memory"),
                component("vault", "secretstores.local.file", {"secretsFile": path}), **more)
    return s


def serving(folder):
    s = good(folder, config=[SCOPES])
    s.start()
    assert s.save("kept", "kept").status == 204
    return s


def nothing_is_lost(s):
    r = s.read("kept")
    assert (r.status, r.json) == (200, "kept")
    found = s.get("/v1.0/metadata").json["components"]
    assert sorted(c["name"] for c in found) == ["store", "vault"]


def by_http(s, entry):
    method, target = entry["http"].split(" ", 1)
    body = entry.get("body")
    if "body_repeat" in entry:
        before, piece, times, after = entry["body_repeat"]
        body = before + piece * times + after
    c = s.connect()
    try:
        r = s.request(method, target, body, entry.get("headers"), connection=c)
    except OSError as e:
        return {"status": "closed", "text": type(e).__name__}
    finally:
        c.close()
    got = {"status": r.status, "text": r.body.decode(errors="replace")}
    try:
        got["code"], got["text"] = r.json["errorCode"], r.json["message"]
    except (ValueError, KeyError, TypeError):
        pass
    return got


def by_grpc(s, entry):
    name = {"ExecuteStateTransaction": "ExecuteStateTransactionRequest", "QueryStateAlpha1": "QueryStateRequest"}.get(entry["grpc"], entry["grpc"] + "Request")
    request = json_format.ParseDict(entry["request"], getattr(api_v1, name)())
    try:
        getattr(s.rpc, entry["grpc"])(request, timeout=20)
    except grpc.RpcError as e:
        return {"status": e.code().name, "text": e.details()}
    return {"status": "OK", "text": ""}


def by_start(folder, entry):
    s = good(folder, expect=None, config=[entry["configuration"]] if "configuration" in entry else [])
    if "resource" in entry:
        s.write("resources/bad.yaml", entry["resource"].replace("{folder}", s.folder))
    s.argv += entry.get("flags", [])
    s.spawn()
    end = time.monotonic() + 20 * SLOW
    got = {"status": "hangs"}
    while time.monotonic() < end:
        if s.process.poll() is not None:
            got = {"status": "exit %d" % s.process.returncode}
            break
        if "dapr initialized. Status: Running" in s.log():
            time.sleep(0.3)  # what some parts find out a moment later
            code = s.process.poll()
            got = {"status": "runs" if code is None else "exit %d" % code}
            break
        time.sleep(0.01)
    if got["status"] == "hangs":
        s.kill()
    s.stop()
    got["text"] = s.log()
    return got


def answer(entry, s, folder):
    if "http" in entry:
        return by_http(s, entry)
    if "grpc" in entry:
        return by_grpc(s, entry)
    return by_start(str(folder), entry)
