# SPDX-License-Identifier: Apache-2.0
"""Plugins that misbehave: each has its answer and its sentence, and the component beside it serves on."""
import http.client
import os
import shutil
import signal
import socket
import time

import grpc
import pytest

from rogue import Folder, cc
from sidecar import Sidecar, api_v1, component, refused

pytestmark = pytest.mark.ours

GOOD = component("good", "state.in-memory")
# A call that is never done keeps its memory for ever, as it must; the sanitizer is not to say so.
NEVER_DONE = {"ASAN_OPTIONS": ":".join(filter(None, [os.environ.get("ASAN_OPTIONS"), "detect_leaks=0"]))}


@pytest.fixture(scope="module")
def plugins(tmp_path_factory):
    folder = Folder(tmp_path_factory.mktemp("plugins"))
    folder.put()
    return folder


@pytest.fixture
def own(tmp_path):
    return Folder(tmp_path / "plugins")


def sidecar(tmp_path, folder, how="", more=(), flags=None, **kw):
    spec = {k: kw.pop(k) for k in ("initTimeout", "ignoreErrors") if k in kw}
    rogue = component("rogue", "state.rogue", {"how": how} if how else {}, **spec)
    return Sidecar(tmp_path / "run", rogue, GOOD, *more, flags=dict({"plugins-path": folder.path}, **(flags or {})), **kw)


@pytest.fixture(scope="module")
def loop_plugins(tmp_path_factory):
    folder = Folder(tmp_path_factory.mktemp("loop"))
    folder.put("-DROGUE_FLAGS=DAVIT_LOOP")
    return folder


@pytest.fixture(params=["worker", "loop"])
def lane(request, plugins, loop_plugins):
    """The same rogue on threads of its own, and on a fiber of the kernel's loop."""
    return loop_plugins if request.param == "loop" else plugins


@pytest.fixture
def start(tmp_path, lane):
    started = []

    def go(how, **kw):
        s = sidecar(tmp_path, lane, how, **kw)
        started.append(s)
        return s.start()
    yield go
    for s in started:
        s.stop()


def serves(s):
    assert s.save("k", 1, store="good").status == 204 and s.read("k", "good").json == 1


def in_time(s, seconds):
    return refused(s.rpc.GetState, api_v1.GetStateRequest(store_name="rogue", key="k"), timeout=seconds)


# -- a call

def test_one_that_behaves(start):
    s = start("")
    assert s.read("well", "rogue").json == "well"
    assert s.read("k", "rogue").status == 204


def test_never_done(start):
    s = start("never", env=NEVER_DONE)
    assert in_time(s, 0.3).code() == grpc.StatusCode.DEADLINE_EXCEEDED
    s.wait_log("rogue: cancelled")
    c = s.connect()
    c.request("GET", "/v1.0/state/rogue/k")
    time.sleep(0.2)
    c.sock.shutdown(socket.SHUT_RDWR)  # who leaves, cancels
    c.close()
    end = time.monotonic() + 10
    while s.log().count("rogue: cancelled") < 2:
        assert time.monotonic() < end
        time.sleep(0.02)
    assert s.read("well", "rogue").json == "well"
    serves(s)


@pytest.mark.parametrize("how", ["twice", "final"])
def test_done_twice(start, how):
    s = start(how)
    for _ in range(20):
        assert s.read("k", "rogue").json == "once"
    s.wait_log("A plugin finished a call of rogue twice; the second time is ignored")
    serves(s)


@pytest.mark.parametrize("others", [0, 30, 200], ids=["rests", "still", "used again"])
def test_done_again_when_the_call_is_long_over(start, others):
    s = start("again")
    assert s.read("k", "rogue").json == "late"
    for _ in range(others):  # in the time that the plugin waits
        assert s.read("well", "rogue").json == "well"
    s.wait_log("rogue: nothing was taken for a call that has ended")
    s.wait_log("A plugin finished a call of rogue twice; the second time is ignored")
    assert s.read("well", "rogue").json == "well"
    serves(s)


def test_done_late_and_emitted_after_the_cancel(start):
    s = start("late")
    assert in_time(s, 0.2).code() == grpc.StatusCode.DEADLINE_EXCEEDED
    s.wait_log("rogue: what was emitted late was refused")
    s.wait_log("answered a call that nobody waits for any more: its answer is dropped (1 so far)")
    assert s.read("k", "rogue").json == "late"  # this client waits long enough
    serves(s)


def test_done_from_a_thread_of_its_own(start):
    s = start("thread")
    for _ in range(20):
        assert s.read("k", "rogue").json == "late"


def test_a_record_of_a_kind_that_nobody_knows(start):
    s = start("kind")
    r = s.read("k", "rogue")
    assert r.status == 500 and "the kernel said 3" in r.message
    s.wait_log("Component rogue emitted a record of kind 987654, which this kernel does not know: it was not taken")
    serves(s)


def test_a_record_of_another_block(start):
    s = start("block")
    assert s.read("k", "rogue").status == 204  # nothing that a state store could have found
    serves(s)


def test_a_status_that_does_not_exist(start):
    s = start("status")
    assert s.read("k", "rogue").status == 500
    serves(s)


# -- open and close

def test_an_open_that_is_slow(tmp_path, plugins):
    s = sidecar(tmp_path, plugins, "open-slow", initTimeout="300ms", ignoreErrors=True).start()
    assert "init timeout for component rogue (state.rogue/v1) exceeded" in s.log()
    s.wait_log("rogue: nobody wants it any more")
    serves(s)
    s.stop()


def test_an_open_that_never_ends(tmp_path, plugins):
    code, log = sidecar(tmp_path, plugins, "open-pending", initTimeout="300ms", env=NEVER_DONE).run()
    assert code == 1 and "init timeout for component rogue (state.rogue/v1) exceeded" in log


def test_a_close_that_is_slow(tmp_path, plugins):
    s = sidecar(tmp_path, plugins, "close-slow", flags={"dapr-graceful-shutdown-seconds": 1}, expect=None).start()
    began = time.monotonic()
    s.stop(signal.SIGTERM)
    assert time.monotonic() - began < 20
    log = s.log()
    assert "Component rogue did not close within " in log and "ms and is left alone" in log


@pytest.mark.skipif("SANITIZE" in os.environ, reason="the sanitizers have their own words")
@pytest.mark.parametrize("how, sig, word", [("open-crash", signal.SIGSEGV, "a wrong address (SIGSEGV)"),
                                            ("open-abort", signal.SIGABRT, "giving up (SIGABRT)")])
def test_a_crash_in_open_names_the_plugin(tmp_path, plugins, how, sig, word):
    code, log = sidecar(tmp_path, plugins, how).run()
    assert code == -sig
    assert "davitd: plugin state.rogue 1.0.0 by Rogue (%s/state.rogue/1.0.0/state.rogue.so) ended the process by %s" % (plugins.path, word) in log
    assert "take it out of the plugin folder, or another version of it, and tell its vendor" in log


@pytest.mark.skipif("SANITIZE" in os.environ, reason="the sanitizers have their own words")
@pytest.mark.parametrize("how", ["crash", "overflow"])
def test_a_crash_in_a_call_names_the_plugin(tmp_path, lane, how):
    s = sidecar(tmp_path, lane, how, expect=-signal.SIGSEGV).start()
    with pytest.raises((OSError, http.client.HTTPException)):
        s.read("k", "rogue")
    assert s.exit_code() == -signal.SIGSEGV
    s.wait_log("davitd: plugin state.rogue 1.0.0 by Rogue")


@pytest.mark.skipif("SANITIZE" in os.environ, reason="the sanitizers have their own words")
def test_a_crash_while_loading_names_the_file(tmp_path, own):
    file = own.put("-DROGUE_INIT")
    code, log = sidecar(tmp_path, own).run()
    assert code == -signal.SIGSEGV and "davitd: plugin file %s ended the process" % file in log


# -- the file

def refusal(tmp_path, folder, **kw):
    """What the start ends with."""
    code, log = sidecar(tmp_path, folder, **kw).run()
    assert code == 1, log
    return log


@pytest.mark.parametrize("define, says", [
    ("-DROGUE_ABI=7u", "was built for plugin ABI 7, this kernel has 1: install a build for it"),
    ("-DROGUE_SINCE=99", "needs SDK minor 99 or later, this kernel has "),
    ("-DROGUE_NO_NOTE", "has no Davit note: write DAVIT_PLUGIN(...) once in its sources"),
    ("-DROGUE_NOTE", "contradicts itself: its entry and its note differ"),
    ("-DROGUE_OPS", "offers state.rogue with an operation table of kind 400, not 100"),
])
def test_a_file_that_is_not_right(tmp_path, own, define, says):
    file = own.put(define)
    assert "plugin %s %s" % (file, says) in refusal(tmp_path, own)


def test_a_newer_tail_is_left_alone(tmp_path, own):
    own.put("-DROGUE_TAIL")
    s = sidecar(tmp_path, own).start()
    assert s.read("well", "rogue").json == "well"
    s.stop()


def test_a_note_that_is_not_the_manifests(tmp_path, own):
    file = own.put(manifest={"name": "state.other"})
    assert "says it is state.rogue 1.0.0, its manifest says state.other 1.0.0: install both of one package" in refusal(tmp_path, own)
    assert os.path.exists(file)


def test_a_component_that_the_descriptor_does_not_have(tmp_path, own):
    own.put("-DROGUE_TYPE_UNUSED", kind="state.rogue", version="1.0.0")
    file = os.path.join(own.path, "state.rogue/1.0.0/state.rogue.so")
    cc(file, '-DPLUGIN_NAME="state.rogue"', '-DPLUGIN_VERSION="1.0.0"', '-DROGUE_TYPE="state.another"')
    own.write(file, {}, {})
    assert "does not offer state.rogue/v1, though its manifest says so" in refusal(tmp_path, own)


def test_a_file_that_is_not_the_one_hashed(tmp_path, own):
    file = own.put()
    with open(file, "ab") as f:
        f.write(b"x")
    assert "is not the file its manifest names (SHA-256 " in refusal(tmp_path, own)


def test_a_file_that_changes_between_hash_and_load(tmp_path, own):
    file = own.put()
    cc(tmp_path / "swap.so", source="swap.c")
    shutil.copy(file, file + ".swap")
    preload = {"LD_PRELOAD": str(tmp_path / "swap.so")}
    if "SANITIZE" in os.environ:
        pytest.skip("a preloaded library comes before the sanitizer's")
    assert "changed between the check and the load: start again once it stays as it is" in refusal(tmp_path, own, env=preload)


def test_a_library_that_is_missing(tmp_path, own):
    cc(tmp_path / "libnowhere.so", "-Wl,-soname,libnowhere.so.5", source="swap.c")
    own.put("-Wl,--no-as-needed", "-L" + str(tmp_path), "-lnowhere")
    log = refusal(tmp_path, own)
    assert "cannot be loaded: libnowhere.so.5: cannot open shared object file" in log and "install what it needs" in log


def test_a_folder_that_others_may_write(tmp_path, own):
    file = own.put()
    where = os.path.dirname(file)
    os.chmod(where, 0o777)
    assert "%s: may be written by others: run `chmod go-w` on it" % where in refusal(tmp_path, own)


def test_a_file_that_belongs_to_somebody_else(tmp_path, own):
    if os.geteuid() != 0:
        pytest.skip("only root can give a file away")
    file = own.put()
    os.chown(file, 12345, 12345)
    says = "%s: belongs to another user than root or the one that runs this: change its owner" % file
    assert says in refusal(tmp_path, own)


def test_a_refused_plugin_leaves_the_others_alone(tmp_path, own):
    own.put("-DROGUE_ABI=7u")
    s = sidecar(tmp_path, own, ignoreErrors=True).start()
    serves(s)
    s.stop()


def test_two_claimants_of_a_type(tmp_path, own):
    mine = own.put()
    other = own.put(name="twin", version="9.0.0")
    s = sidecar(tmp_path, own).start()
    says = ("state.rogue/v1 is claimed by the plugins state.rogue (%s) and twin (%s): the first is used; "
            "the annotation davit.dev/plugin of the resource chooses" % (mine, other))
    assert says in s.log()
    assert "from %s" % mine in s.log() and s.read("well", "rogue").json == "well"
    s.stop()
