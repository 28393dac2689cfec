/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SHIM_LINUX_SRCU_H
#define SHIM_LINUX_SRCU_H

/*
 * Sleepable RCU in few lines: two reader counts, and grace periods that flip between them. They
 * advance when a reader leaves or somebody looks: a test in one thread decides when one ends.
 */
#include <asm/bug.h>
#include <linux/rcupdate.h>
#include <linux/types.h>
#include <pthread.h>

struct srcu_struct {
	int idx;
	int *readers;			/* by idx */
	pthread_mutex_t lock;
	int phase;			/* counts left to wait for, if a grace period runs */
	unsigned long done;		/* grace periods that are over */
	unsigned long wanted;		/* ... that somebody asked for */
};

/* Called over and over while synchronize_srcu() waits for a reader; yields unless changed. */
extern void (*shim_srcu_blocked)(struct srcu_struct *srcu);

int init_srcu_struct(struct srcu_struct *srcu);
void cleanup_srcu_struct(struct srcu_struct *srcu);
int srcu_read_lock(struct srcu_struct *srcu);
void srcu_read_unlock(struct srcu_struct *srcu, int idx);
unsigned long start_poll_synchronize_srcu(struct srcu_struct *srcu);
bool poll_state_synchronize_srcu(struct srcu_struct *srcu, unsigned long cookie);
void synchronize_srcu_expedited(struct srcu_struct *srcu);

/* A pointer must be read inside a section or under the lock that the condition names. */
#define srcu_dereference_check(p, srcu, cond)						\
	({										\
		WARN_ON(!(cond) && !__atomic_load_n(&(srcu)->readers[0], __ATOMIC_RELAXED) &&	\
			!__atomic_load_n(&(srcu)->readers[1], __ATOMIC_RELAXED));	\
		__atomic_load_n(&(p), __ATOMIC_ACQUIRE);				\
	})

#endif
