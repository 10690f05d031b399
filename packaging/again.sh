#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# again.sh SECONDS COMMAND...: a download that hangs is ended after so long, and tried three times in all. Its output only
# shows when it has failed for good.
seconds=$1
shift
log=$(mktemp)
trap 'rm -f "$log"' EXIT
for try in 1 2 3; do
	timeout "$seconds" "$@" > "$log" 2>&1 < /dev/null && exit 0
	echo "davit: $1 failed or hung, try $try of 3" >&2
done
cat "$log" >&2
exit 1
