#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How long files and functions are, and how branched: beyond LIMIT is a fault, beyond AIM only listed.

Tables are exempt from the length of a file: those whose name says so (*_table.c, *_tables.c).
"""
import statistics
import subprocess
import sys

import lizard

AIM_FILE, LIMIT_FILE = 600, 1000
AIM_FUNCTION, LIMIT_FUNCTION = 60, 100
LIMIT_COMPLEXITY = 25


def sources():
    out = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "kernel", "plugins", "sdk", "tests"],
                         capture_output=True, text=True, check=True).stdout
    return sorted(f for f in out.split("\n") if f.endswith((".c", ".h")))


def main():
    faults, wide, lengths, functions = [], [], [], []
    for path in sources():
        try:
            with open(path, encoding="utf-8") as f:
                lines = f.read().count("\n")
        except FileNotFoundError:
            continue
        lengths.append(lines)
        if not path.endswith(("_table.c", "_tables.c")):
            if lines > LIMIT_FILE:
                faults.append("%s: %d lines, the limit is %d" % (path, lines, LIMIT_FILE))
            elif lines >= AIM_FILE:
                wide.append("%s: %d lines" % (path, lines))
        for function in lizard.analyze_file(path).function_list:
            where = "%s:%d: %s" % (path, function.start_line, function.name)
            functions.append(function.length)
            if function.length > LIMIT_FUNCTION:
                faults.append("%s has %d lines, the limit is %d" % (where, function.length, LIMIT_FUNCTION))
            elif function.length >= AIM_FUNCTION:
                wide.append("%s has %d lines" % (where, function.length))
            if function.cyclomatic_complexity >= LIMIT_COMPLEXITY:
                faults.append("%s branches %d ways, the limit is %d"
                              % (where, function.cyclomatic_complexity, LIMIT_COMPLEXITY))
    for line in wide:
        print("long: " + line)
    for line in faults:
        print(line)
    print("measure: %d files, median %d lines; %d functions, median %d lines; %d long, %d faults"
          % (len(lengths), statistics.median(lengths), len(functions), statistics.median(functions), len(wide), len(faults)))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
