/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SHIM_LINUX_MUTEX_H
#define SHIM_LINUX_MUTEX_H

#include <linux/lockdep.h>
#include <pthread.h>

struct mutex {
	pthread_mutex_t lock;
	pthread_t owner;
	int held;
};

#define mutex_init(m)		pthread_mutex_init(&(m)->lock, NULL)
#define mutex_destroy(m)	pthread_mutex_destroy(&(m)->lock)

static inline void mutex_lock(struct mutex *m)
{
	pthread_mutex_lock(&m->lock);
	m->owner = pthread_self();
	m->held = 1;
}

static inline void mutex_unlock(struct mutex *m)
{
	m->held = 0;
	pthread_mutex_unlock(&m->lock);
}

#endif
