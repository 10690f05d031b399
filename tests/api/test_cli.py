# SPDX-License-Identifier: Apache-2.0
"""The program `davit`, as a person uses it: nothing of it needs a sidecar but `run`, which brings its own."""
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import time

import pytest

BUILD = os.path.abspath(os.environ.get("BUILD", "build"))
DAVIT = os.path.join(BUILD, "bin/davit")
PLUGINS = os.path.join(BUILD, "lib/davit/plugins")

pytestmark = pytest.mark.ours


def davit(*args, **kwargs):
    return subprocess.run([DAVIT, *args], capture_output=True, text=True, timeout=60, **kwargs)


def environment(tmp_path):
    return dict(os.environ, XDG_STATE_HOME=str(tmp_path))


def test_version_as_text_and_json():
    assert davit("version").stdout.startswith("davit ")
    told = json.loads(davit("version", "--output", "json").stdout)
    assert told["dapr"].split(".")[:2] == ["1", "18"] and told["pluginAbi"] == 1


def test_help_of_the_program_and_of_a_command():
    assert "components show TYPE" in davit("--help").stdout
    assert "--app-port" in davit("run", "--help").stdout
    assert davit("--help").returncode == 0


@pytest.mark.parametrize("args, says", [
    ([], "Usage"), (["nonsense"], "Usage"), (["run", "--no-such-flag"], "there is no flag --no-such-flag"),
    (["run", "--app-id"], "needs a value"), (["components", "show"], "name one component type"),
    (["version", "--output", "xml"], "text or json"),
])
def test_wrong_use_is_code_2_and_says_what_to_do(args, says):
    done = davit(*args)
    assert done.returncode == 2 and says in done.stderr and done.stdout == ""


def test_components_list_has_what_the_build_made():
    listed = {(c["type"], c["version"]): c for c in json.loads(davit("components", "list", "--output=json").stdout)}
    assert listed["state.sqlite", "v1"]["tier"] == "community"
    assert listed["state.in-memory", "v1"]["plugin"] == "state.in-memory"
    assert "state.sqlite" in davit("components", "list").stdout


def test_components_show_tells_every_field():
    (shown,) = json.loads(davit("components", "show", "state.sqlite", "--output", "json").stdout)
    fields = {f["name"]: f for f in shown["metadata"]}
    assert fields["connectionString"]["required"] and fields["busyTimeout"]["default"] == "2s"
    assert "connectionString" in davit("components", "show", "STATE.SQLITE").stdout
    missing = davit("components", "show", "state.nothing")
    assert missing.returncode == 1 and "components list" in missing.stderr


def test_plugins_verify_finds_a_changed_file(tmp_path):
    assert davit("plugins", "verify").returncode == 0
    shutil.copytree(PLUGINS, tmp_path / "plugins")
    (file,) = (tmp_path / "plugins/state.sqlite").glob("*/state.sqlite.so")
    with open(file, "ab") as f:
        f.write(b"x")
    done = davit("plugins", "verify", "--plugins-path", str(tmp_path / "plugins"))
    assert done.returncode == 1 and "another SHA-256" in done.stdout


def test_inspect_reads_a_note_and_refuses_what_has_none(tmp_path):
    (file,) = [os.path.join(d, f) for d, _, files in os.walk(os.path.join(PLUGINS, "state.sqlite")) for f in files
               if f.endswith(".so")]
    told = json.loads(davit("inspect", file, "--output", "json").stdout)
    assert told["name"] == "state.sqlite" and told["abi"] == 1 and len(told["sha256"]) == 64
    (tmp_path / "no.so").write_bytes(b"\x7fELF" + bytes(200))
    for path, says in (("/bin/true", "Davit note"), (str(tmp_path / "no.so"), "another machine"), ("/nowhere", "No such file")):
        done = davit("inspect", path)
        assert done.returncode == 1 and says in done.stderr


def test_run_gives_the_application_its_sidecar_and_returns_its_code(tmp_path):
    script = ('curl -s -X POST localhost:$DAPR_HTTP_PORT/v1.0/state/statestore -d \'[{"key":"a","value":"b"}]\';'
              'curl -s localhost:$DAPR_HTTP_PORT/v1.0/state/statestore/a; echo; echo $APP_ID $APP_PORT; exit 7')
    done = davit("run", "--app-id", "shop", "--app-port", "6001", "--log-level", "error", "--", "sh", "-c", script,
                 env=environment(tmp_path))
    assert done.returncode == 7 and done.stdout == '"b"\nshop 6001\n'
    again = davit("run", "--app-id", "shop", "--log-level", "error", "--", "sh", "-c",
                  "curl -s localhost:$DAPR_HTTP_PORT/v1.0/state/statestore/a", env=environment(tmp_path))
    assert again.stdout == '"b"'  # the default store is durable


def test_runs_share_topics(tmp_path):
    publish = "curl -s -o /dev/null -w '%{http_code} ' -d hello localhost:$DAPR_HTTP_PORT/v1.0/publish/pubsub/greetings"
    done = davit("run", "--app-id", "one", "--log-level", "error", "--", "sh", "-c", publish, env=environment(tmp_path))
    assert done.returncode == 0 and done.stdout == "204 "
    db = sqlite3.connect(tmp_path / "davit/pubsub.db")
    assert db.execute("SELECT name, count(*) FROM pubsub_topic").fetchall() == [("greetings", 1)]
    ((data,),) = db.execute("SELECT data FROM pubsub_message").fetchall()
    assert json.loads(data)["data"] == "hello" or json.loads(data)["source"] == "one"
    db.close()


def test_run_ends_both_on_one_signal(tmp_path):
    pid_file = tmp_path / "pid"
    p = subprocess.Popen([DAVIT, "run", "--log-level", "error", "--", "sh", "-c", "echo $$ > %s; exec sleep 100" % pid_file],
                         env=environment(tmp_path))
    end = time.monotonic() + 30
    while not (pid_file.exists() and pid_file.read_text().strip()) and time.monotonic() < end:
        time.sleep(0.05)
    app = int(pid_file.read_text())
    p.send_signal(signal.SIGINT)
    assert p.wait(20) == 128 + signal.SIGTERM  # the application's code: it was asked to end
    with pytest.raises(ProcessLookupError):
        os.kill(app, 0)


def begun(tmp_path, script, *flags):
    """`davit run` of a shell's script that writes its pid, once it has: (davit, that pid)."""
    pid_file = tmp_path / "pid"
    p = subprocess.Popen([DAVIT, "run", "--log-level", "error", *flags, "--", "sh", "-c", "echo $$ > %s; %s" % (pid_file, script)],
                         env=environment(tmp_path), stderr=subprocess.PIPE, text=True)
    end = time.monotonic() + 30
    while not (pid_file.exists() and pid_file.read_text().strip()) and time.monotonic() < end:
        time.sleep(0.05)
    return p, int(pid_file.read_text())


def gone(group):
    end = time.monotonic() + 10
    while time.monotonic() < end:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False


def test_a_second_signal_does_not_wait_for_who_ignores_the_first(tmp_path):
    p, app = begun(tmp_path, "trap '' TERM INT; while :; do sleep 0.1; done")
    p.send_signal(signal.SIGINT)
    with pytest.raises(subprocess.TimeoutExpired):
        p.wait(1)
    p.send_signal(signal.SIGINT)
    assert p.wait(8) == 128 + signal.SIGKILL and gone(app)
    assert p.communicate()[1].endswith("davit: the application does not end and is killed\n")


def test_what_the_application_has_started_ends_with_it(tmp_path):
    p, app = begun(tmp_path, "sleep 100; true")
    p.send_signal(signal.SIGTERM)
    p.communicate(timeout=20)
    assert gone(app)


def test_run_takes_the_short_flags_of_daprs_program_and_a_command_without_dashes(tmp_path):
    done = davit("run", "-a", "shop", "-p", "6001", "-P", "grpc", "--log-level", "error", "--enable-app-health-check=false", "sh", "-c",
                 "echo $APP_ID $APP_PORT $APP_PROTOCOL $1", "sh", "--help", env=environment(tmp_path))
    assert (done.returncode, done.stdout) == (0, "shop 6001 grpc --help\n")


@pytest.mark.parametrize("words, says", [
    (["frob"], "there is no command frob"), (["plugins", "frob"], "there is no command plugins frob"), (["plugins"], "plugins what?"),
    (["run", "-x"], "there is no flag -x"), (["run", "--app-id"], "--app-id needs a value"),
])
def test_what_there_is_not_is_named(words, says):
    done = davit(*words)
    assert done.returncode == 2 and says in done.stderr.split("\n\n")[-1]


def test_verify_misses_a_folder_that_is_not_there(tmp_path):
    done = davit("plugins", "verify", "--plugins-path", str(tmp_path / "none"))
    assert done.returncode == 1 and str(tmp_path / "none") + ": No such file or directory" in done.stderr


def test_run_of_what_cannot_start_says_so(tmp_path):
    done = davit("run", "--log-level", "error", "--", "/no/such/program", env=environment(tmp_path))
    assert done.returncode == 127 and "/no/such/program" in done.stderr
    done = davit("run", "--resources-path", str(tmp_path / "none"), "--", "true", env=environment(tmp_path))
    assert done.returncode == 1
