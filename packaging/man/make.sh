#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# make.sh PAGE PROGRAM: a manual page from its frame (PAGE.in beside this) and what the program says of itself with --help, so
# that no option is told of twice. To standard output.
set -eu
here=$(dirname "$0")
page=$1 program=$2

# Text is no macro: a leading dot or quote, and every dash of an option.
escape='{ gsub(/\\/, "\\e"); gsub(/-/, "\\-"); sub(/^\./, "\\\\\\&."); sub(/^'"'"'/, "\\\\\\&'"'"'"); print }'

# "      --name value    What it does": davitd.
options()
{
	"$program" --help 2>&1 | sed -n 's/^ *\(--[a-z0-9-]*\)\( [a-z][a-z0-9]*\)\{0,1\}   *\(.*\)/\1\2\t\3/p' | while IFS='	' read -r flag about; do
		printf '.TP\n.B %s\n%s\n' "$flag" "$about"
	done | awk '/^\.TP/ { print; next } /^\.B / { gsub(/-/, "\\-"); print; next } '"$escape"
}

# "  -x VALUE   what it does": davit-bench.
letters()
{
	"$program" --help 2>&1 | sed -n 's/^  \(-[A-Za-z]\( [^ ]*\)\{0,1\}\)  *\(.*\)/\1\t\3/p' | while IFS='	' read -r flag about; do
		printf '.TP\n.B %s\n%s\n' "$flag" "$about"
	done | awk '/^\.TP/ { print; next } /^\.B / { gsub(/-/, "\\-"); print; next } '"$escape"
}

# Each command with its flags: davit.
commands()
{
	"$program" --help | sed -n 's/^  davit \([a-z ]*[a-z]\).*/\1/p' | while read -r command; do
		# shellcheck disable=SC2086
		"$program" $command --help
	done | awk '
	function out(s) { gsub(/\\/, "\\e", s); gsub(/-/, "\\-", s); sub(/^\./, "\\\\\\&.", s); print s }
	/^Usage: / { sub(/^Usage: /, ""); sub(/ *$/, ""); gsub(/-/, "\\-"); printf ".SS \"%s\"\n", $0; what = 1; next }
	/^Flags:/ || /^$/ { next }
	what { out($0); what = 0; next }
	/^  (-[A-Za-z], )?--/ { sub(/^ */, ""); gsub(/-/, "\\-"); printf ".TP\n.B %s\n", $0; next }
	{ sub(/^ */, ""); out($0) }'
}

while IFS= read -r line; do
	case $line in
	@OPTIONS@) options ;;
	@LETTERS@) letters ;;
	@COMMANDS@) commands ;;
	*) printf '%s\n' "$line" ;;
	esac
done < "$here/$page.in"
