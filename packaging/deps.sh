#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# deps.sh SET...: sees that the Debian packages of these sets (packages.txt) are there, and installs what is missing.
# Says which, and what to type, where it cannot.
set -u
list=$(dirname "$0")/packages.txt
wanted=" $* "

missing=
while read -r package set instead _; do
	case $package in '' | '#'*) continue ;; esac
	case $wanted in *" $set "*) ;; *) continue ;; esac
	if [ "$instead" != - ] && command -v "$instead" > /dev/null; then
		continue
	fi
	missing="$missing $package"
done < "$list"
[ -n "$missing" ] || exit 0

if ! command -v dpkg-query > /dev/null; then
	echo "davit: not a Debian system: please install what these packages hold:$missing" >&2
	exit 0 # the build will tell what is not there
fi
# One query for all: those that it does not know it only complains about.
# shellcheck disable=SC2086
have=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' $missing 2> /dev/null | sed -n 's/^installed //p')
absent=
for package in $missing; do
	printf '%s\n' "$have" | grep -qx -- "$package" || absent="$absent $package"
done
[ -n "$absent" ] || exit 0

if [ "$(id -u)" = 0 ]; then
	as=
elif command -v sudo > /dev/null && { sudo -n true 2> /dev/null || [ -t 0 ]; }; then
	as=sudo
else
	echo "davit: these Debian packages are missing and installing them needs root:" >&2
	echo "	apt-get install --no-install-recommends$absent" >&2
	exit 1
fi
echo "davit: installing Debian packages:$absent" >&2
# shellcheck disable=SC2086
if ! { $as env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $absent < /dev/null ||
	{ $as apt-get update -q < /dev/null &&
		$as env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $absent < /dev/null; }; } \
	> "${TMPDIR:-/tmp}/davit-apt.$$" 2>&1; then
	tail -n 15 "${TMPDIR:-/tmp}/davit-apt.$$" >&2
	rm -f "${TMPDIR:-/tmp}/davit-apt.$$"
	echo "davit: apt-get could not install:$absent" >&2
	echo "davit: the packages are Debian 12's; is its main archive in /etc/apt and reachable?" >&2
	exit 1
fi
rm -f "${TMPDIR:-/tmp}/davit-apt.$$"
