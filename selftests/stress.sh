#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Rounds of the stress program, with the module removed and inserted in between,
# and then reloads with a guest each, under watch of the kernel log and of what
# the module leaves behind.  Breaks without count_zapped() in free_subtrees(): then
# xvm_mmu_destroy() warns.

set -uo pipefail

usage() {
	cat <<USAGE
Usage: selftests/stress.sh [--minutes N] [--rounds N] [--reloads N]
                           [--device kvm|xvm] MODULE

  --minutes N  for all rounds together (30)
  --rounds N   how often the module is inserted anew (6)
  --reloads N  how often it is then inserted for a small guest, and removed (0)
  --device D   stress this device alone

MODULE is the path of xvm.ko.  To be run as root, best in the lab.
USAGE
}

top=$(cd "$(dirname "$0")/.." && pwd)
build=${XVM_BUILD:-$top/build}
stress=$build/selftests/stress
minutes=30 rounds=6 reloads=0 module='' device=()

while [ $# -gt 0 ]; do
	case $1 in
	--minutes) minutes=$2; shift ;;
	--rounds) rounds=$2; shift ;;
	--reloads) reloads=$2; shift ;;
	--device) device=(--device "$2"); shift ;;
	-h | --help) usage; exit 0 ;;
	-*) usage >&2; exit 2 ;;
	*) module=$1 ;;
	esac
	shift
done
[ -f "$module" ] || { usage >&2; exit 2; }

. "$top/selftests/lib/kernel-log.sh"

failed=0
fail() {
	echo "not ok - $*"
	failed=$((failed + 1))
}

# Nothing of the module's outlives it: a slab cache that does holds leaked objects.
left_nothing() {
	! grep '^xvm' /proc/slabinfo || fail "a slab cache of xvm is left"
	[ ! -e /sys/kernel/debug/xvm ] || fail "debugfs files of xvm are left"
	[ "$failed" = 0 ]
}

# What the kernel counts of what it has allocated, in KiB.  (All that is in use
# goes up and down by 20 MiB.)
kernel_memory() {
	awk '/^(SUnreclaim|VmallocUsed|Percpu|KernelStack|PageTables):/ { sum += $2 }
		END { print sum }' /proc/meminfo
}

# reload N: N times the module, one guest, no module.  4 KiB lost each time are seen,
# if N is some hundreds; VMs' page tables are in no count, but xvm_mmu_destroy() has
# its own.  Breaks if a descriptor's release keeps a reference, or the module's exit
# what its init has allocated.
reload() {
	local before='' after i warm=$((($1 + 9) / 10))

	for i in $(seq "$1"); do
		insmod "$module" || { fail "reload $i: insmod"; return; }
		"$build/bin/xvm" run "$build/guest/demo.elf" >/dev/null || fail "reload $i: the guest"
		rmmod xvm || { fail "reload $i: rmmod: a reference was left"; return; }
		left_nothing || return
		# What stays filled, per CPU and in caches, is filled by then.
		[ "$i" != "$warm" ] || before=$(kernel_memory)
		[ $((i % 100)) != 0 ] || echo "# $i of $1 reloads, $(kernel_memory) KiB of the kernel's"
	done
	[ "$1" -ge 200 ] || return
	after=$(kernel_memory)
	[ $((after - before)) -lt $((3 * ($1 - warm))) ] ||
		fail "$1 reloads: the kernel's memory grew by $((after - before)) KiB"
}

[ ! -e /sys/module/xvm ] || rmmod xvm || exit 1
log_mark stress
for round in $(seq "$rounds"); do
	echo "# round $round of $rounds"
	insmod "$module" || { fail "insmod"; break; }
	"$stress" --seconds $((minutes * 60 / rounds)) --seed "$round" \
		"${device[@]}" || fail "round $round"
	rmmod xvm || { fail "rmmod: a reference was left"; break; }
	left_nothing || break
done
[ "$failed" != 0 ] || reload "$reloads"
if reports=$(log_reports); then
	fail "the kernel log holds a report"
	sed 's/^/# /' <<<"$reports"
fi
[ "$failed" != 0 ] || echo "ok - $rounds rounds, $minutes minutes, $reloads reloads"
[ "$failed" = 0 ]
