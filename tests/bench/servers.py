# SPDX-License-Identifier: Apache-2.0
"""The processes under load: a sidecar, the bounds with nothing behind them, backends."""
import glob
import http.client
import os
import pwd
import re
import shutil
import signal
import subprocess
import tempfile
import time

from load import VALUE
from machine import BUILD, SECONDS, BenchError, free_port

PYTHON = os.path.join(os.path.dirname(BUILD), "build/python/bin/python")
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

    def __init__(self, program, folder, components, arguments=(), app_id="bench"):
        os.makedirs(folder + "/resources")
        for name, kind, metadata in components:
            with open(folder + "/resources/%s.yaml" % name, "w", encoding="utf-8") as f:
                f.write(COMPONENT % (name, kind, metadata))
        self.http, self.grpc, self.metrics, self.internal = (free_port() for _ in range(4))
        self.argv = [program, "--app-id=" + app_id, "--resources-path=" + folder + "/resources", "--dapr-http-port=%d" % self.http,
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


def delivered(sidecar, wanted=0, seconds=60):
    """Events that its application has taken so far, by its own counter; waits for as many."""
    end = time.monotonic() + seconds
    while True:
        c = http.client.HTTPConnection("127.0.0.1", sidecar.metrics, timeout=10)
        c.request("GET", "/metrics")
        text = c.getresponse().read().decode()
        c.close()
        n = sum(float(m.group(2)) for m in re.finditer(r"^dapr_component_pubsub_ingress_count\{(.*)\} (\S+)$", text, re.M)
                if 'process_status="success"' in m.group(1))
        if n >= wanted:
            return n
        if time.monotonic() > end:
            raise BenchError("%d of %d are delivered" % (n, wanted))
        time.sleep(0.02)


class Bare:
    """A bound: bare_mhd or bare_nghttp2 with the answer's bytes."""

    def __init__(self, name, *answer):
        self.process = subprocess.Popen([BUILD + "/tests/" + name, "0", *answer], stdout=subprocess.PIPE, text=True)
        self.http = self.grpc = int(self.process.stdout.readline().split()[1])
        self.pid = self.process.pid

    def stop(self):
        self.process.terminate()
        self.process.wait(10)


class KafkaServer:
    """One broker, which the tests' own means start (tests/kafka_server.py), in their Python."""

    RUN = """
import sys
sys.path.insert(0, sys.argv[1])
from kafka_server import Kafka
k = Kafka(sys.argv[2]).start()
print("ready", k.plain, flush=True)
for line in sys.stdin:
    name, partitions = line.split()
    k.make_topic(name, int(partitions))
    print("made", name, flush=True)
k.stop()
"""

    def __init__(self, folder):
        self.topics = 0
        tests = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
        self.log = open(folder + "/kafka.log", "w+", encoding="utf-8")
        self.process = subprocess.Popen([PYTHON, "-c", self.RUN, tests, folder + "/kafka"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=self.log, text=True)
        self.brokers = self.told()

    def told(self):
        words = self.process.stdout.readline().split()
        if len(words) != 2:
            self.log.seek(0)
            raise BenchError("Kafka does not start: " + self.log.read().strip()[-300:])
        return words[1]

    def topic(self, partitions):
        """A new one."""
        self.topics += 1
        self.process.stdin.write("bench%d %d\n" % (self.topics, partitions))
        self.process.stdin.flush()
        return self.told()

    def stop(self):
        self.process.stdin.close()
        self.process.wait(60)
        self.log.close()


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


# The same row each time, as the load on the sidecar has it.
UPSERT = """INSERT INTO davit_bound (key, value) VALUES ('bench||key', '%s')
  ON CONFLICT (key) DO UPDATE SET value = EXCLUDED.value, etag = gen_random_uuid(), updated_at = CURRENT_TIMESTAMP;
""" % VALUE


class PostgresServer:
    """As RedisServer, with pgbench. It runs as an ordinary user, since it refuses to be root."""

    def __init__(self, folder):
        found = sorted(glob.glob("/usr/lib/postgresql/*/bin/postgres"), key=lambda p: float(p.split("/")[4]))
        if not found:
            raise BenchError("postgresql is not installed")
        self.programs, self.port = os.path.dirname(found[-1]), free_port()
        self.who = {}
        if os.geteuid() == 0:
            user = pwd.getpwnam("postgres")
            self.who = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        self.folder, self.scratch = tempfile.mkdtemp(prefix="davit-pg-", dir="/tmp"), folder
        os.chmod(self.folder, 0o755)
        if self.who:
            os.chown(self.folder, self.who["user"], self.who["group"])
        self.url = "host=127.0.0.1 port=%d user=postgres dbname=postgres sslmode=disable" % self.port
        self.tool("initdb", "-D", self.folder + "/data", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync")
        self.process = subprocess.Popen([self.programs + "/postgres", "-D", self.folder + "/data", "-p", str(self.port), "-c",
                                         "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=" + self.folder, "-c", "fsync=off"],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/", **self.who)
        end = time.monotonic() + 30
        while subprocess.run([self.programs + "/pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)], check=False).returncode:
            if time.monotonic() > end:
                raise BenchError("postgres does not answer")
            time.sleep(0.05)
        self.tool("pgbench", "-i", "-q", "-s", "1", "-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres", "postgres")
        self.tool("psql", "-X", "-q", "-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres", "-c",
                  "CREATE TABLE davit_bound (key text PRIMARY KEY, value bytea NOT NULL, etag uuid NOT NULL DEFAULT gen_random_uuid(), "
                  "created_at timestamptz NOT NULL DEFAULT now(), updated_at timestamptz, expires_at timestamptz)")

    def tool(self, name, *words):
        p = subprocess.run([self.programs + "/" + name, *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
                           cwd="/", **self.who)
        if p.returncode != 0:
            raise BenchError("%s: %s" % (name, p.stdout))
        return p.stdout

    def benchmark(self, operation, connections):
        """Transactions per second: `pgbench -S`, or an insert or update of a row."""
        words = ["-S"]
        if operation != "get":
            path = self.folder + "/upsert.sql"
            with open(path, "w", encoding="ascii") as f:
                f.write(UPSERT)
            words = ["-f", path]
        out = self.tool("pgbench", *words, "-n", "-M", "prepared", "-c", str(connections), "-j", "1", "-T", str(SECONDS), "-h", "127.0.0.1",
                        "-p", str(self.port), "-U", "postgres", "postgres")
        return float(re.search(r"^tps = ([\d.]+)", out, re.M).group(1))

    def stop(self):
        self.process.send_signal(signal.SIGINT)
        self.process.wait(20)
        shutil.rmtree(self.folder, ignore_errors=True)
