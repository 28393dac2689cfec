/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SHIM_LINUX_BITOPS_H
#define SHIM_LINUX_BITOPS_H

static inline void set_bit(unsigned long nr, unsigned long *bits)
{
	bits[nr / (8 * sizeof(*bits))] |= 1ul << (nr % (8 * sizeof(*bits)));
}

#endif
