#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Who may include whom, and that each source names its licence.

A room of kernel/ includes only itself and rooms above it in ROOMS. A plugin includes its own files, <davit/...> and system
headers; the SDK's headers and helpers the same. Nobody but kernel/ and the tests includes a file of kernel/.
"""
import os
import re
import subprocess
import sys

ROOMS = ("base loop tls http grpc proto telemetry plugin pluggable resources cel policy app mesh "
         "blocks actors jobs workflow api main cli").split()
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^">]+)[">]')
LICENCE = "SPDX-License-Identifier: Apache-2.0"
SOURCES = (".c", ".h", ".S", ".asm", ".mk", ".py", ".sh", ".js", ".mjs", ".proto")


def included(path):
    with open(path, encoding="utf-8") as f:
        for number, line in enumerate(f, 1):
            m = INCLUDE.match(line)
            if m:
                yield number, m.group(1), m.group(2)


def room_of(path):
    """The room that the text of an include names, or None."""
    first = path.split("/", 1)[0]
    if "/" in path and first in ROOMS:
        return first
    # What protoc-c makes is found by the names of Dapr's packages.
    if path.endswith(".pb-c.h"):
        return "proto"
    return None


def kernel(path, faults):
    parts = path.split("/")
    if len(parts) < 3:
        return
    here = parts[1]
    if here not in ROOMS:
        faults.append("%s: kernel/%s is not a room" % (path, here))
        return
    for number, quote, name in included(path):
        if name.startswith("davit/"):
            # The plugin line is the kernel's too, from the room that hosts plugins on.
            if ROOMS.index(here) < ROOMS.index("plugin"):
                faults.append("%s:%d: %s is below the plugin line and includes <%s>" % (path, number, here, name))
            continue
        room = room_of(name)
        if room is None:
            if quote == '"' and not os.path.exists(os.path.join(os.path.dirname(path), name)):
                faults.append('%s:%d: "%s" is in no room' % (path, number, name))
            continue
        if ROOMS.index(room) > ROOMS.index(here):
            faults.append('%s:%d: %s includes "%s", and %s comes after it' % (path, number, here, name, room))


def outside(path, what, faults):
    for number, quote, name in included(path):
        if room_of(name) and quote == '"' and not os.path.exists(os.path.join(os.path.dirname(path), name)):
            faults.append('%s:%d: %s includes "%s" of the kernel' % (path, number, what, name))
        elif ".." in name.split("/"):
            faults.append('%s:%d: %s reaches out of its folder with "%s"' % (path, number, what, name))


def licence(path, faults):
    with open(path, encoding="utf-8") as f:
        head = f.readline() + f.readline()
    if LICENCE not in head:
        faults.append("%s:1: no line with %s" % (path, LICENCE))


def main():
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], capture_output=True, text=True, check=False)
    if listed.returncode == 0:
        files = listed.stdout.split("\n")
    else:  # a tarball
        files = [os.path.relpath(os.path.join(d, f)) for d, _, fs in os.walk(".") for f in fs if "/build" not in d]
    faults, seen = [], 0
    for path in sorted(f for f in files if f and os.path.isfile(f)):
        if path.endswith(SOURCES) or os.path.basename(path) in ("Makefile", "deps.sh"):
            licence(path, faults)
        if not path.endswith((".c", ".h")):
            continue
        seen += 1
        if path.startswith("kernel/"):
            kernel(path, faults)
        elif path.startswith("plugins/"):
            outside(path, "a plugin", faults)
        elif path.startswith("sdk/"):
            outside(path, "the SDK", faults)
    for fault in faults:
        print(fault)
    print("layers: %d files, %d faults" % (seen, len(faults)))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
