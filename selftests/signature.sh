#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# A kernel that takes signed modules alone refuses an xvm.ko that nobody signed,
# and "xvm load" says what to do; it takes one that is signed with a key it knows.

set -euo pipefail
. "$(dirname "$0")/lib/results.sh"

if [ $# -ne 2 ]; then
	echo "Usage: $0 UNSIGNED.KO SIGNED.KO, as root, on a kernel booted with" \
		'module.sig_enforce=1 or lockdown=integrity' >&2
	exit 2
fi
build=${XVM_BUILD:-$(dirname "$0")/../build}
xvm=$build/bin/xvm

grep -q '^overlay ' /proc/modules && status=0 || status=1
result "$status" "the kernel's own modules load: the lab's root needs them"
said=$("$xvm" load "$1" 2>&1) && status=1 || status=0
result "$status" 'xvm load fails for an unsigned module'
[[ "$said" = *'signed module'*'Secure boot'* ]] && status=0 || status=1
result "$status" 'and says why, and where to read on'
printf '# %s\n' "$said"
[ ! -e /dev/xvm ] && [ ! -e /sys/module/xvm ] && status=0 || status=1
result "$status" 'nothing of xvm is left'
said=$(dmesg | grep -E 'Loading of unsigned module|unsigned module loading is restricted') &&
	status=0 || status=1
result "$status" 'the kernel has refused it as an unsigned one'
printf '# %s\n' "$said"

"$xvm" load "$2" && status=0 || status=1
result "$status" 'xvm load loads a module that is signed with an enrolled key'
# O: out of tree; an unsigned one would have E as well.
[ "$(cat /sys/module/xvm/taint)" = O ] && status=0 || status=1
result "$status" 'the kernel takes it for a signed one'
"$xvm" run "$build/guest/demo.elf" >/dev/null && status=0 || status=1
result "$status" 'a guest runs on it'
"$xvm" unload && status=0 || status=1
result "$status" 'it is unloaded'

results
