/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SHIM_LINUX_SPINLOCK_H
#define SHIM_LINUX_SPINLOCK_H

#include <linux/lockdep.h>
#include <pthread.h>
#include <stdbool.h>

#define spinlock_t	pthread_mutex_t

/* By one thread, for writing. */
typedef struct {
	bool held;
	pthread_t owner;
} rwlock_t;

#define lockdep_assert_held_write(l)	lockdep_assert_held(l)

#endif
