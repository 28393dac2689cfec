#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Where xvm cannot work it refuses to load, and says why in one line.

set -euo pipefail
. "$(dirname "$0")/lib/results.sh"

if [ $# -ne 2 ]; then
	echo "Usage: $0 XVM.KO TEXT, as root, on a machine that lacks what TEXT names" >&2
	exit 2
fi

before=$(dmesg | wc -l)
insmod "$1" && status=1 || status=0
result "$status" 'insmod fails'
[ ! -e /dev/xvm ] && [ ! -e /sys/module/xvm ] && status=0 || status=1
result "$status" 'nothing of xvm is left'
# The kernel itself remarks once that the module is not its own.
said=$(dmesg | tail -n +"$((before + 1))" | grep -v taint || :)
[[ "$said" = *"xvm: "*"$2"* && $(wc -l <<<"$said") = 1 ]] && status=0 || status=1
result "$status" "the log has one line: $2"
[ "$status" = 0 ] || printf '# %s\n' "$said"

results
