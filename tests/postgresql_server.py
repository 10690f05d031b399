# SPDX-License-Identifier: Apache-2.0
"""A real PostgreSQL as processes of an ordinary user, since it refuses to run as root."""
import atexit
import glob
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time

import pytest
from sidecar import SLOW, free_port

FOUND = sorted(glob.glob("/usr/lib/postgresql/*/bin/postgres"), key=lambda p: float(p.split("/")[4]))
if not FOUND:
    pytest.skip("postgresql is not installed", allow_module_level=True)
PROGRAMS = os.path.dirname(FOUND[-1])
USER = pwd.getpwnam("postgres") if os.geteuid() == 0 else None


class Postgres:
    """One server with the user `postgres`, whose password is `pw`, and a database of that name. It lives until stop()."""

    template = None

    def __init__(self, *settings, durable=False, tls=None, hba=None):
        # Every folder above has to be open to its user, which pytest's are not.
        self.folder, self.port = tempfile.mkdtemp(prefix="davit-pg-", dir="/tmp"), free_port()
        os.chmod(self.folder, 0o755)
        self.settings, self.process, self.tls = list(settings), None, tls
        atexit.register(self.remove)
        if USER:
            os.chown(self.folder, USER.pw_uid, USER.pw_gid)
        subprocess.run(["cp", "-a", self.fresh(), self.path("data")], check=True, env=dict(os.environ, LD_PRELOAD=""))
        if not durable:
            self.settings += ["fsync=off"]
        if tls:
            self.write_tls(tls.server)
        if hba:
            with open(self.path("data/pg_hba.conf"), "w", encoding="ascii") as f:
                f.write(hba)
        self.start()

    @classmethod
    def fresh(cls):
        """What initdb makes, made once in this process: to be copied."""
        if cls.template is None:
            cls.template = tempfile.mkdtemp(prefix="davit-pg-", dir="/tmp")
            atexit.register(shutil.rmtree, cls.template, ignore_errors=True)
            os.chmod(cls.template, 0o755)
            password = os.path.join(cls.template, "pw")
            with open(password, "w", encoding="ascii") as f:
                f.write("pw\n")
            if USER:
                os.chown(cls.template, USER.pw_uid, USER.pw_gid)
            cls.run("initdb", "-D", os.path.join(cls.template, "data"), "-U", "postgres", "--pwfile=" + password, "-A", "scram-sha-256",
                    "-E", "UTF8", "--no-locale", "--no-sync")
        return os.path.join(cls.template, "data")

    def path(self, name):
        return os.path.join(self.folder, name)

    def own(self, path, mode):
        os.chmod(path, mode)
        if USER:
            os.chown(path, USER.pw_uid, USER.pw_gid)

    def write_tls(self, pair):
        """The certificate and key that the next start, or reload, uses."""
        for source, name in zip((*pair, self.tls.ca), ("server.crt", "server.key", "ca.crt")):
            shutil.copy(source, self.path("data/" + name))
            self.own(self.path("data/" + name), 0o600)

    @staticmethod
    def as_user():
        return {"user": USER.pw_uid, "group": USER.pw_gid, "extra_groups": []} if USER else {}

    @classmethod
    def run(cls, program, *words):
        p = subprocess.run([os.path.join(PROGRAMS, program), *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                           check=False, cwd="/", env=dict(os.environ, LD_PRELOAD="", LC_ALL="C"), timeout=60 * SLOW, **cls.as_user())
        assert p.returncode == 0, p.stdout
        return p.stdout

    def spawn(self):
        words = ["listen_addresses=127.0.0.1", "unix_socket_directories=" + self.folder, "synchronous_commit=on", *self.settings]
        if self.tls:
            words += ["ssl=on", "ssl_ca_file=ca.crt"]
        command = [os.path.join(PROGRAMS, "postgres"), "-D", self.path("data"), "-p", str(self.port)]
        for word in words:
            command += ["-c", word]
        with open("/dev/null" if USER is None else os.devnull, "rb") as nothing, open(self.path("log"), "ab") as log:
            self.process = subprocess.Popen(command, stdin=nothing, stdout=log, stderr=log, cwd="/",
                                            env=dict(os.environ, LD_PRELOAD="", LC_ALL="C"), **self.as_user())

    def start(self):
        self.spawn()
        end = time.monotonic() + 30 * SLOW
        while self.query("SELECT 1", check=False) != "1":
            assert time.monotonic() < end and self.process.poll() is None, self.log()
            time.sleep(0.05)
        return self

    def log(self):
        with open(self.path("log"), encoding="utf-8", errors="replace") as f:
            return f.read()

    def query(self, sql, check=True, user="postgres", password="pw", database="postgres"):
        """What psql prints: columns with | between, rows with line ends."""
        p = subprocess.run(["psql", "-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", "-h", self.folder, "-p", str(self.port), "-U", user,
                            "-d", database, "-c", sql], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
                           env=dict(os.environ, LD_PRELOAD="", PGPASSWORD=password, PGTZ="UTC"), timeout=60 * SLOW)
        assert not check or p.returncode == 0, p.stdout
        return p.stdout.rstrip("\n")

    def connections(self, application=""):
        return int(self.query("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> "
                              "pg_backend_pid() AND application_name LIKE '%" + application + "%'"))

    def await_query(self, sql, text, seconds=20):
        end = time.monotonic() + seconds * SLOW
        while (got := self.query(sql, check=False)) != text:
            assert time.monotonic() < end, got
            time.sleep(0.05)

    @property
    def url(self):
        return "host=127.0.0.1 port=%d user=postgres password=pw dbname=postgres" % self.port

    def everybody(self):
        """The pids of the server, its children first."""
        with open("/proc/%d/task/%d/children" % (self.process.pid, self.process.pid), encoding="ascii") as f:
            return [int(word) for word in f.read().split()] + [self.process.pid]

    def tell(self, number):
        for pid in self.everybody():
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                pass

    def freeze(self):
        self.tell(signal.SIGSTOP)

    def thaw(self):
        self.tell(signal.SIGCONT)

    def kill(self):
        """As a machine that loses its power: nobody says anything any more."""
        if self.process is not None and self.process.poll() is None:
            self.tell(signal.SIGKILL)
            self.process.wait()

    def stop(self, number=signal.SIGINT):
        """SIGINT ends its clients' connections, SIGTERM waits for them."""
        if self.process.poll() is None:
            self.thaw()
            self.process.send_signal(number)
            try:
                self.process.wait(20 * SLOW)
            except subprocess.TimeoutExpired:
                self.kill()

    def reload(self):
        self.query("SELECT pg_reload_conf()")

    def remove(self):
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)
