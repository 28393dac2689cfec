/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SHIM_LINUX_SORT_H
#define SHIM_LINUX_SORT_H

#include <stddef.h>
#include <stdlib.h>

static inline void sort(void *base, size_t nr, size_t size,
			int (*cmp)(const void *l, const void *r),
			void (*swap)(void *l, void *r, int size))
{
	qsort(base, nr, size, cmp);
}

#endif
