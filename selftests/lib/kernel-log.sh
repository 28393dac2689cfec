# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
#
# A mark in the kernel log, and the reports behind it.

# The words with which the kernel reports a fault of its own.
readonly KERNEL_REPORTS='WARNING: |BUG: |[Oo]ops|general protection|Call Trace:'\
'|suspicious RCU|rcu: INFO: |possible (circular|recursive|irq) '\
'|inconsistent lock state|held lock freed|lock held (when|at)'\
'|KASAN|KFENCE|UBSAN|kmemleak: [0-9]+ new|blocked for more than'\
'|soft lockup|hard LOCKUP|refcount_t: |list_(add|del) corruption'\
'|[Bb]ad page|Bad rss-counter|[Uu]nable to handle|invalid opcode:'

# log_mark NAME: what stands behind it belongs to NAME.
log_mark() {
	mark="xvm-selftest: $1 $$.$RANDOM"
	echo "$mark" 2>/dev/null >/dev/kmsg || mark=
}

# log_reports: prints reports since the mark; false if there is none.
log_reports() {
	[ -n "$mark" ] || return 1
	dmesg | awk -v mark="$mark" 'seen { print } index($0, mark) { seen = 1 }' |
		grep -E "$KERNEL_REPORTS"
}
