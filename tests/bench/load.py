# SPDX-License-Identifier: Apache-2.0
"""Load: wrk for HTTP/1.1 (32 connections), h2load for gRPC (8 connections of 32 streams each, or as many as told), both closed loops; paced and
paced_h2, open ones."""
import json
import re
import subprocess
import time

from machine import BUILD, SECONDS, BenchError, rate

VALUE = '{"value":"0123456789abcdef"}'
ETAG = "0" * 36


def field(number, data):
    """A length-delimited field of protobuf; all here are shorter than 128 bytes."""
    data = data.encode() if isinstance(data, str) else data
    assert len(data) < 128
    return bytes([number << 3 | 2, len(data)]) + data


def framed(message):
    return b"\0" + len(message).to_bytes(4, "big") + message


GET_STATE = framed(field(1, "store") + field(2, "key"))
SAVE_STATE = framed(field(1, "store") + field(2, field(1, "key") + field(2, VALUE)))
GET_ANSWER = field(1, VALUE) + field(2, ETAG)
SAVE_BODY = '[{"key":"key","value":%s}]' % VALUE
GRPC_FIELDS = ["-H", "content-type: application/grpc", "-H", "te: trailers"]


def wrk(port, path, folder, body=None, connections=32, seconds=SECONDS):
    """Requests that were answered with 2xx."""
    command = ["wrk", "-t1", "-c%d" % connections, "-d%ds" % seconds]
    if body is not None:
        script = folder + "/wrk.lua"
        with open(script, "w", encoding="utf-8") as f:
            f.write("wrk.method = 'POST'\nwrk.body = [=[%s]=]\nwrk.headers['content-type'] = 'application/json'\n" % body)
        command += ["-s", script]
    out = subprocess.run(command + ["http://127.0.0.1:%d%s" % (port, path)], capture_output=True, text=True, check=True).stdout
    if re.search(r"Non-2xx|Socket errors", out):
        raise BenchError(out)
    return int(re.search(r"(\d+) requests in", out).group(1))


def grpc_path(method):
    return "/dapr.proto.runtime.v1.Dapr/" + method


def message_file(folder, message):
    with open(folder + "/message", "wb") as f:
        f.write(message)
    return folder + "/message"


def h2load(port, method, folder, message, streams=32, fields=()):
    """Requests that were answered; a component's own counter tells whether they went well. A method with a slash is a whole path."""
    path = method if "/" in method else grpc_path(method)
    more = [word for f in fields for word in ("-H", f)]
    out = subprocess.run(["h2load", "-t1", "-c8", "-m%d" % streams, "--warm-up-time=0", "-D%d" % SECONDS, "-d", message_file(folder, message),
                          *GRPC_FIELDS, *more, "http://127.0.0.1:%d%s" % (port, path)], capture_output=True, text=True, check=True).stdout
    return int(re.search(r"(\d+) succeeded", out).group(1))


def paced(program, *arguments):
    """Latencies in microseconds, counted from the moment a request was due."""
    out = subprocess.run([BUILD + "/tests/" + program, *map(str, arguments)], capture_output=True, text=True, check=True).stdout
    found = json.loads(out)
    if found["failed"]:
        raise BenchError("%d of %d requests failed" % (found["failed"], found["failed"] + found["answered"]))
    return found


def state_load(server, wire, operation, folder, streams=32):
    save = operation == "save"
    if wire == "HTTP":
        return (lambda: wrk(server.http, "/v1.0/state/store", folder, SAVE_BODY)) if save \
            else (lambda: wrk(server.http, "/v1.0/state/store/key", folder))
    return lambda: h2load(server.grpc, "SaveState" if save else "GetState", folder, SAVE_STATE if save else GET_STATE, streams)


def state_rate(server, wire, operation, folder, check=True, streams=32):
    """(per CPU-second, per second), errors not counted: what the store did is checked against its own counter."""
    metric = "set" if operation == "save" else "get"
    before = server.done(metric) if check else 0
    per_cpu, per_second, n = rate([server.pid], state_load(server, wire, operation, folder, streams))
    # Some were under way when the load stopped counting, and Dapr's sidecar counts a moment later.
    done, end = 0, time.monotonic() + 5
    while check and done < n and time.monotonic() < end:
        done = server.done(metric) - before
        time.sleep(0.05)
    if check and done < n:
        raise BenchError("%s %s: %d answers, but the store did %d" % (wire, operation, n, done))
    return per_cpu, per_second


def state_paced(server, wire, operation, folder):
    """1,000 requests a second, whatever the server does."""
    save = operation == "save"
    if wire == "HTTP":
        url = "http://127.0.0.1:%d/v1.0/state/store%s" % (server.http, "" if save else "/key")
        more = ["-d", message_file(folder, SAVE_BODY.encode()), "-H", "content-type: application/json"] if save else []
        return paced("paced", *more, url, 1000, SECONDS, 32)
    return paced("paced_h2", server.grpc, grpc_path("SaveState" if save else "GetState"),
                 message_file(folder, SAVE_STATE if save else GET_STATE), 1000, SECONDS, 8)
