# SPDX-License-Identifier: Apache-2.0
"""`make install`: what is installed runs from where it is, a vendor can build on it, and uninstall takes all of it away."""
import os
import subprocess

import pytest

from kit import script
from sidecar import Sidecar, component

pytestmark = [pytest.mark.ours, pytest.mark.plain]


def files(folder):
    return sorted(os.path.relpath(os.path.join(d, f), folder) for d, _, fs in os.walk(folder) for f in fs)


def test_what_is_installed_runs_under_both_names(tmp_path):
    root = tmp_path / "root"
    script("install", root, libdir="/usr/lib")
    assert os.readlink(root / "usr/bin/daprd") == "davitd"
    for name in ("davitd", "daprd"):
        s = Sidecar(tmp_path / name, component("store", "state.in-memory"), program=str(root / "usr/bin" / name))
        s.start()
        assert s.save("k", 1).status == 204
        assert str(root / "usr/lib/davit/plugins") in s.log().replace("/bin/../", "/")
        s.stop()
    script("uninstall", root, libdir="/usr/lib")
    assert files(root) == []


def test_libdir_is_honoured(tmp_path):
    script("install", tmp_path, libdir="/usr/lib/x86_64-linux-gnu")
    found = files(tmp_path)
    assert "usr/lib/x86_64-linux-gnu/pkgconfig/davit.pc" in found
    assert any(f.startswith("usr/lib/x86_64-linux-gnu/davit/plugins/state.sqlite/") for f in found)
    assert not any(f.startswith("usr/lib/davit") for f in found)
    script("uninstall", tmp_path, libdir="/usr/lib/x86_64-linux-gnu")
    assert files(tmp_path) == []


def test_a_vendor_builds_with_pkg_config_alone(tmp_path):
    root = tmp_path / "root"
    script("install", root, libdir="/usr/lib/x86_64-linux-gnu")
    env = dict(os.environ, PKG_CONFIG_SYSROOT_DIR=str(root), PKG_CONFIG_LIBDIR=str(root / "usr/lib/x86_64-linux-gnu/pkgconfig"),
               PKG_CONFIG_ALLOW_SYSTEM_CFLAGS="1", PKG_CONFIG_ALLOW_SYSTEM_LIBS="1")
    flags = subprocess.run(["pkg-config", "--cflags", "--libs", "davit"], env=env, check=True, capture_output=True, text=True).stdout.split()
    folder = "plugins/secretstores/local.env"
    sources = [os.path.join(folder, f) for f in sorted(os.listdir(folder)) if f.endswith(".c")]
    plugin = str(tmp_path / "vendor.so")
    compiled = [f for f in flags if not f.startswith(("-l", "-L", "-Wl"))]
    subprocess.run(["cc", "-D_GNU_SOURCE", "-std=gnu11", "-O2", "-shared", '-DPLUGIN_NAME="secretstores.local.env"', '-DPLUGIN_VERSION="9.9.9"',
                    *compiled, "-o", plugin, *sources, *[f for f in flags if f not in compiled], "-pthread"], check=True)
    p = subprocess.run([root / "usr/bin/davit-bench", "-s", "DAVIT_VENDOR=v", "-a", "DAVIT_NOT_SET", plugin],
                       env=dict(os.environ, DAVIT_VENDOR="v"), capture_output=True, text=True, check=False)
    assert p.returncode == 0, p.stdout + p.stderr
    assert "0 failed" in p.stdout
