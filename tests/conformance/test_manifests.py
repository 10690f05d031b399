# SPDX-License-Identifier: Apache-2.0
"""Each plugin folder as make leaves it: the manifest keeps to its schema and agrees with its library, the index grants."""
import glob
import hashlib
import json
import os

import jsonschema
import pytest

BUILD = os.environ.get("BUILD", "build")
ROOT = os.path.join(BUILD, "lib", "davit", "plugins")
MANIFESTS = sorted(glob.glob(os.path.join(ROOT, "*", "*", "*.json")))


def load(path):
    with open(path, encoding="utf-8") as f:
        return json.load(f)


@pytest.fixture(scope="module")
def validator():
    schema = load("manifests/schema/manifest.schema.json")
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def test_there_is_one_for_each_source():
    assert len(MANIFESTS) == len(glob.glob("manifests/*/*.json")) - len(glob.glob("manifests/schema/*.json"))
    assert len(MANIFESTS) == len(glob.glob("plugins/*/*/plugin.mk"))


@pytest.mark.parametrize("path", MANIFESTS, ids=os.path.basename)
def test_a_manifest_keeps_to_its_schema(path, validator):
    assert [f"{e.json_path}: {e.message}" for e in validator.iter_errors(load(path))] == []


@pytest.mark.parametrize("path", MANIFESTS, ids=os.path.basename)
def test_a_manifest_agrees_with_its_folder_and_library(path):
    manifest = load(path)
    kind, version = path.split(os.sep)[-3:-1]
    assert (manifest["name"], manifest["version"]) == (kind, version)
    with open(os.path.join(os.path.dirname(path), manifest["library"]), "rb") as f:
        library = f.read()
    assert manifest["sha256"] == hashlib.sha256(library).hexdigest()
    note = b"\x08\0\0\0" + b"\x90\0\0\0" + b"\x01\0\0\0" + b"Davit\0\0\0"
    at = library.index(note) + len(note) + 16
    assert library[at:at + 96].rstrip(b"\0").decode() == kind
    assert library[at + 96:at + 128].rstrip(b"\0").decode() == version
    for component in manifest["components"]:
        assert component["type"].encode() + b"\0" in library
        assert component["block"] == component["type"].split(".")[0]


def test_the_index_has_each_component_with_its_tier():
    by_name = lambda r: (r["type"], r["version"])  # noqa: E731
    rows = load(os.path.join(ROOT, "index.json"))
    tiers = {(t["type"], t["version"]): t["tier"] for t in load("manifests/tiers.json")["tiers"]}
    expected = []
    for path in MANIFESTS:
        manifest = load(path)
        for c in manifest["components"]:
            tier = tiers.get((c["type"], c["version"]), "community")
            assert c["tier"] == tier
            expected.append({"type": c["type"], "version": c["version"], "plugin": manifest["name"],
                             "pluginVersion": manifest["version"], "sha256": manifest["sha256"], "tier": tier})
    assert sorted(rows, key=by_name) == sorted(expected, key=by_name)


def test_another_name_of_a_type_has_the_same_fields():
    for path in MANIFESTS:
        components = {(c["type"], c["version"]): c for c in load(path)["components"]}
        for c in components.values():
            if "aliasOf" in c:
                assert c["metadata"] == components[c["aliasOf"], c["version"]]["metadata"]
                assert c["capabilities"] == components[c["aliasOf"], c["version"]]["capabilities"]


@pytest.mark.parametrize("change", [
    lambda m: m.pop("sha256"), lambda m: m.update(unknown=1), lambda m: m.update(version="1"),
    lambda m: m.update(library="../x.so"), lambda m: m.update(components=[]),
    lambda m: m["components"][0].update(tier="gold"), lambda m: m["components"][0].update(type="nodot"),
    lambda m: m["components"][0]["metadata"].append({"name": "a", "type": "text"}),
])
def test_the_schema_refuses(change, validator):
    manifest = load(MANIFESTS[0])
    change(manifest)
    assert not validator.is_valid(manifest)
