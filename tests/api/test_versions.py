# SPDX-License-Identifier: Apache-2.0
"""Several versions of a plugin side by side: the newest that fits, and what a resource asks for by its annotations."""
import json
import os
import subprocess

import pytest
import yaml

from rogue import Folder
from sidecar import BUILD, Sidecar, component

pytestmark = pytest.mark.ours


@pytest.fixture(scope="module")
def plugins(tmp_path_factory):
    folder = Folder(tmp_path_factory.mktemp("plugins"))
    for version in ("0.1.0", "0.2.0", "0.2.9", "0.10.0", "0.11.0-rc.1"):
        folder.put(version=version)
    folder.put(version="0.12.0", manifest={"kernel": ">=99"})
    folder.put(version="0.13.0", manifest={"abi": 2})
    folder.put(name="twin", version="5.0.0")
    folder.put(version="0.9.0", name="state.beta", kind="state.beta", status="beta")
    folder.put(version="0.9.0", name="state.alpha", kind="state.alpha", status="alpha")
    return folder


def resource(name="rogue", kind="state.rogue", **annotations):
    r = yaml.safe_load(component(name, kind))
    r["metadata"]["annotations"] = {"davit.dev/" + k.replace("_", "-"): v for k, v in annotations.items()}
    return yaml.safe_dump(r)


def opened(tmp_path, folder, text, **flags):
    """Which plugin serves it: what the metadata API says."""
    s = Sidecar(tmp_path / "run", text, flags=dict({"plugins-path": folder.path}, **flags)).start()
    told = s.get("/v1.0/metadata").json["extended"]["davit.component.rogue"]
    assert s.read("well", "rogue").json == "well"
    log = s.log()
    s.stop()
    return told, log


@pytest.mark.parametrize("annotations, version", [
    ({}, "0.10.0"),
    ({"plugin_version": ">=0.2 <0.3"}, "0.2.9"),
    ({"plugin_version": "0.2.0"}, "0.2.0"),
    ({"plugin_version": "~0.1.0 || =0.2.0"}, "0.2.0"),
    ({"plugin_version": ">=0.11.0-rc.1"}, "0.11.0-rc.1"),
    ({"plugin": "twin"}, "5.0.0"),
    ({"plugin": "state.rogue", "plugin_version": "<0.2"}, "0.1.0"),
])
def test_the_newest_that_fits(tmp_path, plugins, annotations, version):
    told, log = opened(tmp_path, plugins, resource(**annotations))
    assert "plugin=" + version in told.split()
    assert "Plugin loaded: %s %s by Rogue" % ("twin" if version == "5.0.0" else "state.rogue", version) in log


@pytest.mark.parametrize("annotations, says", [
    ({"plugin_version": ">=7"}, "no plugin of it fits: state.rogue 0.1.0 is not in the range >=7; "),
    ({"plugin_version": "0.12.0"}, "state.rogue 0.12.0 is for kernels >=99, this is 0."),
    ({"plugin_version": "0.13.0"}, "state.rogue 0.13.0 is for plugin ABI 2, this kernel has 1"),
    ({"plugin_version": "latest"}, "its annotation davit.dev/plugin-version is no range of versions, such as >=0.2 <0.3: latest"),
    ({"plugin": "nobody"}, "state.rogue 0.1.0 is not the plugin nobody"),
])
def test_nothing_fits(tmp_path, plugins, annotations, says):
    code, log = Sidecar(tmp_path / "run", resource(**annotations), flags={"plugins-path": plugins.path}).run()
    assert code == 1 and says in log


def test_an_annotation_of_ours_that_there_is_not_is_told(tmp_path, plugins):
    _, log = opened(tmp_path, plugins, resource(plugin_versions="0.2.0"))
    assert "Component rogue: there is no annotation davit.dev/plugin-versions; there are davit.dev/plugin and davit.dev/plugin-version" in log


@pytest.mark.parametrize("status", ["alpha", "beta"])
def test_alpha_and_beta_say_so(tmp_path, plugins, status):
    s = Sidecar(tmp_path / "run", resource("rogue", "state." + status), flags={"plugins-path": plugins.path}).start()
    assert "has status %s: it is not supported for production" % status in s.log()
    s.stop()


def grant(folder, tier, *versions):
    rows = []
    for version in versions:
        with open(os.path.join(folder.path, "state.rogue", version, "state.rogue.json"), encoding="utf-8") as f:
            m = json.load(f)
        rows.append({"type": "state.rogue", "version": "v1", "plugin": "state.rogue", "pluginVersion": version, "sha256": m["sha256"],
                     "tier": tier})
    with open(os.path.join(folder.path, "index.json"), "w", encoding="utf-8") as f:
        json.dump(rows, f)


def test_min_tier_takes_the_newest_that_has_it(tmp_path):
    folder = Folder(tmp_path / "plugins")
    folder.put(version="1.0.0", tier="managed")
    folder.put(version="2.0.0", tier="managed")  # dropped in: it claims what nobody granted
    grant(folder, "managed", "1.0.0")
    told, log = opened(tmp_path / "a", folder, resource(), **{"min-tier": "managed"})
    assert told.split()[0] == "tier=managed" and "plugin=1.0.0" in told.split()
    assert "2.0.0/state.rogue.so: state.rogue/v1 claims tier managed, the index grants community: it opens as community" in log
    told, _ = opened(tmp_path / "b", folder, resource())
    assert told.split()[0] == "tier=community" and "plugin=2.0.0" in told.split()
    grant(folder, "standard", "1.0.0")
    code, log = Sidecar(tmp_path / "c", resource(), flags={"plugins-path": folder.path, "min-tier": "managed"}).run()
    assert code == 1
    assert "state.rogue 1.0.0 has the tier standard and --min-tier asks for managed" in log
    assert "state.rogue 2.0.0 has the tier community and --min-tier asks for managed" in log


def test_the_same_in_two_folders_is_taken_from_the_first(tmp_path):
    one, two = Folder(tmp_path / "one"), Folder(tmp_path / "two")
    first, second = one.put(), two.put()
    for a, b, in_use, not_used in ((one, two, first, second), (two, one, second, first)):
        s = Sidecar(tmp_path / os.path.basename(a.path) / "run", resource(), flags={"plugins-path": [a.path, b.path]}).start()
        assert "from %s " % in_use in s.log()
        assert "%s is not used: the same plugin and version lies in %s, which comes first" % (not_used, in_use) in s.log()
        s.stop()


def davit(*words):
    p = subprocess.run([os.path.join(BUILD, "bin/davit"), *words], capture_output=True, text=True, timeout=60, check=False)
    return p.returncode, p.stdout


def test_the_listing_tells_which_is_used(plugins):
    listed = json.loads(davit("components", "list", "--plugins-path", plugins.path, "--output", "json")[1])
    used = [(c["plugin"], c["pluginVersion"]) for c in listed if c["type"] == "state.rogue" and c["used"]]
    assert used == [("state.rogue", "0.10.0")]
    assert "0.2.0 (not used unless it is asked for)" in davit("components", "list", "--plugins-path", plugins.path)[1]


def test_verify_tells_what_is_not_taken(tmp_path):
    folder = Folder(tmp_path)
    file = folder.put()
    manifest = file[:-3] + ".json"
    with open(manifest, "w", encoding="utf-8") as f:
        f.write("{")
    code, out = davit("plugins", "verify", "--plugins-path", folder.path)
    assert code == 1 and "not taken: " + manifest in out
    told = json.loads(davit("plugins", "verify", "--plugins-path", folder.path, "--output", "json")[1])
    assert any(t.get("fault", "").startswith(manifest) for t in told)
    folder.write(file, {"version": "3.0.0"}, {})
    assert "says version 3.0.0, its folder is named 1.0.0" in davit("plugins", "verify", "--plugins-path", folder.path)[1]
