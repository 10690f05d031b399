#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The plugin alone, as the loader sees it, and behind a sidecar. DAVIT_BIN: Davit's programs; LIBRARY: the plugin.
set -eu
cd "$(dirname "$0")/.."
set --
while IFS= read -r word; do
	case $word in '' | '#'*) continue ;; esac
	set -- "$@" "$word"
done < tests/bench.args
mkdir -p build
"$DAVIT_BIN/davit-bench" -S all -o build/report.json "$@" "$LIBRARY"
"$DAVIT_BIN/davit" plugins verify --plugins-path "$PWD/build/plugins"
"$DAVIT_BIN/davit" run --app-id acme --log-level warn --plugins-path "$PWD/build/plugins" --resources-path tests/resources \
	@RUN_FLAGS@-- @ASK@
echo "@TYPE@: well"
