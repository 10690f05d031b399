#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`make run`: a sidecar on its embedded default (state in SQLite, secrets from a file) beside the sample application.

	run.py [--build build] [--once]

Stays up until Ctrl-C, which ends both with exit code 0; --once ends by itself after the application's tour. Everything lies in
a folder of its own below TMPDIR, gone at the end.
"""
import argparse
import http.client
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
RESOURCES = """apiVersion: dapr.io/v1alpha1
kind: Component
metadata:
  name: statestore
spec:
  type: state.sqlite
  version: v1
  metadata:
  - name: connectionString
    value: "file:{folder}/state.db"
---
apiVersion: dapr.io/v1alpha1
kind: Component
metadata:
  name: secretstore
spec:
  type: secretstores.local.file
  version: v1
  metadata:
  - name: secretsFile
    value: "{folder}/secrets.json"
"""


def port(wished):
    """The wished one, or another where it is taken."""
    for number in (wished, 0):
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                s.bind(("127.0.0.1", number))
                return s.getsockname()[1]
            except OSError:
                continue
    sys.exit("run: no free port")


def ready(number, process):
    end = time.monotonic() + 20
    while time.monotonic() < end and process.poll() is None:
        c = http.client.HTTPConnection("127.0.0.1", number, timeout=2)
        try:
            c.request("GET", "/v1.0/healthz")
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
    children = []
    code = 0
    try:
        os.mkdir(folder + "/resources")
        with open(folder + "/resources/embedded.yaml", "w", encoding="utf-8") as f:
            f.write(RESOURCES.format(folder=folder))
        with open(folder + "/secrets.json", "w", encoding="utf-8") as f:
            f.write('{"db-password": "not for your eyes"}\n')
        http_port, grpc_port, metrics_port, app_port = port(3500), port(50001), port(9090), port(8080)
        log = open(folder + "/davitd.log", "wb")
        start = time.monotonic()
        sidecar = subprocess.Popen(
            [program, "--app-id", "sample", "--resources-path", folder + "/resources", "--dapr-http-port", str(http_port),
             "--dapr-grpc-port", str(grpc_port), "--metrics-port", str(metrics_port), "--dapr-listen-addresses", "127.0.0.1",
             "--metrics-listen-address", "127.0.0.1", "--dapr-internal-grpc-listen-address", "127.0.0.1"],
            stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True)
        children.append(sidecar)
        if not ready(http_port, sidecar):
            with open(folder + "/davitd.log", encoding="utf-8", errors="replace") as f:
                sys.stderr.write(f.read())
            print("run: the sidecar did not start; its log is above", file=sys.stderr)
            code = 1
            return code
        print("davitd is ready after %.0f ms, process %d" % ((time.monotonic() - start) * 1000, sidecar.pid), flush=True)
        app = subprocess.Popen([sys.executable, HERE + "/app.py", *(["--once"] if args.once else [])], start_new_session=True,
                               env=dict(os.environ, APP_ID="sample", APP_PORT=str(app_port), DAPR_HTTP_PORT=str(http_port),
                                        DAPR_GRPC_PORT=str(grpc_port)), stdin=subprocess.DEVNULL)
        children.append(app)
        if not args.once:
            end = time.monotonic() + 30
            while not ended and app.poll() is None and time.monotonic() < end:
                with socket.socket() as s:
                    if s.connect_ex(("127.0.0.1", app_port)) == 0:
                        break
                time.sleep(0.05)
            print("\nTry it, Ctrl-C ends:\n"
                  "  curl http://127.0.0.1:%d/orders/42                          the application\n"
                  "  curl http://127.0.0.1:%d/v1.0/state/statestore/order-42     its state, through the sidecar\n"
                  "  curl http://127.0.0.1:%d/v1.0/secrets/secretstore/bulk\n"
                  "  curl http://127.0.0.1:%d/v1.0/metadata\n"
                  "  curl http://127.0.0.1:%d/metrics\n"
                  "  gRPC on 127.0.0.1:%d; log, database and resources in %s"
                  % (app_port, http_port, http_port, http_port, metrics_port, grpc_port, folder), flush=True)
        while not ended and app.poll() is None and sidecar.poll() is None:
            time.sleep(0.05)
        if sidecar.poll() is not None or (app.poll() is not None and (app.returncode != 0 or not args.once)):
            print("run: %s ended by itself" % ("the application" if app.poll() is not None else "the sidecar"), file=sys.stderr)
            code = 1
    finally:
        for child in reversed(children):
            if stop(child) != 0:
                code = code or 1
        shutil.rmtree(folder, ignore_errors=True)
    if code == 0:
        print("\nboth have ended well", flush=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
