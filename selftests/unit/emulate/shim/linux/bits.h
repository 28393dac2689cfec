/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef XVM_SHIM_BITS_H
#define XVM_SHIM_BITS_H

#define BIT_ULL(n) (1ULL << (n))

#endif
