# SPDX-License-Identifier: Apache-2.0
"""A store's server that moves: its name says another address from now on, or nothing for a while. The resolver is the tests' own
(tests/fault/shim.c), below libc's getaddrinfo."""
import time

import pytest
from fault_control import SHIM
from sidecar import SLOW, component
from store_servers import SERVERS, StoreServer
from trouble import Load, Proxy, works

pytestmark = [pytest.mark.plain, pytest.mark.ours]
NAME = "store.example"


class Moving:
    """One server at one of two addresses, and what its name says."""

    def __init__(self, kind, folder):
        self.server, self.path = StoreServer(kind, folder), folder / "names"
        self.here = Proxy(self.server.port)
        self.say(self.here.address)
        self.there = None

    def say(self, address):
        new = self.path.with_suffix(".new")
        new.write_text("%s %s\n" % (NAME, address))
        new.replace(self.path)

    def leave(self):
        self.here.stop()
        self.here.drop()

    def arrive(self):
        self.there = Proxy(self.server.port, "127.0.0.2", self.here.port)

    def start(self, start):
        return start(self.server.component(NAME, self.here.port), component("other", "state.in-memory"),
                     env={"LD_PRELOAD": SHIM, "FAULT_NAMES": str(self.path)})

    def stop(self):
        for proxy in (self.here, self.there):
            if proxy:
                proxy.stop()
                proxy.drop()
        self.server.stop()


@pytest.fixture(params=SERVERS)
def moving(request, tmp_path):
    m = Moving(request.param, tmp_path)
    yield m
    m.stop()


def test_a_server_that_moves_under_load(moving, start):
    s = moving.start(start)
    works(s)
    load = Load(s, threads=4)
    time.sleep(0.5)
    moving.arrive()
    moving.say("127.0.0.2")
    moving.leave()
    works(s)
    moved = len(moving.there.pairs)
    time.sleep(0.5)
    load.stop()
    assert moved > 0 and len(load.acknowledged) > 10
    load.check()


def test_who_is_connected_stays_where_he_is(moving, start):
    s = moving.start(start)
    works(s)
    moving.say("-")
    assert s.save("k", 1).status == 204 and s.read("k").json == 1


def test_a_name_that_is_gone_for_a_while(moving, start):
    s = moving.start(start)
    s.save("k", 1)
    moving.say("-")
    moving.leave()
    time.sleep(0.2)
    began = time.monotonic()
    for _ in range(3):
        r = s.read("k")
        assert r.status == 500 and NAME in r.message, r
    assert time.monotonic() - began < 5 * SLOW
    assert s.save("k", 1, store="other").status == 204
    moving.arrive()
    moving.say("127.0.0.2")
    works(s)
    assert s.read("k").json == 1
