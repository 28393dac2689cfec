/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef TLB_SHIM_LINUX_BITOPS_H
#define TLB_SHIM_LINUX_BITOPS_H

#include_next <linux/bitops.h>

/* tools/include has one that wants its own atomic.h. */
#undef set_bit

static inline void set_bit(unsigned long nr, unsigned long *bits)
{
	bits[nr / (8 * sizeof(*bits))] |= 1ul << (nr % (8 * sizeof(*bits)));
}

#endif
