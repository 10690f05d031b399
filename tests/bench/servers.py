# SPDX-License-Identifier: Apache-2.0
"""The processes under load: a sidecar, the bounds with nothing behind them, backends."""
import http.client
import os
import re
import signal
import subprocess
import time

from machine import BUILD, BenchError, free_port

COMPONENT = """apiVersion: dapr.io/v1alpha1
kind: Component
metadata:
  name: %s
spec:
  type: %s
  version: v1
  metadata: [%s]
"""


def pair(name, value):
    """A metadata entry in flow style."""
    return '{name: %s, value: "%s"}' % (name, value)


class Sidecar:
    """program with the components, each (name, type, metadata); ready when this returns."""

    def __init__(self, program, folder, components, arguments=()):
        os.makedirs(folder + "/resources")
        for name, kind, metadata in components:
            with open(folder + "/resources/%s.yaml" % name, "w", encoding="utf-8") as f:
                f.write(COMPONENT % (name, kind, metadata))
        self.http, self.grpc, self.metrics, self.internal = (free_port() for _ in range(4))
        self.argv = [program, "--app-id=bench", "--resources-path=" + folder + "/resources", "--dapr-http-port=%d" % self.http,
                     "--dapr-grpc-port=%d" % self.grpc, "--metrics-port=%d" % self.metrics, "--dapr-listen-addresses=127.0.0.1",
                     "--metrics-listen-address=127.0.0.1", "--dapr-internal-grpc-listen-address=127.0.0.1",
                     "--dapr-internal-grpc-port=%d" % self.internal, *arguments]
        self.log = open(folder + "/log", "ab")
        begin = time.monotonic()
        self.process = subprocess.Popen(self.argv, stdout=self.log, stderr=self.log, stdin=subprocess.DEVNULL)
        self.pid = self.process.pid
        while self.ask("GET", "/v1.0/healthz") != 204:
            if self.process.poll() is not None:
                with open(folder + "/log", encoding="utf-8", errors="replace") as f:
                    raise BenchError("%s ended:\n%s" % (program, f.read()))
            time.sleep(0.0005)
        self.ready_ms = (time.monotonic() - begin) * 1000

    def ask(self, method, path, body=None):
        """The status; 0: no answer."""
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
        """Calls of the state stores that went well so far, by their own counter."""
        c = http.client.HTTPConnection("127.0.0.1", self.metrics, timeout=10)
        c.request("GET", "/metrics")
        text = c.getresponse().read().decode()
        c.close()
        return sum(float(m.group(2)) for m in re.finditer(r"^dapr_component_state_count\{(.*)\} (\S+)$", text, re.M)
                   if 'operation="%s"' % operation in m.group(1) and 'success="true"' in m.group(1))

    def stop(self):
        self.process.send_signal(signal.SIGINT)
        try:
            code = self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        self.log.close()
        if code != 0:
            raise BenchError("%s ended with %d" % (self.argv[0], code))


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

    def __init__(self, folder):
        self.port = free_port()
        self.process = subprocess.Popen(["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir", folder],
                                        stdout=subprocess.DEVNULL)
        end = time.monotonic() + 10
        while subprocess.run(["redis-cli", "-p", str(self.port), "ping"], capture_output=True, check=False).stdout != b"PONG\n":
            if time.monotonic() > end:
                raise BenchError("redis-server does not answer")
            time.sleep(0.05)

    def benchmark(self, command, n):
        """Requests per second of n such commands from 32 connections, unpipelined."""
        out = subprocess.run(["redis-benchmark", "-p", str(self.port), "-c", "32", "-n", str(n), "--csv", *command],
                             capture_output=True, text=True, check=True).stdout
        return float(re.findall(r'"([\d.]+)"', out)[-1] if "rps" not in out else out.splitlines()[-1].split('","')[1])

    def stop(self):
        self.process.terminate()
        self.process.wait(10)
