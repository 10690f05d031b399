# SPDX-License-Identifier: Apache-2.0
"""`make run`: two sample applications with their sidecars, without a terminal."""
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
import urllib.request

import pytest

from sidecar import BUILD, SLOW

pytestmark = pytest.mark.ours
RUN = [sys.executable, "packaging/run/run.py", "--build", BUILD]


def test_it_takes_the_tour_and_ends():
    p = subprocess.run(RUN + ["--once"], capture_output=True, text=True, timeout=60 * SLOW, check=False, stdin=subprocess.DEVNULL)
    assert p.returncode == 0, p.stdout + p.stderr
    for part in ("(ETag ", "refused: 409 ERR_STATE_SAVE", "transaction", "cart is gone", "db-password has 17 letters",
                 "statestore (state.sqlite/v1)", "pubsub (pubsub.sqlite/v1)", "orders: stored", "all have ended well"):
        assert part in p.stdout, part
    assert re.search(r"orders: invoked +order-44", p.stdout)
    trace = re.search(r"^trace +([0-9a-f]{32}): seen by orders when it was invoked and by shop", p.stdout, re.M).group(1)
    tree = p.stdout.partition("The trace of that order")[2]
    assert re.search(r"orders +(server|client)", tree) and re.search(r"shop +(server|client)", tree), p.stdout
    assert re.search(r"shop: received +.*published by orders, trace " + trace, p.stdout)
    assert "not for your eyes" not in p.stdout


@pytest.mark.parametrize("sig", [signal.SIGINT, signal.SIGTERM])
def test_it_stays_until_ctrl_c(tmp_path, sig):
    with open(tmp_path / "out", "w+", encoding="utf-8") as out:
        p = subprocess.Popen(RUN, stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, env=dict(os.environ, TMPDIR=str(tmp_path)))
        end = time.monotonic() + 60 * SLOW
        while "gRPC on" not in (tmp_path / "out").read_text():
            assert p.poll() is None and time.monotonic() < end, (tmp_path / "out").read_text()
            time.sleep(0.1)
        text = (tmp_path / "out").read_text()
        app = re.search(r"curl (http://127\.0\.0\.1:\d+/orders/42)", text).group(1)
        with urllib.request.urlopen(app, timeout=10) as r:
            assert b'"amount":' in r.read().replace(b" ", b"")
        order = re.search(r"curl -d '(.*)' (http://127\.0\.0\.1:\d+/v1\.0/invoke/orders/method/orders)", text)
        with urllib.request.urlopen(order.group(2), order.group(1).encode(), timeout=10) as r:
            assert b'"order-7"' in r.read()
        while not re.search(r'shop: received +{"id": 7, "item": "chair"}', (tmp_path / "out").read_text()):
            assert p.poll() is None and time.monotonic() < end, (tmp_path / "out").read_text()
            time.sleep(0.1)
        sidecars = [int(n) for n in re.findall(r"davitd of .* process (\d+)", text)]
        p.send_signal(sig)
        assert p.wait(30 * SLOW) == 0, (tmp_path / "out").read_text()
    assert len(sidecars) == 2 and not [n for n in sidecars if os.path.exists("/proc/%d" % n)]
    assert not [d for d in os.listdir(tmp_path) if d.startswith("davit-run-")]


def test_ctrl_c_at_a_terminal_ends_make_with_0_as_well(tmp_path):
    """make would die of the same signal, whatever its recipe returns."""
    (tmp_path / "Makefile").write_text("all:\n\t@cd %s && %s\n" % (os.getcwd(), " ".join(RUN)))
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ["TMPDIR"] = str(tmp_path)
        os.execvp("make", ["make", "-C", str(tmp_path)])
    end, seen, asked = time.monotonic() + 90 * SLOW, b"", False
    while time.monotonic() < end:
        if not select.select([terminal], [], [], 0.5)[0]:
            continue
        try:
            seen += os.read(terminal, 65536)
        except OSError:  # the other side is closed
            break
        if not asked and b"gRPC on" in seen:
            asked = os.write(terminal, b"\x03") == 1
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0, seen[-2000:]
    assert asked and b"all have ended well" in seen
