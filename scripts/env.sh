# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# Shared by the scripts in this folder: paths, messages, the cache.

XVM_TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
XVM_CACHE=${XVM_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/xvm}
XVM_BUILD=$XVM_TOP/build
XVM_KERNELS=(6.1 6.1-cloud 6.12 6.12-cloud 6.12-rt 7.3 7.3-cloud)
export XVM_TOP XVM_CACHE XVM_BUILD XVM_KERNELS

say() {
	printf '%s: %s\n' "${0##*/}" "$*" >&2
}

die() {
	say "$*"
	exit 2
}

# steadily COMMAND...: one that ends as scripts/lab does, 97 if the emulator crashed or is
# stuck in itself. That says nothing about what it ran, unless a case had failed before.
steadily() {
	local try status said

	said=$(mktemp)
	for try in first second; do
		status=0
		"$@" 2>&1 | tee "$said" || status=$?
		[ "$status" = 97 ] && [ "$try" = first ] && ! grep -q '^not ok' "$said" || break
		say "not the suite's fault: all of it once more"
	done
	rm -f "$said"
	return "$status"
}

# The unpacked packages of a lab kernel: boot/, lib/modules/, usr/src/.
kernel_dir() {
	printf '%s/kernels/%s\n' "$XVM_CACHE" "$1"
}

kernel_release() {
	cat "$(kernel_dir "$1")/release" 2>/dev/null
}

# has_9p SERIES: whether that kernel can mount the host's folders by 9p.
has_9p() {
	/sbin/modprobe -d "$(kernel_dir "$1")" -S "$(kernel_release "$1")" \
		--show-depends 9p >/dev/null 2>&1
}

# copy_module DIR: the module's sources, to build it there.  What was built
# stays, what went from the sources goes from the copy.
copy_module() {
	mkdir -p "$1"
	rsync -a --delete --include='*/' --include='*.[chS]' --exclude='*' \
		"$XVM_TOP/module" "$XVM_TOP/uapi" "$1/"
	rsync -a "$XVM_TOP/Kbuild" "$XVM_TOP/dkms.conf" "$1/"
}
