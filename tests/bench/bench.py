#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Requests per CPU-second of the server process, from /proc, each beside a bound measured in the same run: a server on the
same library with nothing behind it. Then start to ready, and memory when idle.

	BUILD=build [DAPRD=path] [BENCH_SECONDS=5] [ONLY=http] bench.py

The load comes from wrk (HTTP/1.1, 32 connections) and h2load (gRPC, 8 connections of 32 streams). What a component did is
checked against its own counter, so that errors do not count. DAPRD puts the same load on Dapr's sidecar. Figures of one
machine: compare rows of a run, not runs.

State in Redis is requests per second of wall time, since three processes share the machine: through the sidecar beside
redis-benchmark alone with as many connections and no pipelining. Its "save" is the plain command that changes a hash, where
ours is a script that looks at versions as well.
"""
import http.client
import json
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

BUILD = os.path.abspath(os.environ.get("BUILD", "build"))
DAPRD = os.environ.get("DAPRD", "")
SECONDS = int(os.environ.get("BENCH_SECONDS", "5"))
ONLY = os.environ.get("ONLY", "")
TICK = os.sysconf("SC_CLK_TCK")
VALUE = '{"value":"0123456789abcdef"}'
ETAG = "0" * 36
COMPONENT = """apiVersion: dapr.io/v1alpha1
kind: Component
metadata:
  name: store
spec:
  type: %s
  version: v1
  metadata: [%s]
"""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


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


def cpu(pid):
    """CPU-seconds of the process so far, its threads included."""
    with open("/proc/%d/stat" % pid, encoding="ascii") as f:
        fields = f.read().rsplit(") ", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def memory(pid):
    """Resident and private KiB."""
    with open("/proc/%d/smaps_rollup" % pid, encoding="ascii") as f:
        found = dict(re.findall(r"^(\w+):\s+(\d+) kB", f.read(), re.M))
    return int(found["Rss"]), int(found["Private_Clean"]) + int(found["Private_Dirty"])


class Sidecar:
    def __init__(self, program, folder, kind="state.in-memory", loops=None, backend=0):
        os.makedirs(folder + "/resources")
        metadata = {"state.sqlite": '{name: connectionString, value: "file:%s/state.db"}' % folder,
                    "state.redis": '{name: redisHost, value: "127.0.0.1:%s"}' % backend}.get(kind, "")
        with open(folder + "/resources/store.yaml", "w", encoding="utf-8") as f:
            f.write(COMPONENT % (kind, metadata))
        self.http, self.grpc, self.metrics = free_port(), free_port(), free_port()
        self.argv = [program, "--app-id=bench", "--resources-path=" + folder + "/resources", "--dapr-http-port=%d" % self.http,
                     "--dapr-grpc-port=%d" % self.grpc, "--metrics-port=%d" % self.metrics, "--dapr-listen-addresses=127.0.0.1",
                     "--metrics-listen-address=127.0.0.1", "--dapr-internal-grpc-listen-address=127.0.0.1",
                     "--dapr-internal-grpc-port=%d" % free_port()]
        if loops:
            self.argv.append("--loops=%d" % loops)
        self.log = open(folder + "/log", "ab")
        begin = time.monotonic()
        self.process = subprocess.Popen(self.argv, stdout=self.log, stderr=self.log, stdin=subprocess.DEVNULL)
        while self.ask("GET", "/v1.0/healthz") != 204:
            if self.process.poll() is not None:
                with open(folder + "/log", encoding="utf-8", errors="replace") as f:
                    sys.exit("bench: %s ended:\n%s" % (program, f.read()))
            time.sleep(0.0005)
        self.ready_ms = (time.monotonic() - begin) * 1000
        self.pid = self.process.pid

    def ask(self, method, path, body=None):
        c = http.client.HTTPConnection("127.0.0.1", self.http, timeout=10)
        try:
            c.request(method, path, body)
            r = c.getresponse()
            r.read()
            return r.status
        except OSError:
            return 0
        finally:
            c.close()

    def done(self, operation):
        """Calls of the component that went well so far, by its own counter."""
        c = http.client.HTTPConnection("127.0.0.1", self.metrics, timeout=10)
        c.request("GET", "/metrics")
        text = c.getresponse().read().decode()
        c.close()
        return sum(float(m.group(2)) for m in re.finditer(r"^dapr_component_state_count\{(.*)\} (\S+)$", text, re.M)
                   if 'operation="%s"' % operation in m.group(1) and 'success="true"' in m.group(1))

    def stop(self):
        self.process.send_signal(signal.SIGINT)
        if self.process.wait(20) != 0:
            sys.exit("bench: the sidecar ended with %d" % self.process.returncode)
        self.log.close()


class Bare:
    """A bound: bare_mhd or bare_nghttp2 with the answer's bytes."""

    def __init__(self, name, answer):
        self.process = subprocess.Popen([BUILD + "/tests/" + name, "0", answer], stdout=subprocess.PIPE, text=True)
        self.http = self.grpc = int(self.process.stdout.readline().split()[1])
        self.pid = self.process.pid

    def stop(self):
        self.process.terminate()
        self.process.wait(10)


class RedisServer:
    """A bound as well as a backend: redis-benchmark asks it what the sidecar would."""

    COMMANDS = {"get": ["hgetall", "bench||key"], "save": ["hset", "bench||key", "data", VALUE, "version", "1"]}

    def __init__(self, folder):
        self.port = free_port()
        self.process = subprocess.Popen(["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir", folder],
                                        stdout=subprocess.DEVNULL)
        end = time.monotonic() + 10
        while subprocess.run(["redis-cli", "-p", str(self.port), "ping"], capture_output=True, check=False).stdout != b"PONG\n":
            if time.monotonic() > end:
                sys.exit("bench: redis-server does not answer")
            time.sleep(0.05)

    def benchmark(self, operation, n):
        """Requests per second of n."""
        out = subprocess.run(["redis-benchmark", "-p", str(self.port), "-c", "32", "-n", str(n), "--csv", *self.COMMANDS[operation]],
                             capture_output=True, text=True, check=True).stdout
        return float(re.findall(r'"([\d.]+)"', out)[-1] if "rps" not in out else out.splitlines()[-1].split('","')[1])

    def stop(self):
        self.process.terminate()
        self.process.wait(10)


def wrk(port, path, folder, body=None):
    command = ["wrk", "-t1", "-c32", "-d%ds" % SECONDS]
    if body is not None:
        script = folder + "/wrk.lua"
        with open(script, "w", encoding="utf-8") as f:
            f.write("wrk.method = 'POST'\nwrk.body = [=[%s]=]\n" % body)
        command += ["-s", script]
    out = subprocess.run(command + ["http://127.0.0.1:%d%s" % (port, path)], capture_output=True, text=True, check=True).stdout
    if re.search(r"Non-2xx|Socket errors", out):
        sys.exit("bench: " + out)
    return int(re.search(r"(\d+) requests in", out).group(1))


def h2load(port, method, folder, message):
    with open(folder + "/message", "wb") as f:
        f.write(message)
    out = subprocess.run(["h2load", "-t1", "-c8", "-m32", "--warm-up-time=0", "-D%d" % SECONDS, "-d", folder + "/message",
                          "-H", "content-type: application/grpc", "-H", "te: trailers",
                          "http://127.0.0.1:%d/dapr.proto.runtime.v1.Dapr/%s" % (port, method)], capture_output=True, text=True,
                         check=True).stdout
    return int(re.search(r"(\d+) succeeded", out).group(1))


def rate(pid, load):
    """(requests per CPU-second, requests per second)"""
    before, begin = cpu(pid), time.monotonic()
    n = load()
    return n / max(cpu(pid) - before, 1 / TICK), n / (time.monotonic() - begin), n


def measure(server, wire, operation, folder, check=True):
    save = operation == "save"
    if wire == "HTTP":
        load = (lambda: wrk(server.http, "/v1.0/state/store", folder, '[{"key":"key","value":%s}]' % VALUE)) if save \
            else (lambda: wrk(server.http, "/v1.0/state/store/key", folder))
    else:
        load = lambda: h2load(server.grpc, "SaveState" if save else "GetState", folder, SAVE_STATE if save else GET_STATE)  # noqa: E731
    metric = "set" if save else "get"
    before = server.done(metric) if check else 0
    per_cpu, per_second, n = rate(server.pid, load)
    # Some were under way when the load stopped counting, and Dapr's sidecar counts a moment later.
    done, end = 0, time.monotonic() + 5
    while check and done < n and time.monotonic() < end:
        done = server.done(metric) - before
        time.sleep(0.05)
    if check and done < n:
        sys.exit("bench: %s %s: %d answers, but the store did %d" % (wire, operation, n, done))
    return per_cpu, per_second


def bound(wire, operation, folder):
    if wire == "HTTP":
        server = Bare("bare_mhd", VALUE)
    else:
        server = Bare("bare_nghttp2", GET_ANSWER.hex() if operation == "get" else "")
    try:
        return measure(server, wire, operation, folder, check=False)
    finally:
        server.stop()


def loads(programs, scratch, results):
    print("%-24s %14s %14s %8s %12s" % ("requests per CPU-second", "", "of the bound", "", "per second"))
    for wire in ("HTTP", "gRPC"):
        for operation in ("get", "save"):
            if ONLY and ONLY.lower() not in (wire.lower(), operation):
                continue
            limit, per_second = bound(wire, operation, scratch)
            print("%-24s %14.0f %14s %8s %12.0f" % ("%s %s, bound" % (wire, operation), limit, "1.00", "", per_second), flush=True)
            for name, program in programs:
                for kind in ("state.in-memory", "state.sqlite"):
                    folder = tempfile.mkdtemp(dir=scratch)
                    s = Sidecar(program, folder + "/s", kind)
                    if s.ask("POST", "/v1.0/state/store", '[{"key":"key","value":%s}]' % VALUE) != 204:
                        sys.exit("bench: %s does not save" % kind)
                    per_cpu, per_second = measure(s, wire, operation, scratch)
                    s.stop()
                    shutil.rmtree(folder)
                    results.append({"program": name, "wire": wire, "operation": operation, "store": kind, "per_cpu_second": per_cpu,
                                    "per_second": per_second, "bound": limit})
                    print("%-24s %14.0f %14.2f %8s %12.0f" % ("  %s, %s" % (kind[6:], name), per_cpu, per_cpu / limit, "", per_second),
                          flush=True)


def redis(programs, scratch, results):
    print("\n%-24s %14s %14s" % ("requests per second", "", "of the bound"))
    server = RedisServer(scratch)
    try:
        for operation in ("get", "save"):
            limit = server.benchmark(operation, server.benchmark(operation, 20000) * SECONDS // 1)
            print("%-24s %14.0f %14s" % ("redis-benchmark, " + operation, limit, "1.00"), flush=True)
            for name, program in programs:
                folder = tempfile.mkdtemp(dir=scratch)
                s = Sidecar(program, folder + "/s", "state.redis", backend=server.port)
                if s.ask("POST", "/v1.0/state/store", '[{"key":"key","value":%s}]' % VALUE) != 204:
                    sys.exit("bench: state.redis does not save")
                per_cpu, per_second = measure(s, "HTTP", operation, scratch)
                s.stop()
                shutil.rmtree(folder)
                results.append({"program": name, "wire": "HTTP", "operation": operation, "store": "state.redis",
                                "per_cpu_second": per_cpu, "per_second": per_second, "bound_per_second": limit})
                print("%-24s %14.0f %14.2f" % ("  redis %s, %s" % (operation, name), per_second, per_second / limit), flush=True)
    finally:
        server.stop()


def idle(programs, scratch, results):
    print("\n%-24s %14s %14s %14s" % ("start and idle", "ready ms", "resident MB", "private MB"))
    for name, program in programs:
        times, sizes = [], []
        for _ in range(9):
            folder = tempfile.mkdtemp(dir=scratch)
            s = Sidecar(program, folder + "/s")
            times.append(s.ready_ms)
            if len(times) > 6:
                time.sleep(2)
                sizes.append(memory(s.pid))
            s.stop()
        ready = statistics.median(times)
        rss, private = (statistics.median(x) / 1024 for x in zip(*sizes))
        results.append({"program": name, "ready_ms": ready, "resident_mb": rss, "private_mb": private})
        print("%-24s %14.1f %14.1f %14.1f" % (name, ready, rss, private), flush=True)


def main():
    for tool in ("wrk", "h2load", "redis-server", "redis-benchmark", "redis-cli"):
        if shutil.which(tool) is None:
            sys.exit("bench: %s is missing (make bench installs it)" % tool)
    programs = [("davitd", BUILD + "/bin/davitd")] + ([("daprd", DAPRD)] if DAPRD else [])
    results = []
    with tempfile.TemporaryDirectory(prefix="davit-bench-") as scratch:
        if ONLY not in ("idle", "redis"):
            loads(programs, scratch, results)
        if ONLY in ("", "redis"):
            redis(programs, scratch, results)
        if ONLY in ("", "idle"):
            idle(programs, scratch, results)
    with open(BUILD + "/bench.json", "w", encoding="utf-8") as f:
        json.dump(results, f, indent="\t")


if __name__ == "__main__":
    main()
