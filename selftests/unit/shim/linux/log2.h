/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SHIM_LINUX_LOG2_H
#define SHIM_LINUX_LOG2_H

#define order_base_2(n)	((n) > 1 ? 64 - __builtin_clzl((unsigned long)(n) - 1) : 0)

#endif
