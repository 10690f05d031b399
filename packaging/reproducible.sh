#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Builds the committed tree twice, in two folders of different length and at different times, and compares all that an
# installation holds, byte by byte.
set -eu
top=$(mktemp -d "${TMPDIR:-/tmp}/davit-same.XXXXXX")
trap 'rm -rf "$top"' EXIT INT TERM
for name in a a-rather-longer-name; do
	mkdir -p "$top/$name"
	git ls-files -z --cached | xargs -0 sh -c 'd=$1; shift; for f; do [ ! -e "$f" ] || cp --parents -p "$f" "$d"; done' _ "$top/$name"
	(cd "$top/$name" && env -u MAKEFLAGS -u MAKELEVEL make -s -j"$(nproc)" all sdk > log 2>&1 &&
		env -u MAKEFLAGS -u MAKELEVEL make -s install DESTDIR="$top/$name.out" PREFIX=/usr >> log 2>&1) || {
		tail -n 20 "$top/$name/log" >&2
		echo "reproducible: the build failed" >&2
		exit 1
	}
done
if ! diff -r "$top/a.out" "$top/a-rather-longer-name.out"; then
	echo "reproducible: the two builds differ" >&2
	exit 1
fi
echo "reproducible: $(find "$top/a.out" -type f | wc -l) files, the same bytes twice"
