# SPDX-License-Identifier: Apache-2.0
"""secretstores.local.env and secretstores.local.file, each in a host of its own, against Dapr's rules."""
import json
import os
import subprocess

import pytest

BUILD = os.environ.get("BUILD", "build")
BENCH = os.path.join(BUILD, "bin", "davit-bench")


def bench(kind, *args, env=None):
    folder = os.path.join(BUILD, "lib", "davit", "plugins", kind)
    library = os.path.join(folder, sorted(os.listdir(folder))[-1], kind + ".so")
    run = subprocess.run([BENCH, *args, library], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60,
                         env=dict(os.environ, **(env or {})))
    assert run.returncode == 0, run.stdout + run.stderr
    assert ", 0 failed" in run.stdout
    return run.stdout


def file_store(path, *args):
    return bench("secretstores.local.file", "-p", f"secretsFile={path}", *args)


def refused(path, text, *args):
    return file_store(path, "-f", text, *args)


def write(tmp_path, content):
    path = tmp_path / "secrets.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_variables_are_secrets_but_for_the_sidecars_own():
    env = {"SECRET_A": "one", "EMPTY": "", "DAPR_API_TOKEN": "no", "dapr_x": "no", "APP_API_TOKEN": "no", "WITH_EQUALS": "a=b"}
    bench("secretstores.local.env", "-s", "SECRET_A=one", "-s", "WITH_EQUALS=a=b", "-a", "DAPR_API_TOKEN", "-a", "dapr_x",
          "-a", "APP_API_TOKEN", "-a", "NOT_SET_AT_ALL", env=env)


def test_a_prefix_is_put_before_and_taken_off():
    env = {"MINE_A": "one", "MINE_DAPR_B": "two", "OTHER": "no", "mine_c": "no", "DAPR_Z": "no"}
    bench("secretstores.local.env", "-p", "prefix=MINE_", "-s", "A=one", "-s", "DAPR_B=two", "-a", "OTHER", "-a", "C", env=env)
    bench("secretstores.local.env", "-p", "prefix=DAPR_", "-a", "Z", env=env)
    bench("secretstores.local.env", "-p", "prefix=DA", "-a", "PR_Z", env=env)


NESTED = {"plain": "p", "db": {"user": "u", "pass": {"old": "o", "new": ""}}, "list": ["a", {"b": "c"}], "number": 12345678901,
          "real": 0.1, "yes": True, "nothing": None, "empty": {}, "ünï": "cödé", "nul": "a\0b"}


def test_nested_values_are_joined_by_the_separator(tmp_path):
    path = write(tmp_path, NESTED)
    file_store(path, "-s", "plain=p", "-s", "db:user=u", "-s", "db:pass:old=o", "-s", "db:pass:new=", "-s", "list:0=a",
               "-s", "list:1:b=c", "-s", "number=12345678901", "-s", "real=0.1", "-s", "yes=true", "-s", "nothing=null",
               "-s", "ünï=cödé", "-a", "db", "-a", "empty", "-a", "db:pass", "-a", "")
    file_store(path, "-p", "nestedSeparator=..", "-s", "db..pass..old=o", "-s", "list..1..b=c", "-a", "db:user")


def test_multi_valued_secrets_have_several_keys(tmp_path):
    path = write(tmp_path, NESTED)
    file_store(path, "-p", "multiValued=true", "-s", "plain=p", "-s", "db/user=u", "-s", "db/pass:old=o", "-s", "db/pass:new=",
               "-a", "list", "-a", "number", "-a", "db:user")


def test_the_last_of_equal_names_counts_as_in_go(tmp_path):
    file_store(write(tmp_path, '{"a":"1","a":"2"}'), "-s", "a=2")
    file_store(write(tmp_path, '{"a:b":"1","a":{"b":"2"}}'), "-s", "a:b=1")
    file_store(write(tmp_path, '{"big":123456789012345678901234567890,"a":"1"}'), "-s", "a=1", "-s", "big=1.2345678901234568e+29")
    file_store(write(tmp_path, "null"), "-a", "a")
    file_store(write(tmp_path, "{}"), "-a", "a")


def test_bad_files_are_refused_and_not_quoted(tmp_path):
    bench("secretstores.local.file", "-f", "missing local secrets file in metadata")
    refused(tmp_path / "none.json", "No such file or directory")
    refused(tmp_path, "is no regular file")
    refused(write(tmp_path, ""), "not valid JSON at line")
    refused(write(tmp_path, "[]"), "must hold a JSON object")
    refused(write(tmp_path, '"text"'), "must hold a JSON object")
    refused(write(tmp_path, '{"a":' * 300 + "1" + "}" * 300), "nested deeper than 256")
    refused(write(tmp_path, "[" * 100000), "nested deeper than 256")
    out = refused(write(tmp_path, '{"password":"hunter2" "x":1}'), "not valid JSON at line 1")
    assert "hunter2" not in out


@pytest.mark.parametrize("atomic", [True, False])
def test_a_changed_file_is_read_again(tmp_path, atomic):
    path = write(tmp_path, {"a": "1"})
    folder = os.path.join(BUILD, "lib", "davit", "plugins", "secretstores.local.file")
    library = os.path.join(folder, sorted(os.listdir(folder))[-1], "secretstores.local.file.so")
    process = subprocess.Popen([BENCH, "-i", "-p", f"secretsFile={path}", library], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)

    def say(line):
        process.stdin.write(line + "\n")
        process.stdin.flush()
        return process.stdout.readline().rstrip("\n")

    def change(content):
        if atomic:
            (tmp_path / "new").write_text(content)
            os.rename(tmp_path / "new", path)
        else:
            path.write_text(content)

    assert process.stdout.readline().startswith("#")
    assert process.stdout.readline().startswith("ok 1")
    assert say("get a") == "ok 1 -"
    change('{"a":"22","b":"3"}')
    assert say("get a") == "ok 22 -"
    assert say("get b") == "ok 3 -"
    change('{"a":')
    assert say("get a") == "ok 22 -"
    change('{"a":"4"}')
    assert say("get a") == "ok 4 -"
    assert say("get b").startswith("fail 5 - secret b not found")
    os.unlink(path)
    assert say("get a") == "ok 4 -"
    process.stdin.close()
    process.stdout.read()
    assert process.wait(20) == 0
