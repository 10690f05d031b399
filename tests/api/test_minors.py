# SPDX-License-Identifier: Apache-2.0
"""The promise of the plugin line: the same binary loads in kernels of earlier and later SDK minors, both ways round.

tests/abi holds the headers of the earlier minors as they were; build/minor0 to minor2 are this kernel built to behave as
one of theirs (kernel/plugin/minor.h)."""
import hashlib
import os

import pytest

from rogue import Folder, HERE, cc
from sidecar import BUILD, DAVITD, Sidecar, component

pytestmark = pytest.mark.ours

TESTS = os.path.dirname(HERE)
MINORS = (0, 1, 2, 3)
HEADERS = {0: TESTS + "/abi/0.0", 1: TESTS + "/abi/0.1", 2: TESTS + "/abi/0.2", 3: os.path.join(os.path.dirname(TESTS), "sdk/include")}
KERNELS = {0: os.path.join(BUILD, "minor0/davitd"), 1: os.path.join(BUILD, "minor1/davitd"),
           2: os.path.join(BUILD, "minor2/davitd"), 3: DAVITD}


@pytest.fixture(scope="module")
def plugins(tmp_path_factory):
    """Each version is built with the header of its minor; 9.x says that it cannot do without its own."""
    folder = Folder(tmp_path_factory.mktemp("plugins"))
    for built in MINORS:
        for version, since in (("0.%d.0" % built, 0), ("9.%d.0" % built, built)):
            where = os.path.join(folder.path, "state.minor", version)
            os.makedirs(where)
            file = os.path.join(where, "state.minor.so")
            cc(file, '-DPLUGIN_NAME="state.minor"', '-DPLUGIN_VERSION="%s"' % version, "-DDAVIT_SDK_MINOR_NUMBER=%d" % built,
               "-DSINCE=%d" % since, source="minor.c", include=HEADERS[built])
            folder.write(file, {"sdk": "0.%d" % built}, {"type": "state.minor", "metadata": []})
    return folder


def sidecar(tmp_path, plugins, kernel, version):
    text = component("store", "state.minor").replace("metadata:\n  name: store", "metadata:\n  name: store\n  annotations:\n"
                                                     "    davit.dev/plugin-version: %s" % version)
    assert version in text
    return Sidecar(tmp_path / "run", text, flags={"plugins-path": plugins.path}, program=KERNELS[kernel])


@pytest.mark.parametrize("kernel", MINORS)
@pytest.mark.parametrize("built", MINORS)
def test_the_same_binary_loads_in_every_kernel(tmp_path, plugins, kernel, built):
    file = os.path.join(plugins.path, "state.minor/0.%d.0/state.minor.so" % built)
    with open(file, "rb") as f:
        assert hashlib.sha256(f.read()).hexdigest() in open(file[:-3] + ".json", encoding="utf-8").read()
    s = sidecar(tmp_path, plugins, kernel, "0.%d.0" % built).start()
    told = s.read("k").json
    assert told["built"] == built and told["kernel"] == kernel
    # Each asks whether this kernel has what came with 0.2, and does without where it has not.
    assert told["has"] == int(kernel >= 2)
    assert told["credit"] == (1 if built >= 2 else -1) and told["on_credit"] == (-1 if built >= 2 else -2)
    assert told["loops"] == (1 if built >= 3 and kernel >= 3 else 0)
    # What came with 0.1 counts where both know it.
    (about,) = s.get("/v1.0/metadata").json["components"]
    assert ("TTL" in about["capabilities"]) == (kernel >= 1 and built >= 1) and "ETAG" in about["capabilities"]
    assert s.save("k", 1).status == 204
    s.stop()


@pytest.mark.parametrize("kernel", MINORS)
@pytest.mark.parametrize("built", MINORS)
def test_what_a_plugin_cannot_do_without(tmp_path, plugins, kernel, built):
    s = sidecar(tmp_path, plugins, kernel, "9.%d.0" % built)
    if built <= kernel:
        s.start()
        assert s.read("k").json["built"] == built
        s.stop()
    else:
        code, log = s.run()
        assert code == 1
        assert "needs SDK minor %d or later, this kernel has %d: upgrade the kernel" % (built, kernel) in log


@pytest.mark.parametrize("kernel", (0, 1))
def test_plugins_of_today_in_kernels_of_before(tmp_path, kernel):
    """Ours, as they lie in the build: state runs on, and what came with 0.2 is refused with a sentence."""
    good = component("store", "state.sqlite", {"connectionString": str(tmp_path / "s.db")})
    s = Sidecar(tmp_path / "a", good, component("memory", "state.in-memory"), program=KERNELS[kernel]).start()
    assert s.save("k", 1).status == 204 and s.read("k").json == 1
    assert s.save("k", 1, store="memory").status == 204 and s.read("k", "memory").json == 1
    assert "name resolver" in s.get("/v1.0/invoke/other/method/x").message
    s.stop()
    code, log = Sidecar(tmp_path / "b", component("broker", "pubsub.in-memory"), program=KERNELS[kernel]).run()
    assert code == 1 and "offers pubsub.in-memory as block 2, which this kernel does not have" in log
