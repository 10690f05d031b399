# SPDX-License-Identifier: Apache-2.0
"""Real servers of Redis as processes: one, a cluster of three, a master with a replica and its sentinels; and certificates."""
import atexit
import os
import shutil
import signal
import subprocess
import time

import pytest
from certificates import Certificates  # noqa: F401 (for who takes it from here)
from sidecar import free_port

if shutil.which("redis-server") is None:
    pytest.skip("redis-server is not installed", allow_module_level=True)


class Redis:
    """One server. `words` are further options: ("appendonly", "yes"). It lives until stop()."""

    def __init__(self, folder, *words, password=None, port=None, tls=None, sentinel=False):
        self.folder, self.password, self.port, self.tls = str(folder), password, port or free_port(), tls
        os.makedirs(self.folder, exist_ok=True)
        self.process, self.sentinel = None, sentinel
        atexit.register(self.kill)
        with open(self.path("redis.conf"), "w", encoding="utf-8") as f:
            f.write("bind 127.0.0.1\nprotected-mode no\ndir %s\n" % self.folder)
            if tls:
                f.write("port 0\ntls-port %d\ntls-ca-cert-file %s\ntls-auth-clients %s\ninclude %s\n"
                        % (self.port, tls.ca, "yes" if tls.ask else "no", self.path("tls.conf")))
                self.write_tls(tls.server)
            else:
                f.write("port %d\n" % self.port)
            if not sentinel:
                f.write('save ""\n')
            if password:
                f.write("requirepass %s\n" % password)
            for word in words:
                f.write(" ".join(word) + "\n")
        self.start()

    def path(self, name):
        return os.path.join(self.folder, name)

    def write_tls(self, pair):
        """The certificate and key that the next start uses."""
        with open(self.path("tls.conf"), "w", encoding="utf-8") as f:
            f.write("tls-cert-file %s\ntls-key-file %s\n" % pair)

    def spawn(self):
        with open(self.path("log"), "ab") as log:
            self.process = subprocess.Popen(["redis-server", self.path("redis.conf")] + (["--sentinel"] if self.sentinel else []),
                                            stdout=log, stderr=log, stdin=subprocess.DEVNULL)

    def start(self):
        self.spawn()
        self.await_answer("ping", "PONG")
        return self

    def await_answer(self, command, text, seconds=20):
        end = time.monotonic() + seconds
        while text not in (answer := self.cli(*command.split(), check=False)):
            assert time.monotonic() < end and self.process.poll() is None, answer
            time.sleep(0.02)

    def cli(self, *words, check=True, raw=True, text=True):
        command = ["redis-cli", "-p", str(self.port)] + (["--raw"] if raw else [])
        if self.tls:
            command += ["--tls", "--cacert", self.tls.ca, "--cert", self.tls.client[0], "--key", self.tls.client[1]]
        env = dict(os.environ, LD_PRELOAD="")
        if self.password:
            env["REDISCLI_AUTH"] = self.password
        p = subprocess.run(command + list(words), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=env, check=False,
                           timeout=20)
        assert not check or p.returncode == 0, p.stdout
        return p.stdout.decode(errors="replace") if text else p.stdout

    def session(self, *lines):
        """Several commands over one connection."""
        command = ["redis-cli", "-p", str(self.port)]
        if self.tls:
            command += ["--tls", "--cacert", self.tls.ca, "--cert", self.tls.client[0], "--key", self.tls.client[1]]
        env = dict(os.environ, LD_PRELOAD="", **({"REDISCLI_AUTH": self.password} if self.password else {}))
        p = subprocess.run(command, input="\n".join(lines) + "\n", stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=env,
                           check=True, text=True, timeout=20)
        assert "ERR" not in p.stdout and "NOAUTH" not in p.stdout, p.stdout

    def clients(self):
        """How many connections there are besides the one that asks."""
        return len([line for line in self.cli("client", "list").split("\n") if line and "cmd=client" not in line])

    def hash(self, key):
        """{field: value} of what lies at a key."""
        lines = self.cli("hgetall", key).split("\n")
        return dict(zip(lines[0:-1:2], lines[1::2]))

    @property
    def host(self):
        return "127.0.0.1:%d" % self.port

    def freeze(self):
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self):
        self.process.send_signal(signal.SIGCONT)

    def kill(self):
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.kill()


class Cluster:
    """Three masters."""

    def __init__(self, folder, password=None):
        more = (("masterauth", password),) if password else ()
        self.nodes = [Redis(os.path.join(str(folder), "n%d" % i), ("cluster-enabled", "yes"), ("cluster-port", str(free_port())),
                            ("cluster-node-timeout", "2000"), *more, password=password) for i in range(3)]
        first = self.nodes[0]
        command = ["redis-cli", "--cluster", "create", *[n.host for n in self.nodes], "--cluster-yes"]
        env = dict(os.environ, LD_PRELOAD="", **({"REDISCLI_AUTH": password} if password else {}))
        subprocess.run(command, check=True, env=env, stdout=subprocess.DEVNULL, timeout=60)
        for n in self.nodes:
            n.await_answer("cluster info", "cluster_state:ok")
        self.host = first.host

    def owner(self, key):
        slot = int(self.nodes[0].cli("cluster", "keyslot", key))
        for n in self.nodes:
            for line in n.cli("cluster", "nodes").split("\n"):
                if "myself" in line:
                    for span in line.split()[8:]:
                        if span.startswith("["):
                            continue
                        low, _, high = span.partition("-")
                        if int(low) <= slot <= int(high or low):
                            return n
        raise AssertionError("nobody owns %r" % key)

    def stop(self):
        for n in self.nodes:
            n.stop()


class Watched:
    """A master and a replica, watched by three sentinels under the name `mymaster`."""

    def __init__(self, folder, password=None, sentinel_password=None):
        folder = str(folder)
        auth = (("masterauth", password),) if password else ()
        self.master = Redis(os.path.join(folder, "a"), *auth, password=password)
        self.replica = Redis(os.path.join(folder, "b"), ("replicaof", "127.0.0.1", str(self.master.port)), *auth, password=password)
        self.replica.await_answer("info replication", "master_link_status:up")
        words = [("sentinel", "monitor", "mymaster", "127.0.0.1", str(self.master.port), "2"),
                 ("sentinel", "down-after-milliseconds", "mymaster", "1000"),
                 ("sentinel", "failover-timeout", "mymaster", "5000")]
        if password:
            words.append(("sentinel", "auth-pass", "mymaster", password))
        if sentinel_password:
            words.append(("sentinel", "sentinel-pass", sentinel_password))
        self.sentinels = [Redis(os.path.join(folder, "s%d" % i), *words, sentinel=True, password=sentinel_password)
                          for i in range(3)]
        for s in self.sentinels:
            s.await_answer("sentinel master mymaster", "num-other-sentinels\n2")
        self.sentinels[0].await_answer("sentinel replicas mymaster", str(self.replica.port))
        self.host = ",".join(s.host for s in self.sentinels)

    def stop(self):
        for s in self.sentinels + [self.replica, self.master]:
            s.stop()


