# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
#
# A mark in the kernel log, and the reports behind it.

# log_mark NAME: what stands behind it belongs to NAME.
log_mark() {
	mark="xvm-selftest: $1 $$.$RANDOM"
	echo "$mark" 2>/dev/null >/dev/kmsg || mark=
}

# log_reports: prints reports since the mark; false if there is none.
log_reports() {
	[ -n "$mark" ] || return 1
	dmesg | awk -v mark="$mark" 'seen { print } index($0, mark) { seen = 1 }' |
		"$(dirname "${BASH_SOURCE[0]}")/../../scripts/kernel-reports"
}
