/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SHIM_LINUX_SPINLOCK_H
#define SHIM_LINUX_SPINLOCK_H

#include <linux/lockdep.h>
#include <pthread.h>
#include <stdbool.h>

#define spinlock_t	pthread_mutex_t

#define spin_lock_init(l)	pthread_mutex_init(l, NULL)

/* Whoever else wants it comes before, or after. */
static inline void spin_lock(spinlock_t *lock)
{
	meanwhile();
	pthread_mutex_lock(lock);
}

static inline void spin_unlock(spinlock_t *lock)
{
	pthread_mutex_unlock(lock);
	meanwhile();
}

/* By one thread, for writing. */
typedef struct {
	bool held;
	pthread_t owner;
} rwlock_t;

#define rwlock_init(l)	((l)->held = false)

#define lockdep_assert_held_write(l)	lockdep_assert_held(l)

#endif
