# SPDX-License-Identifier: Apache-2.0
"""What is written of the programs is true of them: manual pages, completion, --help, the guide."""
import glob
import os
import re
import subprocess

import pytest

from sidecar import BUILD

pytestmark = [pytest.mark.ours, pytest.mark.plain]

PAGES = ["davit.1", "davitd.8", "davit-bench.1"]


def run(*words, code=0, **kw):
    p = subprocess.run([*words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60, check=False,
                       stdin=subprocess.DEVNULL, **kw)
    assert p.returncode == code, p.stdout
    return p.stdout


def program(name):
    return os.path.join(BUILD, "bin", name)


def page(name):
    """As a person reads it."""
    return run("mandoc", "-T", "ascii", "-O", "width=200", os.path.join(BUILD, "man", name)).replace("\b", "\x08")


def plain(text):
    return re.sub(".\x08", "", text)


def commands():
    return re.findall(r"^  davit ([a-z ]*[a-z])", run(program("davit"), "--help"), re.M)


def flags(text):
    return set(re.findall(r"^ *(?:-[A-Za-z], )?(--[a-z0-9-]+)", text, re.M))


@pytest.mark.parametrize("name", PAGES)
def test_no_complaint_of_mandoc_or_groff(name):
    path = os.path.join(BUILD, "man", name)
    assert run("mandoc", "-T", "lint", "-W", "warning", path) == ""
    assert run("groff", "-man", "-ww", "-z", "-Tutf8", path) == ""


def test_every_command_and_flag_is_in_the_manual():
    text = plain(page("davit.1"))
    for command in commands():
        told = run(program("davit"), *command.split(), "--help")
        assert "davit " + command in text
        assert flags(told) <= flags(text) and "--output" in flags(told), command
    assert {"run", "components list", "components show", "plugins list", "plugins verify", "inspect", "new", "version"} <= set(commands())


def test_every_option_of_the_sidecar_is_in_the_manual():
    told = flags(run(program("davitd"), "--help"))
    assert len(told) > 50 and told <= flags(plain(page("davitd.8")))


def test_every_option_of_the_bench_is_in_the_manual():
    told = run(program("davit-bench"), "--help")
    letters = set(re.findall(r"^  (-[A-Za-z])", told, re.M))
    assert len(letters) > 12 and letters <= set(re.findall(r"^ *(-[A-Za-z])\b", plain(page("davit-bench.1")), re.M))


def test_what_run_passes_on_the_sidecar_takes():
    assert flags(run(program("davit"), "run", "--help")) - {"--output", "--help"} <= flags(run(program("davitd"), "--help"))


def complete(line):
    """What bash offers behind this line."""
    words = line.split(" ")
    script = ("source %s; COMP_WORDS=(%s); COMP_CWORD=%d; PATH=%s:$PATH; _davit; printf '%%s\\n' \"${COMPREPLY[@]}\""
              % (os.path.join(BUILD, "completions/davit"), " ".join("'%s'" % w for w in words), len(words) - 1, os.path.join(BUILD, "bin")))
    return set(run("bash", "-c", script).split())


@pytest.mark.parametrize("line, offered", [
    ("davit ", {"run", "components", "plugins", "inspect", "new", "version", "completion", "--help"}),
    ("davit comp", {"components", "completion"}),
    ("davit components ", {"list", "show", "--help"}),
    ("davit plugins v", {"verify"}),
    ("davit run --app-p", {"--app-port", "--app-protocol"}),
    ("davit run --min-tier m", {"managed"}),
    ("davit components list --output ", {"text", "json"}),
    ("davit new ", {"state", "secretstores", "pubsub", "nameresolution"}),
    ("davit new state acme --lang ", {"c", "c++"}),
    ("davit components show state.sqlite", {"state.sqlite", "state.sqlite3"}),
])
def test_completion(line, offered):
    found = complete(line)
    assert found == offered or (line.endswith("state.sqlite") and found <= offered and "state.sqlite" in found)


def test_every_command_completes_to_its_flags():
    for command in commands():
        words = command.split()
        told = flags(run(program("davit"), *words, "--help"))
        assert complete("davit %s%s --" % (command, " x" if len(words) == 1 else "")) == told, command


def test_the_sidecars_options_complete():
    text = open(os.path.join(BUILD, "completions/davitd"), encoding="utf-8").read()
    assert flags(run(program("davitd"), "--help")) == set(re.findall(r"--[a-z0-9-]+", text))
    assert run("bash", "-c", "source %s; complete -p davitd daprd" % os.path.join(BUILD, "completions/davitd")).count("complete -o default") == 2


def test_the_guide_names_what_there_is():
    text = open("sdk/guide.md", encoding="utf-8").read()
    headers = "".join(open(h, encoding="utf-8").read() for h in glob.glob("sdk/include/davit/*.h*"))
    for word in set(re.findall(r"`(davit_\w+|DAVIT_\w+)", text)):
        assert word in headers or word in ("DAVIT_PLUGINS_PATH",), word
    for header in set(re.findall(r"<davit/([\w.]+)>", text)):
        assert os.path.exists(os.path.join("sdk/include/davit", header)), header
    for word in set(re.findall(r"`davit ([a-z]+(?: (?:list|show|verify))?)\b", text)):
        assert word in commands(), word
    letters = re.findall(r"^  (-[A-Za-z])", run(program("davit-bench"), "--help"), re.M)
    for letter in set(re.findall(r"davit-bench (-[A-Za-z])", text)):
        assert letter in letters
