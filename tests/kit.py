# SPDX-License-Identifier: Apache-2.0
"""Davit's kit as a vendor has it: installed into a folder, and used with nothing of this tree."""
import os
import subprocess

from sidecar import BUILD

PREFIX = "/usr"


def script(what, destination, prefix=PREFIX, libdir=PREFIX + "/lib"):
    env = dict(os.environ, BUILD=BUILD, DESTDIR=str(destination), PREFIX=prefix, BINDIR=prefix + "/bin", LIBDIR=libdir,
               INCLUDEDIR=prefix + "/include", DATADIR=prefix + "/share")
    subprocess.run(["packaging/install.sh", what], env=env, check=True, capture_output=True)


class Kit:
    """What `make install DESTDIR=` has put below root."""

    def __init__(self, root):
        self.root = str(root)
        script("install", root)
        self.env = {k: os.environ[k] for k in ("PATH", "HOME", "LANG", "TMPDIR", "ASAN_OPTIONS", "TSAN_OPTIONS") if k in os.environ}
        self.env.update(PKG_CONFIG_SYSROOT_DIR=self.root, PKG_CONFIG_LIBDIR=self.root + "/usr/lib/pkgconfig",
                        PKG_CONFIG_ALLOW_SYSTEM_CFLAGS="1", PKG_CONFIG_ALLOW_SYSTEM_LIBS="1")

    def program(self, name):
        return os.path.join(self.root, "usr/bin", name)

    def run(self, *words, cwd=None, check=True, timeout=300, **env):
        """Anything, with this kit as the installed one: (exit code, both outputs)."""
        p = subprocess.run([self.program(words[0]) if "/" not in words[0] and words[0].startswith("davit") else words[0], *words[1:]],
                           cwd=cwd, env=dict(self.env, **env), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                           timeout=timeout, check=False, stdin=subprocess.DEVNULL)
        assert not check or p.returncode == 0, "%s ended with %d:\n%s" % (" ".join(map(str, words)), p.returncode, p.stdout)
        return p.returncode, p.stdout

    def flags(self, what):
        return self.run("pkg-config", what, "davit")[1].split()

    def compile(self, to, *sources, more=(), name, version="1.0.0", minor=None):
        """A plugin from sources, in one command, as name and version."""
        minors = [] if minor is None else ["-DDAVIT_SDK_MINOR=%du" % minor]
        self.run("cc", "-std=gnu11", "-g", "-O1", "-shared", '-DPLUGIN_NAME="%s"' % name, '-DPLUGIN_VERSION="%s"' % version, *minors,
                 *self.flags("--cflags"), "-o", to, *sources, *more, *self.flags("--libs"), "-pthread")

    def fill(self, manifest, version, library):
        """The text of a finished manifest."""
        digest = subprocess.run(["sha256sum", library], check=True, capture_output=True, text=True).stdout.split()[0]
        return self.run("davit-manifest", "fill", "-", manifest, version, digest)[1]
