#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The layout of everything that crosses the plugin line, as compilers see it, against what is committed.

	layout.py generate INCLUDE > abi.c		a program that prints the layout, and a library that holds every type
	layout.py compare layout.txt NEW		0: nothing that exists has changed; what is new is told

Old plugins live on in new kernels and the other way round: a struct may only grow at its end, and only with a new
DAVIT_SDK_MINOR. Whatever else changes is a break; `make abi-accept BREAK=yes` writes it down as one.
"""
import os
import re
import sys

# Held for ever, whatever the minor.
FROZEN = {"davit_str": 16, "davit_bytes": 16, "davit_pair": 32, "davit_note": 164}
# Structs that are not (size, kind, …): they cross inside others, or have a rule of their own.
BARE = {"davit_str", "davit_bytes", "davit_pair", "davit_call", "davit_instance", "davit_plugin", "davit_note", "davit_address"}
# Helpers of libdavit-sdk.a: linked in, no part of the line.
HELPERS = {"base64.h", "duration.h", "hmac.h", "json.h", "like.h", "list.h", "pool.h", "siphash.h", "size.h", "truth.h", "uuid.h"}


def strip(text):
    return re.sub(r"//[^\n]*", " ", re.sub(r"/\*.*?\*/", " ", text, flags=re.S))


def fields_of(body):
    """[(name, type as written)]"""
    found = []
    for part in body.split(";"):
        part = " ".join(part.split())
        if not part:
            continue
        pointer = re.search(r"\(\*(?:const )?(\w+)\)\(", part)
        if pointer:
            found.append((pointer.group(1), part.replace("(*%s)" % pointer.group(1), "(*)")))
            continue
        first, *rest = part.split(",")
        m = re.match(r"(.*?[\s*])(\w+)((?:\[[^\]]*\])*)$", first)
        if m is None or ":" in part:
            sys.exit("cannot be read, or not for the line: " + part)
        base = m.group(1).strip()
        found.append((m.group(2), base + m.group(3)))
        for more in rest:
            m = re.match(r"\s*(\**)(\w+)((?:\[[^\]]*\])*)$", more)
            found.append((m.group(2), base.rstrip("* ") + (" " + m.group(1) if m.group(1) else "" if "*" not in base else "") + m.group(3)))
    return found


def headers(include):
    folder = os.path.join(include, "davit")
    return [(h, strip(open(os.path.join(folder, h), encoding="utf-8").read()))
            for h in sorted(os.listdir(folder)) if h.endswith(".h") and h not in HELPERS]


def generate(include):
    structs, constants, texts = [], [], []
    for _, text in headers(include):
        structs += [(name, fields_of(body)) for name, body in re.findall(r"^struct (\w+) \{([^{}]*)\};", text, re.M)]
        for body in re.findall(r"\benum \{(.*?)\};", text, re.S):
            constants += [c.split("=")[0].strip() for c in body.split(",") if c.strip()]
        constants += re.findall(r"^#define (DAVIT_\w+) \d+u?\b", text, re.M)
        texts += re.findall(r'^#define (DAVIT_\w+) "', text, re.M)
    out = ["/* Made by sdk/abi/layout.py. */"]
    out += ["#include <davit/%s>" % h for h, _ in headers(include)]
    out.append("#include <stdio.h>")
    for name, _ in structs:
        out.append('extern struct %s *abi_%s;\nstruct %s *abi_%s;' % (name, name, name, name))
    out.append("#define CONSTANT(x) printf(\"constant %s %lld\\n\", #x, (long long)(x))")
    out.append('#define FIELD(s, f, t) printf("\\t%s %zu %zu %s\\n", #f, offsetof(struct s, f), sizeof(((struct s *)0)->f), t)')
    out.append("int main(void)\n{")
    for name in texts:
        out.append('\tprintf("text %s %%s\\n", %s);' % (name, name))
    for name in constants:
        out.append("\tCONSTANT(%s);" % name)
    for name, fields in structs:
        out.append('\tprintf("struct %s %%zu\\n", sizeof(struct %s));' % (name, name))
        out += ['\tFIELD(%s, %s, "%s");' % (name, field, kind) for field, kind in fields]
    out.append("\treturn 0;\n}")
    print("\n".join(out))


def read(path):
    """({struct: (size, {field: (offset, size, type)})}, {constant or text: value})"""
    structs, values, current = {}, {}, None
    with open(path, encoding="utf-8") as f:
        for line in f:
            if line.startswith("\t"):
                name, offset, size, kind = line.strip().split(" ", 3)
                current[name] = (int(offset), int(size), kind)
            elif line.startswith("struct "):
                _, name, size = line.split()
                current = {}
                structs[name] = (int(size), current)
            elif line.startswith(("constant ", "text ")):
                _, name, value = line.rstrip("\n").split(" ", 2)
                values[name] = value
    return structs, values


def rules(structs):
    """What every struct of the line keeps to."""
    wrong = ["struct %s is frozen at %d bytes" % (n, size) for n, size in FROZEN.items() if structs.get(n, (0,))[0] != size]
    for name, (size, fields) in structs.items():
        end = max((o + s for o, s, _ in fields.values()), default=0)
        if end != size:
            wrong.append("struct %s has a hole of %d bytes at its end" % (name, size - end))
        if name not in BARE and (size % 8 or [f for f in fields][:2] != ["size", "kind"]):
            wrong.append("struct %s must begin with size and kind and be a multiple of 8" % name)
        if name in BARE and name != "davit_note" and name != "davit_plugin" and "kind" in fields:
            wrong.append("struct %s is listed as bare and has a kind" % name)
        for field, (_, _, kind) in fields.items():
            if re.search(r"\b(int|long|short|bool|float|double|time_t|enum|unsigned)\b", re.sub(r"\(.*", "", kind)):
                wrong.append("struct %s: %s is a %s, whose size is nobody's promise" % (name, field, kind))
    return wrong


def compare(old_path, new_path):
    (old, old_values), (new, new_values) = read(old_path), read(new_path)
    grown, fresh, wrong = [], [], rules(new)
    for name, value in old_values.items():
        if name != "DAVIT_SDK_MINOR" and new_values.get(name) != value:
            wrong.append("%s was %s and is %s" % (name, value, new_values.get(name, "gone")))
    for name, (size, fields) in old.items():
        if name not in new:
            wrong.append("struct %s is gone" % name)
            continue
        for field, what in fields.items():
            if new[name][1].get(field) != what:
                wrong.append("struct %s: %s was at %s and is %s" % (name, field, what, new[name][1].get(field, "gone")))
        later = [f for f in new[name][1] if f not in fields]
        if any(new[name][1][f][0] < size for f in later):
            wrong.append("struct %s has grown elsewhere than at its end" % name)
        if later and name in FROZEN:
            wrong.append("struct %s is frozen" % name)
        if later:
            grown.append("struct %s has grown by %s" % (name, ", ".join(later)))
    fresh += ["struct " + n for n in new if n not in old] + [n for n in new_values if n not in old_values]
    if grown and int(new_values["DAVIT_SDK_MINOR"]) <= int(old_values["DAVIT_SDK_MINOR"]):
        wrong += [g + " without a new DAVIT_SDK_MINOR" for g in grown]
        grown = []
    for line in wrong:
        print("abi: " + line)
    for line in grown + ["new: " + ", ".join(fresh)] if fresh else grown:
        print("abi: %s (`make abi-accept` writes it down)" % line)
    print("abi: %d structs, %d constants, %d faults" % (len(new), len(new_values), len(wrong)))
    return 1 if wrong else 0


if __name__ == "__main__":
    if len(sys.argv) == 3 and sys.argv[1] == "generate":
        generate(sys.argv[2])
    elif len(sys.argv) == 4 and sys.argv[1] == "compare":
        sys.exit(compare(sys.argv[2], sys.argv[3]))
    else:
        sys.exit(__doc__)
