/* SPDX-License-Identifier: GPL-2.0-only */
/* What pgtable.h needs of the kernel's bits. */
#ifndef SHIM_LINUX_BITS_H
#define SHIM_LINUX_BITS_H

#define BIT(nr) (1UL << (nr))
#define BIT_ULL(nr) (1ULL << (nr))

#endif
