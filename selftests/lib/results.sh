# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# For scripts that are tests: a line for each result, and one that sums them up.

passed=0 failed=0

# result STATUS NAME
result() {
	if [ "$1" = 0 ]; then
		echo "ok $2"
		passed=$((passed + 1))
	else
		echo "not ok $2"
		failed=$((failed + 1))
	fi
}

# The last line; fails if a result did.
results() {
	echo "$passed passed, $failed failed"
	[ "$failed" = 0 ]
}
