# SPDX-License-Identifier: Apache-2.0
"""`make abi` finds what would break plugins that exist, and lets pass what does not."""
import os
import re
import shutil
import subprocess
import sys

import pytest

pytestmark = [pytest.mark.ours, pytest.mark.plain]

TREE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
LAYOUT = [sys.executable, os.path.join(TREE, "sdk/abi/layout.py")]


def layout(include, to):
    source = str(to) + ".c"
    with open(source, "w", encoding="utf-8") as f:
        subprocess.run([*LAYOUT, "generate", str(include)], stdout=f, check=True)
    subprocess.run(["cc", "-w", "-I" + str(include), "-o", str(to) + ".out", source], check=True)
    with open(to, "w", encoding="utf-8") as f:
        subprocess.run([str(to) + ".out"], stdout=f, check=True)
    return str(to)


@pytest.mark.parametrize("header, change, to, code, says", [
    ("plugin.h", r"uint64_t nprops;", "uint32_t nprops, more;", 1, "struct davit_open: nprops was at"),
    ("state.h", r"int64_t count;\n", "int64_t count, later;\n", 1,
     "struct davit_state_page has grown by later without a new DAVIT_SDK_MINOR"),
    ("state.h", r"int64_t count;\n", "int64_t later, count;\n", 1, "struct davit_state_page has grown elsewhere than at its end"),
    ("plugin.h", r"struct davit_str type, version;\n", "struct davit_str version, type;\n", 1, "struct davit_open: type was at"),
    ("plugin.h", r"DAVIT_LOG_ERROR = 1", "DAVIT_LOG_ERROR = 2", 1, "DAVIT_LOG_ERROR was 1 and is 2"),
    ("plugin.h", r"#define DAVIT_ABI 1u", "#define DAVIT_ABI 2u", 1, "DAVIT_ABI was 1 and is 2"),
    ("plugin.h", r"size_t n;\n\};\nstruct davit_bytes", "size_t n, m;\n};\nstruct davit_bytes", 1, "struct davit_str is frozen at 16 bytes"),
    ("state.h", r"uint64_t max_ops;", "uint64_t max_ops; struct later *p;", 1, "struct davit_state_ops: get was at"),
    ("state.h", r"int64_t count;\n", "int64_t count; uint32_t odd;\n", 1, "struct davit_state_page has a hole of 4 bytes at its end"),
    ("state.h", r"int64_t count;\n", "int count;\n", 1, "count is a int, whose size is nobody's promise"),
    ("dial.h", r'#define DAVIT_DIAL "davit.dial/1"', '#define DAVIT_DIAL "davit.dial/2"', 1,
     "DAVIT_DIAL was davit.dial/1 and is davit.dial/2"),
    ("state.h", r"\n/\* One step of a", "\nstruct davit_fresh { uint32_t size, kind; };\n/* One step of a", 0,
     "new: struct davit_fresh (`make abi-accept` writes it down)"),
])
def test_a_change(tmp_path, header, change, to, code, says):
    shutil.copytree(os.path.join(TREE, "sdk/include"), tmp_path / "include")
    old = layout(tmp_path / "include", tmp_path / "old")
    path = tmp_path / "include/davit" / header
    text, n = re.subn(change, lambda m: to, path.read_text(), count=1)
    assert n == 1
    path.write_text(text)
    done = subprocess.run([*LAYOUT, "compare", old, layout(tmp_path / "include", tmp_path / "new")], capture_output=True, text=True,
                          check=False)
    assert done.returncode == code and says in done.stdout


def test_growth_with_a_new_minor_is_none(tmp_path):
    shutil.copytree(os.path.join(TREE, "sdk/include"), tmp_path / "include")
    old = layout(tmp_path / "include", tmp_path / "old")
    path = tmp_path / "include/davit/plugin.h"
    minor = int(re.search(r"DAVIT_SDK_MINOR (\d+)u", path.read_text()).group(1))
    path.write_text(path.read_text().replace("DAVIT_SDK_MINOR %du" % minor, "DAVIT_SDK_MINOR %du" % (minor + 1)))
    path = tmp_path / "include/davit/state.h"
    path.write_text(path.read_text().replace("int64_t count;\n", "int64_t count, later;\n"))
    done = subprocess.run([*LAYOUT, "compare", old, layout(tmp_path / "include", tmp_path / "new")], capture_output=True, text=True,
                          check=False)
    assert done.returncode == 0 and "struct davit_state_page has grown by later (`make abi-accept` writes it down)" in done.stdout
