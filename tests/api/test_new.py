# SPDX-License-Identifier: Apache-2.0
"""`davit new`: a vendor's plugin from the installed kit alone, outside the tree: built, put to the test, packed, served from."""
import glob
import json
import os
import subprocess

import pytest

from kit import Kit
from sidecar import Sidecar, component, configuration, free_port

pytestmark = [pytest.mark.ours, pytest.mark.plain]

BLOCKS = ["state", "secretstores", "pubsub", "nameresolution"]


@pytest.fixture(scope="module")
def kit(tmp_path_factory):
    return Kit(tmp_path_factory.mktemp("kit"))


@pytest.fixture(scope="module", params=[(b, lang) for b in BLOCKS for lang in ("c", "c++")], ids="-".join)
def made(request, kit, tmp_path_factory):
    """A plugin just made and built: (block, its folder)."""
    block, lang = request.param
    where = tmp_path_factory.mktemp("vendor")
    kit.run("davit", "new", block, "acme", "--lang", lang, "--vendor", "Acme Corp", cwd=where)
    folder = where / (block + ".acme")
    out = kit.run("make", "-s", cwd=folder, CFLAGS="-O2 -Wall -Wextra -Werror", CXXFLAGS="-O2 -Wall -Wextra -Werror")[1]
    assert out == ""
    return block, folder


def test_its_own_check_passes(kit, made):
    block, folder = made
    out = kit.run("make", "-s", "check", cwd=folder, PORT=str(free_port()))[1]
    assert ", 0 failed\n" in out and "not ok" not in out
    assert out.endswith("%s.acme: well\n" % block)


def test_nothing_of_the_template_is_left_open(made):
    _, folder = made
    names = sorted(os.path.relpath(os.path.join(d, f), folder) for d, _, files in os.walk(folder) for f in files if "/build" not in d)
    for name in ("Makefile", "README.md", "manifest.json", "packaging/control", "tests/check.sh", ".gitignore"):
        assert name in names
    for name in names:
        text = (folder / name).read_text()
        assert not [w for w in ("@TYPE@", "@NAME@", "@VENDOR@", "@VERSION@", "@PACKAGE@", "@ASK@", "@RUN_FLAGS@") if w in text], name


def test_its_manifest_fits_the_schema(made):
    import jsonschema
    block, folder = made
    manifest = json.loads((folder / ("build/plugins/%s.acme/0.1.0/%s.acme.json" % (block, block))).read_text())
    with open("manifests/schema/manifest.schema.json", encoding="utf-8") as f:
        jsonschema.validate(manifest, json.load(f))
    assert manifest["vendor"] == "Acme Corp" and manifest["components"][0]["tier"] == "community"


def test_its_package_holds_one_folder_that_can_be_dropped_in(kit, made):
    block, folder = made
    kit.run("make", "-s", "package", "PLUGINS=/usr/lib/davit/plugins", cwd=folder)
    (package,) = glob.glob(str(folder / "build/*.deb"))
    listed = subprocess.run(["dpkg-deb", "-c", package], check=True, capture_output=True, text=True).stdout
    for end in (".so", ".json"):
        assert "./usr/lib/davit/plugins/%s.acme/0.1.0/%s.acme%s\n" % (block, block, end) in listed
    told = subprocess.run(["dpkg-deb", "-I", package], check=True, capture_output=True, text=True).stdout
    assert "Package: davit-plugin-%s-acme\n" % block in told and "Version: 0.1.0\n" in told


@pytest.mark.parametrize("how", ["PKG_CONFIG_PATH", "PKG_CONFIG_SYSROOT_DIR", "PATH"])
def test_the_kit_is_found_where_it_lies(kit, tmp_path, how):
    """By its davit.pc alone, below a sysroot, or beside the davit of PATH; packed for where plugins belong, not for where the kit lies."""
    env = {k: v for k, v in kit.env.items() if not k.startswith("PKG_CONFIG")}
    pc = kit.root + "/usr/lib/pkgconfig"
    env.update({"PKG_CONFIG_PATH": {"PKG_CONFIG_PATH": pc}, "PATH": {"PATH": kit.root + "/usr/bin:" + env["PATH"]},
                "PKG_CONFIG_SYSROOT_DIR": {"PKG_CONFIG_SYSROOT_DIR": kit.root, "PKG_CONFIG_LIBDIR": pc}}[how])
    kit.run("davit", "new", "state", "acme", "--lang", "cpp", cwd=tmp_path)
    subprocess.run(["make", "-s", "package"], cwd=tmp_path / "state.acme", env=env, check=True, capture_output=True)
    (package,) = glob.glob(str(tmp_path / "state.acme/build/*.deb"))
    listed = subprocess.run(["dpkg-deb", "-c", package], check=True, capture_output=True, text=True).stdout
    assert " ./usr/lib/davit/plugins/state.acme/0.1.0/state.acme.so\n" in listed and kit.root.lstrip("/") not in listed


def test_without_a_kit_make_says_so(kit, tmp_path):
    kit.run("davit", "new", "state", "acme", cwd=tmp_path)
    p = subprocess.run(["make"], cwd=tmp_path / "state.acme", env={"PATH": os.environ["PATH"]}, capture_output=True, text=True, check=False)
    assert p.returncode == 2 and "Davit's kit is not found: install it, or name the folder of its davit.pc" in p.stderr


@pytest.mark.parametrize("change, says", [
    (lambda m: m["components"][0].update(sttaus="alpha"), 'component 1: there is no member "sttaus"; there are: type'),
    (lambda m: m["components"][0].update(status="gamma"), 'component 1: "status" is "gamma", and must be one of: alpha beta stable'),
    (lambda m: m["components"][0]["metadata"][0].update(type="strng"), 'metadata field 1, url: "type" is "strng"'),
    (lambda m: m["components"][0]["metadata"][0].update(required="yes"), '"required" must be true or false'),
    (lambda m: m["components"][0].pop("metadata"), 'component 1: "metadata" is missing'),
    (lambda m: m.pop("licence"), '"licence" is missing'),
])
def test_what_is_misspelt_in_a_manifest_is_told(kit, tmp_path, change, says):
    kit.run("davit", "new", "state", "acme", cwd=tmp_path)
    path = tmp_path / "state.acme/manifest.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(manifest))
    code, out = kit.run("davit-manifest", "fill", "-", path, "1.0.0", "0" * 64, check=False)
    assert code == 1 and says in out


def test_a_range_of_kernels_is_kept(kit, tmp_path):
    kit.run("davit", "new", "state", "acme", cwd=tmp_path)
    path = tmp_path / "state.acme/manifest.json"
    path.write_text(json.dumps(dict(json.loads(path.read_text()), kernel=">=0.1 <2")))
    assert json.loads(kit.run("davit-manifest", "fill", "-", path, "1.0.0", "0" * 64)[1])["kernel"] == ">=0.1 <2"


def sidecar(kit, folder, tmp_path, *resources, **more):
    s = Sidecar(tmp_path / "run", *resources, program=kit.program("davitd"), flags={"plugins-path": str(folder / "build/plugins")}, **more)
    return s.start()


def test_a_sidecar_serves_from_it(kit, made, tmp_path):
    block, folder = made
    if block == "state":
        s = sidecar(kit, folder, tmp_path, component("store", "state.acme"))
        assert s.save("k", {"a": 1}).status == 204
        got = s.read("k")
        assert got.json == {"a": 1} and got.header("ETag")
        assert s.save("k", 2, etag=got.header("ETag")).status == 204
        assert s.save("k", 3, etag=got.header("ETag")).status == 409
        assert s.read("nothing").status == 204
        s.wait_log("by Acme Corp")
    elif block == "secretstores":
        file = tmp_path / "secrets"
        file.write_text("a=b\n")
        s = sidecar(kit, folder, tmp_path, component("store", "secretstores.acme", {"file": str(file)}))
        assert s.get("/v1.0/secrets/store/a").json == {"a": "b"}
        file.unlink()
        assert "cannot be read" in s.get("/v1.0/secrets/store/a").message or "No such file" in s.get("/v1.0/secrets/store/a").message
    elif block == "pubsub":
        s = sidecar(kit, folder, tmp_path, component("broker", "pubsub.acme"))
        assert s.post("/v1.0/publish/broker/orders", {"a": 1}).status == 204
    else:
        other = Sidecar(tmp_path / "other", app_id="shop", program=kit.program("davitd")).start()
        names = {"component": "acme", "version": "v1", "configuration": {"hosts": "shop=127.0.0.1:%d" % other.internal}}
        s = sidecar(kit, folder, tmp_path, config=[configuration({"nameResolution": names})])
        there = s.get("/v1.0/invoke/shop/method/x")
        assert "no address is known" in s.get("/v1.0/invoke/nobody/method/x").message
        assert "app channel is not initialized" in there.message  # it got there: that one has no application
        other.stop()
    s.stop()


@pytest.mark.parametrize("words, says", [
    (["state"], "name a block"), (["bindings", "acme"], "there is no block bindings"), (["state", "Acme"], "lower-case"),
    (["state", "../x"], "lower-case"), (["state", "a..b"], "lower-case"), (["state", "acme", "--lang", "rust"], "c or c++"),
    (["state", "acme", "--vendor", 'a"b'], "--vendor"),
])
def test_wrong_use(kit, tmp_path, words, says):
    code, out = kit.run("davit", "new", *words, cwd=tmp_path, check=False)
    assert code == 2 and says in out and os.listdir(tmp_path) == []


def test_nothing_is_written_over(kit, tmp_path):
    (tmp_path / "state.acme").mkdir()
    code, out = kit.run("davit", "new", "state", "acme", cwd=tmp_path, check=False)
    assert code == 1 and "there already" in out and os.listdir(tmp_path / "state.acme") == []
