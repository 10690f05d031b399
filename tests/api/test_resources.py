# SPDX-License-Identifier: Apache-2.0
"""Resources from files: which are taken, where their values come from, and what a bad one does."""
import json
import os
import shutil

import pytest
import yaml

from sidecar import BUILD, DAVITD, SLOW, Sidecar, component, configuration

MEMORY = component("store", "state.in-memory")


def names(s):
    return sorted(c["name"] for c in s.get("/v1.0/metadata").json.get("components", []))


def documents(*texts):
    return "---\n".join(texts)


def test_several_documents_in_one_file(start):
    s = start("\n---\n" + documents(component("a", "state.in-memory"), "\n", component("b", "state.in-memory"), "# nothing\n"))
    assert names(s) == ["a", "b"]


@pytest.mark.parametrize("file,taken", [("x.yaml", True), ("x.yml", True), ("x.YAML", None), ("x.json", False), ("x.yaml.bak", False),
                                        ("sub/x.yaml", False), (".hidden.yaml", None)])
def test_which_files_are_read(tmp_path, file, taken):
    s = Sidecar(tmp_path / "s")
    s.write("resources/" + file, MEMORY)
    s.start()
    if taken is not None:
        assert names(s) == (["store"] if taken else [])
    s.stop()


def test_a_link_to_a_file_is_read(tmp_path):
    s = Sidecar(tmp_path / "s")
    os.symlink(s.write("elsewhere.yaml", MEMORY), s.resources + "/link.yaml")
    s.start()
    assert names(s) == ["store"]
    s.stop()


def test_several_folders(tmp_path):
    folders = [tmp_path / "a", tmp_path / "b"]
    for f in folders:
        f.mkdir()
        (f / "c.yaml").write_text(component(f.name, "state.in-memory"))
    s = Sidecar(tmp_path / "s", paths=folders)
    s.start()
    assert names(s) == ["a", "b"]
    s.stop()


def test_the_deprecated_name_of_the_folder(start, tmp_path):
    (tmp_path / "c.yaml").write_text(MEMORY)
    s = start(flags={"resources-path": None, "components-path": tmp_path})
    assert names(s) == ["store"]


def test_a_folder_that_is_not_there(tmp_path):
    code, log = Sidecar(tmp_path / "s", paths=[tmp_path / "gone"]).run()
    assert code == 1 and "gone" in log


def test_scopes(start):
    s = start(component("mine", "state.in-memory", scopes=["other", "testapp"]), component("theirs", "state.in-memory", scopes=["other"]),
              component("all", "state.in-memory"))
    assert names(s) == ["all", "mine"]


@pytest.mark.parametrize("namespace,want", [("ns1", ["in", "none"]), (None, ["in", "none", "out"])])
def test_namespaces(start, namespace, want):
    s = start(component("in", "state.in-memory", namespace="ns1"), component("out", "state.in-memory", namespace="ns2"),
              component("none", "state.in-memory"), env={"NAMESPACE": namespace} if namespace else {})
    assert names(s) == want


def test_other_kinds_are_passed_over(start):
    s = start(documents(MEMORY, configuration({"features": []}), "apiVersion: v1\nkind: Secret\nmetadata: {name: x}\n", "kind: 12\n"))
    assert names(s) == ["store"]


def test_anchors(start):
    s = start("""apiVersion: dapr.io/v1alpha1
kind: Component
metadata: &m
  name: store
spec:
  type: &t state.in-memory
  version: v1
  metadata:
  - &entry
    name: a
    value: x
  - <<: *entry
    name: b
""")
    assert names(s) == ["store"]


@pytest.mark.ours
def test_anchors_cannot_blow_up(tmp_path):
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n"
    bomb += "".join("a%d: &a%d [%s]\n" % (i, i, ", ".join(["*a%d" % (i - 1)] * 9)) for i in range(1, 12))
    s = Sidecar(tmp_path / "s", "apiVersion: dapr.io/v1alpha1\nkind: Component\n" + bomb, expect=None)
    s.spawn()
    s.wait_log("0.yaml")
    with open("/proc/%d/status" % s.process.pid, encoding="ascii") as f:
        peak = [int(line.split()[1]) for line in f if line.startswith("VmHWM")]
    assert not peak or peak[0] < 200 * 1024
    s.stop()


# -- values

def test_types_of_values(start, tmp_path):
    s = start(yaml.safe_dump({"apiVersion": "dapr.io/v1alpha1", "kind": "Component", "metadata": {"name": 123}, "spec": {
        "type": "state.sqlite", "version": "v1", "metadata": [
            {"name": "connectionString", "value": "file:%s/s.db" % tmp_path}, {"name": "disableWAL", "value": True},
            {"name": "CLEANUPINTERVAL", "value": 10}, {"name": "unknownField", "value": None}]}}))
    assert names(s) == ["123"]
    assert s.save("k", 1, store="123").status == 204
    assert not os.path.exists("%s/s.db-wal" % tmp_path)


def test_a_value_from_a_secret(start, tmp_path):
    (tmp_path / "secrets.json").write_text(json.dumps({"path": "file:%s/s.db" % tmp_path, "deep": {"er": "v"}}))
    s = start(component("store", "state.sqlite", {"connectionString": {"secretKeyRef": {"name": "path"}}}, secret_store="vault"),
              component("vault", "secretstores.local.file", {"secretsFile": str(tmp_path / "secrets.json")}))
    assert s.save("k", 1).status == 204
    assert os.path.exists("%s/s.db" % tmp_path)


@pytest.mark.parametrize("ref,store,part", [({"name": "nope", "key": "nope"}, "vault", "nope")])
def test_a_secret_that_is_not_there(tmp_path, ref, store, part):
    (tmp_path / "secrets.json").write_text("{}")
    code, log = Sidecar(tmp_path / "s", component("vault", "secretstores.local.file", {"secretsFile": str(tmp_path / "secrets.json")}),
                        component("store", "state.sqlite", {"connectionString": {"secretKeyRef": ref}}, secret_store=store)).run()
    assert code == 1
    assert part in log


def test_a_value_from_the_environment(start, tmp_path):
    env = {"MY_PATH": "file:%s/s.db" % tmp_path, "DAPR_ENV_KEYS": "MY_PATH OTHER"}
    s = start(component("store", "state.sqlite", {"connectionString": {"envRef": "MY_PATH"}}), env=env)
    assert s.save("k", 1).status == 204
    assert os.path.exists("%s/s.db" % tmp_path)


@pytest.mark.parametrize("variable", ["DAPR_API_TOKEN", "APP_API_TOKEN"])
def test_the_sidecars_own_variables_are_not_for_components(tmp_path, variable):
    s = Sidecar(tmp_path / "s", component("store", "state.sqlite", {"connectionString": {"envRef": variable}}),
                env={variable: "file:%s/stolen.db" % tmp_path, "DAPR_ENV_KEYS": variable})
    code, _ = s.run()
    assert code == 1
    assert not os.path.exists("%s/stolen.db" % tmp_path)


def test_the_application_id_in_a_value(start, tmp_path):
    s = start(component("store", "state.sqlite", {"connectionString": "file:%s/{appID}.db" % tmp_path}))
    assert s.save("k", 1).status == 204
    assert os.path.exists("%s/testapp.db" % tmp_path)


# -- what a bad one does

@pytest.mark.parametrize("first,second,part", [
    (component("foo", "secretstores.local.env"), component("foo", "state.in-memory"),
     "duplicate definition of Component name foo (state.in-memory/v1) with existing foo (secretstores.local.env/v1)"),
    (MEMORY, MEMORY, "duplicate definition of Component name store (state.in-memory/v1) with existing store (state.in-memory/v1)"),
])
def test_duplicates(tmp_path, first, second, part):
    for i, resources in enumerate(((first, second), (documents(first, second),))):
        code, log = Sidecar(tmp_path / str(i), *resources).run()
        assert code == 1
        assert "Fatal error from runtime: failed to load components: " + part in log


def test_a_component_that_cannot_be_opened(tmp_path):
    code, log = Sidecar(tmp_path / "s", component("store", "state.sqlite")).run()
    assert code == 1
    assert "Failed to init component store (state.sqlite/v1): [INIT_COMPONENT_FAILURE]: initialization error occurred for " \
           "store (state.sqlite/v1): missing connection string" in log
    assert "Error processing component, daprd will exit gracefully: process component store error:" in log


def test_an_error_can_be_ignored(start):
    s = start(component("bad", "state.sqlite", ignoreErrors=True), MEMORY)
    assert names(s) == ["store"]
    s.wait_log("Ignoring error processing component: process component bad error:")


@pytest.mark.parametrize("kind,version,part", [
    ("state.nope", "v1", "state.nope"), ("state.in-memory", "v9", "v9"), ("workflow.dapr", "v1", "incorrect type workflow.dapr"),
    ("nope", "v1", "incorrect type nope"),
])
def test_a_type_that_is_not_there(tmp_path, kind, version, part):
    code, log = Sidecar(tmp_path / "s", component("x", kind, version=version)).run()
    assert code == 1
    assert "process component x error" in log and part in log


def test_init_timeout_is_a_duration(start):
    s = start(component("store", "state.in-memory", initTimeout="10s"))
    assert names(s) == ["store"]


def test_a_file_that_is_no_yaml(tmp_path):
    s = Sidecar(tmp_path / "s", MEMORY, expect=None)
    s.write("resources/9.yaml", "a: [1\nb: }{\n")
    s.spawn()
    try:
        code = s.exit_code(3)
        assert code == 1
    except AssertionError:
        pass  # Dapr warns and goes on
    assert "9.yaml" in s.log()


# -- Configuration

def test_the_last_configuration_wins_by_field(start):
    one = configuration({"features": [{"name": "Feature1", "enabled": True}]})
    two = configuration({"features": [{"name": "Feature2", "enabled": True}]})
    s = start(config=[one, two])
    found = s.get("/v1.0/metadata").json["enabledFeatures"]
    assert "Feature2" in found and "Feature1" not in found


def test_variables_in_a_configuration(start):
    s = start(config=[configuration({"features": [{"name": "${FEATURE}", "enabled": True}, {"name": "$OTHER", "enabled": True}]})],
              env={"FEATURE": "FromEnv", "OTHER": "Too"})
    assert {"FromEnv", "Too"} <= set(s.get("/v1.0/metadata").json["enabledFeatures"])


def test_a_configuration_that_is_not_there(tmp_path):
    code, log = Sidecar(tmp_path / "s", flags={"config": tmp_path / "gone.yaml"}).run()
    assert code == 1 and "gone.yaml" in log


def test_denied_component_types(start):
    s = Sidecar
    started = start(MEMORY, component("env", "secretstores.local.env", ignoreErrors=True), config=[configuration({"components": {"deny": ["secretstores.local.env/v1"]}})])
    assert names(started) == ["store"]
    assert s is Sidecar


# -- plugins

def installed(folder):
    """The program in a place of its own, with no plugin beside it."""
    (folder / "bin").mkdir(parents=True)
    shutil.copy(DAVITD, folder / "bin/davitd")
    plugins = folder / "lib/davit/plugins"
    plugins.mkdir(parents=True)
    return str(folder / "bin/davitd"), plugins


def drop(plugins, kind):
    shutil.copytree("%s/lib/davit/plugins/%s" % (BUILD, kind), plugins / kind)


@pytest.mark.ours
def test_a_plugin_dropped_into_the_folder_is_found_at_the_next_start(start, tmp_path):
    program, plugins = installed(tmp_path / "usr")
    code, log = Sidecar(tmp_path / "without", MEMORY, program=program).run()
    assert code == 1
    assert "state.in-memory" in log
    drop(plugins, "state.in-memory")
    s = start(MEMORY, program=program)
    assert s.save("k", 1).status == 204
    assert "davit.component.store" in s.get("/v1.0/metadata").json["extended"]


@pytest.mark.ours
def test_a_folder_of_plugins_is_named_by_flag_or_environment(start, tmp_path):
    program, _ = installed(tmp_path / "usr")
    (tmp_path / "more").mkdir()
    drop(tmp_path / "more", "state.in-memory")
    for options in ({"flags": {"plugins-path": tmp_path / "more"}}, {"env": {"DAVIT_PLUGINS_PATH": str(tmp_path / "more")}}):
        assert start(MEMORY, program=program, **options).save("k", 1).status == 204


@pytest.mark.ours
@pytest.mark.parametrize("harm", ["manifest gone", "manifest broken", "library cut", "library is text", "library changed", "library gone"])
def test_a_plugin_that_is_not_whole_is_refused_and_the_others_serve(tmp_path, harm):
    program, plugins = installed(tmp_path / "usr")
    drop(plugins, "state.in-memory")
    drop(plugins, "secretstores.local.env")
    library, = plugins.glob("state.in-memory/*/*.so")
    manifest, = plugins.glob("state.in-memory/*/*.json")
    if harm == "manifest gone":
        manifest.unlink()
    elif harm == "manifest broken":
        manifest.write_text(manifest.read_text()[:-20])
    elif harm == "library cut":
        library.write_bytes(library.read_bytes()[:3000])
    elif harm == "library is text":
        library.write_text("not a library")
    elif harm == "library changed":
        library.write_bytes(library.read_bytes() + b"x")
    else:
        library.unlink()
    code, log = Sidecar(tmp_path / "s", MEMORY, program=program).run()
    assert code == 1
    assert "process component store error" in log and "state.in-memory" in log
    s = Sidecar(tmp_path / "t", component("env", "secretstores.local.env"), program=program)
    s.start()
    assert s.get("/v1.0/secrets/env/PATH").status == 200
    s.stop()


@pytest.mark.ours  # Dapr opens one after the other
def test_a_slow_component_delays_nobody_else(tmp_path):
    """A database that somebody holds: it has its own timeout, and the others are open meanwhile."""
    import sqlite3
    import time
    path = str(tmp_path / "held.db")
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    s = Sidecar(tmp_path / "s", component("slow", "state.sqlite", {"connectionString": "file:" + path, "busyTimeout": "30s"},
                                          initTimeout="2s", ignoreErrors=True), MEMORY)
    begin = time.monotonic()
    s.spawn()
    s.wait_log("Component loaded: store (state.in-memory/v1)")
    loaded = time.monotonic() - begin
    s.wait_ready()
    assert loaded < 2 * SLOW
    assert time.monotonic() - begin < 10 * SLOW
    assert names(s) == ["store"]
    s.wait_log("Ignoring error processing component: process component slow error:")
    s.stop()
    holder.execute("ROLLBACK")
    holder.close()


@pytest.mark.parametrize("ring", [("a", "b"), ("a", "b", "c")])
def test_secret_stores_that_read_from_one_another_are_left_out(start, ring):
    stores = [component(name, "secretstores.local.file", {"secretsFile": {"secretKeyRef": {"name": "k"}}}, secret_store=other)
              for name, other in zip(ring, ring[1:] + ring[:1])]
    reader = component("reader", "state.in-memory", {"x": {"secretKeyRef": {"name": "k"}}}, secret_store="a")
    s = start(*stores, reader, MEMORY)
    assert names(s) == ["store"]


@pytest.mark.parametrize("resolver", ["nope", "sqlite"])
def test_without_the_resolver_that_was_asked_for_it_serves(start, resolver):
    s = start(MEMORY, config=[configuration({"nameResolution": {"component": resolver, "version": "v1",
                                                                "configuration": {"connectionString": "/nowhere/x.db"}}})])
    assert names(s) == ["store"]
    s.wait_log("nr (%s/v1)" % resolver)
    r = s.post("/v1.0/invoke/other/method/x")
    assert r.status == 500 and r.code == "ERR_DIRECT_INVOKE"
    assert "other" in r.message


PLANTED = "planted-3f9c0d"


def test_what_is_secret_is_told_nowhere(start, tmp_path):
    """Values planted where secrets go are in no log, error, metadata or metric, whatever goes wrong."""
    key = "ab" * 32
    (tmp_path / "secrets.json").write_text(json.dumps({"path": "file:%s/%s.db" % (tmp_path, PLANTED), "key": key, "bad": PLANTED + "-key"}))
    vault = component("vault", "secretstores.local.file", {"secretsFile": str(tmp_path / "secrets.json")})
    s = start(vault, component("store", "state.sqlite", {
        "connectionString": {"secretKeyRef": {"name": "path"}}, "primaryEncryptionKey": {"secretKeyRef": {"name": "key"}},
        "timeout": "20s"}, secret_store="vault"), component("bad", "state.in-memory", {
            "primaryEncryptionKey": {"secretKeyRef": {"name": "bad"}}}, secret_store="vault", ignoreErrors=True),
        env={"DAPR_API_TOKEN": PLANTED + "-token", "APP_API_TOKEN": PLANTED + "-app"}, flags={"enable-api-logging": "true"})
    token = {"dapr-api-token": PLANTED + "-token"}
    assert s.request("POST", "/v1.0/state/store", [{"key": "k", "value": 1}], headers=token).status == 204
    assert s.get("/v1.0/state/store/k", headers=token).status == 200
    assert s.get("/v1.0/secrets/vault/nope", headers=token).status == 500
    told = [s.get("/v1.0/metadata", headers=token).body.decode(), s.get("/metrics", port=s.metrics).body.decode(),
            s.get("/v1.0/metadata", headers={"dapr-api-token": "wrong"}).body.decode()]
    s.stop()
    for text in told + [s.log()]:
        assert PLANTED not in text.replace(str(tmp_path), "")
        assert key not in text
