/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SHIM_LINUX_MM_TYPES_H
#define SHIM_LINUX_MM_TYPES_H

#include <linux/list.h>

struct mm_struct;

struct page {
	struct list_head lru;
	unsigned long private;
};

#endif
