/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SHIM_LINUX_SPINLOCK_H
#define SHIM_LINUX_SPINLOCK_H

#include <pthread.h>
#include <stdlib.h>

#define spinlock_t	pthread_mutex_t

typedef struct {
	bool writer;
} rwlock_t;

#define lockdep_assert_held_write(l)	((l)->writer ? (void)0 : abort())

#endif
