#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Rounds of the stress program, with the module removed and inserted in between,
# under watch of the kernel log and of what the module leaves behind.

set -uo pipefail

usage() {
	cat <<USAGE
Usage: selftests/stress.sh [--minutes N] [--rounds N] [--device kvm|xvm] MODULE

  --minutes N  for all rounds together (30)
  --rounds N   how often the module is inserted anew (6)
  --device D   stress this device alone

MODULE is the path of xvm.ko.  To be run as root, best in the lab.
USAGE
}

top=$(cd "$(dirname "$0")/.." && pwd)
stress=${XVM_BUILD:-$top/build}/selftests/stress
minutes=30 rounds=6 module='' device=()

while [ $# -gt 0 ]; do
	case $1 in
	--minutes) minutes=$2; shift ;;
	--rounds) rounds=$2; shift ;;
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

[ ! -e /sys/module/xvm ] || rmmod xvm || exit 1
log_mark stress
for round in $(seq "$rounds"); do
	echo "# round $round of $rounds"
	insmod "$module" || { fail "insmod"; break; }
	"$stress" --seconds $((minutes * 60 / rounds)) --seed "$round" \
		"${device[@]}" || fail "round $round"
	rmmod xvm || { fail "rmmod: a reference was left"; break; }
	# A cache of the module's that outlives it holds objects that leaked.
	! grep '^xvm' /proc/slabinfo || fail "a slab cache of xvm is left"
	[ ! -e /sys/kernel/debug/xvm ] || fail "debugfs files of xvm are left"
	if [ "$failed" != 0 ]; then
		break
	fi
done
if reports=$(log_reports); then
	fail "the kernel log holds a report"
	sed 's/^/# /' <<<"$reports"
fi
[ "$failed" != 0 ] || echo "ok - $round rounds, $minutes minutes"
[ "$failed" = 0 ]
