# SPDX-License-Identifier: Apache-2.0
"""Odd requests of HTTP/1: tests/api/data/odd_http.yaml, and what else a connection can do."""
import os
import re
import socket
import time

import pytest
import yaml

from badinput import nothing_is_lost, serving
from sidecar import COMPARE, SLOW

with open(os.path.join(os.path.dirname(__file__), "data", "odd_http.yaml"), encoding="utf-8") as f:
    ENTRIES = yaml.safe_load(f)
STATUS = re.compile(rb"HTTP/1\.[01] (\d{3}) ")


@pytest.fixture(scope="module")
def sidecar(tmp_path_factory):
    s = serving(str(tmp_path_factory.mktemp("odd") / "s"))
    yield s
    nothing_is_lost(s)
    s.stop()


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda e: e["name"])
def test_an_odd_request(sidecar, entry):
    if "send" in entry:
        data = entry["send"]
    else:
        before, piece, times, after = entry["send_repeat"]
        data = before + piece * times + after
    want = entry.get("dapr", entry["status"]) if COMPARE else entry["status"]
    answer, end = b"", time.monotonic() + 5 * SLOW
    with socket.create_connection(("127.0.0.1", sidecar.http), timeout=5) as c:
        c.sendall(data.encode())
        c.settimeout(0.3 * SLOW)
        while time.monotonic() < end:
            try:
                piece = c.recv(65536)
            except (socket.timeout, ConnectionError):
                break
            if not piece:
                break
            answer += piece
    assert [int(s) for s in STATUS.findall(answer)] == want, answer


def test_every_difference_has_its_reason():
    assert len(ENTRIES) >= 40
    assert all(e.get("why") for e in ENTRIES if "dapr" in e)
    assert len({e["name"] for e in ENTRIES}) == len(ENTRIES)


def read_all(c):
    out = b""
    try:
        while True:
            piece = c.recv(65536)
            if not piece:
                return out
            out += piece
    except (socket.timeout, ConnectionError):
        return out


@pytest.mark.parametrize("size", [1, 7])
def test_a_request_in_small_pieces(sidecar, size):
    request = b"GET /v1.0/state/store/kept HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    with socket.create_connection(("127.0.0.1", sidecar.http), timeout=10) as c:
        c.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for i in range(0, len(request), size):
            c.sendall(request[i:i + size])
        assert read_all(c).startswith(b"HTTP/1.1 200 ")


def test_many_requests_in_one_piece(sidecar):
    one = b"GET /v1.0/state/store/kept HTTP/1.1\r\nHost: x\r\n\r\n"
    last = one.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    with socket.create_connection(("127.0.0.1", sidecar.http), timeout=10) as c:
        c.sendall(one * 499 + last)
        assert STATUS.findall(read_all(c)) == [b"200"] * 500


def test_a_client_that_asks_before_it_sends(sidecar):
    body = b'[{"key": "asked", "value": 1}]'
    with socket.create_connection(("127.0.0.1", sidecar.http), timeout=10) as c:
        c.sendall(b"POST /v1.0/state/store HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(body))
        assert c.recv(1000).startswith(b"HTTP/1.1 100 Continue\r\n\r\n")
        c.sendall(body)
        assert c.recv(1000).startswith(b"HTTP/1.1 204 ")


def test_a_client_that_leaves_in_the_middle(sidecar):
    for cut in (b"GET /v1.0/st", b"POST /v1.0/state/store HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n[{", b"PRI * HTTP/2.0\r\n"):
        for _ in range(20):
            with socket.create_connection(("127.0.0.1", sidecar.http), timeout=10) as c:
                c.sendall(cut)
    nothing_is_lost(sidecar)


def test_http_2_by_prior_knowledge_and_by_upgrade(sidecar):
    import h2.config
    import h2.connection
    import h2.events
    for upgrade in (False, True):
        with socket.create_connection(("127.0.0.1", sidecar.http), timeout=10) as c:
            h = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
            if upgrade:
                settings = h.initiate_upgrade_connection()
                c.sendall(b"GET /v1.0/healthz HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
                          b"HTTP2-Settings: " + settings + b"\r\n\r\n")
                head = b""
                while b"\r\n\r\n" not in head:
                    head += c.recv(1)
                assert head.startswith(b"HTTP/1.1 101 ")
            else:
                h.initiate_connection()
                h.send_headers(1, [(":method", "GET"), (":path", "/v1.0/healthz"), (":scheme", "http"), (":authority", "x")], end_stream=True)
            c.sendall(h.data_to_send())
            status = None
            while status is None:
                for event in h.receive_data(c.recv(65536)):
                    if isinstance(event, h2.events.ResponseReceived):
                        status = dict(event.headers)[":status"]
                c.sendall(h.data_to_send())
            assert status == "204"


@pytest.mark.ours  # Dapr waits longer for half a preface
@pytest.mark.parametrize("half", [b"GET /v1.0/healthz HTTP/1.1\r\nHost:", b"", b"PRI * HTTP/2.0\r\n\r\n"])
def test_a_head_that_never_ends_is_not_waited_for(sidecar, half):
    start = time.monotonic()
    with socket.create_connection(("127.0.0.1", sidecar.http), timeout=30) as c:
        c.sendall(half)
        if not half:
            return  # an idle connection may stay
        out = read_all(c)
    assert time.monotonic() - start < 15 * SLOW
    assert out == b"" or out.startswith((b"HTTP/1.1 408", b"HTTP/1.1 400")) or half.startswith(b"PRI")
