#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`make run`: two sample applications, each with its sidecar on the embedded default: state, topics and names in SQLite files
that both share, secrets from a file. No server, nothing in the network.

	run.py [--build build] [--once]

Stays up until Ctrl-C, which ends all with exit code 0; --once ends by itself after the tour. Everything lies in a folder of
its own below TMPDIR, gone at the end.
"""
import argparse
import contextlib
import http.client
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

from trace import Spans, tree

HERE = os.path.dirname(os.path.abspath(__file__))
COMPONENT = """apiVersion: dapr.io/v1alpha1
kind: Component
metadata:
  name: {name}
spec:
  type: {type}
  version: v1
  metadata:
  - name: {field}
    value: "{folder}/{file}"
"""
COMPONENTS = [("statestore", "state.sqlite", "connectionString", "state.db"),
              ("pubsub", "pubsub.sqlite", "connectionString", "pubsub.db"),
              ("secretstore", "secretstores.local.file", "secretsFile", "secrets.json")]
CONFIGURATION = """apiVersion: dapr.io/v1alpha1
kind: Configuration
metadata:
  name: config
spec:
  tracing:
    samplingRate: "1"
    zipkin:
      endpointAddress: "{spans}"
  nameResolution:
    component: sqlite
    version: v1
    configuration:
      connectionString: "{folder}/names.db"
"""
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
TAKEN = set()
# Held while we run: who starts beside us takes ports by chance, or both would find the same ones free.
FIRST = socket.socket(socket.AF_UNIX)


def is_first():
    try:
        FIRST.bind("\0davit-run")
        return True
    except OSError:
        return FIRST.getsockname() not in (b"", "")


def port(wished):
    """The wished one, or another where it is taken."""
    for number in (wished if is_first() else 0, 0, 0, 0, 0):
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                s.bind(("127.0.0.1", number))
            except OSError:
                continue
            number = s.getsockname()[1]
            if number not in TAKEN:
                TAKEN.add(number)
                return number
    sys.exit("run: no free port")


def answers(number, process, path):
    end = time.monotonic() + 20
    while time.monotonic() < end and process.poll() is None:
        c = http.client.HTTPConnection("127.0.0.1", number, timeout=2)
        try:
            c.request("GET", path)
            if c.getresponse().status == 204:
                return True
        except OSError:
            pass
        finally:
            c.close()
        time.sleep(0.01)
    return False


def stop(process):
    """The exit code; ends it if it has not ended by itself."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
    try:
        return process.wait(15)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return 1


class Pair:
    """An application and its sidecar."""

    def __init__(self, name, program, folder, ports):
        self.name, self.program, self.folder = name, program, folder
        self.http, self.grpc, self.metrics, self.internal, self.port = [port(p) for p in ports]
        self.log = "%s/%s.log" % (folder, name)
        self.sidecar = self.app = None

    def start_sidecar(self):
        with open(self.log, "wb") as log:
            start = time.monotonic()
            env = dict(os.environ, OTEL_BSP_SCHEDULE_DELAY="100")
            self.sidecar = subprocess.Popen(
                [self.program, "--app-id", self.name, "--app-port", str(self.port), "--resources-path", self.folder + "/resources",
                 "--config", self.folder + "/config.yaml", "--dapr-http-port", str(self.http), "--dapr-grpc-port", str(self.grpc),
                 "--metrics-port", str(self.metrics), "--dapr-internal-grpc-port", str(self.internal),
                 "--dapr-listen-addresses", "127.0.0.1", "--metrics-listen-address", "127.0.0.1",
                 "--dapr-internal-grpc-listen-address", "127.0.0.1"],
                stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True, env=env)
        if not answers(self.http, self.sidecar, "/v1.0/healthz/outbound"):
            with open(self.log, encoding="utf-8", errors="replace") as f:
                sys.stderr.write(f.read())
            print("run: the sidecar of %s did not start; its log is above" % self.name, file=sys.stderr)
            return False
        print("davitd of %s is ready after %.0f ms, process %d" % (self.name, (time.monotonic() - start) * 1000, self.sidecar.pid),
              flush=True)
        return True

    def start_app(self, *words):
        env = dict(os.environ, APP_ID=self.name, TRACE=TRACE, APP_PORT=str(self.port), DAPR_HTTP_PORT=str(self.http),
                   DAPR_GRPC_PORT=str(self.grpc))
        self.app = subprocess.Popen([sys.executable, "%s/%s.py" % (HERE, self.name), *words], env=env, stdin=subprocess.DEVNULL,
                                    start_new_session=True)

    def ended(self):
        return [what for what, p in (("the application", self.app), ("the sidecar of", self.sidecar)) if p and p.poll() is not None]

    def stop(self):
        return [stop(p) for p in (self.app, self.sidecar) if p is not None]


def write(folder, spans):
    os.mkdir(folder + "/resources")
    for name, kind, field, file in COMPONENTS:
        with open("%s/resources/%s.yaml" % (folder, name), "w", encoding="utf-8") as f:
            f.write(COMPONENT.format(name=name, type=kind, field=field, file=file, folder=folder))
    with open(folder + "/config.yaml", "w", encoding="utf-8") as f:
        f.write(CONFIGURATION.format(folder=folder, spans=spans.endpoint))
    with open(folder + "/secrets.json", "w", encoding="utf-8") as f:
        f.write('{"db-password": "not for your eyes"}\n')


def show(shop, orders, folder):
    print("\nTry it, Ctrl-C ends:\n"
          "  curl http://127.0.0.1:%d/orders/42                          the application shop\n"
          "  curl http://127.0.0.1:%d/v1.0/state/statestore/order-42     its state, through the sidecar\n"
          "  curl -d '{\"id\":7,\"item\":\"chair\"}' http://127.0.0.1:%d/v1.0/invoke/orders/method/orders    another order\n"
          "  curl http://127.0.0.1:%d/orders/7                           the application orders\n"
          "  curl http://127.0.0.1:%d/v1.0/secrets/secretstore/bulk\n"
          "  curl http://127.0.0.1:%d/v1.0/metadata\n"
          "  curl http://127.0.0.1:%d/metrics\n"
          "  gRPC on 127.0.0.1:%d; logs, databases and resources in %s"
          % (shop.port, shop.http, shop.http, orders.port, shop.http, shop.http, shop.metrics, shop.grpc, folder), flush=True)


def toured(shop):
    c = http.client.HTTPConnection("127.0.0.1", shop.port, timeout=2)
    try:
        c.request("GET", "/toured")
        return c.getresponse().status == 200
    except OSError:
        return False
    finally:
        c.close()


def show_trace(spans, number, of):
    print("\nThe trace of that order, as both sidecars told it:", flush=True)
    for line in tree(spans.wait_for(number, of)):
        print(line, flush=True)


def run(shop, orders, spans, once, ended):
    """The exit code, when the tour is over or a signal has come."""
    for pair in (shop, orders):
        if not pair.start_sidecar():
            return 1
    orders.start_app()
    if not answers(orders.http, orders.sidecar, "/v1.0/healthz"):
        print("run: the application orders did not start", file=sys.stderr)
        return 1
    shop.start_app(*(["--once"] if once else []))
    shown = once
    while not ended and not shop.ended() and not orders.ended():
        if not shown and toured(shop):
            show_trace(spans, TRACE, (shop.name, orders.name))
            show(shop, orders, shop.folder)
            shown = True
        time.sleep(0.05)
    if once and shop.app.poll() == 0 and shop.sidecar.poll() is None and not orders.ended():
        show_trace(spans, TRACE, (shop.name, orders.name))
        return 0
    for pair in (shop, orders):
        for what in pair.ended():
            print("run: %s %s ended by itself" % (what, pair.name), file=sys.stderr)
    return 0 if ended and not shop.ended() and not orders.ended() else 1


@contextlib.contextmanager
def terminal():
    """Ctrl-C for us alone: make would die of it too, whatever we return, and this has to end with 0."""
    try:
        tty = os.open("/dev/tty", os.O_RDWR)
    except OSError:  # there is none
        yield
        return
    before = os.tcgetpgrp(tty)
    if before != os.getpgrp():  # in the background
        os.close(tty)
        yield
        return
    for sig in (signal.SIGTTOU, signal.SIGTSTP):  # nobody would wake us
        signal.signal(sig, signal.SIG_IGN)
    os.setpgid(0, 0)
    os.tcsetpgrp(tty, os.getpgrp())
    try:
        yield
    finally:
        os.tcsetpgrp(tty, before)
        os.close(tty)


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--build", default="build")
    args.add_argument("--once", action="store_true")
    args = args.parse_args()
    program = os.path.abspath(os.path.join(args.build, "bin/davitd"))
    if not os.access(program, os.X_OK):
        sys.exit("run: %s is not there; `make run` builds it" % program)

    # From here on a signal only ends the waiting below; the children are ended in order, by us alone.
    ended = []
    for sig in (signal.SIGINT, signal.SIGTERM):
        signal.signal(sig, lambda *_: ended.append(1))
    folder = tempfile.mkdtemp(prefix="davit-run-")
    shop = Pair("shop", program, folder, (3500, 50001, 9090, 50002, 8080))
    orders = Pair("orders", program, folder, (3501, 50011, 9091, 50012, 8081))
    spans, code = Spans(), 1
    try:
        write(folder, spans)
        code = run(shop, orders, spans, args.once, ended)
    finally:
        if any(shop.stop() + orders.stop()):
            code = code or 1
        spans.stop()
        shutil.rmtree(folder, ignore_errors=True)
    if code == 0:
        print("\nall have ended well", flush=True)
    return code


if __name__ == "__main__":
    with terminal():
        code = main()
    sys.exit(code)
