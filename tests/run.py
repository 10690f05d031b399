#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs every part of the tests and adds up what they count. The last line is `N passed, N failed, N skipped`.

	BUILD=build tests/run.py [label]

A label is the name of a unit (tests/unit), a component's type (state.sqlite), or a file of tests/api, tests/interop or
tests/fault, with or without test_ and .py. With CI=true a skipped test has failed.
"""
import concurrent.futures
import glob
import os
import re
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as xml

BUILD = os.environ.get("BUILD", "build")
SANITIZE = os.environ.get("SANITIZE", "")
CI = os.environ.get("CI", "").lower() == "true"
CHECKED = re.compile(r"^\d+%: Checks: (\d+), Failures: (\d+), Errors: (\d+)", re.M)
COUNTED = re.compile(r"^(\d+) passed, (\d+) failed\s*$", re.M)
PYTEST_NONE = 5
TARGETS = ("abi",)  # of make, which are tests by themselves


class Part:
    def __init__(self, name):
        self.name, self.passed, self.failed, self.skips, self.output, self.seconds = name, 0, 0, [], "", 0.0

    def ran(self, command, timeout=600, **env):
        """The exit code; the output, both streams in one, is kept for whoever has to read it."""
        start = time.monotonic()
        try:
            p = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
                               timeout=timeout, env=dict(os.environ, **env), stdin=subprocess.DEVNULL, check=False)
            code, self.output = p.returncode, self.output + p.stdout
        except subprocess.TimeoutExpired as e:
            code = -1
            self.output += (e.stdout or b"").decode(errors="replace") + "\nstill running after %d s\n" % timeout
        self.seconds += time.monotonic() - start
        return code


def tool(name, command):
    part = Part(name)
    code = part.ran(command)
    part.passed, part.failed = int(code == 0), int(code != 0)
    return part


def unit(path):
    part = Part(os.path.basename(path))
    code = part.ran([path], CK_DEFAULT_TIMEOUT="60" if SANITIZE else "10", LD_PRELOAD="")
    for checks, failures, errors in CHECKED.findall(part.output):
        bad = int(failures) + int(errors)
        part.passed += int(checks) - bad
        part.failed += bad
    # A program may leave all of its tests out where a sanitizer would be in their way.
    nothing = part.passed + part.failed == 0 and not (SANITIZE and CHECKED.search(part.output))
    if nothing or (code != 0 and part.failed == 0):
        part.output += "\nended with %d\n" % code
        part.failed += 1
    return part


def conformance(directory, arguments):
    """One plugin through davit-bench: tests/conformance/<type>.args has the command line, one word a line."""
    name = os.path.basename(directory)
    part = Part(name)
    plugin = sorted(glob.glob(os.path.join(directory, "*", name + ".so")))[-1]
    with tempfile.TemporaryDirectory(prefix="davit-") as scratch:
        words = []
        with open(arguments, encoding="utf-8") as f:
            for line in f:
                line = line.rstrip("\n")
                if line and not line.startswith("#"):
                    words.append(line.replace("{scratch}", scratch))
        setup = os.path.splitext(arguments)[0] + ".files"
        for source in sorted(glob.glob(os.path.join(setup, "*"))):
            with open(source, "rb") as f, open(os.path.join(scratch, os.path.basename(source)), "wb") as t:
                t.write(f.read())
        # Words for the environment come first.
        env = dict(w[1:].split("=", 1) for w in words if w.startswith("$"))
        code = part.ran([os.path.join(BUILD, "bin/davit-bench"), *[w for w in words if not w.startswith("$")], plugin], **env)
    counts = COUNTED.findall(part.output)
    if counts:
        part.passed, part.failed = (sum(int(c[i]) for c in counts) for i in (0, 1))
    if not counts or (code != 0 and part.failed == 0):
        part.output += "\nended with %d\n" % code
        part.failed += 1
    return part


def pytest(label):
    part = Part("pytest")
    paths = [p for p in ("tests/unit", "tests/conformance", "tests/api", "tests/interop", "tests/fault") if os.path.isdir(p)]
    files = [f for p in paths for f in sorted(glob.glob(p + "/*.py")) if not f.endswith("conftest.py")]
    # A file of tests is named test_*.py, beside the units also after what it drives.
    files = [f for f in files if os.path.basename(f).startswith("test_") or f.startswith("tests/unit/")]
    if not files:
        return part
    with tempfile.TemporaryDirectory(prefix="davit-") as scratch:
        report = os.path.join(scratch, "report.xml")
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--junitxml", report, "-n", "4",
                   "--dist", "worksteal", "-ra", "--durations=5"]
        if label:
            command += ["-k", re.sub(r"(^test_|\.py$)", "", os.path.basename(label))]
        if SANITIZE:
            command += ["-m", "not plain"]
        env = {re.sub(r"\W", "_", os.path.basename(p)).upper(): p for p in glob.glob(BUILD + "/tests/*_echo")}
        code = part.ran(command + files, timeout=3000, **env)
        if code == PYTEST_NONE and label:
            return part
        try:
            for case in xml.parse(report).getroot().iter("testcase"):
                bad = case.find("failure") if case.find("failure") is not None else case.find("error")
                skip = case.find("skipped")
                if bad is not None:
                    part.failed += 1
                elif skip is not None:
                    part.skips.append("%s: %s" % (case.get("name"), skip.get("message", "")))
                else:
                    part.passed += 1
        except (OSError, xml.ParseError):
            pass
    if code not in (0, PYTEST_NONE) and part.failed == 0:
        part.output += "\npytest ended with %d\n" % code
        part.failed += 1
    return part


def tell(part):
    if part.passed + part.failed + len(part.skips) == 0:
        return
    print("%-4s %-28s %4d passed, %d failed, %d skipped  (%.1f s)"
          % ("FAIL" if part.failed else "ok", part.name, part.passed, part.failed, len(part.skips), part.seconds), flush=True)
    if part.failed:
        print(part.output.rstrip(), flush=True)
    for line in part.skips:
        print("skip " + line.replace("\n", " "), flush=True)


def wanted(label, name):
    bare = re.sub(r"^(u-|test_)|\.(c|py)$", "", os.path.basename(name))
    return not label or re.sub(r"^(u-|test_)|\.(c|py)$", "", os.path.basename(label)) == bare


def main():
    label = sys.argv[1] if len(sys.argv) > 1 else ""
    if SANITIZE:
        os.environ["ASAN_OPTIONS"] = "detect_leaks=1:abort_on_error=0:exitcode=99:allocator_may_return_null=1"
        os.environ["UBSAN_OPTIONS"] = "print_stacktrace=1:halt_on_error=1"
        os.environ["TSAN_OPTIONS"] = "exitcode=99:halt_on_error=0:second_deadlock_stack=1:suppressions=%s:print_suppressions=0" % \
            os.path.abspath("tests/tools/thread.supp")
    parts = []

    def add(part):
        parts.append(part)
        tell(part)

    if not SANITIZE:
        for name in ("layers", "measure"):
            if wanted(label, name):
                add(tool(name, [sys.executable, "tests/tools/%s.py" % name]))
        for name in TARGETS:
            if wanted(label, name):
                add(tool(name, ["env", "-u", "MAKEFLAGS", "make", "-s", name, "BUILD=" + BUILD]))
    units = [p for p in sorted(glob.glob(BUILD + "/tests/u-*")) if "." not in os.path.basename(p)]
    plugins = [d for d in sorted(glob.glob(BUILD + "/lib/davit/plugins/*")) if os.path.isdir(d)]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        jobs = [pool.submit(unit, p) for p in units if wanted(label, p)]
        for directory in plugins:
            if not wanted(label, os.path.basename(directory)):
                continue
            # What needs a server is a file of pytest, which starts it and davit-bench.
            if os.path.exists("tests/conformance/test_%s.py" % os.path.basename(directory).rsplit(".", 1)[-1]) and \
                    not glob.glob("tests/conformance/%s*.args" % os.path.basename(directory)):
                continue
            arguments = sorted(glob.glob("tests/conformance/%s*.args" % os.path.basename(directory)))
            jobs += [pool.submit(conformance, directory, a) for a in arguments]
            if not arguments:
                part = Part(os.path.basename(directory))
                part.failed, part.output = 1, "no tests/conformance/%s.args\n" % part.name
                add(part)
        results = [job.result() for job in jobs]
    for part in results:
        # Some of these measure time. One that fails beside others is run once more alone, which is told.
        if part.failed and os.path.exists(os.path.join(BUILD, "tests", part.name)):
            again = unit(os.path.join(BUILD, "tests", part.name))
            if not again.failed:
                print("note %s failed beside others and passed alone:\n%s" % (part.name, part.output.rstrip()), flush=True)
                part = again
        add(part)
    if label not in ("layers", "measure"):
        add(pytest(label))

    passed, failed = sum(p.passed for p in parts), sum(p.failed for p in parts)
    skips = [s for p in parts for s in p.skips]
    if label and passed + failed + len(skips) == 0:
        print("no test has the label %s" % label)
        failed = 1
    if CI and skips:
        print("with CI=true what is skipped has failed")
        failed, skips = failed + len(skips), []
    print("%d passed, %d failed, %d skipped" % (passed, failed, len(skips)))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
