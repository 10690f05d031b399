# SPDX-License-Identifier: Apache-2.0
"""Plugins that misbehave (tests/plugins/rogue.c), compiled where a test wants them, and folders to put them into."""
import hashlib
import json
import os
import subprocess

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "plugins")
SDK = os.path.join(os.path.dirname(os.path.dirname(HERE)), "sdk/include")


def cc(to, *words, source="rogue.c", include=SDK):
    subprocess.run(["cc", "-D_GNU_SOURCE", "-std=gnu11", "-g", "-O1", "-w", "-shared", "-fPIC", "-fvisibility=hidden", "-I" + include,
                    "-o", str(to), os.path.join(HERE, source), *words, "-pthread", "-ldl"], check=True)


class Folder:
    """A plugin folder that rogues are put into."""

    def __init__(self, path):
        self.path = str(path)

    def put(self, *defines, name="state.rogue", version="1.0.0", kind="state.rogue", folder=None, manifest=None, **more):
        """Compiles one and writes its manifest; more: what the component's entry in the manifest says otherwise."""
        where = os.path.join(self.path, folder or name, version)
        os.makedirs(where)
        file = os.path.join(where, name + ".so")
        cc(file, '-DPLUGIN_NAME="%s"' % name, '-DPLUGIN_VERSION="%s"' % version, '-DROGUE_TYPE="%s"' % kind, *defines)
        self.write(file, manifest or {}, dict({"type": kind}, **more))
        return file

    def write(self, file, manifest, entry):
        name, version = os.path.basename(file)[:-3], os.path.basename(os.path.dirname(file))
        with open(file, "rb") as f:
            digest = hashlib.sha256(f.read()).hexdigest()
        about = dict({"type": "state.rogue", "version": "v1", "block": "state", "status": "stable", "default": True, "tier": "community",
                      "capabilities": [], "operations": [], "metadata": [{"name": "how", "type": "string"}]}, **entry)
        whole = dict({"name": name, "version": version, "vendor": "Rogue", "licence": "none", "library": name + ".so", "sha256": digest,
                      "abi": 1, "sdk": "0.2", "components": [about]}, **manifest)
        beside = os.path.join(os.path.dirname(file), os.path.basename(os.path.dirname(os.path.dirname(file))) + ".json")
        with open(beside, "w", encoding="utf-8") as f:
            json.dump(whole, f)
