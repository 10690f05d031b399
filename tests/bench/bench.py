#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Figures, each beside a bound that is measured in the same run. They belong to one machine at one time: compare the rows of a
run, never runs.

	BUILD=build [DAPRD=path] [BENCH_SECONDS=5] [T=state] bench.py

Rates are requests per CPU-second of the server process, from /proc; of the bound: the median of rounds in turn. DAPRD puts the same load on Dapr's sidecar. T: one table,
a file table_<name>.py here, whose run(bench) prints its rows. All figures are written to $BUILD/bench.json as well.
"""
import contextlib
import glob
import importlib
import json
import os
import shutil
import subprocess
import sys
import tempfile

from machine import BUILD, BenchError

TOOLS = ("wrk", "h2load", "redis-server", "redis-benchmark", "redis-cli")


class Bench:
    def __init__(self, scratch):
        self.scratch = scratch
        self.programs = [("davitd", BUILD + "/bin/davitd")]
        if os.environ.get("DAPRD"):
            self.programs.append(("daprd", os.environ["DAPRD"]))
        self.results, self.failed = [], False

    def note(self, **figures):
        self.results.append(figures)

    @contextlib.contextmanager
    def row(self, label, program):
        """A row that cannot be measured says why, and the others go on; one of ours fails the run."""
        try:
            yield
        except (BenchError, OSError, subprocess.SubprocessError) as e:
            print("%-32s not measured: %s" % (label, e), flush=True)
            self.note(label=label, program=program, failed=str(e))
            self.failed |= program != "daprd"


def tables():
    here = os.path.dirname(os.path.abspath(__file__))
    names = [os.path.basename(p)[len("table_"):-len(".py")] for p in glob.glob(here + "/table_*.py")]
    first = ["state", "start", "memory", "call"]
    names.sort(key=lambda n: (first.index(n) if n in first else len(first), n))
    wanted = os.environ.get("T", "")
    if wanted and wanted not in names:
        sys.exit("bench: T is one of " + ", ".join(names))
    return [wanted] if wanted else names


def main():
    for tool in TOOLS:
        if shutil.which(tool) is None:
            sys.exit("bench: %s is missing (make bench installs it)" % tool)
    with tempfile.TemporaryDirectory(prefix="davit-bench-") as scratch:
        bench = Bench(scratch)
        for name in tables():
            importlib.import_module("table_" + name).run(bench)
    with open(BUILD + "/bench.json", "w", encoding="utf-8") as f:
        json.dump(bench.results, f, indent="\t")
    sys.exit(1 if bench.failed else 0)


if __name__ == "__main__":
    main()
