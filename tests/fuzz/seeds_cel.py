#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The expressions of the unit tests' table as seeds, one a file, and some with an event of their own."""
import os
import sys

EVENTS = (b'event.all(k, k in event && has(event.data.x))\0{"data":{"a":[1,2,{"b":null}],"x":"\\u00e9"}}',
          b'event == event && event.map(x, event[x]).size() > 1\0{"a":[1,[2,[3]]],"b":{"c":{"d":1e3}}}',
          b'[event] == [event]\0' + b"[" * 256 + b"]" * 256)


def main(folder):
    os.makedirs(folder, exist_ok=True)
    seeds, lines = list(EVENTS), []
    with open("tests/unit/data/cel.txt", encoding="utf-8") as f:
        for line in f.read().split("\n"):
            if line.startswith("\t"):
                seeds.append("\n".join(lines).encode())
                lines = []
            elif line and (lines or line[0] not in "#@"):
                lines.append(line)
    for number, seed in enumerate(seeds):
        with open("%s/%d" % (folder, number), "wb") as f:
            f.write(seed)


main(sys.argv[1])
