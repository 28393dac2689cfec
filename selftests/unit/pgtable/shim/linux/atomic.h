/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SHIM_LINUX_ATOMIC_H
#define SHIM_LINUX_ATOMIC_H

#include <linux/types.h>

/* The test's: lets a competitor in first. */
u64 cmpxchg64(u64 *ptr, u64 old, u64 new);

typedef struct {
	long counter;
} atomic_long_t;

static inline void atomic_long_or(long val, atomic_long_t *v)
{
	__atomic_fetch_or(&v->counter, val, __ATOMIC_RELAXED);
}

#endif
